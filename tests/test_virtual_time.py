"""The loop that jumps."""

import asyncio

import pytest

from tests.virtual_time import Stuck, run


def test_an_hour_passes_at_once():
    async def main() -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await asyncio.sleep(3600)
        return loop.time() - start

    assert run(main()) == pytest.approx(3600)


def test_timers_fire_in_order():
    async def main() -> list[int]:
        seen: list[int] = []

        async def note(after_s: float, n: int) -> None:
            await asyncio.sleep(after_s)
            seen.append(n)

        await asyncio.gather(note(3, 3), note(1, 1), note(2, 2))
        return seen

    assert run(main()) == [1, 2, 3]


def test_a_deadlock_is_an_error_and_not_a_hang():
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck):
        run(main())
