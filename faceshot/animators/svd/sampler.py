"""Denoising a clip of any length, window by window, with bounded memory and a state that can be saved.

In every step each window takes one Euler step from latents that it shares with its neighbours; where windows overlap
the results are averaged. The reference's latents are those of the first window. Latents are float32 throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from faceshot.animators.svd.windows import STRIDE, View, units

__all__ = ["Denoise", "Schedule", "WindowSampler", "euler_step", "guided", "schedule_of"]

Denoise = Callable[[Tensor, int, tuple[int, ...]], Tensor]
"""(F, 4, h, w) latents as the network wants them, the step, and which frames they are -> the network's (F, 4, h, w)."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Attributes:
    sigmas: one more than steps; the last is 0.
    timesteps: what the networks are told at each step.
    start: standard deviation of the noise that everything starts from.
    """

    sigmas: tuple[float, ...]
    timesteps: tuple[float, ...]
    start: float

    @property
    def steps(self) -> int:
        return len(self.timesteps)


def schedule_of(config: Mapping[str, Any], steps: int) -> Schedule:
    """The stock scheduler's own numbers.

    Args:
        config: of an `EulerDiscreteScheduler`.
    """
    from diffusers import EulerDiscreteScheduler

    from faceshot.backbone import hushed

    with hushed():
        stock = EulerDiscreteScheduler.from_config(dict(config))
        stock.set_timesteps(steps)
    return Schedule(
        tuple(float(s) for s in stock.sigmas), tuple(float(t) for t in stock.timesteps), float(stock.init_noise_sigma)
    )


def euler_step(latents: Tensor, prediction: Tensor, sigma: float, following: float) -> Tensor:
    """From one noise level to the next, for a network that predicts v; float32."""
    x, v = latents.float(), prediction.float()
    clean = v * (-sigma / (sigma**2 + 1) ** 0.5) + x / (sigma**2 + 1)
    return x + (x - clean) / sigma * (following - sigma)


def guided(unconditional: Tensor, conditional: Tensor, ramp: Tensor) -> Tensor:
    """Guidance by place in the window; (F, C, h, w) each, `ramp` (F,)."""
    return unconditional + ramp[:, None, None, None].to(conditional) * (conditional - unconditional)


class _Frame:
    """A frame on its way: how many steps it has taken, its latents, and what windows have made of the next step."""

    __slots__ = ("latents", "step", "total", "votes", "weight")

    def __init__(self, latents: Tensor) -> None:
        self.latents = latents
        self.step = 0
        self.total: Tensor | None = None
        self.weight = 0.0
        self.votes = 0


class WindowSampler:
    """One clip being denoised.

    Args:
        schedule: noise levels.
        table: the windows, see `windows.views`.
        weights: of a window's frames without the reference.
        noise: a frame's number to its (4, h, w) float32 noise of standard deviation 1; called once a frame.
        stride: of the table.

    Attributes:
        round: rounds that are done, of `rounds`.
    """

    def __init__(
        self,
        schedule: Schedule,
        table: Sequence[View],
        weights: np.ndarray,
        noise: Callable[[int], Tensor],
        stride: int = STRIDE,
    ) -> None:
        self._schedule, self._table, self._noise = schedule, list(table), noise
        self._weights = [float(w) for w in weights]
        self._rounds = list(units(self._table, schedule.steps, stride))
        self._voters = [0] * self._table[-1][1]
        for start, stop in self._table:
            for number in range(start, stop):
                self._voters[number] += 1
        self._flying: dict[int, _Frame] = {}
        self._reference: list[Tensor] = []
        self._next_out = 1
        self.round = 0

    @property
    def rounds(self) -> int:
        return len(self._rounds)

    @property
    def flying(self) -> int:
        """How many frames are held."""
        return len(self._flying)

    def units_of(self, round_: int) -> list[tuple[int, int]]:
        """The (window, step) pairs of a round."""
        return self._rounds[round_]

    def frames_of(self, round_: int) -> set[int]:
        """Frames that a round works on, the reference not counted."""
        return {frame for window, _ in self._rounds[round_] for frame in range(*self._table[window])}

    def advance(self, denoise: Denoise, on_unit: Callable[[], None] = lambda: None) -> Iterator[tuple[int, Tensor]]:
        """One round; yields the frames that it finished with their clean latents, in the order of the clip.

        Args:
            on_unit: called after each window's step.
        """
        if not self._reference:
            self._reference.append(self._noise(0) * self._schedule.start)
        for window, step in self._rounds[self.round]:
            self._take(window, step, denoise)
            on_unit()
        self.round += 1
        while self._next_out in self._flying and self._flying[self._next_out].step == self._schedule.steps:
            yield self._next_out, self._flying.pop(self._next_out).latents
            self._next_out += 1

    def _take(self, window: int, step: int, denoise: Denoise) -> None:
        """One Euler step of one window."""
        start, stop = self._table[window]
        numbers = range(start, stop)
        for number in numbers:
            if number not in self._flying:
                self._flying[number] = _Frame(self._noise(number) * self._schedule.start)
        frames = [self._flying[number] for number in numbers]
        latents = torch.stack([self._reference[step], *(frame.latents for frame in frames)])
        sigma, following = self._schedule.sigmas[step : step + 2]
        prediction = denoise(latents / (sigma**2 + 1) ** 0.5, step, (0, *numbers))
        moved = euler_step(latents, prediction, sigma, following)
        if window == 0:
            self._reference.append(moved[0])
        for number, frame, new, weight in zip(numbers, frames, moved[1:], self._weights, strict=True):
            assert frame.step == step
            part = new * weight
            frame.total = part if frame.total is None else frame.total + part
            frame.weight += weight
            frame.votes += 1
            if frame.votes == self._voters[number]:
                frame.latents, frame.total = frame.total / frame.weight, None
                frame.weight, frame.votes, frame.step = 0.0, 0, step + 1

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything needed to go on after the last whole round: tensors, and numbers for JSON."""
        numbers = sorted(self._flying)
        frames = [self._flying[number] for number in numbers]
        tensors = {"reference": torch.stack(self._reference)} if self._reference else {}
        if frames:
            tensors["latents"] = torch.stack([frame.latents for frame in frames])
            blank = torch.zeros_like(frames[0].latents)
            tensors["totals"] = torch.stack([blank if frame.total is None else frame.total for frame in frames])
        about = {
            "round": self.round,
            "next_out": self._next_out,
            "frames": numbers,
            "steps": [frame.step for frame in frames],
            "weights": [frame.weight for frame in frames],
            "votes": [frame.votes for frame in frames],
        }
        return tensors, about

    def restore(self, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> None:
        """Go on from a saved state of the same clip."""
        self.round, self._next_out = about["round"], about["next_out"]
        self._reference = list(tensors["reference"]) if "reference" in tensors else []
        self._flying = {}
        for i, number in enumerate(about["frames"]):
            frame = _Frame(tensors["latents"][i])
            frame.step, frame.weight, frame.votes = about["steps"][i], about["weights"][i], about["votes"][i]
            frame.total = tensors["totals"][i] if frame.votes else None
            self._flying[number] = frame
