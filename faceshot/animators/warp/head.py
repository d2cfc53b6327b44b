"""The head in two and a half dimensions: an ellipsoid with a nose on a node grid, turned as a whole.

Hair and ears lie flat at depth 0 and stay with the skull while the face slides over them; that reads as a head turn.
Below the chin the motion fades out: neck and shoulders follow softly. The body only breathes.
"""

from __future__ import annotations

import cv2
import numpy as np

from faceshot.animators.warp.frame import F64, FaceFrame, as_float32
from faceshot.animators.warp.grid import Grid, invert
from faceshot.types import Float32, HeadMotion

__all__ = ["HeadField"]

_DEPTH = 0.9  # of a full ellipsoid: more lets the far cheek overlap the hair before 20 degrees
_LIMITS = np.radians([28.0, 38.0, 35.0])  # pitch, yaw, roll
_LIMIT_SHIFT = 0.35  # face widths
_BREATH = 0.012  # rise of the trunk's upper end in trunk heights


class HeadField:
    """Head motion and breathing as a displacement field over the whole picture.

    Args:
        member: (rows, columns) 0..1, how much each node belongs to the head (and not to body or background).
        trunk: (rows, columns) 0..1, how much of the breathing each node takes part in.
        nose: picture position of the nose tip, None when the character has none.
    """

    def __init__(self, frame: FaceFrame, grid: Grid, member: Float32, trunk: Float32, nose: F64 | None) -> None:
        self.grid = grid
        self._frame = frame
        self._member = member[..., None]
        self._trunk = trunk
        nodes = grid.nodes()
        local = frame.local(nodes.astype(np.float64))
        self._depth = as_float32(_depth(frame, local, nose, grid.pitch))
        self._q = as_float32(np.concatenate([local, -self._depth[..., None]], axis=-1))
        self._axes = as_float32(np.stack([frame.axis_x, frame.axis_y]))
        self._focal = np.float32(4.0 * frame.width)
        flat = self._q[..., :2] * (self._focal / (self._focal + self._q[..., 2]))[..., None]
        self._resting = flat

    def forward(self, motion: HeadMotion, breath: float, stretch: float) -> Float32:
        """(rows, columns, 2) displacement in pixels.

        Args:
            breath: 0 to 1.
            stretch: 0 to 1, squash and stretch of the whole head for characters without a mouth.
        """
        rotation = np.nan_to_num(motion.rotation.astype(np.float64))
        turn, _ = cv2.Rodrigues(_LIMITS * np.tanh(rotation / _LIMITS))
        # The rotation is given in picture axes, the nodes in the face's own: turn about z between the two.
        own = np.eye(3)
        own[:2, :2] = self._axes
        turn = as_float32(own @ turn @ own.T)
        shift = np.nan_to_num(motion.translation.astype(np.float64))
        shift = _LIMIT_SHIFT * np.tanh(shift / _LIMIT_SHIFT) * self._frame.width
        scale = float(np.clip(np.nan_to_num(motion.scale, nan=1.0), 0.75, 1.35))
        moved = self._q @ turn.T
        moved = moved[..., :2] * (np.float32(scale) * self._focal / (self._focal + moved[..., 2]))[..., None]
        moved = moved - self._resting
        if stretch > 0:
            chin = np.float32(self._frame.chin)
            moved[..., 0] -= np.float32(0.05 * stretch) * self._q[..., 0]
            moved[..., 1] += np.float32(0.10 * stretch) * (self._q[..., 1] - chin)
        field = (moved @ self._axes + as_float32(shift)) * self._member
        breath = float(np.clip(np.nan_to_num(breath), 0.0, 1.0))
        if breath > 0:
            field[..., 1] -= np.float32(_BREATH * breath) * self._trunk
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
        at = local - frame.local(nose)
        depth = depth + 0.16 * width * _DEPTH * np.exp(
            -((at[..., 0] / (0.13 * width)) ** 2) - (at[..., 1] / (0.16 * width)) ** 2
        )
    return depth


def membership(frame: FaceFrame, grid: Grid, *, whole: bool) -> Float32:
    """1 on the head, smoothly 0 below the chin and, sooner, beside it (shoulders, wings); 1 everywhere for a head
    without a body."""
    if whole:
        return np.ones((grid.rows, grid.columns), np.float32)
    local = frame.local(grid.nodes().astype(np.float64))
    beside = np.maximum(np.abs(local[..., 0]) - 0.75 * frame.width, 0)
    fall = np.clip((local[..., 1] - frame.chin + 0.6 * beside) / (0.85 * frame.height), 0, 1)
    return as_float32(1 - fall * fall * (3 - 2 * fall))


def elastic_membership(frame: FaceFrame, grid: Grid, size_wh: tuple[int, int]) -> Float32:
    """For pictures that cannot be cut out: the motion also dies away around the head and at the picture's border."""
    nodes = grid.nodes().astype(np.float64)
    local = frame.local(nodes)
    radius = np.sqrt((local[..., 0] / frame.width) ** 2 + (local[..., 1] / (1.35 * frame.height)) ** 2)
    fall = np.clip((radius - 0.8) / 1.1, 0, 1)
    width, height = size_wh
    border = np.minimum(np.minimum(nodes[..., 0], width - 1 - nodes[..., 0]) / (0.12 * width), 1.0)
    border = np.minimum(border, np.minimum(nodes[..., 1], height - 1 - nodes[..., 1]) / (0.12 * height))
    border = np.clip(border, 0, 1)
    return as_float32((1 - fall * fall * (3 - 2 * fall)) * border * border * (3 - 2 * border))
