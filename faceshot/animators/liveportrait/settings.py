"""What can be set of the LivePortrait animator; without torch, so that settings can be checked without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from faceshot.animators.liveportrait.crop import SOURCE_SCALE, SOURCE_UP, Square, face_square, whole
from faceshot.errors import PictureError
from faceshot.types import Float32

__all__ = ["Settings", "blind_text", "chosen_square"]

_MIN_SIDE_PX = 16


@dataclass(frozen=True, slots=True)
class Settings:
    """See `live.config.LivePortraitConfig`, whose fields these are."""

    variant: Literal["human", "animals"] = "human"
    device: Literal["auto", "cuda", "mps", "cpu"] = "auto"
    precision: Literal["auto", "fp16", "fp32"] = "auto"
    compile: bool = False
    motion: Literal["live", "relative", "absolute"] = "live"
    region: Literal["all", "exp", "pose", "lip", "eyes"] = "all"
    crop: str = "auto"
    people: Literal["first", "all", "each"] = "first"
    cut_out: bool = False
    stitching: bool = True
    normalize_lip: bool = True
    eye_retargeting: bool = True
    multiplier: float = 1.0
    expression_friendly: bool = True
    retarget_eyes: bool = False
    retarget_lips: bool = False
    source_eye_retargeting: bool = False
    observation_variance: float = 3e-7
    pitch: float = 1.0
    yaw: float = 1.0
    roll: float = 1.0
    translation: float = 1.0
    scale: float = 0.3


def blind_text(motion: str) -> str:
    """What is wrong with the published rules where the driver's motion comes without pictures."""
    return f"motion={motion} follows the pictures of a face, and there are none: nothing would move."


def chosen_square(crop: str, size_wh: tuple[int, int], points_xy: Float32) -> Square:
    """The square of the source picture that is animated.

    Args:
        crop: `auto` (around the face), `whole` (the whole picture) or `left,top,side` in pixels of the picture.
        points_xy: (70, 2) the character's points.

    Raises:
        PictureError: `crop` is none of these, or leaves nothing of the picture.
    """
    if crop == "auto":
        return face_square(points_xy[:68], SOURCE_SCALE, SOURCE_UP)
    if crop == "whole":
        return whole(size_wh)
    hint = "Use --set animator.liveportrait.crop=auto, whole, or left,top,side such as 40,20,300."
    try:
        left, top, side = (float(part) for part in crop.split(","))
    except ValueError:
        raise PictureError(f"animator.liveportrait.crop = {crop!r} is no square.", hint) from None
    width, height = size_wh
    inside = left < width and top < height and left + side > 0 and top + side > 0
    if not (side >= _MIN_SIDE_PX and inside):  # false for NaN too
        raise PictureError(
            f"The square {crop} (left, top, side) is smaller than {_MIN_SIDE_PX} pixels or outside the picture of "
            f"{width}×{height}.",
            hint,
        )
    return Square(left + side / 2, top + side / 2, side)
