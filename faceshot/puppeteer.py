"""Everything with memory between what a tracker saw and what an animator draws: neutral pose, smoothing, holding and
easing when the face is lost, idle life, and retargeting to the character.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from faceshot import motion as channels
from faceshot.animators.liveportrait.ratios import ratios_of_mesh
from faceshot.driver import (
    Observation,
    Reference,
    frontal_face,
    measure,
    observe,
    reference_from,
)
from faceshot.geometry import as_complex, as_xy, matrix_from_rotation_vector
from faceshot.idle import IdleLife
from faceshot.motion import GAZE, LIDS, READINGS, ROTATION, SCALE, SHAPES, TRANSLATION, Gains
from faceshot.neutral import NeutralKeeper, best_neutral
from faceshot.presets import PresetMixer
from faceshot.range_control import (
    NO_LIMITS,
    USUAL_RANGE,
    Limits,
    Measurement,
    Range,
    closing_of,
    in_range,
    mouth_gap,
    within,
)
from faceshot.rest_crops import Crops, RestCrops, rest_crops_of
from faceshot.rest_pose import RESPONSE, head_axes, rest_rotation, yaw_of
from faceshot.retarget import Retargeter, face_frame, face_width
from faceshot.topology import MIRROR_70
from faceshot.types import Character, Drive, FaceState, Float32, HeadMotion, Square, UInt8

__all__ = ["MotionSettings", "Puppeteer", "Status", "best_neutral"]

Float = NDArray[np.float64]
Status = Literal["waiting", "calibrating", "tracking", "holding", "idle"]

_EASE_OUT_S: Final = 0.6
_EASE_IN_S: Final = 0.3
_FORGET_S: Final = 10.0
"""After so long without a face, whoever comes next is calibrated anew."""
_DT_MAX_S: Final = 1.0
_BREATH_WHILE_TRACKING: Final = 0.6
_CONFIDENCE_MIN: Final = 0.3
_OPEN_GAP: Final = 0.16
"""Face widths between the performer's lips at which a picture's open mouth is as open as it is drawn."""
_LIDS_LEAD: Final = 1.0
"""What is added to opening lids, in steps of a camera of 30 frames a second (`_FRAME_S`)."""
_FRAME_S: Final = 1 / 30
_LIDS_NOISE: Final = 0.05
_FILTER_AT_FULL: Final = 2.0
"""Strength of the filter at smoothing 1; the tuning in `motion` is what smoothing 0.5 gives."""


@dataclass(frozen=True, slots=True)
class MotionSettings:
    """How the performer's motion becomes the character's.

    Attributes:
        head, eyes, brows, mouth: gains, 1 is as performed.
        smoothing: 0 raw to 1 very smooth.
        mirror: as in front of a looking glass.
        hold_s: how long the last expression is held when the face is lost.
        idle: blink, breathe and sway while nobody is there.
        limits: how far each group may go.
        range: what this performer's face reads as.
        close_mouth: 0 to 1, how far a mouth that is open in the picture shuts while the performer's is.
    """

    head: float = 1.0
    eyes: float = 1.0
    brows: float = 1.0
    mouth: float = 1.0
    smoothing: float = 0.5
    mirror: bool = False
    hold_s: float = 0.5
    idle: bool = True
    limits: Limits = NO_LIMITS
    range: Range = USUAL_RANGE
    close_mouth: float = 0.0

    @property
    def gains(self) -> Gains:
        return Gains(self.head, self.eyes, self.brows, self.mouth)


class Puppeteer:
    """Turns face states into drives for one character.

    Args:
        character: who is animated.
        settings: may be assigned at any time.
        seed: of the idle life.

    Attributes:
        presets: expressions to be blended over the performer's.
        measurement: may be assigned at any time, and sees the frames from then on.
        status: waiting (no face yet), calibrating (moving already, neutral still sought), tracking, holding (face just
            lost), idle (face gone).
    """

    def __init__(self, character: Character, settings: MotionSettings | None = None, seed: int = 0) -> None:
        self.settings = settings or MotionSettings()
        self.status: Status = "waiting"
        self._seed = seed
        self.presets = PresetMixer()
        self.measurement: Measurement | None = None
        self._life = IdleLife(seed)
        self._keeper = NeutralKeeper()
        self._filter = channels.make_filter()
        self._retargeter: Retargeter | None = None
        self._retargeter_key: tuple[Reference, bool] | None = None
        self.set_character(character)
        self.reset()

    def set_character(self, character: Character) -> None:
        """Animate another character; the performer's calibration and motion go on."""
        self._character = character
        self._width = face_width(character.points_xy)
        self._centre, _ = face_frame(character.points_xy, character.visible)
        self._turn_at_rest = rest_rotation(character)
        self._axes = head_axes(character)
        self._yaw_at_rest = yaw_of(self._turn_at_rest)
        self._is_calibrated = RESPONSE in character.arrays
        self._closing = closing_of(character)
        self._retargeter_key = None

    def reset(self) -> None:
        """Another source or performer: forget neutral, motion and status."""
        self._keeper.reset()
        self._filter.reset()
        self._rest_crops = RestCrops()
        self._rest_shown: tuple[Crops, bool, Crops] = ((), False, ())
        self._neutral: Reference | None = None
        self._tracked = channels.rest()
        self._shown = channels.rest()
        self._ease_from = channels.rest()
        self._ease_s, self._ease_length_s = 0.0, 0.0
        self._lost_s = 0.0
        self._ever_found = False
        self._on_air = False
        self._gaze = np.zeros(4)
        self._lids = np.ones(2)
        self._life_share = 1.0
        self.status = "waiting"

    def forget_performer(self) -> None:
        """Whoever comes next is another: forget neutral, also one that was asked for. What is on air goes on."""
        self._keeper.reset()
        self._rest_crops.reset()

    def calibrate(self) -> None:
        """Make the next stable second the neutral pose."""
        self._keeper.calibrate()

    def use_neutral(self, state: FaceState) -> None:
        """Measure against this state from now on. A state without a usable face changes nothing."""
        seen = observe(state)
        if seen is not None:
            self._neutral = self._keeper.use(seen)

    def step(self, state: FaceState, dt_s: float) -> Drive:
        """The drive for one frame.

        Args:
            state: what the tracker saw; `FaceState.lost(...)` when there is nothing.
            dt_s: time since the last call; anything but a positive number counts as 0.
        """
        dt_s = _sane(dt_s)
        raw = self._raw(state, dt_s)
        if raw is None:
            return self._play(state, None, dt_s)
        if self._lost_s > 0.0 or not self._ever_found:
            self._filter.reset()
        return self._play(state, self._filter.step(raw, dt_s, self._strength), dt_s)

    def perform(self, states: Sequence[FaceState], dts_s: Sequence[float]) -> Iterator[Drive]:
        """The drives for a whole clip, as `step` gives them but smoothed forwards and backwards: without any delay.

        Args:
            states: every frame of the clip, with the neutral already set (`use_neutral`).
            dts_s: time since the frame before, one a frame.
        """
        times = [_sane(dt_s) for dt_s in dts_s]
        if self._neutral is not None:
            self._rest_crops.keep(rest_crops_of(states, self._neutral))
        raws = [self._raw(state, dt_s) for state, dt_s in zip(states, times, strict=True)]
        smooth = list(raws)
        start = 0
        for end in range(len(raws) + 1):
            if end < len(raws) and raws[end] is not None:
                continue
            stretch = [raw for raw in raws[start:end] if raw is not None]
            if stretch:
                smooth[start:end] = channels.smoothed_whole(
                    np.array(stretch), np.array(times[start:end]), self._strength
                )
            start = end + 1
        for state, tracked, dt_s in zip(states, smooth, times, strict=True):
            yield self._play(state, tracked, dt_s)

    @property
    def _strength(self) -> float:
        return _FILTER_AT_FULL * self.settings.smoothing

    def _play(self, state: FaceState, tracked: Float | None, dt_s: float) -> Drive:
        if tracked is None:
            self._lose(dt_s)
        else:
            self._follow(tracked, dt_s)
        self._on_air = True
        return self._drive(state if tracked is not None else None, dt_s)

    def _raw(self, state: FaceState, dt_s: float) -> Float | None:
        """Unfiltered motion; None when there is no face or its motion comes to nothing finite."""
        seen = observe(state, _CONFIDENCE_MIN)
        if seen is None:
            return None
        if self._lost_s > _FORGET_S and not self._keeper.explicit:
            self._keeper.reset()
        neutral = self._keeper.step(seen, dt_s)
        raw = measure(seen, neutral, self._gaze, as_read=self._is_calibrated)
        if not np.isfinite(raw).all():
            return None
        raw[LIDS], self._lids = _ahead(raw[LIDS], self._lids, dt_s), raw[LIDS].copy()
        self._neutral = neutral
        if state.crop is not None:
            self._rest_crops.see(seen, state.crop, state.crop_square, neutral, dt_s)
        self._gaze = raw[GAZE]
        if self.measurement is not None:
            self.measurement.step(raw, dt_s)
        raw = in_range(raw, self.settings.range)
        return channels.mirrored(raw) if self.settings.mirror else raw

    def _follow(self, tracked: Float, dt_s: float) -> None:
        if self._lost_s > 0.0 or not self._ever_found:
            self._ease_from = self._shown.copy()
            self._ease_s = 0.0
            # Nothing to be continuous with before the first frame; a short gap needs a short bridge.
            gap_s = self._lost_s if self._ever_found else _EASE_IN_S * self._on_air
            self._ease_length_s = min(_EASE_IN_S, 1.5 * gap_s)
            self._ever_found, self._lost_s = True, 0.0
        self._tracked = tracked
        self._ease_s += dt_s
        share = _smooth(self._ease_s / self._ease_length_s) if self._ease_length_s > 0 else 1.0
        self._shown = self._ease_from + share * (tracked - self._ease_from) if share < 1.0 else tracked
        self._life_share = max(self._life_share - dt_s / _EASE_IN_S, 0.0)
        self.status = "tracking" if self._keeper.settled else "calibrating"

    def _lose(self, dt_s: float) -> None:
        if not self._ever_found:
            self._life_share = 1.0
            self.status = "waiting"
            return
        if self._lost_s == 0.0:
            self._ease_from = self._shown.copy()
        self._lost_s += max(dt_s, 1e-9)
        gone_s = self._lost_s - self.settings.hold_s
        if gone_s <= 0.0:
            self.status = "holding"
            return
        share = _smooth(gone_s / _EASE_OUT_S)
        self._shown = self._ease_from + share * (channels.rest() - self._ease_from)
        self._life_share = max(self._life_share, share)
        self.status = "idle"

    def _drive(self, state: FaceState | None, dt_s: float) -> Drive:
        life = self._life.step(dt_s)
        share = self._life_share if self.settings.idle else 0.0
        motion = channels.with_gains(self._shown, self.settings.gains)
        motion[LIDS] *= 1.0 - share * (1.0 - life.lid)
        motion[ROTATION] += share * life.rotation
        motion[TRANSLATION] += share * life.translation
        own = motion
        motion = self.presets.step(own, dt_s)
        preset = None if motion is own else (motion[SHAPES] - own[SHAPES]).astype(np.float32)
        motion = channels.limited(within(motion, self.settings.limits), self._yaw_at_rest)
        breath = life.breath * (share + (1.0 - share) * _BREATH_WHILE_TRACKING) if self.settings.idle else 0.0

        expression, posed = self._landmarks(motion)
        crop, square = _looked_at(state, self.settings.mirror)
        return Drive(
            expression_xy=expression.astype(np.float32),
            points_xy=posed.astype(np.float32),
            head=HeadMotion(
                self._turned(motion[ROTATION]).astype(np.float32),
                motion[TRANSLATION].astype(np.float32),
                float(np.exp(motion[SCALE][0])),
            ),
            lids=motion[LIDS].astype(np.float32),
            gaze=motion[GAZE].reshape(2, 2).astype(np.float32),
            blendshapes=np.clip(motion[SHAPES], 0.0, 1.0).astype(np.float32),
            readings=motion[READINGS].astype(np.float32),
            breath=float(breath),
            crop=crop,
            crop_square=square,
            openings=_openings(state, self.settings.mirror),
            rest_crops=self._rest_crops_shown(state),
            preset_shapes=preset,
            dt_s=dt_s,
            gains=self.settings.gains,
            smoothing=self._strength,
            found=state is not None,
        )

    def _rest_crops_shown(self, state: FaceState | None) -> Crops:
        """Mirrored as the motion is; the same tuple as long as nothing changes."""
        best, mirror = self._rest_crops.best, self.settings.mirror
        if best is not self._rest_shown[0] or mirror is not self._rest_shown[1]:
            width = 0 if state is None else state.size_wh[0]
            shown = tuple(_flipped(crop, square, width) for crop, square in best) if mirror else best
            self._rest_shown = (best, mirror, shown)
        return self._rest_shown[2]

    def _turned(self, rotation: Float) -> Float:
        """A rotation vector in the axes of the character's face, as one in image axes: a nod is a nod, however the
        head is turned in its picture."""
        return self._axes @ rotation

    def _landmarks(self, motion: Float) -> tuple[Float, Float]:
        neutral = self._neutral or _NOBODY
        mirror = self.settings.mirror
        if self._retargeter_key != (neutral, mirror) or self._retargeter is None:
            self._face = neutral.face[MIRROR_70] * (-1.0, 1.0, 1.0) if mirror else neutral.face
            # The performer is seen from where the character is painted from: what is foreshortened on the one is on
            # the other.
            seen = (self._face @ self._turn_at_rest.T)[:, :2]
            self._zoom = self._width / max(float(np.hypot(*(seen[16] - seen[0]))), 0.3)
            self._retargeter = Retargeter(self._character.points_xy, self._character.visible, seen * self._zoom)
            self._retargeter_key = (neutral, mirror)
        frontal = frontal_face(motion, self._face) @ self._turn_at_rest.T
        turned = frontal @ matrix_from_rotation_vector(self._turn_at_rest @ motion[ROTATION]).T
        still, posed = self._retargeter(np.stack([frontal, turned])[..., :2] * self._zoom)
        # Size and place go with the whole face, exactly: Eq. 5 and 6 see the rotation only.
        z = (as_complex(posed) - self._centre) * float(np.exp(motion[SCALE][0])) + self._centre
        x, y = motion[TRANSLATION] * self._width
        posed = as_xy(z + complex(x, y))
        if self._closing is not None and self.settings.close_mouth > 0:
            # As the performer's mouth opens, the picture's own opening comes back.
            shut = self.settings.close_mouth * (1.0 - _smooth(mouth_gap(motion) / _OPEN_GAP)) * self._closing
            still, posed = still + shut, posed + shut
        return still, posed


