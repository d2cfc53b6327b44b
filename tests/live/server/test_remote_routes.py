"""Who is let in over the network, route by route, and what each mistake is told. In memory, without sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from live.clock import LoopClock
from live.server.access import FAILURES, PAIRING_NS, Access
from live.server.app import create_app
from live.server.invite import Invite
from live.workers import InlineWorker
from protocols.whip import MAX_SDP_BYTES
from tests.fakes import ScriptedSource, a_show
from tests.live.server.test_seats import HandClock
from tests.protocols.test_whip import OFFER

HTTPS = "https://192.168.1.5:8443"
LOCAL = "http://127.0.0.1:8765"
PHONE = ("192.168.1.20", 50000)
HERE = ("127.0.0.1", 50000)
CONTROL = [
    ("GET", "/api/state"),
    ("GET", "/api/stats"),
    ("GET", "/api/remote/invite"),
    ("GET", "/metrics"),
    ("POST", "/api/panic"),
    ("POST", "/api/source"),
    ("POST", "/api/remote/kick"),
    ("POST", "/api/remote/answer"),
    ("DELETE", "/api/anything/new"),
    ("GET", "/a/page/that/somebody/adds/later"),
]


@dataclass
class House:
    """A show, its tokens, and clients from anywhere."""

    app: Any
    access: Access
    clock: HandClock

    def client(self, url: str = HTTPS, address: tuple[str, int] = PHONE, **headers: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, client=address)
        return httpx.AsyncClient(transport=transport, base_url=url, headers=headers)


def at_home(test: Callable[[House], Awaitable[None]], lan: bool = True, *sets: str) -> None:
    async def main() -> None:
        clock = LoopClock()
        show = a_show(clock, {"cam": lambda: ScriptedSource(clock)}, sets=sets)
        hand = HandClock()
        access = Access(hand)
        invite = Invite(access, LOCAL, (HTTPS,) if lan else ())
        app = create_app(show, InlineWorker("server", clock), access, invite)
        await test(House(app, access, hand))

    asyncio.run(main())


def test_over_the_network_everything_needs_a_token() -> None:
    async def test(house: House) -> None:
        async with house.client() as phone:
            for method, path in [*CONTROL, ("POST", "/whip"), ("POST", "/whep"), ("DELETE", "/whip/x")]:
                reply = await phone.request(method, path)
                assert reply.status_code == 401, path
                assert reply.headers["www-authenticate"] == "Bearer"
                assert "control page" in reply.json()["hint"]
            for page in ("/", "/drive", "/watch", "/view", "/static/drive.js"):
                assert (await phone.get(page)).status_code == 200

    at_home(test)


def test_on_this_machine_nothing_does() -> None:
    async def test(house: House) -> None:
        async with house.client(LOCAL, HERE) as here:
            for method, path in CONTROL:
                assert (await here.request(method, path)).status_code not in (401, 403), path
            assert (await here.post("/pair")).json()["scopes"] == ["control", "drive", "view"]

    at_home(test, False)


@pytest.mark.parametrize("header", ["x-forwarded-for", "forwarded", "cf-connecting-ip"])
def test_a_tunnel_that_ends_here_is_not_this_machine(header: str) -> None:
    async def test(house: House) -> None:
        async with house.client(LOCAL, HERE, **{header: "203.0.113.9"}) as tunnel:
            assert (await tunnel.post("/api/panic")).status_code == 401
            assert (await tunnel.post("/pair")).status_code == 401

    at_home(test, False)


@pytest.mark.parametrize(
    ("scope", "may", "may_not"),
    [
        ("drive", [("POST", "/whip")], [("POST", "/whep"), *CONTROL]),
        ("view", [("POST", "/whep")], [("POST", "/whip"), *CONTROL]),
        ("control", [("POST", "/whip"), ("POST", "/whep"), *CONTROL], []),
    ],
)
def test_each_scope_opens_its_own_doors(scope: Any, may: Any, may_not: Any) -> None:
    async def test(house: House) -> None:
        async with house.client() as phone:
            paired = await phone.post("/pair", json={"token": house.access.mint(scope)})
            assert paired.json() == {"scopes": [scope]}
            cookie = paired.headers["set-cookie"].lower()
            for flag in ("httponly", "secure", "samesite=strict", "path=/"):
                assert flag in cookie
            for method, path in may:
                assert (await phone.request(method, path)).status_code not in (401, 403), path
            for method, path in may_not:
                assert (await phone.request(method, path)).status_code == 403, path
            assert (await phone.post("/pair")).json() == {"scopes": [scope]}  # a reload

    at_home(test)


def test_tokens_that_are_no_good_say_why() -> None:
    async def test(house: House) -> None:
        token = house.access.mint("drive")
        async with house.client() as first, house.client() as second:
            assert (await first.post("/pair", json={"token": token})).status_code == 200
            used = await second.post("/pair", json={"token": token})
            assert (used.status_code, used.json()["reason"]) == (401, "used")
            assert (await first.post("/pair", json={"token": token})).status_code == 200  # it has its cookie
            old = house.access.mint("drive")
            house.clock.t_ns += PAIRING_NS
            expired = await second.post("/pair", json={"token": old})
            assert (expired.status_code, expired.json()["reason"]) == (401, "expired")
            for token in ("wrong", "", 5, None):
                assert (await second.post("/pair", json={"token": token})).status_code == 401
            for body in (b"{", b"[]", b'"x"', b"{}" * 5000, b"\xff"):
                assert (await second.post("/pair", content=body)).status_code == 401
            assert "hint" in (await second.post("/pair")).json()

    at_home(test)


def test_guessing_is_stopped() -> None:
    async def test(house: House) -> None:
        async with house.client() as guesser:
            for _ in range(FAILURES):
                assert (await guesser.post("/pair", json={"token": "guess"})).status_code == 401
            late = await guesser.post("/pair", json={"token": house.access.mint("control")})
            assert (late.status_code, late.json()["reason"]) == (429, "busy")
            assert (await guesser.post("/whip", headers={"authorization": "Bearer x"})).status_code == 429
        async with house.client(address=("192.168.1.21", 5)) as other:
            assert (await other.post("/pair", json={"token": house.access.mint("view")})).status_code == 200

    at_home(test)


def test_programs_bring_a_bearer_token() -> None:
    async def test(house: House) -> None:
        for scope, path in (("drive", "/whip"), ("view", "/whep")):
            token = house.access.bearer(scope)  # type: ignore[arg-type]
            async with house.client(authorization=f"Bearer {token}") as obs:
                assert (await obs.post(path)).status_code == 415
                assert (await obs.options(path)).headers["accept-post"] == "application/sdp"
                assert (await obs.get("/api/state")).status_code == 403
        async with house.client(authorization="Bearer wrong") as obs:
            assert (await obs.post("/whip")).status_code == 401

    at_home(test)


def test_other_sites_and_other_names_get_nowhere() -> None:
    async def test(house: House) -> None:
        async with house.client() as phone:
            await phone.post("/pair", json={"token": house.access.mint("control")})
            for path in ("/whip", "/whep", "/pair", "/api/panic"):
                foreign = await phone.post(path, headers={"origin": "https://evil.example"})
                assert foreign.status_code == 403, path
                own = await phone.post(path, headers={"origin": HTTPS})
                assert own.status_code != 403, path
                assert "access-control-allow-origin" not in {**foreign.headers, **own.headers}
            preflight = await phone.options("/whip", headers={"origin": "https://evil.example"})
            assert preflight.status_code == 403
            rebound = await phone.get("/api/state", headers={"host": "evil.example:8443"})
            assert rebound.status_code == 403
        async with house.client("http://evil.example:8765", HERE) as rebound:  # a name that resolves to this machine
            assert (await rebound.get("/")).status_code == 403

    at_home(test)


def test_without_encryption_the_network_gets_an_explanation_and_no_more() -> None:
    async def test(house: House) -> None:
        async with house.client("http://192.168.1.5:8765") as phone:
            token = house.access.mint("control")
            for path in ("/", "/drive", "/api/state", "/static/base.css"):
                page = await phone.get(path)
                assert page.status_code == 426
                assert 'href="https://192.168.1.5:8443/drive"' in page.text
                assert token not in page.text
            assert (await phone.post("/pair", json={"token": token})).status_code == 403
        async with house.client(LOCAL, HERE) as here:
            assert (await here.get("/api/state")).status_code == 200

    at_home(test)


def test_limits_of_what_is_read() -> None:
    async def test(house: House) -> None:
        async with house.client(LOCAL, HERE) as here:
            big = await here.post("/whip", content=OFFER * 100, headers={"content-type": "application/sdp"})
            assert big.status_code == 413
            assert str(MAX_SDP_BYTES) in big.text

    at_home(test, False)


def test_the_control_pages_answers_are_checked() -> None:
    async def test(house: House) -> None:
        async with house.client(LOCAL, HERE) as here:
            for body in ({}, {"who": 5, "allow": True}, {"who": "x"}):
                assert (await here.post("/api/remote/answer", json=body)).status_code == 400
            assert (await here.post("/api/remote/answer", json={"who": "x", "allow": True})).status_code == 404
            assert (await here.post("/api/remote/kick")).status_code == 409
            invite = (await here.get("/api/remote/invite")).json()
            assert invite["drive"]["url"].startswith(f"{HTTPS}/drive#t=")
            assert invite["drive"]["svg"].startswith("<svg")
            metrics = await here.get("/metrics")
            assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
            assert "faceshot_driver_connected 0" in metrics.text
            for key in ("x", "a" * 500):
                assert (await here.delete(f"/whip/{key}")).status_code == 404

    at_home(test)
