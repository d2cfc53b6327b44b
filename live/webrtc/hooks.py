"""All that reaches into aiortc's insides, in one place. Made for aiortc 1.16.0 and aioice 0.13.

aiortc decodes and sends correctly; what it lacks for live use is haste. Nothing of it is changed: objects of one
connection get a subclass of theirs or a bound function in place of a method. Where an internal is not as expected, the
hook leaves everything as it is, says so once, and the connection works at aiortc's own pace.

    stock                                                    here
    a frame is handed on when the next one begins            on its last packet (RTP marker bit)
    a lost packet holds everything up, for seconds           given up when newer pictures wait, a keyframe asked for
    a lost retransmission is asked for at the next loss      every 40 ms
    the bandwidth estimate starts at nothing                 starts at what a phone needs
    a PLI reaches only aiortc's own encoder                  reaches the encoder that all viewers share
    ICE cannot restart                                       a second connection takes over under the same DTLS
    host candidates of container bridges                     left out; loopback when there is no other address
"""

from __future__ import annotations

import asyncio
import logging
import queue
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import aioice
import aiortc
from aiortc.clock import current_ms
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtcrtpreceiver import NackGenerator
from aiortc.rtp import RtpPacket
from aiortc.utils import uint16_gt, uint32_add, uint32_gt

__all__ = [
    "MADE_FOR",
    "IcePath",
    "PatientNacks",
    "PromptBuffer",
    "add_candidates",
    "ice_transport",
    "on_keyframe_wanted",
    "prefer_addresses",
    "tune_receiver",
    "useful_addresses",
    "without_dead_ends",
]

log = logging.getLogger(__name__)

MADE_FOR = "1.16"
CAPACITY = 512
GIVE_UP_TICKS = 90 * 150  # newer video of that length waits behind a hole: 150 ms on RTP's clock of 90 kHz
ASK_AGAIN_TICKS = 90 * 40
SEED_BPS = 6_000_000
_BRIDGES = ("docker", "br-", "veth", "virbr", "lxc", "cni", "podman")

_told: set[str] = set()


class Frames(JitterFrame):
    """The oldest complete frame and those that a late packet completed together with it."""

    def __init__(self, data: bytes, timestamp: int) -> None:
        super().__init__(data, timestamp)
        self.rtp_timestamp = timestamp  # the receiver overwrites the other with one of its own
        self.following: list[JitterFrame] = []


class PromptBuffer(JitterBuffer):
    """A jitter buffer for video that waits for nothing but missing packets, and for those not long.

    Attributes:
        given_up: how many times a hole was skipped.
    """

    def __init__(self) -> None:
        super().__init__(CAPACITY, is_video=True)
        self.given_up = 0
        self._newest: RtpPacket | None = None

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        if self._newest is None or uint32_gt(packet.timestamp, self._newest.timestamp):
            self._newest = packet
        wants_keyframe, frame = super().add(packet)
        if frame is None and self._hopeless() and self._skip_hole():
            wants_keyframe, frame = True, self._remove_frame(packet.sequence_number)
        return wants_keyframe, frame

    def _remove_frame(self, sequence_number: int) -> JitterFrame | None:
        """The oldest frame whose last packet is here, with the complete ones behind it."""
        first: Frames | None = None
        while (frame := self._take()) is not None:
            if first is None:
                first = Frames(frame.data, frame.timestamp)
            else:
                first.following.append(frame)
        return first

    def _take(self) -> JitterFrame | None:
        assert self._origin is not None
        parts: list[bytes] = []
        timestamp = 0
        for count in range(self._capacity):
            packet = self._packets[(self._origin + count) % self._capacity]
            if packet is None:
                return None
            if parts and packet.timestamp != timestamp:  # a sender that sets no marker
                self.remove(count)
                return JitterFrame(b"".join(parts), timestamp)
            timestamp = packet.timestamp
            parts.append(packet._data)  # type: ignore[attr-defined]
            if packet.marker:
                self.remove(count + 1)
                return JitterFrame(b"".join(parts), timestamp)
        return None

    def _hopeless(self) -> bool:
        """Whether more than `GIVE_UP_TICKS` of video wait behind a hole."""
        assert self._origin is not None and self._newest is not None
        waiting = next((p for p in self._ordered() if p is not None), None)
        if waiting is None:
            return False
        span = uint32_add(self._newest.timestamp, -waiting.timestamp)
        return GIVE_UP_TICKS < span < 1 << 31

    def _skip_hole(self) -> bool:
        """Move to the first packet of a frame behind the hole."""
        assert self._origin is not None
        hole = next((i for i, p in enumerate(self._ordered()) if p is None), self._capacity)
        torn: int | None = None  # the frame that the hole tore
        for count in range(hole, self._capacity):
            before = self._packets[(self._origin + count - 1) % self._capacity]
            packet = self._packets[(self._origin + count) % self._capacity]
            if packet is None:
                torn = None
                continue
            if before is None:
                torn = packet.timestamp  # it may have begun inside the hole
            if packet.timestamp != torn or (before is not None and before.marker):
                self.remove(count)
                self.given_up += 1
                return True
        return False

    def _ordered(self) -> Iterable[RtpPacket | None]:
        assert self._origin is not None
        return (self._packets[(self._origin + count) % self._capacity] for count in range(self._capacity))


