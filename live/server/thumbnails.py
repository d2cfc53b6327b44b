"""Small portraits of the characters for the picker: cut around the face, made once, off the event loop."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from faceshot.types import Character
from live.workers import Worker

__all__ = ["Thumbnails", "portrait"]

_SIDE_PX = 176
_FACES_ACROSS = 2.1
_QUALITY = 82


def portrait(character: Character, side_px: int = _SIDE_PX) -> bytes:
    """The character's head as a square WebP with alpha, `side_px` a side."""
    face = character.points_xy[character.visible]
    middle = (face.min(axis=0) + face.max(axis=0)) / 2
    half = float(np.max(np.ptp(face, axis=0))) * _FACES_ACROSS / 2
    # Heads reach further up (hair, ears) than down from the middle of the landmarks, which end at the brows.
    middle[1] -= 0.15 * half

    # Some are nothing but a head: no more than all of it, or the portrait is mostly empty.
    rows, columns = (np.flatnonzero(character.rgba[..., 3].any(axis=axis)) for axis in (1, 0))
    if rows.size:
        whole = max(np.ptp(rows), np.ptp(columns)) / 2 * 1.1
        if whole < half:
            half = float(whole)
            middle = np.array([columns[0] + columns[-1], rows[0] + rows[-1]]) / 2

    left, top, right, bottom = (round(float(value)) for value in (*(middle - half), *(middle + half)))
    # Cropping beyond the picture fills with transparent pixels.
    cut = Image.fromarray(character.rgba).crop((left, top, right, bottom))
    buffer = io.BytesIO()
    cut.resize((side_px, side_px), Image.Resampling.LANCZOS).save(buffer, "WEBP", quality=_QUALITY)
    return buffer.getvalue()


class Thumbnails:
    """Portraits of the bundled characters, each made once."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._made: dict[str, bytes] = {}

    async def get(self, name: str, load: Callable[[], Character]) -> bytes:
        """The portrait of `load()`, which runs in the worker."""
        if name not in self._made:
            self._made[name] = await self._worker.run(lambda: portrait(load()))
        return self._made[name]
