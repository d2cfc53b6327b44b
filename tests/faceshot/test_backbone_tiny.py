"""Small models: the same every time, and in the layout that `test_backbone` compares with the manifest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faceshot.backbone import load_backbone
from faceshot.backbone_tiny import make_tiny

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")


def test_a_seed_makes_the_same_weights(tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    made = [make_tiny(tmp_path / str(i), ("sd21-plain",), seed=i // 2, channels=(8, 8, 8, 8)) for i in range(3)]
    assert torch.equal(before, torch.random.get_rng_state())
    assert [path.name for path in made[0]] == ["IP-Adapter", "stable-diffusion-2-1"]
    one, same, other = (load_backbone("sd21-plain", tmp_path / str(i), "cpu").fingerprint for i in range(3))
    assert one == same != other


def test_latents_are_as_large_as_real_ones(tmp_path: Path) -> None:
    make_tiny(tmp_path, ("sd21-plain",), channels=(8, 8, 8, 8))
    noise = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), dtype=np.uint8)
    picture = np.kron(noise, np.ones((1, 16, 16, 1), np.uint8))
    latents = load_backbone("sd21-plain", tmp_path, "cpu").latents(picture)
    assert 0.2 < float(latents.std()) < 5 and abs(float(latents.mean())) < 2
