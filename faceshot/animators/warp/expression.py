"""Landmark motion made fit for one character: finite, bounded, free of folds and crossed lips."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from faceshot.animators.warp.compiled import compiled
from faceshot.animators.warp.frame import F64, FaceFrame, as_float32
from faceshot.animators.warp.lips import LipLine
from faceshot.types import CharacterKind, Float32

__all__ = ["Expression"]

_JAW_SLIDES = as_float32(np.array([0, 0, 0, 0.1, 0.3, 0.6, 0.85, 1, 1, 1, 0.85, 0.6, 0.3, 0.1, 0, 0, 0]))
# How much of a chin's motion is skin of this kind: drawn and stuffed jaws hardly drop, their mouths open.
_JAW_DROPS: dict[CharacterKind, float] = {"human": 1.0, "animal": 0.45, "anime": 0.2, "toy": 0.2, "emoji": 0.0}
# How far brows may rise in face widths: what is drawn above them (a fringe, a cap) is not a layer of its own.
_BROW_RISES: dict[CharacterKind, float] = {"human": 0.12, "animal": 0.08, "anime": 0.047, "toy": 0.08, "emoji": 0.10}
# How narrow a pucker may make a mouth that is no pair of lips, as a share of its width.
_NARROWEST: dict[CharacterKind, float] = {"animal": 0.45, "toy": 0.45, "emoji": 0.25}
_NOSE_FOLLOWS = np.float32(0.3)
_UPPER_LIP = (48, 49, 50, 51, 52, 53, 54, 60, 61, 62, 63, 64)
_LOWER_LIP = (48, 54, 55, 56, 57, 58, 59, 60, 64, 65, 66, 67)
_FACING = np.array([49, 50, 51, 52, 53, 61, 62, 63]), np.array([59, 58, 57, 56, 55, 67, 66, 65])
# Each lip: points of its border, and the points of its inner edge that they must not be pushed through.
_LIPS = (((49, 50, 51, 52, 53), (61, 61, 62, 63, 63)), ((55, 56, 57, 58, 59), (65, 65, 66, 67, 67)))
_SQUEEZED = 0.6  # share of a lip's thickness that may be pressed away
_BELOW = (55, 56, 57, 58, 59, 65, 66, 67)


class Expression:
    """Args:
    points: (70, 2) resting landmarks.
    brow_room: pixels from the brows up to the figure's outline, which does not go with them.

    Attributes:
        rest: (70, 2) the same.
        mouth_is_open: whether the picture shows the mouth's inside.
    """

    def __init__(
        self,
        points: F64,
        visible: NDArray[np.bool_],
        frame: FaceFrame,
        lips: LipLine | None,
        kind: CharacterKind,
        brow_room: float = np.inf,
    ) -> None:
        self.rest = as_float32(points)
        self._hidden = ~visible
        self._limit = np.float32(0.45 * frame.height)
        self._jaw = (_JAW_SLIDES * np.float32(_JAW_DROPS[kind]))[:, None]
        self._up = as_float32(-frame.axis_y)
        self._brow_limit = np.float32(min(_BROW_RISES[kind] * frame.width, max(0.45 * brow_room, 1.0)))
        self.mouth_is_open = lips is not None and lips.is_open
        self._mouth: _Mouth | None = None
        if lips is None:
            return
        room_below = 1e3
        self._across, self._down = as_float32(lips.axis_x), as_float32(lips.axis_y)
        if visible[8]:
            room_below = 0.7 * max(float((points[8] - points[57]) @ lips.axis_y), 0.0)
        corners, edges = points[[48, 54]] @ lips.axis_x, points[[3, 4, 5, 11, 12, 13]] @ lips.axis_x
        room = (corners[0] - edges[:3].max(), edges[3:].min() - corners[1])
        seen = visible[[3, 4, 5]].all(), visible[[11, 12, 13]].all()
        beside = [0.6 * max(float(r), 0.05 * lips.width) if s else 1e3 for r, s in zip(room, seen, strict=True)]
        place = lips.local(points[48:68])[0] / (0.5 * lips.width)
        alike = _lip_smoothing(points, lips.width)
        self._alike = as_float32(alike if kind == "human" else _lip_curves(points) @ alike)
        below = (points[list(_BELOW)] - lips.middle) @ lips.axis_x / (0.5 * lips.width)
        s = (points[48:68] - points[[51, 57]].mean(0)) @ lips.axis_x
        near_left, near_right = max(float(-s.min()), 1e-3), max(float(s.max()), 1e-3)
        half = (near_left + near_right) / 2
        # A mouth seen from the side: its far half is foreshortened, and so is the motion along it.
        self._mouth = _Mouth(
            short=np.where(s < 0, min(near_left / half, 1.0), min(near_right / half, 1.0)).astype(np.float32),
            bow=_bow(points, lips),
            arc=as_float32(np.minimum(place**2, 1.0) - 0.5),
            arch=as_float32(np.sqrt(np.clip(1 - below**2, 0, 1))),
            place=as_float32(place),
            room_beside=(beside[0], beside[1]),
            width=lips.width,
            narrowest=float(np.float32(_NARROWEST.get(kind, 0.0))),
            room_below=room_below,
            is_open=lips.is_open,
            is_line=kind != "human" and not lips.is_open,
        )

    def displacements(self, expression_xy: Float32) -> Float32:
        """(70, 2) px by which the landmarks move from rest."""
        delta = np.nan_to_num(expression_xy - self.rest, nan=0.0, posinf=0.0, neginf=0.0)
        length = np.linalg.norm(delta, axis=1, keepdims=True)
        delta *= self._limit * np.tanh(length / self._limit) / np.maximum(length, 1e-6)
        delta[self._hidden] = 0
        delta[:17] *= self._jaw
        delta[27:36] *= _NOSE_FOLLOWS
        rise = delta[17:27] @ self._up
        soft = np.where(rise > 0, self._brow_limit * np.tanh(rise / self._brow_limit), rise)
        delta[17:27] += (soft - rise)[:, None] * self._up
        if self._mouth is not None:
            tame_lips(delta, self.rest, (self._across, self._down), self._alike, self._mouth)
        return delta


class _Mouth(NamedTuple):
    """What `tame_lips` knows of a mouth; lengths in pixels, lip points are landmarks 48 to 67.

    Attributes:
        short: (20,) by how much each lip point's motion across is foreshortened, 1 not at all.
        bow: (20,) how far each hangs below the middle of a bowed mouth.
        arc: (20,) the parabola of a sad mouth, -0.5 in the middle to 0.5 at the corners.
        arch: (8,) an arch over the points of the lower lip, 1 in its middle.
        place: (20,) across the mouth, -1 and 1 at its corners.
        room_beside: from the corners to the edges of the face.
        width: between the corners.
        narrowest: share of the width that a pucker leaves.
        room_below: from the lower lip to the chin.
        is_open: the picture shows its inside.
        is_line: it is drawn as a line.
    """

    short: Float32
    bow: Float32
    arc: Float32
    arch: Float32
    place: Float32
    room_beside: tuple[float, float]
    width: float
    narrowest: float
    room_below: float
    is_open: bool
    is_line: bool


@compiled
def tame_lips(delta: Float32, rest: Float32, axes: tuple[Float32, Float32], alike: Float32, mouth: _Mouth) -> None:
    """Makes the motion of the lips one that lips can make, in place.

    Args:
        delta: (70, 2) displacements of the landmarks `rest`, pixels.
        axes: across and down the mouth.
        alike: (20, 20) how lip points move with each other.
    """
    ax, ay = axes[0][0], axes[0][1]
    dx, dy = axes[1][0], axes[1][1]
    s, t = np.empty(70), np.empty(70)  # across and down the mouth
    for k in range(20):
        x = y = 0.0
        for other in range(20):
            along = (delta[48 + other, 0] * ax + delta[48 + other, 1] * ay) * (mouth.short[other] - 1)
            x += alike[k, other] * (delta[48 + other, 0] + along * ax)
            y += alike[k, other] * (delta[48 + other, 1] + along * ay)
        s[48 + k], t[48 + k] = x * ax + y * ay, x * dx + y * dy
    chin = delta[8, 0] * dx + delta[8, 1] * dy
    along = s[48:68].copy()
    for end in range(2):
        side, room = 2.0 * end - 1.0, mouth.room_beside[end]
        outwards = side * s[48 + 6 * end]
        if outwards > 0.05 * room:  # a corner never leaves the face
            less = room * np.tanh(outwards / room) / outwards - 1
            for k in range(20):
                s[48 + k] += less * min(max(mouth.place[k] * side, 0.0), 1.0) * along[k]
    if mouth.is_line:
        # A drawn mouth is a line: it bows less as it narrows, or a pucker would be a hook, and parts only for more
        # than what two lips of different bend have apart.
        narrowed = 1 + (s[54] - s[48]) / max(mouth.width, 1e-3)
        if narrowed < 1:
            least = mouth.narrowest + (1 - mouth.narrowest) * max(narrowed, 0.2)
            mean = s[48:68].mean()
            for k in range(48, 68):
                s[k] += ((1 - least) / (1 - narrowed) - 1) * (s[k] - mean)
                t[k] += 0.6 * (least - 1) * mouth.bow[k - 48]
        sad = (t[48] + t[54] - t[51] - t[57]) / 2
        if sad > 0:  # a line that smiles at rest needs more than lips do to look sad, but it never is a hook
            limit = 0.33 * mouth.width
            bow = 1.6 * min(sad, 0.25 * mouth.width) + max(sad - 0.25 * mouth.width, 0.0)
            for k in range(48, 68):
                t[k] += (limit * np.tanh(bow / limit) - sad) * mouth.arc[k - 48]
        unseen = 0.03 * mouth.width
        for pair in range(8):
            above, below = _FACING[0][pair], _FACING[1][pair]
            apart = max(t[below] - t[above], 0.0)
            t[below] -= apart * unseen / (apart + 2 * unseen)
    # The lower lip stays above the chin, however little the chin drops.
    drop = t[57]
    if drop > 0:
        room = max(mouth.room_below + max(chin, 0.0), 1.0)
        for k in _BELOW:
            s[k] *= room * np.tanh(drop / room) / drop
            t[k] *= room * np.tanh(drop / room) / drop
    # A wide opening is an arch: beside its middle the lower lip hangs nearly as low as there, never in a V.
    opened, hangs = t[66] - t[62], t[66]
    share = min(max((opened / mouth.width - 0.10) / 0.20, 0.0), 1.0)
    for k in range(8):
        t[_BELOW[k]] += share * max(hangs - (1 - mouth.arch[k]) * opened - t[_BELOW[k]], 0.0)
    for above in range(61, 64):
        below = 128 - above
        gap = 0.0
        if mouth.is_open:
            gap = (rest[below, 0] - rest[above, 0]) * dx + (rest[below, 1] - rest[above, 1]) * dy
        closer = t[above] - t[below] - max(gap, 0.0)
        if closer > 0:
            # The jaw gives way, the skull does not.
            t[above] -= 0.1 * closer
            t[below] += 0.9 * closer
    for lip in range(2):
        away = 2 * lip - 1
        for k in range(5):
            border, edge = _LIPS[lip][0][k], _LIPS[lip][1][k]
            thick = (rest[border, 0] - rest[edge, 0]) * dx + (rest[border, 1] - rest[edge, 1]) * dy
            pressed = -_SQUEEZED * max(away * thick, 0.0) - away * (t[border] - t[edge])
            t[border] += away * max(pressed, 0.0)
    if mouth.is_line:  # its two borders move as one but for what its middle parts, or a smile would have slits
        parted = max(max(t[67] - t[61], t[66] - t[62]), max(t[65] - t[63], 0.0))
        for k in range(5):
            above, below = _LIPS[0][0][k], 108 - _LIPS[0][0][k]
            t[below] = t[above] + min(max(t[below] - t[above], 0.0), parted)
    for k in range(48, 68):
        delta[k, 0] = s[k] * ax + t[k] * dx
        delta[k, 1] = s[k] * ay + t[k] * dy


def _bow(points: F64, lips: LipLine) -> Float32:
    """(20,) px by which each lip point hangs below the middle of a bowed mouth, as a parabola of its place across."""
    s, t = lips.local(points[48:68])
    place = s / (0.5 * lips.width)
    middle = np.array([2, 3, 4, 8, 9, 10, 13, 14, 15, 17, 18, 19])
    depth = float(t[middle].mean() - t[[0, 6, 12, 16]].mean())
    return as_float32(1.25 * depth * (0.5 - np.minimum(place**2, 1.3)))


def _lip_smoothing(points: F64, width: float) -> F64:
    """(20, 20) matrix that lets lip points closer than a tenth of the mouth move alike; any other motion would fold.
    Points of different lips stay apart."""
    mix = np.eye(20)
    for lip in (_UPPER_LIP, _LOWER_LIP):
        index = np.array(lip)
        apart = np.linalg.norm(points[index, None] - points[None, index], axis=-1)
        weight = np.exp(-((apart / (0.07 * width)) ** 2))
        weight[weight < 0.1] = 0
        weight /= weight.sum(1, keepdims=True)
        rows = index - 48
        own = np.zeros((20, 20))
        own[np.ix_(rows, rows)] = weight
        corners = np.isin(index, (48, 54, 60, 64))
        mix[rows[~corners]] = own[rows[~corners]]
        # Corners belong to both lips.
        mix[rows[corners]] = own[rows[corners]] if lip is _UPPER_LIP else (mix + own)[rows[corners]] / 2
    return mix


def _lip_curves(points: F64) -> F64:
    """(20, 20) matrix that bends each lip as a parabola across the mouth, its two borders alike: between few points,
    each with a will of its own, a thin drawn lip would zigzag. Corners keep their place."""
    bend = np.zeros((20, 20))
    across = points[54] - points[48]
    place = (points - points[48]) @ across / max(float(across @ across), 1e-9) * 2 - 1
    for lip in (_UPPER_LIP, _LOWER_LIP):
        index = np.array(lip)
        corners = np.isin(index, (48, 54, 60, 64))
        powers = np.stack([place[index] ** k for k in range(3)], axis=1)
        system = powers.T * np.where(corners, 4.0, 1.0)
        fitted = powers @ np.linalg.solve(system @ powers + 1e-6 * np.eye(3), system)
        bend[np.ix_(index[~corners] - 48, index - 48)] = fitted[~corners]
    bend[[0, 6, 12, 16], [0, 6, 12, 16]] = 1.0
    return bend
