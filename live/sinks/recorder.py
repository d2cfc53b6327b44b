"""The show into a video file, at a constant rate and in real time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Literal

from faceshot.types import Rendered, UInt8
from live.clock import Clock
from live.edges import Closed, Edge, Packet
from live.errors import SinkError
from live.sinks.canvas import Canvas, parse_background
from live.video_writer import VideoWriter, check_output
from live.workers import ThreadWorker, Worker

__all__ = ["RecorderSink"]

_BACKLOG = 3
"""With so many waiting after one that took too long to encode, all but the newest are dropped: the show must not wait."""


class RecorderSink:
    """Records to .mp4 (opaque) or .webm (with alpha). The file appears under its name when recording ends.

    Every picture goes to the frame that its capture time falls on: of two on the same frame the first is kept, a frame
    without a picture repeats the one before, and where encoding is too slow or the show was paused for more than a
    second the last picture simply lasts longer. So the recording's time is real time whatever happens.

    The first picture fixes the size; others are fitted into it.

    Args:
        path: file to make; an existing one is refused.
        clock: tells how long encoding takes.
        background: see `live.sinks.canvas.parse_background`; change it with `restyle`.
        mirror: flip the picture left to right.
        worker: where encoding runs; a thread of its own by default.

    Attributes:
        written: frames in the file, repeated ones included.
        dropped: pictures left out, by reason: "slow encoder", "same frame".

    Raises:
        SinkError: the path cannot be recorded to.
        ConfigError: the background is no good.
    """

    edge: Literal["latest", "lossless"] = "lossless"

    def __init__(
        self,
        path: str | Path,
        clock: Clock,
        background: str = "transparent",
        mirror: bool = False,
        worker: Worker | None = None,
    ) -> None:
        self._path = Path(path).expanduser()
        check_output(self._path)
        self.name = f"recording to {self._path.name}"
        self.dropped = {"slow encoder": 0, "same frame": 0}
        self._clock = clock
        self._worker = worker or ThreadWorker("recorder")
        self._writer: VideoWriter | None = None
        self._last: UInt8 | None = None
        self._next_slot = 0
        self.restyle(background, mirror)

    @property
    def written(self) -> int:
        return self._writer.frames if self._writer is not None else 0

    def restyle(self, background: str, mirror: bool) -> None:
        """Change the look from the next picture on. Raises `ConfigError` and changes nothing then."""
        self._background = parse_background(background)
        self._mirror = mirror
        self._canvas: Canvas | None = None

    async def run(self, frames: Edge[Rendered], fps: float) -> None:
        self._rate = Fraction(fps).limit_denominator(1001)
        behind = False
        try:
            while True:
                packet = await frames.get()
                if behind and frames.depth:
                    self.dropped["slow encoder"] += 1
                    continue
                began_ns = self._clock.now_ns()
                await self._worker.run(self._take, packet, behind)
                took_ns = self._clock.now_ns() - began_ns
                behind = frames.depth >= _BACKLOG and took_ns * self._rate > 1_000_000_000
        except Closed:
            pass
        finally:
            await self._worker.run(self._finish)
            await self._worker.close()

    # Everything below runs in the worker.

    def _take(self, packet: Packet[Rendered], behind: bool) -> None:
        if self._writer is None:
            self._size_wh = packet.value.size_wh
            self._start_ns = packet.t_capture_ns
            self._writer = VideoWriter(self._path, self._size_wh, float(self._rate), 1 / self._rate, live=True)
        slot = round((packet.t_capture_ns - self._start_ns) * self._rate / 1_000_000_000)
        if slot < self._next_slot:
            self.dropped["same frame"] += 1
            return
        if self._last is not None and not behind and slot - self._next_slot <= self._rate:
            for repeated in range(self._next_slot, slot):
                self._write(self._last, repeated)
        self._last = self._compose(packet.value)
        self._write(self._last, slot)
        self._next_slot = slot + 1

    def _compose(self, picture: Rendered) -> UInt8:
        assert self._writer is not None
        if self._canvas is None:
            self._canvas = Canvas(self._size_wh, self._background, self._mirror)
        return self._canvas.rgba(picture.rgba) if self._writer.takes_alpha else self._canvas.rgb(picture.rgba)

    def _write(self, picture: UInt8, slot: int) -> None:
        assert self._writer is not None
        try:
            self._writer.write(picture, slot, duration=1)
        except SinkError as error:
            writer, self._writer = self._writer, None
            kept = f" What was recorded until then is in {self._path}." if writer.rescue() else ""
            raise SinkError(error.message + kept, error.hint) from error

    def _finish(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.finish()
