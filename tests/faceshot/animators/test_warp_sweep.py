"""Every bundled character through the whole range of every control: no fold, no hole, no tremble."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from faceshot.animators.warp import WarpAnimator
from faceshot.animators.warp.frame import face_frame
from faceshot.animators.warp.kernels import share_without_fold, slide_lids
from faceshot.animators.warp.springs import Springs
from faceshot.character import bundled_names, open_character, resize
from faceshot.puppeteer import MotionSettings, Puppeteer
from faceshot.range_control import Range
from faceshot.topology import ARKIT_NAMES
from faceshot.types import Character, Drive, FaceState, HeadMotion
from tests.bench.contact_sheet import POSES
from tests.faceshot.faces import labelled
from tests.faceshot.performer import perform

SIDE = 256
EXTREMES = {
    **POSES,
    "yaw +40": perform((0, 40, 0)),
    "yaw -40": perform((0, -40, 0)),
    "pitch +30": perform((30, 0, 0)),
    "pitch -30": perform((-30, 0, 0)),
    "roll +35": perform((0, 0, 35)),
    "roll -35": perform((0, 0, -35)),
    "all at once": perform((15, 25, 12), (0.2, -0.2), 1.2, (0.4, 1.3), jawOpen=0.8, mouthSmileLeft=0.9),
    "all the other way": perform((-15, -25, -12), (-0.2, 0.2), 0.85, (1.3, 0.2), mouthPucker=1.0, browInnerUp=1.0),
    "up": perform(translation=(0.2, -0.35)),
    "down": perform(translation=(-0.2, 0.35)),
    "near": perform(scale=1.35),
    "far": perform(scale=0.75),
}


def loaded(name: str) -> tuple[Character, WarpAnimator]:
    who, animator = resize(open_character(name), SIDE), WarpAnimator()
    animator.load(who)
    return who, animator


# As motion is, and as far as calibration, gains and a mouth that is made to shut can drive it.
SETTINGS = {
    "": MotionSettings(mirror=False, smoothing=0.0, idle=False),
    ", stretched": MotionSettings(
        **{"head": 2.0, "brows": 1.5, "mouth": 1.5},
        mirror=False,
        smoothing=0.0,
        idle=False,
        range=Range(left_shut=0.7, right_shut=0.7, lips_shut=-0.05, lips_wide=0.08),
        close_mouth=1.0,
    ),
}


def drives(who: Character) -> dict[str, Drive]:
    return {
        name + how: drive for how, settings in SETTINGS.items() for name, drive in of(who, EXTREMES, settings).items()
    }


def swings(who: Character, animator: WarpAnimator) -> list[np.ndarray]:
    """What hangs on the head, as far as it goes to either side."""
    puppet = animator._puppet
    assert puppet is not None
    extremes = []
    for sign in (-1, 1):
        springs = Springs(puppet.frame, puppet.head.grid, puppet.head._member, 1.0)
        head = HeadMotion(
            np.array([0.5 * sign, -0.6 * sign, 0.6 * sign], np.float32), np.full(2, 0.3 * sign, np.float32)
        )
        springs.step(replace(Drive.neutral(who), head=head))
        fields = [springs.step(replace(Drive.neutral(who), dt_s=1 / 60)) for _ in range(40)]
        extremes += [max((f for f in fields if f is not None), key=lambda f: float(np.abs(f).max()))]
    return extremes


def least_area(field: np.ndarray, pitch: int) -> np.ndarray:
    """(rows - 1, columns - 1) least share of its area that a corner of each cell keeps; negative where it folds."""
    corners = []
    for a in (slice(None, -1), slice(1, None)):
        for b in (slice(None, -1), slice(1, None)):
            across = (field[a, 1:] - field[a, :-1]) / pitch + (1, 0)
            down = (field[1:, b] - field[:-1, b]) / pitch + (0, 1)
            corners.append(across[..., 0] * down[..., 1] - across[..., 1] * down[..., 0])
    return np.min(corners, axis=0)


def test_share_without_fold_is_the_largest() -> None:
    """Of random fields: a little more of them would fold, and so much does not."""
    rng, seen = np.random.default_rng(3), np.ones((11, 14), np.uint8)
    for strength in (0.5, 4.0, 30.0):
        field = (strength * rng.standard_normal((12, 15, 2))).astype(np.float32)
        share = share_without_fold(field, seen, 8, 0.06)
        least = least_area(np.float32(share) * field, 8).min()
        assert least > 0.059 and (share == 1 or (least < 0.061 and share > 0))
    assert share < 0.3
    assert share_without_fold(field, np.zeros_like(seen), 8, 0.06) == 1


def whole_ranges() -> dict[str, FaceState]:
    """Every control by itself, from one end of its range to the other."""
    states = {f"{name} {v}": perform(**{name: v}) for name in ARKIT_NAMES for v in (0.35, 0.7, 1.0)}
    for axis, (what, end) in enumerate((("pitch", 30), ("yaw", 40), ("roll", 35))):
        for degrees in np.linspace(-end, end, 9):
            turn = [0.0, 0.0, 0.0]
            turn[axis] = float(degrees)
            states[f"{what} {degrees:.0f}"] = perform(tuple(turn))
    for v in (-0.35, -0.2, 0.2, 0.35):
        states[f"aside {v}"], states[f"down {v}"] = perform(translation=(v, 0.0)), perform(translation=(0.0, v))
    for v in (0.75, 0.87, 1.17, 1.35):
        states[f"scale {v}"] = perform(scale=v)
    return states


def mixtures(count: int) -> dict[str, FaceState]:
    """Many controls at once, at or near their ends: faces that nobody makes."""
    rng = np.random.default_rng(7)
    states = {}
    for k in range(count):
        chosen = rng.choice(ARKIT_NAMES, 8, replace=False)
        shapes = dict(zip(chosen, rng.uniform(0.5, 1.0, 8).tolist(), strict=True)) | {"jawOpen": float(rng.random())}
        turn = tuple((rng.uniform(-1, 1, 3) * (25, 35, 30)).tolist())
        shift = tuple(rng.uniform(-0.3, 0.3, 2).tolist())
        states[f"mixture {k}"] = perform(turn, shift, float(rng.uniform(0.8, 1.3)), **shapes)
    return states


def of(who: Character, states: dict[str, FaceState], settings: MotionSettings) -> dict[str, Drive]:
    puppeteer = Puppeteer(who, settings)
    puppeteer.use_neutral(perform())
    puppeteer.step(perform(), 1.0)
    return {name: [puppeteer.step(state, 1.0) for _ in range(3)][-1] for name, state in states.items()}


class Folds:
    """Looks for folds of a character's fields, where they are seen."""

    def __init__(self, who: Character, animator: WarpAnimator) -> None:
        puppet = animator._puppet
        assert puppet is not None
        self.puppet, head, operator = puppet, puppet.head, puppet.operator
        shown = cv2.remap(who.rgba[..., 3], head.grid.nodes(), None, cv2.INTER_NEAREST) > 128
        self.figure = shown[1:, 1:] | shown[:-1, 1:] | shown[1:, :-1] | shown[:-1, :-1]
        nodes = operator.grid.nodes().astype(float)
        outside = np.ones(nodes.shape[:2], bool)
        if puppet.lips is not None:  # below the line the upper sheet is not shown, above it the lower one is not
            flat = nodes.reshape(-1, 2)
            near = puppet.lips.within(flat) & (np.abs(puppet.lips.below(flat)) < 1.3 * puppet.lips.width)
            outside = ~near.reshape(outside.shape)
        self.outside = outside[1:, 1:] & outside[:-1, 1:] & outside[1:, :-1] & outside[:-1, :-1]

    def check(self, pose: str, drive: Drive, swing: np.ndarray | None = None) -> None:
        head, operator = self.puppet.head, self.puppet.operator
        turned = head.forward(drive.head, 1.0, 0.0, swing)
        assert np.isfinite(turned).all(), pose
        assert least_area(turned, head.grid.pitch)[self.figure].min() > 0.03, pose
        delta = self.puppet.expression.displacements(drive.expression_xy)
        for field in operator.fields(delta)[:2]:
            assert least_area(field, operator.grid.pitch)[self.outside].min() > 0.05, pose


