"""Figure and background of an opaque picture: the one place where a character is cut out.

A picture with real alpha is its own matte. For any other the landmarks say where the figure surely is, GrabCut learns
its colours from there, and a guided filter brings the contour back to the picture's own edges. `rembg`, when it is
installed, sees figures better and takes GrabCut's place. The warp animator uses the plain GrabCut part at load.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from faceshot.errors import PictureError
from faceshot.types import Character, Float32, UInt8

if TYPE_CHECKING:
    from faceshot.animators.warp.frame import FaceFrame

__all__ = [
    "Matte",
    "MatteKind",
    "apply_matte",
    "cut_background",
    "find_figure",
    "has_alpha",
    "make_matte",
    "soft_figure",
]

MatteKind = Literal["auto", "alpha", "grabcut", "rembg"]
DEFAULT_THRESHOLD: Final = 0.5
_WORK: Final = 256
"""Longest side in pixels of the picture in which GrabCut works."""
_FINE_WORK: Final = 448
"""The same for a character that is made once and kept."""
_EARS: Final = 3.2
"""How far above the middle of the face, in face heights, a figure may reach."""
_SOFT: Final = 0.5
"""How much of the matte's range becomes the soft edge."""


@dataclass(frozen=True, slots=True, eq=False)
class Matte:
    """How surely each pixel belongs to the figure.

    Attributes:
        figure: (H, W) float32, 0 (background) to 1; a threshold on it makes the contour tighter or wider.
        backend: "alpha", "grabcut" or "rembg".
        trusted: whether the cut is clean enough to be used without anybody looking at it.
    """

    figure: Float32
    backend: str
    trusted: bool


def has_alpha(rgba: UInt8) -> bool:
    """Whether a picture is cut out already, stray pixels aside."""
    return bool((rgba[..., 3] < 250).mean() > 0.01)


def make_matte(character: Character, kind: MatteKind = "auto") -> Matte:
    """The figure of a character's picture.

    Args:
        kind: `auto` takes the picture's alpha if it has one, else rembg if it is installed, else GrabCut.

    Raises:
        PictureError: the asked one is not to be had: no alpha in the picture, rembg not installed, or GrabCut found
            nothing to tell figure and background apart by.
    """
    if kind not in get_args(MatteKind):
        raise PictureError(f"There is no matte {kind!r}.", f"There are: {', '.join(get_args(MatteKind))}.")
    rgba = character.rgba
    if kind == "auto":
        kind = "alpha" if has_alpha(rgba) else "rembg" if importlib.util.find_spec("rembg") else "grabcut"
    if kind == "alpha":
        if not has_alpha(rgba):
            raise PictureError(f"{character.name} has no transparent pixels.", "Use --matte grabcut to cut it out.")
        return Matte(rgba[..., 3].astype(np.float32) / 255, "alpha", True)
    rgb = np.ascontiguousarray(rgba[..., :3])
    if kind == "rembg":
        return Matte(_by_rembg(rgb), "rembg", True)
    return _by_grabcut(rgb, character)


def apply_matte(rgba: UInt8, matte: Matte, threshold: float = DEFAULT_THRESHOLD) -> UInt8:
    """The picture with its background made transparent.

    Args:
        rgba: (H, W, 4) uint8, straight alpha.
        threshold: 0 (nearly all is figure) to 1 (only what is surely figure).

    Returns:
        (H, W, 4) uint8; colours along the edge are the figure's own, so no rim of the old background shows.
    """
    if matte.backend == "alpha" and threshold == DEFAULT_THRESHOLD:
        return rgba  # exactly as its author cut it
    limit = 0.02 + 0.96 * float(np.clip(threshold, 0, 1))
    width = min(_SOFT, 2 * limit, 2 * (1 - limit))  # what is surely figure or surely background always stays so
    alpha = np.clip((matte.figure - limit) / width + 0.5, 0, 1)
    alpha = np.minimum(alpha, rgba[..., 3].astype(np.float32) / 255)
    return np.dstack([_own_colours(rgba[..., :3], alpha), np.round(alpha * 255).astype(np.uint8)])


def cut_background(character: Character, matte: Matte, threshold: float = DEFAULT_THRESHOLD) -> Character:
    """The character on a transparent background; arrays that an animator cached belong to the old picture and go."""
    about = {"backend": matte.backend, "threshold": round(float(threshold), 3)}
    return replace(
        character,
        rgba=apply_matte(character.rgba, matte, threshold),
        provenance={**character.provenance, "matte": about},
        arrays={},
    )


def _own_colours(rgb: UInt8, alpha: Float32) -> UInt8:
    """Colours from inside the figure carried outwards over its soft edge."""
    sure = (alpha > 0.95).astype(np.float32)
    if not sure.any() or sure.all():
        return np.ascontiguousarray(rgb)
    colour = rgb.astype(np.float32)
    filled, need = np.zeros_like(colour), np.ones(alpha.shape, np.float32)
    for sigma in (1.5, 4.0, 12.0):
        weight = cv2.GaussianBlur(sure, (0, 0), sigma)
        tint = cv2.GaussianBlur(colour * sure[..., None], (0, 0), sigma) / np.maximum(weight, 1e-6)[..., None]
        take = need * (weight > 1e-3)
        filled += tint * take[..., None]
        need -= take
    filled += colour * need[..., None]
    # Where the picture is mostly figure its own grain is worth more than a smooth tint.
    own = np.clip((alpha - 0.5) / 0.45, 0, 1)[..., None]
    return np.clip(colour * own + filled * (1 - own) + 0.5, 0, 255).astype(np.uint8)


