"""The gate before everybody who looks."""

import asyncio

import numpy as np

from faceshot.types import Rendered
from live.air import IDLE_SEQ, Air
from live.clock import LoopClock
from live.edges import Lossless, Packet
from live.stats import Stats
from tests.fakes import MemorySink

WH = (8, 6)


def picture(grey: int, seq: int = 0) -> Packet[Rendered]:
    return Packet(seq, 0, Rendered(np.full((WH[1], WH[0], 4), grey, np.uint8)))


def on_air(air: Air) -> int:
    return int(air.frames.newest.value.rgba[0, 0, 0])


def test_hiding_puts_a_blank_picture_on_air_in_the_same_call(virtual):
    async def main():
        clock = LoopClock()
        air = Air(clock, Stats(clock), WH)
        await air.show(picture(90))
        assert on_air(air) == 90
        air.hide(True)
        assert on_air(air) == 0
        await air.show(picture(91))
        assert on_air(air) == 0
        air.hide(False)
        await air.show(picture(92))
        assert on_air(air) == 92

    virtual(main())


def test_hidden_before_the_first_picture(virtual):
    async def main():
        clock = LoopClock()
        air = Air(clock, Stats(clock), WH)
        air.hide(True)
        await air.show(picture(90))
        assert on_air(air) == 0
        assert air.frames.newest.value.size_wh == WH

    virtual(main())


def test_a_picture_that_waited_for_a_recorder_is_judged_after_the_wait(virtual):
    async def main():
        clock = LoopClock()
        air = Air(clock, Stats(clock), WH, offline=True)
        edge = Lossless("recorder", clock, capacity=1)
        air.frames.subscribe(edge)
        await air.show(picture(90))
        waiting = asyncio.ensure_future(air.show(picture(91)))
        await asyncio.sleep(0)
        air.hide(True)
        assert (await edge.get()).value.rgba.max() == 90
        await waiting
        assert (await edge.get()).value.rgba.max() == 0

    virtual(main())


def test_blank_pictures_have_the_size_of_the_character(virtual):
    async def main():
        clock = LoopClock()
        air = Air(clock, Stats(clock), WH)
        air.size_wh = (20, 10)
        air.hide(True)
        assert air.frames.newest.value.size_wh == (20, 10)

    virtual(main())


def test_pictures_are_numbered_anew_and_idle_ones_have_no_latency(virtual):
    async def main():
        clock = LoopClock()
        stats = Stats(clock)
        air = Air(clock, stats, WH)
        await air.show(picture(1, seq=IDLE_SEQ))
        assert stats.snapshot()["latency_ms"]["p50"] is None
        await asyncio.sleep(0.02)
        await air.show(picture(2, seq=700))
        assert air.frames.newest.seq == 1
        assert stats.snapshot()["latency_ms"]["p50"] == 20

    virtual(main())


def test_a_sink_runs_until_the_air_closes(virtual):
    async def main():
        clock = LoopClock()
        air = Air(clock, Stats(clock), WH)
        sink = MemorySink(clock, edge="lossless")
        serving = asyncio.ensure_future(air.serve(sink, 30))
        await asyncio.sleep(0)
        await air.show(picture(7))
        assert air.sinks[0].running
        air.close()
        await serving
        assert sink.greys == [7]
        assert (air.sinks[0].running, air.sinks[0].error) == (False, None)
        assert len(air.frames) == 0

    virtual(main())