def _looked_at(state: FaceState | None, mirror: bool) -> tuple[UInt8 | None, Square | None]:
    if state is None or state.crop is None:
        return None, None
    return _flipped(state.crop, state.crop_square, state.size_wh[0]) if mirror else (state.crop, state.crop_square)


def _openings(state: FaceState | None, mirror: bool) -> Float32 | None:
    """For animators that look at the crop; the others have the lids."""
    if state is None or state.crop is None or state.points_xyz is None or len(state.points_xyz) < 478:
        return None
    seen = ratios_of_mesh(state.points_xyz)
    return np.array([*(seen.eyes[::-1] if mirror else seen.eyes), seen.lips], np.float32)


def _flipped(crop: UInt8, square: Square | None, width: int) -> tuple[UInt8, Square | None]:
    flipped = np.ascontiguousarray(crop[:, ::-1])
    return flipped, None if square is None else (width - square[0], square[1], square[2])


def _sane(dt_s: float) -> float:
    return min(float(dt_s), _DT_MAX_S) if np.isfinite(dt_s) and dt_s > 0 else 0.0


def _ahead(lids: Float, before: Float, dt_s: float) -> Float:
    """Opening lids without the tracker's own smoothing, which still shows them half shut when they are open."""
    lead = _LIDS_LEAD * min(_FRAME_S / max(dt_s, _FRAME_S), 1.0)
    return np.maximum(lids, np.minimum(lids + lead * np.maximum(lids - before - _LIDS_NOISE, 0.0), 1.0))


def _smooth(share: float) -> float:
    share = min(max(share, 0.0), 1.0)
    return share * share * (3.0 - 2.0 * share)


_NOBODY: Final = reference_from(Observation(None, None, np.zeros(52), None, True))
"""The neutral of nobody: what idle life moves while no performer has been seen."""
