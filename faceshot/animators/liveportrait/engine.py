"""All networks on one device, ready to draw: half precision where it is safe, and a recorded graph where there is CUDA.

The engine is shared by the animators of one program (two exist for a moment when the character is changed), since it
holds nothing of any source.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal
from weakref import WeakValueDictionary

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from faceshot.animators import gpu_faults
from faceshot.animators.liveportrait.blocks import call
from faceshot.animators.liveportrait.checkpoints import Networks, Variant, load_networks
from faceshot.animators.liveportrait.crop import CROP_PX, NETWORK_PX
from faceshot.animators.liveportrait.fast_decoder import FastDecoder
from faceshot.animators.liveportrait.fast_warping import FastWarping, Prepared
from faceshot.animators.liveportrait.keypoints import Motion
from faceshot.animators.liveportrait.official import Heads
from faceshot.animators.liveportrait.warping import Warped, identity_grid
from faceshot.animators.recorded import Recorded
from faceshot.errors import DeviceError
from faceshot.types import UInt8

__all__ = ["Device", "Engine", "Precision", "Recorded", "faults_are_said", "open_engine"]

log = logging.getLogger(__name__)

Device = Literal["auto", "cuda", "mps", "cpu"]
Precision = Literal["auto", "fp16", "fp32"]

_ENGINES: WeakValueDictionary[tuple[object, ...], Engine] = WeakValueDictionary()


def open_engine(
    folder: Path | None = None,
    variant: Variant = "human",
    device: Device = "auto",
    precision: Precision = "auto",
    compiled: bool = False,
) -> Engine:
    """The engine for these settings; loaded when nobody holds it already.

    Raises:
        WeightsMissing, CheckpointError: see `load_networks`. DeviceError: no such device, or it is out of memory.
    """
    key = (folder, variant, device, precision, compiled)
    engine = _ENGINES.get(key)
    if engine is None:
        place = _device(device)
        with faults_are_said():
            engine = Engine(load_networks(folder, variant), place, precision, compiled)
        _ENGINES[key] = engine
    return engine


def _device(wanted: Device) -> torch.device:
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return torch.device(next(name for name, is_there in there.items() if is_there))
    if not there[wanted]:
        raise DeviceError(
            f"This torch ({torch.__version__}) finds no device {wanted!r}.",
            "Use --set animator.liveportrait.device=cpu, or install a torch for your GPU (https://pytorch.org).",
        )
    return torch.device(wanted)


def faults_are_said() -> AbstractContextManager[None]:
    """Turn a full memory or a lost GPU into two lines that say what to do."""
    return gpu_faults.said(
        "LivePortrait ran out of memory; it takes about 2 GB on a GPU in fp16 and 3 GB on a CPU.",
        "Close other programs, use --set animator.liveportrait.precision=fp16 on a GPU, or --animator warp.",
    )


def _half_is_wanted(precision: Precision, device: torch.device) -> bool:
    """Never on a CPU: convolutions in 16 bits are a hundred times slower there."""
    return device.type != "cpu" and (precision == "fp16" or (precision == "auto" and device.type == "cuda"))


class Engine:
    """Args:
        networks: not kept where a faster form of one is.
        precision: of W and G; M, the small networks and all coordinates are always in 32 bits.
        compiled: let torch.compile fuse W and G, which takes minutes once; without it when that fails.

    Attributes:
        device: where everything is.
        half: whether W and G run in 16 bits.
        heads: the small networks.
    """

    def __init__(self, networks: Networks, device: torch.device, precision: Precision, compiled: bool = False) -> None:
        self.device = device
        self.heads = Heads(*(head.to(device) for head in networks.heads))
        self._appearance = networks.appearance.to(device)
        self._motion = networks.motion.to(device)
        self.half = _half_is_wanted(precision, device)
        self._fit(networks)
        if self.half and not self._draws():
            log.warning("This GPU draws black pictures in fp16 (as the GTX 16 series does); using fp32.")
            self.half = False
            self._fit(networks)
        if compiled:
            self._compile()

    def _fit(self, networks: Networks) -> None:
        dtype = torch.float16 if self.half else torch.float32
        align = 8 if self.half else 1  # channels that tensor cores take as they are
        self.warping = FastWarping(networks.warping, dtype, align).to(self.device).eval()
        self.decoder = FastDecoder(networks.decoder, dtype).to(self.device).eval()
        if self.device.type == "cuda":  # tensor cores want the channels last
            _channels_last(self.warping)
            _channels_last(self.decoder)

    def _compile(self) -> None:
        import torch._dynamo

        torch._dynamo.config.suppress_errors = True
        self.warping.forward = torch.compile(self.warping.forward)  # type: ignore[method-assign]
        self.decoder.forward = torch.compile(self.decoder.forward)  # type: ignore[method-assign]

    @torch.inference_mode()
    def _draws(self) -> bool:
        """Whether half precision gives pictures: some GPUs calculate NaN, which is shown as black."""
        ramp = torch.linspace(0, 1, NETWORK_PX, device=self.device)
        picture = torch.stack(
            [ramp.expand(NETWORK_PX, -1), ramp.expand(NETWORK_PX, -1).T, 1 - ramp.expand(NETWORK_PX, -1)]
        )
        feature = call(self._appearance, picture[None])
        points = Motion.of(self._motion(picture[None])).points
        drawn = call(self.decoder, self.warping(self.warping.prepare(feature, points), points).out)
        return bool(torch.isfinite(drawn).all()) and float(drawn.max()) > 1 / 255

    def upload(self, crops: Sequence[UInt8]) -> Tensor:
        """(B, 256, 256, 3) uint8 on the device."""
        return self.to_device(np.stack(crops))

    def to_device(self, array: np.ndarray) -> Tensor:
        """A copy on the device, not waited for."""
        tensor = torch.from_numpy(array)
        if self.device.type == "cuda":
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    @staticmethod
    def as_input(crops: Tensor) -> Tensor:
        """(B, 3, 256, 256) float32 in 0..1 from (B, 256, 256, 3) uint8."""
        return crops.permute(0, 3, 1, 2).float() / 255

    def motion(self, crops: Tensor) -> Motion:
        """M of (B, 256, 256, 3) uint8 crops."""
        heads: dict[str, Tensor] = self._motion(self.as_input(crops))
        return Motion.of(heads)

    def prepare(self, crops: Tensor, x_s: Tensor) -> Prepared:
        """F and all that W can do before it knows the motion, for (B, 256, 256, 3) uint8 source crops."""
        return self.warping.prepare(call(self._appearance, self.as_input(crops)), x_s)

    def draw(self, source: Prepared, x_d: Tensor, alpha: Tensor | None = None) -> Tensor:
        """(B, 512, 512, 3 or 4) uint8 pictures.

        Args:
            x_d: (B, 21, 3) driving points.
            alpha: (B, 1, 512, 512) float32 in 0..1, the source's; moved with the picture.
        """
        warped: Warped = self.warping(source, x_d)
        picture = call(self.decoder, warped.out)
        if picture.shape[-1] != CROP_PX:
            picture = F.interpolate(picture, size=(CROP_PX, CROP_PX), mode="bilinear")
        if alpha is not None:
            picture = torch.cat([picture, moved_alpha(alpha, warped.deformation)], dim=1)
        # Cut off, not rounded: so does the published program.
        return (picture.clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def moved_alpha(alpha: Tensor, deformation: Tensor) -> Tensor:
    """(B, 1, H, W) a matte moved as the picture is: by the deformation's mean over the depth, at the matte's own size.

    Args:
        deformation: (B, D, h, w, 3) of W.
    """
    depth, rows, columns = deformation.shape[1:4]
    flow = (deformation - identity_grid(depth, rows, columns, deformation)).mean(1)[..., :2]
    height, width = alpha.shape[2:]
    flow = F.interpolate(flow.permute(0, 3, 1, 2), size=(height, width), mode="bicubic", align_corners=False)
    y, x = ((2 * torch.arange(n, device=alpha.device, dtype=alpha.dtype) + 1) / n - 1 for n in (height, width))
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1) + flow.permute(0, 2, 3, 1)
    return F.grid_sample(alpha, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _channels_last(module: torch.nn.Module) -> None:
    for name, buffer in module.named_buffers():
        if buffer.ndim in (4, 5):
            form = torch.channels_last if buffer.ndim == 4 else torch.channels_last_3d
            owner = module.get_submodule(name.rpartition(".")[0])
            setattr(owner, name.rpartition(".")[2], buffer.contiguous(memory_format=form))
