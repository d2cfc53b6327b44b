"""Small video files for tests, written with the real encoders."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from faceshot.types import UInt8


def numbered(index: int, size_wh: tuple[int, int] = (64, 48)) -> UInt8:
    """A grey picture whose level tells its number (0 to 24), with a red mark in its image-left upper corner."""
    width, height = size_wh
    picture = np.full((height, width, 3), 10 * index, np.uint8)
    picture[: height // 4, : width // 4] = (255, 0, 0)
    return picture


def number_in(rgb: UInt8) -> int:
    """Which number a decoded picture of `numbered` tells."""
    height, width = rgb.shape[:2]
    return round(float(rgb[height // 2 - 4 : height // 2 + 4, width // 2 - 4 : width // 2 + 4].mean()) / 10)


def write_video(
    path: Path,
    pts: Sequence[int] = range(10),
    time_base: Fraction = Fraction(1, 30),
    fps: int = 30,
    size_wh: tuple[int, int] = (64, 48),
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    rotation: int | None = None,
    sample_aspect_ratio: Fraction | None = None,
    sound_s: float = 0.0,
    sound_codec: str = "aac",
    options: dict[str, str] | None = None,
) -> Path:
    """`numbered` pictures at `pts` (in units of `time_base`), and a 440 Hz tone of `sound_s` seconds."""
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width, stream.height = size_wh
        stream.pix_fmt = pix_fmt
        stream.time_base = stream.codec_context.time_base = time_base
        if sample_aspect_ratio is not None:
            stream.codec_context.sample_aspect_ratio = sample_aspect_ratio
        if rotation is not None:
            stream.set_display_rotation(rotation)
        sound = None
        if sound_s:
            sound = container.add_stream(sound_codec, rate=48_000, layout="stereo")
        for index, at in enumerate(pts):
            frame = av.VideoFrame.from_ndarray(numbered(index, size_wh), "rgb24").reformat(format=pix_fmt)
            frame.pts, frame.time_base = at, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            write_tone(container, sound, sound_s)
    return path


def write_pictures(path: Path, pictures: Sequence[UInt8], fps: int) -> Path:
    """(H, W, 3) pictures as a video, nearly without loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = pictures[0].shape[1], pictures[0].shape[0], "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")))
        container.mux(stream.encode(None))
    return path


def write_tone(container: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    """A 440 Hz tone."""
    wave = (0.3 * np.sin(2 * np.pi * 440 * np.arange(round(48_000 * seconds)) / 48_000)).astype(np.float32)
    fifo = av.AudioFifo()
    whole = av.AudioFrame.from_ndarray(np.stack([wave, wave]), "fltp", "stereo")
    whole.sample_rate, whole.pts, whole.time_base = 48_000, 0, Fraction(1, 48_000)
    fifo.write(whole)
    while (frame := fifo.read(960, partial=True)) is not None:
        for ready in av.AudioResampler(stream.codec_context.format, "stereo", 48_000).resample(frame):
            container.mux(stream.encode(ready))
    container.mux(stream.encode(None))


def write_sound_only(path: Path, seconds: float = 0.5) -> Path:
    with av.open(str(path), "w") as container:
        write_tone(container, container.add_stream("aac", rate=48_000, layout="stereo"), seconds)
    return path


def decode_times(path: Path) -> list[Fraction]:
    """Presentation times in seconds of all pictures in a file."""
    with av.open(str(path)) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def decode_rgb(path: Path) -> list[UInt8]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def decode_rgba(path: Path) -> list[UInt8]:
    """Pictures of a .webm with their alpha, which only libvpx's own decoder gives."""
    decoder = av.CodecContext.create("libvpx-vp9", "r")
    with av.open(str(path)) as container:
        return [
            frame.to_ndarray(format="rgba")
            for packet in container.demux(video=0)
            for frame in decoder.decode(packet)  # type: ignore[attr-defined]
        ]


def sound_of(path: Path) -> np.ndarray:
    """First channel of a file's sound, float, all samples."""
    with av.open(str(path)) as container:
        planes = [frame.to_ndarray() for frame in container.decode(audio=0)]
    return np.concatenate([plane.reshape(-1) if plane.shape[0] == 1 else plane[0] for plane in planes])
