"""Small random models in the exact layout and with the exact classes of the real ones (`faceshot models make-tiny`).

They prove that the whole path runs, in seconds and without a download; what they match means nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from faceshot.backbone import ADAPTER_FILE, ADAPTER_FOLDER, BACKBONES, ENCODER_FOLDER, hushed
from faceshot.placement import need_packages

__all__ = ["make_tiny", "write_adapter", "write_tokenizer"]

_CLIP_DIM = 24


def make_tiny(
    folder: Path,
    backbones: tuple[str, ...] = tuple(BACKBONES),
    seed: int = 0,
    channels: tuple[int, ...] = (16, 32, 32, 32),
    vae_channels: tuple[int, ...] = (16, 16, 16, 16),
) -> list[Path]:
    """Write small random backbones into a models folder.

    Args:
        folder: gets the sub-folders that the real models have.
        backbones: which.
        seed: of the weights.
        channels: of the UNet's four levels; the feature has as many as the third has.
        vae_channels: one for each level; each after the first halves the picture.

    Returns:
        The folders that were made.
    """
    need_packages("Making a small model", "torch", "diffusers", "transformers")
    import torch

    made = []
    with hushed(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        _image_encoder(folder / ADAPTER_FOLDER / ENCODER_FOLDER)
        made.append(folder / ADAPTER_FOLDER)
        for name in backbones:
            spec = BACKBONES[name]
            place = folder / spec.diffusion
            unet = _diffusion(place, channels, vae_channels, v_prediction=not spec.takes_image_prompt)
            if spec.takes_image_prompt:
                write_adapter(folder / ADAPTER_FOLDER / ADAPTER_FILE, unet)
            made.append(place)
    return made


def _diffusion(place: Path, channels: tuple[int, ...], vae_channels: tuple[int, ...], v_prediction: bool) -> Any:
    from diffusers import AutoencoderKL, DDIMScheduler, PNDMScheduler, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    cross = 48 if v_prediction else 32
    unet = UNet2DConditionModel(
        sample_size=96 if v_prediction else 64,
        block_out_channels=channels,
        cross_attention_dim=cross,
        # Heads, as the real models call it. One at 64² positions, where each costs as much as all the rest together.
        attention_head_dim=[1, 4, 4, 4] if v_prediction else [1, 2, 4, 4],
        use_linear_projection=v_prediction,
        norm_num_groups=8,
    )
    unet.save_pretrained(place / "unet", variant="fp16")
    vae = AutoencoderKL(
        block_out_channels=vae_channels,
        down_block_types=("DownEncoderBlock2D",) * len(vae_channels),
        up_block_types=("UpDecoderBlock2D",) * len(vae_channels),
        latent_channels=4,
        norm_num_groups=8,
    )
    _calibrate(vae)
    vae.save_pretrained(place / "vae", variant="fp16")
    write_tokenizer(place / "tokenizer")
    text = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=514,
            hidden_size=cross,
            intermediate_size=2 * cross,
            num_hidden_layers=2,
            num_attention_heads=2,
            projection_dim=cross,
            bos_token_id=512,
            eos_token_id=513,
        )
    )
    text.save_pretrained(place / "text_encoder", variant="fp16")
    schedule: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    if v_prediction:
        scheduler = DDIMScheduler(
            **schedule, clip_sample=False, set_alpha_to_one=False, steps_offset=1, prediction_type="v_prediction"
        )
    else:
        scheduler = PNDMScheduler(**schedule, skip_prk_steps=True, steps_offset=1)
    scheduler.save_pretrained(place / "scheduler")
    classes = {
        "scheduler": ["diffusers", type(scheduler).__name__],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    index = {"_class_name": "StableDiffusionPipeline", **classes}
    (place / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    return unet


def _calibrate(vae: Any) -> None:
    """Latents with mean 0 and standard deviation 1 once scaled, as those of the real model; out of the box a random
    encoder's are a thousandth of that around its biases, and all pictures look alike."""
    import torch

    with torch.no_grad():
        picture = torch.nn.functional.interpolate(torch.rand(1, 3, 16, 16), size=128, mode="bilinear") * 2 - 1
        latent = vae.encode(picture).latent_dist.mode() * vae.config.scaling_factor
        mean, spread = latent.mean((0, 2, 3)), latent.std((0, 2, 3))
        weight, bias = vae.quant_conv.weight, vae.quant_conv.bias
        weight[:4] /= spread[:, None, None, None]
        bias[:4] = (bias[:4] - mean / vae.config.scaling_factor) / spread


def _image_encoder(place: Path) -> None:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    config = CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=64,
        patch_size=8,
        projection_dim=_CLIP_DIM,
    )
    CLIPVisionModelWithProjection(config).save_pretrained(place)


def write_adapter(path: Path, unet: Any, clip_dim: int = _CLIP_DIM) -> None:
    """IP-Adapter weights: a projection to four tokens, and a key and a value for each cross-attention, numbered as the
    real file numbers them (1, 3, 5 ... in the order of the attention processors)."""
    import torch
    from safetensors.torch import save_file

    cross = unet.config.cross_attention_dim
    tensors = {
        "image_proj.proj.weight": torch.randn(4 * cross, clip_dim) * 0.3,
        "image_proj.proj.bias": torch.zeros(4 * cross),
        "image_proj.norm.weight": torch.ones(cross),
        "image_proj.norm.bias": torch.zeros(cross),
    }
    number = 1
    modules = dict(unet.named_modules())
    for name in unet.attn_processors:
        if name.endswith("attn2.processor"):
            hidden = modules[name.removesuffix(".processor")].to_k.weight.shape[0]
            for letter in "kv":
                tensors[f"ip_adapter.{number}.to_{letter}_ip.weight"] = torch.randn(hidden, cross) / cross**0.5
            number += 2
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)


def write_tokenizer(place: Path) -> None:
    """A byte-level vocabulary without merges, in the files of CLIP's tokenizer."""
    place.mkdir(parents=True, exist_ok=True)
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (place / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}, ensure_ascii=False))
    (place / "merges.txt").write_text("#version: 0.2\n")
    special = {"bos_token": words[-2], "eos_token": words[-1], "unk_token": words[-1], "pad_token": words[-1]}
    (place / "special_tokens_map.json").write_text(json.dumps(special))
    about = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "add_prefix_space": False, **special}
    (place / "tokenizer_config.json").write_text(json.dumps(about))
