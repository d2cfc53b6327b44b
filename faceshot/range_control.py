"""How far a performer's face goes, and how far the character's may: per-eye and lip calibration, soft limits, and a
mouth that rests shut although the picture shows it open.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from faceshot.errors import FaceshotError
from faceshot.motion import DELTA, GAZE, LIDS, READINGS, ROTATION, SHAPES, TRANSLATION, delta_of
from faceshot.topology import ARKIT_INDEX, BROW_LEFT, BROW_RIGHT, JAW, LIPS_INNER, LIPS_OUTER
from faceshot.types import Character

__all__ = [
    "NO_LIMITS",
    "USUAL_RANGE",
    "Limits",
    "Measurement",
    "Range",
    "RangeStep",
    "closing_of",
    "in_range",
    "mouth_gap",
    "within",
]

Float = NDArray[np.float64]
RangeStep = Literal["eyes-shut", "left-eye-shut", "right-eye-shut", "lips-shut", "mouth-wide"]

_WIDE: Final = 0.18
"""Face widths between the inner lips of an average mouth that is wide open."""
_LID_SHUT_MAX: Final = 0.7
_GAP_SHUT_MAX: Final = 0.05
_GAP_WIDE_MIN: Final = 0.08
_GET_READY_S: Final = 0.8
_MEASURE_S: Final = 1.2
_BROWS: Final = [*BROW_LEFT, *BROW_RIGHT]
_MOUTH: Final = [*LIPS_OUTER, *LIPS_INNER]
_LOWER: Final = [55, 56, 57, 58, 59, 65, 66, 67]
_FACING: Final = ((49, 59), (50, 58), (51, 57), (52, 56), (53, 55), (61, 67), (62, 66), (63, 65))
# How far each jaw point goes with the lower lip.
_JAW_GOES: Final = np.array([0, 0, 0, 0.1, 0.3, 0.6, 0.85, 1, 1, 1, 0.85, 0.6, 0.3, 0.1, 0, 0, 0])


class Range(NamedTuple):
    """What one performer's face reads as, before any gain. Left and right are the performer's own.

    Attributes:
        left_shut, right_shut: lid opening read when that eye is shut; neutral reads 1.
        lips_shut, lips_wide: face widths between the inner lips, against neutral, when they are shut and wide open.
    """

    left_shut: float = 0.0
    right_shut: float = 0.0
    lips_shut: float = 0.0
    lips_wide: float = _WIDE


class Limits(NamedTuple):
    """How far each group may go, as a share of what a picture can follow; nearing the limit is soft."""

    head: float = 1.0
    eyes: float = 1.0
    brows: float = 1.0
    mouth: float = 1.0


USUAL_RANGE: Final = Range()
NO_LIMITS: Final = Limits()


def mouth_gap(motion: Float) -> float:
    """Face widths between the inner lips, against neutral."""
    delta = delta_of(motion)
    return float(delta[66, 1] - delta[62, 1])


def in_range(motion: Float, found: Range) -> Float:
    """An unmirrored motion vector stretched so that what is shut or wide on the performer is so on the character."""
    if found == USUAL_RANGE:
        return motion
    out = motion.copy()
    shut = np.array([found.right_shut, found.left_shut])  # image-left is the performer's right
    lids = motion[LIDS]
    out[LIDS] = np.where(lids < 1, np.maximum((lids - shut) / (1 - shut), 0), lids)
    for name, eye in (("eyeBlinkRight", 0), ("eyeBlinkLeft", 1)):
        blink = SHAPES.start + ARKIT_INDEX[name]
        out[blink] = np.clip(out[blink] + lids[eye] - out[LIDS][eye], 0.0, 1.0)
    gap = mouth_gap(motion)
    gain = float(np.clip(_WIDE / (found.lips_wide - found.lips_shut), 0.5, 2.2))
    more = (gap - found.lips_shut) * gain - gap
    delta = delta_of(out)
    delta[_LOWER, 1] += more
    delta[list(JAW), 1] += more * _JAW_GOES
    jaw = SHAPES.start + ARKIT_INDEX["jawOpen"]
    out[jaw] = np.clip(out[jaw] * gain, 0.0, 1.0)
    out[READINGS.start] = np.clip(out[READINGS.start] * gain, -1.0, 1.0)
    return out


# What each group reaches with limit 1: rotation (radians), translation (face widths), gaze (eye widths), and of brows
# and mouth face widths.
_TURN: Final = np.radians((28.0, 38.0, 35.0))
_SHIFT: Final = 0.35
_GAZE: Final = np.array([0.18, 0.09, 0.18, 0.09])
_BROW, _LIP = 0.14, 0.40


def within(motion: Float, limits: Limits) -> Float:
    """A motion vector held softly within limits; 1 leaves it to the limits that every picture has."""
    if limits == NO_LIMITS:
        return motion
    out = motion.copy()
    if limits.head < 1:
        out[ROTATION] = _held(motion[ROTATION], limits.head * _TURN)
        out[TRANSLATION] = _held(motion[TRANSLATION], limits.head * np.full(2, _SHIFT))
    if limits.eyes < 1:
        out[GAZE] = _held(motion[GAZE], limits.eyes * _GAZE)
        wide = np.maximum(out[LIDS] - 1, 0)
        out[LIDS] += _held(wide, limits.eyes * np.full(2, 0.6)) - wide
    delta = out[DELTA].reshape(-1, 3)
    for points, limit, reach in ((_BROWS, limits.brows, _BROW), ([*_MOUTH, *JAW], limits.mouth, _LIP)):
        if limit < 1:
            length = np.linalg.norm(delta[points], axis=1, keepdims=True)
            delta[points] *= _held(length, np.full_like(length, limit * reach)) / np.maximum(length, 1e-9)
    # A calibrated character is drawn until it reads as is said here: what is held is read as less.
    most = np.array([limits.mouth, limits.mouth, limits.brows])
    out[READINGS] = np.where(most < 1, _held(motion[READINGS], most), motion[READINGS])
    return out


def _held(value: Float, limit: Float) -> Float:
    limit = np.maximum(limit, 1e-6)
    return np.asarray(limit * np.tanh(value / limit))


def closing_of(character: Character) -> Float | None:
    """(70, 2) px by which the landmarks move for the picture's open mouth to shut; None when it is shut."""
    points = character.points_xy.astype(np.float64)
    if not character.visible[48:68].all():
        return None
    across = points[54] - points[48]
    width = float(np.hypot(*across))
    if width < 1:
        return None
    down = np.array([-across[1], across[0]]) / width
    gaps = [max(float((points[low] - points[up]) @ down), 0.0) for up, low in ((61, 67), (62, 66), (63, 65))]
    if np.mean(gaps) < 0.06 * width:
        return None
    out = np.zeros((70, 2))
    # The outer lips go as the inner ones at their place do; less towards the corners, where there is no gap.
    for up, low in _FACING:
        place = float(np.clip((points[[up, low]].mean(0) - points[48]) @ across / width**2, 0, 1))
        gap = float(np.interp(place, (0.0, 0.25, 0.5, 0.75, 1.0), (0.0, *gaps, 0.0)))
        out[up] += 0.2 * gap * down
        out[low] -= 0.8 * gap * down
    out[list(JAW)] -= 0.7 * max(gaps) * _JAW_GOES[:, None] * down
    return out


