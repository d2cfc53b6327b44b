"""Several performers, several people: who moves whom, and that everybody is measured against their own neutral."""

from dataclasses import replace

import numpy as np
import pytest

from faceshot.puppeteer import MotionSettings, Puppeteer
from faceshot.same_faces import KEEP_S
from faceshot.troupe import Troupe
from faceshot.types import FaceState
from tests.faceshot.performer import SIZE, character, perform, phone

DT = 1 / 15
RAW = MotionSettings(smoothing=0.0, idle=False)
LOST = FaceState.lost(SIZE)


def at(x: float, roll: float = 0.0, **more) -> FaceState:
    """A face in the camera picture; `x` is in face widths from the middle."""
    return perform((0, 0, roll), (x, 0), **more)


def together(*faces: FaceState) -> FaceState:
    return replace(faces[0], others=faces[1:])


def a_troupe(people: int = 2, settings: MotionSettings = RAW) -> Troupe:
    troupe = Troupe(Puppeteer(character(), settings))
    troupe.set_cast([character(seed=i) for i in range(people)])
    return troupe


def play(troupe: Troupe, state: FaceState, seconds: float = 1.5):
    for _ in range(round(seconds / DT)):
        drives = troupe.step(state, DT)
    return drives


def rolls(troupe: Troupe, state: FaceState) -> list[int]:
    """Which way everybody tilts."""
    return [round(float(np.degrees(drive.head.rotation[2])) / 5) for drive in troupe.step(state, DT)]


def test_alone_it_is_the_puppeteer_and_nothing_else():
    rng = np.random.default_rng(0)
    states = [at(0, float(roll)) if roll > -8 else LOST for roll in rng.normal(0, 6, 90)]
    troupe, puppeteer = Troupe(Puppeteer(character())), Puppeteer(character())
    for state in states:
        [mine], theirs = troupe.step(state, DT), puppeteer.step(state, DT)
        np.testing.assert_array_equal(mine.points_xy, theirs.points_xy)
    assert troupe.status == puppeteer.status


@pytest.mark.parametrize("mirror", [False, True])
def test_everybody_moves_a_person_from_left_to_right(mirror: bool):
    """As in front of a looking glass: mirrored, the face at the right of the camera picture is the left person."""
    troupe = a_troupe(settings=replace(RAW, mirror=mirror))
    left, right = at(-1.5), at(1.5)
    play(troupe, together(right, left))  # the order in which a tracker has them is nothing
    moved = rolls(troupe, together(at(1.5, 10), left))
    assert moved == ([-2, 0] if mirror else [0, 2]), "and a tilt to the mirror's left is one to the left"


def test_everybody_is_measured_against_their_own_neutral():
    """One holds the head askew all the time, the other straight: both people are at rest."""
    troupe = a_troupe()
    askew = perform(translation=(-1.5, 0), base=(0, 0, 12))
    drives = play(troupe, together(askew, at(1.5)))
    assert troupe.status == "tracking"
    for drive in drives:
        np.testing.assert_allclose(drive.head.rotation, 0, atol=0.01)


def test_with_one_face_only_the_first_moves_and_the_others_live_on():
    troupe = a_troupe(3, replace(RAW, idle=True))
    play(troupe, at(0.3))
    drives = [troupe.step(at(0.3, 10), DT) for _ in range(120)]
    assert {drive.found for drive, _, _ in drives} == {True}
    assert not any(drive.found or drive.crop is not None for _, *others in drives for drive in others)
    lids = np.array([[drive.lids.min() for drive in frame[1:]] for frame in drives])
    assert (lids.min(axis=0) < 0.3).all() and (lids[:, 0] != lids[:, 1]).any(), "they blink, but not in step"


def test_who_comes_late_takes_the_next_person_and_moves_nobody_away():
    troupe = a_troupe()
    play(troupe, at(0))
    play(troupe, together(at(0), at(-2)))
    assert rolls(troupe, together(at(0, 10), at(-2))) == [2, 0], "although the new one sits further left"
    play(troupe, together(at(0), at(-2), at(2)))
    assert rolls(troupe, together(at(0, 10), at(-2, -10), at(2, 30))) == [2, -2], "and a third moves nobody"


