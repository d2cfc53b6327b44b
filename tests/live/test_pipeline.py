"""The story under load and under faults, in virtual time: what is dropped, what is shown, what never is."""

import asyncio
import gc
import sys

import numpy as np
import pytest

from faceshot.animators import Window
from faceshot.types import FaceState, Rendered
from live.clock import LoopClock
from live.errors import SourceLost
from live.show import Show
from tests.fakes import (
    CAMERA_COLOUR,
    CostlyAnimator,
    MemorySink,
    ScriptedSource,
    ScriptedTracker,
    a_character,
    a_face,
    a_show,
)


def adds_up(show: Show, idle: int = 0) -> bool:
    """Every camera frame was shown or is counted as dropped, up to the few that are on their way."""
    stats = show.stats.snapshot()
    dropped = sum(n for reason, n in stats["dropped"].items() if ":" not in reason)
    return 0 <= stats["frames_in"] + idle - stats["frames_out"] - dropped <= 3


def test_a_slow_animator_drops_frames_and_never_falls_behind(virtual):
    async def main():
        clock = LoopClock()
        sink = MemorySink(clock)
        show = a_show(clock, {"cam": lambda: ScriptedSource(clock, fps=60)}, [sink], costs_ms={"render": 80})
        await show.run(10)
        stats = show.stats.snapshot()
        ages = [(t - p.t_capture_ns) / 1e6 for t, p in zip(sink.times_ns, sink.packets, strict=True)]
        assert 590 <= stats["frames_in"] <= 600
        assert 120 <= stats["frames_out"] <= 128
        assert (
            max(ages[2:]) < 80 + 2 * 1000 / 60
        )  # after the still picture and the frame that waited for idle life's first
        assert stats["latency_ms"]["p50"] < 80 + 2 * 1000 / 60
        assert stats["dropped"]["newer"] > 450
        return stats["frames_out"], stats["dropped"]

    assert virtual(main()) == virtual(main()), "virtual time is deterministic"


def test_the_tracker_looks_at_the_next_frame_while_one_is_drawn(virtual):
    async def main():
        clock = LoopClock()
        sink = MemorySink(clock)
        show = a_show(
            clock, {"cam": lambda: ScriptedSource(clock, fps=30)}, [sink], costs_ms={"track": 25, "render": 25}
        )
        await show.run(10)
        stats = show.stats.snapshot()
        assert stats["fps_out"] == pytest.approx(30, rel=0.03)  # one after the other would reach 20 only
        assert stats["latency_ms"]["p95"] == pytest.approx(50, abs=1)
        assert sum(stats["dropped"].values()) <= 2

    virtual(main())


def test_stage_times_travel_with_the_picture(virtual):
    async def main():
        clock = LoopClock()
        sink = MemorySink(clock)
        show = a_show(clock, {"cam": lambda: ScriptedSource(clock)}, [sink])
        await show.run(2)
        assert set(sink.packets[-1].stages_ns) == {"track", "retarget", "render"}
        assert set(show.stats.snapshot()["stages"]) == {"track", "retarget", "render"}

    virtual(main())


def test_the_first_picture_does_not_wait_for_source_or_tracker(virtual):
    async def main():
        clock = LoopClock()
        sink = MemorySink(clock)

        class SlowToOpen(ScriptedSource):
            async def open(self):
                await asyncio.sleep(3)
                return await super().open()

        built_at = []

        def make_tracker():
            built_at.append(clock.now_ns() / 1e9)
            return ScriptedTracker()

        show = a_show(clock, {"cam": lambda: SlowToOpen(clock)}, [sink], make_tracker=make_tracker)
        await show.run(5)
        assert sink.times_ns[0] < 0.1e9
        assert len(sink.packets) > 4.9 * 30
        assert built_at and built_at[0] >= 3

    virtual(main())


def test_a_source_of_face_states_needs_no_tracker(virtual):
    async def main():
        clock = LoopClock()

        def no_tracker():
            raise AssertionError("not needed")

        source = ScriptedSource(clock, states=[a_face(0.0), a_face(0.5)])
        show = a_show(clock, {"cam": lambda: source}, make_tracker=no_tracker)
        await show.run(2)
        assert show.state()["face"] in ("calibrating", "tracking")
        assert show.state()["message"] is None
        assert set(show.stats.snapshot()["stages"]) == {"retarget", "render"}

    virtual(main())


def test_without_a_camera_the_character_lives_at_the_output_rate(virtual):
    async def main():
        clock = LoopClock()
        sink = MemorySink(clock)
        show = a_show(clock, {"cam": lambda: ScriptedSource(clock, frames=0)}, [sink], sets=["output.fps=24"])
        await show.run(10)
        assert 10 * 24 - 2 <= len(sink.packets) <= 10 * 24 + 2
        assert show.stats.snapshot()["latency_ms"]["p50"] is None
        assert show.state()["face"] == "waiting"

    virtual(main())


