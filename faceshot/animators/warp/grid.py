"""Coarse node grids that line up with pixels, and smooth invertible fields on them.

Convention:
    A grid of pitch p (whole pixels) at origin (x0, y0) has its node (i, j) at pixel x0 + (j + 1/2) p - 1/2, so
    `cv2.resize` by p turns node values into pixel values of the block it covers without any offset.
    Fields are displacements in pixels, (rows, columns, 2) float32, x then y.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

from faceshot.animators.warp.kernels import newton, share_without_fold
from faceshot.types import Float32, UInt8

__all__ = ["Grid", "free_share", "invert", "sample"]

Image = TypeVar("Image", Float32, UInt8)

_LEAST_AREA = 0.06  # share of its area that a cell keeps at least


@dataclass(frozen=True, slots=True)
class Grid:
    """`columns` x `rows` nodes of `pitch` pixels; (x0, y0) is the block's first pixel, perhaps outside the picture."""

    x0: int
    y0: int
    columns: int
    rows: int
    pitch: int

    @classmethod
    def covering(cls, left: float, top: float, right: float, bottom: float, pitch: int) -> Grid:
        """The smallest grid over a box of pixels, with its origin at a multiple of the pitch."""
        column, row = int(np.floor(left / pitch)), int(np.floor(top / pitch))
        columns = max(int(np.ceil(right / pitch)) - column, 2)
        rows = max(int(np.ceil(bottom / pitch)) - row, 2)
        return cls(column * pitch, row * pitch, columns, rows, pitch)

    @property
    def size_wh(self) -> tuple[int, int]:
        """Size in pixels of the covered block."""
        return self.columns * self.pitch, self.rows * self.pitch

    @property
    def place(self) -> tuple[int, int, int]:
        """x0, y0 and pitch, as `kernels` takes it."""
        return self.x0, self.y0, self.pitch

    def nodes(self) -> Float32:
        """(rows, columns, 2) float32 pixel coordinates of the nodes."""
        nodes = np.empty((self.rows, self.columns, 2), np.float32)
        nodes[..., 0] = np.arange(self.columns, dtype=np.float32) * self.pitch + np.float32(
            self.x0 + 0.5 * self.pitch - 0.5
        )
        nodes[..., 1] = (
            np.arange(self.rows, dtype=np.float32) * self.pitch + np.float32(self.y0 + 0.5 * self.pitch - 0.5)
        )[:, None]
        return nodes

    def ringed(self) -> Grid:
        """The same grid with one more node on every side."""
        return Grid(self.x0 - self.pitch, self.y0 - self.pitch, self.columns + 2, self.rows + 2, self.pitch)

    def cells(self, points_xy: Float32) -> Float32:
        """Pixel coordinates (..., 2) as (column, row) of this grid, fractional."""
        offset = np.array([0.5 - self.x0, 0.5 - self.y0], np.float32)
        return (points_xy + offset) * np.float32(1.0 / self.pitch) - np.float32(0.5)

    def sample(self, field: Float32, points_xy: Float32, outside: int = cv2.BORDER_REPLICATE) -> Float32:
        """A field of this grid, bilinear at pixel coordinates (h, w, 2)."""
        # `cells` by cv2: numpy is many times slower over so short a last axis.
        share = 1.0 / self.pitch
        shift = ((0.5 - self.x0) * share - 0.5, (0.5 - self.y0) * share - 0.5, 0.0, 0.0)
        return sample(field, cv2.add(points_xy * np.float32(share), shift), outside)

    def upsample(self, field: Float32, out: Float32 | None = None) -> Float32:
        """Node values (rows, columns, C) to pixel values of the whole block, into `out` if given."""
        pixels: Float32 = cv2.resize(field, self.size_wh, dst=out, interpolation=cv2.INTER_LINEAR)
        return pixels


def sample(image: Image, at: Float32, outside: int = cv2.BORDER_REPLICATE) -> Image:
    """Bilinear values of an image at (h, w, 2) float32 coordinates of its own pixels."""
    values: Image = cv2.remap(image, at, None, cv2.INTER_LINEAR, borderMode=outside)
    return values


def invert(grid: Grid, forward: Float32, over: Grid | None = None, steps: int = 4, reach: float = 3.0) -> Float32:
    """Displacement v with (y + v) + u(y + v) = y on the nodes y of a grid.

    Args:
        forward: (rows, columns, 2) displacement u of source points on `grid`, pixels; continued constantly outside.
        over: where the inverse is wanted, a grid of the same pitch; `grid` itself by default.
        reach: the largest step in cells.
    """
    wanted = over or grid
    return newton(forward, grid.place, (wanted.x0, wanted.y0), (wanted.rows, wanted.columns), steps, reach)


def free_share(grid: Grid, forward: Float32, seen: UInt8) -> float:
    """How much of a displacement is possible without a fold, 0 to 1.

    Args:
        forward: (rows, columns, 2) on `grid`, pixels.
        seen: (rows - 1, columns - 1), 0 where a cell may fold unseen.
    """
    share: float = share_without_fold(forward, seen, grid.pitch, _LEAST_AREA)
    return share
