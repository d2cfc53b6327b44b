"""The other end of a WebRTC connection for tests: aiortc over real sockets, speaking WHIP or WHEP to a served show."""

from __future__ import annotations

import asyncio
import fractions
from collections.abc import Callable
from typing import Any

import av
import httpx
import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack

from live.clock import LoopClock
from live.show import Show
from live.sources.phone import PhoneInlet, PhoneSource
from tests.fakes import ScriptedSource, a_character, a_face, a_show

__all__ = ["FilmTrack", "RemotePeer", "eventually", "make_remote_show"]

SDP = {"content-type": "application/sdp"}


def make_remote_show(*sets: str, **how: Any) -> Callable[[], Show]:
    """A show of fakes, driven by `cam`, that a phone may drive as well."""

    def make() -> Show:
        clock = LoopClock()
        inlet = PhoneInlet(clock)
        sources = {
            "cam": lambda: ScriptedSource(clock, states=[a_face()]),
            "phone": lambda: PhoneSource(inlet),
        }
        who = {"dot": a_character("dot", (128, 128), 60)}
        return a_show(clock, sources, characters=who, sets=sets, phone=inlet, **how)

    return make


class FilmTrack(MediaStreamTrack):
    """Grey pictures at 30 fps, each a little lighter."""

    kind = "video"

    def __init__(self, size_wh: tuple[int, int] = (160, 120)) -> None:
        super().__init__()
        self._size_wh = size_wh
        self._count = 0
        self._start_s = asyncio.get_running_loop().time()

    async def recv(self) -> av.VideoFrame:
        due_s = self._start_s + self._count / 30
        await asyncio.sleep(max(0.0, due_s - asyncio.get_running_loop().time()))
        width, height = self._size_wh
        rgb = np.full((height, width, 3), 80 + self._count % 60, np.uint8)
        frame: Any = av.VideoFrame.from_ndarray(rgb, "rgb24")
        frame.pts, frame.time_base = self._count * 3000, fractions.Fraction(1, 90_000)
        self._count += 1
        return frame


class RemotePeer:
    """One peer. Use it as a context manager; it leaves without a word when the block ends."""

    def __init__(self, url: str, name: str = "peer/1", sound: bool = False) -> None:
        self.url = url
        self.pictures: list[np.ndarray] = []
        self.sounds = 0
        self.reply: httpx.Response | None = None
        self.headers = {"user-agent": name}
        self.client = httpx.AsyncClient(headers=self.headers)
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._sound = sound
        self._reading: list[asyncio.Future[None]] = []

    async def __aenter__(self) -> RemotePeer:
        return self

    async def __aexit__(self, *error: object) -> None:
        for reading in self._reading:
            reading.cancel()
        await self.peer.close()
        await self.client.aclose()

    async def drive(self) -> httpx.Response:
        """WHIP: send a film."""
        self.peer.addTransceiver(FilmTrack(), direction="sendonly")
        if self._sound:
            self.peer.addTransceiver(AudioStreamTrack(), direction="sendonly")
        return await self._open("/whip")

    async def watch(self, query: str = "") -> httpx.Response:
        """WHEP: receive pictures and sound."""
        self.peer.addTransceiver("video", direction="recvonly")
        self.peer.addTransceiver("audio", direction="recvonly")
        self.peer.on("track", lambda track: self._reading.append(asyncio.ensure_future(self._read(track))))
        return await self._open(f"/whep{query}")

    async def _open(self, path: str) -> httpx.Response:
        await self.peer.setLocalDescription(await self.peer.createOffer())
        self.reply = await self.client.post(f"{self.url}{path}", content=self.peer.localDescription.sdp, headers=SDP)
        if self.reply.status_code == 201:
            await self.peer.setRemoteDescription(RTCSessionDescription(self.reply.text, "answer"))
        return self.reply

    async def _read(self, track: MediaStreamTrack) -> None:
        while True:
            frame: Any = await track.recv()
            if track.kind == "audio":
                self.sounds += 1
            else:
                self.pictures.append(frame.to_ndarray(format="rgb24"))

    @property
    def session(self) -> str:
        assert self.reply is not None
        return f"{self.url}{self.reply.headers['location']}"


async def eventually(what: Callable[[], Any], patience_s: float = 15) -> None:
    """Wait until `what()` is true."""
    async with asyncio.timeout(patience_s):
        while not what():  # noqa: ASYNC110 - it is true on another thread's loop
            await asyncio.sleep(0.02)
