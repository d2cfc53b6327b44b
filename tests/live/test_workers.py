"""Workers: one call at a time, off the loop, and no hang at the end."""

import asyncio
import logging
import threading

import pytest

from live.clock import LoopClock
from live.errors import LiveError
from live.workers import InlineWorker, ThreadWorker


def test_a_thread_worker_runs_in_one_named_thread_in_order():
    async def main():
        worker = ThreadWorker("render")
        seen = []

        def job(n):
            seen.append((n, threading.current_thread().name))
            return n * n

        assert await asyncio.gather(*(worker.run(job, n) for n in range(5))) == [0, 1, 4, 9, 16]
        assert seen == [(n, "render") for n in range(5)]
        await worker.close()

    asyncio.run(main())


def test_errors_come_back_to_the_caller_and_the_worker_lives_on():
    async def main():
        worker = ThreadWorker("track")

        def fail():
            raise ValueError("broken lens")

        with pytest.raises(ValueError, match="broken lens"):
            await worker.run(fail)
        assert await worker.run(lambda: 3) == 3
        await worker.close()

    asyncio.run(main())


def test_giving_up_does_not_disturb_the_next_call():
    async def main():
        worker = ThreadWorker("track")
        go = threading.Event()
        first = asyncio.ensure_future(worker.run(go.wait, 5))
        await asyncio.sleep(0)
        never = asyncio.ensure_future(worker.run(pytest.fail, "was given up before its turn"))
        await asyncio.sleep(0)
        first.cancel()
        never.cancel()
        await asyncio.gather(first, never, return_exceptions=True)
        go.set()
        assert await worker.run(lambda: "fresh") == "fresh"
        await worker.close()

    asyncio.run(main())


def test_a_call_that_hangs_is_named_and_left_behind(caplog):
    async def main():
        worker = ThreadWorker("camera 0")
        release = threading.Event()
        hanging = asyncio.ensure_future(worker.run(release.wait, 10))
        await asyncio.sleep(0)
        with caplog.at_level(logging.WARNING):
            await worker.close(timeout_s=0.01)
        assert "camera 0" in caplog.text
        release.set()
        await hanging

    asyncio.run(main())


def test_a_closed_worker_refuses_work():
    async def main():
        worker = ThreadWorker("track")
        await worker.close()
        await worker.close()
        with pytest.raises(LiveError, match="has ended"):
            await worker.run(print)

    asyncio.run(main())


def test_an_inline_worker_answers_after_its_virtual_cost_one_call_at_a_time(virtual):
    async def main():
        clock = LoopClock()
        worker = InlineWorker("render", clock, cost_ms=80)
        answers = await asyncio.gather(*(worker.run(clock.now_ns) for _ in range(3)))
        assert [t / 1e6 for t in answers] == [0, 80, 160]
        assert clock.now_ns() / 1e6 == pytest.approx(240)
        with pytest.raises(ZeroDivisionError):
            await worker.run(lambda: 1 // 0)
        assert clock.now_ns() / 1e6 == pytest.approx(320)

    virtual(main())
