"""The mouth: two sheets that part along the lip line, and what is seen between them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from faceshot.animators.warp.frame import F64
from faceshot.animators.warp.grid import sample
from faceshot.animators.warp.lips import LipLine
from faceshot.types import CharacterKind, Float32, UInt8

__all__ = ["Mouth"]

_COLUMNS = 192
_REACH = 0.8  # half-width of the column table in mouth widths
_LUMINANCE = np.array([0.3, 0.59, 0.11], np.float32)


@dataclass(frozen=True, slots=True)
class _Interior:
    """Colours (RGB) and parts of a mouth's inside."""

    cavity: tuple[float, float, float]
    tongue: tuple[float, float, float]
    teeth: tuple[float, float, float] | None
    flat: bool


_INTERIORS: dict[CharacterKind, _Interior] = {
    "human": _Interior((48, 17, 20), (156, 72, 76), (226, 216, 204), False),
    "anime": _Interior((104, 30, 40), (222, 112, 112), (250, 246, 244), True),
    "animal": _Interior((44, 18, 22), (196, 104, 112), None, False),
    "emoji": _Interior((88, 32, 24), (226, 92, 92), None, True),
    "toy": _Interior((64, 26, 28), (190, 84, 88), None, True),
}


@dataclass(frozen=True, slots=True, eq=False)
class Gap:
    """Where the inside of the mouth is seen.

    Attributes:
        window: rows and columns of the treated box.
        cover: (h, w) 0..1, how much of it the lips still cover.
        below, above: (h, w) distance below the upper and above the lower lip, resting pixels.
        place: (h, w) place across the mouth, -1 to 1.
        at_upper, at_lower: (h, w, 2) resting point on either sheet.
        still: (h, w, 2) place across and down the mouth of a skull that no expression moves, pixels.
        arc: (3,) smooth curve along the upper lip, a polynomial of the place across.
        raised: how far the upper lip is above rest, pixels.
    """

    window: tuple[slice, slice]
    cover: Float32
    below: Float32
    above: Float32
    place: Float32
    at_upper: Float32
    at_lower: Float32
    still: tuple[Float32, Float32]
    arc: F64
    raised: float


