"""Small random diffusion backbones in the real layout, made once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from faceshot.backbone import Backbone, FeatureSettings, load_backbone

SMALL = 128
"""Side in pixels of the pictures most tests use; the feature map is then 8 × 8."""
QUICK = FeatureSettings(size=64, steps=10)
"""Features whose numbers do not matter: three steps to t = 301, maps of 4 × 4."""


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with both backbones, small and random."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("diffusers")
    from faceshot.backbone_tiny import make_tiny

    torch.set_num_threads(1)  # threads that wait for one another take longer than these sums
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    folder = tmp_path_factory.mktemp("models")
    make_tiny(folder, channels=(16, 32, 32, 32), vae_channels=(8, 8, 8, 8))
    return folder


@pytest.fixture(scope="session")
def sd15(tiny_models: Path) -> Iterator[Backbone]:
    backbone = load_backbone("sd15-ip", tiny_models, "cpu", keep=True)
    yield backbone
    backbone.release()


@pytest.fixture(scope="session")
def sd21(tiny_models: Path) -> Iterator[Backbone]:
    backbone = load_backbone("sd21-plain", tiny_models, "cpu", keep=True)
    yield backbone
    backbone.release()
