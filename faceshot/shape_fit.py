"""All 70 landmarks from whatever is known of some of them: example faces deformed as far as that asks.

Every example of `faceshot.shapes` is laid over what is known and deformed as little as it allows (a Gaussian
conditioned on it); examples that fit better, and those of the same kind, count for more. Besides what is known of one
face there is what the outline's landmarks are on every face, see `_outline_rules`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from faceshot.shapes import Shape, covariance, shapes
from faceshot.topology import EYE_LEFT, EYE_RIGHT, JAW, N_POINTS
from faceshot.types import CharacterKind

__all__ = ["Face", "OnOutline", "Seen", "solve", "weights_of"]

Float = NDArray[np.float64]

_TEMPER: Final = 9.0  # examples differ in more than the model knows, so how well one fits is taken with salt
_SAME_KIND: Final = 0.4  # log odds of an example of the asked kind
_LEVEL_SD: Final = 0.06  # eye distances: how far from the height of the eyes the outline begins
_GAP_SD: Final = 0.02  # eye distances: by how much two neighbouring gaps of the outline differ
_ALONG_SD: Final = (0.15, 0.06)  # eye distances along the outline, before and after it is known where that runs
_SIDES: Final = {"left": JAW[:9], "right": JAW[:7:-1]}
"""Each from the temple down to the chin."""


class Seen(NamedTuple):
    """A known mean of landmarks: weights @ points = xy, give or take `deviation` eye distances in each direction."""

    weights: Float  # (70,)
    xy: Float  # (2,) px
    deviation: float


class OnOutline(NamedTuple):
    """A place on one side of the outline, whichever of its landmarks are nearest. The side is the picture's."""

    side: str
    xy: Float  # (2,) px
    deviation: float  # eye distances across the outline


class Face(NamedTuple):
    """What is left to say of a face."""

    points: Float  # (70, 2) px
    deviation: Float  # (70,) eye distances
    visible: NDArray[np.bool_]  # (70,)


def weights_of(mean: Mapping[int, float]) -> Float:
    """(70,) row of a weighted mean of landmarks."""
    row = np.zeros(N_POINTS)
    row[list(mean)] = list(mean.values())
    return row


def solve(known: Sequence[Seen | OnOutline], examples: Sequence[Shape], kind: CharacterKind) -> Face:
    """The most probable face.

    Args:
        known: two places at least.
        examples: the faces that it may be like.
        kind: examples of this kind count for more.
    """
    posts, spreads, scores = [], [], []
    for shape in examples:
        points, deviation, score = _deform(shape, known)
        posts.append(points)
        spreads.append(deviation)
        scores.append(score / _TEMPER + (_SAME_KIND if shape.kind == kind else 0.0))
    share = np.exp(np.array(scores) - max(scores))
    share /= share.sum()
    points = _evenly_spaced(np.tensordot(share, np.array(posts), axes=1))
    unit = float(np.linalg.norm(points[list(EYE_RIGHT)].mean(axis=0) - points[list(EYE_LEFT)].mean(axis=0)))
    # Examples that disagree are as good a reason for doubt as the freedom that each of them has.
    apart = np.tensordot(share, ((np.array(posts) - points) ** 2).sum(axis=-1), axes=1) / max(unit, 1e-6) ** 2
    deviation = np.sqrt(np.tensordot(share, np.array(spreads) ** 2, axes=1) + apart)
    same = np.array([s * (4.0 if e.kind == kind else 1.0) for s, e in zip(share, examples, strict=True)])
    has = np.array([e.visible for e in examples], float)
    return Face(points, deviation, (same @ has) / same.sum() >= 0.5)


def _evenly_spaced(points: Float) -> Float:
    """The outline's landmarks at equal distances along each side, which the rules say only nearly."""
    points = points.copy()
    for side in _SIDES.values():
        given = points[list(side)]
        curve = CubicSpline(_length(given), given)(np.linspace(0, _length(given)[-1], 128))
        length = _length(curve)
        steps = np.linspace(0, length[-1], len(side))
        points[list(side)] = np.stack([np.interp(steps, length, curve[:, axis]) for axis in (0, 1)], axis=1)
    return points


def _length(line: Float) -> Float:
    return np.asarray(np.r_[0.0, np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])


def _deform(shape: Shape, known: Sequence[Seen | OnOutline]) -> tuple[Float, Float, float]:
    """One example laid over what is known: (70, 2) px, (70,) deviation in eye distances, and the log likelihood."""
    edges = [one for one in known if isinstance(one, OnOutline)]
    face = shape.points
    at = {one: 2.0 for one in range(len(edges))}
    for along in _ALONG_SD if edges else _ALONG_SD[-1:]:
        rows, noise = _placed(known, at, face, along)
        places = np.array([complex(*one.xy) for one in known])
        trust = np.array([2 / np.trace(one) for one in noise])
        scale, shift = _align(_complex(rows @ shape.points), places, trust)
        target = (places - shift) / scale
        residual = np.stack([target.real, target.imag], axis=1) - rows @ shape.points
        change, deviation, score = _condition(shape.name, rows, noise, residual)
        face = shape.points + change
        for i, one in enumerate(edges):
            height = ((complex(*one.xy) - shift) / scale).imag
            at[i] = _where(face[list(_SIDES[one.side])][:, 1], height)
    found = _complex(face) * scale + shift
    return np.stack([found.real, found.imag], axis=1), deviation, score


