"""One frame of a performer's motion relative to neutral as one flat vector, so that filtering, easing and mixing with
idle life are single array operations.

Convention:
    Unit of length is the performer's face width (|p16 - p0| of the neutral, in 3-D); axes are image axes of the face
    in its upright, frontal pose. Left and right are the image's, except in blendshapes (the subject's).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from faceshot.smoothing import OneEuro
from faceshot.topology import (
    ARKIT_INDEX,
    ARKIT_MIRROR,
    ARKIT_NAMES,
    BROW_LEFT,
    BROW_RIGHT,
    JAW,
    LIPS_INNER,
    LIPS_OUTER,
    MIRROR_70,
    N_POINTS,
    NOSE,
)

__all__ = [
    "DELTA",
    "GAZE",
    "LIDS",
    "LIDS_MAX",
    "N_CHANNELS",
    "READINGS",
    "READ_SHAPES",
    "ROTATION",
    "SCALE",
    "SHAPES",
    "TRANSLATION",
    "Gains",
    "delta_of",
    "limited",
    "make_filter",
    "mirrored",
    "readings",
    "rest",
    "smoothed_whole",
    "with_gains",
]

Float = NDArray[np.float64]

ROTATION: Final = slice(0, 3)
"""Rotation vector about the head's centre, radians."""
TRANSLATION: Final = slice(3, 5)
SCALE: Final = slice(5, 6)
"""Natural logarithm of the size relative to neutral."""
LIDS: Final = slice(6, 8)
"""Opening of image-left and image-right eye: 0 shut, 1 as in neutral."""
GAZE: Final = slice(8, 12)
"""x, y of the image-left, then of the image-right pupil, in eye widths."""
DELTA: Final = slice(12, 12 + 3 * N_POINTS)
"""Displacement of the 70 points of the frontal face; zero for eyes and pupils, which lids and gaze describe."""
SHAPES: Final = slice(DELTA.stop, DELTA.stop + len(ARKIT_NAMES))
READINGS: Final = slice(SHAPES.stop, SHAPES.stop + 3)
"""How far the tracker reads jaw, smile and inner brows (`READ_SHAPES`) up from neutral: 0 as in neutral, 1 as far as
can be, -1 when nothing is left of what neutral has."""
READ_SHAPES: Final = (("jawOpen",), ("mouthSmileLeft", "mouthSmileRight"), ("browInnerUp",))
N_CHANNELS: Final = READINGS.stop

LIDS_MAX: Final = 1.6

_MIRROR_XYZ: Final = np.array([-1.0, 1.0, 1.0])


class Gains(NamedTuple):
    """How strongly each group is carried over; 1 is as performed."""

    head: float = 1.0
    eyes: float = 1.0
    brows: float = 1.0
    mouth: float = 1.0


def rest() -> Float:
    """The motion vector of the neutral pose."""
    motion = np.zeros(N_CHANNELS)
    motion[LIDS] = 1.0
    return motion


def delta_of(motion: Float) -> Float:
    """The (70, 3) displacements inside a motion vector, as a view."""
    return motion[DELTA].reshape(N_POINTS, 3)


_READ: Final = np.zeros((len(READ_SHAPES), len(ARKIT_NAMES)))
for _row, _names in enumerate(READ_SHAPES):
    _READ[_row, [ARKIT_INDEX[_name] for _name in _names]] = 1 / len(_names)


def readings(shapes: Float, at_rest: Float | None) -> Float:
    """(3,) `READINGS` of (52,) blendshapes.

    Args:
        at_rest: those of the neutral pose; none of all when unknown.
    """
    now, rest_ = _READ @ shapes, np.zeros(len(READ_SHAPES)) if at_rest is None else _READ @ at_rest
    room = np.where(now > rest_, 1.0 - rest_, rest_)
    return np.asarray(np.clip((now - rest_) / np.maximum(room, 0.05), -1.0, 1.0))


def mirrored(motion: Float) -> Float:
    """The motion as seen in a looking glass."""
    out = motion.copy()
    out[ROTATION] *= (1.0, -1.0, -1.0)
    out[TRANSLATION] *= (-1.0, 1.0)
    out[LIDS] = motion[LIDS][::-1]
    out[GAZE] = motion[GAZE].reshape(2, 2)[::-1].ravel() * (-1.0, 1.0, -1.0, 1.0)
    out[DELTA] = (delta_of(motion)[MIRROR_70] * _MIRROR_XYZ).ravel()
    out[SHAPES] = motion[SHAPES][ARKIT_MIRROR]
    return out


def _group_of_shape(name: str) -> int:
    if name.startswith("eye"):
        return 1
    return 2 if name.startswith("brow") else 3


_POINT_GROUP: Final = np.zeros(N_POINTS, np.intp)
_POINT_GROUP[[*BROW_LEFT, *BROW_RIGHT]] = 2
_POINT_GROUP[[*LIPS_OUTER, *LIPS_INNER, *JAW, *NOSE]] = 3
_CHANNEL_GROUP: Final = np.concatenate(
    [
        np.zeros(6, np.intp),
        np.full(6, 1),
        np.repeat(_POINT_GROUP, 3),
        [_group_of_shape(name) for name in ARKIT_NAMES],
        [_group_of_shape(names[0]) for names in READ_SHAPES],
    ]
)


