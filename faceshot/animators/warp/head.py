"""The head in two and a half dimensions: an ellipsoid with a nose on a node grid, turned as a whole.

Hair and ears lie flat at depth 0 and stay with the skull while the face slides over them; that reads as a head turn.
Below the chin the motion fades out: neck and shoulders follow softly. The body only breathes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faceshot.animators.warp.frame import F64, FaceFrame, as_float32
from faceshot.animators.warp.grid import Grid, free_share, invert
from faceshot.animators.warp.kernels import turn_head, unfold
from faceshot.types import Float32, HeadMotion, UInt8

__all__ = ["Ball", "HeadField", "elastic_membership", "fit_ball", "membership"]

_DEPTH = 0.9  # of a full ellipsoid: more lets the far cheek overlap the hair before 20 degrees
_LIMITS = np.radians([28.0, 38.0, 35.0])  # pitch, yaw, roll
_ASLANT = np.radians([22.0, 26.0])  # pitch and yaw, seen, beyond which the far cheek would fold
# The largest turns asked of a head when it is decided how flat its eyes lie: degrees of pitch, yaw, roll.
_TURNS = ((0, 32, 0), (0, -32, 0), (25, 0, 0), (-25, 0, 0), (15, 25, 10), (15, -25, -10), (-15, 25, 0), (-15, -25, 0))
_BRIDGE_FALLS = 0.55  # share of its height that a nose loses from its tip to the eyes
_EASY, _MORE = 0.90, 0.05
_STRAINED, _STRAIN_MORE = 1.0, 0.3
_LIMIT_SHIFT = 0.35  # face widths
_NECK = 0.5  # length over which the head's motion fades out below the chin, face heights
_BODY_FOLLOWS = 0.05  # share of the head's motion that the shoulders take part in
_UNFOLD_ROUNDS = 24  # at most; six do for the whole range of the bundled characters, most frames need none
_BREATH = 0.012  # rise of the trunk's upper end in trunk heights


@dataclass(frozen=True, slots=True, eq=False)
class Ball:
    """A head that is nothing but a ball: `centre` (2,) and `radii` (2,) of its outline, pixels of the picture."""

    centre: F64
    radii: F64


class HeadField:
    """Head motion and breathing as a displacement field over the whole picture.

    Args:
        member: (rows, columns) 0..1, how much each node belongs to the head (and not to body or background).
        trunk: (rows, columns) 0..1, how much of the breathing each node takes part in.
        nose: picture position of the nose tip, None when the character has none.
        headroom: pixels above the figure in the picture: it cannot rise much further; None if nothing is cut off.
        ball: the head's outline if its face is all there is: what is on it slides, its outline stays round.
        rest: (3, 3) rotation of the head in the picture, see `rest_pose`; frontal if None.
        eyes: (n, 2, 2) corners of the eyes in the picture, which lie flatter than the face around them.
        flat: how much flatter, 0 to 1, as far as the head can turn then; and the share of it that the face between has.
        seen: (rows - 1, columns - 1) cells of the grid that must not fold; all if None.
    """

    def __init__(
        self,
        frame: FaceFrame,
        grid: Grid,
        member: Float32,
        trunk: Float32,
        nose: F64 | None,
        headroom: float | None = None,
        ball: Ball | None = None,
        rest: F64 | None = None,
        eyes: F64 | None = None,
        flat: tuple[float, float] = (0.0, 0.0),
        seen: UInt8 | None = None,
    ) -> None:
        self.grid = grid
        self._seen = np.ones((grid.rows - 1, grid.columns - 1), np.uint8) if seen is None else seen
        self._frame = frame
        self._member = as_float32(member)
        self._trunk = as_float32(trunk)
        nodes = grid.nodes()
        self._ball = ball is not None
        limit = _LIMIT_SHIFT * frame.width
        self._limit_up = limit if headroom is None else min(limit, max(headroom, 0.05 * frame.width))
        # A neck cannot be pushed into the body further than it is long.
        self._limit_down = min(limit, 0.55 * _NECK * frame.height) if member.min() < 0.5 else limit
        self._limit_aside = limit
        local = frame.local(nodes.astype(np.float64), None if ball is None else ball.centre)
        depth = _ball_depth(nodes, ball) if ball is not None else _depth(frame, local, nose, grid.pitch)
        away = np.zeros_like(depth) if rest is None or ball is not None else _tilted(local, rest, frame.width)
        # How much the picture is stretched where head and surroundings part: by each pixel that the head moves, and by
        # each radian that it rolls.
        steep = np.hypot(*np.gradient(self._member.astype(np.float64), grid.pitch))
        self._strain = float(steep.max()), float((steep * np.hypot(local[..., 0], local[..., 1])).max())
        self._axes = as_float32(np.stack([frame.axis_x, frame.axis_y]))
        self._focal = 4.0 * frame.width
        about = frame.centre if ball is None else ball.centre
        corners = np.zeros((0, 2, 2)) if eyes is None else np.array([frame.local(pair, about) for pair in eyes])
        sockets = flat[0] * _sockets(depth, local, corners, flat[1], grid.pitch)
        self._lay(local, away - depth)
        least = self._free_share() - 0.02
        # Eyes as flat as they can be without keeping the head from turning.
        for share in (1.0, 0.8, 0.6, 0.4, 0.2, 0.0):
            self._lay(local, away - depth + share * sockets)
            if self._free_share() >= least:
                break

    def _lay(self, local: F64, away: F64) -> None:
        """Takes nodes for so far away from the viewer, pixels."""
        self._q = as_float32(np.concatenate([local, away[..., None]], axis=-1))
        self._resting = as_float32(self._q[..., :2] * (self._focal / (self._focal + self._q[..., 2]))[..., None])

    def _free_share(self) -> float:
        """The share of the largest turns that is possible without a fold, 1 if they are whole."""
        motions = (HeadMotion(np.radians(np.array(turn, np.float32)), np.zeros(2, np.float32)) for turn in _TURNS)
        fields = (self._moved(motion, 0.0, 0.0, None) for motion in motions)
        return min(free_share(self.grid, field, self._seen) for field in fields)

    def forward(self, motion: HeadMotion, breath: float, stretch: float, swing: Float32 | None = None) -> Float32:
        """(rows, columns, 2) displacement in pixels.

        Args:
            breath: 0 to 1.
            stretch: 0 to 1, squash and stretch of the whole head for characters without a mouth.
            swing: (rows, columns, 2) displacement of what hangs on the head, see `springs`.
        """
        field = self._moved(motion, breath, stretch, swing)
        # Whatever is asked of whatever picture: it goes no further than it can without a fold.
        share = free_share(self.grid, field, self._seen)
        if share < 1:
            field *= np.float32(share)
        return field

    def _moved(self, motion: HeadMotion, breath: float, stretch: float, swing: Float32 | None) -> Float32:
        rotation = np.nan_to_num(motion.rotation.astype(np.float64))
        angles = _LIMITS * np.tanh(rotation / _LIMITS)
        aslant = float(np.hypot(angles[0] / _ASLANT[0], angles[1] / _ASLANT[1]))
        if aslant > _EASY:  # the last degrees, above all of turn and nod together, which would fold the far cheek
            angles[:2] *= (_EASY + _MORE * np.tanh((aslant - _EASY) / _MORE)) / aslant
        shift = np.nan_to_num(motion.translation.astype(np.float64))
        limit = np.array([self._limit_aside, self._limit_down if shift[1] > 0 else self._limit_up])
        shift = limit * np.tanh(shift * self._frame.width / limit)
        scale = float(np.clip(np.nan_to_num(motion.scale, nan=1.0), 0.75, 1.35))
        strain = float(np.hypot(*shift)) * self._strain[0] + (abs(angles[2]) + abs(scale - 1)) * self._strain[1]
        if strain > _STRAINED:  # little room around the head, or below it: it moves less, or the picture would fold
            less = (_STRAINED + _STRAIN_MORE * np.tanh((strain - _STRAINED) / _STRAIN_MORE)) / strain
            shift, scale, angles[2] = less * shift, 1 + less * (scale - 1), less * angles[2]
        turn, _ = cv2.Rodrigues(angles)
        # The rotation is given in picture axes, the nodes in the face's own: turn about z between the two.
        own = np.eye(3)
        own[:2, :2] = self._axes
        turn = as_float32(own @ turn @ own.T)
        breath = float(np.clip(np.nan_to_num(breath), 0.0, 1.0))
        field = turn_head(
            self._q,
            self._resting,
            self._member,
            self._trunk,
            turn,
            self._axes,
            scale,
            self._focal,
            (float(shift[0]), float(shift[1])),
            (float(stretch), float(self._frame.chin)),
            _BREATH * breath,
            self._ball,
        )
        if swing is not None:
            field += swing
        unfold(field, self._member, self.grid.pitch, _UNFOLD_ROUNDS)
        return field

    def inverse(self, field: Float32) -> Float32:
        return invert(self.grid, field, steps=4, reach=6.0)


def _depth(frame: FaceFrame, local: F64, nose: F64 | None, pitch: int) -> F64:
    """Height towards the viewer in pixels: an ellipsoid that dips at its rim, plus the nose."""
    width, height = frame.width, frame.height
    r2 = (local[..., 0] / (0.56 * width)) ** 2 + (local[..., 1] / (0.95 * height)) ** 2
    inside = np.clip(r2, 0, 1)
    depth = 0.62 * width * _DEPTH * (np.sqrt(1 - 0.85 * inside) - np.sqrt(0.15) * inside)
    depth = np.where(r2 < 1, depth, 0.0)
    sigma = max(0.04 * width / pitch, 0.3)
    depth = cv2.GaussianBlur(depth, (0, 0), sigma)
    if nose is not None:
        tip = frame.local(nose)
        at = local - tip
        bump = np.exp(-((at[..., 0] / (0.13 * width)) ** 2) - (at[..., 1] / (0.16 * width)) ** 2)
        # Its bridge runs up between the eyes: a tip alone would bend it where the head turns.
        length = max(float(tip[1] - frame.local(frame.origin)[1]), 0.1 * width)
        up = -at[..., 1] / length
        lean = at[..., 0] - tip[0] * np.clip(-up, -1, 0)  # from the tip to the middle between the eyes
        ridge = (1 - _BRIDGE_FALLS * np.clip(up, 0, 1)) * _smooth(2.5 * (1.15 - up)) * _smooth(up + 1)
        bump = np.maximum(bump, ridge * np.exp(-((lean / (0.10 * width)) ** 2)) * (up > -0.5))
        depth = depth + 0.16 * width * _DEPTH * cv2.GaussianBlur(bump, (0, 0), max(0.02 * width / pitch, 0.3))
    return depth


def _sockets(depth: F64, local: F64, eyes: F64, middle: float, pitch: int) -> F64:
    """(rows, columns) how deep eyes lie if each is as deep as its outer corner: on the slope of an even ball the far
    eye of a turned head would be a slit.

    Args:
        depth: height of the face without them; `local` its nodes.
        eyes: (n, 2, 2) corners of eyes, in the face's own axes as the nodes.
        middle: the share of it by which the face between them sinks too, or the nose's flanks would be too steep.
    """
    deepest = np.zeros_like(depth)
    for corners in eyes:
        side = 1.0 if corners.mean(0)[0] > 0 else -1.0
        outer, inner = (float(x) for x in np.sort(side * corners[:, 0])[::-1])
        wide, level = max(outer - inner, 2.0 * pitch), float(corners[:, 1].mean())
        across = side * local[..., 0]
        # Above that corner's depth row by row: a face is hardly tilted in its picture.
        order = np.argsort(across, axis=1)
        rows = zip(np.take_along_axis(across, order, 1), np.take_along_axis(depth, order, 1), strict=True)
        over = depth - np.array([np.interp(outer, x, z) for x, z in rows])[:, None]
        share = (middle + (1 - middle) * _smooth(across / max(inner, 1.0))) * (across < outer)
        share = share * (1 - _smooth((np.abs(local[..., 1] - level) / wide - 0.3) / 1.0))
        deepest = np.maximum(deepest, np.maximum(over, 0) * share)
        blur = max(0.08 * wide / pitch, 0.3)
    return np.asarray(cv2.GaussianBlur(deepest, (0, 0), blur)) if len(eyes) else deepest


def _tilted(local: F64, rest: F64, width: float) -> F64:
    """Distance away from the viewer of the plane of a face that is turned in its picture, pixels."""
    normal = rest[:, 2]
    away = -(local[..., 0] * normal[0] + local[..., 1] * normal[1]) / max(float(normal[2]), 0.5)
    return np.asarray(0.8 * width * np.tanh(away / (0.8 * width)))


def _ball_depth(nodes: Float32, ball: Ball) -> F64:
    """A cap that runs out flat at the outline, which stays round on a coarse grid; no slope that 38 degrees fold."""
    r2 = (((nodes - ball.centre) / ball.radii) ** 2).sum(-1)
    return 0.9 * float(ball.radii.mean()) * np.clip(1 - r2, 0, 1) ** 2


def fit_ball(alpha: UInt8, points: F64, visible: NDArray[np.bool_], frame: FaceFrame) -> Ball | None:
    """The figure's outline as an ellipse, if it is one and the face boundary lies on it."""
    if not visible[:17].all():
        return None
    ys, xs = np.nonzero(alpha > 128)
    if len(xs) == 0:
        return None
    low, high = np.array([xs.min(), ys.min()]), np.array([xs.max(), ys.max()])
    centre, radii = (low + high) / 2, (high - low + 1) / 2
    filled = len(xs) / (np.pi * radii[0] * radii[1])
    off = np.abs(np.sqrt((((points[:17] - centre) / radii) ** 2).sum(-1)) - 1)
    return Ball(centre, radii) if 0.95 < filled < 1.05 and float(np.median(off)) < 0.12 else None


