"""The only queues of the program. An edge stands where two clocks meet; everything else is a function call.

`Latest`    newest wins: live video. A slow reader loses frames, never time.
`Lossless`  bounded FIFO: waits for room (offline work) or, in a live show, drops and counts when a disk stalls.
`Window`    gathers `size` items and hands them on every `stride`: chunked animators.
`Fanout`    one producer, many readers, each with an edge of its own: a slow one loses its own frames only.

All live on the event loop's thread; threads hand over through `live.workers`. For each edge, at any moment,
`put == taken + sum(dropped) + depth`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from live.clock import Clock, ms

__all__ = ["Closed", "Edge", "EdgeStats", "Fanout", "Latest", "Lossless", "Packet", "Window"]

T = TypeVar("T")
U = TypeVar("U")
T_co = TypeVar("T_co", covariant=True)

SPREAD = 4  # a late window reaches back over so many times its stride; what is older is lost
PACE_SHARE = 0.1  # of the newest gap in the pace


class Closed(Exception):
    """The edge was closed and nothing is left in it."""


@dataclass(frozen=True, slots=True)
class Packet(Generic[T_co]):
    """The envelope of everything that moves through `live`; algorithms see only `value`.

    Attributes:
        seq: frame number of the source, from 0; gaps are dropped frames. Pictures on the fan-out are numbered anew,
            because idle life has no source frame.
        t_capture_ns: when the frame became available to the program; no later stage restamps it.
        value: the payload.
        epoch: grows at a reset or a character switch; work of an older epoch is discarded.
        stages_ns: how long each stage worked on this frame, by stage name.
        t_media_ns: position in the source's own time line (a file's presentation time); equals capture time for live.
    """

    seq: int
    t_capture_ns: int
    value: T_co
    epoch: int = 0
    stages_ns: dict[str, int] = field(default_factory=dict)
    t_media_ns: int = 0

    def carry(self, value: U, stages_ns: Mapping[str, int]) -> Packet[U]:
        """The same frame one stage further: another payload, and that stage's times added."""
        return Packet(self.seq, self.t_capture_ns, value, self.epoch, {**self.stages_ns, **stages_ns}, self.t_media_ns)


@dataclass(slots=True)
class EdgeStats:
    """Counters of one edge. `dropped` is by reason:

    "newer" (overwritten by a newer one), "stale" (too old when read), "full" (a live `Lossless` had no room),
    "epoch" (begun before a reset).
    """

    put: int = 0
    taken: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str, n: int = 1) -> None:
        if n:
            self.dropped[reason] = self.dropped.get(reason, 0) + n


class Edge(Protocol[T]):
    """What every edge can do. Cancelling `put`, `room` or `get` is safe: no packet is lost or doubled."""

    stats: EdgeStats

    def put_nowait(self, packet: Packet[T]) -> None:
        """Hand over a packet at once. Ignored once closed."""

    async def put(self, packet: Packet[T]) -> None:
        """Hand over a packet; only `Lossless` ever waits."""

    async def room(self) -> None:
        """Wait until `put` would not wait."""

    async def get(self) -> Packet[T]:
        """Wait for the next packet. Raises `Closed` once closed and empty."""

    def clear(self, reason: str) -> None:
        """Drop what waits, counted under `reason`."""

    def close(self) -> None:
        """No more packets will come; readers drain what is left, then get `Closed`."""

    def __aiter__(self) -> AsyncIterator[Packet[T]]:
        """Packets until closed and empty."""

    @property
    def depth(self) -> int:
        """Packets waiting now."""

    @property
    def age_ms(self) -> float:
        """Age of the oldest waiting packet since its capture; 0 when empty."""


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
        return 0.0 if self._item is None else ms(self._clock.now_ns() - self._item.t_capture_ns)

    def put_nowait(self, packet: Packet[T]) -> None:
        if self._closed:
            return
        self.clear("newer")
        self._item = packet
        self.stats.put += 1
        self._ready.set()

    async def put(self, packet: Packet[T]) -> None:
        self.put_nowait(packet)

    async def room(self) -> None:
        return

    async def get(self) -> Packet[T]:
        while True:
            while self._item is None:
                if self._closed:
                    raise Closed(self.name)
                self._ready.clear()
                await self._ready.wait()
            if self._max_age_ms is not None and self.age_ms > self._max_age_ms:
                self.clear("stale")
                continue
            packet, self._item = self._item, None
            self.stats.taken += 1
            return packet

    def clear(self, reason: str) -> None:
        if self._item is not None:
            self._item = None
            self.stats.drop(reason)

    def close(self) -> None:
        self._closed = True
        self._ready.set()

    def __aiter__(self) -> AsyncIterator[Packet[T]]:
        return _drain(self)


