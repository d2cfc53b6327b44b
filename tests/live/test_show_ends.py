"""How a show ends, in virtual time: whenever it does, everything that was opened is closed."""

import asyncio

import pytest

from live.clock import LoopClock
from live.errors import LiveError
from tests.fakes import CostlyAnimator, MemorySink, ScriptedSource, ScriptedTracker, a_show


async def at(clock, t_s):
    await clock.sleep_until_ns(round(t_s * 1e9))


def test_stop_ends_a_show_that_would_go_on_for_ever(virtual, caplog):
    async def main():
        clock = LoopClock()
        sink, stuck = MemorySink(clock), MemorySink(clock, cost_s=1e6, name="stuck")
        tracker = ScriptedTracker()
        source = ScriptedSource(clock)
        show = a_show(clock, {"cam": lambda: source}, [sink, stuck], make_tracker=lambda: tracker)
        running = asyncio.ensure_future(show.run())
        await at(clock, 2)
        show.stop()
        await running
        assert clock.now_ns() < 10e9, "an output that hangs is cut off"
        assert "stuck did not finish" in caplog.text
        assert sink.ended and source.closed and tracker.closed

    virtual(main())


def test_stop_works_while_the_camera_is_still_opening(virtual):
    async def main():
        clock = LoopClock()

        class Hanging(ScriptedSource):
            async def open(self):
                await asyncio.sleep(1e6)

        source = Hanging(clock)
        show = a_show(clock, {"cam": lambda: source})
        running = asyncio.ensure_future(show.run())
        await at(clock, 2)
        show.stop()
        await running
        assert source.closed
        assert clock.now_ns() < 10e9

    virtual(main())


def test_cancelling_closes_everything(virtual):
    async def main():
        clock = LoopClock()
        source, tracker, animator = ScriptedSource(clock), ScriptedTracker(), CostlyAnimator()
        show = a_show(clock, {"cam": lambda: source}, make_tracker=lambda: tracker, make_animator=lambda: animator)
        running = asyncio.ensure_future(show.run())
        await at(clock, 2)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert source.closed and tracker.closed and animator.closed

    virtual(main())


@pytest.mark.parametrize("end", ["stop", "cancel"])
def test_a_source_chosen_while_the_show_ends_is_closed_again(virtual, end):
    """The tracker takes a while to forget the last performer; the show ends in between."""

    async def main():
        clock = LoopClock()
        first, second = ScriptedSource(clock), ScriptedSource(clock)
        show = a_show(clock, {"cam": lambda: first, "other": lambda: second}, costs_ms={"track": 400})
        running = asyncio.ensure_future(show.run())
        await at(clock, 1)
        choosing = asyncio.ensure_future(show.set_source("other"))
        await at(clock, 1.2)
        assert second.opened
        if end == "stop":
            show.stop()
        else:
            running.cancel()
        with pytest.raises((LiveError, asyncio.CancelledError)):
            await choosing
        await asyncio.wait([running])
        assert first.closed and second.closed

    virtual(main())


def test_a_command_that_comes_after_the_end_is_told_so(virtual):
    async def main():
        clock = LoopClock()
        show = a_show(clock, {"cam": lambda: ScriptedSource(clock)})
        early = asyncio.ensure_future(show.set_character("dot"))
        show.stop()
        await show.run()
        with pytest.raises(LiveError, match="has ended"):
            await early
        for command in (show.set_character("dot"), show.set_source("cam"), show.set_picture(b"", "a.png")):
            with pytest.raises(LiveError, match="has ended"):
                await command

    virtual(main())
