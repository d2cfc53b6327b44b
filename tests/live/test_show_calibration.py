"""A show's first character is calibrated while it is on air already, in virtual time."""

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
            clock, {"cam": lambda: ScriptedSource(clock)}, [sink], costs_ms={"load": 700}, calibrate=calibrate
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
