"""A character's picture as the square that video diffusion draws, and back.

The picture keeps its aspect and stands in the middle; what is left of the square continues its border. A cut-out figure
is laid on plain grey, and its outline is carried along the flow afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from faceshot.animators.svd.splat import splat_sum
from faceshot.types import Character, Float32, UInt8

__all__ = ["GREY", "Square", "carried_alpha"]

GREY: Final = 128
_HOLE: Final = 0.2
"""A pixel on which less than this part of one has landed is filled from its neighbours."""
_REACH_PX: Final = 9


@dataclass(frozen=True, slots=True)
class Square:
    """Where the picture is in the square.

    Attributes:
        size: side of the square in pixels.
        size_wh: of the character's picture.
        left, top, width, height: of the picture in the square.
    """

    size: int
    size_wh: tuple[int, int]
    left: int
    top: int
    width: int
    height: int

    @classmethod
    def around(cls, size_wh: tuple[int, int], size: int) -> Square:
        scale = size / max(size_wh)
        width, height = (max(1, round(side * scale)) for side in size_wh)
        return cls(size, size_wh, (size - width) // 2, (size - height) // 2, width, height)

    def points(self, points_xy: np.ndarray) -> Float32:
        """Points (..., 2) of the character's picture in pixels of the square."""
        scale = np.array([self.width, self.height]) / self.size_wh
        return np.asarray(np.asarray(points_xy) * scale + (self.left, self.top), np.float32)

    def picture(self, character: Character) -> tuple[UInt8, UInt8 | None]:
        """(S, S, 3) the square, and (S, S) its alpha; None when the picture is opaque."""
        rgba = character.rgba
        alpha = rgba[..., 3]
        opaque = bool((alpha == 255).all())
        share = alpha[..., None].astype(np.float32) / 255
        flat = np.rint(rgba[..., :3] * share + GREY * (1 - share)).astype(np.uint8)
        how = cv2.INTER_AREA if self.width < self.size_wh[0] else cv2.INTER_CUBIC
        small = cv2.resize(flat, (self.width, self.height), interpolation=how)
        edges = (self.top, self.size - self.top - self.height, self.left, self.size - self.left - self.width)
        square = cv2.copyMakeBorder(small, *edges, cv2.BORDER_REPLICATE)
        if opaque:
            return np.asarray(square, np.uint8), None
        veil = cv2.resize(alpha, (self.width, self.height), interpolation=how)
        return np.asarray(square, np.uint8), np.asarray(cv2.copyMakeBorder(veil, *edges, cv2.BORDER_CONSTANT), np.uint8)

    def back(self, rgb: UInt8, alpha: UInt8 | None = None) -> UInt8:
        """(H, W, 4) of the character's size, out of a drawn square (S, S, 3) and its alpha (S, S)."""
        rows, columns = slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)
        figure = rgb[rows, columns]
        veil = np.full(figure.shape[:2], 255, np.uint8) if alpha is None else alpha[rows, columns]
        if alpha is not None:  # take the grey out of the half-transparent edge
            share = np.maximum(veil, 1)[..., None].astype(np.float32) / 255
            figure = np.clip((figure - GREY * (1 - share)) / share, 0, 255).astype(np.uint8)
        rgba = np.dstack([figure, veil])
        if rgba.shape[1::-1] != self.size_wh:
            shrinks = self.size_wh[0] < self.width
            rgba = cv2.resize(rgba, self.size_wh, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        return np.ascontiguousarray(rgba, np.uint8)


def carried_alpha(alpha: Tensor, flows: Tensor) -> Tensor:
    """The figure's outline carried along.

    Args:
        alpha: (1, 1, H, W) in 0..1.
        flows: (F, 2, H, W) px.

    Returns:
        (F, 1, H, W) in 0..1; small holes take the mean of what landed around them.
    """
    frames = flows.shape[0]
    total, weight = splat_sum(alpha.expand(frames, -1, -1, -1), flows)
    pad = _REACH_PX // 2
    near = functional.avg_pool2d(torch.cat([total, weight], 1), _REACH_PX, 1, pad)
    filled = near[:, :1] / near[:, 1:].clamp_min(1e-3)
    return torch.where(weight > _HOLE, total / weight.clamp_min(1e-6), filled).clamp(0, 1)
