"""The shape of an eye: its two lids as curves over its own columns, and how they slide when it closes."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np

from faceshot.animators.warp.curves import monotone_curve
from faceshot.animators.warp.eye_styles import EyeStyle, style_of
from faceshot.animators.warp.frame import F64
from faceshot.animators.warp.grid import sample
from faceshot.types import CharacterKind, Float32, UInt8

__all__ = ["Lids"]

COLUMNS = 128
_REACH = 0.75  # half-width of the column table in eye widths
_SIDE = 0.62  # half-width of what is redrawn
_STEEPEST = 2.0


class Lids:
    """Both lids of one eye.

    Convention:
        Local coordinates are s across and t down the eye, in pixels of the resting picture, about its middle.

    Args:
        corners: (2, 2) image-left and image-right corner.
        upper, lower: (2, 2) lid points, in order of the corners.
        brow: (5, 2) the brow above, None if there is none to be seen.
        lidded: see `style_of`.
    """

    def __init__(
        self,
        rgba: UInt8,
        corners: F64,
        upper: F64,
        lower: F64,
        brow: F64 | None,
        kind: CharacterKind,
        *,
        lidded: bool = False,
    ) -> None:
        chord = corners[1] - corners[0]
        self.width = 1.04 * float(np.linalg.norm(chord))
        self.axis_x = (chord / np.linalg.norm(chord)).astype(np.float32)
        self.axis_y = np.array([-self.axis_x[1], self.axis_x[0]], np.float32)
        self.middle = corners.mean(0).astype(np.float32)
        s = np.linspace(-_REACH, _REACH, COLUMNS) * self.width
        self.columns = s.astype(np.float32)
        up, low = self._curve(upper, s), self._curve(lower, s)
        low = np.maximum(low, up)
        height = float((low - up).max())
        style = style_of(kind, height, self.width, *self._brightness(rgba, up, low, s), lidded=lidded)
        self.style: EyeStyle = style
        bump = np.sqrt(np.maximum(1 - np.clip(np.abs(s) / (0.5 * self.width), 0, 1) ** 2, 0))
        self.upper = (up - style.pad_up * height * bump).astype(np.float32)
        self.lower = (low + style.pad_down * height * bump).astype(np.float32)
        self.height = max(float((self.lower - self.upper).max()), 1e-3)
        # (columns, 2) by how much either lid's edge is thicker down the eye than across itself.
        slopes = np.gradient(np.stack([self.upper, self.lower], -1), s, axis=0)
        self.steepness = np.minimum(np.hypot(1, slopes), _STEEPEST).astype(np.float32)
        # Lids of a tall eye do not meet along its whole depth: that would be a hook, not a line.
        self._depth = np.float32(np.clip(1.25 - 0.35 * self.height / self.width, 0.6, 1.0))
        self.meet_at(style.share)
        # Eyes as tall as wide, drawn wide open already, would become eggs.
        self._widening = float(np.clip(1.75 - 1.5 * self.height / self.width, 0.3, 1.0))
        self.brow = None if brow is None else np.stack([(brow - self.middle) @ a for a in (self.axis_x, self.axis_y)])
        above = 1.6 * max(min(height, 0.7 * self.width), 0.35 * self.width)
        if self.brow is not None:
            above = min(above, 0.75 * float(self.upper[COLUMNS // 2] - self.brow[1].mean()))
        self.strip = style.strip * height
        self.above = max(above, 0.35 * height, self.strip + 0.12 * height, 2.0)
        self.below = 0.8 * max(min(height, 0.6 * self.width), 0.3 * self.width)
        # Picture point (x, y, 1) -> column of the tables, and t.
        self.per_pixel = (COLUMNS - 1) / (2 * _REACH * self.width)
        rows = np.stack([self.axis_x * np.float32(self.per_pixel), self.axis_y])
        offset = np.array([(COLUMNS - 1) / 2, 0.0]) - rows @ self.middle
        self.to_local = np.concatenate([rows, offset[:, None]], axis=1).astype(np.float32)

    def _curve(self, lid: F64, s: F64) -> F64:
        """Lid height below the chord over the columns; 0 at and beyond the corners."""
        offset = lid - self.middle
        across, down = offset @ self.axis_x, offset @ self.axis_y
        order = np.argsort(across)
        across, down = across[order], down[order]
        half = self.width / 2
        across = np.clip(across, -0.9 * half, 0.9 * half)
        if across[1] - across[0] < 0.15 * self.width:
            across = across.mean() + np.array([-0.1, 0.1]) * self.width
        knots = np.array([-half, across[0], across.mean(), across[1], half])
        heights = np.array([0.0, down[0], 1.15 * down.mean(), down[1], 0.0])
        return np.where(np.abs(s) < half, monotone_curve(knots, heights, np.clip(s, -half, half)), 0.0)

    def meet_at(self, share: float) -> None:
        """Lets the lids meet so far down, 0 to 1 of the opening."""
        self._shut = self._closed_line(self.upper + share * (self.lower - self.upper)).astype(np.float32)

    def _closed_line(self, t: F64 | Float32) -> F64:
        """The even curve from corner to corner nearest to one over the columns: shut lids meet without a kink."""
        x = np.clip(self.columns / (0.5 * self.width), -1, 1).astype(np.float64)
        terms = np.stack([1 - x * x, x * (1 - x * x)], axis=-1)
        system = terms.T @ terms + np.diag([0.0, 0.3])
        return np.asarray(terms @ np.linalg.solve(system, terms.T @ t))

    def _brightness(self, rgba: UInt8, up: F64, low: F64, s: F64) -> tuple[Float32, float]:
        """Of samples of the opening, and mean of the skin below it."""
        columns, share = np.meshgrid(s[np.abs(s) < 0.4 * self.width], np.linspace(0.15, 0.85, 9))
        top, bottom = np.interp(columns, s, up), np.interp(columns, s, low)
        luminance = np.array([0.3, 0.59, 0.11], np.float32)

        def at(t: F64) -> Float32:
            colours = sample(rgba, self.picture(columns.astype(np.float32), t.astype(np.float32)))
            return np.asarray(colours[..., :3].astype(np.float32) @ luminance)

        skin = at(bottom + 0.6 * float((low - up).max()))
        return at(top * (1 - share) + bottom * share), float(skin.mean())

    def local(self, points_xy: Float32) -> tuple[Float32, Float32, Float32]:
        """s and t of picture points (h, w, 2), and (h, w, 2) where the column tables hold their lids."""
        table_at = cv2.transform(points_xy, self.to_local)
        t = np.ascontiguousarray(table_at[..., 1])
        table_at[..., 1] = 0
        s = (table_at[..., 0] - np.float32((COLUMNS - 1) / 2)) * np.float32(1 / self.per_pixel)
        return s, t, table_at

    def picture(self, s: Float32, t: Float32) -> Float32:
        """(..., 2) picture points of local coordinates."""
        x = self.middle[0] + s * self.axis_x[0] + t * self.axis_y[0]
        y = self.middle[1] + s * self.axis_x[1] + t * self.axis_y[1]
        return np.stack([x, y], axis=-1)

    @cached_property
    def box(self) -> Float32:
        """(9, 2) points around all that the lids may change, in the resting picture."""
        s = np.array([-_SIDE, 0.0, _SIDE], np.float32) * self.width
        top, bottom = self.upper.min() - self.above, self.lower.max() + self.below
        return np.concatenate([self.picture(s, np.full(3, t, np.float32)) for t in (top, (top + bottom) / 2, bottom)])

    def rest_at(self, table_at: Float32) -> Float32:
        """(h, w, 2) upper and lower lid at rest."""
        return sample(np.stack([self.upper, self.lower], axis=-1)[None], table_at)

    def table(self, opening: float) -> Float32:
        """(columns, 4) upper and lower lid for an opening, and at rest."""
        return np.stack([*self.curves(opening), self.upper, self.lower], axis=-1)

    def curves(self, opening: float) -> tuple[Float32, Float32]:
        """Upper and lower lid over the columns for an opening of 0 (shut) to 1.6; equal when shut."""
        span = self.lower - self.upper
        if opening >= 1:
            more = np.float32(self._widening * (opening - 1))
            return self.upper - np.float32(0.4) * more * span, self.lower + np.float32(0.06) * more * span
        closing = np.float32(1 - opening)
        shut = self._depth * (self.upper + np.float32(self.style.share) * span if self.style.squash else self._shut)
        rising = closing ** (1 + np.float32(2.5) * (1 - self._depth))  # the lower lid of such an eye comes last
        upper, lower = self.upper + closing * (shut - self.upper), self.lower + rising * (shut - self.lower)
        if self.style.squash:
            # The line it ends as keeps a thickness and bows, as closed drawn eyes do.
            bow = np.float32(0.22) * closing * closing * (span - np.float32(0.5 * self.height))
            thick = np.float32(0.08) * closing * span
            return upper - thick - bow, lower + thick - bow
        return upper, lower
