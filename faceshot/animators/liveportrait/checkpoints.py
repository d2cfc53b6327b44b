"""The published checkpoints: which file is which network, finding them, reading them safely, refusing what is not one.

Two layouts are read: the official one (`liveportrait/base_models/*.pth`, read without running any code of the file) and
its safetensors mirror (the same keys). A file is known by its keys and one shape before anything is built of it.
"""

from __future__ import annotations

import filecmp
import json
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from faceshot import weights
from faceshot.animators.liveportrait.appearance import AppearanceFeatureExtractor
from faceshot.animators.liveportrait.blocks import Mlp
from faceshot.animators.liveportrait.decoder import SpadeDecoder
from faceshot.animators.liveportrait.extractor import MotionExtractor
from faceshot.animators.liveportrait.official import Heads
from faceshot.animators.liveportrait.warping import WarpingNetwork
from faceshot.errors import CheckpointError, WeightsMissing

__all__ = ["FILES", "Networks", "Variant", "find_files", "identify", "load_networks", "read_state"]

Variant = Literal["human", "animals"]
N = TypeVar("N", bound=nn.Module)

_CONV = r"(bias|weight_orig|weight_[uv])"
_STAGE = r"stages\.[0-3]\.[0-8]\.(dwconv|norm|pwconv1|grn|pwconv2)"
_HOURGLASS = r"hourglass\.(encoder\.down_blocks\.[0-4]|decoder\.up_blocks\.[0-4]|decoder)\.(conv|norm)"


class _Slot(NamedTuple):
    """Attributes:
    title: for people.
    pattern: matches every key.
    key, shape: one that no other network has; -1 is any number.
    """

    title: str
    pattern: re.Pattern[str]
    key: str
    shape: tuple[int, ...]


_SLOTS: Final[Mapping[str, _Slot]] = {
    "appearance_feature_extractor": _Slot(
        "the appearance extractor F",
        re.compile(r"^(first|down_blocks\.[01])\.(conv|norm)\.|^second\.|^resblocks_3d\.3dr[0-5]\.(conv|norm)[12]\."),
        "second.weight",
        (-1, -1, 1, 1),
    ),
    "motion_extractor": _Slot(
        "the motion extractor M",
        re.compile(rf"^detector\.(downsample_layers\.[0-3]\.[01]|{_STAGE}|norm|fc_(kp|scale|pitch|yaw|roll|t|exp))\."),
        "detector.fc_kp.weight",
        (63, -1),
    ),
    "warping_module": _Slot(
        "the warping network W",
        re.compile(
            rf"^dense_motion_network\.({_HOURGLASS}|mask|compress|norm|occlusion)\.|^third\.(conv|norm)\.|^fourth\."
        ),
        "dense_motion_network.mask.weight",
        (22, -1, 7, 7, 7),
    ),
    "spade_generator": _Slot(
        "the decoder G",
        re.compile(
            r"^(fc|conv_img\.0)\.|"
            rf"^(G_middle_[0-5]|up_[01])\.(conv_[01s]\.{_CONV}|norm_[01s]\.(mlp_shared\.0|mlp_gamma|mlp_beta)\.)"
        ),
        "up_1.conv_0.weight_orig",
        (-1, -1, 3, 3),
    ),
    "stitching_retargeting_module": _Slot(
        "the stitching and retargeting networks",
        re.compile(r"^retarget_(shoulder|mouth|eye)_module\.mlp\.\d+\.(weight|bias)$"),
        "retarget_shoulder_module.mlp.0.weight",
        (128, 126),
    ),
}
FILES: Final[Mapping[Variant, Mapping[str, str]]] = {
    "human": {
        **{name: f"liveportrait/base_models/{name}.pth" for name in list(_SLOTS)[:4]},
        "stitching_retargeting_module": "liveportrait/retargeting_models/stitching_retargeting_module.pth",
    },
    "animals": {
        **{name: f"liveportrait_animals/base_models_v1.1/{name}.pth" for name in list(_SLOTS)[:4]},
        # The published animal program loads the human one too.
        "stitching_retargeting_module": "liveportrait/retargeting_models/stitching_retargeting_module.pth",
    },
}
_KIND: Final[Mapping[Variant, str]] = {"human": "liveportrait", "animals": "liveportrait_animals"}
_PARTS: Final = {"retarget_shoulder": 0, "retarget_mouth": 1, "retarget_eye": 2}
_HEADER_BYTES_MAX: Final = 100_000_000


class Networks(NamedTuple):
    """All networks, in eval mode, on the CPU, in 32 bits."""

    appearance: AppearanceFeatureExtractor
    motion: MotionExtractor
    warping: WarpingNetwork
    decoder: SpadeDecoder
    heads: Heads


