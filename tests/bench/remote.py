"""Remote driving and watching, measured with real Chromium pages on this machine.

    python -m tests.bench.remote --clip face.mp4                  # everything, about five minutes
    python -m tests.bench.remote --clip face.mp4 chain viewers    # some of it
    python -m tests.bench.remote --clip face.mp4 chain --seconds 300

    chain      phone page → server → tracked → rendered → viewer page: a frame number is burned into what the fake
               camera plays, read off the camera by the server and burned into the character. From the camera's capture
               time to the viewer page's presentation. `before` is the same without any of our measures
    reception  from a picture's last packet to its decoded pixels, with and without emission on the marker bit
    ramp       how soon full size arrives from a grainy camera, with and without a seeded bandwidth estimate and the
               page's wish to keep the size
    viewers    processor time of the server with 1 and 8 WHEP viewers, time to a joining viewer's first keyframe; here
               the demo drives, so that nothing else wants the processor
    loss       5 % of the packets lost, 50 ms jitter, with and without skipping what is lost

Chromium runs beside the server on the same cores and encodes and decodes in software, so it is a harsher place than a
phone, a computer and a viewer each with cores of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from live.bench import environment
from tests.bench import timecode
from tests.bench.startup import free_port

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"),
    *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
]
CAMERA_WH, CAMERA_FPS, CAMERA_S = (640, 480), 30, 8
SCENARIOS = ("chain", "before", "reception", "ramp", "viewers", "loss")
NO_TARGET = "Object.defineProperty(RTCRtpReceiver.prototype, 'jitterBufferTarget', { get: () => null, set: () => {} });"


def make_camera(clip: Path, out: Path, noise: int = 0) -> None:
    """A fake camera's film: the clip to and fro, with a frame number in the corner that the face leaves free.

    Noise makes it as hard to encode as a dim room.
    """
    rng = np.random.default_rng(0)
    with av.open(str(clip)) as container:
        faces = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    width, height = CAMERA_WH
    there_and_back = [*range(len(faces)), *range(len(faces) - 2, 0, -1)]
    with out.open("wb") as film:
        film.write(f"YUV4MPEG2 W{width} H{height} F{CAMERA_FPS}:1 Ip A1:1 C420jpeg\n".encode())
        for number in range(CAMERA_S * CAMERA_FPS):
            face = cv2.resize(faces[there_and_back[number % len(there_and_back)]], (height, height))
            picture = np.full((height, width, 3), 60, np.uint8)
            picture[:, (width - height) // 2 : (width + height) // 2] = face
            if noise:
                grain = rng.integers(-noise, noise + 1, picture.shape[:2], np.int16)[..., None]
                picture = np.clip(picture + grain, 0, 255).astype(np.uint8)
            timecode.paint(picture, number, 32)
            film.write(b"FRAME\n" + cv2.cvtColor(picture, cv2.COLOR_RGB2YUV_I420).tobytes())


@contextmanager
def show(folder: Path, *options: str) -> Iterator[tuple[str, list[dict[str, Any]], int]]:
    """The instrumented show: its address, what it has measured once the block has ended, its process."""
    port, out = free_port(), folder / "show.json"
    out.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.bench.remote_show", "--port", str(port), "--out", str(out), *options]
    process = subprocess.Popen(command)
    measured: list[dict[str, Any]] = []
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api/state").read()
                break
            except OSError:
                with suppress(subprocess.TimeoutExpired):
                    raise RuntimeError(f"The show ended at its start, with code {process.wait(0.1)}.") from None
        else:
            raise RuntimeError(f"The show does not answer at port {port}.")
        yield f"http://127.0.0.1:{port}", measured, process.pid
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        if out.exists():
            measured.append(json.loads(out.read_text()))


@contextmanager
def chromium(film: Path) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = [*FLAGS, f"--use-file-for-fake-video-capture={film}"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        yield browser
        browser.close()


def drive(browser: Any, url: str, stock: bool = False) -> Any:
    """The phone page, live. `stock`: without its wish to keep the size."""
    context = browser.new_context(viewport={"width": 200, "height": 240}, permissions=["camera"])
    page = context.new_page()
    page.add_init_script(timecode.READ_JS)
    if stock:
        page.add_init_script("RTCRtpSender.prototype.setParameters = () => Promise.resolve();")
    page.goto(f"{url}/drive")
    for _ in range(200):
        state = page.evaluate("document.documentElement.dataset.state")
        if state in ("live", "searching"):
            return page
        page.wait_for_timeout(100)
    raise SystemExit(f"the phone page stays at {state}")


def run_chain(folder: Path, film: Path, seconds: float, options: Sequence[str], stock_viewer: bool) -> dict[str, Any]:
    with show(folder, *options) as (url, measured, _), chromium(film) as browser:
        phone = drive(browser, url)
        viewer = browser.new_context(viewport={"width": 256, "height": 256}).new_page()
        if stock_viewer:
            viewer.add_init_script(NO_TARGET)
        viewer.add_init_script(timecode.READ_JS)
        viewer.goto(f"{url}/watch")
        viewer.wait_for_timeout(6000)
        for page, video, block in ((phone, "#preview", 32), (viewer, "#video", 16)):
            page.evaluate("([video, block]) => follow(document.querySelector(video), block)", [video, block])
        viewer.wait_for_timeout(seconds * 1000)
        sent, got = phone.evaluate("seen"), viewer.evaluate("seen")
        way = viewer.evaluate("document.documentElement.dataset.way || 'webrtc'")
    delays = chain_delays(sent, got)
    third = max(1, len(delays) // 3)
    return {
        "ms": _percentiles(delays),
        "first_third_p50": round(statistics.median(delays[:third]), 1),
        "last_third_p50": round(statistics.median(delays[-third:]), 1),
        "viewer_fps": round(len(got) / seconds, 1),
        "way": way,
        "show": _without_cpu(measured),
    }


def chain_delays(sent: list[list[float]], got: list[list[float]]) -> list[float]:
    """For each new number at the viewer how long ago the camera had it."""
    delays: list[float] = []
    last = None
    for code, t_shown in got:
        if code == last:
            continue
        last = code
        times = [t for c, t in sent if c == code and 0 <= t_shown - t < CAMERA_S * 500]
        if times:
            delays.append(t_shown - max(times))
    return delays


def run_reception(folder: Path, film: Path, seconds: float, stock: Sequence[str], *more: str) -> dict[str, Any]:
    with show(folder, *more, "--stock", *stock) as (url, measured, _), chromium(film) as browser:
        drive(browser, url, stock="seed" in stock).wait_for_timeout(seconds * 1000)
    return _without_cpu(measured)


def run_viewers(folder: Path, seconds: float, look: Sequence[str]) -> dict[str, Any]:
    """Viewers that take everything and decode nothing, so that their cost stays out of the measurement."""
    result: dict[str, Any] = {}
    with show(folder, "--source", "demo", *look) as (url, _, process):
        for count in (1, 8, 1, 8):
            command = [sys.executable, "-m", "tests.bench.remote", "--clip", "-", "_watch", "--url", url]
            watching = subprocess.run(
                [*command, "--count", str(count), "--seconds", str(seconds), "--process", str(process)],
                capture_output=True, text=True, check=True,
            )  # fmt: skip
            result.setdefault(f"viewers_{count}", []).append(json.loads(watching.stdout.splitlines()[-1]))
    return result


async def watch(url: str, count: int, seconds: float, process: int) -> dict[str, Any]:
    import httpx
    import psutil
    from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

    first_ms: list[float] = []
    packets = [0] * count

    async def join(i: int, client: httpx.AsyncClient) -> RTCPeerConnection:
        peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        peer.addTransceiver("video", direction="recvonly")
        connected: list[float] = []
        receiver: Any = peer.getReceivers()[0]

        async def count_only(packet: Any, arrival_time_ms: int) -> None:
            if packets[i] == 0 and connected:
                first_ms.append((time.monotonic() - connected[0]) * 1e3)
            packets[i] += 1

        receiver._handle_rtp_packet = count_only
        peer.on(
            "connectionstatechange",
            lambda: connected.append(time.monotonic()) if peer.connectionState == "connected" else None,
        )
        await peer.setLocalDescription(await peer.createOffer())
        reply = await client.post(
            f"{url}/whep", content=peer.localDescription.sdp, headers={"content-type": "application/sdp"}
        )
        assert reply.status_code == 201, reply.text
        await peer.setRemoteDescription(RTCSessionDescription(reply.text, "answer"))
        return peer

    async with httpx.AsyncClient() as client:
        peers = []
        for i in range(count):
            peers.append(await join(i, client))
            await asyncio.sleep(0.4)
        await asyncio.sleep(1.5)
        shown = psutil.Process(process)
        before, since, had = shown.cpu_times(), time.monotonic(), sum(packets)
        await asyncio.sleep(seconds)
        after, span = shown.cpu_times(), time.monotonic() - since
        stats = (await client.get(f"{url}/api/stats")).json()
        result = {
            "server_cores": round((after.user + after.system - before.user - before.system) / span, 3),
            "fps_out": stats["fps_out"],
            "packets_per_viewer_s": round((sum(packets) - had) / span / count, 1),
            "first_picture_after_connection_ms": [round(ms, 1) for ms in sorted(first_ms)],
            "dropped": [viewer["dropped"] for viewer in stats["remote"]["viewers"]],
            "encode_ms": [cast["encode_ms"] for cast in stats["remote"]["broadcasts"]],
        }
        for peer in peers:
            await peer.close()
    return result


def _percentiles(values: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(values, n=100) if len(values) > 1 else [0.0] * 99
    return {
        "p50": round(cuts[49], 1),
        "p95": round(cuts[94], 1),
        "max": round(max(values, default=0), 1),
        "n": len(values),
    }


def _without_cpu(measured: list[dict[str, Any]]) -> dict[str, Any]:
    return {key: value for key, value in measured[0].items() if key != "cpu"} if measured else {}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure remote driving and watching.")
    parser.add_argument("--clip", type=Path, required=True, help="a video of a face")
    parser.add_argument("--seconds", type=float, default=12)
    parser.add_argument("--character", default="mika")
    parser.add_argument("--side", type=int, default=512, help="longest side of the character in pixels")
    parser.add_argument("--codec", default="h264")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--process", type=int, help=argparse.SUPPRESS)
    parser.add_argument("scenario", nargs="*", default=SCENARIOS)
    args = parser.parse_args(argv)
    if args.scenario == ["_watch"]:
        print(json.dumps(asyncio.run(watch(args.url, args.count, args.seconds, args.process))))
        return 0
    result: dict[str, Any] = {"schema": "faceshot-remote/1", **environment(), "side": args.side, "codec": args.codec}
    look = ["--character", args.character, "--side", str(args.side), "--codec", args.codec]
    with tempfile.TemporaryDirectory() as place:
        folder, film = Path(place), Path(place) / "camera.y4m"
        make_camera(args.clip, film)
        if "chain" in args.scenario:
            result["chain"] = run_chain(folder, film, args.seconds, look, stock_viewer=False)
        if "before" in args.scenario:
            stock = [*look, "--stock", "marker", "skip", "seed"]
            result["chain_before"] = run_chain(folder, film, args.seconds, stock, stock_viewer=True)
        if "reception" in args.scenario:
            result["reception"] = run_reception(folder, film, args.seconds, [], *look)
            result["reception_before"] = run_reception(folder, film, args.seconds, ["marker"], *look)
        if "ramp" in args.scenario:
            grainy = Path(place) / "grainy.y4m"
            make_camera(args.clip, grainy, noise=40)
            result["ramp"] = run_reception(folder, grainy, 10, [], *look)
            result["ramp_before"] = run_reception(folder, grainy, 10, ["seed"], *look)
        if "viewers" in args.scenario:
            result["viewers"] = run_viewers(folder, args.seconds, look)
        if "loss" in args.scenario:
            lossy = [*look, "--loss", "0.05", "--jitter-ms", "50"]
            result["loss"] = run_chain(folder, film, args.seconds, lossy, stock_viewer=False)
            result["loss_before"] = run_chain(
                folder, film, args.seconds, [*lossy, "--stock", "skip"], stock_viewer=False
            )
    for name in result:
        if name.startswith(("chain", "reception", "ramp", "viewers", "loss")):
            print(f"{name}: {json.dumps(result[name])}")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