class Mouth:
    """The mouth of a character, ready to be drawn.

    Args:
        light: (3,) the face's own colour, 0..255, and its brightest parts' brightness: the inside is lit like it.
    """

    def __init__(self, lips: LipLine, kind: CharacterKind, light: tuple[Float32, float]) -> None:
        self.lips = lips
        self._rest_arc = np.polyfit(lips.knots, lips.upper, 2)
        self._look = _INTERIORS[kind]
        skin, brightest = light
        luminance = float(skin @ _LUMINANCE)
        self._light = np.float32(np.clip(luminance / 150.0, 0.5, 1.1))
        # Teeth take half of the light's tint and are never much brighter than the brightest skin.
        self._teeth = np.zeros(3, np.float32)
        if self._look.teeth is not None:
            white = np.array(self._look.teeth, np.float32)
            tint = skin / max(luminance, 1.0)
            tint = tint / np.sqrt(max(float(tint @ tint) / 3, 1e-3))
            white = white * (1 + 0.35 * (tint - 1))
            self._teeth = white * min(1.0, (1.12 if kind == "human" else 1.2) * brightest / float(white @ _LUMINANCE))
        half = lips.width / 2
        s = np.linspace(-_REACH, _REACH, _COLUMNS) * lips.width
        # Distance to the nearer corner in mouth widths; negative outside.
        corner = (half - np.abs(s)) / lips.width
        reach = 0.05 * lips.width * np.clip(1 - corner / 0.16, 0, 1) ** 2
        reach = np.where(corner <= 0, 1e4, reach)
        upper, lower = np.interp(s, lips.knots, lips.upper), np.interp(s, lips.knots, lips.lower)
        fade = np.clip(corner / 0.05, 0, 1)
        # Columns: upper line, its covering edge; lower line, its covering edge; weight of the lower sheet.
        self._table_upper = np.stack([upper, upper + reach], -1).astype(np.float32)[None]
        self._table_lower = np.stack([lower, lower - reach, fade], -1).astype(np.float32)[None]
        self._axis_x, self._axis_y = lips.axis_x.astype(np.float32), lips.axis_y.astype(np.float32)
        self._middle = lips.middle.astype(np.float32)
        self._own_gap = float((lips.lower - lips.upper).max())

    def box(self) -> F64:
        """(n, 2) points around everything near the lips, in the resting picture."""
        width = self.lips.width
        across = np.array([-0.62, 0.0, 0.62]) * width
        lift_up, lift_down = self.lips.lift
        top = float(self.lips.upper.min()) - 0.5 * lift_up - 0.05 * width
        bottom = float(self.lips.lower.max()) + max(lift_down, 0.65 * width)
        rows = [
            self.lips.middle + across[:, None] * self.lips.axis_x + t * self.lips.axis_y for t in (top, 0.0, bottom)
        ]
        return np.concatenate(rows)

    def _local(self, at: Float32) -> tuple[Float32, Float32]:
        dx, dy = at[..., 0] - self._middle[0], at[..., 1] - self._middle[1]
        return dx * self._axis_x[0] + dy * self._axis_x[1], dx * self._axis_y[0] + dy * self._axis_y[1]

    def part(self, at_upper: Float32, at_lower: Float32, still: Float32, delta: Float32) -> tuple[Float32, Gap | None]:
        """Chooses for each pixel the sheet that shows there.

        Args:
            at_upper, at_lower: (h, w, 2) resting point that each pixel shows on either sheet.
            still: (h, w, 2) the same without any expression.
            delta: (70, 2) displacements of the landmarks.

        Returns:
            (h, w, 2) the resting point to show, and the part where neither sheet covers the mouth's inside.
        """
        su, tu = self._local(at_upper)
        sl, tl = self._local(at_lower)
        upper = sample(self._table_upper, self._column(su))
        lower = sample(self._table_lower, self._column(sl))
        below, above = tu - upper[..., 0], lower[..., 0] - tl
        of_lower = np.where(above < below, lower[..., 2], np.float32(0.0))
        shown: Float32 = cv2.blendLinear(at_lower, at_upper, of_lower, 1 - of_lower)
        half = np.float32(0.5)
        cover = np.clip(half - (tu - upper[..., 1]), 0, 1) + np.clip(half + (tl - lower[..., 1]), 0, 1)
        bare = cover < 1
        if not bare.any():
            return shown, None
        rows, columns = np.flatnonzero(bare.any(1)), np.flatnonzero(bare.any(0))
        window = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
        place = (su[window] + sl[window]) * np.float32(1.0 / self.lips.width)
        du, dl = np.maximum(below[window], 0), np.maximum(above[window], 0)
        raised = max(-float((delta[61:64] @ self._axis_y).mean()), 0.0)
        gap = Gap(
            window,
            np.minimum(cover[window], 1),
            du,
            dl,
            place,
            at_upper[window],
            at_lower[window],
            self._local(still[window]),
            self._arc(delta),
            raised,
        )
        return shown, gap

    def _arc(self, delta: Float32) -> F64:
        """(3,) parabola through the resting upper lip, carried along: teeth are even and rigid, however a lip curls."""
        arc = self._rest_arc.copy()
        moved = delta[61:64]
        arc[1] += 0.5 * float(moved[2] @ self._axis_y - moved[0] @ self._axis_y) / (0.5 * self.lips.width)
        arc[2] += float((moved @ self._axis_y).mean())
        return arc

    def _column(self, s: Float32) -> Float32:
        column = s * np.float32((_COLUMNS - 1) / (2 * _REACH * self.lips.width)) + np.float32((_COLUMNS - 1) / 2)
        at: Float32 = cv2.merge([column, np.zeros_like(column)])
        return at

    def draw(self, out: UInt8, texture: UInt8, gap: Gap) -> None:
        """Paints the inside of the mouth over `out` (h, w, 4), the gap's window, in place."""
        # The picture's own inside stretches well to twice its height; beyond, a drawn one takes over.
        own = 0.0
        if self.lips.is_open:
            wide = float((gap.below + gap.above).max()) / max(self._own_gap, 1e-3)
            own = float(np.clip((2.8 - wide) / 1.0, 0, 1))
        inside = self._drawn_inside(gap) if own < 1 else self._own_inside(texture, gap)
        if 0 < own < 1:
            inside = inside + np.float32(own) * (self._own_inside(texture, gap) - inside)
        face = out[..., :3].astype(np.float32)
        shown = inside + gap.cover[..., None] * (face - inside)
        out[..., :3] = np.clip(shown + np.float32(0.5), 0, 255).astype(np.uint8)

    def _own_inside(self, texture: UInt8, gap: Gap) -> Float32:
        """The picture's own open mouth, stretched between the lips."""
        du, dl = gap.below, gap.above
        share = (du / np.maximum(du + dl, np.float32(1e-3)))[..., None]
        # du and dl are measured from the lips, so at_upper - du and at_lower + dl are the lips themselves.
        edge_upper = gap.at_upper - du[..., None] * self._axis_y
        edge_lower = gap.at_lower + dl[..., None] * self._axis_y
        at = edge_upper + share * (edge_lower - edge_upper)
        return sample(texture, np.ascontiguousarray(at, np.float32))[..., :3].astype(np.float32)

    def _drawn_inside(self, parted: Gap) -> Float32:
        """Cavity, teeth and tongue; they are attached to their jaws, so they turn and stretch with the head."""
        du, dl, place = parted.below, parted.above, parted.place
        look, width = self._look, np.float32(self.lips.width)
        gap = du + dl
        depth = du / np.maximum(gap, np.float32(1e-3))
        side = np.clip(1 - place * place, 0, 1)
        cavity = np.array(look.cavity, np.float32)
        tongue_rgb = np.array(look.tongue, np.float32)
        open_by = gap.max() / width
        if look.flat:
            dim = np.ones_like(du)
        else:
            dim = (np.float32(0.65) + np.float32(0.35) * side) * (np.float32(0.8) + np.float32(0.35) * depth)
        inside = cavity * dim[..., None]
        # A tongue: a low hill on the floor that grows with the opening.
        hill = (
            np.float32(min(0.45, 0.9 * float(open_by)))
            * gap.max()
            * np.sqrt(np.clip(1 - (place / np.float32(0.85)) ** 2, 0, 1))
        )
        tongue = np.clip(
            (hill - dl) / np.float32(1.5 if look.flat else max(2.0, 0.04 * float(width))) + np.float32(0.5), 0, 1
        )
        tongue = tongue * np.float32(np.clip((float(open_by) - 0.06) / 0.08, 0, 1))
        shade = (
            np.ones_like(du)
            if look.flat
            else np.float32(0.6) + np.float32(0.4) * np.clip(1 - dl / np.maximum(hill, 1), 0, 1)
        )
        inside = inside + tongue[..., None] * (tongue_rgb * shade[..., None] - inside)
        inside *= self._light
        if look.teeth is not None:
            self._draw_teeth(inside, parted, float(open_by), side)
        return inside

    def _draw_teeth(self, inside: Float32, parted: Gap, open_by: float, side: Float32) -> None:
        """An even row under the upper lip, in place."""
        width, flat = float(self.lips.width), self._look.flat
        s, t = parted.still
        a, b, c = (np.float32(x) for x in parted.arc)
        inward = t - ((a * s + b) * s + c)
        band = np.float32(np.clip(0.055 * width + parted.raised, 0.03 * width, 0.13 * width))
        soft = np.float32(1.0 if flat else 1.0 / max(1.0, 0.012 * width))
        arch = np.clip(1 - (parted.place * np.float32(1 / 0.80)) ** 4, 0, 1)
        white = np.clip((band * arch - inward) * soft + np.float32(0.5), 0, 1)
        white *= np.float32(np.clip((open_by - 0.03) / 0.06, 0, 1)) * np.minimum(arch * 3, np.float32(1.0))
        if flat:
            inside += white[..., None] * (self._teeth - inside)
            return
        gum = np.float32(0.66) + np.float32(0.34) * np.clip(inward / band, 0, 1)
        light = gum * (np.float32(0.6) + np.float32(0.4) * side)
        inside += white[..., None] * (self._teeth * light[..., None] - inside)


def light_of(texture: UInt8, points: F64) -> tuple[Float32, float]:
    """(3,) median colour of the middle of the face, and the brightness of its brightest tenth."""
    rows, columns = texture.shape[:2]
    x, y = np.clip(points[[2, 14, 30, 31, 35, 5, 11]].mean(0), 0, [columns - 1, rows - 1]).astype(int)
    reach = max(int(0.2 * abs(points[16, 0] - points[0, 0])), 3)
    patch = texture[max(y - reach, 0) : y + reach, max(x - reach, 0) : x + reach, :3].reshape(-1, 3)
    return np.median(patch, axis=0).astype(np.float32), float(np.percentile(patch @ _LUMINANCE, 90))
