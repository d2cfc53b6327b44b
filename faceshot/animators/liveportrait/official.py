"""The published motion rules, case by case (`parity`): what the official program does with the same numbers.

`OfficialMotion` animates a picture, one driving frame after the other; `official_video` a video, whole, since it
smooths forwards and backwards. For live use see `live_motion`, which improves on them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from faceshot.animators.liveportrait.blocks import Mlp, call
from faceshot.animators.liveportrait.keypoints import (
    EYE_POINTS,
    LIP_POINTS,
    N_KEYPOINTS,
    Motion,
    hull_multiplier,
    keypoints,
)
from faceshot.animators.liveportrait.ratios import Ratios

__all__ = [
    "NEUTRAL_LIPS",
    "Heads",
    "OfficialMotion",
    "Options",
    "Region",
    "official_video",
    "retarget_eyes",
    "retarget_lips",
    "rts_smoothed",
    "stitched",
]

Region = Literal["all", "exp", "pose", "lip", "eyes"]

LIP_THRESHOLD: Final = 0.03
EYES_NEARLY_SHUT, EYES_OPEN = 0.18, 0.39
PROCESS_VARIANCE: Final = 1e-5

# What the absolute mode and video sources copy of an expression: (points, axes).
_COPIED: Final = (
    ((1, 2, 6, *range(11, 21)), (0, 1, 2)),
    ((3, 4), (1,)),
    ((5, 8), (2,)),
    ((9,), (1, 2)),
)
# fmt: off
NEUTRAL_LIPS: Final = np.array([
    (-9.4524e-05, 0.00024222, -4.00974e-05),
    (0.000208596, 0.000468054, 1.27464e-05),
    (-0.000124602, 0.000324972, 4.425e-06),
    (0.000119652, -0.000456624, 5.40852e-05),
    (-0.000265254, -7.4598e-05, -1.5528e-05),
    (-3.34884e-05, -0.000183036, -3.49404e-06),
    (-4.75428e-07, -4.52466e-07, 1.59498e-06),
    (-0.000541296, 0.0026328, 7.2486e-06),
    (-1.1694e-05, 5.00502e-06, 9.9888e-06),
    (8.0286e-07, 5.19132e-06, -0.000409344),
    (0.000166878, -1.9815e-05, -8.8548e-05),
    (-1.51536e-05, 8.2506e-05, 5.94012e-06),
    (-2.61054e-07, 2.7591e-06, 2.21028e-06),
    (-6.6282e-05, -6.8286e-05, -3.45318e-06),
    (-0.00083262, -0.00179592, -2.59176e-06),
    (6.9714e-06, 3.65514e-05, -1.8978e-06),
    (-4.80876e-06, 7.1148e-06, -1.03236e-05),
    (-0.00063684, -0.0011661, 5.62314e-05),
    (0.00028329, -1.45656e-05, 1.09746e-05),
    (-4.16022e-06, -0.0150906, -0.0025494),
    (0.000222474, 0.00562788, 0.00272646),
])
# fmt: on
"""(21, 3) the expression that a single driving picture is measured against: a neutral face with closed lips."""


@dataclass(frozen=True, slots=True)
class Options:
    """The published flags; the defaults are those of the published command line, lip normalisation off.

    Attributes:
        relative: motion relative to the driver's first frame, else the driver's own.
        region: what of the driver's motion is used.
        expression_friendly: scale the motion by the faces' sizes (relative, picture source and driving video only).
        normalize_lip: close an open source mouth before it is animated (relative only).
        eye_retargeting, lip_retargeting: set the openings directly; with `relative` this discards all other motion.
        source_eye_retargeting: keep the eyes of a source video as open as in its first frame.
        multiplier: last scaling of everything.
        observation_variance: of the smoother for source videos; larger is smoother.
        animals: the rule of the animal program: absolute, always scaled by the faces' sizes.
    """

    relative: bool = True
    region: Region = "all"
    expression_friendly: bool = False
    stitching: bool = True
    normalize_lip: bool = False
    eye_retargeting: bool = False
    lip_retargeting: bool = False
    source_eye_retargeting: bool = False
    multiplier: float = 1.0
    observation_variance: float = 3e-7
    animals: bool = False

    def moves(self, *regions: str) -> bool:
        return self.region in regions


class Heads(NamedTuple):
    """The three small networks."""

    stitching: Mlp
    lips: Mlp
    eyes: Mlp


def stitched(heads: Heads, x_s: Tensor, x_d: Tensor) -> Tensor:
    """The driving points, corrected so that the shoulders stay where they are."""
    out = call(heads.stitching, torch.cat([x_s.flatten(1), x_d.flatten(1)], dim=1))
    moved = x_d + out[:, : 3 * N_KEYPOINTS].reshape(-1, N_KEYPOINTS, 3)
    return torch.cat([moved[..., :2] + out[:, None, 3 * N_KEYPOINTS :], moved[..., 2:]], dim=-1)


def retarget_eyes(heads: Heads, x_s: Tensor, eyes: Tensor, target: Tensor) -> Tensor:
    """(B, 21, 3) what brings eyes that are open by (B, 2) to (B, 1)."""
    out = call(heads.eyes, torch.cat([x_s.flatten(1), eyes, target], dim=1))
    return out.reshape(-1, N_KEYPOINTS, 3)


def retarget_lips(heads: Heads, x_s: Tensor, lips: Tensor, target: Tensor) -> Tensor:
    """(B, 21, 3) what brings lips that are open by (B, 1) to (B, 1)."""
    out = call(heads.lips, torch.cat([x_s.flatten(1), lips, target], dim=1))
    return out.reshape(-1, N_KEYPOINTS, 3)


def _sparse_copy(exp_s: Tensor, exp: Tensor) -> Tensor:
    out = exp_s.clone()
    for points, axes in _COPIED:
        for axis in axes:
            out[:, list(points), axis] = exp[:, list(points), axis]
    return out


def _of_region(options: Options, exp_s: Tensor, exp: Tensor, sparse: bool) -> Tensor:
    if options.moves("all", "exp"):
        return _sparse_copy(exp_s, exp) if sparse else exp
    out = exp_s.clone()
    for region, points in (("lip", LIP_POINTS), ("eyes", EYE_POINTS)):
        if options.moves(region):
            out[:, list(points)] = exp[:, list(points)]
    return out


def _neutral_expression(options: Options, like: Tensor) -> Tensor:
    """What a single driving picture's expression is measured against."""
    neutral = torch.from_numpy(NEUTRAL_LIPS).to(like)[None]
    return torch.zeros_like(neutral) if options.moves("eyes") else neutral