class PatientNacks(NackGenerator):
    """Asks again for what did not come, and no more for what nobody waits for.

    Args:
        buffer: tells what is still waited for.
    """

    def __init__(self, buffer: PromptBuffer) -> None:
        super().__init__()
        self._buffer = buffer
        self._asked: int | None = None

    def add(self, packet: RtpPacket) -> bool:
        missed = super().add(packet)
        if self.missing and self._buffer._origin is not None:
            self.missing = {seq for seq in self.missing if not uint16_gt(self._buffer._origin, seq)}
        if not self.missing:
            return False
        since = 0 if self._asked is None else uint32_add(packet.timestamp, -self._asked)
        if missed or ASK_AGAIN_TICKS < since < 1 << 31:
            self._asked = packet.timestamp
            return True
        return False


class _FrameQueue(queue.Queue[Any]):
    """What the decoder thread reads: takes `Frames` apart again."""

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        super().put(item, block, timeout)
        if item is not None and isinstance(item[1], Frames):
            codec, first = item
            for frame in first.following:
                # The receiver counts from the first frame of all; it has done so for the first of these only.
                frame.timestamp = first.timestamp + uint32_add(frame.timestamp, -first.rtp_timestamp)
                super().put((codec, frame), block, timeout)


def tune_receiver(receiver: aiortc.RTCRtpReceiver) -> PromptBuffer | None:
    """Make a video receiver prompt, before it starts. None: it is not as expected and stays as it is."""
    prefix = "_RTCRtpReceiver__"
    wanted = ("jitter_buffer", "nack_generator", "remote_bitrate_estimator", "decoder_queue", "started")
    if not all(hasattr(receiver, prefix + name) for name in wanted) or getattr(receiver, prefix + "started"):
        _tell("receiver", "pictures will come one frame later than they could")
        return None
    buffer = PromptBuffer()
    setattr(receiver, prefix + "jitter_buffer", buffer)
    setattr(receiver, prefix + "nack_generator", PatientNacks(buffer))
    setattr(receiver, prefix + "decoder_queue", _FrameQueue())
    control = getattr(getattr(receiver, prefix + "remote_bitrate_estimator"), "rate_control", None)
    if control is None or not hasattr(control, "set_estimate"):
        _tell("estimator", "a phone will begin with a small picture")
    else:
        control.latest_estimated_throughput = SEED_BPS
        control.set_estimate(SEED_BPS, current_ms())
    return buffer


def on_keyframe_wanted(sender: aiortc.RTCRtpSender, wanted: Callable[[], None]) -> None:
    """Call `wanted` for every PLI or FIR that comes back to `sender`, which sends packets encoded elsewhere."""
    if not hasattr(sender, "_send_keyframe"):
        _tell("sender", "a viewer who lost a picture waits for the next keyframe")
        return
    sender._send_keyframe = wanted  # type: ignore[method-assign]


def ice_transport(connection: aiortc.RTCPeerConnection) -> Any:
    """The one ICE transport of a bundled connection that has its remote description."""
    return connection.getTransceivers()[0].receiver.transport.transport


def prefer_addresses(ice: Any) -> None:
    """Let a connection that has not gathered yet offer useful host addresses only."""
    _prefer(getattr(ice, "_connection", None))


def _prefer(connection: Any) -> None:
    gather = getattr(connection, "get_component_candidates", None)
    if gather is None:
        _tell("addresses", "addresses of container bridges are offered too")
        return

    async def gather_useful(component: int, addresses: Sequence[str], timeout: int = 5) -> Any:  # noqa: ASYNC109
        return await gather(component, useful_addresses(addresses), timeout)

    connection.get_component_candidates = gather_useful