def load_networks(folder: Path | None = None, variant: Variant = "human") -> Networks:
    """Find, check and load all files of a variant; sizes are read off the files.

    Args:
        folder: the configured models folder, see `faceshot.weights.find`.

    Raises:
        WeightsMissing: a file is not there. CheckpointError: it is damaged, cut off or of another network.
    """
    paths = find_files(folder, variant)
    _check_variants(paths, variant, folder)
    states = {slot: _checked(slot, path, variant) for slot, path in paths.items()}
    appearance, motion, warping, decoder, heads = (states[slot] for slot in _SLOTS)
    return Networks(
        _built(lambda: _appearance(appearance), appearance, paths["appearance_feature_extractor"]),
        _built(lambda: _motion(motion), motion, paths["motion_extractor"]),
        _built(lambda: _warping(warping, appearance), warping, paths["warping_module"]),
        _built(lambda: _decoder(decoder), decoder, paths["spade_generator"]),
        _heads(heads, paths["stitching_retargeting_module"]),
    )


def find_files(folder: Path | None = None, variant: Variant = "human") -> dict[str, Path]:
    """The file of each network; nothing is read. Raises `WeightsMissing` with the command that fetches them."""
    return {slot: _find(slot, file, variant, folder) for slot, file in FILES[variant].items()}


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.pth` or `.safetensors` file; the stitching file's three networks as the mirror names them.

    Raises:
        CheckpointError: damaged, cut off, or more than tensors.
    """
    fault = _structural_fault(path)
    if fault:
        raise CheckpointError(f"{path} is damaged or only partly there: {fault}.", _again(path))
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as bad:  # what a damaged file raises is not documented by either library
        reason = str(bad).splitlines()[0] if str(bad) else type(bad).__name__
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {reason}", _again(path)) from bad
    return dict(_flattened(content, path))


def identify(state: Mapping[str, Tensor]) -> str | None:
    """Which network a state dict is of, by its keys and one shape; None when of none that is known."""
    for name, slot in _SLOTS.items():
        fits = slot.key in state and state[slot.key].ndim == len(slot.shape)
        fits = fits and all(want in (-1, got) for want, got in zip(slot.shape, state[slot.key].shape, strict=True))
        if fits and all(slot.pattern.match(key) for key in state):
            return name
    return None


def _find(slot: str, file: str, variant: Variant, folder: Path | None) -> Path:
    for name in (file, str(Path(file).with_suffix(".safetensors")), f"{Path(file).parts[0]}/{slot}.safetensors"):
        path = weights.find(name, folder)
        if path is not None:
            return path
    places = ", ".join(str(place) for place in weights.search_folders(folder))
    raise WeightsMissing(
        f"The model file {file} is in none of: {places}.", f"Type: faceshot models pull {_KIND[variant]}"
    )


def _checked(slot: str, path: Path, variant: Variant) -> dict[str, Tensor]:
    state = read_state(path)
    found = identify(state)
    if found == slot:
        return state
    wanted = _SLOTS[slot].title
    if found is None:
        odd = next((key for key in state if not _SLOTS[slot].pattern.match(key)), None)
        why = f"it has the key {odd!r}" if odd else f"{_SLOTS[slot].key} is not there or has another shape"
        raise CheckpointError(f"{path} is not {wanted} of LivePortrait: {why}.", _again(path))
    raise CheckpointError(f"{path} should be {wanted}, but it is {_SLOTS[found].title}.", _again(path))


def _check_variants(paths: Mapping[str, Path], variant: Variant, folder: Path | None) -> None:
    """Human and animal files have the same keys and shapes, and their publisher states no hashes. A file in the wrong
    folder shows when it is a link into the other one, or when the other one has the same file."""
    other: Variant = "animals" if variant == "human" else "human"
    for slot, path in paths.items():
        if slot == "stitching_retargeting_module":
            continue
        real = path.resolve()
        if _KIND[other] in real.parts[-3:]:
            raise CheckpointError(
                f"{path} should be of the {variant} weights, but it is a link to {real}.",
                f"Delete the link, then type: faceshot models pull {_KIND[variant]}",
            )
        try:
            twin = _find(slot, FILES[other][slot], other, folder)
        except WeightsMissing:
            continue
        if filecmp.cmp(path, twin, shallow=False):  # reads up to the first difference
            raise CheckpointError(
                f"{path} and {twin} are the same file: one of them is in the wrong place.",
                f"Delete both, then type: faceshot models pull {_KIND['human']} {_KIND['animals']}",
            )


def _structural_fault(path: Path) -> str | None:
    """What is wrong with the file's frame; seen without reading the tensors, so before memory is taken."""
    size = path.stat().st_size
    if path.suffix != ".safetensors":
        return None if weights.ends_as_pth(path) else f"its {size} bytes do not end as a .pth file does"
    with path.open("rb") as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else _HEADER_BYTES_MAX + 1
        if length > min(_HEADER_BYTES_MAX, size):
            return f"its {size} bytes do not begin as a .safetensors file does"
        try:
            about = json.loads(file.read(length))
            end = max((entry["data_offsets"][1] for name, entry in about.items() if name != "__metadata__"), default=0)
        except (ValueError, KeyError, TypeError, AttributeError):
            return "its list of tensors is not readable"
    wanted = 8 + length + int(end)
    return None if size == wanted else f"it has {size} bytes, its list of tensors promises {wanted}"


def _flattened(content: object, path: Path) -> Iterator[tuple[str, Tensor]]:
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not a table of tensors.", _again(path))
    if not _PARTS.keys() <= content.keys():
        yield from _tensors(content, "", path)
        return
    for part in _PARTS:
        yield from _tensors(content[part], f"{part}_module.", path)


def _tensors(table: object, prefix: str, path: Path) -> Iterator[tuple[str, Tensor]]:
    if not isinstance(table, Mapping):
        raise CheckpointError(f"{path} holds a {type(table).__name__} where tensors should be.", _again(path))
    for key, value in table.items():
        if not isinstance(value, Tensor):
            what = f"{key!r} is a {type(value).__name__}"
            raise CheckpointError(f"{path} is no table of tensors only: {what}.", _again(path))
        yield prefix + str(key).removeprefix("module."), value


def _again(path: Path) -> str:
    kind = _KIND["animals" if "liveportrait_animals" in path.parts else "human"]
    return f"Delete it, then type: faceshot models pull {kind}"


def _built(make: Callable[[], N], state: Mapping[str, Tensor], path: Path) -> N:
    try:
        with torch.device("meta"):  # no random weights that are overwritten at once
            net = make()
        net.load_state_dict({key: value.float() for key, value in state.items()}, strict=True, assign=True)
    except (RuntimeError, KeyError, IndexError, ValueError) as bad:
        reason = " ".join(str(bad).split())[:200]
        raise CheckpointError(f"{path} does not fit the network: {reason}", _again(path)) from bad
    return net.eval().requires_grad_(False)


def _count(state: Mapping[str, Tensor], pattern: str) -> int:
    return len({match[1] for key in state if (match := re.match(pattern, key))})


def _appearance(state: Mapping[str, Tensor]) -> AppearanceFeatureExtractor:
    channels = state["resblocks_3d.3dr0.conv1.weight"].shape[0]
    features = state["second.weight"].shape[0]
    return AppearanceFeatureExtractor(
        block_expansion=state["first.conv.weight"].shape[0],
        num_down_blocks=_count(state, r"down_blocks\.(\d+)\."),
        max_features=features,
        reshape_channel=channels,
        reshape_depth=features // channels,
        num_resblocks=_count(state, r"resblocks_3d\.3dr(\d+)\."),
    )


def _motion(state: Mapping[str, Tensor]) -> MotionExtractor:
    depths = [_count(state, rf"detector\.stages\.{stage}\.(\d+)\.") for stage in range(4)]
    dims = [state[f"detector.stages.{stage}.0.dwconv.bias"].shape[0] for stage in range(4)]
    bins = state["detector.fc_yaw.bias"].shape[0]
    return MotionExtractor(depths=tuple(depths), dims=tuple(dims), num_bins=bins)


def _warping(state: Mapping[str, Tensor], appearance: Mapping[str, Tensor]) -> WarpingNetwork:
    channels = appearance["resblocks_3d.3dr0.conv1.weight"].shape[0]
    out_features, flat = state["third.conv.weight"].shape[:2]
    first = state["dense_motion_network.hourglass.encoder.down_blocks.0.conv.weight"].shape[0]
    blocks = _count(state, r"dense_motion_network\.hourglass\.encoder\.down_blocks\.(\d+)\.")
    widths = [
        state[f"dense_motion_network.hourglass.encoder.down_blocks.{i}.conv.weight"].shape[0] for i in range(blocks)
    ]
    return WarpingNetwork(
        block_expansion=out_features,
        max_features=max(flat, out_features),
        num_down_blocks=0,
        reshape_channel=channels,
        reshape_depth=flat // channels,
        dense_block_expansion=first // 2,
        dense_max_features=max(widths),
        dense_num_blocks=blocks,
        dense_compress=state["dense_motion_network.compress.weight"].shape[0],
    )


def _decoder(state: Mapping[str, Tensor]) -> SpadeDecoder:
    label = state["fc.weight"].shape[1]
    last, out_channels = state["conv_img.0.weight"].shape[:2]
    return SpadeDecoder(
        upscale=round((last // 3) ** 0.5),
        max_features=label,
        block_expansion=label,
        out_channels=out_channels,
        num_down_blocks=0,
        hidden=state["up_1.norm_0.mlp_gamma.weight"].shape[1],
    )


def _heads(state: Mapping[str, Tensor], path: Path) -> Heads:
    def mlp(part: str) -> Mlp:
        own = {key.partition(".")[2]: value for key, value in state.items() if key.startswith(f"{part}_module.")}
        sizes = [
            own[key].shape for key in sorted(own, key=lambda key: int(key.split(".")[1])) if key.endswith("weight")
        ]
        if not sizes:
            raise CheckpointError(f"{path} lacks the network {part}.", _again(path))
        hidden = [int(shape[0]) for shape in sizes[:-1]]
        return _built(lambda: Mlp(int(sizes[0][1]), hidden, int(sizes[-1][0])), own, path)

    return Heads(*(mlp(part) for part in _PARTS))
