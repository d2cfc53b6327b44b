"""The lip line: the curve along which the mouth opens, in a frame of its own (s across, t down)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceshot.animators.warp.curves import monotone_curve
from faceshot.animators.warp.frame import F64, FaceFrame

__all__ = ["LipLine", "lip_line"]

_OPEN_FROM = 0.06  # mean inner gap in mouth widths above which the picture's mouth counts as open


@dataclass(frozen=True, slots=True, eq=False)
class LipLine:
    """Both inner lip curves of the resting mouth.

    Attributes:
        middle: (2,) midpoint of the mouth corners, picture pixels.
        axis_x, axis_y: (2,) unit vectors along and down the mouth.
        width: distance of the corners.
        knots: (n,) places across, in pixels from `middle`, from corner to corner.
        upper: (n,) the upper inner lip there, pixels below the chord.
        lower: (n,) the lower one; the same curve when the mouth is closed.
        is_open: whether the picture shows the mouth's inside.
        lift: (2,) how far the outer upper and lower lip borders are from the line, pixels.
    """

    middle: F64
    axis_x: F64
    axis_y: F64
    width: float
    knots: F64
    upper: F64
    lower: F64
    is_open: bool
    lift: tuple[float, float]

    def local(self, points_xy: NDArray[np.floating]) -> tuple[F64, F64]:
        offset = points_xy - self.middle
        return offset @ self.axis_x, offset @ self.axis_y

    def line(self, across: F64) -> F64:
        """Middle of the inner lips."""
        return np.interp(across, self.knots, (self.upper + self.lower) / 2)

    def across(self, points_xy: F64) -> F64:
        return self.local(points_xy)[0]

    def below(self, points_xy: F64) -> F64:
        """Pixels below the line (negative above)."""
        across, down = self.local(points_xy)
        return down - self.line(across)

    def side(self, points_xy: F64) -> F64:
        """-1 above the line or its continuation, 1 below."""
        return np.where(self.below(points_xy) < 0, -1.0, 1.0)

    def within(self, points_xy: F64) -> NDArray[np.bool_]:
        """Whether points lie in the mouth's columns."""
        across = self.across(points_xy)
        return (across > self.knots[0]) & (across < self.knots[-1])

    def point(self, across: F64, below: float) -> F64:
        down = self.line(across) + below
        return self.middle + across[:, None] * self.axis_x + down[:, None] * self.axis_y


def lip_line(points: F64, visible: NDArray[np.bool_], frame: FaceFrame) -> LipLine | None:
    """None when the character shows no mouth or one too small to open."""
    if not visible[48:68].all():
        return None
    left, right = 0.35 * points[48] + 0.65 * points[60], 0.35 * points[54] + 0.65 * points[64]
    chord = right - left
    width = float(np.linalg.norm(chord))
    if width < max(4.0, 0.04 * frame.width) or chord @ frame.axis_x < 0.3 * width:
        return None
    axis_x = chord / width
    axis_y = np.array([-axis_x[1], axis_x[0]])
    middle = (left + right) / 2

    def curve(indices: tuple[int, ...]) -> F64:
        offset = points[list(indices)] - middle
        s = np.concatenate([[-width / 2], offset @ axis_x, [width / 2]])
        t = np.concatenate([[0.0], offset @ axis_y, [0.0]])
        order = np.argsort(s)
        s, t = s[order], t[order]
        keep = np.concatenate([[True], np.diff(s) > 0.02 * width]) & (np.abs(s) <= width / 2 + 1e-6)
        s, t = s[keep], t[keep]
        s[0], t[0] = -width / 2, 0.0
        s[-1], t[-1] = width / 2, 0.0
        return monotone_curve(s, t, knots) if len(s) > 1 else np.zeros_like(knots)

    knots = np.linspace(-width / 2, width / 2, 65)
    upper, lower = curve((61, 62, 63)), curve((67, 66, 65))
    gap = float((lower - upper).mean())
    is_open = gap > _OPEN_FROM * width
    if not is_open:
        upper = lower = (upper + lower) / 2
    lower = np.maximum(lower, upper)
    centre = (upper + lower)[32] / 2
    lift_up = max(float(centre - (points[51] - middle) @ axis_y), 0.02 * width)
    lift_down = max(float((points[57] - middle) @ axis_y - centre), 0.02 * width)
    return LipLine(middle, axis_x, axis_y, width, knots, upper, lower, is_open, (lift_up, lift_down))
