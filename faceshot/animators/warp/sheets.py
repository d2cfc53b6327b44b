"""The linear operator from landmark motion to a dense field, with a slit along the lips.

Solved once per character: of all fields the one that bends least while following the landmarks, rests at the eyes
(lids are parts of their own, see `eyes`) and dies out around the face. Edges of the grid that cross the lip line are
cut, so that the lips may part. Two sheets result: `upper` carries the upper lip's motion a way below the line and
`lower` the lower lip's above it, both constant across: any decaying continuation would fold.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from faceshot.animators.warp.frame import F64, FaceFrame, as_float32
from faceshot.animators.warp.grid import Grid, free_share
from faceshot.animators.warp.lips import LipLine
from faceshot.types import Float32, UInt8

__all__ = ["LOWER_LIP", "Operator", "build_operator", "face_grid"]

_FOLLOW, _REST_EYES, _REST_OUTSIDE, _SLOPE = 1000.0, 20.0, 10.0, 2e-3
_UPPER_LIP = (49, 50, 51, 52, 53, 61, 62, 63)
_FACING = ((49, 59), (50, 58), (51, 57), (52, 56), (53, 55), (61, 67), (62, 66), (63, 65))
LOWER_LIP = (55, 56, 57, 58, 59, 65, 66, 67)


@dataclass(frozen=True, slots=True, eq=False)
class Operator:
    """Displacement of the nodes = sheet times displacement of the controls; exactly linear.

    Attributes:
        grid: where the nodes are.
        controls: (n,) indices of the landmarks that move the field.
        upper: (n, rows, columns) float32, the sheet that is right above the lip line.
        lower: (n, last - first, columns) the same for below the line, of the rows in which it differs.
        parted: these first and last (not included) rows.
        shown: (2, rows - 1, columns - 1) uint8, the cells of the upper and the lower sheet that are seen, without the
            lips themselves.
    """

    grid: Grid
    controls: NDArray[np.intp]
    upper: Float32
    lower: Float32
    parted: tuple[int, int]
    shown: UInt8

    def fields(self, delta_xy: Float32) -> tuple[Float32, Float32, np.float32]:
        """(rows, columns, 2) of the upper and of the lower sheet, and the share of the motion that they are: all of it,
        or as much as is possible without a fold."""
        upper = self.upper_field(delta_xy)
        lower = self.lower_field(delta_xy, upper)
        share = 1.0
        for field, seen in zip((upper, lower), self.shown, strict=True):
            share = min(share, free_share(self.grid, field, seen))
        if share < 1:
            upper, lower = upper * np.float32(share), lower * np.float32(share)
        return upper, lower, np.float32(share)

    def upper_field(self, delta_xy: Float32) -> Float32:
        """(rows, columns, 2) displacement in pixels for landmark displacements (70, 2)."""
        return self._field(self.upper, delta_xy)

    def lower_field(self, delta_xy: Float32, upper_field: Float32) -> Float32:
        """The same for the lower sheet, of which most is the upper one's."""
        field = upper_field.copy()
        first, last = self.parted
        if first < last:
            field[first:last] = self._field(self.lower, delta_xy)
        return field

    def _field(self, sheet: Float32, delta_xy: Float32) -> Float32:
        if len(self.controls) == 0:
            return np.zeros((*sheet.shape[1:], 2), np.float32)
        # Two long rows, not many short ones: that is what matrix products are fast at. Not numpy's: for so little work
        # its threads wait for each other longer than they compute.
        moved, flat = as_float32(delta_xy[self.controls]), sheet.reshape(len(self.controls), -1)
        x, y = cv2.gemm(moved, flat, 1.0, None, 0.0, flags=cv2.GEMM_1_T).reshape(2, -1, self.grid.columns)
        field: Float32 = cv2.merge([x, y])
        return field


def face_grid(frame: FaceFrame, mouth_width: float | None) -> Grid:
    """A grid over the face with fourteen cells across the mouth."""
    pitch = frame.width / 24 if mouth_width is None else min(frame.width / 22, mouth_width / 14)
    pitch = max(round(pitch), int(np.ceil(frame.width / 50)), 1)
    across = np.array([-1.05, 1.05]) * max(frame.width, 0.8 * frame.height)
    down = np.array([-1.0, 1.45]) * frame.height
    corners = np.array([frame.centre + s * frame.axis_x + t * frame.axis_y for s in across for t in down])
    (left, top), (right, bottom) = corners.min(0), corners.max(0)
    return Grid.covering(left, top, right, bottom, pitch)


def _tuned_pitch(frame: FaceFrame, lips: LipLine | None) -> float:
    """The pitch in pixels for which the weights are tuned: nine cells across the mouth."""
    return frame.width / 24 if lips is None else min(frame.width / 22, lips.width / 9)


