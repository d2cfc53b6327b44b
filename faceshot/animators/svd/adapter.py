"""The plug between a landmark adapter and the video UNet.

An adapter gives a feature that is added once after the UNet's first convolution, or residuals for its skips, or both.
What depends on the character only, and what depends on one frame only, is computed once and kept:

    reference = adapter.prepare(picture)                       # once a character
    first = adapter.anchor(reference, pose)                    # the window's index 0: the reference itself
    frame = adapter.conditions(reference, poses, flows)        # once a frame; rows do not depend on one another
    window = stack([first, *frames])                           # any choice of frames, in order
    added = adapter(sample, timestep, clip, time_ids, window)  # every step

Nothing of `conditions` depends on the noise, the step, the window or the half of the guidance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

__all__ = ["AdapterOutput", "Conditions", "LandmarkAdapter", "Reference", "stack"]


@dataclass(frozen=True, slots=True)
class AdapterOutput:
    """What is put into the UNet; B clips of F frames each are B F rows, clip by clip.

    Attributes:
        conv_in: (B F, C, h, w), added after the first convolution.
        down: one for each of the 12 skips, unmultiplied (`unet.MULTIPLIERS` is applied there).
        mid: (B F, C, h/8, w/8), added to the middle block's output.
    """

    conv_in: Tensor | None = None
    down: tuple[Tensor, ...] | None = None
    mid: Tensor | None = None


class Reference(NamedTuple):
    """The character's picture as the adapter sees it: levels of (1, C, H/s, W/s) for s = 8, 16, 32, 64."""

    levels: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Conditions:
    """Frames as the adapter sees them; the first dimension of every tensor counts frames.

    Attributes:
        landmarks: maps of the pose pictures, (F, C, H/s, W/s) for s = 8 and 16.
        warped: the reference's levels carried along the flow, (F, C, H/s, W/s) for s = 8, 16, 32, 64.
    """

    landmarks: tuple[Tensor, ...]
    warped: tuple[Tensor, ...]

    def __len__(self) -> int:
        """Number of frames."""
        return int(self.warped[0].shape[0])

    @property
    def bytes(self) -> int:
        """Memory that all of it takes."""
        return sum(x.numel() * x.element_size() for x in (*self.landmarks, *self.warped))

    def __getitem__(self, rows: slice | list[int]) -> Conditions:
        """Some of the frames."""
        return self._each(lambda x: x[rows])

    def repeated(self, times: int) -> Conditions:
        """All frames, so many times one after the other."""
        return self._each(lambda x: x.repeat(times, 1, 1, 1))

    def copied(self) -> Conditions:
        """In memory of their own, so that the frames beside them can be freed."""
        return self._each(lambda x: x.clone())

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Conditions:
        return self._each(lambda x: x.to(device, dtype))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Conditions:
        return Conditions(tuple(map(change, self.landmarks)), tuple(map(change, self.warped)))


class LandmarkAdapter(Protocol):
    """Implemented by `controlnet.FlowControlNet`; a light guider with `conv_in` only fits too."""

    def prepare(self, picture: Tensor) -> Reference:
        """(1, 3, H, W) in -1..1."""

    def anchor(self, reference: Reference, pose: Tensor) -> Conditions:
        """One frame: the reference in its own pose, (1, 3, H, W) in 0..1."""

    def conditions(self, reference: Reference, poses: Tensor, flows: Tensor) -> Conditions:
        """Frames: poses (F, 3, H, W) in 0..1, flows (F, 2, H, W) px from the reference to each."""

    def __call__(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        added_time_ids: Tensor,
        window: Conditions,
    ) -> AdapterOutput:
        """
        Args:
            sample: (B, F, 8, h, w), the UNet's own input.
            timestep: a 0-d or (B,) tensor.
            encoder_hidden_states: (B, 1, D).
            added_time_ids: (B, 3).
            window: of F rows (all clips alike) or B F.
        """


def stack(parts: Sequence[Conditions]) -> Conditions:
    """Frames one after the other."""
    return Conditions(
        tuple(torch.cat(maps) for maps in zip(*(part.landmarks for part in parts), strict=True)),
        tuple(torch.cat(maps) for maps in zip(*(part.warped for part in parts), strict=True)),
    )