def membership(frame: FaceFrame, grid: Grid, bottom: float | None, *, whole: bool) -> Float32:
    """1 on the head, smoothly 0 below the chin and, sooner, beside it (shoulders, wings); 1 everywhere for a head
    without a body.

    Args:
        bottom: the picture's lower edge if it cuts the figure off: what is cut must not move, or the cut is seen.
    """
    if whole:
        return np.ones((grid.rows, grid.columns), np.float32)
    nodes = grid.nodes().astype(np.float64)
    local = frame.local(nodes)
    below = local[..., 1] - frame.chin
    beside = np.abs(local[..., 0]) / frame.width
    shoulders = 1.5 * np.maximum(beside - 0.40, 0) * _smooth(below / (0.3 * frame.height) + 0.5)
    reach = below + (0.8 * np.maximum(beside - 0.70, 0) + shoulders) * frame.width
    member = 1 - _smooth(reach / (_NECK * frame.height))
    # Where neck and shoulders take their share at once, long hair would be cut rather than bent.
    member = cv2.GaussianBlur(member, (0, 0), 0.14 * frame.width / grid.pitch, borderType=cv2.BORDER_REPLICATE)
    member = _BODY_FOLLOWS + (1 - _BODY_FOLLOWS) * member
    if bottom is not None:
        member = member * _smooth((bottom - 1 - nodes[..., 1]) / (0.12 * bottom))
    return as_float32(member)


def _smooth(x: F64) -> F64:
    x = np.clip(x, 0, 1)
    return np.asarray(x * x * (3 - 2 * x))


def elastic_membership(frame: FaceFrame, grid: Grid, size_wh: tuple[int, int]) -> Float32:
    """For pictures that cannot be cut out: the motion also dies away around the head and at the picture's border."""
    nodes = grid.nodes().astype(np.float64)
    local = frame.local(nodes)
    above = membership(frame, grid, None, whole=False)
    radius = np.sqrt((local[..., 0] / frame.width) ** 2 + (local[..., 1] / (1.35 * frame.height)) ** 2)
    fall = np.clip((radius - 0.8) / 1.1, 0, 1)
    width, height = size_wh
    border = np.minimum(np.minimum(nodes[..., 0], width - 1 - nodes[..., 0]) / (0.12 * width), 1.0)
    border = np.minimum(border, np.minimum(nodes[..., 1], height - 1 - nodes[..., 1]) / (0.12 * height))
    border = np.clip(border, 0, 1)
    return as_float32(above * (1 - fall * fall * (3 - 2 * fall)) * border * border * (3 - 2 * border))
