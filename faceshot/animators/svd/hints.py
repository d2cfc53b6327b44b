"""Sparse motion hints: how far each landmark has moved, written at the pixel where it is in the reference.

Where the hints stand depends on the reference only, so only 68 numbers a frame go to the device. Where several
landmarks share a pixel the last one counts (undefined on a GPU in the published program).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from torch import Tensor

from faceshot.animators.svd.cmp import BINS, SIDE
from faceshot.types import Float32

__all__ = ["REACH_384", "Hints"]

REACH_384: Final = 50.0 * (BINS - 1) / BINS
"""Furthest motion that CMP can express, px at 384 (66 px at 512)."""
_POINTS: Final = 68


class Hints:
    """The hints of one character.

    Args:
        reference_xy: (68 or 70, 2) px of a picture of `size_wh`; only the first 68 are used.
        size_wh: of the picture the points are in.
        visible: (68 or 70,) bool; invisible points give no hint.
        device: where hints are made.

    Attributes:
        mask: (1, 2, 384, 384) float32, 1 where there is a hint.
    """

    def __init__(
        self,
        reference_xy: np.ndarray,
        size_wh: tuple[int, int],
        visible: np.ndarray | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self._scale = SIDE / np.asarray(size_wh, np.float64)
        self._reference = np.asarray(reference_xy, np.float64)[:_POINTS] * self._scale
        pixels = np.clip(np.trunc(self._reference).astype(int), 0, SIDE - 1)
        last: dict[tuple[int, int], int] = {}
        for i, (x, y) in enumerate(pixels.tolist()):
            if visible is None or visible[i]:
                last[x, y] = i
        self._points = np.array(sorted(last.values()), int)
        flat = pixels[self._points, 1] * SIDE + pixels[self._points, 0]
        self._flat = torch.from_numpy(flat).to(device)
        mask = torch.zeros(2, SIDE * SIDE, device=device)
        mask[:, self._flat] = 1
        self.mask = mask.reshape(1, 2, SIDE, SIDE)

    def motion(self, points_xy: np.ndarray) -> Float32:
        """(F, K, 2) px at 384 of the points that give hints.

        Args:
            points_xy: (F, 68 or 70, 2) px of a picture of `size_wh`.
        """
        moved = np.asarray(points_xy, np.float64)[:, :_POINTS] * self._scale - self._reference
        return np.asarray(moved[:, self._points], np.float32)

    def beyond_reach(self, points_xy: np.ndarray) -> np.ndarray:
        """(F,) how many landmarks of each frame have moved further than the flow can say; they move that far."""
        far = np.abs(self.motion(points_xy)) > REACH_384
        return np.asarray(far.any(2).sum(1))

    def dense(self, motion: Tensor) -> Tensor:
        """(F, K, 2) -> (F, 2, 384, 384), 0 where there is no hint."""
        out = motion.new_zeros(motion.shape[0], 2, SIDE * SIDE)
        out[:, :, self._flat] = motion.transpose(1, 2)
        return out.reshape(-1, 2, SIDE, SIDE)
