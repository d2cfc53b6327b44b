"""Pictures of the performer at rest, for animators that encode motion from pixels.

They measure against what they see of the neutral pose, so they need pictures of it. The neutral is composed of several
moments and may change; of the last seconds' crops those are kept that come closest to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np

from faceshot.driver import Observation, Reference, measure, observe
from faceshot.motion import DELTA, LIDS, ROTATION, rest
from faceshot.types import FaceState, Square, UInt8

__all__ = ["Crops", "RestCrops", "rest_crops_of"]

Crops = tuple[tuple[UInt8, Square | None], ...]

_KEPT: Final = 40
_EVERY_S: Final = 0.08
"""So they reach back three seconds: the stable second of a calibration is among them."""
_TAKEN: Final = 8
_LOOK_EVERY_S: Final = 0.5
_YOUNG_S: Final = 3.0
"""So long calmer crops are still looked for although the neutral stands."""
_CLOSE: Final = 2.0
"""Crops whose distance is up to so many times the least one's are as good as that."""
_ROTATION_WEIGHT, _LIDS_WEIGHT, _DELTA_WEIGHT = 4.0, 1.0, 8.0


class RestCrops:
    """Remembers crops and chooses those at rest.

    Attributes:
        best: with their squares, the calmest first; the same tuple until others are better.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Another performer."""
        self.best: Crops = ()
        self._seen: deque[tuple[Observation, UInt8, Square | None]] = deque(maxlen=_KEPT)
        self._chosen_for: Reference | None = None
        self._waited_s = np.inf
        self._looked_s = np.inf
        self._age_s = 0.0
        self._kept = False

    def keep(self, crops: Crops) -> None:
        """Use these until the next `reset`."""
        self.best, self._kept = crops, True

    def see(self, seen: Observation, crop: UInt8, square: Square | None, neutral: Reference, dt_s: float) -> None:
        """One frame with a face.

        Args:
            neutral: the neutral pose as it is now; choosing anew waits until it has stood still for a moment.
        """
        if self._kept:
            return
        self._waited_s += dt_s
        self._looked_s += dt_s
        self._age_s += dt_s
        if self._waited_s >= _EVERY_S:
            self._seen.append((seen, crop, square))
            self._waited_s = 0.0
        unsettled = neutral is not self._chosen_for or self._age_s < _YOUNG_S
        if not self.best or (unsettled and self._looked_s >= _LOOK_EVERY_S):
            self._looked_s = 0.0
            self.choose(neutral)

    def choose(self, neutral: Reference) -> None:
        """Take the crops closest to this neutral."""
        self._chosen_for = neutral
        kept = list(self._seen)
        best = tuple(kept[i][1:] for i in _closest([seen for seen, _, _ in kept], neutral))
        if [id(crop) for crop, _ in best] != [id(crop) for crop, _ in self.best]:
            self.best = best


def rest_crops_of(states: Sequence[FaceState], neutral: Reference) -> Crops:
    """Those of a whole clip, for offline use; no more crops are held than are chosen."""
    there = [(i, seen) for i, state in enumerate(states) if state.crop is not None and (seen := observe(state))]
    chosen = [states[there[i][0]] for i in _closest([seen for _, seen in there], neutral)]
    return tuple((state.crop, state.crop_square) for state in chosen if state.crop is not None)


def _closest(seen: Sequence[Observation], neutral: Reference) -> list[int]:
    """Which are at rest, the calmest first."""
    same = [i for i, one in enumerate(seen) if one.kind == neutral.kind]
    if not same:
        return []
    away = np.array([_away(seen[i], neutral) for i in same])
    order = np.argsort(away, kind="stable")[:_TAKEN]
    return [same[i] for i in order if away[i] <= _CLOSE * away[order[0]] + 0.02]


def _away(seen: Observation, neutral: Reference) -> float:
    motion = measure(seen, neutral)
    off = motion - rest()
    return float(
        _ROTATION_WEIGHT * np.linalg.norm(off[ROTATION])
        + _LIDS_WEIGHT * np.abs(off[LIDS]).mean()
        + _DELTA_WEIGHT * np.sqrt(np.square(off[DELTA]).mean())
    )
