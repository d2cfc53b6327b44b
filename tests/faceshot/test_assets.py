"""The bundled characters and clips are what the program promises of them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import faceshot
from faceshot.character import bundled_names, open_character
from faceshot.motion_clip import MotionClip, bundled_clips, open_clip
from faceshot.topology import ARKIT_INDEX, JAW, MIRROR_70, PUPIL_LEFT, PUPIL_RIGHT
from faceshot.types import Character

ASSETS = Path(faceshot.__file__).parent / "assets"


@pytest.fixture(scope="module", params=bundled_names())
def character(request: pytest.FixtureRequest) -> Character:
    return open_character(request.param)


@pytest.fixture(scope="module", params=bundled_clips())
def clip(request: pytest.FixtureRequest) -> MotionClip:
    return open_clip(request.param)


def test_there_are_eight_of_different_kinds() -> None:
    assert set(bundled_names()) >= {"mika", "miso", "bruno", "sunny", "bolt", "ember", "ada", "luna"}
    assert bundled_names()[0] == "mika"
    assert {open_character(name).kind for name in bundled_names()} == {"anime", "animal", "toy", "emoji", "human"}


def test_the_package_stays_small() -> None:
    sizes = [path.stat().st_size for path in (ASSETS / "characters").glob("*.faceshot")]
    assert max(sizes) <= 700_000 and sum(sizes) < 6_000_000
    assert all(path.stat().st_size <= 500_000 for path in (ASSETS / "motions").glob("*.motion"))


def test_picture_is_a_cut_out(character: Character) -> None:
    alpha = character.rgba[..., 3]
    assert character.size_wh == (1024, 1024)
    corners = [alpha[:40, :40], alpha[:40, -40:]]
    assert all(corner.max() == 0 for corner in corners)
    # Everything between the eyes, along the mouth and at the middle of the cheeks is solid.
    x, y = character.points_xy[[*range(27, 70)]].T.round().astype(int)
    assert alpha[y, x].min() == 255
    assert 0.2 < (alpha > 127).mean() < 0.85


def test_head_has_room_to_turn(character: Character) -> None:
    rows, columns = np.nonzero(character.rgba[..., 3] > 127)
    head = rows < character.points_xy[8, 1]
    assert rows.min() >= 30
    assert columns[head].min() >= 20 and columns[head].max() <= 1004
    face_height = character.points_xy[8, 1] - character.points_xy[17:27, 1].min()
    assert 0.25 < face_height / 1024 < 0.62


def test_provenance_is_our_own(character: Character) -> None:
    assert character.provenance["licence"] == "MIT"
    assert "author" in character.provenance


def test_landmarks_are_in_order(character: Character) -> None:
    points = character.points_xy
    assert (points >= 0).all() and (points <= 1024).all()
    x, y = points.T
    for i, j in pairwise(JAW):
        assert x[j] > x[i] or min(i, 16 - j) < 3, f"face boundary {i} -> {j}"
    assert y[8] == y[list(JAW)].max()
    assert all(np.diff(x[17:22]) > 0) and all(np.diff(x[22:27]) > 0)
    assert all(np.diff(y[27:31]) > 0) and all(np.diff(x[31:36]) > 0)
    for eye in (36, 42):
        assert x[eye] < x[eye + 1] < x[eye + 2] < x[eye + 3]
        assert x[eye + 5] < x[eye + 4]
        assert y[[eye + 1, eye + 2]].max() < y[[eye + 4, eye + 5]].min()
    assert x[39] < 512 < x[42]
    assert y[17:27].max() < y[[37, 38, 43, 44]].min()
    assert y[[40, 41, 46, 47]].max() < y[33] < y[51] <= y[57] < y[8]
    assert all(np.diff(x[48:55]) > 0) and all(np.diff(x[54:60]) < 0) and all(np.diff(x[60:65]) > 0)


def test_mouth_is_closed(character: Character) -> None:
    points = character.points_xy
    width = np.linalg.norm(points[54] - points[48])
    gaps = np.linalg.norm(points[[61, 62, 63]] - points[[67, 66, 65]], axis=1)
    assert gaps.max() <= 2.0
    assert width > 60
    for upper, inner, lower in ((50, 61, 58), (51, 62, 57), (52, 63, 56)):
        assert points[upper, 1] < points[inner, 1] + 1 and points[inner, 1] < points[lower, 1]


def test_pupils_are_in_the_eyes(character: Character) -> None:
    for pupil, eye in ((PUPIL_LEFT, range(36, 42)), (PUPIL_RIGHT, range(42, 48))):
        outline, at = character.points_xy[list(eye)], character.points_xy[pupil]
        low, high = outline.min(axis=0), outline.max(axis=0)
        share = (at - low) / (high - low)
        assert (share > 0.3).all() and (share < 0.7).all()
        assert character.visible[pupil] or character.name == "Bruno", "only buttons have no pupil that moves"


def test_faces_are_symmetrical_within_their_style(character: Character) -> None:
    points = character.points_xy
    width = np.linalg.norm(points[16] - points[0])
    mirrored = points[MIRROR_70] * (-1, 1) + (1024, 0)
    # Glints and gaze make some pupils differ; everything else was drawn on one half and flipped.
    assert np.abs(mirrored - points).max() < 0.03 * width


def test_clip_is_long_enough_and_never_loses_the_face(clip: MotionClip) -> None:
    assert clip.duration_s >= 10 and clip.fps == 30
    assert all(state.found and state.blendshapes is not None and state.head is not None for state in clip.states)
    assert all(state.points_xyz is not None and len(state.points_xyz) == 478 for state in clip.states)
    assert all(state.crop is None for state in clip.states)
    assert "MIT" in clip.provenance["licence"] and clip.provenance["source"]


def _shapes(clip: MotionClip) -> np.ndarray:
    return np.array([state.blendshapes for state in clip.states])


def _points(clip: MotionClip) -> np.ndarray:
    return np.array([state.points_xyz for state in clip.states])


def test_clip_starts_calm(clip: MotionClip) -> None:
    first = _points(clip)[:30, :, :2]
    width = np.linalg.norm(first[0, 454] - first[0, 234])
    assert np.linalg.norm(first - first[0], axis=-1).mean(axis=1).max() < 0.03 * width
    names = ("jawOpen", "eyeBlinkLeft", "eyeBlinkRight", "mouthSmileLeft", "mouthPucker")
    assert _shapes(clip)[:30, [ARKIT_INDEX[n] for n in names]].max() < 0.35


def test_clip_loops_without_a_jump(clip: MotionClip) -> None:
    points = _points(clip)[..., :2]
    width = np.linalg.norm(points[0, 454] - points[0, 234])
    steps = np.linalg.norm(np.diff(points, axis=0), axis=-1).mean(axis=1)
    seam = np.linalg.norm(points[0] - points[-1], axis=-1).mean()
    assert seam < max(0.01 * width, float(np.percentile(steps, 90)))
    assert np.abs(_shapes(clip)[0] - _shapes(clip)[-1]).max() < 0.1


def _openings(clip: MotionClip) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Measured on the points, relative to the calm start: image-left eye, image-right eye, mouth gap in face widths."""
    p = _points(clip)

    def gap(a: int, b: int) -> np.ndarray:
        return np.linalg.norm(p[:, a] - p[:, b], axis=-1)

    left, right, width = gap(159, 145) / gap(33, 133), gap(386, 374) / gap(263, 362), gap(454, 234)
    return left / np.median(left[:30]), right / np.median(right[:30]), gap(13, 14) / width


