"""F, the appearance extractor: a 256² picture of the source to a feature volume, once per source."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from faceshot.animators.liveportrait.blocks import DownBlock2d, ResBlock3d, SameBlock2d, call

__all__ = ["AppearanceFeatureExtractor"]


class AppearanceFeatureExtractor(nn.Module):
    """(B, 3, 256, 256) RGB in 0..1 to (B, 32, 16, 64, 64)."""

    def __init__(
        self,
        image_channel: int = 3,
        block_expansion: int = 64,
        num_down_blocks: int = 2,
        max_features: int = 512,
        reshape_channel: int = 32,
        reshape_depth: int = 16,
        num_resblocks: int = 6,
    ) -> None:
        super().__init__()
        widths = [min(max_features, block_expansion * 2**i) for i in range(num_down_blocks + 1)]
        self.shape = (reshape_channel, reshape_depth)
        self.first = SameBlock2d(image_channel, widths[0])
        self.down_blocks = nn.ModuleList(DownBlock2d(a, b) for a, b in pairwise(widths))
        self.second = nn.Conv2d(widths[-1], max_features, 1)
        self.resblocks_3d = nn.Sequential()
        for i in range(num_resblocks):
            self.resblocks_3d.add_module(f"3dr{i}", ResBlock3d(reshape_channel))

    def forward(self, source_image: Tensor) -> Tensor:
        out = call(self.first, source_image)
        for block in self.down_blocks:
            out = block(out)
        # Channel c · depth + d of the flat map is slice d of channel c.
        flat = call(self.second, out)
        return call(self.resblocks_3d, flat.reshape(len(flat), *self.shape, *flat.shape[2:]))
