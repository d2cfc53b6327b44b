"""How well to draw when time is short: one rung down when chunks are late, one up when there is room again.

Pure: durations in, a rung out. What a rung means is the animator's business (`faceshot.animators.Rung`).
"""

from __future__ import annotations

from collections.abc import Sequence

from faceshot.animators import Rung

__all__ = ["Ladder"]

LATE_CHUNKS = 3  # in a row; one late chunk is a hiccup
CALM_CHUNKS = 25  # in a row, before a rung is tried again
MOST_CALM_CHUNKS = 400
ROOM = 0.85  # a better rung must be expected to take no more than this share of the time there is
REGRET_CHUNKS = 50  # who has to come down again so soon waits twice as long the next time


class Ladder:
    """Where on its rungs an animator stands.

    Args:
        rungs: the best first.

    Attributes:
        rung: the index of the one to draw on.
    """

    def __init__(self, rungs: Sequence[Rung]) -> None:
        self.rungs = tuple(rungs)
        self.rung = 0
        self._best = 0  # what did not fit into memory is not tried again
        self._late = self._calm = 0
        self._patience = CALM_CHUNKS
        self._since_climb: int | None = None

    @property
    def bottom(self) -> bool:
        """Whether there is no rung below."""
        return self.rung == len(self.rungs) - 1

    def took(self, work_ns: float, budget_ns: float) -> int:
        """A chunk was drawn on the present rung.

        Args:
            work_ns: how long it took.
            budget_ns: how long it may take without falling behind; 0 when nobody knows.

        Returns:
            The rung for the next chunk: the same, or one beside it.
        """
        if budget_ns <= 0 or work_ns <= 0:
            return self.rung
        if self._since_climb is not None:
            self._since_climb += 1
            if self._since_climb > REGRET_CHUNKS:  # it was right to climb
                self._since_climb, self._patience = None, CALM_CHUNKS
        load = work_ns / budget_ns
        self._late = self._late + 1 if load > 1 else 0
        self._calm = self._calm + 1 if self._fits_above(load) else 0
        if self._late >= LATE_CHUNKS and not self.bottom:
            if self._since_climb is not None:
                self._patience = min(2 * self._patience, MOST_CALM_CHUNKS)
            self._move(self.rung + 1)
            self._since_climb = None
        elif self._calm >= self._patience:
            self._move(self.rung - 1)
            self._since_climb = 0
        return self.rung

    def out_of_memory(self) -> int:
        """The present rung does not fit: one down, for good. Not to be called at the bottom."""
        self._move(self.rung + 1)
        self._best = self.rung
        self._since_climb = None
        return self.rung

    def _fits_above(self, load: float) -> bool:
        if self.rung <= self._best:
            return False
        return load * self.rungs[self.rung - 1].cost / self.rungs[self.rung].cost <= ROOM

    def _move(self, rung: int) -> None:
        self.rung = rung
        self._late = self._calm = 0
