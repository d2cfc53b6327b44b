"""Finding reference landmarks on a target feature map: FaceShot's Eq. 4, and how sure each match is.

Eq. 4 takes, for each landmark, the mean of the references' normalised feature vectors there, and the pixel of the
up-sampled target map whose vector has the largest cosine with it. The up-sampled map would be 1.3 GB. It is not needed:
bilinear interpolation is linear, so the scalar products are interpolated instead (one map for a landmark), and the norm
of an interpolated vector follows from the scalar products of a cell's four corners with one another.

Convention:
    Feature maps are (C, n, n) float32 over a picture of S × S pixels; a cell's value stands for the middle of its
    square (`align_corners=False`), and outside the outermost middles the border value is repeated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from faceshot.errors import ShapeError
from faceshot.types import Float32

__all__ = ["Matches", "cosine_map", "grid_norms", "match_vectors", "mean_vectors", "sample"]

_PEAK_RADIUS_CELLS = 2.5
"""A second peak nearer than that belongs to the first."""


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Where each vector was found.

    Attributes:
        points_xy: (N, 2) float32 px of the square picture.
        cosine: (N,) float32, of the best place.
        sharpness: (N,) float32, how many standard deviations of its own cosine map the best place stands out.
        margin: (N,) float32, cosine of the best place minus that of the second-best elsewhere.
        mutual: (N,) float32 in 0..1: whether the vector found there has the asked one as its nearest among all that
            were asked for (1), or which share of them is nearer.
        confidence: (N,) float32 in 0..1, all of it together.
    """

    points_xy: Float32
    cosine: Float32
    sharpness: Float32
    margin: Float32
    mutual: Float32
    confidence: Float32


def sample(feature: Float32, points_xy: Float32, size: int) -> Float32:
    """Feature vectors at points, bilinear.

    Args:
        feature: (C, n, n).
        points_xy: (N, 2) px of the picture; points outside take the border's value.
        size: side of the picture.

    Returns:
        (N, C) float32.
    """
    x0, x1, wx = _corners(points_xy[:, 0], size, feature.shape[2])
    y0, y1, wy = _corners(points_xy[:, 1], size, feature.shape[1])
    top = feature[:, y0, x0] * (1 - wx) + feature[:, y0, x1] * wx
    bottom = feature[:, y1, x0] * (1 - wx) + feature[:, y1, x1] * wx
    return np.ascontiguousarray((top * (1 - wy) + bottom * wy).T, np.float32)


def mean_vectors(vectors: Float32, visible: np.ndarray) -> tuple[Float32, np.ndarray]:
    """The gallery's vectors: each reference's normalised, then averaged over the references that have the point.

    Args:
        vectors: (K, N, C) float32, sampled at the K references' landmarks.
        visible: (K, N) bool.

    Returns:
        (N, C) float32, not normalised again (a cosine does not care), and (N,) bool: whether any reference has it.
    """
    length = np.linalg.norm(vectors, axis=2, keepdims=True)
    weights = visible[..., None].astype(np.float32)
    total = (weights * vectors / np.maximum(length, 1e-12)).sum(axis=0)
    known = visible.any(axis=0)
    return np.asarray(total / np.maximum(weights.sum(axis=0), 1.0), np.float32), known


def match_vectors(feature: Float32, vectors: Float32, size: int, refine: bool = True) -> Matches:
    """The place of each vector on a target feature map.

    Args:
        feature: (C, n, n) float32, the target's.
        vectors: (N, C) float32, the references' (`mean_vectors`).
        size: side S in pixels of the target's square picture.
        refine: place points between pixels; without it they are the very pixels of Eq. 4.

    Returns:
        Points and what speaks for them.
    """
    if feature.ndim != 3 or vectors.ndim != 2 or feature.shape[0] != vectors.shape[1]:
        raise ShapeError(
            f"Features (C, n, n) and vectors (N, C) must share C, got {feature.shape} and {vectors.shape}: "
            "they come from different backbones."
        )
    units = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    norms = grid_norms(feature, size)
    points = np.empty((len(units), 2), np.float32)
    cosine, sharpness, margin = (np.empty(len(units), np.float32) for _ in range(3))
    for i, unit in enumerate(units):
        dots = np.tensordot(unit, feature, axes=(0, 0))
        cosines = _grow(dots, size) / norms
        at = int(cosines.argmax())
        y, x = divmod(at, size)
        cosine[i] = cosines[y, x]
        sharpness[i] = (cosine[i] - cosines.mean()) / max(float(cosines.std()), 1e-9)
        margin[i] = cosine[i] - _elsewhere(cosines, x, y, _PEAK_RADIUS_CELLS * size / feature.shape[2])
        points[i] = _between_pixels(cosines, x, y, size / feature.shape[2]) if refine else (x, y)
    mutual = _mutual(sample(feature, points, size), units)
    return Matches(points, cosine, sharpness, margin, mutual, _confidence(cosine, sharpness, margin, mutual))


def cosine_map(feature: Float32, vector: Float32, size: int) -> Float32:
    """(S, S) float32: the cosine of one vector with every pixel of the up-sampled map."""
    unit = vector / max(float(np.linalg.norm(vector)), 1e-12)
    dots = np.tensordot(unit, feature, axes=(0, 0))
    return np.asarray(_grow(dots, size) / grid_norms(feature, size), np.float32)


