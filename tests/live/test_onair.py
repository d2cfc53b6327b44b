"""A show in the terminal: what is settled before it starts."""

import asyncio
import io
import socket

import pytest

from live import onair
from live.config import load_config
from live.errors import ConfigError, LiveError, ServerError
from live.server import serve as serve_module
from live.server.access import Access
from live.server.invite import Invite
from live.server.serve import invite_to, listen
from live.terminal import StatusLine
from tests.live.server.test_seats import HandClock


def test_a_free_port_is_known_to_those_who_name_the_address(monkeypatch):
    seen = []

    def build(config, keep):
        seen.append(config.server.port)
        raise LiveError("no show today")

    monkeypatch.setattr(onair, "build_show", build)
    with pytest.raises(LiveError, match="no show"):
        asyncio.run(onair.on_air(load_config(sets=["server.port=0"])))
    assert seen[0] > 0


def test_a_bad_place_for_the_measurements_is_told_before_the_show(tmp_path):
    with pytest.raises(LiveError, match="is a folder"):
        asyncio.run(onair.on_air(load_config(sets=["server.port=0"]), stats_json=tmp_path))


def test_a_certificate_without_a_network_to_use_it_in_is_told(tmp_path):
    config = load_config(options={"server.cert": tmp_path / "c.pem", "server.key": tmp_path / "k.pem"})
    with pytest.raises(ConfigError, match="--lan"):
        asyncio.run(onair.on_air(config))


def test_without_a_network_lan_says_so_and_leaves_no_socket(monkeypatch):
    monkeypatch.setattr(serve_module, "lan_addresses", list)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ServerError, match="in no network"):
        asyncio.run(onair.on_air(load_config(sets=[f"server.port={port}", "server.lan=true"])))
    listen(load_config(sets=[f"server.port={port}"]).server).close()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def announced(invite, stream):
    onair.announce_lan(invite, StatusLine(stream))
    return stream.getvalue()


def test_a_terminal_shows_the_code_and_a_log_file_the_links():
    invite = Invite(Access(HandClock()), "http://127.0.0.1:8765", ("https://192.168.1.5:8443",))
    on_terminal, in_file = announced(invite, Terminal()), announced(invite, io.StringIO())
    assert "\u2588" in on_terminal and "\x1b[38;5;16;48;5;231m" in on_terminal  # full blocks, black on white
    assert "\u2588" not in in_file and "\x1b" not in in_file
    for text in (on_terminal, in_file):
        for page in ("drive", "watch", ""):
            assert f"https://192.168.1.5:8443/{page}#t=" in text


def test_plain_http_for_others_comes_with_tokens_and_without_a_phone():
    sock = listen(load_config(sets=["server.port=0", "server.host=0.0.0.0"]).server)
    try:
        invite = invite_to(Access(HandClock()), sock, None)
    finally:
        sock.close()
    if not invite.lan_urls:
        pytest.skip("this machine is in no network")
    text = announced(invite, io.StringIO())
    assert "--lan" in text and "/drive" not in text
    assert "/view#t=" in text
