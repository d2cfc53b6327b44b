"""A WebRTC stack that shares nothing with aiortc (werift, TypeScript, from npm) as WHIP client and as WHEP viewer."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiortc.codecs.h264 import H264PayloadDescriptor
from aiortc.codecs.vpx import Vp8Decoder, Vp8Encoder, VpxPayloadDescriptor
from aiortc.jitterbuffer import JitterFrame

from live.webrtc.encoder import EncodedPicture, VideoEncoder
from tests.conftest import missing
from tests.live.server.harness import served
from tests.live.server.remote_peer import make_remote_show

HERE = Path(__file__).resolve().parent / "foreign"
WERIFT = "werift@0.25.2"
PATIENCE_S = 120


def _cache() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "faceshot-tests" / WERIFT.replace("@", "-")


@pytest.fixture(scope="module")
def node_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which node finds werift; installed once and kept between runs."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        missing("node", "node and npm are not installed: apt install nodejs npm")
    folder = _cache()
    if not (folder / "node_modules" / "werift").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        command = [str(npm), "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), WERIFT]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, stdin=subprocess.DEVNULL)
        except subprocess.TimeoutExpired:
            missing("node", f"npm could not fetch {WERIFT} within {PATIENCE_S} s")
        if done.returncode:
            missing("node", f"npm could not fetch {WERIFT}: {(done.stderr or done.stdout).strip()[:200]}")
    for script in HERE.glob("*.mjs"):
        shutil.copy(script, folder)
    return folder


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(["node", *arguments], cwd=folder, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def last_line(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None and process.stderr is not None
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return json.loads(line)


def test_it_drives(node_folder: Path, tmp_path: Path) -> None:
    encoder, packer = VideoEncoder("vp8", (160, 120), 500_000, 30), Vp8Encoder()
    packets = []
    for i in range(40):
        made = encoder.encode(np.full((120, 160, 3), 60 + 4 * i, np.uint8), 3000 * i, key=i == 0)
        assert isinstance(made, EncodedPicture)
        payloads = packer._packetize(made.data, i)
        for k, payload in enumerate(payloads):
            packets.append([k == len(payloads) - 1, 3000 * i, base64.b64encode(payload).decode()])
    film = tmp_path / "packets.json"
    film.write_text(json.dumps(packets))
    with served(make_remote_show()) as server:
        client = start(node_folder, "whip.mjs", f"{server.url}/whip", str(film))
        try:
            said = last_line(client)
            assert said["sent"] == len(packets)
            assert server.call(lambda: server.show.phone.pictures) >= 38
            assert server.show.config.source.spec == "phone"
            assert client.stdin is not None
            client.stdin.write("end\n")
            client.stdin.flush()
            assert last_line(client) == {"deleted": 200}
        finally:
            client.kill()
            client.communicate()


@pytest.mark.parametrize("codec", ["vp8", "h264"])
def test_it_watches(node_folder: Path, codec: str) -> None:
    with served(make_remote_show(f"remote.codec={codec}")) as server:
        viewer = start(node_folder, "whep.mjs", f"{server.url}/whep", codec)
        out, err = viewer.communicate(timeout=60)
        assert out, err
        result = json.loads(out)
    assert result["deleted"] == 200
    first = b""
    for marker, _, payload in result["packets"]:
        descriptor = VpxPayloadDescriptor if codec == "vp8" else H264PayloadDescriptor
        first += descriptor.parse(base64.b64decode(payload))[1]
        if marker:
            break
    if codec == "vp8":
        frame: Any = Vp8Decoder().decode(JitterFrame(first, 0))[0]  # the first picture stands for itself
        assert abs(int(frame.to_ndarray(format="rgb24")[64, 64, 1]) - 60) < 6
    else:
        assert b"\x00\x00\x00\x01\x67" in first  # parameter sets, then the picture
        assert b"\x00\x00\x00\x01\x65" in first
    stamps = [timestamp for _, timestamp, _ in result["packets"]]
    assert stamps == sorted(stamps) and len(set(stamps)) > 3
