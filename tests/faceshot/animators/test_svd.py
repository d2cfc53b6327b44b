"""The parts of the SVD animator: number for number what the published code gives, and what they must do without it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")

from faceshot.animators.svd.adapter import AdapterOutput, Conditions, Reference, stack  # noqa: E402
from faceshot.animators.svd.cmp import Cmp, bin_centres, fuse_bins, seen_by_cmp, upscale_flow  # noqa: E402
from faceshot.animators.svd.controlnet import FlowControlNet  # noqa: E402
from faceshot.animators.svd.hints import REACH_384, Hints  # noqa: E402
from faceshot.animators.svd.matting import MattingNet  # noqa: E402
from faceshot.animators.svd.raster import pose_pictures  # noqa: E402
from faceshot.animators.svd.scene import clip_picture  # noqa: E402
from faceshot.animators.svd.splat import splat_average, splat_sum  # noqa: E402
from faceshot.animators.svd.tiny import TINY_CONTROLNET  # noqa: E402
from faceshot.animators.svd.unet import MULTIPLIERS, run_unet  # noqa: E402
from tests.faceshot.animators.svd_golden import Golden, cmp_gain, controlnet_gain, fill  # noqa: E402

SMALL_UNET = {
    "block_out_channels": (32, 64, 64, 64),
    "num_attention_heads": (1, 2, 4, 4),
    "cross_attention_dim": 32,
    "addition_time_embed_dim": 8,
    "projection_class_embeddings_input_dim": 24,
}


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for one another take longer than these sums
    with torch.no_grad():
        yield
    torch.set_num_threads(threads)


def worst(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max())


def shapes(net: torch.nn.Module) -> dict[str, list[int]]:
    return {key: list(value.shape) for key, value in net.state_dict().items()}


# --- splatting


@pytest.mark.parametrize("case", ["small_motion", "large_motion", "integer", "zero", "nonfinite", "odd_1x1", "far"])
def test_splatting_as_published(shared_golden: Path, case: str) -> None:
    golden = Golden(shared_golden, "splat_avg").group(case)
    assert worst(splat_average(golden["in"], golden["flow"]), golden["out"]) < 2e-6
    assert worst(splat_sum(golden["in"], golden["flow"])[1], golden["weight"]) < 2e-6


def by_hand(values: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """One pixel after the other, in double precision."""
    n, _, height, width = values.shape
    total, weight = np.zeros(values.shape), np.zeros((n, 1, height, width))
    for b in range(n):
        for y in range(height):
            for x in range(width):
                tx, ty = x + flow[b, 0, y, x], y + flow[b, 1, y, x]
                if not np.isfinite([tx, ty]).all():
                    continue
                for ny in (int(np.floor(ty)), int(np.floor(ty)) + 1):
                    for nx in (int(np.floor(tx)), int(np.floor(tx)) + 1):
                        if 0 <= nx < width and 0 <= ny < height:
                            share = (1 - abs(tx - nx)) * (1 - abs(ty - ny))
                            total[b, :, ny, nx] += share * values[b, :, y, x]
                            weight[b, 0, ny, nx] += share
    return total / (weight + 1e-7)


def test_splatting_against_a_loop() -> None:
    random = np.random.default_rng(0)
    values, flow = random.normal(size=(2, 3, 9, 7)), random.normal(size=(2, 2, 9, 7)) * 4
    flow[0, 0, 2, 3], flow[1, 1, 0, 0], flow[1, :, 5, 5] = np.nan, np.inf, 1e30
    ours = splat_average(torch.from_numpy(values).float(), torch.from_numpy(flow).float())
    assert np.abs(ours.numpy() - by_hand(values, flow.astype(np.float32).astype(float))).max() < 1e-5


def test_a_pixel_that_moves_leaves_a_hole_and_others_share() -> None:
    values = torch.tensor([[[[2.0, 4.0, 6.0]]]])
    flow = torch.zeros(1, 2, 1, 3)
    flow[0, 0, 0] = torch.tensor([1.0, 0.0, -9.0])
    assert worst(splat_average(values, flow), torch.tensor([[[[0.0, 3.0, 0.0]]]])) < 1e-6


# --- CMP, hints, pose pictures


def test_bins_as_published(shared_golden: Path) -> None:
    golden = Golden(shared_golden, "bin_fuser")
    assert worst(fuse_bins(golden["in/logits"]), golden["out/flow"]) < 2e-5
    assert worst(bin_centres().double(), golden["bin_centres"]) < 1e-6


def test_flow_reaches_as_far_as_its_bins() -> None:
    certain = torch.full((1, 198, 1, 1), -1e4)
    certain[0, 98], certain[0, 99] = 1e4, 1e4
    assert fuse_bins(certain).flatten().tolist() == pytest.approx([REACH_384, -REACH_384], abs=1e-4)
    assert REACH_384 * 512 / 384 == pytest.approx(66, abs=0.01)


def test_flow_enlarged_as_published(shared_golden: Path) -> None:
    golden = Golden(shared_golden, "flow_upscale")
    flow = golden.blocks("in/flow_384_blocks")[0]
    flow[..., ::2, :] += 0.5
    assert worst(upscale_flow(flow, (512, 512))[None, ..., 5::16, 3::16], golden["out/flow_512_sub"]) < 1e-5


def test_cmp_as_published(shared_golden: Path) -> None:
    golden = Golden(shared_golden, "cmp_full")
    net = fill(Cmp(), cmp_gain)
    hints, mask = torch.zeros(2, 2, 384, 384), torch.zeros(2, 2, 384, 384)
    for n, y, x, dx, dy in golden["in/hints"].tolist():
        hints[int(n), :, int(y), int(x)] = torch.tensor([dx, dy])
        mask[int(n), :, int(y), int(x)] = 1
    flow = net(golden.blocks("in/image_u8_blocks") * 2 - 1, hints, mask)
    assert worst(flow[:, :, ::6, ::6], golden["out/flow"]) < 2e-3
    assert worst(flow[:, :, -12:, -12:], golden["out/flow_corner"]) < 2e-3


@pytest.mark.parametrize("case", ["real", "outside"])
def test_hints_as_published(shared_golden: Path, case: str) -> None:
    golden = Golden(shared_golden, "sparse_hints")
    landmarks = golden[f"{case}/landmarks_512"].numpy()
    hints = Hints(landmarks[0], (512, 512))
    dense = hints.dense(torch.from_numpy(hints.motion(landmarks[1:])))
    assert worst(dense[None], golden[f"{case}/sparse_384"]) < 1e-4
    assert (hints.mask.expand_as(dense)[None] == golden[f"{case}/mask_384"]).all()
    seen = seen_by_cmp(golden.blocks(f"{case}/first_frame_blocks")[None])
    assert worst((seen[..., ::3, ::3] + 1) / 2, golden[f"{case}/first_frame_384_nearest_sub"]) < 1e-4


def test_hints_of_one_pixel_the_last_counts_and_invisible_points_give_none() -> None:
    points = np.stack([np.linspace(10, 400, 68), np.full(68, 200.0)], 1)
    points[5] = points[40]
    visible = np.ones(68, bool)
    visible[60:] = False
    hints = Hints(points, (512, 512), visible)
    assert int(hints.mask[0, 0].sum()) == 59
    moved = points.copy()
    moved[5] += 8
    moved[40] -= 4
    dense = hints.dense(torch.from_numpy(hints.motion(moved[None])))
    x, y = (points[5] * 0.75).astype(int)
    assert dense[0, :, y, x].tolist() == [-3, -3]
    assert dense[0, :, :, int(points[67, 0] * 0.75)].abs().sum() == 0


def test_motion_beyond_the_flows_reach_is_counted() -> None:
    points = np.full((68, 2), 256.0) + np.arange(68)[:, None] * 2
    near, far = points + 65, points.copy()
    far[:7] += (0, 67)
    assert Hints(points, (512, 512)).beyond_reach(np.stack([near, far, points])).tolist() == [0, 7, 0]
    assert Hints(points / 2, (256, 256)).beyond_reach(far[None] / 2).tolist() == [7]


@pytest.mark.parametrize("case", ["real_a", "outside"])
def test_pose_pictures_as_published(shared_golden: Path, case: str) -> None:
    golden = Golden(shared_golden, "pose_raster")
    drawn = pose_pictures(golden[f"{case}/landmarks_512"].numpy()[None], 512)[0]
    differ = np.abs(drawn - golden[f"{case}/all/pose_image_512"].numpy()) > 1e-6
    assert differ.sum() <= (600 if case == "outside" else 0)  # OpenCV versions differ at the border


def test_pose_parts_as_published(shared_golden: Path) -> None:
    golden = Golden(shared_golden, "pose_raster")
    visible = np.zeros(68, bool)
    visible[np.r_[0:17, 36:48, 60:68]] = True
    drawn = pose_pictures(golden["real_a/landmarks_512"].numpy()[None] * 320 / 512, 320, visible)[0]
    assert (np.rint(drawn.transpose(1, 2, 0) * 255) == golden["real_a/parts_1_4_6/raster_320_u8"].numpy()).all()


def test_pose_lines_have_the_width_of_the_320_canvas_and_its_colours() -> None:
    points = np.tile([[-100.0, -100.0]], (68, 1))
    points[27:31] = [[160, 40], [160, 100], [160, 160], [160, 280]]  # the bridge of the nose, upright
    for size in (320, 640):
        drawn = pose_pictures(points[None] * size / 320, size)[0]
        row = drawn[:, size // 2]
        lit = np.flatnonzero(row[2] > 0.9)
        assert np.abs(row[:, lit] * 255 - np.array([[10], [200], [250]])).max() < 1e-4
        assert len(lit) in ({3} if size == 320 else {4, 5, 6})  # as wide a share of the picture
    assert drawn.dtype == np.float32 and drawn.max() <= 1


def test_clip_sees_what_the_published_program_shows_it(shared_golden: Path) -> None:
    golden = Golden(shared_golden, "clip_resize")
    for case in ("512", "320x448", "200"):
        seen = clip_picture(golden.blocks(f"{case}/in_u8_blocks"))
        assert worst(seen[..., ::4, ::4], golden[f"{case}/out"]) < 1e-4


# --- matting, ControlNet, UNet


def test_matting_as_published(shared_golden: Path) -> None:
    golden = Golden(shared_golden, "matting_small")
    net = MattingNet(**golden.meta["kwargs"])
    net.load_state_dict(golden.group("sd"))
    out, mask = net(golden["in/reference"], golden["in/flow"], golden["in/warped"])
    assert worst(out, golden["out/out"]) < 1e-5 and worst(mask, golden["out/mask"]) < 1e-5


def test_full_size_keys_and_shapes(shared_golden: Path) -> None:
    from diffusers import UNetSpatioTemporalConditionModel

    with torch.device("meta"):
        nets = {"controlnet": FlowControlNet(), "cmp": Cmp(), "unet": UNetSpatioTemporalConditionModel()}
    for name, net in nets.items():
        assert shapes(net) == json.loads((shared_golden / "mofa" / f"keys_{name}.json").read_text()), name


def test_full_size_counts() -> None:
    from diffusers import UNetSpatioTemporalConditionModel

    with torch.device("meta"):
        controlnet, cmp, unet = FlowControlNet(), Cmp(), UNetSpatioTemporalConditionModel()
    for net, tensors, parameters in (
        (controlnet, 765, 722_453_685),
        (cmp, 455, 28_516_422),
        (unet, 1428, 1_524_623_082),
    ):
        assert len(net.state_dict()) == tensors
        assert sum(value.numel() for value in net.parameters()) == parameters
    ours, theirs = shapes(controlnet), shapes(unet)
    assert sum(theirs.get(key) == shape for key, shape in ours.items()) == 629
    heads = [block.attentions[0].num_attention_heads for block in list(controlnet.down_blocks)[:3]]
    assert [*heads, controlnet.mid_block.attentions[0].num_attention_heads] == [5, 10, 10, 20]


@pytest.mark.parametrize("name", ["controlnet", "cmp"])
def test_weights_of_the_recipe(shared_golden: Path, name: str) -> None:
    import hashlib

    from tests.faceshot.animators.svd_golden import made

    check = json.loads((shared_golden / "mofa" / f"recipe_check_{name}.json").read_text())
    gain = controlnet_gain if name == "controlnet" else cmp_gain
    for key, about in check["samples"].items():
        value = made(key, tuple(about["shape"]), gain(key))
        assert value.ravel()[:4].tolist() == pytest.approx(about["first"])
        assert hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest() == about["sha256"], key


def published_window(golden: Golden, net: FlowControlNet) -> tuple[Reference, Conditions]:
    """The reference and the frames of a ControlNet fixture, clip by clip."""
    landmarks = golden["in/landmarks_u8"].float() / 255
    flows = golden.blocks("in/controlnet_flow_blocks")
    reference = net.prepare(golden.blocks("in/controlnet_cond_blocks"))
    parts = []
    for clip in range(landmarks.shape[0]):
        own = Reference(tuple(level[clip : clip + 1] for level in reference.levels))
        parts += [net.anchor(own, landmarks[clip, :1]), net.conditions(own, landmarks[clip, 1:], flows[clip])]
    return reference, stack(parts)


@pytest.mark.parametrize("case", ["a", "b"])
def test_conditions_as_published(shared_golden: Path, case: str) -> None:
    """The small half of the full-size ControlNet: what is computed once a frame."""
    golden = Golden(shared_golden, f"controlnet_full_{case}")
    with torch.device("meta"):
        net = FlowControlNet()
    for name in ("controlnet_cond_embedding", "controlnet_ldmk_embedding", "flow_encoder", "occlusions", "zero_outs"):
        part = net.get_submodule(name).to_empty(device="cpu")
        fill(part, controlnet_gain, prefix=f"{name}.")
    reference, window = published_window(golden, net)
    mid = golden.group("mid_values")
    assert worst(reference.levels[0][:, ::16], mid["cond_emb"]) < 1e-4
    assert worst(window.landmarks[0][:, ::16], mid["ldmk_emb"]) < 1e-4
    clips, frames = golden["in/sample"].shape[:2]
    later = [i for i in range(clips * frames) if i % frames]
    for i, (scale, step) in enumerate(zip((8, 16, 32, 64), (16, 16, 8, 8), strict=True)):
        if i:
            assert worst(reference.levels[i][:, ::8], mid[f"level{i}"]) < 1e-4
        assert worst(window.warped[i][later][:, ::step], mid[f"warp{scale}"]) < 1e-4
        anchors = window.warped[i][::frames]
        assert torch.equal(anchors, reference.levels[i])  # frame 0 goes through no 1×1 convolution


@pytest.mark.skipif(
    not os.environ.get("FACESHOT_FULL_SIZE"),
    reason="722 million weights take a minute and 4 GB: FACESHOT_FULL_SIZE=1 runs it",
)
@pytest.mark.parametrize("case", ["a", "b"])
def test_the_whole_controlnet_as_published(shared_golden: Path, case: str) -> None:
    torch.set_num_threads(os.cpu_count() or 1)
    golden = Golden(shared_golden, f"controlnet_full_{case}")
    with torch.device("meta"):
        net = FlowControlNet()
    fill(net.to_empty(device="cpu"), controlnet_gain)
    net.conditioning_scale = golden.meta["conditioning_scale"]
    _, window = published_window(golden, net)
    added = net(
        golden["in/sample"],
        golden["in/timestep"],
        golden["in/encoder_hidden_states"],
        golden["in/added_time_ids"],
        window,
    )
    assert added.conv_in is None and added.down is not None and added.mid is not None
    for i, residual in enumerate(added.down):
        assert worst(residual[:, ::8], golden[f"out/down{i}"]) < 3e-4
    assert worst(added.mid[:, ::8], golden["out/mid"]) < 3e-4


def test_a_clip_gives_the_same_alone_and_in_a_batch() -> None:
    torch.manual_seed(0)
    net = FlowControlNet(TINY_CONTROLNET).eval()
    reference = net.prepare(torch.rand(1, 3, 64, 64))
    window = stack(
        [
            net.anchor(reference, torch.rand(1, 3, 64, 64)),
            net.conditions(reference, torch.rand(2, 3, 64, 64), torch.randn(2, 2, 64, 64) * 9),
        ]
    )
    sample, tokens, ids = torch.randn(2, 3, 8, 8, 8), torch.randn(2, 1, 32), torch.tensor([[6, 128, 0.02]] * 2)
    t = torch.tensor(0.3)
    both = net(sample, t, tokens, ids, window)
    for clip in range(2):
        alone = net(sample[clip : clip + 1], t, tokens[clip : clip + 1], ids[:1], window)
        assert both.down is not None and alone.down is not None
        for a, b in zip(both.down, alone.down, strict=True):
            assert worst(a[clip * 3 : clip * 3 + 3], b) < 1e-4


def test_residuals_as_published(shared_golden: Path) -> None:
    from diffusers import UNetSpatioTemporalConditionModel

    golden = Golden(shared_golden, "unet_small_residuals")
    unet = fill(UNetSpatioTemporalConditionModel(**SMALL_UNET), lambda key: 1.0)
    given = golden["in/encoder_hidden_states"], golden["in/added_time_ids"]
    down, mid = tuple(golden[f"in/res{i}"] for i in range(12)), golden["in/mid"]
    t = torch.tensor(1.3)
    plain = run_unet(unet, golden["in/sample"], t, *given)
    assert worst(plain, golden["out/plain"]) < 3e-5
    assert torch.equal(plain, unet(golden["in/sample"], 1.3, *given).sample)
    added = AdapterOutput(down=down, mid=mid)
    assert worst(run_unet(unet, golden["in/sample"], t, *given, added), golden["out/residuals"]) < 3e-5
    late = run_unet(unet, golden["in/sample"], torch.tensor(-1.0), *given, added)
    assert worst(late, golden["out/residuals_t_-1"]) < 3e-5
    for k in (0, 5, 8, 11):
        only = tuple(residual * (i == k) for i, residual in enumerate(down))
        drawn = run_unet(unet, golden["in/sample"], t, *given, AdapterOutput(down=only, mid=mid * 0))
        assert worst(drawn, golden[f"out/only_res{k}"]) < 3e-5


def test_each_residual_arrives_as_often_as_in_training() -> None:
    """Constant residuals, and a UNet whose upper half only tells what its skips are."""
    assert MULTIPLIERS == (4, 4, 4, 4, 3, 3, 3, 2, 2, 2, 1, 1)
    from diffusers import UNetSpatioTemporalConditionModel

    torch.manual_seed(0)
    unet = UNetSpatioTemporalConditionModel(**SMALL_UNET).eval()
    came: list[tuple[torch.Tensor, ...]] = []
    for block in unet.up_blocks:
        block.register_forward_pre_hook(
            lambda _, __, given: came.append(given["res_hidden_states_tuple"]), with_kwargs=True
        )
    sample, given = torch.randn(1, 2, 8, 8, 8), (torch.randn(1, 1, 32), torch.tensor([[6, 128, 0.02]]))
    widths, sides = [32] * 4 + [64] * 8, [8, 8, 8, 4, 4, 4, 2, 2, 2, 1, 1, 1]
    down = tuple(torch.full((2, c, s, s), 1.0) for c, s in zip(widths, sides, strict=True))
    run_unet(unet, sample, torch.tensor(1.0), *given)
    without = [skip for own in came[::-1] for skip in own]
    came.clear()
    run_unet(unet, sample, torch.tensor(1.0), *given, AdapterOutput(down=down))
    arrived = [float((a - b).mean()) for a, b in zip((s for own in came[::-1] for s in own), without, strict=True)]
    assert arrived == pytest.approx(MULTIPLIERS, abs=1e-4)


def test_a_light_adapter_adds_one_feature_after_the_first_convolution() -> None:
    from diffusers import UNetSpatioTemporalConditionModel

    torch.manual_seed(0)
    unet = UNetSpatioTemporalConditionModel(**SMALL_UNET).eval()
    given = torch.randn(1, 2, 8, 8, 8), torch.tensor(1.0), torch.randn(1, 1, 32), torch.tensor([[6, 128, 0.02]])
    moved = run_unet(unet, *given, AdapterOutput(conv_in=torch.full((2, 32, 8, 8), 0.5)))
    unet.conv_in.bias += 0.5
    assert worst(moved, run_unet(unet, *given)) < 1e-5
