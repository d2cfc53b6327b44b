"""How a face tracker reads one character, and what to add to a motion so that it reads what it read on the performer.

Whoever looks at a face, a tracker or a viewer, does not see landmarks but an expression. On a small drawn mouth a
performer's grin comes to a twitch, a head tilted back looks like raised brows, a dropping jaw like a nod. `Response` is
a linear model of all that (`faceshot.calibration` measures it): readings = rest + weights @ features. Its correction is
the smallest change of lips, chin, mouth corners, inner brows and head turn that brings the readings to the performer's,
never further than what still is the performer's motion: shut lips stay shut, parted ones stay parted.

Convention:
    Features are those of the drawn motion (`Expression.displacements`) in face widths along the face's own axes, lids,
    gaze, and the head's rotation in image axes, each divided by `_SPANS`, so that 1 is a strong motion.
    Readings are jawOpen, mouthSmile, browInnerUp (logits, see `as_logit`), then pitch, yaw, roll in degrees.
    Rows of the array `RESPONSE` are the rest readings that the model says, the weights of the features, the rest
    readings as measured, and what the model leaves unexplained (standard deviation).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, TypeGuard

import numpy as np

from faceshot.animators.warp.expression import Expression
from faceshot.animators.warp.frame import F64, FaceFrame, as_float32
from faceshot.rest_pose import RESPONSE, head_axes
from faceshot.types import Character, Drive, Float32, HeadMotion

__all__ = [
    "BENDS",
    "LIDS",
    "LID_STEPS",
    "N_FEATURES",
    "N_READINGS",
    "RESPONSE",
    "SHUT_AT",
    "Response",
    "as_logit",
    "control_moves",
    "features",
    "from_logit",
    "kinship",
    "lids_meet_at",
]

BENDS: Final = "scale_free.response_bends"
"""How readings bend away from the linear model: features of a look, then its weight for each reading, one look a row. A
motion's reading has each look's weight by `kinship`."""
LIDS: Final = "scale_free.response_lids"
"""How far the character's eyes are drawn open for a performer's at `LID_STEPS`, then how far down its lids meet (0 to 1
of the opening)."""
LID_STEPS: Final = (0.0, 0.15, 0.3, 0.5, 0.75, 1.0)
N_READINGS: Final = 6
N_FEATURES: Final = 17
_SPANS: Final = np.array(
    [*(0.1, 0.1, 0.05, 0.1, 0.05, 0.05, 0.05, 0.05, 0.05, 0.03, 0.03, 0.03), 0.5, 0.05, 0.1, 0.1, 0.1]
)
_LID: Final = 12
_POSE: Final = slice(14, 17)
_REACH: Final = 2.5
"""How far apart motions are that have little to do with each other, in features."""
_SIDED: Final = np.array(
    [1.3, 1.3, 1, 1, 0.5, 1, 0.5, 1, 1, 0.5, 0.5, 0.5, 1, 0.5, 1, 1, 1]
)  # rare or small ones count half
_SCALES: Final = _SIDED / _REACH

_SOFT: Final = 0.04
SHUT_AT: Final = 0.012
"""Below this, readings of an expression mean only that there is none."""
_FULL_AT: Final = 0.97

# Full strength of what may be added to the expression, in face widths across and down. The image-left half, mirrored.
_CONTROLS: Final[tuple[dict[tuple[int, ...], tuple[float, float]], ...]] = (
    {
        (57, 66): (0, 0.1),
        (65, 67): (0, 0.085),
        (56, 58): (0, 0.085),
        (55, 59): (0, 0.055),
        (48, 60, 54, 64): (0, 0.02),
        (6, 7, 8, 9, 10): (0, 0.06),  # a mouth opens with its jaw: without it, lower teeth would be left behind
    },
    {(6, 7, 8, 9, 10): (0, 0.1)},
    {(48, 60): (-0.04, -0.05), (54, 64): (0.04, -0.05)},
    {(21, 22): (0, -0.06), (20, 23): (0, -0.05), (19, 24): (0, -0.03), (17, 18, 25, 26): (0, -0.015)},
)
_TAKEN_ALONG: Final = {48: (49, 59, 61, 67), 54: (53, 55, 63, 65)}
"""What mouth corners take along."""
_FAR_ALONG: Final = ((0.0, 0.11), (1.0, 0.43))
"""Face widths from the corner, and the share of its way: on the far side of a turned head lips are close together."""
_BROW_ALIKE: Final = 0.05
"""Face widths within which points of a brow move alike: a far brow's are close together too."""
_LIPS, _CHIN, _CORNERS, _BROWS, _EYES = range(5)
_FOR: Final = np.array([0, 0, 1, 2, 2])
"""The reading that each is there for; what it does to others is only reckoned with."""
_LEAST: Final = np.array([0.0, -0.35, -1.0, -1.0, -1.0])
_MOST: Final = np.array([1.4, 0.6, 1.0, 1.0, 1.0])
_WIDER: Final = 0.3
"""Full strength of what may be added to the opening of the lids: where brows are hardly seen, eyes tell of them."""
_NARROW, _OPEN = 0.4, 0.9
"""From where to where lids open, nothing to all of that is done: a blink stays a blink."""
_SWEEPS: Final = 3
_ROUNDS: Final = 2
_CLOSES_BY, _OPENS_BY = 0.4, 1.6  # of the performer's opening
_TURNS_BY, _TURNS_OWN = 0.05, 0.5  # radians, and share of the performer's turn
_NODS_BACK: Final = 0.12  # radians, of what expressions do to the head's readings
_STRONGEST: Final = 1e4
"""Weight of a look, of what is believed: looks that contradict each other cancel out with large ones."""
_USUAL: Final = np.array([0.45, 1.25, 1.5, 1.5])
"""How far the readings of jaw (logits), pitch, yaw and roll (degrees) vary on somebody calm, whose motion what is read
at random exaggerates the most: standard deviations."""
_TAKEN_BACK: Final = 0.65
"""How much of what the expression does to the head's readings is taken back when nothing says how sure the model is."""


