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
from faceshot.animators.warp import WarpAnimator
from faceshot.animators.warp.response import (
    BENDS,
    LID_STEPS,
    LIDS,
    N_FEATURES,
    N_READINGS,
    RESPONSE,
    SHUT_AT,
    as_logit,
    kinship,
)
from faceshot.calibration_probes import first_round, second_round
from faceshot.character import resize
from faceshot.errors import WeightsMissing
from faceshot.motion import READ_SHAPES
from faceshot.pictures import flatten
from faceshot.topology import ARKIT_INDEX
from faceshot.tracker import TASK_FILE, make_tracker
from faceshot.types import CameraImage, Character, Drive, FaceState

__all__ = ["calibrated", "can_calibrate"]

F64 = NDArray[np.float64]

_SIDE_PX: Final = 512  # the whole picture, as it will be seen: where a face is in it decides how its turns are read
_GREY: Final = (127, 127, 127)
_SETTLE: Final = 4  # looks at the resting picture before it counts
_ASIDE: Final = 12.0  # degrees of yaw at rest; faces turned further are found less surely, and are looked at twice
_YAW: Final = 4
_STEP_MS: Final = 1000  # between looks: long enough for the tracker not to smooth from one to the next
_FOUND_MIN: Final = 0.9
_RIDGE: Final = 1.0
_BEND: Final = 16.0
"""How much further than their noise readings bend away from the linear model (variances)."""
_REST_NOISE: Final = 0.02
_ROUNDS: Final = 15
_DEEPEST: Final = 4.0  # logits below `SHUT_AT`, at most
_LIDS_READ: Final = (1.0, 0.70, 0.58, 0.43, 0.18, 0.0)
"""What a tracker reads of a blink at `LID_STEPS`, as a share of what it reads of shut eyes: the mean of real people."""
_LIDS_BY: Final = (0.5, 1.7)
"""Limits of what is drawn for it, as powers of the opening."""
_MEET_AT: Final = (0.73, 0.87, 1.0)
"""Where lids may meet."""
_SHUT_READS: Final = 0.58
"""What a tracker reads of shut eyes: people have it at .5 to .8, of which it finds them at rest at .1."""
_BLINK_MIN: Final = 0.15  # a blink that reads less is not seen
_BLINK: Final = [ARKIT_INDEX["eyeBlinkLeft"], ARKIT_INDEX["eyeBlinkRight"]]


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
        and lids.shape == (len(LID_STEPS) + 1,)
    )


def calibrated(character: Character, folder: Path | None = None) -> Character:
    """The character with its response (`faceshot.animators.warp.response`) among its arrays; the character itself when
    that cannot be measured: no model at hand, landmarks made by hand, or a face that trackers lose as it moves.

    Takes five to ten seconds. Deterministic.
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
    animator = WarpAnimator()
    animator.load(character)
    looker = _Looker(animator, folder)
    try:
        still = Drive.neutral(character)
        (rest,) = looker.look([still], _SETTLE)
        reading = _read(rest)
        if reading is None:
            return None
        times = 2 if abs(reading[_YAW]) > _ASIDE else 1
        shut = []
        for share in _MEET_AT:
            animator.answer(_meeting_at(character, share))
            shut += looker.look([_with_lids(still, 0.0)], times)
        meet_at = _meet(np.array([_blink(found) for found in shut]))
        animator.answer(_meeting_at(character, meet_at))
        looker.forget()
        closing = looker.look([still, *(_with_lids(still, opening) for opening in LID_STEPS[-2::-1])], times)
        looker.read[0] = reading  # of the longer look
        blinks = np.array([_blink(rest), *(_blink(found) for found in closing[1:])])[::-1]
        looker.look(first_round(character), times)
        looks = _Looks(*looker.seen_and_read(), blinks, meet_at)
        if not looker.finds_enough():
            return None
        animator.answer(replace(character, arrays=_arrays(looks)))
        looker.look(second_round(character), times)
    finally:
        looker.close()
        animator.close()
    seen, read = looker.seen_and_read()
    return looks._replace(seen=seen, read=read) if looker.finds_enough() else None


class _Looker:
    """Draws probes and looks at them.

    Attributes:
        seen: (17,) features of each probe in which a face was found.
        read: (6,) the readings of each.
    """

    def __init__(self, animator: WarpAnimator, folder: Path | None) -> None:
        self._animator = animator
        self._tracker = make_tracker("landmarker", folder)
        self._time_ms = 0
        self.forget()

    def forget(self) -> None:
        """What was seen so far does not count."""
        self.seen: list[F64] = []
        self.read: list[F64] = []
        self._lost = 0

    def look(self, probes: list[Drive], times: int) -> list[FaceState]:
        """What the tracker says of each probe, the last of so many looks at it; remembers it."""
        found = []
        for probe in probes:
            image = CameraImage(flatten(self._animator.render([probe])[0].rgba, _GREY))
            for _ in range(times):
                self._time_ms += _STEP_MS
                state = self._tracker.track(image, self._time_ms)
            found.append(state)
            reading = _read(state)
            if reading is None:
                self._lost += 1
            else:
                self.seen.append(self._animator.features(probe))
                self.read.append(reading)
        return found

    def seen_and_read(self) -> tuple[F64, F64]:
        return np.array(self.seen), np.array(self.read)

    def finds_enough(self) -> bool:
        return len(self.read) >= _FOUND_MIN * (len(self.read) + self._lost)

    def close(self) -> None:
        self._tracker.close()


def _arrays(looks: _Looks) -> dict[str, NDArray[np.float32]]:
    table, bends = _fit(looks.seen, looks.read)
    return {RESPONSE: table, BENDS: bends, LIDS: np.append(_lids_for(looks.blinks), np.float32(looks.meet_at))}


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


def _meet(shut: F64) -> float:
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
