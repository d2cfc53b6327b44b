"""The rewrites of W and G give the numbers of the networks they are made of."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")

import torch.nn.functional as F  # noqa: E402

from faceshot.animators.liveportrait.decoder import SpadeDecoder  # noqa: E402
from faceshot.animators.liveportrait.fast_decoder import EnlargedConv, FastDecoder  # noqa: E402
from faceshot.animators.liveportrait.fast_warping import FastWarping, doubled_weight, interleaved  # noqa: E402
from faceshot.animators.liveportrait.warping import WarpingNetwork  # noqa: E402
from tests.faceshot.animators.liveportrait_golden import Golden, make  # noqa: E402


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad():
        yield


@pytest.mark.parametrize("align", [1, 8])
def test_fast_warping_gives_the_published_outputs(shared_golden: Path, align: int) -> None:
    golden = Golden(shared_golden, "W_small")
    net = make("W_small", golden.meta)
    net.load_state_dict(golden.group("sd"))
    fast = FastWarping(net, align=align)  # type: ignore[arg-type]
    prepared = fast.prepare(golden["in/feature_3d"], golden["in/kp_source"])
    for key, made in fast(prepared, golden["in/kp_driving"])._asdict().items():
        assert (made - golden[f"out/{key}"]).abs().max() < 2e-5, key


def test_fast_decoder_gives_the_published_outputs(shared_golden: Path) -> None:
    golden = Golden(shared_golden, "G_small")
    net = make("G_small", golden.meta)
    net.load_state_dict(golden.group("sd"))
    made = FastDecoder(net)(golden["in/feature"])  # type: ignore[arg-type]
    assert (made - golden["out/out"]).abs().max() < 5e-6


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_an_enlarged_convolution_is_one_of_the_enlarged_map(factor: int) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(2, 3, 5, 7), torch.randn(4, 3, 3, 3), torch.randn(4)
    want = F.relu(F.conv2d(F.interpolate(x, scale_factor=factor), weight, bias, padding=1))
    assert torch.allclose(EnlargedConv(weight, bias, factor, torch.float32)(x), want, atol=1e-5)


def test_a_doubled_volume_is_convolved_before_doubling() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, 4, 5, 6), torch.randn(4, 3, 3, 3, 3)
    want = F.conv3d(F.interpolate(x, scale_factor=(1, 2, 2)), weight, padding=1)
    assert torch.allclose(interleaved(F.conv3d(x, doubled_weight(weight), padding=1)), want, atol=1e-5)


FULL_SIZE = pytest.mark.skipif(not os.environ.get("FACESHOT_FULL_SIZE"), reason="FACESHOT_FULL_SIZE=1 runs it")


@pytest.mark.slow
@pytest.mark.parametrize("side", [32, pytest.param(64, marks=FULL_SIZE)])
def test_pictures_of_full_size_networks_are_the_same_to_the_eye(side: int) -> None:
    """Wanted: mean difference below 1/255 and 40 dB; exact rewrites are far inside. Half the side is a quarter of the
    work of the same weights."""
    torch.manual_seed(0)
    warping, decoder = WarpingNetwork().eval(), SpadeDecoder().eval()
    feature, x_s = torch.randn(1, 32, 16, side, side), 0.3 * torch.randn(1, 21, 3)
    x_d = x_s + 0.03 * torch.randn(1, 21, 3)
    plain = decoder(warping(feature, x_d, x_s).out)
    fast_warping, fast_decoder = FastWarping(warping, align=8), FastDecoder(decoder)
    channels = {name: fast_warping.get_buffer(f"{name}_weight").shape[:2] for name in ("down0", "joined", "mask")}
    assert channels == {"down0": (64, 112), "joined": (144, 144), "mask": (24, 144)}
    del warping, decoder
    fast = fast_decoder(fast_warping(fast_warping.prepare(feature, x_s), x_d).out)
    assert fast.shape == (1, 3, 8 * side, 8 * side)
    assert (fast - plain).abs().mean() < 0.1 / 255
    assert -10 * torch.log10((fast - plain).square().mean()) > 60
    assert plain.std() > 0.05
