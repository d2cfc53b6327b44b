"""Where tensors live: the only file that asks torch which devices exist, and the message when torch is not there."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import Any

from faceshot.errors import FaceshotError

__all__ = ["Placement", "need_packages", "place"]

GPU_EXTRA = "Type: pip install 'faceshot-live[gpu]'"


@dataclass(frozen=True, slots=True)
class Placement:
    """A device and the type of the numbers that networks compute with there.

    Attributes:
        device: "cpu", "cuda", "cuda:1", "mps".
        dtype: "float32", "float16" or "bfloat16".
    """

    device: str
    dtype: str

    @property
    def torch_dtype(self) -> Any:
        import torch

        return getattr(torch, self.dtype)


def need_packages(what: str, *names: str) -> None:
    """Refuse with the pip line when a package of the extra `gpu` is missing.

    Args:
        what: what cannot be done without it, as the beginning of the sentence.
        names: packages that must be importable; none of them is imported here.
    """
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        listed = " and ".join(filter(None, (", ".join(missing[:-1]), missing[-1])))
        needs = f"{what} needs {listed}, which {'is' if len(missing) == 1 else 'are'} not installed."
        raise FaceshotError(needs, GPU_EXTRA)


def place(device: str = "auto", dtype: str = "auto") -> Placement:
    """The placement that is asked for; half precision on CUDA, single precision elsewhere.

    Args:
        device: "auto" takes the first CUDA device, else the CPU.
        dtype: "auto", "float32", "float16" or "bfloat16".

    Raises:
        FaceshotError: torch is not installed, or there is no such device.
    """
    need_packages("Diffusion matching", "torch")
    import torch

    there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        there.append("mps")
    if device == "auto":
        device = "cuda:0" if "cuda:0" in there else "cpu"
    if device not in (*there, "cuda") or (device == "cuda" and "cuda:0" not in there):
        raise FaceshotError(f"There is no device {device!r} here.", f"There are: {', '.join(there)}.")
    if dtype == "auto":
        dtype = "float16" if device.startswith("cuda") else "float32"
    if dtype not in ("float32", "float16", "bfloat16"):
        raise FaceshotError(f"There is no number type {dtype!r}.", "There are: auto, float32, float16, bfloat16.")
    return Placement(device, dtype)
