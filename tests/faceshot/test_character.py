import io
import json
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceshot import topology
from faceshot.character import (
    MAX_SIDE_PX,
    bundled_names,
    bundled_summaries,
    character_from_picture,
    open_character,
    read_character,
    read_landmarks,
    resize,
    write_character,
)
from faceshot.errors import CharacterFileError, FaceshotError, NoFace, PictureError, WeightsMissing
from faceshot.tracker import make_tracker
from faceshot.types import Character


def picture(width: int = 200, height: int = 160, alpha: int = 255) -> np.ndarray:
    rng = np.random.default_rng(0)
    rgba = rng.integers(0, 256, (height, width, 4), np.uint8)
    rgba[..., 3] = alpha
    return rgba


def points(n: int = 70) -> np.ndarray:
    xy = np.stack([np.linspace(20, 180, n), 80 + 50 * np.sin(np.arange(n))], axis=1)
    return xy.astype(np.float32)


def a_character(**changes: object) -> Character:
    visible = np.ones(70, bool)
    visible[list(topology.BROW_LEFT)] = False
    values = {
        "name": "Kätzchen",
        "rgba": picture(alpha=200),
        "points_xy": points(),
        "visible": visible,
        "kind": "animal",
        "provenance": {"landmarks": {"matcher": "manual"}, "licence": "CC0", "author": "me"},
    }
    return Character(**{**values, **changes})  # type: ignore[arg-type]


def same(one: Character, other: Character) -> bool:
    return (
        (one.name, one.kind, one.provenance) == (other.name, other.kind, other.provenance)
        and bool((one.rgba == other.rgba).all() and (one.visible == other.visible).all())
        and float(np.abs(one.points_xy - other.points_xy).max()) < 1e-3
    )


def test_a_character_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "cat.faceshot"
    arrays = {"depth": np.arange(12, dtype=np.float32).reshape(3, 4)}
    write_character(a_character(arrays=arrays), path)
    for back in (read_character(path), read_character(str(path)), read_character(path.read_bytes())):
        assert same(back, a_character())
        assert (back.arrays["depth"] == arrays["depth"]).all()
    write_character(a_character(), path)
    assert open_character(str(path)).arrays == {}


def test_a_picture_that_is_too_large_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(CharacterFileError, match=f"{MAX_SIDE_PX + 1}×64, at most {MAX_SIDE_PX}"):
        write_character(a_character(rgba=np.full((64, MAX_SIDE_PX + 1, 4), 9, np.uint8)), tmp_path / "big.faceshot")


