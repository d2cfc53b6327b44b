"""Running out of memory on a device: how it is recognised, and what makes room. Torch says it in several ways."""

from __future__ import annotations

__all__ = ["make_room", "ran_out_of_memory"]


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an error is about memory; torch.OutOfMemoryError is a RuntimeError, a CPU's has no class of its own."""
    words = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in words or "can't allocate memory" in words


def make_room(device: str) -> None:
    """Give back what a failed attempt has left behind."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()
