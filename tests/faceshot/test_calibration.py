"""Measuring how a tracker reads a character."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from faceshot import calibration
from faceshot.animators.warp import WarpAnimator
from faceshot.animators.warp.response import (
    BENDS,
    LID_STEPS,
    LIDS,
    N_FEATURES,
    N_READINGS,
    RESPONSE,
    SHUT_AT,
    as_logit,
    kinship,
)
from faceshot.calibration import calibrated, can_calibrate
from faceshot.calibration_probes import rig_state
from faceshot.character import open_character, read_character, resize, write_character
from faceshot.pictures import flatten
from faceshot.puppeteer import MotionSettings, Puppeteer
from faceshot.topology import ARKIT_INDEX
from faceshot.tracker import make_tracker
from faceshot.types import CameraImage, Character, FaceState


def test_a_linear_response_is_found_also_where_readings_end() -> None:
    chance = np.random.default_rng(1)
    seen = chance.normal(0, 1, (120, N_FEATURES))
    seen[0] = 0
    weights = np.zeros((N_FEATURES, 6))
    weights[:6] = np.diag([1.5, 2.0, -1.0, 4.0, 5.0, 6.0])
    floor = as_logit(SHUT_AT)
    rest = np.array([floor + 1, floor - 1.0, 0.0, 10.0, -2.0, 1.0])
    read = rest + seen @ weights
    read[:, :3] = np.maximum(read[:, :3], floor - 0.1)  # no less can be read
    table, _ = calibration._fit(seen, read)
    assert np.abs(table[1:-2, 2:] - weights[:, 2:]).max() < 0.2
    # Two thirds of the smiles read say only "none": the plain fit makes half of them, this one most.
    plain = np.linalg.lstsq(np.c_[np.ones(len(seen)), seen], read, rcond=None)[0]
    assert plain[2, 1] < 0.6 * weights[1, 1] < 0.7 * weights[1, 1] < table[2, 1] < 1.1 * weights[1, 1]


def test_at_rest_the_model_says_what_was_seen_there() -> None:
    chance = np.random.default_rng(2)
    seen, read = chance.normal(0, 1, (90, N_FEATURES)), chance.normal(0, 1, (90, 6))
    seen[0] = 0
    read[0, 1] = as_logit(SHUT_AT) - 0.1  # a smile that nobody sees
    table, bends = calibration._fit(seen, read)
    model = table[0] + kinship(np.zeros((1, N_FEATURES)), bends[:, :N_FEATURES])[0] @ bends[:, N_FEATURES:]
    np.testing.assert_allclose(model[2:], read[0, 2:], atol=1e-4)
    assert model[1] <= as_logit(SHUT_AT) + 1e-5


def test_readings_that_bend_are_followed_and_doubted_by_what_was_not_looked_at() -> None:
    chance = np.random.default_rng(3)
    seen = chance.normal(0, 0.6, (160, N_FEATURES))
    seen[0] = 0
    noise = 0.1
    read = np.zeros((160, 6))
    read[:, 3] = 3.0 * np.maximum(seen[:, 0], 0.0) ** 2 + chance.normal(0, noise, 160)
    read[:, 4] = chance.normal(0, 1.0, 160)
    table, bends = calibration._fit(seen, read)

    def model(motions: np.ndarray) -> np.ndarray:
        bent = kinship(motions, bends[:, :N_FEATURES]) @ bends[:, N_FEATURES:]
        return table[0] + motions @ table[1 : 1 + N_FEATURES] + bent

    unseen = chance.normal(0, 0.6, (200, N_FEATURES))
    truth = 3.0 * np.maximum(unseen[:, 0], 0.0) ** 2
    straight = np.polyval(np.polyfit(unseen[:, 0], truth, 1), unseen[:, 0])
    missed = float((model(unseen)[:, 3] - truth).std())
    assert missed < 0.85 * float((straight - truth).std())
    assert missed < 1.5 * table[-1, 3]  # the doubt is honest
    assert table[-1, 4] > 0.95  # nothing is known where there is nothing but noise


def test_lids_are_drawn_so_that_half_shut_reads_as_half_shut() -> None:
    steps = np.array(LID_STEPS)
    quick = calibration._lids_for(np.array([0.7, 0.69, 0.66, 0.5, 0.2, 0.05]))  # reads shut too soon
    late = calibration._lids_for(np.array([0.7, 0.4, 0.2, 0.05, 0.02, 0.0]))
    assert (quick[1:-1] > steps[1:-1]).all() and (late[1:-1] < steps[1:-1]).all()
    for drawn in (quick, late):
        assert drawn[0] == 0 and drawn[-1] == 1 and (np.diff(drawn) > 0).all()
    blind = calibration._lids_for(np.array([0.1, 0.1, 0.1, 0.1, 0.05, 0.05]))
    np.testing.assert_allclose(blind, steps)
    np.testing.assert_allclose(calibration._lids_for(np.array([np.nan, 0.5, 0.4, 0.3, 0.2, 0.0])), steps)


def test_lids_meet_where_they_read_as_shut() -> None:
    low, middle, high = calibration._MEET_AT
    assert calibration._meet(np.array([0.3, 0.4, 0.5])) == high  # hardly seen: as far down as lids go
    assert calibration._meet(np.array([0.7, 0.8, 0.9])) == low
    assert low < calibration._meet(np.array([0.5, 0.6, 0.65])) < middle
    assert calibration._meet(np.array([np.nan, 0.6, 0.65])) == middle  # lost: as lids usually do


def test_what_nobody_can_measure_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACESHOT_MODELS", str(tmp_path))
    monkeypatch.setattr("faceshot.weights.cache_folder", lambda: tmp_path)
    by_hand = open_character("miso")
    assert calibrated(by_hand) is by_hand
    seen = replace(by_hand, provenance={"landmarks": {"matcher": "mediapipe"}})
    assert not can_calibrate(seen, tmp_path) and calibrated(seen, tmp_path) is seen


@pytest.mark.parametrize("lacking", [RESPONSE, BENDS, LIDS, "size"])
def test_a_file_of_an_older_version_is_measured_anew(tmp_path: Path, lacking: str) -> None:
    (tmp_path / "face_landmarker.task").write_bytes(b"there")
    arrays = {
        RESPONSE: np.zeros((N_FEATURES + 3, N_READINGS), np.float32),
        BENDS: np.zeros((4, N_FEATURES + N_READINGS), np.float32),
        LIDS: np.array([*LID_STEPS, 0.9], np.float32),
    }
    seen = {"landmarks": {"matcher": "mediapipe"}}
    now = replace(open_character("miso"), provenance=seen, arrays=arrays)
    assert not can_calibrate(now, tmp_path)
    older = dict(arrays)
    if lacking == "size":
        older[RESPONSE] = older[RESPONSE][1:]
    else:
        del older[lacking]
    assert can_calibrate(replace(now, arrays=older), tmp_path)


def test_a_damaged_model_does_not_keep_a_picture_from_becoming_a_character(tmp_path: Path) -> None:
    (tmp_path / "face_landmarker.task").write_bytes(b"PK no such thing")
    seen = replace(open_character("miso"), provenance={"landmarks": {"matcher": "mediapipe"}})
    assert calibrated(seen, tmp_path) is seen


@pytest.fixture(scope="module")
def cartoon(shared_media: Path, shared_models: Path) -> Character:
    return resize(open_character(str(shared_media / "characters" / "s7.jpg"), shared_models, calibrate=False), 320)


@pytest.fixture(scope="module")
def known(cartoon: Character, shared_models: Path) -> Character:
    return calibrated(cartoon, shared_models)


@pytest.mark.media
def test_a_face_is_calibrated_once_and_kept_in_its_file(
    cartoon: Character, known: Character, shared_models: Path, tmp_path: Path
) -> None:
    assert can_calibrate(cartoon, shared_models) and not can_calibrate(known, shared_models)
    assert calibrated(known, shared_models) is known
    write_character(known, tmp_path / "cartoon.faceshot")
    back = resize(read_character(tmp_path / "cartoon.faceshot"), 200)
    for name in (RESPONSE, BENDS, LIDS):
        np.testing.assert_array_equal(back.arrays[name], known.arrays[name])


@pytest.mark.media
def test_a_picture_without_a_face_that_trackers_keep_stays_as_it_is(cartoon: Character, shared_models: Path) -> None:
    blank = replace(cartoon, rgba=np.full_like(cartoon.rgba, 200))
    assert calibrated(blank, shared_models) is blank


@pytest.mark.media
def test_a_smile_arrives_on_a_small_drawn_mouth(cartoon: Character, known: Character, shared_models: Path) -> None:
    def smiles(character: Character) -> float:
        return float(np.mean([_seen(character, shared_models, side) for side in ("Left", "Right")]))

    before, after = smiles(cartoon), smiles(known)
    assert before < 0.35 and after > before + 0.25


def _seen(character: Character, models: Path, side: str) -> float:
    *_, last = _looks(character, models)
    assert last.blendshapes is not None
    return float(last.blendshapes[ARKIT_INDEX["mouthSmile" + side]])


def _looks(character: Character, models: Path) -> Iterator[FaceState]:
    puppeteer = Puppeteer(character, MotionSettings(smoothing=0.0, idle=False))
    puppeteer.use_neutral(rig_state({}))
    animator = WarpAnimator()
    animator.load(character)
    drive = puppeteer.step(rig_state({"mouthSmile": 0.7}), 1 / 30)
    picture = CameraImage(flatten(animator.render([drive])[0].rgba, (127, 127, 127)))
    tracker = make_tracker("landmarker", models)
    try:
        for look in range(3):
            yield tracker.track(picture, 1 + look * 500)
    finally:
        tracker.close()
        animator.close()