def parts(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(entries: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return out.getvalue()


def png(width: int, height: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGBA", (width, height), (1, 2, 3, 255)).save(out, "PNG")
    return out.getvalue()


def png_that_lies(width: int, height: int) -> bytes:
    data = bytearray(png(64, 64))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    return bytes(data)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"schema_version": 2}, "schema version 2, this program reads 1"),
        ({"schema_version": None}, "'schema_version' is missing"),
        ({"landmarks": None}, "'landmarks' is missing"),
        ({"landmarks": points(69).tolist()}, "68 or 70 pairs"),
        ({"landmarks": [[1, 2, 3]] * 70}, "landmark 0 is [1, 2, 3], not a pair of numbers"),
        ({"landmarks": [[1, 2]] * 69 + [[1]]}, "damaged"),
        ({"landmarks": "all over"}, "damaged"),
        ({"landmarks": [[float("nan"), 2]] * 70}, "landmark 0"),
        ({"landmarks": [[1e300, 2]] * 70}, "landmark 0"),
        ({"landmarks": [*points(69).tolist(), [401, 10]]}, "landmark 69"),
        ({"landmarks": [*points(69).tolist(), [-201, 10]]}, "landmark 69"),
        ({"landmarks": [[50, 50]] * 70}, "span less than 8 pixels"),
        ({"visible": [True] * 69}, "`visible`"),
        ({"visible": [1] * 70}, "`visible`"),
        ({"visible": "yes"}, "`visible`"),
        ({"kind": "robot"}, "`kind` must be one of human"),
        ({"kind": ["human"]}, "`kind`"),
        ({"name": 7}, "`name`"),
        ({"name": None}, "'name' is missing"),
        ({"provenance": "me"}, "`provenance`"),
    ],
)
def test_wrong_content_is_named(changes: dict[str, object], says: str, tmp_path: Path) -> None:
    path = tmp_path / "cat.faceshot"
    write_character(a_character(), path)
    entries = parts(path)
    about = {k: v for k, v in {**json.loads(entries["character.json"]), **changes}.items() if v is not None}
    with pytest.raises(CharacterFileError) as caught:
        read_character(packed({**entries, "character.json": json.dumps(about).encode()}))
    assert says in caught.value.message and caught.value.hint
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("entry", "data"),
    [
        ("character.json", b""),
        ("character.json", b"[]"),
        ("character.json", b"null"),
        ("character.json", b"\xff\xfe"),
        ("character.json", b"[" * 100_000),
        ("character.json", b'{"schema_version": 1}'),
        ("image.png", b""),
        ("image.png", b"\x89PNG\r\n\x1a\n" + bytes(40)),
        ("image.png", png(64, 64)[:-30]),
        ("image.png", png(63, 64)),
        ("image.png", png(64, MAX_SIDE_PX + 1)),
        ("image.png", png_that_lies(2000, 2000)),
        ("image.png", png_that_lies(2**31 - 1, 2**31 - 1)),
        ("arrays.safetensors", b""),
        ("arrays.safetensors", b"\x80\x04\x95pickle"),
        ("arrays.safetensors", struct.pack("<Q", 1 << 50) + b"{}"),
    ],
)
def test_damaged_entries(entry: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cat.faceshot"
    write_character(a_character(), path)
    path.write_bytes(packed({**parts(path), entry: data}))
    with pytest.raises(CharacterFileError, match=r"cat\.faceshot is damaged") as caught:
        open_character(str(path))
    assert caught.value.hint


def test_cut_off_at_every_offset(tmp_path: Path) -> None:
    path = tmp_path / "cat.faceshot"
    write_character(a_character(rgba=np.full((160, 200, 4), 200, np.uint8)), path)
    data = path.read_bytes()
    for length in range(len(data)):
        with pytest.raises(CharacterFileError):
            read_character(data[:length])


def test_names_cannot_steer_the_terminal(tmp_path: Path) -> None:
    write_character(a_character(name="\x1b]0;evil\x07\n" + "x" * 400), tmp_path / "evil.faceshot")
    name = read_character(tmp_path / "evil.faceshot").name
    assert name.isprintable() and len(name) <= 100


# --- pictures ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def detector() -> None:
    """mediapipe from 1.0 on finds no face without its task file."""
    try:
        make_tracker().close()
    except WeightsMissing as missing:
        pytest.skip(missing.message)


def beside(folder: Path, content: object, name: str = "cat.json", size_wh: tuple[int, int] = (200, 160)) -> str:
    Image.fromarray(picture(*size_wh)).save(folder / "cat.png")
    (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return str(folder / "cat.png")


@pytest.mark.parametrize("name", ["cat.json", "cat.landmarks.json"])
def test_landmarks_placed_by_hand(name: str, tmp_path: Path) -> None:
    about = {"landmarks": points().tolist(), "kind": "animal", "visible": [i > 26 or i < 17 for i in range(70)]}
    made = open_character(beside(tmp_path, about, name))
    assert made.name == "cat" and made.kind == "animal" and made.visible.sum() == 60
    assert np.allclose(made.points_xy, points()) and made.provenance["landmarks"]["matcher"] == "manual"
    assert (made.rgba == picture()).all()


def test_68_points_get_pupils_in_the_middle_of_the_eyes(tmp_path: Path) -> None:
    visible = [True] * 68
    visible[42] = False
    for content in (points(68).tolist(), {"landmarks": points(68).tolist(), "visible": visible}):
        made = open_character(beside(tmp_path, content))
        assert np.allclose(made.points_xy[68], points(68)[36:42].mean(axis=0))
        assert np.allclose(made.points_xy[69], points(68)[42:48].mean(axis=0))
    assert made.visible[68] and not made.visible[69]


def test_landmarks_follow_a_picture_that_is_scaled_down(tmp_path: Path) -> None:
    made = open_character(beside(tmp_path, points().tolist(), size_wh=(MAX_SIDE_PX * 2, 400)))
    assert made.size_wh == (MAX_SIDE_PX, 200) and np.allclose(made.points_xy, points() / 2)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("cat.json", "{", "not a readable JSON"),
        ("cat.json", [[1, 2]] * 12, "68 or 70 pairs"),
        ("cat.json", {"landmarks": points().tolist(), "kind": "cat"}, "`kind` must be one of"),
        ("cat.json", {"landmarks": (points() * 9).tolist()}, "far outside the picture"),
        ("cat.landmarks.json", {"points": []}, "'landmarks' is missing"),
    ],
)
def test_bad_landmarks_placed_by_hand(name: str, content: object, says: str, tmp_path: Path) -> None:
    with pytest.raises(CharacterFileError) as caught:
        open_character(beside(tmp_path, content, name))
    assert says in caught.value.message and name in caught.value.message and caught.value.hint


def test_json_about_something_else_is_left_alone(detector: None, tmp_path: Path) -> None:
    with pytest.raises(NoFace):  # noise has no face: so it was searched for one
        open_character(beside(tmp_path, {"prompt": "a cat", "seed": 1}))


