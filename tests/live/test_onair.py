"""A show in the terminal: what is settled before it starts."""

import asyncio

import pytest

from live import onair
from live.config import load_config
from live.errors import LiveError


def test_a_free_port_is_known_to_those_who_name_the_address(monkeypatch):
    seen = []

    def build(config):
        seen.append(config.server.port)
        raise LiveError("no show today")

    monkeypatch.setattr(onair, "build_show", build)
    with pytest.raises(LiveError, match="no show"):
        asyncio.run(onair.on_air(load_config(sets=["server.port=0"])))
    assert seen[0] > 0


def test_a_bad_place_for_the_measurements_is_told_before_the_show(tmp_path):
    with pytest.raises(LiveError, match="is a folder"):
        asyncio.run(onair.on_air(load_config(sets=["server.port=0"]), stats_json=tmp_path))
