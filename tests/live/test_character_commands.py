"""`faceshot character new` as a user types it: every kind of picture and of mistake, and what is left on disk."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from PIL import Image

from faceshot.character import open_character, read_character
from live import cli
from tests.faceshot.faces import clicks_on, drawn_face

CLICKED = ("left-eye", "right-eye", "nose", "mouth", "chin", "left-jaw", "right-jaw")


@pytest.fixture(scope="module")
def bear():
    character = open_character("bruno")
    return drawn_face(character), character.points_xy / 2


@pytest.fixture(scope="module")
def woman():
    character = open_character("ada")
    return drawn_face(character), character.points_xy / 2


def words(points, names=CLICKED):
    return " ".join(f"{name}={x:.1f},{y:.1f}" for name, (x, y) in clicks_on(points, names).items())


def save(path, rgba, **options):
    Image.fromarray(rgba[..., :3]).save(path, **options)
    return path


def run(capsys, *args):
    code = cli.main(["character", "new", *map(str, args)])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_face_becomes_a_character_by_itself(tmp_path, capsys, woman):
    image = save(tmp_path / "me.png", woman[0])
    before = image.read_bytes()
    code, out, _ = run(capsys, image)
    assert code == 0
    made = read_character(tmp_path / "me.faceshot")
    assert made.provenance["landmarks"]["matcher"] == "mediapipe" and made.kind == "human"
    assert "matcher" in out and "mediapipe" in out and "% sure" in out and "faceshot character edit" in out
    assert image.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["me.faceshot", "me.png"]


def test_clicks_make_a_character_of_a_bear(tmp_path, capsys, bear):
    rgba, points = bear
    image = save(tmp_path / "bear.jpg", rgba, quality=95)
    code, out, _ = run(capsys, image, "--clicks", words(points), "--kind", "toy", "--json")
    assert code == 0
    facts = json.loads(out)
    assert facts["matcher"] == "fit" and facts["kind"] == "toy" and facts["parts"]["mouth"] > 0.5
    made = read_character(facts["file"])
    assert np.linalg.norm(made.points_xy - points, axis=1)[made.visible].mean() < 12
    assert facts["background"] == "cut away by grabcut" and (made.rgba[..., 3] == 0).mean() > 0.2
    assert "mediapipe" not in facts["not_used"]  # what was given by hand goes first


def test_the_background_stays_when_asked(tmp_path, capsys, bear):
    rgba, points = bear
    image = save(tmp_path / "bear.png", rgba)
    assert run(capsys, image, "--clicks", words(points), "--keep-background")[0] == 0
    made = read_character(tmp_path / "bear.faceshot")
    assert (made.rgba == rgba).all()


def test_the_matte_threshold_is_obeyed(tmp_path, capsys, bear):
    rgba, points = bear
    image = save(tmp_path / "bear.png", rgba)
    areas = []
    for threshold in (0.1, 0.9):
        out = tmp_path / f"{threshold}.faceshot"
        code, *_ = run(capsys, image, "-o", out, "--clicks", words(points), "--matte-threshold", threshold)
        assert code == 0
        areas.append(read_character(out).rgba[..., 3].astype(float).mean())
    assert areas[0] > areas[1] + 1


def test_landmarks_from_a_file_at_any_size_and_orientation(tmp_path, capsys, bear):
    """A large photograph lying on its side: points are in pixels of the upright picture, and follow it down."""
    rgba, points = bear
    large = cv2.resize(rgba, (3072, 3072))
    exif = Image.Exif()
    exif[274] = 6  # to be turned 90° clockwise
    image = save(tmp_path / "big.jpg", np.ascontiguousarray(np.rot90(large)), exif=exif, quality=90)
    (tmp_path / "p.json").write_text(json.dumps({"landmarks": (points * 6).tolist(), "kind": "toy"}))
    code, out, _ = run(capsys, image, "--landmarks", tmp_path / "p.json", "--keep-background", "--json")
    assert code == 0 and json.loads(out)["matcher"] == "file"
    made = read_character(tmp_path / "big.faceshot")
    assert made.size_wh == (2048, 2048) and made.kind == "toy"
    np.testing.assert_allclose(made.points_xy, points * 4, atol=0.1)
    small = cv2.resize(made.rgba, (512, 512), interpolation=cv2.INTER_AREA)
    assert np.abs(small[..., :3].astype(int) - rgba[..., :3]).mean() < 6  # upright


def test_a_grey_picture_is_a_picture(tmp_path, capsys, woman):
    grey = cv2.cvtColor(woman[0][..., :3], cv2.COLOR_RGB2GRAY)
    Image.fromarray(grey, "L").save(tmp_path / "grey.png")
    assert run(capsys, tmp_path / "grey.png")[0] == 0


def test_a_wide_picture_keeps_its_shape(tmp_path, capsys, woman):
    wide = np.zeros((512, 1600, 4), np.uint8) + np.uint8(40)
    wide[..., 3] = 255
    wide[:, 900:1412] = woman[0]
    code, *_ = run(capsys, save(tmp_path / "wide.png", wide))
    made = read_character(tmp_path / "wide.faceshot")
    assert code == 0 and made.size_wh == (1600, 512) and made.points_xy[:, 0].min() > 900


BAD_FILES = [
    ({"landmarks": [[1, 2]] * 67}, "68 or 70 pairs"),
    ({"landmarks": [[float(i), float(i)] for i in range(69)] + [[9000, 10]]}, "landmark 69 at [9000.0, 10.0]"),
    ({"landmarks": [[3, 3]] * 68}, "span less than 8 pixels"),
    ({"landmarks": "none"}, "cannot be used"),
    ({"points": []}, "has no `landmarks`"),
]


@pytest.mark.parametrize(("content", "says"), BAD_FILES, ids=["67", "outside", "one place", "a word", "something else"])
def test_landmark_files_that_cannot_be_used(tmp_path, capsys, bear, content, says):
    image = save(tmp_path / "bear.png", bear[0])
    (tmp_path / "p.json").write_text(json.dumps(content))
    code, _, err = run(capsys, image, "--landmarks", tmp_path / "p.json")
    assert code == 1 and says in err and "68 or 70 points" in err and "Traceback" not in err
    assert not (tmp_path / "bear.faceshot").exists()


def test_a_landmark_file_that_is_not_there(tmp_path, capsys, bear):
    image = save(tmp_path / "bear.png", bear[0])
    code, _, err = run(capsys, image, "--landmarks", tmp_path / "nowhere.json")
    assert code == 1 and "nowhere.json" in err and "68 or 70 points" in err


@pytest.mark.parametrize(
    ("size", "says"),
    [
        ((20_000, 20_000), "400 megapixels, at most 64 megapixels are allowed"),
        ((20_000, 5_000), "20000×5000, at most 64 megapixels"),
        ((20_000, 200), "too long and thin: 20000×200"),
        ((40, 40), "too small: 40×40"),
    ],
)
def test_pictures_of_impossible_size(tmp_path, capsys, size, says):
    Image.new("1", size).save(tmp_path / "odd.png")
    code, _, err = run(capsys, tmp_path / "odd.png")
    assert code == 1 and says in err and "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["odd.png"]


def test_a_picture_of_one_colour(tmp_path, capsys):
    Image.new("RGB", (300, 300), "teal").save(tmp_path / "flat.png")
    code, _, err = run(capsys, tmp_path / "flat.png")
    assert code == 1 and "one colour only" in err and not (tmp_path / "flat.faceshot").exists()


def test_no_face_says_what_was_tried_and_what_helps(tmp_path, capsys):
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    code, _, err = run(capsys, tmp_path / "noise.png")
    assert code == 1 and "mediapipe" in err and "diffusion" in err and "faceshot character edit" in err


def test_what_is_there_already_is_not_replaced(tmp_path, capsys, woman):
    image = save(tmp_path / "me.png", woman[0])
    (tmp_path / "me.faceshot").write_bytes(b"precious")
    code, _, err = run(capsys, image)
    assert code == 1 and "--overwrite" in err and (tmp_path / "me.faceshot").read_bytes() == b"precious"
    assert run(capsys, image, "--overwrite")[0] == 0
    assert read_character(tmp_path / "me.faceshot").name == "me"


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (("--kind", "dragon"), 2, "human, anime, animal, emoji, toy"),
        (("--matcher", "magic"), 2, "file, mediapipe, diffusion, fit"),
        (("--matte", "grabkut"), 2, "Did you mean grabcut?"),
        (("--matte-threshold", "3"), 2, "less than or equal to 1"),
        (("--clicks", "nose=1,2"), 1, "1 click was given"),
        (("--clicks", "nose"), 1, "left-eye=120,80"),
        (("--matcher", "fit"), 1, "no clicks were given"),
        (("-o", "out.png"), 1, ".faceshot"),
        (("-o", "/nowhere/at/all.faceshot"), 1, "no such folder"),
        (("--matte", "alpha"), 1, "no transparent pixels"),
    ],
)
def test_options_that_make_no_sense(tmp_path, capsys, woman, monkeypatch, args, code, says):
    monkeypatch.chdir(tmp_path)
    image = save(tmp_path / "me.png", woman[0])
    got, _, err = run(capsys, image, *args)
    assert got == code and says in err and "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["me.png"]


def test_a_character_is_not_a_picture(tmp_path, capsys):
    code, _, err = run(capsys, tmp_path / "x.faceshot", "-o", tmp_path / "y.faceshot")
    assert code == 1 and "faceshot character edit" in err


def test_edit_says_at_once_what_it_cannot_open(tmp_path, capsys):
    assert cli.main(["character", "edit", str(tmp_path / "no.png"), "--no-open"]) == 1
    assert "There is no file" in capsys.readouterr().err
    assert cli.main(["character", "edit", "misso", "--no-open"]) == 1
    assert "Did you mean miso?" in capsys.readouterr().err
