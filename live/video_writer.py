"""Writing video files with PyAV: H.264 in .mp4, VP9 with real alpha in .webm, and never a half-written file.

Synchronous; used from one worker thread by `live.sinks.recorder` and directly by `live.render`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from faceshot.types import UInt8
from live.errors import SinkError
from live.sound import Sound

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

__all__ = ["SUFFIXES", "VideoWriter", "check_not_read", "check_output"]

SUFFIXES = (".mp4", ".webm")
_BT709 = 1

_CODECS = {".mp4": "libx264", ".webm": "libvpx-vp9"}
_PIXELS = {".mp4": ("rgb24", "yuv420p"), ".webm": ("rgba", "yuva420p")}
# Live encoding shares the machine with tracking; B-frames would cost delay and an edit list.
_LIVE_OPTIONS = {
    ".mp4": {"preset": "veryfast", "crf": "20", "bf": "0"},
    ".webm": {"deadline": "realtime", "cpu-used": "8", "crf": "28", "b:v": "0", "row-mt": "1", "auto-alt-ref": "0"},
}
_BEST_OPTIONS = {
    ".mp4": {"preset": "fast", "crf": "16"},
    ".webm": {"deadline": "good", "cpu-used": "4", "crf": "20", "b:v": "0", "row-mt": "1", "auto-alt-ref": "0"},
}
# Fragments can be played up to the last whole one after a crash; on a proper end the file becomes a plain MP4.
_LIVE_MP4 = {"movflags": "hybrid_fragmented+frag_keyframe+empty_moov+default_base_moof"}
_BEST_MP4 = {"movflags": "+faststart"}


def check_output(path: Path, overwrite: bool = False) -> None:
    """Refuse a path that cannot be recorded to, before anything starts.

    Raises:
        SinkError: not .mp4 or .webm, no such folder, not writable, or there is already something.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise SinkError(
            f"Cannot record to {path.name}: the name must end in {' or '.join(SUFFIXES)}.",
            ".mp4 plays everywhere; .webm keeps transparency.",
        )
    if path.is_dir():
        raise SinkError(f"Cannot record to {path}: it is a folder.", "Give the name of a file in it.")
    if not path.parent.is_dir():
        raise SinkError(
            f"Cannot record to {path}: there is no folder {path.parent}.", f"Make it: mkdir -p {path.parent}"
        )
    if not os.access(path.parent, os.W_OK):
        raise SinkError(f"Cannot record to {path}: folder {path.parent} is not writable.", "Choose another folder.")
    if path.exists() and not overwrite:
        raise SinkError(f"{path} exists already; nothing is overwritten.", "Choose another name, or delete it first.")


def check_not_read(path: Path, what: str, *files: str | Path) -> None:
    """Refuse an output that is one of the files it is made of. Raises `SinkError`.

    Args:
        what: names the files, as in "the driver".
    """
    if path.exists() and any(Path(file).exists() and path.samefile(file) for file in files):
        raise SinkError(f"{path} is {what} itself.", "Choose another name for the output.")


