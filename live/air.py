"""What is on air: the one gate between the animator and everybody who looks.

Only `Rendered` passes. While hidden, blank pictures take the place of all others from the very moment of the call.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from faceshot.errors import FaceshotError
from faceshot.types import Rendered
from live.clock import Clock
from live.edges import Edge, Fanout, Latest, Lossless, Packet
from live.stages import Sink
from live.stats import Stats

__all__ = ["IDLE_SEQ", "Air", "SinkStatus"]

log = logging.getLogger(__name__)

IDLE_SEQ = -1  # number of a face state or picture that no source frame is behind
RECORDING_FRAMES = 60  # pictures (1 MB each at 512 px) that may wait for a recorder's disk in a live show


@dataclass(slots=True)
class SinkStatus:
    """How one sink does."""

    name: str
    running: bool = True
    error: str | None = None


class Air:
    """Numbers pictures, hands them to sinks and viewers, hides and freezes them.

    Args:
        size_wh: of the pictures; the pipeline keeps it up to date.
        offline: recorders make the show wait; in a live show they lose pictures when the disk stalls.

    Attributes:
        frames: where viewers subscribe.
        hidden, paused: read only; use `hide` and `pause`.
        sinks: how each sink does.
    """

    def __init__(self, clock: Clock, stats: Stats, size_wh: tuple[int, int], offline: bool = False) -> None:
        self.frames: Fanout[Rendered] = Fanout()
        self.size_wh = size_wh
        self.hidden = False
        self.paused = False
        self.sinks: list[SinkStatus] = []
        self._clock = clock
        self._stats = stats
        self._offline = offline
        self._blank = Rendered.blank(size_wh)
        self._last: Packet[Rendered] | None = None
        self._seq = 0

    async def show(self, picture: Packet[Rendered]) -> None:
        """Put a freshly drawn picture on air, or a blank one in its place; nothing while paused."""
        drawn_ns = self._clock.now_ns()
        await self.frames.room()  # whether it may be seen is decided after the wait
        if self.paused:
            self._stats.drop("paused", int(picture.seq != IDLE_SEQ))
            return
        self._stats.went_out(picture.stages_ns, None if picture.seq == IDLE_SEQ else drawn_ns - picture.t_capture_ns)
        if self.hidden:
            self._put(replace(picture, value=self._blank_picture()))
        else:
            self._last = picture
            self._put(picture)

    def hide(self, on: bool) -> None:
        """Nothing but blank pictures from this moment, or back on air. The frozen picture comes back when paused."""
        self.hidden = on
        if on:
            now_ns = self._clock.now_ns()
            self._put(Packet(IDLE_SEQ, now_ns, self._blank_picture(), t_media_ns=now_ns))
        elif self.paused and self._last is not None:
            self._put(self._last)

    def pause(self, on: bool) -> None:
        """Freeze the last picture, or go on."""
        self.paused = on

    async def serve(self, sink: Sink, fps: float) -> None:
        """Run one sink on an edge of its own until the show ends; its failure stops nothing else."""
        status = SinkStatus(sink.name)
        self.sinks.append(status)
        edge: Edge[Rendered] = Latest(sink.name, self._clock)
        if sink.edge == "lossless":
            edge = Lossless(sink.name, self._clock, RECORDING_FRAMES, drop_when_full=not self._offline)
        self._stats.watch(edge.stats, f"{sink.name}: ")
        self.frames.subscribe(edge)
        try:
            await sink.run(edge, fps)
        except Exception as error:
            expected = isinstance(error, FaceshotError)
            status.error = str(error) if expected else f"{sink.name} failed: {error!r}"
            log.warning("%s", status.error, exc_info=None if expected else error)
        finally:
            status.running = False
            self.frames.unsubscribe(edge)

    def close(self) -> None:
        """Nothing more will come: sinks and viewers drain and end."""
        self.frames.close()

    def _put(self, picture: Packet[Rendered]) -> None:
        self.frames.put_nowait(replace(picture, seq=self._seq))
        self._seq += 1

    def _blank_picture(self) -> Rendered:
        if self._blank.size_wh != self.size_wh:
            self._blank = Rendered.blank(self.size_wh)
        return self._blank
