"""Few steps: the sampler mathematics of AnimateLCM-SVD, a consistency model of SVD.

SVD's own rule (EDM, v-prediction) with a clean guess D of the latents at every step:

    D = x / (s² + 1) - s / sqrt(s² + 1) · F(x / sqrt(s² + 1), 0.25 ln s),    x' = D + s' · noise

Its sigmas are rungs of one Karras ladder of forty. Nothing is clipped. The published sampler draws new noise every
time; in a live show each slot of the window keeps its own, so that what does not move does not flicker.

Without torch until a tensor comes, so that settings can be checked without it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "LADDER",
    "c_in",
    "check_sigmas",
    "few_sigmas",
    "matched",
    "statistics",
    "timestep",
    "warm_sigmas",
]

SIGMA_MIN: Final = 0.002
SIGMA_MAX: Final = 700.0
RHO: Final = 7.0
RUNGS: Final = 40


def _ladder() -> tuple[float, ...]:
    top, bottom = SIGMA_MAX ** (1 / RHO), SIGMA_MIN ** (1 / RHO)
    return tuple((top + i / (RUNGS - 1) * (bottom - top)) ** RHO for i in range(RUNGS))


LADDER: Final = _ladder()
"""All forty, the largest first."""


def few_sigmas(steps: int) -> tuple[float, ...]:
    """The sigmas of a start from noise in 1 to 8 steps."""
    if not 1 <= steps <= 8:
        raise ValueError(f"a few steps are 1 to 8, got {steps}.")
    return LADDER[:: RUNGS // steps][:steps]


def warm_sigmas(steps: int) -> tuple[float, ...]:
    """The sigmas of a start from a good guess in 1, 2 or 4 steps; two are 4.353 and 0.497."""
    return tuple(LADDER[i] for i in {1: (26,), 2: (24, 30), 4: (24, 26, 28, 30)}[steps])


def c_in(sigma: float) -> float:
    """What noisy latents are multiplied with before the network."""
    return 1 / math.sqrt(sigma**2 + 1)


def timestep(sigma: float) -> float:
    """The network's time for a sigma."""
    return 0.25 * math.log(sigma)


def matched(latents: Tensor, mean: Tensor, std: Tensor, strength: float) -> Tensor:
    """Latents with the mean and spread of the reference, each frame and channel for itself.

    A window that starts from its own past grows in contrast, chunk by chunk; this holds it where the picture is.

    Args:
        latents: (..., C, h, w). mean, std: (C, 1, 1), of the reference's latents.
        strength: 0 leaves the latents as they are, 1 matches wholly.
    """
    own = latents.float()
    now_mean = own.mean(dim=(-2, -1), keepdim=True)
    now_std = own.std(dim=(-2, -1), keepdim=True, correction=0)
    moved = (own - now_mean) / (now_std + 1e-5) * std.float() + mean.float()
    return (own + strength * (moved - own)).to(latents.dtype)


def statistics(latents: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and spread of (C, h, w) latents a channel, both (C, 1, 1)."""
    return latents.mean(dim=(-2, -1), keepdim=True), latents.std(dim=(-2, -1), keepdim=True, correction=0)


def check_sigmas(sigmas: Sequence[float]) -> str | None:
    """What is wrong with a list of sigmas, or None: they must fall, within what the network was trained on."""
    if not sigmas:
        return "there are none"
    if not all(SIGMA_MIN <= sigma <= SIGMA_MAX for sigma in sigmas):
        return f"each must be {SIGMA_MIN} to {SIGMA_MAX:g}"
    if any(later >= earlier for earlier, later in itertools.pairwise(sigmas)):
        return "each must be smaller than the one before"
    return None
