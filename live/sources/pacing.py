"""Playing recorded material at its own speed on the injected clock."""

from __future__ import annotations

from live.clock import Clock

__all__ = ["Pacer"]

_MAX_SILENCE_NS = 100_000_000
_MAX_LATE_NS = 1_000_000_000


class Pacer:
    """Maps a media time line, which starts at 0, to the clock.

    After a hiccup the frames whose time has passed are left out, so that nothing comes in a burst; but at least ten
    frames a second are shown, and who is more than a second late goes on from there (a machine that slept, a decoder
    that is too slow).
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._zero_ns: int | None = None
        self._shown_ns = 0

    def must_skip(self, t_media_ns: int, interval_ns: int) -> bool:
        """Whether the frame's time has passed. `interval_ns` is how long it would be shown. Callable from a thread."""
        now_ns = self._clock.now_ns()
        if self._zero_ns is None:
            self._zero_ns = now_ns - t_media_ns
        late_ns = now_ns - self._zero_ns - t_media_ns
        if late_ns > _MAX_LATE_NS:
            self._zero_ns += late_ns
            return False
        return late_ns >= interval_ns and now_ns - self._shown_ns < _MAX_SILENCE_NS

    async def wait(self, t_media_ns: int) -> None:
        """Return when the frame is due."""
        if self._zero_ns is None:
            self._zero_ns = self._clock.now_ns() - t_media_ns
        await self._clock.sleep_until_ns(self._zero_ns + t_media_ns)
        self._shown_ns = self._clock.now_ns()
