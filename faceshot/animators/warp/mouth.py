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


@dataclass(frozen=True, slots=True)
class _Interior:
    """Colours (RGB) and parts of a mouth's inside."""

    cavity: tuple[float, float, float]
    tongue: tuple[float, float, float]
    teeth: tuple[float, float, float] | None
    lower_teeth: bool
    flat: bool


_INTERIORS: dict[CharacterKind, _Interior] = {
    "human": _Interior((48, 17, 20), (156, 72, 76), (226, 216, 204), True, False),
    "anime": _Interior((104, 30, 40), (222, 112, 112), (250, 246, 244), False, True),
    "animal": _Interior((44, 18, 22), (196, 104, 112), None, False, False),
    "emoji": _Interior((88, 32, 24), (226, 92, 92), None, False, True),
    "toy": _Interior((64, 26, 28), (190, 84, 88), None, False, True),
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
        raised: how far the upper lip is above rest, pixels.
    """

    window: tuple[slice, slice]
    cover: Float32
    below: Float32
    above: Float32
    place: Float32
    at_upper: Float32
    at_lower: Float32
    raised: float


class Mouth:
    """The mouth of a character, ready to be drawn.

    Args:
        skin_luminance: mean brightness of the face, 0..255: the inside is lit like it.
    """

    def __init__(self, lips: LipLine, kind: CharacterKind, skin_luminance: float) -> None:
        self.lips = lips
        self._look = _INTERIORS[kind]
        self._light = np.float32(np.clip(skin_luminance / 150.0, 0.5, 1.1))
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

    def part(self, at_upper: Float32, at_lower: Float32, raised: float) -> tuple[Float32, Gap | None]:
        """Chooses for each pixel the sheet that shows there.

        Args:
            at_upper, at_lower: (h, w, 2) resting point that each pixel shows on either sheet.
            raised: how far the upper lip is above rest, pixels.

        Returns:
            (h, w, 2) the resting point to show, and the part where neither sheet covers the mouth's inside.
        """
        su, tu = self._local(at_upper)
        sl, tl = self._local(at_lower)
        upper = sample(self._table_upper, self._column(su))
        lower = sample(self._table_lower, self._column(sl))
        below, above = tu - upper[..., 0], lower[..., 0] - tl
        of_lower = np.where(above < below, lower[..., 2], np.float32(0.0))
        shown = at_upper + of_lower[..., None] * (at_lower - at_upper)
        half = np.float32(0.5)
        cover = np.clip(half - (tu - upper[..., 1]), 0, 1) + np.clip(half + (tl - lower[..., 1]), 0, 1)
        bare = cover < 1
        if not bare.any():
            return shown, None
        rows, columns = np.flatnonzero(bare.any(1)), np.flatnonzero(bare.any(0))
        window = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
        place = (su[window] + sl[window]) * np.float32(1.0 / self.lips.width)
        du, dl = np.maximum(below[window], 0), np.maximum(above[window], 0)
        gap = Gap(window, np.minimum(cover[window], 1), du, dl, place, at_upper[window], at_lower[window], raised)
        return shown, gap

    def _column(self, s: Float32) -> Float32:
        column = s * np.float32((_COLUMNS - 1) / (2 * _REACH * self.lips.width)) + np.float32((_COLUMNS - 1) / 2)
        return np.stack([column, np.zeros_like(column)], axis=-1)

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
        du, dl, place, raised = parted.below, parted.above, parted.place, parted.raised
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
        if look.teeth is not None:
            teeth_rgb = np.array(look.teeth, np.float32)
            gate = np.float32(np.clip((float(open_by) - 0.03) / 0.06, 0, 1))
            band = np.float32(np.clip(0.055 * float(width) + raised, 0.03 * float(width), 0.13 * float(width)))
            arch = np.clip(1 - (place / np.float32(0.82)) ** 4, 0, 1)
            white = np.clip((band * arch - du) + np.float32(0.5), 0, 1) * gate * (arch > 0)
            light = (
                np.ones_like(du)
                if look.flat
                else (np.float32(0.62) + np.float32(0.38) * np.clip(du / band, 0, 1))
                * (np.float32(0.55) + np.float32(0.45) * side)
            )
            inside = inside + white[..., None] * (teeth_rgb * light[..., None] - inside)
            if look.lower_teeth:
                gate_low = np.float32(np.clip((float(open_by) - 0.16) / 0.12, 0, 1))
                band_low = np.float32(0.035) * width
                arch = np.clip(1 - (place / np.float32(0.62)) ** 4, 0, 1)
                white = np.clip((band_low * arch - dl) + np.float32(0.5), 0, 1) * gate_low * (arch > 0)
                inside = inside + np.float32(0.8) * white[..., None] * (
                    teeth_rgb * (light * np.float32(0.75))[..., None] - inside
                )
        return inside * self._light


def luminance_of(texture: UInt8, points: F64) -> float:
    """Mean brightness of the middle of the face."""
    rows, columns = texture.shape[:2]
    x, y = np.clip(points[[2, 14, 30, 31, 35, 5, 11]].mean(0), 0, [columns - 1, rows - 1]).astype(int)
    reach = max(int(0.15 * abs(points[16, 0] - points[0, 0])), 3)
    patch = texture[max(y - reach, 0) : y + reach, max(x - reach, 0) : x + reach, :3]
    return float(cv2.cvtColor(np.ascontiguousarray(patch), cv2.COLOR_RGB2GRAY).mean())
