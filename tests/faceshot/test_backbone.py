"""Loading from folders in the layout of stable-diffusion-v1-5, IP-Adapter and stable-diffusion-2-1."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from faceshot.backbone import ADAPTER_FILE, Backbone, is_at_hand, load_backbone
from faceshot.errors import WeightsMissing
from faceshot.weights import MANIFEST
from tests.faceshot.conftest import SMALL

torch = pytest.importorskip("torch")


def copy(tiny_models: Path, to: Path) -> Path:
    shutil.copytree(tiny_models, to)
    return to


@pytest.mark.parametrize("kind", ["sd15", "ip-adapter", "clip-h", "sd21"])
def test_small_models_have_the_files_of_the_real_ones(tiny_models: Path, kind: str) -> None:
    optional = {"special_tokens_map.json"}  # newer tokenizers keep its content in their configuration
    files = [entry.file for entry in MANIFEST if entry.kind == kind]
    assert files
    for file in files:
        assert (tiny_models / file).is_file() or Path(file).name in optional, file


def test_the_adapter_reaches_every_cross_attention(sd15: Backbone) -> None:
    processors = sd15.unet.attn_processors
    crossing = [name for name, one in processors.items() if hasattr(one, "to_k_ip")]
    assert len(crossing) == 16 and all(name.endswith("attn2.processor") for name in crossing)
    assert all(processors[name].scale == [1.0] for name in crossing)
    assert processors[crossing[0]].to_k_ip[0].weight.abs().sum() > 0
    projection = sd15.unet.encoder_hid_proj.image_projection_layers[0]
    assert projection.num_image_text_embeds == 4


def test_the_whole_pipeline_loads_the_same_folder(tiny_models: Path) -> None:
    """The folder is what diffusers calls a pipeline: its `from_pretrained` and `load_ip_adapter` agree with ours."""
    from diffusers import StableDiffusionPipeline

    from faceshot.backbone import hushed

    with hushed():
        pipeline = StableDiffusionPipeline.from_pretrained(
            tiny_models / "stable-diffusion-v1-5", variant="fp16", local_files_only=True,
            safety_checker=None, feature_extractor=None, image_encoder=None, requires_safety_checker=False,
        )  # fmt: skip
        pipeline.load_ip_adapter(
            str(tiny_models / "IP-Adapter"), subfolder="models", weight_name="ip-adapter_sd15.safetensors",
            image_encoder_folder=None,
        )  # fmt: skip
    ours = load_backbone("sd15-ip", tiny_models, "cpu").unet.state_dict()
    theirs = pipeline.unet.state_dict()
    assert set(ours) == set(theirs)
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_prediction_types_differ_as_published(sd15: Backbone, sd21: Backbone) -> None:
    assert sd15.scheduler(50).config.prediction_type == "epsilon"
    assert sd21.scheduler(50).config.prediction_type == "v_prediction"
    assert sd15.prompt_embeds("a photo of a face").shape[:2] == (1, 77)
    assert sd15.fingerprint != sd21.fingerprint and len(sd15.fingerprint) == 16


def test_latents_are_the_mode_scaled(sd21: Backbone) -> None:
    squares = np.random.default_rng(0).integers(0, 256, (2, SMALL, SMALL, 3), dtype=np.uint8)
    first, second = sd21.latents(squares), sd21.latents(squares)
    assert first.shape == (2, 4, SMALL // 8, SMALL // 8) and torch.equal(first, second)
    vae = sd21._loaded["vae"]
    with torch.inference_mode():
        pixels = torch.from_numpy(squares[:1].astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)
        mode = vae.encode(pixels).latent_dist.mode() * 0.18215
    assert (first[:1] - mode).abs().max() < 5e-5


def test_networks_make_room_unless_kept(tiny_models: Path, sd15: Backbone) -> None:
    passing = load_backbone("sd15-ip", tiny_models, "cpu")
    embeds = passing.image_embeds([np.zeros((50, 90, 3), np.uint8)])
    assert embeds.shape == (1, 24) and "image_encoder" not in passing._loaded
    sd15.image_embeds([np.zeros((50, 90, 3), np.uint8)])
    assert "image_encoder" in sd15._loaded


def test_single_precision_files_do_too(tiny_models: Path, tmp_path: Path) -> None:
    folder = copy(tiny_models, tmp_path / "models")
    for path in list(folder.rglob("*.fp16.safetensors")):
        path.rename(path.with_name(path.name.replace(".fp16", "")))
    assert is_at_hand("sd15-ip", folder)
    assert load_backbone("sd21-plain", folder, "cpu").unet.config.cross_attention_dim == 48


@pytest.mark.parametrize(
    "gone", ["stable-diffusion-v1-5/vae", "IP-Adapter/models/image_encoder", f"IP-Adapter/{ADAPTER_FILE}"]
)
def test_an_incomplete_folder_says_what_is_missing(
    tiny_models: Path, tmp_path: Path, gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FACESHOT_MODELS", raising=False)
    folder = copy(tiny_models, tmp_path / "models")
    path = folder / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(WeightsMissing) as caught:
        load_backbone("sd15-ip", folder, "cpu")
    assert gone.split("/")[-1].split(".")[0] in caught.value.message
    assert caught.value.hint == "Type: faceshot models pull matching"


def test_a_cut_off_file_is_named(tiny_models: Path, tmp_path: Path) -> None:
    folder = copy(tiny_models, tmp_path / "models")
    for file in ("stable-diffusion-v1-5/unet/diffusion_pytorch_model.fp16.safetensors", f"IP-Adapter/{ADAPTER_FILE}"):
        backbone = load_backbone("sd15-ip", folder, "cpu")
        whole = (folder / file).read_bytes()
        (folder / file).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(WeightsMissing) as caught:
            _ = backbone.unet
        assert Path(file).name in caught.value.message and "pull matching" in caught.value.hint
        (folder / file).write_bytes(whole)
