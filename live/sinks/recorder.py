"""The show into a video file, at a constant rate and in real time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Literal

from faceshot.types import Rendered, UInt8
from live.clock import Clock
from live.edges import Closed, Edge, Packet
from live.errors import SinkError
from live.sinks.canvas import Background, Canvas, parse_background
from live.video_writer import VideoWriter, check_output
from live.workers import ThreadWorker, Worker

__all__ = ["RecorderSink"]

_LONGEST_REPEAT_S = 1


class RecorderSink:
    """Records to .mp4 (opaque) or .webm (with alpha). The file appears under its name when recording ends.

    Every picture goes to the frame that its time falls on. Of two on the same frame the first is kept, and a frame
    without a picture repeats the one before; but after a pause of more than a second, and while encoding lags behind
    (the edge has more pictures waiting), the last picture simply lasts longer. So the recording's time is always right.

    The first picture fixes the size; others are fitted into it.

    Args:
        path: file to make; an existing one is refused.
        clock: tells when recording ends, so that the last picture lasts until then.
        background: see `parse_background`; `set_background` changes it while running.
        worker: where encoding runs; a thread of its own by default.

    Attributes:
        written: frames in the file, repeated ones included.
        same_frame: pictures left out because their frame had one already.

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
        worker: Worker | None = None,
    ) -> None:
        self._path = Path(path).expanduser()
        check_output(self._path)
        self.name = f"recording to {self._path.name}"
        self.written = 0
        self.same_frame = 0
        self._clock = clock
        self._worker = worker or ThreadWorker("recorder")
        self._writer: VideoWriter | None = None
        self._last: UInt8 | None = None
        self._next_slot = 0
        self.set_background(parse_background(background))

    def set_background(self, background: Background) -> None:
        """Change it from the next picture on."""
        self._background = background
        self._canvas: Canvas | None = None

    async def run(self, frames: Edge[Rendered], fps: float) -> None:
        self._rate = Fraction(fps).limit_denominator(1001)
        asked_ns = self._clock.now_ns()
        try:
            while True:
                packet = await frames.get()
                await self._worker.run(self._take, packet, frames.depth > 0)
                asked_ns = self._clock.now_ns()
        except Closed:
            pass
        finally:
            await self._worker.run(self._finish, asked_ns)
            await self._worker.close()

    # Everything below runs in the worker.

    def _take(self, packet: Packet[Rendered], lagging: bool) -> None:
        if self._writer is None:
            self._size_wh = packet.value.size_wh
            self._start_ns = packet.t_capture_ns
            self._writer = VideoWriter(self._path, self._size_wh, float(self._rate), 1 / self._rate, live=True)
        slot = self._slot(packet.t_capture_ns)
        if slot < self._next_slot:
            self.same_frame += 1
            return
        if self._last is not None and not lagging and slot - self._next_slot <= self._rate * _LONGEST_REPEAT_S:
            for repeated in range(self._next_slot, slot):
                self._write(self._last, repeated)
        self._last = self._compose(packet.value)
        self._write(self._last, slot)
        self._next_slot = slot + 1

    def _slot(self, t_ns: int) -> int:
        return round((t_ns - self._start_ns) * self._rate / 1_000_000_000)

    def _compose(self, picture: Rendered) -> UInt8:
        assert self._writer is not None
        if self._canvas is None:
            self._canvas = Canvas(self._size_wh, self._background)
        return self._canvas.rgba(picture.rgba) if self._writer.takes_alpha else self._canvas.rgb(picture.rgba)

    def _write(self, picture: UInt8, slot: int) -> None:
        assert self._writer is not None
        try:
            self._writer.write(picture, slot, duration=1)
        except SinkError as error:
            writer, self._writer = self._writer, None
            kept = f" What was recorded until then is in {self._path}." if writer.rescue() else ""
            raise SinkError(error.message + kept, error.hint) from error
        self.written += 1

    def _finish(self, asked_ns: int) -> None:
        """Complete the file. When a next picture was long waited for (the show is paused), the last lasts until now."""
        if self._writer is None:
            return
        now_ns = self._clock.now_ns()
        last_slot = self._slot(now_ns) - 1
        waited = now_ns - asked_ns > _LONGEST_REPEAT_S * 1_000_000_000
        if waited and self._last is not None and last_slot >= self._next_slot:
            self._write(self._last, last_slot)
        writer, self._writer = self._writer, None
        writer.finish()
