"""A show with the time code carried through it, for `tests.bench.remote`, in a process of its own so that its processor
time is its own. It reads the code off the camera's picture and burns it into the character's; everything between is
the real program. `--stock` takes measures against delay out again, for before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import signal
import statistics
import time
from pathlib import Path
from typing import Any

import aioice.ice
import aiortc.rate
import psutil

from faceshot.types import Rendered
from live.build import build_show
from live.config import load_config
from live.server.serve import listen, serve
from live.webrtc import hooks
from tests.bench import timecode

STOCK = ("marker", "skip", "seed")
CAMERA_BLOCK_PX, PICTURE_BLOCK_PX = 32, 16


class Notes:
    """What happened when."""

    def __init__(self) -> None:
        self.codes: dict[int, int] = {}
        self.last_packet: dict[int, float] = {}
        self.first_rtp: int | None = None
        self.reception_ms: list[float] = []
        self.sizes: list[tuple[float, int]] = []
        self.pictures: list[float] = []
        self.cpu: list[tuple[float, float]] = []


def take_out(measures: set[str]) -> None:
    """Make aiortc behave as it comes, in the ways named."""
    if "marker" in measures:
        hooks.PromptBuffer._take = _take_when_the_next_begins  # type: ignore[method-assign]
    if "skip" in measures:
        hooks.PromptBuffer._hopeless = lambda self: False  # type: ignore[method-assign]
        hooks.PatientNacks.add = hooks.NackGenerator.add  # type: ignore[method-assign]
    if "seed" in measures:
        aiortc.rate.AimdRateControl.set_estimate = lambda self, bitrate, now_ms: None  # type: ignore[method-assign]


def _take_when_the_next_begins(self: Any) -> Any:
    parts: list[bytes] = []
    timestamp = 0
    for count in range(self._capacity):
        packet = self._packets[(self._origin + count) % self._capacity]
        if packet is None:
            return None
        if parts and packet.timestamp != timestamp:
            self.remove(count)
            return hooks.JitterFrame(b"".join(parts), timestamp)
        timestamp = packet.timestamp
        parts.append(packet._data)
    return None


def spoil(loss: float, jitter_ms: float, seed: int = 1) -> None:
    """Lose and delay datagrams on their way in, on all peers' sockets, once a path is found."""
    rng = random.Random(seed)
    arrived = aioice.ice.StunProtocol.datagram_received

    def datagram_received(self: Any, data: Any, address: Any) -> None:
        if data[0] < 128:  # STUN and DTLS; media begins at 128
            arrived(self, data, address)
        elif rng.random() >= loss:
            asyncio.get_running_loop().call_later(rng.random() * jitter_ms / 1e3, arrived, self, data, address)

    aioice.ice.StunProtocol.datagram_received = datagram_received  # type: ignore[method-assign]


def instrument(show: Any, notes: Notes) -> None:
    find, on_air, offer = show._finder.find, show._air.show, show.phone.offer
    add = hooks.PromptBuffer.add

    def noted_add(self: Any, packet: Any) -> Any:
        if packet.marker:
            notes.last_packet[packet.timestamp] = time.monotonic()
            while len(notes.last_packet) > 2000:
                del notes.last_packet[next(iter(notes.last_packet))]
        pli, frame = add(self, packet)
        if frame is not None and notes.first_rtp is None:
            notes.first_rtp = frame.timestamp
        return pli, frame

    def noted_offer(picture: Any) -> None:
        now = time.monotonic()
        frame = picture._frame
        if frame.pts is not None and notes.first_rtp is not None:
            came = notes.last_packet.get((notes.first_rtp + frame.pts) % 2**32)
            if came is not None:
                notes.reception_ms.append((now - came) * 1e3)
        notes.sizes.append((now, frame.width))
        notes.pictures.append(now)
        offer(picture)

    def noted_find(image: Any, timestamp_ms: int) -> Any:
        code = timecode.read(image.rgb, CAMERA_BLOCK_PX * image.rgb.shape[1] // 640)
        if code is not None:
            notes.codes[timestamp_ms] = code
            while len(notes.codes) > 200:
                del notes.codes[next(iter(notes.codes))]
        return find(image, timestamp_ms)

    async def noted_show(picture: Any) -> None:
        code = notes.codes.get(picture.t_capture_ns // 1_000_000)
        if code is not None:
            rgba = picture.value.rgba.copy()
            timecode.paint(rgba, code, PICTURE_BLOCK_PX)
            picture = picture.carry(Rendered(rgba), {})
        await on_air(picture)

    hooks.PromptBuffer.add = noted_add  # type: ignore[method-assign]
    show._finder.find, show._air.show, show.phone.offer = noted_find, noted_show, noted_offer


async def run(args: argparse.Namespace) -> None:
    sets = [f"server.port={args.port}", f"animator.max_side_px={args.side}", f"remote.codec={args.codec}"]
    config = load_config(None, sets, {"character.spec": args.character, "source.spec": args.source})
    take_out(set(args.stock))
    if args.loss or args.jitter_ms:
        spoil(args.loss, args.jitter_ms)
    notes = Notes()
    show = build_show(config)
    instrument(show, notes)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, show.stop)
    process = psutil.Process()

    async def watch_cpu() -> None:
        while True:
            times = process.cpu_times()
            notes.cpu.append((time.monotonic(), times.user + times.system))
            await asyncio.sleep(0.5)

    async with asyncio.TaskGroup() as group:
        around = [group.create_task(serve(show, config.server, listen(config.server))), group.create_task(watch_cpu())]
        await show.run()
        for task in around:
            task.cancel()
    stats = show.stats.snapshot()
    gaps = [b - a for a, b in zip(notes.pictures, notes.pictures[1:], strict=False)]
    full = next((t for t, width in notes.sizes if width >= 640), None)
    after_2s = [width for t, width in notes.sizes if t - notes.sizes[0][0] > 2]
    args.out.write_text(
        json.dumps(
            {
                "reception_ms": percentiles(notes.reception_ms[60:]),
                "worst_gap_ms": max(gaps[60:], default=0) * 1e3,
                "received_fps": len(gaps) / sum(gaps) if gaps else 0,
                "full_size_after_s": None if full is None else full - notes.pictures[0],
                "share_full_size_after_2s": sum(w >= 640 for w in after_2s) / max(1, len(after_2s)),
                "cpu": notes.cpu,
                "stages": stats["stages"],
                "server_latency_ms": stats["latency_ms"],
                "dropped": stats["dropped"],
            }
        )
    )


def percentiles(values: list[float]) -> dict[str, float]:
    if len(values) < 2:
        return {}
    cuts = statistics.quantiles(values, n=100)
    return {"p50": round(cuts[49], 1), "p95": round(cuts[94], 1), "n": len(values)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--character", default="mika")
    parser.add_argument("--source", default="phone")
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--codec", default="h264")
    parser.add_argument("--stock", nargs="*", default=[], choices=STOCK)
    parser.add_argument("--loss", type=float, default=0.0)
    parser.add_argument("--jitter-ms", type=float, default=0.0)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
