"""Figure and plate: what moves, and what is behind it. Made once, at load.

A picture with real alpha is its own matte. An opaque one is cut by `faceshot.matte`; when the cut cannot be trusted the
background moves along elastically instead, which is less visible than a ghost contour.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from faceshot.animators.warp.frame import F64, FaceFrame
from faceshot.matte import soft_figure
from faceshot.types import UInt8

__all__ = ["Cutout", "bleed", "cut_out"]


@dataclass(frozen=True, slots=True, eq=False)
class Cutout:
    """A figure in front of a plate; at rest figure + (255 - alpha) / 255 * plate is the picture, exactly.

    Attributes:
        figure: (H, W, 4) uint8, premultiplied with its alpha.
        plate: (H, W, 4) uint8, opaque picture without the figure.
    """

    figure: UInt8
    plate: UInt8


def bleed(rgba: UInt8, reach: float = 3.0) -> UInt8:
    """Spreads the figure's colours outwards under alpha 0: interpolation at its edge must meet no foreign colour."""
    alpha = rgba[..., 3]
    if alpha.min() == 255:
        return rgba
    weight = alpha.astype(np.float32) / 255.0
    colour = rgba[..., :3].astype(np.float32) * weight[..., None]
    filled = np.zeros_like(colour)
    need = np.ones(alpha.shape, np.float32)
    for sigma in (reach, 4 * reach):
        spread = cv2.GaussianBlur(weight, (0, 0), sigma)
        tint = cv2.GaussianBlur(colour, (0, 0), sigma) / np.maximum(spread, 1e-6)[..., None]
        take = need * (spread > 1e-3)
        filled += tint * take[..., None]
        need -= take
    result = rgba.copy()
    clear = alpha == 0
    result[..., :3][clear] = np.clip(filled[clear] + 0.5, 0, 255).astype(np.uint8)
    return result


def cut_out(rgba: UInt8, points: F64, frame: FaceFrame) -> Cutout | None:
    """Separates the figure of an opaque picture from its background; None when the matte is not good enough."""
    matte = soft_figure(np.ascontiguousarray(rgba[..., :3]), points, frame)
    if matte is None:
        return None
    alpha = np.round(matte * 255).astype(np.uint8)
    plate = _inpaint(np.ascontiguousarray(rgba[..., :3]), alpha)
    alpha = np.maximum(alpha, _least_alpha(rgba[..., :3], plate, alpha))
    picture = rgba[..., :3].astype(np.int32)
    clear = (255 - alpha.astype(np.int32))[..., None]
    # The figure is what is left of the picture over the plate; where the plate alone is too bright, it yields.
    plate_now = np.where(picture * 255 < plate * clear, picture * 255 // np.maximum(clear, 1), plate).astype(np.int32)
    behind = cv2.multiply(plate_now.astype(np.uint8), np.repeat(clear, 3, 2).astype(np.uint8), scale=1 / 255)
    figure = np.clip(picture - behind, 0, 255).astype(np.uint8)
    # More light than an opaque figure can carry through this alpha goes back to the plate.
    over = figure.astype(np.int32) - alpha[..., None]
    lift = np.where((over > 0) & (clear > 0), over * 255 // np.maximum(clear, 1), 0)
    plate_now = np.clip(plate_now + lift, 0, 255).astype(np.uint8)
    behind = cv2.multiply(plate_now, np.repeat(clear, 3, 2).astype(np.uint8), scale=1 / 255)
    figure = np.clip(picture - behind, 0, 255).astype(np.uint8)
    opaque = np.full(alpha.shape, 255, np.uint8)
    return Cutout(np.dstack([figure, alpha]), np.dstack([plate_now, opaque]))


def _least_alpha(rgb: UInt8, plate: UInt8, alpha: UInt8) -> UInt8:
    """(H, W) what a figure must cover at its rim for the plate to stay as it is: whatever the rim has of hair or shadow
    goes with the figure, or it would stay behind as an outline. Fades out beyond the rim, where it is background."""
    reach = max(3, round(max(alpha.shape) / 170))
    away = cv2.distanceTransform((alpha <= 8).astype(np.uint8), cv2.DIST_L2, 5)
    share = np.clip(1.5 - away / reach, 0, 1)
    picture, behind = rgb.astype(np.float32), plate.astype(np.float32)
    darker = (behind - picture) / np.maximum(behind, 1)
    lighter = (picture - behind) / np.maximum(255 - behind, 1)
    least = np.maximum(darker, lighter).max(-1)
    least = np.clip((least - 0.04) / 0.96, 0, 1) * share
    return np.asarray(np.ceil(255 * least), np.uint8)


def _inpaint(rgb: UInt8, alpha: UInt8) -> UInt8:
    """The picture with the figure filled from around it, smooth: only a narrow band of it is ever seen."""
    reach = 2 * max(3, round(max(alpha.shape) / 60)) + 1
    covered = cv2.dilate((alpha > 2).astype(np.uint8), np.ones((reach, reach), np.uint8))
    known = (1 - covered).astype(np.float32)
    result = rgb.astype(np.float32) * known[..., None]
    levels = [(result, known)]
    while min(levels[-1][1].shape) > 2:
        colour, weight = levels[-1]
        size = ((weight.shape[1] + 1) // 2, (weight.shape[0] + 1) // 2)
        levels.append(
            (
                cv2.resize(colour, size, interpolation=cv2.INTER_AREA),
                cv2.resize(weight, size, interpolation=cv2.INTER_AREA),
            )
        )
    colour, weight = levels[-1]
    filled = colour / np.maximum(weight, 1e-6)[..., None]
    for colour, weight in levels[-2::-1]:
        upper = cv2.resize(filled, (weight.shape[1], weight.shape[0]), interpolation=cv2.INTER_LINEAR)
        own = colour / np.maximum(weight, 1e-6)[..., None]
        trust = np.minimum(weight * 1.0, 1.0)[..., None]
        filled = own * trust + upper * (1 - trust)
    return np.clip(filled + 0.5, 0, 255).astype(np.uint8)
