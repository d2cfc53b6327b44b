"""Eyes as parts: a lid that slides over the eyeball column by column, and an eyeball that the lids clip.

Everything happens in the resting picture's coordinates: the field of head and face has already said which resting
point a pixel shows; the lid map, monotone in every column and in closed form, then says what is seen there.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from faceshot.animators.warp.eye_styles import style_of
from faceshot.animators.warp.frame import F64, FaceFrame, as_float32
from faceshot.animators.warp.grid import sample
from faceshot.animators.warp.skin import fill_with_skin, grain_like, with_lash_tips
from faceshot.types import CharacterKind, Float32, UInt8

__all__ = ["Eye", "make_eye"]

_COLUMNS = 128
_REACH = 0.75  # half-width of the treated strip in eye widths


class Eye:
    """One eye of a character.

    Args:
        corners: (2, 2) image-left and image-right corner.
        upper, lower: (2, 2) lid points, in order of the corners.
    """

    def __init__(
        self, rgba: UInt8, frame: FaceFrame, corners: F64, upper: F64, lower: F64, brow: F64 | None, kind: CharacterKind
    ) -> None:
        chord = corners[1] - corners[0]
        self.width = 1.04 * float(np.linalg.norm(chord))
        self._axis_x = (chord / np.linalg.norm(chord)).astype(np.float32)
        self._axis_y = np.array([-self._axis_x[1], self._axis_x[0]], np.float32)
        self._middle = corners.mean(0).astype(np.float32)
        s = np.linspace(-_REACH, _REACH, _COLUMNS) * self.width
        up, low = self._curve(upper, s), self._curve(lower, s)
        low = np.maximum(low, up)
        height = float((low - up).max())
        style = style_of(kind, height, self.width, *self._brightness(rgba, up, low, s))
        self.style = style
        half = np.clip(np.abs(s) / (0.5 * self.width), 0, 1)
        bump = np.sqrt(np.maximum(1 - half**2, 0))
        self._upper = (up - style.pad_up * height * bump).astype(np.float32)
        self._lower = (low + style.pad_down * height * bump).astype(np.float32)
        self.height = max(float((self._lower - self._upper).max()), 1e-3)
        reach = max(height, 0.35 * self.width)
        above = 1.6 * reach
        if brow is not None:
            distance = float(self._upper[_COLUMNS // 2] - ((brow - self._middle) @ self._axis_y).mean())
            above = min(above, 0.75 * distance)
        strip = style.strip * height
        self._above = max(above, 0.35 * height, strip + 0.12 * height, 2.0)
        self._below = 0.8 * max(height, 0.3 * self.width)
        self._strip = strip
        self._lid_skin(rgba, kind)
        self._table_rest = np.stack([self._upper, self._lower], axis=-1)[None]

    def _curve(self, lid: F64, s: F64) -> F64:
        """Lid height below the chord over the columns; 0 at and beyond the corners."""
        offset = lid - self._middle
        across, down = offset @ self._axis_x, offset @ self._axis_y
        order = np.argsort(across)
        across, down = across[order], down[order]
        half = self.width / 2
        across = np.clip(across, -0.9 * half, 0.9 * half)
        if across[1] - across[0] < 0.15 * self.width:
            across = across.mean() + np.array([-0.1, 0.1]) * self.width
        knots = np.array([-half, across[0], across.mean(), across[1], half])
        heights = np.array([0.0, down[0], 1.15 * down.mean(), down[1], 0.0])
        return np.where(np.abs(s) < half, PchipInterpolator(knots, heights)(np.clip(s, -half, half)), 0.0)

    def _brightness(self, rgba: UInt8, up: F64, low: F64, s: F64) -> tuple[Float32, float]:
        """Of samples of the opening, and mean of the skin below it."""
        columns, share = np.meshgrid(s[np.abs(s) < 0.4 * self.width], np.linspace(0.15, 0.85, 9))
        top, bottom = np.interp(columns, s, up), np.interp(columns, s, low)
        luminance = np.array([0.3, 0.59, 0.11], np.float32)

        def at(t: F64) -> Float32:
            return _look(rgba, self._picture(as_float32(columns), as_float32(t))) @ luminance

        skin = at(bottom + 0.6 * float((low - up).max()))
        return at(top * (1 - share) + bottom * share), float(skin.mean())

    def _local(self, points_xy: Float32) -> tuple[Float32, Float32]:
        dx, dy = points_xy[..., 0] - self._middle[0], points_xy[..., 1] - self._middle[1]
        return dx * self._axis_x[0] + dy * self._axis_x[1], dx * self._axis_y[0] + dy * self._axis_y[1]

    def _picture(self, s: Float32, t: Float32) -> Float32:
        x = self._middle[0] + s * self._axis_x[0] + t * self._axis_y[0]
        y = self._middle[1] + s * self._axis_x[1] + t * self._axis_y[1]
        return np.stack([x, y], axis=-1)

    def box(self) -> Float32:
        """(n, 2) points around all that the lids may change, in the resting picture."""
        s = np.array([-0.6, 0.0, 0.6], np.float32) * self.width
        top, bottom = self._upper.min() - self._above, self._lower.max() + self._below
        return np.concatenate([self._picture(s, np.full(3, t, np.float32)) for t in (top, (top + bottom) / 2, bottom)])

    def _lid_skin(self, rgba: UInt8, kind: CharacterKind) -> None:
        """Around the eye: the picture with the opening filled by skin, what is darker than that, the lash colour."""
        rows, columns = rgba.shape[:2]
        box = self.box()
        pad = 0.5 * self.width
        x0, y0 = np.clip(np.floor(box.min(0) - pad).astype(int), 0, [columns - 2, rows - 2])
        x1, y1 = np.clip(np.ceil(box.max(0) + pad).astype(int), [x0 + 2, y0 + 2], [columns, rows])
        ys, xs = np.mgrid[y0:y1, x0:x1].astype(np.float32)
        s, t = self._local(np.stack([xs, ys], -1))
        u, low = np.interp(s, self._columns_of(), self._upper), np.interp(s, self._columns_of(), self._lower)
        grow_up, grow_down = (0.45, self.style.under) if self.style.skin else (0.15, 0.12)
        upward = min(grow_up * self.height + 0.5 * self._strip, 0.85 * self._above)
        edge = np.clip(1 - (np.abs(s) / (0.5 * self.width + 0.35 * self.height)) ** 6, 0, 1) ** 0.5
        hole = (t > u - upward * edge) & (t < low + grow_down * self.height * edge)
        hole &= edge > 0
        near = (np.abs(s) < 0.75 * self.width) & (t > u - 1.0 * self.height) & (t < low + 0.7 * self.height)
        patch: UInt8 = np.ascontiguousarray(rgba[y0:y1, x0:x1, :3])
        seen = rgba[y0:y1, x0:x1, 3] > 200
        if self.style.skin and not self.style.glows:
            zone = (np.abs(s) < 0.5 * self.width + 0.8 * self.height) & (t > u - self._above)
            hole = with_lash_tips(patch, hole, zone & (t < low), near & ~hole & seen)
        ring = near & ~hole & seen
        self._plate = fill_with_skin(patch, hole, ring)
        self._patch = patch
        self._ink = cv2.subtract(self._plate, patch)
        if kind in ("human", "animal"):
            self._plate = np.clip(self._plate + grain_like(patch, ring, hole) + 0.5, 0, 255).astype(np.uint8)
        self._patch_xy = np.array([x0, y0], np.float32)
        rim = (np.abs(s) < 0.5 * self.width) & (t > u - 0.15 * self.height) & (t < low + 0.1 * self.height)
        colours = patch[rim] if rim.any() else patch.reshape(-1, 3)
        luminance = colours @ np.array([0.3, 0.59, 0.11])
        if self.style.glows:
            luminance = -luminance
        self._line_rgb = np.median(colours[luminance <= np.percentile(luminance, 6)], axis=0).astype(np.uint8)

    def _columns_of(self) -> Float32:
        return (np.linspace(-_REACH, _REACH, _COLUMNS) * self.width).astype(np.float32)

    def curves(self, opening: float) -> tuple[Float32, Float32]:
        """Upper and lower lid over the columns for an opening of 0 (shut) to 1.6; equal when shut."""
        span = self._lower - self._upper
        if opening >= 1:
            return self._upper - np.float32(0.4 * (opening - 1)) * span, self._lower + np.float32(
                0.06 * (opening - 1)
            ) * span
        closing = np.float32(1 - opening)
        share = np.float32(self.style.share)
        upper, lower = self._upper + share * closing * span, self._lower - (1 - share) * closing * span
        if self.style.squash:
            # The line it ends as keeps a thickness and bows, as closed drawn eyes do.
            bow = np.float32(0.22 * closing * closing) * span
            thick = np.float32(0.5 * min(0.16, 1.0)) * span * closing
            return upper - thick - bow + np.float32(
                0.11
            ) * self.height * closing * closing, lower + thick - bow + np.float32(
                0.11
            ) * self.height * closing * closing
        return upper, lower

    def lid_map(self, s: Float32, t: Float32, opening: float) -> tuple[Float32, Float32, Float32, Float32]:
        """Where the lids' pixels come from.

        Args:
            s, t: (h, w) local coordinates of resting points, pixels.

        Returns:
            Source (t, same s), distances below the upper and above the lower lid as they are now, and (h, w, 2) the
            resting lids.
        """
        table = np.concatenate([np.stack(self.curves(opening), axis=-1)[None], self._table_rest], axis=-1)
        looked = sample(table, self._column(s))
        lids, rest = looked[..., :2], looked[..., 2:]
        un, ln, u, low = lids[..., 0], lids[..., 1], rest[..., 0], rest[..., 1]
        strip, above, below = np.float32(self._strip), np.float32(self._above), np.float32(self._below)
        # Above: still at the top, stretched down to the strip of lashes, which moves as it is.
        stretch = (above - strip) / np.maximum(un - u + (above - strip), np.float32(0.05) * above)
        top = u - above
        upper = np.where(t < un - strip, np.where(t < top, t, top + (t - top) * stretch), t - un + u)
        bottom = low + below
        lower = bottom - (bottom - t) * below / np.maximum(bottom - ln, np.float32(0.05) * below)
        lower = np.where(t > bottom, t, lower)
        # Where the lids meet, each keeps its own half.
        source = np.where(t + t < un + ln, upper, lower)
        return source, t - un, ln - t, rest

    def is_still(self, opening: float, gaze: Float32) -> bool:
        return abs(opening - 1) < 1e-3 and bool(np.abs(gaze).max() < 1e-3)

    def draw(self, out: UInt8, at: Float32, opening: float, gaze: Float32) -> None:
        """Paints the eye over `out` (h, w, 4), in place.

        Args:
            at: (h, w, 2) resting picture point that each pixel shows.
            opening: 0 to 1.6.
            gaze: (2,) shift in eye widths.
        """
        s, t = self._local(at)
        source, below_upper, above_lower, rest = self.lid_map(s, t, opening)
        closing = min(max(1 - opening, 0.0), 1.0)
        amount = _smooth(closing, 0.05, 0.45)
        there = self._patch_point(s, source)
        shown: UInt8 | None = sample(self._patch, there) if amount < 1 else None
        if amount > 0:
            # Bare skin, with only what is darker than skin (lashes, lid line) carried along: no stretched sockets and
            # no slivers of white where the eye is wider than its landmarks.
            bare = self._bare(at, there, below_upper, above_lower)
            shown = bare if shown is None else cv2.addWeighted(shown, 1 - amount, bare, amount, 0)
        half = np.float32(0.5)
        inside = np.minimum(np.minimum(below_upper, above_lower) + half, half * np.float32(self.width) - np.abs(s))
        inside = _unit(inside)
        if inside.any():
            ball = self._ball(s, t, below_upper, above_lower, rest, opening, gaze)
            shown = cv2.blendLinear(ball, shown, inside, 1 - inside)
        if self.style.line > 0 and closing > 0.7 and not self.style.squash:
            thick = np.float32(max(0.5 * self.style.line * self.height, 0.7))
            taper = (half * np.float32(self.width) - np.abs(s)) / np.float32(0.12 * self.width)
            ink = _unit(thick * np.minimum(taper, 1) - np.abs(below_upper - above_lower) * half + half)
            ink *= np.float32(_smooth(closing, 0.75, 0.98))
            line = np.empty_like(shown)
            line[:] = self._line_rgb
            shown = cv2.blendLinear(line, shown, ink, 1 - ink)
        out[..., :3] = shown

    def _bare(self, at: Float32, there: Float32, below_upper: Float32, above_lower: Float32) -> UInt8:
        bare = sample(self._plate, at - self._patch_xy)
        if self.style.squash:
            return bare
        ink = sample(self._ink, there, cv2.BORDER_CONSTANT)
        strip = np.float32(max(self._strip, 1.0))
        # Beyond the strip above, or a thin rim beneath, what is dark does not belong to the lids.
        rim = np.float32(0.10 * self.height)
        beyond = np.where(above_lower < below_upper, -above_lower - rim, -below_upper - strip)
        weight = _unit(1 - beyond * (1 / (np.float32(0.2) * strip + 1)))
        return cv2.subtract(bare, cv2.blendLinear(ink, np.zeros_like(ink), weight, 1 - weight))

    def _ball(
        self,
        s: Float32,
        t: Float32,
        below_upper: Float32,
        above_lower: Float32,
        rest: Float32,
        opening: float,
        gaze: Float32,
    ) -> UInt8:
        span = rest[..., 1] - rest[..., 0]
        if opening > 1 or self.style.squash:
            # Scaled to the new opening, so that there is no hole to fill.
            t = rest[..., 0] + below_upper * span / np.maximum(below_upper + above_lower, np.float32(1e-3))
        limit = np.array([0.16, min(0.06, 0.15 * self.height / self.width)])
        gaze_x, gaze_y = (np.clip(np.nan_to_num(gaze), -limit, limit) * self.width).astype(np.float32)
        if gaze_x or gaze_y:
            # The middle moves as a whole; towards the lids points keep their place between them, so that no lash is
            # drawn into the eye.
            reach = np.maximum(1 - (s * np.float32(2 / self.width)) ** 2, 0)
            s = s - gaze_x * reach
            there = sample(self._table_rest, self._column(s))
            place = _unit((t - rest[..., 0]) / np.maximum(span, np.float32(1.0)))
            edge = (2 * place - 1) ** 2
            kept = there[..., 0] + place * (there[..., 1] - there[..., 0])
            t = t + edge * (kept - t) - gaze_y * reach * (1 - edge)
        ball = sample(self._patch, self._patch_point(s, t))
        shade = self.style.shadow * _smooth(1 - opening, 0.0, 0.3)
        if shade > 0 and not self.style.squash:
            light = 1 - np.float32(shade) * _unit(1 - below_upper * np.float32(1 / (0.30 * self.height)))
            ball = cv2.blendLinear(ball, np.zeros_like(ball), light, 1 - light)
        return ball

    def _patch_point(self, s: Float32, t: Float32) -> Float32:
        """(h, w, 2) pixel of `_patch` for local coordinates."""
        point = np.empty((*s.shape, 2), np.float32)
        shift = self._middle - self._patch_xy
        point[..., 0] = s * self._axis_x[0] + (t * self._axis_y[0] + shift[0])
        point[..., 1] = s * self._axis_x[1] + (t * self._axis_y[1] + shift[1])
        return point

    def _column(self, s: Float32) -> Float32:
        column = np.zeros((*s.shape, 2), np.float32)
        column[..., 0] = s * np.float32((_COLUMNS - 1) / (2 * _REACH * self.width)) + np.float32((_COLUMNS - 1) / 2)
        return column


def _look(image: UInt8, at: Float32) -> Float32:
    """(h, w, 3) float32 colours of a picture at its own coordinates."""
    return sample(image, np.ascontiguousarray(at, np.float32))[..., :3].astype(np.float32)


def _unit(values: Float32) -> Float32:
    """Values limited to 0..1 (np.clip costs thrice as much on small arrays)."""
    return np.minimum(np.maximum(values, np.float32(0.0)), np.float32(1.0))


def _smooth(value: float, low: float, high: float) -> float:
    x = min(max((value - low) / (high - low), 0.0), 1.0)
    return x * x * (3 - 2 * x)


def make_eye(
    rgba: UInt8,
    frame: FaceFrame,
    points: F64,
    visible: NDArray[np.bool_],
    first: int,
    brow: tuple[int, int],
    kind: CharacterKind,
) -> Eye | None:
    """The eye whose landmarks are first ... first + 5; None if the character lacks it or it cannot be told open."""
    if not visible[first : first + 6].all():
        return None
    p = points[first : first + 6]
    width = float(np.linalg.norm(p[3] - p[0]))
    opening = float(np.linalg.norm(p[4:6].mean(0) - p[1:3].mean(0)))
    if (
        width < max(3.0, 0.02 * frame.width)
        or opening < max(1.0, 0.03 * width)
        or (p[3] - p[0]) @ frame.axis_x < 0.2 * width
    ):
        return None
    seen_brow = points[brow[0] : brow[1]] if visible[brow[0] : brow[1]].all() else None
    return Eye(rgba, frame, p[[0, 3]], p[[1, 2]], p[[5, 4]], seen_brow, kind)
