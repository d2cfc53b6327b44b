"""Viewers in virtual time: newest first, encoded once, nobody waits for anybody, nothing is made that nobody takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from faceshot.types import Rendered
from live.clock import LoopClock
from live.edges import Fanout
from live.server.viewers import Viewers, Wish
from live.workers import InlineWorker
from protocols.viewer import MAX_IN_FLIGHT, Ack, Codec, Visible
from tests.live.server.harness import MemorySocket, put

SIZE = 16
COST_MS = 8.0
PLAIN = Wish()


class CountingWorker(InlineWorker):
    calls = 0

    async def run(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        return await super().run(fn, *args, **kwargs)


class Room:
    """Viewers over pictures that the test puts on air."""

    def __init__(self, limit: int = 16) -> None:
        self.clock = LoopClock()
        self.frames: Fanout[Rendered] = Fanout()
        self.worker = CountingWorker("encode", self.clock, COST_MS)
        self.background = "transparent"
        self.counts: list[int] = []
        self.viewers = Viewers(self.frames, self.clock, self.worker, limit, lambda: self.background, self.counts.append)

    def picture(self, grey: int = 0, alpha: int = 128) -> Rendered:
        rgba = np.full((SIZE, SIZE, 4), grey % 256, np.uint8)
        rgba[..., 3] = alpha
        return put(self.frames, self.clock, rgba)

    async def play(self, frames: int, fps: float = 30.0) -> None:
        start_ns = self.clock.now_ns()
        for n in range(frames):
            await self.clock.sleep_until_ns(start_ns + round(n * 1e9 / fps))
            self.picture(n)

    async def enter(
        self, group: asyncio.TaskGroup, acks: float | None = 0.0, wish: Wish = PLAIN, preview: bool = False
    ) -> MemorySocket:
        client = MemorySocket(self.clock, acks)
        await client.socket.accept()
        group.create_task(self.viewers.serve(client.socket, wish, preview))
        return client

    async def settle(self, seconds: float = 0.2) -> None:
        await self.clock.sleep_until_ns(self.clock.now_ns() + round(seconds * 1e9))


def test_the_first_picture_comes_at_once(virtual):
    async def main():
        room = Room()
        room.picture(1)
        await room.settle(5)
        async with asyncio.TaskGroup() as group:
            client = await room.enter(group)
            entered_ns = room.clock.now_ns()
            await room.settle()
            assert [t - entered_ns for t in client.times_ns] == [COST_MS * 1e6]
            client.hang_up()

    virtual(main())


def test_every_viewer_gets_every_picture_and_each_is_encoded_once(virtual):
    async def main():
        room = Room()
        async with asyncio.TaskGroup() as group:
            clients = [await room.enter(group) for _ in range(5)]
            await room.play(60)
            await room.settle()
            for client in clients:
                assert [chunk.sequence for chunk in client.chunks] == list(range(60))
                client.hang_up()
        assert room.worker.calls == 60
        assert room.counts[-1] == 0

    virtual(main())


def test_a_slow_viewer_and_a_stalled_one_delay_nobody(virtual):
    async def main():
        room = Room()
        async with asyncio.TaskGroup() as group:
            quick = await room.enter(group)
            slow = await room.enter(group, acks=0.25)
            stalled = await room.enter(group, acks=None)
            await room.play(300)
            await room.settle(1)
            for client in (quick, slow, stalled):
                client.hang_up()
            each = room.viewers.stats()["each"]
        assert len(quick.chunks) == 300
        assert max(np.diff(quick.times_ns)) < 34e6
        assert len(stalled.chunks) == MAX_IN_FLIGHT
        # Two on their way at a time, a quarter of a second each: what comes is never older than one frame and its cost.
        assert 70 <= len(slow.chunks) <= 85
        ages_ms = [(t - chunk.t_capture_ns) / 1e6 for t, chunk in zip(slow.times_ns, slow.chunks, strict=True)]
        assert max(ages_ms) <= 1000 / 30 + COST_MS + 0.1
        drops = sorted(sum(one["dropped"].values()) for one in each)
        assert drops[0] == 0 and drops[1] > 200 and drops[2] > 290

    virtual(main())


def test_an_encoder_slower_than_the_show_gives_all_viewers_the_same_newest_pictures(virtual):
    async def main():
        room = Room()
        room.worker.cost_ms = 50.0
        async with asyncio.TaskGroup() as group:
            clients = [await room.enter(group) for _ in range(3)]
            await room.play(150)
            await room.settle(1)
            for client in clients:
                client.hang_up()
        shown = [[chunk.t_capture_ns for chunk in client.chunks] for client in clients]
        assert shown[0] == shown[1] == shown[2]
        assert 95 <= len(shown[0]) <= 102  # 5 s at one picture each 50 ms

    virtual(main())


def test_nothing_is_encoded_that_nobody_can_take(virtual):
    async def main():
        room = Room()
        await room.play(30)
        assert room.worker.calls == 0
        async with asyncio.TaskGroup() as group:
            client = await room.enter(group)
            await room.settle()
            client.say(Visible(False))
            await room.settle()
            before = room.worker.calls
            await room.play(30)
            assert room.worker.calls <= before + 1  # the one that was being waited for
            client.say(Visible(True))
            await room.settle()
            assert client.chunks[-1].t_capture_ns == room.frames.newest.t_capture_ns
            client.hang_up()
            await room.settle()
            after = room.worker.calls
            await room.play(30)
            assert room.worker.calls == after

    virtual(main())


def test_a_frozen_picture_is_sent_once_and_a_newcomer_gets_it(virtual):
    async def main():
        room = Room()
        frozen = room.picture(9)
        async with asyncio.TaskGroup() as group:
            first = await room.enter(group)
            for _ in range(20):
                await room.settle(0.03)
                put_again = room.frames.newest
                room.frames.put_nowait(put_again)
            second = await room.enter(group)
            await room.settle()
            assert len(first.chunks) == len(second.chunks) == 1
            assert room.frames.newest.value is frozen and room.worker.calls == 1
            first.hang_up()
            second.hang_up()

    virtual(main())


def test_a_background_makes_the_picture_opaque_unless_the_viewer_wants_alpha(virtual):
    async def main():
        room = Room()
        room.picture(0, alpha=0)
        async with asyncio.TaskGroup() as group:
            plain = await room.enter(group)
            with_alpha = await room.enter(group, wish=Wish(alpha=True))
            webp = await room.enter(group, wish=Wish("webp"))
            await room.settle()
            room.background = "#00ff00"
            room.viewers.refresh()
            await room.settle()
            assert [chunk.codec for chunk in plain.chunks] == [Codec.JPEG_MASK, Codec.JPEG]
            assert [chunk.codec for chunk in with_alpha.chunks] == [Codec.JPEG_MASK]
            assert [chunk.codec for chunk in webp.chunks] == [Codec.WEBP, Codec.JPEG]
            for client in (plain, with_alpha, webp):
                client.hang_up()

    virtual(main())


def test_the_control_page_is_no_viewer_but_takes_a_place(virtual):
    async def main():
        room = Room(limit=2)
        async with asyncio.TaskGroup() as group:
            preview = await room.enter(group, preview=True)
            await room.settle()
            assert room.viewers.count == 0 and not room.viewers.full
            viewer = await room.enter(group)
            await room.settle()
            assert room.viewers.count == 1 and room.viewers.full
            preview.hang_up()
            viewer.hang_up()
        assert room.counts == [0, 1, 1, 0] or room.counts == [0, 1, 0, 0]

    virtual(main())


@pytest.mark.parametrize("nonsense", ["hello", '{"type": "ack", "sequence": -3}', b"\x00\x01"])
def test_whoever_breaks_the_rules_is_shown_the_door(virtual, nonsense):
    async def main():
        room = Room()
        async with asyncio.TaskGroup() as group:
            client = await room.enter(group)
            client.say(nonsense)
        assert client.closed is not None and client.closed["code"] == 1002
        assert len(room.frames) == 0

    virtual(main())


def test_acknowledging_what_was_never_sent_changes_nothing(virtual):
    async def main():
        room = Room()
        async with asyncio.TaskGroup() as group:
            client = await room.enter(group, acks=None)
            for sequence in (5, 99, 2**32 - 1):
                client.say(Ack(sequence))
            await room.play(10)
            assert len(client.chunks) == MAX_IN_FLIGHT
            client.hang_up()

    virtual(main())


def test_viewers_are_told_when_the_show_ends(virtual):
    async def main():
        room = Room()
        async with asyncio.TaskGroup() as group:
            client = await room.enter(group)
            await room.play(3)
            await room.settle()
            room.frames.close()
        assert client.closed is not None and client.closed["code"] == 1001
        assert len(client.chunks) == 3

    virtual(main())