def as_logit(reading: Any) -> Any:
    """Readings 0..1 stretched near both ends, softly: there trackers say much by little."""
    reading = np.clip(reading, 0.0, 1.0)
    return np.log((reading + _SOFT) / (1.0 - reading + _SOFT))


def from_logit(logit: Any) -> Any:
    ratio = np.exp(logit)
    return np.clip((ratio * (1.0 + _SOFT) - _SOFT) / (1.0 + ratio), 0.0, 1.0)


_FLOOR, _TOP = float(as_logit(SHUT_AT)), float(as_logit(_FULL_AT))


def kinship(a: F64, b: F64) -> F64:
    """(n, m) how much each of `a` (n, 17) has to do with each of `b` (m, 17): 1 for the same, 0 far away."""
    a, b = a * _SCALES, b * _SCALES
    apart = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2.0 * (a @ b.T)
    return np.asarray(np.exp(-0.5 * np.maximum(apart, 0.0)))


def features(frame: FaceFrame, delta: Float32, drive: Drive) -> F64:
    """(17,) features of a motion.

    Args:
        delta: (70, 2) px, what `Expression.displacements` gives.
        drive: whose lids, gaze and turn of the head count.
    """
    x, y = (delta @ frame.axis_x) / frame.width, (delta @ frame.axis_y) / frame.width
    inner_left, inner_right = (y[20] + y[21]) / 2, (y[22] + y[23]) / 2
    opening = np.clip(np.nan_to_num(drive.lids, nan=1.0), 0.0, 1.6).mean() - 1.0
    expression = (
        y[66] - y[62],
        y[57],
        y[51],
        y[8],
        (y[48] + y[54]) / 2,
        (x[54] - x[48]) / 2,
        (x[54] + x[48]) / 2,
        (inner_left + inner_right) / 2,
        (y[17] + y[18] + y[25] + y[26]) / 4,
        (y[54] - y[48]) / 2,
        x[8],
        (y[21:25].mean() - y[18:22].mean()) / 2,
    )
    looks_down = np.nan_to_num(drive.gaze[:, 1]).mean()
    return np.array([*expression, opening, looks_down, *np.nan_to_num(drive.head.rotation)], np.float64) / _SPANS


