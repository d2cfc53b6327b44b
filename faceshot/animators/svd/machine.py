"""Where the networks compute, in which numbers, and whether they fit; what is said when they do not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import torch

from faceshot.animators.gpu_faults import is_out_of_memory, let_go
from faceshot.animators.svd.checkpoints import SvdFiles, read_shapes
from faceshot.errors import DeviceError

__all__ = [
    "Precision",
    "activation_bytes",
    "check_memory",
    "free_bytes",
    "needed_bytes",
    "out_of_memory_is_said",
    "place",
]

Precision = Literal["auto", "fp16", "bf16", "fp32"]

_TYPES: Final = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}
# Tensors alive at once in half precision at 512², counted operation by operation on networks without memory: 2.3 GB for
# a window of 25 frames, 6.6 GB for the decoder's 12. Workspace of libraries and fragmentation come on top.
_ACTIVATION_BYTES: Final = 6.7e9
_GB: Final = 1e9


def place(device: str = "auto", precision: Precision = "auto") -> tuple[torch.device, torch.dtype]:
    """The device and the numbers that are asked for. Raises `DeviceError` when there is no such device."""
    cuda = torch.cuda.is_available()
    if device == "auto":
        device = "cuda" if cuda else "cpu"
    if device.startswith("cuda") and not cuda:
        raise DeviceError(
            f"This torch ({torch.__version__}) finds no CUDA device.",
            "Use --set animator.svd.device=cpu (slow), --animator warp, or a torch for your GPU (https://pytorch.org).",
        )
    if not device.startswith("cuda"):
        return torch.device(device), torch.float32
    return torch.device(device), _TYPES["fp16" if precision == "auto" else precision]


def needed_bytes(files: SvdFiles, dtype: torch.dtype, size: int) -> float:
    """About how much memory the networks and the largest window take.

    Args:
        size: side of the drawn square in pixels.
    """
    width = torch.empty((), dtype=dtype).element_size()
    networks = (files.fast_unet or files.unet, files.controlnet, files.image_encoder, files.vae)
    numbers = [sum(_count(shape) for shape in read_shapes(path).values()) for path in networks]
    # CMP and the VAE's encoder (a third of it) are in single precision always.
    weights = sum(numbers) * width + files.cmp.stat().st_size + numbers[-1] * 4 / 3
    return weights + activation_bytes(read_shapes(files.unet)["conv_in.weight"][0], dtype, size)


def activation_bytes(channels: int, dtype: torch.dtype, size: int) -> float:
    """About what one window takes besides the networks; `channels` is the width of the UNet's first block."""
    width = torch.empty((), dtype=dtype).element_size()
    return _ACTIVATION_BYTES * channels / 320 * (size / 512) ** 2 * width / 2


def free_bytes(device: torch.device) -> float | None:
    """Memory that is free on the device; None where nobody says."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    if sys.platform == "linux":
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return float(line.split()[1]) * 1024
    return None


def check_memory(files: SvdFiles, device: torch.device, dtype: torch.dtype, size: int, free: float | None) -> None:
    """Refuse what will not fit before gigabytes are read, and say what does.

    Args:
        free: bytes, see `free_bytes`.

    Raises:
        DeviceError: with the largest size that fits.
    """
    need = needed_bytes(files, dtype, size)
    if free is None or need <= free:
        return
    fits = next((s for s in range(size - 64, 255, -64) if needed_bytes(files, dtype, s) <= free), None)
    least = needed_bytes(files, dtype, 256)
    what = f"{size} px takes about {need / _GB:.1f} GB and {device} has {free / _GB:.1f} GB free"
    if fits is not None:
        raise DeviceError(f"Too little memory: {what}; {fits} px fits.", f"Use --set animator.svd.quality.size={fits}")
    raise DeviceError(
        f"Too little memory: {what}; even 256 px takes {least / _GB:.1f} GB.",
        "Close other programs, use a GPU with more memory, or --animator warp.",
    )


@contextmanager
def out_of_memory_is_said() -> Iterator[None]:
    """Turn running out of memory into two lines that say what to do."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        let_go(error)
        raise DeviceError(
            "The animator svd ran out of memory.",
            "Close other programs, or draw smaller: --set animator.svd.quality.size=384 (or 320). "
            "What is done is kept.",
        ) from error


def _count(shape: tuple[int, ...]) -> int:
    product = 1
    for side in shape:
        product *= side
    return product
