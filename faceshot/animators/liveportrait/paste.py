"""Back into the picture: the animated 512² crop over the picture it came from, with a soft edge, and its alpha.

Only the part of the picture that the crop touches is worked on.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from faceshot.animators.liveportrait.crop import CROP_PX, Square, into_square
from faceshot.types import Float32, UInt8

__all__ = ["Paster", "feather", "spread"]

_EDGE_PX: Final = 16


def feather(side_px: int = CROP_PX) -> UInt8:
    """(side, side) how much of the crop is seen: 255 inside, falling to 0 over the last sixteenth of each side."""
    edge = _EDGE_PX * side_px / CROP_PX
    inside = np.clip(np.arange(side_px), edge, side_px - edge)
    away = np.abs(np.arange(side_px) - inside)
    distance = np.hypot(away[:, None], away[None, :])
    return np.floor(255 * np.clip(1 - distance / edge, 0, 1)).astype(np.uint8)


def spread(rgba: UInt8, trusted: int = 64) -> UInt8:
    """(H, W, 3) the picture's colours, those under transparent pixels filled smoothly from around.

    The networks see no alpha: what is transparent must not show as a black figure with a hard edge.

    Args:
        trusted: alpha from which a pixel's own colour is believed; below, the less alpha the more it is filled.
    """
    alpha = rgba[..., 3]
    if alpha.min() >= trusted:
        return np.ascontiguousarray(rgba[..., :3])
    weight = np.minimum(alpha.astype(np.float32) / trusted, 1)
    levels = [(rgba[..., :3].astype(np.float32) * weight[..., None], weight)]
    while min(levels[-1][1].shape) > 1:
        colour, weight = levels[-1]
        size_wh = (weight.shape[1] + 1) // 2, (weight.shape[0] + 1) // 2
        levels.append(
            (
                np.asarray(cv2.resize(colour, size_wh, interpolation=cv2.INTER_AREA), np.float32),
                np.asarray(cv2.resize(weight, size_wh, interpolation=cv2.INTER_AREA), np.float32),
            )
        )
    colour, weight = levels[-1]
    filled = colour / np.maximum(weight, 1e-6)[..., None]
    for colour, weight in levels[-2::-1]:
        coarse = cv2.resize(filled, (weight.shape[1], weight.shape[0]), interpolation=cv2.INTER_LINEAR)
        filled = colour + coarse * (1.0 - weight)[..., None]
    return np.clip(filled + 0.5, 0, 255).astype(np.uint8)


class Paster:
    """One crop's way back into pictures of one size.

    Args:
        size_wh: of the picture.
        square: where the crop was.
        mask: (S, S) as of `feather`, as large as the crops; None shows all of crops of 512.
    """

    def __init__(self, size_wh: tuple[int, int], square: Square, mask: UInt8 | None) -> None:
        width, height = size_wh
        corners = square.corners
        left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int) - 1, 0)
        right, bottom = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 2, (width, height))
        self._part = (slice(int(top), int(max(bottom, top))), slice(int(left), int(max(right, left))))
        self._size_wh = (int(max(right - left, 0)), int(max(bottom - top, 0)))
        full = np.full((CROP_PX, CROP_PX), 255, np.uint8) if mask is None else mask
        back = np.linalg.inv(into_square(square, len(full)))
        back[:2, 2] -= (left, top)
        self._matrix = back[:2]
        self._shown: Float32 = np.zeros(0, np.float32)
        if all(self._size_wh):
            # Where the crop ends there is no more of it, also without a mask.
            self._shown = self._warped(full).astype(np.float32) / np.float32(255)
            self._kept: Float32 = 1 - self._shown

    def paste(self, canvas: UInt8, crop: UInt8) -> None:
        """Put a (S, S, C) crop into a (H, W, C) canvas, in place."""
        if not all(self._size_wh):
            return  # the square lies outside the picture
        behind = np.ascontiguousarray(canvas[self._part])
        canvas[self._part] = cv2.blendLinear(self._warped(crop), behind, self._shown, self._kept)

    @property
    def shown(self) -> Float32:
        """How much of the crop is seen, for the part of the picture that it touches; 0 to 1."""
        return self._shown

    @property
    def part(self) -> tuple[slice, slice]:
        """Rows and columns of the picture that the crop touches."""
        return self._part

    def _warped(self, crop: UInt8) -> UInt8:
        return np.asarray(cv2.warpAffine(crop, self._matrix, self._size_wh, flags=cv2.INTER_LINEAR), np.uint8)
