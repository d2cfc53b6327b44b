"""`faceshot bench`: what this machine does with the whole path, camera frame → tracked → rendered pixels.

Three runs of the real show (`live.build`) with a null sink and no server:

    fast       the file as fast as everything goes, no frame dropped: frames a second
    realtime   the file at its own speed: latency from "frame available" to "pixels rendered", drops
    endurance  the same for minutes: does memory grow?

Each run warms up first (models load, caches fill); the warm-up is stated and not counted. Percentiles are those of the
last 600 frames (20 s at 30 fps). `faceshot doctor` uses the shortest form as its self-test.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from live.build import build_show
from live.clock import LoopClock
from live.config import Config
from live.errors import LiveError, first_of
from live.show import Show

__all__ = ["SCHEMA", "environment", "measure", "report", "selftest"]

SCHEMA = "faceshot-bench/1"
WARMUP_S = 4.0
FIRST_FRAME_LIMIT_S = 60.0
SAMPLE_S = 5.0

Progress = Callable[[str, float], None]
"""Called with the name of the run and how much of it is done, 0 to 1."""


def measure(
    config: Config, seconds: float, minutes: float = 0.0, progress: Progress = lambda run, part: None
) -> dict[str, Any]:
    """All runs, as JSON-ready numbers.

    Args:
        seconds: counted length of the runs `fast` and `realtime`.
        minutes: length of the run `endurance`; 0 leaves it out.
    """
    quiet = _quiet(config)
    runs: dict[str, Any] = {
        "fast": run(quiet, seconds, realtime=False, progress=lambda part: progress("fast", part)),
        "realtime": run(quiet, seconds, realtime=True, progress=lambda part: progress("realtime", part)),
    }
    if minutes:
        runs["endurance"] = run(
            quiet, minutes * 60, realtime=True, progress=lambda part: progress("endurance", part), warmup_s=20.0
        )
    return {"schema": SCHEMA, **environment(), "config": quiet.model_dump(mode="json"), "runs": runs}


def selftest(config: Config | None = None, seconds: float = 2.0) -> dict[str, Any]:
    """A short show without devices: bundled clip → warp → nowhere. Returns its stats."""
    base = _quiet(config or Config())
    demo = base.model_copy(update={"source": base.source.model_copy(update={"spec": "demo"})})
    return run(demo, seconds, realtime=True, warmup_s=1.0)


def run(
    config: Config,
    seconds: float,
    realtime: bool,
    progress: Callable[[float], None] = lambda part: None,
    warmup_s: float = WARMUP_S,
) -> dict[str, Any]:
    """One show: stats at its end, mean rate over the counted time, memory over time."""
    source = config.source.model_copy(update={"realtime": realtime, "loop": True})
    try:
        return asyncio.run(_run(config.model_copy(update={"source": source}), seconds, progress, warmup_s))
    except BaseExceptionGroup as errors:
        raise first_of(errors) from None


async def _run(config: Config, seconds: float, progress: Callable[[float], None], warmup_s: float) -> dict[str, Any]:
    clock = LoopClock()
    asked_ns = clock.now_ns()
    show = build_show(config)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(show.run())
        try:
            first_ns = await _first_frame(show, clock, running)
            await _wait(clock, first_ns + round(warmup_s * 1e9), running)
            before, began_ns, cpu_s = show.stats.snapshot(), clock.now_ns(), _cpu_s()
            rss = [before["rss_mb"]]
            end_ns = began_ns + round(seconds * 1e9)
            while clock.now_ns() < end_ns:
                await _wait(clock, min(end_ns, clock.now_ns() + round(min(SAMPLE_S, seconds / 10) * 1e9)), running)
                rss.append(show.stats.snapshot()["rss_mb"])
                progress((clock.now_ns() - began_ns) / (end_ns - began_ns))
            after, counted_s = show.stats.snapshot(), (clock.now_ns() - began_ns) / 1e9
            cpu_s = _cpu_s() - cpu_s
        finally:
            show.stop()
    frames = after["frames_out"] - before["frames_out"]
    return {
        **after,
        "frames_out": frames,
        "frames_in": after["frames_in"] - before["frames_in"],
        "fps_out": round(frames / counted_s, 2),
        "dropped": {why: n - before["dropped"].get(why, 0) for why, n in after["dropped"].items()},
        "seconds": round(counted_s, 2),
        "cpu_cores": round(cpu_s / counted_s, 2),
        "cpu_ms_per_frame": round(cpu_s * 1e3 / max(1, frames), 2),
        "warmup_s": warmup_s,
        "first_frame_s": round((first_ns - asked_ns) / 1e9, 2),
        "rss_max_mb": max(rss),
        "rss_growth_mb": round(_mean(rss[-3:]) - _mean(rss[:3]), 1),
    }


async def _first_frame(show: Show, clock: LoopClock, running: asyncio.Task[None]) -> int:
    """Time of the first picture that a source's frame is behind."""
    limit_ns = clock.now_ns() + round(FIRST_FRAME_LIMIT_S * 1e9)
    while show.stats.snapshot()["latency_ms"]["p50"] is None:
        if clock.now_ns() > limit_ns:
            message = show.state()["message"] or "no reason is known"
            raise LiveError(f"No frame was rendered in {FIRST_FRAME_LIMIT_S:.0f} s: {message}", "faceshot doctor")
        await _wait(clock, clock.now_ns() + 20_000_000, running)
    return clock.now_ns()