def with_gains(motion: Float, gains: Gains) -> Float:
    """Scale each group's distance from rest; lids and blendshapes stay in their ranges."""
    still = rest()
    out = still + np.array(gains)[_CHANNEL_GROUP] * (motion - still)
    out[LIDS] = np.clip(out[LIDS], 0.0, LIDS_MAX)
    out[SHAPES] = np.clip(out[SHAPES], 0.0, 1.0)
    out[READINGS] = np.clip(out[READINGS], -1.0, 1.0)
    return out


# Soft limits in units of the channel: pitch, yaw, roll; translation; scale 0.75 to 1.35; gaze x, y (eye widths).
_LIMITED: Final = np.r_[0:6, GAZE]
_LIMITS: Final = np.array([*np.radians((28.0, 38.0, 35.0)), 0.35, 0.35, 0.30, 0.18, 0.09, 0.18, 0.09])
_DELTA_LIMIT: Final = 0.6


_TURNED_YAW_MAX: Final = np.radians(35.0)
_YAW_LEFT_OVER: Final = np.radians(8.0)


def limited(motion: Float, yaw_at_rest: float = 0.0) -> Float:
    """Soft limits (limit · tanh(value / limit)) on what a picture can follow; half of a limit loses 8 %.

    Args:
        yaw_at_rest: radians by which the character is turned in its picture. It can turn on to 35 degrees in all, but
            always by a few.
    """
    out = motion.copy()
    limits = _LIMITS
    if motion[1] * yaw_at_rest > 0.0:
        limits = _LIMITS.copy()
        limits[1] = min(max(_TURNED_YAW_MAX - abs(yaw_at_rest), _YAW_LEFT_OVER), _LIMITS[1])
    out[_LIMITED] = limits * np.tanh(motion[_LIMITED] / limits)
    np.clip(out[DELTA], -_DELTA_LIMIT, _DELTA_LIMIT, out=out[DELTA])
    return out


def make_filter() -> OneEuro:
    """The One-Euro filter of all channels: heaviest on the head, medium on brows, very light on lips and gaze; lids
    fall without delay as soon as it is more than noise.

    The leashes are about twice the noise of the noisier of the two trackers on a calm face. Measured on real clips
    (r of smoothed and raw channels): head 0.995, lips 0.999, brows 0.996.
    """
    cutoff_hz, beta, leash = np.empty(N_CHANNELS), np.empty(N_CHANNELS), np.empty(N_CHANNELS)

    def tune(channels: slice | NDArray[np.intp], rest_hz: float, hz_per_unit_and_second: float, behind: float) -> None:
        cutoff_hz[channels], beta[channels], leash[channels] = rest_hz, hz_per_unit_and_second, behind

    tune(ROTATION, 0.6, 8.0, float(np.radians(0.34)))
    tune(TRANSLATION, 0.6, 12.0, 0.0046)
    tune(SCALE, 0.7, 15.0, 0.005)
    tune(LIDS, 5.0, 3.0, 0.12)
    tune(GAZE, 3.0, 12.0, 0.02)
    tune(DELTA, 4.0, 30.0, 0.002)
    brows = np.array([DELTA.start + 3 * p + axis for p in (*BROW_LEFT, *BROW_RIGHT) for axis in range(3)])
    tune(brows, 2.0, 20.0, 0.0022)
    tune(SHAPES, 6.0, 8.0, 0.04)
    tune(READINGS, 4.0, 8.0, 0.02)
    falls_by = np.full(N_CHANNELS, np.inf)
    falls_by[LIDS] = 0.1
    # A blink is a rising blendshape; it must be as quick as the lids.
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        cutoff_hz[SHAPES.start + ARKIT_INDEX[name]] = 30.0
    return OneEuro(cutoff_hz, beta, leash, falls_by)


def smoothed_whole(motions: Float, dt_s: Float, strength: float) -> Float:
    """A whole stretch smoothed without delay: the mean of the filter run forwards and the filter run backwards.

    Args:
        motions: (T, N_CHANNELS), frames without a gap.
        dt_s: (T,) time since the frame before.
    """
    forwards, backwards = make_filter(), make_filter()
    early = np.array([forwards.step(m, dt, strength) for m, dt in zip(motions, dt_s, strict=True)])
    dt_back = [*dt_s[1:], dt_s[-1]]
    late = np.array([backwards.step(m, dt, strength) for m, dt in zip(motions[::-1], dt_back[::-1], strict=True)])[::-1]
    out = 0.5 * (early + late)
    # Forwards lids fall at once and rise late, backwards the other way round: the more open of the two does both.
    out[:, LIDS] = np.maximum(early[:, LIDS], late[:, LIDS])
    return out
