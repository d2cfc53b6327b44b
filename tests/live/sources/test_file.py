"""Video files as sources, on virtual time."""

import asyncio
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from faceshot.types import CameraImage
from live.clock import Clock, LoopClock
from live.edges import Packet
from live.errors import SourceError
from live.sources.file import FileSource
from live.workers import InlineWorker
from tests.live.videos import number_in, write_video
from tests.virtual_time import run

FRAME_NS = 1e9 / 30


def play(
    path: Path,
    most: int = 1000,
    cost_ms: float = 0.0,
    stall: Callable[[Clock, int], Any] | None = None,
    **options: bool,
) -> list[Packet[CameraImage]]:
    """Packets of a file on virtual time; `stall(clock, i)` is what the reader does with packet `i`."""

    async def main() -> list[Packet[CameraImage]]:
        clock = LoopClock()
        source = FileSource(path, clock, worker=InlineWorker("decode", clock, cost_ms), **options)
        await source.open()
        packets = []
        async for packet in source.packets():
            packets.append(packet)
            if len(packets) == most:
                break
            if stall is not None:
                await stall(clock, len(packets) - 1)
        await source.close()
        return packets

    return run(main())


def numbers(packets: list[Packet[CameraImage]]) -> list[int]:
    return [number_in(packet.value.rgb) for packet in packets]


def test_what_it_says_of_itself(tmp_path: Path) -> None:
    async def main() -> Any:
        source = FileSource(write_video(tmp_path / "talk.mp4"), LoopClock())
        try:
            return await source.open()
        finally:
            await source.close()

    info = asyncio.run(main())
    assert (info.name, info.fps, info.size_wh) == ("talk.mp4", 30.0, (64, 48))
    assert not info.live
    assert not info.mirrored


def test_real_time_follows_the_presentation_times(tmp_path: Path) -> None:
    times = [0, 1, 5, 6, 30, 31]
    packets = play(write_video(tmp_path / "vfr.mp4", times), loop=False)
    due = [round(t * FRAME_NS) for t in times]
    assert [packet.t_media_ns for packet in packets] == due
    assert [packet.t_capture_ns for packet in packets] == pytest.approx(due, abs=2)
    assert numbers(packets) == [0, 1, 2, 3, 4, 5]


def test_as_fast_as_possible_gives_every_picture_and_takes_no_time(tmp_path: Path) -> None:
    packets = play(write_video(tmp_path / "a.mp4", range(20)), realtime=False, loop=False)
    assert numbers(packets) == list(range(20))
    assert {packet.t_capture_ns for packet in packets} == {0}
    assert [packet.seq for packet in packets] == list(range(20))


@pytest.mark.parametrize("realtime", [True, False])
def test_looping_goes_on_without_a_gap(tmp_path: Path, realtime: bool) -> None:
    packets = play(write_video(tmp_path / "a.mp4", range(5)), most=13, realtime=realtime)
    assert numbers(packets) == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1, 2]
    assert [packet.t_media_ns for packet in packets] == pytest.approx([i * FRAME_NS for i in range(13)], abs=3)
    assert [packet.seq for packet in packets] == list(range(13))


def test_after_a_hiccup_passed_pictures_are_left_out_and_nothing_bursts(tmp_path: Path) -> None:
    async def stall(clock: Clock, i: int) -> None:
        if i == 3:
            await clock.sleep_until_ns(clock.now_ns() + 300_000_000)

    packets = play(write_video(tmp_path / "a.mp4", range(25)), loop=False, stall=stall)
    shown = [packet.t_capture_ns for packet in packets]
    gaps = [b - a for a, b in pairwise(shown)]
    assert len(packets) < 25
    assert numbers(packets) == [packet.seq for packet in packets]
    assert sum(gap < 0.5 * FRAME_NS for gap in gaps) <= 2  # the late one itself, and the next one on the grid
    late = [packet.t_capture_ns - packet.t_media_ns for packet in packets]
    assert late[-1] == pytest.approx(0, abs=1e6)  # back on time


def test_a_decoder_that_is_too_slow_still_shows_ten_pictures_a_second(tmp_path: Path) -> None:
    packets = play(write_video(tmp_path / "a.mp4", range(25)), most=60, cost_ms=90)
    span_s = (packets[-1].t_capture_ns - packets[0].t_capture_ns) / 1e9
    assert len(packets) / span_s >= 9


def test_rotated_video_reports_the_upright_size(tmp_path: Path) -> None:
    (packet,) = play(write_video(tmp_path / "phone.mp4", rotation=90), most=1)
    assert packet.value.size_wh == (48, 64)


def test_fast_video_keeps_its_rate(tmp_path: Path) -> None:
    packets = play(write_video(tmp_path / "fast.mp4", range(20), Fraction(1, 60), fps=60), loop=False)
    assert packets[-1].t_capture_ns == pytest.approx(19e9 / 60, abs=1e6)


def test_a_bad_file_is_refused_and_closing_is_always_safe(tmp_path: Path) -> None:
    async def main() -> None:
        source = FileSource(tmp_path / "nothing.mp4", LoopClock())
        with pytest.raises(SourceError):
            await source.open()
        await source.close()
        await source.close()

    asyncio.run(main())


@pytest.mark.media
def test_decoding_a_real_clip_never_holds_up_the_loop(shared_media: Path) -> None:
    """With the real worker thread, in asyncio's debug mode: slow callbacks on the loop would be logged."""

    async def main() -> int:
        asyncio.get_running_loop().slow_callback_duration = 0.1
        source = FileSource(shared_media / "driving" / "d0.mp4", LoopClock(), realtime=False, loop=False)
        await source.open()
        count = 0
        async for packet in source.packets():
            count += packet.value.rgb.shape == (512, 512, 3)
        await source.close()
        return count

    assert asyncio.run(main()) == 78
