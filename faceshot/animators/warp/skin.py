"""Filling a hole with the skin around it: the lid of an eye, the wall behind a moving dot."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from faceshot.types import Float32, UInt8

__all__ = ["fill_with_skin", "typical_skin", "with_lash_tips"]

Mask = NDArray[np.bool_]
_LUMINANCE = np.array([0.3, 0.59, 0.11], np.float32)
_FUR_FROM = 1.0  # median of the fine texture around an eye, grey levels: smooth skin has less
_FUR_EVEN = 3.6  # its strongest tenth in medians: more is edges


def typical_skin(rgb: UInt8, ring: Mask) -> Float32:
    """Median colour of the more alike half of a ring of pixels."""
    colours = (rgb[ring] if ring.any() else rgb.reshape(-1, 3)).astype(np.float32)
    median = np.median(colours, axis=0)
    distance = np.linalg.norm(colours - median, axis=1)
    return np.asarray(np.median(colours[distance <= np.percentile(distance, 60)], axis=0), np.float32)


def fill_with_skin(
    rgb: UInt8,
    hole: Mask,
    seen: Mask,
    *,
    bright_strokes: bool = False,
    strange: Mask | None = None,
    furry: bool = False,
) -> Float32:
    """(H, W, 3) float32: the picture with `hole` filled so that nobody sees where it was.

    The slow part of the colour is harmonic inside the hole and meets the picture at its edge; the fine part (fur,
    canvas, pores) is the surroundings' own, mirrored at the edge. Thin strokes around the hole (lashes, creases) are
    left out of both.

    Args:
        seen: pixels whose colour means something (not clear, not a brow).
        strange: pixels whose colour is not to be continued into the hole.
        bright_strokes: whether the strokes to leave out are brighter than the skin, not darker.
        furry: what is around the hole may be fur: its locks are laid into the hole as they are.
    """
    image = rgb.astype(np.float32)
    size = float(np.sqrt(max(hole.sum(), 1)))
    light = image @ _LUMINANCE
    if bright_strokes:
        light = 255 - light
    light[hole] = 255  # so that a rim between the hole and the skin counts as a thin stroke
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * max(round(0.09 * size), 1) + 1,) * 2)
    stroke = cv2.morphologyEx(light, cv2.MORPH_CLOSE, kernel) - light
    ring = (cv2.dilate(hole.astype(np.uint8), kernel, iterations=3) > 0) & ~hole & seen
    usual = float(np.median(stroke[ring])) if ring.any() else 0.0  # fur is all strokes
    plain = 1 / (1 + (stroke * np.float32(1 / (16 + 2.5 * usual))) ** 4)
    trusted = (seen & ~hole) * plain
    glare = np.maximum(light - float(typical_skin(rgb, ring) @ _LUMINANCE), 0) if not bright_strokes else 0 * light
    trusted *= 1 / (1 + (glare * np.float32(1 / 50)) ** 4)
    if strange is not None:
        trusted *= ~strange
    trusted = np.maximum(trusted, 1e-4 * ~hole).astype(np.float32)
    slow, _ = _blurred(image, trusted, max(0.05 * size, 1.0))
    wall = _harmonic(image, trusted, hole, size)
    inside = cv2.GaussianBlur(hole.astype(np.float32), (0, 0), max(0.02 * size, 0.8))[..., None]
    slow = slow + np.clip(2 * inside - 0.5, 0, 1) * (wall - slow)
    fine = _mirrored(image - slow, hole | (trusted < 0.5), ring, max(round(0.3 * size), 2))
    if furry and _is_fur(image - slow, ring & (trusted > 0.5)):
        fine = _with_locks(fine, image, trusted, hole, wall, size)
    # Beyond the hole the filling yields to the picture softly.
    reach = max(0.14 * size, 2.0)
    away = cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, 5)
    amount = np.clip(1 - away / reach, 0, 1)
    amount = amount * amount * (3 - 2 * amount) * (seen | hole)
    if bright_strokes:
        amount *= np.where(hole, 1, plain)
    if strange is not None:
        amount *= np.where(hole, 1, 1 - cv2.blur(strange.astype(np.float32), (3, 3)))
        # Where the hole ends at a brow it ends at once: without steps, all the same.
        amount = cv2.GaussianBlur(amount.astype(np.float32), (0, 0), max(0.02 * size, 0.8))
    amount = amount.astype(np.float32)[..., None]
    return np.asarray(np.clip(image + amount * (slow + fine - image), 0, 255), np.float32)


def _blurred(image: Float32, weight: Float32, sigma: float) -> tuple[Float32, Float32]:
    """Weighted Gaussian mean of an image, and the weight's own blur."""
    total = cv2.GaussianBlur(weight, (0, 0), sigma)
    mean = cv2.GaussianBlur(image * weight[..., None], (0, 0), sigma) / np.maximum(total, 1e-6)[..., None]
    return mean, total