class _Source:
    """A source picture, or one frame of a source video."""

    def __init__(self, motion: Motion, ratios: Ratios | None, heads: Heads, options: Options) -> None:
        self.motion, self.ratios, self.heads, self.options = motion, ratios, heads, options
        self.x = motion.points
        self.lip_offset: Tensor | None = None
        lips = None if ratios is None else ratios.lips
        if options.normalize_lip and options.relative and lips is not None and lips >= LIP_THRESHOLD:
            self.lip_offset = retarget_lips(heads, self.x, self._number(lips), self._number(0.0))

    def _number(self, value: float) -> Tensor:
        return torch.full((1, 1), value, dtype=self.x.dtype, device=self.x.device)

    def eyes_towards(self, target: float) -> Tensor:
        assert self.ratios is not None
        eyes = torch.from_numpy(self.ratios.eyes).to(self.x)[None]
        return retarget_eyes(self.heads, self.x, eyes, self._number(target))

    def lips_towards(self, target: float) -> Tensor:
        assert self.ratios is not None
        return retarget_lips(self.heads, self.x, self._number(self.ratios.lips), self._number(target))

    def finished(self, x: Tensor, driver: Ratios | None, eye_offset: Tensor | None = None) -> Tensor:
        """From moved points to those that W takes: retargeting, stitching, multiplier."""
        options = self.options
        if (options.eye_retargeting or options.lip_retargeting) and driver is not None and self.ratios is not None:
            x = self.x if options.relative else x
            offset = torch.zeros_like(x)
            if options.eye_retargeting:
                offset = offset + self.eyes_towards(float(driver.eyes[0]))
            if options.lip_retargeting:
                offset = offset + self.lips_towards(driver.lips)
            x = x + offset
            if options.stitching:
                x = stitched(self.heads, self.x, x)
        else:
            if options.stitching:
                x = stitched(self.heads, self.x, x)
            if self.lip_offset is not None:
                x = x + self.lip_offset
            if eye_offset is not None:
                x = x + eye_offset
        return self.x + (x - self.x) * options.multiplier


