"""A source that comes back."""

import asyncio
import logging

import pytest

from live.clock import LoopClock
from live.errors import SourceError, SourceLost
from live.feed import Feed
from tests.fakes import ScriptedSource

LOST = SourceLost("Camera 0 stopped.", "Plug it in.")


def feed_of(clock, *sources, **how):
    turn = iter(sources)

    async def make():
        return next(turn)

    return Feed("cam", make, clock, **how)


def test_packets_until_the_end(virtual):
    async def main():
        clock = LoopClock()
        feed = feed_of(clock, ScriptedSource(clock, frames=3))
        assert (feed.state, feed.info) == ("opening", None)
        assert (await feed.open()).name == "scripted"
        assert feed.state == "open"
        assert [packet.seq async for packet in feed.packets()] == [0, 1, 2]
        assert feed.state == "ended"

    virtual(main())


def test_a_source_that_cannot_be_opened_is_closed_and_raises(virtual):
    async def main():
        clock = LoopClock()
        source = ScriptedSource(clock, open_error=SourceError("in use"))
        with pytest.raises(SourceError, match="in use"):
            await feed_of(clock, source).open()
        assert source.closed

    virtual(main())


def test_a_lost_source_is_opened_again_with_growing_pauses_and_one_warning(virtual, caplog):
    async def main():
        clock = LoopClock()
        gone = [ScriptedSource(clock, open_error=LOST) for _ in range(5)]
        feed = feed_of(clock, ScriptedSource(clock, error_after=(2, LOST)), *gone, ScriptedSource(clock, frames=1))
        await feed.open()
        packets = [packet.t_capture_ns / 1e9 async for packet in feed.packets()]
        assert packets[2] == pytest.approx(2 / 30 + 1 + 5 * 2, abs=0.01)
        assert feed.message is None
        assert all(source.closed for source in gone)

    with caplog.at_level(logging.WARNING):
        virtual(main())
    assert [record.message for record in caplog.records].count("Camera 0 stopped.\nPlug it in.") == 1


def test_an_unexpected_error_is_a_lost_source_too(virtual):
    async def main():
        clock = LoopClock()
        feed = feed_of(clock, ScriptedSource(clock, error_after=(1, ValueError("driver bug"))))
        await feed.open()
        reading = asyncio.ensure_future(_all(feed))
        await asyncio.sleep(0.5)
        assert feed.state == "lost"
        assert "driver bug" in feed.message
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    virtual(main())


def test_offline_a_lost_source_is_an_error(virtual):
    async def main():
        clock = LoopClock()
        feed = feed_of(clock, ScriptedSource(clock, error_after=(1, LOST)), retry=False)
        await feed.open()
        with pytest.raises(SourceLost):
            await _all(feed)

    virtual(main())


async def _all(feed):
    return [packet async for packet in feed.packets()]