def _harmonic(image: Float32, trusted: Float32, hole: Mask, size: float) -> Float32:
    """Solves Laplace's equation in the hole, at a resolution of about 40 pixels across it."""
    scale = min(1.0, 40.0 / size)
    shape = (max(round(hole.shape[1] * scale), 4), max(round(hole.shape[0] * scale), 4))
    weight = cv2.resize(trusted, shape, interpolation=cv2.INTER_AREA)
    colour = cv2.resize(image * trusted[..., None], shape, interpolation=cv2.INTER_AREA)
    colour /= np.maximum(weight, 1e-7)[..., None]
    weight *= cv2.resize(hole.astype(np.float32), shape, interpolation=cv2.INTER_AREA) < 0.3
    # A coarse guess first, then relaxation.
    guess, known = _blurred(colour, weight, 1.5)
    for sigma in (3.0, 6.0, 12.0, 24.0):
        wider, total = _blurred(colour, weight, sigma)
        enough = np.clip(known * 20, 0, 1)[..., None]
        guess, known = wider + enough * (guess - wider), total
    fixed = np.clip((weight - 0.25) * 2, 0, 1)[..., None]
    edge, _ = _blurred(colour, weight, 1.5)
    x = guess
    kernel = np.array([[0, 0.25, 0], [0.25, 0, 0.25], [0, 0.25, 0]], np.float32)
    for _ in range(150):
        x = cv2.filter2D(x, -1, kernel, borderType=cv2.BORDER_REPLICATE)
        x += fixed * (edge - x)
    return np.asarray(cv2.resize(x, hole.shape[::-1], interpolation=cv2.INTER_CUBIC))


def _is_fur(fine: Float32, where: Mask) -> bool:
    """Whether a texture is rough all over: smooth skin is not, and scales are smooth but for their edges."""
    kept = np.abs(fine[where])
    if not kept.size:
        return False
    usual, strong = np.percentile(kept, [50, 90])
    return bool(usual > _FUR_FROM and strong < _FUR_EVEN * usual)