def _by_grabcut(rgb: UInt8, character: Character) -> Matte:
    from faceshot.animators.warp.frame import face_frame, safe_points

    frame = face_frame(character)
    found = find_figure(rgb, safe_points(character), frame, _FINE_WORK)
    if found is None:
        raise PictureError(
            f"Figure and background of {character.name} cannot be told apart.",
            "Use --keep-background, or cut the picture out with a picture program.",
        )
    figure, trusted = found
    height, width = rgb.shape[:2]
    rough = cv2.resize(figure.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    radius = max(2, round(max(width, height) / 90))
    guided = cv2.ximgproc.guidedFilter(rgb, rough, radius, (0.03 * 255) ** 2)
    # The filter may brighten flat areas far from the contour: there the rough cut knows better.
    near = cv2.GaussianBlur(rough, (0, 0), radius)
    sure = np.abs(near - 0.5) * 2
    return Matte(np.clip(guided * (1 - sure**4) + rough * sure**4, 0, 1).astype(np.float32), "grabcut", trusted)


def _by_rembg(rgb: UInt8) -> Float32:
    if importlib.util.find_spec("rembg") is None:
        raise PictureError("rembg is not installed.", "pip install rembg, or use --matte grabcut")
    import rembg

    alpha: Any = rembg.remove(rgb, only_mask=True)
    return np.asarray(alpha, np.float32).reshape(rgb.shape[:2]) / 255


def soft_figure(rgb: UInt8, points: NDArray[np.float64], frame: FaceFrame) -> Float32 | None:
    """The figure of an opaque picture with a slightly soft edge, for an animator; None when it cannot be trusted.

    Args:
        rgb: (H, W, 3) uint8.
        points: (70, 2) finite landmarks.
    """
    found = find_figure(rgb, points, frame)
    if found is None or not found[1]:
        return None
    height, width = rgb.shape[:2]
    soft = cv2.resize(found[0].astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    soft = cv2.GaussianBlur(soft, (0, 0), max(width, height) / 300)
    return np.clip((soft - 0.35) / 0.4, 0, 1).astype(np.float32)


def find_figure(
    rgb: UInt8, points: NDArray[np.float64], frame: FaceFrame, work_px: int = _WORK
) -> tuple[UInt8, bool] | None:
    """GrabCut seeded from the landmarks.

    Args:
        work_px: longest side of the picture it works on.

    Returns:
        (h, w) uint8 0 or 1 at the working size, and whether the cut can be trusted; None when nothing was found.
    """
    height, width = rgb.shape[:2]
    scale = min(1.0, work_px / max(width, height))
    small = cv2.resize(rgb, (max(round(width * scale), 2), max(round(height * scale), 2)), interpolation=cv2.INTER_AREA)
    rows, columns = small.shape[:2]
    ys, xs = np.mgrid[0:rows, 0:columns]
    local = frame.local((np.stack([xs, ys], -1) + 0.5) / scale - 0.5)
    across, down = np.abs(local[..., 0]), local[..., 1]

    mask = np.full((rows, columns), cv2.GC_PR_BGD, np.uint8)
    below = down - frame.chin
    trunk = (below > 0) & (across < 0.55 * frame.width + 0.6 * np.maximum(below, 0))
    mask[((across / (0.85 * frame.width)) ** 2 + (down / (1.25 * frame.height)) ** 2 < 1) | trunk] = cv2.GC_PR_FGD
    # A character that is made once may have ears as long as its face; they are looked for above it, not beside it.
    tall = np.where(down < 0, _EARS if work_px > _WORK else 1.9, 1.9)
    far = (across / (1.5 * frame.width)) ** 2 + (down / (tall * frame.height)) ** 2 > 1
    mask[far & (down < frame.chin)] = cv2.GC_BGD
    hull = cv2.convexHull(((points[:27] + 0.5) * scale - 0.5).astype(np.int32))
    if work_px > _WORK and not (mask == cv2.GC_BGD).any():
        # A face that fills the picture: what is beside it at the very edge is the best guess at background.
        edge = np.minimum(xs, columns - 1 - xs) < max(1, columns // 50)
        mask[edge & (down < 0.8 * frame.chin)] = cv2.GC_BGD
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
    whole = int(figure.sum())
    figure = (labels == label).astype(np.uint8)
    outside, _ = cv2.findContours(1 - figure, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    for contour in outside:  # holes that do not reach the border belong to the figure
        x, y, w, h = cv2.boundingRect(contour)
        if x > 0 and y > 0 and x + w < columns and y + h < rows:
            cv2.drawContours(figure, [contour], -1, 1, cv2.FILLED)
    return figure, _trustworthy(*_at_most(small, figure, _WORK), whole / figure.size)


def _at_most(rgb: UInt8, figure: UInt8, side_px: int) -> tuple[UInt8, UInt8]:
    """Both at the size that the limits of `_trustworthy` were found at."""
    scale = side_px / max(figure.shape)
    if scale >= 1:
        return rgb, figure
    size = (max(round(figure.shape[1] * scale), 2), max(round(figure.shape[0] * scale), 2))
    smaller = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    share = cv2.resize(figure.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    return smaller, (share > 0.5).astype(np.uint8)


def _trustworthy(rgb: UInt8, figure: UInt8, whole: float) -> bool:
    """Right size, one piece, a plain background, and a contour along which the colours really differ everywhere.

    Strict on purpose: a figure cut through its hair or coat is far uglier than a background that bends a little.
    """
    area = figure.mean()
    if not 0.06 < area < 0.88 or area < 0.8 * whole:
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