def grid_norms(feature: Float32, size: int) -> Float32:
    """(S, S) float32: lengths of the vectors of the up-sampled map, from the products of neighbouring cells."""
    along_x = _products(feature, 0, 1)
    along_y = _products(feature, 1, 0)
    itself = _products(feature, 0, 0)
    down, up = _products(feature, 1, 1), _products(feature, 1, -1)
    height, width = feature.shape[1:]
    xs, ys = np.arange(size, dtype=np.float32), np.arange(size, dtype=np.float32)
    x0, x1, wx = _corners(xs, size, width)
    y0, y1, wy = _corners(ys, size, height)
    rows = np.ix_
    a, b = (1 - wy)[:, None] * (1 - wx)[None], (1 - wy)[:, None] * wx[None]
    c, d = wy[:, None] * (1 - wx)[None], wy[:, None] * wx[None]
    square = a * a * itself[rows(y0, x0)] + b * b * itself[rows(y0, x1)]
    square += c * c * itself[rows(y1, x0)] + d * d * itself[rows(y1, x1)]
    square += 2 * (a * b * along_x[rows(y0, x0)] + c * d * along_x[rows(y1, x0)])
    square += 2 * (a * c * along_y[rows(y0, x0)] + b * d * along_y[rows(y0, x1)])
    square += 2 * (a * d * down[rows(y0, x0)] + b * c * up[rows(y0, x1)])
    return np.asarray(np.sqrt(np.maximum(square, 1e-24)), np.float32)


def _products(feature: Float32, dy: int, dx: int) -> Float32:
    """Scalar product of each cell's vector with that of the cell (dy, dx) further, the border repeated."""
    height, width = feature.shape[1:]
    ys = np.clip(np.arange(height) + dy, 0, height - 1)
    xs = np.clip(np.arange(width) + dx, 0, width - 1)
    return np.asarray(np.einsum("chw,chw->hw", feature, feature[:, ys][:, :, xs]), np.float32)


def _corners(pixels: Float32, size: int, cells: int) -> tuple[np.ndarray, np.ndarray, Float32]:
    """Lower and upper cell around pixel positions along one axis, and the weight of the upper."""
    at = np.clip((pixels.astype(np.float64) + 0.5) * (cells / size) - 0.5, 0.0, cells - 1.0)
    low = np.floor(at).astype(np.intp)
    return low, np.minimum(low + 1, cells - 1), (at - low).astype(np.float32)


def _grow(values: Float32, size: int) -> Float32:
    """Bilinear up-sampling of one map to (S, S)."""
    pixels = np.arange(size, dtype=np.float32)
    x0, x1, wx = _corners(pixels, size, values.shape[1])
    y0, y1, wy = _corners(pixels, size, values.shape[0])
    wide = values[:, x0] * (1 - wx) + values[:, x1] * wx
    return np.asarray(wide[y0] * (1 - wy)[:, None] + wide[y1] * wy[:, None], np.float32)


def _elsewhere(cosines: Float32, x: int, y: int, radius: float) -> float:
    """The best cosine farther than `radius` pixels from a place."""
    size = len(cosines)
    reach = int(radius)
    others = cosines.copy()
    top, left = max(0, y - reach), max(0, x - reach)
    ys, xs = np.ogrid[top : min(size, y + reach + 1), left : min(size, x + reach + 1)]
    near = (xs - x) ** 2 + (ys - y) ** 2 <= radius**2
    others[top : top + near.shape[0], left : left + near.shape[1]][near] = -np.inf
    best = float(others.max())
    return best if np.isfinite(best) else -1.0


def _between_pixels(cosines: Float32, x: int, y: int, cell: float) -> tuple[float, float]:
    """The top of the hill around the best pixel: a parabola through neighbours an eighth of a cell away.

    Farther away the interpolated map has kinks, where other cells come in; nearer its slope drowns in rounding.
    """
    size = len(cosines)
    reach = max(1, round(cell / 8))
    xs = [max(0, x - reach), x, min(size - 1, x + reach)]
    ys = [max(0, y - reach), y, min(size - 1, y + reach)]
    return x + _vertex(xs, cosines[y, xs]), y + _vertex(ys, cosines[ys, x])


def _vertex(at: list[int], values: Float32) -> float:
    """Where a parabola through three places has its top, relative to the middle one; 0 at the picture's edge."""
    left, right = at[1] - at[0], at[2] - at[1]
    if left != right or left == 0:
        return 0.0
    bend = float(values[0] - 2 * values[1] + values[2])
    if bend >= -1e-12:
        return 0.0
    return float(np.clip(0.5 * (values[0] - values[2]) / bend, -0.5, 0.5)) * left


def _mutual(found: Float32, units: Float32) -> Float32:
    """1 where the asked vector is the nearest to the found one, less by the share of the others that are nearer."""
    found = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    cosines = found @ units.T
    own = np.diag(cosines)
    nearer = (cosines > own[:, None] + 1e-6).sum(axis=1)
    return np.asarray(1.0 - nearer / max(1, len(units) - 1), np.float32)


def _confidence(cosine: Float32, sharpness: Float32, margin: Float32, mutual: Float32) -> Float32:
    """Each of the three signs between 0 and 1, multiplied; their halves are typical of a lucky and an unlucky match."""
    stands_out = 1.0 / (1.0 + np.exp(-(sharpness - 3.0)))
    alone = 1.0 - np.exp(-np.maximum(margin, 0.0) / 0.05)
    return np.asarray(np.clip(stands_out * (0.4 + 0.6 * alone) * mutual**2 * (cosine > 0), 0.0, 1.0), np.float32)
