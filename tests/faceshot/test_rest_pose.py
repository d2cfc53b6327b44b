"""How a head is turned in its picture: measured or estimated, kept in a character file, and what it changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from faceshot.animators.warp import WarpAnimator
from faceshot.blendshape_rig import CANONICAL_FACE
from faceshot.character import open_character, read_character, resize, write_character
from faceshot.geometry import matrix_from_rotation_vector
from faceshot.puppeteer import MotionSettings, Puppeteer
from faceshot.rest_pose import as_provenance, rest_rotation, yaw_of
from faceshot.types import Character, Drive
from tests.faceshot.performer import character, perform


def turn(pitch: float, yaw: float, roll: float = 0.0) -> np.ndarray:
    """Yaw about the upright after pitch, then a tilt in the picture; degrees."""
    p, y, r = np.radians((pitch, yaw, roll))
    parts = [matrix_from_rotation_vector(np.array(v)) for v in ((0, 0, r), (0, y, 0), (p, 0, 0))]
    return parts[0] @ parts[1] @ parts[2]


def turned(pitch: float, yaw: float, *, measured: bool) -> Character:
    rotation = turn(pitch, yaw)
    who = character()
    points = (200 * CANONICAL_FACE @ rotation.T)[:, :2] + 256
    provenance = {"landmarks": as_provenance(rotation)} if measured else {}
    return replace(who, points_xy=points.astype(np.float32), provenance=provenance)


@pytest.mark.parametrize(("pitch", "yaw"), [(0, 0), (12, 20), (-8, -35)])
def test_a_measured_pose_is_what_was_measured(pitch, yaw):
    np.testing.assert_allclose(rest_rotation(turned(pitch, yaw, measured=True)), turn(pitch, yaw), atol=2e-4)


def test_a_profile_counts_as_far_as_a_picture_can_show():
    assert np.degrees(yaw_of(rest_rotation(turned(0, 80, measured=True)))) == pytest.approx(45)


def test_without_a_measurement_the_landmarks_tell_the_yaw():
    assert np.degrees(yaw_of(rest_rotation(turned(0, 30, measured=False)))) == pytest.approx(26, abs=3)


@pytest.mark.parametrize(
    "kept", [None, "left", [1, 2], [0, float("nan"), 0], [9, 9, 9], {"a": 1}, [[0, 0, 0]], ["x", "y", "z"]]
)
def test_nonsense_in_a_character_file_counts_as_not_measured(kept):
    who = replace(character(), provenance={"landmarks": {"head_rotation": kept}})
    np.testing.assert_allclose(rest_rotation(who), np.eye(3), atol=1e-6)
    np.testing.assert_allclose(rest_rotation(replace(who, provenance={"landmarks": kept})), np.eye(3), atol=1e-6)


def test_the_pose_survives_resizing_and_the_file(tmp_path):
    who = turned(10, -20, measured=True)
    who.rgba[:] = 255
    write_character(resize(who, 256), tmp_path / "who.faceshot")
    np.testing.assert_allclose(rest_rotation(read_character(tmp_path / "who.faceshot")), turn(10, -20), atol=2e-4)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_performers_turn_is_one_in_the_characters_own_axes(axis):
    who = turned(15, 25, measured=True)
    puppeteer = Puppeteer(who, MotionSettings(smoothing=0.0, idle=False))
    puppeteer.use_neutral(perform())
    degrees = np.zeros(3)
    degrees[axis] = -6.0
    for _ in range(3):
        drive = puppeteer.step(perform(degrees), 1.0)
    got = np.degrees(np.linalg.inv(turn(15, 25)) @ drive.head.rotation)
    assert got[axis] == pytest.approx(-6.0, abs=0.6)
    assert np.abs(np.delete(got, axis)).max() < 0.6


def test_a_face_painted_from_above_turns_about_its_own_upright():
    """Its chin lies farther than its brow then, so in a turn the two move apart sideways."""
    rigid = (200 * CANONICAL_FACE[[27, 8]] @ (turn(0, 12) @ turn(20, 0)).T)[:, 0]

    def error(measured: bool) -> float:
        who = replace(turned(20, 0, measured=measured), rgba=np.full((512, 512, 4), 200, np.uint8))
        animator = WarpAnimator()
        animator.load(who)
        puppet = animator._puppet
        assert puppet is not None
        head = Drive.neutral(who).head
        spin = turn(20, 0) @ np.radians((0.0, 12.0, 0.0))
        field = puppet.head.forward(replace(head, rotation=spin.astype(np.float32)), 0.0, 0.0)
        places = who.points_xy[[27, 8]]
        moved = places + puppet.head.grid.sample(field, places.reshape(1, -1, 2))[0]
        return abs(float((moved[1, 0] - moved[0, 0]) - (rigid[1] - rigid[0])))

    assert error(measured=True) < 0.6 * error(measured=False)


def test_a_tracked_picture_keeps_its_pose(shared_media):
    who = open_character(str(shared_media / "characters" / "s10.jpg"))
    assert np.degrees(yaw_of(rest_rotation(who))) == pytest.approx(34, abs=6)
