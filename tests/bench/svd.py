"""How fast live SVD is: ms a chunk, TFLOP/s against what the card can, frames a second through a whole show, and the
published way of drawing the same frames beside it.

    python -m tests.bench.svd --json svd.json           # a CUDA GPU, networks of full size with random weights
    python -m tests.bench.svd --tiny                    # small networks, any machine: whether it runs, not how fast

A chunk is four frames of a window of eight. Its milliseconds are the device's (CUDA events around the replayed graph)
and, apart from that, the whole call with drawing poses, upload, download and making pictures. The host gap is what is
between the end of one chunk and the start of the next on the device when chunks follow one another. The show is the
real pipeline in real time with a source of face states; its latency is from capture to being on air, and does not
include a camera, a tracker or a display. The published way is 25 frames, 25 steps, guidance (two halves), eager,
flow once, what is made of it anew in every step and half, and the VAE's decoder in groups of eight.

Targets on an H200 at 512²: 80 ms a chunk with two steps, 45 % of the matmul peak, 30 frames a second, 320 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from faceshot.animators.svd.adapter import stack
from faceshot.animators.svd.checkpoints import SvdFiles, SvdModels
from faceshot.animators.svd.cmp import Cmp
from faceshot.animators.svd.controlnet import FlowControlNet
from faceshot.animators.svd.live_engine import LiveEngine, placed
from faceshot.animators.svd.live_settings import LiveSettings
from faceshot.animators.svd.raster import pose_pictures
from faceshot.animators.svd.scene import TIME_IDS, make_scene
from faceshot.animators.svd.taesdv import TinyVideoDecoder
from faceshot.animators.svd.tiny import TINY_CONTROLNET
from faceshot.animators.svd.unet import run_unet
from faceshot.animators.svd_window import SvdWindowAnimator
from faceshot.animators.warp import WarpAnimator
from faceshot.backbone import hushed
from faceshot.character import bundled_names, open_character, resize
from faceshot.types import Drive
from live.bench import environment
from live.clock import LoopClock
from live.config import load_config
from live.show import Parts, Show
from live.workers import ThreadWorker
from tests.fakes import ScriptedSource, a_face

TARGETS = {"chunk_ms": 80.0, "of_peak": 0.45, "fps": 30.0, "latency_ms": 320.0}
FILES = SvdFiles(*[Path("random")] * 6, fast_unet=Path("random"))


def networks(device: torch.device, dtype: torch.dtype, tiny: bool) -> tuple[SvdModels, TinyVideoDecoder]:
    """Random weights; CLIP, which is asked once a character, is replaced by a random embedding."""
    from diffusers import AutoencoderKLTemporalDecoder, UNetSpatioTemporalConditionModel

    torch.manual_seed(0)
    with torch.device(device):
        if tiny:
            unet = UNetSpatioTemporalConditionModel(
                block_out_channels=TINY_CONTROLNET.channels,
                num_attention_heads=(1, 2, 4, 4),
                cross_attention_dim=TINY_CONTROLNET.cross,
                addition_time_embed_dim=TINY_CONTROLNET.time_ids,
                projection_class_embeddings_input_dim=3 * TINY_CONTROLNET.time_ids,
            )
            control, cmp, decoder = FlowControlNet(TINY_CONTROLNET), Cmp(8, (1, 1, 1, 1)), TinyVideoDecoder(8)
            widths, layers, cross = (32,) * 4, 1, TINY_CONTROLNET.cross
        else:
            unet = UNetSpatioTemporalConditionModel(num_attention_heads=(5, 10, 20, 20))
            control, cmp, decoder = FlowControlNet(), Cmp(), TinyVideoDecoder()
            widths, layers, cross = (128, 256, 512, 512), 2, 1024
        vae = AutoencoderKLTemporalDecoder(
            block_out_channels=widths, down_block_types=("DownEncoderBlock2D",) * 4, layers_per_block=layers
        )
        embedding = torch.randn(1, cross, dtype=dtype)
    for net in (unet, control, cmp, vae, decoder):
        net.eval().requires_grad_(False)
    decoder.decoder[-1].bias.fill_(0.5)  # not black, which is taken for a fault
    with hushed():
        vae.to(dtype)
        unet.to(dtype)
    vae.encoder.float()
    vae.quant_conv.float()
    models = SvdModels(
        unet=unet,
        vae=vae,
        image_encoder=lambda picture: SimpleNamespace(image_embeds=embedding),
        scheduler={},
        controlnet=control.to(dtype),
        cmp=cmp,
        device=device,
        dtype=dtype,
        files=FILES,
    )
    return models, decoder


def timed(work: Callable[[], object], runs: int, device: torch.device) -> dict[str, float]:
    """Milliseconds of a call: least and median, on the device where there is one."""
    took = []
    for _ in range(runs + 2):
        if device.type == "cuda":
            began, ended = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            began.record()
            work()
            ended.record()
            torch.cuda.synchronize()
            took.append(began.elapsed_time(ended))
        else:
            began_s = time.perf_counter()
            work()
            took.append(1e3 * (time.perf_counter() - began_s))
    took = took[2:]
    return {"min_ms": round(min(took), 3), "median_ms": round(statistics.median(took), 3)}


def waits_in(work: Callable[[], object]) -> int:
    """How often a call waits for the GPU, as PyTorch itself counts it."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            work()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing" in str(one.message) for one in seen)


