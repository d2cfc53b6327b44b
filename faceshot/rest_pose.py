"""What is known of a character's picture at rest: how the head is turned in it, and whether its reading is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceshot.driver import yaw_at_rest
from faceshot.geometry import matrix_from_rotation_vector, rotation_vector_from_matrix
from faceshot.retarget import face_frame
from faceshot.types import Character

__all__ = ["RESPONSE", "as_provenance", "head_axes", "rest_rotation", "yaw_of"]

Float = NDArray[np.float64]

RESPONSE: Final = "scale_free.response"
"""Name of the array that says how trackers read a character; who has it was calibrated (`faceshot.calibration`)."""

_YAW_MAX, _PITCH_MAX = np.radians(45.0), np.radians(25.0)
_KEY: Final = "head_rotation"


def as_provenance(rotation: Float) -> dict[str, list[float]]:
    """What to keep in a character's `provenance["landmarks"]` of a head rotation (3, 3) that a tracker measured."""
    return {_KEY: [round(float(x), 4) for x in rotation_vector_from_matrix(rotation)]}


def rest_rotation(character: Character) -> Float:
    """(3, 3) rotation of the head against upright and frontal, in image axes, without its tilt in the picture's plane.

    Measured when a tracker has seen the picture; else only the yaw, from the landmarks.
    """
    made = character.provenance.get("landmarks")
    kept = made.get(_KEY) if isinstance(made, Mapping) else None
    try:
        vector = np.array(kept, np.float64)
    except (TypeError, ValueError):
        vector = np.full(3, np.nan)
    if vector.shape != (3,) or not np.isfinite(vector).all() or np.abs(vector).max() > np.pi:
        return matrix_from_rotation_vector(np.array([0.0, yaw_at_rest(character.points_xy, character.visible), 0.0]))
    rotation = matrix_from_rotation_vector(vector)
    # As yaw about the upright after pitch, within what a picture can show of both.
    yaw = float(np.clip(yaw_of(rotation), -_YAW_MAX, _YAW_MAX))
    pitch = float(np.clip(np.arcsin(np.clip(-rotation[1, 2], -1.0, 1.0)), -_PITCH_MAX, _PITCH_MAX))
    return matrix_from_rotation_vector(np.array([0.0, yaw, 0.0])) @ matrix_from_rotation_vector(
        np.array([pitch, 0.0, 0.0])
    )


def head_axes(character: Character) -> Float:
    """(3, 3) from the axes of the character's face to image axes: a nod is a nod, however the head is turned and tilted
    in its picture."""
    _, tilt = face_frame(character.points_xy, character.visible)
    in_plane = np.array([[tilt.real, -tilt.imag, 0.0], [tilt.imag, tilt.real, 0.0], [0.0, 0.0, 1.0]])
    return in_plane @ rest_rotation(character)


def yaw_of(rotation: Float) -> float:
    """Radians by which a rotation turns the nose to the image's left."""
    return float(np.arctan2(rotation[0, 2], rotation[2, 2]))
