"""The stock video UNet with what an adapter adds. Its weights and modules are untouched; only the order of calls is
ours, because the stock `forward` has no place for residuals.

The published program adds a residual to all skips made so far after each down block, so the early ones get it several
times; the adapter was trained with that.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor

from faceshot.animators.svd.adapter import AdapterOutput

__all__ = ["MULTIPLIERS", "run_unet"]

MULTIPLIERS: Final = (4, 4, 4, 4, 3, 3, 3, 2, 2, 2, 1, 1)
"""How often the residual of each skip arrives."""


def run_unet(
    unet: Any,
    sample: Tensor,
    timestep: Tensor,
    encoder_hidden_states: Tensor,
    added_time_ids: Tensor,
    added: AdapterOutput | None = None,
) -> Tensor:
    """One prediction.

    Args:
        unet: a `UNetSpatioTemporalConditionModel`.
        sample: (B, F, 8, h, w), h and w multiples of 8.
        timestep: a 0-d or (B,) tensor.
        encoder_hidden_states: (B, 1, D).
        added_time_ids: (B, 3).
        added: of an adapter; None gives the stock result.

    Returns:
        (B, F, 4, h, w).
    """
    added = added or AdapterOutput()
    clips, frames = sample.shape[:2]
    steps = timestep.reshape(-1).to(sample.device).expand(clips)
    time = unet.time_embedding(unet.time_proj(steps).to(sample.dtype))
    ids = unet.add_time_proj(added_time_ids.flatten()).reshape(clips, -1)
    time = (time + unet.add_embedding(ids.to(sample.dtype))).repeat_interleave(frames, 0)
    tokens = encoder_hidden_states.repeat_interleave(frames, 0)
    only_images = sample.new_zeros(clips, frames)

    x = unet.conv_in(sample.flatten(0, 1))
    if added.conv_in is not None:
        x = x + added.conv_in
    skips: list[Tensor] = [x]
    for block in unet.down_blocks:
        crossed = {"encoder_hidden_states": tokens} if getattr(block, "has_cross_attention", False) else {}
        x, made = block(x, temb=time, image_only_indicator=only_images, **crossed)
        skips += made
    x = unet.mid_block(x, temb=time, encoder_hidden_states=tokens, image_only_indicator=only_images)
    if added.mid is not None:
        x = x + added.mid
    if added.down is not None:
        pairs = zip(skips, added.down, MULTIPLIERS, strict=True)
        skips = [skip + residual * times for skip, residual, times in pairs]
    for block in unet.up_blocks:
        count = len(block.resnets)
        own, skips = tuple(skips[-count:]), skips[:-count]
        crossed = {"encoder_hidden_states": tokens} if getattr(block, "has_cross_attention", False) else {}
        x = block(x, temb=time, res_hidden_states_tuple=own, image_only_indicator=only_images, **crossed)
    x = unet.conv_out(torch.nn.functional.silu(unet.conv_norm_out(x)))
    return x.reshape(clips, frames, *x.shape[1:])