def test_a_lost_face_is_held_then_idles_and_comes_back(virtual):
    async def main():
        clock = LoopClock()
        script = [a_face()] * 60 + [FaceState.lost((64, 48))] * 90 + [a_face()]
        show = a_show(clock, {"cam": lambda: ScriptedSource(clock)}, make_tracker=lambda: ScriptedTracker(script))
        running = asyncio.ensure_future(show.run(10))
        seen = {}
        for t_s in (1.9, 2.3, 4.5, 8.0):
            await clock.sleep_until_ns(round(t_s * 1e9))
            seen[t_s] = show.state()["face"]
        await running
        assert seen == {1.9: "tracking", 2.3: "holding", 4.5: "idle", 8.0: "tracking"}

    virtual(main())


def test_calibration_begins_by_itself_and_on_demand(virtual):
    async def main():
        clock = LoopClock()
        show = a_show(clock, {"cam": lambda: ScriptedSource(clock)})
        running = asyncio.ensure_future(show.run(10))
        await clock.sleep_until_ns(round(0.5e9))
        assert show.state()["face"] == "calibrating"
        await clock.sleep_until_ns(round(4e9))
        assert show.state()["face"] == "tracking"
        show.calibrate()
        await clock.sleep_until_ns(round(4.3e9))
        assert show.state()["face"] == "calibrating"
        await clock.sleep_until_ns(round(8e9))
        assert show.state()["face"] == "tracking"
        await running

    virtual(main())


def test_an_unplugged_camera_is_opened_again_and_the_character_never_freezes(virtual):
    async def main():
        clock = LoopClock()
        sink = MemorySink(clock)
        lost = SourceLost("Camera 0 stopped sending pictures.", "Plug it in again.")
        life = [
            ScriptedSource(clock, error_after=(60, lost)),
            ScriptedSource(clock, open_error=lost),
            ScriptedSource(clock, open_error=lost),
            ScriptedSource(clock),
        ]
        turn = iter(life)
        show = a_show(clock, {"cam": lambda: next(turn)}, [sink])
        running = asyncio.ensure_future(show.run(15))
        await clock.sleep_until_ns(round(3.5e9))
        assert show.state()["source"]["state"] == "lost"
        assert "Plug it in again." in show.state()["message"]
        await clock.sleep_until_ns(round(12e9))
        assert show.state()["source"]["state"] == "open"
        assert show.state()["message"] is None
        assert show.state()["face"] == "tracking"
        await running
        gaps = np.diff(np.array(sink.times_ns)) / 1e6
        assert gaps.max() < 300
        assert life[0].closed and life[3].closed
        assert life[3].opened == 1

    virtual(main())


def test_a_broken_frame_is_a_lost_face_and_not_the_end(virtual):
    async def main():
        clock = LoopClock()
        script = [a_face()] * 30 + [ValueError("bad frame")] * 3 + [a_face()]
        show = a_show(clock, {"cam": lambda: ScriptedSource(clock)}, make_tracker=lambda: ScriptedTracker(script))
        running = asyncio.ensure_future(show.run(4))
        await clock.sleep_until_ns(round(1.08e9))
        assert "bad frame" in show.state()["message"]
        await running
        assert show.state()["message"] is None
        assert adds_up(show, idle=2)  # the still picture and the first idle one

    virtual(main())


def test_a_failing_animator_is_replaced_without_a_gap(virtual):
    async def main():
        clock = LoopClock()
        sink = MemorySink(clock)
        first = CostlyAnimator(fails=lambda n: n > 30)
        show = a_show(clock, {"cam": lambda: ScriptedSource(clock)}, [sink], make_animator=lambda: first)
        await show.run(4)
        assert first.closed
        assert set(sink.greys) == {100}
        assert "drawing with warp" in show.state()["message"]
        assert np.diff(np.array(sink.times_ns)).max() < 0.3e9

    virtual(main())


def test_when_nothing_can_draw_the_picture_is_blank_and_never_the_camera(virtual):
    async def main():
        clock = LoopClock()
        sink = MemorySink(clock)
        show = a_show(
            clock,
            {"cam": lambda: ScriptedSource(clock)},
            [sink],
            make_animator=lambda: CostlyAnimator(fails=lambda n: n > 10),
            make_fallback=lambda: CostlyAnimator(fails=lambda n: True),
        )
        await show.run(4)
        assert sink.greys[-1] == 0
        assert sink.packets[-1].value.rgba.max() == 0
        assert "blank" in show.state()["message"]
        assert not any((packet.value.rgba == CAMERA_COLOUR).any() for packet in sink.packets)

    virtual(main())


