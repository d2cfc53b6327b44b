"""How a clip of any length is cut into windows, how strongly each frame of a window counts, and in which order windows
are denoised so that the memory for it does not depend on the clip's length.

Convention:
    Frame 0 is the reference; it stands at index 0 of every window and is never shown. Frames 1 .. M-1 are the clip. A
    window of 25 is the reference and 24 frames, `(start, stop)` half open.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from faceshot.types import Float32

__all__ = ["STRIDE", "WINDOW", "guidance_ramp", "guided_clip_length", "triangle", "units", "views"]

WINDOW: Final = 25
STRIDE: Final = 12

View = tuple[int, int]


def views(frames: int, window: int = WINDOW, stride: int = STRIDE) -> list[View]:
    """The windows of a clip, each once: the published table without its duplicate of the last one.

    Args:
        frames: M, the reference counted; at least `window`.
    """
    regular = [(1 + stride * i, stride * i + window) for i in range((frames - window) // stride + 1)]
    last = (frames - window + 1, frames)
    return regular if regular[-1] == last else [*regular, last]


def guided_clip_length(frames: int, window: int = WINDOW) -> int:
    """M for a clip of so many pictures: a clip shorter than a window is held at its end until it fills one."""
    return max(frames, window - 1) + 1


def triangle(count: int) -> Float32:
    """(count,) weights of a window's frames without the reference: rising to the middle and falling."""
    rise = 2 * (np.arange(count) + 0.5) / count
    return np.asarray(np.minimum(rise, 2 - rise), np.float32)


def guidance_ramp(most: float, window: int = WINDOW) -> Float32:
    """(window,) strength of guidance by place in the window: 1 at the reference, `most` at the end."""
    return np.linspace(1.0, most, window, dtype=np.float32)


def units(table: Sequence[View], steps: int, stride: int = STRIDE) -> Iterator[list[tuple[int, int]]]:
    """All (window, step) pairs in rounds, so that each finds the frames it needs denoised by the steps before.

    The published order (every window does step 0, then every window step 1 ...) holds the whole clip. Here windows
    follow each other like a wave: while the foremost does step 0, the one behind does step 1, and so on; the result
    is the same, and only the frames of about `steps` windows are held.

    Windows may overlap their neighbours only, as with a stride of half the window; the last one may stand anywhere.
    """
    places = [(start - 1) // stride for start, _ in table]
    at: dict[int, list[int]] = {}
    for window, place in enumerate(places):
        at.setdefault(place, []).append(window)
    for front in range(places[-1] + steps):
        yield [(window, step) for step in range(steps) for window in at.get(front - step, ())]
