"""What the render worker owns: one picture per new drive, whatever fails."""

import math
from dataclasses import replace

import numpy as np
import pytest

from faceshot.animators import Rung, Window
from faceshot.errors import FaceshotError, OutOfMemory
from faceshot.puppeteer import Puppeteer
from faceshot.types import FaceState
from live.edges import Packet
from live.puppet import Puppet, prepare
from tests.fakes import CostlyAnimator, DuoAnimator, a_character, a_face
from tests.live.test_face_finder import HandClock

WHO = a_character()


def packet(n: int, state: FaceState | None = None) -> Packet[FaceState]:
    return Packet(n, n * 33_000_000, state or a_face(), t_media_ns=n * 40_000_000)


def a_puppet(animator: CostlyAnimator, fallback=CostlyAnimator, puppeteer=None, **how) -> Puppet:
    animator.load(WHO)
    return Puppet(puppeteer or Puppeteer(WHO), WHO, animator, fallback, HandClock(), **how)


def test_a_picture_travels_in_the_packet_of_its_state():
    puppet = a_puppet(CostlyAnimator())
    [out] = puppet.perform([packet(5)], hidden=False)
    assert (out.seq, out.t_capture_ns) == (5, 5 * 33_000_000)
    assert set(out.stages_ns) == {"retarget", "render"}
    assert out.value.size_wh == WHO.size_wh


def test_hidden_pictures_are_blank_while_motion_goes_on():
    animator = CostlyAnimator()
    puppet = a_puppet(animator)
    for n in range(90):
        [out] = puppet.perform([packet(n)], hidden=True)
        assert out.value.rgba.max() == 0
    assert animator.rendered == 0
    assert puppet.troupe.status == "tracking"


def test_steps_follow_capture_time_live_and_media_time_offline():
    class Clockwork(Puppeteer):
        def step(self, state, dt_s):
            self.steps = [*getattr(self, "steps", []), dt_s]
            return super().step(state, dt_s)

    for media_time, expected in ((False, 0.033), (True, 0.04)):
        puppeteer = Clockwork(WHO)
        puppet = a_puppet(CostlyAnimator(), puppeteer=puppeteer, media_time=media_time)
        for n in (0, 1, 2, 1, 400):
            puppet.perform([packet(n)], hidden=False)
        assert puppeteer.steps[1:3] == pytest.approx([expected, expected])
        assert all(0 < step <= 0.25 for step in puppeteer.steps)


def test_overlapping_windows_step_each_state_once():
    class Counting(Puppeteer):
        count = 0

        def step(self, state, dt_s):
            self.count += 1
            return super().step(state, dt_s)

    puppeteer = Counting(WHO)
    animator = CostlyAnimator(window=Window(4, 2))
    puppet = a_puppet(animator, puppeteer=puppeteer)
    packets = [packet(n) for n in range(8)]
    out = [puppet.perform(packets[start : start + 4], hidden=False) for start in (0, 2, 4)]
    assert puppeteer.count == 8
    assert [[p.seq for p in pictures] for pictures in out] == [[2, 3], [4, 5], [6, 7]]


def test_a_wish_is_granted_before_the_next_picture():
    puppet = a_puppet(CostlyAnimator())
    seen = []
    puppet.soon(lambda: seen.append("calibrate"))
    assert not seen
    puppet.perform([packet(0)], hidden=False)
    assert seen == ["calibrate"]


def test_a_failing_animator_is_replaced_within_the_same_frame():
    broken, spare = CostlyAnimator(fails=lambda n: n == 2), CostlyAnimator()
    puppet = a_puppet(broken, lambda: spare)
    greys = [puppet.perform([packet(n)], hidden=False)[0].value.rgba[0, 0, 1] for n in range(4)]
    assert greys == [100, 100, 100, 100]
    assert broken.closed and spare.rendered == 3
    assert "drawing with warp" in puppet.message


@pytest.mark.parametrize("offline", [False, True])
def test_an_animator_that_keeps_being_late_is_replaced_in_a_live_show(offline):
    class Slow(CostlyAnimator):
        late_after_s = 0.5

        def render(self, drives):
            puppet._clock.now += 700_000_000 if self.rendered != 1 else 100_000_000
            return super().render(drives)

    slow, spare = Slow(), CostlyAnimator()
    puppet = a_puppet(slow, lambda: spare, media_time=offline)
    for n in range(6):
        puppet.perform([packet(n)], hidden=False)
    if offline:
        assert puppet.animator is slow and puppet.message is None
        return
    assert slow.closed and slow.rendered == 5, "one quick picture among late ones starts the count again"
    assert puppet.animator is spare
    assert "too slow" in puppet.message and "0.7 s" in puppet.message


def test_when_the_fallback_fails_too_the_picture_is_blank_until_it_recovers():
    puppet = a_puppet(CostlyAnimator(fails=lambda n: n == 2), lambda: CostlyAnimator(fails=lambda n: n in (1, 2)))
    frames = [puppet.perform([packet(n)], hidden=False)[0] for n in range(2)]
    assert frames[1].value.rgba.max() == 0
    assert "blank" in puppet.message
    for n in range(2, 5):
        [last] = puppet.perform([packet(n)], hidden=False)
    assert last.value.rgba[0, 0, 1] == 100
    assert "blank" not in puppet.message


