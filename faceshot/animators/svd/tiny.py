"""A small random model in the files, with the keys and the classes of the published ones: for tests and for seeing how
everything plays together before gigabytes are fetched. What it draws is coloured noise.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import torch
from torch import nn

from faceshot.animators.svd.cmp import Cmp
from faceshot.animators.svd.controlnet import ControlNetConfig, FlowControlNet
from faceshot.animators.svd.files import CMP_FILE, CONTROLNET, FAST_UNET, SVD_FOLDERS, TINY_DECODER
from faceshot.animators.svd.taesdv import TinyVideoDecoder
from faceshot.backbone import hushed
from faceshot.placement import need_packages

__all__ = ["SCHEDULER", "TINY_CONTROLNET", "write_tiny"]

SCHEDULER: Final[dict[str, Any]] = {
    "_class_name": "EulerDiscreteScheduler",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "interpolation_type": "linear",
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
    "sigma_min": 0.002,
    "sigma_max": 700.0,
    "steps_offset": 1,
    "timestep_spacing": "leading",
    "timestep_type": "continuous",
    "use_karras_sigmas": True,
}
TINY_CONTROLNET: Final = ControlNetConfig(
    channels=(32, 64, 64, 64),
    heads=(1, 2, 2, 4),
    cross=32,
    time_ids=8,
    picture=(4, 8, 8, 8),
    pose=(4, 8, 8, 8),
    matting=(4, 16),
    layers=2,
)


def write_tiny(folder: Path, seed: int = 0) -> list[Path]:
    """Write the model, about 25 MB, in the layout of the hubs.

    Args:
        folder: a models folder; what is there is replaced.
        seed: of the weights.

    Returns:
        The files that hold weights.
    """
    need_packages("Making a small model", "torch", "diffusers", "transformers", "safetensors")
    svd = folder / SVD_FOLDERS[0]
    with hushed(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = _unet()
        unet.save_pretrained(svd / "unet", variant="fp16")
        _vae().save_pretrained(svd / "vae", variant="fp16")
        _encoder().save_pretrained(svd / "image_encoder", variant="fp16")
        _write_json(svd / "scheduler" / "scheduler_config.json", SCHEDULER)
        _write_controlnet(folder / CONTROLNET, unet)
        _write_cmp(folder / CMP_FILE)
        _save(_unet(), folder / FAST_UNET)
        _write_decoder(folder / TINY_DECODER)
    written = [*sorted(svd.rglob("*.safetensors")), folder / CONTROLNET / "diffusion_pytorch_model.safetensors"]
    return [*written, folder / CMP_FILE, folder / FAST_UNET, folder / TINY_DECODER]


def _unet() -> Any:
    from diffusers import UNetSpatioTemporalConditionModel

    return UNetSpatioTemporalConditionModel(
        block_out_channels=TINY_CONTROLNET.channels,
        num_attention_heads=(1, 2, 4, 4),
        cross_attention_dim=TINY_CONTROLNET.cross,
        addition_time_embed_dim=TINY_CONTROLNET.time_ids,
        projection_class_embeddings_input_dim=3 * TINY_CONTROLNET.time_ids,
    ).half()


def _vae() -> Any:
    from diffusers import AutoencoderKLTemporalDecoder

    levels = 4
    return AutoencoderKLTemporalDecoder(
        block_out_channels=(32,) * levels, down_block_types=("DownEncoderBlock2D",) * levels, layers_per_block=1
    ).half()


def _encoder() -> Any:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=224,
        patch_size=32,
        projection_dim=TINY_CONTROLNET.cross,
    )
    return CLIPVisionModelWithProjection(config).half()


def _write_controlnet(place: Path, unet: nn.Module) -> None:
    """The trunk is a copy of the UNet's, as in training; the 1×1 convolutions that start at zero are not zero here."""
    net = FlowControlNet(TINY_CONTROLNET)
    own = net.state_dict().keys()
    shared = {key: value for key, value in unet.state_dict().items() if key in own}
    net.load_state_dict(shared, strict=False)
    _save(net, place / "diffusion_pytorch_model.safetensors")
    about = {
        "_class_name": "FlowControlNet",
        "block_out_channels": list(TINY_CONTROLNET.channels),
        "num_attention_heads": list(TINY_CONTROLNET.heads),
    }
    _write_json(place / "config.json", about)


def _write_cmp(path: Path) -> None:
    net = Cmp(base=8, depths=(1, 1, 1, 1))
    with torch.no_grad():
        net.flow_decoder.head.weight.mul_(4)  # motions of some pixels
    state = {f"module.{key}": value for key, value in net.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"step": 0, "state_dict": state, "optimizer": {}}, path)


def _write_decoder(path: Path) -> None:
    net = TinyVideoDecoder(width=8)
    last = net.decoder[-1]
    with torch.no_grad():  # pictures in the middle of the range, whatever the latents
        latents = torch.cat([torch.randn(4, 4, 8, 8), 3 * torch.randn(4, 4, 1, 1).sign().expand(4, 4, 8, 8)])
        last.bias.zero_()
        seen, _ = net(latents, net.blank_memory(8, 8))
        last.weight.mul_(0.45 / seen.abs().amax())
        last.bias.fill_(0.5)
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(net.state_dict(), path)


def _save(net: nn.Module, path: Path) -> None:
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in net.state_dict().items()}, path)


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
