"""Which square of a picture the networks see, and the way back into the picture.

Convention:
    The frame of a face: u_y runs from the middle of the eyes to the middle of the mouth, u_x to the image's right. A
    `Square` stands upright in that frame. Matrices are 3×3, on columns (x, y, 1), in OpenCV's pixel-centre coordinates.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from faceshot.types import UInt8

__all__ = [
    "DRIVER_SCALE",
    "DRIVER_UP",
    "SOURCE_SCALE",
    "SOURCE_UP",
    "Square",
    "cut",
    "face_square",
    "from_box",
    "into_square",
    "network_input",
    "whole",
]

Float = NDArray[np.float64]

SOURCE_SCALE, SOURCE_UP = 2.3, 0.125
DRIVER_SCALE, DRIVER_UP = 2.2, 0.1
CROP_PX: Final = 512
NETWORK_PX: Final = 256

# Point count -> image-left eye, image-right eye, mouth: each the mean of these points.
_PARTS: Final[dict[int, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]] = {
    5: ((0,), (1,), (3, 4)),
    9: ((2, 3), (0, 1), (5, 6)),
    68: ((36, 39), (42, 45), (48, 54)),
    101: ((39, 42, 45, 48), (51, 54, 57, 60), (75, 81)),
    106: ((33, 35, 40, 39), (87, 89, 94, 93), (52, 61)),
    203: ((0, 6, 12, 18), (24, 30, 36, 42), (48, 66)),
    478: ((468,), (473,), (14,)),
}


class Square(NamedTuple):
    """A square in a picture.

    Attributes:
        x, y: its centre, pixels.
        side: pixels.
        angle: radians, positive clockwise as seen.
    """

    x: float
    y: float
    side: float
    angle: float = 0.0

    @property
    def upright(self) -> Square:
        return self._replace(angle=0.0)

    @property
    def corners(self) -> Float:
        """(4, 2) top left, top right, bottom right, bottom left."""
        half = self.side / 2
        c, s = np.cos(self.angle), np.sin(self.angle)
        box = np.array([[-half, -half], [half, -half], [half, half], [-half, half]])
        return box @ np.array([[c, s], [-s, c]]) + (self.x, self.y)


def face_square(points: NDArray, scale: float, up: float, across: float = 0.0, by_mouth: bool = True) -> Square:
    """The square around a face.

    Args:
        points: (N, 2), N a set that is known here: 68 of ours, 478 of MediaPipe, or those of other detectors.
        scale: side over the larger side of the points' bounding box, turned with the face.
        up: shift towards the forehead, in sides.
        across: shift to the image's right, in sides.
        by_mouth: the face's axis from eyes to mouth; else across the eyes.
    """
    xy = np.asarray(points, np.float64)[:, :2]
    down = _axis(xy, by_mouth)
    frame = np.array([(down[1], -down[0]), down])  # rows u_x, u_y
    local = xy @ frame.T
    low, high = local.min(axis=0), local.max(axis=0)
    side = float((high - low).max()) * scale
    centre = ((low + high) / 2 + (across * side, -up * side)) @ frame
    angle = float(np.arccos(np.clip(frame[0, 0], -1.0, 1.0)))
    return Square(float(centre[0]), float(centre[1]), side, -angle if frame[0, 1] < 0 else angle)


def _axis(xy: Float, by_mouth: bool) -> Float:
    parts = _PARTS.get(len(xy), _PARTS[101])
    left, right, mouth = (xy[list(part)].mean(axis=0) for part in parts)
    if by_mouth:
        down = mouth - (left + right) / 2
    else:
        across = right - left
        down = np.array([-across[1], across[0]])
    length = float(np.hypot(*down))
    return down / length if length > 1e-3 else np.array([0.0, 1.0])


def whole(size_wh: tuple[int, int]) -> Square:
    """The smallest square that holds a whole picture."""
    width, height = size_wh
    return Square(width / 2, height / 2, float(max(width, height)))


def from_box(left: float, top: float, right: float, bottom: float) -> Square:
    """An upright square from a box that is (nearly) one."""
    return Square((left + right) / 2, (top + bottom) / 2, max(right - left, bottom - top))


def into_square(square: Square, side_px: int = CROP_PX) -> Float:
    """(3, 3) from the picture's pixels to those of the square's crop; its inverse leads back."""
    zoom = side_px / square.side
    c, s = np.cos(square.angle) * zoom, np.sin(square.angle) * zoom
    turn = np.array([[c, s], [-s, c]])
    shift = np.full(2, side_px / 2) - turn @ (square.x, square.y)
    return np.vstack([np.column_stack([turn, shift]), [0.0, 0.0, 1.0]])


def cut(picture: UInt8, square: Square, side_px: int = CROP_PX, edge: bool = False) -> UInt8:
    """(side, side, C) the picture inside the square, bilinear.

    Args:
        edge: outside the picture repeat its edge instead of black.
    """
    border = cv2.BORDER_REPLICATE if edge else cv2.BORDER_CONSTANT
    matrix = into_square(square, side_px)[:2]
    crop = cv2.warpAffine(picture, matrix, (side_px, side_px), flags=cv2.INTER_LINEAR, borderMode=border)
    return np.asarray(crop, np.uint8)


def network_input(crop: UInt8) -> UInt8:
    """(256, 256, 3) of a larger square crop, averaged over areas."""
    if crop.shape[:2] == (NETWORK_PX, NETWORK_PX):
        return crop
    return np.asarray(cv2.resize(crop, (NETWORK_PX, NETWORK_PX), interpolation=cv2.INTER_AREA), np.uint8)
