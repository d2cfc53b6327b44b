"""Monotone cubic curves through a few points: lids and lips."""

from __future__ import annotations

import numpy as np

from faceshot.animators.warp.frame import F64

__all__ = ["monotone_curve"]


def monotone_curve(knots: F64, values: F64, at: F64) -> F64:
    """Values between the knots, without overshoot (piecewise cubic Hermite after Fritsch and Butland).

    Args:
        knots: (n,) increasing, at least two.
        at: where, between the first and the last knot.
    """
    step, rise = np.diff(knots), np.diff(values)
    secant = rise / step
    slope = np.zeros_like(knots)
    if len(knots) == 2:
        slope[:] = secant[0]
    else:
        w1, w2 = 2 * step[1:] + step[:-1], step[1:] + 2 * step[:-1]
        same = secant[:-1] * secant[1:] > 0
        inner = np.zeros_like(w1)
        inner[same] = (w1 + w2)[same] / (w1[same] / secant[:-1][same] + w2[same] / secant[1:][same])
        slope[1:-1] = inner
        slope[0] = _end_slope(step[0], step[1], secant[0], secant[1])
        slope[-1] = _end_slope(step[-1], step[-2], secant[-1], secant[-2])
    piece = np.clip(np.searchsorted(knots, at, side="right") - 1, 0, len(knots) - 2)
    x = (at - knots[piece]) / step[piece]
    y0, y1, m0, m1 = values[piece], values[piece + 1], slope[piece] * step[piece], slope[piece + 1] * step[piece]
    return np.asarray(
        (1 + 2 * x) * (1 - x) ** 2 * y0 + x * x * (3 - 2 * x) * y1 + x * (1 - x) ** 2 * m0 - x * x * (1 - x) * m1
    )


def _end_slope(near: float, far: float, secant: float, next_secant: float) -> float:
    slope = ((2 * near + far) * secant - near * next_secant) / (near + far)
    if slope * secant <= 0:
        return 0.0
    if secant * next_secant <= 0 and abs(slope) > 3 * abs(secant):
        return 3 * secant
    return float(slope)