class Response:
    """The correction for one character.

    Args:
        table: see `RESPONSE`.
        bends: see `BENDS`.
        lids: see `LIDS`.
    """

    def __init__(
        self,
        table: Float32,
        bends: Float32,
        lids: Float32,
        character: Character,
        frame: FaceFrame,
        expression: Expression,
    ) -> None:
        self._frame, self._expression, self._axes = frame, expression, head_axes(character)
        table = table.astype(np.float64)
        self._model_rest, weights = table[0], table[1 : 1 + N_FEATURES].T
        self._weights = weights
        self._looks, self._bends = bends[:, :N_FEATURES].astype(np.float64), bends[:, N_FEATURES:].astype(np.float64)
        self._lids = lids[:-1].astype(np.float64)
        self._scaled = self._looks * _SCALES
        self._norms = 0.5 * (self._scaled * self._scaled).sum(axis=1)
        self._rest, unsure = table[-2], table[-1]
        self._rest_reading = from_logit(self._rest[:3])
        moves = control_moves(frame, expression.rest)
        self._flat_moves = moves.reshape(len(moves), -1)
        still = Drive.neutral(character)
        half = [expression.displacements(as_float32(expression.rest + 0.5 * move)) for move in moves]
        wider = np.eye(N_FEATURES)[_LID] * (_WIDER / _SPANS[_LID])
        self._adds = np.array([*(2 * features(frame, delta, still) for delta in half), wider])  # (controls, features)
        by_control = weights @ self._adds.T
        self._turns = weights[3:, _POSE]  # degrees by features of rotation
        self._straight = np.linalg.solve(self._turns.T @ self._turns + 0.5 * np.eye(3), self._turns.T)
        # What the tracker hardly sees on this face is not forced: the effect of a control against the model's doubt.
        self._cross = by_control[_FOR]  # (controls, controls): effect of each on the reading that the other is for
        own = np.maximum(np.diag(self._cross), 0.0)
        self._others = self._cross - np.diag(np.diag(self._cross))
        self._strength = own / (own * own + np.maximum(unsure[_FOR], 0.25) ** 2)
        # What a tracker reads at random comes on top of what is drawn: less is drawn, so that the whole varies as the
        # performer does.
        self._share_of_jaw, *share_of_turn = 1.0 / np.sqrt(1.0 + (unsure[[0, 3, 4, 5]] / _USUAL) ** 2)
        self._share_of_turn = np.array(share_of_turn)
        self._open = expression.mouth_is_open
        self._taken_back = self._sure_of_turns(unsure[3:])

    def _sure_of_turns(self, unsure: F64) -> F64:
        """(3,) how much of what the expression does to the head's readings is taken back: what the model explains of
        it against its doubt."""
        if not len(self._looks):
            return np.full(3, _TAKEN_BACK)
        bent = kinship(self._looks, self._looks) @ self._bends[:, 3:]
        done = self._looks @ self._weights[3:].T - self._looks[:, _POSE] @ self._turns.T + bent
        explained = (done * done).mean(axis=0)
        return np.asarray(explained / np.maximum(explained + unsure**2, 1e-9))

    @classmethod
    def of(cls, character: Character, frame: FaceFrame, expression: Expression) -> Response | None:
        """The response that a character comes with; None if it has none that can be used."""
        table = character.arrays.get(RESPONSE)
        if table is None or table.shape != (N_FEATURES + 3, N_READINGS) or not np.isfinite(table).all():
            return None
        bends, lids = character.arrays.get(BENDS), character.arrays.get(LIDS)
        if (
            bends is None
            or bends.ndim != 2
            or bends.shape[1] != N_FEATURES + N_READINGS
            or not np.isfinite(bends).all()
        ):
            bends = np.zeros((0, N_FEATURES + N_READINGS), np.float32)
        if not _are_lids(lids):
            lids = np.array([*LID_STEPS, np.nan], np.float32)
        table, bends = np.clip(table, -100.0, 100.0), np.clip(bends, -_STRONGEST, _STRONGEST)
        return cls(table, bends, lids, character, frame, expression)

    def _seen(self, motion: F64) -> F64:
        """(6,) readings of a motion's features, as the model has them (by `kinship`, its constant part made once)."""
        near = motion * _SCALES
        alike = np.exp(np.minimum(self._scaled @ near - self._norms - 0.5 * float(near @ near), 0.0))
        return np.asarray(self._model_rest + self._weights @ motion + alike @ self._bends)

    def corrected(self, drive: Drive) -> Drive:
        """A drive whose picture is read as the performer was."""
        drive = replace(drive, lids=self._drawn_lids(drive.lids))
        delta = self._expression.displacements(drive.expression_xy)
        now = features(self._frame, delta, drive)
        turned = self._axes.T @ np.nan_to_num(drive.head.rotation.astype(np.float64))
        wanted = self._share_of_turn * np.degrees(turned)
        own = now[_POSE]
        most, least = _MOST.copy(), _LEAST.copy()
        opening = max(float(now[0]), 0.0)  # the lips' control opens by 0.1 face widths, as the feature's span is
        least[_LIPS] = -_CLOSES_BY * opening - (0.3 if self._open else 0.0)
        most[_LIPS] = min(_OPENS_BY * opening, _MOST[_LIPS])
        free = np.clip((now[_LID] * _SPANS[_LID] + 1.0 - _NARROW) / (_OPEN - _NARROW), 0.0, 1.0)
        most[_EYES], least[_EYES] = free * _MOST[_EYES], free * _LEAST[_EYES]
        _, eyes, brows, mouth = drive.gains
        gains = np.minimum((mouth, mouth, mouth, brows, min(brows, eyes)), 1.0)
        added = np.zeros(len(_FOR))
        # The head first, without what expressions do to its readings: it says how the expressions will be read.
        straight = _within(self._straight @ wanted - own, own)
        turn = straight
        motion = now.copy()
        motion[_POSE] += turn
        for _ in range(_ROUNDS):
            missing = self._missing(self._seen(motion)[:3], drive.readings)[_FOR] + self._cross @ (added * gains)
            for _ in range(_SWEEPS):
                for control, effects in enumerate(self._others):
                    still = missing[control] - effects @ added
                    added[control] = min(max(still * self._strength[control], least[control]), most[control])
            # What is drawn of it is not always what was added: lips do not cross, brows stop below a fringe.
            expression = self._with(drive.expression_xy, added * gains)
            motion = features(self._frame, self._expression.displacements(expression), drive)
            motion[_LID] += gains[_EYES] * added[_EYES] * (_WIDER / _SPANS[_LID])
            motion[_POSE] += turn
            rest_of_pose = self._seen(motion)[3:] - self._rest[3:] - self._turns @ motion[_POSE]
            limit = _NODS_BACK / _SPANS[_POSE]
            turn = straight - np.clip(self._straight @ (self._taken_back * rest_of_pose), -limit, limit)
            motion[_POSE] = own + turn
        added, turn = added * gains, turn * min(drive.gains[0], 1.0)
        lids = np.maximum(drive.lids + np.float32(_WIDER * added[_EYES]), np.minimum(drive.lids, np.float32(0.0)))
        rotation = np.nan_to_num(drive.head.rotation) + turn * _SPANS[_POSE]
        head = HeadMotion(rotation.astype(np.float32), drive.head.translation, drive.head.scale)
        return replace(drive, expression_xy=expression, head=head, lids=lids)

    def _with(self, expression_xy: Float32, added: F64) -> Float32:
        return as_float32(expression_xy + (added[:_EYES] @ self._flat_moves).reshape(-1, 2))

    def _drawn_lids(self, lids: Float32) -> Float32:
        return np.where(lids < 1.0, np.interp(lids, LID_STEPS, self._lids), lids).astype(np.float32)

    def _missing(self, seen: F64, readings: Float32) -> F64:
        """How much more (logits) jaw, smile and brows should read."""
        share = np.clip(np.nan_to_num(readings.astype(np.float64)), -1.0, 1.0)
        room = np.where(share > 0, np.maximum(_FULL_AT - self._rest_reading, 0.0), self._rest_reading)
        wanted = as_logit(self._rest_reading + share * room)
        at_rest = float(as_logit(self._rest_reading[0]))
        wanted[0] = at_rest + self._share_of_jaw * (wanted[0] - at_rest)
        missing = wanted - seen
        # Beyond both ends all readings are alike.
        missing = np.where(wanted <= _FLOOR, np.minimum(_FLOOR - seen, 0.0), missing)
        return np.where(wanted >= _TOP, np.maximum(_TOP - seen, 0.0), missing)


