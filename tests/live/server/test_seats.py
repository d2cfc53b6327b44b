"""Who drives, in virtual time."""

from __future__ import annotations

from live.clock import LoopClock
from live.server.seats import ASK_NS, GRACE_NS, MAX_ASKING, Seat
from tests.virtual_time import run

SECOND = 1_000_000_000


class HandClock(LoopClock):
    """Moved by hand."""

    def __init__(self) -> None:
        self.t_ns = 0

    def now_ns(self) -> int:
        return self.t_ns


def seat() -> tuple[Seat, HandClock]:
    clock = HandClock()
    return Seat(clock), clock


def test_the_first_one_drives_and_the_second_has_to_ask() -> None:
    one, _ = seat()
    assert one.claim("a", "Phone A") == "granted"
    assert one.claim("b", "Phone B") == "asked"
    assert one.claim("a", "Phone A") == "granted"  # a reload, a lost 201
    assert one.state() == {"holder": {"name": "Phone A", "away": True}, "asking": [{"who": "b", "name": "Phone B"}]}
    one.present("a")
    assert not one.away


def test_a_take_over_needs_a_yes() -> None:
    one, _ = seat()
    one.claim("a", "A")
    one.claim("b", "B")
    assert one.allow("b")
    assert one.is_allowed("b")
    assert one.holder is not None and one.holder.who == "a"  # until b sits down
    assert one.claim("b", "B") == "granted"
    assert one.holder.who == "b"
    assert one.claim("a", "A") == "asked"


def test_a_no_is_told_once_and_then_one_may_ask_again() -> None:
    one, _ = seat()
    one.claim("a", "A")
    one.claim("b", "B")
    assert one.refuse("b")
    assert one.claim("b", "B") == "refused"
    assert one.claim("b", "B") == "asked"
    assert not one.refuse("nobody")
    assert not one.allow("nobody")


def test_who_vanishes_keeps_the_seat_for_a_while() -> None:
    one, clock = seat()
    one.claim("a", "A")
    one.present("a")
    clock.t_ns += 3600 * SECOND
    assert one.claim("b", "B") == "asked"  # however long a is there
    one.absent("a")
    clock.t_ns += GRACE_NS - 1
    assert one.claim("a", "A") == "granted"  # back from the tunnel
    one.present("a")
    one.absent("a")
    one.absent("a")  # told twice
    clock.t_ns += GRACE_NS
    assert one.state()["holder"] is None
    assert one.claim("b", "B") == "granted"


def test_who_never_connects_does_not_block_the_seat() -> None:
    one, clock = seat()
    one.claim("a", "A")
    clock.t_ns += GRACE_NS
    assert one.claim("b", "B") == "granted"


def test_leaving_frees_the_seat_at_once() -> None:
    one, _ = seat()
    one.claim("a", "A")
    one.release("b")
    assert one.holder is not None
    one.release("a")
    assert one.claim("b", "B") == "granted"


def test_who_was_kicked_has_to_ask_even_for_a_free_seat() -> None:
    one, _ = seat()
    assert one.kick() is None
    one.claim("a", "A")
    assert one.kick() == "a"
    assert one.holder is None
    assert one.claim("a", "A") == "asked"
    assert one.allow("a")
    assert one.claim("a", "A") == "granted"
    one.release("a")
    assert one.claim("a", "A") == "granted"  # forgiven


def test_questions_are_forgotten_and_few() -> None:
    one, clock = seat()
    one.claim("a", "A")
    one.present("a")
    for i in range(MAX_ASKING):
        assert one.claim(f"q{i}", "Q") == "asked"
    assert one.claim("one more", "Q") == "refused"
    clock.t_ns += ASK_NS
    assert one.state()["asking"] == []
    assert not one.allow("q0")
    assert one.claim("one more", "Q") == "asked"


def test_the_seat_takes_any_clock() -> None:
    async def main() -> None:
        clock = LoopClock()
        one = Seat(clock)
        one.claim("a", "A")
        await clock.sleep_until_ns(GRACE_NS)
        assert one.claim("b", "B") == "granted"

    run(main())
