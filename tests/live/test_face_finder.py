"""The tracker's keeper: never raises, builds late, builds anew."""

import numpy as np
import pytest

from faceshot.errors import WeightsMissing
from faceshot.types import CameraImage, FaceState
from live.face_finder import REBUILD_AFTER_ERRORS, FaceFinder
from tests.fakes import ScriptedTracker, a_face

IMAGE = CameraImage(np.zeros((48, 64, 3), np.uint8))


class HandClock:
    """Time that a test moves."""

    now = 0

    def now_ns(self) -> int:
        return self.now

    async def sleep_until_ns(self, t_ns: int) -> None:
        self.now = max(self.now, t_ns)


def test_the_tracker_is_built_at_the_first_image():
    built = []

    def make():
        built.append(ScriptedTracker())
        return built[-1]

    finder = FaceFinder(make, HandClock())
    finder.reset()
    assert not built
    state, took_ns = finder.find(IMAGE, 0)
    assert state.found and took_ns == 0
    finder.find(IMAGE, 33)
    assert len(built) == 1
    finder.reset()
    assert built[0].resets == 1
    finder.close()
    finder.close()
    assert built[0].closed


def test_time_grows_even_when_a_file_starts_again():
    tracker = ScriptedTracker()
    finder = FaceFinder(lambda: tracker, HandClock())
    for t_ms in (0, 33, 66, 66, 0, 33, 5, 9000):
        finder.find(IMAGE, t_ms)
    steps = np.diff(tracker.times_ms)
    assert (steps > 0).all()
    assert steps[1] == 33, "honest steps are kept"


def test_an_error_is_a_lost_face_with_a_message_that_goes_away():
    finder = FaceFinder(lambda: ScriptedTracker([ValueError("odd frame"), a_face()]), HandClock())
    state, _ = finder.find(IMAGE, 0)
    assert not state.found
    assert state.size_wh == (64, 48)
    assert "odd frame" in finder.message
    assert finder.find(IMAGE, 33)[0].found
    assert finder.message is None


def test_a_tracker_that_keeps_failing_is_built_anew_after_a_pause():
    clock = HandClock()
    made = []

    def make():
        made.append(ScriptedTracker([RuntimeError("graph is dead")] if not made else [a_face()]))
        return made[-1]

    finder = FaceFinder(make, clock)
    for n in range(REBUILD_AFTER_ERRORS + 10):
        assert not finder.find(IMAGE, n * 33)[0].found
    assert made[0].closed and len(made) == 1
    clock.now += 6_000_000_000
    assert finder.find(IMAGE, 10_000)[0].found
    assert len(made) == 2
    assert finder.message is None


def test_models_that_are_missing_are_told_with_the_cure_and_tried_again_later():
    clock = HandClock()
    tries = []

    def make():
        tries.append(clock.now)
        raise WeightsMissing("face_landmarker.task is not here.", "faceshot models pull face")

    finder = FaceFinder(make, clock)
    for n in range(100):
        assert finder.find(IMAGE, n)[0].confidence == 0
    assert len(tries) == 1
    assert "faceshot models pull face" in finder.message
    clock.now += 6_000_000_000
    finder.find(IMAGE, 200)
    assert len(tries) == 2


@pytest.mark.parametrize("method", ["reset", "close"])
def test_a_tracker_that_fails_at_reset_or_close_disturbs_nobody(method):
    class Bad(ScriptedTracker):
        def reset(self):
            raise RuntimeError("no")

        close = reset

    finder = FaceFinder(Bad, HandClock())
    finder.find(IMAGE, 0)
    getattr(finder, method)()
    assert isinstance(finder.find(IMAGE, 33)[0], FaceState)
