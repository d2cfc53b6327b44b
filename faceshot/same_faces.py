"""Which face of a frame is which of the frames before, where several are seen.

Trackers hand faces over in no order that lasts. Here each performer has a slot. A face takes the slot whose face, moved
on as it was moving, is nearest in place and size, all slots together; so two that pass each other stay themselves. A
face that is lost keeps its slot for a while, in which only a face near enough to be the same one may take it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

__all__ = ["KEEP_S", "SameFaces", "Spot"]

KEEP_S: Final = 3.0
"""So long a lost face's slot is no stranger's."""
_NEAR: Final = 1.0
"""How far a face is at most from itself a moment ago, in its own widths ..."""
_FARTHER_PER_S: Final = 2.0
"""... and how much farther for each second in which it was not seen: a walk."""
_UNSEEN: Final = 0.5
"""A face that was seen in the last frame goes before one that was lost near by."""
_CARRY_S: Final = 0.5
"""So long a face is taken to go on as it was going: about what it takes to pass behind another."""
_TURNS: Final = 0.5
"""How much of its last step goes into how a face is going; while two overlap, trackers lay a face between them."""
_SAME: Final = 0.5
"""Faces whose middles are closer than this share of their width are one face: what trackers see of two that overlap."""
_NEVER: Final = 1e6


class Spot(NamedTuple):
    """Where a face is: its middle and its width, in pixels."""

    x: float
    y: float
    width: float


class _Slot:
    """One performer."""

    def __init__(self, spot: Spot, time_ms: int) -> None:
        self.spot, self.time_ms = spot, time_ms
        self.velocity = np.zeros(2)
        self.seen = True

    def see(self, spot: Spot, time_ms: int) -> None:
        gap_s = self._gap_s(time_ms)
        moved = np.array([spot.x - self.spot.x, spot.y - self.spot.y])
        if gap_s > _CARRY_S:
            self.velocity = np.zeros(2)
        elif gap_s > 0:
            self.velocity += _TURNS * (moved / gap_s - self.velocity)
        self.spot, self.time_ms, self.seen = spot, time_ms, True

    def far(self, spot: Spot, time_ms: int) -> float:
        """In widths of the face; `_NEVER` when it cannot be this one."""
        gap_s = self._gap_s(time_ms)
        x, y = (self.spot.x, self.spot.y) + self.velocity * min(gap_s, _CARRY_S)
        width = max(float(np.sqrt(self.spot.width * spot.width)), 1.0)
        far = float(np.hypot(spot.x - x, spot.y - y)) / width
        far += abs(float(np.log(max(spot.width, 1.0) / max(self.spot.width, 1.0))))
        if far > _NEAR + _FARTHER_PER_S * gap_s or self.gone(time_ms):
            return _NEVER
        return far if self.seen else far + _UNSEEN

    def gone(self, time_ms: int) -> bool:
        return self._gap_s(time_ms) > KEEP_S

    def _gap_s(self, time_ms: int) -> float:
        return max(time_ms - self.time_ms, 0) / 1000


class SameFaces:
    """Gives faces their slots, frame by frame.

    Args:
        most: slots.
    """

    def __init__(self, most: int) -> None:
        self._slots: list[_Slot | None] = [None] * most

    def reset(self) -> None:
        """Another source: forget everybody."""
        self._slots = [None] * len(self._slots)

    def assign(self, spots: Sequence[Spot], time_ms: int) -> list[int | None]:
        """For each slot which of `spots` is its face; None for a slot whose face is not seen.

        Newcomers take free slots, from left to right; one for whom there is none is left out.

        Args:
            spots: the faces of one frame.
            time_ms: of the frame.
        """
        left = [i for i, spot in enumerate(spots) if not any(_overlap(spot, other) for other in spots[:i])]
        known = [slot for slot in self._slots if slot is not None]
        far = np.array([[slot.far(spots[i], time_ms) for i in left] for slot in known]).reshape(len(known), len(left))
        found = {known[row]: left[column] for row, column in _pairs(far)}
        left = [i for i in left if i not in found.values()]
        for slot in known:
            if slot in found:
                slot.see(spots[found[slot]], time_ms)
            else:
                slot.seen = False
        for i in sorted(left, key=lambda i: spots[i].x):
            free = next((n for n, slot in enumerate(self._slots) if slot is None or slot.gone(time_ms)), None)
            if free is None:
                break
            new = self._slots[free] = _Slot(spots[i], time_ms)
            found[new] = i
        return [None if slot is None else found.get(slot) for slot in self._slots]


def _overlap(one: Spot, other: Spot) -> bool:
    return float(np.hypot(one.x - other.x, one.y - other.y)) < _SAME * max(one.width, other.width)


def _pairs(far: NDArray[np.float64]) -> list[tuple[int, int]]:
    """The pairs that are nearest all together."""
    rows, columns = linear_sum_assignment(far)
    return [(int(row), int(column)) for row, column in zip(rows, columns, strict=True) if far[row, column] < _NEVER]
