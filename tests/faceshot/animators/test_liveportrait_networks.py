"""The networks of LivePortrait against the published ones: names, shapes and numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")

from faceshot.animators.liveportrait.warping import gaussians, identity_grid, sample  # noqa: E402
from tests.faceshot.animators.liveportrait_golden import (  # noqa: E402
    Golden,
    crc32,
    made_input,
    make,
    state_dict,
)

STORED = (
    *("F_small", "M_small", "W_small", "G_small", "S", "R_lip", "R_eye", "spade_R_identity", "spade_R_learned"),
    *("blk_convnext", "blk_res3d", "blk_same2d_lrelu", "blk_hourglass"),
)
TOLERANCE = {"F_small": 2e-5, "W_small": 2e-5}


def outputs(result: object) -> dict[str, torch.Tensor]:
    if isinstance(result, torch.Tensor):
        return {"out": result}
    return result if isinstance(result, dict) else result._asdict()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", STORED)
def test_a_network_takes_the_published_weights_and_gives_their_outputs(shared_golden: Path, name: str) -> None:
    golden = Golden(shared_golden, name)
    net = make(name, golden.meta)
    net.load_state_dict(golden.group("sd"), strict=True)
    with torch.no_grad():
        made = outputs(net(*golden.group("in").values()))
    wanted = golden.group("out")
    assert made.keys() >= wanted.keys()
    for key, want in wanted.items():
        assert made[key].shape == want.shape
        assert (made[key] - want).abs().max() <= TOLERANCE.get(name, 5e-6), key


def test_no_convolution_of_m_is_one_that_cuda_rounds(shared_golden: Path) -> None:
    """Depthwise ones over rows of pixels are not; every other one would run in TF32."""
    from torch.utils._python_dispatch import TorchDispatchMode

    seen = []

    class Listening(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            if func.overloadpacket is torch.ops.aten.convolution:
                picture, weight, groups = args[0], args[1], args[8]
                seen.append(groups == picture.shape[1] == len(weight) and picture.is_contiguous())
            return func(*args, **(kwargs or {}))

    golden = Golden(shared_golden, "M_small")
    net = make("M_small", golden.meta)
    with torch.no_grad(), Listening():
        net(*golden.group("in").values())
    assert len(seen) == 5
    assert all(seen)


@pytest.mark.parametrize("name", ["full_F", "full_M", "full_W", "full_G"])
def test_full_size_networks_have_the_published_keys_and_shapes(shared_golden: Path, name: str) -> None:
    golden = Golden(shared_golden, name)
    with torch.device("meta"):
        net = make(name, golden.meta)
    ours = {
        key: (list(value.shape), str(value.dtype).removeprefix("torch.")) for key, value in net.state_dict().items()
    }
    assert ours == {key: (shape, dtype) for key, shape, dtype in golden.meta["keys"]}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "tolerance"), [("full_F", 2e-4), ("full_M", 2e-5), ("full_W", 2e-4)])
def test_full_size_networks_give_the_published_outputs(shared_golden: Path, name: str, tolerance: float) -> None:
    """The fixtures store no full-size weights, but their recipe tells. (Not of G: its u and v start at random.)"""
    golden = Golden(shared_golden, name)
    weights = state_dict([(key, shape) for key, shape, _ in golden.meta["keys"]], golden.meta["gain"])
    for key, value in weights.items():
        assert crc32(value) == golden.meta["weights_crc32"][key], key
    with torch.device("meta"):
        net = make(name, golden.meta)
    net.load_state_dict(weights, strict=True, assign=True)
    inputs = {arg: made_input(about) for arg, about in golden.meta["inputs"].items()}
    assert {arg: crc32(value) for arg, value in inputs.items()} == golden.meta["input_crc32"]
    with torch.no_grad():
        made = outputs(net(**inputs))
    strides = golden.meta.get("out_stride", {})
    for key, want in golden.group("out").items():
        steps = tuple(slice(None, None, step) for step in strides.get(key, [1] * made[key].ndim))
        assert (made[key][steps] - want).abs().max() <= tolerance, key


def test_grids_bells_and_sampling_are_the_published_ones(shared_golden: Path) -> None:
    golden = Golden(shared_golden, "ops")
    depth, height, width = golden["grid"].shape[:3]
    assert (identity_grid(depth, height, width, golden["grid"]) - golden["grid"]).abs().max() < 1e-6
    where, volume = golden["gauss"], golden["vol"]
    made = gaussians(golden["kp"], identity_grid(*where.shape[2:], golden["kp"]))
    assert (made - where).abs().max() < 5e-6
    grid = identity_grid(*volume.shape[2:], volume)[None]
    assert (sample(volume, grid) - golden["identity_grid_sampled"]).abs().max() < 5e-6
    assert (sample(volume, grid + golden["offset"]) - golden["offset_grid_sampled"]).abs().max() < 5e-6
    # Identity does not reproduce the input: the trap that the weights were trained with.
    assert (golden["identity_grid_sampled"] - volume).abs().max() > 0.1


def test_channel_norm_and_response_norm_are_the_published_ones(shared_golden: Path) -> None:
    from faceshot.animators.liveportrait.blocks import ChannelNorm
    from faceshot.animators.liveportrait.extractor import ResponseNorm

    golden = Golden(shared_golden, "ops")
    norm, grn = ChannelNorm(6), ResponseNorm(6)
    norm.load_state_dict({"weight": golden["ln_w"], "bias": golden["ln_b"]})
    grn.load_state_dict({"gamma": golden["grn_gamma"], "beta": golden["grn_beta"]})
    with torch.no_grad():
        assert (norm(golden["ln_x"]) - golden["ln_out"]).abs().max() < 5e-6
        assert (grn(golden["grn_x_nhwc"]) - golden["grn_out_nhwc"]).abs().max() < 5e-6
