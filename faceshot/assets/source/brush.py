"""A painter's hand: the picture again in brush strokes, from broad to fine, along the edges of what it shows."""

from __future__ import annotations

import cv2
import numpy as np

SIZE = 1024


def paint(rgba: np.ndarray, keep: np.ndarray, seed: int = 3) -> np.ndarray:
    """Brush strokes over everything but where `keep` (1024, 1024) in 0..1 is high (eyes, mouth)."""
    rng = np.random.default_rng(seed)
    colour = rgba[..., :3].astype(np.float32)
    alpha = rgba[..., 3].astype(np.float32) / 255
    canvas = cv2.resize(colour, None, fx=2, fy=2)
    for width, length, count, sigma in ((15, 44, 9000, 5.0), (8, 30, 20000, 2.5), (4, 20, 32000, 1.2)):
        soft = cv2.GaussianBlur(colour, (0, 0), sigma)
        grey = cv2.GaussianBlur(cv2.cvtColor(soft, cv2.COLOR_RGB2GRAY), (0, 0), 2 * sigma)
        gx, gy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
        # Structure tensor: gradients on both sides of a strand of hair agree in it instead of cancelling.
        xx, xy, yy = (cv2.GaussianBlur(g, (0, 0), 5) for g in (gx * gx, gx * gy, gy * gy))
        along = 0.5 * np.arctan2(2 * xy, xx - yy) + np.pi / 2
        detail = np.sqrt(xx + yy)
        ys, xs = np.nonzero(alpha > 0.5)
        chosen = rng.choice(len(ys), count)
        for x, y in zip(xs[chosen], ys[chosen], strict=True):
            if keep[y, x] > 0.6 or (width > 4 and keep[y, x] > 0.15 * rng.uniform(0.5, 1.5)):
                continue
            flat = detail[y, x] < 5  # nothing to follow: the hand's own diagonal
            angle = (0.9 + 0.0012 * x if flat else along[y, x]) + rng.normal(0, 0.16)
            c = soft[y, x] * (1 + rng.normal(0, 0.018)) + rng.normal(0, 1.6, 3)
            dx, dy = np.cos(angle) * length * 0.5, np.sin(angle) * length * 0.5
            a, b = (int(2 * (x - dx)), int(2 * (y - dy))), (int(2 * (x + dx)), int(2 * (y + dy)))
            cv2.line(canvas, a, b, tuple(float(v) for v in c), width)
    painted = cv2.resize(canvas, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    share = (0.72 * (1 - keep))[..., None]
    out = rgba.copy()
    out[..., :3] = np.clip(painted * share + colour * (1 - share) + 0.5, 0, 255).astype(np.uint8)
    return out