def matmul_peak(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """TFLOP/s of one large product: what the card can."""
    one, other = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best_ms = timed(lambda: one @ other, 20 if device.type == "cuda" else 3, device)["min_ms"]
    return 2 * side**3 / best_ms / 1e9


@torch.no_grad()
def published(models: SvdModels, size: int, steps: int, frames: int) -> dict[str, float]:
    """Seconds for a window of the published program: conditions anew in every step and half, flow once."""
    character = resize(open_character(bundled_names()[0]), size)
    scene = make_scene(character, models, size)
    points = np.repeat(scene.points_xy[None], frames - 1, 0)
    poses = torch.from_numpy(pose_pictures(points, size, character.visible)).to(models.device, models.dtype)
    hw = size // 8
    latents = torch.randn(1, frames, 4, hw, hw, device=models.device)
    beside = scene.latents.expand(frames, -1, -1, -1)[None]
    beside = torch.cat([torch.zeros_like(beside), beside])
    tokens = torch.cat([torch.zeros_like(scene.embedding), scene.embedding])
    ids = torch.tensor([TIME_IDS] * 2, device=models.device, dtype=models.dtype)

    def wait() -> None:
        if models.device.type == "cuda":
            torch.cuda.synchronize()

    def step(sigma: float) -> None:
        nonlocal latents
        window = stack(
            [stack([scene.anchor, models.controlnet.conditions(scene.reference, poses, flows)]) for _ in range(2)]
        )
        sample = torch.cat([latents.repeat(2, 1, 1, 1, 1).to(models.dtype), beside], 2)
        t = torch.tensor(sigma, device=models.device)
        added = models.controlnet(sample, t, tokens, ids, window)
        blank, told = run_unet(models.unet, sample, t, tokens, ids, added).chunk(2)
        latents = latents + 1e-3 * (blank + 3 * (told - blank)).float()

    flows = scene.flows(points)
    step(1.0)
    wait()
    began = time.perf_counter()
    flows = scene.flows(points)  # once a window, as there
    for n in range(steps):
        step(1.0 + n)
    for some in latents[0].to(models.dtype).split(8):
        models.vae.decode(some / 0.18215, num_frames=len(some))
    wait()
    return {"frames": frames, "steps": steps, "s": round(time.perf_counter() - began, 3)}


async def show(engine: LiveEngine, settings: LiveSettings, fps: float, seconds: float, side: int) -> dict[str, Any]:
    """The real pipeline in real time, driven by a mouth that opens and closes."""
    clock = LoopClock()
    faces = [a_face(0.5 + 0.5 * float(np.sin(i / 4))) for i in range(200)]

    def make() -> SvdWindowAnimator:
        animator = SvdWindowAnimator(settings)
        animator._engine = engine
        return animator

    def nothing(*_: object) -> Any:
        raise RuntimeError("not needed")

    parts = Parts(
        open_character=lambda spec: resize(open_character(bundled_names()[0]), side),
        read_picture=nothing,
        list_characters=lambda: [],
        choose_source=lambda: "states",
        make_source=lambda spec: ScriptedSource(clock, fps=fps, states=faces),
        make_tracker=nothing,
        make_animator=make,
        make_fallback=WarpAnimator,
        make_worker=ThreadWorker,
    )
    running = Show(load_config(sets=["source.spec=states", "animator.kind=svd"]), clock, parts)
    await running.run(seconds)
    stats = running.stats.snapshot()
    return {"fps_in": fps, "message": running.state()["message"], **{k: v for k, v in stats.items() if k != "rss_mb"}}


def measure(args: argparse.Namespace) -> dict[str, Any]:
    settings = LiveSettings(device=args.device, size=args.size, steps=args.steps, ladder=False)
    device, dtype = placed(settings)
    on_gpu = device.type == "cuda"
    if args.tiny and not on_gpu:
        torch.set_num_threads(1)  # threads that wait for one another take longer than these sums
    models, decoder = networks(device, dtype, args.tiny)
    # First the published way: the live engine changes the networks.
    before = published(models, args.size, 2 if args.tiny else 25, 5 if args.tiny else 25)
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    engine = LiveEngine(models, decoder)
    animator = SvdWindowAnimator(settings)
    animator._engine = engine
    character = resize(open_character(bundled_names()[0]), args.size)
    began = time.perf_counter()
    animator.load(character)
    load_s = time.perf_counter() - began
    chunks, way = animator._at(args.size), animator._ways[0]
    stage = chunks.stage
    steps = chunks._warm[way]
    points = np.repeat(stage.scene.points_xy[None], settings.stride, 0)
    inputs = [part.to(device) for part in (*stage.inputs(points), steps, torch.tensor([0.5]))]
    runs = 3 if args.tiny else 50
    with torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            stage.run(*inputs)
        replay = chunks._recorded[len(steps)]
        chunk = timed(lambda: replay(*inputs), runs, device)
        eager = timed(lambda: stage.run(*inputs), 3 if args.tiny else 10, device)
        waits = waits_in(lambda: stage.run(*inputs)) if on_gpu else None
    drive = replace(Drive.neutral(character))
    whole = []
    for _ in range(runs + 2):
        began = time.perf_counter()
        animator.render([drive] * 8)
        whole.append(1e3 * (time.perf_counter() - began))
    whole_ms = statistics.median(whole[2:])
    flop = counter.get_total_flops()
    peak = matmul_peak(device, dtype, 512 if args.tiny else 8192)
    tflops = flop / chunk["median_ms"] / 1e9
    per_frame_ms = whole_ms / settings.stride
    shows = [asyncio.run(show(engine, settings, fps, args.seconds, args.size)) for fps in (25.0, 60.0)]
    return {
        "device": torch.cuda.get_device_name() if on_gpu else "CPU",
        "torch": torch.__version__,
        "precision": str(dtype).removeprefix("torch."),
        "tiny": args.tiny,
        "size": args.size,
        "steps": args.steps,
        "graph_recorded": chunks.recorded,
        "load_s": round(load_s, 2),
        "chunk": chunk,
        "chunk_eager": eager,
        "chunk_with_host_ms": round(whole_ms, 3),
        "waits_in_a_chunk": waits,
        "host_gap_ms": round(whole_ms - chunk["median_ms"], 3),
        "tflop_a_chunk": round(flop / 1e12, 4),
        "tflop_s": round(tflops, 2),
        "matmul_peak_tflop_s": round(peak, 2),
        "of_peak": round(tflops / peak, 4),
        "peak_memory_gb": round(torch.cuda.max_memory_allocated() / 1e9, 2) if on_gpu else None,
        "shows": shows,
        "published": before,
        "published_over_ours_a_frame": round(1e3 * before["s"] / before["frames"] / per_frame_ms, 2),
        "targets_h200_512": TARGETS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="small networks: whether it runs, not how fast")
    parser.add_argument("--device", choices=["auto", "cuda", "cpu"], default="auto")
    parser.add_argument("--size", type=int, help="side in pixels, a multiple of 64; default 512, or 64 with --tiny")
    parser.add_argument("--steps", type=int, choices=[1, 2, 4], default=2)
    parser.add_argument("--seconds", type=float, help="of each show; default 20, or 4 with --tiny")
    parser.add_argument("--json", type=Path, help="write the measurements there")
    args = parser.parse_args()
    args.size = args.size or (64 if args.tiny else 512)
    args.seconds = args.seconds or (4 if args.tiny else 20)
    if not args.tiny and not torch.cuda.is_available():
        parser.error("networks of full size need a CUDA GPU; --tiny runs anywhere")
    result = {**environment(), **measure(args)}
    print(f"{result['device']}, {result['precision']}, {result['size']} px, {result['steps']} steps")
    for name in ("chunk", "chunk_eager"):
        print(f"{name:<22} {result[name]['median_ms']:>10.2f} ms (least {result[name]['min_ms']:.2f})")
    for name in ("chunk_with_host_ms", "host_gap_ms", "tflop_a_chunk", "tflop_s", "matmul_peak_tflop_s", "of_peak"):
        print(f"{name:<22} {result[name]:>10}")
    for one in result["shows"]:
        print(f"show at {one['fps_in']:g} fps: {one['fps_out']} out, latency {one['latency_ms']}")
    print(f"the published way takes {result['published_over_ours_a_frame']} times as long for a frame")
    if args.tiny:
        print("Small networks: these numbers say nothing about the real ones.")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
