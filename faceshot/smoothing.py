"""One-Euro filtering of many channels at once (Casiez et al. 2012): steady when still, quick when moving.

Each channel is a first-order low-pass whose cut-off grows with the channel's own speed, and on top of that a leash:
the smoothed value follows at a limited distance, a few times the trackers' noise. So noise is filtered as heavily as a
still face needs, and motion, however slow to be noticed as such, is late by the leash at most. Time is an argument.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["OneEuro"]

Float = NDArray[np.float64]

_SPEED_CUTOFF_HZ = 2.0
"""Low-pass of the speed estimate; the original paper's 1 Hz reacts one frame later to a sudden turn."""


class OneEuro:
    """The filter's state for one vector of channels.

    Args:
        min_cutoff_hz: (N,) cut-off at rest; infinity passes a channel through.
        beta: (N,) rise of the cut-off in Hz per unit of the channel and second.
        leash: (N,) greatest distance between the smoothed value and the raw one; up to half of it does not pull.
        falls_by: (N,) a value that falls by more than this is followed without delay (eyelids: a blink lasts four
            frames); infinity for channels without this. Smaller falls are filtered, or noise would pull lids down.
    """

    def __init__(self, min_cutoff_hz: Float, beta: Float, leash: Float, falls_by: Float) -> None:
        self._min_cutoff_hz, self._beta, self._leash, self._falls_by = min_cutoff_hz, beta, leash, falls_by
        self._value: Float | None = None
        self._speed = np.zeros_like(min_cutoff_hz)
        self._last_raw = self._speed

    def reset(self, value: Float | None = None) -> None:
        """Forget the past; with a value, go on from there at rest."""
        self._value = None if value is None else value.astype(np.float64)
        self._speed = np.zeros_like(self._min_cutoff_hz)
        self._last_raw = self._speed if self._value is None else self._value

    def step(self, raw: Float, dt_s: float, strength: float = 1.0) -> Float:
        """The smoothed value after `dt_s` seconds.

        Args:
            raw: (N,) finite.
            dt_s: time since the last step; 0 repeats the last result.
            strength: 0 is raw, 1 is as constructed, 2 halves every cut-off once more and doubles the leash.
        """
        if self._value is None or strength <= 0.0:
            self.reset(raw)
            return raw.copy()
        if dt_s <= 0.0:
            return self._value.copy()
        speed_share = 1.0 / (1.0 + 1.0 / (2.0 * np.pi * _SPEED_CUTOFF_HZ * dt_s))
        self._speed = self._speed + speed_share * ((raw - self._last_raw) / dt_s - self._speed)
        self._last_raw = raw.copy()
        cutoff_hz = (self._min_cutoff_hz + self._beta * np.abs(self._speed)) / strength
        share = 1.0 / (1.0 + 1.0 / (2.0 * np.pi * dt_s * cutoff_hz))
        share = np.where(raw < self._value - self._falls_by, 1.0, share)
        behind = (1.0 - share) * (raw - self._value)
        self._value = raw - behind / np.sqrt(np.sqrt(1.0 + np.square(np.square(behind / (self._leash * strength)))))
        return self._value.copy()
