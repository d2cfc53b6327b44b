"""What a character does when it is tried out: it blinks, opens its mouth, smiles, turns; drawn by the real animator.

The landmark editor shows it beside the points: a wrong lid or mouth corner is seen at once when it moves.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceshot.geometry import matrix_from_rotation_vector
from faceshot.pictures import fit_within
from faceshot.puppeteer import MotionSettings, Puppeteer
from faceshot.topology import ARKIT_INDEX, ARKIT_NAMES
from faceshot.types import Character, FaceState, UInt8

__all__ = ["FPS", "MOTIONS", "close_up", "rehearse"]

FPS: Final = 16
_CALM: Final = MotionSettings(smoothing=0.0, idle=False)
_HEADS: Final = 2.1  # the view in sizes of the face
_MIN_SIDE_PX: Final = 64

# Per motion: length in frames, then what reaches which strength; "yaw" and "pitch" are radians.
MOTIONS: Final[dict[str, tuple[int, dict[str, float]]]] = {
    "blink": (10, {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}),
    "mouth": (14, {"jawOpen": 0.75}),
    "smile": (14, {"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9, "cheekSquintLeft": 0.5, "cheekSquintRight": 0.5}),
    "brows": (12, {"browInnerUp": 0.9, "browOuterUpLeft": 0.8, "browOuterUpRight": 0.8}),
    "turn": (24, {"yaw": 0.32}),
}


def close_up(character: Character, side_px: int) -> Character:
    """The head of a character, at most `side_px` a side: what is quick to draw and all that a preview needs."""
    points = character.points_xy[character.visible]
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    half = max(_HEADS / 2 * float(np.ptp(points, axis=0).max()), _MIN_SIDE_PX)
    width, height = character.size_wh
    above, below = np.array([half, 1.15 * half]), np.array([half, 0.85 * half])  # hair and ears reach up
    left, top = np.maximum(np.floor(middle - above), 0).astype(int)
    right, bottom = np.minimum(np.ceil(middle + below), (width, height)).astype(int)
    if right - left < _MIN_SIDE_PX or bottom - top < _MIN_SIDE_PX:  # points that left the picture
        left, top, right, bottom = 0, 0, width, height
    part = np.ascontiguousarray(character.rgba[top:bottom, left:right])
    small = fit_within(part, side_px)
    factor = np.array([small.shape[1] / part.shape[1], small.shape[0] / part.shape[0]])
    moved = ((character.points_xy - (left, top)) * factor).astype(np.float32)
    return replace(character, rgba=small, points_xy=moved, arrays={})


def rehearse(character: Character, motions: tuple[str, ...] = tuple(MOTIONS)) -> list[UInt8]:
    """The frames of some motions one after the other, each from rest to rest, `FPS` a second.

    Args:
        motions: keys of `MOTIONS`.

    Returns:
        (H, W, 4) uint8 pictures.
    """
    from faceshot.animators.warp import WarpAnimator

    puppeteer = Puppeteer(character, _CALM)
    puppeteer.use_neutral(_state(0.0, {}))
    animator = WarpAnimator()
    animator.load(character)
    pictures = []
    try:
        for name in motions:
            frames, ends = MOTIONS[name]
            for share in _there_and_back(frames, both_ways=name == "turn"):
                drive = puppeteer.step(_state(share, ends), 1 / FPS)
                pictures.append(animator.render([drive])[0].rgba.copy())
    finally:
        animator.close()
    return pictures


def _there_and_back(frames: int, both_ways: bool) -> NDArray[np.float64]:
    phase = np.arange(frames) / frames * 2 * np.pi
    return np.sin(phase) if both_ways else (1 - np.cos(phase)) / 2


def _state(share: float, ends: dict[str, float]) -> FaceState:
    shapes = np.zeros(len(ARKIT_NAMES), np.float32)
    for name, strength in ends.items():
        if name in ARKIT_INDEX:
            shapes[ARKIT_INDEX[name]] = strength * share
    head = np.eye(4, dtype=np.float32)
    turned = matrix_from_rotation_vector(np.array([ends.get("pitch", 0.0), ends.get("yaw", 0.0), 0.0]) * share)
    head[:3, :3] = turned
    return FaceState((64, 48), 1.0, blendshapes=shapes, head=head)
