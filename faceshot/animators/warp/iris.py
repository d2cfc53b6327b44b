"""The iris as a part: a disc that moves as a whole over an eyeball that was filled where it rested."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from faceshot.animators.warp.frame import F64
from faceshot.animators.warp.lids import Lids
from faceshot.types import Float32, UInt8

__all__ = ["Iris", "find_iris"]

_LUMINANCE = np.array([0.3, 0.59, 0.11], np.float32)
_LEAST_CONTRAST = 40.0  # between the white of an eye and its iris, distance in RGB


@dataclass(frozen=True, slots=True, eq=False)
class Iris:
    """Attributes:
    circle: (3,) float32 middle (s, t) and radius of the circle that fits it best, see `Lids`.
    disc: (h, w) uint8, how much of each pixel of the eye's patch belongs to it.
    white: (h, w, 3) uint8, the patch without it.
    """

    circle: Float32
    disc: UInt8
    white: UInt8


def find_iris(patch: UInt8, origin: Float32, lids: Lids, pupil: F64) -> Iris | None:
    """The iris around a pupil; None where none stands out from the white of the eye.

    Args:
        patch: (h, w, 3) the eye's surroundings, which begin at `origin` in the picture.
        pupil: (2,) its landmark.
    """
    s, t, table_at = lids.local(
        np.stack(np.meshgrid(np.arange(patch.shape[1]), np.arange(patch.shape[0])), -1).astype(np.float32) + origin
    )
    rest = lids.rest_at(table_at)
    margin = 0.08 * lids.height + 1
    margin = min(0.08 * lids.height, 0.05 * lids.width) + 1
    inside = (t > rest[..., 0] + margin) & (t < rest[..., 1] - margin) & (np.abs(s) < 0.47 * lids.width)
    corners = inside & (np.abs(s) > 0.30 * lids.width)
    middle = [float((pupil - lids.middle) @ axis) for axis in (lids.axis_x, lids.axis_y)]
    if abs(middle[0]) > 0.3 * lids.width or (corners & (s < 0)).sum() < 6 or (corners & (s > 0)).sum() < 6:
        return None
    white = _filled(patch, s / lids.width, t / lids.width, corners)
    away = np.linalg.norm(patch - white, axis=-1)
    core = np.hypot(s - middle[0], t - middle[1]) < 0.12 * lids.width
    contrast = float(np.percentile(away[core & inside], 75)) if (core & inside).any() else 0.0
    if contrast < _LEAST_CONTRAST:
        return None
    other = (inside & ((away > 0.35 * contrast) | core)).astype(np.uint8)
    other = cv2.morphologyEx(other, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, labels = cv2.connectedComponents(other)
    own = labels == np.bincount(labels[core & inside & (other > 0)], minlength=1).argmax()
    row = own & (np.abs(t - middle[1]) < 0.10 * lids.height)
    if labels[own].max(initial=0) == 0 or row.sum() < 6:
        return None
    left, right = np.percentile(s[row], [1, 99])
    radius, centre = float(right - left) / 2, np.array([(left + right) / 2, middle[1]])
    if not 0.12 * lids.width < radius < 0.42 * lids.width or max(-left, right) > 0.46 * lids.width:
        return None  # a dot, or no white is seen beside it
    # No iris is quite round: what is not white and close to the circle belongs to it, and highlights within do.
    distance = np.hypot(s - centre[0], t - centre[1])
    disc = (distance < radius) | (own & (distance < 1.3 * radius))
    shape = np.zeros(disc.shape, np.uint8)
    cv2.fillConvexPoly(shape, cv2.convexHull(np.argwhere(disc)[:, ::-1].astype(np.int32)), 255)
    soft = max(0.015 * lids.width, 0.7)
    ring = 2 * round(0.03 * lids.width + 1) + 1
    hole = cv2.GaussianBlur(cv2.dilate(shape, np.ones((ring, ring), np.uint8)), (0, 0), soft).astype(np.float32) / 255
    # The lids' own edges stay.
    rim_up, rim_down = (min(pad, 0.1) * lids.height + 1 for pad in (lids.style.pad_up, lids.style.pad_down))
    hole *= np.clip(np.minimum(t - rest[..., 0] - rim_up, rest[..., 1] - rim_down - t) / 2 + 0.5, 0, 1)
    result = patch + hole[..., None] * (white - patch)
    circle = np.array([*centre, radius], np.float32)
    return Iris(circle, cv2.GaussianBlur(shape, (0, 0), soft), np.clip(result + 0.5, 0, 255).astype(np.uint8))


def _filled(patch: UInt8, x: Float32, y: Float32, seen: np.ndarray) -> Float32:
    """(h, w, 3) the white of the eye everywhere: a plane through its colours, without the darkest (veins, lashes)."""
    colours = patch[seen].astype(np.float32)
    light = colours @ _LUMINANCE
    kept = light >= np.percentile(light, 70)
    terms = np.stack([np.ones_like(x), x, y], axis=-1)
    system = terms[seen][kept]
    flat = np.diag([0.0, 1.0, 1.0]).astype(np.float32) * np.float32(0.01 * len(system))
    white = terms @ np.linalg.solve(system.T @ system + flat, system.T @ colours[kept])
    low, high = np.percentile(colours[kept], [2, 98], axis=0)
    return np.asarray(cv2.GaussianBlur(np.clip(white, low, high).astype(np.float32), (0, 0), 1.0))
