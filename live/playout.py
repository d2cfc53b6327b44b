"""When the pictures of a chunk are shown: a fixed clock behind the cameras.

A chunked animator brings several pictures at once. Each is shown one and the same delay after its own capture, so that
motion runs as it was performed and no chunk border is felt. The delay is the longest that was needed lately; it grows
at once when a chunk is late and shrinks slowly when chunks are early.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from faceshot.types import Rendered
from live.clock import Clock
from live.edges import Lossless, Packet

__all__ = ["Playout", "Schedule"]

REMEMBER_NS = 3_000_000_000
SHRINK = 0.2  # of what is too much, a chunk
FASTEST = 0.5  # and no more than this share of the time that the chunk covers
CAPACITY = 32  # pictures that may wait to be shown: two of the longest chunks


class Schedule:
    """When each picture is due. Times come in, times go out; it never looks at a clock.

    Attributes:
        delay_ns: from capture to showing.
    """

    def __init__(self) -> None:
        self.delay_ns = 0.0
        self._needed_ns: deque[tuple[int, int]] = deque()  # when, and how long a delay
        self._last_due_ns = 0

    def due(self, captured_ns: Sequence[int], ready_ns: int) -> list[int]:
        """When to show the pictures of the next chunk, never falling and never before they are ready.

        Args:
            captured_ns: when each was captured, in order. One picture is no chunk and is due at once.
            ready_ns: now.
        """
        if len(captured_ns) < 2:
            self.delay_ns = 0.0
            self._needed_ns.clear()
            times = [ready_ns for _ in captured_ns]
        else:
            self._needed_ns.append((ready_ns, max(ready_ns - captured_ns[0], 0)))
            while self._needed_ns[0][0] < ready_ns - REMEMBER_NS:
                self._needed_ns.popleft()
            longest_ns = max(needed_ns for _, needed_ns in self._needed_ns)
            too_much_ns = max(self.delay_ns - longest_ns, 0)
            shrink_ns = min(SHRINK * too_much_ns, FASTEST * (captured_ns[-1] - captured_ns[0]))
            self.delay_ns = max(longest_ns, self.delay_ns - shrink_ns)
            times = [round(captured + self.delay_ns) for captured in captured_ns]
        for i, time in enumerate(times):
            times[i] = self._last_due_ns = max(time, self._last_due_ns, ready_ns)
        return times


class Playout:
    """The edge behind the animator: pictures come in chunks and leave one at a time, when they are due."""

    def __init__(self, clock: Clock) -> None:
        self.edge: Lossless[Rendered] = Lossless("playout", clock, CAPACITY)
        self._clock = clock
        self._schedule = Schedule()
        self._times_ns: deque[tuple[int, int]] = (
            deque()
        )  # of each picture in the edge: when it was ready, when it is due

    async def put(self, pictures: Sequence[Packet[Rendered]]) -> None:
        """A chunk, just made; waits for room."""
        ready_ns = self._clock.now_ns()
        due_ns = self._schedule.due([picture.t_capture_ns for picture in pictures], ready_ns)
        for picture, when_ns in zip(pictures, due_ns, strict=True):
            await self.edge.room()
            self._times_ns.append((ready_ns, when_ns))
            self.edge.put_nowait(picture)

    async def __aiter__(self) -> AsyncIterator[Packet[Rendered]]:
        async for picture in self.edge:
            ready_ns, due_ns = self._times_ns.popleft()
            if due_ns > ready_ns:
                await self._clock.sleep_until_ns(due_ns)
                picture = replace(picture, stages_ns={**picture.stages_ns, "hold": due_ns - ready_ns})
            yield picture

    def clear(self) -> None:
        """What waits is of an old epoch."""
        self.edge.clear("epoch")
        self._times_ns.clear()
        self._schedule = Schedule()

    def close(self) -> None:
        """No more pictures will come; those inside are still shown when they are due."""
        self.edge.close()
