"""Figure and plate: what moves, and what is behind it. Made once, at load.

A picture with real alpha is its own matte. An opaque one is cut with GrabCut; when the cut cannot be trusted the
background moves along elastically instead, which is less visible than a ghost contour.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faceshot.animators.warp.frame import F64, FaceFrame
from faceshot.types import Float32, UInt8

__all__ = ["Cutout", "bleed", "cut_out"]

_WORK = 256  # longest side of the picture in which GrabCut works


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
    matte = _matte(np.ascontiguousarray(rgba[..., :3]), points, frame)
    if matte is None:
        return None
    alpha = np.round(matte * 255).astype(np.uint8)
    plate = _inpaint(np.ascontiguousarray(rgba[..., :3]), alpha)
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


def _matte(rgb: UInt8, points: F64, frame: FaceFrame) -> Float32 | None:
    height, width = rgb.shape[:2]
    scale = min(1.0, _WORK / max(width, height))
    small = cv2.resize(rgb, (max(round(width * scale), 2), max(round(height * scale), 2)), interpolation=cv2.INTER_AREA)
    rows, columns = small.shape[:2]
    ys, xs = np.mgrid[0:rows, 0:columns]
    local = frame.local((np.stack([xs, ys], -1) + 0.5) / scale - 0.5)
    across, down = np.abs(local[..., 0]), local[..., 1]

    mask = np.full((rows, columns), cv2.GC_PR_BGD, np.uint8)
    below = down - frame.chin
    trunk = (below > 0) & (across < 0.55 * frame.width + 0.6 * np.maximum(below, 0))
    mask[((across / (0.85 * frame.width)) ** 2 + (down / (1.25 * frame.height)) ** 2 < 1) | trunk] = cv2.GC_PR_FGD
    far = (across / (1.5 * frame.width)) ** 2 + (down / (1.9 * frame.height)) ** 2 > 1
    mask[far & (down < frame.chin)] = cv2.GC_BGD
    hull = cv2.convexHull(((points[:27] + 0.5) * scale - 0.5).astype(np.int32))
    cv2.fillConvexPoly(mask, hull, cv2.GC_FGD)
    if not (mask == cv2.GC_FGD).any() or not (mask == cv2.GC_BGD).any():
        return None
    cv2.setRNGSeed(1)
    try:
        cv2.grabCut(small, mask, None, np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_MASK)
    except cv2.error:  # too few pixels of one class to learn colours from
        return None
    figure = ((mask == cv2.GC_FGD) | (mask == cv2.GC_PR_FGD)).astype(np.uint8)
    figure = cv2.morphologyEx(figure, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    figure = cv2.morphologyEx(figure, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    _, labels = cv2.connectedComponents(figure)
    seed = np.clip(np.round((points[30] + 0.5) * scale - 0.5).astype(int), 0, [columns - 1, rows - 1])
    label = labels[seed[1], seed[0]]
    if label == 0:
        return None
    whole = figure.sum()
    figure = (labels == label).astype(np.uint8)
    outside, _ = cv2.findContours(1 - figure, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    for contour in outside:  # holes that do not reach the border belong to the figure
        x, y, w, h = cv2.boundingRect(contour)
        if x > 0 and y > 0 and x + w < columns and y + h < rows:
            cv2.drawContours(figure, [contour], -1, 1, cv2.FILLED)
    if not _trustworthy(small, figure, whole):
        return None
    soft = cv2.resize(figure.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    soft = cv2.GaussianBlur(soft, (0, 0), max(width, height) / 300)
    return np.clip((soft - 0.35) / 0.4, 0, 1).astype(np.float32)


def _trustworthy(rgb: UInt8, figure: UInt8, whole: int) -> bool:
    """Right size, one piece, a plain background, and a contour along which the colours really differ everywhere.

    Strict on purpose: a figure cut through its hair or coat is far uglier than a background that bends a little.
    """
    area = figure.mean()
    if not 0.06 < area < 0.88 or figure.sum() < 0.8 * whole:
        return False
    kernel = np.ones((5, 5), np.uint8)
    inner = figure - cv2.erode(figure, kernel, borderValue=1)
    outer = cv2.dilate(figure, kernel) - figure
    behind = cv2.dilate(figure, np.ones((7, 7), np.uint8)) == 0
    if not inner.any() or not outer.any() or behind.sum() < 50:
        return False
    lab = cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB).astype(np.float32)
    if not _is_plain(lab, behind):
        return False
    size = (9, 9)
    weight_in = np.maximum(cv2.blur(inner.astype(np.float32), size), 1e-3)[..., None]
    weight_out = np.maximum(cv2.blur(outer.astype(np.float32), size), 1e-3)[..., None]
    mean_in = cv2.blur(lab * inner[..., None], size) / weight_in
    mean_out = cv2.blur(lab * outer[..., None], size) / weight_out
    contrast = np.linalg.norm(mean_in - mean_out, axis=-1)[inner > 0]
    return bool((contrast < 18).mean() < 0.06)


def _is_plain(lab: Float32, behind: NDArray[np.bool_]) -> bool:
    """Whether a smooth gradient explains the background."""
    ys, xs = np.nonzero(behind)
    x, y = xs / lab.shape[1], ys / lab.shape[0]
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)
    colours = lab[behind]
    fitted, *_ = np.linalg.lstsq(terms, colours, rcond=None)
    residual = np.linalg.norm(colours - terms @ fitted, axis=1)
    return bool(np.percentile(residual, 90) < 16)


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
