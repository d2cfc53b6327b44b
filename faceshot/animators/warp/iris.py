"""The iris as a part: a disc that moves as a whole over an eyeball that was filled where it rested."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from faceshot.animators.warp.frame import F64
from faceshot.animators.warp.grid import sample
from faceshot.animators.warp.lids import Lids
from faceshot.types import Float32, UInt8

__all__ = ["Iris", "find_iris"]

_LUMINANCE = np.array([0.3, 0.59, 0.11], np.float32)
_LEAST_WIDTH = 18.0  # pixels; in smaller eyes nothing can be told
_LEAST_CONTRAST = 40.0  # between the white of an eye and its iris, distance in RGB
_SHADED = 0.60  # share of the white's light to which a lid's shadow darkens it; lashes are darker


@dataclass(frozen=True, slots=True, eq=False)
class Iris:
    """Attributes:
    circle: (3,) float32 middle (s, t) and radius of the circle that fits it best, see `Lids`.
    disc: (h, w) uint8, how much of each pixel of the eye's patch belongs to it.
    white: (h, w, 3) uint8, the patch without it.
    rims: how far the lids' own edges (lashes, outlines, shadow) reach into the opening, above and below, pixels
        across them.
    """

    circle: Float32
    disc: UInt8
    white: UInt8
    rims: tuple[float, float]


def find_iris(
    patch: UInt8, origin: Float32, lids: Lids, pupil: F64, deepest: tuple[float, float] = (1.0, 1.0)
) -> Iris | None:
    """The iris around a pupil; None where none stands out from the white of the eye.

    Args:
        patch: (h, w, 3) the eye's surroundings, which begin at `origin` in the picture.
        pupil: (2,) its landmark.
        deepest: how far the lids' edges can reach into the opening, above and below, eye heights.
    """
    s, t, table_at = lids.local(
        np.stack(np.meshgrid(np.arange(patch.shape[1]), np.arange(patch.shape[0])), -1).astype(np.float32) + origin
    )
    rest = lids.rest_at(table_at)
    below_upper, above_lower = t - rest[..., 0], rest[..., 1] - t
    steep = sample(lids.steepness[None], table_at)
    margin = min(0.08 * lids.height, 0.05 * lids.width) + 1
    inside = (below_upper > margin) & (above_lower > margin) & (np.abs(s) < 0.47 * lids.width)
    corners = inside & (np.abs(s) > 0.30 * lids.width)
    middle = [float((pupil - lids.middle) @ axis) for axis in (lids.axis_x, lids.axis_y)]
    if (
        lids.width < _LEAST_WIDTH
        or abs(middle[0]) > 0.3 * lids.width
        or (corners & (s < 0)).sum() < 6
        or (corners & (s > 0)).sum() < 6
    ):
        return None
    white = _filled(patch, s / lids.width, t / lids.width, corners)
    away = np.linalg.norm(patch - white, axis=-1)
    core = inside & (np.hypot(s - middle[0], t - middle[1]) < 0.12 * lids.width)
    contrast = float(np.percentile(away[core], 75)) if core.any() else 0.0
    if contrast < _LEAST_CONTRAST or not _is_white(white[core], patch[core]):
        return None
    circle = _circle(away.astype(np.float32), contrast, inside, lids, origin, middle)
    if circle is None:
        return None
    centre, radius = circle[:2], float(circle[2])
    distance = np.hypot(s - centre[0], t - centre[1])
    beside = (np.abs(s) < 0.44 * lids.width) & (distance > radius + 0.06 * lids.width)
    shade = (patch @ _LUMINANCE) / np.maximum(white @ _LUMINANCE, 1)
    pads = lids.style.pad_up, lids.style.pad_down
    rims = [
        _rim(away * (shade < _SHADED), depth / steep[..., k], beside, 0.4 * contrast, lids.height, pad)
        for k, (depth, pad) in enumerate(zip((below_upper, above_lower), pads, strict=True))
    ]
    rims = [min(rim, most * lids.height) for rim, most in zip(rims, deepest, strict=True)]
    # No iris is quite round: what is not white and close to the circle belongs to it, and highlights within do. Beside
    # its upper half that may be lashes.
    free = (below_upper / steep[..., 0] > rims[0] - 0.5) & (above_lower / steep[..., 1] > rims[1] - 0.5)
    strange = away > np.where(t < centre[1], 0.4, 0.2) * contrast
    other = cv2.morphologyEx((free & strange).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3)))
    close = np.where(t < centre[1], 1.12, 1.4) * radius
    own = free & ((distance < radius) | ((other > 0) & (distance < close)))
    shape = np.zeros(own.shape, np.uint8)
    cv2.fillConvexPoly(shape, cv2.convexHull(np.argwhere(own)[:, ::-1].astype(np.int32)), 255)
    soft = max(0.015 * lids.width, 0.7)
    disc = cv2.GaussianBlur(shape, (0, 0), soft)
    result = white.copy()
    for k, (depth, rim) in enumerate(zip((below_upper, above_lower), rims, strict=True)):
        _edge(result, patch, s / lids.width, depth / steep[..., k], beside, rim)
    ring = 2 * round(0.03 * lids.width + 1) + 1
    near = cv2.dilate(shape, np.ones((ring, ring), np.uint8)) > 0
    near |= distance < radius + 0.03 * lids.width + 1
    # A plane is not quite what is seen beside the hole: what it lacks there runs out into it.
    lacks = (inside & ~near & (away < 0.15 * contrast)).astype(np.float32)
    wide = max(0.08 * lids.width, 1.5)
    spread = cv2.GaussianBlur((patch - result) * lacks[..., None], (0, 0), wide)
    result += spread / (cv2.GaussianBlur(lacks, (0, 0), wide) + 0.15)[..., None]
    hole = cv2.GaussianBlur(near.astype(np.float32), (0, 0), soft)
    hole *= np.clip(np.minimum(below_upper, above_lower) + 0.5, 0, 1)
    result = patch + hole[..., None] * (result - patch)
    return Iris(circle, disc, np.clip(result + 0.5, 0, 255).astype(np.uint8), (rims[0], rims[1]))


def _is_white(white: Float32, iris: UInt8) -> bool:
    """Whether what is beside the iris is lighter than it: eyes of animals have none to be seen."""
    light = white @ _LUMINANCE
    return bool(np.median(light) > max(float(np.median(iris @ _LUMINANCE)) + 25, 80))


def _circle(
    away: Float32, contrast: float, inside: np.ndarray, lids: Lids, origin: Float32, near: list[float]
) -> Float32 | None:
    """(3,) the circle near a place across whose edge colours change most into white, where the opening shows it."""
    width = lids.width
    radii = np.linspace(0.12, 0.42, 31, dtype=np.float32) * np.float32(width)
    step = max(0.03 * width, 1.0)
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    ring = np.stack([np.cos(angles), np.sin(angles)], -1)
    smooth = cv2.GaussianBlur(away, (0, 0), max(0.012 * width, 0.5))
    seen = inside.astype(np.float32)
    best, found = 0.0, None
    for du in np.linspace(-0.12, 0.12, 7) * width:
        for dv in np.linspace(-0.12, 0.12, 7) * width:
            x, y = near[0] + du, near[1] + dv

            def at(r: Float32, image: Float32, x: float = x, y: float = y) -> Float32:
                place = np.array([x, y]) + r[:, None, None] * ring
                points = lids.picture(place[..., 0].astype(np.float32), place[..., 1].astype(np.float32)) - origin
                return np.asarray(cv2.remap(image, points.astype(np.float32), None, cv2.INTER_LINEAR))

            counted = at(radii - step, seen) * at(radii + step, seen)
            outside = at(radii + step, smooth)
            rise = (at(radii - step, smooth) - outside) * counted
            right = counted[:, ring[:, 0] > 0].sum(1)
            left = counted[:, ring[:, 0] < 0].sum(1)
            score = rise.sum(1) / np.maximum(counted.sum(1), 1) * ((left > 3) & (right > 3))
            # A pupil ends in the iris, not in white; above and below are shadows of lids.
            for half in (ring[:, 0] > 0.5, ring[:, 0] < -0.5):
                flank = counted * half
                score *= ((outside < 0.28 * contrast) * flank).sum(1) > 0.6 * flank.sum(1)
            # A whole circle tells more than an arc.
            score *= np.sqrt(np.minimum(counted.sum(1) / 24, 1))
            k = int(score.argmax())
            if score[k] > best:
                best, found = float(score[k]), np.array([x, y, radii[k]], np.float32)
    if found is None or best < 0.4 * _LEAST_CONTRAST or max(-found[0], found[0]) + found[2] > 0.5 * width:
        return None  # a dot, or no white is seen beside it
    return found


def _rim(away: Float32, depth: Float32, beside: np.ndarray, limit: float, height: float, pad: float) -> float:
    """How deep a lid's edge is, pixels: where beside the iris the white begins, or as deep as the padding."""
    for rim in np.arange(0.04 * height + 1, (pad + 0.12) * height + 1, 0.5):
        there = beside & (depth > rim) & (depth <= rim + 1.5)
        if there.sum() >= 3 and float(np.median(away[there])) < limit:
            return float(rim)
    return pad * height + 1