def test_only_rendered_pictures_reach_sinks(virtual):
    async def main():
        clock = LoopClock()
        sinks = [MemorySink(clock), MemorySink(clock, edge="lossless")]
        show = a_show(clock, {"cam": lambda: ScriptedSource(clock)}, sinks)
        await show.run(3)
        for sink in sinks:
            assert sink.packets and sink.ended
            assert all(type(packet.value) is Rendered for packet in sink.packets)
            assert [packet.seq for packet in sink.packets] == sorted({packet.seq for packet in sink.packets})

    virtual(main())


def test_a_broken_sink_stops_alone(virtual):
    async def main():
        clock = LoopClock()
        good, bad = MemorySink(clock), MemorySink(clock, fails_at=5, name="recording")
        show = a_show(clock, {"cam": lambda: ScriptedSource(clock)}, [bad, good])
        await show.run(3)
        assert len(good.packets) > 80
        assert bad.taken == 5
        states = {sink["name"]: sink for sink in show.state()["sinks"]}
        assert "the disk is full" in states["recording"]["error"]
        assert states["recording"]["state"] == "stopped"
        assert states["memory"]["error"] is None

    virtual(main())


def test_a_stalled_recorder_loses_its_own_frames_only(virtual):
    async def main():
        clock = LoopClock()
        viewer, disk = MemorySink(clock), MemorySink(clock, edge="lossless", cost_s=1.0, name="disk")
        show = a_show(clock, {"cam": lambda: ScriptedSource(clock)}, [disk, viewer])
        await show.run(20)
        assert viewer.taken > 20 * 29
        assert show.stats.dropped["disk: full"] > 400
        assert show.stats.snapshot()["latency_ms"]["p99"] < 40

    virtual(main())


def test_a_file_that_ends_ends_the_show_and_every_reader_drains(virtual):
    async def main():
        clock = LoopClock()
        sink = MemorySink(clock, edge="lossless")
        show = a_show(clock, {"cam": lambda: ScriptedSource(clock, frames=45, live=False)}, [sink])
        await show.run()
        assert clock.now_ns() / 1e9 == pytest.approx(1.5, abs=0.2)
        assert sink.ended
        assert show.state()["source"]["state"] == "ended"

    virtual(main())


def test_offline_every_frame_is_drawn_exactly_once_at_the_pace_of_the_slowest(virtual):
    async def main():
        clock = LoopClock()
        sink = MemorySink(clock, edge="lossless", cost_s=0.05)
        show = a_show(
            clock,
            {"cam": lambda: ScriptedSource(clock, frames=200, live=False, realtime=False)},
            [sink],
            sets=["source.realtime=false"],
            costs_ms={"track": 10, "render": 20},
        )
        await show.run()
        assert [packet.t_media_ns for packet in sink.packets] == [round(n * 1e9 / 30) for n in range(200)]
        assert show.stats.dropped == {}
        assert show.stats.frames_in == show.stats.frames_out == 200

    virtual(main())


def test_a_chunked_animator_gets_its_window_and_brings_one_picture_for_each_new_drive(virtual):
    async def main():
        clock = LoopClock()
        sink = MemorySink(clock, edge="lossless")
        animator = CostlyAnimator(window=Window(size=8, stride=4))
        show = a_show(clock, {"cam": lambda: ScriptedSource(clock)}, [sink], make_animator=lambda: animator)
        await show.run(10)
        assert set(list(animator.calls)[-20:]) == {8}
        assert len(sink.packets) == pytest.approx(300, abs=20)

    virtual(main())


def test_chunks_are_shown_on_a_fixed_clock_with_number_and_time_of_each_frame(virtual):
    """80 ms for four frames at 25 fps: every frame is shown 40 ms after the one before, 200 ms after its capture."""

    async def main():
        clock = LoopClock()
        sink = MemorySink(clock, edge="lossless")
        show = a_show(
            clock,
            {"cam": lambda: ScriptedSource(clock, fps=25)},
            [sink],
            make_animator=lambda: CostlyAnimator(window=Window(8, 4, 3)),
            costs_ms={"render": 80},
        )
        await show.run(10)
        shown = list(zip(sink.times_ns, sink.packets, strict=True))[40:-4]
        captured = [p.t_capture_ns / 1e6 for _, p in shown]
        assert np.diff(captured) == pytest.approx(40, abs=1e-3), "no frame is lost, doubled or out of order"
        assert np.diff([t / 1e6 for t, _ in shown]) == pytest.approx(40, abs=1e-3)
        assert [t / 1e6 - at for (t, _), at in zip(shown, captured, strict=True)] == pytest.approx(
            [200] * len(shown), abs=1e-3
        )
        assert show.stats.snapshot()["stages"]["hold"]["p50"] == pytest.approx(40, abs=41)

    virtual(main())