def test_talking_talks_and_blinks() -> None:
    clip = open_clip("talking")
    left, right, mouth = _openings(clip)
    assert ((np.diff(np.signbit(mouth - 0.06).astype(int)) > 0).sum()) >= 8
    assert ((left < 0.5) & (right < 0.5)).any()
    assert _shapes(clip)[:, ARKIT_INDEX["jawOpen"]].max() > 0.5


def test_expressions_has_winks_blinks_brows_smile_and_turns() -> None:
    clip = open_clip("expressions")
    left, right, mouth = _openings(clip)
    shapes = _shapes(clip)
    assert ((left < 0.45) & (right > 0.85)).sum() >= 8, "wink of the image-left eye"
    assert ((right < 0.45) & (left > 0.85)).sum() >= 8, "wink of the image-right eye"
    both = (left < 0.45) & (right < 0.45)
    assert (np.diff(both.astype(int)) > 0).sum() >= 3, "blinks"
    # The blendshapes tell the same story (the subject's right eye is the image's left).
    wink = (left < 0.45) & (right > 0.85)
    assert shapes[wink, ARKIT_INDEX["eyeBlinkRight"]].min() > shapes[wink, ARKIT_INDEX["eyeBlinkLeft"]].max()
    for name in ("mouthSmileLeft", "mouthSmileRight", "browInnerUp", "mouthPucker", "jawOpen"):
        assert shapes[:, ARKIT_INDEX[name]].max() > 0.5, name
    assert mouth.max() > 0.12
    forward = np.array([state.head for state in clip.states])[:, :3, 2]
    yaw, pitch = np.degrees(np.arcsin(forward[:, 0])), np.degrees(np.arcsin(-forward[:, 1]))
    assert yaw.max() > 15 and yaw.min() < -15
    assert pitch.max() > 7 and pitch.min() < -7
    side = np.array([state.head for state in clip.states])[:, :3, 0]
    roll = np.degrees(np.arcsin(side[:, 1]))
    assert roll.max() > 6 and roll.min() < -6
