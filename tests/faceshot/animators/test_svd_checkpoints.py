"""Which files the SVD animator is made of, and what is said of files that are not."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")

from safetensors.torch import load_file, save_file  # noqa: E402

from faceshot.animators.svd import machine  # noqa: E402
from faceshot.animators.svd.checkpoints import find_files, load_models, read_shapes  # noqa: E402
from faceshot.animators.svd.controlnet import FlowControlNet  # noqa: E402
from faceshot.animators.svd.files import CMP_FILE, CONTROLNET, FAST_UNET, LISTINGS, SVD_FOLDERS  # noqa: E402
from faceshot.animators.svd.tiny import TINY_CONTROLNET  # noqa: E402
from faceshot.errors import CheckpointError, DeviceError, WeightsMissing  # noqa: E402
from live.fetch import list_hub  # noqa: E402

UNET = f"{SVD_FOLDERS[0]}/unet/diffusion_pytorch_model.fp16.safetensors"
NET = f"{CONTROLNET}/diffusion_pytorch_model.safetensors"


@pytest.fixture
def models(tiny_svd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder of links, each of which a test may replace."""
    monkeypatch.delenv("FACESHOT_MODELS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shutil.copytree(tiny_svd, tmp_path / "models", copy_function=os.link)
    return tmp_path / "models"


def replace(path: Path, content: bytes) -> None:
    path.unlink()  # the link, not what others link to
    path.write_bytes(content)


def rewrite(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    state = load_file(path)
    path.unlink()
    change(state)
    save_file(state, path)


def refused(models: Path, words: str) -> CheckpointError:
    with pytest.raises(CheckpointError, match=words) as caught:
        load_models(models)
    assert "faceshot models pull svd" in caught.value.hint
    return caught.value


def test_everything_loads_and_is_of_one_size(models: Path) -> None:
    parts: list[tuple[str, int, int]] = []
    loaded = load_models(models, progress=lambda *part: parts.append(part))
    assert [done for _, done, _ in parts] == [0, 1, 2, 3, 4, 5] and {total for _, _, total in parts} == {5}
    assert loaded.controlnet.config == TINY_CONTROLNET
    assert loaded.files.fast_unet is None and loaded.dtype == torch.float32
    for net in (loaded.unet, loaded.controlnet, loaded.vae, loaded.cmp, loaded.image_encoder):
        assert not net.training and not any(p.requires_grad or p.is_meta for p in net.parameters())
        assert not any(buffer.is_meta for buffer in net.buffers())
    assert loaded.scheduler["prediction_type"] == "v_prediction"


def test_half_precision_keeps_in_single_what_the_published_program_does(models: Path) -> None:
    loaded = load_models(models, dtype=torch.float16)
    assert {p.dtype for p in loaded.unet.parameters()} == {torch.float16}
    assert {p.dtype for p in loaded.vae.decoder.parameters()} == {torch.float16}
    for net in (loaded.vae.encoder, loaded.vae.quant_conv, loaded.cmp):
        assert {p.dtype for p in net.parameters()} == {torch.float32}


def test_the_unet_of_few_steps_is_taken_where_it_is(models: Path) -> None:
    fast, published = load_models(models, fast=True), load_models(models)
    assert fast.files.fast_unet == models / FAST_UNET
    assert not torch.equal(fast.unet.conv_in.weight, published.unet.conv_in.weight)
    (models / FAST_UNET).unlink()
    assert torch.equal(load_models(models, fast=True).unet.conv_in.weight, published.unet.conv_in.weight)


def test_the_official_repository_and_full_precision_do_too(models: Path) -> None:
    wanted = load_models(models)
    mofa, official = models / SVD_FOLDERS[0], models / SVD_FOLDERS[1]
    shutil.move(mofa, official)
    for file in list(official.rglob("*.fp16.safetensors")):
        rewrite(file, lambda state: state.update({key: value.float() for key, value in state.items()}))
        file.rename(file.with_name(file.name.replace(".fp16", "")))
    got = load_models(models)
    assert got.files.unet == official / "unet/diffusion_pytorch_model.safetensors"
    for name in ("unet", "vae", "image_encoder"):
        ours, theirs = getattr(got, name).state_dict(), getattr(wanted, name).state_dict()
        assert all(torch.equal(value, ours[key]) for key, value in theirs.items())


def test_every_missing_file_is_named(models: Path) -> None:
    for file in (UNET, NET, CMP_FILE):
        (models / file).unlink()
    with pytest.raises(WeightsMissing) as caught:
        find_files(models)
    assert caught.value.hint == "Type: faceshot models pull svd"
    assert all(file in caught.value.message for file in (UNET, NET, CMP_FILE)) and str(models) in caught.value.message
    with pytest.raises(WeightsMissing, match=r"scheduler_config\.json"):
        find_files(models.parent)


def test_a_missing_config_is_named(models: Path) -> None:
    (models / UNET).with_name("config.json").unlink()
    with pytest.raises(WeightsMissing, match=r"unet/config\.json"):
        find_files(models)


@pytest.mark.parametrize("file", [UNET, NET])
@pytest.mark.parametrize(
    ("cut", "words"),
    [
        (lambda data: data[: len(data) // 2], "only partly there"),
        (lambda data: data[:5], "does not begin"),
        (lambda data: b"<html>" * 9, "does not begin"),
    ],
)
def test_files_that_are_cut_off(models: Path, file: str, cut: Callable[[bytes], bytes], words: str) -> None:
    replace(models / file, cut((models / file).read_bytes()))
    assert str(models / file) in refused(models, words).message


def test_a_checkpoint_of_another_model_is_refused_with_a_list(models: Path) -> None:
    replace(models / NET, (models / UNET).read_bytes())
    message = refused(models, "is not the FlowControlNet that belongs there").message
    assert "missing" in message and "not known" in message and "controlnet_" in message
    replace(models / UNET, (models / f"{SVD_FOLDERS[0]}/vae/diffusion_pytorch_model.fp16.safetensors").read_bytes())
    refused(models, "is not the UNetSpatioTemporalConditionModel")


def test_single_wrong_tensors_are_named(models: Path) -> None:
    def change(state: dict[str, Any]) -> None:
        state["conv_norm_out.weight"] = torch.zeros(7)
        del state["conv_out.bias"]
        state["lora.up"] = torch.zeros(1)

    rewrite(models / UNET, change)
    message = refused(models, "Tensors").message
    assert "1 missing: conv_out.bias" in message and "1 not known: lora.up" in message
    assert "1 of another shape: conv_norm_out.weight [7] instead of [32]" in message


def test_the_trajectory_adapter_in_the_place_of_the_landmark_one(models: Path) -> None:
    def change(state: dict[str, Any]) -> None:
        for key in [key for key in state if key.startswith("controlnet_ldmk_embedding")]:
            del state[key]

    rewrite(models / NET, change)
    assert "controlnet_ldmk_embedding.conv_in.weight" in refused(models, "FlowControlNet").message


def test_parts_of_different_models_do_not_go_together(models: Path) -> None:
    other = FlowControlNet(
        TINY_CONTROLNET.__class__(
            **{**{f: getattr(TINY_CONTROLNET, f) for f in TINY_CONTROLNET.__slots__}, "cross": 48}
        )
    )
    (models / NET).unlink()
    save_file(other.state_dict(), models / NET)
    refused(models, "do not belong together: image embedding 48 and 32")


def test_heads_that_no_shape_shows_are_checked(models: Path) -> None:
    about = models / UNET
    config = json.loads(about.with_name("config.json").read_text())
    config.update(block_out_channels=[320, 640, 1280, 1280], num_attention_heads=[5, 10, 10, 20])
    replace(about.with_name("config.json"), json.dumps(config).encode())
    refused(models, r"num_attention_heads is \[5, 10, 10, 20\], SVD has \[5, 10, 20, 20\]")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"nothing", "cannot be read"),
        (b"", "cannot be read"),
        ({"state_dict": {}}, "missing"),
        ({"model": {}}, "no table of tensors"),
    ],
)
def test_what_is_not_cmp(models: Path, content: Any, words: str) -> None:
    if isinstance(content, dict):
        buffer = io.BytesIO()
        torch.save(content, buffer)
        content = buffer.getvalue()
    replace(models / CMP_FILE, content)
    refused(models, words)


class Bomb:
    def __reduce__(self) -> Any:
        return os.mkdir, ("bomb-went-off",)


def test_nothing_in_a_checkpoint_is_run(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for content in (pickle.dumps(Bomb()), pickle.dumps({"state_dict": Bomb()})):
        replace(models / CMP_FILE, content)
        refused(models, "cannot be read")
    assert not (tmp_path / "bomb-went-off").exists()


def test_cmp_of_an_old_torch_lacks_counters(models: Path) -> None:
    content = torch.load(models / CMP_FILE, weights_only=True)
    content["state_dict"] = {k: v for k, v in content["state_dict"].items() if not k.endswith("num_batches_tracked")}
    (models / CMP_FILE).unlink()
    torch.save(content, models / CMP_FILE, _use_new_zipfile_serialization=False)
    load_models(models)


def test_a_hub_that_lacks_a_file_is_found_out_before_the_download() -> None:
    from live.errors import LiveError

    svd = next(one for one in LISTINGS if one.kind == "svd")
    rows = [{"type": "file", "path": path, "size": 1000} for path in svd.paths]
    opener = lambda url: io.BytesIO(json.dumps(rows).encode())  # noqa: E731
    entries = list_hub(svd, opener)
    assert {entry.file for entry in entries} >= {UNET, NET, CMP_FILE} and len(entries) == len(svd.paths)
    rows.append({"type": "file", "path": "ckpts/mofa/traj_controlnet/diffusion_pytorch_model.safetensors", "size": 9})
    assert len(list_hub(svd, opener)) == len(svd.paths)  # nothing that is not needed
    del rows[0]
    with pytest.raises(LiveError, match="has no ckpts/mofa/ldmk_controlnet"):
        list_hub(svd, opener)


def test_what_is_pulled_is_what_is_loaded(models: Path) -> None:
    """The listed files alone, without `config.json` of the ControlNet, are a whole model of published size."""
    svd = next(one for one in LISTINGS if one.kind == "svd")
    for path in list(models.rglob("*")):
        if (
            path.is_file()
            and str(path.relative_to(models / svd.folder) if path.is_relative_to(models / svd.folder) else "")
            not in svd.paths
        ):
            path.unlink()
    find_files(models)


def test_too_little_memory_says_what_fits(models: Path) -> None:
    files = find_files(models)
    gpu = torch.device("cuda:0")
    need = machine.needed_bytes(files, torch.float16, 512)
    machine.check_memory(files, gpu, torch.float16, 512, need)
    machine.check_memory(files, gpu, torch.float16, 512, None)
    with pytest.raises(DeviceError, match="448 px fits") as caught:
        machine.check_memory(files, gpu, torch.float16, 512, need * 0.9)
    assert caught.value.hint == "Use --set animator.svd.quality.size=448" and "cuda:0" in caught.value.message
    with pytest.raises(DeviceError, match="even 256 px takes") as caught:
        machine.check_memory(files, gpu, torch.float16, 512, 1e6)
    assert "--animator warp" in caught.value.hint


def sized(path: Path, state: dict[str, Any]) -> Path:
    """A file that says it holds these tensors, and is as long, but takes no room."""
    at, about = 0, {}
    for key, value in state.items():
        size = value.numel() * 2
        about[key] = {"dtype": "F16", "shape": list(value.shape), "data_offsets": [at, at + size]}
        at += size
    head = json.dumps(about).encode()
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        file.truncate(8 + len(head) + at)
    return path


def test_memory_of_the_published_networks(models: Path, tmp_path: Path) -> None:
    from diffusers import UNetSpatioTemporalConditionModel

    tiny = find_files(models)
    with torch.device("meta"):
        unet, controlnet = UNetSpatioTemporalConditionModel().state_dict(), FlowControlNet().state_dict()
    files = dataclasses.replace(
        tiny, unet=sized(tmp_path / "u.safetensors", unet), controlnet=sized(tmp_path / "c.safetensors", controlnet)
    )
    assert sum(torch.Size(shape).numel() for shape in read_shapes(files.unet).values()) == 1_524_623_082
    weights = (1_524_623_082 + 722_453_685) * 2
    at_512, at_256 = (machine.needed_bytes(files, torch.float16, size) for size in (512, 256))
    assert weights + 6e9 < at_512 < weights + 9e9 and weights < at_256 < at_512 - 2e9
    assert machine.needed_bytes(files, torch.float32, 512) == pytest.approx(2 * at_512, rel=0.05)
    with pytest.raises(DeviceError, match="320 px fits"):
        machine.check_memory(files, torch.device("cuda"), torch.float16, 512, weights + 3e9)


def test_free_memory_is_asked_for() -> None:
    assert (machine.free_bytes(torch.device("cpu")) or 0) > 1e8 or not Path("/proc/meminfo").exists()


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert machine.place("auto", "fp16") == (torch.device("cpu"), torch.float32)
    with pytest.raises(DeviceError, match="finds no CUDA device") as caught:
        machine.place("cuda")
    assert "animator.svd.device=cpu" in caught.value.hint


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_running_out_of_memory_is_said(error: Exception) -> None:
    with pytest.raises(DeviceError, match="ran out of memory") as caught, machine.out_of_memory_is_said():
        raise error
    assert "size=384" in caught.value.hint
    with pytest.raises(RuntimeError, match="shapes"), machine.out_of_memory_is_said():
        raise RuntimeError("shapes cannot be multiplied")
