"""The networks of the live SVD animator on one device, made fast, and the checks that they can be used there.

Shared by the animators of one program (two exist for a moment when the character is changed): it holds nothing of any
character.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from faceshot.animators import gpu_faults
from faceshot.animators.svd.adapter import Conditions
from faceshot.animators.svd.checkpoints import SvdFiles, SvdModels, find_files, load_models
from faceshot.animators.svd.constant_attention import make_constant
from faceshot.animators.svd.live_settings import LiveSettings, what_fits
from faceshot.animators.svd.machine import place
from faceshot.animators.svd.taesdv import TinyVideoDecoder, load_decoder
from faceshot.animators.svd.unet import run_unet
from faceshot.errors import DeviceError, OutOfMemory

__all__ = ["LiveEngine", "channels_last", "check_memory", "faults_are_said", "open_engine", "placed"]

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
_SLOW_ON_A_CPU: Final = 200_000_000
"""Bytes of weights; with the published ones a CPU takes minutes for a chunk."""

_ENGINES: WeakValueDictionary[tuple[object, ...], LiveEngine] = WeakValueDictionary()


class LiveEngine:
    """Args:
    models: all networks on the device; the UNet and the ControlNet are changed in place.
    decoder: of latents, moved there.
    """

    def __init__(self, models: SvdModels, decoder: TinyVideoDecoder) -> None:
        self.models = models
        self.decoder = decoder.to(models.device, models.dtype)
        make_constant(models.unet)
        make_constant(models.controlnet)
        if models.device.type == "cuda":  # tensor cores want the channels last
            for net in (models.unet, models.controlnet, self.decoder):
                channels_last(net)

    def predict(self, sample: Tensor, time: Tensor, token: Tensor, ids: Tensor, window: Conditions) -> Tensor:
        """One step of the adapter and the UNet: (1, F, 8, h, w) -> (1, F, 4, h, w)."""
        added = self.models.controlnet(sample, time, token, ids, window)
        return run_unet(self.models.unet, sample, time, token, ids, added)


def open_engine(folder: Path | None, settings: LiveSettings, progress: Progress = lambda *_: None) -> LiveEngine:
    """The engine for these settings; loaded when nobody holds it already.

    Raises:
        WeightsMissing, CheckpointError: see `load_models`.
        DeviceError: no such device, a CPU that would take minutes, or too little memory.
    """
    device, dtype = placed(settings)
    key = (folder, device, dtype)
    engine = _ENGINES.get(key)
    if engine is None:
        files = find_files(folder, fast=True)
        decoder = load_decoder(folder)
        _check_speed(files, device, settings)
        if device.type == "cpu":
            # The tracker works beside it; threads that spin for one that has no core bring all to a standstill.
            torch.set_num_threads(max(1, min(torch.get_num_threads(), (os.cpu_count() or 1) - 1)))
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            half = 1.0 if dtype != torch.float32 else 2.0
            check_memory(free, round(files.bytes * half), settings.size, torch.cuda.get_device_name(device))
        with faults_are_said():
            engine = LiveEngine(load_models(folder, device, dtype, fast=True, progress=progress), decoder)
        _ENGINES[key] = engine
    return engine


def placed(settings: LiveSettings) -> tuple[torch.device, torch.dtype]:
    """Device and numbers. Raises `DeviceError` when there is no such device."""
    precision = settings.precision
    if precision == "auto" and torch.cuda.is_available():
        # Cards before Ampere only pretend to know bf16, and are slow at it.
        precision = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return place(settings.device, precision)


def check_memory(free_bytes: int, weights_bytes: int, size: int, card: str) -> None:
    """Refuse what will not fit. Raises `OutOfMemory`, which names what would."""
    need_gb, fitting = what_fits(free_bytes, weights_bytes, size)
    if need_gb * 1e9 <= free_bytes:
        return
    hint = f"{fitting[0]} px fits: --set animator.svd.live.size={fitting[0]}" if fitting else "Use --animator warp."
    raise OutOfMemory(
        f"Live SVD at {size} px is expected to need {need_gb:.1f} GB; {card} has {free_bytes / 1e9:.1f} GB free.",
        f"Close other programs that use the card. {hint}",
    )


def _check_speed(files: SvdFiles, device: torch.device, settings: LiveSettings) -> None:
    if device.type == "cpu" and settings.device != "cpu" and files.bytes > _SLOW_ON_A_CPU:
        raise DeviceError(
            "Live SVD needs a CUDA GPU: on this CPU a chunk of four frames would take minutes.",
            "Offline it works: faceshot render CHARACTER DRIVE -o OUT.mp4 --animator svd",
        )


def faults_are_said() -> AbstractContextManager[None]:
    """Turn a full memory or a lost GPU into two lines that say what to do."""
    return gpu_faults.said(
        "Live SVD ran out of memory.",
        "Close other programs, draw smaller (--set animator.svd.live.size=384), or use --animator warp.",
    )


def channels_last(net: torch.nn.Module) -> None:
    """Lay the weights of two-dimensional convolutions out as tensor cores want them, in place."""
    for weight in net.parameters():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
