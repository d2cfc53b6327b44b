"""One clock for everything."""

import asyncio

import pytest

from live.clock import LoopClock, MonotonicClock, ms


def test_the_loop_clock_is_the_loops_time_and_wakes_at_the_minute(virtual):
    async def main():
        clock = LoopClock()
        assert clock.now_ns() == round(asyncio.get_running_loop().time() * 1e9)
        await clock.sleep_until_ns(1_500_000_000)
        assert clock.now_ns() == pytest.approx(1_500_000_000, abs=1000)

    virtual(main())


def test_sleeping_until_the_past_lets_others_run_and_returns(virtual):
    async def main():
        clock = LoopClock()
        seen = []
        asyncio.get_running_loop().call_soon(seen.append, "other")
        await clock.sleep_until_ns(-5)
        assert seen == ["other"]
        assert clock.now_ns() == 0

    virtual(main())


def test_a_sleep_can_be_cancelled(virtual):
    async def main():
        clock = LoopClock()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await clock.sleep_until_ns(10**15)
        assert clock.now_ns() == pytest.approx(1e9)

    virtual(main())


def test_the_synchronous_clock_never_goes_back():
    clock = MonotonicClock()
    times = [clock.now_ns() for _ in range(1000)]
    assert times == sorted(times)


def test_ms():
    assert ms(1_500_000) == 1.5
