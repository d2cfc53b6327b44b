"""An exact saving: SVD's cross-attention is a constant.

All 32 `attn2` of the UNet (and 14 of the landmark ControlNet) attend to one token, the CLIP embedding of the picture. A
softmax over one value is 1, so each gives `to_out(to_v(token))` whatever the pixels are: one vector per layer and
character. Two norms, two projections and an attention per layer go away, and a hundred million parameters with them.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

__all__ = ["ConstantAttention", "make_constant", "set_token"]


class ConstantAttention(nn.Module):
    """Stands in the place of an `attn2` and adds its one vector.

    The vector is written in place, so that a recorded CUDA graph sees that of the next character.
    """

    vector: Tensor

    def __init__(self, value: nn.Linear, out: nn.Linear) -> None:
        super().__init__()
        self.value, self.out = value, out
        self.register_buffer("vector", out.weight.new_zeros(1, 1, out.out_features), persistent=False)

    def set(self, token: Tensor) -> None:
        """Args:
        token: (1, 1, C) what is attended to.
        """
        found = self.out.float()(self.value.float()(token.to(self.vector.device, torch.float32)))
        self.vector.copy_(found)
        self.value.to(self.vector.dtype)
        self.out.to(self.vector.dtype)

    def forward(self, hidden_states: Tensor, *args: object, **kwargs: object) -> Tensor:
        """(1, 1, C), which is broadcast over frames and pixels where it is added."""
        return self.vector


def make_constant(net: nn.Module) -> int:
    """Replace every `attn2` of a stock network, and the norm before it, in place. Returns how many there were.

    `set_token` must be called before the network is used.
    """
    count = 0
    for block in list(net.modules()):
        attention = getattr(block, "attn2", None)
        if attention is None or isinstance(attention, ConstantAttention):
            continue
        block.attn2 = ConstantAttention(attention.to_v, attention.to_out[0])
        block.norm2 = nn.Identity()
        count += 1
    return count


@torch.no_grad()
def set_token(net: nn.Module, token: Tensor) -> None:
    """Compute the vectors of all layers of `net` for another picture.

    Args:
        token: (1, 1, C) CLIP embedding.
    """
    for part in _constants(net):
        part.set(token)


def _constants(net: nn.Module) -> Iterator[ConstantAttention]:
    return (part for part in net.modules() if isinstance(part, ConstantAttention))