@pytest.mark.parametrize("name", bundled_names())
def test_nothing_folds_anywhere(name: str) -> None:
    """The Jacobian of what is shown is that of the head's field times that of a sheet's: both stay positive."""
    who, animator = loaded(name)
    folds, hanging = Folds(who, animator), swings(who, animator)
    for pose, drive in drives(who).items():
        for swing in (None, *hanging):
            folds.check(pose, drive, swing)
    for pose, drive in of(who, whole_ranges() | mixtures(40), SETTINGS[""]).items():
        folds.check(pose, drive)


@pytest.mark.parametrize("name", ["s0", "s22", "s23", "s25", "s30", "s40"])
def test_no_shared_picture_folds(name: str, shared_media: Path) -> None:
    """Pictures that nothing was tuned on: heads that touch the border, muzzles, faces in three quarters."""
    rgb, points, visible, kind = labelled(name, shared_media)
    rgba = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    who = resize(Character(name, rgba, points.astype(np.float32), visible.astype(bool), kind), SIDE)
    animator = WarpAnimator()
    animator.load(who)
    folds = Folds(who, animator)
    for pose, drive in of(who, EXTREMES | mixtures(10), SETTINGS[", stretched"]).items():
        folds.check(pose, drive)


@pytest.mark.parametrize("seed", range(4))
def test_landmarks_that_are_wrong_fold_nothing(seed: int) -> None:
    """Each a tenth of the face's width off, any way: whatever the fields become, they go no further than they can."""
    rng, who = np.random.default_rng(seed), resize(open_character("miso"), SIDE)
    off = 0.1 * face_frame(who).width * rng.standard_normal((70, 2))
    who = replace(who, points_xy=(who.points_xy + off).astype(np.float32))
    animator = WarpAnimator()
    animator.load(who)
    folds = Folds(who, animator)
    kept = []
    for pose, drive in of(who, EXTREMES | mixtures(15), SETTINGS[""]).items():
        folds.check(pose, drive)
        kept.append(folds.puppet.operator.fields(folds.puppet.expression.displacements(drive.expression_xy))[2])
    assert min(kept) < 1  # such landmarks do fold


