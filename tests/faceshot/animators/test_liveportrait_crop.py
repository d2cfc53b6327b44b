"""Squares around faces, crops and the way back, against the published ones and on real pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from faceshot.animators.liveportrait.crop import (
    CROP_PX,
    Square,
    cut,
    face_square,
    from_box,
    into_square,
    network_input,
    whole,
)
from faceshot.animators.liveportrait.driver_crop import DriverCrop
from faceshot.animators.liveportrait.paste import Paster, feather, spread
from faceshot.animators.liveportrait.ratios import ratios_of_character, ratios_of_mesh
from faceshot.character import open_character
from faceshot.puppeteer import MotionSettings, Puppeteer
from faceshot.topology import MEDIAPIPE_TO_70
from faceshot.tracker import detect_face

COUNTS = (5, 9, 68, 101, 106, 203)
HUMAN_LIKE = ("s0", "s6", "s7", "s9", "s10")


def npz(folder: Path, name: str) -> dict[str, np.ndarray]:
    return dict(np.load(folder / "liveportrait" / f"{name}.npz"))


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("src", {"scale": 2.3, "up": 0.125}),
        ("drv", {"scale": 2.2, "up": 0.1}),
        ("lmk", {"scale": 1.5, "up": 0.1}),
        ("vx", {"scale": 2.0, "up": -0.05, "across": 0.1}),
        ("eyes", {"scale": 2.0, "up": 0.0, "by_mouth": False}),
    ],
)
def test_squares_are_the_published_ones(shared_golden: Path, count: int, name: str, settings: dict) -> None:
    golden = npz(shared_golden, "crop")
    square = face_square(golden[f"{count}/pts"], **settings)
    x, y, width, height, angle = golden[f"{count}/{name}/rect"]
    assert width == height
    # The published program calculates in 32 bits: at 700 pixels that is 6e-5.
    assert np.allclose((square.x, square.y, square.side), (x, y, width), rtol=0, atol=2e-4)
    assert square.angle == pytest.approx(angle, abs=5e-6)
    assert np.allclose(square.corners, golden[f"{count}/{name}/bbox_rot"], rtol=0, atol=1e-3)
    assert np.allclose(square.upright.corners, golden[f"{count}/{name}/bbox"], rtol=0, atol=2e-4)


@pytest.mark.parametrize("count", COUNTS)
def test_the_way_into_the_crop_and_back_is_the_published_one(shared_golden: Path, count: int) -> None:
    golden = npz(shared_golden, "crop")
    square = face_square(golden[f"{count}/pts"], 2.3, 0.125)
    for turned, name in ((square, "crop512_rot1"), (square.upright, "crop512_rot0")):
        there = into_square(turned)
        assert np.allclose(there, golden[f"{count}/{name}/M_o2c"], rtol=0, atol=2e-3)
        assert np.allclose(np.linalg.inv(there), golden[f"{count}/{name}/M_c2o"], rtol=0, atol=1e-3)
        points = golden[f"{count}/pts"] @ there[:2, :2].T + there[:2, 2]
        assert np.allclose(points, golden[f"{count}/{name}/pt_crop"], atol=1e-3)


def test_the_square_of_all_mesh_points_is_the_published_one(shared_golden: Path) -> None:
    golden = npz(shared_golden, "flp")
    square = face_square(golden["pts478"], 2.3, 0.125)
    assert np.allclose((square.x, square.y, square.side), golden["rect478"][:3], rtol=1e-6)
    assert square.angle == pytest.approx(golden["rect478"][4], abs=1e-6)


def warped(picture: np.ndarray, there: np.ndarray, size_wh: tuple[int, int]) -> np.ndarray:
    """What OpenCV 5 samples: bilinear at the exact place (before, at 1/32 of a pixel), black outside.

    Args:
        there: (3, 3) from the picture's pixels to those of the result.
    """
    across, down = np.meshgrid(np.arange(size_wh[0]), np.arange(size_wh[1]))
    x, y, _ = np.tensordot(np.linalg.inv(there), np.stack([across, down, np.ones_like(down)]), 1)
    padded = np.pad(picture.astype(np.float64), ((1, 1), (1, 1), (0, 0)))
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)

    def at(row: np.ndarray, column: np.ndarray) -> np.ndarray:
        return padded[np.clip(row + 1, 0, len(padded) - 1), np.clip(column + 1, 0, padded.shape[1] - 1)]

    right, below = (x - left)[..., None], (y - top)[..., None]
    upper = (1 - right) * at(top, left) + right * at(top, left + 1)
    return (1 - below) * upper + below * ((1 - right) * at(top + 1, left) + right * at(top + 1, left + 1))


def test_crops_by_points_and_by_a_box_are_the_published_ones(shared_golden: Path) -> None:
    golden = npz(shared_golden, "crop")
    square, box = face_square(golden["img_pts"], 2.3, 0.125), from_box(10, 5, 90, 85)
    there, into_box = into_square(square, 64), into_square(box, 64)
    assert np.allclose(np.linalg.inv(there), golden["img_M_c2o"], rtol=0, atol=5e-5)
    assert np.allclose(into_box, golden["bybbox_M_o2c"])
    points = golden["img_pts"] @ into_box[:2, :2].T + into_box[:2, 2]
    assert np.abs(points - golden["bybbox_lmk"]).max() < 5e-6
    for where, matrix, want in ((square, there, "img_crop64"), (box, into_box, "bybbox_img")):
        exact = warped(golden["img"], matrix, (64, 64))
        assert np.abs(exact - golden[want]).max() <= 0.5 + 5e-3  # rounded to a grey level
        assert np.abs(cut(golden["img"], where, 64) - exact).max() < 5  # OpenCV before version 5


def test_pasting_is_the_published_one(shared_golden: Path) -> None:
    golden = npz(shared_golden, "crop")
    square = face_square(golden["img_pts"], 2.3, 0.125)
    back, size_wh = np.linalg.inv(into_square(square, 64)), (120, 96)
    # Rounded to grey levels between the steps, cut off at the end.
    mask = np.round(warped(golden["mask64"], back, size_wh)) / 255
    assert np.abs(mask - golden["mask_ori"]).max() < 5e-6
    pasted = mask * np.round(warped(golden["face64"], back, size_wh)) + (1 - mask) * golden["img"]
    assert np.abs(np.floor(pasted + 1e-6) - golden["pasted"]).max() <= 1
    assert (np.floor(pasted + 1e-6) != golden["pasted"]).mean() < 2e-3
    paster = Paster(size_wh, square, np.ascontiguousarray(golden["mask64"][..., 0]))
    shown = np.zeros((96, 120), np.float32)
    shown[paster.part] = paster.shown
    assert np.abs(shown - golden["mask_ori"][..., 0]).max() < 0.02
    canvas = golden["img"].copy()
    paster.paste(canvas, golden["face64"])
    assert np.abs(canvas - pasted).max() <= 8  # OpenCV before version 5
    assert np.abs(canvas - pasted).mean() < 1


def test_the_edge_is_soft_over_a_sixteenth_of_a_side() -> None:
    mask = feather()
    assert mask[256, 256] == mask[16, 256] == mask[495, 100] == 255
    assert mask[256, 0] == mask[0, 0] == 0
    assert mask[256, 8] == 127
    assert mask[4, 4] == 0  # corners are round
    assert (np.diff(mask[256, :17].astype(int)) >= 0).all()


@pytest.mark.media
@pytest.mark.parametrize("name", HUMAN_LIKE)
def test_an_unchanged_crop_gives_the_picture_back(shared_media: Path, name: str) -> None:
    """With an identity in the place of the networks: outside the soft edge nothing changes, inside only sampling."""
    character = open_character(str(shared_media / "characters" / f"{name}.jpg"))
    square = face_square(character.points_xy[:68], 2.3, 0.125)
    paster = Paster(character.size_wh, square, feather())
    canvas = character.rgba.copy()
    paster.paste(canvas, cut(character.rgba, square))
    changed = np.abs(canvas.astype(int) - character.rgba).max(axis=2)
    shown = np.zeros(changed.shape, np.float32)
    shown[paster.part] = paster.shown
    assert changed[shown == 0].max(initial=0) <= 1
    assert changed.mean() < 3
    # The face is whole, upright and in the middle of the crop.
    crop = cut(character.rgba, square)[..., :3]
    face = detect_face(np.ascontiguousarray(crop))
    assert face.points_xyz is not None
    eyes = face.points_xyz[[33, 263], :2]
    assert abs(np.degrees(np.arctan2(*(eyes[1] - eyes[0])[::-1]))) < 8
    middle = face.points_xyz[MEDIAPIPE_TO_70[:68], :2].mean(axis=0)
    assert np.abs(middle - (256, 290)).max() < 40
    assert 0.35 < np.ptp(face.points_xyz[MEDIAPIPE_TO_70[:68], 1]) / CROP_PX < 0.5


@pytest.mark.media
def test_openings_from_the_70_points_are_those_of_the_mesh(shared_media: Path) -> None:
    for name in HUMAN_LIKE:
        character = open_character(str(shared_media / "characters" / f"{name}.jpg"))
        mesh = detect_face(np.ascontiguousarray(character.rgba[..., :3])).points_xyz
        assert mesh is not None
        exact, ours = ratios_of_mesh(mesh), ratios_of_character(character)
        assert ours is not None
        assert np.abs(exact.eyes - ours.eyes).max() < 0.05, name
        assert ours.lips == pytest.approx(exact.lips, abs=0.005)


@pytest.mark.media
def test_a_drive_with_a_crop_says_how_open_eyes_and_lips_are(shared_media: Path) -> None:
    """Swapped when motion is mirrored; nothing is said of what shows no crop."""
    character = open_character(str(shared_media / "characters" / "s9.jpg"))
    face = detect_face(np.ascontiguousarray(character.rgba[..., :3]))
    assert face.points_xyz is not None
    face.points_xyz[145] = face.points_xyz[159]  # the image-left eye is shut
    seen = replace(face, crop=np.zeros((256, 256, 3), np.uint8))
    want = ratios_of_mesh(face.points_xyz)
    assert want.eyes[0] < 0.05 < 0.15 < want.eyes[1]
    for mirror, expected in ((False, [*want.eyes, want.lips]), (True, [*want.eyes[::-1], want.lips])):
        openings = Puppeteer(character, MotionSettings(mirror=mirror)).step(seen, 1 / 30).openings
        assert openings is not None
        assert openings.tolist() == pytest.approx(expected)
    assert Puppeteer(character).step(face, 1 / 30).openings is None
    pointless = replace(seen, points_xyz=None, blendshapes=np.zeros(52, np.float32))
    assert Puppeteer(character).step(pointless, 1 / 30).openings is None


def test_a_whole_picture_and_squares_beyond_the_edge() -> None:
    picture = np.full((60, 100, 4), 200, np.uint8)
    square = whole((100, 60))
    assert square == Square(50, 30, 100)
    crop = cut(picture, square, edge=True)
    assert crop.min() == 200
    canvas = picture.copy()
    Paster((100, 60), square, None).paste(canvas, crop)
    assert np.abs(canvas.astype(int) - picture).max() <= 1
    outside = Paster((100, 60), Square(-500, 30, 40), feather())
    outside.paste(canvas, np.zeros((512, 512, 4), np.uint8))
    assert np.abs(canvas.astype(int) - picture).max() <= 1
    assert network_input(crop).shape == (256, 256, 4)


def test_colours_are_spread_under_what_is_transparent() -> None:
    rgba = np.zeros((64, 64, 4), np.uint8)
    rgba[16:48, 16:48] = (200, 100, 50, 255)
    filled = spread(rgba)
    assert np.array_equal(filled[20, 20], (200, 100, 50))
    assert np.abs(filled.astype(int) - (200, 100, 50)).max() <= 2
    opaque = np.full((4, 4, 4), 255, np.uint8)
    assert np.array_equal(spread(opaque), opaque[..., :3])


def mesh(x: float = 320, y: float = 240, size: float = 100) -> np.ndarray:
    """A face mesh as wide as `size` around a point."""
    points = np.zeros((478, 3), np.float32)
    angles = np.linspace(0, 2 * np.pi, 478, endpoint=False)
    points[:, 0] = x + size / 2 * np.cos(angles)
    points[:, 1] = y + size / 2 * np.sin(angles)
    for index, (dx, dy) in {33: (-0.2, -0.2), 263: (0.2, -0.2), 61: (-0.15, 0.2), 291: (0.15, 0.2)}.items():
        points[index, :2] = x + dx * size, y + dy * size
    for index in (133, 362):
        points[index, :2] = x, y - 0.2 * size
    return points


PICTURE = np.zeros((480, 640, 3), np.uint8)


def test_the_drivers_square_stands_still_while_the_face_moves_a_little() -> None:
    window = DriverCrop()
    squares = [window.crop(PICTURE, mesh(320 + 3 * (i % 3)), 33 * i)[1] for i in range(30)]
    assert squares[10] == squares[29]
    assert squares[10][2] == pytest.approx(2.2 * 100, rel=0.05)
    moved = [window.crop(PICTURE, mesh(335, 245, 105), 1000 + 33 * i)[1] for i in range(30)]
    assert set(moved) == {squares[10]}


def test_the_drivers_square_follows_slowly_and_quickly_before_the_face_leaves() -> None:
    def followed(x: float) -> float:
        window = DriverCrop()
        for i in range(12):
            start = window.crop(PICTURE, mesh(320), 33 * i)[1]
        for i in range(12, 27):
            end = window.crop(PICTURE, mesh(x), 33 * i)[1]
        return end[0] - start[0]

    assert 0 < followed(360) < 10  # half a second after a step of 40 px
    assert followed(420) > 40
    assert followed(320) == 0


def test_the_drivers_square_is_set_anew_after_a_long_absence_and_after_a_reset() -> None:
    window = DriverCrop()
    for i in range(12):
        first = window.crop(PICTURE, mesh(200), 33 * i)[1]
    again = window.crop(PICTURE, mesh(450), 10_000)[1]
    assert again[0] - first[0] == pytest.approx(250, abs=1)
    window.reset()
    assert window.crop(PICTURE, mesh(100), 10_033)[1][0] == pytest.approx(100, abs=3)


def test_the_drivers_crop_shows_the_edge_of_the_picture_where_there_is_none() -> None:
    bright = np.full((480, 640, 3), 180, np.uint8)
    crop, _ = DriverCrop().crop(bright, mesh(10, 10), 0)
    assert crop.shape == (256, 256, 3)
    assert crop.min() == 180
