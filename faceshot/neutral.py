"""Finding the performer's neutral pose: everything is measured against it, so it decides the result more than any
gain does (specs/warp.md §3.1).

Live: the calmest frame so far serves at once; the first stable second replaces it; after that a clearly calmer
moment is blended in over half a second. Offline: the calmest frame of the whole clip. Never blindly the first frame.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceshot.driver import Observation, Reference, blend, eye_openings, observe, own_rotation, reference_from
from faceshot.geometry import Similarity, rotation_vector_from_matrix
from faceshot.topology import ARKIT_NAMES
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

_SHAPE_WEIGHTS: Final = np.array([0.5 if name.startswith("eyeLook") else 1.0 for name in ARKIT_NAMES])
_TURN_UNIT: Final = np.radians(12.0)
# Mouth gap, mouth width, brow height (face widths), eye opening (relative), pupil offset (eye widths).
_FEATURE_WEIGHTS: Final = np.array([10.0, 8.0, 12.0, 2.0, 3.0])


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    """One observation with what calmness is judged by."""

    seen: Observation
    turn: Float
    shape: Float
    features: Float
    shapes_sum: float | None


def _frame(seen: Observation) -> _Frame:
    rotation = own_rotation(seen)
    turn = rotation_vector_from_matrix(rotation)
    shapes_sum = None if seen.shapes is None else float(seen.shapes @ _SHAPE_WEIGHTS)
    if seen.points is None:
        return _Frame(seen, turn, np.zeros((1, 2)), np.zeros(5), shapes_sum)
    p = seen.points
    upright = Similarity(rotation, float(np.linalg.norm(p[16] - p[0])), p[[27, 36, 39, 42, 45]].mean(axis=0)).undo(p)
    x, y = upright[:, 0], upright[:, 1]
    pupils = 0.5 * (x[68] + x[69]) - 0.25 * (x[36] + x[39] + x[42] + x[45])
    features = np.array(
        [
            max(float(y[[65, 66, 67]].mean() - y[[61, 62, 63]].mean()), 0.0),
            x[54] - x[48],
            y[36:48].mean() - y[17:27].mean(),
            eye_openings(upright).mean(),
            pupils / max(float(x[39] - x[36]), 1e-3),
        ]
    )
    return _Frame(seen, turn, upright[:, :2], features, shapes_sum)


@dataclass(slots=True)
class _Habits:
    """Running medians: what is usual for this performer."""

    turn: Float
    features: Float

    @classmethod
    def of(cls, frames: Sequence[_Frame]) -> _Habits:
        return cls(
            np.median([f.turn for f in frames], axis=0),
            np.median([f.features for f in frames], axis=0),
        )

    def score(self, frame: _Frame) -> float:
        """How far a frame is from calm; 0 is perfect."""
        turned = float(np.abs(frame.turn - self.turn)[:2].sum()) / _TURN_UNIT
        if frame.shapes_sum is not None:
            return frame.shapes_sum + turned
        away = np.abs(frame.features - self.features)
        # An open mouth is never neutral, however usual; half-shut eyes are worse than wide ones.
        away[0] = frame.features[0]
        away[3] = away[3] / max(float(self.features[3]), 1e-3)
        return float(_FEATURE_WEIGHTS @ away) + turned


def _middle(frames: Sequence[_Frame]) -> Observation:
    """The median of several observations of a still head."""

    def median(arrays: list[Float | None]) -> Float | None:
        known = [a for a in arrays if a is not None]
        return np.median(known, axis=0) if len(known) == len(arrays) and known else None

    seen = [f.seen for f in frames]
    return Observation(
        median([s.points for s in seen]),
        median([s.rigid for s in seen]),
        median([s.shapes for s in seen]),
        median([s.head for s in seen]),
        seen[-1].has_depth,
    )


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
        self._best: _Frame | None = None
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
            self._take(calm)
        elif self._seeking_s >= _PATIENCE_S and self._habits is not None:
            pool = frames if self._explicit else list(self._history)
            ranked = sorted(pool, key=self._habits.score)
            self._take(ranked[: max(3, len(ranked) // 10)])

    def _take(self, frames: Sequence[_Frame]) -> None:
        chosen = _frame(_middle(frames))
        habits = self._habits or _Habits.of(frames)
        self.settled = True
        # A second of stillness with an open mouth does not beat a calmer moment that is already in use.
        if not self._explicit and self._best is not None and habits.score(self._best) < 0.8 * habits.score(chosen):
            return
        self._best = chosen
        self._aim(reference_from(chosen.seen))

    def _improve(self) -> None:
        """Blend in the median of the last three frames when it is clearly calmer than what is in use."""
        if self._habits is None:
            return
        recent = [f for _, f in list(self._window)[-3:]]
        chosen = recent[-1] if len(recent) < 3 else sorted(recent, key=self._habits.score)[1]
        factor, margin = _BETTER_BY
        if self._best is None or self._habits.score(chosen) < factor * self._habits.score(self._best) - margin:
            self._best = chosen
            self._aim(reference_from(chosen.seen))

    def _aim(self, target: Reference) -> None:
        self._from = self._shown
        self._target = target
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


def best_neutral(states: Sequence[FaceState]) -> FaceState | None:
    """The calmest state of a clip, for offline rendering; None when no state has a face.

    Works with and without blendshapes. A single lucky frame does not win: a frame's score is the worst of its own and
    the better of its neighbours'.
    """
    found = [(state, seen) for state in states if (seen := observe(state)) is not None]
    if not found:
        return None
    frames = [_frame(seen) for _, seen in found]
    habits = _Habits.of(frames)
    scores = np.array([habits.score(f) for f in frames])
    if len(scores) > 2:
        padded = np.pad(scores, 1, mode="edge")
        scores = np.maximum(scores, np.minimum(padded[:-2], padded[2:]))
    return found[int(np.argmin(scores))][0]
