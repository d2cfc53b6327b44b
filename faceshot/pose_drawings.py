"""Landmarks as pictures that other animators are conditioned on: polylines of fixed colours on black.

Convention:
    Colours are written as the three channels of the array, first to last, as the original programs draw them. Points
    are cut to whole pixels of a canvas of the training size, lines are two pixels wide without smoothing; the canvas is
    then scaled to the picture.

    mofa          MOFA-Video's landmark adapter: canvas 320 × 320, scaled bilinearly, 68 points
    aniportrait   AniPortrait's face mesh drawing: canvas 512 × 512, the mesh's lines laid through the 68 points; the
                  face boundary reaches up to the temples, where the mesh's own has two points more
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, Literal

import cv2
import numpy as np

from faceshot.types import UInt8

__all__ = ["STYLES", "PoseStyle", "draw_pose"]

PoseStyle = Literal["mofa", "aniportrait"]
Colour = tuple[int, int, int]

# Line by line in drawing order; later lines lie on top.
_MOFA: Final[tuple[tuple[tuple[int, ...], Colour], ...]] = (
    (tuple(range(17)), (10, 200, 10)),
    ((42, 43, 44, 45, 46, 47, 42), (180, 200, 10)),
    ((22, 23, 24, 25, 26), (180, 220, 10)),
    ((36, 37, 38, 39, 40, 41, 36), (10, 200, 180)),
    ((17, 18, 19, 20, 21), (10, 220, 180)),
    ((27, 28, 29, 30), (10, 200, 250)),
    ((31, 32, 33, 34, 35), (250, 200, 10)),
    ((54, 55, 56, 57), (10, 180, 20)),
    ((48, 59, 58, 57), (20, 10, 180)),
    ((64, 65, 66), (100, 100, 30)),
    ((60, 67, 66), (100, 150, 50)),
    ((51, 52, 53, 54), (20, 80, 100)),
    ((51, 50, 49, 48), (80, 100, 20)),
    ((62, 63, 64), (120, 100, 200)),
    ((62, 61, 60), (150, 120, 100)),
)
# The mesh counts its left and right as the subject's, so its "right" eye is the image's left one; it draws no nose.
_ANIPORTRAIT: Final[tuple[tuple[tuple[int, ...], Colour], ...]] = (
    (tuple(range(17)), (10, 200, 10)),
    ((42, 43, 44, 45, 46, 47, 42), (180, 200, 10)),
    ((22, 23, 24, 25, 26), (180, 220, 10)),
    ((36, 37, 38, 39, 40, 41, 36), (10, 200, 180)),
    ((17, 18, 19, 20, 21), (10, 220, 180)),
    ((48, 59, 58, 57), (10, 180, 20)),
    ((57, 56, 55, 54), (20, 10, 180)),
    ((60, 67, 66), (100, 100, 30)),
    ((66, 65, 64), (100, 150, 50)),
    ((48, 49, 50, 51), (20, 80, 100)),
    ((51, 52, 53, 54), (80, 100, 20)),
    ((60, 61, 62), (120, 100, 200)),
    ((62, 63, 64), (150, 120, 100)),
)
STYLES: Final[dict[str, tuple[tuple[tuple[tuple[int, ...], Colour], ...], int]]] = {
    "mofa": (_MOFA, 320),
    "aniportrait": (_ANIPORTRAIT, 512),
}
_THICKNESS: Final = 2


def draw_pose(
    points_xy: np.ndarray,
    size_wh: tuple[int, int],
    style: PoseStyle = "mofa",
    visible: np.ndarray | None = None,
    out_wh: tuple[int, int] | None = None,
) -> UInt8:
    """One pose picture.

    Args:
        points_xy: (68 or 70, 2) px of a picture of `size_wh`.
        visible: (68 or 70,) bool; lines with an invisible end are left out.
        out_wh: size of the result; None means `size_wh`.

    Returns:
        (H, W, 3) uint8.
    """
    lines, side = STYLES[style]
    canvas = np.zeros((side, side, 3), np.uint8)
    scaled = np.trunc(np.asarray(points_xy, np.float64) * (side / size_wh[0], side / size_wh[1])).astype(int)
    scaled = np.clip(scaled, -32 * side, 32 * side)  # far points must not overflow OpenCV's integers
    for line, colour in lines:
        for a, b in pairwise(line):
            if visible is None or (visible[a] and visible[b]):
                start, end = (int(scaled[a][0]), int(scaled[a][1])), (int(scaled[b][0]), int(scaled[b][1]))
                cv2.line(canvas, start, end, colour, _THICKNESS)
    return np.asarray(cv2.resize(canvas, out_wh or size_wh, interpolation=cv2.INTER_LINEAR), np.uint8)
