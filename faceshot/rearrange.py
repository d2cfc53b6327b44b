"""The published repair of matched landmarks: points of a part are spread evenly along an ellipse or a circle.

Source: the rearrangement of FaceShot's released code, which its paper does not mention. It keeps the ends of each arc,
gives the points between them equal steps of angle, and lets each keep its own distance from the curve; the bridge of
the nose becomes a straight line. Here it works on real numbers, where the original truncates to whole pixels.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["fit_circle", "fit_ellipse", "rearrange"]

Float = NDArray[np.float64]

ARCS: Final[tuple[tuple[int, ...], ...]] = (
    tuple(range(0, 17)),
    tuple(range(17, 22)),
    tuple(range(22, 27)),
    tuple(range(31, 36)),
    (36, 37, 38, 39),
    (39, 40, 41, 36),
    (42, 43, 44, 45),
    (45, 46, 47, 42),
    tuple(range(48, 55)),
    (54, 55, 56, 57, 58, 59, 48),
    (60, 61, 62, 63, 64),
    (64, 65, 66, 67, 60),
)
BRIDGE: Final = (27, 28, 29, 30)
BRIDGE_END: Final = 33
_ELLIPSE_FROM: Final = 16
"""Arcs of so many points get an ellipse, shorter ones a circle."""


def rearrange(points_xy: np.ndarray) -> Float:
    """The 68 points after the published repair; further points (pupils) stay.

    Args:
        points_xy: (68 or 70, 2).

    Returns:
        float64 of the same shape.
    """
    points = np.array(points_xy, np.float64)
    for arc in ARCS:
        index = list(arc)
        points[index] = _spread(points[index])
    _straighten_bridge(points)
    return points


def fit_circle(points: Float) -> tuple[float, float, float] | None:
    """Centre and radius of the least-squares (algebraic) circle; None for points on a line."""
    middle = points.mean(axis=0)
    scale = float(np.sqrt(((points - middle) ** 2).sum(axis=1).mean()))
    if scale < 1e-9:
        return None
    p = (points - middle) / scale
    matrix = np.column_stack([2 * p, np.ones(len(p))])
    solution, _, rank, values = np.linalg.lstsq(matrix, (p**2).sum(axis=1), rcond=None)
    if rank < 3 or values[-1] < 1e-9 * values[0]:
        return None
    x, y, rest = solution
    radius = float(np.sqrt(max(rest + x * x + y * y, 0.0)))
    return float(x * scale + middle[0]), float(y * scale + middle[1]), radius * scale


def fit_ellipse(points: Float) -> tuple[float, float, float, float, float] | None:
    """Centre, longer and shorter half axis and the longer one's angle (radians, 0 to π) of the least-squares ellipse.

    None when no ellipse fits.

    Source: Halíř and Flusser, "Numerically stable direct least squares fitting of ellipses", 1998.
    """
    middle = points.mean(axis=0)
    scale = float(np.sqrt(((points - middle) ** 2).sum(axis=1).mean()))
    if scale < 1e-9:
        return None
    x, y = ((points - middle) / scale).T
    quadratic = np.column_stack([x * x, x * y, y * y])
    linear = np.column_stack([x, y, np.ones_like(x)])
    s1, s2, s3 = quadratic.T @ quadratic, quadratic.T @ linear, linear.T @ linear
    constraint = np.array([[0.0, 0.0, 2.0], [0.0, -1.0, 0.0], [2.0, 0.0, 0.0]])
    try:
        reduced = np.linalg.inv(constraint) @ (s1 - s2 @ np.linalg.solve(s3, s2.T))
        _, vectors = np.linalg.eig(reduced)
        vectors = np.real(vectors)
        is_ellipse = 4 * vectors[0] * vectors[2] - vectors[1] ** 2 > 0
        if not is_ellipse.any():
            return None
        first = vectors[:, is_ellipse][:, 0]
        rest = -np.linalg.solve(s3, s2.T @ first)
    except np.linalg.LinAlgError:
        return None
    form = np.array([[first[0], first[1] / 2], [first[1] / 2, first[2]]])
    slope = rest[:2] / 2
    try:
        centre = -np.linalg.solve(form, slope)
    except np.linalg.LinAlgError:
        return None
    level = -(rest[2] + slope @ centre)
    curvature, axes = np.linalg.eigh(form)
    squares = level / curvature
    if not np.isfinite(squares).all() or squares.min() <= 0:
        return None
    longer = int(squares.argmax())
    x0, y0 = centre * scale + middle
    lengths = np.sqrt(squares) * scale
    turn = float(np.arctan2(axes[1, longer], axes[0, longer])) % np.pi
    return float(x0), float(y0), float(lengths[longer]), float(lengths[1 - longer]), turn


def _spread(points: Float) -> Float:
    """An arc with its inner points at equal angles between its ends."""
    if len(points) >= _ELLIPSE_FROM:
        ellipse = fit_ellipse(points)
        if ellipse is not None:
            return _along(points, *ellipse)
    else:
        circle = fit_circle(points)
        if circle is not None:
            x, y, radius = circle
            return _along(points, x, y, radius, radius, 0.0)
    return _along_chord(points)


def _along(points: Float, x: float, y: float, a: float, b: float, turn: float) -> Float:
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    local = (points - (x, y)) @ rotation.T
    angles = np.arctan2(local[:, 1] / b, local[:, 0] / a)
    on_curve = np.column_stack([a * np.cos(angles), b * np.sin(angles)])
    distance = np.linalg.norm(local - on_curve, axis=1)
    distance *= np.where(np.linalg.norm(local, axis=1) < np.linalg.norm(on_curve, axis=1), -1.0, 1.0)
    angles = np.unwrap(angles)
    even = np.linspace(angles[0], angles[-1], len(points))[1:-1]
    inner = np.column_stack([(a + distance[1:-1]) * np.cos(even), (b + distance[1:-1]) * np.sin(even)])
    result = points.copy()
    result[1:-1] = inner @ rotation + (x, y)
    return result


def _along_chord(points: Float) -> Float:
    """Equal steps along the line from end to end, each point's distance from it kept."""
    chord = points[-1] - points[0]
    length = float(np.linalg.norm(chord))
    if length < 1e-9:
        return points.copy()
    along = chord / length
    across = np.array([-along[1], along[0]])
    offset = (points - points[0]) @ across
    steps = np.linspace(0.0, length, len(points))
    result = points.copy()
    result[1:-1] = (points[0] + steps[:, None] * along + offset[:, None] * across)[1:-1]
    return result


def _straighten_bridge(points: Float) -> None:
    """Points 27 to 30 on a straight line through 33, evenly spaced in height."""
    index = list(BRIDGE)
    anchor = points[BRIDGE_END]
    from_anchor = points[index] - anchor
    height = float((from_anchor[:, 1] ** 2).sum())
    slope = float((from_anchor[:, 0] * from_anchor[:, 1]).sum()) / height if height > 1e-12 else 0.0
    ys = np.linspace(points[index[0], 1], anchor[1], len(index) + 1)[:-1]
    points[index] = np.column_stack([anchor[0] + slope * (ys - anchor[1]), ys])