class Measurement:
    """One step of the calibration: a moment to get ready, then what the face reads like.

    Attributes:
        result: new values of `Range` by name; None until it is done.
        error: what was wrong with what was seen; None while there is nothing.
    """

    def __init__(self, what: RangeStep) -> None:
        if what not in get_args(RangeStep):
            raise FaceshotError(f"There is no step {what!r}.", f"There are: {', '.join(get_args(RangeStep))}.")
        self.what = what
        self.result: dict[str, float] | None = None
        self.error: FaceshotError | None = None
        self._seen_s = 0.0
        self._lids: list[Float] = []
        self._gaps: list[float] = []

    @property
    def done(self) -> bool:
        return self.result is not None or self.error is not None

    def step(self, motion: Float, dt_s: float) -> None:
        """Sees one unmirrored, unscaled frame."""
        if self.done:
            return
        self._seen_s += dt_s
        if self._seen_s < _GET_READY_S:
            return
        self._lids.append(motion[LIDS].copy())
        self._gaps.append(mouth_gap(motion))
        if self._seen_s >= _GET_READY_S + _MEASURE_S:
            self._finish()

    def _finish(self) -> None:
        right, left = (float(x) for x in np.median(self._lids, axis=0))
        gap = float(np.median(self._gaps))
        eyes = {"left_shut": left, "right_shut": right}
        if self.what.endswith("-eye-shut"):
            eyes = {f"{self.what.split('-')[0]}_shut": eyes[f"{self.what.split('-')[0]}_shut"]}
        if self.what == "mouth-wide":
            if gap < _GAP_WIDE_MIN:
                self._fail(f"The mouth was open by {gap:.2f} face widths; at least {_GAP_WIDE_MIN} are needed.", "Open")
            else:
                self.result = {"lips_wide": gap}
        elif self.what == "lips-shut":
            if abs(gap) > _GAP_SHUT_MAX:
                self._fail(
                    f"The lips were {gap:+.2f} face widths from neutral; at most {_GAP_SHUT_MAX} can be shut.", "Shut"
                )
            else:
                self.result = {"lips_shut": gap}
        elif max(eyes.values()) > _LID_SHUT_MAX:
            self._fail(
                f"The eye was read as {max(eyes.values()):.0%} open; shut, at most {_LID_SHUT_MAX:.0%} is usable.",
                "Keep it shut",
            )
        else:
            self.result = eyes

    def _fail(self, what: str, advice: str) -> None:
        light = "more light and no glare on glasses help." if "eye" in self.what else "the whole mouth must be seen."
        self.error = FaceshotError(what, f"{advice} for two seconds after pressing; {light}")
