"""Edges: what waits, what is dropped, and that every packet is accounted for."""

import asyncio

import pytest

from live.clock import LoopClock
from live.edges import Closed, Fanout, Latest, Lossless, Packet, Window


def packet(seq: int, t_ms: float = 0.0) -> Packet[str]:
    return Packet(seq, round(t_ms * 1e6), f"frame {seq}")


def adds_up(edge) -> bool:
    return edge.stats.put == edge.stats.taken + sum(edge.stats.dropped.values()) + edge.depth


def test_latest_keeps_the_newest_and_counts_the_rest(virtual):
    async def main():
        edge = Latest("camera", LoopClock())
        for seq in range(5):
            await edge.put(packet(seq))
        assert edge.depth == 1
        assert (await edge.get()).seq == 4
        assert edge.stats.dropped == {"newer": 4}
        assert adds_up(edge)

    virtual(main())


def test_latest_wakes_a_waiting_reader(virtual):
    async def main():
        edge = Latest("camera", LoopClock())

        async def writer():
            await asyncio.sleep(1)
            edge.put_nowait(packet(7))

        got, _ = await asyncio.gather(edge.get(), writer())
        assert got.seq == 7

    virtual(main())


def test_latest_skips_what_is_too_old_and_counts_it(virtual):
    async def main():
        clock = LoopClock()
        edge = Latest("camera", clock, max_age_ms=100)
        edge.put_nowait(packet(0, t_ms=0))
        await asyncio.sleep(0.2)
        assert edge.age_ms == pytest.approx(200)
        edge_get = asyncio.ensure_future(edge.get())
        await asyncio.sleep(0)
        edge.put_nowait(packet(1, t_ms=200))
        assert (await edge_get).seq == 1
        assert edge.stats.dropped == {"stale": 1}
        assert adds_up(edge)

    virtual(main())


@pytest.mark.parametrize("make", [Latest, Lossless])
def test_a_closed_edge_gives_what_is_left_then_closed(virtual, make):
    async def main():
        edge = make("x", LoopClock())
        edge.put_nowait(packet(0))
        edge.close()
        edge.put_nowait(packet(1))
        assert [p.seq async for p in edge] == [0]
        with pytest.raises(Closed):
            await edge.get()

    virtual(main())


@pytest.mark.parametrize(
    "make", [Latest, Lossless, lambda name, clock: Window(name, clock, size=1, stride=1)], ids=["L", "F", "W"]
)
def test_closing_wakes_a_waiting_reader(virtual, make):
    async def main():
        edge = make("x", LoopClock())
        reader = asyncio.ensure_future(edge.get())
        await asyncio.sleep(0)
        edge.close()
        with pytest.raises(Closed):
            await reader

    virtual(main())


@pytest.mark.parametrize("make", [Latest, Lossless])
def test_cancelling_get_loses_nothing(virtual, make):
    async def main():
        edge = make("x", LoopClock())
        reader = asyncio.ensure_future(edge.get())
        await asyncio.sleep(0)
        edge.put_nowait(packet(0))
        reader.cancel()
        await asyncio.sleep(0)
        assert reader.cancelled() or reader.result().seq == 0
        if reader.cancelled():
            assert (await edge.get()).seq == 0
        assert adds_up(edge)

    virtual(main())


def test_lossless_makes_the_producer_wait_and_keeps_order(virtual):
    async def main():
        clock = LoopClock()
        edge = Lossless("offline", clock, capacity=2)
        seen = []

        async def reader():
            async for p in edge:
                await asyncio.sleep(0.1)
                seen.append(p.seq)

        async def writer():
            for seq in range(10):
                await edge.put(packet(seq))
                assert edge.depth <= 2
            edge.close()

        await asyncio.gather(reader(), writer())
        assert seen == list(range(10))
        assert edge.stats.dropped == {}
        assert adds_up(edge)

    virtual(main())


def test_a_live_recording_edge_drops_when_full_and_never_waits(virtual):
    async def main():
        clock = LoopClock()
        edge = Lossless("recording", clock, capacity=3, drop_when_full=True)
        for seq in range(5):
            await edge.put(packet(seq))
        assert clock.now_ns() == 0
        assert edge.stats.dropped == {"full": 2}
        assert [(await edge.get()).seq for _ in range(3)] == [0, 1, 2]
        assert adds_up(edge)

    virtual(main())


