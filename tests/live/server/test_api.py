"""The API over a real show of fakes: what each command does, what each mistake is told, who is let in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from faceshot.character import bundled_names
from live.clock import LoopClock
from live.server.app import create_app
from live.show import Show
from live.workers import InlineWorker
from tests.fakes import ScriptedSource, a_character, a_show

URL = "http://127.0.0.1:8765"


@asynccontextmanager
async def on_air(sets: tuple[str, ...] = ()) -> AsyncIterator[tuple[Show, httpx.AsyncClient]]:
    clock = LoopClock()
    sources = {"cam": lambda: ScriptedSource(clock, name="cam"), "two": lambda: ScriptedSource(clock, name="two")}
    characters = {"dot": a_character(), "dash": a_character("dash", grey=50)}
    show = a_show(clock, sources, characters=characters, sets=list(sets))
    app = create_app(show, InlineWorker("server", clock))
    async with asyncio.TaskGroup() as group:
        running = group.create_task(show.run())
        await clock.sleep_until_ns(clock.now_ns() + 1_000_000_000)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL) as client:
            yield show, client
        show.stop()
        await running


@pytest.fixture
def api(virtual: Any) -> Callable[..., None]:
    """`api(test)` runs `await test(show, client)` against a show on air."""

    def run(test: Callable[[Show, httpx.AsyncClient], Awaitable[None]], *sets: str) -> None:
        async def main() -> None:
            async with on_air(sets) as (show, client):
                await test(show, client)

        virtual(main())

    return run


def test_state_and_stats(api):
    async def test(show, client):
        state = (await client.get("/api/state")).json()
        assert state["character"] == {"spec": "dot", "name": "dot", "kind": "human"}
        assert [one["spec"] for one in state["characters"]] == ["dot", "dash"]
        assert state["stats"]["fps_out"] == pytest.approx(30, abs=1)
        assert state["max_upload_mb"] == 25
        stats = (await client.get("/api/stats")).json()
        assert {"frames_in", "frames_out", "fps_out", "latency_ms", "stages", "dropped", "rss_mb"} <= set(stats)
        assert stats["viewers"] == {"count": 0, "each": []}

    api(test)


def test_pause_and_panic_set_and_toggle(api):
    async def test(show, client):
        for path, key in (("/api/pause", "paused"), ("/api/panic", "hidden")):
            for how, want in [
                ({}, True),
                ({}, False),
                ({"json": {"on": True}}, True),
                ({"json": {"on": True}}, True),
                ({"params": {"on": "0"}}, False),
                ({"params": {"on": "on"}}, True),
                ({"json": {"on": False}}, False),
            ]:
                response = await client.post(path, **how)
                assert response.json()[key] is want
                assert show.state()[key] is want

    api(test)


def test_panic_blanks_the_air_before_it_answers(api):
    async def test(show, client):
        assert show.frames.newest.value.rgba.any()
        await client.post("/api/panic")
        assert not show.frames.newest.value.rgba.any()

    api(test)


def test_character_source_calibrate_and_settings(api):
    async def test(show, client):
        assert (await client.post("/api/character", json={"spec": "dash"})).json()["character"]["name"] == "dash"
        assert (await client.post("/api/source", params={"spec": "two"})).json()["source"]["name"] == "two"
        assert (await client.post("/api/calibrate")).status_code == 200
        changes = {"motion.gains.head": 1.5, "motion.mirror": True, "output.background": "#00ff00"}
        state = (await client.post("/api/settings", json=changes)).json()
        assert state["motion"]["gains"]["head"] == 1.5 and state["motion"]["mirror"] is True
        assert state["output"]["background"] == "#00ff00"

    api(test)


def test_a_step_of_the_calibration_is_measured_and_kept_or_refused(api):
    async def test(show, client):
        response = await client.post("/api/range", json={"what": "lips-shut"})
        assert response.status_code == 200
        assert abs(response.json()["motion"]["range"]["lips_shut"]) < 0.02
        refused = await client.post("/api/range", json={"what": "eyes-shut"})
        assert refused.status_code == 422 and "at most 70% is usable" in refused.json()["error"]
        assert show.state()["motion"]["range"]["left_shut"] == 0.0
        assert (await client.post("/api/range", json={"what": "ears"})).status_code == 422
        assert (await client.post("/api/range", json={"what": 5})).status_code == 400
        limits = (await client.post("/api/settings", json={"motion.limits.head": 0.5})).json()["motion"]["limits"]
        assert limits == {"head": 0.5, "eyes": 1.0, "brows": 1.0, "mouth": 1.0}

    api(test)


def test_a_dropped_picture_goes_on_air_under_the_name_of_its_file(api):
    async def test(show, client):
        response = await client.post("/api/picture", params={"filename": "../../etc/cat.png"}, content=b"\x37picture")
        assert response.json()["character"] == {"spec": "cat.png", "name": "cat.png", "kind": "human"}
        portrait = await client.get("/api/characters/cat.png/thumb")
        assert portrait.headers["content-type"] == "image/webp"

    api(test)


@pytest.mark.parametrize(
    ("path", "how", "status", "error"),
    [
        ("/api/character", {"json": {"spec": "nobody"}}, 422, "No character nobody"),
        ("/api/source", {"json": {"spec": "nowhere"}}, 422, "No source nowhere"),
        ("/api/character", {}, 400, "names no spec"),
        ("/api/character", {"json": {"spec": 5}}, 400, "names no spec"),
        ("/api/pause", {"content": b"{"}, 400, "not JSON"),
        ("/api/pause", {"json": [1]}, 400, "not an object"),
        ("/api/pause", {"content": b"[" * 60_000}, 400, "not JSON"),
        ("/api/character", {"content": b'{"spec": "\\ud800.png"}'}, 422, ".png"),
        ("/api/settings", {"json": {"output.background": "x" * 5000}}, 400, "neither a colour"),
        ("/api/pause", {"json": {"on": "perhaps"}}, 400, "perhaps"),
        ("/api/pause", {"content": b" " * 70_000}, 413, "64 kB"),
        ("/api/settings", {"json": {"motion.gains.hed": 1}}, 400, "hed"),
        ("/api/settings", {"json": {"motion.gains.head": 99}}, 400, "99"),
        ("/api/settings", {"json": {"server.port": 1}}, 400, "server.port"),
        ("/api/settings", {"json": {"output.background": "no-such.png"}}, 400, "no-such.png"),
        ("/api/picture", {}, 400, "No picture"),
    ],
)
def test_mistakes_are_explained_and_change_nothing(api, path, how, status, error):
    async def test(show, client):
        before = show.config
        response = await client.post(path, **how)
        assert response.status_code == status
        assert error in response.json()["error"]
        assert set(response.json()) == {"error", "hint"}
        assert show.config == before

    api(test)


def test_an_upload_is_given_up_as_soon_as_it_is_too_long(api):
    async def test(show, client):
        sent = 0

        async def endless() -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 1
                yield bytes(1 << 18)

        response = await client.post("/api/picture", content=endless())
        assert response.status_code == 413
        assert "1 MB" in response.json()["error"]
        assert sent <= 5

        honest = await client.post("/api/picture", content=b"x", headers={"content-length": str(5 << 20)})
        assert honest.status_code == 413

    api(test, "server.max_upload_mb=1")


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {}, 200),
        ("GET", {"host": "localhost:8765"}, 200),
        ("GET", {"host": "[::1]:8765"}, 200),
        ("GET", {"host": "evil.example"}, 403),
        ("GET", {"host": "127.0.0.1.evil.example:8765"}, 403),
        ("GET", {"host": "192.168.0.5:8765"}, 403),
        ("GET", {"host": "[::1"}, 403),
        ("GET", {"origin": "https://evil.example"}, 200),
        ("POST", {}, 200),
        ("POST", {"origin": URL}, 200),
        ("POST", {"origin": "https://evil.example"}, 403),
        ("POST", {"origin": "null"}, 403),
        ("POST", {"origin": "http://127.0.0.1:1234"}, 403),
        ("POST", {"origin": "http://localhost:8765", "host": "localhost:8765"}, 200),
    ],
)
def test_only_our_own_pages_and_programs_may(api, method, headers, status):
    async def test(show, client):
        path = "/api/state" if method == "GET" else "/api/panic"
        response = await client.request(method, path, headers=headers)
        assert response.status_code == status
        assert show.state()["hidden"] is (method == "POST" and status == 200)
        assert "access-control-allow-origin" not in response.headers

    api(test)


def test_listening_on_every_address_knows_addresses_but_no_strange_names(api):
    async def test(show, client):
        # 401: a name of ours, but under it everybody needs a token.
        for host, status in (("192.168.0.5:8765", 401), ("[fe80::1]:8765", 401), ("evil.example", 403)):
            assert (await client.get("/api/state", headers={"host": host})).status_code == status

    api(test, "server.host=0.0.0.0")


def test_pages_and_their_headers(api):
    async def test(show, client):
        for path in ("/", "/view", "/static/control.js", "/static/base.css", "/favicon.ico"):
            response = await client.get(path)
            assert response.status_code == 200
            assert response.headers["cache-control"] == "no-cache" and response.headers["etag"]
            assert response.headers["x-content-type-options"] == "nosniff"
            again = await client.get(path, headers={"if-none-match": response.headers["etag"]})
            assert again.status_code == (304 if path.startswith("/static") else 200)
        control, view = await client.get("/"), await client.get("/view")
        assert "frame-ancestors 'none'" in control.headers["content-security-policy"]
        assert "'unsafe-inline'" not in control.headers["content-security-policy"]
        assert "style-src 'self' 'unsafe-inline'" in view.headers["content-security-policy"], "OBS adds custom CSS"

    api(test)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/static/../app.py", 404),
        ("GET", "/static/%2e%2e/app.py", 404),
        ("GET", "/api/pause", 405),
        ("GET", "/ws/view", 426),
        ("GET", "/api/characters/nobody/thumb", 404),
        ("GET", "/api/characters/..%2F..%2Fetc%2Fpasswd/thumb", 404),
    ],
)
def test_wrong_addresses_get_json(api, method, path, status):
    async def test(show, client):
        response = await client.request(method, path)
        assert response.status_code == status
        assert set(response.json()) == {"error", "hint"}

    api(test)


def test_portraits_of_the_bundled_characters(api):
    async def test(show, client):
        for name in bundled_names():
            response = await client.get(f"/api/characters/{name}/thumb")
            assert response.headers["content-type"] == "image/webp"
            assert response.content[8:12] == b"WEBP" and len(response.content) < 30_000

    api(test)


def test_expressions_go_on_and_off_by_name(api):
    async def test(show, client):
        names = (await client.get("/api/state")).json()["expressions"]
        assert {"smile", "angry", "surprised", "wink"} <= set(names)
        assert (await client.post("/api/expression", json={"name": "smile"})).json()["expression"] == "smile"
        assert (await client.post("/api/expression?name=wink")).json()["expression"] == "wink"
        assert (await client.post("/api/expression", json={"name": "wink"})).json()["expression"] is None
        await client.post("/api/expression", json={"name": "sad"})
        assert (await client.post("/api/expression", json={"name": None})).json()["expression"] is None
        answer = await client.post("/api/expression", json={"name": "smiel"})
        assert answer.status_code == 422 and "smile" in answer.json()["hint"]
        assert (await client.post("/api/expression", json={"name": 3})).status_code == 400

    api(test)
