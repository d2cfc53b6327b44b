"""The two kinds of peers: a `Driver` sends us video, a `Viewer` gets ours. Each wraps one aiortc connection.

A peer never raises into the program: what becomes of it is in `state`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from faceshot.types import UInt8
from live.clock import Clock
from live.webrtc.broadcast import Broadcast, PacketTrack
from live.webrtc.hooks import (
    IcePath,
    PromptBuffer,
    add_candidates,
    ice_transport,
    on_keyframe_wanted,
    tune_receiver,
    without_dead_ends,
)
from protocols.whip import IceServer, Offer, Restart, Trickle

__all__ = ["Driver", "LocalIce", "Peer", "Unusable", "Viewer"]

log = logging.getLogger(__name__)

LONGEST_SIDE_PX = 960  # more is of no use to the tracker and costs time
RESTART_S = 15.0
MIME = {"h264": "video/H264", "vp8": "video/VP8"}


class Unusable(Exception):
    """The offer is well formed but cannot be answered."""


@dataclass(frozen=True, slots=True)
class LocalIce:
    """Our half of an ICE restart."""

    ufrag: str
    password: str
    candidates: tuple[str, ...]


class Peer:
    """One connection.

    Args:
        spawn: starts a task.
        on_change: called when `state` has changed.

    Attributes:
        state: aiortc's connection state: new, connecting, connected, failed, closed.
        rtt_s: of the last measurement.
    """

    def __init__(
        self,
        clock: Clock,
        servers: Sequence[IceServer],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        on_change: Callable[[], None],
    ) -> None:
        self.state = "new"
        self.rtt_s: float | None = None
        self.opened_ns = clock.now_ns()
        self._clock = clock
        self._spawn = spawn
        self._tasks: list[asyncio.Task[None]] = []
        self._on_change = on_change
        # Without a list aiortc would ask a public STUN server, which a local network does not need.
        ice = [RTCIceServer(s.url, s.username or None, s.credential or None) for s in servers]
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=ice))
        self._connection.on("connectionstatechange", self._changed)
        self._path: IcePath | None = None
        self.bitrate_bps = 0.0
        self._seen = (0, 0)  # bytes and when they were counted

    async def answer(self, offer: Offer) -> str:
        """The SDP answer to an offer, with all our candidates. Raises `Unusable`; the peer is closed then."""
        try:
            self._before(offer)
            await self._connection.setRemoteDescription(RTCSessionDescription(without_dead_ends(offer.sdp), "offer"))
            self._after()
            self._path = IcePath(ice_transport(self._connection))
            await self._connection.setLocalDescription(await self._connection.createAnswer())
        except asyncio.CancelledError:
            await self.close()
            raise
        except Exception as error:  # an SDP can be wrong in more ways than aiortc has exceptions for
            await self.close()
            raise Unusable(f"The offer cannot be answered: {type(error).__name__}: {error}"[:300]) from error
        return str(self._connection.localDescription.sdp)

    def _before(self, offer: Offer) -> None:
        """Before the offer is set: what is sent."""

    def _after(self) -> None:
        """When the transceivers are there and nothing has started: hooks."""

    async def trickle(self, fragment: Trickle) -> None:
        """Add candidates that the client found later."""
        if self._path is not None:
            await self._path.add_candidates([candidate.text for candidate in fragment.candidates])

    async def restart_ice(self, fragment: Restart) -> LocalIce:
        """Answer an ICE restart; the media moves over as soon as the new path works."""
        assert self._path is not None
        fresh = await self._path.prepare_restart()
        local = LocalIce(fresh.local_username, fresh.local_password, tuple(c.to_sdp() for c in fresh.local_candidates))
        fresh.remote_username, fresh.remote_password = fragment.ufrag, fragment.password
        await add_candidates(fresh, [candidate.text for candidate in fragment.candidates])
        self._tasks.append(self._spawn(self._path.take_over(fresh, RESTART_S)))
        return local

    async def close(self) -> None:
        """End the connection. Safe to call twice."""
        for task in self._tasks:  # the track of a receiver that never started would never end
            task.cancel()
        await self._connection.close()

    def _changed(self) -> None:
        self.state = self._connection.connectionState
        self._on_change()

    async def measure(self) -> dict[str, Any]:
        """RTP loss, jitter, RTT and bitrate, for stats. Call it about once a second."""
        report = await self._connection.getStats()
        facts: dict[str, Any] = {"lost": 0, "jitter_ms": None, "packets": 0}
        bytes_now = 0
        for entry in report.values():
            kind = entry.type
            if kind in ("inbound-rtp", "remote-inbound-rtp") and entry.kind == "video":
                facts["lost"] = max(facts["lost"], entry.packetsLost)
                facts["jitter_ms"] = round(entry.jitter / 90, 1)  # RTP's clock of 90 kHz
                facts["packets"] = max(facts["packets"], entry.packetsReceived)
            elif kind == "transport":
                bytes_now = entry.bytesReceived + entry.bytesSent
        now_ns = self._clock.now_ns()
        before, then_ns = self._seen
        if then_ns and now_ns > then_ns:
            self.bitrate_bps = (bytes_now - before) * 8e9 / (now_ns - then_ns)
        self._seen = (bytes_now, now_ns)
        if self._path is not None and self.state == "connected":
            self.rtt_s = await self._path.round_trip_s(lambda: self._clock.now_ns() / 1e9)
        return {
            **facts,
            "bitrate_bps": round(self.bitrate_bps),
            "rtt_ms": None if self.rtt_s is None else round(self.rtt_s * 1e3, 1),
        }


class Driver(Peer):
    """Whoever moves the character.

    Args:
        on_picture: gets each decoded picture as something that makes RGB of it.
        on_sound: gets each decoded piece of sound; None: sound is not taken.
    """

    def __init__(
        self,
        clock: Clock,
        servers: Sequence[IceServer],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        on_change: Callable[[], None],
        on_picture: Callable[[Callable[[], UInt8]], None],
        on_sound: Callable[[av.AudioFrame], None] | None = None,
    ) -> None:
        super().__init__(clock, servers, spawn, on_change)
        self.pictures = 0
        self.size_wh: tuple[int, int] | None = None
        self.last_picture_ns: int | None = None
        self._on_picture = on_picture
        self._on_sound = on_sound
        self._buffer: PromptBuffer | None = None
        self._tracks: list[MediaStreamTrack] = []
        self._connection.on("track", self._tracks.append)

    def _after(self) -> None:
        for transceiver in self._connection.getTransceivers():
            if transceiver.kind == "video":
                self._buffer = tune_receiver(transceiver.receiver)
        for track in self._tracks:
            self._tasks.append(self._spawn(self._drain(track)))

    async def _drain(self, track: MediaStreamTrack) -> None:
        """Take everything at once: aiortc's queue has no end, and what stays in it is delay."""
        while True:
            try:
                frame: Any = await track.recv()
            except MediaStreamError:
                return
            if track.kind == "audio":
                if self._on_sound is not None:
                    self._on_sound(frame)
                continue
            self.pictures += 1
            self.size_wh = (frame.width, frame.height)
            self.last_picture_ns = self._clock.now_ns()
            self._on_picture(_Rgb(frame))

    async def measure(self) -> dict[str, Any]:
        facts = await super().measure()
        return {**facts, "given_up": self._buffer.given_up if self._buffer else None}


