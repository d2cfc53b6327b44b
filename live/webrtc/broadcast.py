"""Encode once, send to all: one broadcast per codec and kind of alpha, each viewer on an edge of its own.

    Fanout[Rendered] ──Latest──► Broadcast: one encoder ──► Lossless(8) ──► viewer A's track ──► aiortc sender
                                                       └──► Lossless(8) ──► viewer B's track ──► aiortc sender

A viewer whose edge is full loses everything up to the next keyframe, which is asked for; nobody else notices.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from faceshot.types import Rendered, UInt8
from live.clock import Clock
from live.edges import Closed, Fanout, Latest, Lossless, Packet
from live.server.encode import bled
from live.sinks.canvas import Canvas, parse_background
from live.stats import Recent
from live.webrtc.encoder import RTP_CLOCK_HZ, EncodedPicture, VideoCodec, VideoEncoder, side_by_side
from live.workers import Worker

__all__ = ["Broadcast", "PacketTrack", "Stream"]

WAITING_PACKETS = 8
KEYFRAME_GAP_NS = 200_000_000  # no more than five a second, however many viewers lose pictures
REFRESH_NS = 1_000_000_000  # a picture that stands still is sent again that often
TRANSPARENT = "transparent"


@dataclass(frozen=True, slots=True)
class Stream:
    """What viewers may choose. `alpha`: colour and alpha side by side, twice as wide."""

    codec: VideoCodec
    alpha: bool = False


class PacketTrack(MediaStreamTrack):
    """A viewer's track of packets that are encoded already.

    Args:
        kind: "video" or "audio".
        rate_hz: clock of the packets' time stamps.
        keyframe_wanted: called when packets were lost here.
    """

    def __init__(self, kind: str, clock: Clock, rate_hz: int, keyframe_wanted: Callable[[], None]) -> None:
        super().__init__()
        self.kind = kind
        self.edge: Lossless[EncodedPicture] = Lossless("viewer", clock, WAITING_PACKETS, drop_when_full=True)
        self.sent_bytes = 0
        self.sent = 0
        self._time_base = Fraction(1, rate_hz)
        self._keyframe_wanted = keyframe_wanted
        self._until_key = kind == "video"

    def offer(self, packet: Packet[EncodedPicture]) -> None:
        """Take a packet, or leave it out because this viewer is behind."""
        if self.kind == "video" and self.edge.depth >= WAITING_PACKETS:
            self.edge.clear("full")
            self._until_key = True
            self._keyframe_wanted()
        if self._until_key and not packet.value.key:
            self.edge.stats.drop("until keyframe")
            return
        self._until_key = False
        self.edge.put_nowait(packet)

    async def recv(self) -> Any:
        """Called by aiortc's sender."""
        try:
            picture = (await self.edge.get()).value
        except Closed:
            self.stop()
            raise MediaStreamError from None
        self.sent += 1
        self.sent_bytes += len(picture.data)
        packet: Any = av.Packet(picture.data)
        packet.pts, packet.time_base = picture.pts, self._time_base
        return packet

    def stop(self) -> None:
        super().stop()
        self.edge.close()


class Broadcast:
    """One encoder and everybody who gets its packets.

    Args:
        background: tells the show's `output.background` as it is now.

    Attributes:
        tracks: the viewers.
        encode_ms: how long pictures took to encode.
    """

    def __init__(
        self,
        stream: Stream,
        frames: Fanout[Rendered],
        clock: Clock,
        worker: Worker,
        bitrate_bps: int,
        fps: float,
        background: Callable[[], str],
    ) -> None:
        self.stream = stream
        self.tracks: set[PacketTrack] = set()
        self.encode_ms = Recent()
        self.keyframes = 0
        self.pictures = 0
        self._frames = frames
        self._clock = clock
        self._worker = worker
        self._bitrate_bps = bitrate_bps
        self._fps = fps
        self._background = background
        self._encoder: VideoEncoder | None = None
        self._canvas: Canvas | None = None
        self._canvas_background = ""
        self._key_wanted = True
        self._key_ns = -KEYFRAME_GAP_NS
        self._edge: Latest[Rendered] = Latest("broadcast", clock)
        self._last: Packet[Rendered] | None = None

    def join(self) -> PacketTrack:
        """A track for a new viewer; it begins with a keyframe. `leave` when the viewer goes."""
        track = PacketTrack("video", self._clock, RTP_CLOCK_HZ, self.want_keyframe)
        self.tracks.add(track)
        self.want_keyframe()
        return track

    def leave(self, track: PacketTrack) -> None:
        self.tracks.discard(track)
        track.stop()

    def want_keyframe(self) -> None:
        """Somebody needs a picture that stands for itself; soon it comes, for all."""
        self._key_wanted = True
        if self._last is not None and not self._edge.depth:
            self._edge.put_nowait(self._last)  # a paused show has no new picture to make it of

    async def run(self) -> None:
        """Encode until cancelled or the show has ended."""
        self._frames.subscribe(self._edge)
        try:
            while True:
                picture = await self._next()
                now_ns = self._clock.now_ns()
                key = self._key_wanted and now_ns - self._key_ns >= KEYFRAME_GAP_NS
                if key:
                    self._key_wanted, self._key_ns = False, now_ns
                encoded = await self._worker.run(self._encode, picture, now_ns, key)
                self.encode_ms.add_ns(self._clock.now_ns() - now_ns)
                if encoded is None:
                    self._key_wanted = self._key_wanted or key
                    continue
                self.pictures += 1
                self.keyframes += encoded.key
                for track in tuple(self.tracks):
                    track.offer(Packet(picture.seq, picture.t_capture_ns, encoded))
        except Closed:
            for track in tuple(self.tracks):
                self.leave(track)
        finally:
            self._frames.unsubscribe(self._edge)

    async def _next(self) -> Packet[Rendered]:
        """The next picture, or the last one again when nothing new comes (the show is paused)."""
        while True:
            try:
                async with asyncio.timeout((KEYFRAME_GAP_NS if self._key_wanted else REFRESH_NS) / 1e9):
                    self._last = await self._edge.get()
            except TimeoutError:
                if self._last is None:
                    continue
            assert self._last is not None
            return self._last

    def _encode(self, packet: Packet[Rendered], now_ns: int, key: bool) -> EncodedPicture | None:
        """Runs in the worker, one call at a time."""
        rgb = self._flat(packet.value.rgba)
        size_wh = (rgb.shape[1], rgb.shape[0])
        if self._encoder is None or self._encoder.size_wh != size_wh:
            self._encoder = VideoEncoder(self.stream.codec, size_wh, self._bitrate_bps, self._fps)
        return self._encoder.encode(rgb, now_ns * RTP_CLOCK_HZ // 1_000_000_000, key)

    def _flat(self, rgba: UInt8) -> UInt8:
        if self.stream.alpha:
            return side_by_side(bled(rgba), rgba[..., 3])
        size_wh, background = (rgba.shape[1], rgba.shape[0]), self._background()
        if self._canvas is None or self._canvas.size_wh != size_wh or self._canvas_background != background:
            self._canvas = Canvas(size_wh, parse_background(background))
            self._canvas_background = background
        return self._canvas.rgb(rgba)
