"""What was seen to be wrong on a bundled character and mended: it stays mended."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from faceshot.animators.warp import WarpAnimator
from faceshot.animators.warp.frame import face_frame
from faceshot.animators.warp.sheets import LOWER_LIP
from faceshot.character import open_character, resize
from faceshot.puppeteer import MotionSettings, Puppeteer
from faceshot.types import Character, Drive, UInt8
from tests.bench.contact_sheet import POSES


def loaded(name: str, side: int = 512) -> tuple[Character, WarpAnimator]:
    who, animator = resize(open_character(name), side), WarpAnimator()
    animator.load(who)
    return who, animator


def drawn(animator: WarpAnimator, drive: Drive) -> UInt8:
    return animator.render([drive])[0].rgba[..., :3]


def glancing(who: Character, x: float, y: float) -> Drive:
    return replace(Drive.neutral(who), gaze=np.full((2, 2), (x, y), np.float32))


def test_a_tongue_is_a_dome_and_no_wave_along_the_lip() -> None:
    who, animator = loaded("sunny")
    still, frame = Drive.neutral(who), face_frame(who)
    opened = still.expression_xy.copy()
    opened[[7, 8, 9, *LOWER_LIP]] += 0.2 * frame.height * frame.axis_y.astype(np.float32)
    picture = drawn(animator, replace(still, expression_xy=opened)).astype(int)
    left, right = sorted(int(x) for x in who.points_xy[[48, 54], 0])
    rows = slice(int(who.points_xy[48:68, 1].min()), None)
    red, green, blue = np.moveaxis(picture[rows, left:right], -1, 0)
    tongue = (red > 190) & (abs(green - blue) < 30) & (green < 150)
    columns = np.flatnonzero(tongue.sum(0) > 3)
    assert len(columns) > 0.25 * (right - left)
    top = tongue[:, columns].argmax(0)
    highest = int(top.argmin())
    assert (np.diff(top[: highest + 1]) <= 1).all() and (np.diff(top[highest:]) >= -1).all()
    assert abs(columns[highest] - columns.mean()) < 0.2 * len(columns)


def test_a_lit_pupil_glances_over_lines_that_rest() -> None:
    who, animator = loaded("bolt")
    puppet = animator._puppet
    assert puppet is not None
    rest, aside = (drawn(animator, glancing(who, x, 0.0)).astype(int) for x in (0.0, 0.12))
    for eye, pupil in zip(puppet.eyes, who.points_xy[68:], strict=True):
        assert eye is not None
        radius, (x, y) = float(eye._shape.iris[2]), pupil
        assert radius > 0.2 * eye.lids.width
        ys, xs = np.mgrid[0 : who.rgba.shape[0], 0 : who.rgba.shape[1]]
        away = np.hypot(xs - x, ys - y)
        changed = np.abs(aside - rest).max(-1) > 12
        assert changed[away < radius].mean() > 0.2
        ring = (away > 1.75 * radius) & (away < 1.9 * radius)
        assert changed[ring].mean() < 0.02


@pytest.mark.parametrize("name", ["luna", "ember"])
def test_lids_of_both_eyes_are_taken_for_equally_thick(name: str) -> None:
    _, animator = loaded(name, 1024)
    puppet = animator._puppet
    assert puppet is not None
    left, right = (eye.rims for eye in puppet.eyes if eye is not None)
    assert left is not None and right is not None
    assert np.max(np.divide(left, right)) < 1.31 and np.min(np.divide(left, right)) > 0.76


def test_an_iris_that_looks_down_is_round_above_too() -> None:
    """What a lid hides of it at rest is neither a smear of its edge nor the lid's own colour."""
    who, animator = loaded("ada")
    puppet = animator._puppet
    assert puppet is not None
    picture = drawn(animator, glancing(who, 0.0, 0.06)).astype(int)
    for eye in puppet.eyes:
        assert eye is not None
        s, t, radius = (float(v) for v in eye._shape.iris)
        t += min(0.06, 0.15 * eye.lids.height / eye.lids.width) * eye.lids.width
        angles = np.radians(np.arange(-150, -29, 10))  # the upper arc, where it is not under the lid
        x, y = (
            np.rint(eye.lids.picture(s + 0.75 * radius * np.cos(angles), t + 0.75 * radius * np.sin(angles)))
            .astype(int)
            .T
        )
        colours = picture[y, x]
        upper = np.interp(s + 0.75 * radius * np.cos(angles), eye.lids.columns, eye.lids.upper)
        shown = t + 0.75 * radius * np.sin(angles) > upper + eye._shape.rim_up + 3
        assert shown.sum() >= 5
        assert (colours[shown, 1] > colours[shown, 0] - 12).mean() > 0.8  # her eyes are green, her lashes brown


def smiling(who: Character) -> Drive:
    puppeteer = Puppeteer(who, MotionSettings(mirror=False, smoothing=0.0, idle=False))
    puppeteer.use_neutral(POSES["neutral"])
    puppeteer.step(POSES["neutral"], 1.0)
    return [puppeteer.step(POSES["smile"], 1.0) for _ in range(4)][-1]


@pytest.mark.parametrize("name", ["bolt", "luna", "sunny"])
def test_a_drawn_smile_has_no_slit_and_no_step_below_its_corners(name: str) -> None:
    who, animator = loaded(name)
    puppet, drive = animator._puppet, smiling(who)
    assert puppet is not None and puppet.lips is not None
    lips, operator = puppet.lips, puppet.operator
    upper, lower, _ = operator.fields(puppet.expression.displacements(drive.expression_xy))
    along = lips.point(lips.knots, 0.0)[None].astype(np.float32)
    parted = (operator.grid.sample(lower, along) - operator.grid.sample(upper, along))[0] @ lips.axis_y
    assert parted.max() < 0.5

    animator.render([drive])
    ys, xs = np.mgrid[0 : who.rgba.shape[0], 0 : who.rgba.shape[1]]
    below = lips.below(np.stack([xs, ys], -1).astype(float)) / lips.width
    across = lips.across(np.stack([xs, ys], -1).astype(float)) / lips.width
    chin = (below > 0.2) & (below < 0.9) & (np.abs(across) < 0.8)
    steps = np.abs(np.diff(puppet.scratch.where[..., 1], axis=1))
    assert steps[chin[:, 1:]].max() < 1.0
