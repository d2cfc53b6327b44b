"""What is done to aiortc: the jitter buffer packet by packet, against the original one where both must agree."""

from __future__ import annotations

import asyncio
import logging
import random
from itertools import pairwise

import aioice
import pytest
from aiortc import RTCPeerConnection
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtp import RtpPacket

from live.webrtc import hooks
from live.webrtc.hooks import (
    GIVE_UP_TICKS,
    SEED_BPS,
    Frames,
    IcePath,
    PatientNacks,
    PromptBuffer,
    ice_transport,
    on_keyframe_wanted,
    parse_candidates,
    tune_receiver,
    useful_addresses,
    without_dead_ends,
)
from tests.virtual_time import run

FRAME = 3000  # ticks of 90 kHz at 30 fps


def packet(seq: int, timestamp: int, data: bytes, marker: bool) -> RtpPacket:
    made = RtpPacket(sequence_number=seq % 65536, timestamp=timestamp % 2**32, marker=int(marker))
    made._data = data  # type: ignore[attr-defined]
    return made


def film(frames: int, parts: int = 3, seq: int = 100, timestamp: int = 0) -> list[RtpPacket]:
    """Frames of `parts` packets each; the data tells frame and part."""
    return [
        packet(seq + i * parts + k, timestamp + i * FRAME, bytes([i % 256, k]), k == parts - 1)
        for i in range(frames)
        for k in range(parts)
    ]


def play(buffer: JitterBuffer, packets: list[RtpPacket]) -> tuple[list[JitterFrame], list[int]]:
    """What comes out, and after how many packets keyframes were asked for."""
    out: list[JitterFrame] = []
    asked: list[int] = []
    for i, each in enumerate(packets):
        pli, frame = buffer.add(each)
        if pli:
            asked.append(i)
        if frame is not None:
            out.append(frame)
            out += frame.following if isinstance(frame, Frames) else []
    return out, asked


def test_a_frame_comes_with_its_last_packet() -> None:
    buffer = PromptBuffer()
    for i, each in enumerate(film(5)):
        _, frame = buffer.add(each)
        assert (frame is not None) == (i % 3 == 2)


def test_it_is_one_frame_ahead_of_the_original() -> None:
    packets = film(6)
    prompt, stock = play(PromptBuffer(), packets)[0], play(JitterBuffer(512, is_video=True), packets)[0]
    assert [frame.data for frame in prompt][:-1] == [frame.data for frame in stock]
    assert len(prompt) == len(stock) + 1


def test_a_sender_without_markers_is_understood() -> None:
    packets = film(4)
    for each in packets:
        each.marker = 0
    assert [frame.data[0] for frame in play(PromptBuffer(), packets)[0]] == [0, 1, 2]


@pytest.mark.parametrize("seed", range(5))
def test_reordering_within_a_frame_interval_loses_nothing(seed: int) -> None:
    packets = film(200, seq=65500, timestamp=2**32 - 50 * FRAME)  # both counters wrap
    rng = random.Random(seed)
    order = sorted(range(len(packets)), key=lambda i: i + rng.random() * 4)
    order.remove(0)  # the first packet sets the origin
    out, asked = play(PromptBuffer(), [packets[i] for i in [0, *order]])
    assert [frame.data for frame in out] == [bytes([i % 256, 0, i % 256, 1, i % 256, 2]) for i in range(200)]
    assert asked == []


def test_a_late_packet_sets_all_free_that_waited_for_it() -> None:
    packets = film(4)
    late = packets.pop(4)
    out, asked = play(PromptBuffer(), [*packets, late])
    assert [frame.data[0] for frame in out] == [0, 1, 2, 3]
    assert asked == []


def test_a_lost_packet_holds_up_for_a_moment_only() -> None:
    packets = film(40)
    lost = packets.pop(31)  # the middle of frame 10
    assert lost.timestamp == 10 * FRAME
    buffer = PromptBuffer()
    out, asked = play(buffer, packets)
    assert [frame.data[0] for frame in out] == [i for i in range(40) if i != 10]
    assert len(asked) == buffer.given_up == 1
    waited = (packets[asked[0]].timestamp - lost.timestamp) / 90
    assert GIVE_UP_TICKS / 90 < waited < GIVE_UP_TICKS / 90 + 40  # in ms: at the first frame past the limit
    stock, _ = play(JitterBuffer(512, is_video=True), packets)
    assert len(stock) == 10  # the original still waits


def test_a_frame_that_the_hole_tore_is_not_handed_on() -> None:
    packets = film(40)
    del packets[31:34]  # the end of frame 10 and the beginning of frame 11
    out, _ = play(PromptBuffer(), packets)
    assert [frame.data[0] for frame in out] == [i for i in range(40) if i not in (10, 11)]


@pytest.mark.parametrize("seed", range(8))
def test_heavy_loss_corrupts_nothing_and_leaves_no_delay(seed: int) -> None:
    rng = random.Random(seed)
    packets = [each for each in film(300) if rng.random() > 0.1]
    buffer = PromptBuffer()
    behind_ms = []
    for each in packets:
        _, frame = buffer.add(each)
        if frame is not None:
            last = (frame.following or [frame])[-1] if isinstance(frame, Frames) else frame
            behind_ms.append((each.timestamp - last.timestamp) / 90)
            for whole in [frame, *getattr(frame, "following", [])]:
                i = whole.data[0]
                assert whole.data == bytes([i, 0, i, 1, i, 2])
    assert max(behind_ms) < GIVE_UP_TICKS / 90 + 100
    assert buffer.given_up > 0


