"""W rewritten for speed, with the same numbers up to rounding (every rewrite is exact in real arithmetic).

folded norms    batch norm follows a convolution everywhere in W, so it becomes part of it
separable       moving a volume by one offset a point samples along x, y and z one after the other: three small
                matrices a point in place of a trilinear gather
bells           a 3-D Gaussian is the product of three 1-D ones; the source's are kept
background      its heat is zero everywhere, so that channel is left out of the hourglass
polyphase       a 3×3×3 convolution of a volume doubled by repetition sees only 3×2×2 different voxels an output
occlusion       one output channel of 7×7 is a matrix product for its 49 taps, then a sum of shifted maps
aligned         channels of zeros, so that counts are those that tensor cores want (only where it is asked for)
kept            whatever depends on the source only
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceshot.animators.liveportrait.warping import VARIANCE, Warped, WarpingNetwork, identity_grid, sample

__all__ = ["FastWarping", "Prepared", "doubled_weight", "interleaved"]


class Prepared(NamedTuple):
    """What depends on the source only.

    Attributes:
        volume: (B, 32, 16, 64, 64) float32, the features; sampling stays in 32 bits.
        thin: (B, 4, 16, 64, 64), the compressed volume.
        bells: (B, 21, 16, 64, 64), the source's heat.
        x_s: (B, 21, 3).
    """

    volume: Tensor
    thin: Tensor
    bells: Tensor
    x_s: Tensor


def _folded(conv: Any, norm: Any) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution with the batch norm that follows it."""
    weight, bias = conv.weight.detach().double(), conv.bias.detach().double()
    gain = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
    shift = norm.bias.detach().double() - norm.running_mean.double() * gain
    return (weight * gain.reshape(-1, *[1] * (weight.ndim - 1))).float(), (bias * gain + shift).float()


def _widened(tensor: Tensor, *extra: int) -> Tensor:
    """Zeros behind the last entry of the first axes: so many of each."""
    return F.pad(tensor, [n for axis in (*extra, *[0] * (tensor.ndim - len(extra)))[::-1] for n in (0, axis)])


def doubled_weight(weight: Tensor) -> Tensor:
    """Weights for a picture or volume doubled by repetition along its last two axes, for use before doubling.

    Of three neighbours of a doubled picture two are the same pixel: phase 0 sees pixels (-1, 0), phase 1 (0, 1).

    Args:
        weight: (out, in, ..., 3, 3).

    Returns:
        (4 · out, in, ..., 2, 2), phases (0, 0), (0, 1), (1, 0), (1, 1) of rows and columns.
    """

    def phases(w: Tensor, axis: int) -> list[Tensor]:
        a, b, c = w.unbind(axis)
        return [torch.stack([a, b + c], axis), torch.stack([a + b, c], axis)]

    return torch.cat([both for rows in phases(weight, -2) for both in phases(rows, -1)])


def interleaved(phases: Tensor) -> Tensor:
    """(B, 4 · C, ..., H + 1, W + 1) results of `doubled_weight` with padding 1 to (B, C, ..., 2 H, 2 W)."""
    height, width = phases.shape[-2] - 1, phases.shape[-1] - 1
    parts = phases.chunk(4, dim=1)
    out = phases.new_empty(*parts[0].shape[:-2], height, 2, width, 2)
    for i in range(2):
        for j in range(2):
            out[..., i, :, j] = parts[2 * i + j][..., i : i + height, j : j + width]
    return out.reshape(*parts[0].shape[:-2], 2 * height, 2 * width)


