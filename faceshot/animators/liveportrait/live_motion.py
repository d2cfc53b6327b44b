"""Motion for live use: what the published rules do, mended where live use hurts (specs: relative motion, Eq. 7).

    calibrated   measured against the performer's neutral pose, not against the first frame
    smoothed     causal One-Euro filter a group: heavy on head, place and size, light on lids and lips
    grouped      a gain of its own for pitch, yaw, roll, place, size, eyes, brows, mouth
    eyes         the eye network as an offset to the driven points, so that big eyes close too
    bounded      soft limits on the head's turn: beyond them warping breaks
    no pixels    sliders in M's place, and a gentle change from one to the other when the face is lost or found

Motion is one flat vector (`CHANNELS`). All of it is tensor arithmetic without a branch on values, so that a whole frame
can be recorded as one CUDA graph; what the host decides comes in as one small vector of controls.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import torch
from torch import Tensor

from faceshot.animators.liveportrait.keypoints import (
    BROW_POINTS,
    EYE_POINTS,
    LIP_POINTS,
    N_KEYPOINTS,
    Motion,
    keypoints,
)
from faceshot.animators.liveportrait.official import (
    LIP_THRESHOLD,
    Heads,
    Region,
    retarget_eyes,
    retarget_lips,
    stitched,
)
from faceshot.animators.liveportrait.ratios import Ratios
from faceshot.types import Float32

__all__ = [
    "CHANNELS",
    "CONTROLS",
    "EXP",
    "ROTATION",
    "SCALE",
    "TRANSLATION",
    "LiveMotion",
    "Tuning",
    "controls",
    "gains_of",
    "mean_motion",
    "one_euro",
]

ROTATION: Final = slice(0, 3)
"""Rotation vector, radians; +x looks down, +y turns the nose to the image's left, +z rolls clockwise."""
TRANSLATION: Final = slice(3, 5)
"""In half sides of the crop."""
SCALE: Final = slice(5, 6)
"""Natural logarithm."""
EXP: Final = slice(6, 6 + 3 * N_KEYPOINTS)
CHANNELS: Final = EXP.stop

# Places in the vector of controls.
_DT, _FRESH, _STRENGTH, _PIXELS, _JUMP = range(5)
_SQUARE: Final = slice(5, 8)
_SHUT: Final = slice(8, 10)
_OPENING: Final = slice(10, 12)
_SLIDERS: Final = slice(12, 12 + CHANNELS)
_GAINS: Final = slice(_SLIDERS.stop, _SLIDERS.stop + CHANNELS)
_ADDED: Final = slice(_GAINS.stop, _GAINS.stop + CHANNELS)
CONTROLS: Final = _ADDED.stop

_SPEED_HZ: Final = 2.0
_LEFT_EYE, _RIGHT_EYE = (11, 13), (15, 16)
_LIMITS: Final = np.array([*np.radians((25.0, 30.0, 30.0)), 0.4, 0.4, 0.35], np.float32)
"""Soft limits of rotation, place and size."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Settings of the live rules.

    Attributes:
        pitch, yaw, roll, translation, scale: gains on top of the performer's settings.
        region: what of the motion is used.
        stitching: keep the shoulders in place.
        normalize_lip: close an open source mouth at rest.
        eye_retargeting: make eyes that are larger than the performer's close wholly.
        multiplier: last scaling of everything.
    """

    pitch: float = 1.0
    yaw: float = 1.0
    roll: float = 1.0
    translation: float = 1.0
    scale: float = 0.3
    region: Region = "all"
    stitching: bool = True
    normalize_lip: bool = True
    eye_retargeting: bool = True
    multiplier: float = 1.0


