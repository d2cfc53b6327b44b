"""One encoder for all, in virtual time: keyframes, viewers that stall, shows that pause."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from faceshot.types import Rendered
from live.clock import LoopClock
from live.edges import Fanout, Packet
from live.webrtc.broadcast import KEYFRAME_GAP_NS, REFRESH_NS, WAITING_PACKETS, Broadcast, PacketTrack, Stream
from live.workers import InlineWorker
from tests.live.server.harness import put
from tests.virtual_time import run

SIDE = 64


class Show:
    """Pictures at 30 fps and a broadcast of them."""

    def __init__(self, stream: Stream = Stream("h264"), background: str = "transparent") -> None:  # noqa: B008
        self.clock = LoopClock()
        self.frames: Fanout[Rendered] = Fanout()
        worker = InlineWorker("encode", self.clock, cost_ms=4)
        self.cast = Broadcast(stream, self.frames, self.clock, worker, 1_000_000, 30, lambda: background)

    async def play(self, count: int) -> None:
        for i in range(count):
            rgba = np.full((SIDE, SIDE, 4), (40 + i) % 200, np.uint8)
            put(self.frames, self.clock, rgba)
            await self.clock.sleep_until_ns(self.clock.now_ns() + 33_000_000)


class Reader:
    """A viewer that reads."""

    def __init__(self, track: PacketTrack, clock: LoopClock) -> None:
        self.keys: list[bool] = []
        self.times_ns: list[int] = []
        self._track, self._clock = track, clock

    async def run(self) -> None:
        try:
            while True:
                packet = await self._track.recv()
                self.keys.append(bool(packet.is_keyframe) or (len(bytes(packet)) > 0 and b"\x67" in bytes(packet)[:6]))
                self.times_ns.append(self._clock.now_ns())
        except MediaStreamError:
            return


def on_air(test: Callable[[Show], Awaitable[None]], **how: object) -> None:
    async def main() -> None:
        show = Show(**how)  # type: ignore[arg-type]
        async with asyncio.TaskGroup() as group:
            running = group.create_task(show.cast.run())
            await test(show)
            show.frames.close()
            await running

    run(main())


def test_a_joining_viewer_gets_a_keyframe_first_and_soon() -> None:
    async def test(show: Show) -> None:
        async with asyncio.TaskGroup() as group:
            first = Reader(show.cast.join(), show.clock)
            group.create_task(first.run())
            await show.play(20)
            joined_ns = show.clock.now_ns()
            second = Reader(show.cast.join(), show.clock)
            group.create_task(second.run())
            await show.play(20)
            assert second.keys[0]
            assert second.times_ns[0] - joined_ns < 300_000_000
            assert first.keys.count(True) == 2 and len(first.keys) >= 39
            assert show.cast.keyframes == 2
            for track in tuple(show.cast.tracks):
                show.cast.leave(track)

    on_air(test)


def test_keyframes_are_rationed() -> None:
    async def test(show: Show) -> None:
        show.cast.join()
        for _ in range(30):
            show.cast.want_keyframe()
            await show.play(1)
        assert 3 <= show.cast.keyframes <= 1 + 30 * 33_000_000 // KEYFRAME_GAP_NS

    on_air(test)


def test_a_stalled_viewer_costs_nobody_else_a_frame() -> None:
    async def test(show: Show) -> None:
        async with asyncio.TaskGroup() as group:
            stalled, good = show.cast.join(), show.cast.join()
            reader = Reader(good, show.clock)
            group.create_task(reader.run())
            await show.play(60)
            assert len(reader.times_ns) == show.cast.pictures
            assert good.edge.stats.dropped == {}
            assert stalled.edge.depth <= WAITING_PACKETS
            assert sum(stalled.edge.stats.dropped.values()) >= 60 - 2 * WAITING_PACKETS
            # When it reads again, what it gets begins with a keyframe or goes on from one.
            stalled.edge.clear("full")
            late = Reader(stalled, show.clock)
            group.create_task(late.run())
            stalled._until_key = True
            show.cast.want_keyframe()
            await show.play(10)
            assert late.keys[0]
            for track in (stalled, good):
                show.cast.leave(track)

    on_air(test)


def test_who_joins_a_paused_show_sees_its_last_picture() -> None:
    async def test(show: Show) -> None:
        show.cast.join()
        await show.play(3)
        await show.clock.sleep_until_ns(show.clock.now_ns() + 5 * REFRESH_NS)
        assert show.cast.pictures >= 7  # a picture that stands still is sent again
        before_ns = show.clock.now_ns()
        track = show.cast.join()
        packet = await track.recv()
        assert show.clock.now_ns() - before_ns < 300_000_000
        assert b"\x67" in bytes(packet)[:6]

    on_air(test)


def test_a_new_size_is_a_new_stream() -> None:
    async def test(show: Show) -> None:
        show.cast.join()
        await show.play(3)
        put(show.frames, show.clock, np.zeros((32, 48, 4), np.uint8))
        await show.clock.sleep_until_ns(show.clock.now_ns() + 100_000_000)
        assert show.cast.keyframes == 2  # an encoder's first picture is always one

    on_air(test)


@pytest.mark.parametrize(("stream", "size_wh"), [(Stream("vp8"), (64, 64)), (Stream("vp8", alpha=True), (128, 64))])
def test_alpha_makes_it_twice_as_wide(stream: Stream, size_wh: tuple[int, int]) -> None:
    import av

    async def test(show: Show) -> None:
        track = show.cast.join()
        await show.play(2)
        packet = await track.recv()
        decoder = av.CodecContext.create("libvpx", "r")
        frame = decoder.decode(av.Packet(bytes(packet)))[0]  # type: ignore[attr-defined]
        assert (frame.width, frame.height) == size_wh

    on_air(test, stream=stream)


def test_the_end_of_the_show_is_the_end_of_the_tracks() -> None:
    async def main() -> None:
        show = Show()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(show.cast.run())
            track = show.cast.join()
            await show.play(1)
            show.frames.close()
            await running
        await track.recv()  # what was on its way
        with pytest.raises(MediaStreamError):
            await track.recv()
        assert show.cast.tracks == set()
        assert track.readyState == "ended"
        track.offer(Packet(0, 0, None))  # type: ignore[arg-type]

    run(main())
