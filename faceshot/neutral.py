"""Finding the performer's neutral pose: everything is measured against it, so it decides the result more than any
gain does (specs/warp.md §3.1).

No frame of a talking clip is calm in everything, so the neutral is composed: the mouth of the moments in which the
mouth is closed and calm, the brows and the eyes of theirs, the gaze and the head as they mostly are. Parts are brought
together in the frame of one head by the rigid points.

Live: the calmest moments so far serve at once; the first stable second replaces them; after that each group of the face
improves by itself when a clearly calmer moment of it comes, blended in over half a second. Offline: the calmest moments
of the whole clip. Never blindly the first frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceshot.driver import (
    Observation,
    Reference,
    blend,
    eye_openings,
    observe,
    own_rotation,
    reference_from,
)
from faceshot.geometry import Similarity, procrustes, rotation_vector_from_matrix
from faceshot.topology import (
    ARKIT_NAMES,
    BROW_LEFT,
    BROW_RIGHT,
    LIPS_INNER,
    LIPS_OUTER,
    MEDIAPIPE_TO_70,
    N_POINTS,
)
from faceshot.types import FaceState

__all__ = ["NeutralKeeper", "best_neutral"]

Float = NDArray[np.float64]

_STABLE_S: Final = 1.0
_PATIENCE_S: Final = 2.5
"""Without a stable second until then, the calmest moments so far must do."""
_BLEND_S: Final = 0.5
_LOOK_EVERY_S: Final = 0.09
_CALM_SHAPE: Final = 0.010
"""Root mean square distance of the points from the window's median face, in face widths, that still counts as calm:
calm seconds of real clips have 0.004 to 0.009, talking 0.012 to 0.05."""
_CALM_TURN: Final = np.radians(4.0)
_CALM_SHARE: Final = 0.8
"""Share of calm frames in a stable second; the rest may be a blink."""
_HISTORY: Final = 240
_RELEARN_EVERY: Final = 10
_BETTER_BY: Final = (0.9, 0.05)
"""A calmer moment must score below 0.9 times the present score less 0.05."""
_GAP_STEP: Final = 0.004
"""Live, lips that were seen closer together by this many face widths are worth another neutral."""
_TAKEN: Final = (3, 9, 0.02)
"""Offline, each group is the median of its calmest moments: at least, at most, and the share of the clip between."""

_HEAD, _MOUTH, _BROWS, _LIDS, _GAZE = range(5)
_N_GROUPS: Final = 5
"""What is taken from moments of its own; the head comes with its rigid points and whatever no other group has."""

_GROUP_OF_POINT: Final = np.full(N_POINTS, _HEAD)
_GROUP_OF_POINT[[*range(3, 14), *range(31, 36), *LIPS_OUTER, *LIPS_INNER]] = _MOUTH
_GROUP_OF_POINT[[*BROW_LEFT, *BROW_RIGHT]] = _BROWS
_GROUP_OF_POINT[[37, 38, 40, 41, 43, 44, 46, 47]] = _LIDS
_GROUP_OF_POINT[[68, 69]] = _GAZE


def _group_of_shape(name: str) -> int:
    if name.startswith("brow"):
        return _BROWS
    if name.startswith("eye"):
        return _GAZE if name.startswith("eyeLook") else _LIDS
    return _MOUTH


_GROUP_OF_SHAPE: Final = np.array([_group_of_shape(name) for name in ARKIT_NAMES])
# (52, 5): what each blendshape adds to the score of each group. The head prefers faces that are calm altogether, for
# its rigid points move a little with strong expressions.
_SHAPE_SCORES: Final = (_GROUP_OF_SHAPE[:, None] == np.arange(_N_GROUPS)).astype(np.float64)
_SHAPE_SCORES[:, _HEAD] = 0.3
_SHAPE_SCORES[:, _GAZE] = 0.0
_SHAPE_SCORES[ARKIT_NAMES.index("jawOpen"), _MOUTH] = 2.0
_TURN_UNIT: Final = np.radians(12.0)
_PLACE_WEIGHT: Final = 2.0
# Mouth gap, mouth width, mouth height (face widths), brow height (face widths), eye opening (relative), pupil offset
# (eye widths).
_FEATURE_WEIGHTS: Final = np.array([10.0, 8.0, 8.0, 12.0, 2.0, 3.0])
_GAP, _OPENING = 0, 4
_UPPER_LIP: Final = np.array([49, 50, 51, 52, 53, 61, 62, 63])
_LOWER_LIP: Final = np.array([59, 58, 57, 56, 55, 67, 66, 65])
_LIP_PROFILE: Final = np.array([0.5, 0.9, 1.0, 0.9, 0.5, 0.9, 1.0, 0.9])
_UPPER_CLOSES: Final = 0.3
"""Share of the upper lip in closing a mouth that is at rest but not quite shut."""


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    """One observation with what calmness is judged by."""

    seen: Observation
    turn: Float
    place: Float
    shape: Float
    features: Float


def _frame(seen: Observation) -> _Frame:
    rotation = own_rotation(seen)
    turn = rotation_vector_from_matrix(rotation)
    if seen.points is None:
        return _Frame(seen, turn, np.zeros(3), np.zeros((1, 2)), np.zeros(len(_FEATURE_WEIGHTS)))
    p = seen.points
    width, centre = float(np.linalg.norm(p[16] - p[0])), p[[27, 36, 39, 42, 45]].mean(axis=0)
    upright = Similarity(rotation, width, centre).undo(p)
    x, y = upright[:, 0], upright[:, 1]
    pupils = 0.5 * (x[68] + x[69]) - 0.25 * (x[36] + x[39] + x[42] + x[45])
    features = np.array(
        [
            max(float(y[[65, 66, 67]].mean() - y[[61, 62, 63]].mean()), 0.0),
            x[54] - x[48],
            y[[48, 54]].mean() - y[33],
            y[36:48].mean() - y[17:27].mean(),
            eye_openings(upright).mean(),
            pupils / max(float(x[39] - x[36]), 1e-3),
        ]
    )
    return _Frame(seen, turn, np.array([*centre[:2], width]), upright[:, :2], features)


@dataclass(slots=True)
class _Habits:
    """Running medians: what is usual for this performer."""

    turn: Float
    place: Float
    features: Float

    @classmethod
    def of(cls, frames: Sequence[_Frame]) -> _Habits:
        return cls(
            np.median([f.turn for f in frames], axis=0),
            np.median([f.place for f in frames], axis=0),
            np.median([f.features for f in frames], axis=0),
        )

    def scores(self, frame: _Frame) -> Float:
        """(5,) how far each group of a frame is from calm; 0 is perfect."""
        away = np.abs(frame.features - self.features)
        # An open mouth is never neutral, however usual; half-shut eyes are worse than wide ones.
        away[_GAP] = frame.features[_GAP]
        away[_OPENING] = away[_OPENING] / max(float(self.features[_OPENING]), 1e-3)
        away *= _FEATURE_WEIGHTS
        turned = float(np.abs(frame.turn - self.turn)[:2].sum()) / _TURN_UNIT
        moved = _PLACE_WEIGHT * float(np.abs(frame.place - self.place).sum()) / max(float(self.place[2]), 1e-3)
        if frame.seen.shapes is None:
            mouth, brows, lids = away[:3].sum(), away[3], away[4]
            return np.array([0.3 * (mouth + brows + lids) + turned + moved, mouth, brows, lids, away[5] + turned])
        scores = frame.seen.shapes @ _SHAPE_SCORES
        scores[_HEAD] += turned + moved
        scores[_MOUTH] += away[_GAP]
        scores[_LIDS] += away[_OPENING]
        scores[_GAZE] = away[5] + turned
        return scores


def _middle(seen: Sequence[Observation]) -> Observation:
    """The median of several observations of a still head."""

    def median(arrays: list[Float | None]) -> Float | None:
        known = [a for a in arrays if a is not None]
        return np.median(known, axis=0) if len(known) == len(arrays) and known else None

    return Observation(
        median([s.points for s in seen]),
        median([s.rigid for s in seen]),
        median([s.shapes for s in seen]),
        median([s.head for s in seen]),
        seen[-1].has_depth,
    )


def _brought_to(head: Observation, seen: Observation) -> Observation:
    """An observation's face on the head of another: posed and sized alike by the rigid points."""
    if seen.points is None or seen.rigid is None or head.rigid is None:
        return replace(seen, head=head.head)
    fit = procrustes(head.rigid, seen.rigid)
    return replace(seen, points=fit.undo(seen.points), rigid=fit.undo(seen.rigid), head=head.head)