def gains_of(tuning: Tuning, head: float = 1.0, eyes: float = 1.0, brows: float = 1.0, mouth: float = 1.0) -> Float32:
    """(CHANNELS,) gain of every channel; 0 outside the region."""
    gains = np.ones(CHANNELS, np.float32)
    gains[ROTATION] = np.array([tuning.pitch, tuning.yaw, tuning.roll]) * head
    gains[TRANSLATION] = tuning.translation * head
    gains[SCALE] = tuning.scale * head
    exp = gains[EXP].reshape(N_KEYPOINTS, 3)
    exp[:] = mouth
    exp[list(EYE_POINTS)] = eyes
    exp[list(BROW_POINTS)] = brows
    if tuning.region != "all":
        kept = {"lip": LIP_POINTS, "eyes": EYE_POINTS, "exp": tuple(range(N_KEYPOINTS)), "pose": ()}[tuning.region]
        exp[[point for point in range(N_KEYPOINTS) if point not in kept]] = 0
        gains[SCALE] = 0
        if tuning.region != "pose":
            gains[: SCALE.start] = 0
    return gains


def controls(
    dt_s: float,
    fresh: bool,
    strength: float,
    pixels: float,
    jump: float,
    square: tuple[float, float, float],
    shut: tuple[float, float],
    opening: tuple[float, float],
    sliders: Float32,
    gains: Float32,
    added: Float32,
) -> Float32:
    """(CONTROLS,) what the host decides for one frame.

    Args:
        fresh: the filter starts anew.
        strength: of smoothing; 0 raw, 1 as tuned.
        pixels: share of M's motion, the rest is the sliders'.
        jump: how much of the last change of reference is still to be made up for; 1 to 0.
        square: of the driver's crop, centre and side in pixels.
        shut: how far the eye network takes over, image-left and image-right eye.
        opening: of each eye relative to rest.
        sliders: (CHANNELS,) motion without pixels.
        gains: (CHANNELS,) of M's motion.
        added: (CHANNELS,) to M's motion: an expression that was chosen, not performed.
    """
    head = (dt_s, float(fresh), strength, pixels, jump, *square, *shut, *opening)
    return np.concatenate([np.array(head, np.float32), sliders, gains, added])


def _filter_tuning() -> tuple[Float32, Float32, Float32]:
    """Cut-off at rest (Hz), its rise with speed, and leash of every channel."""
    rest, rise, leash = (np.empty(CHANNELS, np.float32) for _ in range(3))

    def tune(channels: slice | list[int], hz: float, per_unit: float, behind: float) -> None:
        rest[channels], rise[channels], leash[channels] = hz, per_unit, behind

    # M's noise on a still face, from the published templates: 0.03 to 0.09 degrees, 0.0005 to 0.0009, 0.001.
    tune(ROTATION, 0.8, 8.0, 0.006)
    tune(TRANSLATION, 0.8, 10.0, 0.005)
    tune(SCALE, 0.7, 10.0, 0.006)
    tune(EXP, 2.5, 120.0, 0.002)
    quick = [EXP.start + 3 * p + axis for p in (*EYE_POINTS, *LIP_POINTS) for axis in range(3)]
    tune(quick, 6.0, 400.0, 0.0015)
    return rest, rise, leash


def _mask(points: tuple[int, ...]) -> Float32:
    """(21, 1) 1 at these points."""
    mask = np.zeros((N_KEYPOINTS, 1), np.float32)
    mask[list(points)] = 1
    return mask


def one_euro(
    raw: Tensor,
    value: Tensor,
    last: Tensor,
    speed: Tensor,
    dt: Tensor,
    rest_hz: Tensor,
    rise: Tensor,
    speed_hz: float = _SPEED_HZ,
) -> tuple[Tensor, Tensor]:
    """One step of the One-Euro filter: the smoothed value and the smoothed speed.

    Args:
        value, last, speed: after the step before: smoothed value, raw value, smoothed speed.
        dt: seconds since then.
        rest_hz, rise: cut-off at rest and what a unit a second adds to it.
        speed_hz: cut-off of the speed.
    """
    share = 1 / (1 + 1 / (2 * torch.pi * speed_hz * dt))
    speed = speed + share * ((raw - last) / dt - speed)
    share = 1 / (1 + 1 / (2 * torch.pi * dt * (rest_hz + rise * speed.abs())))
    return value + share * (raw - value), speed


