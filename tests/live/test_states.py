"""The edge before the animator changes its shape without anybody noticing."""

import asyncio

from faceshot.animators import Window
from faceshot.types import FaceState
from live.clock import LoopClock
from live.edges import Packet
from live.states import States
from live.stats import Stats
from tests.fakes import a_face


def packet(seq: int) -> Packet[FaceState]:
    return Packet(seq, 0, a_face())


def test_who_waits_gets_what_the_new_shape_brings(virtual):
    async def main():
        clock = LoopClock()
        states = States(clock, Stats(clock), Window(8, 4, 3), False, 1000)
        waiting = asyncio.ensure_future(states.get())
        for seq in range(3):
            await states.put(packet(seq))
        await asyncio.sleep(0)
        assert not waiting.done() and states.hungry and states.pace_ns == 0
        states.fit(Window())
        await states.put(packet(3))
        assert [p.seq for p in await waiting] == [3]
        states.put_nowait(packet(4))
        assert not states.hungry
        states.close()
        assert [p.seq for p in await states.get()] == [4]
        assert await states.get() == []

    virtual(main())


def test_the_same_shape_is_the_same_edge(virtual):
    async def main():
        clock = LoopClock()
        stats = Stats(clock)
        states = States(clock, stats, Window(4, 2), True, 1000)
        states.put_nowait(packet(0))
        states.fit(Window(4, 2))
        states.put_nowait(packet(1))
        assert [p.seq for p in await states.get()] == [0, 1]
        states.put_nowait(packet(2))
        states.clear("epoch")
        assert stats.dropped == {"epoch": 1}

    virtual(main())
