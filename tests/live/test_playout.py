"""When the pictures of a chunk are shown: evenly, in order, as late as needed and no later."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceshot.types import Rendered
from live.clock import LoopClock
from live.edges import Packet
from live.playout import Playout, Schedule

MS = 1_000_000
PERIOD = 40 * MS


def run(costs_ms: list[float], schedule: Schedule | None = None, stride: int = 4) -> tuple[list[int], list[int]]:
    """Captures and due times of chunks that take so long, drawn one after the other."""
    schedule = schedule or Schedule()
    captured, due, free_ns = [], [], 0
    for n, cost in enumerate(costs_ms):
        frames = [(n * stride + i) * PERIOD for i in range(stride)]
        free_ns = max(free_ns, frames[-1]) + round(cost * MS)
        times = schedule.due(frames, free_ns)
        assert min(times) >= free_ns
        captured += frames
        due += times
    return captured, due


def test_a_steady_animator_is_shown_on_a_fixed_clock():
    captured, due = run([80] * 10)
    assert {b - a for a, b in itertools.pairwise(due)} == {PERIOD}
    assert {d - c for c, d in zip(captured, due, strict=True)} == {3 * PERIOD + 80 * MS}


def test_costs_that_vary_are_hidden_by_the_delay_of_the_longest():
    rng = np.random.default_rng(0)
    _, due = run([120, *rng.uniform(30, 120, 100)])
    gaps = np.diff(due)
    assert gaps.max() < 1.25 * PERIOD, "hardly anything ever waits"
    assert gaps.min() > 0.75 * PERIOD, "what is too much goes slowly"


def test_one_hiccup_is_forgotten():
    captured, due = run([80] * 10 + [600] + [80] * 80)
    delays = np.array(due) - captured
    assert delays[:40].max() == 3 * PERIOD + 80 * MS
    assert delays[40:48].max() >= 3 * PERIOD + 600 * MS
    assert delays[-1] < 3 * PERIOD + 85 * MS


def test_single_pictures_are_due_at_once():
    schedule = Schedule()
    run([80] * 5, schedule)
    assert schedule.due([10_000 * MS], 10_007 * MS) == [10_007 * MS]
    assert schedule.due([], 1) == []


@given(
    st.lists(st.floats(0, 900), min_size=1, max_size=60),
    st.sampled_from([2, 4, 8]),
)
def test_pictures_keep_their_order_and_none_is_shown_before_it_is_ready(costs_ms, stride):
    _, due = run(costs_ms, stride=stride)
    assert due == sorted(due)


@given(st.lists(st.integers(0, 2_000_000_000), min_size=2, max_size=8), st.integers(0, 10**10))
def test_any_times_give_an_order(captured, ready):
    times = Schedule().due(sorted(captured), ready)
    assert times == sorted(times) and times[0] >= ready


def picture(seq: int, at_ms: int) -> Packet[Rendered]:
    return Packet(seq, at_ms * MS, Rendered.blank((2, 2)))


def test_pictures_leave_when_they_are_due(virtual):
    async def main():
        clock = LoopClock()
        playout = Playout(clock)
        await clock.sleep_until_ns(200 * MS)
        await playout.put([picture(i, 40 * i) for i in range(4)])
        playout.close()
        left = [(p.seq, clock.now_ns() // MS, p.stages_ns.get("hold", 0) // MS) async for p in playout]
        assert left == [(0, 200, 0), (1, 240, 40), (2, 280, 80), (3, 320, 120)]

    virtual(main())


def test_what_is_cleared_is_not_shown_and_counted(virtual):
    async def main():
        clock = LoopClock()
        playout = Playout(clock)
        await playout.put([picture(i, 40 * i) for i in range(4)])
        playout.clear()
        await playout.put([picture(7, 100)])
        playout.close()
        assert [p.seq async for p in playout] == [7]
        assert playout.edge.stats.dropped == {"epoch": 4}

    virtual(main())


@pytest.mark.parametrize("late_ms", [0, 500])
def test_a_fallback_that_draws_single_pictures_does_not_overtake(virtual, late_ms):
    async def main():
        clock = LoopClock()
        playout = Playout(clock)
        await clock.sleep_until_ns(200 * MS)
        await playout.put([picture(i, 40 * i) for i in range(4)])
        await clock.sleep_until_ns((210 + late_ms) * MS)
        await playout.put([picture(4, 205)])
        playout.close()
        assert [p.seq async for p in playout] == [0, 1, 2, 3, 4]

    virtual(main())
