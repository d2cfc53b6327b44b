"""CMP: from a picture and a few motion hints to dense optical flow.

Convention:
    Everything is at 384 × 384 and in its pixels. Flow is the expectation over 99 bins between -50 and 50 px, so no
    motion beyond 49.5 px (66 px of a 512 × 512 picture) can be expressed.

The picture's features depend on the character only: `see` once, `flow` for each frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["BINS", "SIDE", "Cmp", "Seen", "bin_centres", "fuse_bins", "seen_by_cmp", "upscale_flow"]

SIDE: Final = 384
BINS: Final = 99
_REACH: Final = 50.0


class Seen(NamedTuple):
    """The picture's features at 1/8, 1/4 and 1/2: (1, C, 48, 48), (1, C, 96, 96), (1, C, 192, 192)."""

    eighth: Tensor
    quarter: Tensor
    half: Tensor


def bin_centres(like: Tensor | None = None) -> Tensor:
    """(99,) float32 px on the device of `like`, rounded as the published ones are."""
    step = 2 * _REACH / BINS
    device = None if like is None else like.device
    return torch.arange(BINS, dtype=torch.float32, device=device) * step + (step / 2 - _REACH)


def fuse_bins(logits: Tensor) -> Tensor:
    """(N, 198, h, w) -> (N, 2, h, w) px: the mean over each axis's bins."""
    n, _, height, width = logits.shape
    powers = logits.float().reshape(n, 2, BINS, -1)
    powers = (powers - powers.amax(2, keepdim=True)).exp()
    centres = bin_centres(logits)
    # Weighted sum and sum in one product: the mean of a softmax without the softmax.
    sums = torch.stack([centres, torch.ones_like(centres)]) @ powers
    return (sums[:, :, 0] / sums[:, :, 1]).reshape(n, 2, height, width)


def seen_by_cmp(picture: Tensor) -> Tensor:
    """(N, 3, H, W) in 0..1 -> (N, 3, 384, 384) in -1..1, by nearest pixels as published."""
    return functional.interpolate(picture.float(), (SIDE, SIDE), mode="nearest") * 2 - 1


def upscale_flow(flow: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """(N, 2, 384, 384) -> (N, 2, H, W) in pixels of that size, by nearest pixels as published."""
    height, width = size_hw
    scale = flow.new_tensor([width / SIDE, height / SIDE])[:, None, None]
    return functional.interpolate(flow, size_hw, mode="nearest") * scale


class _Bottleneck(nn.Module):
    def __init__(self, in_channels: int, width: int, stride: int, dilation: int, downsample: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, dilation, dilation, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = (
            nn.Sequential(nn.Conv2d(in_channels, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width))
            if downsample
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu(self.bn1(self.conv1(x)))
        out = torch.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return torch.relu(out + self.downsample(x))


class _ImageEncoder(nn.Module):
    """ResNet-50 whose last two stages keep the size and look further instead."""

    def __init__(self, base: int, depths: Sequence[int]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, base, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(base)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        channels = base
        for i, (depth, stride, dilation) in enumerate(zip(depths, (1, 2, 1, 1), (1, 1, 2, 4), strict=True)):
            width = base * 2**i
            blocks = [
                _Bottleneck(channels if j == 0 else 4 * width, width, stride if j == 0 else 1, dilation, j == 0)
                for j in range(depth)
            ]
            channels = 4 * width
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
        self.conv5 = nn.Conv2d(channels, 4 * base, 1)

    def forward(self, image: Tensor) -> Seen:
        half = torch.relu(self.bn1(self.conv1(image)))
        quarter = self.get_submodule("layer1")(self.maxpool(half))
        x = quarter
        for i in (2, 3, 4):
            x = self.get_submodule(f"layer{i}")(x)
        return Seen(self.conv5(x), quarter, half)


class _FlowEncoder(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(4, channels, 5, 2, 2),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.MaxPool2d(2, 2),
            nn.Conv2d(channels, channels, 3, 1, 1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.AvgPool2d(2, 2),
        )

    def forward(self, hints: Tensor) -> Tensor:
        out: Tensor = self.features(hints)
        return out


def _conv(in_channels: int, out_channels: int) -> list[nn.Module]:
    return [nn.Conv2d(in_channels, out_channels, 3, 1, 1), nn.BatchNorm2d(out_channels), nn.ReLU()]


class _FlowDecoder(nn.Module):
    def __init__(self, base: int) -> None:
        super().__init__()
        for pool in (1, 2, 4, 8):
            first: list[nn.Module] = [nn.MaxPool2d(pool, pool)] if pool > 1 else []
            widths = (4 * base + base // 4, 2 * base, 2 * base, 2 * base)
            self.add_module(
                f"decoder{pool}", nn.Sequential(*first, *(layer for a, b in pairwise(widths) for layer in _conv(a, b)))
            )
        self.fusion8 = nn.Sequential(*_conv(8 * base, 4 * base))
        self.skipconv4 = nn.Sequential(*_conv(4 * base, 2 * base))
        self.fusion4 = nn.Sequential(*_conv(6 * base, 2 * base))
        self.skipconv2 = nn.Sequential(*_conv(base, base // 2))
        self.fusion2 = nn.Sequential(*_conv(2 * base + base // 2, base))
        self.head = nn.Conv2d(base, 2 * BINS, 1)

    def forward(self, seen: Seen, hints: Tensor) -> Tensor:
        n = hints.shape[0]
        x = torch.cat([_repeated(seen.eighth, n), hints], 1)
        branches = [_resized(self.get_submodule(f"decoder{pool}")(x), x) for pool in (1, 2, 4, 8)]
        x = self.fusion8(torch.cat(branches, 1))
        skip = _repeated(self.skipconv4(seen.quarter), n)
        x = self.fusion4(torch.cat([_resized(x, skip), skip], 1))
        skip = _repeated(self.skipconv2(seen.half), n)
        x = self.fusion2(torch.cat([_resized(x, skip), skip], 1))
        out: Tensor = self.head(x)
        return out


def _repeated(x: Tensor, n: int) -> Tensor:
    return x if x.shape[0] == n else x.expand(n, -1, -1, -1)


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return functional.interpolate(x, like.shape[2:], mode="bilinear", align_corners=True)


class Cmp(nn.Module):
    """The published network with its keys (without the `module.` that the file puts before them).

    Args:
        base: width of the first layer; every other is a multiple of it.
        depths: blocks of the four stages of the image encoder.
    """

    def __init__(self, base: int = 64, depths: Sequence[int] = (3, 4, 6, 3)) -> None:
        super().__init__()
        self.image_encoder = _ImageEncoder(base, depths)
        self.flow_encoder = _FlowEncoder(base // 4)
        self.flow_decoder = _FlowDecoder(base)

    def see(self, image: Tensor) -> Seen:
        """Features of (N, 3, 384, 384) in -1..1; with N = 1 they serve any number of frames."""
        seen: Seen = self.image_encoder(image)
        return seen

    def flow(self, seen: Seen, hints: Tensor, mask: Tensor) -> Tensor:
        """
        Args:
            hints: (N, 2, 384, 384) px, x then y.
            mask: the same shape, 1 where there is a hint.

        Returns:
            (N, 2, 384, 384) px: where each pixel of the picture goes.
        """
        logits = self.flow_decoder(seen, self.flow_encoder(torch.cat([hints, mask], 1)))
        return functional.interpolate(fuse_bins(logits), hints.shape[2:], mode="bilinear", align_corners=True)

    def forward(self, image: Tensor, hints: Tensor, mask: Tensor) -> Tensor:
        return self.flow(self.see(image), hints, mask)
