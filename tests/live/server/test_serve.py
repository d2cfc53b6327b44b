"""Listening and real connections: ports, refusals, limits, goodbye. Clients are httpx and websockets."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest
import websockets
from websockets.sync.client import connect

from live.clock import LoopClock
from live.config import ServerConfig
from live.errors import ServerError
from live.server.serve import listen, serve, url_of
from live.show import Show
from protocols.viewer import Ack, decode_chunk, encode_message
from tests.fakes import ScriptedSource, a_show
from tests.live.server.harness import Served, served


def a_served_show() -> Show:
    clock = LoopClock()
    return a_show(clock, {"cam": lambda: ScriptedSource(clock)}, sets=["server.max_viewers=2"])


@pytest.fixture
def server() -> Iterator[Served]:
    with served(a_served_show) as there:
        yield there


def socket_url(server: Served, path: str) -> str:
    return server.url.replace("http", "ws") + path


def test_a_port_in_use_names_the_port_who_has_it_and_the_way_out() -> None:
    with closing(listen(ServerConfig(port=0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerError) as caught:
            listen(ServerConfig(port=port))
    assert f"Port {port} on 127.0.0.1 is in use" in caught.value.message
    assert f"process {os.getpid()}" in caught.value.message
    assert f"--set server.port={port + 1}" in caught.value.hint


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.7"])
def test_an_address_that_is_not_ours(host: str) -> None:
    with pytest.raises(ServerError, match="no address of this machine") as caught:
        listen(ServerConfig(host=host))
    assert "127.0.0.1" in caught.value.hint


def test_the_address_to_open() -> None:
    with closing(listen(ServerConfig(port=0))) as sock:
        assert url_of(sock) == f"http://127.0.0.1:{sock.getsockname()[1]}"
    with closing(listen(ServerConfig(host="0.0.0.0", port=0))) as sock:
        assert url_of(sock).startswith("http://127.0.0.1:")
    if socket.has_ipv6:
        with closing(listen(ServerConfig(host="::1", port=0))) as sock:
            assert url_of(sock).startswith("http://[::1]:")


def test_pictures_and_state_flow(server: Served) -> None:
    with connect(socket_url(server, "/ws/view")) as viewer, connect(socket_url(server, "/ws/control")) as page:
        sequences = []
        for _ in range(20):
            chunk = decode_chunk(viewer.recv(timeout=20))  # type: ignore[arg-type]
            assert chunk.size_wh == (64, 64)
            sequences.append(chunk.sequence)
            viewer.send(encode_message(Ack(chunk.sequence)))
        assert sequences == sorted(set(sequences))
        assert json.loads(page.recv(timeout=20))["character"]["spec"] == "dot"


def test_a_command_reaches_the_pages_at_once(server: Served) -> None:
    with connect(socket_url(server, "/ws/control")) as page:
        httpx.post(f"{server.url}/api/pause", json={"on": True})
        states = (json.loads(page.recv(timeout=20)) for _ in range(8))
        assert any(state["paused"] for state in states)


@pytest.mark.parametrize("path", ["/ws/view", "/ws/control"])
def test_foreign_pages_get_no_socket(server: Served, path: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
        connect(socket_url(server, path), origin="https://evil.example")  # type: ignore[arg-type]
    assert caught.value.response.status_code == 403

    port = int(server.url.rpartition(":")[2])
    rebound = socket.create_connection(("127.0.0.1", port))
    with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
        connect(f"ws://evil.example:{port}{path}", sock=rebound, origin=f"http://evil.example:{port}")  # type: ignore[arg-type]
    assert caught.value.response.status_code == 403
    assert not caplog.records


def test_a_full_house_is_told_so_and_a_place_is_freed_when_somebody_leaves(server: Served) -> None:
    url = socket_url(server, "/ws/view")
    with connect(url) as first, connect(url) as second:
        first.recv(timeout=20), second.recv(timeout=20)
        with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
            connect(url)
        assert caught.value.response.status_code == 503
        answer = httpx.get(f"{server.url}/ws/view")
        assert answer.status_code == 503 and "All 2 places" in answer.json()["error"]
        assert server.call(lambda: server.show.viewers) == 2
    with connect(url) as third:
        third.recv(timeout=20)


def test_unknown_codecs_and_long_messages_are_refused(server: Served) -> None:
    with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
        connect(socket_url(server, "/ws/view?codec=av1"))
    assert caught.value.response.status_code == 400
    with connect(socket_url(server, "/ws/view")) as viewer:
        viewer.send("x" * 100_000)
        with pytest.raises(websockets.exceptions.ConnectionClosed) as closed:
            while True:
                viewer.recv(timeout=20)
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009


def test_cancelling_says_goodbye_and_frees_the_port() -> None:
    async def main() -> None:
        clock = LoopClock()
        show = a_show(clock, {"cam": lambda: ScriptedSource(clock)})
        ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        sock = listen(ServerConfig(port=0))
        port = sock.getsockname()[1]
        async with asyncio.TaskGroup() as group:
            running = group.create_task(show.run())
            serving = group.create_task(serve(show, ServerConfig(), sock, ready.set_result))
            url = await ready
            async with websockets.connect(url.replace("http", "ws") + "/ws/view") as viewer:
                await viewer.recv()
                serving.cancel()
                with pytest.raises(websockets.exceptions.ConnectionClosed) as closed:
                    while True:
                        await viewer.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code in (1001, 1012)
            await asyncio.wait([serving])
            listen(ServerConfig(port=port)).close()
            show.stop()
            await running

    asyncio.run(main())
