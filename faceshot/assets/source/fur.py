"""Fur and plush: tens of thousands of short tapered strokes that follow the surface."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

SIZE = 1024


def comb(
    rgba: np.ndarray,
    normals: np.ndarray,
    materials: Sequence[int],
    length: float,
    count: int,
    centre: tuple[float, float] = (512, 520),
    curl: float = 0.25,
    contrast: float = 0.10,
    seed: int = 1,
) -> np.ndarray:
    """The picture with fur on the given materials.

    Args:
        rgba, normals: as `solid.render` gives them.
        length: of a hair in pixels; hairs that face the viewer look shorter.
        centre: the point that the fur grows away from (the nose), pixels.
        curl: bend of a hair, radians of standard deviation.
        contrast: lightness variation between hairs.
    """
    rng = np.random.default_rng(seed)
    furry = np.isin(normals[..., 3], materials) & (rgba[..., 3] > 100)
    ys, xs = np.nonzero(furry)
    chosen = rng.choice(len(ys), count)
    y, x = ys[chosen], xs[chosen]
    n = normals[y, x, :3]
    away = np.stack([x - centre[0], (y - centre[1]) * 1.0 + 40], 1).astype(float)
    distance = np.hypot(*away.T)
    away /= np.maximum(distance, 1)[:, None]
    flow = 0.75 * away + 0.75 * np.stack([n[:, 0], -n[:, 1]], 1) + (0, 0.18)
    angle = np.arctan2(flow[:, 1], flow[:, 0]) + rng.normal(0, 0.22, count)
    bend = rng.normal(0, curl, count)
    long = length * rng.uniform(0.55, 1.15, count) * (0.55 + 0.45 * np.hypot(n[:, 0], n[:, 1]))
    base = cv2.GaussianBlur(_bleed(rgba), (0, 0), 1.2)[y, x].astype(float)
    tone = 1 + contrast * rng.normal(0, 1, count)
    warm = 1 + 0.02 * rng.normal(0, 1, (count, 3))
    colours = np.clip(base * tone[:, None] * warm, 0, 255)
    # From the rim inwards: the tips of inner hairs lie over the roots of outer ones.
    order = np.argsort(-distance + rng.normal(0, 18, count))
    canvas = cv2.resize(rgba, (2 * SIZE, 2 * SIZE), interpolation=cv2.INTER_LINEAR)
    t = np.linspace(0, 1, 5)
    turn = angle[:, None] + bend[:, None] * t
    step = (long / 4)[:, None]
    px = x[:, None] + np.concatenate([np.zeros((count, 1)), np.cumsum(np.cos(turn[:, 1:]) * step, 1)], 1)
    py = y[:, None] + np.concatenate([np.zeros((count, 1)), np.cumsum(np.sin(turn[:, 1:]) * step, 1)], 1)
    lines = np.round(np.stack([px, py], -1) * 2).astype(np.int32)
    for i in order:
        c = colours[i]
        cv2.polylines(canvas, [lines[i, :4]], False, (*c, 255), 2)
        cv2.polylines(canvas, [lines[i, 3:]], False, (*np.minimum(c * 1.06, 255), 255), 1)
    small = canvas.astype(np.float32)
    small[..., :3] *= small[..., 3:] / 255
    small = cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    small[..., :3] /= np.maximum(small[..., 3:] / 255, 1e-3)
    return np.clip(small + 0.5, 0, 255).astype(np.uint8)


def _bleed(rgba: np.ndarray) -> np.ndarray:
    """Colours carried outwards over the transparent part."""
    weight = (rgba[..., 3:] / 255.0).astype(np.float32)
    far = cv2.GaussianBlur(rgba[..., :3] * weight, (0, 0), 4) / (cv2.GaussianBlur(weight, (0, 0), 4)[..., None] + 1e-3)
    return (rgba[..., :3] * weight + far * (1 - weight)).astype(np.uint8)
