"""What can be set of the offline mode. Works without torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["QualitySettings"]


@dataclass(frozen=True, slots=True)
class QualitySettings:
    """
    Attributes:
        device: "auto" takes a GPU when there is one.
        precision: of the large networks; "auto" is fp16 on CUDA, and a CPU always uses fp32.
        size: side in pixels of the square that is drawn, a multiple of 64.
        steps: denoising steps.
        guidance: at a window's end; 1 at its beginning. With 1 the unguided half is not computed.
        seed: of all noise.
    """

    device: Literal["auto", "cuda", "cpu"] = "auto"
    precision: Literal["auto", "fp16", "bf16", "fp32"] = "auto"
    size: int = 512
    steps: int = 25
    guidance: float = 7.5
    seed: int = 0
