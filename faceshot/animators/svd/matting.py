"""The matting network: where a feature carried along the flow is to be trusted, and what stands in where it is not.

Keys are those of the published file. Unlike other networks of its name it neither pools nor enlarges.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

__all__ = ["MattingNet"]


class _Block(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x))


class _Encoder(nn.Module):
    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        self.down_blocks = nn.ModuleList(_Block(a, b) for a, b in pairwise(channels))

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = []
        for block in self.down_blocks:
            x = block(x)
            levels.append(x)
        return levels


class _Decoder(nn.Module):
    def __init__(self, pairs: list[tuple[int, int]]) -> None:
        super().__init__()
        self.up_blocks = nn.ModuleList(_Block(a, b) for a, b in pairs)

    def forward(self, levels: list[Tensor]) -> Tensor:
        x = self.up_blocks[0](levels[-1])
        for block, level in zip(list(self.up_blocks)[1:], levels[-2::-1], strict=True):
            x = block(torch.cat([level, x], 1))
        return x


class _Hourglass(nn.Module):
    def __init__(self, in_channels: int, blocks: int, expansion: int, most: int) -> None:
        super().__init__()
        wide = [min(most, expansion * 2**i) for i in range(blocks + 1)]
        self.encoder = _Encoder([in_channels, *wide[1:]])
        self.decoder = _Decoder([(wide[i + 1] * (1 if i == blocks - 1 else 2), wide[i]) for i in range(blocks)][::-1])

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.decoder(self.encoder(x))
        return out


class MattingNet(nn.Module):
    """Blends a carried feature with one of its own making.

    Args:
        num_channels: C of the feature.
        num_blocks, block_expansion, max_features: depth and widths of the hourglass.
    """

    def __init__(
        self, num_channels: int, num_blocks: int = 3, block_expansion: int = 64, max_features: int = 512
    ) -> None:
        super().__init__()
        self.hourglass = _Hourglass(2 * num_channels + 2, num_blocks, block_expansion, max_features)
        self.matting_mask = nn.Conv2d(block_expansion, 1, 7, padding=3)
        self.matting = nn.Conv2d(block_expansion, num_channels, 7, padding=3)

    def forward(self, reference: Tensor, flow: Tensor, warped: Tensor) -> tuple[Tensor, Tensor]:
        """
        Args:
            reference, warped: (N, C, h, w), before and after being carried.
            flow: (N, 2, h, w) px of this level.

        Returns:
            (N, C, h, w) the blend and (N, 1, h, w) the mask in 0..1: how much of it is `warped`.
        """
        hidden = self.hourglass(torch.cat([reference, flow, warped], 1))
        mask = torch.sigmoid(self.matting_mask(hidden))
        return warped * mask + self.matting(hidden) * (1 - mask), mask