async def _wait(clock: LoopClock, until_ns: int, running: asyncio.Task[None]) -> None:
    await clock.sleep_until_ns(until_ns)
    if running.done():
        raise LiveError("The show ended before the measurement did.", "Use a longer video, or --seconds 5")


def _quiet(config: Config) -> Config:
    """Nothing but the path itself: null sink, no server, no mirror questions."""
    return config.model_copy(
        update={
            "output": config.output.model_copy(update={"sinks": ("null",)}),
            "server": config.server.model_copy(update={"enabled": False, "open_browser": False}),
        }
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _cpu_s() -> float:
    """Processor time of this process so far, all threads; unlike wall time it hardly depends on other programs."""
    import psutil

    used = psutil.Process().cpu_times()
    return float(used.user + used.system)


def environment() -> dict[str, Any]:
    """Commit, hardware and versions: without them a number means nothing."""
    import os
    import platform
    from importlib import metadata

    import psutil

    packages = ("faceshot-live", "mediapipe", "numpy", "opencv-contrib-python", "av")
    versions = {}
    for name in packages:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return {
        "commit": _commit(),
        "hardware": {
            "cpu": _cpu_name(),
            "cores": os.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
            "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
            "os": f"{platform.system()} {platform.release()} {platform.machine()}",
        },
        "versions": {"python": platform.python_version(), **versions},
    }


def _cpu_name() -> str:
    import platform

    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit of the working tree that this file is part of; None when it is installed elsewhere."""
    here = Path(__file__)
    git = ["git", "-C", str(here.parent)]
    try:
        tracked = subprocess.run([*git, "ls-files", "--error-unmatch", here.name], capture_output=True, timeout=5)
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return head.stdout.strip() if tracked.returncode == head.returncode == 0 else None


def report(result: Mapping[str, Any]) -> str:
    """The measurements as a table for people, Markdown."""
    hardware, runs = result["hardware"], result["runs"]
    fast, live = runs["fast"], runs["realtime"]
    latency = live["latency_ms"]
    stages = ", ".join(f"{name} {stage['p50']:.1f}/{stage['p95']:.1f}" for name, stage in live["stages"].items())
    dropped = sum(live["dropped"].values())
    rows = [
        ("as fast as possible", f"{fast['fps_out']:.1f} fps"),
        ("real time, frame available → pixels", f"p50 {latency['p50']:.1f}, p95 {latency['p95']:.1f} ms"),
        ("p99", f"{latency['p99']:.1f} ms"),
        ("stages p50/p95 ms", stages),
        ("real time, frames", f"{live['fps_out']:.1f} fps, {dropped} of {live['frames_in']} dropped"),
        ("processor, real time", f"{live['cpu_cores']:.2f} cores, {live['cpu_ms_per_frame']:.1f} ms a frame"),
        ("memory", f"{max(fast['rss_max_mb'], live['rss_max_mb']):.0f} MB"),
        ("first frame rendered", f"{live['first_frame_s']:.1f} s after the start"),
    ]
    if "endurance" in runs:
        long = runs["endurance"]
        rows.append((f"memory growth in {long['seconds'] / 60:.0f} min", f"{long['rss_growth_mb']:+.1f} MB"))
    lines = ["| measured | value |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
    head = f"{hardware['cpu']}, {hardware['cores']} cores, {hardware['os']}, Python {result['versions']['python']}"
    config = result["config"]
    what = f"{config['source']['spec']} → {config['character']['spec']} at {config['animator']['max_side_px']} px"
    warm = f"warm-up {live['warmup_s']:.0f} s not counted, then {live['seconds']:.0f} s"
    return "\n".join([f"{what}; {warm}", f"{head}; load {hardware['load_before']} before", "", *lines])
