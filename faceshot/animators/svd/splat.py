"""Average splatting: a feature map pushed forward along a flow, weighted by how much of each pixel arrives.

Four `index_add_` calls in plain PyTorch; nothing here waits for a GPU. The order in which a GPU adds is not fixed, so
results there may differ by rounding from run to run.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["splat_average", "splat_sum"]

_EPSILON = 1e-7  # the checkpoint was trained with it


def splat_average(values: Tensor, flow: Tensor) -> Tensor:
    """What arrives at each pixel, averaged; 0 where nothing does.

    Args:
        values: (N, C, H, W).
        flow: (N, 2, H, W) px, x then y: where each pixel goes. Pixels that go nowhere (NaN, infinite) are left out.

    Returns:
        (N, C, H, W) of the type of `values`; computed in float32.
    """
    total, weight = splat_sum(values, flow)
    return (total / (weight + _EPSILON)).to(values.dtype)


def splat_sum(values: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """(N, C, H, W) the weighted sum, and (N, 1, H, W) the weights, both float32."""
    n, channels, height, width = values.shape
    flow = flow.float()
    finite = torch.isfinite(flow).all(1)
    # Beyond the border by more than a pixel nothing is seen: a far target must not overflow an integer.
    x = torch.where(finite, flow[:, 0], 0) + torch.arange(width, device=flow.device)
    y = torch.where(finite, flow[:, 1], 0) + torch.arange(height, device=flow.device)[:, None]
    x, y = x.clamp(-2, width + 1), y.clamp(-2, height + 1)
    left, top = x.floor(), y.floor()
    clip = torch.arange(n, device=flow.device).mul(height * width)[:, None, None]
    rows = torch.cat([values.float(), values.new_ones(n, 1, height, width, dtype=torch.float32)], 1)
    rows = rows.permute(0, 2, 3, 1).reshape(-1, channels + 1)
    out = torch.zeros_like(rows)
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        column, line = left + dx, top + dy
        share = (1 - (x - column).abs()) * (1 - (y - line).abs())
        inside = finite & (column >= 0) & (column < width) & (line >= 0) & (line < height)
        share = torch.where(inside, share, 0)
        target = torch.where(inside, line * width + column, 0).long() + clip
        out.index_add_(0, target.flatten(), rows * share.reshape(-1, 1))
    out = out.reshape(n, height, width, channels + 1).permute(0, 3, 1, 2)
    return out[:, :-1], out[:, -1:]
