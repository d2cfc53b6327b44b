"""W, the warping network: the source's feature volume moved to the driving points, as a feature map for the decoder.

Traps kept on purpose, because the weights were trained with them: the identity grid is spaced as with aligned corners
but sampled without, so identity does not reproduce the input at its edges; and `third` has a LeakyReLU of 0.01 where
the decoder has 0.2.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceshot.animators.liveportrait.blocks import Hourglass, SameBlock2d, call

__all__ = ["DenseMotionNetwork", "Warped", "WarpingNetwork", "gaussians", "identity_grid", "sample"]

VARIANCE = 0.01


class Warped(NamedTuple):
    """Attributes:
    out: (B, 256, 64, 64), what the decoder takes.
    occlusion_map: (B, 1, 64, 64) in 0..1.
    deformation: (B, 16, 64, 64, 3), where each voxel comes from; x, y, z.
    """

    out: Tensor
    occlusion_map: Tensor
    deformation: Tensor


def identity_grid(depth: int, height: int, width: int, like: Tensor) -> Tensor:
    """(D, H, W, 3) coordinates x, y, z of every voxel in -1..1, the ends included."""
    x, y, z = (2 * torch.arange(n, device=like.device).to(like.dtype) / (n - 1) - 1 for n in (width, height, depth))
    grid_z, grid_y, grid_x = torch.meshgrid(z, y, x, indexing="ij")
    return torch.stack([grid_x, grid_y, grid_z], dim=-1)


def gaussians(points: Tensor, grid: Tensor) -> Tensor:
    """(B, K, D, H, W) a bell of variance 0.01 around each of (B, K, 3) points."""
    distance = grid - points[:, :, None, None, None]
    return torch.exp(-0.5 * distance.square().sum(-1) / VARIANCE)


def sample(volume: Tensor, grid: Tensor) -> Tensor:
    """Trilinear sampling, zeros outside, corners not aligned."""
    return F.grid_sample(volume, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


class DenseMotionNetwork(nn.Module):
    """A dense deformation and an occlusion map from 21 pairs of points."""

    def __init__(
        self,
        block_expansion: int,
        num_blocks: int,
        max_features: int,
        num_kp: int,
        feature_channel: int,
        reshape_depth: int,
        compress: int,
    ) -> None:
        super().__init__()
        self.num_kp = num_kp
        self.hourglass = Hourglass(block_expansion, (num_kp + 1) * (compress + 1), num_blocks, max_features)
        filters = self.hourglass.out_filters
        self.mask = nn.Conv3d(filters, num_kp + 1, 7, padding=3)
        self.compress = nn.Conv3d(feature_channel, compress, 1)
        self.norm = nn.BatchNorm3d(compress)
        self.occlusion = nn.Conv2d(filters * reshape_depth, 1, 7, padding=3)

    def compressed(self, feature: Tensor) -> Tensor:
        """(B, 4, D, H, W), a thin version of the volume that is moved by each point alone."""
        return F.relu(self.norm(self.compress(feature)))

    def forward(self, feature: Tensor, kp_driving: Tensor, kp_source: Tensor) -> tuple[Tensor, Tensor]:
        """Deformation (B, D, H, W, 3) and occlusion map (B, 1, H, W)."""
        thin = self.compressed(feature)
        batch, channels, depth, height, width = thin.shape
        grid = identity_grid(depth, height, width, feature)
        motions = grid + (kp_source - kp_driving)[:, :, None, None, None]
        # Index 0 is the background, which stays.
        motions = torch.cat([grid.expand(batch, 1, *grid.shape), motions], dim=1)
        points = motions.shape[1]
        spread = thin[:, None].expand(-1, points, -1, -1, -1, -1).reshape(-1, channels, depth, height, width)
        moved = sample(spread, motions.flatten(0, 1)).reshape(batch, points, *thin.shape[1:])
        heat = gaussians(kp_driving, grid) - gaussians(kp_source, grid)
        heat = torch.cat([torch.zeros_like(heat[:, :1]), heat], dim=1)
        # Per point: its heat, then what it moves.
        mixed = torch.cat([heat[:, :, None], moved], dim=2).flatten(1, 2)
        prediction = call(self.hourglass, mixed)
        mask = F.softmax(call(self.mask, prediction), dim=1)
        deformation = (mask[..., None] * motions).sum(dim=1)
        occlusion = torch.sigmoid(call(self.occlusion, prediction.flatten(1, 2)))
        return deformation, occlusion


class WarpingNetwork(nn.Module):
    """Note the order of the arguments: driving before source, as in the published code."""

    def __init__(
        self,
        num_kp: int = 21,
        block_expansion: int = 64,
        max_features: int = 512,
        num_down_blocks: int = 2,
        reshape_channel: int = 32,
        reshape_depth: int = 16,
        dense_block_expansion: int = 32,
        dense_max_features: int = 1024,
        dense_num_blocks: int = 5,
        dense_compress: int = 4,
    ) -> None:
        super().__init__()
        self.dense_motion_network = DenseMotionNetwork(
            block_expansion=dense_block_expansion,
            num_blocks=dense_num_blocks,
            max_features=dense_max_features,
            num_kp=num_kp,
            feature_channel=reshape_channel,
            reshape_depth=reshape_depth,
            compress=dense_compress,
        )
        out_features = min(max_features, block_expansion * 2**num_down_blocks)
        self.third = SameBlock2d(reshape_channel * reshape_depth, out_features, lrelu=True)
        self.fourth = nn.Conv2d(out_features, out_features, 1)

    def forward(self, feature_3d: Tensor, kp_driving: Tensor, kp_source: Tensor) -> Warped:
        deformation, occlusion = self.dense_motion_network(feature_3d, kp_driving, kp_source)
        out = sample(feature_3d, deformation).flatten(1, 2)
        return Warped(call(self.fourth, call(self.third, out)) * occlusion, occlusion, deformation)