def test_a_fallback_that_cannot_load_leaves_the_old_animator():
    animator = CostlyAnimator(fails=lambda n: n == 1)
    puppet = a_puppet(animator, lambda: CostlyAnimator(load_error=FaceshotError("no")))
    [out] = puppet.perform([packet(0)], hidden=False)
    assert out.value.rgba[0, 0, 1] == 100, "drawn at the second try"
    assert puppet.animator is animator and not animator.closed


def test_motion_that_cannot_be_used_is_no_motion():
    class Broken(Puppeteer):
        def step(self, state, dt_s):
            raise ZeroDivisionError("degenerate face")

    puppet = a_puppet(CostlyAnimator(), puppeteer=Broken(WHO))
    [out] = puppet.perform([packet(0)], hidden=False)
    assert out.value.rgba[0, 0, 1] == 100
    assert "degenerate face" in puppet.message


def test_nonsense_from_a_tracker_still_makes_a_picture():
    puppet = a_puppet(CostlyAnimator())
    shapes = np.full(52, math.nan, np.float32)
    head = np.zeros((4, 4), np.float32)
    for n, state in enumerate(
        [
            FaceState((0, 0), 1.0, points_xyz=np.zeros((478, 3), np.float32)),
            FaceState((64, 48), 1.0, blendshapes=shapes, head=head),
            FaceState((64, 48), math.nan, blendshapes=shapes),
        ]
    ):
        [out] = puppet.perform([packet(n, state)], hidden=False)
        assert out.value.rgba[0, 0, 1] == 100


def test_swapping_closes_the_old_animator_and_clears_the_message():
    old, new = CostlyAnimator(fails=lambda n: True), CostlyAnimator()
    puppet = a_puppet(old, lambda: CostlyAnimator(fails=lambda n: True))
    puppet.perform([packet(0)], hidden=False)
    assert puppet.message
    wide = a_character("wide", (96, 64), grey=40)
    puppet.swap(wide, prepare(lambda: new, wide))
    [out] = puppet.perform([packet(1)], hidden=False)
    assert puppet.message is None
    assert out.value.size_wh == (96, 64)
    assert puppet.character is wide


def test_prepare_frees_what_it_could_not_load():
    animator = CostlyAnimator(load_error=FaceshotError("no chin"))
    with pytest.raises(FaceshotError, match="no chin"):
        prepare(lambda: animator, WHO)
    assert animator.closed


def test_a_picture_that_does_not_get_done_is_told_meanwhile_and_no_longer():
    heard = []

    class Slow(CostlyAnimator):
        def render(self, drives):
            puppet._clock.now += 4_000_000_000
            heard.append(puppet.message)
            puppet._clock.now += 4_000_000_000
            heard.append(puppet.message)
            return super().render(drives)

    puppet = a_puppet(Slow())
    puppet.perform([packet(0)], hidden=False)
    assert heard[0] is None and "hangs for 8 s" in heard[1]
    assert puppet.message is None


class Graded(CostlyAnimator):
    """An animator with rungs that cost 200, 100 and 50 ms a chunk of four; the last draws every other frame.

    Args:
        fits_from: the best rung that fits into memory.
        speed: how much faster than that it is.
    """

    rungs = (Rung("fine", 4.0), Rung("coarse", 2.0), Rung("half", 1.0))

    def __init__(self, fits_from: int = 0, speed: float = 1.0, fails=lambda n: False):
        super().__init__(window=Window(8, 4, 3), fails=fails)
        self.rung, self.fits_from, self.speed = 0, fits_from, speed
        self.puppet: Puppet | None = None

    def take_rung(self, rung):
        self.rung = rung
        self.window = Window(12, 8, 7) if rung == 2 else Window(8, 4, 3)

    def render(self, drives):
        if self.rung < self.fits_from:
            raise OutOfMemory("The card is full.", "Close something.")
        self.puppet._clock.now += round([200, 100, 50][self.rung] * 1e6 / self.speed)
        return super().render(drives)


def graded(**how) -> tuple[Graded, Puppet]:
    animator = Graded(**how)
    puppet = animator.puppet = a_puppet(animator)
    return animator, puppet


def play(puppet: Puppet, calls: int, pace_ms: float = 40.0) -> list:
    """So many windows, one after the other."""
    out, all_packets = [], []
    for _ in range(calls):
        window = puppet.animator.window
        start = len(all_packets)
        all_packets += [packet(i) for i in range(start, start + window.stride)]
        out.append(puppet.perform(all_packets[-window.size :], hidden=False, pace_ns=pace_ms * 1e6))
    return out


