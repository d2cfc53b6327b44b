"""Recordings, decoded again."""

import asyncio
import resource
import shutil
from collections.abc import Awaitable, Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from faceshot.types import Rendered
from live.clock import Clock, LoopClock
from live.edges import Lossless, Packet
from live.errors import SinkError
from live.sinks.recorder import RecorderSink
from live.video_reader import VideoReader
from live.video_writer import VideoWriter
from live.workers import InlineWorker
from tests.live.videos import decode_rgb, decode_rgba, decode_times, number_in, numbered, write_video
from tests.virtual_time import run

FPS = 30.0


def picture(index: int, size_wh: tuple[int, int] = (64, 48), alpha: int = 255) -> Rendered:
    return Rendered(np.dstack([numbered(index, size_wh), np.full((size_wh[1], size_wh[0]), alpha, np.uint8)]))


def noise(seed: int) -> Rendered:
    """Nothing that an encoder could make small."""
    rgba = np.random.default_rng(seed).integers(0, 256, (240, 320, 4), np.uint8)
    return Rendered(rgba)


async def record(
    path: Path,
    pictures: Sequence[Rendered],
    times_s: Sequence[float],
    end_s: float | None = None,
    background: str = "transparent",
    meanwhile: Callable[[int], Awaitable[None]] | None = None,
) -> RecorderSink:
    """Feed pictures that were captured, and arrive, at `times_s`; end at `end_s` or with the last one."""
    clock: Clock = LoopClock()
    sink = RecorderSink(path, clock, background, worker=InlineWorker("recorder", clock))
    frames = Lossless[Rendered]("recorder", clock)
    async with asyncio.TaskGroup() as group:
        group.create_task(sink.run(frames, FPS))
        for i, (shown, t_s) in enumerate(zip(pictures, times_s, strict=True)):
            await clock.sleep_until_ns(round(t_s * 1e9))
            await frames.put(Packet(i, clock.now_ns(), shown))
            await asyncio.sleep(0)
            if meanwhile is not None:
                await meanwhile(i)
        if end_s is not None:
            await clock.sleep_until_ns(round(end_s * 1e9))
        frames.close()
    return sink


def grid(count: int) -> list[float]:
    return [i / FPS for i in range(count)]


def frames_at(path: Path) -> list[int]:
    """On which frames of the constant rate pictures stand."""
    return [round(t * Fraction(FPS)) for t in decode_times(path)]


def played(path: Path) -> int:
    """Pictures that a player shows of a file whose end is missing."""
    with VideoReader(path) as reader:
        return len(list(reader))


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_every_picture_once_at_its_time(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    sink = run(record(path, [picture(i) for i in range(20)], grid(20)))
    assert frames_at(path) == list(range(20))
    assert [number_in(rgb) for rgb in decode_rgb(path)] == list(range(20))
    assert sink.written == 20
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_colours_survive(tmp_path: Path) -> None:
    rgba = np.full((64, 64, 4), 255, np.uint8)
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (230, 180, 140)]
    for i, colour in enumerate(colours):
        rgba[16 * i : 16 * i + 16, :, :3] = colour
    path = tmp_path / "out.mp4"
    run(record(path, [Rendered(rgba)] * 3, grid(3)))
    middle = decode_rgb(path)[1][8::16, 32]
    assert np.abs(middle.astype(int) - colours).max() <= 6


def test_webm_keeps_real_alpha(tmp_path: Path) -> None:
    rgba = np.full((64, 96, 4), 200, np.uint8)
    rgba[:, :32, 3], rgba[:, 32:64, 3], rgba[:, 64:, 3] = 0, 128, 255
    path = tmp_path / "out.webm"
    run(record(path, [Rendered(rgba)] * 5, grid(5)))
    pictures = decode_rgba(path)
    assert len(pictures) == 5
    assert pictures[2][32, [16, 48, 80], 3].tolist() == pytest.approx([0, 128, 255], abs=4)
    assert pictures[2][32, 80, :3].tolist() == pytest.approx([200] * 3, abs=4)


