"""Eyes as parts: a lid that slides over the eyeball column by column, and an eyeball that the lids clip.

Everything happens in the resting picture's coordinates: the field of head and face has already said which resting
point a pixel shows; the lid map, monotone in every column and in closed form, then says what is seen there.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from faceshot.animators.warp.frame import F64, FaceFrame
from faceshot.animators.warp.grid import sample
from faceshot.animators.warp.lid_skin import make_lid_skin
from faceshot.animators.warp.lids import Lids, unit
from faceshot.types import CharacterKind, Float32, UInt8

__all__ = ["Eye", "make_eye"]

_HALF = np.float32(0.5)


class Eye:
    """One eye of a character, ready to be drawn.

    Args:
        looks: whether it has a pupil that can glance.
    """

    def __init__(self, rgba: UInt8, lids: Lids, kind: CharacterKind, brow_half: float, looks: bool) -> None:
        self.lids = lids
        self._looks = looks
        self._skin = make_lid_skin(rgba, lids, kind, brow_half)

    def is_still(self, opening: float, gaze: Float32) -> bool:
        return abs(opening - 1) < 0.01 and not self._glances(gaze)

    def _glances(self, gaze: Float32) -> bool:
        return self._looks and bool(np.abs(gaze).max() * self.lids.width > 0.1)

    def draw(self, out: UInt8, at: Float32, opening: float, gaze: Float32) -> None:
        """Paints the eye over `out` (h, w, 4), in place.

        Args:
            at: (h, w, 2) resting picture point that each pixel shows.
            opening: 0 to 1.6.
            gaze: (2,) shift in eye widths.
        """
        lids, style = self.lids, self.lids.style
        # Lid distances and shifts are smooth: every other pixel is enough, only masks and colours need all of them.
        size = (at.shape[1], at.shape[0])
        s, t, table_at = lids.local(cv2.resize(at, (size[0] // 2, size[1] // 2), interpolation=cv2.INTER_AREA))
        upper_shift, lower_shift, below_upper_2, above_lower_2, rest = lids.slide(t, table_at, opening)
        side = _HALF * np.float32(lids.width) - np.abs(s)
        fine = cv2.resize(cv2.merge([below_upper_2, above_lower_2, side, upper_shift]), size)
        below_upper, above_lower, side, upper_shift = cv2.split(fine)
        patch_at = cv2.subtract(at, (*map(float, self._skin.origin), 0.0, 0.0))
        closing = min(max(1 - opening, 0.0), 1.0)
        rgb = out[..., :3]
        shown: UInt8 = rgb
        if abs(opening - 1) >= 0.01:
            # Where the lids meet, each keeps its own half.
            of_lower = above_lower < below_upper
            shift = np.where(of_lower, cv2.resize(lower_shift, size), upper_shift)
            shown = self._lid(patch_at, self._shifted(patch_at, shift), below_upper, above_lower, of_lower, closing)
        inside = unit(np.minimum(np.minimum(below_upper, above_lower) + _HALF, side))
        x, y, w, h = cv2.boundingRect((inside > 0).view(np.uint8))
        if w > 0:
            ball = (slice(y, y + h), slice(x, x + w))
            coarse = (slice(y // 2, (y + h + 1) // 2), slice(x // 2, (x + w + 1) // 2))
            moved = self._ball_shift(
                s[coarse], t[coarse], below_upper_2[coarse], above_lower_2[coarse], rest[coarse], opening, gaze
            )
            there = patch_at[ball]
            if moved is not None:
                block = cv2.resize(moved, (2 * moved.shape[1], 2 * moved.shape[0]))
                top, left = y - 2 * coarse[0].start, x - 2 * coarse[1].start
                there = there + block[top : top + h, left : left + w]
            lidless = self._ball(there, below_upper[ball], opening)
            under = np.ascontiguousarray(inside[ball])
            shown[ball] = cv2.blendLinear(lidless, np.ascontiguousarray(shown[ball]), under, 1 - under)
        if style.line > 0 and closing > 0.7 and not style.squash:
            thick = np.float32(max(0.5 * style.line * lids.height, 0.7))
            taper = np.minimum(side * np.float32(1 / (0.12 * lids.width)), np.float32(1.0))
            ink = unit(thick * taper - np.abs(below_upper - above_lower) * _HALF + _HALF)
            ink *= np.float32(style.line_strength * _smooth(closing, 0.75, 0.98))
            shown = cv2.blendLinear(self._plain(shown), shown, ink, 1 - ink)
        if shown is not rgb:
            cv2.mixChannels([shown], [out], [0, 0, 1, 1, 2, 2])

    def _lid(
        self,
        patch_at: Float32,
        there: Float32,
        below_upper: Float32,
        above_lower: Float32,
        of_lower: NDArray[np.bool_],
        closing: float,
    ) -> UInt8:
        """(h, w, 3) the surroundings of the eye as the lids move over it."""
        amount = _smooth(closing, 0.05, 0.40)
        if amount == 0:
            return sample(self._skin.patch, there)
        # Bare skin, with only what is darker than skin (lashes, lid line) carried along: no stretched sockets and
        # no slivers of white where the eye is wider than its landmarks.
        bare = self._bare(patch_at, there, below_upper, above_lower, of_lower, closing)
        if amount == 1:
            return bare
        return cv2.addWeighted(sample(self._skin.patch, there), 1 - amount, bare, amount, 0)

    def _plain(self, like: UInt8) -> UInt8:
        line = np.empty_like(like)
        line[:] = self._skin.line_rgb
        return line

    def _bare(
        self,
        patch_at: Float32,
        there: Float32,
        below_upper: Float32,
        above_lower: Float32,
        of_lower: NDArray[np.bool_],
        closing: float,
    ) -> UInt8:
        lids, skin = self.lids, self._skin
        bare = sample(skin.plate, patch_at)
        if lids.style.squash:
            return bare
        ink = sample(skin.ink, there, cv2.BORDER_CONSTANT)
        strip = np.float32(max(lids.strip, 1.0))
        # Beyond the strip above, or a thin rim beneath, what is dark does not belong to the lids.
        rim = np.float32(0.10 * lids.height)
        beyond = np.where(of_lower, -above_lower - rim, -below_upper - strip)
        weight = unit(1 - beyond * np.float32(1 / (0.2 * lids.strip + 1)))
        if lids.style.rim_fades > 0:  # shut lids have one lash line, not two
            weight -= weight * of_lower * np.float32(lids.style.rim_fades * _smooth(closing, 0.4, 1.0))
        return cv2.subtract(bare, cv2.blendLinear(ink, np.zeros_like(ink), weight, 1 - weight))

    def _ball_shift(
        self,
        s: Float32,
        t: Float32,
        below_upper: Float32,
        above_lower: Float32,
        rest: Float32,
        opening: float,
        gaze: Float32,
    ) -> Float32 | None:
        """(h, w, 2) px from where an eyeball pixel is to where it comes from; None while it rests."""
        lids, style = self.lids, self.lids.style
        upper, lower = rest[..., 0], rest[..., 1]
        from_s, from_t = s, t
        if opening > 1 or style.squash:
            # Scaled to the new opening, so that there is no hole to fill.
            from_t = upper + below_upper * (lower - upper) / np.maximum(below_upper + above_lower, np.float32(1e-3))
        if self._glances(gaze):
            gaze_x = np.float32(_within(gaze[0], 0.16) * lids.width)
            gaze_y = np.float32(_within(gaze[1], min(0.06, 0.15 * lids.height / lids.width)) * lids.width)
            # The middle moves as a whole; towards the lids points keep their place between them, and what lies beneath
            # the lids' own edges (lashes, rims) does not move at all.
            reach = np.maximum(1 - (s * np.float32(2 / lids.width)) ** 2, np.float32(0.0))
            rim_up = np.float32(style.pad_up * lids.height + 1.0)
            rim_down = np.float32(style.pad_down * lids.height + 1.0)
            fade = np.float32(0.2)  # per pixel; steeper would be jagged at every other pixel
            reach *= unit(np.minimum(from_t - upper - rim_up, lower - rim_down - from_t) * fade)
            from_s = s - gaze_x * reach
            there = lids.rest_at(lids.table_at(from_s))
            place = unit((from_t - upper) / np.maximum(lower - upper, np.float32(1.0)))
            edge = (2 * place - 1) ** 2
            kept = there[..., 0] + place * (there[..., 1] - there[..., 0])
            from_t = from_t + edge * (kept - from_t) - gaze_y * reach * (1 - edge)
        if from_t is t:
            return None
        to_picture = np.stack([lids.axis_x, lids.axis_y], axis=1)
        return cv2.transform(cv2.merge([from_s - s, from_t - t]), to_picture)

    def _ball(self, there: Float32, below_upper: Float32, opening: float) -> UInt8:
        """(h, w, 3) the eyeball, shaded by the lid."""
        lids, style = self.lids, self.lids.style
        ball = sample(self._skin.patch, there)
        if style.squash:
            # Shut, it is one clean stroke.
            return cv2.addWeighted(ball, 1 - (flat := _smooth(1 - opening, 0.6, 0.95)), self._plain(ball), flat, 0)
        shade = style.shadow * _smooth(1 - opening, 0.0, 0.3)
        if shade > 0:
            light = 1 - np.float32(shade) * unit(1 - below_upper * np.float32(1 / (0.30 * lids.height)))
            ball = cv2.blendLinear(ball, np.zeros_like(ball), light, 1 - light)
        return ball

    def _shifted(self, patch_at: Float32, down: Float32) -> Float32:
        """(h, w, 2) points moved along the eye's own vertical."""
        across, along = self.lids.axis_y
        return cv2.add(patch_at, cv2.merge([down * across, down * along]))


def _within(value: float, limit: float) -> float:
    return min(max(float(value), -limit), limit) if np.isfinite(value) else 0.0


def _smooth(value: float, low: float, high: float) -> float:
    x = min(max((value - low) / (high - low), 0.0), 1.0)
    return x * x * (3 - 2 * x)


def make_eye(
    rgba: UInt8,
    frame: FaceFrame,
    points: F64,
    visible: NDArray[np.bool_],
    side: int,
    kind: CharacterKind,
) -> Eye | None:
    """The image-left (side 0) or image-right (1) eye; None if the character lacks it or it cannot be told open."""
    first, brow = 36 + 6 * side, slice(17 + 5 * side, 22 + 5 * side)
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
    seen_brow = points[brow] if visible[brow].all() else None
    lids = Lids(rgba, p[[0, 3]], p[[1, 2]], p[[5, 4]], seen_brow, kind)
    brow_half = min(0.06 * frame.width, 0.35 * lids.above)
    return Eye(rgba, lids, kind, brow_half, bool(visible[68 + side]))
