"""Every motion moves what it names, and only a rehearsal's first frame is at rest."""

from __future__ import annotations

import numpy as np
import pytest

from faceshot.character import open_character
from faceshot.rehearsal import MOTIONS, close_up, rehearse


@pytest.fixture(scope="module")
def miso():
    return close_up(open_character("miso"), 160)


def around(character, points, frame):
    part = character.points_xy[list(points)]
    left, top = (part.min(axis=0) - 6).astype(int)
    right, bottom = (part.max(axis=0) + 6).astype(int)
    return frame[top:bottom, left:right].astype(int)


@pytest.mark.parametrize(
    ("motion", "moves"), [("blink", range(36, 42)), ("mouth", range(48, 68)), ("smile", range(48, 68))]
)
def test_a_motion_moves_its_part(miso, motion, moves):
    frames = rehearse(miso, (motion,))
    assert len(frames) == MOTIONS[motion][0] and frames[0].shape == miso.rgba.shape
    middle = frames[len(frames) // 2]
    assert np.abs(around(miso, moves, middle) - around(miso, moves, frames[0])).mean() > 3
    opaque = miso.rgba[..., 3] == 255
    assert np.abs(frames[0].astype(int) - miso.rgba)[opaque].mean() < 1  # at rest it is the picture


def test_a_turn_goes_both_ways(miso):
    frames = rehearse(miso, ("turn",))
    there, back = frames[len(frames) // 4].astype(int), frames[3 * len(frames) // 4].astype(int)
    assert np.abs(there - back).mean() > 2


def test_a_close_up_is_the_head(miso):
    whole = open_character("miso")
    assert max(miso.size_wh) <= 160
    face = np.ptp(miso.points_xy[miso.visible], axis=0).max()
    assert 0.35 < face / max(miso.size_wh) < 0.7
    np.testing.assert_allclose(  # the same face, only smaller
        np.ptp(miso.points_xy, axis=0) / face,
        np.ptp(whole.points_xy, axis=0) / np.ptp(whole.points_xy, axis=0).max(),
        atol=0.02,
    )


def test_points_outside_the_picture_show_all_of_it():
    from dataclasses import replace

    whole = open_character("miso")
    lost = replace(whole, points_xy=whole.points_xy + np.float32(3000))
    assert close_up(lost, 100).size_wh == (100, 100)
