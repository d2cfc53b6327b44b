"""Characters are calibrated while they are on air already, in virtual time."""

import asyncio
from dataclasses import replace

import numpy as np

from live.clock import LoopClock
from tests.fakes import MemorySink, ScriptedSource, a_show


def test_the_first_character_moves_before_it_is_calibrated_and_is_exchanged_unseen(virtual):
    async def main():
        clock = LoopClock()
        sink = MemorySink(clock)
        begun = []

        def calibrate(character):
            if character.arrays:
                return character
            begun.append(clock.now_ns())
            return replace(character, arrays={"known": np.ones(1, np.float32)})

        show = a_show(
            clock,
            {"cam": lambda: ScriptedSource(clock)},
            [sink],
            costs_ms={"load": 700, "calibrate": 2500},
            calibrate=calibrate,
        )
        running = asyncio.ensure_future(show.run(8))
        await clock.sleep_until_ns(7_000_000_000)
        assert show._puppet is not None and "known" in show._puppet.character.arrays
        assert show.state()["character"]["spec"] == "dot"
        await running
        assert len(begun) == 1
        before = [t for t in sink.times_ns if t < begun[0]]
        assert len(before) > 5, "it is on air by then"
        steady = np.array([t for t in sink.times_ns if t > before[-5]])
        assert np.diff(steady).max() < 0.15e9, "and stays there"

    virtual(main())


def test_a_dropped_picture_is_on_air_before_it_is_calibrated(virtual):
    async def main():
        clock = LoopClock()

        def calibrate(character):
            return character if character.arrays else replace(character, arrays={"known": np.ones(1, np.float32)})

        show = a_show(clock, {"cam": lambda: ScriptedSource(clock)}, costs_ms={"calibrate": 2500}, calibrate=calibrate)
        running = asyncio.ensure_future(show.run(20))
        await clock.sleep_until_ns(6_000_000_000)
        dropped_ns = clock.now_ns()
        await show.set_picture(bytes([90]), "me.png")
        assert clock.now_ns() - dropped_ns < 1e9, "nobody waited for the calibration"
        assert show._puppet is not None and not show._puppet.character.arrays
        await show.set_character("dot")  # the picture's calibration is on its way: it must not come back on air
        await clock.sleep_until_ns(9_000_000_000)
        assert show.state()["character"]["spec"] == "dot"
        await show.set_character("me.png")
        await clock.sleep_until_ns(16_000_000_000)
        assert show.state()["character"]["spec"] == "me.png"
        assert "known" in show._puppet.character.arrays
        assert "known" in show.character("me.png").arrays
        await show.set_character("dot")
        assert "known" in show.character("me.png").arrays, "and stays known when another is on air"
        await running

    virtual(main())
