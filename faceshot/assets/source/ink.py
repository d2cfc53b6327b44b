"""Pens and paper of the bundled characters: smooth curves, tapered strokes, hair locks, guides for the landmarks.

Everything is in pixels of a 1024 x 1024 sheet, x right, y down. A curve is given by the points that it passes through;
a point with a third element is a corner. The same curves give the SVG paths and the landmarks, so that these are exact.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

SIZE = 1024
Points = Sequence[Sequence[float]]


@dataclass
class Drawing:
    """One character before it is built.

    Attributes:
        kind: the warp recipe, see `faceshot.types.CharacterKind`.
        svg: the picture; `shape:` as an image's address stands for the rendered `glsl`.
        landmarks: points by part: jaw 17, brow_left 5, brow_right 5, nose 9, eye_left 6, eye_right 6, lips 20,
            pupils 2.
        absent: parts that the character does not have (their points are still placed where they would be).
        glsl: `float map(vec3)`, `vec3 albedo(vec3, vec3)` ... of a solid character, or empty.
        finish: optional painter over the rendered solid (fur, brush strokes).
        step: colours are rounded to multiples of this; fur hides it and the file shrinks by a third.
    """

    kind: str
    svg: str
    landmarks: dict[str, np.ndarray]
    absent: tuple[str, ...] = ()
    glsl: str = ""
    finish: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    step: int = 1


def mirror(points: Points) -> list[tuple[float, ...]]:
    """The points flipped about the middle of the sheet, in reversed order."""
    return [(SIZE - p[0], *p[1:]) for p in reversed(points)]


def both(points: Points) -> list[tuple[float, ...]]:
    """Image-left half followed by its mirror image; a point on the axis is not repeated."""
    right = mirror(points)
    return [*map(tuple, points), *(right[1:] if abs(points[-1][0] - SIZE / 2) < 1e-6 else right)]


def curve(points: Points, closed: bool = False, step: float = 3.0) -> np.ndarray:
    """Dense samples (N, 2) of the smooth curve through the points (centripetal cubic spline between corners)."""
    pts = [tuple(p) for p in points]
    if closed and any(len(p) > 2 for p in pts):
        first = next(i for i, p in enumerate(pts) if len(p) > 2)
        pts = [*pts[first:], *pts[:first], pts[first]]
        closed = False
    xy = np.array([p[:2] for p in pts], float)
    if closed:
        return _smooth(np.vstack([xy, xy[:1]]), True, step)
    cuts = [0, *(i for i in range(1, len(pts) - 1) if len(pts[i]) > 2), len(pts) - 1]
    pieces = [_smooth(xy[a : b + 1], False, step) for a, b in itertools.pairwise(cuts)]
    return np.vstack([p if i == 0 else p[1:] for i, p in enumerate(pieces)])


def _smooth(xy: np.ndarray, periodic: bool, step: float) -> np.ndarray:
    chord = np.hypot(*np.diff(xy, axis=0).T)
    if len(xy) == 2:
        t = np.array([0.0, 1.0])
        return xy[0] + (xy[1] - xy[0]) * np.linspace(0, 1, max(2, int(chord.sum() / step)))[:, None]
    t = np.concatenate([[0], np.cumsum(chord**0.6)])
    u = np.linspace(0, t[-1], max(8, int(chord.sum() / step)))
    return CubicSpline(t, xy, bc_type="periodic" if periodic else "natural")(u)


def d(xy: np.ndarray, closed: bool = True) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in xy) + ("Z" if closed else "")


def shape(points: Points) -> str:
    """Path data of the closed smooth shape through the points."""
    return d(curve(points, closed=True))


def line(points: Points) -> str:
    return d(curve(points), closed=False)


def along(points: Points, n: int, start: float = 0.0, stop: float = 1.0) -> np.ndarray:
    """(n, 2): equally spaced along the curve from `start` to `stop` (fractions of its length)."""
    xy = curve(points, step=1.0)
    s = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(xy, axis=0).T))])
    at = np.linspace(start, stop, n) * s[-1]
    return np.stack([np.interp(at, s, xy[:, 0]), np.interp(at, s, xy[:, 1])], 1)


def ribbon(points: Points, widths: Sequence[float], start: float = 0.0, stop: float = 1.0, shift: float = 0.0) -> str:
    """Path data of a stroke whose full width runs through `widths`; `shift` moves it sideways in half widths."""
    n = max(16, int(len(curve(points)) * (stop - start)))
    xy = along(points, n, start, stop)
    tangent = np.gradient(xy, axis=0)
    tangent /= np.maximum(np.hypot(*tangent.T), 1e-9)[:, None]
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
    at = np.linspace(start, stop, n)
    full = _widths(widths, at)
    local = full if (start, stop) == (0.0, 1.0) else _widths(widths, np.linspace(0, 1, n))
    centre = xy + normal * (shift * full / 2)[:, None] if shift else xy
    half = (local / 2)[:, None] * normal
    return d(np.vstack([centre + half, (centre - half)[::-1]]))


def _widths(widths: Sequence[float], at: np.ndarray) -> np.ndarray:
    knots = np.linspace(0, 1, len(widths))
    return np.maximum(CubicSpline(knots, widths)(at) if len(widths) > 3 else np.interp(at, knots, widths), 0)


def inside_lock(points: Points, widths: Sequence[float], start: float, stop: float, offset: float, w: float) -> str:
    """A thin tapered strand within a hair lock, `offset` in -1..1 across it, `w` its width in pixels."""
    n = 40
    at = np.linspace(start, stop, n)
    xy = along(points, n, start, stop)
    tangent = np.gradient(xy, axis=0)
    tangent /= np.maximum(np.hypot(*tangent.T), 1e-9)[:, None]
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], 1)
    centre = xy + normal * (offset * _widths(widths, at) / 2)[:, None]
    half = (w / 2 * np.sin(np.linspace(0, math.pi, n)) ** 0.7)[:, None] * normal
    return d(np.vstack([centre + half, (centre - half)[::-1]]))


def path(data: str, fill: str, **attributes: object) -> str:
    extra = "".join(f' {k.replace("_", "-")}="{v}"' for k, v in attributes.items())
    return f'<path d="{data}" fill="{fill}"{extra}/>'


def gradient(name: str, *stops: tuple[float, str] | tuple[float, str, float], **where: object) -> str:
    """A gradient in user units: x1 y1 x2 y2 makes it linear, cx cy r radial."""
    tag = "radialGradient" if "r" in where else "linearGradient"
    at = "".join(f' {k}="{v}"' for k, v in where.items())
    body = "".join(
        f'<stop offset="{s[0]}" stop-color="{s[1]}" stop-opacity="{s[2] if len(s) > 2 else 1}"/>' for s in stops
    )
    return f'<{tag} id="{name}" gradientUnits="userSpaceOnUse"{at}>{body}</{tag}>'


def blur(name: str, sigma: float) -> str:
    area = 'x="-50%" y="-50%" width="200%" height="200%"'
    return f'<filter id="{name}" {area}><feGaussianBlur stdDeviation="{sigma}"/></filter>'


def clip(name: str, data: str) -> str:
    return f'<clipPath id="{name}"><path d="{data}"/></clipPath>'


def flip(body: str) -> str:
    """The same drawing on the image's right."""
    return f'<g transform="matrix(-1 0 0 1 {SIZE} 0)">{body}</g>'


def sheet(defs: Sequence[str], *body: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{SIZE}" height="{SIZE}" viewBox="0 0 {SIZE} {SIZE}">'
        f"<defs>{''.join(defs)}</defs>{''.join(body)}</svg>"
    )
