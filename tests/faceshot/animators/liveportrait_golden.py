"""Fixtures of the published LivePortrait networks: reading them, and making the weights that are not stored."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from faceshot.animators.liveportrait.appearance import AppearanceFeatureExtractor
from faceshot.animators.liveportrait.blocks import Hourglass, Mlp, ResBlock3d, SameBlock2d
from faceshot.animators.liveportrait.decoder import SpadeBlock, SpadeDecoder
from faceshot.animators.liveportrait.extractor import ConvNeXtBlock, MotionExtractor
from faceshot.animators.liveportrait.warping import WarpingNetwork


class Golden:
    """One npz: arrays by name, `meta` as a dict."""

    def __init__(self, folder: Path, name: str) -> None:
        self._npz = np.load(folder / "liveportrait" / f"{name}.npz")
        self.meta: dict[str, Any] = json.loads(str(self._npz["meta"]))
        self.names = self._npz.files

    def __getitem__(self, name: str) -> torch.Tensor:
        return torch.from_numpy(self._npz[name])

    def group(self, prefix: str) -> dict[str, torch.Tensor]:
        """Everything under `prefix/`, by the rest of its name."""
        start = f"{prefix}/"
        return {name.removeprefix(start): self[name] for name in self.names if name.startswith(start)}


def warping(**kwargs: Any) -> WarpingNetwork:
    dense = kwargs.pop("dense_motion_params")
    assert kwargs.pop("estimate_occlusion_map")
    assert dense.pop("reshape_depth") == kwargs.setdefault("reshape_depth", 16 if kwargs["num_kp"] == 21 else 4)
    return WarpingNetwork(**kwargs, **{f"dense_{name}": value for name, value in dense.items()})


MAKE: dict[str, Callable[..., nn.Module]] = {
    "F": AppearanceFeatureExtractor,
    "M": lambda backbone="", **kwargs: MotionExtractor(**kwargs),
    "W": warping,
    "G": SpadeDecoder,
    "S": Mlp,
    "R_lip": Mlp,
    "R_eye": Mlp,
    "spade_R_identity": lambda fin, fout, label_nc, norm_G: SpadeBlock(fin, fout, label_nc),
    "spade_R_learned": lambda fin, fout, label_nc, norm_G: SpadeBlock(fin, fout, label_nc),
    "blk_convnext": ConvNeXtBlock,
    "blk_res3d": lambda in_features, kernel_size, padding: ResBlock3d(in_features),
    "blk_same2d_lrelu": SameBlock2d,
    "blk_hourglass": Hourglass,
}


def make(name: str, meta: dict[str, Any]) -> nn.Module:
    """The module that a fixture is of."""
    return MAKE[name.removeprefix("full_").removesuffix("_small")](**meta["kwargs"]).eval()


def _random(name: str) -> np.random.RandomState:
    return np.random.RandomState((zlib.crc32(name.encode()) + 20240704) % 2**32)


def _made(key: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    last = key.rsplit(".", 1)[-1]
    if last == "num_batches_tracked":
        return np.asarray(1000)
    if last == "running_var":
        return 0.5 + _random(key).uniform(size=shape)
    noise = _random(key).standard_normal(shape)
    if last in ("running_mean", "gamma", "beta"):
        return 0.2 * noise
    if len(shape) >= 2:
        return noise * gain / np.sqrt(np.prod(shape[1:]))
    return 1 + 0.2 * noise if last == "weight" else 0.1 * noise


def state_dict(keys: Iterable[tuple[str, tuple[int, ...]]], gain: float) -> dict[str, torch.Tensor]:
    """Weights by the recipe of the fixtures; u and v of a spectral norm are the leading singular vectors."""
    state = {}
    for key, shape in keys:
        made = _made(key, tuple(shape), gain)
        exact = made if made.dtype.kind == "i" else made.astype(np.float16).astype(np.float32)
        state[key] = torch.from_numpy(np.array(exact))
    for key in [key for key in state if key.endswith("weight_u")]:
        stem = key.removesuffix("_u")
        matrix = state[f"{stem}_orig"].flatten(1).double()
        values, vectors = torch.linalg.eigh(matrix @ matrix.T)
        state[key] = vectors[:, -1].float()
        state[f"{stem}_v"] = (matrix.T @ vectors[:, -1] / values[-1].sqrt()).float()
    return state


def made_input(about: dict[str, Any]) -> torch.Tensor:
    """An input that is not stored: uniform in 0..1 without a scale, else normal."""
    random = _random(about["name"])
    if about["scale"] is None:
        return torch.from_numpy(random.uniform(size=about["shape"]).astype(np.float32))
    return torch.from_numpy((random.standard_normal(about["shape"]) * about["scale"]).astype(np.float32))


def crc32(tensor: torch.Tensor) -> int:
    return zlib.crc32(np.ascontiguousarray(tensor.numpy()).tobytes())
