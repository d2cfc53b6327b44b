"""Building blocks that several of the networks share; attribute names are those of the published checkpoints.

Convention:
    Pictures are (B, C, H, W), volumes (B, C, D, H, W). All networks run in eval mode only.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "ChannelNorm",
    "DownBlock2d",
    "Hourglass",
    "Mlp",
    "ResBlock3d",
    "SameBlock2d",
    "SpectralConv2d",
    "call",
]


def call(module: nn.Module, *args: Tensor) -> Tensor:
    """`module(*args)` with a type: calling a module is untyped in torch."""
    out: Tensor = module(*args)
    return out


class SameBlock2d(nn.Module):
    """3×3 convolution, batch norm, ReLU (or LeakyReLU with torch's own slope of 0.01)."""

    def __init__(self, in_features: int, out_features: int, lrelu: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_features, out_features, 3, padding=1)
        self.norm = nn.BatchNorm2d(out_features)
        self.slope = 0.01 if lrelu else 0.0

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.norm(self.conv(x)), self.slope)


class DownBlock2d(nn.Module):
    """3×3 convolution, batch norm, ReLU, mean of 2×2."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_features, out_features, 3, padding=1)
        self.norm = nn.BatchNorm2d(out_features)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(F.relu(self.norm(self.conv(x))), 2)


class ResBlock3d(nn.Module):
    """Pre-activation residual block of two 3×3×3 convolutions."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(features, features, 3, padding=1)
        self.conv2 = nn.Conv3d(features, features, 3, padding=1)
        self.norm1 = nn.BatchNorm3d(features)
        self.norm2 = nn.BatchNorm3d(features)

    def forward(self, x: Tensor) -> Tensor:
        out = call(self.conv1, F.relu(self.norm1(x)))
        return x + call(self.conv2, F.relu(self.norm2(out)))


class _DownBlock3d(nn.Module):
    """3×3×3 convolution, batch norm, ReLU, then height and width halved; depth stays."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(in_features, out_features, 3, padding=1)
        self.norm = nn.BatchNorm3d(out_features)

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool3d(F.relu(self.norm(self.conv(x))), (1, 2, 2))


class _UpBlock3d(nn.Module):
    """Height and width doubled by repetition, 3×3×3 convolution, batch norm, ReLU."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(in_features, out_features, 3, padding=1)
        self.norm = nn.BatchNorm3d(out_features)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(F.interpolate(x, scale_factor=(1, 2, 2)))))


class _Encoder(nn.Module):
    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.down_blocks = nn.ModuleList(_DownBlock3d(a, b) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> list[Tensor]:
        """Input and output of every block, finest first."""
        outs = [x]
        for block in self.down_blocks:
            outs.append(block(outs[-1]))
        return outs


class _Decoder(nn.Module):
    def __init__(self, widths: list[int], block_expansion: int) -> None:
        super().__init__()
        blocks = []
        for i in range(len(widths) - 2, -1, -1):
            deepest = i == len(widths) - 2
            out_features = widths[i] if i else block_expansion
            blocks.append(_UpBlock3d(widths[i + 1] * (1 if deepest else 2), out_features))
        self.up_blocks = nn.ModuleList(blocks)
        self.out_filters = block_expansion + widths[0]
        self.conv = nn.Conv3d(self.out_filters, self.out_filters, 3, padding=1)
        self.norm = nn.BatchNorm3d(self.out_filters)

    def forward(self, features: list[Tensor]) -> Tensor:
        out = features[-1]
        for block, skip in zip(self.up_blocks, features[-2::-1], strict=True):
            out = torch.cat([block(out), skip], dim=1)
        return F.relu(self.norm(self.conv(out)))


class Hourglass(nn.Module):
    """A U-Net over volumes that halves height and width only.

    Attributes:
        out_filters: `block_expansion + in_features`, for the input itself is the last skip connection.
    """

    def __init__(self, block_expansion: int, in_features: int, num_blocks: int, max_features: int) -> None:
        super().__init__()
        widths = [in_features, *(min(max_features, block_expansion * 2 ** (i + 1)) for i in range(num_blocks))]
        self.encoder = _Encoder(widths)
        self.decoder = _Decoder(widths, block_expansion)
        self.out_filters = self.decoder.out_filters

    def forward(self, x: Tensor) -> Tensor:
        return call(self.decoder, self.encoder(x))


class ChannelNorm(nn.Module):
    """Layer norm over the channels of a (B, C, H, W) tensor."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).square().mean(1, keepdim=True)
        out: Tensor = (x - mean) / torch.sqrt(variance + 1e-6)
        return self.weight[:, None, None] * out + self.bias[:, None, None]


class SpectralConv2d(nn.Module):
    """A convolution whose checkpoint carries spectral normalisation: `weight_orig`, `weight_u`, `weight_v`, `bias`.

    The weight is worked out once, when a state dict has been loaded: weight_orig / (u · W v), with W = weight_orig as
    out × rest. There is no power iteration: u and v are what training left.
    """

    weight: Tensor
    weight_u: Tensor
    weight_v: Tensor

    def __init__(self, in_features: int, out_features: int, kernel: int, bias: bool = True) -> None:
        super().__init__()
        self.padding = kernel // 2
        self.bias = nn.Parameter(torch.zeros(out_features)) if bias else None
        self.weight_orig = nn.Parameter(torch.empty(out_features, in_features, kernel, kernel))
        self.register_buffer("weight_u", torch.empty(out_features))
        self.register_buffer("weight_v", torch.empty(in_features * kernel * kernel))
        self.register_buffer("weight", torch.empty_like(self.weight_orig), persistent=False)
        nn.init.kaiming_uniform_(self.weight_orig, a=5**0.5)
        nn.init.normal_(self.weight_u)
        nn.init.normal_(self.weight_v)
        self.fold()
        self.register_load_state_dict_post_hook(lambda module, keys: module.fold())  # type: ignore[no-untyped-call]

    @torch.no_grad()
    def fold(self) -> None:
        """Work the weight out again; called after every loading of a state dict."""
        # In double precision: sigma divides every weight, and it is worked out once.
        matrix = self.weight_orig.detach().double().flatten(1)
        sigma = self.weight_u.double() @ (matrix @ self.weight_v.double())
        self.weight = (self.weight_orig.detach().double() / sigma).to(self.weight_orig.dtype)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, padding=self.padding)


class Mlp(nn.Module):
    """Linear layers with ReLU between them: stitching, eye and lip retargeting."""

    def __init__(self, input_size: int, hidden_sizes: list[int], output_size: int) -> None:
        super().__init__()
        sizes = [input_size, *hidden_sizes, output_size]
        layers: list[nn.Module] = []
        for a, b in pairwise(sizes):
            layers += [nn.Linear(a, b), nn.ReLU()]
        self.mlp = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        return call(self.mlp, x)
