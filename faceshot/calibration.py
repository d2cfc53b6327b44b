"""Measuring how a face tracker reads a character: draw it with known motions, look at the pictures, fit a model.

Readings of expressions end at 0: below, a mouth can be ever less of a smile without any change. Such looks say only
"at most this", so the fit takes for them what the model itself says, as long as that is low (censored regression).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faceshot import weights
from faceshot.animators.warp.frame import face_frame
from faceshot.animators.warp.response import (
    BENDS,
    LID_STEPS,
    LIDS,
    N_FEATURES,
    N_READINGS,
    RESPONSE,
    SHUT_AT,
    as_logit,
    control_moves,
    kinship,
)
from faceshot.character import resize
from faceshot.errors import WeightsMissing
from faceshot.geometry import matrix_from_rotation_vector
from faceshot.motion import READ_SHAPES
from faceshot.motion_clip import bundled_clips, open_clip
from faceshot.pictures import flatten
from faceshot.puppeteer import MotionSettings, Puppeteer, best_neutral
from faceshot.topology import ARKIT_INDEX, ARKIT_NAMES
from faceshot.tracker import TASK_FILE, make_tracker
from faceshot.types import CameraImage, Character, Drive, FaceState

__all__ = ["calibrated", "can_calibrate"]

F64 = NDArray[np.float64]

_SIDE_PX: Final = 512  # the whole picture, as it will be seen: where a face is in it decides how its turns are read
_GREY: Final = (127, 127, 127)
_MIXED: Final = 60
"""Probes of the rig."""
_RECORDED: Final = (25, 25)
"""Probes of each bundled recording of people: how faces really move."""
_SETTLE: Final = 4  # looks at the resting picture before it counts
_ASIDE: Final = 12.0  # degrees of yaw at rest; faces turned further are found less surely, and are looked at twice
_YAW: Final = 4
_STEP_MS: Final = 1000  # between looks: long enough for the tracker not to smooth from one to the next
_PLACED_BY: Final = [0, 8, 16, 27, 30, 36, 39, 42, 45, 48, 54]  # landmarks that say where a face is and how it stands
_FOUND_MIN: Final = 0.9
_RIDGE: Final = 1.0
_BEND: Final = 4.0
"""How much further than their noise readings bend away from the linear model (variances)."""
_REST_NOISE: Final = 0.02
_ROUNDS: Final = 15
_DEEPEST: Final = 4.0  # logits below `SHUT_AT`, at most
_CALM: Final = MotionSettings(smoothing=0.0, idle=False)
_ADDED_MIN, _ADDED_MAX = np.array([0.0, -0.5, -0.8, -0.8]), np.array([1.0, 0.7, 0.9, 1.0])
_STRENGTH: Final = (0.8, 1.5)  # of the recorded and the rig's expressions: somebody laughs louder
_TURN_MAX: Final = np.radians(8.0)
_LIDS_READ: Final = (1.0, 0.68, 0.56, 0.39, 0.15, 0.0)
"""What a tracker reads of a blink at `LID_STEPS`, as a share of what it reads of shut eyes: the mean of real people."""
_LIDS_BY: Final = (0.5, 1.7)
"""Limits of what is drawn for it, as powers of the opening."""
_MEET_AT: Final = (0.73, 0.87, 1.0)
"""Where lids may meet."""
_SHUT_READS: Final = 0.58
"""What a tracker reads of shut eyes: people have it at .5 to .8, of which it finds them at rest at .1."""
_BLINK_MIN: Final = 0.15  # a blink that reads less is not seen
_BLINK: Final = [ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"]]

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


def can_calibrate(character: Character, folder: Path | None = None) -> bool:
    """Whether the character has a face that a tracker finds, is not calibrated yet, and the tracker is at hand.

    Files of older versions have a part of the tables, or tables of another size: those are measured anew.
    """
    made = character.provenance.get("landmarks")
    return (
        not _is_calibrated(character)
        and isinstance(made, Mapping)
        and made.get("matcher") == "mediapipe"
        and weights.find(TASK_FILE, folder) is not None
    )


def _is_calibrated(character: Character) -> bool:
    table, bends, lids = (character.arrays.get(name) for name in (RESPONSE, BENDS, LIDS))
    return (
        table is not None
        and table.shape == (N_FEATURES + 3, N_READINGS)
        and bends is not None
        and bends.shape[1:] == (N_FEATURES + N_READINGS,)
        and lids is not None
        and lids.shape == (len(LID_STEPS),)
    )


def calibrated(character: Character, folder: Path | None = None) -> Character:
    """The character with its response (`faceshot.animators.warp.response`) among its arrays; the character itself when
    that cannot be measured: no model at hand, landmarks made by hand, or a face that trackers lose as it moves.

    Takes about five seconds. Deterministic.
    """
    if not can_calibrate(character, folder):
        return character
    try:
        looks = _look(resize(character, _SIDE_PX), folder)
    except WeightsMissing:  # damaged; whoever tracks with it is told
        return character
    if looks is None:
        return character
    return replace(character, arrays={**character.arrays, **_arrays(looks)})


class _Looks(NamedTuple):
    seen: F64  # (n, 17) features of the probes, the first at rest
    read: F64  # (n, 6) their readings
    blinks: F64  # (6,) readings of eyeBlink at `LID_STEPS`
    meet_at: float  # how far down the lids met then


def _look(character: Character, folder: Path | None) -> _Looks | None:
    """What a tracker reads of the probes; None if the face is lost too often."""
    from faceshot.animators.warp import WarpAnimator

    animator = WarpAnimator()
    animator.load(character)
    tracker = make_tracker("landmarker", folder)
    time_ms = 0

    def look(drive: Drive, times: int) -> FaceState:
        nonlocal time_ms
        image = CameraImage(flatten(animator.render([drive])[0].rgba, _GREY))
        for _ in range(times):
            time_ms += _STEP_MS
            found = tracker.track(image, time_ms)
        return found

    def look_at(probes: list[Drive], times: int) -> None:
        for drive in _path(character, probes):
            reading = _read(look(drive, times))
            if reading is not None:
                seen.append(animator.features(drive))
                read.append(reading)

    try:
        still = Drive.neutral(character)
        rest = look(still, _SETTLE)
        reading = _read(rest)
        if reading is None:
            return None
        seen, read, blinks = [animator.features(still)], [reading], [_blink(rest)]
        times = 2 if abs(reading[_YAW]) > _ASIDE else 1
        shut = []
        for share in _MEET_AT:
            animator.answer(_meeting_at(character, share))
            shut.append(_blink(look(_with_lids(still, 0.0), times)))
        meets = _meets(np.array(shut))
        animator.answer(_meeting_at(character, meets))
        for opening in LID_STEPS[-2::-1]:
            drive = _with_lids(still, opening)
            found = look(drive, times)
            blinks.append(_blink(found))
            reading = _read(found)
            if reading is not None:
                seen.append(animator.features(drive))
                read.append(reading)
        chance = np.random.default_rng(0)
        first = _probes(character, chance)
        look_at(first, times)
        looks = _Looks(np.array(seen), np.array(read), np.array(blinks[::-1]), meets)
        second: list[Drive] = []
        if len(read) >= _FOUND_MIN * (len(first) + len(blinks)):
            animator.answer(replace(character, arrays=_arrays(looks)))
            second = _performed(character, chance)
            look_at(second, times)
    finally:
        tracker.close()
        animator.close()
    if not second or len(read) < _FOUND_MIN * (len(first) + len(second) + len(blinks)):
        return None
    return looks._replace(seen=np.array(seen), read=np.array(read))


def _arrays(looks: _Looks) -> dict[str, NDArray[np.float32]]:
    table, bends = _fit(looks.seen, looks.read)
    return {RESPONSE: table, BENDS: bends, LIDS: np.append(_lids_for(looks.blinks), np.float32(looks.meet_at))}


def _recordings(part: int) -> list[tuple[FaceState, list[FaceState]]]:
    """The calm face and some frames of each bundled clip; none of them twice in different parts."""
    out = []
    for name in bundled_clips():
        states = open_clip(name).states
        neutral = best_neutral(states)
        assert neutral is not None
        frames = np.linspace(0, len(states) - 1, sum(_RECORDED)).astype(int)
        first = np.linspace(0, len(frames) - 1, _RECORDED[0]).astype(int)
        mine = first if part == 0 else np.setdiff1d(np.arange(len(frames)), first)
        out.append((neutral, [states[i] for i in frames[mine]]))
    return out


def _performed(character: Character, chance: np.random.Generator) -> list[Drive]:
    out = []
    for neutral, states in _recordings(1):
        puppeteer = Puppeteer(character, _CALM)
        puppeteer.use_neutral(neutral)
        for state in states:
            drive = puppeteer.step(_turned(state, chance.uniform(-_TURN_MAX, _TURN_MAX, 3)), 1 / 30)
            out.append(drive)
    return out


def _probes(character: Character, chance: np.random.Generator) -> list[Drive]:
    """The character in mixed expressions of the rig's and of recorded people, always the same.

    Each has its head turned and some of the controls on top, so that what a control does can be told from what usually
    comes with it.
    """
    moves = control_moves(face_frame(character))
    calm = _state({})
    performances = [(calm, [_state(_mixed(chance)) for _ in range(_MIXED)]), *_recordings(0)]
    probes = []
    for neutral, states in performances:
        puppeteer = Puppeteer(character, _CALM)
        puppeteer.use_neutral(neutral)
        for state in states:
            drive = puppeteer.step(_turned(state, chance.uniform(-_TURN_MAX, _TURN_MAX, 3)), 1 / 30)
            added = chance.uniform(_ADDED_MIN, _ADDED_MAX) * (chance.random(len(_ADDED_MAX)) < 0.5)
            stronger = chance.uniform(*_STRENGTH)
            expression = character.points_xy + stronger * (drive.expression_xy - character.points_xy)
            moved = expression + np.tensordot(added, moves, 1)
            probes.append(replace(drive, expression_xy=moved.astype(np.float32)))
    return probes


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


def _state(shapes: Mapping[str, float]) -> FaceState:
    values = np.zeros(len(ARKIT_NAMES), np.float32)
    for name, value in shapes.items():
        for each in (name,) if name in ARKIT_INDEX else (name + "Left", name + "Right"):
            values[ARKIT_INDEX[each]] = max(values[ARKIT_INDEX[each]], value)
    return FaceState((64, 48), 1.0, blendshapes=values, head=np.eye(4, dtype=np.float32))


def _read(state: FaceState) -> F64 | None:
    """(6,) as `response` has them; None when no face was found."""
    if not state.found or state.blendshapes is None or state.head is None:
        return None
    shapes = [float(np.mean([state.blendshapes[ARKIT_INDEX[name]] for name in names])) for names in READ_SHAPES]
    u, _, vt = np.linalg.svd(state.head[:3, :3].astype(np.float64))
    turn = u @ vt
    angles = np.degrees(
        [np.arcsin(np.clip(-turn[1, 2], -1, 1)), np.arctan2(turn[0, 2], turn[2, 2]), np.arctan2(turn[1, 0], turn[1, 1])]
    )
    return np.array([*as_logit(np.array(shapes)), *angles])


def _blink(state: FaceState) -> float:
    return float(state.blendshapes[_BLINK].mean()) if state.found and state.blendshapes is not None else np.nan


def _lids_for(blinks: F64) -> NDArray[np.float32]:
    """(6,) how far eyes are to be drawn open so that they are read as a performer's at `LID_STEPS`.

    Shut stays shut and open stays open: only what is between moves.

    Args:
        blinks: what is read at `LID_STEPS`.
    """
    steps = np.array(LID_STEPS)
    if not np.isfinite(blinks).all() or blinks[0] - blinks[-1] < _BLINK_MIN:
        return steps.astype(np.float32)
    falling = np.minimum.accumulate(blinks)
    shares = (falling - falling[-1]) / (falling[0] - falling[-1])
    drawn = np.interp(_LIDS_READ[::-1], shares[::-1], steps[::-1])[::-1]
    closer, wider = _LIDS_BY[1], _LIDS_BY[0]
    drawn = np.maximum.accumulate(np.clip(drawn, steps**closer, steps**wider))
    drawn[[0, -1]] = 0.0, 1.0
    return drawn.astype(np.float32)


def _with_lids(drive: Drive, opening: float) -> Drive:
    return replace(drive, lids=np.full(2, opening, np.float32))


def _meeting_at(character: Character, share: float) -> Character:
    return replace(character, arrays={LIDS: np.array([*LID_STEPS, share], np.float32)})


def _meets(shut: F64) -> float:
    """Where lids are to meet so that they read as `_SHUT_READS` when shut, or as nearly as can be.

    Args:
        shut: what is read when they meet at `_MEET_AT`.
    """
    if not np.isfinite(shut).all():
        return _MEET_AT[1]
    return float(np.interp(_SHUT_READS, np.maximum.accumulate(shut), _MEET_AT))


def _fit(seen: F64, read: F64) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The tables of `response.RESPONSE` and `response.BENDS`: a linear model, then what is left, smoothly."""
    count = len(seen)
    design = np.concatenate([np.ones((count, 1)), seen], axis=1)
    ridge = np.diag([1e-6, *np.full(N_FEATURES, _RIDGE)])
    solve = np.linalg.solve(design.T @ design + ridge, design.T)
    noise = np.full(count, 1.0 / _BEND)
    noise[0] *= _REST_NOISE  # a long look, and at rest the model says what is seen there: the picture stays as it is
    alike = kinship(seen, seen)
    dual = np.linalg.inv(alike + np.diag(noise))
    floor = float(as_logit(SHUT_AT))
    censored = read <= floor
    censored[:, len(READ_SHAPES) :] = False
    wanted = read.copy()
    for _ in range(_ROUNDS):
        fitted = solve @ wanted
        wanted = np.where(censored, np.clip(design @ fitted, floor - _DEEPEST, floor), read)
    straight = design @ fitted
    for _ in range(_ROUNDS):
        weights = dual @ (wanted - straight)
        wanted = np.where(censored, np.clip(straight + alike @ weights, floor - _DEEPEST, floor), read)
    bent = weights / np.diag(dual)[:, None]  # misses of the model made without the one probe
    bent[censored] = np.minimum(bent[censored], 0.0)
    rest = read[0]
    at_rest = np.where(censored[0], np.minimum(fitted[0] + alike[0] @ weights, floor), rest) - alike[0] @ weights
    table = np.concatenate([at_rest[None], fitted[1:], rest[None], bent[1:].std(axis=0)[None]])
    assert table.shape == (N_FEATURES + 3, N_READINGS)
    return table.astype(np.float32), np.concatenate([seen, weights], axis=1).astype(np.float32)
