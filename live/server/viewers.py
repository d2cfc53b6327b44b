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
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from faceshot.types import Rendered
from live.clock import Clock, ms
from live.edges import Closed, Fanout, Latest, Packet
from live.server.encode import AlphaCodec, encode_frame
from live.sinks.canvas import Canvas, parse_background
from live.workers import Worker
from protocols.errors import ProtocolError
from protocols.viewer import MAX_IN_FLIGHT, Ack, Chunk, decode_message, encode_chunk

__all__ = ["Encoder", "Viewer", "Viewers", "Wish"]

_PROTOCOL_ERROR = 1002
_GOING_AWAY = 1001
_RECENT = 120
TRANSPARENT = "transparent"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a viewer asked for: how alpha is coded, and whether to get it even when the show has a background."""

    alpha_codec: AlphaCodec = "mask"
    alpha: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """One picture as bytes for the wire, and what it was made from. `seq` is the packet's, `sequence` the chunk's."""

    picture: Rendered
    seq: int
    background: str
    sequence: int
    t_capture_ns: int
    data: bytes

    def shows(self, packet: Packet[Rendered]) -> bool:
        return self.picture is packet.value


class Encoder:
    """Encodes the newest picture at most once, when somebody asks.

    Args:
        background: tells the show's `output.background` as it is now.
    """

    def __init__(self, frames: Fanout[Rendered], worker: Worker, wish: Wish, background: Callable[[], str]) -> None:
        self._frames = frames
        self._worker = worker
        self._wish = wish
        self._background = background
        self._turn = asyncio.Lock()
        self._made: Encoded | None = None
        self._canvas: Canvas | None = None
        self._canvas_background = ""

    async def newest(self, seen: Packet[Rendered]) -> Encoded:
        """The newest picture, or one that is not older than `seen` and was encoded for somebody else meanwhile."""
        async with self._turn:
            made, background = self._made, TRANSPARENT if self._wish.alpha else self._background()
            packet = self._frames.newest or seen
            if made is None or made.background != background or not (made.seq >= seen.seq or made.shows(packet)):
                sequence = 0 if made is None else (made.sequence + 1) % 2**32
                data = await self._worker.run(self._encode, packet, sequence, background)
                made = self._made = Encoded(packet.value, packet.seq, background, sequence, packet.t_capture_ns, data)
            return made

    def _encode(self, packet: Packet[Rendered], sequence: int, background: str) -> bytes:
        """Runs in the worker, one call at a time."""
        rgba, size_wh = packet.value.rgba, packet.value.size_wh
        if background != TRANSPARENT:
            if self._canvas is None or self._canvas.size_wh != size_wh or self._canvas_background != background:
                self._canvas = Canvas(size_wh, parse_background(background))
                self._canvas_background = background
            rgba = self._canvas.rgba(rgba)
        codec, frame = encode_frame(rgba, self._wish.alpha_codec)
        return encode_chunk(Chunk(sequence, packet.t_capture_ns, codec, size_wh, (frame,)))


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
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                await self._may_send()
                try:
                    packet = await self.edge.get()
                except Closed:
                    await socket.close(_GOING_AWAY, "the show has ended")
                    return
                encoded = await encoder.newest(packet)
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
    """Lets viewers in up to a limit and serves each until it leaves.

    Args:
        background: tells the show's `output.background` as it is now.
        on_count: called with the new `count` when somebody came or went.
    """

    def __init__(
        self,
        frames: Fanout[Rendered],
        clock: Clock,
        worker: Worker,
        limit: int,
        background: Callable[[], str] = lambda: TRANSPARENT,
        on_count: Callable[[int], None] = lambda count: None,
    ) -> None:
        self._frames = frames
        self._clock = clock
        self._worker = worker
        self._limit = limit
        self._background = background
        self._on_count = on_count
        self._viewers: set[Viewer] = set()
        self._encoders: dict[Wish, Encoder] = {}

    @property
    def count(self) -> int:
        """Viewers other than the control page's own preview."""
        return sum(not viewer.preview for viewer in self._viewers)

    @property
    def full(self) -> bool:
        return len(self._viewers) >= self._limit

    async def serve(self, socket: WebSocket, wish: Wish, preview: bool) -> None:
        """Serve one accepted connection until it ends."""
        viewer = Viewer(Latest("viewer", self._clock), self._clock, preview)
        if wish not in self._encoders:
            self._encoders[wish] = Encoder(self._frames, self._worker, wish, self._background)
        self._viewers.add(viewer)
        self._on_count(self.count)
        self._frames.subscribe(viewer.edge)  # hands over the newest picture: the first one goes out at once
        try:
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(viewer.send(socket, self._encoders[wish]))
                await viewer.receive(socket)
                sending.cancel()
        finally:
            self._frames.unsubscribe(viewer.edge)
            self._viewers.discard(viewer)
            self._on_count(self.count)

    def refresh(self) -> None:
        """Send the newest picture again, over another background: a paused show has no new one to show it on."""
        if self._frames.newest is not None:
            for viewer in self._viewers:
                viewer.edge.put_nowait(self._frames.newest)

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
