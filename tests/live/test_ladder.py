"""One rung at a time, down when late, up when there is room, and no to and fro."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from faceshot.animators import Rung
from live.ladder import CALM_CHUNKS, LATE_CHUNKS, MOST_CALM_CHUNKS, Ladder

RUNGS = [Rung("four", 8.0), Rung("two", 4.0), Rung("one", 2.0), Rung("small", 1.0)]
BUDGET = 160.0


def play(ladder: Ladder, ms_per_cost: float, chunks: int) -> list[int]:
    """Rungs after each of so many chunks, on a machine of that speed."""
    return [ladder.took(ms_per_cost * RUNGS[ladder.rung].cost, BUDGET) for _ in range(chunks)]


def test_it_comes_down_until_the_work_fits():
    ladder = Ladder(RUNGS)
    assert play(ladder, 50, 40)[-1] == 2
    assert play(Ladder(RUNGS), 1000, 40)[-1] == 3, "and no further than the bottom"
    assert play(Ladder(RUNGS), 15, 40)[-1] == 0


def test_one_late_chunk_is_a_hiccup():
    ladder = Ladder(RUNGS)
    for _ in range(20):
        for took in [BUDGET * 2] * (LATE_CHUNKS - 1) + [BUDGET / 2]:
            assert ladder.took(took, BUDGET) == 0


def test_it_goes_one_rung_at_a_time_and_comes_back_when_there_is_room():
    ladder = Ladder(RUNGS)
    path = play(ladder, 100, 30) + play(ladder, 10, 300)
    assert max(abs(b - a) for a, b in itertools.pairwise(path)) == 1
    assert path[29] == 3 and path[-1] == 0
    assert path.index(2, 30) - 30 >= CALM_CHUNKS - 1


def test_no_to_and_fro_between_two_rungs():
    """What fits a rung with 10 % to spare does not fit the one above, which costs twice as much."""
    path = play(Ladder(RUNGS), 36, 1000)
    assert path[10:] == [1] * 990


def test_a_machine_that_promises_too_much_is_believed_less_and_less():
    """Costs above are worse than told: each climb fails, and the next is tried later."""
    ladder, rung, climbs = Ladder(RUNGS), 0, []
    for chunk in range(4000):
        was, rung = rung, ladder.took(400 if rung == 0 else 60, BUDGET)
        climbs += [chunk] * (rung < was)
    gaps = [b - a for a, b in itertools.pairwise(climbs)]
    assert gaps == sorted(gaps) and gaps[0] < 2 * gaps[-1] and gaps[-1] >= MOST_CALM_CHUNKS


def test_what_did_not_fit_into_memory_is_not_tried_again():
    ladder = Ladder(RUNGS)
    assert ladder.out_of_memory() == 1
    assert set(play(ladder, 1, 2000)) == {1}
    play(ladder, 100, 30)
    assert ladder.rung == 3
    assert play(ladder, 1, 2000)[-1] == 1


def test_without_a_budget_nothing_changes():
    ladder = Ladder(RUNGS)
    assert {ladder.took(10_000, 0) for _ in range(50)} == {0}


@given(st.lists(st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)), max_size=300))
def test_any_times_stay_on_the_ladder(chunks):
    ladder, before = Ladder(RUNGS), 0
    for work, budget in chunks:
        rung = ladder.took(work, budget)
        assert 0 <= rung < len(RUNGS) and abs(rung - before) <= 1
        before = rung
