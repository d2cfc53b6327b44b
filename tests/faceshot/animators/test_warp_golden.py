"""Golden pictures of the bundled characters: a change of the look must be seen and wanted.

`python -m tests.faceshot.animators.test_warp_golden` draws them anew; look at every one before committing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from faceshot.animators.warp import WarpAnimator
from faceshot.animators.warp.frame import face_frame
from faceshot.character import bundled_names, open_character, resize
from faceshot.types import Character, Drive, HeadMotion

FOLDER = Path(__file__).resolve().parents[2] / "data" / "warp"
SIDE = 72
MEAN_TOLERANCE, WORST_TOLERANCE = 1.5, 60.0


def poses(who: Character) -> list[Drive]:
    """Shut eyes; a wink with an open mouth; a smile and a glance in a turned head; a rolled head with raised brows."""
    still, frame = Drive.neutral(who), face_frame(who)
    down, across = frame.axis_y.astype(np.float32), frame.axis_x.astype(np.float32)

    def with_delta(delta: np.ndarray) -> np.ndarray:
        return (still.expression_xy + delta).astype(np.float32)

    opened = np.zeros((70, 2), np.float32)
    opened[[55, 56, 57, 58, 59, 65, 66, 67]] = 0.14 * frame.height * down
    opened[[7, 8, 9]] = 0.12 * frame.height * down
    smiling = np.zeros((70, 2), np.float32)
    for corner, sign in ((48, -1), (60, -1), (54, 1), (64, 1)):
        smiling[corner] = frame.width * (0.05 * sign * across - 0.03 * down)
    raised = np.zeros((70, 2), np.float32)
    raised[17:27] = -0.05 * frame.height * down

    def lids(left: float, right: float) -> np.ndarray:
        return np.array([left, right], np.float32)

    def head(*degrees: float) -> HeadMotion:
        return HeadMotion(np.radians(np.array(degrees, np.float32)), np.array([0.05, 0.02], np.float32), 1.03)

    glance = np.full((2, 2), (0.1, -0.03), np.float32)
    return [
        replace(still, lids=lids(0, 0)),
        replace(still, lids=lids(0, 1), expression_xy=with_delta(opened)),
        replace(still, expression_xy=with_delta(smiling), gaze=glance, head=head(6, 16, 0), breath=1.0),
        replace(still, expression_xy=with_delta(raised), lids=lids(0.5, 1.3), head=head(-8, -12, 12)),
    ]


def strip(name: str) -> np.ndarray:
    """(SIDE, 4 SIDE, 4) uint8, premultiplied, so that colours under alpha 0 do not matter."""
    who = resize(open_character(name), 256)
    animator = WarpAnimator()
    animator.load(who)
    tiles = []
    for frame in animator.render(poses(who)):
        rgba = frame.rgba.astype(np.float32)
        rgba[..., :3] *= rgba[..., 3:] / 255
        tiles.append(cv2.resize(rgba, (SIDE, SIDE), interpolation=cv2.INTER_AREA))
    return np.clip(np.hstack(tiles) + 0.5, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", bundled_names())
def test_bundled_character_looks_as_approved(name: str) -> None:
    path = FOLDER / f"{name}.png"
    assert path.is_file(), f"{path.name} is missing: python -m tests.faceshot.animators.test_warp_golden"
    golden = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    off = np.abs(cv2.cvtColor(strip(name), cv2.COLOR_RGBA2BGRA).astype(float) - golden)
    assert off.mean() < MEAN_TOLERANCE
    assert np.percentile(off, 99.9) < WORST_TOLERANCE


@pytest.mark.parametrize("name", bundled_names())
def test_bundled_character_at_rest_is_its_picture(name: str) -> None:
    who = resize(open_character(name), 384)
    animator = WarpAnimator()
    animator.load(who)
    out = animator.render([Drive.neutral(who)])[0].rgba
    assert (out[..., 3] == who.rgba[..., 3]).all()
    seen = who.rgba[..., 3] > 0
    assert np.abs(out.astype(int) - who.rgba)[seen].max() <= 1


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    for bundled in bundled_names():
        cv2.imwrite(str(FOLDER / f"{bundled}.png"), cv2.cvtColor(strip(bundled), cv2.COLOR_RGBA2BGRA))
