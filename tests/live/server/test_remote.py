"""Driving and watching: sessions over real sockets, and their time-outs in virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import aioice.ice
import httpx
import pytest

from live.clock import LoopClock
from live.server import remote as remote_module
from live.server.remote import CONNECT_NS, SILENT_NS, Remote
from live.server.seats import GRACE_NS
from live.sources.phone import PHONE
from live.workers import InlineWorker
from protocols.whip import FRAGMENT_TYPE, Request
from tests import virtual_time
from tests.live.server.harness import Served, served
from tests.live.server.remote_peer import SDP, RemotePeer, eventually, make_remote_show
from tests.protocols.test_whip import OFFER

SECOND = 1_000_000_000


def over_sockets(test: Callable[[Served], Awaitable[None]], *sets: str) -> None:
    with served(make_remote_show(*sets)) as server:
        asyncio.run(test(server))


def source_of(server: Served) -> str:
    return str(server.show.config.source.spec)


async def stats_of(server: Served) -> Any:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{server.url}/api/stats")).json()


def test_who_drives_becomes_the_source_and_leaves_it_as_it_was() -> None:
    async def test(server: Served) -> None:
        async with RemotePeer(server.url, "obs/30") as phone:
            reply = await phone.drive()
            assert reply.status_code == 201
            assert reply.headers["location"].startswith("/whip/")
            assert reply.headers["etag"] == '"gen0"'
            assert "access-control-allow-origin" not in reply.headers
            await eventually(lambda: source_of(server) == PHONE and server.show.phone.pictures > 10)
            async with asyncio.timeout(20):  # a rate needs two looks at the counters
                remote = (await stats_of(server))["remote"]
                while not remote["phone"].get("bitrate_bps"):
                    await asyncio.sleep(0.1)
                    remote = (await stats_of(server))["remote"]
            assert remote["phone"]["holder"] == {"name": "obs", "away": False}
            assert remote["phone"]["size_wh"] == [160, 120]
            assert remote["phone"]["bitrate_bps"] > 0 and remote["phone"]["rtt_ms"] >= 0
            # Candidates may trickle, by the rules.
            fragment = "a=candidate:1 1 udp 1 192.0.2.9 5 typ host\r\n"
            for match, status in ((None, 428), ('"old"', 412), ('"gen0"', 204)):
                headers = {"content-type": FRAGMENT_TYPE, **({"if-match": match} if match else {})}
                patched = await phone.client.patch(phone.session, content=fragment, headers=headers)
                assert patched.status_code == status
            # Nobody else can touch the session.
            async with httpx.AsyncClient(headers={"user-agent": "stranger"}) as stranger:
                assert (await stranger.delete(phone.session)).status_code == 404
            assert (await phone.client.delete(phone.session)).status_code == 200
            assert (await phone.client.delete(phone.session)).status_code == 404
            await eventually(lambda: source_of(server) == "cam")

    over_sockets(test)


def test_a_second_driver_asks_and_takes_over() -> None:
    async def test(server: Served) -> None:
        async with RemotePeer(server.url, "one") as one, RemotePeer(server.url, "two") as two:
            await one.drive()
            await eventually(lambda: one.peer.connectionState == "connected")
            refused = await two.drive()
            assert refused.status_code == 409
            assert refused.headers["retry-after"]
            assert "control page" in refused.text
            asking = (await stats_of(server))["remote"]["phone"]["asking"]
            assert [claim["name"] for claim in asking] == ["two"]
            answer = {"who": asking[0]["who"], "allow": True}
            assert (await two.client.post(f"{server.url}/api/remote/answer", json=answer)).status_code == 200
            async with RemotePeer(server.url, "two") as again:
                assert (await again.drive()).status_code == 201
                await eventually(lambda: one.peer.connectionState == "closed")
                await eventually(lambda: again.peer.connectionState == "connected")
                assert (await one.client.delete(one.session)).status_code == 404
                kicked = await one.client.post(f"{server.url}/api/remote/kick")
                assert kicked.json()["phone"]["holder"] is None
                await eventually(lambda: again.peer.connectionState == "closed" and source_of(server) == "cam")

    over_sockets(test)


def test_a_retry_after_a_lost_201_replaces_the_session() -> None:
    async def test(server: Served) -> None:
        async with RemotePeer(server.url, "obs") as lost, RemotePeer(server.url, "obs") as again:
            await lost.drive()
            assert (await again.drive()).status_code == 201
            assert (await again.client.delete(lost.session)).status_code == 404
            await eventually(lambda: again.peer.connectionState == "connected")

    over_sockets(test)


@pytest.mark.parametrize("codec", ["h264", "vp8"])
def test_viewers_get_the_character_with_and_without_alpha(codec: str) -> None:
    async def test(server: Served) -> None:
        async with RemotePeer(server.url) as flat, RemotePeer(server.url) as alpha:
            reply = await flat.watch()
            assert reply.status_code == 201
            assert "sendonly" in reply.text
            await alpha.watch("?alpha=1")
            await eventually(lambda: len(flat.pictures) > 10 and len(alpha.pictures) > 3)
            assert flat.pictures[-1].shape == (128, 128, 3)
            assert abs(int(flat.pictures[-1][64, 64, 1]) - 60) < 6
            both = alpha.pictures[-1]
            assert both.shape == (128, 256, 3)
            assert both[64, 200].min() > 250  # opaque
            remote = (await stats_of(server))["remote"]
            assert sorted(cast["alpha"] for cast in remote["broadcasts"]) == [False, True]
            assert {viewer["codec"] for viewer in remote["viewers"]} == {codec}
            await eventually(lambda: server.show.viewers == 2)
            assert (await flat.client.delete(flat.session)).status_code == 200
            await eventually(lambda: server.show.viewers == 1)

    over_sockets(test, f"remote.codec={codec}")


def test_viewers_have_a_limit_and_can_be_ended() -> None:
    async def test(server: Served) -> None:
        async with RemotePeer(server.url) as one, RemotePeer(server.url) as two:
            await one.watch()
            await eventually(lambda: one.pictures)
            full = await two.watch()
            assert full.status_code == 503
            assert "remote.max_viewers=2" in full.text
            viewer = (await stats_of(server))["remote"]["viewers"][0]["id"]
            ended = await two.client.post(f"{server.url}/api/remote/kick", json={"viewer": viewer})
            assert ended.json()["viewers"] == []
            gone = await two.client.post(f"{server.url}/api/remote/kick", json={"viewer": viewer})
            assert gone.status_code == 404
            await eventually(lambda: one.peer.connectionState == "closed")

    over_sockets(test, "remote.max_viewers=1")


def test_sound_of_the_driver_reaches_viewers() -> None:
    async def test(server: Served) -> None:
        async with RemotePeer(server.url, "phone", sound=True) as phone, RemotePeer(server.url, "viewer") as viewer:
            await viewer.watch()
            await phone.drive()
            await eventually(lambda: viewer.sounds > 20 and viewer.pictures)

    over_sockets(test)


def test_sound_can_be_turned_off() -> None:
    async def test(server: Served) -> None:
        async with RemotePeer(server.url, "phone", sound=True) as phone, RemotePeer(server.url, "viewer") as viewer:
            await viewer.watch()
            await phone.drive()
            await eventually(lambda: server.show.phone.pictures > 30 and len(viewer.pictures) > 10)
            assert viewer.sounds == 0

    over_sockets(test, "remote.sound=false")


def test_a_lossy_network_does_not_stop_the_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """5 % of the packets lost and up to 50 ms of jitter, in both directions."""
    rng = random.Random(4)
    arrived = aioice.ice.StunProtocol.datagram_received

    def datagram_received(self: Any, data: Any, address: Any) -> None:
        if data[0] < 128:  # a path must be found first: STUN and DTLS come through
            arrived(self, data, address)
        elif rng.random() > 0.05:
            asyncio.get_running_loop().call_later(rng.random() * 0.05, arrived, self, data, address)

    monkeypatch.setattr(aioice.ice.StunProtocol, "datagram_received", datagram_received)

    async def test(server: Served) -> None:
        async with RemotePeer(server.url, "phone") as phone, RemotePeer(server.url, "viewer") as viewer:
            await phone.drive()
            await viewer.watch()
            await eventually(lambda: server.show.phone.pictures > 120 and len(viewer.pictures) > 60, 40)
            assert source_of(server) == PHONE

    over_sockets(test)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"v=0\r\n" + b"a" * 200, 400),
        (b"\x00" * 1000, 400),
        (OFFER + b"a=x:y\r\n" * 20_000, 413),
        (OFFER.replace(b"SAVPF 96 97", b"SAVPF x y"), 422),
        (OFFER.replace(b"m=video 9", b"m=video nine"), 422),
        (OFFER.replace(b"a=fingerprint:sha-256 DA", b"a=fingerprint:rot13 DA"), None),
        (OFFER.replace(b"a=rtpmap:96 VP8/90000", b"a=rtpmap:96 VP8/0"), None),
    ],
)
def test_hostile_offers_leave_nothing_behind(body: bytes, status: int | None) -> None:
    async def test(server: Served) -> None:
        async with httpx.AsyncClient(headers=SDP) as client:
            reply = await client.post(f"{server.url}/whip", content=body)
            assert reply.status_code == status or (status is None and reply.status_code in (201, 400, 422))
            if reply.status_code != 201:
                assert reply.text.strip() and "Traceback" not in reply.text
            refused = await client.post(f"{server.url}/whep", content=body)
            assert refused.status_code in (400, 413, 422)
        async with RemotePeer(server.url) as viewer:
            await viewer.watch()
            await eventually(lambda: viewer.pictures)

    over_sockets(test)


# Time-outs, in virtual time: peers are played by fakes.


class FakePeer:
    """A peer whose state a test sets."""

    def __init__(self, *args: Any) -> None:
        self.clock, _, self.spawn, self.on_change, *_ = args
        self.state = "new"
        self.opened_ns = self.clock.now_ns()
        self.size_wh = None
        self.last_picture_ns: int | None = None
        self.closed = 0

    async def answer(self, offer: Any) -> str:
        return "v=0\r\n"

    async def measure(self) -> dict[str, Any]:
        return {}

    async def close(self) -> None:
        self.closed += 1

    def become(self, state: str) -> None:
        self.state = state
        self.on_change()


def in_virtual_time(monkeypatch: pytest.MonkeyPatch, test: Callable[[Remote, Any], Awaitable[None]]) -> None:
    monkeypatch.setattr(remote_module, "_import_peers", lambda: SimpleNamespace(Driver=FakePeer, Viewer=FakePeer))

    async def main() -> None:
        show = make_remote_show()()
        show._parts = show._parts.__class__(**{**vars(show._parts), "make_source": lambda spec: _cam(show.clock, spec)})
        remote = Remote(show, lambda: None, InlineWorker("errands", show.clock))
        async with asyncio.TaskGroup() as group:
            running = group.create_task(show.run())
            async with remote.running():
                await show.clock.sleep_until_ns(2 * SECOND)
                await test(remote, show)
            show.stop()
            await running

    virtual_time.run(main())


def _cam(clock: LoopClock, spec: str) -> Any:
    from tests.fakes import ScriptedSource, a_face

    return ScriptedSource(clock, states=[a_face()], name=spec)


async def drive(remote: Remote, who: str) -> int:
    reply = await remote.endpoint("whip", Request("POST", SDP, OFFER), who, who)
    return reply.status


def peer_of(remote: Remote) -> FakePeer:
    peer: FakePeer = next(iter(remote._drivers.values())).peer
    return peer


async def later(show: Any, duration_ns: int) -> None:
    await show.clock.sleep_until_ns(show.clock.now_ns() + duration_ns)


def test_ice_that_never_connects_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(remote: Remote, show: Any) -> None:
        assert await drive(remote, "a") == 201
        peer = peer_of(remote)
        await later(show, CONNECT_NS + 2 * SECOND)
        assert peer.closed == 1
        assert remote._drivers == {}
        assert show.config.source.spec == "cam"
        await later(show, GRACE_NS)
        assert await drive(remote, "b") == 201

    in_virtual_time(monkeypatch, test)


def test_a_driver_who_vanishes_keeps_the_seat_and_then_loses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(remote: Remote, show: Any) -> None:
        await drive(remote, "a")
        peer_of(remote).become("connected")
        await later(show, SECOND)
        assert show.config.source.spec == PHONE
        assert remote.seat_of("a") == "live"
        peer_of(remote).become("failed")
        await later(show, 2 * SECOND)
        assert remote._drivers == {}
        assert remote.seat_of("a") == "connecting"
        assert show.config.source.spec == PHONE  # the character idles meanwhile
        assert await drive(remote, "b") == 409
        assert remote.seat_of("b") == "asking"
        assert await drive(remote, "a") == 201  # back in the same seat
        peer_of(remote).become("connected")
        peer_of(remote).become("closed")
        await later(show, GRACE_NS + 3 * SECOND)
        assert show.config.source.spec == "cam"
        assert remote.seat_of("a") == "free"
        assert await drive(remote, "b") == 201

    in_virtual_time(monkeypatch, test)


def test_requests_at_the_same_time_make_one_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(remote: Remote, show: Any) -> None:
        assert await asyncio.gather(*(drive(remote, "a") for _ in range(4))) == [201] * 4
        assert len(remote._drivers) == 1
        others = await asyncio.gather(*(drive(remote, who) for who in ("b", "c", "a")))
        assert others == [409, 409, 201]
        assert len(remote._drivers) == 1

    in_virtual_time(monkeypatch, test)


def test_a_driver_who_falls_silent_is_gone_unless_it_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(remote: Remote, show: Any) -> None:
        await drive(remote, "a")
        peer_of(remote).become("connected")
        peer_of(remote).last_picture_ns = show.clock.now_ns()
        remote.set_paused("a", True)
        await later(show, 2 * SILENT_NS)
        assert remote.seat_of("a") == "live"
        peer_of(remote).last_picture_ns = show.clock.now_ns()
        remote.set_paused("a", False)
        await later(show, SILENT_NS - SECOND)
        assert remote._drivers
        await later(show, 3 * SECOND)
        assert remote._drivers == {}
        assert remote.seat_of("a") == "connecting"  # kept for a while

    in_virtual_time(monkeypatch, test)


def test_who_picks_another_source_meanwhile_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(remote: Remote, show: Any) -> None:
        await drive(remote, "a")
        peer_of(remote).become("connected")
        await later(show, SECOND)
        await show.set_source("other")
        peer_of(remote).last_picture_ns = show.clock.now_ns()
        await later(show, 5 * SECOND)
        assert show.config.source.spec == "other"
        assert remote.state()["phone"]["on_air"] is False
        assert await remote.kick() == "a"
        await later(show, 2 * SECOND)
        assert show.config.source.spec == "other"
        assert await drive(remote, "a") == 409  # kicked ones ask, even for a free seat

    in_virtual_time(monkeypatch, test)


def test_a_refusal_and_a_yes_reach_the_phone(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(remote: Remote, show: Any) -> None:
        await drive(remote, "a")
        peer_of(remote).become("connected")
        await drive(remote, "b")
        assert remote.refuse("b")
        assert await drive(remote, "b") == 403
        await drive(remote, "b")
        assert remote.allow("b")
        assert remote.seat_of("b") == "allowed"
        assert await drive(remote, "b") == 201
        assert remote.seat_of("a") == "taken"

    in_virtual_time(monkeypatch, test)
