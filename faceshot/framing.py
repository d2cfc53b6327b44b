"""Square views of a picture for networks that want squares, and the way back.

Convention:
    (0, 0) is the centre of the first pixel, so pixel x of the picture lies at (x - left + ½) · scale - ½ of the square.
    Outside the picture its border is repeated. The picture itself is never changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from faceshot.types import Float32, UInt8

__all__ = ["FACE_SHARE", "Square", "cut", "frame_face", "letterbox"]

FACE_SHARE = 0.6
"""Share of the side that the landmarks of a framed face span."""


@dataclass(frozen=True, slots=True, eq=False)
class Square:
    """A square view.

    Attributes:
        rgb: (S, S, 3) uint8.
        left, top: where the view begins, in pixels of the picture; may be negative.
        scale: pixels of the view for a pixel of the picture.
    """

    rgb: UInt8
    left: int
    top: int
    scale: float

    def to_picture(self, points_xy: np.ndarray) -> Float32:
        """Points of the view, in pixels of the picture."""
        return np.asarray((points_xy + 0.5) / self.scale - 0.5 + (self.left, self.top), np.float32)

    def to_square(self, points_xy: np.ndarray) -> Float32:
        """Points of the picture, in pixels of the view."""
        return np.asarray((points_xy - (self.left, self.top) + 0.5) * self.scale - 0.5, np.float32)


def letterbox(rgb: UInt8, size: int) -> Square:
    """The whole picture in the middle of a square."""
    height, width = rgb.shape[:2]
    side = max(width, height)
    return cut(rgb, (width - side) // 2, (height - side) // 2, side, size)


def frame_face(rgb: UInt8, points_xy: np.ndarray, size: int, share: float = FACE_SHARE) -> Square:
    """The square in which these landmarks span `share` of the side."""
    low, high = points_xy.min(axis=0), points_xy.max(axis=0)
    side = max(16, round(float((high - low).max()) / share))
    left, top = np.round((low + high) / 2 - side / 2).astype(int)
    return cut(rgb, int(left), int(top), side, size)


def cut(rgb: UInt8, left: int, top: int, side: int, size: int) -> Square:
    """The square of `side` pixels that begins at (left, top), scaled to `size`."""
    height, width = rgb.shape[:2]
    x0, y0 = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
    x1, y1 = max(min(left + side, width), x0 + 1), max(min(top + side, height), y0 + 1)
    inside = rgb[y0:y1, x0:x1]
    scale = size / side
    if scale < 1.0:
        # Shrinking first keeps a border of thousands of pixels from being made at full size.
        new_wh = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
        inside = cv2.resize(np.ascontiguousarray(inside), new_wh, interpolation=cv2.INTER_AREA)
        before = max(0, round((x0 - left) * scale)), max(0, round((y0 - top) * scale))
        target = size
    else:
        before = max(0, x0 - left), max(0, y0 - top)
        target = side
    after = max(0, target - before[0] - inside.shape[1]), max(0, target - before[1] - inside.shape[0])
    square = cv2.copyMakeBorder(
        np.ascontiguousarray(inside), before[1], after[1], before[0], after[0], cv2.BORDER_REPLICATE
    )[:target, :target]
    if target != size:
        square = cv2.resize(square, (size, size), interpolation=cv2.INTER_CUBIC)
    return Square(np.ascontiguousarray(square, np.uint8), left, top, scale)
