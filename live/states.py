"""The edge before the animator, in the shape that the animator wants: the newest state, every state, or windows.

A fallback or another character may change the shape in the middle of a show; whoever waits here does not notice.
"""

from __future__ import annotations

from faceshot.animators import Window as WindowOf
from faceshot.types import FaceState
from live.clock import Clock
from live.edges import Closed, Edge, Latest, Lossless, Packet, Window
from live.stats import Stats

__all__ = ["States"]


class States:
    """Args:
    window: of the animator.
    max_age_ms: what is older is not worth showing, before an animator of single frames in a live show.
    """

    def __init__(self, clock: Clock, stats: Stats, window: WindowOf, offline: bool, max_age_ms: float) -> None:
        self._clock, self._stats = clock, stats
        self._offline, self._max_age_ms = offline, max_age_ms
        self._window: WindowOf | None = None
        self._edge: Edge[FaceState] = Latest("none yet", clock)
        self.fit(window)

    def fit(self, window: WindowOf) -> None:
        """From now on packets are gathered for an animator of this window."""
        if window == self._window:
            return
        old, self._window = self._edge, window
        self._edge = Window("states", self._clock, window.size, window.stride)
        if window.size == 1:
            newest = Latest[FaceState]("states", self._clock, self._max_age_ms)
            self._edge = Lossless("states", self._clock) if self._offline else newest
        self._stats.watch(self._edge.stats)
        old.clear("epoch")
        old.close()

    @property
    def hungry(self) -> bool:
        """Whether a state that is put now stands in no better one's way."""
        return self._edge.depth == 0 or isinstance(self._edge, Window)

    @property
    def pace_ns(self) -> float:
        """Time between two states as they come now; 0 where no animator asks for several."""
        return self._edge.pace_ns if isinstance(self._edge, Window) else 0.0

    def put_nowait(self, packet: Packet[FaceState]) -> None:
        self._edge.put_nowait(packet)

    async def put(self, packet: Packet[FaceState]) -> None:
        await self._edge.put(packet)

    async def get(self) -> list[Packet[FaceState]]:
        """The next window, oldest first; empty once closed and drained."""
        while True:
            edge = self._edge
            try:
                return await edge.get_window() if isinstance(edge, Window) else [await edge.get()]
            except Closed:
                if edge is self._edge:
                    return []

    def clear(self, reason: str) -> None:
        self._edge.clear(reason)

    def close(self) -> None:
        self._edge.close()