def test_an_animator_that_is_late_goes_down_a_rung_and_comes_back():
    animator, puppet = graded()
    play(puppet, 4)
    assert animator.rung == 1
    assert puppet.message == "Drawing with coarse: 4 pictures took 200 of 160 ms."
    animator.speed = 2.0
    play(puppet, 40)
    assert animator.rung == 0 and puppet.message is None


def test_a_rung_with_another_window_is_drawn_with_it():
    animator, puppet = graded(speed=0.5)
    pictures = play(puppet, 12)
    assert animator.rung == 2
    assert len(pictures[-1]) == 8 and animator.calls[-1] == 12
    assert not animator.closed


def test_rungs_are_left_alone_when_nobody_waits():
    animator, puppet = graded(speed=0.1)
    animator.late_after_s = None
    play(puppet, 10, pace_ms=0)
    assert animator.rung == 0


def test_a_full_memory_is_one_rung_down_in_the_same_call_and_for_good():
    animator, puppet = graded(fits_from=1, speed=10)
    [pictures] = play(puppet, 1)
    assert [picture.seq for picture in pictures] == [0, 1, 2, 3]
    assert animator.rung == 1 and not animator.closed
    assert puppet.message == "Drawing with coarse: The card is full."
    play(puppet, 200)
    assert animator.rung == 1, "not tried again"


def test_a_rung_whose_own_beginning_does_not_fit_is_passed_by():
    animator, puppet = graded(fits_from=1, speed=10)
    take = animator.take_rung

    def full_on_the_first(rung):
        take(rung)
        if rung == 1:
            raise OutOfMemory("The card is still full.", "Close something.")

    animator.take_rung = full_on_the_first
    [pictures] = play(puppet, 1)
    assert len(pictures) and animator.rung == 2 and not animator.closed
    assert puppet.message == "Drawing with half: The card is still full."


def test_a_memory_that_is_full_on_every_rung_is_a_case_for_warp():
    animator, puppet = graded(fits_from=9)
    [pictures] = play(puppet, 1)
    assert animator.closed
    assert "drawing with warp instead: The card is full." in puppet.message
    assert [picture.seq for picture in pictures] == [0, 1, 2, 3]


def test_a_chunk_that_fails_is_drawn_by_warp_picture_by_picture():
    animator, puppet = graded(fails=lambda n: n == 6)
    first, second = play(puppet, 2)
    assert [picture.seq for picture in (*first, *second)] == list(range(8)), "no frame is missing"
    assert animator.closed and "drawing with warp" in puppet.message


# Several people in one picture


def two_faces(left: float, right: float) -> FaceState:
    """Trackers without a place in the picture: in the order in which they are."""
    return replace(a_face(left), others=(a_face(right),))


def reds(puppet: Puppet, states, first: int = 0) -> list[int]:
    """How far each person's mouth is open in the last picture."""
    for n, state in enumerate(states, first):
        [out] = puppet.perform([packet(n, state)], hidden=False)
    return out.value.rgba[0, [0, -1], 0].tolist()


def test_each_face_moves_its_own_person():
    puppet = a_puppet(DuoAnimator())
    left, right = reds(puppet, [two_faces(0, 0)] * 60 + [two_faces(0.6, 0)] * 10)
    assert left > 40 and right < 5
    left, right = reds(puppet, [two_faces(0, 0.6)] * 20, first=70)
    assert left < 5 and right > 40


def test_when_an_animator_of_several_fails_warp_draws_the_whole_picture_at_rest_at_first():
    spare = CostlyAnimator()
    drawn = []
    spare.render = lambda drives, render=spare.render: drawn.extend(drives) or render(drives)  # type: ignore[method-assign]
    puppet = a_puppet(DuoAnimator(fails=lambda n: n == 3), lambda: spare)
    reds(puppet, [two_faces(0.5, 0.5)] * 6)
    assert puppet.animator is spare and len(drawn) == 4
    np.testing.assert_array_equal(drawn[0].points_xy, WHO.points_xy, "those drives were of people it does not know")
    assert drawn[-1].found, "and then the first face moves it"


def test_motion_of_several_that_cannot_be_used_is_no_motion():
    class Broken(Puppeteer):
        def step(self, state, dt_s):
            raise ZeroDivisionError("degenerate face")

    puppet = a_puppet(DuoAnimator(), puppeteer=Broken(WHO))
    assert reds(puppet, [two_faces(0.5, 0.5)]) == [0, 0]
    assert "degenerate face" in puppet.message


def test_a_picture_with_other_people_is_cast_anew():
    puppet = a_puppet(CostlyAnimator())
    puppet.perform([packet(0)], hidden=False)
    duo = DuoAnimator()
    puppet.swap(WHO, prepare(lambda: duo, WHO))
    reds(puppet, [two_faces(0, 0)] * 3, first=1)
    assert [len(drives) for drives in duo.frames] == [2, 2, 2]
    alone = CostlyAnimator()
    puppet.swap(WHO, prepare(lambda: alone, WHO))
    [out] = puppet.perform([packet(9, two_faces(0, 0))], hidden=False)
    assert alone.rendered == 1 and out.value.rgba[0, 0, 1] == 100
