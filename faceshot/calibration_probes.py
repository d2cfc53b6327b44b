"""What a character is drawn in to learn how trackers read it (`faceshot.calibration`): always the same.

Drives are in the order of a path without jumps: a tracker looks for a face where it has just been, and how it stood
there decides what is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceshot.animators.warp.frame import face_frame
from faceshot.animators.warp.response import control_moves
from faceshot.geometry import matrix_from_rotation_vector
from faceshot.motion_clip import bundled_clips, open_clip
from faceshot.puppeteer import MotionSettings, Puppeteer, best_neutral
from faceshot.topology import ARKIT_INDEX, ARKIT_NAMES
from faceshot.types import Character, Drive, FaceState

__all__ = ["first_round", "rig_state", "second_round"]

F64 = NDArray[np.float64]

_MIXED: Final = 110
"""Probes of the rig."""
_RECORDED: Final = (50, 25)
"""Probes of each bundled recording of people, which show how faces really move, in both rounds."""
_CALM_AMONG: Final = 4  # every so many frames of a recording are candidates for its calm face
_PLACED_BY: Final = [0, 8, 16, 27, 30, 36, 39, 42, 45, 48, 54]  # landmarks that say where a face is and how it stands
_CALM: Final = MotionSettings(smoothing=0.0, idle=False)
_ADDED_MIN, _ADDED_MAX = np.array([0.0, -0.5, -0.8, -0.8]), np.array([1.0, 0.7, 0.9, 1.0])
_STRENGTH: Final = (0.8, 1.5)  # of the recorded and the rig's expressions: somebody laughs louder
_TURN_MAX: Final = np.radians(8.0)

# What probes do: chance, and the strength they then have at most. Sided shapes are given without their side.
_MOUTHS: Final[Mapping[str, tuple[float, float]]] = {
    "jawOpen": (0.6, 0.9),
    "mouthSmile": (0.5, 1.0),
    "mouthFrown": (0.2, 1.0),
    "mouthPucker": (0.25, 1.0),
    "mouthUpperUp": (0.25, 1.0),
    "mouthStretch": (0.25, 1.0),
    "mouthLowerDown": (0.25, 1.0),
    "mouthLeft": (0.1, 0.8),
    "mouthRight": (0.1, 0.8),
    "jawLeft": (0.1, 0.8),
    "jawRight": (0.1, 0.8),
}
_BROWS: Final[Mapping[str, tuple[float, float]]] = {"browInnerUp": (0.5, 1.0), "browDown": (0.25, 1.0)}
_EYES: Final[Mapping[str, tuple[float, float]]] = {
    "eyeBlink": (0.3, 1.0),
    "eyeWide": (0.2, 1.0),
    "eyeLookUp": (0.2, 1.0),
    "eyeLookDown": (0.2, 1.0),
}
_ONE_SIDED: Final = ("mouthSmile", "mouthFrown", "browDown", "browOuterUp")


@cache
def _recordings() -> list[tuple[FaceState, list[FaceState], list[FaceState]]]:
    """For each bundled clip its calm face, and frames for the first and for the second round."""
    out = []
    for name in bundled_clips():
        states = open_clip(name).states
        neutral = best_neutral(states[::_CALM_AMONG])
        assert neutral is not None
        frames = np.linspace(0, len(states) - 1, sum(_RECORDED)).astype(int)
        early = np.linspace(0, len(frames) - 1, _RECORDED[0]).astype(int)
        late = np.setdiff1d(np.arange(len(frames)), early)
        out.append((neutral, [states[i] for i in frames[early]], [states[i] for i in frames[late]]))
    return out


def first_round(character: Character) -> list[Drive]:
    """The character in mixed expressions of the rig's and of recorded people.

    Each has some of the controls on top, so that what a control does can be told from what usually comes with it.
    """
    chance = np.random.default_rng(0)
    moves = control_moves(face_frame(character), character.points_xy)
    mixed = [rig_state(_mixed(chance)) for _ in range(_MIXED)]
    probes = []
    for neutral, states in [(rig_state({}), mixed), *((calm, early) for calm, early, _ in _recordings())]:
        for drive in _performed(character, neutral, states, chance):
            added = chance.uniform(_ADDED_MIN, _ADDED_MAX) * (chance.random(len(_ADDED_MAX)) < 0.5)
            stronger = chance.uniform(*_STRENGTH)
            expression = character.points_xy + stronger * (drive.expression_xy - character.points_xy)
            moved = expression + np.tensordot(added, moves, 1)
            probes.append(replace(drive, expression_xy=moved.astype(np.float32)))
    return _path(character, probes)


def second_round(character: Character) -> list[Drive]:
    """The character as recorded people, in other moments."""
    chance = np.random.default_rng(1)
    probes = [drive for calm, _, late in _recordings() for drive in _performed(character, calm, late, chance)]
    return _path(character, probes)


def _performed(
    character: Character, neutral: FaceState, states: list[FaceState], chance: np.random.Generator
) -> Iterator[Drive]:
    """The character in each of the states, its head turned at random."""
    puppeteer = Puppeteer(character, _CALM)
    puppeteer.use_neutral(neutral)
    for state in states:
        yield puppeteer.step(_turned(state, chance.uniform(-_TURN_MAX, _TURN_MAX, 3)), 1 / 30)


def _path(character: Character, probes: list[Drive]) -> list[Drive]:
    """The same in an order without jumps: a tracker looks for a face where it has just been, and how it stood there
    decides what is read."""
    places = np.array([drive.points_xy[_PLACED_BY] for drive in probes]).reshape(len(probes), -1)
    here, path, left = character.points_xy[_PLACED_BY].ravel(), [], list(range(len(probes)))
    while left:
        path.append(left.pop(int(np.argmin(((places[left] - here) ** 2).sum(axis=1)))))
        here = places[path[-1]]
    return [probes[k] for k in path]


def _mixed(chance: np.random.Generator) -> dict[str, float]:
    shapes: dict[str, float] = {}
    for name, (share, most) in (*_MOUTHS.items(), *_BROWS.items(), *_EYES.items()):
        if chance.random() < share:
            shapes[name] = chance.uniform(0, most)
    shapes["browOuterUp"] = shapes.get("browInnerUp", 0.0) * chance.uniform()
    for name in _ONE_SIDED:
        if chance.random() < 0.12:
            shapes[name + str(chance.choice(["Left", "Right"]))] = chance.uniform()
    return shapes


def _turned(state: FaceState, rotation: F64) -> FaceState:
    """The same face with the head turned about its middle."""
    turn = matrix_from_rotation_vector(rotation).astype(np.float32)
    points, head = state.points_xyz, state.head
    if points is not None:
        middle = points.mean(axis=0)
        points = np.ascontiguousarray((points - middle) @ turn.T + middle)
    if head is not None:
        head = head.copy()
        head[:3, :3] = turn @ head[:3, :3]
    return replace(state, points_xyz=points, head=head)


def rig_state(shapes: Mapping[str, float]) -> FaceState:
    """A face from the front with these ARKit blendshapes, 0 to 1; a sided one without its side is both sides."""
    values = np.zeros(len(ARKIT_NAMES), np.float32)
    for name, value in shapes.items():
        for each in (name,) if name in ARKIT_INDEX else (name + "Left", name + "Right"):
            values[ARKIT_INDEX[each]] = max(values[ARKIT_INDEX[each]], value)
    return FaceState((64, 48), 1.0, blendshapes=values, head=np.eye(4, dtype=np.float32))
