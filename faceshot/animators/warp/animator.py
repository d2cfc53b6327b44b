"""The warp animator: one picture, deformed in real time on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from faceshot.animators import Window
from faceshot.animators.warp.compiled import telling_of_compilation
from faceshot.animators.warp.expression import Expression
from faceshot.animators.warp.eyes import Eye, make_eyes
from faceshot.animators.warp.frame import F64, FaceFrame, as_float32, face_frame, safe_points
from faceshot.animators.warp.grid import Grid, invert
from faceshot.animators.warp.head import HeadField, elastic_membership, fit_ball, membership
from faceshot.animators.warp.kernels import compose, extent, put_behind
from faceshot.animators.warp.lips import LipLine, lip_line
from faceshot.animators.warp.matte import bleed, cut_out
from faceshot.animators.warp.mouth import Gap, Mouth, light_of, lip_colour
from faceshot.animators.warp.response import Response, features, lids_meet_at
from faceshot.animators.warp.sheets import LOWER_LIP, Operator, build_operator, face_grid
from faceshot.animators.warp.springs import Springs
from faceshot.errors import ShapeError
from faceshot.rest_pose import rest_rotation
from faceshot.topology import ARKIT_INDEX
from faceshot.types import Character, Drive, Float32, Rendered, UInt8

__all__ = ["WarpAnimator", "WarpSettings"]

_STILL_PX = 0.02  # motion that nobody sees
_EYES_FLAT, _DRAWN_EYES_FLAT = (0.25, 0.4), (0.7, 0.85)  # see `HeadField`; drawn eyes are larger


@dataclass(frozen=True, slots=True, eq=False)
class _Scratch:
    """Large arrays that every frame writes anew; fresh ones would cost more in page faults than in arithmetic."""

    block: Float32  # the ringed head grid's block, 2 channels
    where: Float32  # (H, W, 2), the picture's part of it
    fixed: NDArray[np.int16]  # (H, W, 2)
    fraction: NDArray[np.uint16]  # (H, W)


@dataclass(frozen=True, slots=True, eq=False)
class _Puppet:
    """Everything that depends on the character only."""

    expression: Expression
    response: Response | None  # how trackers read this character, if that is known
    frame: FaceFrame
    texture: UInt8  # (H, W, 4), what is warped
    plate: UInt8 | None  # (H, W, 4), what is behind it
    seen: tuple[int, int, int, int]  # left, top, right, bottom of what is not transparent, pixels
    ring: Grid  # the head's grid and one node around it
    ring_nodes: Float32
    operator: Operator
    rest: Float32  # the operator's field of a face that rests
    operator_edges: Float32  # (6, 2) corners and middles of the operator's grid
    head: HeadField
    springs: Springs | None
    eyes: tuple[Eye | None, Eye | None]
    lips: LipLine | None
    mouth: Mouth | None
    scratch: _Scratch


@dataclass(frozen=True, slots=True)
class WarpSettings:
    """Attributes:
    swing: 0 to 1, how much hair, ears and hats move after the head has moved; only where the figure is cut out.
    mouth: what is in an open mouth: `auto` as suits the kind of character, `plain` nothing but dark, `none`: the drawn
        mouth moves but never opens.
    """

    swing: float = 0.0
    mouth: Literal["auto", "plain", "none"] = "auto"


class WarpAnimator:
    """Implements `faceshot.animators.Animator`. A drive's picture depends on that drive alone, but for what swings."""

    window = Window()
    needs_crop = False

    def __init__(
        self,
        settings: WarpSettings | None = None,
        progress: Callable[[str, int, int], None] = lambda what, done, total: None,
    ) -> None:
        """`progress`: is told what `load` does, how much of it is done, of how much, when it compiles the kernels."""
        self._settings = settings or WarpSettings()
        self._puppet: _Puppet | None = None
        self._progress = progress

    def load(self, character: Character) -> None:
        """Precomputes for a character; about half a second at 512 pixels, some seconds the very first time, when the
        kernels are compiled.

        Raises:
            ShapeError: the picture is smaller than 16 pixels.
        """
        what = "compiling the drawing code, only at the first start"
        with telling_of_compilation(partial(self._progress, what, 0, 1)):
            puppet = _prepare(character, self._settings)
            _render(puppet, _grimace(character))  # compiles what this character needs: no frame on air waits for it
        self._progress(what, 1, 1)
        self._puppet = puppet
        self.reset()

    def render(self, drives: Sequence[Drive]) -> list[Rendered]:
        if self._puppet is None:
            raise ShapeError("The warp animator has no character yet.", "Call load(character) before render().")
        return [Rendered(_render(self._puppet, drive)) for drive in drives]

    def features(self, drive: Drive) -> F64:
        """(17,) what is drawn for a drive, in the terms of `response`."""
        if self._puppet is None:
            raise ShapeError("The warp animator has no character yet.", "Call load(character) before features().")
        if self._puppet.response is not None:
            drive = self._puppet.response.corrected(drive)
        delta = self._puppet.expression.displacements(drive.expression_xy)
        return features(self._puppet.frame, delta, drive)

    def answer(self, character: Character) -> None:
        """From now on draw motions as `character`, the loaded one, is read."""
        assert self._puppet is not None
        response = Response.of(character, self._puppet.frame, self._puppet.expression)
        _close_as_read(self._puppet.eyes, character)
        self._puppet = replace(self._puppet, response=response)

    def reset(self) -> None:
        """Whatever swings hangs still."""
        if self._puppet is not None and self._puppet.springs is not None:
            self._puppet.springs.reset()

    def close(self) -> None:
        self._puppet = None