class Lossless(Generic[T]):
    """A bounded FIFO.

    Args:
        capacity: packets inside at most.
        drop_when_full: False: `put` waits for room, so a producer goes at its reader's pace (offline work).
            True: `put` never waits; a packet that finds no room is counted as "full". For recordings of a live show,
            where a stalled disk may cost the recording some frames but must not stop the show.
    """

    def __init__(self, name: str, clock: Clock, capacity: int = 4, drop_when_full: bool = False) -> None:
        self.name = name
        self.stats = EdgeStats()
        self._clock = clock
        self._capacity = capacity
        self._drop_when_full = drop_when_full
        self._items: deque[Packet[T]] = deque()
        self._ready = asyncio.Event()
        self._room = asyncio.Event()
        self._closed = False

    @property
    def depth(self) -> int:
        return len(self._items)

    @property
    def age_ms(self) -> float:
        return ms(self._clock.now_ns() - self._items[0].t_capture_ns) if self._items else 0.0

    def put_nowait(self, packet: Packet[T]) -> None:
        if self._closed:
            return
        self.stats.put += 1
        if len(self._items) >= self._capacity:
            self.stats.drop("full")
            return
        self._items.append(packet)
        self._ready.set()

    async def put(self, packet: Packet[T]) -> None:
        await self.room()
        self.put_nowait(packet)

    async def room(self) -> None:
        while len(self._items) >= self._capacity and not self._closed and not self._drop_when_full:
            self._room.clear()
            await self._room.wait()

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

    def clear(self, reason: str) -> None:
        self.stats.drop(reason, len(self._items))
        self._items.clear()
        self._room.set()

    def close(self) -> None:
        self._closed = True
        self._ready.set()
        self._room.set()

    def __aiter__(self) -> AsyncIterator[Packet[T]]:
        return _drain(self)


class Window(Generic[T]):
    """Gathers packets and hands them on every `stride` new ones, after the ones before. `put` never waits.

    A late reader finds more than `stride` new ones: it gets `stride` of them, evenly spread over what came and the
    newest always among them, so that motion goes on at a lower rate instead of jumping. The others are counted as
    "newer".

    Attributes:
        pace_ns: time between two packets as they come now; 0 before the second.
    """

    def __init__(self, name: str, clock: Clock, size: int, stride: int) -> None:
        if not 1 <= stride <= size:
            raise ValueError(f"edge {name}: stride must be within 1..{size} (the window's size), got {stride}.")
        self.name = name
        self.stats = EdgeStats()
        self.pace_ns = 0.0
        self._clock = clock
        self._stride = stride
        self._taken: deque[Packet[T]] = deque(maxlen=size)
        self._fresh: deque[Packet[T]] = deque()
        self._last_put_ns: int | None = None
        self._ready = asyncio.Event()
        self._closed = False

    @property
    def depth(self) -> int:
        return len(self._fresh)

    @property
    def age_ms(self) -> float:
        return ms(self._clock.now_ns() - self._fresh[0].t_capture_ns) if self._fresh else 0.0

    def put_nowait(self, packet: Packet[T]) -> None:
        if self._closed:
            return
        self._fresh.append(packet)
        self.stats.put += 1
        if len(self._fresh) > SPREAD * self._stride:
            self._fresh.popleft()
            self.stats.drop("newer")
        now_ns = self._clock.now_ns()
        if self._last_put_ns is not None:
            gap_ns = now_ns - self._last_put_ns
            self.pace_ns += (gap_ns - self.pace_ns) * (PACE_SHARE if self.pace_ns else 1.0)
        self._last_put_ns = now_ns
        self._ready.set()

    async def put(self, packet: Packet[T]) -> None:
        self.put_nowait(packet)

    async def room(self) -> None:
        return

    async def get_window(self) -> list[Packet[T]]:
        """The last packets, `size` at most and fewer at the start, once `stride` of them are new.

        Raises `Closed` once closed and fewer are left.
        """
        while len(self._fresh) < self._stride:
            if self._closed:
                raise Closed(self.name)
            self._ready.clear()
            await self._ready.wait()
        fresh = tuple(self._fresh)
        self._fresh.clear()
        chosen = [fresh[(i + 1) * len(fresh) // self._stride - 1] for i in range(self._stride)]
        self._taken.extend(chosen)
        self.stats.taken += self._stride
        self.stats.drop("newer", len(fresh) - self._stride)
        return list(self._taken)

    async def get(self) -> Packet[T]:
        """The last packet of the next window."""
        return (await self.get_window())[-1]

    def clear(self, reason: str) -> None:
        self.stats.drop(reason, len(self._fresh))
        self._fresh.clear()
        self._taken.clear()

    def close(self) -> None:
        self._closed = True
        self._ready.set()

    def __aiter__(self) -> AsyncIterator[Packet[T]]:
        return _drain(self)


class Fanout(Generic[T]):
    """One producer, many readers: every subscriber has an edge of its own.

    Attributes:
        newest: the packet put last, None before the first.
    """

    def __init__(self) -> None:
        self._edges: list[Edge[T]] = []
        self.newest: Packet[T] | None = None

    def __len__(self) -> int:
        return len(self._edges)

    def subscribe(self, edge: Edge[T]) -> None:
        """From now on `edge` gets every packet. A late `Latest` subscriber starts with the newest one."""
        self._edges.append(edge)
        if self.newest is not None and isinstance(edge, Latest):
            edge.put_nowait(self.newest)

    def unsubscribe(self, edge: Edge[T]) -> None:
        """Close `edge` and forget it. Safe to call twice."""
        if edge in self._edges:
            self._edges.remove(edge)
        edge.close()

    def put_nowait(self, packet: Packet[T]) -> None:
        """Hand the packet to every edge at once."""
        self.newest = packet
        for edge in tuple(self._edges):
            edge.put_nowait(packet)

    async def room(self) -> None:
        """Wait until every edge has room; only `Lossless` ones of offline work ever make it wait."""
        for edge in tuple(self._edges):
            await edge.room()

    async def put(self, packet: Packet[T]) -> None:
        """Wait for room, then hand the packet to every edge."""
        await self.room()
        self.put_nowait(packet)

    def close(self) -> None:
        """Tell every reader that no more will come."""
        for edge in tuple(self._edges):
            edge.close()


async def _drain(edge: Edge[T]) -> AsyncIterator[Packet[T]]:
    while True:
        try:
            yield await edge.get()
        except Closed:
            return