def test_no_face_names_the_way_by_hand(detector: None) -> None:
    with pytest.raises(NoFace) as caught:
        character_from_picture(picture(), "cat")
    text = str(caught.value)
    assert "cat.json" in text and '"landmarks"' in text and "68" in text and "editor" in text
    assert len(text.splitlines()) == 2


@pytest.mark.parametrize("name", ["s0", "s6", "s7", "s9", "s10"])
def test_pictures_with_a_face_become_characters(name: str, detector: None, shared_media: Path) -> None:
    made = open_character(str(shared_media / "characters" / f"{name}.jpg"))
    assert made.name == name and made.kind == "human" and made.visible.all()
    assert made.provenance["landmarks"]["matcher"] == "mediapipe"
    assert (made.rgba[..., 3] == 255).all()
    xy = made.points_xy
    jaw_width = float(np.linalg.norm(xy[16] - xy[0]))
    assert 40 < jaw_width < made.size_wh[0]
    brows, eyes, nose, mouth, chin = (
        xy[list(i), 1].mean() for i in (range(17, 27), range(36, 48), (30, 33), range(48, 68), (8,))
    )
    assert brows < eyes < nose < mouth < chin
    assert xy[36, 0] < xy[68, 0] < xy[39, 0] < xy[42, 0] < xy[69, 0] < xy[45, 0]


def test_a_kitten_is_no_human_face(detector: None, shared_media: Path) -> None:
    with pytest.raises(NoFace):
        open_character(str(shared_media / "characters" / "s40.jpg"))


def test_a_cut_out_keeps_its_alpha(detector: None, shared_media: Path) -> None:
    with Image.open(shared_media / "characters" / "s7.jpg") as image:
        rgba = np.array(image.convert("RGBA"))
    rgba[:, :100, 3] = 0
    made = character_from_picture(rgba, "boy")
    assert (made.rgba == rgba).all()


# --- names, sizes -----------------------------------------------------------------------------------------------------


def test_summaries_say_what_the_files_do() -> None:
    opened = [(spec, open_character(spec)) for spec in bundled_names()]
    assert [tuple(s) for s in bundled_summaries()] == [(spec, made.name, made.kind) for spec, made in opened]


def test_bundled_characters_are_sound() -> None:
    names = bundled_names()
    assert names[0] == "mika" and len(names) >= 6 and len(set(names)) == len(names)
    for name in names:
        made = open_character(name)
        assert max(made.size_wh) <= 1024 and made.rgba[..., 3].min() == 0, "bundled ones are cut out"
        assert made.provenance["licence"] and made.provenance["author"] and made.provenance["landmarks"]
        inside = (made.points_xy >= 0).all() and (made.points_xy <= np.array(made.size_wh)).all()
        assert inside, name


@pytest.mark.parametrize(
    ("spec", "says", "hints"),
    [
        ("mikka", "no character 'mikka'", "Did you mean mika?"),
        ("MIKA", "no character 'MIKA'", "Did you mean mika?"),
        ("zzzz", "no character 'zzzz'", "one of: mika"),
        ("nowhere/cat.png", "no file nowhere/cat.png", "a picture"),
        ("", "no character ''", "one of: mika"),
    ],
)
def test_unknown_characters(spec: str, says: str, hints: str) -> None:
    with pytest.raises(CharacterFileError) as caught:
        open_character(spec)
    assert says in caught.value.message and hints in caught.value.hint


def test_files_that_are_neither(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(PictureError, match=r"notes\.txt is not a picture"):
        open_character(str(tmp_path / "notes.txt"))
    with pytest.raises(FaceshotError):
        open_character(str(tmp_path))


def test_resizing_takes_the_landmarks_along() -> None:
    made = a_character(arrays={"old": np.zeros(3, np.float32)})
    assert resize(made, 200) is made and resize(made, 5000) is made
    small = resize(made, 100)
    assert small.size_wh == (100, 80) and np.allclose(small.points_xy, points() / 2)
    assert small.arrays == {} and small.name == made.name and (small.visible == made.visible).all()


def test_wflw_landmarks_are_understood(tmp_path: Path) -> None:
    wflw = np.random.default_rng(0).uniform(20, 180, (98, 2))
    (tmp_path / "wflw.json").write_text(json.dumps({"landmarks": wflw.tolist()}))
    made = read_landmarks(tmp_path / "wflw.json", (200, 200))
    assert np.abs(made.points_xy[[0, 16, 48, 68]] - wflw[[0, 32, 76, 96]]).max() < 1e-4
    assert np.abs(made.points_xy[18] - (wflw[34] + wflw[41]) / 2).max() < 1e-4
