"""The only queues of the program. An edge stands where two clocks meet; everything else is a function call.

`Latest`    newest wins: live video. A slow reader loses frames, never time.
`Lossless`  blocks its producer: recording and offline work.
`Window`    gathers `size` items and hands them on every `stride`: chunked animators.
`Fanout`    one producer, many readers, each with an edge of its own: a slow one loses its own frames only.

All live on the event loop's thread; threads hand over through `live.workers`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from live.clock import Clock, ms

__all__ = ["Closed", "Edge", "EdgeStats", "Fanout", "Latest", "Lossless", "Packet", "Window"]

T = TypeVar("T")


class Closed(Exception):
    """The edge was closed and nothing is left in it."""


@dataclass(frozen=True, slots=True)
class Packet(Generic[T]):
    """The envelope of everything that moves through `live`; algorithms see only `value`.

    Attributes:
        seq: frame number of the source, from 0; gaps are dropped frames.
        t_capture_ns: when the frame became available to the program; no later stage restamps it.
        value: the payload.
        epoch: grows at a reset or a character switch; work of an older epoch is discarded.
        stages_ns: how long each stage worked on this frame, by stage name.
        t_media_ns: position in the source's own time line (a file's presentation time); equals capture time for live.
    """

    seq: int
    t_capture_ns: int
    value: T
    epoch: int = 0
    stages_ns: dict[str, int] = field(default_factory=dict)
    t_media_ns: int = 0


@dataclass(slots=True)
class EdgeStats:
    """Counters of one edge. `dropped` is by reason: "newer" (overwritten), "stale" (too old when read), "epoch"."""

    put: int = 0
    taken: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str, n: int = 1) -> None:
        if n:
            self.dropped[reason] = self.dropped.get(reason, 0) + n


class Edge(Protocol[T]):
    """What every edge can do. Cancelling `put` or `get` is safe: no packet is lost or doubled."""

    stats: EdgeStats

    async def put(self, packet: Packet[T]) -> None:
        """Hand over a packet; only `Lossless` ever waits."""

    async def get(self) -> Packet[T]:
        """Wait for the next packet. Raises `Closed` once closed and empty."""

    def close(self) -> None:
        """No more packets will come; readers drain what is left, then get `Closed`."""

    @property
    def depth(self) -> int:
        """Packets waiting now."""


class Latest(Generic[T]):
    """One slot, newest wins. `put` never waits.

    Args:
        max_age_ms: a packet older than this since its capture is counted as "stale" and skipped, not returned.
    """

    def __init__(self, name: str, clock: Clock, max_age_ms: float | None = None) -> None:
        self.name = name
        self.stats = EdgeStats()
        self._clock = clock
        self._max_age_ms = max_age_ms
        self._item: Packet[T] | None = None
        self._ready = asyncio.Event()
        self._closed = False

    @property
    def depth(self) -> int:
        return 0 if self._item is None else 1

    @property
    def age_ms(self) -> float:
        """Age of the waiting packet since its capture; 0 when empty."""
        return 0.0 if self._item is None else ms(self._clock.now_ns() - self._item.t_capture_ns)

    def put_nowait(self, packet: Packet[T]) -> None:
        if self._closed:
            return
        if self._item is not None:
            self.stats.drop("newer")
        self._item = packet
        self.stats.put += 1
        self._ready.set()

    async def put(self, packet: Packet[T]) -> None:
        self.put_nowait(packet)

    async def get(self) -> Packet[T]:
        while True:
            while self._item is None:
                if self._closed:
                    raise Closed(self.name)
                self._ready.clear()
                await self._ready.wait()
            if self._max_age_ms is not None and self.age_ms > self._max_age_ms:
                self._item = None
                self.stats.drop("stale")
                continue
            packet, self._item = self._item, None
            self.stats.taken += 1
            return packet

    def close(self) -> None:
        self._closed = True
        self._ready.set()

    def __aiter__(self) -> AsyncIterator[Packet[T]]:
        return _drain(self)


class Lossless(Generic[T]):
    """A bounded FIFO whose producer waits when `capacity` packets are inside. For recording and offline work only."""

    def __init__(self, name: str, clock: Clock, capacity: int = 4) -> None:
        self.name = name
        self.stats = EdgeStats()
        self._clock = clock
        self._capacity = capacity
        self._items: deque[Packet[T]] = deque()
        self._ready = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._closed = False

    @property
    def depth(self) -> int:
        return len(self._items)

    @property
    def age_ms(self) -> float:
        return ms(self._clock.now_ns() - self._items[0].t_capture_ns) if self._items else 0.0

    async def put(self, packet: Packet[T]) -> None:
        while len(self._items) >= self._capacity and not self._closed:
            self._room.clear()
            await self._room.wait()
        if self._closed:
            return
        self._items.append(packet)
        self.stats.put += 1
        self._ready.set()

    async def get(self) -> Packet[T]:
        while not self._items:
            if self._closed:
                raise Closed(self.name)
            self._ready.clear()
            await self._ready.wait()
        packet = self._items.popleft()
        self.stats.taken += 1
        self._room.set()
        return packet

    def close(self) -> None:
        self._closed = True
        self._ready.set()
        self._room.set()

    def __aiter__(self) -> AsyncIterator[Packet[T]]:
        return _drain(self)


class Window(Generic[T]):
    """Gathers `size` consecutive packets and hands them on every `stride` new ones. `put` never waits.

    When the reader is late the oldest waiting packets are dropped ("newer"), so a window is always the newest one.
    """

    def __init__(self, name: str, clock: Clock, size: int, stride: int) -> None:
        if not 1 <= stride <= size:
            raise ValueError(f"edge {name}: stride must be within 1..{size} (the window's size), got {stride}.")
        self.name = name
        self.stats = EdgeStats()
        self._clock = clock
        self._size = size
        self._stride = stride
        self._items: deque[Packet[T]] = deque(maxlen=size)
        self._fresh = 0
        self._ready = asyncio.Event()
        self._closed = False

    @property
    def depth(self) -> int:
        return self._fresh

    @property
    def age_ms(self) -> float:
        """Age of the oldest unread packet since its capture; 0 when all were read."""
        return ms(self._clock.now_ns() - self._items[-self._fresh].t_capture_ns) if self._fresh else 0.0

    def put_nowait(self, packet: Packet[T]) -> None:
        if self._closed:
            return
        if self._fresh >= self._stride and len(self._items) == self._size:
            self.stats.drop("newer")
        self._items.append(packet)
        self._fresh = min(self._fresh + 1, self._size)
        self.stats.put += 1
        self._ready.set()

    async def put(self, packet: Packet[T]) -> None:
        self.put_nowait(packet)

    async def get_window(self) -> list[Packet[T]]:
        """The newest `size` packets, once `stride` of them are new. Raises `Closed` once closed."""
        while len(self._items) < self._size or self._fresh < self._stride:
            if self._closed:
                raise Closed(self.name)
            self._ready.clear()
            await self._ready.wait()
        self.stats.taken += min(self._fresh, self._stride)
        self._fresh = 0
        return list(self._items)

    def close(self) -> None:
        self._closed = True
        self._ready.set()


class Fanout(Generic[T]):
    """One producer, many readers: every subscriber has an edge of its own."""

    def __init__(self) -> None:
        self._edges: list[Edge[T]] = []
        self.newest: Packet[T] | None = None

    def subscribe(self, edge: Edge[T]) -> None:
        """From now on `edge` gets every packet. A late `Latest` subscriber starts with the newest one."""
        self._edges.append(edge)
        if self.newest is not None and isinstance(edge, Latest):
            edge.put_nowait(self.newest)

    def unsubscribe(self, edge: Edge[T]) -> None:
        if edge in self._edges:
            self._edges.remove(edge)
        edge.close()

    async def put(self, packet: Packet[T]) -> None:
        """Hand the packet to every edge; waits only for `Lossless` ones."""
        self.newest = packet
        for edge in tuple(self._edges):
            await edge.put(packet)

    def close(self) -> None:
        for edge in tuple(self._edges):
            edge.close()


async def _drain(edge: Edge[T]) -> AsyncIterator[Packet[T]]:
    while True:
        try:
            yield await edge.get()
        except Closed:
            return
