"""Fixtures of the published MOFA-Video networks: reading them, and making the weights that are not stored."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn


class Golden:
    """One npz: arrays as tensors, `meta` as a dict."""

    def __init__(self, folder: Path, name: str) -> None:
        self._npz = np.load(folder / "mofa" / f"{name}.npz")
        self.names = [name for name in self._npz.files if name != "meta"]
        self.meta: dict[str, Any] = json.loads(str(self._npz["meta"])) if "meta" in self._npz.files else {}

    def __getitem__(self, name: str) -> torch.Tensor:
        return torch.from_numpy(self._npz[name])

    def blocks(self, name: str, side: int = 8) -> torch.Tensor:
        """An array of one value a tile, expanded; bytes become numbers in 0..1."""
        array = self._npz[name]
        if array.dtype == np.uint8:
            array = array.astype(np.float32) / np.float32(255)
        return torch.from_numpy(np.kron(array, np.ones((side, side), array.dtype)))

    def group(self, prefix: str) -> dict[str, torch.Tensor]:
        start = f"{prefix}/"
        return {name.removeprefix(start): self[name] for name in self.names if name.startswith(start)}


def made(key: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    """A weight by the recipe of the fixtures: it depends on its key only."""
    last = key.rsplit(".", 1)[-1]
    if last == "num_batches_tracked":
        return np.asarray(0)
    random = np.random.RandomState((zlib.crc32(key.encode()) + 20240704) % 2**32)
    noise = random.standard_normal(shape)
    if last == "mix_factor":
        value = 0.5 * noise
    elif last == "running_mean":
        value = 0.1 * noise
    elif last == "running_var":
        value = 1 + 0.1 * np.abs(noise)
    elif len(shape) >= 2:
        value = noise * gain / np.sqrt(np.prod(shape[1:]))
    else:
        value = 1 + 0.1 * noise if last == "weight" else 0.1 * noise
    return np.asarray(value).astype(np.float16).astype(np.float32)


def controlnet_gain(key: str) -> float:
    part = key.split(".", 1)[0]
    if part in ("controlnet_cond_embedding", "controlnet_ldmk_embedding", "flow_encoder"):
        return 1.7
    return 1.2 if part == "occlusions" else 1.0


def cmp_gain(key: str) -> float:
    if key.startswith("image_encoder.layer") and key.endswith("conv3.weight"):
        return 0.35
    return 1.5 if key == "flow_decoder.head.weight" else 1.4


def fill(net: nn.Module, gain: Callable[[str], float], prefix: str = "") -> nn.Module:
    """Give every parameter and buffer of the state its value by the recipe, in place.

    Args:
        prefix: what stands before the keys of a part of a network.
    """
    with torch.no_grad():
        for key, value in net.state_dict().items():
            value.copy_(torch.from_numpy(made(prefix + key, tuple(value.shape), gain(prefix + key))))
    return net.eval().requires_grad_(False)
