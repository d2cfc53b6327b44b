"""The published files: finding, checking and loading them. Nothing is built of a file before its keys and shapes fit.

Stock classes for the UNet, the VAE and the image encoder; sizes are read off the files and their `config.json`, so the
small models of `faceshot.animators.svd.tiny` come the same way.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from faceshot.animators.svd.cmp import Cmp
from faceshot.animators.svd.controlnet import ControlNetConfig, FlowControlNet
from faceshot.animators.svd.files import CMP_FILE, CONTROLNET, FAST_UNET, SVD_FOLDERS
from faceshot.backbone import hushed
from faceshot.errors import CheckpointError, WeightsMissing
from faceshot.weights import find, search_folders

__all__ = ["SvdFiles", "SvdModels", "find_files", "load_models", "read_shapes"]

_PULL: Final = "Type: faceshot models pull svd"
_AGAIN: Final = "Delete it, then type: faceshot models pull svd"
_NETWORK: Final = "diffusion_pytorch_model"
_HEADER_BYTES_MAX: Final = 100_000_000
_SHOWN: Final = 6
_PUBLISHED: Final = ControlNetConfig()
_UNET_HEADS: Final = (5, 10, 20, 20)

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class SvdFiles:
    """Where each part is. `fast_unet` is None unless it was asked for and is there."""

    unet: Path
    vae: Path
    image_encoder: Path
    scheduler: Path
    controlnet: Path
    cmp: Path
    fast_unet: Path | None = None

    @property
    def bytes(self) -> int:
        """Size of the weights on disk."""
        return sum(path.stat().st_size for path in (self.unet, self.vae, self.image_encoder, self.controlnet, self.cmp))


@dataclass(slots=True, eq=False)
class SvdModels:
    """All networks in eval mode on one device.

    Attributes:
        unet: `UNetSpatioTemporalConditionModel`.
        vae: `AutoencoderKLTemporalDecoder`; its encoder computes in float32, see `vae_encoder_dtype`.
        image_encoder: `CLIPVisionModelWithProjection`.
        scheduler: configuration of the `EulerDiscreteScheduler`.
        controlnet: the landmark adapter.
        cmp: float32 always.
        device, dtype: of the UNet, the ControlNet, the image encoder and the VAE's decoder.
        files: where they came from.
    """

    unet: Any
    vae: Any
    image_encoder: Any
    scheduler: dict[str, Any]
    controlnet: FlowControlNet
    cmp: Cmp
    device: torch.device
    dtype: torch.dtype
    files: SvdFiles


def find_files(folder: Path | None = None, fast: bool = False) -> SvdFiles:
    """The file of each part; nothing is read.

    Args:
        folder: the configured models folder, see `faceshot.weights.find`.
        fast: also look for the UNet of few steps; it is optional.

    Raises:
        WeightsMissing: names every file that is nowhere, and the command that fetches them.
    """
    missing: list[str] = []

    def one(*names: str) -> Path:
        for name in names:
            path = find(name, folder)
            if path is not None:
                return path
        missing.append(names[0])
        return Path(names[0])

    def part(name: str, stem: str) -> Path:
        # Half the download first; what is computed with is the caller's choice.
        endings = (".fp16.safetensors", ".safetensors")
        return one(*(f"{svd}/{name}/{stem}{end}" for svd in SVD_FOLDERS for end in endings))

    files = SvdFiles(
        unet=part("unet", _NETWORK),
        vae=part("vae", _NETWORK),
        image_encoder=part("image_encoder", "model"),
        scheduler=one(*(f"{svd}/scheduler/scheduler_config.json" for svd in SVD_FOLDERS)),
        controlnet=one(f"{CONTROLNET}/{_NETWORK}.safetensors"),
        cmp=one(CMP_FILE),
        fast_unet=find(FAST_UNET, folder) if fast else None,
    )
    configs = [files.unet, files.vae, files.image_encoder] if not missing else []
    missing += [str(path.parent / "config.json") for path in configs if not (path.parent / "config.json").is_file()]
    if missing:
        places = ", ".join(str(place) for place in search_folders(folder))
        raise WeightsMissing(f"Missing for the animator svd: {', '.join(missing)}. Searched: {places}.", _PULL)
    return files


def load_models(
    folder: Path | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    fast: bool = False,
    progress: Callable[[str, int, int], None] = lambda part, done, total: None,
) -> SvdModels:
    """Find, check and load everything.

    Args:
        folder: see `find_files`.
        device, dtype: see `SvdModels`.
        fast: load the UNet of few steps instead of the published one, where it is there.
        progress: called with the part that comes next, parts done, and parts in all.

    Raises:
        WeightsMissing, CheckpointError: a file is not there, damaged, cut off, or of another network.
    """
    from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel

    files = find_files(folder, fast)
    device = torch.device(device)
    parts = 5
    progress("UNet", 0, parts)
    unet_config = _config_of(files.unet)
    _check_unet_heads(unet_config, files.unet)
    unet = _loaded(lambda: _stock(UNetSpatioTemporalConditionModel, unet_config), files.fast_unet or files.unet, dtype)
    unet = unet.to(device)
    progress("ControlNet", 1, parts)
    sizes = _controlnet_config(files.controlnet)
    controlnet = _loaded(lambda: FlowControlNet(sizes), files.controlnet, dtype).to(device)
    progress("VAE", 2, parts)
    vae_config = _config_of(files.vae)
    vae = _loaded(lambda: _stock(AutoencoderKLTemporalDecoder, vae_config), files.vae, dtype).to(device)
    vae.encoder.float()
    vae.quant_conv.float()
    progress("image encoder", 3, parts)
    encoder = _image_encoder(files.image_encoder, dtype).to(device)
    progress("CMP", 4, parts)
    cmp = load_cmp(files.cmp).to(device)
    _check_fits(unet, controlnet, encoder, files)
    scheduler = _json_of(files.scheduler)
    progress("ready", parts, parts)
    return SvdModels(unet, vae, encoder, scheduler, controlnet, cmp, device, dtype, files)


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Keys and shapes of a `.safetensors` file, without its tensors. Raises `CheckpointError` when it is cut off."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else _HEADER_BYTES_MAX + 1
        if length > min(_HEADER_BYTES_MAX, size):
            raise CheckpointError(f"{path} is damaged: it does not begin as a .safetensors file does.", _AGAIN)
        try:
            about = json.loads(file.read(length))
            about.pop("__metadata__", None)
            end = max((entry["data_offsets"][1] for entry in about.values()), default=0)
            shapes = {key: tuple(entry["shape"]) for key, entry in about.items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CheckpointError(f"{path} is damaged: its list of tensors is not readable.", _AGAIN) from None
    wanted = 8 + length + int(end)
    if size != wanted:
        raise CheckpointError(f"{path} is only partly there: {size} bytes, its list promises {wanted}.", _AGAIN)
    return shapes


def load_cmp(path: Path) -> Cmp:
    """The CMP network out of its training checkpoint; nothing in the file is run."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as bad:  # what a damaged file raises is not documented
        reason = str(bad).splitlines()[0][:200] if str(bad) else type(bad).__name__
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {reason}", _AGAIN) from bad
    table = content.get("state_dict") if isinstance(content, Mapping) else None
    if not isinstance(table, Mapping) or not all(isinstance(value, Tensor) for value in table.values()):
        raise CheckpointError(f"{path} has no table of tensors under `state_dict`: it is not CMP's checkpoint.", _AGAIN)
    state = {str(key).removeprefix("module."): value for key, value in table.items()}
    base = state["image_encoder.conv1.weight"].shape[0] if "image_encoder.conv1.weight" in state else 64
    depths = [
        len({key.split(".")[2] for key in state if key.startswith(f"image_encoder.layer{i}.")}) for i in range(1, 5)
    ]
    net = _on_meta(lambda: Cmp(base, depths if all(depths) else (3, 4, 6, 3)))
    wanted = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    for key in wanted:  # counters of training that older files lack
        if key.endswith("num_batches_tracked"):
            state.setdefault(key, torch.zeros((), dtype=torch.int64))
    _compare({key: tuple(value.shape) for key, value in state.items()}, wanted, path, "CMP")
    net.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in state.items()}, assign=True)
    return net.eval().requires_grad_(False)