def _composed(groups: Sequence[Sequence[Observation]], least_gap: float) -> Observation:
    """One face of all groups, each the median of its own observations, on the first of the head's.

    Args:
        least_gap: of the lips, in face widths; a calm mouth that stands open further is closed to it.
    """
    base = groups[_HEAD][0]
    points = None if base.points is None else base.points.copy()
    shapes = None if base.shapes is None else base.shapes.copy()
    for group in range(1, _N_GROUPS):
        own = _middle([_brought_to(base, seen) for seen in groups[group]])
        if points is not None and own.points is not None:
            points[_GROUP_OF_POINT == group] = own.points[_GROUP_OF_POINT == group]
        if shapes is not None and own.shapes is not None:
            shapes[_GROUP_OF_SHAPE == group] = own.shapes[_GROUP_OF_SHAPE == group]
    if points is not None:
        _close_lips(points, least_gap)
    return replace(base, points=points, shapes=shapes)


def _close_lips(points: Float, least_gap: float) -> None:
    """Bring lips together, in place, until they are no further apart than they have been seen."""
    apart = (points[[67, 66, 65]] - points[[61, 62, 63]]).mean(axis=0)
    gap = float(np.linalg.norm(apart))
    too_much = gap - least_gap * float(np.linalg.norm(points[16] - points[0]))
    if too_much > 0.0:
        closing = too_much / gap * apart
        points[_UPPER_LIP] += _UPPER_CLOSES * _LIP_PROFILE[:, None] * closing
        points[_LOWER_LIP] -= (1.0 - _UPPER_CLOSES) * _LIP_PROFILE[:, None] * closing


