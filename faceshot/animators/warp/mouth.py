"""The mouth: two sheets that part along the lip line, and what is seen between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from faceshot.animators.warp.frame import F64, as_float32
from faceshot.animators.warp.kernels import MouthShape, draw_mouth, part_lips
from faceshot.animators.warp.lips import LipLine
from faceshot.types import CharacterKind, Float32, UInt8

__all__ = ["Mouth", "light_of", "lip_colour"]

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


Box = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Gap:
    """Where the inside of the mouth is seen; the fields are those of `kernels.draw_mouth`."""

    box: Box
    inner: Box
    still: Float32
    gap: Float32
    widest: float
    arc: tuple[float, float, float]
    raised: float
    jaw: float


class Mouth:
    """The mouth of a character, ready to be drawn.

    Args:
        light: (3,) the face's own colour, 0..255, and its brightest parts' brightness: the inside is lit like it.
        lip: (3,) colour of the lips or of the line that stands for them.
        plain: nothing is inside but the dark.
    """

    def __init__(
        self,
        lips: LipLine,
        kind: CharacterKind,
        light: tuple[Float32, float],
        lip: Float32,
        *,
        plain: bool = False,
    ) -> None:
        self.lips = lips
        self._rest_arc = np.polyfit(lips.knots, lips.upper, 2)
        look = _INTERIORS[kind]
        if plain:
            look = replace(look, tongue=look.cavity, teeth=None)
        skin, brightest = light
        luminance = float(skin @ _LUMINANCE)
        # Teeth take half of the light's tint and are never much brighter than the brightest skin.
        teeth = np.zeros(3, np.float32)
        if look.teeth is not None:
            white = np.array(look.teeth, np.float32)
            tint = skin / max(luminance, 1.0)
            tint = tint / np.sqrt(max(float(tint @ tint) / 3, 1e-3))
            white = white * (1 + 0.35 * (tint - 1))
            teeth = white * min(1.0, (1.12 if kind == "human" else 1.2) * brightest / float(white @ _LUMINANCE))
        cavity, tongue = _colours(look, kind, skin, lip)
        half = lips.width / 2
        s = np.linspace(-_REACH, _REACH, _COLUMNS) * lips.width
        # Distance to the nearer corner in mouth widths; negative outside.
        corner = (half - np.abs(s)) / lips.width
        reach = 0.05 * lips.width * np.clip(1 - corner / 0.16, 0, 1) ** 2
        reach = np.where(corner <= 0, 1e4, reach)
        upper, lower = np.interp(s, lips.knots, lips.upper), np.interp(s, lips.knots, lips.lower)
        fade = np.clip(corner / 0.05, 0, 1)
        self._axis_y = lips.axis_y.astype(np.float32)
        self._shape = MouthShape(
            axis_x=lips.axis_x.astype(np.float32),
            axis_y=self._axis_y,
            middle=lips.middle.astype(np.float32),
            width=lips.width,
            table=as_float32(np.stack([upper, upper + reach, lower, lower - reach, fade], -1)),
            reach=_REACH,
            cavity=cavity,
            tongue=tongue,
            teeth=teeth,
            has_teeth=look.teeth is not None,
            flat=look.flat,
            light=1.0 if _is_screen(skin, lip) else float(np.clip(luminance / 150.0, 0.5, 1.1)),
            rim=0.0,
            line=as_float32(lip),
        )
        self._own_gap = float((lips.lower - lips.upper).max())
        # The jaw beneath a muzzle's W is an even arc, hidden at rest: as the mouth opens, its edge becomes one.
        notch = np.zeros_like(lower) if kind == "human" or lips.is_open else _arch_over(s, lower) - lower
        self._notch, self._notch_depth = as_float32(notch), float(notch.max())
        if self._notch_depth >= 0.5:  # the drawn line stays above with the muzzle: the jaw has an edge of its own
            self._shape = self._shape._replace(rim=max(0.03 * lips.width, 1.0))

    @cached_property
    def box(self) -> Float32:
        """(n, 2) points around everything near the lips, in the resting picture."""
        width = self.lips.width
        across = np.array([-0.62, 0.0, 0.62]) * width
        lift_up, lift_down = self.lips.lift
        top = float(self.lips.upper.min()) - 0.5 * lift_up - 0.05 * width
        bottom = float(self.lips.lower.max()) + max(lift_down, 0.65 * width)
        rows = [
            self.lips.middle + across[:, None] * self.lips.axis_x + t * self.lips.axis_y for t in (top, 0.0, bottom)
        ]
        return as_float32(np.concatenate(rows))

    def part(self, where: Float32, box: Box, at_lower: Float32, still: Float32, delta: Float32) -> Gap | None:
        """Shows for each pixel of a box the sheet that is there: writes its resting point into `where`.

        Args:
            where: (H, W, 2) resting point that each pixel shows on the upper sheet, changed in place.
            at_lower: (h, w, 2) the same on the lower sheet, of the box.
            still: (h, w, 2) the same without any expression.
            delta: (70, 2) displacements of the landmarks.

        Returns:
            What `draw` needs where neither sheet covers the mouth's inside, if anywhere.
        """
        gap = np.empty((box[3] - box[1], box[2] - box[0], 6), np.float32)
        *inner, widest = part_lips(where, box, at_lower, self._shape_at(delta), gap)
        if inner[0] >= inner[2]:
            return None
        lip = self._lip_moved(delta)
        raised = max(-float(lip.mean()), 0.0)
        jaw = max(float(delta[8] @ self._axis_y), 0.0)
        return Gap(box, (inner[0], inner[1], inner[2], inner[3]), still, gap, widest, self._arc(lip), raised, jaw)

    def _shape_at(self, delta: Float32) -> MouthShape:
        """The mouth with the lower edge that it has at this opening."""
        if self._notch_depth < 0.5:
            return self._shape
        apart = float((delta[66] - delta[62]) @ self._axis_y)
        share = np.float32(min(max(apart / (1.3 * self._notch_depth), 0.0), 1.0))
        table = self._shape.table.copy()
        table[:, 2:4] += (share * self._notch)[:, None]
        return self._shape._replace(table=table)

    def _lip_moved(self, delta: Float32) -> Float32:
        """(3,) px by which the upper lip's edge moves down; up no further than the lip as a whole, for it keeps its
        thickness."""
        edge, whole = delta[61:64] @ self._axis_y, delta[50:53] @ self._axis_y
        return as_float32(np.where(edge < 0, np.minimum(np.maximum(edge, whole), 0.0), edge))

    def _arc(self, moved: Float32) -> tuple[float, float, float]:
        """Parabola through the resting upper lip, carried along: teeth are even and rigid, however a lip curls."""
        a, b, c = (float(x) for x in self._rest_arc)
        a = min(a, 0.0)  # a row of teeth never curves the way of a sad mouth
        return a, b + float(moved[2] - moved[0]) / self.lips.width, c + float(moved.mean())

    def draw(self, out: UInt8, texture: UInt8, gap: Gap) -> None:
        """Paints the inside of the mouth over `out` (H, W, 4), in place."""
        # The picture's own inside stretches well to twice its height; beyond, a drawn one takes over.
        own = 0.0
        if self.lips.is_open:
            own = float(np.clip(2.8 - gap.widest / max(self._own_gap, 1e-3), 0, 1))
        how = gap.arc, gap.raised, gap.jaw, own
        draw_mouth(out, texture, gap.box, gap.inner, gap.still, self._shape, gap.gap, gap.widest, *how)


def _is_screen(skin: Float32, lip: Float32) -> bool:
    """Whether the mouth is a light on a dark face."""
    dark = float(skin @ _LUMINANCE)
    return dark < 90 and float(lip @ _LUMINANCE) > 1.4 * dark + 20


def _colours(look: _Interior, kind: CharacterKind, skin: Float32, lip: Float32) -> tuple[Float32, Float32]:
    """(3,) colours of the cavity and the tongue: those of the kind, as far as the picture has none of its own."""
    cavity, tongue = np.array(look.cavity, np.float32), np.array(look.tongue, np.float32)
    if _is_screen(skin, lip):  # what is inside glows as the rest does
        return 0.35 * skin, 0.35 * skin if look.tongue == look.cavity else 0.45 * lip + 0.1 * skin
    red, green, blue = (float(c) for c in lip)
    if (
        look.tongue != look.cavity
        and kind != "human"
        and red > 90
        and red > 1.35 * green
        and red > 1.1 * blue
        and blue > 0.8 * green
    ):
        own = lip * (float(tongue.max()) / red)
        tongue = tongue + np.float32(0.5) * (own - tongue)
        cavity = cavity + np.float32(0.4) * (own * (float(cavity.max()) / float(own.max())) - cavity)
    return as_float32(cavity), as_float32(tongue)


def lip_colour(texture: UInt8, points: F64) -> Float32:
    """(3,) median of the more saturated half of what lies between the outer and the inner lips."""
    middle = (points[[49, 50, 51, 52, 53, 55, 56, 57, 58, 59]] + points[[61, 61, 62, 63, 63, 65, 65, 66, 67, 67]]) / 2
    places = np.concatenate([middle, points[[61, 62, 63, 65, 66, 67]]])
    rows, columns = texture.shape[:2]
    x, y = np.clip(np.rint(places).astype(int), 0, [columns - 1, rows - 1]).T
    colours = texture[y, x, :3].astype(np.float32)
    vivid = colours.max(1) - colours.min(1)
    return np.asarray(np.median(colours[vivid >= np.median(vivid)], axis=0), np.float32)


def _arch_over(s: F64, line: F64) -> F64:
    """A curve without notches that nowhere lies above a line (t points down): the hull of its lower side, rounded."""
    even = _hull(s, line)
    place = s / max(float(np.abs(s[line > 0.05 * line.max()]).max(initial=1e-3)), 1e-3)
    bow = np.maximum(1 - place**2, 0)
    near = np.abs(place) < 0.8
    depth = float((line[near] / bow[near]).max(initial=0.0))
    return _hull(s, np.maximum(line, np.minimum(depth * bow, even + 0.35 * max(float(even.max()), 0.0))))


def _hull(s: F64, line: F64) -> F64:
    """The lowest curve that bends one way only and nowhere lies above a line."""
    hull: list[int] = []
    for k in range(len(s)):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if (line[b] - line[a]) * (s[k] - s[a]) > (line[k] - line[a]) * (s[b] - s[a]):
                break
            hull.pop()
        hull.append(k)
    return np.interp(s, s[hull], line[hull])


def light_of(texture: UInt8, points: F64) -> tuple[Float32, float]:
    """(3,) median colour of the middle of the face, and the brightness of its brightest tenth."""
    rows, columns = texture.shape[:2]
    x, y = np.clip(points[[2, 14, 30, 31, 35, 5, 11]].mean(0), 0, [columns - 1, rows - 1]).astype(int)
    reach = max(int(0.2 * abs(points[16, 0] - points[0, 0])), 3)
    patch = texture[max(y - reach, 0) : y + reach, max(x - reach, 0) : x + reach, :3].reshape(-1, 3)
    return np.median(patch, axis=0).astype(np.float32), float(np.percentile(patch @ _LUMINANCE, 90))