def _with_locks(fine: Float32, image: Float32, trusted: Float32, hole: Mask, wall: Float32, size: float) -> Float32:
    """(H, W, 3) a texture with what is finer than an eye laid into a hole by shifting whole what lies beside it: fur
    has a lie that a mirror would turn about.

    The few shifts that bring most of it, and of the likest colour, are put together softly.
    """
    fur = (trusted > 0.5) & ~hole
    slow, _ = _blurred(image, np.maximum(trusted * fur, 1e-4).astype(np.float32), max(0.12 * size, 1.0))
    detail = (image - slow) @ _LUMINANCE  # its light only: colours are the wall's
    limit = np.float32(3.0 * np.median(np.abs(detail[fur]))) if fur.any() else np.float32(1.0)
    detail = limit * np.tanh(detail / limit)  # fur, not a spot or a whisker
    ys, xs = np.nonzero(hole)
    reach = np.array([np.ptp(xs) + 1, np.ptp(ys) + 1], np.float64)
    soft = max(0.04 * size, 0.8)
    shifted = []
    for angle in np.linspace(0, 2 * np.pi, 16, endpoint=False):
        for share in (0.3, 0.5, 0.75, 1.0):
            along = np.array([np.cos(angle), np.sin(angle)])
            x, y = np.rint(share * along * reach / max(float(np.abs(along).max()), 1e-6)).astype(int)
            there = _shifted(fur.astype(np.uint8), x, y) > 0
            if (there & hole).sum() > 0.05 * hole.sum():
                unlike = float(np.abs(_shifted(slow, x, y) - wall).mean(-1)[there & hole].mean())
                shifted.append((x, y, there, 1 / (1 + (unlike / 25) ** 2)))
    need, locks = cv2.GaussianBlur(hole.astype(np.float32), (0, 0), max(0.02 * size, 0.8)), np.zeros_like(detail)
    need = np.clip(2 * need - 0.5, 0, 1)
    whole = need
    for _ in range(8):
        gains = [liking * float((need * there).sum()) for _, _, there, liking in shifted]
        if not gains or max(gains) < 0.01 * hole.sum():
            break
        x, y, there, _ = shifted[int(np.argmax(gains))]
        share = need * np.clip(2 * cv2.GaussianBlur(there.astype(np.float32), (0, 0), soft) - 1, 0, 1)
        locks += share * _shifted(detail, x, y)
        need = need - share
    covered = (whole - need)[..., None]
    return fine * (1 - covered) + locks[..., None]


def _shifted(image: NDArray[Any], x: int, y: int) -> NDArray[Any]:
    """An image whose pixel (row, column) is another's (row + y, column + x); 0 where that has none."""
    size = image.shape[1], image.shape[0]
    moved: NDArray[Any] = cv2.warpAffine(image, np.array([[1.0, 0, -x], [0, 1, -y]]), size, flags=cv2.INTER_NEAREST)
    return moved


def _mirrored(fine: Float32, missing: Mask, ring: Mask, band: int) -> Float32:
    """A texture continued into where it is missing by mirroring it at the edge, back and forth within a band.

    Only what is as faint as most of the ring is texture; smooth skin has none.
    """
    kept = fine[ring & ~missing]
    typical = float(np.median(np.abs(kept))) if kept.size else 0.0
    limit = 2.0 * max(typical - 0.8, 0.0)
    texture = np.where(missing[..., None], 0, np.clip(fine, -limit, limit)).astype(np.float32)
    if limit == 0 or not missing.any():
        return texture
    distance, labels = cv2.distanceTransformWithLabels(
        missing.astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    ys, xs = np.nonzero(~missing)
    nearest = np.zeros((int(labels.max()) + 1, 2), np.float32)
    nearest[labels[ys, xs]] = np.stack([xs, ys], -1)
    edge = nearest[labels]
    grid = np.stack(np.meshgrid(*(np.arange(n, dtype=np.float32) for n in missing.shape[::-1])), -1)
    outward = (edge - grid) / np.maximum(distance, 1e-6)[..., None]
    depth = band - np.abs((distance - 1) % (2 * band) - band)
    source = np.where(missing[..., None], edge + outward * depth[..., None], grid).astype(np.float32)
    return cv2.remap(texture, source, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def with_lash_tips(rgb: UInt8, hole: Mask, zone: Mask, ring: Mask) -> Mask:
    """The hole and the small dark strokes of `zone` that touch it: lash tips would float when the lid has gone."""
    dark = (rgb @ _LUMINANCE < float(typical_skin(rgb, ring) @ _LUMINANCE) - 30) & zone & ~hole
    count, labels, stats, _ = cv2.connectedComponentsWithStats(dark.astype(np.uint8))
    reach = max(3, round(0.02 * float(np.sqrt(hole.sum())))) | 1
    near = cv2.dilate(hole.astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0
    small = stats[:, cv2.CC_STAT_AREA] < 0.06 * hole.sum()
    small[0] = False
    touching = np.zeros(count, bool)
    touching[np.unique(labels[near])] = True
    tips = (small & touching)[labels]
    return hole | (cv2.dilate(tips.astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0)
