"""G rewritten for speed, with the same numbers up to rounding (every rewrite is exact in real arithmetic).

polyphase    SPADE's first convolution sees a map enlarged by repetition: it is done at the map's own size, once for
             each different neighbourhood: 25 in place of 144 taps at ×4, 16 in place of 36 at ×2
merged       the twelve of the middle blocks see the same map: one convolution; gain and offset are one convolution too
shared       the two norms at the beginning of a widening block normalise the same picture once
folded       spectral norms at load; the 1 of "1 + gain" is in the bias
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceshot.animators.liveportrait.blocks import SpectralConv2d
from faceshot.animators.liveportrait.decoder import Spade, SpadeBlock, SpadeDecoder
from faceshot.animators.liveportrait.fast_warping import doubled_weight, interleaved

__all__ = ["EnlargedConv", "FastDecoder"]


class EnlargedConv(nn.Module):
    """ReLU of a 3×3 convolution of a map enlarged 1, 2 or 4 times by repetition, done before enlarging."""

    def __init__(self, weight: Tensor, bias: Tensor, factor: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.factor = factor
        self.register_buffer("bias", bias.to(dtype))
        self.register_buffer("bias2", bias.repeat(2).to(dtype))
        self.register_buffer("bias4", bias.repeat(4).to(dtype))
        self.register_buffer("corners", (weight if factor == 1 else doubled_weight(weight)).to(dtype).contiguous())
        if factor == 4:
            # Four times the same pixel: phases 1 and 2 see nothing but it, 0 and 3 one neighbour, as when doubled.
            rows, columns = weight.sum(-1, keepdim=True), weight.sum(-2, keepdim=True)
            a, b, c = rows.unbind(-2)
            upright = torch.cat([torch.stack([a, b + c], -2), torch.stack([a + b, c], -2)])
            a, b, c = columns.unbind(-1)
            level = torch.cat([torch.stack([a, b + c], -1), torch.stack([a + b, c], -1)])
            self.register_buffer("upright", upright.to(dtype).contiguous())
            self.register_buffer("level", level.to(dtype).contiguous())
            self.register_buffer("middle", weight.sum((-1, -2), keepdim=True).to(dtype).contiguous())

    bias: Tensor
    bias2: Tensor
    bias4: Tensor
    corners: Tensor
    upright: Tensor
    level: Tensor
    middle: Tensor

    def forward(self, x: Tensor) -> Tensor:
        if self.factor == 1:
            return F.relu(F.conv2d(x, self.corners, self.bias, padding=1))
        corners = F.relu(F.conv2d(x, self.corners, self.bias4, padding=1))
        if self.factor == 2:
            return interleaved(corners)
        height, width = x.shape[2:]
        upright = F.relu(F.conv2d(x, self.upright, self.bias2, padding=(1, 0))).chunk(2, dim=1)
        level = F.relu(F.conv2d(x, self.level, self.bias2, padding=(0, 1))).chunk(2, dim=1)
        middle = F.relu(F.conv2d(x, self.middle, self.bias))
        out = x.new_empty(len(x), len(self.bias), height, 4, width, 4)
        for i, edge in enumerate((0, 3)):
            for j, side in enumerate((0, 3)):
                out[..., edge, :, side] = corners.chunk(4, dim=1)[2 * i + j][..., i : i + height, j : j + width]
            out[..., edge, :, 1:3] = upright[i][..., i : i + height, :, None]
            out[..., 1:3, :, edge] = level[i][..., None, i : i + width]
        out[..., 1:3, :, 1:3] = middle[..., :, None, :, None]
        return out.reshape(len(x), -1, 4 * height, 4 * width)


class _Painted(nn.Module):
    """Gain and offset of one SPADE from its hidden map, in one convolution."""

    def __init__(self, spade: Spade, dtype: torch.dtype) -> None:
        super().__init__()
        gamma, beta = spade.mlp_gamma, spade.mlp_beta
        assert gamma.bias is not None and beta.bias is not None
        self.register_buffer("weight", torch.cat([gamma.weight.detach(), beta.weight.detach()]).to(dtype).contiguous())
        self.register_buffer("bias", torch.cat([gamma.bias.detach() + 1, beta.bias.detach()]).to(dtype))

    weight: Tensor
    bias: Tensor

    def forward(self, normal: Tensor, hidden: Tensor) -> Tensor:
        gain, offset = F.conv2d(hidden, self.weight, self.bias, padding=1).chunk(2, dim=1)
        return torch.addcmul(offset, normal, gain)


def _shared(spade: Spade) -> tuple[Tensor, Tensor]:
    conv = spade.mlp_shared[0]
    assert isinstance(conv, nn.Conv2d) and conv.bias is not None
    return conv.weight.detach(), conv.bias.detach()


class _Conv(nn.Module):
    """A convolution with its weight worked out."""

    def __init__(self, conv: SpectralConv2d, dtype: torch.dtype) -> None:
        super().__init__()
        self.padding = conv.padding
        self.register_buffer("weight", conv.weight.detach().to(dtype).contiguous())
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach().to(dtype))

    weight: Tensor
    bias: Tensor | None

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, self.bias, padding=self.padding)


class _Block(nn.Module):
    """One residual block; its hidden maps come from outside (middle) or from the feature map (widening blocks)."""

    def __init__(self, block: SpadeBlock, dtype: torch.dtype, factor: int = 0) -> None:
        super().__init__()
        self.conv_0, self.conv_1 = _Conv(block.conv_0, dtype), _Conv(block.conv_1, dtype)
        self.norm_0, self.norm_1 = _Painted(block.norm_0, dtype), _Painted(block.norm_1, dtype)
        self.learned = block.learned
        if block.learned:
            self.conv_s, self.norm_s = _Conv(block.conv_s, dtype), _Painted(block.norm_s, dtype)
            names = (block.norm_0, block.norm_s, block.norm_1)
            self.hidden = nn.ModuleList(EnlargedConv(*_shared(norm), factor, dtype) for norm in names)

    def forward(self, x: Tensor, hidden_0: Tensor, hidden_1: Tensor) -> Tensor:
        """Of a middle block."""
        out = self.conv_0(F.leaky_relu(self.norm_0(F.instance_norm(x), hidden_0), 0.2))
        out = self.conv_1(F.leaky_relu(self.norm_1(F.instance_norm(out), hidden_1), 0.2))
        return x + out

    def widened(self, x: Tensor, feature: Tensor) -> Tensor:
        """Of a block that changes the width. One hidden map at a time: at 256² each takes 33 MB in 32 bits."""
        at_0, at_s, at_1 = self.hidden
        # Repetition changes neither mean nor variance, so the small picture is normalised.
        normal = F.interpolate(F.instance_norm(x), scale_factor=2)
        short = self.conv_s(self.norm_s(normal, at_s(feature)))
        out = self.conv_0(F.leaky_relu(self.norm_0(normal, at_0(feature)), 0.2))
        out = self.conv_1(F.leaky_relu(self.norm_1(F.instance_norm(out), at_1(feature)), 0.2))
        made: Tensor = short + out
        return made


class FastDecoder(nn.Module):
    """The same as a `SpadeDecoder` whose weights are loaded; that is not kept."""

    def __init__(self, net: SpadeDecoder, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.upscale, self.dtype = net.upscale, dtype
        shared = [_shared(norm) for block in net.middle() for norm in (block.norm_0, block.norm_1)]
        weight, bias = (torch.cat(parts) for parts in zip(*shared, strict=True))
        self.hidden = EnlargedConv(weight, bias, 1, dtype)
        self.middle = nn.ModuleList(_Block(block, dtype) for block in net.middle())
        self.up_0, self.up_1 = _Block(net.up_0, dtype, 2), _Block(net.up_1, dtype, 4)
        first, last = net.fc, net.conv_img[0]
        assert isinstance(last, nn.Conv2d)
        for name, conv in (("fc", first), ("last", last)):
            assert conv.bias is not None
            self.register_buffer(f"{name}_weight", conv.weight.detach().to(dtype).contiguous())
            self.register_buffer(f"{name}_bias", conv.bias.detach().to(dtype))

    fc_weight: Tensor
    fc_bias: Tensor
    last_weight: Tensor
    last_bias: Tensor

    def forward(self, feature: Tensor) -> Tensor:
        """(B, 256, 64, 64) to (B, 3, 512, 512) in 0..1, float32."""
        feature = feature.to(self.dtype)
        hidden: Tensor = self.hidden(feature)
        maps = hidden.chunk(2 * len(self.middle), dim=1)
        x = F.conv2d(feature, self.fc_weight, self.fc_bias, padding=1)
        for i, block in enumerate(self.middle):
            x = block(x, maps[2 * i], maps[2 * i + 1])
        x = self.up_0.widened(x, feature)
        x = self.up_1.widened(x, feature)
        x = F.conv2d(F.leaky_relu(x, 0.2), self.last_weight, self.last_bias, padding=1)
        return torch.sigmoid(F.pixel_shuffle(x, self.upscale).float())
