"""A source that comes back: what the pipeline reads from, whether the camera is plugged in or not."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import chain, repeat
from typing import Literal

from faceshot.errors import FaceshotError
from faceshot.types import CameraImage, FaceState
from live.clock import Clock
from live.edges import Packet
from live.stages import Source, SourceInfo

__all__ = ["Feed"]

log = logging.getLogger(__name__)

RETRY_S = (1.0, 2.0)  # pauses before a lost source is opened again; the last one repeats


class Feed:
    """One source for as long as the user wants it.

    Args:
        spec: what the user asked for.
        make_source: a new source each time, because a closed one is not opened again.
        retry: open a lost source again until it is back; otherwise its error ends the show (offline work).

    Attributes:
        state: "opening", "open", "lost" or "ended".
        message: why it is lost, for the user.
        info: what is known of it; None before `open`.
    """

    def __init__(
        self, spec: str, make_source: Callable[[], Awaitable[Source]], clock: Clock, retry: bool = True
    ) -> None:
        self.spec = spec
        self.state: Literal["opening", "open", "lost", "ended"] = "opening"
        self.message: str | None = None
        self.info: SourceInfo | None = None
        self._make_source = make_source
        self._clock = clock
        self._retry = retry
        self._source: Source | None = None

    async def open(self) -> SourceInfo:
        """Open a new source. Raises `SourceError`; nothing stays open then."""
        source = await self._make_source()
        try:
            self.info = await source.open()
        except BaseException:
            await source.close()
            raise
        self._source, self.state, self.message = source, "open", None
        return self.info

    async def packets(self) -> AsyncIterator[Packet[CameraImage] | Packet[FaceState]]:
        """Packets until the source ends. While it is lost nothing comes, and it is opened again and again."""
        while True:
            source = self._source or await self._open_again()
            try:
                async for packet in source.packets():
                    yield packet
                self.state = "ended"
                return
            except Exception as error:
                if not self._retry:
                    raise
                self.lost(error)
            await self.close()

    async def close(self) -> None:
        """Let go of the device. Safe to call twice."""
        source, self._source = self._source, None
        if source is not None:
            await source.close()

    async def _open_again(self) -> Source:
        for pause_s in chain(RETRY_S, repeat(RETRY_S[-1])):
            await self._clock.sleep_until_ns(self._clock.now_ns() + round(pause_s * 1e9))
            try:
                await self.open()
            except Exception as error:
                self.lost(error)
            if self._source is not None:
                log.info("source %s is back", self.spec)
                return self._source
        raise AssertionError  # unreachable: the pauses never end

    def lost(self, error: Exception) -> None:
        """Note why nothing comes."""
        text = str(error) if isinstance(error, FaceshotError) else f"The source failed: {error!r}"
        if text != self.message:  # once, not at every try
            log.warning("%s", text, exc_info=None if isinstance(error, FaceshotError) else error)
        self.state, self.message = "lost", text
