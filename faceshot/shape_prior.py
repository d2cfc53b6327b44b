"""What a face can look like: matched landmarks are compared with a template, and those that cannot be are put right.

Each landmark was matched alone, so single ones land anywhere, and left and right parts change places. A template (the
mean of the gallery's own landmarks, or the canonical face) is laid over the points robustly, first the whole face, then
each part on its own but not far from where the face puts it. Points near the template stay as they were matched; others
move to it, and their confidence says so.

Convention:
    Points are (N, 2) px with N = 68 or 70 in the order of `faceshot.topology`; σ, the unit of "near", is a share of the
    distance between the outer eye corners on the fitted template.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from faceshot.blendshape_rig import CANONICAL_FACE
from faceshot.rearrange import rearrange
from faceshot.topology import BROW_LEFT, BROW_RIGHT, EYE_LEFT, EYE_RIGHT, GROUPS, MIRROR_70, N_POINTS
from faceshot.types import Float32

__all__ = ["Repair", "RepairKind", "canonical_template", "repair", "robust_affine"]

Float = NDArray[np.float64]
RepairKind = Literal["prior", "published", "none"]

_FACE_SIGMA: Final = 0.20
"""How far a character's parts lie from where a template of its kind has them."""
_PART_SIGMA: Final = 0.08
"""How far single points of a part lie from the template's part once that is in place."""
_LOOSE: Final = {"face boundary": 2.0}
"""Parts whose points lie farther from a template: where a face ends is a matter of style."""
_STAYS_BELOW: Final = 1.5
"""Points nearer to the template than so many σ are left as they were matched."""
_GUESSED: Final = 0.15
"""Confidence of a point that only the template knows."""
_SIDES: Final = ((EYE_LEFT, EYE_RIGHT), (BROW_LEFT, BROW_RIGHT))


@dataclass(frozen=True, slots=True, eq=False)
class Repair:
    """Landmarks after the prior.

    Attributes:
        points_xy: (N, 2) float32 px.
        confidence: (N,) float32, of matching and plausibility together.
        moved: (N,) bool, which points are no longer where they were matched.
        swapped: names of the pairs of parts whose sides were exchanged.
    """

    points_xy: Float32
    confidence: Float32
    moved: np.ndarray
    swapped: tuple[str, ...]


def canonical_template() -> Float:
    """(70, 2) an upright human face, in face widths: the template when the gallery knows no points."""
    return np.asarray(CANONICAL_FACE[:, :2], np.float64)


def repair(
    points_xy: np.ndarray,
    confidence: np.ndarray,
    template: Float,
    known: np.ndarray | None = None,
    kind: RepairKind = "prior",
) -> Repair:
    """Put implausible points right.

    Args:
        points_xy: (N, 2), as matched.
        confidence: (N,) in 0..1, of matching.
        template: (N, 2) in any unit and place.
        known: (N,) bool, points that were matched at all; the others are taken from the template.
        kind: "prior" is ours; "published" the rearrangement along ellipses and circles of the released code, without
            regard to a template; "none" changes nothing.
    """
    points = np.array(points_xy, np.float64)
    trust = np.clip(np.asarray(confidence, np.float64), 0.0, 1.0)
    known = np.ones(len(points), bool) if known is None else known
    if kind == "none":
        return Repair(points.astype(np.float32), trust.astype(np.float32), np.zeros(len(points), bool), ())
    if kind == "published":
        moved_to = rearrange(points)
        moved = np.linalg.norm(moved_to - points, axis=1) > 0.5
        return Repair(moved_to.astype(np.float32), trust.astype(np.float32), moved, ())
    weights = np.where(known, np.maximum(trust, 0.02), 0.0)
    face = _place(template, points, weights)
    points, trust, weights, swapped = _untwist(points, trust, weights, face)
    face = _place(template, points, weights)
    unit = max(float(np.linalg.norm(face[45] - face[36])), 1e-6)
    goal = face.copy()
    support, sigma = np.ones(len(points)), np.full(len(points), _PART_SIGMA * unit)
    for name in GROUPS:
        index = np.array([i for i in GROUPS[name] if i < len(points)])
        sigma[index] *= _LOOSE.get(name, 1.0)
        goal[index], support[index] = _place_part(face[index], points[index], weights[index], unit, sigma[index[0]])
    distance = np.linalg.norm(points - goal, axis=1) / sigma
    near = np.exp(-0.5 * np.maximum(distance - _STAYS_BELOW, 0.0) ** 2)
    near[~known] = 0.0
    near *= _in_order(points, goal)
    result = goal + near[:, None] * (points - goal)
    moved = np.linalg.norm(result - points, axis=1) > 0.01 * unit
    sure = np.where(known, near * trust, 0.0)
    # A point that the template placed is as good as the part that the template was fitted to, up to a guess.
    sure = np.maximum(sure, _GUESSED * support)
    return Repair(result.astype(np.float32), sure.astype(np.float32), moved, swapped)


