"""The landmark ControlNet of MOFA-Video: a copy of the SVD UNet's first half, fed with pose pictures and with the
reference's features carried along the flow. Keys and shapes are those of the published file; the trunk is made of
stock blocks.

Three things no shape tells and the checkpoint depends on: the third down block has 10 heads (not the UNet's 20);
frame 0 gets the reference's features as they are, without the 1×1 convolution that every other frame's go through; the
last level is added twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.unets.unet_3d_blocks import (
    CrossAttnDownBlockSpatioTemporal,
    DownBlockSpatioTemporal,
    UNetMidBlockSpatioTemporal,
)
from torch import Tensor, nn
from torch.nn import functional

from faceshot.animators.svd.adapter import AdapterOutput, Conditions, Reference
from faceshot.animators.svd.matting import MattingNet
from faceshot.animators.svd.splat import splat_average

__all__ = ["SCALES", "ControlNetConfig", "FlowControlNet"]

SCALES: Final = (8, 16, 32, 64)
"""What the picture's sides are divided by at each level."""


@dataclass(frozen=True, slots=True)
class ControlNetConfig:
    """Sizes; the default is the published network, and `heads` is not what its `config.json` says.

    Attributes:
        channels: widths of the four down blocks.
        heads: attention heads of the first three down blocks and of the middle block.
        cross: width of the image embedding.
        time_ids: width of the embedding of each of the three added ids.
        picture, pose: widths of the embeddings of the reference and of pose pictures.
        matting: widths of the matting nets' first and last layer, see `MattingNet`.
    """

    channels: tuple[int, ...] = (320, 640, 1280, 1280)
    heads: tuple[int, ...] = (5, 10, 10, 20)
    cross: int = 1024
    time_ids: int = 256
    picture: tuple[int, ...] = (16, 32, 96, 256)
    pose: tuple[int, ...] = (16, 32, 64, 128)
    matting: tuple[int, int] = (64, 512)
    layers: int = 2


