"""The driver's microphone on its way to viewers: encoded once, handed to all. Off unless the phone sends sound."""

from __future__ import annotations

import logging
from typing import Any

import av
from aiortc.codecs.opus import OpusEncoder

from live.clock import Clock
from live.edges import Packet
from live.webrtc.broadcast import PacketTrack
from live.webrtc.encoder import EncodedPicture

__all__ = ["SoundRelay"]

log = logging.getLogger(__name__)

OPUS_HZ = 48_000


class SoundRelay:
    """Takes decoded sound, gives Opus packets of 20 ms to every viewer's track.

    Attributes:
        packets: how many were made.
    """

    def __init__(self, clock: Clock) -> None:
        self.packets = 0
        self._clock = clock
        self._tracks: set[PacketTrack] = set()
        self._encoder: Any = None

    def join(self) -> PacketTrack:
        """A track for a new viewer: silent until somebody speaks."""
        track = PacketTrack("audio", self._clock, OPUS_HZ, lambda: None)
        self._tracks = {old for old in self._tracks if old.readyState == "live"} | {track}
        return track

    def take(self, frame: av.AudioFrame) -> None:
        """One piece of the driver's sound, 20 ms; encoding it takes a fifth of a millisecond."""
        tracks = {track for track in self._tracks if track.readyState == "live"}
        if not tracks:
            self._encoder = None
            return
        if self._encoder is None:
            self._encoder = OpusEncoder()
        try:
            payloads, timestamp = self._encoder.encode(frame)
        except (av.FFmpegError, AssertionError) as error:  # another driver's sound has another shape
            log.warning("sound cannot be encoded: %r", error)
            self._encoder = None
            return
        now_ns = self._clock.now_ns()
        for i, payload in enumerate(payloads):
            self.packets += 1
            picture = EncodedPicture(payload, timestamp + i * OPUS_HZ // 50, key=True)
            for track in tracks:
                track.offer(Packet(self.packets, now_ns, picture))