def robust_affine(source: Float, target: Float, weights: np.ndarray, rigid: bool, sigma: float) -> Float:
    """(2, 3) the map from source to target that most of the weight agrees with.

    Args:
        source, target: (N, 2).
        weights: (N,) at least 0.
        rigid: a similarity (rotation, one scale, shift); else a full affine map.
        sigma: residuals beyond this (in target units) lose their say.
    """
    best, best_score = _fit(source, target, weights, rigid=True), -1.0
    # Starting from small subsets finds the majority even when a third of the points are lost (as RANSAC, but the same
    # every time: the subsets are fixed).
    heavy = np.flatnonzero(weights > 0)
    starts = [weights]
    rng = np.random.default_rng(7)
    for _ in range(40 if len(heavy) >= 4 else 0):
        chosen = rng.choice(heavy, 3, replace=False, p=weights[heavy] / weights[heavy].sum())
        start = np.zeros_like(weights)
        start[chosen] = 1.0
        starts.append(start)
    for start in starts:
        candidate = _fit(source, target, start, rigid=True)
        if not _is_upright(candidate):
            continue
        score = float((weights * _agreement(candidate, source, target, 2 * sigma)).sum())
        if score > best_score:
            best, best_score = candidate, score
    for _ in range(8):
        agreeing = weights * _agreement(best, source, target, sigma)
        if agreeing.sum() < 1e-6:
            break
        refined = _fit(source, target, agreeing, rigid)
        if not _is_upright(refined):
            break
        best = refined
    return best


def _place(template: Float, points: Float, weights: np.ndarray) -> Float:
    """The template over the points: a similarity, then as much of an affine map as the points ask for."""
    spread = np.sqrt(np.average(((points - np.median(points, axis=0)) ** 2).sum(axis=1), weights=weights + 1e-9))
    sigma = max(_FACE_SIGMA * float(spread), 1e-6)
    similar = robust_affine(template, points, weights, rigid=True, sigma=sigma)
    eyes = np.linalg.norm(similar[:, :2] @ (template[45] - template[36]))
    fitted = robust_affine(
        _apply(similar, template), points, weights, rigid=False, sigma=max(_FACE_SIGMA * float(eyes), 1e-6)
    )
    return _apply(fitted, _apply(similar, template))


def _place_part(face: Float, points: Float, weights: np.ndarray, unit: float, sigma: float) -> tuple[Float, float]:
    """A part of the placed template, moved onto its own points where they agree; and how much they do (0..1)."""
    if weights.sum() < 1e-6:
        return face, 0.0
    part = robust_affine(face, points, weights, rigid=len(face) < 17, sigma=sigma)  # few points hold no affine map
    placed = _apply(part, face)
    agreeing = weights * _agreement(part, face, points, sigma)
    support = float(agreeing.sum() / weights.sum())
    strayed = float(np.linalg.norm(placed.mean(axis=0) - face.mean(axis=0))) / (2.5 * _FACE_SIGMA * unit)
    size = float(np.sqrt(abs(np.linalg.det(part[:, :2]))))
    turned = abs(float(np.arctan2(part[1, 0], part[0, 0])))
    plausible = strayed < 2.0 and 0.3 < size < 3.0 and turned < 0.9
    # A part whose points agree with one another is believed even where this kind of face has it elsewhere.
    own = min(1.0, 1.6 * support) * min(1.0, 2.0 - strayed) if plausible else 0.0
    return face + own * (placed - face), support if plausible else 0.3 * support


