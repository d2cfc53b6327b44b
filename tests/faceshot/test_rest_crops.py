"""Which pictures of the performer are taken for the neutral pose."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from faceshot.driver import observe, reference_from
from faceshot.puppeteer import MotionSettings, Puppeteer
from faceshot.rest_crops import RestCrops, rest_crops_of
from faceshot.types import FaceState
from tests.faceshot.performer import perform
from tests.fakes import a_character

SQUARE = (320.0, 240.0, 200.0)


def state(mouth: float, mark: int) -> FaceState:
    """A face whose crop is `mark` all over, but for a white left half."""
    crop = np.full((256, 256, 3), mark, np.uint8)
    crop[:, :128] = 255
    return replace(perform(jawOpen=mouth), crop=crop, crop_square=SQUARE)


def marks(crops: tuple) -> list[int]:
    return [int(crop[0, 200, 0]) for crop, _ in crops]


def reference(of: FaceState):
    seen = observe(of)
    assert seen is not None
    return reference_from(seen)


def test_the_calmest_of_a_clip_are_taken() -> None:
    states = [state(mouth, mark) for mark, mouth in enumerate([1.0, 0.0, 0.8, 0.0, 0.5, 0.0])]
    assert set(marks(rest_crops_of(states, reference(states[1])))) == {1, 3, 5}
    assert rest_crops_of([replace(s, crop=None) for s in states], reference(states[1])) == ()


def test_live_the_first_serves_until_calmer_ones_come() -> None:
    rest = RestCrops()
    neutral = reference(state(0.0, 0))

    def see(face: FaceState) -> None:
        seen = observe(face)
        assert seen is not None and face.crop is not None
        rest.see(seen, face.crop, face.crop_square, neutral, 0.1)

    see(state(1.0, 1))
    assert marks(rest.best) == [1]
    first = rest.best
    see(state(0.0, 2))
    assert rest.best is first, "not looked at every frame"
    for _ in range(5):
        see(state(1.0, 3))
    assert marks(rest.best) == [2]
    for _ in range(60):
        see(state(1.0, 4))
    assert marks(rest.best) == [2]
    rest.reset()
    assert rest.best == ()


@pytest.mark.parametrize("mirror", [False, True])
def test_drives_carry_crops_mirrored_as_their_motion(mirror: bool) -> None:
    puppeteer = Puppeteer(a_character(), MotionSettings(mirror=mirror, head=0.5, eyes=0.25))
    drives = [puppeteer.step(state(0.0, 7), 1 / 30) for _ in range(3)]
    drive = drives[-1]
    assert drive.crop is not None
    assert (drive.crop[0, 0, 0] == 7) == mirror
    assert drive.crop_square is not None
    assert drive.crop_square[0] == (state(0.0, 7).size_wh[0] - 320 if mirror else 320)
    assert drive.rest_crops[0][1] == drive.crop_square
    assert (drive.rest_crops[0][0][0, 0, 0] == 7) == mirror
    assert drives[0].rest_crops is drive.rest_crops
    assert drive.gains == (0.5, 0.25, 1.0, 1.0)
    assert drive.dt_s == pytest.approx(1 / 30)
    lost = puppeteer.step(FaceState.lost((640, 480)), 1 / 30)
    assert lost.crop is None and lost.rest_crops is drive.rest_crops


def test_offline_the_whole_clip_is_looked_through_first() -> None:
    states = [state(mouth, mark) for mark, mouth in enumerate([1.0, 1.0, 0.0, 1.0])]
    puppeteer = Puppeteer(a_character())
    puppeteer.use_neutral(states[2])
    drives = list(puppeteer.perform(states, [1 / 30] * 4))
    assert all(marks(drive.rest_crops) == [2] for drive in drives)


def test_a_chosen_expression_is_told_apart_from_the_performed_one() -> None:
    puppeteer = Puppeteer(a_character())
    assert puppeteer.step(state(0.0, 7), 1 / 30).preset_shapes is None
    puppeteer.presets.choose("smile")
    for _ in range(10):
        drive = puppeteer.step(state(0.0, 7), 1 / 30)
    assert drive.preset_shapes is not None
    assert drive.preset_shapes.max() > 0.8
