"""The schedule of recorded material."""

from live.sources.pacing import Pacer
from tests.virtual_time import run

FRAME_NS = 33_333_333


class SetClock:
    """A clock that a test sets by hand."""

    def __init__(self) -> None:
        self.t_ns = 5_000_000_000

    def now_ns(self) -> int:
        return self.t_ns

    async def sleep_until_ns(self, t_ns: int) -> None:
        self.t_ns = max(self.t_ns, t_ns)


def test_waits_for_each_due_time() -> None:
    clock = SetClock()
    pacer = Pacer(clock)
    start = clock.t_ns
    seen = []
    for media in (0, 10_000_000, 500_000_000):
        assert not pacer.must_skip(media, FRAME_NS)
        run(pacer.wait(media))
        seen.append(clock.t_ns - start)
    assert seen == [0, 10_000_000, 500_000_000]


def test_a_passed_frame_is_left_out_unless_the_screen_stood_still_too_long() -> None:
    clock = SetClock()
    pacer = Pacer(clock)
    run(pacer.wait(0))
    clock.t_ns += 90_000_000
    assert pacer.must_skip(FRAME_NS, FRAME_NS)
    assert not pacer.must_skip(2 * FRAME_NS, FRAME_NS)  # its time is now
    clock.t_ns += 20_000_000
    assert not pacer.must_skip(FRAME_NS, FRAME_NS)


def test_who_slept_goes_on_from_there() -> None:
    clock = SetClock()
    pacer = Pacer(clock)
    run(pacer.wait(0))
    clock.t_ns += 3_600_000_000_000
    assert not pacer.must_skip(FRAME_NS, FRAME_NS)
    woke = clock.t_ns
    run(pacer.wait(FRAME_NS))
    assert clock.t_ns == woke
    assert not pacer.must_skip(2 * FRAME_NS, FRAME_NS)
    run(pacer.wait(2 * FRAME_NS))
    assert clock.t_ns == woke + FRAME_NS
