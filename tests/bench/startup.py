"""How long a user waits: `faceshot --help`, and from pressing return to the first picture in a viewer.

    python -m tests.bench.startup                        # the demo
    python -m tests.bench.startup --source talk.mp4 --json startup.json

Runs the real command and connects to its real WebSocket, as the browser page does. Cold means first of the runs: files
may or may not be in the system's cache, so it is stated beside the median. Targets: help 0.5 s, first frame 4 s.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import websockets

from live.bench import environment
from protocols.viewer import Ack, decode_chunk, encode_message

FACESHOT = [sys.executable, "-m", "live"]
TARGET_HELP_S, TARGET_FIRST_FRAME_S = 0.5, 4.0


def time_help() -> float:
    start = time.perf_counter()
    subprocess.run([*FACESHOT, "--help"], check=True, capture_output=True)
    return time.perf_counter() - start


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def time_first_frame(source: str, character: str | None) -> dict[str, float]:
    """Seconds from starting the command to: port open, first picture, tenth picture."""
    port = free_port()
    command = [*FACESHOT, "live", *([character] if character else []), "--source", source, "--no-open"]
    start = time.perf_counter()
    show = subprocess.Popen([*command, "--set", f"server.port={port}"], stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        return asyncio.run(watch(f"ws://127.0.0.1:{port}/ws/view", start, show))
    finally:
        show.send_signal(signal.SIGINT)
        show.communicate(timeout=20)


async def watch(url: str, start: float, show: subprocess.Popen[bytes]) -> dict[str, float]:
    """Connect as soon as somebody listens, and note when pictures come."""
    marks: dict[str, float] = {}
    async with asyncio.timeout(60):
        while True:
            if show.poll() is not None:
                raise SystemExit((show.stderr.read() if show.stderr else b"").decode())
            try:
                async with websockets.connect(url, max_size=None) as viewer:
                    marks["port_open_s"] = time.perf_counter() - start
                    pictures = 0
                    while pictures < 10:
                        message = await viewer.recv()
                        if isinstance(message, bytes):
                            await viewer.send(encode_message(Ack(decode_chunk(message).sequence)))
                            pictures += 1
                            marks.setdefault("first_picture_s", time.perf_counter() - start)
                    marks["tenth_picture_s"] = time.perf_counter() - start
                    return marks
            except OSError:
                await asyncio.sleep(0.02)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure how long a user waits.")
    parser.add_argument("--source", default="demo")
    parser.add_argument("--character")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)

    helps = [time_help() for _ in range(args.runs)]
    frames = [time_first_frame(args.source, args.character) for _ in range(args.runs)]
    firsts = [marks["first_picture_s"] for marks in frames]
    result: dict[str, Any] = {
        "schema": "faceshot-startup/1",
        **environment(),
        "source": args.source,
        "help_s": helps,
        "first_frame": frames,
    }
    for name, times, target in (
        ("faceshot --help", helps, TARGET_HELP_S),
        ("first frame in a viewer", firsts, TARGET_FIRST_FRAME_S),
    ):
        median = statistics.median(times)
        verdict = "reached" if median <= target else "NOT reached"
        print(
            f"{name}: median {median:.2f} s, first {times[0]:.2f} s, worst {max(times):.2f} s; "
            f"target {target} s {verdict}"
        )
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
