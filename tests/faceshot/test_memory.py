"""Running out of memory is recognised however it is said, and the networks that run once give way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from faceshot.backbone import Backbone
from faceshot.errors import FaceshotError
from faceshot.memory import make_room, ran_out_of_memory
from tests.faceshot.conftest import SMALL


@pytest.mark.parametrize(
    ("error", "is_memory"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"),
            True,
        ),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("no"), False),
    ],
)
def test_what_is_about_memory(error: Exception, is_memory: bool) -> None:
    assert ran_out_of_memory(error) == is_memory
    make_room("cpu")


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, SMALL, SMALL, 3), dtype=np.uint8)


def test_a_network_without_room_for_one_says_so(sd21: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any, **more: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(type(sd21), "_from", full)
    monkeypatch.setattr(sd21, "_loaded", {})
    with pytest.raises(FaceshotError, match="Not enough memory on cpu for the vae") as caught:
        sd21.latents(pictures(1))
    assert caught.value.hint


def test_fewer_at_a_time_and_then_the_cpu(sd21: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for a GPU that holds two inputs at first and none in the end."""
    import torch

    tried: list[tuple[str, int]] = []

    class Device(torch.nn.Module):
        device = "meta"

        def to(self, device: str) -> Any:
            self.device = device
            return self

    def work(network: Any, batch: Any) -> Any:
        tried.append((network.device, len(batch)))
        if network.device == "meta" and (len(batch) > 2 or len(tried) > 4):
            raise RuntimeError("CUDA out of memory.")
        return torch.ones(len(batch), 2)

    monkeypatch.setattr(sd21, "placement", type("At", (), {"device": "meta"})())
    monkeypatch.setattr(sd21, "_loaded", {})
    made = sd21._through("vae", lambda device: Device(), [np.zeros(3, np.float32)] * 8, work)
    assert made.shape == (8, 2)
    assert tried == [("meta", 8), ("meta", 4), ("meta", 2), ("meta", 2), ("meta", 2), ("meta", 1), *[("cpu", 1)] * 4]


def test_keeping_is_for_a_while(sd21: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sd21, "_loaded", {})
    monkeypatch.setattr(sd21, "keep", False)
    with sd21.keeping():
        sd21.latents(pictures(1))
        assert "vae" in sd21._loaded
    assert "vae" not in sd21._loaded and not sd21.keep
