"""Everybody who watches over a WebSocket. Each viewer has an edge of its own; each picture is encoded once for all.

    Fanout[Rendered] ──Latest──► viewer A ┐
                     ──Latest──► viewer B ┼─► Encoder: newest picture, encoded once ──► at most 2 unacknowledged chunks
                     ──Latest──► viewer C ┘

A viewer takes its next picture only when the last but one is on its screen, so a slow one loses its own frames,
delays nobody and fills no buffer. Nothing is encoded that nobody can take.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from faceshot.types import Rendered
from live.clock import Clock, ms
from live.edges import Closed, Fanout, Latest
from live.server.encode import ALPHA_CODECS, AlphaCodec, encode_frame
from live.workers import Worker
from protocols.errors import ProtocolError
from protocols.viewer import MAX_IN_FLIGHT, Ack, Chunk, decode_message, encode_chunk

__all__ = ["Encoder", "Viewer", "Viewers"]

_PROTOCOL_ERROR = 1002
_RECENT = 120


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """One picture as bytes for the wire, and what it was made from."""

    picture: Rendered
    sequence: int
    t_capture_ns: int
    data: bytes


class Encoder:
    """Encodes the newest picture at most once, when somebody asks."""

    def __init__(self, frames: Fanout[Rendered], worker: Worker, alpha_codec: AlphaCodec) -> None:
        self._frames = frames
        self._worker = worker
        self._alpha_codec = alpha_codec
        self._turn = asyncio.Lock()
        self._made: Encoded | None = None

    async def newest(self) -> Encoded:
        """The newest picture. Callers that ask while it is being encoded wait for the same result."""
        async with self._turn:
            packet = self._frames.newest
            if packet is None:
                raise LookupError("no picture has been rendered yet")
            if self._made is None or self._made.picture is not packet.value:
                sequence = 0 if self._made is None else (self._made.sequence + 1) % 2**32
                codec, frame = await self._worker.run(encode_frame, packet.value, self._alpha_codec)
                chunk = Chunk(sequence, packet.t_capture_ns, codec, packet.value.size_wh, (frame,))
                self._made = Encoded(packet.value, sequence, packet.t_capture_ns, encode_chunk(chunk))
            return self._made


@dataclass(eq=False)
class Viewer:
    """One connection.

    Attributes:
        preview: the control page's own picture, which is not counted as a viewer.
        sent: chunks sent.
        latency_ms: of the latest chunks, from capture until the acknowledgement came back.
    """

    edge: Latest[Rendered]
    clock: Clock
    preview: bool
    sent: int = 0
    latency_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    _unacknowledged: deque[Encoded] = field(default_factory=deque)
    _visible: bool = True
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, socket: WebSocket, encoder: Encoder) -> None:
        """Send pictures, newest first, until the show ends or the viewer is gone."""
        last: Encoded | None = None
        with contextlib.suppress(Closed, WebSocketDisconnect):
            while True:
                await self._may_send()
                await self.edge.get()
                encoded = await encoder.newest()
                if encoded is last:  # the show is paused: nothing new to see
                    continue
                self._unacknowledged.append(encoded)
                await socket.send_bytes(encoded.data)
                self.sent += 1
                last = encoded

    async def receive(self, socket: WebSocket) -> None:
        """Take in acknowledgements until the viewer hangs up or breaks the rules."""
        try:
            while True:
                message = decode_message(await socket.receive_text())
                if isinstance(message, Ack):
                    self._acknowledge(message.sequence)
                else:
                    self._visible = message.on
                self._changed.set()
        except WebSocketDisconnect:
            return
        except (ProtocolError, KeyError) as error:  # KeyError: a binary message where text was due
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await socket.close(_PROTOCOL_ERROR, f"not the viewer protocol: {error}"[:120])

    async def _may_send(self) -> None:
        while not self._visible or len(self._unacknowledged) >= MAX_IN_FLIGHT:
            self._changed.clear()
            await self._changed.wait()

    def _acknowledge(self, sequence: int) -> None:
        while any(encoded.sequence == sequence for encoded in self._unacknowledged):
            encoded = self._unacknowledged.popleft()
            self.latency_ms.append(ms(self.clock.now_ns() - encoded.t_capture_ns))


class Viewers:
    """Lets viewers in up to a limit and serves each until it leaves."""

    def __init__(self, frames: Fanout[Rendered], clock: Clock, worker: Worker, limit: int) -> None:
        self._frames = frames
        self._clock = clock
        self._limit = limit
        self._viewers: set[Viewer] = set()
        self._encoders = {codec: Encoder(frames, worker, codec) for codec in ALPHA_CODECS}

    @property
    def count(self) -> int:
        """Viewers other than the control page's own preview."""
        return sum(not viewer.preview for viewer in self._viewers)

    @property
    def full(self) -> bool:
        return len(self._viewers) >= self._limit

    async def serve(self, socket: WebSocket, alpha_codec: AlphaCodec, preview: bool) -> None:
        """Serve one accepted connection until it ends."""
        viewer = Viewer(Latest("viewer", self._clock), self._clock, preview)
        self._viewers.add(viewer)
        self._frames.subscribe(viewer.edge)  # hands over the newest picture: the first one goes out at once
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(viewer.send(socket, self._encoders[alpha_codec]))
                await viewer.receive(socket)
                sending.cancel()
        finally:
            self._frames.unsubscribe(viewer.edge)
            self._viewers.discard(viewer)

    def stats(self) -> dict[str, Any]:
        """How many watch and what each got: pictures sent and dropped, capture-to-screen latency in ms."""
        return {
            "count": self.count,
            "each": [
                {
                    "preview": viewer.preview,
                    "sent": viewer.sent,
                    "dropped": dict(viewer.edge.stats.dropped),
                    "latency_ms_p50": _median(viewer.latency_ms),
                }
                for viewer in self._viewers
            ],
        }


def _median(values: deque[float]) -> float | None:
    return round(sorted(values)[len(values) // 2], 1) if values else None