@pytest.mark.parametrize("name", bundled_names())
def test_lids_slide_without_a_fold_from_wide_open_to_shut(name: str) -> None:
    """Down each column the sources of the upper and of the lower lid's skin follow one another, at any opening."""
    _, animator = loaded(name)
    puppet = animator._puppet
    assert puppet is not None
    for eye in puppet.eyes:
        if eye is None:
            continue
        lids = eye.lids
        for opening in np.linspace(0.0, 1.6, 17):
            upper_now, lower_now, upper, lower = lids.table(float(opening)).T
            assert (upper_now <= lower_now + 1e-3).all(), opening
            for k in range(0, len(upper), 8):
                t = np.linspace(upper[k] - lids.above, lower[k] + lids.below, 60)
                rows = upper_now[k], lower_now[k], upper[k], lower[k], lids.strip, lids.above, lids.below
                sources = np.array([np.add(at, slide_lids(float(at), *map(float, rows))) for at in t])
                assert (np.diff(sources[t <= upper_now[k], 0]) > -1e-3).all(), opening
                assert (np.diff(sources[t >= lower_now[k], 1]) > -1e-3).all(), opening


@pytest.mark.parametrize("name", bundled_names())
def test_no_pose_leaves_a_hole(name: str) -> None:
    """Alpha inside the face stays what it was: whatever moves, something is seen behind it."""
    who, animator = loaded(name)
    for pose, drive in drives(who).items():
        if pose.endswith("stretched"):
            continue  # there the landmarks themselves leave the picture; the animator follows them only so far
        rgba = animator.render([drive])[0].rgba
        x, y = np.clip(drive.points_xy[[27, 28, 29, 30, 33, 36, 39, 42, 45, 48, 54, 57]], 2, SIDE - 3).astype(int).T
        assert (rgba[y, x, 3] > 200).all(), pose


@pytest.mark.parametrize("name", bundled_names())
def test_a_still_performer_makes_a_still_picture(name: str) -> None:
    """With the noise of MediaPipe's face mesh in the calmest quarter of two real clips (d6, d10), whose faces move yet:
    0.10, 0.20 and 0.08 pixels on a face 160 pixels wide."""
    who, animator = loaded(name)
    puppeteer = Puppeteer(who, MotionSettings(mirror=False, idle=False))
    puppeteer.use_neutral(perform())
    rng = np.random.default_rng(1)
    seen = who.rgba[..., 3] > 0
    before, changes = None, []
    for _ in range(24):
        drive = puppeteer.step(perform(noise=rng.normal(0, (0.10, 0.20, 0.08), (70, 3))), 1 / 30)
        picture = animator.render([drive])[0].rgba[..., :3].astype(int)
        if before is not None:
            changes.append(np.abs(picture - before)[seen].mean())
        before = picture
    assert np.mean(changes[6:]) < 0.6
