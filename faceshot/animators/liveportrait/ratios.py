"""How far eyes and lips are open, in the measure that the retargeting networks were trained with: gap over width.

The published code measures it with a network of its own for 203 points; MediaPipe's points give the same scale.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faceshot.types import Character, Float32

__all__ = ["Ratios", "ratios_of_203", "ratios_of_character", "ratios_of_mesh"]

_EPSILON: Final = 1e-6
# upper and lower lid, corner and corner; image-left eye, image-right eye, lips.
_OF_203: Final = np.array([[6, 18, 0, 12], [30, 42, 24, 36], [90, 102, 48, 66]])
_OF_MESH: Final = np.array([[159, 145, 33, 133], [386, 374, 263, 362], [13, 14, 61, 291]])
_SIDE_TO_MIDDLE: Final = 1.12
"""The 70 points have no lid point in the middle of the eye; a lid is this much higher there than beside it."""


class Ratios(NamedTuple):
    """Attributes:
    eyes: (2,) image-left, image-right; about 0.2 to 0.5 when open.
    lips: 0 closed to about 1 wide open.
    """

    eyes: Float32
    lips: float


def _measured(points: NDArray, index: NDArray) -> Ratios:
    upper, lower, first, last = (points[index[:, i], :2].astype(np.float64) for i in range(4))
    gap, width = np.linalg.norm(upper - lower, axis=1), np.linalg.norm(first - last, axis=1)
    ratio = gap / (width + _EPSILON)
    return Ratios(ratio[:2].astype(np.float32), float(ratio[2]))


def ratios_of_203(points: NDArray) -> Ratios:
    """Of (203, 2) points of the published landmark network."""
    return _measured(points, _OF_203)


def ratios_of_mesh(points: NDArray) -> Ratios:
    """Of (478, 2 or 3) points of MediaPipe, in pixels."""
    return _measured(points, _OF_MESH)


def ratios_of_character(character: Character) -> Ratios | None:
    """Of a character's 70 points; None when it lacks eyes or lips."""
    if not character.visible[[*range(36, 48), 48, 54, 62, 66]].all():
        return None
    p = character.points_xy.astype(np.float64)

    def distance(a: int, b: int) -> float:
        return float(np.linalg.norm(p[a] - p[b]))

    eyes = [
        _SIDE_TO_MIDDLE * 0.5 * (distance(a + 1, a + 5) + distance(a + 2, a + 4)) / (distance(a, a + 3) + _EPSILON)
        for a in (36, 42)
    ]
    return Ratios(np.array(eyes, np.float32), distance(62, 66) / (distance(48, 54) + _EPSILON))