def test_calibrating_seats_them_from_left_to_right():
    troupe = a_troupe()
    play(troupe, at(0))
    play(troupe, together(at(0), at(-2, -10)))
    troupe.calibrate()
    play(troupe, together(at(0), at(-2, -10)))
    drives = troupe.step(together(at(0, 10), at(-2, -10)), DT)
    turned = [float(np.degrees(drive.head.rotation[2])) for drive in drives]
    assert turned == pytest.approx([0, 10], abs=1), "and how they sit now is their neutral"


def test_turning_the_mirror_turns_the_seats():
    troupe = a_troupe()
    pair = together(at(-1.5), at(1.5))
    play(troupe, pair)
    troupe.settings = replace(RAW, mirror=True)
    play(troupe, pair)
    assert rolls(troupe, together(at(-1.5, 10), at(1.5))) == [0, -2]


def test_a_lost_face_keeps_its_person_for_a_while_and_then_the_person_is_free():
    troupe = a_troupe()
    play(troupe, together(at(-1.5), at(1.5)))
    alone = together(LOST, at(1.5), at(3))
    drives = play(troupe, alone, KEEP_S - 0.5)
    assert not drives[0].found and drives[1].found
    np.testing.assert_allclose(drives[0].head.rotation, 0, atol=1e-3, err_msg="it has eased to rest")
    back = together(at(-1.5, 10), at(1.5), at(3))
    play(troupe, back, 0.5)
    assert rolls(troupe, back) == [2, 0], "who returns has it still"
    play(troupe, alone, KEEP_S + 0.5)
    play(troupe, alone)
    assert rolls(troupe, together(LOST, at(1.5), at(3, 10))) == [2, 0], "now it is the third's"
    play(troupe, together(LOST, at(1.5)), KEEP_S + 0.5)
    play(troupe, together(at(-1.5), at(1.5)), 1.5)
    assert rolls(troupe, together(at(-1.5, 10), at(1.5))) == [2, 0], "and free again once that one has gone"


def test_a_newcomer_is_not_measured_against_who_sat_there_before():
    troupe = a_troupe()
    play(troupe, together(at(-1.5), at(1.5)))
    play(troupe, together(LOST, at(1.5)), KEEP_S + 0.5)
    askew = perform(translation=(3, 0), base=(0, 0, 12))
    drives = play(troupe, together(LOST, at(1.5), askew))
    assert drives[0].found
    assert float(np.degrees(drives[0].head.rotation[2])) == pytest.approx(0, abs=0.5)


def test_an_expression_is_everybody_s_also_of_who_comes_later():
    troupe = a_troupe()
    troupe.choose("laugh")
    troupe.set_cast([character(seed=i) for i in range(3)])
    assert all(drive.preset_shapes is not None for drive in play(troupe, LOST))
    troupe.choose(None)
    assert all(drive.preset_shapes is None for drive in play(troupe, LOST))


def test_another_picture_keeps_the_seats():
    troupe = a_troupe(2)
    play(troupe, at(0))
    play(troupe, together(at(0), at(-2)))
    troupe.set_cast([character(seed=7)])
    assert rolls(troupe, together(at(0, 10), at(-2))) == [2]
    troupe.set_cast([character(seed=i) for i in range(2)])
    play(troupe, together(at(0), at(-2)))
    assert rolls(troupe, together(at(0, 10), at(-2))) == [2, 0]


def test_another_source_forgets_the_seats():
    troupe = a_troupe()
    play(troupe, at(0))
    play(troupe, together(at(0), at(-2)))
    troupe.reset()
    assert troupe.status == "waiting"
    play(troupe, together(at(0), at(-2)))
    assert rolls(troupe, together(at(0, 10), at(-2))) == [0, 2]


def test_a_tracker_that_says_no_place_moves_the_first():
    troupe = a_troupe()
    troupe.step(phone(), DT)
    drives = play(troupe, phone((0, 0, 0), jawOpen=0.8))
    assert drives[0].found and not drives[1].found
