"""What a picture says of the parts of a face whose place is roughly known: lids, pupils, the line of the mouth, brows.

Everything is looked for in a small view that the face is turned upright and scaled into, so that all sizes are in one
unit and a face of 40 pixels is searched like one of 4000.

Convention:
    View coordinates: pixels of the view, in which the eyes are `UNIT` pixels apart and level.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from faceshot.topology import BROW_LEFT, BROW_RIGHT, EYE_LEFT, EYE_RIGHT, PUPIL_LEFT, PUPIL_RIGHT
from faceshot.types import UInt8

__all__ = ["UNIT", "Evidence", "look"]

Float = NDArray[np.float64]

UNIT: Final = 96.0
_WIDE, _HIGH, _EYES_AT = 3.4, 3.6, 1.15  # the view in eye distances; the eyes' height in it
_MIN_TRUST: Final = 0.45
_MOUTHS_DIFFER: Final = 0.2
_BROWS_DIFFER: Final = 0.095
_ASIDE, _DOWN = np.arange(-0.24, 0.241, 0.03), np.arange(-0.24, 0.241, 0.02)
"""Steps in which brows are moved, in eye distances."""
_ASKEW: Final = 0.25
"""How far the two may be moved differently aside."""
_PRICE: Final = 0.125
_FADED: Final = 0.72
"""Share of its usual clearness at which the line of a mouth has ended."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Where some points seem to be.

    Attributes:
        indices: (n,) of the 70 landmarks.
        points: (n, 2) px of the picture.
        deviation: how far off that may be, in eye distances.
        trust: 0 to 1, how clearly it was seen.
    """

    indices: NDArray[np.intp]
    points: Float
    deviation: float
    trust: float


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """The upright face and its way back to the picture."""

    light: Float  # (h, w) 0 to 1
    origin: complex
    turn: complex  # picture = origin + turn * view

    def to_view(self, points: Float) -> Float:
        z = (points[:, 0] + 1j * points[:, 1] - self.origin) / self.turn
        return np.stack([z.real, z.imag], axis=1)

    def to_picture(self, points: Float) -> Float:
        z = self.origin + self.turn * (points[:, 0] + 1j * points[:, 1])
        return np.stack([z.real, z.imag], axis=1)


def look(
    rgb: UInt8,
    points: Float,
    clicked: frozenset[str],
    mouths_differ: float = _MOUTHS_DIFFER,
    brows_differ: float = _BROWS_DIFFER,
) -> Mapping[str, Evidence]:
    """What the picture says about a face whose landmarks are roughly known.

    Args:
        rgb: (H, W, 3) uint8.
        points: (70, 2) landmarks, px.
        clicked: names of `faceshot.assisted.CLICKS` that are known already; less is searched around those.
        mouths_differ: how widely a mouth's width may differ from that of `points`, see `faceshot.shapes`.
        brows_differ: how far brows may be from `points`, as a standard deviation in eye distances.

    Returns:
        By part; parts about which it says nothing are left out.
    """
    view = _make_view(rgb, points)
    if view is None:
        return {}
    local = view.to_view(points)
    found: dict[str, Evidence] = {}
    for name, ring, pupil in (("left-eye", EYE_LEFT, PUPIL_LEFT), ("right-eye", EYE_RIGHT, PUPIL_RIGHT)):
        if (eye := _eye(view, local, ring, pupil, name in clicked)) is not None:
            found[name] = eye
    if (mouth := _mouth(view, local, clicked, mouths_differ)) is not None:
        found["mouth"] = mouth
    found |= _brows(view, local, brows_differ)
    return found


def _make_view(rgb: UInt8, points: Float) -> _View | None:
    left, right = (points[list(eye)].mean(axis=0) for eye in (EYE_LEFT, EYE_RIGHT))
    turn = complex(*(right - left)) / UNIT
    if not 0.02 < abs(turn) < 50:
        return None
    origin = complex(*((left + right) / 2)) - turn * complex(_WIDE / 2 * UNIT, _EYES_AT * UNIT)
    size = (round(_WIDE * UNIT), round(_HIGH * UNIT))
    matrix = np.array([[turn.real, -turn.imag, origin.real], [turn.imag, turn.real, origin.imag]])
    source = rgb
    if abs(turn) > 1.5:  # shrinking: average first, or noise becomes edges
        source = cv2.GaussianBlur(rgb, (0, 0), abs(turn) * 0.45)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    small = cv2.warpAffine(source, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    light = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)[..., 0].astype(np.float64) / 255
    return _View(light, origin, turn)


def _sample(field: NDArray[Any], points: Float) -> Float:
    x, y = (np.ascontiguousarray(points[..., axis], np.float32) for axis in (0, 1))
    shape = x.shape
    got = cv2.remap(
        np.asarray(field, np.float32),
        x.reshape(-1, 1),
        y.reshape(-1, 1),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(got, np.float64).reshape(shape)


def _closed_curve(ring: Float, per_side: int = 6) -> Float:
    """Catmull-Rom through a closed ring of points."""
    t = np.linspace(0, 1, per_side, endpoint=False)[:, None]
    before, here, there, after = (np.roll(ring, shift, axis=0)[:, None] for shift in (1, 0, -1, -2))
    curve = 0.5 * (
        2 * here
        + (there - before) * t
        + (2 * before - 5 * here + 4 * there - after) * t**2
        + (3 * here - before - 3 * there + after) * t**3
    )
    return curve.reshape(-1, 2)


def _eye(view: _View, local: Float, ring: tuple[int, ...], pupil: int, clicked: bool) -> Evidence | None:
    """Lids where the picture gets brighter outwards: a dark ball in fur as well as lashes over a white."""
    rest = local[list(ring)]
    middle = rest.mean(axis=0)
    light = cv2.GaussianBlur(view.light, (0, 0), 1.8)
    grad = np.stack([cv2.Sobel(light, -1, 1, 0), cv2.Sobel(light, -1, 0, 1)], axis=-1) / 8
    reach = 0.45 * UNIT
    x0, y0 = (int(max(v - reach, 0)) for v in middle)
    patch = grad[y0 : int(middle[1] + reach), x0 : int(middle[0] + reach)]
    if patch.size == 0:
        return None
    strong = float(np.percentile(np.linalg.norm(patch, axis=-1), 88))
    if strong < 0.004:
        return None
    limits = np.array([0.02 if clicked else 0.05, 0.02 if clicked else 0.05, 0.36, 0.36, 0.12])
    limits[:2] *= UNIT
    curve = _closed_curve(rest) - middle
    turned = np.roll(curve, -1, axis=0) - np.roll(curve, 1, axis=0)
    normal = np.stack([turned[:, 1], -turned[:, 0]], axis=1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)

    # A bright eye in a dark face (a robot's display) gets darker outwards.
    sign = (
        -1.0 if _sample(light, middle + 0.6 * curve).mean() > _sample(light, middle + 1.5 * curve).mean() + 0.1 else 1.0
    )

    def place(p: Float, points: Float) -> Float:
        c, s = np.cos(p[4]), np.sin(p[4])
        scaled = points * np.exp(p[2:4])
        return scaled @ np.array([[c, s], [-s, c]]) + middle + p[:2]

    across, down = (np.ascontiguousarray(grad[..., axis], np.float32) for axis in (0, 1))

    def contrast(p: Float) -> float:
        at = place(p, curve)
        rise = _sample(across, at) * normal[:, 0] + _sample(down, at) * normal[:, 1]
        return float(np.tanh(sign * rise / strong).mean())

    def cost(p: Float) -> float:
        return -4.0 * contrast(p) + 0.5 * float(((p / limits) ** 2).sum())

    sizes = (-0.8, -0.4, 0.0, 0.35)  # drawn eyes are twice as large as those of animals
    starts = [np.zeros(5)] + [np.array([0, 0, a, b, 0]) for a in sizes for b in sizes]
    best = min(starts, key=cost)
    simplex = np.vstack([best, best + np.diag(limits * 0.6)])
    done = minimize(cost, best, method="Nelder-Mead", options={"initial_simplex": simplex, "maxfev": 260})
    trust = float(np.clip(contrast(done.x) / 0.6, 0, 1))
    if trust < _MIN_TRUST:
        return None
    lids = place(done.x, rest - middle)
    dark = _pupil(view, lids)
    indices, points = [*ring, pupil], np.vstack([lids, dark])
    return Evidence(np.array(indices), view.to_picture(points), 0.02 + 0.05 * (1 - trust), trust)


def _pupil(view: _View, lids: Float) -> Float:
    """The middle of what is darkest between the lids."""
    mask = np.zeros(view.light.shape, np.uint8)
    cv2.fillPoly(mask, [np.round(_closed_curve(lids)).astype(np.int32)], 1)
    rows, columns = np.nonzero(mask)
    middle = lids.mean(axis=0)
    if len(rows) < 12:
        return middle
    light = cv2.GaussianBlur(view.light, (0, 0), 2.0)[rows, columns]
    low, high = np.percentile(light, [5, 60])
    weight = np.clip((high - light) / max(high - low, 0.02), 0, 1) ** 2
    half = np.ptp(lids, axis=0) / 2
    weight *= np.exp(-(((np.stack([columns, rows], axis=1) - middle) / half) ** 2).sum(axis=1))
    if weight.sum() < 1e-6:
        return middle
    dark = (weight @ np.stack([columns, rows], axis=1)) / weight.sum()
    return 0.35 * middle + 0.65 * dark


def _valley(view: _View, narrow: float, wide: float) -> Float:
    """Bright where the picture is darker than above and below."""
    light = view.light
    return cv2.GaussianBlur(light, (0, 0), wide) - cv2.GaussianBlur(light, (0, 0), narrow)


def _path(reward: Float, bend: float) -> NDArray[np.intp]:
    """The row of each column along which the reward is highest and that bends least (dynamic programming)."""
    columns, rows = reward.shape
    best, back = reward[0].copy(), np.zeros((columns, rows), np.intp)
    steps = np.arange(rows)
    price = bend * (steps[:, None] - steps[None]) ** 2
    for column in range(1, columns):
        total = best[None] - price
        back[column] = total.argmax(axis=1)
        best = total.max(axis=1) + reward[column]
    path = np.zeros(columns, np.intp)
    path[-1] = best.argmax()
    for column in range(columns - 1, 0, -1):
        path[column - 1] = back[column, path[column]]
    return path


def _mouth(view: _View, local: Float, clicked: frozenset[str], mouths_differ: float) -> Evidence | None:
    """The dark line between the lips, and where it ends."""
    line = np.stack([local[48], local[60], local[[61, 67]].mean(0), local[[62, 66]].mean(0), local[[63, 65]].mean(0)])
    line = np.vstack([line, local[64], local[54]])
    length = np.r_[0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))]
    if length[-1] < 4:
        return None
    middle, half = length[3], length[-1] / 2
    u = np.linspace(-2, 2, 81)
    base = np.stack([np.interp(middle + u * half, length, line[:, axis]) for axis in (0, 1)], axis=1)
    for side, end, inner in ((u < -1, 0, 1), (u > 1, -1, -2)):  # go on straight beyond the corners
        way = line[end] - line[inner] if np.linalg.norm(line[end] - line[inner]) > 1 else line[end] - line[3]
        way = way / max(float(np.linalg.norm(way)), 1e-9)
        base[side] = line[end] + (np.abs(u[side]) - 1)[:, None] * half * way
    normal = np.array([0.0, 1.0])
    v = np.linspace(-0.16, 0.16, 41) * UNIT
    grid = base[:, None] + v[None, :, None] * normal
    valley = _sample(_valley(view, 1.5, 7.0), grid)
    strong = float(np.percentile(valley[np.abs(u) < 0.8], 95))
    if strong < 0.006:
        return None
    middle_known = "mouth" in clicked
    drift = np.where(np.abs(u) < 1, 0.5 + np.abs(u), 1.5) if middle_known else np.full(len(u), 1.5)
    prior = 0.5 * (v[None] / UNIT / (0.05 * drift[:, None])) ** 2
    reward = np.tanh(valley / strong) - 0.2 * prior
    path = _path(reward, 0.1)
    clear = np.tanh(valley[np.arange(len(u)), path] / strong)
    trust = float(np.clip(clear[np.abs(u) < 0.8].mean() / 0.55, 0, 1))
    if trust < 0.35:
        return None
    found = base + v[path][:, None] * normal
    left, right = _ends(u, clear, mouths_differ)
    left = -1.0 if "mouth-left" in clicked else left
    right = 1.0 if "mouth-right" in clicked else right
    stops = np.linspace(left, right, 41)
    curve = np.stack([np.interp(stops, u, found[:, axis]) for axis in (0, 1)], axis=1)
    old = np.stack([np.interp(np.linspace(-1, 1, 41), u, base[:, axis]) for axis in (0, 1)], axis=1)
    # Corners of the outline and the five places of the inner lips; lips that are apart stay as far apart.
    places = {48: 0, 60: 2, 61: 11, 67: 11, 62: 20, 66: 20, 63: 29, 65: 29, 64: 38, 54: 40}
    points = np.array([local[i] + curve[k] - old[k] for i, k in places.items()])
    return Evidence(np.array(list(places)), view.to_picture(points), 0.04 + 0.06 * (1 - trust), trust)


def _ends(u: Float, clear: Float, mouths_differ: float) -> tuple[float, float]:
    """Where a line that is clear in the middle fades out to both sides."""
    smooth = np.convolve(clear, np.ones(3) / 3, mode="same")
    limit = _FADED * float(np.median(smooth[np.abs(u) < 0.7]))
    ends = []
    for side in (-1, 1):
        away = side * u
        rows = np.flatnonzero((away > 0.3) & (away < 1.95))
        rows = rows[np.argsort(away[rows])]
        gain = np.cumsum(smooth[rows] - limit) - 0.5 * (np.log(away[rows]) / mouths_differ) ** 2
        ends.append(side * float(away[rows][gain.argmax()]))
    return ends[0], ends[1]


class _Stroke(NamedTuple):
    """A brow moved by every step of a grid, at one size and lean."""

    seen: Float  # (aside, down) how much of a stroke the picture shows there
    price: Float  # (aside, down) of being there
    places: Float  # (aside, down, 2) shifts, view
    turn: Float  # (2, 2) size and lean


def _brows(view: _View, local: Float, brows_differ: float) -> dict[str, Evidence]:
    """Strokes over the eyes, dark or, as on many dogs, bright and broad, that end on both sides; moved, turned and
    scaled as a whole. What one does the other does mirrored, nearly: a fold or an ear on one side leads neither
    astray."""
    sides = (("left-brow", BROW_LEFT, 1.0), ("right-brow", BROW_RIGHT, -1.0))
    left, right = (_strokes(view, local[list(brow)], side, brows_differ) for _, brow, side in sides)
    apart = (_ASIDE[:, None] - _ASIDE) ** 2 / _ASKEW**2  # on a head that is turned they are
    scores = []
    for one, other in zip(left, right, strict=True):
        both = (one.seen - one.price)[:, None] + (other.seen - other.price)[None]
        scores.append(both / 2 - _PRICE * apart[..., None])
    if not scores:
        return {}
    best = max(range(len(scores)), key=lambda i: float(scores[i].max()))
    row, other_row, column = np.unravel_index(int(scores[best].argmax()), scores[best].shape)
    found = {}
    for (name, brow, _), stroke, at in zip(
        sides, (left[best], right[best]), ((row, column), (other_row, column)), strict=True
    ):
        clear = float(stroke.seen[at] - np.median(stroke.seen))
        trust = float(np.clip(clear / 0.6, 0, 1))
        if trust < 0.5:
            continue
        rest = local[list(brow)]
        middle = _along(rest, 17).mean(axis=0)
        moved = middle + stroke.places[at] + (rest - middle) @ stroke.turn
        found[name] = Evidence(np.array(brow), view.to_picture(moved), 0.08 + 0.06 * (1 - trust), trust)
    return found


def _along(line: Float, count: int) -> Float:
    t = np.linspace(0, len(line) - 1, count)
    return np.stack([np.interp(t, np.arange(len(line)), line[:, axis]) for axis in (0, 1)], axis=1)


def _strokes(view: _View, rest: Float, side: float, brows_differ: float) -> list[_Stroke]:
    """Every way in which a brow may lie; none if it has no length. `side` -1 moves and leans the other way round."""
    stroke = _along(rest, 17)
    middle = stroke.mean(axis=0)
    stroke = stroke - middle
    length = float(np.linalg.norm(stroke[-1] - stroke[0]))
    if length < 4:
        return []
    beyond = length * np.linspace(0.08, 0.22, 4)[:, None]
    ways = ((stroke[0], stroke[0] - stroke[4]), (stroke[-1], stroke[-1] - stroke[-5]))
    ends = np.vstack([end + beyond * way / max(float(np.linalg.norm(way)), 1e-6) for end, way in ways])
    places = UNIT * np.stack(np.meshgrid(side * _ASIDE, _DOWN, indexing="ij"), axis=-1)
    moving = (_ASIDE[:, None] ** 2 + _DOWN[None] ** 2) / brows_differ**2
    found = []
    for sign, narrow, wide, weight in ((1, 2.0, 8.0, 1.0), (-1, 4.0, 16.0, 0.9)):
        field = np.tanh(sign * _valley(view, narrow, wide) / 0.045).astype(np.float32)
        for size in (0.8, 1.0, 1.25):
            for tilt in (-0.1, 0.0, 0.1):
                c, s = np.cos(tilt), side * np.sin(tilt)
                turn = size * np.array([[c, s], [-s, c]])
                at = middle + places[:, :, None]
                inside = _sample(field, at + stroke @ turn).mean(axis=-1)
                outside = _sample(field, at + ends @ turn).mean(axis=-1)
                seen = weight * (inside - 0.6 * np.maximum(outside, 0))
                price = _PRICE * (moving + (np.log(size) / 0.22) ** 2 + (tilt / 0.12) ** 2)
                found.append(_Stroke(seen, price, places, turn))
    return found
