"""FaceShot's relative motion transfer (Eq. 5 and 6): the driver's motion away from its neutral pose, applied to the
character's own landmarks.

Stage one moves and turns the whole face frame with the driver's; stage two does the same for each part inside the face
frame, the shift limited by b_tar/b_ref so that a part never leaves its place on a smaller face; then every point moves
in its part's own frame by the point ratio rule.

Convention:
    A part's frame has its origin in the middle of the part's first and last point and its x axis from first to last.
    The face frame is that of the face boundary's ends (points 0 and 16). Points are complex numbers x + iy inside
    (`geometry`), so a rotation is a multiplication by a number of length 1.

Where this departs from the published code (which truncates to whole pixels, rotates origin shifts by the negative of
the right angle and swaps bounds for half of the parts):
    - Everything is carried over in the face frame: a tilted character moves along its own axes.
    - Both lips of an outline, and both lids of an eye, are one part with one frame, and inner and outer lips share one
      bound, so nothing can tear.
    - The ratio r/d of rest positions is the gain, as published, and 1 above 1.5 (additive), but limited to
      0.8 to 1.25 times the part's own width ratio. Motion towards the part's axis uses the exact ratio, so that what
      closes on the driver closes on the character.
    - Up and down the whole mouth has one gain, the mean of its width ratio and the ratio of face heights: lips rest so
      close to their axis that ratios of points are noise, and a small mouth opens further, for its width.
    - Facing points of the lips move as the line between them and their distance from it, and the ratio rule governs the
      distance: a curved mouth that smiles stays shut, and a shut one is shut.
    - No outlier smoothing and no jumps: displacement is a continuous, piecewise linear function of the driver's.
    - Rest positions count as "on the axis" within 0.45 % of the face width rather than 1 px.
    - Pupils keep their place inside the eye (Follow-Your-Emoji's iris rule).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceshot.geometry import as_complex, as_xy
from faceshot.topology import (
    BROW_LEFT,
    BROW_RIGHT,
    EYE_LEFT,
    EYE_RIGHT,
    JAW,
    LIPS_INNER,
    LIPS_OUTER,
    N_POINTS,
    PUPIL_LEFT,
    PUPIL_RIGHT,
)

__all__ = ["Retargeter", "face_frame", "face_width"]

Float = NDArray[np.float64]
Complex = NDArray[np.complex128]

# name -> (points, first, last). The pupils belong to their eyes.
_BODIES: Final = (
    ("face boundary", JAW, 0, 16),
    ("outer lips", LIPS_OUTER, 48, 54),
    ("inner lips", LIPS_INNER, 60, 64),
    ("nose base", (31, 32, 33, 34, 35), 31, 35),
    ("image-left eye", (*EYE_LEFT, PUPIL_LEFT), 36, 39),
    ("image-right eye", (*EYE_RIGHT, PUPIL_RIGHT), 42, 45),
    ("image-left brow", BROW_LEFT, 17, 21),
    ("image-right brow", BROW_RIGHT, 22, 26),
    ("nose bridge", (27, 28, 29, 30), 27, 30),
)
_OUTER, _INNER, _NOSE, _EYE_L, _EYE_R, _BROW_L, _BROW_R, _BRIDGE = range(1, 9)
_FIRST: Final = np.array([first for _, _, first, _ in _BODIES])
_LAST: Final = np.array([last for _, _, _, last in _BODIES])
_OWNER: Final = np.zeros(N_POINTS, np.intp)
for _body, (_name, _points, _end0, _end1) in enumerate(_BODIES):
    _OWNER[list(_points)] = _body
_EYES: Final = slice(_EYE_L, _EYE_R + 1)
# Heights of points 36-47 -> openings of the two eyes, then the middles of the two openings.
_LID_SUMS: Final = np.zeros((12, 4))
for _eye, (_upper, _lower) in enumerate((((1, 2), (5, 4)), ((7, 8), (11, 10)))):
    _LID_SUMS[_upper, _eye], _LID_SUMS[_lower, _eye] = -0.5, 0.5
    _LID_SUMS[[*_upper, *_lower], 2 + _eye] = 0.25
# Upper and lower lip points that face each other; every other point is its own partner.
_PARTNER: Final = np.arange(N_POINTS)
for _upper_lip, _lower_lip in ((49, 59), (50, 58), (51, 57), (52, 56), (53, 55), (61, 67), (62, 66), (63, 65)):
    _PARTNER[_upper_lip], _PARTNER[_lower_lip] = _lower_lip, _upper_lip
_HALF: Final = 0.5 * (_PARTNER != np.arange(N_POINTS))[:, None]
_MOUTH: Final = np.isin(_OWNER, (_OUTER, _INNER))
_TINY: Final = 1e-6

# What bounds a part's shift (specs §2.3 of the published rule): the neighbour up, down, left and right.
# Non-negative: another part's origin; negative: the face boundary's point -n-1.
_P0, _P8, _P16 = -1, -9, -17
_BOUNDS: Final = {
    _OUTER: (_NOSE, _P8, _P0, _P16),
    _INNER: (_NOSE, _P8, _P0, _P16),
    _NOSE: (_BRIDGE, _OUTER, _P0, _P16),
    _EYE_L: (_BROW_L, _BRIDGE, _P0, _EYE_R),
    _EYE_R: (_BROW_R, _BRIDGE, _EYE_L, _P16),
    _BROW_L: (_P8, _EYE_L, _P0, _BROW_R),
    _BROW_R: (_P8, _EYE_R, _BROW_L, _P16),
}

_ON_AXIS: Final = 0.0045
"""Closer to the part's axis than this, in face widths, a rest position has no ratio (1 px of 220)."""
_ADDITIVE_ABOVE: Final = 1.5
_GAIN_AROUND_PART: Final = (0.8, 1.25)
_HEIGHT_RATIO: Final = (0.5, 1.6)
"""Limits of the ratio of face heights, in ratios of face widths."""
_CLOSING_MAX: Final = 3.0


