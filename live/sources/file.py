"""A video file as a source: at its own speed, or as fast as everything downstream allows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from faceshot.types import CameraImage, UInt8
from live.clock import Clock
from live.edges import Packet
from live.sources.pacing import Pacer
from live.stages import SourceInfo
from live.video_reader import VideoReader
from live.workers import ThreadWorker, Worker

__all__ = ["FileSource"]


class FileSource:
    """Pictures of a video file, decoded in a worker.

    Args:
        path: the video.
        clock: paces and stamps the pictures.
        realtime: show each picture at its presentation time (variable frame rate honoured) and leave out those whose
            time has passed; otherwise give every picture as soon as it is asked for.
        loop: start again at the end; `t_media_ns` grows on. Otherwise `packets` ends there.
        worker: where decoding runs; a thread of its own by default.
    """

    def __init__(
        self, path: str | Path, clock: Clock, realtime: bool = True, loop: bool = True, worker: Worker | None = None
    ) -> None:
        self._path = Path(path)
        self._clock = clock
        self._loop = loop
        self._worker = worker or ThreadWorker("decode")
        self._pacer = Pacer(clock) if realtime else None
        self._reader: VideoReader | None = None
        # Where the current round starts and where the next one will, on the growing media time line.
        self._round_ns = 0
        self._next_round_ns = 0
        self._seq = 0
        self._closed = False

    async def open(self) -> SourceInfo:
        reader = await self._worker.run(self._start)
        return SourceInfo(reader.name, reader.fps, reader.size_wh, live=False, mirrored=False)

    def _start(self) -> VideoReader:
        self._reader = VideoReader(self._path)  # kept here, so that `close` finds it when `open` is cancelled
        return self._reader

    async def packets(self) -> AsyncIterator[Packet[CameraImage]]:
        """Frame numbers (`seq`) count every picture of the file, so a gap is a picture that was left out."""
        while (ready := await self._worker.run(self._next)) is not None:
            seq, t_media_ns, rgb = ready
            if self._pacer is not None:
                await self._pacer.wait(t_media_ns)
            yield Packet(seq, self._clock.now_ns(), CameraImage(rgb), t_media_ns=t_media_ns)

    def _next(self) -> tuple[int, int, UInt8] | None:
        """In the worker: the next picture whose time has not passed; None at the end."""
        while self._reader is not None:
            picture = self._reader.read()
            if picture is None:
                if not self._loop:
                    return None
                self._rewind()
                continue
            seq = self._seq
            self._seq += 1
            t_media_ns = self._round_ns + picture.t_ns
            self._next_round_ns = t_media_ns + self._reader.interval_ns
            if self._pacer is not None and self._pacer.must_skip(t_media_ns, self._reader.interval_ns):
                continue
            return seq, t_media_ns, self._reader.rgb(picture)
        return None

    def _rewind(self) -> None:
        # Opening again is as quick as seeking and works for every container.
        if self._reader is not None:
            self._reader.close()
        self._reader = VideoReader(self._path)
        self._round_ns = self._next_round_ns

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            await self._worker.run(self._release)
            await self._worker.close()

    def _release(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
