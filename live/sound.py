"""The sound of one file carried over into another: copied where the container takes it, else encoded again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["Sound"]

# What players of these containers decode, which is less than what may be put into them.
_COPIED = {
    ".mp4": {"aac", "mp3", "ac3", "eac3", "alac", "opus"},
    ".webm": {"opus", "vorbis"},
}
_ENCODERS = {".mp4": ("aac", 44_100), ".webm": ("libopus", 48_000)}
_BIT_RATE = 160_000


class Sound:
    """One sound track on its way. Times are kept, so it stays in step with pictures that keep theirs.

    Make it with `Sound.of` before the first packet is written to the output.
    """

    def __init__(self, source: Any, output: Any, stream_in: Any, suffix: str) -> None:
        self._source = source
        self._output = output
        self._packets = source.demux(stream_in)
        self._waiting: Any = None
        self._resampler: Any = None
        if stream_in.codec_context.name in _COPIED[suffix]:
            self._stream = output.add_stream_from_template(stream_in)
            return
        from av.audio.resampler import AudioResampler

        name, rate = _ENCODERS[suffix]
        channels = min(2, stream_in.codec_context.channels or 1)
        layout = "stereo" if channels == 2 else "mono"
        self._stream = output.add_stream(name, rate=rate, layout=layout)
        self._stream.bit_rate = _BIT_RATE
        context = self._stream.codec_context
        context.open()
        self._resampler = AudioResampler(context.format, layout, rate, context.frame_size or None)

    @classmethod
    def of(cls, path: Path, output: Any, suffix: str) -> Sound | None:
        """The sound of `path` as a new stream of the container `output`; None when it has none that can be decoded."""
        import av

        source = av.open(str(path), metadata_errors="ignore")
        stream = source.streams.best("audio")
        if stream is None or stream.codec_context is None:
            source.close()
            return None
        try:
            return cls(source, output, stream, suffix)
        except BaseException:
            source.close()
            raise

    def mux_until(self, t_s: float) -> None:
        """Write everything that is heard until `t_s` seconds on the file's time line."""
        for packet in self._next_packets():
            self._mux(packet)
            if packet.pts is not None and packet.pts * packet.time_base > t_s:
                return

    def finish(self) -> None:
        """Write the rest."""
        for packet in self._next_packets():
            self._mux(packet)
        if self._resampler is not None:
            for frame in self._resampler.resample(None):
                self._output.mux(self._stream.encode(frame))
            self._output.mux(self._stream.encode(None))
        self.close()

    def _next_packets(self) -> Any:
        import av

        while True:
            try:
                packet = next(self._packets)
            except (StopIteration, av.error.FFmpegError):
                return  # the end, or where a damaged file is cut off
            yield packet

    def _mux(self, packet: Any) -> None:
        import av

        if self._resampler is None:
            if packet.dts is not None:  # an empty packet marks the end
                packet.stream = self._stream
                self._output.mux(packet)
            return
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            return  # one damaged packet is a click, not the end
        for frame in frames:
            for resampled in self._resampler.resample(frame):
                self._output.mux(self._stream.encode(resampled))

    def close(self) -> None:
        """Let go of the source."""
        self._source.close()