def _loaded(make: Callable[[], nn.Module], path: Path, dtype: torch.dtype) -> Any:
    """A network made without weights, its file compared with it, and only then filled."""
    from safetensors.torch import load_file

    shapes = read_shapes(path)
    try:
        net = _on_meta(make)
    except (RuntimeError, ValueError, TypeError, ZeroDivisionError) as bad:
        reason = " ".join(str(bad).split())[:200]
        raise CheckpointError(f"No network can be made as the sizes beside {path} say: {reason}", _AGAIN) from bad
    name = type(net).__name__
    _compare(shapes, {key: tuple(value.shape) for key, value in net.state_dict().items()}, path, name)
    net.load_state_dict({key: value.to(dtype) for key, value in load_file(path).items()}, assign=True)
    return net.eval().requires_grad_(False)


def _compare(got: Shapes, wanted: Shapes, path: Path, name: str) -> None:
    """Refuse with a list of what differs."""
    missing = [key for key in wanted if key not in got]
    extra = [key for key in got if key not in wanted]
    other = [
        f"{key} {list(got[key])} instead of {list(wanted[key])}"
        for key in wanted
        if got.get(key, wanted[key]) != wanted[key]
    ]
    faults = [
        f"{len(rows)} {what}: {', '.join(rows[:_SHOWN])}{' ...' if len(rows) > _SHOWN else ''}"
        for what, rows in (("missing", missing), ("not known", extra), ("of another shape", other))
        if rows
    ]
    if faults:
        raise CheckpointError(f"{path} is not the {name} that belongs there. Tensors {'; '.join(faults)}.", _AGAIN)


