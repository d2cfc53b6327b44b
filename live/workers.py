"""Where blocking work runs: each blocking stage has one named thread of its own.

`ThreadWorker` for shows, `InlineWorker` for tests on virtual time, where a real thread would be jumped past.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, Protocol, TypeVar

from live.clock import Clock
from live.errors import LiveError

__all__ = ["InlineWorker", "ThreadWorker", "Worker"]

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger(__name__)


class Worker(Protocol):
    """Runs functions one after the other, never two at a time."""

    name: str

    async def run(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `fn` away from the event loop and return what it returns or raise what it raises.

        Cancelling gives up waiting, not the call: the next one starts when it has returned. Raises `LiveError` once
        closed.
        """

    async def close(self, timeout_s: float = 2.0) -> None:
        """Let the work in hand finish, but wait `timeout_s` at most; a call that hangs is named in a warning."""


class ThreadWorker:
    """One daemon thread, started by the first `run`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    async def run(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        if self._closed:
            raise LiveError("The show has ended.", "Start it again: faceshot live")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[R] = loop.create_future()

        def job() -> None:
            if done.cancelled():  # asked for, then given up before its turn came
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                _hand_over(loop, done, None, error)
            else:
                _hand_over(loop, done, result, None)

        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=self.name, daemon=True)
            self._thread.start()
        self._jobs.put(job)
        return await done

    async def close(self, timeout_s: float = 2.0) -> None:
        if self._closed or self._thread is None:
            self._closed = True
            return
        idle = asyncio.Event()
        loop = asyncio.get_running_loop()
        self._closed = True
        self._jobs.put(lambda: _wake(loop, idle))
        self._jobs.put(None)
        try:
            async with asyncio.timeout(timeout_s):
                await idle.wait()
        except TimeoutError:
            log.warning("thread %s did not finish within %.1f s; left behind", self.name, timeout_s)

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            del job  # or the last frame stays alive until the next one comes


class InlineWorker:
    """Calls the function on the loop, then lets `cost_ms` of the clock pass before it answers."""

    def __init__(self, name: str, clock: Clock, cost_ms: float = 0.0) -> None:
        self.name = name
        self.cost_ms = cost_ms
        self._clock = clock
        self._turn = asyncio.Lock()

    async def run(self, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        async with self._turn:
            until_ns = self._clock.now_ns() + round(self.cost_ms * 1e6)
            try:
                return fn(*args, **kwargs)
            finally:
                await self._clock.sleep_until_ns(until_ns)

    async def close(self, timeout_s: float = 2.0) -> None:
        return


def _hand_over(
    loop: asyncio.AbstractEventLoop, done: asyncio.Future[Any], result: Any, error: BaseException | None
) -> None:
    def settle() -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    try:
        loop.call_soon_threadsafe(settle)
    except RuntimeError:
        pass  # the loop is closed: nobody waits any more


def _wake(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    try:
        loop.call_soon_threadsafe(event.set)
    except RuntimeError:
        pass
