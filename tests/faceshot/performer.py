"""A synthetic performer with known motion, and real ones from the shared clips."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from faceshot.blendshape_rig import CANONICAL_FACE, motion_from_blendshapes
from faceshot.driver import frontal_face
from faceshot.geometry import matrix_from_rotation_vector
from faceshot.topology import ARKIT_INDEX, ARKIT_NAMES
from faceshot.types import Character, FaceState

SIZE = (640, 480)
WIDTH_PX = 160.0


def shapes(**values: float) -> np.ndarray:
    out = np.zeros(len(ARKIT_NAMES))
    for name, value in values.items():
        out[ARKIT_INDEX[name]] = value
    return out


def perform(
    rotation=(0.0, 0.0, 0.0),
    translation=(0.0, 0.0),
    scale=1.0,
    lids=(1.0, 1.0),
    gaze=(0.0, 0.0),
    confidence=1.0,
    noise=None,
    flat=False,
    base=(0.0, 0.0, 0.0),
    **values: float,
) -> FaceState:
    """A face state of 70 points.

    Args:
        rotation: degrees (pitch, yaw, roll) in the head's axes, relative to a neutral that stands at `base` degrees.
        translation, scale: in face widths, relative.
        lids: opening of the image-left and image-right eye; trackers show 0.22 of it when shut.
        gaze: eye widths.
        noise: (70, 3) pixels.
        values: blendshapes that move brows and mouth.
    """
    motion = motion_from_blendshapes(shapes(**values))
    motion[6:8] = 0.22 + 0.78 * np.asarray(lids)
    motion[8:12] = np.tile(gaze, 2)
    face = frontal_face(motion, CANONICAL_FACE)
    turn = matrix_from_rotation_vector(np.radians(base)) @ matrix_from_rotation_vector(np.radians(rotation))
    points = WIDTH_PX * (scale * face @ turn.T + (*translation, 0.0)) + (320.0, 240.0, 0.0)
    if noise is not None:
        points = points + noise
    if flat:
        points[:, 2] = 0.0
    return FaceState(SIZE, confidence, points.astype(np.float32), has_depth=not flat)


def phone(rotation=(0.0, 0.0, 0.0), translation_cm=(0.0, 0.0, -40.0), **values: float) -> FaceState:
    """A face state of blendshapes and a head pose, as network trackers send it."""
    head = np.eye(4)
    head[:3, :3] = matrix_from_rotation_vector(np.radians(rotation))
    head[:3, 3] = translation_cm
    return FaceState(SIZE, 1.0, None, True, shapes(**values).astype(np.float32), head.astype(np.float32))


def character(tilt_degrees=0.0, width_px=200.0, missing=(), seed=None) -> Character:
    """The canonical face as a character of 512 x 512."""
    a = np.radians(tilt_degrees)
    rotation = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    points = width_px * CANONICAL_FACE[:, :2]
    if seed is not None:
        points = points + np.random.default_rng(seed).normal(0, 0.01 * width_px, points.shape)
    visible = np.ones(70, np.bool_)
    visible[list(missing)] = False
    points = (points @ rotation.T + 256.0).astype(np.float32)
    return Character("canonical", np.zeros((512, 512, 4), np.uint8), points, visible)


@cache
def tracked_clip(path: Path, frames: int) -> tuple[FaceState, ...]:
    """The first frames of a clip through the face mesh tracker that needs no file."""
    import cv2

    from faceshot.tracker import make_tracker
    from faceshot.types import CameraImage

    tracker = make_tracker("facemesh")
    video = cv2.VideoCapture(str(path))
    states = []
    for i in range(frames):
        ok, bgr = video.read()
        if not ok:
            break
        states.append(tracker.track(CameraImage(np.ascontiguousarray(bgr[..., ::-1])), 33 * i + 1))
    tracker.close()
    video.release()
    return tuple(states)
