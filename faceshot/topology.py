"""Index sets of the 70 landmarks, mirror pairs, and the maps from other layouts. Data only.

The 68 iBUG points in FaceShot's order: 0-16 face boundary (from image-left to image-right over the chin), 17-21
image-left brow, 22-26 image-right brow, 27-30 nose bridge, 31-35 nose base, 36-41 image-left eye, 42-47 image-right
eye, 48-59 outer lips, 60-67 inner lips; then the pupils: 68 in the image-left eye, 69 in the image-right one.
"""

from __future__ import annotations

from typing import Final

import numpy as np

__all__ = [
    "ARKIT_INDEX",
    "ARKIT_MIRROR",
    "ARKIT_NAMES",
    "BROW_LEFT",
    "BROW_RIGHT",
    "EYE_LEFT",
    "EYE_RIGHT",
    "GROUPS",
    "JAW",
    "LIPS_INNER",
    "LIPS_OUTER",
    "MEDIAPIPE_TO_70",
    "MIRROR_70",
    "NOSE",
    "N_POINTS",
    "PARTS",
    "PUPIL_LEFT",
    "PUPIL_RIGHT",
    "WFLW_TO_70",
]

N_POINTS: Final = 70

# "LEFT" and "RIGHT" are the image's.
JAW: Final = tuple(range(0, 17))
BROW_LEFT: Final = tuple(range(17, 22))
BROW_RIGHT: Final = tuple(range(22, 27))
NOSE: Final = tuple(range(27, 36))
EYE_LEFT: Final = tuple(range(36, 42))
EYE_RIGHT: Final = tuple(range(42, 48))
LIPS_OUTER: Final = tuple(range(48, 60))
LIPS_INNER: Final = tuple(range(60, 68))
PUPIL_LEFT: Final = 68
PUPIL_RIGHT: Final = 69

# What `visible` and error messages are reported by.
GROUPS: Final[dict[str, tuple[int, ...]]] = {
    "face boundary": JAW,
    "image-left brow": BROW_LEFT,
    "image-right brow": BROW_RIGHT,
    "nose": NOSE,
    "image-left eye": (*EYE_LEFT, PUPIL_LEFT),
    "image-right eye": (*EYE_RIGHT, PUPIL_RIGHT),
    "mouth": (*LIPS_OUTER, *LIPS_INNER),
}

# FaceShot's 13 ordered parts (its released code; the paper speaks of five). First and last point span the part's axis.
PARTS: Final[tuple[tuple[int, ...], ...]] = (
    JAW,
    (48, 49, 50, 51, 52, 53, 54),  # outer upper lip
    (54, 55, 56, 57, 58, 59, 48),  # outer lower lip
    (31, 32, 33, 34, 35),  # nose base
    (60, 61, 62, 63, 64),  # inner upper lip
    (64, 65, 66, 67, 60),  # inner lower lip
    (36, 37, 38, 39),  # image-left eye, upper lid
    (39, 40, 41, 36),  # image-left eye, lower lid
    (42, 43, 44, 45),
    (45, 46, 47, 42),
    (17, 18, 19, 20, 21),
    (22, 23, 24, 25, 26),
    (27, 28, 29, 30),  # nose bridge
)

# MIRROR_70[i] is the point that i becomes when the picture is flipped left to right.
MIRROR_70: Final = np.array(
    [
        *range(16, -1, -1),
        *(26, 25, 24, 23, 22, 21, 20, 19, 18, 17),
        *(27, 28, 29, 30),
        *(35, 34, 33, 32, 31),
        *(45, 44, 43, 42, 47, 46),
        *(39, 38, 37, 36, 41, 40),
        *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),
        *(64, 63, 62, 61, 60, 67, 66, 65),
        *(69, 68),
    ]
)

# MediaPipe face mesh (478 points with irises) -> our 70; 468 is the iris of the image-left (subject's right) eye.
MEDIAPIPE_TO_70: Final = np.array(
    [
        *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
        *(71, 63, 105, 66, 107),
        *(336, 296, 334, 293, 301),
        *(168, 197, 5, 4),
        *(75, 97, 2, 326, 305),
        *(33, 160, 158, 133, 153, 144),
        *(362, 385, 387, 263, 373, 380),
        *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181),
        *(78, 82, 13, 312, 308, 317, 14, 87),
        *(468, 473),
    ]
)

# WFLW's 98 points -> our 70: each is one of them or lies between two. The contour has every second point, brows the
# middle of their upper and lower line, eyes no middle of their lids; the last two are the pupils.
_WFLW_PAIRS: Final = (
    *((i, i) for i in range(0, 33, 2)),
    *((33, 33), (34, 41), (35, 40), (36, 39), (37, 38)),
    *((42, 50), (43, 49), (44, 48), (45, 47), (46, 46)),
    *((i, i) for i in range(51, 60)),
    *((i, i) for i in (60, 61, 63, 64, 65, 67)),
    *((i, i) for i in (68, 69, 71, 72, 73, 75)),
    *((i, i) for i in range(76, 98)),
)
WFLW_TO_70: Final = np.array(_WFLW_PAIRS)
"""(70, 2): point i is the mean of these two of the 98."""

# The 52 ARKit blendshape names (left and right are the subject's), in MediaPipe's order with `tongueOut` last in place
# of its leading `_neutral`.
ARKIT_NAMES: Final[tuple[str, ...]] = (
    "browDownLeft",
    "browDownRight",
    "browInnerUp",
    "browOuterUpLeft",
    "browOuterUpRight",
    "cheekPuff",
    "cheekSquintLeft",
    "cheekSquintRight",
    "eyeBlinkLeft",
    "eyeBlinkRight",
    "eyeLookDownLeft",
    "eyeLookDownRight",
    "eyeLookInLeft",
    "eyeLookInRight",
    "eyeLookOutLeft",
    "eyeLookOutRight",
    "eyeLookUpLeft",
    "eyeLookUpRight",
    "eyeSquintLeft",
    "eyeSquintRight",
    "eyeWideLeft",
    "eyeWideRight",
    "jawForward",
    "jawLeft",
    "jawOpen",
    "jawRight",
    "mouthClose",
    "mouthDimpleLeft",
    "mouthDimpleRight",
    "mouthFrownLeft",
    "mouthFrownRight",
    "mouthFunnel",
    "mouthLeft",
    "mouthLowerDownLeft",
    "mouthLowerDownRight",
    "mouthPressLeft",
    "mouthPressRight",
    "mouthPucker",
    "mouthRight",
    "mouthRollLower",
    "mouthRollUpper",
    "mouthShrugLower",
    "mouthShrugUpper",
    "mouthSmileLeft",
    "mouthSmileRight",
    "mouthStretchLeft",
    "mouthStretchRight",
    "mouthUpperUpLeft",
    "mouthUpperUpRight",
    "noseSneerLeft",
    "noseSneerRight",
    "tongueOut",
)
ARKIT_INDEX: Final[dict[str, int]] = {name: i for i, name in enumerate(ARKIT_NAMES)}


def _mirror_name(name: str) -> str:
    if name.endswith("Left"):
        return name[:-4] + "Right"
    if name.endswith("Right"):
        return name[:-5] + "Left"
    return name


# ARKIT_MIRROR[i] is the blendshape that i becomes when left and right change places.
ARKIT_MIRROR: Final = np.array([ARKIT_INDEX[_mirror_name(name)] for name in ARKIT_NAMES])