def _are_lids(lids: Float32 | None) -> TypeGuard[Float32]:
    return lids is not None and lids.shape == (len(LID_STEPS) + 1,) and bool((np.diff(lids[:-1]) >= 0).all())


def lids_meet_at(character: Character) -> float | None:
    """How far down the character's lids meet, if that is known."""
    lids = character.arrays.get(LIDS)
    return float(lids[-1]) if _are_lids(lids) and 0.0 <= lids[-1] <= 1.0 else None


def control_moves(frame: FaceFrame, points: Float32) -> F64:
    """(4, 70, 2) px by which each control at full strength moves the resting landmarks (70, 2): lips, chin, mouth
    corners, brows."""
    moves = np.zeros((len(_CONTROLS), 70, 2))
    for move, control in zip(moves, _CONTROLS, strict=True):
        for who, (across, down) in control.items():
            move[list(who)] = frame.width * (across * frame.axis_x + down * frame.axis_y)
    for corner, along in _TAKEN_ALONG.items():
        for point in along:
            apart = float(np.linalg.norm(points[point] - points[corner])) / frame.width
            moves[_CORNERS, point] = np.interp(apart, *_FAR_ALONG) * moves[_CORNERS, corner]
    brows = points[17:27]
    apart = np.linalg.norm(brows[:, None] - brows, axis=-1) / (_BROW_ALIKE * frame.width)
    alike = np.exp(-(apart**2))
    moves[_BROWS, 17:27] = (alike / alike.sum(1, keepdims=True)) @ moves[_BROWS, 17:27]
    return moves


def _within(turn: F64, own: F64) -> F64:
    """A correction of the head's turn, in features, no larger than the turn itself allows."""
    limit = _TURNS_BY / _SPANS[_POSE] + _TURNS_OWN * np.abs(own)
    return np.asarray(np.clip(turn, -limit, limit))