def face_width(points_xy: NDArray) -> float:
    """|p16 - p0| in pixels, the unit of head translation; at least a sliver of the whole face's size."""
    width = float(np.hypot(*(points_xy[16].astype(np.float64) - points_xy[0])))
    extent = float(np.ptp(points_xy, axis=0).max()) if np.isfinite(points_xy).all() else 0.0
    return max(width, 0.05 * extent, 1e-3) if np.isfinite(width) else max(extent, 1e-3)


def face_frame(points_xy: NDArray, visible: NDArray[np.bool_]) -> tuple[complex, complex]:
    """Origin and unit x axis of the face, from the first pair of points that the character has."""
    z = as_complex(points_xy)
    for first, last in ((0, 16), (36, 45), (48, 54), (17, 26), (31, 35)):
        if visible[first] and visible[last] and abs(z[last] - z[first]) > 1e-6:
            origin = 0.5 * (z[first] + z[last])
            return complex(origin), complex((z[last] - z[first]) / abs(z[last] - z[first]))
    return complex(z.mean()), 1.0 + 0.0j


class Retargeter:
    """Relative motion from one driver's neutral pose to one character. Everything about the two is precomputed.

    Args:
        character_xy: (70, 2), the character's landmarks, pixels.
        visible: (70,) bool. A part with an invisible end does not move by itself; it goes with the face.
        neutral_xy: (70, 2), the driver's landmarks in the neutral pose, in the same unit as the frames to come.
            Translations are copied unscaled, so bring the driver to the character's face width first.
    """

    def __init__(self, character_xy: NDArray, visible: NDArray[np.bool_], neutral_xy: NDArray) -> None:
        character = np.where(np.isfinite(character_xy), character_xy, 0.0)
        neutral = np.where(np.isfinite(neutral_xy), neutral_xy, 0.0)
        seen = visible & np.isfinite(character_xy).all(axis=1)

        z = as_complex(character)
        origins, axes, chords = (part[0] for part in _frames(z[None]))
        self._face_origin, self._face_axis = face_frame(character, seen)
        own_axis = np.conj(self._face_axis)
        self._origins_in_face = (origins - self._face_origin) * own_axis
        self._axes_in_face = axes * own_axis
        rest = (z - origins[_OWNER]) * np.conj(axes[_OWNER])

        d = as_complex(neutral)
        d_origins, d_axes, d_chords = (part[0] for part in _frames(d[None]))
        # Added to a driver's chord: a part that collapses keeps the neutral's direction.
        self._d_hint = 1e-9 * d_axes
        self._d_face_origin, self._d_face_axis = d_origins[0], d_axes[0]
        self._d_origins_in_face = (d_origins - d_origins[0]) * np.conj(d_axes[0])
        self._d_rest = (d - d_origins[_OWNER]) * np.conj(d_axes[_OWNER])
        # The ratio of sizes turns a shift of the driver's face frame into the character's.
        self._carry = self._face_axis * np.conj(self._d_face_axis)
        # A part turns as the driver's does: its new axis is the driver's, turned by the difference at rest.
        self._carry_part = axes * np.conj(d_axes)

        alive = seen[_FIRST] & seen[_LAST]
        alive[_NOSE] &= alive[_BRIDGE]
        self._inert = np.flatnonzero(~alive)
        boundary = (z - self._face_origin) * own_axis
        d_boundary = (d - d_origins[0]) * np.conj(d_axes[0])
        up_left, down_right = _bounds(self._origins_in_face, self._d_origins_in_face, boundary, d_boundary, alive, seen)
        self._shift_negative, self._shift_positive = up_left * alive[:, None], down_right * alive[:, None]

        self._rest_xy, d_rest_xy = as_xy(rest), as_xy(self._d_rest)
        moves = (alive[_OWNER] & seen).astype(np.float64)[:, None]
        widths = face_width(character), face_width(neutral)
        part = _part_gains(chords, d_chords, widths)
        tall, d_tall = _height(character, seen), _height(neutral, seen)
        if tall is not None and d_tall is not None:
            low, high = (limit * widths[0] / widths[1] for limit in _HEIGHT_RATIO)
            part[_MOUTH, 1] = 0.5 * (part[_MOUTH, 1] + np.clip(tall / d_tall, low, high))
        middle, d_middle = _pair_middles(self._rest_xy), _pair_middles(d_rest_xy)
        opening, closing = _point_gains(self._rest_xy - middle, d_rest_xy - d_middle, part, widths)
        # Lips move alike along their whole length, thick or thin, outer or inner.
        opening[_MOUTH, 1] = part[_MOUTH, 1]
        along, _ = _point_gains(middle, d_middle, part, widths)
        self._opening, self._closing_more = opening * moves, (closing - opening) * moves
        # The line between the lips has no axis to close on: up and down it moves by the part's own gain.
        self._sliding = moves * np.stack([along[:, 0], part[:, 1]], axis=1)
        # The part of a displacement that lies between the driver's rest position and the part's axis.
        d_spread = d_rest_xy - d_middle
        self._towards_low, self._towards_high = np.minimum(-d_spread, 0.0), np.maximum(-d_spread, 0.0)

        self._d_pupils = self._d_rest[68:] / d_chords[_EYES]
        self._pupils_move = moves[68:, 0] * chords[_EYES]
        gap, middle = (self._rest_xy[36:48, 1] @ _LID_SUMS).reshape(2, 2)
        self._lid_gap = np.where(np.abs(gap) > _TINY, gap, 1.0)
        # Pupils are placed against the middle of the opening, so that they go where the lids go.
        self._pupils_rest = self._rest_xy[68:] - np.stack([np.zeros(2), middle], axis=1)

    def __call__(self, driver_xy: NDArray) -> Float:
        """The character's landmarks for frames of the driver.

        Args:
            driver_xy: (M, 70, 2), in the unit of `neutral_xy`.

        Returns:
            (M, 70, 2) float64 pixels of the character.
        """
        z = as_complex(driver_xy)
        origins, axes, chords = _frames(z, self._d_hint)
        face_origin, face_axis = origins[:, :1], axes[:, :1]
        # Stage one: the face frame.
        new_axis = face_axis * self._carry
        new_origin = self._face_origin + (face_origin - self._d_face_origin) * self._carry
        # Stage two: the parts inside it.
        shift = as_xy((origins - face_origin) * face_axis.conj() - self._d_origins_in_face)
        shift *= np.where(shift > 0.0, self._shift_positive, self._shift_negative)
        part_origins = new_origin + new_axis * (self._origins_in_face + as_complex(shift))
        part_axes = axes * self._carry_part
        if self._inert.size:
            part_axes[:, self._inert] = new_axis * self._axes_in_face[self._inert]
        # The points inside their parts; facing lips as the line between them and their distance from it.
        local = z - origins.take(_OWNER, 1)
        local *= axes.conj().take(_OWNER, 1)
        delta = as_xy(local - self._d_rest)
        middle = delta.take(_PARTNER, 1)
        middle += delta
        middle *= _HALF
        delta -= middle
        towards = np.maximum(delta, self._towards_low)
        np.minimum(towards, self._towards_high, out=towards)
        towards *= self._closing_more
        moved = delta
        moved *= self._opening
        moved += towards
        middle *= self._sliding
        moved += middle
        moved += self._rest_xy

        lids = moved[:, 36:48, 1] @ _LID_SUMS
        squeeze = np.minimum(np.maximum(lids[:, :2] / self._lid_gap, 0.0), 1.0)
        look = (local[:, 68:] / chords[:, _EYES] - self._d_pupils) * self._pupils_move
        moved[:, 68:, 0] = self._pupils_rest[:, 0] + look.real
        moved[:, 68:, 1] = lids[:, 2:] + (self._pupils_rest[:, 1] + look.imag) * squeeze
        out = as_complex(moved) * part_axes.take(_OWNER, 1)
        out += part_origins.take(_OWNER, 1)
        return as_xy(out)


