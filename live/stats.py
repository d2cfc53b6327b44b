"""What is counted while a show runs: rates, latencies, drops. Plain numbers with bounded memory and three readers:
the status line, `/api/stats` and the summary at the end.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from live.clock import Clock, ms
from live.edges import EdgeStats

__all__ = ["Recent", "Stats", "status_line"]

RATE_WINDOW_S = 2.0
RECENT_FRAMES = 600


class Recent:
    """Percentiles of the last `RECENT_FRAMES` values, in milliseconds."""

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=RECENT_FRAMES)

    def add_ns(self, duration_ns: int) -> None:
        self._values.append(ms(duration_ns))

    def percentiles(self, *wanted: int) -> dict[str, float | None]:
        """`{"p50": 12.3, ...}`; a percentile is an observed value (nearest rank), None before the first."""
        ordered = sorted(self._values)
        return {f"p{p}": round(ordered[math.ceil(p / 100 * len(ordered)) - 1], 3) if ordered else None for p in wanted}


class _Rate:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._times: deque[int] = deque(maxlen=2048)
        self._started_ns: int | None = None

    def tick(self) -> None:
        now = self._clock.now_ns()
        if self._started_ns is None:
            self._started_ns = now
        self._times.append(now)

    def per_s(self) -> float:
        """Ticks a second over the last `RATE_WINDOW_S`, or since the first tick when that was later."""
        if self._started_ns is None:
            return 0.0
        now = self._clock.now_ns()
        window_s = min(RATE_WINDOW_S, (now - self._started_ns) / 1e9)
        while self._times and now - self._times[0] >= window_s * 1e9 and len(self._times) > 1:
            self._times.popleft()
        if not self._times or window_s <= 0 or now - self._times[-1] > RATE_WINDOW_S * 1e9:
            return 0.0
        return round(len(self._times) / window_s, 2)


class Stats:
    """Counters of one show.

    Attributes:
        frames_in: packets that came from sources.
        frames_out: pictures put on air.
    """

    def __init__(self, clock: Clock) -> None:
        import psutil  # 30 ms that `faceshot --help` need not pay

        self._process = psutil.Process()
        self.frames_in = 0
        self.frames_out = 0
        self._in = _Rate(clock)
        self._out = _Rate(clock)
        self._final_rates: tuple[float, float] | None = None
        self._latency = Recent()
        self._stages: dict[str, Recent] = {}
        self._dropped: dict[str, int] = {}
        self._edges: list[tuple[str, EdgeStats]] = []

    def came_in(self) -> None:
        """A packet came from the source."""
        self.frames_in += 1
        self._in.tick()

    def went_out(self, stages_ns: Mapping[str, int], latency_ns: int | None) -> None:
        """A picture went on air.

        Args:
            stages_ns: how long each stage worked on it.
            latency_ns: from capture to rendered pixels; None when no captured frame was behind it (idle life).
        """
        self.frames_out += 1
        self._out.tick()
        for stage, duration_ns in stages_ns.items():
            self._stages.setdefault(stage, Recent()).add_ns(duration_ns)
        if latency_ns is not None:
            self._latency.add_ns(latency_ns)

    def drop(self, reason: str, n: int = 1) -> None:
        """Frames lost elsewhere than on an edge."""
        self._dropped[reason] = self._dropped.get(reason, 0) + n

    def watch(self, edge: EdgeStats, prefix: str = "") -> None:
        """Add an edge's drops to `dropped`, each reason with `prefix` before it."""
        self._edges.append((prefix, edge))

    @property
    def dropped(self) -> dict[str, int]:
        """Frames lost so far, by reason; frames that a sink was too slow for carry the sink's name."""
        total = dict(self._dropped)
        for prefix, edge in self._edges:
            for reason, n in edge.dropped.items():
                total[prefix + reason] = total.get(prefix + reason, 0) + n
        return total

    def finish(self) -> None:
        """The show ends: its rates stay what they are now, however long outputs still write."""
        self._final_rates = self._in.per_s(), self._out.per_s()

    def snapshot(self) -> dict[str, Any]:
        """The stats JSON: rates in Hz, times in ms over the last 600 frames, memory in MB (10^6 bytes)."""
        fps_in, fps_out = self._final_rates or (self._in.per_s(), self._out.per_s())
        return {
            "frames_in": self.frames_in,
            "frames_out": self.frames_out,
            "fps_in": fps_in,
            "fps_out": fps_out,
            "latency_ms": self._latency.percentiles(50, 95, 99),
            "stages": {stage: recent.percentiles(50, 95) for stage, recent in self._stages.items()},
            "dropped": self.dropped,
            "rss_mb": round(self._process.memory_info().rss / 1e6, 1),
        }


def status_line(stats: Mapping[str, Any], parts: Iterable[str] = ()) -> str:
    """One line for a terminal from `Stats.snapshot()`: `30.0 fps in, 30.0 out | 14 ms (p95 21) | 3 dropped | ...`."""
    latency = stats["latency_ms"]
    times = "no camera frames" if latency["p50"] is None else f"{latency['p50']:.0f} ms (p95 {latency['p95']:.0f})"
    lost = sum(stats["dropped"].values())
    head = f"{stats['fps_in']:.1f} fps in, {stats['fps_out']:.1f} out"
    return " | ".join([head, times, *([f"{lost} dropped"] if lost else []), *(part for part in parts if part)])
