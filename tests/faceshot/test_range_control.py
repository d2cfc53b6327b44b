"""Calibrating a performer's range, limiting the character's, and shutting a mouth that is open in the picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from faceshot.errors import FaceshotError
from faceshot.motion import DELTA, GAZE, LIDS, READINGS, ROTATION, SHAPES, TRANSLATION, delta_of, rest
from faceshot.puppeteer import MotionSettings, Puppeteer
from faceshot.range_control import Limits, Measurement, Range, closing_of, in_range, mouth_gap, within
from faceshot.topology import ARKIT_INDEX
from tests.faceshot.performer import character, perform

DT = 1 / 30
RAW = MotionSettings(smoothing=0.0, idle=False)


def puppeteer(settings: MotionSettings = RAW, who=None) -> Puppeteer:
    made = Puppeteer(who or character(), settings)
    made.use_neutral(perform())
    made.step(perform(), 1.0)
    return made


def measured(what, face, seconds: float = 3.0) -> Measurement:
    performer = puppeteer()
    performer.measurement = Measurement(what)
    for _ in range(round(seconds / DT)):
        performer.step(face, DT)
    assert performer.measurement is not None
    return performer.measurement


def opened(by: float) -> np.ndarray:
    motion = rest()
    delta_of(motion)[[55, 56, 57, 58, 59, 65, 66, 67], 1] = by
    return motion


def with_open_mouth():
    who = character()
    points = who.points_xy.copy()
    points[[65, 66, 67]] += (0, 20)
    points[[55, 56, 57, 58, 59]] += (0, 20)
    return replace(who, points_xy=points)


def test_without_settings_nothing_is_touched():
    motion = rest()
    assert in_range(motion, Range()) is motion
    assert within(motion, Limits()) is motion


def test_an_eye_that_reads_half_open_when_shut_shuts_and_the_other_stays_as_it_is():
    motion = rest()
    motion[LIDS] = 0.7, 0.4  # image-left is the performer's right
    out = in_range(motion, Range(left_shut=0.4))
    assert np.allclose(out[LIDS], (0.7, 0.0))
    assert out[SHAPES][ARKIT_INDEX["eyeBlinkLeft"]] == pytest.approx(0.4)
    motion[LIDS] = 1.0, 1.3
    assert np.array_equal(in_range(motion, Range(left_shut=0.4))[LIDS], (1.0, 1.3)), "rest and wide stay"


def test_lids_stay_monotone_over_the_whole_range():
    openings = np.linspace(0, 1.6, 40)
    seen = []
    for opening in openings:
        motion = rest()
        motion[LIDS] = opening
        seen.append(in_range(motion, Range(left_shut=0.3, right_shut=0.3))[LIDS][0])
    assert (np.diff(seen) >= 0).all() and np.ptp(np.diff(seen)) < 0.08


def test_a_small_mouth_opens_all_the_way_and_lips_that_rest_apart_shut():
    assert mouth_gap(in_range(opened(0.1), Range(lips_wide=0.1))) == pytest.approx(0.18)
    assert mouth_gap(in_range(opened(0.02), Range(lips_shut=0.02))) == pytest.approx(0.0)
    # However odd the numbers, the gain has bounds.
    assert mouth_gap(in_range(opened(0.08), Range(lips_shut=0.05, lips_wide=0.08))) < 0.1
    out = in_range(opened(0.1), Range(lips_wide=0.1))
    assert delta_of(out)[8, 1] > 0.05 and delta_of(out)[0, 1] == 0, "the chin goes along, the temples do not"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_limits_hold_each_group_and_leave_the_others(share):
    motion = rest()
    motion[ROTATION], motion[TRANSLATION], motion[GAZE], motion[LIDS] = 2.0, 1.0, 0.5, 1.6
    delta_of(motion)[20] = delta_of(motion)[57] = (0.0, 0.5, 0.0)
    held = within(motion, Limits(head=share))
    assert np.rad2deg(held[ROTATION]).max() <= 38 * share + 1e-9
    assert np.array_equal(held[GAZE], motion[GAZE]) and np.array_equal(held[DELTA], motion[DELTA])
    held = within(motion, Limits(eyes=share))
    assert held[GAZE][0] <= 0.18 * share and held[LIDS].max() <= 1 + 0.6 * share
    held = within(motion, Limits(brows=share))
    assert delta_of(held)[20, 1] <= 0.14 * share and delta_of(held)[57, 1] == 0.5
    held = within(motion, Limits(mouth=share))
    assert delta_of(held)[57, 1] <= 0.40 * share and delta_of(held)[20, 1] == 0.5


def test_limits_hold_what_a_calibrated_character_is_to_be_read_as():
    motion = rest()
    motion[READINGS] = 0.9, -0.8, 1.0
    jaw, smile, brow = within(motion, Limits(mouth=0.3))[READINGS]
    assert 0.25 < jaw <= 0.3 and -0.3 <= smile < -0.25 and brow == 1.0
    np.testing.assert_allclose(within(motion, Limits(brows=0.5))[READINGS], (0.9, -0.8, 0.5 * np.tanh(2.0)))


def test_limits_are_soft():
    """Small motion hardly changes, larger motion never moves less."""
    turned = []
    for angle in np.linspace(0, 1.5, 30):
        motion = rest()
        motion[ROTATION] = 0, angle, 0
        turned.append(within(motion, Limits(head=0.5))[ROTATION][1])
    assert (np.diff(turned) > 0).all()
    assert turned[1] == pytest.approx(1.5 / 29, rel=0.03)


def test_a_wink_of_each_eye_is_measured_on_that_eye():
    assert measured("left-eye-shut", perform(lids=(1.0, 0.3))).result == pytest.approx({"left_shut": 0.3}, abs=0.04)
    assert measured("right-eye-shut", perform(lids=(0.3, 1.0))).result == pytest.approx({"right_shut": 0.3}, abs=0.04)
    both = measured("eyes-shut", perform(lids=(0.2, 0.35))).result
    assert both == pytest.approx({"left_shut": 0.35, "right_shut": 0.2}, abs=0.04)


def test_what_was_measured_shuts_the_eye_on_air():
    face = perform(lids=(0.4, 0.4))
    found = measured("eyes-shut", face).result
    assert found is not None
    before, after = puppeteer(), puppeteer(replace(RAW, range=Range(**found)))
    for _ in range(5):
        left, right = before.step(face, DT), after.step(face, DT)
    assert left.lids.min() > 0.3 and right.lids.max() < 0.03


def test_the_widest_mouth_is_measured_and_fills_the_characters():
    face = perform(jawOpen=0.6)
    found = measured("mouth-wide", face).result
    assert found is not None and found["lips_wide"] == pytest.approx(0.12, abs=0.01)
    usual, stretched = puppeteer(), puppeteer(replace(RAW, range=Range(**found)))
    a, b = (p.step(face, DT).expression_xy for p in (usual, stretched))
    assert (b[66] - b[62])[1] > 1.3 * (a[66] - a[62])[1]


@pytest.mark.parametrize(
    ("what", "face", "message"),
    [
        ("eyes-shut", perform(), r"100% open; shut, at most 70%"),
        ("left-eye-shut", perform(lids=(0.0, 1.0)), r"100% open"),
        ("mouth-wide", perform(), r"0\.00 face widths; at least 0\.08"),
        ("lips-shut", perform(jawOpen=0.9), r"\+0\.18 face widths from neutral; at most 0\.05"),
    ],
)
def test_what_cannot_be_it_is_refused_with_what_was_seen(what, face, message):
    step = measured(what, face)
    assert step.result is None and step.error is not None
    with pytest.raises(FaceshotError, match=message):
        raise step.error
    assert "two seconds" in step.error.hint


def test_nothing_is_measured_before_the_time_is_up_or_of_an_unknown_step():
    assert not measured("eyes-shut", perform(lids=(0.1, 0.1)), 1.5).done
    with pytest.raises(FaceshotError, match="no step 'ears'"):
        Measurement("ears")  # type: ignore[arg-type]


def test_an_open_mouth_shuts_at_rest_and_opens_with_the_performer():
    who = with_open_mouth()
    still = puppeteer(who=who).step(perform(), DT).expression_xy
    assert np.allclose(still, who.points_xy, atol=0.01), "the picture's own rest by default"
    shut = puppeteer(replace(RAW, close_mouth=1.0), who)
    resting = shut.step(perform(), DT).expression_xy
    assert np.abs((resting[[65, 66, 67]] - resting[[63, 62, 61]])[:, 1]).max() < 1.0
    wide = shut.step(perform(jawOpen=1.0), DT).expression_xy
    usual = puppeteer(who=who).step(perform(jawOpen=1.0), DT).expression_xy
    assert np.allclose(wide, usual, atol=0.01)
    gaps = [(p[66] - p[62])[1] for p in (shut.step(perform(jawOpen=j), DT).expression_xy for j in np.linspace(0, 1, 9))]
    assert (np.diff(gaps) > 0).all()


def test_a_shut_mouth_and_a_character_without_one_have_nothing_to_shut():
    assert closing_of(character()) is None
    assert closing_of(character(missing=range(48, 68))) is None