class VideoWriter:
    """One video file in the making, under a temporary name (`out.part.mp4`) beside the final one.

    Args:
        path: .mp4 (opaque) or .webm (with alpha).
        size_wh: size of the pictures; an odd side gets one more row or column, since both codecs need even ones.
        fps: nominal frame rate in Hz.
        time_base: unit in seconds of the times given to `write`.
        live: encode for speed, and so that a crash leaves what was recorded playable; else for quality.
        sound: a file whose sound goes along; nothing happens when it has none.
        overwrite: replace an existing file (only when the new one is whole).

    Attributes:
        takes_alpha: whether `write` wants RGBA (.webm) or RGB (.mp4).
        frames: pictures written.

    Raises:
        SinkError: see `check_output`; or the file cannot be created.
    """

    def __init__(
        self,
        path: Path,
        size_wh: tuple[int, int],
        fps: float,
        time_base: Fraction,
        live: bool,
        sound: Path | None = None,
        overwrite: bool = False,
    ) -> None:
        import av
        from av.video.reformatter import VideoReformatter

        check_output(path, overwrite)
        self.path = path
        self.frames = 0
        suffix = path.suffix.lower()
        self.takes_alpha = suffix == ".webm"
        self._pixels = _PIXELS[suffix]
        self._time_base = time_base
        self._overwrite = overwrite
        self._live = live
        self._reformatter = VideoReformatter()
        self._sound: Sound | None = None
        self._temporary = _unused(path)
        mp4 = _LIVE_MP4 if live else _BEST_MP4
        try:
            self._container = av.open(
                str(self._temporary), "w", format=suffix[1:], options=dict(mp4) if suffix == ".mp4" else {}
            )
        except OSError as error:
            raise self._failed(error) from error
        try:
            self._add_stream(size_wh, fps, dict((_LIVE_OPTIONS if live else _BEST_OPTIONS)[suffix]))
            if sound is not None:
                self._sound = Sound.of(sound, self._container, suffix)
            self._container.start_encoding()
        except BaseException as error:
            self.discard()
            if isinstance(error, OSError):
                raise self._failed(error) from error
            raise

    def _add_stream(self, size_wh: tuple[int, int], fps: float, options: dict[str, str]) -> None:
        rate = Fraction(fps).limit_denominator(1001)
        if self._pixels[1] == "yuv420p":
            options["g"] = str(max(1, round(2 * fps)))  # a fragment, what a crash may cost, is two seconds
        stream: Any = self._container.add_stream(_CODECS[self.path.suffix.lower()], rate=rate, options=options)
        self._size_wh = (size_wh[0] + size_wh[0] % 2, size_wh[1] + size_wh[1] % 2)
        stream.width, stream.height = self._size_wh
        stream.pix_fmt = self._pixels[1]
        stream.time_base = self._time_base
        context = stream.codec_context
        context.time_base = self._time_base
        context.thread_count = 2
        # Players guess wrongly without it, and colours shift between them.
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = 1
        self._stream = stream

    def write(self, picture: UInt8, pts: int, duration: int = 0) -> None:
        """Encode one picture.

        Args:
            picture: (H, W, 4) uint8 RGBA with straight alpha when `takes_alpha`, else (H, W, 3) RGB.
            pts: presentation time in units of `time_base`, larger than the one before.
            duration: how long it is shown, in the same unit; 0 leaves it to the next picture.

        Raises:
            SinkError: the disk is full or another fault of writing. Call `finish` or `discard` then.
        """
        frame = self._to_frame(picture)
        frame.pts = pts
        frame.duration = duration
        frame.time_base = self._time_base
        try:
            if self._sound is not None:
                self._sound.mux_until(float(pts * self._time_base))
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except OSError as error:
            raise self._failed(error) from error
        self.frames += 1

    def _to_frame(self, picture: UInt8) -> VideoFrame:
        from av import VideoFrame
        from av.video.reformatter import ColorRange, Colorspace

        width, height = self._size_wh
        below, right = height - picture.shape[0], width - picture.shape[1]
        if below or right:
            picture = np.pad(picture, ((0, below), (0, right), (0, 0)), mode="edge")
        frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), self._pixels[0])
        return self._reformatter.reformat(
            frame, format=self._pixels[1], dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )

    def finish(self) -> None:
        """Complete the file and give it its name. Raises `SinkError`; then the temporary file is gone, and of a live
        recording what can be played has been kept."""
        try:
            for packet in self._stream.encode(None):
                self._container.mux(packet)
            if self._sound is not None:
                self._sound.finish()
            self._container.close()
        except OSError as error:
            failed = self._failed(error)
            if not self._live:
                self.discard()
                raise failed from error
            kept = f" What was recorded until then is in {self.path}." if self.rescue() else ""
            raise SinkError(failed.message + kept, failed.hint) from error
        except BaseException:
            self.discard()
            raise
        self._take_name()

    def _take_name(self) -> None:
        if self._overwrite:
            os.replace(self._temporary, self.path)
            return
        if self.path.exists():  # made by somebody else in the meantime
            raise SinkError(f"{self.path} appeared while recording.", f"The recording is in {self._temporary}.")
        os.rename(self._temporary, self.path)

    def rescue(self) -> bool:
        """After a failed `write`: keep what can be played under the final name, delete the rest. True when kept."""
        with contextlib.suppress(Exception):
            self._container.close()
        if self._sound is not None:
            self._sound.close()
        if not self.path.exists() and _plays(self._temporary):
            os.rename(self._temporary, self.path)
            return True
        self._temporary.unlink(missing_ok=True)
        return False

    def discard(self) -> None:
        """Delete what was written."""
        with contextlib.suppress(Exception):  # a full disk fails again while it closes
            self._container.close()
        if self._sound is not None:
            self._sound.close()
        self._temporary.unlink(missing_ok=True)

    def _failed(self, error: OSError) -> SinkError:
        try:
            free = f"; {shutil.disk_usage(self.path.parent).free / 1e6:.0f} MB free in {self.path.parent}"
        except OSError:
            free = ""
        return SinkError(
            f"Cannot write {self.path}: {error.strerror or error}{free}.", "Free space, or record to another disk."
        )


def _unused(path: Path) -> Path:
    """`out.part.mp4`, or `out.part2.mp4` when a crash left the former: it can still be played."""
    for number in ("", *range(2, 1000)):
        candidate = path.with_name(f"{path.stem}.part{number}{path.suffix}")
        if not candidate.exists():
            return candidate
    raise SinkError(f"Folder {path.parent} is full of unfinished recordings of {path.name}.", "Delete *.part* there.")


def _plays(path: Path) -> bool:
    import av

    try:
        with av.open(str(path)) as container:
            return next(container.decode(video=0), None) is not None
    except (av.error.FFmpegError, IndexError, ValueError, OSError):
        return False
