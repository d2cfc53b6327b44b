"""Invariants of the warp animator as a whole, on drawn characters."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from faceshot.animators.warp import WarpAnimator
from faceshot.errors import ShapeError
from faceshot.topology import ARKIT_INDEX, MIRROR_70
from faceshot.types import Character, Drive
from tests.faceshot.animators.drawn import SIDE, character, drive, jaw, smile


def render(who: Character, *drives: Drive) -> list[np.ndarray]:
    animator = WarpAnimator()
    animator.load(who)
    return [frame.rgba for frame in animator.render(drives)]


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a.astype(int) - b.astype(int))


@pytest.mark.parametrize("kind", ["human", "anime", "animal", "emoji", "toy"])
@pytest.mark.parametrize("alpha", [True, False])
def test_no_motion_gives_the_picture_back(kind: str, alpha: bool) -> None:
    who = character(kind, alpha)  # type: ignore[arg-type]
    (out,) = render(who, Drive.neutral(who))
    assert (out[..., 3] == who.rgba[..., 3]).all()
    seen = who.rgba[..., 3] > 0
    assert difference(out, who.rgba)[seen].max() <= 1


def test_no_motion_gives_a_tilted_odd_sized_picture_back() -> None:
    turn = cv2.getRotationMatrix2D((150, 160), 17, 1.0)
    who = character(alpha=False)
    rgba = cv2.warpAffine(who.rgba, turn, (301, 333), borderMode=cv2.BORDER_REPLICATE)
    points = (who.points_xy @ turn[:, :2].T + turn[:, 2]).astype(np.float32)
    tilted = replace(who, rgba=rgba, points_xy=points)
    (out,) = render(tilted, Drive.neutral(tilted))
    assert out.shape == rgba.shape
    assert difference(out, rgba).max() <= 1


def test_output_has_the_size_and_the_window_of_the_contract() -> None:
    animator = WarpAnimator()
    assert tuple(animator.window) == (1, 1, 0)
    assert not animator.needs_crop
    who = character()
    animator.load(who)
    frames = animator.render([Drive.neutral(who)] * 3)
    assert [frame.size_wh for frame in frames] == [(SIDE, SIDE)] * 3
    assert animator.render([]) == []


def test_a_frame_depends_on_its_drive_only() -> None:
    who = character()
    animator = WarpAnimator()
    animator.load(who)
    moved = drive(who, delta=jaw(20), lids=(0.2, 1.0), turn_deg=(5, 15, -8))
    (first,) = animator.render([moved])
    animator.render([drive(who, shift=(0.3, 0.2), lids=(0, 0))])
    (again,) = animator.render([moved])
    assert (first.rgba == again.rgba).all()


def test_rendering_before_loading_says_what_to_call() -> None:
    with pytest.raises(ShapeError, match="no character"):
        WarpAnimator().render([Drive.neutral(character())])


def test_a_tiny_picture_is_refused_and_the_old_character_stays() -> None:
    animator = WarpAnimator()
    who = character()
    animator.load(who)
    with pytest.raises(ShapeError, match="at least 16"):
        animator.load(replace(who, rgba=who.rgba[:8, :8].copy()))
    assert animator.render([Drive.neutral(who)])[0].size_wh == (SIDE, SIDE)


def test_mirrored_motion_gives_the_mirrored_picture() -> None:
    who = character()
    # The drawn face is symmetric about column 160.
    delta = jaw(14) + smile(5)
    delta[48] += (-4, 2)
    delta[20] += (0, -6)
    one = drive(who, delta=delta, lids=(0.3, 1.0), turn_deg=(6, 14, -9), shift=(0.08, 0.05))
    other_delta = delta[MIRROR_70] * (-1, 1)
    other = drive(who, delta=other_delta, lids=(1.0, 0.3), turn_deg=(6, -14, 9), shift=(-0.08, 0.05))
    a, b = render(who, one, other)
    a, b = a[:, 1:].astype(float), b[:, 1:][:, ::-1].astype(float)
    a, b = a[..., :3] * a[..., 3:] / 255, b[..., :3] * b[..., 3:] / 255
    assert np.abs(a - b).mean() < 1.5


def test_roll_about_the_head_centre_is_a_similarity() -> None:
    who = character()
    animator = WarpAnimator()
    animator.load(who)
    puppet = animator._puppet
    assert puppet is not None
    motion = drive(who, turn_deg=(0, 0, 12)).head
    field = puppet.head.forward(motion, 0.0, 0.0)
    nodes = puppet.head.grid.nodes()
    rigid = (puppet.head._member > 0.9999) & (np.abs(puppet.head._q[..., 2]) < 1e-3)
    moved = nodes + field - puppet.frame.centre
    angle = np.radians(35) * np.tanh(np.radians(12) / np.radians(35))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    expected = (nodes - puppet.frame.centre) @ turn.T
    assert np.abs(moved - expected)[rigid].max() < 0.3
    assert rigid.sum() > 100


def test_positive_yaw_turns_the_nose_to_the_left_and_positive_pitch_down() -> None:
    who = character()
    animator = WarpAnimator()
    animator.load(who)
    puppet = animator._puppet
    assert puppet is not None
    nose = who.points_xy[30].reshape(1, 1, 2)
    grid = puppet.head.grid
    for turn, axis, sign in (((0, 12, 0), 0, -1), ((12, 0, 0), 1, 1)):
        field = puppet.head.forward(drive(who, turn_deg=turn).head, 0.0, 0.0)  # type: ignore[arg-type]
        assert sign * grid.sample(field, nose)[0, 0, axis] > 5


def test_body_rests_while_the_head_moves() -> None:
    who = character(alpha=True)
    (out,) = render(who, drive(who, turn_deg=(5, 15, 10), shift=(0.1, 0.0), delta=jaw(10)))
    # The lower end of the trunk, more than a face height below the chin, is out of this picture; its last row is not.
    assert difference(out[-1], who.rgba[-1])[..., 3].mean() < 60
    (resting,) = render(who, drive(who, lids=(0.0, 0.0)))
    assert difference(resting[240:], who.rgba[240:])[who.rgba[240:, :, 3] > 0].max() <= 1


def test_breathing_moves_the_trunk_a_little() -> None:
    who = character()
    still, full = render(who, Drive.neutral(who), drive(who, breath=1.0))
    changed = difference(still, full).max(-1) > 8
    assert 0 < changed.mean() < 0.1


def test_a_character_without_a_mouth_stretches() -> None:
    who = character("toy", hidden=range(48, 68))
    shapes = np.zeros(52, np.float32)
    shapes[ARKIT_INDEX["jawOpen"]] = 1.0
    calm = Drive.neutral(who)
    still, wide = render(who, calm, replace(calm, blendshapes=shapes))
    top = [int(np.flatnonzero(image[..., 3].max(1) > 128)[0]) for image in (still, wide)]
    assert top[1] < top[0] - 3


def test_missing_parts_do_not_move() -> None:
    who = character(hidden=range(17, 27))
    delta = np.zeros((70, 2), np.float32)
    delta[17:27, 1] = -12
    out, still = render(who, drive(who, delta=delta), Drive.neutral(who))
    assert (out == still).all()


def _degenerate() -> dict[str, np.ndarray]:
    base = character().points_xy
    shut = base.copy()
    shut[36:48, 1] = 142
    dot = base.copy()
    dot[36:42] = dot[36]
    flat_jaw = base.copy()
    flat_jaw[:17, 1] = 150
    point_mouth = base.copy()
    point_mouth[48:68] = (160, 212)
    outside = base + np.array([400, -250])
    crossed = base.copy()
    crossed[61:64, 1] += 20
    return {
        "eyes of no height": shut,
        "an eye that is a point": dot,
        "a jaw that is a line": flat_jaw,
        "a mouth that is a point": point_mouth,
        "a face outside of the picture": outside.astype(np.float32),
        "lips that cross": crossed,
        "all in one place": np.full((70, 2), 160, np.float32),
        "upside down": (320 - base).astype(np.float32),
        "not numbers": np.full((70, 2), np.nan, np.float32),
        "infinite": np.full((70, 2), np.inf, np.float32),
    }


@pytest.mark.parametrize("name", list(_degenerate()))
@pytest.mark.parametrize("alpha", [True, False])
def test_degenerate_landmarks_still_give_a_picture(name: str, alpha: bool) -> None:
    points = _degenerate()[name]
    who = character("human", alpha, move=points)
    wild = np.random.default_rng(1).normal(0, 60, (70, 2)).astype(np.float32)
    mad = drive(who, delta=wild, lids=(0, 1.6), gaze=(1, -1), turn_deg=(60, -80, 90), shift=(2, 2))
    calm, moved = render(who, Drive.neutral(who), mad)
    seen = who.rgba[..., 3] > 0
    assert difference(calm, who.rgba)[seen].max() <= 1
    assert moved.shape == calm.shape


def test_extreme_and_broken_drives_give_a_picture() -> None:
    who = character()
    bad = np.full((70, 2), np.nan, np.float32)
    broken = replace(
        drive(who, turn_deg=(0, 0, 0)),
        expression_xy=bad,
        lids=np.array([np.nan, np.inf], np.float32),
        gaze=np.full((2, 2), np.nan, np.float32),
        blendshapes=np.full(52, np.nan, np.float32),
        breath=float("nan"),
    )
    huge = drive(who, delta=5 * (jaw(60) + smile(40)), lids=(-3, 9), turn_deg=(500, -500, 900), shift=(9, -9), scale=50)
    for out in render(who, broken, huge):
        assert out.shape == (SIDE, SIDE, 4)
