"""What hangs on a head lags behind it and swings after it: hair, ears, hats, horns, an antenna.

Three damped springs carry an unseen weight each: sideways, up and down, and in roll. How far it is from where the head
is now moves the picture's outskirts, the more the further they are from the face.
"""

from __future__ import annotations

import math

import numpy as np

from faceshot.animators.warp.frame import FaceFrame, as_float32
from faceshot.animators.warp.grid import Grid
from faceshot.types import Drive, Float32

__all__ = ["Springs"]

_HZ = 1.7
_DAMPING = 0.32  # of critical: about two swings are seen
_STEP_S = 1 / 120
_CUT_S = 0.25  # after a longer gap there is nothing to swing from
_FAR = 2.0  # radians or face widths; no head goes there
_LIMIT = 0.10  # face widths that a tip lags at most, at full strength
_LIMIT_ROLL = math.radians(9.0)
_TURN_SHIFTS = 0.45  # face widths by which what is around a face moves sideways, per radian of a turn or nod


class Springs:
    """The outskirts' motion of their own.

    Args:
        member: (rows, columns) 0..1, how much each node of `grid` belongs to the head.
        strength: 0 none, 1 all of it.
    """

    def __init__(self, frame: FaceFrame, grid: Grid, member: Float32, strength: float) -> None:
        local = frame.local(grid.nodes().astype(np.float64)) / frame.width
        # From the rim of the face outwards; up there is more head before there is hair.
        radius = np.hypot(local[..., 0] / 0.62, local[..., 1] * frame.width / (1.0 * frame.height))
        loose = np.clip((radius - 1.0) / 0.9, 0, 1) ** 1.5 * member
        self._shift = as_float32(loose[..., None])
        self._roll = as_float32(loose[..., None] * (np.stack([-local[..., 1], local[..., 0]], -1) @ _axes(frame)))
        self._width, self._strength = frame.width, strength
        self._axes = _axes(frame)
        self.reset()

    def reset(self) -> None:
        """Rest where the head will be next."""
        self._place: np.ndarray | None = None
        self._speed = np.zeros(3)

    def step(self, drive: Drive) -> Float32 | None:
        """(rows, columns, 2) displacement in pixels, `drive.dt_s` after the last one; None while nothing swings."""
        turn, shift = (
            np.clip(np.nan_to_num(v.astype(np.float64)), -_FAR, _FAR)
            for v in (drive.head.rotation, drive.head.translation)
        )
        own = self._axes @ shift
        target = np.array([own[0] - _TURN_SHIFTS * turn[1], own[1] + _TURN_SHIFTS * turn[0], turn[2]])
        dt_s = float(np.nan_to_num(drive.dt_s))
        if self._place is None or not 0 <= dt_s <= _CUT_S:
            self._place, self._speed = target, np.zeros(3)
            return None
        start, steps = self._place, max(math.ceil(dt_s / _STEP_S), 1)
        omega, h = 2 * math.pi * _HZ, dt_s / steps
        place = start.copy()
        for _ in range(steps):
            # Implicit in the damping, so that no rate of frames makes it unstable.
            self._speed = (self._speed + h * omega**2 * (target - place)) / (1 + 2 * _DAMPING * omega * h)
            place = place + h * self._speed
        self._place = place
        lag = place - target
        if float(np.abs(lag).max()) < 2e-4:
            return None
        aside = _LIMIT * np.tanh(0.5 * lag[:2] / _LIMIT) * self._width * self._strength
        rolled = _LIMIT_ROLL * math.tanh(0.5 * float(lag[2]) / _LIMIT_ROLL) * self._width * self._strength
        field = self._shift * as_float32(aside @ self._axes)
        field += np.float32(rolled) * self._roll
        return field


def _axes(frame: FaceFrame) -> np.ndarray:
    """(2, 2) the face's own axes in the picture, row by row."""
    return np.stack([frame.axis_x, frame.axis_y])