def _image_encoder(path: Path, dtype: torch.dtype) -> Any:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    shapes = read_shapes(path)
    config = CLIPVisionConfig(**_config_of(path))
    net = _on_meta(lambda: CLIPVisionModelWithProjection(config))
    wanted = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    # Old files store a row of numbers that is no weight.
    got = {key: shape for key, shape in shapes.items() if not key.endswith("position_ids")}
    _compare(got, wanted, path, "CLIP image encoder")
    try:
        with hushed():
            variant = "fp16" if path.name.endswith(".fp16.safetensors") else None
            loaded = CLIPVisionModelWithProjection.from_pretrained(
                path.parent, variant=variant, local_files_only=True, use_safetensors=True, dtype=dtype
            )
    except (OSError, ValueError, RuntimeError, KeyError) as bad:
        raise CheckpointError(f"{path} cannot be loaded: {str(bad).splitlines()[0][:200]}", _AGAIN) from bad
    return loaded.eval().requires_grad_(False)


def _controlnet_config(path: Path) -> ControlNetConfig:
    """Sizes off the file. Heads are the published ones at the published widths, whatever `config.json` says."""
    shapes = read_shapes(path)

    def size(key: str, axis: int = 0) -> int:
        shape = shapes.get(key)
        if shape is None or len(shape) <= axis:
            wanted = _on_meta(FlowControlNet).state_dict()
            _compare(shapes, {k: tuple(v.shape) for k, v in wanted.items()}, path, "FlowControlNet")
        return int(shapes[key][axis])

    channels = tuple(size(f"controlnet_down_blocks.{k}.weight") for k in (0, 4, 7, 10))
    about = path.parent / "config.json"
    heads = _PUBLISHED.heads
    if channels != _PUBLISHED.channels:
        told = _json_of(about).get("num_attention_heads") if about.is_file() else None
        heads = tuple(told) if isinstance(told, list) and len(told) == 4 else heads

    def widths(net: str) -> tuple[int, ...]:
        return (size(f"{net}.conv_in.weight"), *(size(f"{net}.blocks.{k}.weight") for k in (1, 3, 5)))

    return ControlNetConfig(
        channels=channels,
        heads=heads,
        cross=size("down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight", 1),
        time_ids=size("add_embedding.linear_1.weight", 1) // 3,
        picture=widths("controlnet_cond_embedding"),
        pose=widths("controlnet_ldmk_embedding"),
        matting=(
            size("occlusions.8.matting_mask.weight", 1),
            size("occlusions.8.hourglass.encoder.down_blocks.2.conv.weight"),
        ),
        layers=len({key.split(".")[3] for key in shapes if re.match(r"down_blocks\.0\.resnets\.\d+\.", key)}),
    )


def _check_unet_heads(config: Mapping[str, Any], path: Path) -> None:
    """No shape shows how many heads there are, so a wrong number would pass unseen."""
    if tuple(config.get("block_out_channels", ())) != _PUBLISHED.channels:
        return
    heads = config.get("num_attention_heads", _UNET_HEADS)
    if tuple(heads) != _UNET_HEADS:
        where = path.parent / "config.json"
        raise CheckpointError(f"{where}: num_attention_heads is {list(heads)}, SVD has {list(_UNET_HEADS)}.", _AGAIN)


def _check_fits(unet: Any, controlnet: FlowControlNet, encoder: Any, files: SvdFiles) -> None:
    """The parts must be of one size: each may be whole and still belong to another model."""
    pairs = {
        "widths": (tuple(unet.config.block_out_channels), controlnet.config.channels),
        "image embedding": (unet.config.cross_attention_dim, controlnet.config.cross),
        "embedding of the picture": (encoder.config.projection_dim, controlnet.config.cross),
        "time ids": (unet.config.addition_time_embed_dim, controlnet.config.time_ids),
    }
    for what, (ours, theirs) in pairs.items():
        if ours != theirs:
            raise CheckpointError(
                f"{files.controlnet} and {files.unet} do not belong together: {what} {theirs} and {ours}.", _PULL
            )


def _stock(kind: Any, config: dict[str, Any]) -> nn.Module:
    with hushed():
        net: nn.Module = kind.from_config(config)
    return net


def _on_meta(make: Callable[[], Any]) -> Any:
    with torch.device("meta"):
        return make()


def _config_of(weights: Path) -> dict[str, Any]:
    return _json_of(weights.parent / "config.json")


def _json_of(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as bad:
        raise CheckpointError(f"{path} is not readable: {bad}", _AGAIN) from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no settings.", _AGAIN)
    return content
