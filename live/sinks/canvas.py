"""From a rendered picture to what a sink needs: another size, a background."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from faceshot.errors import PictureError
from faceshot.pictures import flatten, read_picture
from faceshot.types import UInt8
from live.errors import ConfigError

__all__ = ["Background", "Canvas", "parse_background"]

Background = tuple[int, int, int] | UInt8 | None
"""None is transparent; else an RGB colour, or an (H, W, 3) uint8 picture of any size."""


def parse_background(spec: str) -> Background:
    """What `output.background` means: `transparent`, a colour (`#00ff00`, `#0f0`, `green`) or the path of a picture.

    Raises:
        ConfigError: it is none of these, or the picture cannot be read.
    """
    from PIL import ImageColor

    if spec.strip().lower() in ("", "transparent", "none"):
        return None
    try:
        colour = ImageColor.getrgb(spec.strip())
        return colour[0], colour[1], colour[2]
    except ValueError:
        pass
    path = Path(spec).expanduser()
    if not os.path.isfile(path):  # Path.is_file raises for a name that is too long
        raise ConfigError(
            f"output.background is {spec!r}, which is neither a colour nor a picture that exists.",
            "Give `transparent`, a colour such as '#00ff00', or the path of a picture.",
        )
    try:
        return flatten(read_picture(path), (0, 0, 0))
    except PictureError as bad:
        raise ConfigError(f"output.background: {bad.message}", bad.hint) from bad


class Canvas:
    """A fixed size onto which pictures of any size are fitted: whole, centred, as large as possible.

    Args:
        size_wh: size in pixels of everything that comes out.
        background: behind the picture and around it; black stands for transparent in `rgb`.
    """

    def __init__(self, size_wh: tuple[int, int], background: Background = None) -> None:
        width, height = size_wh
        self.size_wh = size_wh
        self._transparent = background is None
        fill = (0, 0, 0) if background is None else background
        self._behind = flatten(np.zeros((height, width, 4), np.uint8), fill)

    def rgb(self, rgba: UInt8) -> UInt8:
        """(H, W, 3) uint8 over the background.

        Args:
            rgba: (h, w, 4) uint8, straight alpha.
        """
        picture, rows, columns = self._place(rgba)
        whole = picture.shape[:2] == self._behind.shape[:2]
        out = self._behind if whole else self._behind.copy()
        hidden = cv2.cvtColor(cv2.bitwise_not(np.ascontiguousarray(picture[..., 3])), cv2.COLOR_GRAY2RGB)
        shade = cv2.multiply(np.ascontiguousarray(out[rows, columns]), hidden, scale=1 / 255)
        over = cv2.add(cv2.cvtColor(picture, cv2.COLOR_RGBA2RGB), shade)
        if whole:
            return np.asarray(over, np.uint8)
        out[rows, columns] = over
        return out

    def rgba(self, rgba: UInt8) -> UInt8:
        """(H, W, 4) uint8 with straight alpha; opaque when there is a background."""
        if not self._transparent:
            return np.asarray(cv2.cvtColor(self.rgb(rgba), cv2.COLOR_RGB2RGBA), np.uint8)
        if (rgba.shape[1], rgba.shape[0]) == self.size_wh:
            return rgba
        picture, rows, columns = self._place(rgba)
        out = np.zeros((*self._behind.shape[:2], 4), np.uint8)
        out[rows, columns] = cv2.cvtColor(picture, cv2.COLOR_mRGBA2RGBA)
        return out

    def _place(self, rgba: UInt8) -> tuple[UInt8, slice, slice]:
        """The scaled picture with premultiplied alpha, so that hidden colours do not bleed in, and its place."""
        width, height = self.size_wh
        scale = min(width / rgba.shape[1], height / rgba.shape[0])
        w, h = max(1, round(rgba.shape[1] * scale)), max(1, round(rgba.shape[0] * scale))
        picture = cv2.cvtColor(rgba, cv2.COLOR_RGBA2mRGBA)
        if (w, h) != (rgba.shape[1], rgba.shape[0]):
            picture = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        x, y = (width - w) // 2, (height - h) // 2
        return np.asarray(picture, np.uint8), slice(y, y + h), slice(x, x + w)
