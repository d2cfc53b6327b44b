"""Small random backbones whose features turn and grow with the picture, as those of trained ones are hoped to.

Classes, layout of files and number of layers are the real ones, and the whole path runs: VAE, inversion, UNet with
attention and prompts, hook. Weights are random; what is chosen is what decides whether a network without training sees
the same thing in a turned or scaled picture (each was found by taking it away):

    kernels     a round blur, so that no direction is preferred; a plain tap on the 16² and 8² maps, where a blur would
                carry the picture's edge everywhere.
    mixtures    of channels are turns (orthogonal), and latents white: chance would have some networks lose a colour.
    halving     in the middle of the cells that a new cell replaces: half a cell aside would be 12 px in the feature.
                In the UNet the kernel also sharpens, as much as growing 16² to 32² blurs: a blur is a length, which
                does not grow with the picture, and cost 2.5 px at scale 0.8.
    norms       one group, and a first bias larger than the signal: norms take mean and spread of the whole picture, and
                eight small groups moved the latents by more than the picture's own contrast, even for a shift.
    branches    residual branches at a fifth, the 8² maps (cells of 64 px) at a tenth of the skip path.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from faceshot.backbone import BACKBONES
from faceshot.backbone_tiny import make_tiny

BLUR = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16
TAP = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
# Of the cells 2j, 2j+1, 2j+2 (padded after only, VAE) and 2j-1, 2j, 2j+1 (padded around, UNet) the middle is 2j + 1/2.
HALVE_VAE = torch.outer(torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.5, 0.5, 0.0]))
HALVE_UNET = torch.outer(torch.tensor([-0.4, 1.3, 0.1]), torch.tensor([-0.4, 1.3, 0.1]))
BRANCH, DEEP = 0.2, 0.1
COARSE = ("down_blocks.2", "down_blocks.3", "mid_block", "up_blocks")


def make_round(folder: Path, name: str, seed: int = 0) -> None:
    """Write one backbone into a models folder, in the layout of the real ones."""
    from diffusers import AutoencoderKL, UNet2DConditionModel

    make_tiny(folder, (name,), seed, channels=(32, 64, 96, 96))
    place = folder / BACKBONES[name].diffusion
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        vae = AutoencoderKL.from_config({**AutoencoderKL.load_config(place / "vae"), "norm_num_groups": 1}).eval()
        _make_round(vae, HALVE_VAE, vae.encoder.conv_in.bias, 4.0, ())
        _whiten(vae)
        vae.save_pretrained(place / "vae", variant="fp16")
        config = {**UNet2DConditionModel.load_config(place / "unet"), "norm_num_groups": 1}
        unet = UNet2DConditionModel.from_config(config).eval()
        _make_round(unet, HALVE_UNET, unet.conv_in.bias, 3.0, COARSE)
        deep = unet.up_blocks[0].upsamplers[0].conv
        deep.weight *= DEEP
        deep.bias *= DEEP
        unet.save_pretrained(place / "unet", variant="fp16")


def _make_round(
    network: Any, halve: torch.Tensor, first_bias: torch.Tensor, size: float, coarse: tuple[str, ...]
) -> None:
    for name, layer in network.named_modules():
        if isinstance(layer, torch.nn.Conv2d):
            outs, ins, side, _ = layer.weight.shape
            mix = _turn(outs, ins)[:, :, None, None]
            if side == 3:
                tap = name.startswith(coarse) and "upsamplers" not in name
                layer.weight.copy_(mix * (halve if layer.stride == (2, 2) else TAP if tap else BLUR))
            elif name.endswith("conv_shortcut"):
                layer.weight.copy_(mix)
        if name.endswith(("conv2", "proj_out")) or (name.endswith("to_out.0") and "transformer" not in name):
            layer.weight *= BRANCH
            layer.bias *= BRANCH
    first_bias.copy_(size * torch.randn(len(first_bias)))


def _turn(outs: int, ins: int) -> torch.Tensor:
    """(outs, ins): a random turn into as many or more channels, or out of it as many as are wanted; spread is kept."""
    return torch.nn.init.orthogonal_(torch.empty(outs, ins)) * max(1.0, outs / ins) ** 0.5


def _whiten(vae: Any) -> None:
    """Three colours as four latents: a random turn of their uncorrelated mixtures, mean 0 and standard deviation 1."""
    picture = torch.nn.functional.interpolate(torch.rand(1, 3, 8, 8), size=256, mode="bicubic") * 2 - 1
    values = vae.encoder(picture)[0].flatten(1)
    mean = values.mean(dim=1, keepdim=True)
    directions, spread, _ = torch.linalg.svd(values - mean, full_matrices=False)
    spread = spread[:3] / values.shape[1] ** 0.5
    whiten = _turn(4, 3) @ torch.diag(1 / spread) @ directions[:, :3].T / vae.config.scaling_factor
    vae.quant_conv.weight[:4] = whiten[:, :, None, None]
    vae.quant_conv.bias[:4] = -(whiten @ mean)[:, 0]
