"""A phone, or any other WebRTC sender, as a source. The connection is the server's; here its pictures come out.

    WebRTC peer ──offer()──► PhoneInlet ──Latest──► PhoneSource ──► the show

The source is open as soon as it is chosen and silent until somebody sends, so the character idles meanwhile.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from faceshot.types import CameraImage, UInt8
from live.clock import Clock
from live.edges import Closed, Latest, Packet
from live.errors import SourceError
from live.stages import SourceInfo
from live.workers import ThreadWorker, Worker

__all__ = ["PHONE", "PhoneInlet", "PhoneSource"]

PHONE = "phone"
ASKED_WH = (640, 480)  # of our own page; a phone held upright turns it, and other senders have sizes of their own

Picture = Callable[[], UInt8]
"""Makes the (H, W, 3) uint8 RGB picture, in the worker and only when somebody wants it."""


class PhoneInlet:
    """Where the server leaves a sender's pictures, and the one source that takes them.

    Attributes:
        pictures: how many came.
    """

    def __init__(self, clock: Clock) -> None:
        self.pictures = 0
        self._clock = clock
        self._edge: Latest[Picture] | None = None

    def offer(self, picture: Picture) -> None:
        """Hand over a picture that has just been decoded."""
        now_ns = self._clock.now_ns()
        if self._edge is not None:
            self._edge.put_nowait(Packet(self.pictures, now_ns, picture, t_media_ns=now_ns))
        self.pictures += 1

    def attach(self) -> Latest[Picture]:
        """From now on the edge returned gets the pictures; the one before is closed."""
        if self._edge is not None:
            self._edge.close()
        self._edge = Latest(PHONE, self._clock)
        return self._edge

    def detach(self, edge: Latest[Picture]) -> None:
        """Close an edge. Safe to call twice."""
        edge.close()
        if self._edge is edge:
            self._edge = None


class PhoneSource:
    """Pictures of whoever drives through `inlet`; None: there is no server that could leave any there."""

    def __init__(self, inlet: PhoneInlet | None, worker: Worker | None = None) -> None:
        self._inlet = inlet
        self._worker = worker or ThreadWorker("phone")
        self._edge: Latest[Picture] | None = None

    async def open(self) -> SourceInfo:
        if self._inlet is None:
            raise SourceError("A phone comes through the server, which is off.", "Use --set server.enabled=true")
        self._edge = self._inlet.attach()
        return SourceInfo(PHONE, 30.0, ASKED_WH, live=True, mirrored=True)

    async def packets(self) -> AsyncIterator[Packet[CameraImage]]:
        assert self._edge is not None
        try:
            while True:
                packet = await self._edge.get()
                rgb = await self._worker.run(packet.value)
                yield packet.carry(CameraImage(rgb), {})
        except Closed:
            return

    async def close(self) -> None:
        if self._inlet is not None and self._edge is not None:
            self._inlet.detach(self._edge)
        await self._worker.close()
