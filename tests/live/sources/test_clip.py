"""Motion clips as sources."""

import pytest

from faceshot.motion_clip import MotionClip
from faceshot.types import FaceState
from live.clock import LoopClock
from live.edges import Packet
from live.errors import SourceError
from live.sources.clip import ClipSource
from tests.virtual_time import run


def clip(name: str, frames: int, fps: float) -> MotionClip:
    return MotionClip(name, fps, [FaceState((64, 64), (i + 1) / 100) for i in range(frames)])


def play(clips: list[MotionClip], most: int = 1000, late_at: int = -1, **options: bool) -> list[Packet[FaceState]]:
    async def main() -> list[Packet[FaceState]]:
        clock = LoopClock()
        source = ClipSource(clips, clock, **options)
        await source.open()
        packets = []
        async for packet in source.packets():
            packets.append(packet)
            if len(packets) == most:
                break
            if len(packets) == late_at:
                await clock.sleep_until_ns(clock.now_ns() + 95_000_000)
        await source.close()
        return packets

    return run(main())


def test_clips_in_turn_each_at_its_own_rate() -> None:
    packets = play([clip("a", 3, 10), clip("b", 2, 20)], loop=False)
    assert [round(packet.t_capture_ns / 1e6) for packet in packets] == [0, 100, 200, 300, 350]
    assert [packet.t_media_ns for packet in packets] == [packet.t_capture_ns for packet in packets]
    assert [packet.value.confidence for packet in packets] == [0.01, 0.02, 0.03, 0.01, 0.02]


def test_looping_never_ends_and_time_grows() -> None:
    packets = play([clip("a", 2, 30)], most=7)
    assert [packet.seq for packet in packets] == list(range(7))
    assert [packet.t_media_ns for packet in packets] == pytest.approx([i * 1e9 / 30 for i in range(7)], abs=7)


def test_as_fast_as_possible_gives_every_state() -> None:
    packets = play([clip("a", 50, 30)], realtime=False, loop=False)
    assert [packet.seq for packet in packets] == list(range(50))
    assert packets[-1].t_capture_ns < 1_000_000


def test_late_states_are_left_out() -> None:
    packets = play([clip("a", 30, 30)], late_at=5, loop=False)
    assert [packet.seq for packet in packets][:7] == [0, 1, 2, 3, 4, 6, 7]


def test_nothing_to_play_is_refused() -> None:
    for nothing in ([], [MotionClip("empty", 30, [])]):
        with pytest.raises(SourceError, match="no motion"):
            play(nothing)


def test_says_what_it_plays() -> None:
    async def main() -> None:
        info = await ClipSource([clip("talking", 3, 25)], LoopClock(), name="demo").open()
        assert (info.name, info.fps, info.size_wh, info.live, info.mirrored) == ("demo", 25, None, False, False)

    run(main())
