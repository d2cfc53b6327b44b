"""The parts of live SVD on their own: the streaming decoder, few-step sampling, the constant attention, the rungs."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")
pytest.importorskip("diffusers", reason="diffusers is not installed: pip install '.[gpu]'")

from faceshot.animators.svd import consistency, live_engine  # noqa: E402
from faceshot.animators.svd.chunk import coefficients  # noqa: E402
from faceshot.animators.svd.constant_attention import constants_of, make_constant, using  # noqa: E402
from faceshot.animators.svd.controlnet import FlowControlNet  # noqa: E402
from faceshot.animators.svd.files import TINY_DECODER  # noqa: E402
from faceshot.animators.svd.live_settings import LiveSettings, rungs_of, what_fits  # noqa: E402
from faceshot.animators.svd.taesdv import TinyVideoDecoder, load_decoder  # noqa: E402
from faceshot.errors import CheckpointError, OutOfMemory, WeightsMissing  # noqa: E402

# TAESDV


@pytest.fixture(scope="module")
def decoder() -> TinyVideoDecoder:
    torch.manual_seed(0)
    return TinyVideoDecoder(width=6).eval().requires_grad_(False)


def test_the_decoder_is_the_published_one() -> None:
    with torch.device("meta"):
        net = TinyVideoDecoder()
    assert sum(p.numel() for p in net.parameters()) == 1_591_171
    shapes = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    assert shapes["decoder.1.weight"] == (64, 4, 3, 3)
    assert shapes["decoder.3.conv.0.weight"] == (64, 128, 3, 3)
    assert shapes["decoder.7.weight"] == (64, 64, 3, 3) and "decoder.7.bias" not in shapes
    assert shapes["decoder.18.conv.4.bias"] == (64,)
    assert shapes["decoder.19.weight"] == (3, 64, 3, 3)
    sides = [memory.shape[2] for memory in net.blank_memory(8, 8)]
    assert sides == [8, 8, 8, 16, 16, 16, 32, 32, 32, 64]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_a_stream_is_decoded_exactly_as_the_whole_clip(decoder: TinyVideoDecoder, chunks: list[int]) -> None:
    latents = torch.randn(sum(chunks), 4, 4, 6, generator=torch.Generator().manual_seed(sum(chunks)))
    whole, _ = decoder(latents, decoder.blank_memory(4, 6))
    memory, parts = decoder.blank_memory(4, 6), []
    for some in latents.split(chunks):
        pictures, memory = decoder(some, memory)
        parts.append(pictures)
    streamed = torch.cat(parts)
    assert whole.shape == (sum(chunks), 3, 32, 48)
    assert torch.allclose(whole, streamed, atol=1e-6), float((whole - streamed).abs().max())


def test_a_picture_depends_on_the_past_and_not_on_the_future(decoder: TinyVideoDecoder) -> None:
    latents = torch.randn(4, 4, 4, 4)
    blank = decoder.blank_memory(4, 4)
    before = decoder(latents, blank)[0]
    changed = latents.clone()
    changed[2] += 1
    after = decoder(changed, blank)[0]
    assert torch.equal(before[:2], after[:2])
    assert not torch.allclose(before[3], after[3], atol=1e-4)


def test_the_decoder_is_read_without_running_the_file_and_refused_with_a_list(tmp_path: Path) -> None:
    path = tmp_path / TINY_DECODER
    with pytest.raises(WeightsMissing, match=r"taesdv\.pth") as missing:
        load_decoder(tmp_path)
    assert "faceshot models pull svd-fast" in missing.value.hint
    path.parent.mkdir()
    state = {**TinyVideoDecoder(5).state_dict(), "encoder.0.weight": torch.zeros(1)}
    torch.save(state, path)
    assert load_decoder(tmp_path).width == 5, "the encoder of the published file is not used"
    bad = {key: value for key, value in state.items() if key != "decoder.3.conv.2.bias"}
    torch.save({**bad, "decoder.4.gain": torch.zeros(1), "decoder.7.weight": torch.zeros(5, 5, 1, 1)}, path)
    with pytest.raises(CheckpointError) as other:
        load_decoder(tmp_path)
    for part in ("decoder.3.conv.2.bias is missing", "decoder.4.gain is not known", "[5, 5, 1, 1] instead of"):
        assert part in other.value.message
    for content in (b"", path.read_bytes()[:300], pickle.dumps(Path("x"))):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match="cannot be read") as damaged:
            load_decoder(tmp_path)
        assert "Delete it" in damaged.value.hint
    torch.save({"decoder.1.weight": "text"}, path)
    with pytest.raises(CheckpointError, match="no table of tensors"):
        load_decoder(tmp_path)


# Few steps


@pytest.mark.parametrize(
    ("steps", "wanted"),
    [
        (1, [700]),
        (2, [700, 13.68]),
        (4, [700, 128.6, 13.68, 0.497]),
        (6, [700, 266, 86.7, 22.8, 4.35, 0.497]),
        (8, [700, 316, 129, 45.9, 13.7, 3.17, 0.497, 0.040]),
    ],
)
def test_sigmas_are_those_of_the_published_sampler(steps: int, wanted: list[float]) -> None:
    assert consistency.few_sigmas(steps) == pytest.approx(wanted, rel=0.01)


def test_a_warm_start_begins_at_4_353_then_0_497() -> None:
    assert consistency.warm_sigmas(2) == pytest.approx([4.353, 0.497], rel=1e-3)
    for steps in (1, 2, 4):
        assert len(consistency.warm_sigmas(steps)) == steps
        assert consistency.check_sigmas(consistency.warm_sigmas(steps)) is None


def test_the_clean_guess_is_that_of_the_stock_scheduler() -> None:
    from diffusers import EulerDiscreteScheduler

    stock = EulerDiscreteScheduler(
        prediction_type="v_prediction",
        use_karras_sigmas=True,
        sigma_min=0.002,
        sigma_max=700.0,
        timestep_type="continuous",
    )
    stock.set_timesteps(40)
    x, v = torch.randn(2, 4, 3, 3, dtype=torch.float64), torch.randn(2, 4, 3, 3, dtype=torch.float64)
    for i in (0, 10, 24, 30):
        sigma = float(stock.sigmas[i])
        assert sigma == pytest.approx(consistency.LADDER[i], rel=1e-5)
        assert consistency.timestep(sigma) == pytest.approx(float(stock.timesteps[i]), abs=1e-5)
        stock._step_index = i
        theirs = stock.step(v, stock.timesteps[i], x).pred_original_sample
        row = coefficients([sigma])[0].double()
        assert torch.allclose(x * row[2] + v * row[3], theirs.double(), atol=1e-4)
        assert consistency.c_in(sigma) == pytest.approx(float(row[1]))


def test_statistics_are_matched_frame_by_frame() -> None:
    reference = torch.randn(4, 8, 8) * torch.tensor([1.0, 2, 3, 4])[:, None, None] + 1
    mean, std = consistency.statistics(reference)
    latents = 5 * torch.randn(3, 4, 8, 8) - 2
    whole = consistency.matched(latents, mean, std, 1.0)
    assert torch.allclose(whole.mean((2, 3)), mean[None, :, 0, 0].expand(3, 4), atol=1e-4)
    assert torch.allclose(whole.std((2, 3), correction=0), std[None, :, 0, 0].expand(3, 4), atol=1e-3)
    assert torch.equal(consistency.matched(latents, mean, std, 0.0), latents)
    assert torch.allclose(consistency.matched(latents[1:2], mean, std, 1.0), whole[1:2]), "a frame for itself"


@pytest.mark.parametrize("sigmas", [(), (701.0,), (1.0, 1.0), (0.5, 4.0), (0.001,), (float("nan"),)])
def test_sigmas_that_cannot_be_are_named(sigmas: tuple[float, ...]) -> None:
    assert consistency.check_sigmas(sigmas)


# Constant attention


def small_unet() -> torch.nn.Module:
    from diffusers import UNetSpatioTemporalConditionModel

    torch.manual_seed(1)
    return UNetSpatioTemporalConditionModel(
        block_out_channels=(32, 64),
        down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
        up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
        num_attention_heads=(2, 4),
        cross_attention_dim=24,
        addition_time_embed_dim=16,
        projection_class_embeddings_input_dim=48,
        layers_per_block=1,
    ).eval()


@torch.no_grad()
def test_the_rewrite_equals_the_stock_network() -> None:
    stock = small_unet()
    ours = copy.deepcopy(stock)
    assert make_constant(ours) == 8
    assert make_constant(ours) == 0, "once"
    x, time, ids = torch.randn(1, 5, 8, 8, 8), torch.tensor(0.7), torch.tensor([[6.0, 127.0, 0.02]])
    tokens = torch.randn(2, 1, 1, 24)
    made = [constants_of(token, ours) for token in tokens]
    for token, constants in zip(tokens, made, strict=True):
        with using(constants):
            got = ours(x, time, token, ids).sample
        wanted = stock(x, time, token, ids).sample
        assert float((got - wanted).abs().max()) < 1e-5 * float(wanted.abs().max())
    with using(made[0]):
        with using(made[1]):
            pass
        assert torch.equal(ours(x, time, tokens[0], ids).sample, _sample(ours, made[0], x, time, tokens[0], ids))


def _sample(net, constants, x, time, token, ids):  # type: ignore[no-untyped-def]
    with using(constants):
        return net(x, time, token, ids).sample


def test_the_published_networks_have_32_and_14_of_them() -> None:
    from diffusers import UNetSpatioTemporalConditionModel

    with torch.device("meta"):
        unet = UNetSpatioTemporalConditionModel(num_attention_heads=(5, 10, 20, 20))
        control = FlowControlNet()
    before = sum(p.numel() for p in unet.parameters())
    assert make_constant(unet) == 32
    assert make_constant(control) == 14
    assert before - sum(p.numel() for p in unet.parameters()) == 50_389_760


@torch.no_grad()
def test_weights_laid_out_for_tensor_cores_give_the_same() -> None:
    """Also where a network has convolutions over time, whose weights have five dimensions."""
    net = small_unet()
    x, ids = torch.randn(1, 3, 8, 8, 8), torch.tensor([[6.0, 127.0, 0.02]])
    token = torch.randn(1, 1, 24)
    before = net(x, torch.tensor(0.7), token, ids).sample
    live_engine.channels_last(net)
    assert net.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(net(x, torch.tensor(0.7), token, ids).sample, before, atol=1e-5)


# Rungs and memory


def test_the_ladder_goes_down_in_steps_then_size_then_rate() -> None:
    ways = rungs_of(LiveSettings(steps=4))
    assert [way.rung.name for way in ways] == [
        "4 steps at 512 px",
        "2 steps at 512 px",
        "1 step at 512 px",
        "1 step at 384 px",
        "1 step at 320 px",
        "1 step at 320 px, every other frame",
    ]
    costs = [way.rung.cost for way in ways]
    assert costs == sorted(costs, reverse=True)
    assert tuple(ways[0].window(LiveSettings())) == (8, 4, 3)
    assert tuple(ways[-1].window(LiveSettings())) == (12, 8, 7)
    assert len(rungs_of(LiveSettings(ladder=False))) == 1
    own = rungs_of(LiveSettings(size=320, sigmas=(3.0, 1.0, 0.3)))
    assert [len(way.sigmas) for way in own] == [3, 2, 1, 1]


def test_a_card_that_is_too_small_is_told_what_fits() -> None:
    live_engine.check_memory(12_000_000_000, 6_100_000_000, 512, "a card")
    with pytest.raises(OutOfMemory) as some:
        live_engine.check_memory(8_200_000_000, 6_100_000_000, 512, "RTX 3070")
    assert "needs" not in some.value.message and "RTX 3070 has 8.2 GB free" in some.value.message
    assert "--set animator.svd.live.size=384" in some.value.hint
    with pytest.raises(OutOfMemory) as none:
        live_engine.check_memory(4_000_000_000, 6_100_000_000, 512, "GTX 1650")
    assert "--animator warp" in none.value.hint
    assert what_fits(10**12, 10**9, 512)[1] == [384, 320]


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "OutOfMemory", "ran out of memory"),
        (MemoryError(), "OutOfMemory", "ran out of memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "OutOfMemory", "ran out of memory"),
        (RuntimeError("CUDA error: device-side assert triggered\nmore"), "DeviceError", "The GPU was lost: CUDA error"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "DeviceError", "The GPU was lost"),
        (RuntimeError("shapes differ"), "RuntimeError", "shapes differ"),
    ],
)
def test_faults_of_a_gpu_are_two_lines(error: Exception, kind: str, says: str) -> None:
    with pytest.raises(Exception, match=says) as said, live_engine.faults_are_said():
        raise error
    assert type(said.value).__name__ == kind