class FastWarping(nn.Module):
    """The same as a `WarpingNetwork` that is in eval mode.

    Args:
        net: with its weights loaded; not kept.
        dtype: of convolutions; coordinates and sampling are always in 32 bits.
        align: convolutions over the whole volume get channels by so many; what is added is zero.
    """

    def __init__(self, net: WarpingNetwork, dtype: torch.dtype = torch.float32, align: int = 1) -> None:
        super().__init__()
        self.dtype = dtype
        dense = net.dense_motion_network
        hourglass = dense.hourglass
        self.num_kp = dense.num_kp
        channels = dense.compress.out_channels
        inputs = (self.num_kp + 1) * (channels + 1)
        # Ours: heat of all points, then what is moved, channel by channel; theirs: all of one point, then the next.
        theirs = torch.arange(inputs).reshape(self.num_kp + 1, channels + 1)
        order = torch.cat([theirs[1:, 0], theirs[:, 1:].T.flatten()])
        self._empty = -len(order) % align
        for i, block in enumerate(hourglass.encoder.down_blocks):
            weight, bias = _folded(block.conv, block.norm)
            self._keep(f"down{i}", _widened(weight[:, order], 0, self._empty) if i == 0 else weight, bias)
        for i, block in enumerate(hourglass.decoder.up_blocks):
            weight, bias = _folded(block.conv, block.norm)
            self._keep(f"up{i}", doubled_weight(weight), bias.repeat(4))
        self._depth = len(hourglass.encoder.down_blocks)
        weight, bias = _folded(hourglass.decoder.conv, hourglass.decoder.norm)
        lower = weight.shape[1] - inputs
        weight = torch.cat([weight[:, :lower], weight[:, lower:][:, order]], dim=1)
        more = -len(weight) % align
        self._keep("joined", _widened(weight, more, self._empty), _widened(bias, more))
        assert dense.mask.bias is not None
        spare = -len(dense.mask.bias) % align
        self._keep("mask", _widened(dense.mask.weight.detach(), spare, more), _widened(dense.mask.bias.detach(), spare))
        self._keep("compress", *_folded(dense.compress, dense.norm))
        self._keep("third", *_folded(net.third.conv, net.third.norm))
        self._keep("fourth", net.fourth.weight.detach(), net.fourth.bias)
        self._slope = net.third.slope
        taps = dense.occlusion.weight.detach()[0].flatten(1).flip(1)  # fold() adds them up the other way round
        taps = _widened(taps, more * (len(taps) // len(weight)))  # a channel is as many rows as the volume is deep
        self.register_buffer("_taps", taps.T.contiguous().to(dtype))
        assert dense.occlusion.bias is not None
        self.register_buffer("_occlusion_bias", dense.occlusion.bias.detach().float())

    _taps: Tensor
    _occlusion_bias: Tensor

    def _keep(self, name: str, weight: Tensor, bias: Tensor | None) -> None:
        assert bias is not None
        self.register_buffer(f"{name}_weight", weight.to(self.dtype).contiguous())
        self.register_buffer(f"{name}_bias", bias.detach().to(self.dtype))

    def _conv(self, name: str, x: Tensor, padding: int) -> Tensor:
        weight: Tensor = getattr(self, f"{name}_weight")
        conv = F.conv3d if weight.ndim == 5 else F.conv2d
        return conv(x, weight, getattr(self, f"{name}_bias"), padding=padding)

    def prepare(self, feature_3d: Tensor, x_s: Tensor) -> Prepared:
        """Once per source; a batch is several faces.

        Args:
            feature_3d: (B, 32, 16, 64, 64) of F.
            x_s: (B, 21, 3) source points.
        """
        feature, x_s = feature_3d.float(), x_s.float()
        thin = F.relu(self._conv("compress", feature.to(self.dtype), 0))
        return Prepared(feature, thin, self._bells(x_s, feature), x_s)

    def forward(self, source: Prepared, x_d: Tensor) -> Warped:
        """The feature map for G, with the source moved to (B, 21, 3) driving points."""
        x_d = x_d.float()
        depth, height, width = source.thin.shape[2:]
        batch = len(x_d)
        shift = torch.cat([torch.zeros_like(x_d[:, :1]), source.x_s - x_d], dim=1)
        moved = self._moved(source.thin, shift)
        heat = self._bells(x_d, source.volume) - source.bells
        empty = moved.new_zeros(batch, self._empty, depth, height, width)
        mixed = torch.cat([heat.to(self.dtype), moved, empty], dim=1)
        prediction = self._hourglass(mixed)
        mask = torch.softmax(self._conv("mask", prediction, 3)[:, : self.num_kp + 1].float(), dim=1)
        # sum over points of mask · (identity + shift), and the mask sums to one
        offset = torch.einsum("bkdhw,bkc->bdhwc", mask, shift)
        deformation = identity_grid(depth, height, width, x_d) + offset
        taps = self._taps @ prediction.reshape(batch, -1, height * width)
        kernel = (round(self._taps.shape[0] ** 0.5),) * 2
        summed = F.fold(taps.float(), (height, width), kernel, padding=kernel[0] // 2)
        occlusion = torch.sigmoid(summed + self._occlusion_bias[:, None, None])
        out = sample(source.volume, deformation).flatten(1, 2).to(self.dtype)
        out = self._conv("fourth", F.leaky_relu(self._conv("third", out, 1), self._slope), 0)
        return Warped(out * occlusion.to(self.dtype), occlusion, deformation)

    def _bells(self, points: Tensor, like: Tensor) -> Tensor:
        """(B, K, D, H, W) as the product of one bell an axis."""

        def bell(axis: int, n: int) -> Tensor:
            grid = 2 * torch.arange(n, device=points.device).to(points.dtype) / (n - 1) - 1
            return torch.exp(-0.5 * (grid - points[..., axis : axis + 1]).square() / VARIANCE)

        depth, height, width = like.shape[2:]
        plane = bell(1, height)[..., :, None] * bell(0, width)[..., None, :]
        return bell(2, depth)[..., None, None] * plane[:, :, None]

    def _moved(self, thin: Tensor, shift: Tensor) -> Tensor:
        """(B, C · (K + 1), D, H, W): the thin volume moved by each of (B, K + 1, 3) shifts."""

        def matrices(axis: int, n: int) -> Tensor:
            index = torch.arange(n, device=shift.device).to(shift.dtype)
            place = (2 * index / (n - 1) + shift[..., axis : axis + 1]) * (n / 2) - 0.5
            return (1 - (place[..., :, None] - index).abs()).clamp_min(0).to(self.dtype)

        batch, channels, depth, height, width = thin.shape
        points = shift.shape[1]
        along_x, along_y, along_z = (matrices(axis, n) for axis, n in ((0, width), (1, height), (2, depth)))
        # z first: it is the shortest, and its result is what both others work on.
        out = along_z[:, None] @ thin.reshape(batch, channels, 1, depth, height * width)
        out = out.reshape(batch, channels, points, depth, height, width)
        out = along_y[:, None, :, None] @ out @ along_x.transpose(-1, -2)[:, None, :, None]
        return out.reshape(batch, channels * points, depth, height, width)

    def _hourglass(self, x: Tensor) -> Tensor:
        features = [x]
        for i in range(self._depth):
            out = F.relu(self._conv(f"down{i}", features[-1], 1))
            halved = F.avg_pool2d(out.flatten(1, 2), 2)  # half precision has no 3-D pooling on a CPU
            features.append(halved.reshape(*out.shape[:3], *halved.shape[2:]))
        out = features[-1]
        for i in range(self._depth):
            out = interleaved(F.relu(self._conv(f"up{i}", out, 1)))
            out = torch.cat([out, features[-2 - i]], dim=1)
        return F.relu(self._conv("joined", out, 1))