def _prepare(character: Character, settings: WarpSettings | None = None) -> _Puppet:
    settings = settings or WarpSettings()
    swing = settings.swing
    width, height = character.size_wh
    if min(width, height) < 16:
        raise ShapeError(
            f"The picture of {character.name!r} is {width} x {height} pixels; at least 16 x 16 are needed."
        )
    points, frame = safe_points(character), face_frame(character)
    visible, rgba = character.visible, character.rgba
    lips = lip_line(points, visible, frame)
    grid = face_grid(frame, None if lips is None else lips.width)
    has_alpha = bool((rgba[..., 3] < 250).mean() > 0.01)
    operator = build_operator(points, visible, frame, grid, lips, rgba[..., 3] if has_alpha else None)

    cutout = None if has_alpha else cut_out(rgba, points, frame)
    pitch = int(np.clip(round(frame.width / 12), np.ceil(max(width, height) / 96), np.ceil(max(width, height) / 40)))
    coarse = Grid.covering(0, 0, width, height, max(pitch, 1))
    if has_alpha or cutout is not None:
        alpha = rgba[..., 3] if cutout is None else cutout.figure[..., 3]
        cut_below = bool((alpha[-1] > 128).mean() > 0.03)
        whole = _is_head_only(alpha, frame) and not cut_below
        member = membership(frame, coarse, height if cut_below else None, whole=whole)
        trunk = _trunk(frame, coarse, height)
    else:
        member = elastic_membership(frame, coarse, (width, height))
        trunk = _trunk(frame, coarse, height) * member
    nose = points[30] if visible[30] else None
    ball = fit_ball(rgba[..., 3], points, visible, frame) if has_alpha and character.kind == "emoji" else None
    headroom = float(np.argmax((rgba[..., 3] > 128).any(1))) if has_alpha else None
    corners = np.array([points[[k, k + 3]] for k in (36, 42) if visible[[k, k + 3]].all()])
    flat = _EYES_FLAT if character.kind == "human" else _DRAWN_EYES_FLAT
    turned, seen = rest_rotation(character), _seen_cells(coarse, rgba[..., 3]) if has_alpha else None
    head = HeadField(frame, coarse, member, trunk, nose, headroom, ball, turned, corners, flat, seen)
    texture = bleed(rgba) if cutout is None else cutout.figure
    eyes = make_eyes(texture, frame, points, visible, character.kind)
    _close_as_read(eyes, character)
    mouth = None
    if lips is not None and settings.mouth != "none":
        colours = light_of(texture, points), lip_colour(texture, points)
        mouth = Mouth(lips, character.kind, *colours, plain=settings.mouth == "plain")
    ring = coarse.ringed()
    block = np.empty((ring.size_wh[1], ring.size_wh[0], 2), np.float32)
    brow_room = _brow_room(rgba[..., 3], points, visible) if has_alpha else np.inf
    expression = Expression(points, visible, frame, lips, character.kind, brow_room)
    return _Puppet(
        expression=expression,
        response=Response.of(character, frame, expression),
        frame=frame,
        texture=np.ascontiguousarray(texture),
        plate=None if cutout is None else np.ascontiguousarray(cutout.plate),
        seen=_seen(texture) if has_alpha else (0, 0, width, height),
        ring=ring,
        ring_nodes=ring.nodes(),
        operator=operator,
        rest=np.zeros((grid.rows, grid.columns, 2), np.float32),
        operator_edges=grid.nodes()[[0, 0, -1, -1, grid.rows // 2, grid.rows // 2], [0, -1, 0, -1, 0, -1]],
        head=head,
        springs=Springs(frame, coarse, member, swing) if swing > 0 and (has_alpha or cutout is not None) else None,
        eyes=eyes,
        lips=lips,
        mouth=mouth,
        scratch=_Scratch(
            block,
            block[-ring.y0 : height - ring.y0, -ring.x0 : width - ring.x0],
            np.empty((height, width, 2), np.int16),
            np.empty((height, width), np.uint16),
        ),
    )


def _close_as_read(eyes: tuple[Eye | None, Eye | None], character: Character) -> None:
    share = lids_meet_at(character)
    for eye in eyes:
        if eye is not None and share is not None and not eye.lids.style.squash:
            eye.lids.meet_at(share)


def _grimace(character: Character) -> Drive:
    """A drive that moves everything."""
    drive = Drive.neutral(character)
    face = face_frame(character)
    drive.expression_xy[[8, *LOWER_LIP]] += as_float32(0.1 * face.height * face.axis_y)
    return replace(drive, lids=np.full(2, 0.5, np.float32), gaze=np.full((2, 2), 0.05, np.float32))


def _seen(texture: UInt8) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is not transparent."""
    left, top, width, height = cv2.boundingRect(np.ascontiguousarray(texture[..., 3]))
    return left, top, left + width, top + height


def _seen_cells(grid: Grid, alpha: UInt8) -> UInt8:
    """(rows - 1, columns - 1) the cells of a grid in which something of a picture is seen."""
    near = cv2.dilate(alpha, np.ones((2 * grid.pitch + 1, 2 * grid.pitch + 1), np.uint8))
    shown = cv2.remap(near, grid.nodes(), None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT) > 128
    return (shown[1:, 1:] | shown[:-1, 1:] | shown[1:, :-1] | shown[:-1, :-1]).astype(np.uint8)


def _brow_room(alpha: UInt8, points: F64, visible: NDArray[np.bool_]) -> float:
    """Pixels of the figure above the brow point that is nearest to its outline."""
    rooms = [np.inf]
    for x, y in np.rint(points[17:27][visible[17:27]]).astype(int):
        if 0 <= x < alpha.shape[1] and 0 < y < alpha.shape[0]:
            clear = np.flatnonzero(alpha[:y, x] < 128)
            rooms.append(float(y - clear[-1]) if len(clear) else float(y))
    return min(rooms)


def _is_head_only(alpha: UInt8, frame: FaceFrame) -> bool:
    """Whether hardly anything of the figure is below the chin."""
    rows, columns = alpha.shape
    ys, xs = np.mgrid[0:rows:4, 0:columns:4]
    seen = alpha[::4, ::4] > 128
    below = frame.local(np.stack([xs, ys], -1).astype(np.float64))[..., 1] > frame.chin + 0.3 * frame.height
    return bool((seen & below).sum() < 0.03 * max(seen.sum(), 1))


def _trunk(frame: FaceFrame, grid: Grid, height: int) -> Float32:
    """How far breathing lifts each node, as a share of the trunk's height times that height in pixels."""
    nodes = grid.nodes()
    shoulder = float((frame.centre + frame.chin * 1.3 * frame.axis_y)[1])
    tall = max(height - shoulder, 0.35 * frame.height)
    rise = np.clip((height - nodes[..., 1]) / tall, 0, 1)
    return as_float32(rise * tall)


Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels, the last two not included."""
Forward = list[tuple[Grid, Float32]]
"""Displacement fields by which resting points go: of the head, then of the sheets."""


def _box_of(puppet: _Puppet, points: Float32, forward: Forward, margin: float) -> Box | None:
    """Where resting points (n, 2) go, clipped to the picture; None if outside."""
    grids, fields = tuple(grid.place for grid, _ in forward), tuple(field for _, field in forward)
    low_x, low_y, high_x, high_y = extent(points, fields, grids)
    height, width = puppet.texture.shape[:2]
    left, top = max(int(low_x - margin), 0), max(int(low_y - margin), 0)
    right, bottom = min(int(high_x + margin) + 2, width), min(int(high_y + margin) + 2, height)
    return (left, top, right, bottom) if right - left > 2 and bottom - top > 2 else None


def _map_of(
    puppet: _Puppet, box: Box, head_back: Float32, sheet: Grid | None = None, sheet_back: Float32 | None = None
) -> Float32:
    """(h, w, 2) resting point of each pixel of a box, through the head and the sheet if one is given."""
    pitch, head = puppet.operator.grid.pitch, puppet.head.grid
    grid = Grid.covering(box[0] - pitch, box[1] - pitch, box[2] + pitch, box[3] + pitch, pitch)
    through = sheet is not None and sheet_back is not None
    points = compose(
        grid.place,
        (grid.rows, grid.columns),
        head_back,
        head.place,
        head_back if sheet_back is None else sheet_back,
        head.place if sheet is None else sheet.place,
        through,
    )
    return grid.upsample(points)[box[1] - grid.y0 : box[3] - grid.y0, box[0] - grid.x0 : box[2] - grid.x0]


def _head_map(puppet: _Puppet, head_back: Float32, window: tuple[slice, slice]) -> None:
    """Writes the resting point of each pixel of a window, through the head only, into `scratch.where`."""
    ring, block = puppet.ring, puppet.scratch.block
    pitch = ring.pitch
    points = cv2.copyMakeBorder(head_back, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    points += puppet.ring_nodes
    # Nodes around the window, and one more on each side: interpolation stops half a cell before the last one.
    top, bottom = ((e - ring.y0) // pitch for e in (window[0].start, window[0].stop - 1))
    left, right = ((e - ring.x0) // pitch for e in (window[1].start, window[1].stop - 1))
    rows = slice(max(top - 1, 0), min(bottom + 2, ring.rows))
    columns = slice(max(left - 1, 0), min(right + 2, ring.columns))
    part = block[rows.start * pitch : rows.stop * pitch, columns.start * pitch : columns.stop * pitch]
    cv2.resize(points[rows, columns], (part.shape[1], part.shape[0]), dst=part, interpolation=cv2.INTER_LINEAR)


def _region(puppet: _Puppet, reach: float) -> tuple[slice, slice]:
    """Where the figure can be seen when nothing of it moves further than `reach` pixels."""
    height, width = puppet.texture.shape[:2]
    left, top, right, bottom = puppet.seen
    margin = int(np.ceil(reach)) + 2
    return slice(max(top - margin, 0), min(bottom + margin, height)), slice(
        max(left - margin, 0), min(right + margin, width)
    )


def _render(puppet: _Puppet, drive: Drive) -> UInt8:
    if puppet.response is not None:
        drive = puppet.response.corrected(drive)
    delta = puppet.expression.displacements(drive.expression_xy)
    stretch = 0.0
    if puppet.lips is None:
        stretch = float(np.clip(np.nan_to_num(drive.blendshapes[ARKIT_INDEX["jawOpen"]]), 0, 1))
    operator, head = puppet.operator, puppet.head
    swing = None if puppet.springs is None else puppet.springs.step(drive)
    head_forward = head.forward(drive.head, drive.breath, stretch, swing)
    head_back = head.inverse(head_forward)
    moving = bool(np.abs(delta[operator.controls]).max(initial=0) > _STILL_PX)

    scratch = puppet.scratch
    where = scratch.where
    reach = cv2.norm(head_back, cv2.NORM_INF) + (cv2.norm(delta, cv2.NORM_INF) if moving else 0.0)
    region = _region(puppet, 1.5 * reach)
    _head_map(puppet, head_back, region)
    opened = None
    forward = [(head.grid, head_forward), (operator.grid, puppet.rest)]
    if moving:
        upper_forward, lower_forward, share = operator.fields(delta)
        delta *= share
        upper_back = invert(operator.grid, upper_forward)
        forward[1] = (operator.grid, upper_forward)
        box = _box_of(puppet, puppet.operator_edges, forward, operator.grid.pitch + 0.1 * puppet.frame.width)
        if box is not None:
            window = (slice(box[1], box[3]), slice(box[0], box[2]))
            where[window] = _map_of(puppet, box, head_back, operator.grid, upper_back)
        if puppet.mouth is not None:
            opened = _open_mouth(puppet, puppet.mouth, delta, where, forward, lower_forward, head_back)
    fixed, fraction = cv2.convertMaps(
        where[region], None, cv2.CV_16SC2, scratch.fixed[region], scratch.fraction[region]
    )
    out = np.zeros(puppet.texture.shape, np.uint8)
    cv2.remap(puppet.texture, fixed, fraction, cv2.INTER_LINEAR, dst=out[region], borderMode=cv2.BORDER_REPLICATE)
    for eye, lid, gaze in zip(puppet.eyes, drive.lids, drive.gaze, strict=True):
        opening = 1.0 if np.isnan(lid) else min(max(float(lid), 0.0), 1.6)
        if eye is not None and not eye.is_still(opening, gaze):
            box = _box_of(puppet, eye.lids.box, forward, 2.0)
            if box is not None:
                eye.draw(out, where, box, opening, gaze)
    if opened is not None and puppet.mouth is not None:
        puppet.mouth.draw(out, puppet.texture, opened)
    if puppet.plate is not None:
        put_behind(out, puppet.plate)
    return out


def _corner(grid: Grid, end: int) -> Float32:
    return np.array([grid.x0 + end * grid.size_wh[0], grid.y0 + end * grid.size_wh[1]], np.float32)


def _open_mouth(
    puppet: _Puppet,
    mouth: Mouth,
    delta: Float32,
    where: Float32,
    forward: Forward,
    lower_forward: Float32,
    head_back: Float32,
) -> Gap | None:
    """Puts the lower sheet's map below the lips, in place; returns where the inside of the mouth is seen, if it is."""
    operator = puppet.operator
    if cv2.norm(lower_forward, forward[1][1], cv2.NORM_INF) < 0.1:
        return None  # the lips move together: the upper sheet already shows all
    box = _box_of(puppet, mouth.box, [*forward, (operator.grid, lower_forward)], 3.0)
    if box is None:
        return None
    still = _map_of(puppet, box, head_back)
    pitch = operator.grid.pitch
    corners = np.clip(still[[0, 0, -1, -1], [0, -1, 0, -1]], _corner(operator.grid, 0), _corner(operator.grid, 1))
    (left, top), (right, bottom) = corners.min(0) - 2 * pitch, corners.max(0) + 2 * pitch
    around = Grid.covering(left, top, right, bottom, pitch)
    at_lower = _map_of(puppet, box, head_back, around, invert(operator.grid, lower_forward, over=around))
    return mouth.part(where, box, at_lower, still, delta)
