"""An exact saving: SVD's cross-attention is a constant.

All 32 `attn2` of the UNet (and 14 of the landmark ControlNet) attend to one token, the CLIP embedding of the picture. A
softmax over one value is 1, so each gives `to_out(to_v(token))` whatever the pixels are: one vector per layer and
character. Two projections, a norm and an attention per layer go away, and fifty million parameters with them.

The networks are shared by all characters, the vectors are a character's own: whoever calls a network says which ones
are in use. That is kept per thread, for one character may be loaded while another is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["ConstantAttention", "Constants", "constants_of", "make_constant", "using"]


class ConstantAttention(nn.Module):
    """Stands in the place of an `attn2` and gives its one vector."""

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.to_v, self.to_out = attention.to_v, attention.to_out

    def constant(self, token: Tensor) -> Tensor:
        """(1, 1, C) what attending to the token (1, 1, D) gives, computed in float32."""
        value = nn.functional.linear(token.float(), self.to_v.weight.float())
        out = self.to_out[0]
        bias = None if out.bias is None else out.bias.float()
        return nn.functional.linear(value, out.weight.float(), bias).to(out.weight.dtype)

    def forward(self, hidden_states: Tensor, *args: object, **kwargs: object) -> Tensor:
        """(1, 1, C), which is broadcast over frames and pixels where it is added."""
        return _IN_USE.get()[self]


Constants = Mapping[ConstantAttention, Tensor]
_IN_USE: ContextVar[Constants] = ContextVar("constants")


def make_constant(net: nn.Module) -> int:
    """Replace every `attn2` of a stock network, and the norm before it, in place. Returns how many there were.

    From then on the network is called inside `using` only.
    """
    count = 0
    for block in list(net.modules()):
        attention = getattr(block, "attn2", None)
        if attention is None or isinstance(attention, ConstantAttention):
            continue
        block.attn2 = ConstantAttention(attention)
        block.norm2 = nn.Identity()
        count += 1
    return count


@torch.no_grad()
def constants_of(token: Tensor, *nets: nn.Module) -> Constants:
    """The vectors of all layers for one picture.

    Args:
        token: (1, 1, D) its CLIP embedding.
    """
    layers = [part for net in nets for part in net.modules() if isinstance(part, ConstantAttention)]
    return {layer: layer.constant(token) for layer in layers}


@contextmanager
def using(constants: Constants) -> Iterator[None]:
    """Networks called inside attend to the picture of these vectors."""
    before = _IN_USE.set(constants)
    try:
        yield
    finally:
        _IN_USE.reset(before)
