"""Filling a hole with the skin around it: the lid of an eye, the wall behind a moving dot."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faceshot.types import Float32, UInt8

__all__ = ["fill_with_skin", "grain_like", "typical_skin", "with_lash_tips"]


def typical_skin(rgb: UInt8, ring: NDArray[np.bool_]) -> tuple[Float32, float]:
    """Median colour of a ring of pixels and how far the closer half of them strays from it."""
    if ring.any():
        colours = rgb[ring].astype(np.float32)
    else:
        colours = rgb.reshape(-1, 3).astype(np.float32)
    median = np.median(colours, axis=0)
    distance = np.linalg.norm(colours - median, axis=1)
    bright = colours[distance <= np.percentile(distance, 60)]
    median = np.median(bright, axis=0)
    spread = float(np.median(np.linalg.norm(bright - median, axis=1)))
    return median.astype(np.float32), max(spread, 10.0)


def fill_with_skin(rgb: UInt8, hole: NDArray[np.bool_], ring: NDArray[np.bool_]) -> UInt8:
    """A copy in which `hole` is filled smoothly from around it.

    Pixels that do not look like the ring's typical colour (lashes, brows, hair) hardly count, so no streaks are drawn
    into the lid. A push-pull pyramid; cheap at any size.

    Args:
        ring: pixels around the hole that define what skin looks like.
    """
    skin, spread = typical_skin(rgb, ring)
    image = rgb.astype(np.float32)
    distance = np.linalg.norm(image - skin, axis=-1) / (3.0 * spread)
    weight = (1 / (1 + distance * distance)).astype(np.float32)
    weight[hole] = 0.0
    levels = [(image * weight[..., None], weight)]
    while min(levels[-1][1].shape) > 2:
        colour, w = levels[-1]
        colour = cv2.GaussianBlur(colour, (5, 5), 1.0)
        w = cv2.GaussianBlur(w, (5, 5), 1.0)
        size = ((w.shape[1] + 1) // 2, (w.shape[0] + 1) // 2)
        levels.append(
            (cv2.resize(colour, size, interpolation=cv2.INTER_AREA), cv2.resize(w, size, interpolation=cv2.INTER_AREA))
        )
    colour, w = levels[-1]
    filled = colour / np.maximum(w, 1e-7)[..., None]
    for colour, w in levels[-2::-1]:
        upper = cv2.resize(filled, (w.shape[1], w.shape[0]), interpolation=cv2.INTER_CUBIC)
        trust = np.clip(w * 2.0, 0, 1)[..., None]
        filled = np.where(w[..., None] > 1e-6, colour / np.maximum(w, 1e-6)[..., None], 0) * trust + upper * (1 - trust)
    filled = np.clip(filled, 0, 255)
    # The filling takes over softly at the edge of the hole.
    soft = cv2.GaussianBlur(hole.astype(np.float32), (0, 0), max(1.2, 0.02 * float(np.sqrt(hole.sum()))))
    soft = np.clip(soft * 2.0, 0, 1)[..., None]
    return np.clip(filled * soft + image * (1 - soft) + 0.5, 0, 255).astype(np.uint8)


def grain_like(rgb: UInt8, ring: NDArray[np.bool_], hole: NDArray[np.bool_]) -> Float32:
    """(H, W, 1) faint noise inside a hole, as strong as that of the ring around it: a lid without it looks waxed."""
    image = rgb.astype(np.float32).mean(-1)
    residual = (image - cv2.GaussianBlur(image, (0, 0), 1.5))[ring]
    sigma = float(np.median(np.abs(residual))) if ring.any() else 0.0
    noise = np.random.default_rng(0).normal(0.0, min(sigma, 2.5), image.shape).astype(np.float32)
    return (noise * hole)[..., None]


def with_lash_tips(
    rgb: UInt8, hole: NDArray[np.bool_], zone: NDArray[np.bool_], ring: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """The hole and the small dark strokes of `zone` that touch it: lash tips would float when the lid has gone."""
    weights = np.array([0.3, 0.59, 0.11])
    skin, _ = typical_skin(rgb, ring)
    dark = (rgb @ weights < float(skin @ weights) - 30) & zone & ~hole
    count, labels, stats, _ = cv2.connectedComponentsWithStats(dark.astype(np.uint8))
    reach = max(3, round(0.02 * float(np.sqrt(hole.sum())))) | 1
    near = cv2.dilate(hole.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0
    small = stats[:, cv2.CC_STAT_AREA] < 0.06 * hole.sum()
    small[0] = False
    touching = np.zeros(count, bool)
    touching[np.unique(labels[near])] = True
    tips = (small & touching)[labels]
    return hole | (cv2.dilate(tips.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0)
