"""Similarity transforms, rotation vectors and part frames: the small geometry that retargeting stands on.

Convention:
    Image axes: x to the right, y down, z away from the viewer. A rotation matrix R acts on columns, p' = R p; on rows
    of points that is `points @ R.T`. In the plane a point may be written as the complex number x + iy; multiplying by
    e^{iθ} then turns it by +θ, which is clockwise as seen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from faceshot.topology import PARTS

__all__ = [
    "Similarity",
    "as_complex",
    "as_xy",
    "matrix_from_rotation_vector",
    "part_frames",
    "procrustes",
    "rotation_vector_from_matrix",
]

Float = NDArray[np.float64]
Complex = NDArray[np.complex128]

_FIRST = np.array([part[0] for part in PARTS])
_LAST = np.array([part[-1] for part in PARTS])


class Similarity(NamedTuple):
    """p' = scale · R p + translation.

    Attributes:
        rotation: (3, 3), proper (determinant +1).
        scale: positive.
        translation: (3,).
    """

    rotation: Float
    scale: float
    translation: Float

    def apply(self, points: Float) -> Float:
        """Move (N, 3) points."""
        return self.scale * (points @ self.rotation.T) + self.translation

    def undo(self, points: Float) -> Float:
        """The inverse of `apply`."""
        return (points - self.translation) @ self.rotation / self.scale


def procrustes(source: Float, target: Float, weights: Float | None = None) -> Similarity:
    """The similarity that brings `source` closest to `target` in weighted least squares (Umeyama 1991).

    Args:
        source, target: (N, 3) corresponding points; two-dimensional data have z = 0 and get a rotation about z.
        weights: (N,) non-negative; equal when None.

    Never fails: coinciding or non-finite points give scale 1 and no rotation.
    """
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        return Similarity(np.eye(3), 1.0, np.zeros(3))
    w = np.full(len(source), 1.0 / len(source)) if weights is None else weights / max(float(weights.sum()), 1e-12)
    source_mean, target_mean = w @ source, w @ target
    a, b = source - source_mean, target - target_mean
    covariance = (b * w[:, None]).T @ a
    spread = float(w @ (a * a).sum(axis=1))
    if spread < 1e-18:
        return Similarity(np.eye(3), 1.0, target_mean - source_mean)
    u, singular, vt = np.linalg.svd(covariance)
    (a0, a1, a2), (b0, b1, b2), (c0, c1, c2) = (u @ vt).tolist()
    determinant = a0 * (b1 * c2 - b2 * c1) - a1 * (b0 * c2 - b2 * c0) + a2 * (b0 * c1 - b1 * c0)
    sign = np.array([1.0, 1.0, 1.0 if determinant > 0 else -1.0])
    rotation = (u * sign) @ vt
    scale = float(singular @ sign) / spread
    if scale <= 1e-9:
        rotation, scale = np.eye(3), 1.0
    return Similarity(rotation, scale, target_mean - scale * rotation @ source_mean)


def matrix_from_rotation_vector(vector: Float) -> Float:
    """Rodrigues: (3,) radians -> (3, 3)."""
    x, y, z = (float(v) for v in vector)
    angle = float(np.sqrt(x * x + y * y + z * z))
    k = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    if angle < 1e-8:
        return np.eye(3) + k
    return np.eye(3) + (np.sin(angle) / angle) * k + ((1.0 - np.cos(angle)) / angle**2) * (k @ k)


def rotation_vector_from_matrix(rotation: Float) -> Float:
    """(3, 3) -> (3,) radians, of length 0 to π."""
    r = rotation
    axis = np.array([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]])
    sine = 0.5 * float(np.sqrt(axis @ axis))
    cosine = 0.5 * (float(np.trace(r)) - 1.0)
    angle = float(np.arctan2(sine, cosine))
    if sine > 1e-6:
        return axis * (0.5 * angle / sine)
    if cosine > 0:
        return 0.5 * axis
    # Half a turn: the axis is the eigenvector of R + 1; its largest column is the safest to normalise.
    column = (r + np.eye(3))[:, int(np.argmax(np.diag(r)))]
    return column / np.linalg.norm(column) * angle


def as_complex(points_xy: NDArray) -> Complex:
    """(..., 2) -> (...) complex, x + iy."""
    return np.ascontiguousarray(points_xy, np.float64).view(np.complex128)[..., 0]


def as_xy(points: Complex) -> Float:
    """(...) complex -> (..., 2)."""
    return np.ascontiguousarray(points).view(np.float64).reshape(*points.shape, 2)


def part_frames(points_xy: NDArray) -> tuple[Float, Float]:
    """Origins and angles of FaceShot's 13 parts.

    The origin is the middle of a part's first and last point, the angle that of the vector from first to last.

    Args:
        points_xy: (..., 68 or 70, 2).

    Returns:
        (..., 13, 2) origins and (..., 13) angles in radians.
    """
    first, last = points_xy[..., _FIRST, :].astype(np.float64), points_xy[..., _LAST, :].astype(np.float64)
    chord = last - first
    return 0.5 * (first + last), np.arctan2(chord[..., 1], chord[..., 0])
