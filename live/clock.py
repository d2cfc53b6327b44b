"""Time, in one place. Everything in `live` takes its time from an injected `Clock`; tests inject a virtual one.

All times are nanoseconds of one monotonic clock; differences have meaning, absolute values have none.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

__all__ = ["Clock", "LoopClock", "ms", "wall_clock"]


class Clock(Protocol):
    """A monotonic clock that can be waited on."""

    def now_ns(self) -> int:
        """Nanoseconds on this clock. Callable from any thread."""

    async def sleep_until_ns(self, t_ns: int) -> None:
        """Return as soon as `now_ns() >= t_ns`; at once when that has passed. Cancelling is safe."""


class LoopClock:
    """The clock of the running event loop: real time normally, virtual time on a test's auto-jumping loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop or asyncio.get_running_loop()

    def now_ns(self) -> int:
        return round(self._loop.time() * 1e9)

    async def sleep_until_ns(self, t_ns: int) -> None:
        await asyncio.sleep(max(0, t_ns - self.now_ns()) / 1e9)


class MonotonicClock:
    """Plain monotonic time for synchronous commands (`faceshot render`, `faceshot bench`) that run no event loop."""

    def now_ns(self) -> int:
        return time.monotonic_ns()


def ms(duration_ns: float) -> float:
    """Nanoseconds to milliseconds."""
    return duration_ns / 1e6


def wall_clock() -> datetime:
    """The date and time of day, for what other machines compare with theirs (certificates); never for durations."""
    return datetime.now(UTC)
