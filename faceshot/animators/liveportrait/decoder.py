"""G, the SPADE decoder: a warped feature map to a 512² picture."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceshot.animators.liveportrait.blocks import SpectralConv2d, call

__all__ = ["Spade", "SpadeBlock", "SpadeDecoder"]

HIDDEN = 128
MIDDLE_BLOCKS = 6


class Spade(nn.Module):
    """Instance norm whose gain and offset are painted by a map of its own, resized by repetition."""

    def __init__(self, features: int, label_features: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(label_features, hidden, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(hidden, features, 3, padding=1)
        self.mlp_beta = nn.Conv2d(hidden, features, 3, padding=1)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        painted = call(self.mlp_shared, F.interpolate(label, size=x.shape[2:], mode="nearest"))
        return F.instance_norm(x) * (1 + call(self.mlp_gamma, painted)) + call(self.mlp_beta, painted)


class SpadeBlock(nn.Module):
    """Residual block of two normalised convolutions; the shortcut has one of its own when the width changes."""

    def __init__(self, in_features: int, out_features: int, label_features: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        middle = min(in_features, out_features)
        self.learned = in_features != out_features
        self.conv_0 = SpectralConv2d(in_features, middle, 3)
        self.conv_1 = SpectralConv2d(middle, out_features, 3)
        self.norm_0 = Spade(in_features, label_features, hidden)
        self.norm_1 = Spade(middle, label_features, hidden)
        if self.learned:
            self.conv_s = SpectralConv2d(in_features, out_features, 1, bias=False)
            self.norm_s = Spade(in_features, label_features, hidden)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        short = call(self.conv_s, self.norm_s(x, label)) if self.learned else x
        out = call(self.conv_0, F.leaky_relu(self.norm_0(x, label), 0.2))
        return short + call(self.conv_1, F.leaky_relu(self.norm_1(out, label), 0.2))


class SpadeDecoder(nn.Module):
    """(B, 256, 64, 64) to (B, 3, 512, 512) RGB in 0..1."""

    def __init__(
        self,
        upscale: int = 2,
        max_features: int = 512,
        block_expansion: int = 64,
        out_channels: int = 64,
        num_down_blocks: int = 2,
        hidden: int = HIDDEN,
    ) -> None:
        super().__init__()
        label = min(max_features, block_expansion * 2**num_down_blocks)
        self.upscale = upscale
        self.fc = nn.Conv2d(label, 2 * label, 3, padding=1)
        for i in range(MIDDLE_BLOCKS):
            self.add_module(f"G_middle_{i}", SpadeBlock(2 * label, 2 * label, label, hidden))
        self.up_0 = SpadeBlock(2 * label, label, label, hidden)
        self.up_1 = SpadeBlock(label, out_channels, label, hidden)
        self.conv_img = nn.Sequential(
            nn.Conv2d(out_channels, 3 * upscale * upscale, 3, padding=1), nn.PixelShuffle(upscale)
        )

    def middle(self) -> list[SpadeBlock]:
        """The six blocks at the resolution of the feature map."""
        return [self.get_submodule(f"G_middle_{i}") for i in range(MIDDLE_BLOCKS)]  # type: ignore[misc]

    def forward(self, feature: Tensor) -> Tensor:
        x = call(self.fc, feature)
        for block in self.middle():
            x = call(block, x, feature)
        x = call(self.up_0, F.interpolate(x, scale_factor=2), feature)
        x = call(self.up_1, F.interpolate(x, scale_factor=2), feature)
        return torch.sigmoid(call(self.conv_img, F.leaky_relu(x, 0.2)))