class _Rgb:
    """A decoded frame that becomes RGB when it is called, at most `LONGEST_SIDE_PX` large."""

    def __init__(self, frame: av.VideoFrame) -> None:
        self._frame = frame

    def __call__(self) -> UInt8:
        frame = self._frame
        scale = min(1.0, LONGEST_SIDE_PX / max(frame.width, frame.height))
        width, height = round(frame.width * scale), round(frame.height * scale)
        return np.asarray(frame.to_ndarray(format="rgb24", width=width, height=height), np.uint8)


class Viewer(Peer):
    """Somebody who watches.

    Args:
        broadcast: whose pictures it gets.
        sound: the driver's sound on its way to viewers; None: there is none.
    """

    def __init__(
        self,
        clock: Clock,
        servers: Sequence[IceServer],
        spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        on_change: Callable[[], None],
        broadcast: Broadcast,
        sound: PacketTrack | None = None,
    ) -> None:
        super().__init__(clock, servers, spawn, on_change)
        self.broadcast = broadcast
        self.track = broadcast.join()
        self.sound = sound

    def _before(self, offer: Offer) -> None:
        video = self._connection.addTransceiver(self.track, direction="sendonly")
        mime = MIME[self.broadcast.stream.codec]
        known = RTCRtpSender.getCapabilities("video").codecs
        video.setCodecPreferences([codec for codec in known if codec.mimeType in (mime, "video/rtx")])
        on_keyframe_wanted(video.sender, self.broadcast.want_keyframe)
        if offer.audio and self.sound is not None:
            self._connection.addTransceiver(self.sound, direction="sendonly")

    def _changed(self) -> None:
        super()._changed()
        if self.state == "connected":
            self.broadcast.want_keyframe()

    async def close(self) -> None:
        self.broadcast.leave(self.track)
        if self.sound is not None:
            self.sound.stop()
        await super().close()
