"""A driver that is no human: matched, followed by flow, matched again."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from faceshot.character import open_character
from faceshot.driver import observe
from faceshot.landmarks import MatchedLandmarks
from faceshot.matching_tracker import MatchingTracker
from faceshot.pictures import flatten
from faceshot.types import CameraImage

SIZE = 384


class OracleMatcher:
    """Knows where the points are, up to an error; counts how often it is asked."""

    def __init__(self, error_px: float = 0.0, confidence: float = 0.6) -> None:
        self.truth = np.zeros((70, 2))
        self.calls = 0
        self.error_px, self.confidence = error_px, confidence

    def __call__(self, rgb, progress):  # type: ignore[no-untyped-def]
        self.calls += 1
        progress("second look", 1, 1)
        points = (self.truth + self.error_px).astype(np.float32)
        return MatchedLandmarks(points, np.ones(70, bool), np.full(70, self.confidence, np.float32), "oracle")


@pytest.fixture(scope="module")
def dog() -> tuple[np.ndarray, np.ndarray]:
    character = open_character("bruno")
    k = SIZE / character.rgba.shape[1]
    rgb = cv2.resize(flatten(character.rgba, (120, 160, 140)), (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return rgb, character.points_xy.astype(np.float64) * k


def frame(dog: tuple[np.ndarray, np.ndarray], i: int) -> tuple[CameraImage, np.ndarray]:
    """The dog swaying and nodding."""
    rgb, points = dog
    affine = cv2.getRotationMatrix2D((SIZE / 2, SIZE / 2), 8 * np.sin(i / 6), 1 + 0.06 * np.sin(i / 9))
    affine[:, 2] += (10 * np.sin(i / 7), 6 * np.sin(i / 5))
    moved = cv2.warpAffine(rgb, affine, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)
    return CameraImage(moved), points @ affine[:, :2].T + affine[:, 2]


def test_flow_follows_for_a_second_from_one_match(dog) -> None:  # type: ignore[no-untyped-def]
    matcher = OracleMatcher()
    tracker = MatchingTracker(matcher, stride=0)
    for i in range(30):
        image, matcher.truth = frame(dog, i)
        state = tracker.track(image, i * 33)
        assert state.found and state.points_xyz is not None and not state.has_depth
        error = np.linalg.norm(state.points_xyz[:, :2] - matcher.truth, axis=1)
        assert np.median(error) < 1.5 and error.mean() < 2.5
    assert matcher.calls == tracker.matched == 1
    assert observe(state) is not None  # what retargeting makes of it


def test_drift_is_pulled_back_without_a_jump(dog) -> None:  # type: ignore[no-untyped-def]
    matcher = OracleMatcher(error_px=6.0)
    tracker = MatchingTracker(matcher, stride=10)
    image, matcher.truth = frame(dog, 0)
    tracker.track(image, 0)
    matcher.error_px = 0.0
    still: list[np.ndarray] = []
    for i in range(1, 50):
        state = tracker.track(image, i)
        assert state.points_xyz is not None
        still.append(state.points_xyz[:, :2] - matcher.truth)
    error = np.abs(np.array(still)).mean(axis=(1, 2))
    assert error[0] > 5 and error[-1] < 0.6
    assert np.abs(np.diff(np.array(still), axis=0)).max() < 1.0
    assert matcher.calls == 5


def test_a_cut_is_matched_at_once(dog) -> None:  # type: ignore[no-untyped-def]
    matcher = OracleMatcher()
    tracker = MatchingTracker(matcher, stride=0)
    image, matcher.truth = frame(dog, 0)
    tracker.track(image, 0)
    other = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    tracker.track(CameraImage(other), 1)
    assert matcher.calls == 2
    tracker.track(CameraImage(other[:200]), 2)  # another size is a cut, too
    assert matcher.calls == 3
    tracker.reset()
    tracker.track(image, 3)
    assert matcher.calls == 4


def test_a_match_without_confidence_is_no_face(dog) -> None:  # type: ignore[no-untyped-def]
    matcher = OracleMatcher(confidence=0.02)
    tracker = MatchingTracker(matcher, stride=0)
    image, matcher.truth = frame(dog, 0)
    assert not tracker.track(image, 0).found
    matcher.confidence = 0.5
    found = [tracker.track(image, i).found for i in range(1, 14)]
    assert found == [False] * 11 + [True] * 2 and matcher.calls == 2  # a match takes seconds: not every frame
    tracker.close()
