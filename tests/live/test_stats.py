"""Counters: rates, percentiles, drops, bounded memory."""

import asyncio
import json

import pytest

from live.clock import LoopClock
from live.edges import EdgeStats
from live.stats import RECENT_FRAMES, Recent, Stats, status_line


def test_percentiles_are_observed_values():
    recent = Recent()
    for value in range(1, 101):
        recent.add_ns(value * 1_000_000)
    assert recent.percentiles(50, 95, 99) == {"p50": 50, "p95": 95, "p99": 99}
    assert Recent().percentiles(50) == {"p50": None}


def test_only_recent_frames_count():
    recent = Recent()
    for _ in range(100_000):
        recent.add_ns(1_000_000_000)
    for _ in range(RECENT_FRAMES):
        recent.add_ns(2_000_000)
    assert recent.percentiles(99) == {"p99": 2}
    assert len(recent._values) == RECENT_FRAMES


def test_rates_follow_the_last_two_seconds(virtual):
    async def main():
        stats = Stats(LoopClock())
        assert stats.snapshot()["fps_out"] == 0
        for _ in range(300):
            await asyncio.sleep(1 / 30)
            stats.went_out({}, None)
        assert stats.snapshot()["fps_out"] == pytest.approx(30, rel=0.03)
        for _ in range(60):
            await asyncio.sleep(1 / 10)
            stats.went_out({}, None)
        assert stats.snapshot()["fps_out"] == pytest.approx(10, rel=0.06)
        await asyncio.sleep(10)
        assert stats.snapshot()["fps_out"] == 0

    virtual(main())


def test_rate_is_right_from_the_first_second(virtual):
    async def main():
        stats = Stats(LoopClock())
        for _ in range(15):
            stats.came_in()
            await asyncio.sleep(1 / 30)
        assert stats.snapshot()["fps_in"] == pytest.approx(30, rel=0.1)

    virtual(main())


def test_snapshot_is_the_promised_json(virtual):
    async def main():
        stats = Stats(LoopClock())
        stats.came_in()
        stats.went_out({"track": 4_000_000, "retarget": 100_000, "render": 8_000_000}, 14_000_000)
        stats.went_out({}, None)
        edge, sink = EdgeStats(), EdgeStats()
        edge.drop("newer", 2)
        sink.drop("newer")
        stats.watch(edge)
        stats.watch(sink, "virtual camera: ")
        stats.drop("epoch")
        snapshot = stats.snapshot()
        assert json.loads(json.dumps(snapshot)) == snapshot
        assert snapshot["frames_in"] == 1
        assert snapshot["frames_out"] == 2
        assert snapshot["latency_ms"] == {"p50": 14, "p95": 14, "p99": 14}
        assert snapshot["stages"]["render"] == {"p50": 8, "p95": 8}
        assert snapshot["dropped"] == {"newer": 2, "virtual camera: newer": 1, "epoch": 1}
        assert 20 < snapshot["rss_mb"] < 10_000

    virtual(main())


def test_status_line_says_what_a_streamer_wants_to_know(virtual):
    async def main():
        stats = Stats(LoopClock())
        assert status_line(stats.snapshot()) == "0.0 fps in, 0.0 out | no camera frames"
        stats.went_out({}, 14_400_000)
        stats.drop("newer", 3)
        line = status_line(stats.snapshot(), ["face tracking", "", "2 viewers"])
        assert line.endswith("14 ms (p95 14) | 3 dropped | face tracking | 2 viewers")

    virtual(main())


def test_rates_stay_when_the_show_has_ended_and_outputs_still_write(virtual):
    async def main():
        stats = Stats(LoopClock())
        for _ in range(60):
            await asyncio.sleep(1 / 30)
            stats.went_out({}, None)
        stats.finish()
        await asyncio.sleep(5)
        assert stats.snapshot()["fps_out"] == pytest.approx(30, rel=0.03)

    virtual(main())
