"""TAESDV, the tiny video decoder that streams: latents to pictures at a sixteenth of the SVD decoder's cost.

Ten of its blocks look at their own input of the *previous* frame. These ten tensors are the memory: handed from chunk
to chunk, a show of any length is decoded exactly as one long clip would be, and no chunk border is a seam.

Weights and layout: `taesdv.pth` of https://github.com/madebyollin/taesdv (MIT), keys `decoder.N...`; the encoder of
that file is not used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from faceshot.animators.svd.files import TINY_DECODER
from faceshot.errors import CheckpointError, WeightsMissing
from faceshot.weights import find, search_folders

__all__ = ["TinyVideoDecoder", "load_decoder"]

_PULL: Final = "Type: faceshot models pull svd-fast"
_AGAIN: Final = "Delete it, then type: faceshot models pull svd-fast"

WIDTH: Final = 64
STAGES: Final = 3  # of doubling: a latent is an eighth of the picture
BLOCKS: Final = 3  # a stage; one more stands at full size


class _Squash(nn.Module):
    """Keeps outliers of the diffusion within what the decoder was trained on."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


class _MemoryBlock(nn.Module):
    """Three convolutions over a frame and the frame before it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(2 * width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
        )
        self.act = nn.ReLU()

    def forward(self, x: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """The frames of a chunk at once.

        Args:
            x: (T, C, H, W) frames in order.
            before: (1, C, H, W) what `x` was for the frame before the first.

        Returns:
            (T, C, H, W), and what is `before` for the next chunk.
        """
        past = torch.cat([before, x[:-1]])
        return self.act(self.conv(torch.cat([x, past], dim=1)) + x), x[-1:]


class TinyVideoDecoder(nn.Module):
    """Args:
    width: channels inside; 64 in the published weights.
    """

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.width = width
        parts: list[nn.Module] = [_Squash(), nn.Conv2d(4, width, 3, padding=1), nn.ReLU()]
        for _ in range(STAGES):
            parts += [_MemoryBlock(width) for _ in range(BLOCKS)]
            parts += [nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, padding=1, bias=False)]
        parts += [_MemoryBlock(width), nn.Conv2d(width, 3, 3, padding=1)]
        self.decoder = nn.Sequential(*parts)

    def blank_memory(self, height: int, width: int) -> list[Tensor]:
        """The memory before the first frame of (4, height, width) latents."""
        weight = self.decoder[1].weight
        scales = [2**stage for stage in range(STAGES) for _ in range(BLOCKS)] + [2**STAGES]
        return [weight.new_zeros(1, self.width, height * scale, width * scale) for scale in scales]

    def forward(self, latents: Tensor, memory: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Decode the next frames of a stream.

        Args:
            latents: (T, 4, h, w) as the UNet gives them (scaled).
            memory: of the frame before, see `blank_memory`.

        Returns:
            (T, 3, 8 h, 8 w) pictures, 0 to 1 but for a little overshoot, and the memory for the next frames.
        """
        x = latents
        later: list[Tensor] = []
        for part in self.decoder:
            if isinstance(part, _MemoryBlock):
                x, kept = part(x, memory[len(later)])
                later.append(kept)
            else:
                x = part(x)
        return x, later


def load_decoder(folder: Path | None = None) -> TinyVideoDecoder:
    """The decoder of the published file, float32 on the CPU, in eval mode; its width is read off the file.

    Args:
        folder: the configured models folder, see `faceshot.weights.find`.

    Raises:
        WeightsMissing: it is not there. CheckpointError: it is damaged or of something else; lists keys and shapes.
    """
    path = find(TINY_DECODER, folder)
    if path is None:
        places = ", ".join(str(place) for place in search_folders(folder))
        raise WeightsMissing(f"The model file {TINY_DECODER} is in none of: {places}.", _PULL)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as bad:  # what a damaged file raises is not documented
        reason = str(bad).splitlines()[0][:200] if str(bad) else type(bad).__name__
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {reason}", _AGAIN) from bad
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path} is no table of tensors.", _AGAIN)
    return _decoder_of(content, path)


def _decoder_of(state: Mapping[str, Tensor], path: Path) -> TinyVideoDecoder:
    own = {key: value for key, value in state.items() if key.startswith("decoder.")}
    first = own.get("decoder.1.weight")
    if first is None or first.ndim != 4:
        raise CheckpointError(f"{path} is not TAESDV: it has no decoder.1.weight of four dimensions.", _AGAIN)
    with torch.device("meta"):
        net = TinyVideoDecoder(int(first.shape[0]))
    wanted = net.state_dict()
    faults = [f"{key} is missing" for key in wanted if key not in own]
    faults += [f"{key} is not known" for key in own if key not in wanted]
    faults += [
        f"{key} is {list(own[key].shape)} instead of {list(value.shape)}"
        for key, value in wanted.items()
        if key in own and own[key].shape != value.shape
    ]
    if faults:
        more = f" and {len(faults) - 4} more" if len(faults) > 4 else ""
        raise CheckpointError(f"{path} is not TAESDV: {', '.join(faults[:4])}{more}.", _AGAIN)
    net.load_state_dict({key: value.float() for key, value in own.items()}, assign=True)
    return net.eval().requires_grad_(False)
