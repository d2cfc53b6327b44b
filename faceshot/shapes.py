"""What faces look like: example shapes of every kind of character, and how far a face may differ from an example.

The examples (`assets/shapes.json`) are the landmarks of the bundled characters and of pictures that were labelled by
hand, each in its own frame: origin in the middle between the eyes, x axis from the image-left to the image-right eye,
unit the distance of the eyes.

A face is an example that has been deformed: moved, turned and scaled as a whole (freely), sheared and turned in depth
(a little), bent smoothly, and each part moved and scaled in its place. That is a Gaussian over 140 coordinates, so what
a few known points say of all the others is one linear solve, and how sure it is comes with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, get_args

import numpy as np
from numpy.typing import NDArray

from faceshot.topology import GROUPS, JAW, LIPS_INNER, LIPS_OUTER, MIRROR_70, N_POINTS, NOSE
from faceshot.types import CharacterKind

__all__ = ["KINDS", "MOUTHS_DIFFER", "Shape", "covariance", "shapes"]

Float = NDArray[np.float64]

KINDS: Final[tuple[CharacterKind, ...]] = get_args(CharacterKind)
_FILE: Final = Path(__file__).parent / "assets" / "shapes.json"

# Standard deviations in eye distances; found by leaving each labelled picture out in turn and fitting it from the rest.
_FREE: Final = 0.9  # position, turn, scale
_STRETCH, _SHEAR, _DEPTH = 0.015, 0.05, 0.22
_BEND: Final = 0.11
_BEND_REACH: Final = 6.0  # eye distances: bends are nearly straight within a face
_PART_SHIFT, _PART_SCALE = 0.02, 0.09
_WOBBLE, _WOBBLE_REACH = 0.04, 0.15
_LIPS: Final = [*LIPS_OUTER, *LIPS_INNER]
_SYMMETRY: Final = 0.4  # part of all deformation that is the same on both sides

MOUTHS_DIFFER: Final[dict[CharacterKind, float]] = {
    "human": 0.12,
    "anime": 0.25,
    "toy": 0.25,
    "animal": 0.45,
    "emoji": 0.45,
}
"""How widely the width of a mouth differs within a kind, as a standard deviation of its logarithm. Among the examples
people's differ by 0.11 and animals' by 0.32; a line that goes on beyond the corners is rather a moustache or a fold in
the one and rather the mouth in the other."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """One example.

    Attributes:
        points: (70, 2) float64 in its own frame.
        visible: (70,) bool.
    """

    name: str
    kind: CharacterKind
    points: Float
    visible: NDArray[np.bool_]


@cache
def shapes() -> Mapping[str, Shape]:
    """All examples by name."""
    rows = json.loads(_FILE.read_text(encoding="utf-8"))
    return {
        row["name"]: Shape(row["name"], row["kind"], np.array(row["points"]), np.array(row["visible"], bool))
        for row in rows
    }


@cache
def covariance(name: str) -> Float:
    """(140, 140) covariance of the faces around an example; coordinates are x0, y0, x1, y1, ..."""
    mean = shapes()[name].points
    distance2 = ((mean[:, None] - mean[None]) ** 2).sum(axis=-1)
    bend = _BEND**2 * np.exp(-distance2 / (2 * _BEND_REACH**2))
    wobble = _WOBBLE**2 * np.exp(-distance2 / (2 * _WOBBLE_REACH**2))
    across, down = bend.copy(), bend.copy()
    for group, members in GROUPS.items():
        mask = np.zeros(N_POINTS)
        mask[list(members)] = 1
        same = np.outer(mask, mask)
        shift = 0.0 if group == "face boundary" else _PART_SHIFT**2
        centre = mean[list(members)].mean(axis=0)
        for axis, block in ((0, across), (1, down)):
            lever = (mean[:, axis] - centre[axis]) * mask
            block += same * (wobble + shift) + _PART_SCALE**2 * np.outer(lever, lever)
    full = np.zeros((2 * N_POINTS, 2 * N_POINTS))
    full[0::2, 0::2], full[1::2, 1::2] = across, down
    full = _partly_symmetric(full)
    lips = np.zeros(N_POINTS)
    lips[_LIPS] = mean[_LIPS, 0] - mean[_LIPS, 0].mean()
    for mode, deviation in [*_whole_face(mean), (np.outer(lips, [1, 0]), MOUTHS_DIFFER[shapes()[name].kind])]:
        flat = mode.reshape(-1)
        full += deviation**2 * np.outer(flat, flat)
    return full


def _partly_symmetric(full: Float) -> Float:
    flip = np.zeros_like(full)
    for i, j in enumerate(MIRROR_70):
        flip[2 * i, 2 * j], flip[2 * i + 1, 2 * j + 1] = -1, 1
    symmetric = (full + flip @ full @ flip.T + flip @ full + full @ flip.T) / 4
    return _SYMMETRY * symmetric + (1 - _SYMMETRY) * full


def _whole_face(mean: Float) -> list[tuple[Float, float]]:
    """Deformations of the face as a whole, each with its standard deviation."""
    one, none = np.ones(N_POINTS), np.zeros(N_POINTS)
    x, y = mean.T
    # How far points stand out towards the viewer: they move together when the head is turned in the picture.
    depth = none.copy()
    depth[list(NOSE)] = 0.35
    depth[27:31] = (0.1, 0.2, 0.33, 0.45)
    depth[[*LIPS_OUTER, *LIPS_INNER]] = 0.25
    depth[list(JAW)] = -0.6 + 0.8 * np.exp(-(((np.arange(17) - 8) / 4) ** 2))
    pairs = [
        (one, none, _FREE),
        (none, one, _FREE),
        (x, y, _FREE),
        (-y, x, _FREE),
        (x, none, _STRETCH),
        (none, y, _STRETCH),
        (y, none, _SHEAR),
        (depth, none, _DEPTH),
        (none, depth, _DEPTH),
    ]
    return [(np.stack([dx, dy], axis=1), deviation) for dx, dy, deviation in pairs]
