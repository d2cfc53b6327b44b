"""The order in which matchers are tried, what is said of those that are not at hand, and forcing one."""

from __future__ import annotations

import numpy as np
import pytest

from faceshot.character import open_character
from faceshot.errors import LandmarkError
from faceshot.matchers import MATCHERS, Request, part_confidence, place_landmarks
from tests.faceshot.faces import clicks_on, drawn_face

CLICKED = ("left-eye", "right-eye", "nose", "chin")


@pytest.fixture(scope="module")
def ada():
    character = open_character("ada")
    return drawn_face(character)[..., :3], character.points_xy / 2


@pytest.fixture(scope="module")
def bruno():
    character = open_character("bruno")
    return drawn_face(character)[..., :3], character.points_xy / 2


def test_a_face_goes_to_mediapipe(ada):
    rgb, points = ada
    found, attempts = place_landmarks(rgb, Request())
    assert found.matcher == "mediapipe" and found.visible.all()
    assert [attempt.matcher for attempt in attempts] == ["file"]
    assert np.linalg.norm(found.points_xy - points, axis=1).mean() < 25
    assert len(found.details["head_rotation"]) == 3
    parts = part_confidence(found)
    assert set(parts) >= {"mouth", "nose", "image-left eye"} and all(0 < sure <= 1 for sure in parts.values())


def test_what_was_given_by_hand_goes_first(ada):
    rgb, points = ada
    by_file = Request((points.astype(np.float32), np.ones(70, bool)), "mine.json")
    assert place_landmarks(rgb, by_file)[0].matcher == "file"
    assert place_landmarks(rgb, Request(clicks=clicks_on(points, CLICKED)))[0].matcher == "fit"


def test_one_can_be_forced(ada):
    rgb, points = ada
    request = Request(clicks=clicks_on(points, CLICKED))
    assert place_landmarks(rgb, request, "mediapipe")[0].matcher == "mediapipe"


def test_no_face_at_all_lists_every_matcher(bruno):
    rgb = np.random.default_rng(0).integers(0, 255, (128, 128, 3), np.uint8)
    with pytest.raises(LandmarkError) as caught:
        place_landmarks(rgb, Request())
    for name in MATCHERS:
        assert f"{name}: " in caught.value.message
    assert "MediaPipe found no face" in caught.value.message and "--clicks" in caught.value.message
    assert "faceshot character edit" in caught.value.hint


def test_without_torch_the_diffusion_matcher_says_so(bruno, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *rest: None if name == "torch" else object() if "matching" in name else real(name, *rest),
    )
    with pytest.raises(LandmarkError, match=r"torch is not installed.*gpu"):
        place_landmarks(bruno[0], Request(), "diffusion")


def test_a_picture_of_one_colour():
    with pytest.raises(LandmarkError, match="one colour only"):
        place_landmarks(np.full((100, 100, 3), 70, np.uint8), Request())


def test_wrong_clicks_are_not_passed_over(ada):
    rgb, points = ada
    with pytest.raises(LandmarkError, match="1 click was given"):
        place_landmarks(rgb, Request(clicks=clicks_on(points, ("nose",))))


def test_an_unknown_matcher(ada):
    with pytest.raises(LandmarkError, match="no matcher 'mediapip'") as caught:
        place_landmarks(ada[0], Request(), "mediapip")
    assert "Did you mean mediapipe?" in caught.value.hint


def test_parts_that_are_missing_have_no_confidence(bruno):
    rgb, points = bruno
    visible = np.ones(70, bool)
    visible[27:36] = False
    found, _ = place_landmarks(rgb, Request((points.astype(np.float32), visible), "x.json"))
    assert "nose" not in part_confidence(found)