def rotation_vector(matrix: Tensor) -> Tensor:
    """(3,) of a (3, 3) rotation acting on columns; good to half a turn less a hair."""
    cosine = ((matrix.diagonal().sum() - 1) / 2).clamp(-1 + 1e-6, 1 - 1e-7)
    angle = torch.acos(cosine)
    skew = torch.stack([matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]])
    return skew * (0.5 * angle / torch.sin(angle))


def rotation_matrix(vector: Tensor) -> Tensor:
    """(3, 3) acting on columns; Rodrigues' formula, for torch's matrix exponential looks at values."""
    zero = torch.zeros_like(vector[0])
    x, y, z = vector.unbind()
    skew = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero]).reshape(3, 3)
    angle = torch.sqrt(vector.square().sum() + 1e-12)
    made = torch.eye(3, dtype=vector.dtype, device=vector.device)
    made = made + torch.sin(angle) / angle * skew + (1 - torch.cos(angle)) / angle.square() * (skew @ skew)
    return made


@dataclass(eq=False)
class LiveMotion:
    """One source face and the motion of its driver.

    Args:
        source: M of the source, a batch of one.
        ratios: how open its eyes and lips are; None switches the eye and lip networks off.
    """

    source: Motion
    ratios: Ratios | None
    heads: Heads
    tuning: Tuning = field(default_factory=Tuning)

    def __post_init__(self) -> None:
        like = self.source.exp
        self.x_s = self.source.points

        def made(values: Float32) -> Tensor:
            return torch.from_numpy(values).to(like)

        self._rest_hz, self._rise, self._leash = (made(values) for values in _filter_tuning())
        self._limits = made(_LIMITS)
        # Masks, for an index list would be sent to the device in every frame.
        self._left, self._right = (made(_mask(points)) for points in (_LEFT_EYE, _RIGHT_EYE))
        # State; written in place, because a recorded graph knows addresses.
        self._value, self._speed, self._last = (like.new_zeros(CHANNELS) for _ in range(3))
        self._seen, self._jump = like.new_zeros(CHANNELS), like.new_zeros(CHANNELS)
        self._driver = Motion(*(torch.zeros_like(part[:1]) for part in self.source))
        self._driver_square = like.new_ones(3)
        self._reference = Motion(*(torch.zeros_like(part[:1]) for part in self.source))
        self._reference_square = like.new_ones(3)
        self._lip_offset = torch.zeros_like(self.x_s)
        self._eyes = like.new_full((1, 2), 0.0)
        if self.ratios is not None:
            self._eyes = made(self.ratios.eyes)[None]
            if self.tuning.normalize_lip and self.ratios.lips >= LIP_THRESHOLD:
                lips = like.new_full((1, 1), self.ratios.lips)
                self._lip_offset = retarget_lips(self.heads, self.x_s, lips, torch.zeros_like(lips))
        self.reset()

    def reset(self) -> None:
        """Forget the performer."""
        for part in (self._value, self._speed, self._last, self._seen, self._jump):
            part.zero_()

    def calibrate(self, reference: Motion, square: Tensor, jump: bool) -> None:
        """Measure against this motion from now on.

        Args:
            reference: M of the performer at rest, a batch of one.
            square: (3,) of its crop.
            jump: the last picture is on air; what changes now is to be made up for slowly.
        """
        before = self._value + self._jump
        for mine, new in zip(self._reference, reference, strict=True):
            mine.copy_(new)
        self._reference_square.copy_(square)
        now = self._relative(self._driver, self._driver_square)
        self._value.copy_(now if jump else torch.zeros_like(now))
        self._last.copy_(self._value)
        self._speed.zero_()
        self._jump.copy_(before - now if jump else torch.zeros_like(now))

    def see(self, driver: Motion, control: Tensor) -> None:
        """Take in M of the driver's next frame."""
        for mine, new in zip(self._driver, driver, strict=True):
            mine.copy_(new)
        self._driver_square.copy_(control[_SQUARE])
        raw = self._relative(driver, control[_SQUARE])
        dt, fresh, strength = control[_DT].clamp_min(1e-4), control[_FRESH], control[_STRENGTH].clamp_min(1e-3)
        value, speed = one_euro(
            raw, self._value, self._last, self._speed, dt, self._rest_hz / strength, self._rise / strength
        )
        behind, leash = raw - value, self._leash * strength
        value = raw - behind / (1 + (behind / leash).square().square()).sqrt().sqrt()
        # Arithmetic in the place of branches: a fresh filter shows what it sees.
        self._value.copy_(fresh * raw + (1 - fresh) * value)
        self._speed.copy_((1 - fresh) * speed)
        self._last.copy_(raw)

    def pose(self, control: Tensor) -> Tensor:
        """(1, 21, 3) the driving points."""
        source, tuning = self.source, self.tuning
        pixels = control[_PIXELS]
        seen = (self._value + self._jump * control[_JUMP]) * control[_GAINS]
        motion = pixels * (seen + control[_ADDED]) + (1 - pixels) * control[_SLIDERS]
        rigid = self._limits * torch.tanh(motion[: EXP.start] / self._limits)
        delta = motion[EXP].reshape(N_KEYPOINTS, 3)
        shut = control[_SHUT]
        if self.ratios is not None and tuning.eye_retargeting:
            # What the eye network takes over must not close the eye a second time.
            delta = delta * (1 - shut[0] * self._left - shut[1] * self._right)
        turned = rotation_matrix(rigid[ROTATION]).T @ source.rotation
        place = torch.cat([source.t[:, :2] + rigid[TRANSLATION], torch.zeros_like(source.t[:, :1])], dim=1)
        x = keypoints(source.kp, turned, source.exp + delta, source.scale * torch.exp(rigid[SCALE]), place)
        if tuning.stitching:
            x = stitched(self.heads, self.x_s, x)
        x = x + self._lip_offset
        if self.ratios is not None and tuning.eye_retargeting:
            x = x + self._eyes_shut(shut, control[_OPENING])
        return self.x_s + (x - self.x_s) * tuning.multiplier

    def _eyes_shut(self, shut: Tensor, opening: Tensor) -> Tensor:
        """Offset that brings each eye to its opening, as far as the network takes over."""
        target = self._eyes.T * opening[:, None].clamp_min(0)
        both = retarget_eyes(self.heads, self.x_s.expand(2, -1, -1), self._eyes.expand(2, -1), target)
        left, right = (both * shut[:, None, None]).unbind()
        elsewhere = torch.maximum(shut[0], shut[1]) * 0.5 * both.sum(0)
        offset = left * self._left + right * self._right + elsewhere * (1 - self._left - self._right)
        return offset[None]

    def _relative(self, driver: Motion, square: Tensor) -> Tensor:
        """(CHANNELS,) the driver's motion against the reference; the motion of the crop's square is taken out."""
        reference, standard = self._reference, self._reference_square
        turn = driver.rotation[0] @ reference.rotation[0].T
        half, half_then = square[2] / 2, standard[2].clamp_min(1e-3) / 2
        where = square[:2] + driver.t[0, :2] * half
        then = standard[:2] + reference.t[0, :2] * half_then
        size = driver.scale[0].abs().clamp_min(1e-3) * half.clamp_min(1e-3)
        size_then = reference.scale[0].abs().clamp_min(1e-3) * half_then
        return torch.cat(
            [
                rotation_vector(turn.T),
                (where - then) / half_then,
                torch.log(size / size_then),
                (driver.exp[0] - reference.exp[0]).flatten(),
            ]
        )


def mean_motion(motion: Motion) -> Motion:
    """The middle of several motions, as a batch of one: medians, and the rotation nearest to the mean matrix."""
    u, _, vt = torch.linalg.svd(motion.rotation.mean(0))
    turned = (u @ torch.diag(torch.stack([u.new_ones(()), u.new_ones(()), torch.linalg.det(u @ vt)])) @ vt)[None]
    exp, t, scale, kp = (part.median(dim=0, keepdim=True).values for part in motion[1:])
    return Motion(turned, exp, t, scale, kp)
