"""Hair, ears and hats that swing after the head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from faceshot.animators.warp import WarpAnimator, WarpSettings
from faceshot.animators.warp.frame import face_frame
from faceshot.animators.warp.springs import Springs
from faceshot.character import open_character, resize
from faceshot.types import Drive, HeadMotion
from tests.faceshot.animators.drawn import character

DT = 1 / 60
WHO = resize(open_character("bolt"), 192)


def turned(degrees: float, shift: float = 0.0, dt_s: float = DT) -> Drive:
    head = HeadMotion(np.radians([0.0, 0.0, degrees]).astype(np.float32), np.array([shift, 0.0], np.float32))
    return replace(Drive.neutral(WHO), head=head, dt_s=dt_s)


def springs(strength: float = 1.0) -> Springs:
    animator = WarpAnimator()
    animator.load(WHO)
    puppet = animator._puppet
    assert puppet is not None
    return Springs(face_frame(WHO), puppet.head.grid, np.ones(puppet.head.grid.nodes().shape[:2], np.float32), strength)


def swings(made: Springs, frames: int, dt_s: float = DT) -> list[float]:
    """px sideways of the outermost nodes after a jerk to the right, frame by frame."""
    made.step(turned(0))
    fields = [made.step(turned(0, 0.2, dt_s)) for _ in range(frames)]
    return [0.0 if field is None else float(field[0, :, 0].mean()) for field in fields]


def test_it_lags_swings_over_and_comes_to_rest():
    seen = swings(springs(), 240)
    assert seen[0] < -1, "behind"
    assert max(seen) > 0.1 * abs(min(seen)), "and over"
    assert seen[-1] == 0.0


def test_the_face_stays_and_strength_counts():
    made, weak = springs(), springs(0.25)
    frame = face_frame(WHO)
    fields = []
    for one in (made, weak):
        one.step(turned(0))
        fields.append(one.step(turned(12, 0.2)))
    assert fields[0] is not None and fields[1] is not None
    assert np.allclose(fields[1], 0.25 * fields[0], atol=1e-4)
    animator = WarpAnimator()
    animator.load(WHO)
    assert animator._puppet is not None
    local = frame.local(animator._puppet.head.grid.nodes().astype(float))
    face = np.hypot(local[..., 0] / (0.5 * frame.width), local[..., 1] / (0.9 * frame.height)) < 1
    assert not fields[0][face].any()


def test_the_rate_of_frames_does_not_matter():
    slow, fast = swings(springs(), 30, 1 / 30), swings(springs(), 120, 1 / 120)
    assert np.abs(np.array(slow) - np.array(fast)[3::4]).max() < 0.25 * np.abs(slow).max()


def test_equal_drives_make_equal_pictures_and_reset_forgets():
    path = [turned(3.0 * k, 0.02 * k) for k in range(6)]

    def film(animator: WarpAnimator) -> np.ndarray:
        return np.stack([r.rgba for r in animator.render(path)])

    first, second = WarpAnimator(WarpSettings(swing=1.0)), WarpAnimator(WarpSettings(swing=1.0))
    first.load(WHO)
    second.load(WHO)
    once = film(first)
    assert np.array_equal(once, film(second))
    first.reset()
    assert np.array_equal(once, film(first))
    plain = WarpAnimator()
    plain.load(WHO)
    assert not np.array_equal(once, film(plain))


@pytest.mark.parametrize("dt_s", [0.0, 5.0, -1.0, float("nan"), float("inf")])
def test_a_cut_or_an_odd_clock_swings_nothing_far(dt_s):
    made = springs()
    made.step(turned(0))
    field = made.step(turned(30, 0.3, dt_s))
    assert field is None or np.abs(field).max() < 0.3 * face_frame(WHO).width


def test_nonsense_in_a_drive_swings_nothing_far():
    made = springs()
    made.step(turned(0))
    head = HeadMotion(np.array([np.nan, np.inf, -np.inf], np.float32), np.full(2, np.nan, np.float32))
    for drive in (replace(turned(0), head=head), turned(0), turned(0)):
        field = made.step(drive)
        assert field is None or np.isfinite(field).all()


def test_a_picture_that_cannot_be_cut_out_swings_nothing():
    """There the background would swing along."""
    who = character(alpha=False)
    animator = WarpAnimator(WarpSettings(swing=1.0))
    animator.load(who)
    assert animator._puppet is not None
    assert (animator._puppet.springs is None) == (animator._puppet.plate is None)