def test_closing_frees_a_producer_that_waits(virtual):
    async def main():
        edge = Lossless("offline", LoopClock(), capacity=1)
        edge.put_nowait(packet(0))
        writer = asyncio.ensure_future(edge.put(packet(1)))
        await asyncio.sleep(0)
        edge.close()
        await writer

    virtual(main())


def test_window_hands_on_every_stride_new_ones(virtual):
    async def main():
        edge = Window("svd", LoopClock(), size=4, stride=2)
        windows = []
        for seq in range(8):
            edge.put_nowait(packet(seq))
            if edge.depth == 2:
                windows.append([p.seq for p in await edge.get_window()])
        assert windows == [[0, 1], [0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]], "the first has nothing before it"
        assert edge.stats.dropped == {}
        assert adds_up(edge)

    virtual(main())


@pytest.mark.parametrize(
    ("waiting", "taken"), [(2, [1, 2]), (3, [1, 3]), (4, [2, 4]), (7, [3, 7]), (8, [4, 8]), (20, [16, 20])]
)
def test_a_late_reader_of_a_window_gets_what_came_evenly_and_the_newest(virtual, waiting, taken):
    async def main():
        edge = Window("svd", LoopClock(), size=4, stride=2)
        edge.put_nowait(packet(-1))
        edge.put_nowait(packet(0))
        await edge.get_window()
        for seq in range(1, waiting + 1):
            edge.put_nowait(packet(seq))
        assert [p.seq for p in await edge.get_window()] == [-1, 0, *taken]
        assert edge.stats.dropped.get("newer", 0) == waiting - 2
        assert adds_up(edge)

    virtual(main())


def test_a_window_nobody_reads_does_not_grow(virtual):
    async def main():
        edge = Window("svd", LoopClock(), size=8, stride=4)
        for seq in range(1000):
            edge.put_nowait(packet(seq))
        assert edge.depth == 16
        assert adds_up(edge)

    virtual(main())


def test_a_window_knows_its_pace(virtual):
    async def main():
        clock = LoopClock()
        edge = Window("svd", clock, size=8, stride=4)
        for seq in range(60):
            edge.put_nowait(packet(seq))
            await clock.sleep_until_ns(clock.now_ns() + 40_000_000)
        assert edge.pace_ns == pytest.approx(40e6)
        for seq in range(60):
            edge.put_nowait(packet(seq))
            await clock.sleep_until_ns(clock.now_ns() + 20_000_000)
        assert edge.pace_ns == pytest.approx(20e6, rel=0.02)

    virtual(main())


def test_window_refuses_a_stride_longer_than_itself(virtual):
    async def main():
        with pytest.raises(ValueError, match=r"1\.\.4"):
            Window("svd", LoopClock(), size=4, stride=5)

    virtual(main())


@pytest.mark.parametrize(
    "make", [Latest, Lossless, lambda name, clock: Window(name, clock, size=3, stride=1)], ids=["L", "F", "W"]
)
def test_clearing_counts_the_reason(virtual, make):
    async def main():
        edge = make("x", LoopClock())
        edge.put_nowait(packet(0))
        edge.clear("epoch")
        assert edge.depth == 0
        assert edge.age_ms == 0
        assert edge.stats.dropped == {"epoch": 1}
        assert adds_up(edge)

    virtual(main())


def test_a_slow_reader_of_a_fanout_loses_only_its_own_frames(virtual):
    async def main():
        clock = LoopClock()
        fanout = Fanout()
        quick, slow = Latest("quick", clock), Latest("slow", clock)
        seen = {"quick": [], "slow": []}

        async def read(edge, cost_s):
            async for p in edge:
                seen[edge.name].append(p.seq)
                await asyncio.sleep(cost_s)

        async def write():
            for seq in range(100):
                await fanout.put(packet(seq))
                await asyncio.sleep(0.01)
            fanout.close()

        fanout.subscribe(quick)
        fanout.subscribe(slow)
        await asyncio.gather(read(quick, 0.001), read(slow, 0.1), write())
        assert seen["quick"] == list(range(100))
        assert len(seen["slow"]) in (10, 11)
        assert adds_up(quick) and adds_up(slow)

    virtual(main())


def test_a_late_viewer_starts_with_the_newest_picture(virtual):
    async def main():
        fanout = Fanout()
        await fanout.put(packet(41))
        edge = Latest("viewer", LoopClock())
        fanout.subscribe(edge)
        assert (await edge.get()).seq == 41
        fanout.unsubscribe(edge)
        fanout.unsubscribe(edge)
        assert len(fanout) == 0
        with pytest.raises(Closed):
            await edge.get()

    virtual(main())
