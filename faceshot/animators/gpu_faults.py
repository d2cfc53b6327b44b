"""What went wrong on a GPU, read off what PyTorch raises: it has one exception for a full memory and many texts."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from faceshot.errors import DeviceError, OutOfMemory

__all__ = ["is_gpu_lost", "is_out_of_memory", "let_go", "said"]


@contextmanager
def said(full: str, room: str) -> Iterator[None]:
    """Turn a full memory or a lost GPU into two lines for the user.

    Args:
        full: what ran out of memory.
        room: how to make room.

    Raises:
        OutOfMemory, DeviceError: instead of what PyTorch raised.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            let_go(error)  # or the next, smaller try would find memory as full
            raise OutOfMemory(full, room) from error
        if is_gpu_lost(error):
            first = str(error).splitlines()[0]
            raise DeviceError(
                f"The GPU was lost: {first}", "See nvidia-smi; then end the show and start it again."
            ) from error
        raise


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory was full, on the GPU or beside it; also when another error came on top of that.

    CUDA, cuBLAS and cuDNN ask for memory of their own and say so in their own words. And when memory is full in the
    middle of a recording, what is raised is that the recording is invalid.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, torch.OutOfMemoryError | MemoryError):
            return True
        text = str(seen).lower() if isinstance(seen, RuntimeError) else ""
        if "out of memory" in text or ("alloc" in text and ("memory" in text or "failed" in text)):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def is_gpu_lost(error: BaseException) -> bool:
    """Whether CUDA or one of its libraries failed. After most such faults nothing works until the program restarts."""
    text = str(error).lower()
    return any(name in text for name in ("cuda", "cudnn", "cublas", "nvrtc"))


def let_go(error: BaseException) -> None:
    """Free what the failed functions held: their frames, and all tensors in them, live as long as the error does."""
    traceback.clear_frames(error.__traceback__)
