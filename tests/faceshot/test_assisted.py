"""From a few clicks to 70 points: measured on pictures that were labelled by hand, and every click that is no good."""

from __future__ import annotations

import numpy as np
import pytest

from faceshot.assisted import CLICKS, MAX_CLICKS, RECOMMENDED, AssistedFit, fit, parse_clicks
from faceshot.character import open_character
from faceshot.errors import LandmarkError
from faceshot.shapes import shapes
from faceshot.topology import MIRROR_70
from tests.faceshot.faces import LABELLED, clicks_as_asked, clicks_on, drawn_face, eye_distance, labelled, near_eyes

MEAN_ERROR = 0.05  # eye distances over all labelled pictures, each fitted without its own example; measured 0.0493
MEDIAN_ERROR = 0.05


@pytest.fixture(scope="module")
def errors(shared_media):
    """Mean error of each labelled picture with the seven recommended clicks, its own example left out."""
    found = {}
    for name in LABELLED:
        picture = labelled(name, shared_media)
        clicks = clicks_on(picture.points, RECOMMENDED)
        result = fit(picture.rgb, clicks, picture.kind, without=(name,))
        found[name] = near_eyes(result.points_xy, picture.points)[picture.visible].mean()
    return found


@pytest.mark.media
def test_seven_clicks_are_enough_for_unseen_pictures(errors):
    assert len(errors) >= 10
    assert np.mean(list(errors.values())) <= MEAN_ERROR, errors
    assert np.median(list(errors.values())) <= MEDIAN_ERROR, errors


@pytest.mark.media
def test_the_corners_of_the_mouth_bring_the_worst_down(errors, shared_media):
    """Nine clicks; measured 0.046 over all labelled pictures, three of them looked at here."""
    for name in ("s22", "s38", "s10"):
        picture = labelled(name, shared_media)
        clicks = clicks_on(picture.points, (*RECOMMENDED, "mouth-left", "mouth-right"))
        result = fit(picture.rgb, clicks, picture.kind, without=(name,))
        assert near_eyes(result.points_xy, picture.points)[picture.visible].mean() < 0.95 * errors[name]


@pytest.mark.media
def test_brows_do_not_creep_away_look_by_look(shared_media):
    """A Shiba's bright brows, far from where the other examples have them. Each used to be looked for alone, around
    where the look before had seen it: with nine clicks both went up and out, measured 0.35 off; now 0.16."""
    picture = labelled("s25", shared_media)
    clicks = clicks_on(picture.points, (*RECOMMENDED, "mouth-left", "mouth-right"))
    result = fit(picture.rgb, clicks, picture.kind, without=("s25",))
    off = near_eyes(result.points_xy, picture.points)
    assert off[17:27].mean() < 0.22 and off[picture.visible].mean() < 0.065


@pytest.mark.media
def test_where_on_its_edge_a_face_is_clicked_does_not_matter(errors, shared_media):
    """The page asks for the edge beside the nose, the labels have their third point higher or lower: 0.0507."""
    found = []
    for name in LABELLED:
        picture = labelled(name, shared_media)
        result = fit(picture.rgb, clicks_as_asked(picture.points, RECOMMENDED), picture.kind, without=(name,))
        found.append(near_eyes(result.points_xy, picture.points)[picture.visible].mean())
    assert np.mean(found) < 1.05 * np.mean(list(errors.values())), found


@pytest.mark.media
def test_the_picture_helps(errors, shared_media):
    blind = []
    for name in LABELLED:
        picture = labelled(name, shared_media)
        clicks = clicks_on(picture.points, RECOMMENDED)
        result = fit(picture.rgb, clicks, picture.kind, without=(name,), use_picture=False)
        blind.append(near_eyes(result.points_xy, picture.points)[picture.visible].mean())
    assert np.mean(list(errors.values())) < 0.9 * np.mean(blind)


@pytest.mark.media
def test_an_unsteady_hand_costs_little(errors, shared_media):
    rng = np.random.default_rng(3)
    costs = []
    for name in ("s7", "s23", "s40"):
        picture = labelled(name, shared_media)
        noise = 0.02 * eye_distance(picture.points)
        clicks = clicks_on(picture.points, RECOMMENDED)
        shaky = {key: tuple(np.array(xy) + rng.normal(0, noise, 2)) for key, xy in clicks.items()}
        result = fit(picture.rgb, shaky, picture.kind, without=(name,))
        costs.append(near_eyes(result.points_xy, picture.points)[picture.visible].mean() - errors[name])
    assert np.mean(costs) < 0.03


@pytest.mark.parametrize("name", ["mika", "bruno", "miso"])
def test_drawn_characters_without_their_own_example(name):
    character = open_character(name)
    picture = drawn_face(character)
    points = character.points_xy / 2
    result = fit(picture[..., :3], clicks_on(points, RECOMMENDED), character.kind, without=(name,))
    seen = near_eyes(result.points_xy, points)[character.visible]
    assert seen.mean() < 0.11  # drawn outlines begin above the eyes
    for click in ("nose", "chin"):  # what was clicked is where it was clicked
        index = next(iter(CLICKS[click]))
        assert np.linalg.norm(result.points_xy[index] - points[index]) < 3


