"""M, the motion extractor: a 256² picture of a face to head pose, expression, place and size.

The backbone is ConvNeXt V2 "tiny". Always run in 32-bit floats: half precision rounds the size in steps of a fifth of a
pixel, which is seen as trembling, and M is one per cent of the work.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceshot.animators.liveportrait.blocks import ChannelNorm, call

__all__ = ["ConvNeXtBlock", "ConvNeXtV2", "MotionExtractor", "PatchConv", "ResponseNorm"]


class ResponseNorm(nn.Module):
    """Global response normalisation over (B, H, W, C): channels compete by their norm over the picture."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1, 1, 1, features))
        self.beta = nn.Parameter(torch.zeros(1, 1, 1, features))

    def forward(self, x: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)
        share = norm / (norm.mean(dim=-1, keepdim=True) + 1e-6)
        return self.gamma * (x * share) + self.beta + x


class PatchConv(nn.Conv2d):
    """A convolution whose patches do not overlap, as one matrix product: on CUDA torch rounds the inputs of 32-bit
    convolutions (TF32, as coarse as half precision) unless told otherwise, those of products it does not."""

    def __init__(self, channels: int, features: int, side: int) -> None:
        super().__init__(channels, features, side, stride=side)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        side = self.kernel_size[0]
        parts = x.reshape(batch, channels, height // side, side, width // side, side)
        out = F.linear(parts.permute(0, 2, 4, 1, 3, 5).flatten(3), self.weight.flatten(1), self.bias)
        return out.permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """Depthwise 7×7, then a two-layer perceptron a pixel, added to the input."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, 7, padding=3, groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1 = nn.Linear(dim, 4 * dim)
        self.grn = ResponseNorm(4 * dim)
        self.pwconv2 = nn.Linear(4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        # With the channels last torch would give it to cuDNN, which rounds (see `PatchConv`).
        out = call(self.dwconv, x.contiguous()).permute(0, 2, 3, 1)
        out = self.pwconv2(self.grn(F.gelu(self.pwconv1(self.norm(out)))))
        return x + out.permute(0, 3, 1, 2)


class ConvNeXtV2(nn.Module):
    """The backbone with one linear head per quantity."""

    def __init__(
        self,
        depths: tuple[int, ...] = (3, 3, 9, 3),
        dims: tuple[int, ...] = (96, 192, 384, 768),
        num_kp: int = 21,
        num_bins: int = 66,
    ) -> None:
        super().__init__()
        self.downsample_layers = nn.ModuleList([nn.Sequential(PatchConv(3, dims[0], 4), ChannelNorm(dims[0]))])
        for a, b in pairwise(dims):
            self.downsample_layers.append(nn.Sequential(ChannelNorm(a), PatchConv(a, b, 2)))
        self.stages = nn.ModuleList(
            nn.Sequential(*(ConvNeXtBlock(dim) for _ in range(depth))) for depth, dim in zip(depths, dims, strict=True)
        )
        self.norm = nn.LayerNorm(dims[-1], eps=1e-6)
        self.fc_kp = nn.Linear(dims[-1], 3 * num_kp)
        self.fc_scale = nn.Linear(dims[-1], 1)
        self.fc_pitch = nn.Linear(dims[-1], num_bins)
        self.fc_yaw = nn.Linear(dims[-1], num_bins)
        self.fc_roll = nn.Linear(dims[-1], num_bins)
        self.fc_t = nn.Linear(dims[-1], 3)
        self.fc_exp = nn.Linear(dims[-1], 3 * num_kp)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        for down, stage in zip(self.downsample_layers, self.stages, strict=True):
            x = stage(down(x))
        x = call(self.norm, x.mean((2, 3)))
        return {name: getattr(self, f"fc_{name}")(x) for name in ("pitch", "yaw", "roll", "t", "exp", "scale", "kp")}


class MotionExtractor(nn.Module):
    """(B, 3, 256, 256) RGB in 0..1 to raw heads.

    Output:
        pitch, yaw, roll: (B, 66) logits over bins of 3 degrees; t: (B, 3); exp, kp: (B, 63), x y z per point;
        scale: (B, 1).
    """

    def __init__(
        self,
        num_kp: int = 21,
        depths: tuple[int, ...] = (3, 3, 9, 3),
        dims: tuple[int, ...] = (96, 192, 384, 768),
        num_bins: int = 66,
    ) -> None:
        super().__init__()
        self.detector = ConvNeXtV2(tuple(depths), tuple(dims), num_kp, num_bins)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        out: dict[str, Tensor] = self.detector(x)
        return out