def test_mp4_shows_the_background_behind(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    run(record(path, [Rendered.blank((64, 64))] * 3, grid(3), background="#00ff00"))
    assert decode_rgb(path)[0][32, 32].tolist() == pytest.approx([0, 255, 0], abs=6)


def test_missing_pictures_are_repeated_and_surplus_ones_left_out(tmp_path: Path) -> None:
    times = [0, 1 / 30, 1.4 / 30, 2 / 30, 6 / 30, 7.2 / 30]
    path = tmp_path / "out.mp4"
    sink = run(record(path, [picture(i) for i in range(6)], times))
    assert frames_at(path) == list(range(8))
    assert [number_in(rgb) for rgb in decode_rgb(path)] == [0, 1, 3, 3, 3, 3, 4, 5]
    assert sink.same_frame == 1


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_a_long_pause_keeps_real_time(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    run(record(path, [picture(1), picture(2), picture(3)], [0, 1 / 30, 60], end_s=90))
    at = frames_at(path)
    assert at[:3] == [0, 1, 1800]
    assert at[-1] == 2699


def test_a_slow_encoder_makes_the_recording_no_longer(tmp_path: Path) -> None:
    """The last pictures are still encoded when the show is over; they keep their capture times."""
    path = tmp_path / "out.mp4"

    async def main() -> None:
        clock = LoopClock()
        frames = Lossless[Rendered]("recorder", clock, capacity=20)
        for i in range(10):
            frames.put_nowait(Packet(i, round(i * 1e9 / FPS), picture(i)))
        frames.close()
        await RecorderSink(path, clock, worker=InlineWorker("recorder", clock, cost_ms=700)).run(frames, FPS)

    run(main())
    assert frames_at(path) == list(range(10))


def test_the_first_picture_fixes_the_size(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    run(record(path, [picture(5, (64, 64)), picture(5, (128, 64)), picture(5, (30, 90))], grid(3)))
    assert [rgb.shape for rgb in decode_rgb(path)] == [(64, 64, 3)] * 3


def test_odd_sizes_are_made_even(tmp_path: Path) -> None:
    for suffix in (".mp4", ".webm"):
        path = tmp_path / f"odd{suffix}"
        run(record(path, [picture(3, (101, 75))] * 3, grid(3)))
        assert decode_rgb(path)[0].shape == (76, 102, 3)


def test_a_show_that_is_cancelled_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"

    async def main() -> None:
        clock = LoopClock()
        frames = Lossless[Rendered]("recorder", clock)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(RecorderSink(path, clock, worker=InlineWorker("recorder", clock)).run(frames, FPS))
            for i in range(10):
                await frames.put(Packet(i, clock.now_ns(), picture(i)))
                await asyncio.sleep(1 / FPS)
            task.cancel()

    run(main())
    assert frames_at(path) == list(range(10))
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.mp4"]


def test_a_crash_leaves_what_was_recorded_playable(tmp_path: Path) -> None:
    """The file as it is on disk in mid-show, under its temporary name."""
    copy = tmp_path / "copy.mp4"

    async def crash(i: int) -> None:
        if i == 149:
            shutil.copy(tmp_path / "out.part.mp4", copy)
            assert not (tmp_path / "out.mp4").exists()

    run(record(tmp_path / "out.mp4", [noise(i % 7) for i in range(150)], grid(150), meanwhile=crash))
    assert played(copy) >= 60
    assert len(decode_times(tmp_path / "out.mp4")) == 150


def test_a_left_over_of_a_crash_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "out.part.mp4").write_bytes(b"precious")
    run(record(tmp_path / "out.mp4", [picture(0)], [0]))
    assert (tmp_path / "out.part.mp4").read_bytes() == b"precious"
    assert (tmp_path / "out.mp4").exists()


def test_without_a_picture_there_is_no_file(tmp_path: Path) -> None:
    run(record(tmp_path / "out.mp4", [], []))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
@pytest.mark.parametrize("limit_kb", [0, 400])
def test_a_full_disk_ends_the_recording_with_a_sentence(tmp_path: Path, suffix: str, limit_kb: int) -> None:
    """The kernel refuses to let files grow further, as a full disk does."""
    path = tmp_path / f"out{suffix}"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_kb * 1000, before[1]))
    try:
        with pytest.raises(ExceptionGroup) as group:
            run(record(path, [noise(i % 9) for i in range(120)], grid(120)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    error = group.value.exceptions[0]
    assert isinstance(error, SinkError)
    assert str(path) in error.message
    assert "MB free" in error.message
    assert error.hint
    left = [entry.name for entry in tmp_path.iterdir()]
    if "What was recorded until then" in error.message:
        assert left == [path.name]
        assert played(path) > 0
    else:
        assert left == []


@pytest.mark.parametrize("room_kb", [0, 40])
def test_a_disk_that_fills_up_at_the_very_end_leaves_what_was_recorded(tmp_path: Path, room_kb: int) -> None:
    path = tmp_path / "out.mp4"
    writer = VideoWriter(path, (128, 128), 30.0, Fraction(1, 30), live=True)
    random = np.random.default_rng(0)
    for i in range(130):
        writer.write(random.integers(0, 255, (128, 128, 3), np.uint8), i, duration=1)
    [temporary] = tmp_path.iterdir()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (temporary.stat().st_size + room_kb * 1000, before[1]))
    try:
        with pytest.raises(SinkError, match="What was recorded until then is in"):
            writer.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == [path]
    assert played(path) > 0


def test_the_real_worker_thread_records_too(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"

    async def main() -> None:
        clock = LoopClock()
        frames = Lossless[Rendered]("recorder", clock, capacity=20)
        for i in range(12):
            frames.put_nowait(Packet(i, round(i * 1e9 / FPS), picture(i)))
        frames.close()
        await RecorderSink(path, clock).run(frames, FPS)

    asyncio.run(main())
    assert frames_at(path) == list(range(12))


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("out.avi", "must end in .mp4 or .webm"),
        ("missing/out.mp4", "no folder"),
        ("there.mp4", "exists already"),
        ("folder.mp4", "folder"),
    ],
)
def test_a_bad_path_is_refused_before_the_show(tmp_path: Path, name: str, says: str) -> None:
    write_video(tmp_path / "there.mp4", range(2))
    (tmp_path / "folder.mp4").mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SinkError, match=says) as refused:
        run(record(tmp_path / name, [picture(0)], [0]))
    assert refused.value.hint
    assert sorted(tmp_path.iterdir()) == before
