"""Reading video files with PyAV: exact presentation times, upright pictures, every fault one or two lines.

Synchronous; used from one worker thread by `live.sources.file` and directly by `live.render`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from faceshot.types import UInt8
from live.errors import SourceError

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

__all__ = ["MAX_SIDE_PX", "Picture", "VideoReader"]

MAX_SIDE_PX = 1280
"""Larger pictures are scaled down while they are converted: landmarks do not get better above it, tracking slower."""

MAX_MEGAPIXELS = 36  # 8K; decoding more than this takes gigabytes
_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded picture, not yet converted to RGB (which costs more than decoding).

    Attributes:
        pts: presentation time in units of the reader's `time_base`, growing from picture to picture.
        t_ns: the same in nanoseconds since the first picture of the file.
        frame: PyAV's picture.
    """

    pts: int
    t_ns: int
    frame: VideoFrame


class VideoReader:
    """An open video file. Opening decodes the first picture, so a file that cannot be played is refused at once.

    Args:
        path: any container and codec that FFmpeg reads.

    Attributes:
        name: the file's name.
        fps: nominal frame rate in Hz; 30 when the file does not say.
        time_base: length in seconds of one unit of `Picture.pts`.
        start_pts: time of the first picture.
        frame_count: how many pictures the file says it has, estimated from its duration if need be; None when unknown.
        size_wh: size of the pictures that `rgb` returns: upright, with square pixels, at most `MAX_SIDE_PX`.

    Raises:
        SourceError: no such file, not a video, a still picture, sound only, no pictures, cut off.
    """

    def __init__(self, path: str | Path) -> None:
        import av

        self.path = Path(path).expanduser()
        self.name = self.path.name
        _check_is_file(self.path)
        self._av = av
        try:
            self._container = av.open(str(self.path), metadata_errors="ignore")
        except (av.error.FFmpegError, ValueError) as bad:
            raise _cannot_open(self.path, bad) from bad
        try:
            self._start()
        except BaseException:
            self._container.close()
            raise

    def _start(self) -> None:
        from av.video.reformatter import VideoReformatter

        kind = self._container.format.name
        if kind == "image2" or kind.endswith("_pipe"):
            raise SourceError(
                f"{self.name} is a still picture, not a video: nothing in it moves.",
                f"To animate it, make it the character: faceshot live {self.name}",
            )
        if not self._container.streams.video:
            raise SourceError(f"{self.name} has no picture, only sound.", "Give a video of a face.")
        stream = self._container.streams.video[0]
        if stream.codec_context is None:
            raise SourceError(f"{self.name} has a video track in a format that is not known.", _CONVERT)
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > MAX_MEGAPIXELS * 1_000_000:
            raise SourceError(
                f"{self.name} has pictures of {width}×{height}; at most {MAX_MEGAPIXELS} megapixels are read.",
                "Scale it down; 720p is plenty.",
            )
        # One thread decodes 720p in about 2 ms and leaves the other cores to the tracker; 4K needs them.
        small = max(width, height) <= MAX_SIDE_PX
        stream.thread_type = "SLICE" if small else "AUTO"
        stream.codec_context.thread_count = 1 if small else 0
        self._stream = stream
        self.time_base = stream.time_base or Fraction(1, 1000)
        rate = stream.average_rate or stream.guessed_rate
        self.fps = float(rate) if rate and 0 < rate <= 1000 else 30.0
        self._interval_pts = max(1, round(1 / (Fraction(self.fps) * self.time_base)))
        self._reformatter = VideoReformatter()
        self._decoded = self._decode()
        first = next(self._decoded, None)
        if first is None:
            raise SourceError(
                f"{self.name} has no picture that can be decoded: it is empty, cut off or damaged.", _CONVERT
            )
        self.start_pts = first.pts if first.pts is not None else 0
        self._first: VideoFrame | None = first
        self._last_pts: int | None = None
        self.size_wh = self._fit(first)
        self.frame_count = self._count()

    def _count(self) -> int | None:
        if self._stream.frames:
            return int(self._stream.frames)
        if self._stream.duration:
            return max(1, round(self._stream.duration * self.time_base * Fraction(self.fps)))
        if self._container.duration:
            return max(1, round(self._container.duration / 1e6 * self.fps))
        return None

    def _decode(self) -> Iterator[VideoFrame]:
        """All pictures that can be decoded; a damaged packet costs its own picture, a cut-off file just ends."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, self._av.error.FFmpegError):
                return
            try:
                frames = packet.decode()
            except self._av.error.FFmpegError:
                continue
            yield from frames

    def read(self) -> Picture | None:
        """The next picture; None at the end."""
        frame = self._first if self._first is not None else next(self._decoded, None)
        self._first = None
        if frame is None:
            return None
        last = self._last_pts
        pts = frame.pts
        if pts is None:
            pts = self.start_pts if last is None else last + self._interval_pts
        if last is not None and pts <= last:  # a broken file; time must grow for trackers and encoders
            pts = last + 1
        self._last_pts = pts
        return Picture(pts, self._ns(pts - self.start_pts), frame)

    def __iter__(self) -> Iterator[Picture]:
        while (picture := self.read()) is not None:
            yield picture

    @property
    def interval_ns(self) -> int:
        """Nominal time from one picture to the next."""
        return self._ns(self._interval_pts)

    def _ns(self, pts: int) -> int:
        return round(pts * self.time_base * _SECOND_NS)

    def rgb(self, picture: Picture) -> UInt8:
        """(H, W, 3) uint8 of `size_wh` (recomputed should the size change within the file), contiguous."""
        frame = picture.frame
        turned = _quarter_turns(frame)
        width, height = self._fit(frame)
        if turned % 2:
            width, height = height, width
        # Averaging filters cost three times as much on 4K and bring the tracker nothing.
        how = "BILINEAR" if max(frame.width, frame.height) <= MAX_SIDE_PX else "FAST_BILINEAR"
        converted = self._reformatter.reformat(frame, width, height, "rgb24", interpolation=how)
        rgb = np.asarray(converted.to_ndarray(), np.uint8)
        return np.ascontiguousarray(np.rot90(rgb, turned)) if turned else rgb

    def _fit(self, frame: VideoFrame) -> tuple[int, int]:
        """Size of the upright picture with square pixels, within `MAX_SIDE_PX`."""
        width, height = float(frame.width), float(frame.height)
        ratio = self._stream.sample_aspect_ratio
        if ratio and Fraction(1, 4) <= ratio <= 4:
            width *= float(ratio)
        if _quarter_turns(frame) % 2:
            width, height = height, width
        scale = min(1.0, MAX_SIDE_PX / max(width, height))
        return max(1, round(width * scale)), max(1, round(height * scale))

    def close(self) -> None:
        """Let go of the file. Safe to call twice."""
        self._container.close()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


_CONVERT = "Check that it plays elsewhere, or convert it, for example to H.264 in .mp4."


def _quarter_turns(frame: VideoFrame) -> int:
    """Quarter turns (anticlockwise, as numpy counts) that make a phone's picture upright."""
    return round(frame.rotation / 90) % 4


def _check_is_file(path: Path) -> None:
    if path.is_dir():
        raise SourceError(f"{path} is a folder; a source is one video file.", "Give the file's name.")
    if not path.exists():
        raise SourceError(f"There is no file {path}.", "Check the path; it should be a video of a face.")
    if path.is_file() and path.stat().st_size == 0:
        raise SourceError(f"{path.name} is empty (0 bytes).", "Copy or record it again.")


def _cannot_open(path: Path, error: Exception) -> SourceError:
    number = getattr(error, "errno", None)
    if number in (errno.EACCES, errno.EPERM):
        return SourceError(f"{path} may not be read by this user.", f"Allow it: chmod u+r {path}")
    return SourceError(
        f"{path.name} is not a video that can be read: it is in another format, cut off or damaged.", _CONVERT
    )
