"""The square of the camera picture that M sees: it stands still, so that M sees the head move.

A crop that followed the face would hide its motion and put the detector's trembling in its place. So the square is set
on the first faces and stays while the face is near its middle; beyond that dead zone it follows slowly, and quickly
when the face is about to leave. It is never turned. Every crop says which square it is of, so the animator can take the
square's own motion out again.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from faceshot.animators.liveportrait.crop import DRIVER_SCALE, DRIVER_UP, NETWORK_PX, Square, cut, face_square
from faceshot.topology import MEDIAPIPE_TO_70
from faceshot.types import Float32, UInt8

__all__ = ["DriverCrop"]

_SETTLE_FRAMES: Final = 10
_DEAD_ZONE: Final = 0.10
"""How far, in sides, the face may be from the middle of the square before that follows."""
_DEAD_SIZE: Final = 0.14
"""How much larger or smaller (natural logarithm)."""
_LEAVING: Final = 2.5
"""At this many dead zones the face is about to leave."""
_SLOW_S, _QUICK_S = 2.0, 0.15
_FORGET_MS: Final = 2000
"""After so long without a face the square is set anew."""


class DriverCrop:
    """Cuts the face out of one camera picture after the other."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Another source: set the square anew."""
        self._seen: list[Square] = []
        self._square: Square | None = None
        self._last_ms = 0

    def crop(self, rgb: UInt8, points_xyz: Float32, time_ms: int) -> tuple[UInt8, tuple[float, float, float]]:
        """The crop and its square.

        Args:
            rgb: (H, W, 3) uint8.
            points_xyz: (478, 3) MediaPipe points in pixels of `rgb`.
            time_ms: of the picture.

        Returns:
            (256, 256, 3) uint8, the edge repeated where the square leaves the picture; centre x, y and side in pixels.
        """
        wanted = face_square(points_xyz[MEDIAPIPE_TO_70[:68]], DRIVER_SCALE, DRIVER_UP).upright
        if self._square is not None and time_ms - self._last_ms > _FORGET_MS:
            self.reset()
        dt_s = min(max(time_ms - self._last_ms, 0) / 1000, 1.0)
        self._last_ms = time_ms
        if len(self._seen) < _SETTLE_FRAMES:
            self._seen.append(wanted)
            self._square = Square(*(float(v) for v in np.median(np.array(self._seen), axis=0)))
        else:
            assert self._square is not None
            self._square = _followed(self._square, wanted, dt_s)
        square = self._square
        return cut(rgb, square, NETWORK_PX, edge=True), (square.x, square.y, square.side)


def _followed(square: Square, wanted: Square, dt_s: float) -> Square:
    off = np.array([wanted.x - square.x, wanted.y - square.y]) / square.side
    away = float(np.hypot(*off))
    size = float(np.log(wanted.side / square.side))
    x, y, side = square.x, square.y, square.side
    if away > _DEAD_ZONE:
        step = _share(away / _DEAD_ZONE, dt_s) * (1 - _DEAD_ZONE / away) * square.side * off
        x, y = x + float(step[0]), y + float(step[1])
    if abs(size) > _DEAD_SIZE:
        excess = size - np.sign(size) * _DEAD_SIZE
        side *= float(np.exp(_share(abs(size) / _DEAD_SIZE, dt_s) * excess))
    return Square(x, y, side)


def _share(zones: float, dt_s: float) -> float:
    """Of the way back to the dead zone, the part that is gone in this frame."""
    return 1.0 - float(np.exp(-dt_s / (_QUICK_S if zones > _LEAVING else _SLOW_S)))