class OfficialMotion:
    """Animates a source picture; the first driving frame is the reference of all that follow.

    Args:
        source: M of the source, a batch of one.
        ratios: of the source, for retargeting and lip normalisation; None switches them off.
        single: the driver is one picture, not a video.
    """

    def __init__(
        self, source: Motion, ratios: Ratios | None, heads: Heads, options: Options, single: bool = False
    ) -> None:
        self.options = options
        self._source = _Source(source, ratios, heads, options)
        self._single = single
        self._first: Motion | None = None
        self._x0: Tensor | None = None
        self._multiplier = 1.0

    @property
    def x_s(self) -> Tensor:
        return self._source.x

    def step(self, driver: Motion, ratios: Ratios | None = None) -> Tensor:
        """(1, 21, 3) the driving points of the next frame."""
        if self._first is None:
            self._first = driver
        options = self.options
        x = self._animal(driver) if options.animals else self._moved(driver, self._first)
        friendly = options.expression_friendly and options.relative and not self._single
        if friendly or options.animals:
            if self._x0 is None:
                self._x0 = x
                self._multiplier = hull_multiplier(self.x_s[0].cpu().numpy(), x[0].cpu().numpy())
            x = self.x_s + (x - self._x0) * self._multiplier
        return self._source.finished(x, ratios)

    def _animal(self, driver: Motion) -> Tensor:
        source = self._source.motion
        return keypoints(source.kp, driver.rotation, driver.exp, source.scale, driver.t)

    def _moved(self, driver: Motion, first: Motion) -> Tensor:
        source, options = self._source.motion, self.options
        turned, exp, scale, t = source.rotation, source.exp, source.scale, source.t
        if not options.relative:
            exp = _of_region(options, exp, driver.exp, sparse=True)
            if options.moves("all", "pose"):
                turned, t = driver.rotation, driver.t
        elif self._single:
            exp = _of_region(options, exp, exp + driver.exp - _neutral_expression(options, exp), sparse=False)
        else:
            exp = _of_region(options, exp, exp + driver.exp - first.exp, sparse=False)
            if options.moves("all", "pose"):
                turned = driver.rotation @ first.rotation.transpose(1, 2) @ turned
                t = t + driver.t - first.t
            if options.moves("all"):
                scale = scale * driver.scale / first.scale
        return keypoints(source.kp, turned, exp, scale, t)


def rts_smoothed(values: Tensor, observation_variance: float) -> Tensor:
    """(T, ...) smoothed forwards and backwards: Rauch-Tung-Striebel over a random walk, every number by itself.

    All entries share their gains, since their variances are equal, so these are scalars.
    """
    flat = values.flatten(1).double()
    mean, variance = flat[0], 1.0
    means, variances = [], []
    for i, seen in enumerate(flat):
        predicted = variance if i == 0 else variance + PROCESS_VARIANCE
        gain = predicted / (predicted + observation_variance)
        mean = mean + gain * (seen - mean)
        variance = (1.0 - gain) * predicted
        means.append(mean)
        variances.append(variance)
    smooth = [means[-1]]
    for mean, variance in zip(means[-2::-1], variances[-2::-1], strict=True):
        back = variance / (variance + PROCESS_VARIANCE)
        smooth.append(mean + back * (smooth[-1] - mean))
    return torch.stack(smooth[::-1]).reshape(values.shape).to(values.dtype)


def official_video(
    source: Motion,
    ratios: Sequence[Ratios] | None,
    driver: Motion,
    driver_ratios: Sequence[Ratios] | None,
    heads: Heads,
    options: Options,
    reference: Motion | None = None,
) -> tuple[Tensor, Tensor]:
    """Animate a video: one source motion a frame.

    Args:
        source: M of every source frame.
        driver: M of every driving frame; a batch of one is a single driving picture, which is held.
        reference: what relative motion is measured against in the place of the first driving frame.

    Returns:
        x_s and x_d, (N, 21, 3) each, N the shorter of the two clips (the source's for a driving picture).
    """
    single = len(driver.exp) == 1
    count = len(source.exp) if single else min(len(source.exp), len(driver.exp))
    source = Motion(*(part[:count] for part in source))
    driver = Motion(*((part if single else part[:count]) for part in driver))
    first = driver.frame(0) if reference is None else reference
    if single:
        seen = driver.exp - _neutral_expression(options, source.exp)
        exp = source.exp + seen if options.relative else driver.exp.expand_as(source.exp)
        turned = source.rotation if options.relative else driver.rotation.expand_as(source.rotation)
    else:
        exp, turned = driver.exp, driver.rotation
        if options.relative:
            exp = source.exp + driver.exp - first.exp
            turned = driver.rotation @ first.rotation.transpose(1, 2) @ source.rotation
        exp = rts_smoothed(exp, options.observation_variance)
        turned = rts_smoothed(turned, options.observation_variance)
    exp = _of_region(options, source.exp, exp, sparse=True)
    turned = turned if options.moves("all", "pose") else source.rotation
    t = source.t
    if not options.relative and options.moves("all", "pose"):
        t = driver.t.expand_as(source.t)
    x = keypoints(source.kp, turned, exp, source.scale, t)
    eye_target = _eye_target(ratios[0]) if options.source_eye_retargeting and ratios else None
    made = []
    for i in range(count):
        one = _Source(source.frame(i), ratios[i] if ratios else None, heads, options)
        offset = None if eye_target is None else one.eyes_towards(eye_target)
        seen_by = driver_ratios[0 if single else i] if driver_ratios else None
        made.append(one.finished(x[i : i + 1], seen_by, offset))
    return source.points, torch.cat(made)


def _eye_target(first: Ratios) -> float:
    mean = float(first.eyes.mean())
    return EYES_OPEN if mean < EYES_NEARLY_SHUT else mean