def test_what_is_missing_is_asked_for_again_until_nobody_waits() -> None:
    buffer = PromptBuffer()
    nacks = PatientNacks(buffer)
    packets = film(40)
    lost = packets.pop(4)
    asked = []
    for each in packets:
        if nacks.add(each):
            asked.append(each.timestamp)
            assert lost.sequence_number in nacks.missing
        buffer.add(each)
    assert len(asked) >= 3
    assert all(later - earlier > 90 * 30 for earlier, later in pairwise(asked))
    assert asked[-1] < lost.timestamp + GIVE_UP_TICKS + 3 * FRAME
    assert not nacks.missing


def test_a_receiver_is_tuned() -> None:
    async def main() -> None:
        peer = RTCPeerConnection()
        receiver = peer.addTransceiver("video").receiver
        buffer = tune_receiver(receiver)
        assert buffer is not None
        assert receiver._RTCRtpReceiver__jitter_buffer is buffer  # type: ignore[attr-defined]
        estimator = receiver._RTCRtpReceiver__remote_bitrate_estimator  # type: ignore[attr-defined]
        assert estimator.rate_control.current_bitrate == SEED_BPS
        # The decoder gets every frame of a run, with times that count from the same origin.
        first = Frames(b"a", 5_000)
        first.following = [JitterFrame(b"b", 8_000)]
        first.timestamp = 0  # as the receiver's own counting makes it
        frames = receiver._RTCRtpReceiver__decoder_queue  # type: ignore[attr-defined]
        frames.put(("VP8", first))
        assert [frames.get_nowait()[1].timestamp for _ in range(2)] == [0, 3_000]
        await peer.close()

    run(main())


def test_an_aiortc_with_other_insides_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    class Other:
        pass

    hooks._told.clear()
    with caplog.at_level(logging.WARNING):
        assert tune_receiver(Other()) is None  # type: ignore[arg-type]
        assert tune_receiver(Other()) is None  # type: ignore[arg-type]
        on_keyframe_wanted(Other(), lambda: None)  # type: ignore[arg-type]
        hooks._prefer(object())
    assert [record.message.partition(" in its ")[2].partition(":")[0] for record in caplog.records] == [
        "receiver",
        "sender",
        "addresses",
    ]
    hooks._told.clear()


def test_addresses_of_no_use_are_left_out() -> None:
    assert useful_addresses(["192.168.1.5"]) == ["192.168.1.5"]
    assert useful_addresses([]) == ["127.0.0.1"]


def test_candidates_of_no_use_are_left_out() -> None:
    good = "1 1 udp 2122260223 192.0.2.1 61764 typ host"
    bad = [
        "1 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active",
        "1 1 udp 2122260223 6a7b.local 61764 typ host",
        "nonsense",
        "1 1 udp x 192.0.2.1 61764 typ host",
    ]
    assert [candidate.port for candidate in parse_candidates([*bad, good])] == [61764]


def test_an_offer_loses_what_would_hold_it_up() -> None:
    sdp = "v=0\r\na=candidate:1 1 udp 1 aa.local 5 typ host\r\na=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\n"
    assert without_dead_ends(f"{sdp}a=end-of-candidates\r\n") == (
        "v=0\r\na=candidate:1 1 udp 1 192.0.2.1 5 typ host\r\n"
    )


def test_ice_restarts_under_the_same_transport() -> None:
    """Two connections, the second takes over while data flows; what is received goes on without an error."""

    async def pair() -> tuple[aioice.Connection, aioice.Connection]:
        one, two = aioice.Connection(ice_controlling=True), aioice.Connection(ice_controlling=False)
        for each in (one, two):
            hooks._prefer(each)
            await each.gather_candidates()
        return one, two

    async def introduce(here: aioice.Connection, there: aioice.Connection) -> None:
        here.remote_username, here.remote_password = there.local_username, there.local_password
        for candidate in there.local_candidates:
            await here.add_remote_candidate(candidate)
        await here.add_remote_candidate(None)

    class Ice:
        def __init__(self, connection: aioice.Connection) -> None:
            self._connection = connection
            self._recv, self._send = connection.recv, connection.send

    async def main() -> None:
        client, server = await pair()
        await introduce(client, server)
        await introduce(server, client)
        ice = Ice(server)
        path = IcePath(ice)
        await asyncio.gather(client.connect(), server.connect())
        ended = []
        path._emit = ended.append  # type: ignore[assignment]
        waiting = asyncio.ensure_future(ice._recv())
        await client.send(b"old")
        assert await waiting == b"old"
        assert (await path.round_trip_s(asyncio.get_running_loop().time) or 0) > 0

        waiting = asyncio.ensure_future(ice._recv())
        fresh = await path.prepare_restart()
        again = aioice.Connection(ice_controlling=True)
        hooks._prefer(again)
        await again.gather_candidates()
        await introduce(again, fresh)
        await introduce(fresh, again)
        await asyncio.gather(again.connect(), path.take_over(fresh, 5))
        await again.send(b"new")
        assert await waiting == b"new"
        await ice._send(b"back")
        assert await again.recv() == b"back"
        assert ended == []

        dead = await path.prepare_restart()
        dead.remote_username, dead.remote_password = "nobody", "x" * 24
        await path.take_over(dead, 0.2)
        await again.send(b"still")
        assert await ice._recv() == b"still"
        for each in (client, again, fresh):
            await each.close()
        assert len(ended) == 1
        with pytest.raises(ConnectionError):
            await ice._recv()

    asyncio.run(main())


def test_the_ice_transport_is_found() -> None:
    async def main() -> None:
        peer = RTCPeerConnection()
        peer.addTransceiver("video")
        assert ice_transport(peer).state == "new"
        await peer.close()

    run(main())