def _untwist(points: Float, trust: Float, weights: Float, face: Float) -> tuple[Float, Float, Float, tuple[str, ...]]:
    """Exchange the two sides of eyes or brows when that fits the placed template better by far."""
    swapped: list[str] = []
    for (left, right), name in zip(_SIDES, ("eyes", "brows"), strict=True):
        index = [*left, *right]
        if name == "eyes" and len(points) == N_POINTS:
            index += [68, 69]
        mirrored = MIRROR_70[index]
        as_is = _weighted_distance(points[index], face[index], weights[index])
        crossed = _weighted_distance(points[mirrored], face[index], weights[mirrored])
        if crossed < 0.5 * as_is:
            points, trust, weights = points.copy(), trust.copy(), weights.copy()
            points[index], trust[index], weights[index] = points[mirrored], trust[mirrored], weights[mirrored]
            swapped.append(name)
    return points, trust, weights, tuple(swapped)


def _weighted_distance(points: Float, goal: Float, weights: Float) -> float:
    total = float(weights.sum())
    return float((weights * np.linalg.norm(points - goal, axis=1)).sum() / total) if total > 0 else 0.0


def _in_order(points: Float, goal: Float) -> Float:
    """0 for points that come out of turn along their part's curve, else 1: neighbours must not change places."""
    keep = np.ones(len(points))
    for line in (range(17), range(17, 22), range(22, 27), range(27, 31), range(31, 36), range(48, 55), range(60, 65)):
        index = list(line)
        steps = np.diff(goal[index], axis=0)
        lengths = np.linalg.norm(steps, axis=1)
        if lengths.min() < 1e-9:
            continue
        directions = steps / lengths[:, None]
        progress = (np.diff(points[index], axis=0) * directions).sum(axis=1) / lengths
        for i in np.flatnonzero(progress < -0.25):
            pair = [index[i], index[i + 1]]
            # The farther one of the two from its goal is the one out of turn.
            away = np.linalg.norm(points[pair] - goal[pair], axis=1)
            keep[pair[int(away.argmax())]] = 0.0
    return keep


def _fit(source: Float, target: Float, weights: np.ndarray, rigid: bool) -> Float:
    """Weighted least squares."""
    total = max(float(weights.sum()), 1e-12)
    share = weights / total
    from_mean, to_mean = share @ source, share @ target
    a, b = source - from_mean, target - to_mean
    if rigid:
        square = float(share @ (a**2).sum(axis=1))
        if square < 1e-12:
            return np.column_stack([np.eye(2), to_mean - from_mean])
        cos = float(share @ (a * b).sum(axis=1)) / square
        sin = float(share @ (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])) / square
        linear = np.array([[cos, -sin], [sin, cos]])
    else:
        moment = (a * share[:, None]).T @ a
        # A little of the identity keeps a face seen as a line from being folded.
        ridge = 0.02 * np.trace(moment) * np.eye(2)
        linear = ((b * share[:, None]).T @ a + ridge) @ np.linalg.inv(moment + ridge + 1e-12 * np.eye(2))
    return np.column_stack([linear, to_mean - linear @ from_mean])


def _apply(affine: Float, points: Float) -> Float:
    return points @ affine[:, :2].T + affine[:, 2]


def _agreement(affine: Float, source: Float, target: Float, sigma: float) -> Float:
    """Geman-McClure: 1 at no distance, a half at σ, towards 0 far away."""
    square = ((_apply(affine, source) - target) ** 2).sum(axis=1) / max(sigma, 1e-9) ** 2
    return np.asarray(1.0 / (1.0 + square) ** 2, np.float64)


def _is_upright(affine: Float) -> bool:
    """Neither mirrored nor upside down nor collapsed: heads on pictures lean at most 75°."""
    linear = affine[:, :2]
    return bool(np.linalg.det(linear) > 1e-9 and linear[0, 0] > 0.25 * np.sqrt(np.linalg.det(linear)))
