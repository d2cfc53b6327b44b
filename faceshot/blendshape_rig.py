"""A small rig: the 52 ARKit blendshapes as displacements of the 70 points on a canonical face, and back again.

Trackers that send blendshapes and a head pose but no points (phones, VMC) are driven through it. It is linear and
rough on purpose: amplitudes are those of an average adult face in face widths, and what matters on a character
(jaw, smile, pucker, lip shifts, brows, lids, gaze) is there; `cheekPuff`, `tongueOut` and the like move no landmark.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceshot.motion import DELTA, GAZE, LIDS, LIDS_MAX, READINGS, SHAPES, readings, rest
from faceshot.topology import ARKIT_INDEX, ARKIT_NAMES, MIRROR_70, N_POINTS

__all__ = ["CANONICAL_FACE", "motion_from_blendshapes", "shapes_from_motion"]

Float = NDArray[np.float64]

# Mean of calm tracked faces, made symmetric and its lips closed: upright, frontal, in face widths.
# fmt: off
_MEAN_FACE: Final = np.array(
    [
        (-0.5, 0, 0), (-0.505, 0.233, 0.112), (-0.493, 0.349, 0.119), (-0.436, 0.603, 0.064),
        (-0.391, 0.708, -0.007), (-0.34, 0.782, -0.084), (-0.223, 0.895, -0.192), (-0.092, 0.967, -0.271),
        (0, 0.976, -0.283), (0.092, 0.967, -0.271), (0.223, 0.895, -0.192), (0.34, 0.782, -0.084),
        (0.391, 0.708, -0.007), (0.436, 0.603, 0.064), (0.493, 0.349, 0.119), (0.505, 0.233, 0.112),
        (0.5, 0, 0), (-0.453, -0.067, -0.194), (-0.385, -0.084, -0.341), (-0.318, -0.109, -0.391),
        (-0.225, -0.103, -0.433), (-0.115, -0.085, -0.455), (0.115, -0.085, -0.455), (0.225, -0.103, -0.433),
        (0.318, -0.109, -0.391), (0.385, -0.084, -0.341), (0.453, -0.067, -0.194), (0, 0.06, -0.445),
        (0, 0.175, -0.511), (0, 0.273, -0.59), (0, 0.334, -0.607), (-0.085, 0.413, -0.451),
        (-0.055, 0.437, -0.464), (0, 0.438, -0.476), (0.055, 0.437, -0.464), (0.085, 0.413, -0.451),
        (-0.321, 0.084, -0.285), (-0.277, 0.05, -0.335), (-0.203, 0.047, -0.349), (-0.124, 0.105, -0.324),
        (-0.193, 0.114, -0.339), (-0.266, 0.114, -0.325), (0.124, 0.105, -0.324), (0.203, 0.047, -0.349),
        (0.277, 0.05, -0.335), (0.321, 0.084, -0.285), (0.266, 0.114, -0.325), (0.193, 0.114, -0.339),
        (-0.176, 0.633, -0.332), (-0.104, 0.569, -0.444), (-0.053, 0.549, -0.471), (0, 0.559, -0.478),
        (0.053, 0.549, -0.471), (0.104, 0.569, -0.444), (0.176, 0.633, -0.332), (0.106, 0.672, -0.4),
        (0.057, 0.691, -0.415), (0, 0.698, -0.418), (-0.057, 0.691, -0.415), (-0.106, 0.672, -0.4),
        (-0.157, 0.633, -0.346), (-0.043, 0.607, -0.428), (0, 0.608, -0.433), (0.043, 0.607, -0.428),
        (0.157, 0.633, -0.346), (0.044, 0.609, -0.416), (0, 0.61, -0.421), (-0.044, 0.609, -0.416),
        (-0.224, 0.08, -0.325), (0.224, 0.08, -0.325),
    ]
)
# fmt: on
# The origin of a neutral pose is the head's centre (`driver.reference_from`).
_CENTRE_Y: Final = 0.7 * _MEAN_FACE[36:48:3, 1].mean() + 0.3 * _MEAN_FACE[8, 1]
CANONICAL_FACE: Final[Float] = _MEAN_FACE - (0.0, _CENTRE_Y, 0.0)
"""(70, 3) a neutral face for performers whose points nobody saw."""

_Moves = dict[str, list[tuple[tuple[int, ...], tuple[float, float, float]]]]

# name -> [(points, (dx, dy, dz))] at full strength. Sided shapes are given for the subject's right (image-left) only.
_MIDDLE: Final[_Moves] = {
    "jawOpen": [
        ((6, 7, 8, 9, 10), (0, 0.2, 0)),
        ((57, 66), (0, 0.2, 0)),
        ((65, 67), (0, 0.165, 0)),
        ((56, 58), (0, 0.17, 0)),
        ((55, 59), (0, 0.11, 0)),
        ((48, 60, 54, 64), (0, 0.04, 0)),
    ],
    "mouthClose": [
        ((57, 66), (0, -0.19, 0)),
        ((65, 67), (0, -0.155, 0)),
        ((56, 58), (0, -0.15, 0)),
        ((55, 59), (0, -0.09, 0)),
    ],
    "mouthFunnel": [((50, 51, 52, 61, 62, 63), (0, -0.03, -0.02)), ((56, 57, 58, 65, 66, 67), (0, 0.04, -0.02))],
    "mouthPucker": [((50, 51, 52, 56, 57, 58, 61, 62, 63, 65, 66, 67), (0, 0, -0.03))],
    "mouthRollLower": [((55, 56, 57, 58, 59), (0, -0.02, 0))],
    "mouthRollUpper": [((49, 50, 51, 52, 53), (0, 0.015, 0))],
    "mouthShrugLower": [((55, 56, 57, 58, 59, 65, 66, 67), (0, -0.03, 0)), ((7, 8, 9), (0, -0.015, 0))],
    "mouthShrugUpper": [((49, 50, 51, 52, 53, 61, 62, 63), (0, -0.02, 0))],
    "browInnerUp": [((21, 22), (0, -0.08, 0)), ((20, 23), (0, -0.06, 0)), ((19, 24), (0, -0.03, 0))],
}
_RIGHT: Final[_Moves] = {
    "mouthFunnel": [((48, 60), (0.04, 0, 0))],
    "mouthPucker": [((48, 60), (0.075, 0, 0)), ((49, 59, 61, 67), (0.035, 0, 0)), ((50, 58), (0.015, 0, 0))],
    "mouthSmileRight": [((48, 60), (-0.045, -0.05, 0)), ((49, 59, 61, 67), (-0.02, -0.02, 0)), ((31,), (-0.008, 0, 0))],
    "mouthFrownRight": [((48, 60), (0, 0.04, 0)), ((49, 59), (0, 0.015, 0))],
    "mouthDimpleRight": [((48, 60), (-0.03, 0, 0))],
    "mouthStretchRight": [((48, 60), (-0.05, 0.015, 0)), ((49, 59), (-0.02, 0.01, 0))],
    "mouthLowerDownRight": [((58, 59, 67), (0, 0.04, 0)), ((57, 66), (0, 0.02, 0))],
    "mouthUpperUpRight": [((49, 50, 61), (0, -0.035, 0)), ((51, 62), (0, -0.017, 0))],
    "noseSneerRight": [((31, 32), (0, -0.02, 0)), ((49, 50), (0, -0.012, 0))],
    "browDownRight": [((21,), (0.012, 0.05, 0)), ((19, 20), (0.006, 0.045, 0)), ((17, 18), (0, 0.03, 0))],
    "browOuterUpRight": [((17, 18), (0, -0.065, 0)), ((19,), (0, -0.055, 0)), ((20,), (0, -0.025, 0))],
    "mouthRight": [(tuple(range(48, 68)), (-0.05, 0, 0))],
    "jawRight": [((6, 7, 8, 9, 10, 55, 56, 57, 58, 59, 65, 66, 67), (-0.06, 0, 0))],
}


def _rig() -> Float:
    """(52, 70, 3) displacement of each point by each shape."""
    rig = np.zeros((len(ARKIT_NAMES), N_POINTS, 3))
    for name, moves in _MIDDLE.items():
        for points, move in moves:
            rig[ARKIT_INDEX[name], list(points)] += move
    for name, moves in _RIGHT.items():
        there = np.zeros((N_POINTS, 3))
        for points, move in moves:
            there[list(points)] += move
        back = there[MIRROR_70] * (-1.0, 1.0, 1.0)
        rig[ARKIT_INDEX[name]] += there
        rig[ARKIT_INDEX[name.replace("Right", "Left")]] += back
    return rig


_MOVING: Final = np.flatnonzero(_rig().any(axis=(1, 2)))
_RIG: Final = _rig()[_MOVING].reshape(len(_MOVING), -1)
_GAZE_X, _GAZE_Y = 0.16, 0.07

# Image-left eye first: the subject's right.
_SIDES: Final = ("Right", "Left")


def motion_from_blendshapes(shapes: Float, at_rest: Float | None = None) -> Float:
    """The motion vector (`faceshot.motion`) of (52,) blendshapes; head channels stay at rest.

    Args:
        at_rest: (52,) shapes of the neutral pose; what exceeds them counts.
    """
    ground = np.zeros(len(ARKIT_NAMES)) if at_rest is None else at_rest
    motion = rest()
    motion[SHAPES] = shapes
    motion[READINGS] = readings(shapes, at_rest)
    motion[DELTA] = (shapes - ground)[_MOVING] @ _RIG
    # Shut must be reachable from a neutral that already has some eyeBlink in it.
    up = np.maximum(shapes - ground, 0.0) / np.maximum(1.0 - ground, 0.3)
    for eye, side in enumerate(_SIDES):

        def value(name: str, side: str = side) -> float:
            return float(up[ARKIT_INDEX[name + side]])

        open_ = (1.0 - value("eyeBlink")) * (1.0 - 0.3 * value("eyeSquint")) + 0.5 * value("eyeWide")
        motion[LIDS.start + eye] = np.clip(open_, 0.0, LIDS_MAX)
        outward = value("eyeLookOut") - value("eyeLookIn")
        motion[GAZE.start + 2 * eye] = _GAZE_X * (-outward if side == "Right" else outward)
        motion[GAZE.start + 2 * eye + 1] = _GAZE_Y * (value("eyeLookDown") - value("eyeLookUp"))
    return motion


def _readout() -> Float:
    """(52, channels) so that blendshapes = readout @ (motion - rest)."""
    out = np.zeros((len(ARKIT_NAMES), SHAPES.start))

    def read(name: str, axis: int, weight: float, plus: tuple[int, ...], minus: tuple[int, ...] = ()) -> None:
        for points, sign in ((plus, 1.0), (minus, -1.0)):
            for point in points:
                out[ARKIT_INDEX[name], DELTA.start + 3 * point + axis] += sign * weight / len(points)

    x, y = 0, 1
    read("jawOpen", y, 1 / 0.22, (65, 66, 67), (61, 62, 63))
    read("mouthPucker", x, 1 / 0.13, (48,), (54,))
    read("browInnerUp", y, -1 / 0.07, (20, 21, 22, 23))
    for eye, (side, outwards, corner, inner, outer) in enumerate(
        (("Right", -1.0, 48, (20, 21), (17, 18)), ("Left", 1.0, 54, (22, 23), (25, 26)))
    ):
        lid, gaze = LIDS.start + eye, GAZE.start + 2 * eye
        out[ARKIT_INDEX["eyeBlink" + side], lid] = -1.0
        out[ARKIT_INDEX["eyeWide" + side], lid] = 1 / 0.5
        # The corner against the upper lip, so that an opening jaw is not a frown.
        read("mouthSmile" + side, y, 0.5 / 0.05, (51, 62), (corner,))
        read("mouthSmile" + side, x, 0.5 * outwards / 0.045, (corner,))
        read("mouthFrown" + side, y, 1 / 0.05, (corner,), (51, 62))
        read("browDown" + side, y, 1 / 0.05, inner)
        read("browOuterUp" + side, y, -1 / 0.065, outer)
        out[ARKIT_INDEX["eyeLookOut" + side], gaze] = outwards / _GAZE_X
        out[ARKIT_INDEX["eyeLookIn" + side], gaze] = -outwards / _GAZE_X
        out[ARKIT_INDEX["eyeLookDown" + side], gaze + 1] = 1 / _GAZE_Y
        out[ARKIT_INDEX["eyeLookUp" + side], gaze + 1] = -1 / _GAZE_Y
    return out


# Only rows that say something: small products stay in one thread, where the whole matrix would wake the BLAS pool.
_READ: Final = np.flatnonzero(_readout().any(axis=1))
_READOUT: Final = _readout()[_READ]
_READOUT_AT_REST: Final = _READOUT @ rest()[: SHAPES.start]


def shapes_from_motion(motion: Float) -> Float:
    """(52,) rough blendshapes of a motion vector that was measured on points alone: the ones that landmarks show."""
    shapes = np.zeros(len(ARKIT_NAMES))
    shapes[_READ] = np.minimum(np.maximum(_READOUT @ motion[: SHAPES.start] - _READOUT_AT_REST, 0.0), 1.0)
    return shapes