def _edge(out: Float32, patch: UInt8, x: Float32, depth: Float32, beside: np.ndarray, rim: float) -> None:
    """Draws a lid's edge over the white, in place: by depth as it is beside the iris, from left to right."""
    levels = np.arange(-1.0, rim + 2.5)
    rows = []
    for side in (x < 0, x > 0):
        colours = [patch[beside & side & (np.abs(depth - level) <= 0.75)] for level in levels]
        if not any(len(c) for c in colours):
            continue
        known = [k for k, c in enumerate(colours) if len(c)]
        means = np.array([np.median(colours[k], axis=0) for k in known])
        rows.append(np.stack([np.interp(levels, levels[known], means[:, c]) for c in range(3)], -1))
    if not rows:
        return
    at = np.clip(depth - levels[0], 0, len(levels) - 1)
    low = np.minimum(at.astype(int), len(levels) - 2)
    part = (at - low)[..., None]
    sides = [row[low] + part * (row[low + 1] - row[low]) for row in rows]
    across = np.clip(x / 0.6 + 0.5, 0, 1)[..., None]
    colour = sides[0] + across * (sides[-1] - sides[0])
    share = np.clip(rim + 1.5 - depth, 0, 1)[..., None]
    out += (share * (colour - out)).astype(np.float32)


def _filled(patch: UInt8, x: Float32, y: Float32, seen: np.ndarray) -> Float32:
    """(h, w, 3) the white of the eye everywhere: a plane through its colours, without the darkest (veins, lashes)."""
    colours = patch[seen].astype(np.float32)
    light = colours @ _LUMINANCE
    # Each side by itself: one may lie in the shade.
    left = x[seen] < 0
    kept = light >= np.where(left, np.percentile(light[left], 70), np.percentile(light[~left], 70))
    terms = np.stack([np.ones_like(x), x, y], axis=-1)
    system = terms[seen][kept]
    flat = np.diag([0.0, 1.0, 1.0]).astype(np.float32) * np.float32(0.01 * len(system))
    white = terms @ np.linalg.solve(system.T @ system + flat, system.T @ colours[kept])
    low, high = np.percentile(colours[kept], [2, 98], axis=0)
    return np.asarray(cv2.GaussianBlur(np.clip(white, low, high).astype(np.float32), (0, 0), 1.0))
