"""What can be set of the live SVD animator, and the rungs it may fall back to; without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from faceshot.animators import Rung, Window
from faceshot.animators.svd.consistency import warm_sigmas

__all__ = ["HISTORY_MIN", "LiveSettings", "Way", "rungs_of", "what_fits"]

HISTORY_MIN: Final = 1
_STEPS: Final = (4, 2, 1)
_SIZES: Final = (512, 384, 320)
_DECODING: Final = 0.15  # of a step
_GB: Final = 1e9
_ACTIVATIONS_GB: Final = {512: 3.0, 384: 2.0, 320: 1.5}
"""What a chunk of eight frames is allowed besides the weights: its tensors are 1.1, 0.6 and 0.4 GB in bf16 (counted on
networks without memory), the rest is for recorded graphs, workspace and fragmentation; not measured on a GPU."""


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """See `live.config.SvdLiveConfig`, whose fields these are, and `SvdConfig` for device and precision."""

    device: Literal["auto", "cuda", "cpu"] = "auto"
    precision: Literal["auto", "fp16", "bf16", "fp32"] = "auto"
    size: int = 512
    window: int = 8
    stride: int = 4
    steps: int = 2
    sigmas: tuple[float, ...] = ()
    start_sigmas: tuple[float, ...] = ()
    anchor_every: int = 64
    share_of_last: float = 0.5
    match: float = 1.0
    jump: float = 0.35
    seed: int = 0
    ladder: bool = True

    @property
    def history(self) -> int:
        """Slots between the reference and the new frames."""
        return self.window - 1 - self.stride


class Way(NamedTuple):
    """One way of drawing a chunk.

    Attributes:
        size: side of the square in pixels.
        sigmas: one a step.
        every: 2 draws every other frame and blends the ones between.
    """

    size: int
    sigmas: tuple[float, ...]
    every: int = 1

    @property
    def rung(self) -> Rung:
        """For people, and what a picture costs: a step of a million pixels is 1."""
        steps = len(self.sigmas)
        name = f"{steps} step{'s' if steps > 1 else ''} at {self.size} px"
        half = ", every other frame" if self.every > 1 else ""
        return Rung(name + half, (steps + _DECODING) * self.size**2 / 1e6 / self.every)

    def window(self, settings: LiveSettings) -> Window:
        """How many drives a chunk takes."""
        new = settings.stride * self.every
        return Window((settings.window - settings.stride) + new, new, new - 1)


def rungs_of(settings: LiveSettings) -> tuple[Way, ...]:
    """The ways to draw, the one that was asked for first: fewer steps, then smaller, then every other frame."""
    first = Way(settings.size, settings.sigmas or warm_sigmas(settings.steps))
    ways = [first]
    if not settings.ladder:
        return (first,)
    for steps in _STEPS:
        if steps < len(first.sigmas):
            ways.append(Way(settings.size, warm_sigmas(steps)))
    for size in _SIZES:
        if size < settings.size:
            ways.append(Way(size, ways[-1].sigmas))
    ways.append(ways[-1]._replace(every=2))
    return tuple(ways)


def what_fits(free_bytes: int, weights_bytes: int, size: int) -> tuple[float, list[int]]:
    """How much memory (GB) drawing at `size` is expected to take, and at which smaller sizes it fits."""

    def need_gb(side: int) -> float:
        nearest = min(_ACTIVATIONS_GB, key=lambda known: abs(known - side))
        return weights_bytes / _GB + _ACTIVATIONS_GB[nearest] * (side / nearest) ** 2

    fitting = [side for side in _SIZES if side < size and need_gb(side) * _GB <= free_bytes]
    return need_gb(size), fitting