def build_operator(
    points: F64,
    visible: NDArray[np.bool_],
    frame: FaceFrame,
    grid: Grid,
    lips: LipLine | None,
    alpha: UInt8 | None = None,
) -> Operator:
    """Solves for both sheets.

    Args:
        points: (70, 2) resting landmarks.
        lips: the slit; None for a character without a mouth.
        alpha: (H, W), whose outline above the eyes is not skin and rests.
    """
    nodes = grid.nodes().astype(np.float64)
    flat = nodes.reshape(-1, 2)
    count = len(flat)
    side = np.zeros(count) if lips is None else lips.side(flat)
    laplacian, gradient = _laplacian(grid, flat, side, lips)

    controls = _controls(points, visible, frame, lips)
    rows = [_row(grid, flat, side, points[i], _side_of(i)) for i in controls]
    follow = sp.csr_matrix(np.array(rows)) if rows else sp.csr_matrix((0, count))
    eye_rows = [_row(grid, flat, side, points[i], 0) for i in range(36, 48) if visible[i]]
    local = frame.local(flat)
    radius = (local[:, 0] / (0.95 * frame.width)) ** 2 + (local[:, 1] / (1.15 * frame.height)) ** 2
    outside = np.where(radius > 1, _REST_OUTSIDE, 1e-6)
    eye_level = float(frame.local(frame.origin)[1])
    brow_level = float(frame.local(points[17:27])[..., 1].min()) if visible[17:27].all() else eye_level
    # Raised brows wrinkle the forehead; they do not stretch the skull.
    outside = np.maximum(outside, np.where(local[:, 1] < brow_level - 0.30 * frame.height, 1.0, 0.0))
    if alpha is not None:
        seen = cv2.remap(alpha, nodes.astype(np.float32), None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
        clear = cv2.dilate((seen < 128).astype(np.uint8), np.ones((3, 3), np.uint8)).reshape(-1) > 0
        outside = np.where(clear & (local[:, 1] < eye_level), _REST_OUTSIDE, outside)
    # A finer grid bends the more easily; what rests is held the less, or the field would break where it begins.
    rest = sp.diags(outside * min(grid.pitch / _tuned_pitch(frame, lips), 1.0) ** 4)
    system = laplacian.T @ laplacian + _SLOPE * gradient.T @ gradient + _FOLLOW * follow.T @ follow + rest
    if eye_rows:
        eyes = sp.csr_matrix(np.array(eye_rows))
        system = system + _REST_EYES * eyes.T @ eyes
    if len(controls) == 0:
        nothing = np.zeros((0, grid.rows, grid.columns), np.float32)
        return Operator(grid, controls, nothing, nothing[:, :0], (0, 0), _shown(grid, flat, lips))
    weights = splu(system.tocsc()).solve(_FOLLOW * follow.T.toarray())
    upper = lower = weights
    if lips is not None:
        upper = _extend(grid, weights, flat, lips, below=True)
        lower = _extend(grid, weights, flat, lips, below=False)
        lower = lower - _false_gap(grid, flat, lips, controls, lower - upper)
    window = _window(grid).reshape(-1, 1)
    shape = (len(controls), grid.rows, grid.columns)
    above, beneath = (as_float32((sheet * window).T).reshape(shape) for sheet in (upper, lower))
    differ = np.flatnonzero((above != beneath).any((0, 2)))
    first, last = (int(differ[0]), int(differ[-1]) + 1) if len(differ) else (0, 0)
    return Operator(grid, controls, above, as_float32(beneath[:, first:last]), (first, last), _shown(grid, flat, lips))


def _shown(grid: Grid, flat: F64, lips: LipLine | None) -> UInt8:
    """See `Operator.shown`."""
    nodes = np.ones((2, grid.rows, grid.columns), bool)
    if lips is not None:
        within, below = lips.within(flat), lips.below(flat)
        above = ~within | (below < -lips.lift[0] - grid.pitch)
        beneath = ~within | (below > lips.lift[1] + grid.pitch)
        nodes = np.stack([above, beneath]).reshape(nodes.shape)
    cells = nodes[:, 1:, 1:] & nodes[:, :-1, 1:] & nodes[:, 1:, :-1] & nodes[:, :-1, :-1]
    return cells.astype(np.uint8)


def _controls(points: F64, visible: NDArray[np.bool_], frame: FaceFrame, lips: LipLine | None) -> NDArray[np.intp]:
    """Landmarks that move the field. A jaw point close to the lips (the far side of a turned head) is none: it would
    pull against them."""
    seen = [i for i in (*range(36), *range(48, 68)) if visible[i] and (lips is not None or i < 48)]
    if lips is not None:
        gaps = np.linalg.norm(points[:17, None] - points[None, 48:60], axis=-1).min(1)
        seen = [i for i in seen if i >= 17 or gaps[i] > 0.07 * frame.width]
    return np.array(seen, np.intp)


def _side_of(landmark: int) -> int:
    return -1 if landmark in _UPPER_LIP else 1 if landmark in LOWER_LIP else 0


def _laplacian(grid: Grid, flat: F64, side: F64, lips: LipLine | None) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Graph Laplacian and edge differences of the 4-neighbour grid without the edges that cross the lips."""
    count = len(flat)
    index = np.arange(count).reshape(grid.rows, grid.columns)
    edges = np.concatenate(
        [
            np.stack([index[:, :-1].ravel(), index[:, 1:].ravel()], 1),
            np.stack([index[:-1].ravel(), index[1:].ravel()], 1),
        ]
    )
    if lips is not None:
        middle = (flat[edges[:, 0]] + flat[edges[:, 1]]) / 2
        crosses = (side[edges[:, 0]] * side[edges[:, 1]] < 0) & lips.within(middle)
        edges = edges[~crosses]
    number = np.arange(len(edges))
    ones = np.ones(len(edges))
    gradient = sp.csr_matrix(
        (np.concatenate([ones, -ones]), (np.concatenate([number, number]), np.concatenate([edges[:, 1], edges[:, 0]]))),
        shape=(len(edges), count),
    )
    return (gradient.T @ gradient).tocsr(), gradient


def _row(grid: Grid, flat: F64, side: F64, point: F64, want: int) -> F64:
    """Bilinear weights of a point over the nodes, only of nodes on its own side of the lips (want = -1 or 1)."""
    row = np.zeros(len(flat))
    at = grid.cells(point.astype(np.float32)).astype(np.float64)
    at = np.clip(at, 0, [grid.columns - 1.001, grid.rows - 1.001])
    column, line = np.floor(at).astype(int)
    fx, fy = at - (column, line)
    for dy, wy in ((0, 1 - fy), (1, fy)):
        for dx, wx in ((0, 1 - fx), (1, fx)):
            node = (line + dy) * grid.columns + column + dx
            if want == 0 or side[node] * want >= 0:
                row[node] += wx * wy
    if row.sum() < 0.05:  # every neighbour is across the line: the nearest node of the own side
        near = np.where(side * want > 0, ((flat - point) ** 2).sum(1), np.inf)
        row[:] = 0
        row[int(near.argmin())] = 1.0
    return row / row.sum()


def _extend(grid: Grid, weights: F64, flat: F64, lips: LipLine, *, below: bool) -> F64:
    """Continues the field of one side of the lips constantly across to the other side, within the mouth's columns."""
    sign = 1.0 if below else -1.0
    depth = (0.6 if below else 1.2) * lips.width
    across, beyond = lips.across(flat), sign * lips.below(flat)
    inside = lips.within(flat) & (beyond > -1.6 * grid.pitch) & (beyond < depth)
    source = lips.point(across[inside], -sign * 1.6 * grid.pitch)
    cells = grid.cells(source.astype(np.float32)).reshape(1, -1, 2)
    image = weights.reshape(grid.rows, grid.columns, -1).astype(np.float32)
    channels = [
        cv2.remap(
            np.ascontiguousarray(image[..., k : k + 4]), cells, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        for k in range(0, image.shape[2], 4)
    ]
    carried = np.concatenate([c.reshape(len(source), -1) for c in channels], axis=1)
    # From the line on fully carried; back to the field itself in the last quarter.
    amount = np.clip(1 + beyond[inside] / (1.6 * grid.pitch), 0, 1) * np.clip(
        (depth - beyond[inside]) / (0.25 * depth), 0, 1
    )
    # Towards the corners both sheets become one, so that the opening ends in a point.
    corner = np.clip((0.5 * lips.width - np.abs(across[inside])) / (0.18 * lips.width), 0, 1)
    amount = amount * corner * (2 - corner)
    result = weights.copy()
    result[inside] += amount[:, None] * (carried - weights[inside])
    return result


def _false_gap(grid: Grid, flat: F64, lips: LipLine, controls: NDArray[np.intp], apart: F64) -> F64:
    """What parts the sheets although both lips move alike, (nodes, n): between landmarks the two bend differently.

    It is taken back at the line and left to the lower lip's own outline further down.
    """
    place = {int(landmark): k for k, landmark in enumerate(controls)}
    alike = np.eye(len(controls))
    for above, below in _FACING:
        if above in place and below in place:
            alike[place[below]] = alike[place[above]]
    beyond = lips.below(flat) / max(1.2 * lips.lift[1], 2.0 * grid.pitch)
    amount = np.clip(1 - beyond, 0, 1) * lips.within(flat)
    return amount[:, None] * (apart @ alike)


def _window(grid: Grid) -> F64:
    """1 inside, 0 at the border of the grid, so that the field ends smoothly."""

    def ramp(n: int) -> F64:
        edge = np.clip(np.minimum(np.arange(n), np.arange(n)[::-1]) / 4.0, 0, 1)
        return edge * edge * (3 - 2 * edge)

    return np.outer(ramp(grid.rows), ramp(grid.columns))
