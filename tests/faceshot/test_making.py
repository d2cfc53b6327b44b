"""From a picture to a character; the command's own tests go through every kind of picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from faceshot.character import open_character
from faceshot.errors import LandmarkError, PictureError
from faceshot.landmarks import MatchedLandmarks
from faceshot.making import Wish, character_of, make_character, prepare_picture, seen_by_matchers
from tests.faceshot.faces import clicks_on, drawn_face


def some_landmarks(matcher):
    points = open_character("miso").points_xy
    return MatchedLandmarks(points, np.ones(70, bool), np.full(70, 0.7, np.float32), matcher, {"clicks": {}})


@pytest.mark.parametrize(("matcher", "kind"), [("mediapipe", "human"), ("fit", "animal"), ("diffusion", "animal")])
def test_the_kind_is_guessed_unless_it_is_said(matcher, kind):
    rgba = open_character("miso").rgba
    assert character_of(rgba, "x", some_landmarks(matcher), None).kind == kind
    assert character_of(rgba, "x", some_landmarks(matcher), "toy").kind == "toy"


def test_how_it_was_made_is_kept():
    about = character_of(open_character("miso").rgba, "x", some_landmarks("fit"), None).provenance["landmarks"]
    assert about["matcher"] == "fit" and about["confidence"] == [0.7] * 70


def test_matchers_see_grey_behind_a_cut_out():
    seen = seen_by_matchers(open_character("miso").rgba)
    assert (seen[0, 0] == 128).all()


def test_a_large_picture_is_made_smaller_and_a_thin_one_refused():
    large = np.zeros((1000, 4096, 4), np.uint8)
    assert prepare_picture(large, "x").shape == (500, 2048, 4)
    with pytest.raises(PictureError, match="4096×80"):
        prepare_picture(large[:80], "x")


def test_clicks_are_judged_in_the_pixels_that_the_user_sees(tmp_path):
    character = open_character("bruno")
    large = np.asarray(Image.fromarray(drawn_face(character)[..., :3]).resize((3000, 3000)))
    Image.fromarray(large).save(tmp_path / "b.png")
    points = character.points_xy / 1024 * 3000
    clicks = clicks_on(points, ("left-eye", "right-eye", "nose", "chin"))
    made = make_character(tmp_path / "b.png", Wish(clicks=clicks, keep_background=True))
    assert made.character.size_wh == (2048, 2048) and made.background == "kept as asked"
    assert np.linalg.norm(made.character.points_xy[30] - points[30] * 2048 / 3000) < 6
    with pytest.raises(LandmarkError, match="nose at 3001,5 is outside the picture"):
        make_character(tmp_path / "b.png", Wish(clicks={**clicks, "nose": (3001.0, 5.0)}))


def test_a_ground_that_cannot_be_cut_cleanly_is_kept(tmp_path):
    character = open_character("bruno")
    picture = drawn_face(character)
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    blue = (picture[..., :3] == (40, 90, 160)).all(axis=-1)
    picture[blue, :3] = noise[blue]
    Image.fromarray(picture[..., :3]).save(tmp_path / "b.png")
    clicks = clicks_on(character.points_xy / 2, ("left-eye", "right-eye", "nose", "chin"))
    made = make_character(tmp_path / "b.png", Wish(clicks=clicks, kind="toy"))
    assert made.background.startswith("kept") and (made.character.rgba[..., 3] == 255).all()
    forced = make_character(tmp_path / "b.png", Wish(clicks=clicks, kind="toy", matte="grabcut"))
    assert forced.background == "cut away by grabcut" and (forced.character.rgba[..., 3] == 0).any()
