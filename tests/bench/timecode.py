"""A time code that survives cameras, codecs and scaling: sixteen black or white blocks in a corner of the picture.

Twelve bits of a frame number and four of its check sum, two columns of eight. `READ_JS` reads the same in a page.
"""

from __future__ import annotations

import numpy as np

__all__ = ["READ_JS", "paint", "read"]

ROWS, COLUMNS = 8, 2
NUMBERS = 1 << 12


def paint(picture: np.ndarray, number: int, block_px: int) -> None:
    """Burn `number` into the top left corner of an (H, W, 3 or 4) uint8 picture; alpha becomes opaque there."""
    bits = (number % NUMBERS) << 4 | _check(number % NUMBERS)
    for i in range(ROWS * COLUMNS):
        row, column = divmod(i, COLUMNS)
        block = picture[row * block_px : (row + 1) * block_px, column * block_px : (column + 1) * block_px]
        block[..., :3] = 255 if bits >> (15 - i) & 1 else 0
        block[..., 3:] = 255


def read(picture: np.ndarray, block_px: int) -> int | None:
    """The number in an (H, W, 3) uint8 picture; None when it cannot be read."""
    bits = 0
    for i in range(ROWS * COLUMNS):
        row, column = divmod(i, COLUMNS)
        y, x = row * block_px + block_px // 4, column * block_px + block_px // 4
        bits = bits << 1 | int(picture[y : y + block_px // 2, x : x + block_px // 2].mean() > 128)
    number = bits >> 4
    return number if bits & 15 == _check(number) else None


def _check(number: int) -> int:
    return (number ^ number >> 4 ^ number >> 8 ^ 0b1010) & 15


READ_JS = """
(() => {
  const canvas = document.createElement("canvas");
  canvas.width = 2 * 4; canvas.height = 8 * 4;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  window.readCode = (video, block) => {
    context.drawImage(video, 0, 0, 2 * block, 8 * block, 0, 0, 8, 32);
    const data = context.getImageData(0, 0, 8, 32).data;
    let bits = 0;
    for (let i = 0; i < 16; i++) {
      const row = i >> 1, column = i & 1;
      bits = bits * 2 + (data[4 * ((row * 4 + 2) * 8 + column * 4 + 2)] > 128 ? 1 : 0);
    }
    const number = bits >> 4;
    return (bits & 15) === ((number ^ (number >> 4) ^ (number >> 8) ^ 10) & 15) ? number : null;
  };
  window.seen = [];
  window.follow = (video, block) => {
    const next = (now, meta) => {
      const code = readCode(video, block);
      const shown = meta.captureTime && video.muted && block === 32 ? meta.captureTime : now;
      if (code !== null) seen.push([code, performance.timeOrigin + shown]);
      video.requestVideoFrameCallback(next);
    };
    video.requestVideoFrameCallback(next);
  };
})()
"""