def test_more_clicks_make_it_surer_and_better():
    character = open_character("ember")
    rgb, points = drawn_face(character)[..., :3], character.points_xy / 2
    few = fit(rgb, clicks_on(points, RECOMMENDED[:4]), "animal", without=("ember",))
    many = fit(rgb, clicks_on(points, (*RECOMMENDED, "mouth-left", "mouth-right")), "animal", without=("ember",))
    assert many.confidence.mean() > few.confidence.mean()
    assert near_eyes(many.points_xy, points).mean() < near_eyes(few.points_xy, points).mean()
    assert few.confidence[0] < 0.5  # nobody said where the cheek ends


@pytest.mark.parametrize(("turn_deg", "scale"), [(25, 1.0), (-40, 0.5), (0, 1.7)])
def test_the_fit_turns_and_grows_with_the_clicks(turn_deg, scale):
    shape = shapes()["ada"]
    turn = np.exp(1j * np.radians(turn_deg)) * 80 * scale
    z = (shape.points[:, 0] + 1j * shape.points[:, 1]) * turn + complex(300, 250)
    points = np.stack([z.real, z.imag], axis=1)
    blank = np.zeros((600, 600, 3), np.uint8)
    result = fit(blank, clicks_on(points, RECOMMENDED), "human", use_picture=False)
    assert near_eyes(result.points_xy, points).mean() < 0.06


def test_a_flipped_picture_gives_the_flipped_points():
    character = open_character("miso")
    rgb, points = drawn_face(character)[..., :3], character.points_xy / 2
    flipped = points[MIRROR_70] * [-1, 1] + [512, 0]
    one = fit(rgb, clicks_on(points, RECOMMENDED), "animal")
    other = fit(np.ascontiguousarray(rgb[:, ::-1]), clicks_on(flipped, RECOMMENDED), "animal")
    back = other.points_xy[MIRROR_70] * [-1, 1] + [512, 0]
    assert near_eyes(back, one.points_xy).mean() < 0.04


def test_it_is_a_matcher():
    character = open_character("miso")
    rgb, points = drawn_face(character)[..., :3], character.points_xy / 2
    stages = []
    result = AssistedFit(clicks_on(points, RECOMMENDED))(rgb, lambda *step: stages.append(step))
    assert result.matcher == "fit" and result.points_xy.shape == (70, 2) and stages
    assert set(result.details["clicks"]) == set(RECOMMENDED)


def test_what_the_kind_lacks_is_left_out():
    character = open_character("sunny")
    clicks = clicks_on(character.points_xy / 2, ("left-eye", "right-eye", "mouth", "chin", "left-jaw", "right-jaw"))
    result = fit(drawn_face(character)[..., :3], clicks, "emoji")
    assert not result.visible[27:36].any() and result.visible[48:68].all()  # no nose, but a mouth


GOOD = {"left-eye": (100, 100), "right-eye": (200, 100), "nose": (150, 150), "mouth": (150, 190)}


@pytest.mark.parametrize(
    ("clicks", "says"),
    [
        ({k: v for k, v in GOOD.items() if k != "nose"}, "3 clicks were given; 4 to 9 are needed"),
        ({name: (i * 7.0, i * 5.0) for i, name in enumerate(list(CLICKS)[: MAX_CLICKS + 1])}, "10 clicks were given"),
        ({**GOOD, "left-ey": (1, 2)}, "no click 'left-ey'"),
        ({**GOOD, "chin": (150, 999)}, "chin at 150,999 is outside the picture (300×300)"),
        ({**GOOD, "chin": (-4, 10)}, "outside the picture"),
        ({**GOOD, "chin": (float("nan"), 10)}, "not a pair of numbers"),
        (dict.fromkeys(GOOD, (50.0, 50.0)), "on top of each other"),
        ({**GOOD, "left-eye": (200, 100), "right-eye": (100, 100)}, "left-eye lies to the right of right-eye"),
    ],
)
def test_clicks_that_no_face_fits(clicks, says):
    with pytest.raises(LandmarkError, match=__import__("re").escape(says)) as caught:
        fit(np.zeros((300, 300, 3), np.uint8), clicks)
    assert caught.value.hint


def test_clicks_as_text():
    assert parse_clicks("left-eye=1,2  nose=3.5,4") == {"left-eye": (1.0, 2.0), "nose": (3.5, 4.0)}
    assert parse_clicks('{"left-eye": [1, 2]}') == {"left-eye": (1.0, 2.0)}


@pytest.mark.parametrize(
    "text", ["left-eye", "left-eye=1", "left-eye=1,b", "left-eye=1,2 left-eye=3,4", "{", '{"a": 1}']
)
def test_text_that_is_no_clicks(text):
    with pytest.raises(LandmarkError) as caught:
        parse_clicks(text)
    assert "left-eye=120,80" in caught.value.hint