class _PictureEmbedding(nn.Module):
    """A picture at 1/8."""

    def __init__(self, out_channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for narrow, wide in pairwise(widths):
            self.blocks.append(nn.Conv2d(narrow, narrow, 3, padding=1))
            self.blocks.append(nn.Conv2d(narrow, wide, 3, padding=1, stride=2))
        self.conv_out = nn.Conv2d(widths[-1], out_channels, 3, padding=1)

    def forward(self, picture: Tensor) -> Tensor:
        x = functional.silu(self.conv_in(picture))
        for block in self.blocks:
            x = functional.silu(block(x))
        out: Tensor = self.conv_out(x)
        return out


class _Halving(nn.Module):
    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(in_channels, out_channels, 3, padding=1, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return functional.silu(self.conv_in(x))


class _Pyramid(nn.Module):
    """The reference at 1/16, 1/32 and 1/64, out of it at 1/8."""

    def __init__(self, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(_Halving(a, b) for a, b in pairwise(channels))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        levels = [x]
        for encoder in self.encoders:
            levels.append(encoder(levels[-1]))
        return tuple(levels)


class FlowControlNet(nn.Module):
    """Implements `faceshot.animators.svd.adapter.LandmarkAdapter`.

    Args:
        config: sizes.

    Attributes:
        conditioning_scale: what all residuals are multiplied by.
    """

    def __init__(self, config: ControlNetConfig | None = None) -> None:
        super().__init__()
        self.config = config = config or ControlNetConfig()
        self.conditioning_scale = 1.0
        wide = config.channels
        time_dim = 4 * wide[0]
        self.conv_in = nn.Conv2d(8, wide[0], 3, padding=1)
        self.time_proj = Timesteps(wide[0], True, downscale_freq_shift=0)
        self.time_embedding = TimestepEmbedding(wide[0], time_dim)
        self.add_time_proj = Timesteps(config.time_ids, True, downscale_freq_shift=0)
        self.add_embedding = TimestepEmbedding(3 * config.time_ids, time_dim)
        self.down_blocks = nn.ModuleList(_down_block(config, i, time_dim) for i in range(4))
        self.mid_block = UNetMidBlockSpatioTemporal(
            wide[3],
            temb_channels=time_dim,
            transformer_layers_per_block=1,
            cross_attention_dim=config.cross,
            num_attention_heads=config.heads[3],
        )
        outputs = [wide[0]]
        for i, channels in enumerate(wide):
            outputs += [channels] * (config.layers + (i < 3))
        self.controlnet_down_blocks = nn.ModuleList(nn.Conv2d(c, c, 1) for c in outputs)
        self.controlnet_mid_block = nn.Conv2d(wide[3], wide[3], 1)
        self.controlnet_cond_embedding = _PictureEmbedding(wide[0], config.picture)
        self.controlnet_ldmk_embedding = _PictureEmbedding(wide[0], config.pose)
        levels = (wide[0], wide[0], wide[1], wide[2])
        self.flow_encoder = _Pyramid(levels)
        self.zero_outs = nn.ModuleDict({str(s): nn.Conv2d(c, c, 1) for s, c in zip(SCALES, levels, strict=True)})
        self.occlusions = nn.ModuleDict(
            {
                str(s): MattingNet(c, block_expansion=config.matting[0], max_features=config.matting[1])
                for s, c in zip(SCALES, levels, strict=True)
            }
        )

    def prepare(self, picture: Tensor) -> Reference:
        return Reference(self.flow_encoder(self.controlnet_cond_embedding(picture)))

    def anchor(self, reference: Reference, pose: Tensor) -> Conditions:
        return Conditions(self.landmark_maps(pose), reference.levels)

    def conditions(self, reference: Reference, poses: Tensor, flows: Tensor) -> Conditions:
        return Conditions(self.landmark_maps(poses), self.warp(reference, flows)[0])

    def landmark_maps(self, poses: Tensor) -> tuple[Tensor, Tensor]:
        """(F, C, H/8, W/8) and (F, C, H/16, W/16) of pose pictures (F, 3, H, W) in 0..1."""
        eighth = self.controlnet_ldmk_embedding(poses)
        return eighth, eighth[:, :, ::2, ::2].contiguous()  # nearest

    def warp(self, reference: Reference, flows: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The levels carried along flows (F, 2, H, W) px, and the four masks (F, 1, h, w)."""
        warped, masks = [], []
        for scale, level in zip(SCALES, reference.levels, strict=True):
            hw = level.shape[2:]
            flow = functional.interpolate(flows.float(), hw, mode="nearest") / scale
            # One reference serves all frames; several serve as many frames each.
            level = level.repeat_interleave(flows.shape[0] // level.shape[0], 0)
            carried = splat_average(level, flow)
            blended, mask = self.occlusions[str(scale)](level, flow.to(level.dtype), carried)
            warped.append(self.zero_outs[str(scale)](blended))
            masks.append(mask)
        return tuple(warped), tuple(masks)

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor,
        added_time_ids: Tensor,
        window: Conditions,
    ) -> AdapterOutput:
        clips, frames = sample.shape[:2]
        if len(window) == frames != clips * frames:
            window = window.repeated(clips)
        steps = timestep.reshape(-1).to(sample.device).expand(clips)
        time = self.time_embedding(self.time_proj(steps).to(sample.dtype))
        ids = self.add_time_proj(added_time_ids.flatten()).reshape(clips, -1)
        time = (time + self.add_embedding(ids.to(sample.dtype))).repeat_interleave(frames, 0)
        common: dict[str, Any] = {
            "temb": time,
            "image_only_indicator": sample.new_zeros(clips, frames),
        }
        tokens = encoder_hidden_states.repeat_interleave(frames, 0)
        x = self.conv_in(sample.flatten(0, 1)) + window.warped[0] + window.landmarks[0]
        skips = [x]
        for i, block in enumerate(self.down_blocks):
            crossed = {"encoder_hidden_states": tokens} if i < 3 else {}
            x, made = block(x, **common, **crossed)
            skips += made
            x = x + window.warped[min(i + 1, 3)]
            if i == 0:
                x = x + window.landmarks[1]
        x = self.mid_block(x + window.warped[3], encoder_hidden_states=tokens, **common)
        scale = self.conditioning_scale
        down = tuple(conv(skip) * scale for conv, skip in zip(self.controlnet_down_blocks, skips, strict=True))
        return AdapterOutput(down=down, mid=self.controlnet_mid_block(x) * scale)


def _down_block(config: ControlNetConfig, i: int, time_dim: int) -> nn.Module:
    sizes = {
        "in_channels": config.channels[max(i - 1, 0)],
        "out_channels": config.channels[i],
        "temb_channels": time_dim,
        "num_layers": config.layers,
    }
    if i == 3:
        return DownBlockSpatioTemporal(**sizes, add_downsample=False)
    return CrossAttnDownBlockSpatioTemporal(
        **sizes, num_attention_heads=config.heads[i], cross_attention_dim=config.cross, add_downsample=True
    )