def test_a_chunked_animator_that_is_late_goes_on_at_a_lower_rate(virtual):
    async def main():
        clock = LoopClock()
        sink = MemorySink(clock, edge="lossless")
        show = a_show(
            clock,
            {"cam": lambda: ScriptedSource(clock, fps=30)},
            [sink],
            make_animator=lambda: CostlyAnimator(window=Window(8, 4, 3)),
            costs_ms={"render": 250},
        )
        await show.run(20)
        shown = list(zip(sink.times_ns, sink.packets, strict=True))[40:-8]
        gaps_ms = np.diff([t / 1e6 for t, _ in shown])
        assert np.diff([p.t_capture_ns / 1e6 for _, p in shown]).max() < 101, "what came is taken evenly"
        assert gaps_ms.max() < 101 and gaps_ms.min() > 15
        assert max((t - p.t_capture_ns) / 1e6 for t, p in shown) < 600, "it never falls further behind"

    virtual(main())


@pytest.mark.parametrize("chunk", [1, 4])
def test_what_was_drawn_for_the_last_source_is_not_shown_with_the_next(virtual, chunk):
    async def main():
        clock = LoopClock()
        sink = MemorySink(clock, edge="lossless")
        show = a_show(
            clock,
            {"cam": lambda: ScriptedSource(clock), "other": lambda: ScriptedSource(clock)},
            [sink],
            make_animator=lambda: CostlyAnimator(window=Window(2 * chunk, chunk)),
            costs_ms={"render": 60 * chunk},
        )
        running = asyncio.ensure_future(show.run(6))
        await clock.sleep_until_ns(3_010_000_000)
        await show.set_source("other")
        switched_ns = clock.now_ns()
        await running
        late = [
            p
            for t, p in zip(sink.times_ns, sink.packets, strict=True)
            if t > switched_ns and p.t_capture_ns < switched_ns - 500_000_000
        ]
        assert not late
        assert show.stats.dropped["epoch"] > 0

    virtual(main())


def test_the_last_chunk_is_shown_before_the_show_ends(virtual):
    async def main():
        clock = LoopClock()
        sink = MemorySink(clock, edge="lossless")
        source = ScriptedSource(clock, fps=25, frames=40, live=False)
        show = a_show(
            clock,
            {"cam": lambda: source},
            [sink],
            make_animator=lambda: CostlyAnimator(window=Window(8, 4, 3)),
            costs_ms={"render": 80},
        )
        await show.run()
        assert sink.ended
        assert sink.packets[-1].t_media_ns >= round(35 * 1e9 / 25), "but for the rest of a window"

    virtual(main())


def test_a_failing_chunked_animator_leaves_its_window_behind(virtual):
    async def main():
        clock = LoopClock()
        sink = MemorySink(clock)
        broken = CostlyAnimator(window=Window(size=8, stride=4), fails=lambda n: n > 20)
        fallback = CostlyAnimator()
        show = a_show(
            clock,
            {"cam": lambda: ScriptedSource(clock)},
            [sink],
            make_animator=lambda: broken,
            make_fallback=lambda: fallback,
        )
        await show.run(5)
        assert fallback.rendered > 100
        assert fallback.calls[-1] == 1
        gaps_ms = np.diff([t / 1e6 for t in sink.times_ns])[5:]
        assert gaps_ms.max() < 34, "warp takes over within the very chunk that failed"
        assert show.stats.snapshot()["fps_out"] == pytest.approx(30, rel=0.05)

    virtual(main())


@pytest.mark.slow
def test_memory_does_not_grow_over_an_hour(virtual):
    async def main():
        clock = LoopClock()
        show = a_show(
            clock,
            {"cam": lambda: ScriptedSource(clock, fps=1)},
            [MemorySink(clock), MemorySink(clock, edge="lossless")],
            sets=["output.fps=1"],
            characters={"dot": a_character(size_wh=(8, 8))},
        )
        running = asyncio.ensure_future(show.run(3600))
        blocks = []
        for minute in (25, 59):
            await clock.sleep_until_ns(round(minute * 60e9))
            gc.collect()
            blocks.append(sys.getallocatedblocks())
        await running
        assert blocks[1] - blocks[0] < 1000, "2040 frames, and not even half a memory block for each may stay"
        assert show.stats.frames_in >= 3599

    virtual(main())