def _frames(z: Complex, hint: Complex | complex = 1e-9) -> tuple[Complex, Complex, Float]:
    """Origins, unit axes and chord lengths of the parts of (M, 70) complex points; `hint` is a tiny chord to add."""
    first, last = z.take(_FIRST, 1), z.take(_LAST, 1)
    chords = last - first + hint
    lengths = np.maximum(np.abs(chords), 1e-12)
    origins = np.asarray(0.5 * (first + last), np.complex128)
    # The nose base hangs on the bridge, as published.
    origins[:, _NOSE] = origins[:, _BRIDGE]
    return origins, np.asarray(chords / lengths, np.complex128), lengths


def _pair_middles(local_xy: Float) -> Float:
    """(70, 2) middles of facing lip points; zero for all other points."""
    return (local_xy + local_xy[_PARTNER]) * _HALF


def _bounds(
    origins: Complex,
    d_origins: Complex,
    points: Complex,
    d_points: Complex,
    alive: NDArray[np.bool_],
    seen: NDArray[np.bool_],
) -> tuple[Float, Float]:
    """b_tar/b_ref of every part: (9, 2) for shifts to the left and up, (9, 2) for shifts to the right and down.

    All positions are in their own face frames. What either face lacks bounds nothing.
    """
    negative, positive = np.ones((len(_BODIES), 2)), np.ones((len(_BODIES), 2))
    for part, (up, down, left, right) in _BOUNDS.items():
        for neighbour, axis, side in (
            (left, 0, negative),
            (right, 0, positive),
            (up, 1, negative),
            (down, 1, positive),
        ):
            point = -neighbour - 1
            span = (origins[neighbour] if neighbour >= 0 else points[point]) - origins[part]
            d_span = (d_origins[neighbour] if neighbour >= 0 else d_points[point]) - d_origins[part]
            ours, theirs = (span.real, d_span.real) if axis == 0 else (span.imag, d_span.imag)
            if (alive[neighbour] if neighbour >= 0 else seen[point]) and abs(theirs) > _TINY:
                side[part, axis] = min(abs(ours / theirs), 1.0)
    # One mouth, one bound.
    negative[_INNER], positive[_INNER] = negative[_OUTER], positive[_OUTER]
    return negative, positive


