"""What shut lids look like: bare skin where the eye is, and the lashes that travel on it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from faceshot.animators.warp.frame import F64
from faceshot.animators.warp.lids import Lids
from faceshot.animators.warp.skin import fill_with_skin, typical_skin, with_lash_tips
from faceshot.types import CharacterKind, Float32, UInt8

__all__ = ["LidSkin", "make_lid_skin"]


@dataclass(frozen=True, slots=True, eq=False)
class LidSkin:
    """Pictures of an eye's surroundings, all of one size.

    Attributes:
        origin: (2,) float32, the picture's pixel where they begin.
        patch: (h, w, 3) uint8, the picture itself.
        plate: the same with the eye filled by skin.
        ink: what is darker in the eye and its lashes than skin would be, plate - patch.
        line_rgb: (3,) uint8, the colour of the lash line.
    """

    origin: Float32
    patch: UInt8
    plate: UInt8
    ink: UInt8
    line_rgb: UInt8


def make_lid_skin(rgba: UInt8, lids: Lids, kind: CharacterKind, brow_half: float, nose: F64 | None = None) -> LidSkin:
    """Args:
    brow_half: how far below its landmarks a brow may still be seen, pixels.
    nose: (n, 2) landmarks around which the picture stays: nostrils do not blink.
    """
    style, width, height = lids.style, lids.width, lids.height
    rows, columns = rgba.shape[:2]
    box = lids.box
    pad = 0.5 * width
    x0, y0 = np.clip(np.floor(box.min(0) - pad).astype(int), 0, [columns - 2, rows - 2])
    x1, y1 = np.clip(np.ceil(box.max(0) + pad).astype(int), [x0 + 2, y0 + 2], [columns, rows])
    s, t, table_at = lids.local(np.stack(np.meshgrid(np.arange(x0, x1), np.arange(y0, y1)), -1).astype(np.float32))
    rest = lids.rest_at(table_at)
    u, low = rest[..., 0], rest[..., 1]
    patch: UInt8 = np.ascontiguousarray(rgba[y0:y1, x0:x1, :3])
    seen = rgba[y0:y1, x0:x1, 3] > 200

    upward = min(style.over * height + 0.5 * lids.strip, max(0.85 * lids.above, 0.35 * height))
    across = np.abs(s) / (0.5 * width + style.beside * height)
    edge = np.clip(1 - across**style.square, 0, 1) ** 0.5
    hole = (t > u - upward * edge) & (t < low + style.under * height * edge) & (edge > 0)
    bare = np.ones(hole.shape, np.float32)
    if lids.brow is not None:
        order = np.argsort(lids.brow[0])
        brow = np.interp(s, lids.brow[0][order], lids.brow[1][order]) + brow_half
        limit = np.minimum(brow, u - 0.10 * height)
        free = t > limit
        hole &= free
        seen &= free
    if lids.brow is not None and kind == "human":
        # Between brow and lid a socket's shade gives way softly, or an arc would be seen below the brow.
        bare = np.clip((t - limit) / np.clip(0.9 * (u - limit), 1e-3, 0.4 * height), 0, 1).astype(np.float32)
        bare = np.where(t > u, 1.0, bare * bare * (3 - 2 * bare)).astype(np.float32)
    if nose is not None:
        for x, y in nose:
            around = np.hypot(np.arange(x0, x1) - x, np.arange(y0, y1)[:, None] - y) < 0.22 * width
            around &= t > low + 0.05 * height
            hole &= ~around
            seen &= ~around
    skin = seen & ~hole & (np.abs(s) < 0.75 * width)
    hair = np.zeros(hole.shape, bool)
    beneath = skin & (np.abs(s) < 0.5 * width) & (t < low + 1.2 * height) & (t > low)
    if kind in ("human", "animal") and not style.glows and beneath.any():
        # A brow or a fringe says nothing about the colour of the lid.
        light = patch @ np.array([0.3, 0.59, 0.11])
        dark = (t < u) & (light < 0.47 * float(np.median(light[beneath])))
        hair = cv2.dilate(dark.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    if kind == "anime" and skin.any():
        # Hair beside an eye is no skin: neither continued nor covered.
        light = patch @ np.array([0.3, 0.59, 0.11])
        usual = typical_skin(patch, beneath if beneath.any() else skin)
        other = np.linalg.norm(patch - usual, axis=-1) > 70
        other &= (np.abs(s) > 0.5 * width) & (light > 0.42 * float(usual @ np.array([0.3, 0.59, 0.11])))
        other = cv2.morphologyEx(other.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0
        hair |= other
        hole &= ~other
    if kind == "human" and skin.any():
        # Beside the far eye of a turned head there is no skin any more.
        light = patch @ np.array([0.3, 0.59, 0.11])
        gone = (light < float(np.median(light[skin])) - 90) & (np.abs(s) > 0.52 * width)
        thick = max(round(0.15 * width), 3)
        behind = cv2.morphologyEx(gone.astype(np.uint8), cv2.MORPH_OPEN, np.ones((thick, thick), np.uint8)) > 0
        hole &= ~behind
        seen &= ~behind
    if style.squash and not style.glows and skin.any():
        # Nor does a muzzle or a patch of another colour.
        away = patch - typical_skin(patch, skin & (np.abs(t) < 1.2 * height))
        hair |= (np.linalg.norm(away, axis=-1) > 60) & (away.mean(-1) > 0)
        hole &= ~(hair & (t > low))
    if style.glows:
        # Other lights on the same dark screen stay.
        light = patch @ np.array([0.3, 0.59, 0.11])
        bright = (light > float(np.median(light[seen & ~hole])) + 50).astype(np.uint8) if (seen & ~hole).any() else hole
        _, labels = cv2.connectedComponents(np.asarray(bright, np.uint8))
        own = np.unique(labels[(np.abs(s) < 0.4 * width) & (t > u) & (t < low)])
        others = (labels > 0) & ~np.isin(labels, own)
        hole &= cv2.dilate(others.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0
    if style.lash_tips:
        near = (np.abs(s) < 0.75 * width) & (t > u - height) & (t < low + 0.7 * height)
        zone = (np.abs(s) < 0.5 * width + 0.8 * height) & (t > u - max(lids.above, 0.6 * height)) & (t < low)
        hole = with_lash_tips(patch, hole, zone, near & ~hole & seen)
    furry = kind in ("animal", "toy")
    filled = fill_with_skin(patch, hole, seen, bright_strokes=style.glows, strange=hair, furry=furry)
    rim = (np.abs(s) < 0.5 * width) & (t > u - 0.15 * height) & (t < low + 0.1 * height)
    colours = patch[rim] if rim.any() else patch.reshape(-1, 3)
    luminance = colours @ np.array([0.3, 0.59, 0.11])
    share = 6
    if style.glows:
        luminance, share = -luminance, 35
    line = np.median(colours[luminance <= np.percentile(luminance, share)], axis=0).astype(np.uint8)
    # Only what is clearly darker than skin is a lash; beyond the corners, where nothing moves, only strokes as dark as
    # the lash line: the shade of a nose or a socket is none.
    darker = filled - patch.astype(np.float32)
    clearly = np.clip((darker.mean(-1) - 6) / 14, 0, 1) * hole
    strength = darker.mean(-1) / max(float((filled[rim] if rim.any() else filled).mean() - line.mean()), 20.0)
    beyond = np.clip((np.abs(s) / width - 0.5) / 0.06, 0, 1)
    if kind == "human":
        clearly *= 1 - beyond * (1 - np.clip((strength - 0.5) / 0.3, 0, 1))
    ink = np.clip(darker * clearly[..., None], 0, 255).astype(np.uint8)
    plate = cv2.convertScaleAbs(patch + bare[..., None] * (filled - patch))
    return LidSkin(np.array([x0, y0], np.float32), patch, plate, ink, line)
