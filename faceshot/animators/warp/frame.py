"""The face's own frame: where it is, how large, how it is turned in the picture. Robust to missing and bad points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceshot.types import Character, Float32

__all__ = ["FaceFrame", "face_frame", "safe_points"]

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class FaceFrame:
    """Measures of a resting face, in pixels of the picture.

    Attributes:
        origin: (2,) the middle between the eyes.
        axis_x: (2,) unit vector along the eye line, to the image's right.
        axis_y: (2,) unit vector down the face.
        width: |p16 - p0|.
        height: from the brows to the chin, along `axis_y`.
        centre: (2,) the centre of the head, about which it turns.
        chin: distance of the chin below `centre`, along `axis_y`.
    """

    origin: F64
    axis_x: F64
    axis_y: F64
    width: float
    height: float
    centre: F64
    chin: float

    def local(self, points_xy: NDArray[Any], about: F64 | None = None) -> NDArray[Any]:
        """Points (..., 2) of the picture as (across, down) in pixels about `about` (the centre if None)."""
        offset = points_xy - (self.centre if about is None else about)
        return np.stack([offset @ self.axis_x, offset @ self.axis_y], axis=-1)


def safe_points(character: Character) -> F64:
    """(70, 2) finite landmarks, at most one picture size outside of the picture."""
    width, height = character.size_wh
    points = np.nan_to_num(character.points_xy.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    return np.clip(points, [-width, -height], [2 * width, 2 * height])


def face_frame(character: Character) -> FaceFrame:
    """Measures a character's face; whatever is missing or degenerate is replaced by usual proportions."""
    points = safe_points(character)
    seen = character.visible
    size_w, size_h = character.size_wh

    def middle(first: int, last: int) -> F64 | None:
        return points[first:last].mean(0) if seen[first:last].any() else None

    eye_left, eye_right = middle(36, 42), middle(42, 48)
    width = float(np.linalg.norm(points[16] - points[0])) if seen[0] and seen[16] else 0.0
    if eye_left is not None and eye_right is not None:
        origin, along = (eye_left + eye_right) / 2, eye_right - eye_left
        width = width or 2.2 * float(np.linalg.norm(along))
    elif width > 0:
        origin, along = (points[0] + points[16]) / 2, points[16] - points[0]
    else:
        origin, along = np.array([size_w / 2, size_h * 0.45]), np.array([1.0, 0.0])
    if not 0.04 * size_w < width < 3 * size_w:
        width = 0.4 * min(size_w, size_h)
    length = float(np.linalg.norm(along))
    axis_x = along / length if length > 0.05 * width else np.array([1.0, 0.0])
    axis_y = np.array([-axis_x[1], axis_x[0]])

    brows = middle(17, 27)
    top = float((brows - origin) @ axis_y) if brows is not None else -0.18 * width
    chin = float((points[8] - origin) @ axis_y) if seen[8] else 0.75 * width
    height = float(np.clip(chin - min(top, 0.0), 0.6 * width, 1.8 * width))
    ends = (points[0] + points[16]) / 2 if seen[0] and seen[16] else origin
    shift = float(np.clip((ends - origin) @ axis_x, -0.3 * width, 0.3 * width))
    centre = origin + 0.5 * shift * axis_x + 0.30 * height * axis_y
    below = float(np.clip(chin - 0.30 * height, 0.35 * height, 0.8 * height))
    return FaceFrame(origin, axis_x, axis_y, width, height, centre, below)


def as_float32(array: NDArray[Any]) -> Float32:
    """Contiguous float32 copy; what cv2 wants."""
    return np.ascontiguousarray(array, np.float32)
