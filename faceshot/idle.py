"""Life without a performer: blinks, breath and a slow sway. Seeded; advances only by the time it is given."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["IdleLife", "IdlePose"]

_BLINK_EVERY_S: Final = 4.0
_BLINK_REST_S: Final = 0.8
"""Eyes stay open at least this long between two blinks."""
_CLOSE_S, _OPEN_S = 0.12, 0.18
_BREATH_HZ: Final = 0.25
# Incommensurable slow frequencies: the sway never visibly repeats.
_SWAY_HZ: Final = np.array([[0.071, 0.173], [0.053, 0.131], [0.043, 0.117]])
_SWAY_RAD: Final = np.radians([[1.2, 0.5], [2.2, 0.8], [1.3, 0.4]])
_DRIFT_HZ: Final = np.array([[0.047, 0.109], [0.061, 0.137]])
_DRIFT: Final = np.array([[0.012, 0.004], [0.005, 0.002]])


class IdlePose(NamedTuple):
    """Attributes:
    lid: 0 shut, 1 open; for both eyes.
    breath: 0 to 1.
    rotation: (3,) rotation vector, radians.
    translation: (2,) face widths.
    """

    lid: float
    breath: float
    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]


class IdleLife:
    """Equal seeds and equal steps give equal lives."""

    def __init__(self, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._sway_phase = self._random.uniform(0.0, 2.0 * np.pi, (3, 2))
        self._drift_phase = self._random.uniform(0.0, 2.0 * np.pi, (2, 2))
        self._time_s = 0.0
        self._next_blink_s = self._wait()

    def _wait(self) -> float:
        return _BLINK_REST_S + float(self._random.exponential(_BLINK_EVERY_S - _BLINK_REST_S))

    def step(self, dt_s: float) -> IdlePose:
        """The pose `dt_s` seconds later."""
        self._time_s += dt_s
        while self._time_s >= self._next_blink_s + _CLOSE_S + _OPEN_S:
            self._next_blink_s += _CLOSE_S + _OPEN_S + self._wait()
        t = 2.0 * np.pi * self._time_s
        return IdlePose(
            lid=_lid(self._time_s - self._next_blink_s),
            breath=0.5 - 0.5 * float(np.cos(t * _BREATH_HZ)),
            rotation=(_SWAY_RAD * np.sin(t * _SWAY_HZ + self._sway_phase)).sum(axis=1),
            translation=(_DRIFT * np.sin(t * _DRIFT_HZ + self._drift_phase)).sum(axis=1),
        )


def _lid(since_s: float) -> float:
    """Opening `since_s` seconds after a blink began (negative: before it)."""
    if since_s <= 0.0 or since_s >= _CLOSE_S + _OPEN_S:
        return 1.0
    share = since_s / _CLOSE_S if since_s < _CLOSE_S else 1.0 - (since_s - _CLOSE_S) / _OPEN_S
    return 1.0 - share * share * (3.0 - 2.0 * share)