def useful_addresses(addresses: Sequence[str]) -> list[str]:
    """Those of `addresses` by which another machine may reach this one; loopback when there is none."""
    import ifaddr

    bridged = {
        ip.ip if isinstance(ip.ip, str) else ip.ip[0]
        for adapter in ifaddr.get_adapters()
        if str(adapter.nice_name).startswith(_BRIDGES)
        for ip in adapter.ips
    }
    return [address for address in addresses if address not in bridged] or ["127.0.0.1"]


class IcePath:
    """The way packets take under one DTLS session: through an ICE connection that another one may replace.

    Args:
        ice: aiortc's ICE transport, before it starts.
    """

    def __init__(self, ice: Any) -> None:
        self._ice = ice
        self._current: aioice.Connection = ice._connection
        self._fresh: aioice.Connection | None = None
        self._emit = self._current._emit_event
        ice._recv = self._receive
        ice._send = self._send
        prefer_addresses(ice)

    async def _receive(self) -> bytes:
        while True:
            connection = self._current
            try:
                return await connection.recv()
            except ConnectionError:
                if connection is self._current:
                    raise

    async def _send(self, data: bytes) -> None:
        await self._current.send(data)

    async def round_trip_s(self, now_s: Callable[[], float]) -> float | None:
        """How long a STUN check takes there and back; None when nothing answers."""
        connection = self._current
        pair = connection._nominated.get(1)
        if pair is None:
            return None
        request = connection.build_request(pair, nominate=False)
        started_s = now_s()
        try:
            await pair.protocol.request(request, pair.remote_addr, (connection.remote_password or "").encode(), 0)
        except (aioice.stun.TransactionError, ConnectionError):
            return None
        return now_s() - started_s

    async def prepare_restart(self) -> aioice.Connection:
        """A second connection beside the one in use, with its candidates gathered."""
        old = self._current
        fresh = aioice.Connection(
            ice_controlling=False,
            stun_server=old.stun_server,
            turn_server=old.turn_server,
            turn_username=old.turn_username,
            turn_password=old.turn_password,
            turn_ssl=old.turn_ssl,
            turn_transport=old.turn_transport,
        )
        _prefer(fresh)
        await fresh.gather_candidates()
        return fresh

    async def add_candidates(self, texts: Iterable[str]) -> None:
        """Candidates of the peer for the path in the making, or else for the one in use."""
        await add_candidates(self._fresh or self._current, texts)

    async def take_over(self, fresh: aioice.Connection, timeout_s: float) -> None:
        """Wait until `fresh`, which knows its peer, has connected, then use it; if it never does nothing changes."""
        self._fresh = fresh
        try:
            async with asyncio.timeout(timeout_s):
                await fresh.connect()
        except (ConnectionError, TimeoutError):
            await fresh.close()
            return
        finally:
            self._fresh = None
        old, self._current = self._current, fresh
        # aiortc watches the events of the first connection for its end: those of the one in use go there now.
        fresh._emit_event = self._emit  # type: ignore[method-assign]
        old._emit_event = lambda event: None  # type: ignore[method-assign]
        self._ice._connection = fresh
        await old.close()


def _tell(what: str, effect: str) -> None:
    if what not in _told:
        _told.add(what)
        log.warning("aiortc %s differs from %s in its %s: %s", aiortc.__version__, MADE_FOR, what, effect)


def parse_candidates(texts: Iterable[str]) -> list[aioice.Candidate]:
    """Candidates from their SDP texts; those of no use (TCP, hidden names, damaged) are left out."""
    found = []
    for text in texts:
        try:
            candidate = aioice.Candidate.from_sdp(text)
        except (ValueError, IndexError, KeyError):
            continue
        if candidate.transport.lower() == "udp" and not candidate.host.endswith(".local"):
            found.append(candidate)
    return found


async def add_candidates(connection: aioice.Connection, texts: Iterable[str]) -> None:
    """Hand remote candidates to a connection. It never hears of their end: see `without_dead_ends`."""
    for candidate in parse_candidates(texts):
        await connection.add_remote_candidate(candidate)


def without_dead_ends(sdp: str) -> str:
    """An offer without what would hold up or end the search for a path.

    Browsers hide their addresses behind names (`.local`) that take a second to resolve where they resolve at all, and
    say at once that there are no more candidates. We are found by the checks that they send to us; without an end of
    candidates aioice goes on waiting for those.
    """
    lines = [
        line
        for line in sdp.splitlines()
        if line.strip() != "a=end-of-candidates" and not (line.startswith("a=candidate:") and ".local " in line)
    ]
    return "".join(f"{line}\r\n" for line in lines)
