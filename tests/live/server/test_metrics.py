"""Prometheus' text format, read back by its rules."""

from __future__ import annotations

import re
from typing import Any

from live.clock import LoopClock
from live.server.metrics import exposition
from live.stats import Stats
from tests.virtual_time import run

LINE = re.compile(r'^faceshot_[a-z_]+(\{[a-z_]+="(?:[^"\\]|\\.)*"(,[a-z_]+="(?:[^"\\]|\\.)*")*\})? [-+0-9.e]+$')


def snapshot() -> dict[str, Any]:
    async def main() -> dict[str, Any]:
        stats = Stats(LoopClock())
        stats.came_in()
        stats.went_out({"track": 9_000_000}, 25_000_000)
        stats.drop('odd "reason"\n')
        return stats.snapshot()

    return run(main())


REMOTE = {
    "phone": {"connected": True, "lost": 3, "packets": 97, "jitter_ms": 4.0, "rtt_ms": 12.5, "given_up": 1},
    "viewers": [{"dropped": 2, "lost": 0, "packets": 5, "jitter_ms": None, "rtt_ms": None, "bitrate_bps": 1000}],
    "broadcasts": [{"codec": "h264", "alpha": False, "keyframes": 4, "encode_ms": {"p50": 4.0, "p95": None}}],
}  # fmt: skip


def test_every_line_keeps_the_rules_and_every_family_is_declared_once() -> None:
    text = exposition(snapshot(), REMOTE, viewers=1)
    assert text.endswith("\n")
    declared: list[str] = []
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            declared.append(line.split()[2])
        elif not line.startswith("# HELP "):
            assert LINE.match(line), line
            assert re.split(r"[{ ]", line)[0] == declared[-1]
    assert len(declared) == len(set(declared))


def test_peers_and_encoders_are_counted() -> None:
    text = exposition(snapshot(), REMOTE, viewers=1)
    for line in (
        'faceshot_rtp_lost_packets_total{peer="driver"} 3',
        'faceshot_rtp_jitter_seconds{peer="driver"} 0.004',
        'faceshot_rtt_seconds{peer="driver"} 0.0125',
        'faceshot_bitrate_bits_per_second{peer="viewer-0"} 1000',
        'faceshot_encode_seconds{codec="h264",alpha="0",quantile="0.50"} 0.004',
        'faceshot_viewer_dropped_total{peer="viewer-0"} 2',
        "faceshot_viewers 1",
        'faceshot_latency_seconds{quantile="0.50"} 0.025',
    ):
        assert line in text.splitlines()
    assert 'rtt_seconds{peer="viewer-0"}' not in text  # unknown is left out, not zero


def test_nobody_there() -> None:
    text = exposition(snapshot(), {"phone": {"connected": False}, "viewers": [], "broadcasts": []}, viewers=0)
    assert "faceshot_driver_connected 0" in text
    assert "rtp_lost" not in text