def _where(heights: Float, height: float) -> float:
    """Which landmark of a side is at that height; of the chin's own nothing is said so."""
    at = float(np.interp(height, np.maximum.accumulate(heights), np.arange(len(heights))))
    return round(8 * min(max(at, 0.0), 6.0)) / 8


def _placed(
    known: Sequence[Seen | OnOutline], at: Mapping[int, float], face: Float, along: float
) -> tuple[Float, Float]:
    """Rows (n, 70) and covariances (n, 2, 2) of what is known; `at` says where on its side each edge is."""
    rows, noise, edge = [], [], 0
    for one in known:
        if isinstance(one, Seen):
            rows.append(one.weights)
            noise.append(one.deviation**2 * np.eye(2))
            continue
        side, place = _SIDES[one.side], at[edge]
        edge += 1
        first = min(int(place), 7)
        rows.append(weights_of({side[first]: first + 1 - place, side[first + 1]: place - first}))
        way = face[side[first + 1]] - face[side[first]]
        way = way / max(float(np.linalg.norm(way)), 1e-9)
        noise.append(one.deviation**2 * np.eye(2) + along**2 * np.outer(way, way))
    return np.stack(rows), np.array(noise)


class _Rules(NamedTuple):
    """What is known of a face before anything of it is, in the frame of an example."""

    rows: Float  # (n, 140) weights of x0, y0, x1 ...
    residual: Float  # (n,) where they should be, less where the example has them
    variance: Float  # (n,)


@cache
def _outline_rules(name: str) -> _Rules:
    """What the outline's landmarks are by definition: they begin level with the eyes and are equally far apart on each
    side down to the chin."""
    points = shapes()[name].points
    eyes = weights_of({i: 1 / 12 for i in (*EYE_LEFT, *EYE_RIGHT)})
    rows, deviations = [], []
    for side in _SIDES.values():
        rows.append(np.outer(weights_of({side[0]: 1.0}) - eyes, [0, 1]).reshape(-1))
        deviations.append(_LEVEL_SD)
        for before, here, after in zip(side, side[1:], side[2:], strict=False):
            way = points[after] - points[before]
            bend = weights_of({before: 1.0, here: -2.0, after: 1.0})
            rows.append(np.outer(bend, way / np.linalg.norm(way)).reshape(-1))
            deviations.append(_GAP_SD)
    return _Rules(np.array(rows), -np.array(rows) @ points.reshape(-1), np.square(deviations))


def _complex(points: Float) -> NDArray[np.complex128]:
    return points[:, 0] + 1j * points[:, 1]


def _align(source: NDArray[np.complex128], target: NDArray[np.complex128], weights: Float) -> tuple[complex, complex]:
    """Scale-and-turn and shift that lay `source` over `target` in weighted least squares."""
    weights = weights / weights.sum()
    middle, goal = weights @ source, weights @ target
    a, b = source - middle, target - goal
    scale = complex((weights * a.conj()) @ b) / max(float(weights @ np.abs(a) ** 2), 1e-12)
    return scale, complex(goal - scale * middle)


def _condition(name: str, rows: Float, noise: Float, residual: Float) -> tuple[Float, Float, float]:
    """What the residuals of the known means, and the rules, say of all points.

    Args:
        rows: (n, 70) weights of the means.
        noise: (n, 2, 2) covariance of each.
        residual: (n, 2) how far each is from where the example has it.

    Returns:
        (70, 2) deformation, (70,) standard deviation that is left, and the log likelihood of the residuals.
    """
    residual = np.concatenate([residual.reshape(-1), _outline_rules(name).residual])
    gain, deviation, lower, inverse = _gain(name, rows.tobytes(), noise.tobytes(), len(rows))
    score = -0.5 * float(residual @ inverse @ residual) - float(np.log(np.diag(lower)).sum())
    return (gain @ residual).reshape(N_POINTS, 2), deviation, score


@lru_cache(maxsize=256)
def _gain(name: str, rows_data: bytes, noise_data: bytes, count: int) -> tuple[Float, Float, Float, Float]:
    """The part of `_condition` that does not depend on where the points are: dragging a click asks for it each time."""
    rows = np.frombuffer(rows_data).reshape(count, N_POINTS)
    noise = np.frombuffer(noise_data).reshape(count, 2, 2)
    full = covariance(name)
    rules = _outline_rules(name)
    wide = np.concatenate([np.kron(rows, np.eye(2)), rules.rows])
    cross = full @ wide.T
    inner = wide @ cross
    for i, one in enumerate(noise):
        inner[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] += one
    ruled = np.arange(2 * count, len(inner))
    inner[ruled, ruled] += rules.variance
    lower = np.linalg.cholesky(inner)
    inverse = np.linalg.inv(inner)
    gain = cross @ inverse
    left = np.maximum(np.diag(full) - (gain * cross).sum(axis=1), 0)
    return gain, np.sqrt(left.reshape(N_POINTS, 2).mean(axis=1)), lower, inverse
