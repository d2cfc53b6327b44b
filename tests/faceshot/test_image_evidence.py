"""What is drawn is found where it was drawn."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from faceshot.character import open_character
from faceshot.image_evidence import look
from tests.faceshot.faces import drawn_face, eye_distance


def a_face(name="mika"):
    character = open_character(name)
    return drawn_face(character)[..., :3], character.points_xy.astype(float) / 2


@pytest.mark.parametrize("name", ["luna", "bruno"])
def test_lids_that_start_too_small_grow_to_the_eye(name):
    rgb, points = a_face(name)
    unit = eye_distance(points)
    off = points.copy()
    for eye in (slice(36, 42), slice(42, 48)):
        middle = points[eye].mean(axis=0)
        off[eye] = middle + 0.75 * (points[eye] - middle) + np.array([0.02, 0.015]) * unit
    found = look(rgb, off, frozenset())
    for side in ("left-eye", "right-eye"):
        one = found[side]
        before = np.linalg.norm(off[one.indices[:6]] - points[one.indices[:6]], axis=1).mean() / unit
        after = np.linalg.norm(one.points[:6] - points[one.indices[:6]], axis=1).mean() / unit
        assert after < 0.7 * before
        assert one.trust > 0.8


def test_a_bright_eye_in_a_dark_face_is_an_eye_too():
    _, points = a_face("bruno")
    unit = eye_distance(points)
    rgb = np.full((512, 512, 3), 30, np.uint8)
    for eye in (slice(36, 42), slice(42, 48)):
        middle = points[eye].mean(axis=0)
        points[eye] = middle + 0.15 * unit * np.stack(
            [np.cos(np.radians([180, 240, 300, 0, 60, 120])), np.sin(np.radians([180, 240, 300, 0, 60, 120]))], axis=1
        )
        cv2.circle(rgb, tuple(int(v) for v in middle.round()), round(0.15 * unit), (90, 220, 230), -1, cv2.LINE_AA)
    off = points.copy()
    off[36:48] += np.array([0.04, 0.03]) * unit
    one = look(rgb, off, frozenset())["left-eye"]
    assert np.linalg.norm(one.points[:6] - points[36:42], axis=1).mean() < 0.85 * 0.05 * unit


def test_a_mouth_that_starts_too_high_comes_down_to_its_line():
    rgb = np.full((400, 400, 3), 220, np.uint8)
    _, points = a_face()
    unit = eye_distance(points)
    line_y = points[[60, 64], 1].mean()
    cv2.line(rgb, (int(points[48, 0]), int(line_y)), (int(points[54, 0]), int(line_y)), (60, 30, 30), 3, cv2.LINE_AA)
    off = points.copy()
    off[48:68, 1] += line_y - points[48:68, 1].mean() - 0.07 * unit
    found = look(rgb, off, frozenset())["mouth"]
    inner = [i for i, index in enumerate(found.indices) if 60 <= index < 68]
    assert abs(found.points[inner, 1].mean() - line_y) < 0.03 * unit


def test_a_picture_of_nothing_says_nothing():
    _, points = a_face()
    assert look(np.full((400, 400, 3), 127, np.uint8), points, frozenset()) == {}


def test_eyes_in_one_place_say_nothing():
    rgb, points = a_face()
    points[36:48] = points[36]
    assert look(rgb, points, frozenset()) == {}


@pytest.mark.parametrize("differ", [0.12, 0.45])
def test_a_line_that_goes_on_is_the_mouth_only_where_mouths_differ(differ):
    """A line twice as wide as the mouth: a moustache on a person, a wide mouth on an animal."""
    rgb = np.full((400, 400, 3), 220, np.uint8)
    _, points = a_face("ada")
    points = points * 0.8
    y = points[[60, 64], 1].mean()
    left, right = points[48, 0], points[54, 0]
    wide = right - left
    cv2.line(rgb, (int(left - wide / 2), int(y)), (int(right + wide / 2), int(y)), (60, 30, 30), 2, cv2.LINE_AA)
    found = look(rgb, points, frozenset(), differ)["mouth"]
    corners = {int(i): p[0] for i, p in zip(found.indices, found.points, strict=True)}
    stretched = (corners[54] - corners[48]) / wide
    assert (stretched > 1.5) == (differ > 0.3)


@pytest.mark.parametrize(("mirrored", "left_over"), [(True, 0.5), (False, 0.5)])
def test_a_brow_is_found_aside_too(mirrored, left_over):
    """Sooner when both are further out or in than when both are to one side, as on a head that is turned."""
    rgb = np.full((512, 512, 3), 210, np.uint8)
    _, points = a_face("ada")
    unit = eye_distance(points)
    for brow in (slice(17, 22), slice(22, 27)):
        cv2.polylines(rgb, [points[brow].round().astype(np.int32)], False, (50, 40, 40), 9, cv2.LINE_AA)
    off = points.copy()
    off[17:22] += np.array([0.1, -0.08]) * unit
    off[22:27] += np.array([-0.1 if mirrored else 0.1, -0.08]) * unit
    before = float(np.hypot(0.1, 0.08)) * unit
    found = look(rgb, off, frozenset())
    for name, brow in (("left-brow", slice(17, 22)), ("right-brow", slice(22, 27))):
        assert np.linalg.norm(found[name].points - points[brow], axis=1).mean() < left_over * before
