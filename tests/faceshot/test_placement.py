"""Devices are asked for by name and never replaced silently."""

from __future__ import annotations

import importlib.util

import pytest

from faceshot.errors import FaceshotError
from faceshot.placement import need_packages, place

torch = pytest.importorskip("torch")


def test_single_precision_on_the_cpu() -> None:
    found = place("cpu")
    assert (found.device, found.dtype, found.torch_dtype) == ("cpu", "float32", torch.float32)
    assert place("cpu", "bfloat16").torch_dtype == torch.bfloat16


def test_half_precision_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert place().device == "cuda:0" and place().dtype == "float16"
    assert place("cuda:1").device == "cuda:1" and place("cuda").device == "cuda"


def test_what_is_not_there_is_refused_with_what_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    for device in ("cuda", "cuda:0", "tpu"):
        with pytest.raises(FaceshotError, match=f"no device '{device}'") as caught:
            place(device)
        assert "cpu" in caught.value.hint
    with pytest.raises(FaceshotError, match="no number type 'int8'"):
        place("cpu", "int8")


def test_missing_packages_are_named_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FaceshotError, match="This needs torch and diffusers, which are not installed") as caught:
        need_packages("This", "torch", "diffusers")
    assert caught.value.hint == "Type: pip install 'faceshot-live[gpu]'"