def _part_gains(chords: Float, d_chords: Float, widths: tuple[float, float]) -> Float:
    """(70, 2) width ratio of the part that each point belongs to; 1 (additive) where it is large or unknown."""
    ratio = chords / np.maximum(d_chords, _TINY)
    ratio = np.where((ratio > _ADDITIVE_ABOVE) | (d_chords < 1e-3 * widths[1]), 1.0, ratio)[_OWNER]
    return np.stack([ratio, ratio], axis=1)


def _height(points_xy: Float, seen: NDArray[np.bool_]) -> float | None:
    """Brow centre to chin; None on a face that lacks either."""
    brows = [*BROW_LEFT, *BROW_RIGHT]
    if not (seen[8] and seen[brows].all()):
        return None
    height = float(np.hypot(*(points_xy[8] - points_xy[brows].mean(axis=0))))
    return height if height > _TINY else None


def _point_gains(rest: Float, d_rest: Float, part: Float, widths: tuple[float, float]) -> tuple[Float, Float]:
    """Eq. 6 as two gains per point and coordinate, (70, 2) each: away from the part's axis, and towards it.

    Args:
        rest, d_rest: (70, 2) local rest positions of character and driver.
        part: (70, 2), see `_part_gains`.
        widths: face widths of character and driver, pixels.
    """
    r, d = np.abs(rest), np.abs(d_rest)
    off_axis, d_off_axis = r > _ON_AXIS * widths[0], d > _ON_AXIS * widths[1]
    has_ratio = off_axis & d_off_axis
    ratio = r / np.where(has_ratio, d, 1.0)
    opening = np.where(has_ratio, np.where(ratio > _ADDITIVE_ABOVE, 1.0, ratio), part)
    opening = np.clip(opening, _GAIN_AROUND_PART[0] * part, _GAIN_AROUND_PART[1] * part)

    closing = np.where(has_ratio & (rest * d_rest > 0), np.minimum(ratio, _CLOSING_MAX), opening)
    # A part that rests closed on the character stays closed; it does not cross over.
    closing = np.where(d_off_axis & ~off_axis, 0.0, closing)
    # Across the face the axis means nothing (no part closes sideways): one gain keeps outlines smooth.
    closing[:, 0] = opening[:, 0]
    return opening, closing
