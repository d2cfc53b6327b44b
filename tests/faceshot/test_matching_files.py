"""The manifest of the matcher's files: whole, pinned, and in the layout that the loader looks for."""

from __future__ import annotations

import re

from faceshot.backbone import BACKBONES
from faceshot.matching_files import GALLERY, REPOSITORIES
from faceshot.weights import DEFAULT_KINDS, GROUPS, MANIFEST


def test_revisions_and_hashes_are_pinned() -> None:
    for repository in REPOSITORIES:
        assert re.fullmatch(r"[0-9a-f]{40}", repository.revision) and repository.repo.count("/") == 1
        for path, size, sha256 in repository.files:
            assert size > 0 and (re.fullmatch(r"[0-9a-f]{64}", sha256) or not sha256)
            assert sha256 or size < 2_000_000, f"{path} is large and has no hash"


def test_words_stand_for_kinds_that_exist() -> None:
    kinds = {entry.kind for entry in MANIFEST} | {GALLERY.kind}
    assert set(DEFAULT_KINDS) <= kinds and all(set(group) <= kinds for group in GROUPS.values())
    assert all(name in GROUPS[name] for name in kinds & set(GROUPS))  # a kind that brings others is still itself


def test_every_backbone_is_pulled_whole() -> None:
    for spec in BACKBONES.values():
        files = {entry.file for entry in MANIFEST if entry.kind in GROUPS[spec.pull]}
        for part in ("unet/config.json", "vae/config.json", "scheduler/scheduler_config.json", "tokenizer/vocab.json"):
            assert f"{spec.diffusion}/{part}" in files
        assert ("IP-Adapter/models/ip-adapter_sd15.safetensors" in files) == spec.takes_image_prompt
        assert "IP-Adapter/models/image_encoder/model.safetensors" in files


def test_addresses_are_the_hubs() -> None:
    (unet,) = [entry for entry in MANIFEST if entry.file.startswith("stable-diffusion-v1-5/unet/diffusion")]
    assert unet.url.startswith("https://huggingface.co/stable-diffusion-v1-5/stable-diffusion-v1-5/resolve/")
    assert unet.url.endswith("/unet/diffusion_pytorch_model.fp16.safetensors") and unet.size == 1_719_125_304