class NeutralKeeper:
    """Watches observations and holds the present neutral.

    Attributes:
        settled: False while a calibration (the automatic one at the start, or a wanted one) is still looking.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Another performer: forget everything and start the automatic calibration."""
        self.settled = False
        self._explicit = False
        self._shown: Reference | None = None
        self._from: Reference | None = None
        self._target: Reference | None = None
        self._blend_s = 0.0
        self._best: list[_Frame] = []
        self._least_gap = np.inf
        self._used_gap = np.inf
        self._window: deque[tuple[float, _Frame]] = deque()
        self._history: deque[_Frame] = deque(maxlen=_HISTORY)
        self._habits: _Habits | None = None
        self._count = 0
        self._seeking_s = 0.0
        self._unseen_s = 0.0

    @property
    def explicit(self) -> bool:
        """Whether the neutral was asked for, and so must not be improved or forgotten."""
        return self._explicit

    def calibrate(self) -> None:
        """Take the median of the next stable second, and keep it until told otherwise."""
        self.settled = False
        self._explicit = True
        self._window.clear()
        self._seeking_s = 0.0

    def use(self, seen: Observation) -> Reference:
        """Set the neutral directly and keep it."""
        self.reset()
        self._explicit = self.settled = True
        self._shown = self._target = reference_from(seen)
        return self._shown

    def step(self, seen: Observation, dt_s: float) -> Reference:
        """The neutral to measure this observation against."""
        if self._target is not None and self._target.kind != seen.kind:
            self.reset()
        if not (self.settled and self._explicit):
            # Once a neutral is settled a look now and then is enough to find a better one.
            self._unseen_s += dt_s
            if not self.settled or self._unseen_s >= _LOOK_EVERY_S:
                self._learn(_frame(seen), self._unseen_s)
                self._unseen_s = 0.0
        return self._advance(dt_s)

    def _learn(self, frame: _Frame, dt_s: float) -> None:
        self._count += 1
        self._history.append(frame)
        if self._habits is None or self._count % _RELEARN_EVERY == 0:
            self._habits = _Habits.of(self._history)
        self._window.append((dt_s, frame))
        while len(self._window) > 3 and sum(dt for dt, _ in self._window) - self._window[0][0] > _STABLE_S:
            self._window.popleft()
        if not self.settled:
            self._seeking_s += dt_s
            self._settle()
        if not self._explicit or self._target is None:
            self._improve()

    def _settle(self) -> None:
        frames = [f for _, f in self._window]
        if len(frames) < 8 or sum(dt for dt, _ in self._window) < 0.9 * _STABLE_S:
            return
        shape, turn = np.median([f.shape for f in frames], axis=0), np.median([f.turn for f in frames], axis=0)
        calm = [
            f
            for f in frames
            if np.square(f.shape - shape).sum(axis=1).mean() < _CALM_SHAPE**2
            and np.abs(f.turn - turn).max() < _CALM_TURN
        ]
        if len(calm) >= _CALM_SHARE * len(frames):
            self._take([calm] * _N_GROUPS)
        elif self._seeking_s >= _PATIENCE_S and self._habits is not None:
            self._take(_calmest(frames if self._explicit else list(self._history), self._habits, (3, 24, 0.1)))

    def _take(self, groups: Sequence[Sequence[_Frame]]) -> None:
        """Settle on the medians of these frames, one sequence a group."""
        chosen = [_frame(_middle([f.seen for f in frames])) for frames in groups]
        habits = self._habits or _Habits.of(chosen)
        self.settled = True
        if not self._explicit and self._best:
            # A second of stillness with an open mouth does not beat a calmer moment that is already in use.
            for group, (best, new) in enumerate(zip(self._best, chosen, strict=True)):
                if habits.scores(best)[group] < 0.8 * habits.scores(new)[group] - _BETTER_BY[1]:
                    chosen[group] = best
        self._use(chosen)

    def _improve(self) -> None:
        """Take over each group of the last three frames' median one that is clearly calmer than what is in use."""
        if self._habits is None:
            return
        recent = [f for _, f in list(self._window)[-3:]]
        scores = np.array([self._habits.scores(f) for f in recent])
        if not self._best:
            self._use([recent[-1]] * _N_GROUPS)
            return
        factor, margin = _BETTER_BY
        self._least_gap = min(self._least_gap, float(np.median([f.features[_GAP] for f in recent])))
        chosen = list(self._best)
        for group, best in enumerate(self._best):
            middle = int(np.argsort(scores[:, group])[len(recent) // 2])
            if scores[middle, group] < factor * self._habits.scores(best)[group] - margin:
                chosen[group] = recent[middle]
        better = any(new is not old for new, old in zip(chosen, self._best, strict=True))
        if better or self._least_gap < self._used_gap - _GAP_STEP:
            self._use(chosen)

    def _use(self, chosen: list[_Frame]) -> None:
        self._best = chosen
        self._from = self._shown
        # Who calibrates with parted lips wants them to be neutral.
        gap = chosen[_MOUTH].features[_GAP]
        self._used_gap = gap if self._explicit else min(self._least_gap, gap)
        self._target = reference_from(_composed([[frame.seen] for frame in chosen], self._used_gap))
        self._blend_s = 0.0

    def _advance(self, dt_s: float) -> Reference:
        if self._target is None:
            raise RuntimeError("NeutralKeeper has no reference; step() learns one before it advances")
        if self._shown is None or self._from is None:
            self._shown = self._target
        elif self._shown is not self._target:
            self._blend_s += dt_s
            self._shown = blend(self._from, self._target, min(self._blend_s / _BLEND_S, 1.0))
        return self._shown


def _calmest(frames: Sequence[_Frame], habits: _Habits, taken: tuple[int, int, float]) -> list[list[_Frame]]:
    """For each group its calmest frames, best first.

    A single lucky frame does not win: a frame's score is the worst of its own and the better of its neighbours'.

    Args:
        taken: how many a group: at least, at most, and the share of all frames between.
    """
    scores = np.array([habits.scores(f) for f in frames])
    if len(scores) > 2:
        padded = np.pad(scores, ((1, 1), (0, 0)), mode="edge")
        scores = np.maximum(scores, np.minimum(padded[:-2], padded[2:]))
    least, most, share = taken
    count = max(least, min(most, int(share * len(frames))))
    return [[frames[k] for k in np.argsort(scores[:, group], kind="stable")[:count]] for group in range(_N_GROUPS)]


def best_neutral(states: Sequence[FaceState]) -> FaceState | None:
    """The neutral face of a clip, composed of its calmest moments, for offline rendering; None when no state has a
    face.

    Works with and without blendshapes. The result is a face state of the same tracker: its head and its confidence are
    those of the calmest frame.
    """
    found = [(state, seen) for state in states if (seen := observe(state)) is not None]
    if not found:
        return None
    # A clip is of one tracker; should it not be, the first one is followed.
    found = [(state, seen) for state, seen in found if seen.kind == found[0][1].kind]
    frames = [_frame(seen) for _, seen in found]
    groups = _calmest(frames, _Habits.of(frames), _TAKEN)
    state = next(state for state, seen in found if seen is groups[_HEAD][0].seen)
    least_gap = float(np.mean(np.sort([frame.features[_GAP] for frame in frames])[: _TAKEN[0]]))
    seen = _composed([[frame.seen for frame in group] for group in groups], least_gap)
    blendshapes = None if seen.shapes is None else seen.shapes.astype(np.float32)
    if state.points_xyz is None or seen.points is None:
        return replace(state, blendshapes=blendshapes)
    return replace(
        state, points_xyz=_with_points(state.points_xyz.astype(np.float64), seen.points), blendshapes=blendshapes
    )


def _with_points(tracked: Float, points: Float) -> NDArray[np.float32]:
    """The tracker's points with our 70 put in; the rest of a mesh goes with the nearest of them."""
    if len(tracked) == N_POINTS:
        return points.astype(np.float32)
    known = MEDIAPIPE_TO_70 if len(tracked) >= 478 else MEDIAPIPE_TO_70[:68]
    moved = points[: len(known)] - tracked[known]
    distance = np.linalg.norm(tracked[:, None, :2] - tracked[None, known, :2], axis=2)
    mesh = tracked + moved[distance.argmin(axis=1)]
    mesh[known] = points[: len(known)]
    return mesh.astype(np.float32)
