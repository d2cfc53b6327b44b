"""How long LivePortrait takes: ms for M, motion, W, G and a whole frame, against a plain run of the same networks.

    python -m tests.bench.liveportrait                      # on the GPU when there is one, random full-size weights
    python -m tests.bench.liveportrait --device cpu --json liveportrait.json
    python -m tests.bench.liveportrait --device cpu --one-thread        # on a machine that has other things to do

Plain means: the published form of the networks in eager mode, fp16 on a GPU (M in fp32) and fp32 on a CPU, in the same
process. Each figure is the least and median of `--runs` runs, each synchronised. With `--one-thread` it is processor
time, which other programs do not lengthen: what one processor alone would take. A whole frame is a 256² crop in main
memory to a 512² RGB picture in main memory. Target on an H200: 5 ms a frame. Also measured: how far the fast form is
from plain fp32 (wanted: mean below 1/255 and 40 dB or more).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from faceshot.animators.liveportrait.appearance import AppearanceFeatureExtractor
from faceshot.animators.liveportrait.blocks import Mlp
from faceshot.animators.liveportrait.checkpoints import Networks
from faceshot.animators.liveportrait.crop import Square
from faceshot.animators.liveportrait.decoder import SpadeDecoder
from faceshot.animators.liveportrait.driving import Driving
from faceshot.animators.liveportrait.engine import Engine, Recorded
from faceshot.animators.liveportrait.extractor import MotionExtractor
from faceshot.animators.liveportrait.keypoints import Motion
from faceshot.animators.liveportrait.live_motion import LiveMotion, Tuning
from faceshot.animators.liveportrait.official import Heads
from faceshot.animators.liveportrait.ratios import Ratios
from faceshot.animators.liveportrait.warping import WarpingNetwork
from faceshot.character import bundled_names, open_character
from faceshot.types import Drive
from live.bench import environment

TARGET_MS = 5.0


def networks() -> Networks:
    """Full size, random weights whose activations stay in the range of fp16."""
    torch.manual_seed(0)
    made = Networks(
        AppearanceFeatureExtractor(),
        MotionExtractor(),
        WarpingNetwork(),
        SpadeDecoder(),
        Heads(Mlp(126, [128, 128, 64], 65), Mlp(65, [128, 128, 64], 63), Mlp(66, [256, 256, 128, 128, 64], 63)),
    )
    for net in (*made[:4], *made.heads):
        net.eval().requires_grad_(False)
    return made


def timed(
    work: Callable[[], object], runs: int, device: torch.device, now_s: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """Least and median milliseconds of a call, after some that are not counted."""

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    took = []
    for _ in range(runs + (3 if device.type == "cuda" else 1)):
        wait()
        began = now_s()
        work()
        wait()
        took.append(1e3 * (now_s() - began))
    took = took[-runs:]
    return {"min_ms": round(min(took), 3), "median_ms": round(statistics.median(took), 3)}


def error(fast: Tensor, plain: Tensor) -> dict[str, float]:
    """Mean difference in units of 1/255, and PSNR in dB, of two pictures in 0..1."""
    difference = (fast.float() - plain.float()).cpu()
    mse = float(difference.square().mean())
    return {
        "mean_255": round(float(difference.abs().mean()) * 255, 4),
        "psnr_db": round(float(-10 * np.log10(max(mse, 1e-12))), 1),
    }


@torch.inference_mode()
def measure(device: torch.device, runs: int, now_s: Callable[[], float] = time.perf_counter) -> dict[str, Any]:
    nets = networks()
    source = torch.rand(1, 3, 256, 256)
    feature = nets.appearance(source)
    seen = Motion.of(nets.motion(source))
    x_s = seen.points
    x_d = x_s + 0.02 * torch.randn_like(x_s)
    exact = nets.decoder(nets.warping(feature, x_d, x_s).out)  # plain fp32, on the CPU
    half = device.type == "cuda"
    dtype = torch.float16 if half else torch.float32
    engine = Engine(nets, device, "fp16" if half else "fp32")
    warping, decoder = nets.warping.to(device, dtype), nets.decoder.to(device, dtype)
    feature, x_s, x_d = (part.to(device) for part in (feature, x_s, x_d))
    crop = (source[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    uploaded = engine.upload([crop])
    prepared = engine.warping.prepare(feature, x_s)
    plain_in = [part.to(dtype) for part in (feature, x_d, x_s)]
    mid_plain, mid_fast = warping(*plain_in).out, engine.warping(prepared, x_d).out

    def plain_frame() -> None:
        heads = Motion.of(engine._motion(engine.as_input(engine.upload([crop]))))
        moved = x_d + 0 * heads.exp  # the motion rules cost nothing beside the rest here
        drawn = decoder(warping(plain_in[0], moved.to(dtype), plain_in[2]).out)
        (drawn.clamp(0, 1) * 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()

    character = open_character(bundled_names()[0])
    placed = Motion(*(part.to(device) for part in seen))
    live = LiveMotion(placed, Ratios(np.array([0.35, 0.35], np.float32), 0.1), engine.heads, Tuning())
    driving = Driving(Square(256, 256, 400), character, Tuning())
    drive = Drive.neutral(character)
    control = engine.to_device(driving.controls(drive))

    def see(crops: Tensor, controls: Tensor) -> tuple[Tensor, ...]:
        live.see(engine.motion(crops).frame(0), controls)
        return (live.pose(controls),)

    def motion_rules() -> None:
        live.see(placed, control)
        live.pose(control)

    seeing = Recorded(see, [uploaded, control])
    drawing = Recorded(lambda points: (engine.draw(prepared, points),), [x_d])

    def fast_frame() -> None:
        (points,) = seeing(engine.upload([crop]), engine.to_device(driving.controls(drive)))
        drawing(points)[0].cpu().numpy()

    result = {
        "M": timed(lambda: engine.motion(uploaded), runs, device, now_s),
        "motion rules, eager": timed(motion_rules, runs, device, now_s),
        "F + preparing, once a source": timed(lambda: engine.prepare(uploaded, x_s), runs, device, now_s),
        "W plain": timed(lambda: warping(*plain_in), runs, device, now_s),
        "W fast": timed(lambda: engine.warping(prepared, x_d), runs, device, now_s),
        "G plain": timed(lambda: decoder(mid_plain), runs, device, now_s),
        "G fast": timed(lambda: engine.decoder(mid_fast), runs, device, now_s),
        "frame plain": timed(plain_frame, runs, device, now_s),
        "frame fast": timed(fast_frame, runs, device, now_s),
    }
    ratios = {
        part: round(result[f"{part} plain"]["min_ms"] / result[f"{part} fast"]["min_ms"], 3)
        for part in ("W", "G", "frame")
    }
    drawn = engine.decoder(engine.warping(prepared, x_d).out)
    name = torch.cuda.get_device_name() if half else "CPU"
    return {
        "device": name,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "precision": str(dtype).removeprefix("torch."),
        "graph_recorded": drawing.recorded and seeing.recorded,
        "ms": result,
        "plain_over_fast": ratios,
        "fast_against_plain_fp32": error(drawn, exact),
        "target_ms": TARGET_MS,
        "memory_mb": round(torch.cuda.max_memory_allocated() / 1e6) if half else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--runs", type=int, help="counted runs of each part; default 50 on a GPU, 3 on a CPU")
    parser.add_argument("--one-thread", action="store_true", help="on a CPU: one thread, processor time")
    parser.add_argument("--json", type=Path, help="write the measurements there")
    args = parser.parse_args()
    device = torch.device(args.device)
    if args.one_thread and args.device == "cpu":
        torch.set_num_threads(1)
    now_s = time.process_time if args.one_thread and args.device == "cpu" else time.perf_counter
    result = {**environment(), **measure(device, args.runs or (50 if args.device == "cuda" else 3), now_s)}
    result["clock"] = now_s.__name__
    for part, took in result["ms"].items():
        print(f"{part:<30} min {took['min_ms']:>9.2f} ms   median {took['median_ms']:>9.2f} ms")
    print(f"plain / fast: {result['plain_over_fast']}, fast against plain fp32: {result['fast_against_plain_fp32']}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
