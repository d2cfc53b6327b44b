"""The running session as server and command line use it, in virtual time."""

import asyncio
import json
import threading

import numpy as np
import pytest

from faceshot.errors import FaceshotError
from faceshot.types import FaceState, Rendered
from live.clock import LoopClock
from live.edges import Latest
from live.errors import ConfigError, SinkError, SourceError
from live.workers import ThreadWorker
from tests.fakes import (
    CostlyAnimator,
    MemorySink,
    ScriptedSource,
    ScriptedTracker,
    a_character,
    a_face,
    a_show,
)

CAST = {"dot": a_character("Dot"), "ash": a_character("Ash", grey=60), "wide": a_character("Wide", (96, 64), grey=80)}


async def at(clock, t_s):
    await clock.sleep_until_ns(round(t_s * 1e9))


def cam(clock, **how):
    return {"cam": lambda: ScriptedSource(clock, **how)}


def test_state_is_the_promised_json(virtual):
    async def main():
        clock = LoopClock()
        show = a_show(clock, cam(clock, mirrored=True), [MemorySink(clock)], characters=CAST)
        before = show.state()
        assert before["source"]["state"] == "opening"
        running = asyncio.ensure_future(show.run(3))
        await at(clock, 2.5)
        show.viewers = 2
        state = show.state()
        assert json.loads(json.dumps(state)) == state
        assert set(state) == set(before)
        assert state["character"] == {"spec": "dot", "name": "Dot", "kind": "human"}
        assert [row["spec"] for row in state["characters"]] == list(CAST)
        assert state["source"] == {"spec": "cam", "name": "scripted", "state": "open"}
        assert state["face"] == "tracking"
        assert state["motion"]["mirror"] is True, "a webcam mirrors unless told otherwise"
        assert state["motion"]["gains"]["mouth"] == 1.0
        assert state["output"] == {"mirror": False, "background": "transparent"}
        assert state["sinks"] == [{"name": "memory", "state": "running", "error": None}]
        assert set(state["stats"]) == {"fps_in", "fps_out", "latency_ms", "dropped", "frames_in", "frames_out"}
        assert (state["viewers"], state["message"], state["size_wh"]) == (2, None, [64, 64])
        await running

    virtual(main())


def test_hidden_at_once_everywhere_and_until_told_otherwise(virtual):
    async def main():
        clock = LoopClock()
        viewer, recording = MemorySink(clock), MemorySink(clock, edge="lossless")
        show = a_show(clock, cam(clock), [viewer, recording], costs_ms={"track": 20, "render": 20})
        running = asyncio.ensure_future(show.run(6))
        await at(clock, 2.01)  # in the middle of a frame
        show.set_hidden(True)
        unread = Latest("late viewer", clock)
        show.frames.subscribe(unread)
        assert (await unread.get()).value.rgba.max() == 0
        assert show.state()["hidden"]
        await at(clock, 4.01)
        show.set_hidden(False)
        await running
        for sink in (viewer, recording):
            hidden = [p for p, t in zip(sink.packets, sink.times_ns, strict=True) if 2.01e9 <= t < 4.01e9]
            assert len(hidden) > 50, "blank pictures keep coming"
            assert all(p.value.rgba.max() == 0 for p in hidden)
            assert sink.greys[-1] == 100
        assert unread.depth == 1

    virtual(main())


def test_paused_freezes_the_picture_and_hiding_still_works(virtual):
    async def main():
        clock = LoopClock()
        sink = MemorySink(clock)
        show = a_show(clock, cam(clock), [sink], costs_ms={"render": 20})
        running = asyncio.ensure_future(show.run(6))
        await at(clock, 2.01)
        show.set_paused(True)
        await asyncio.sleep(0)
        frozen = sink.packets[-1].value
        await at(clock, 3)
        assert sink.packets[-1].value is frozen
        show.set_hidden(True)
        await at(clock, 3.5)
        assert sink.packets[-1].value.rgba.max() == 0
        show.set_hidden(False)
        await at(clock, 4)
        assert sink.packets[-1].value is frozen
        show.set_paused(False)
        await running
        assert sink.packets[-1].value is not frozen
        assert show.stats.dropped["paused"] > 50

    virtual(main())


def test_switching_the_character_never_stops_the_pictures_and_drops_old_work(virtual):
    async def main():
        clock = LoopClock()
        sink = MemorySink(clock)
        made = []

        def make_animator():
            made.append(CostlyAnimator())
            return made[-1]

        show = a_show(
            clock,
            cam(clock),
            [sink],
            characters=CAST,
            make_animator=make_animator,
            costs_ms={"load": 500, "track": 20, "render": 20},
        )
        running = asyncio.ensure_future(show.run(8))
        await at(clock, 4)
        await show.set_character("wide")
        switched_ns = clock.now_ns()
        await running
        assert [animator.closed for animator in made] == [True, True]
        assert show.state()["character"]["name"] == "Wide"
        assert show.state()["size_wh"] == [96, 64]
        assert show.config.character.spec == "wide"
        late = [p for p, t in zip(sink.packets, sink.times_ns, strict=True) if t > switched_ns]
        assert {p.value.size_wh for p in late} == {(96, 64)}
        assert show.stats.dropped["epoch"] >= 1
        steady = np.array([t for t in sink.times_ns if t > 2e9])
        assert np.diff(steady).max() < 0.15e9, "the old one is on air while the new one loads"

    virtual(main())


def test_a_character_that_cannot_be_loaded_changes_nothing(virtual):
    async def main():
        clock = LoopClock()
        sink = MemorySink(clock)
        animators = iter([CostlyAnimator(), CostlyAnimator(load_error=FaceshotError("no chin"))])
        show = a_show(clock, cam(clock), [sink], characters=CAST, make_animator=lambda: next(animators))
        running = asyncio.ensure_future(show.run(4))
        await at(clock, 1)
        with pytest.raises(FaceshotError, match="No character nobody"):
            await show.set_character("nobody")
        with pytest.raises(FaceshotError, match="no chin"):
            await show.set_character("ash")
        await running
        assert set(sink.greys) == {100}
        assert show.state()["character"]["spec"] == "dot"

    virtual(main())


def test_a_dropped_picture_goes_on_air_and_stays_at_hand(virtual):
    async def main():
        clock = LoopClock()
        sink = MemorySink(clock)
        show = a_show(clock, cam(clock), [sink])
        running = asyncio.ensure_future(show.run(8))
        await show.set_picture(b"\x28", "../../my cat.png")
        assert show.state()["character"]["spec"] == "my cat.png"
        await show.set_picture(b"\x29", "d\x1bo\nt")
        assert show.state()["character"]["spec"] == "dropped dot", "control characters stay out, and so it may not win"
        await show.set_character("dot")
        assert show.state()["character"]["name"] == "dot"
        await show.set_character("my cat.png")
        await at(clock, 4)
        assert sink.greys[-1] == 0x28
        for n in range(12):
            await show.set_picture(bytes([n + 1]), f"{n}.png")
        rows = [row["spec"] for row in show.state()["characters"]]
        assert "my cat.png" not in rows and "11.png" in rows and len(rows) < 12
        await running

    virtual(main())


def test_switching_the_source_forgets_the_last_performer(virtual):
    async def main():
        clock = LoopClock()
        tracker = ScriptedTracker()
        first = ScriptedSource(clock)
        sources = {
            "cam": lambda: first,
            "clip": lambda: ScriptedSource(clock, states=[a_face()], mirrored=True, name="a clip"),
        }
        show = a_show(clock, sources, make_tracker=lambda: tracker)
        running = asyncio.ensure_future(show.run(8))
        await at(clock, 3)
        assert show.state()["motion"]["mirror"] is False
        await show.set_source("clip")
        assert first.closed
        assert tracker.resets >= 1
        await at(clock, 3.5)
        assert show.state()["face"] == "calibrating"
        assert show.state()["source"]["name"] == "a clip"
        assert show.config.source.spec == "clip"
        assert show.state()["motion"]["mirror"] is True
        await running

    virtual(main())


def test_a_source_that_cannot_be_opened_leaves_the_old_one_on(virtual):
    async def main():
        clock = LoopClock()
        sources = {**cam(clock), "busy": lambda: ScriptedSource(clock, open_error=SourceError("Camera 1 is in use."))}
        show = a_show(clock, sources)
        running = asyncio.ensure_future(show.run(6))
        await at(clock, 2)
        for spec in ("busy", "nonsense"):
            with pytest.raises(SourceError):
                await show.set_source(spec)
        await at(clock, 4)
        assert show.state()["source"] == {"spec": "cam", "name": "scripted", "state": "open"}
        assert show.state()["face"] == "tracking"
        await running

    virtual(main())


def test_choosing_the_same_camera_again_closes_it_first_and_keeps_trying(virtual):
    async def main():
        clock = LoopClock()
        first = ScriptedSource(clock)
        busy = ScriptedSource(clock, open_error=SourceError("Camera 0 is in use."))
        turn = iter([first, busy, ScriptedSource(clock, name="back")])
        show = a_show(clock, {"cam": lambda: next(turn)})
        running = asyncio.ensure_future(show.run(8))
        await at(clock, 2)
        with pytest.raises(SourceError, match="in use"):
            await show.set_source("cam")
        assert first.closed
        assert show.state()["source"]["state"] == "lost"
        await at(clock, 5)
        assert show.state()["source"] == {"spec": "cam", "name": "back", "state": "open"}
        await running

    virtual(main())


def test_auto_falls_back_to_the_demo_and_says_why(virtual):
    async def main():
        clock = LoopClock()
        sources = {
            "0": lambda: ScriptedSource(clock, open_error=SourceError("Camera 0 is in use.")),
            "demo": lambda: ScriptedSource(clock, states=[a_face()]),
        }
        show = a_show(clock, sources, sets=["source.spec=auto"])
        await show.run(3)
        assert show.state()["source"]["spec"] == "demo"
        assert show.state()["message"] == "Camera 0 is in use. Playing the demo instead."
        assert show.stats.frames_in > 50

    virtual(main())


def test_a_camera_that_auto_chose_is_waited_for_and_not_replaced(virtual):
    async def main():
        clock = LoopClock()
        lost = SourceError("unplugged")
        turn = iter(
            [
                ScriptedSource(clock, error_after=(30, lost)),
                ScriptedSource(clock, open_error=lost),
                ScriptedSource(clock),
            ]
        )
        show = a_show(clock, {"0": lambda: next(turn), "demo": pytest.fail}, sets=["source.spec=auto"])
        await show.run(8)
        assert show.state()["source"] == {"spec": "0", "name": "scripted", "state": "open"}

    virtual(main())


@pytest.mark.parametrize("sets", [["source.spec=gone"], ["character.spec=gone"]])
def test_what_was_asked_for_at_the_start_must_be_there(virtual, sets):
    async def main():
        clock = LoopClock()
        show = a_show(clock, cam(clock), sets=sets)
        with pytest.raises(FaceshotError, match="gone"):
            await show.run(5)
        assert clock.now_ns() < 1e9

    virtual(main())


def test_settings_change_in_mid_show_and_bad_ones_change_nothing(virtual):
    async def main():
        clock = LoopClock()
        sink = MemorySink(clock)
        show = a_show(clock, cam(clock, mirrored=True), [sink])
        running = asyncio.ensure_future(show.run(4))
        await at(clock, 1)
        await show.update({"motion.gains.head": 0.5, "motion.mirror": False, "output.mirror": True})
        assert show.state()["motion"]["gains"]["head"] == 0.5
        assert show.state()["motion"]["mirror"] is False
        await at(clock, 1.1)
        assert show._puppet.troupe.settings.head == 0.5
        for wrong in ({"motion.gains.head": 9, "motion.smoothing": 0}, {"server.port": 1}, {"motion.smooting": 1}):
            with pytest.raises(ConfigError):
                await show.update(wrong)
        assert show.config.motion.smoothing == 0.5
        await running

    virtual(main())


def test_mirror_out_flips_what_goes_on_air(virtual):
    async def main():
        clock = LoopClock()
        sink = MemorySink(clock)
        who = a_character()
        who.rgba[:, :32, 1] = 10
        show = a_show(clock, cam(clock), [sink], sets=["output.mirror=true"], characters={"dot": who})
        running = asyncio.ensure_future(show.run(4))
        await at(clock, 2)
        assert all(p.value.rgba[0, 0, 1] == 100 and p.value.rgba[0, -1, 1] == 10 for p in sink.packets)
        assert sink.packets[-1].value.rgba.flags["C_CONTIGUOUS"]
        await show.update({"output.mirror": False})
        await running
        assert sink.packets[-1].value.rgba[0, 0, 1] == 10

    virtual(main())


def test_a_new_background_reaches_the_sinks_that_need_one(virtual):
    class Opaque(MemorySink):
        background = None

        def set_background(self, background):
            self.background = background

    async def main():
        clock = LoopClock()
        sink = Opaque(clock)
        show = a_show(clock, cam(clock), [sink, MemorySink(clock)])
        await show.update({"output.background": "#00ff00"})
        assert sink.background == (0, 255, 0)
        with pytest.raises(ConfigError):
            await show.update({"output.background": "nonsense"})
        assert show.config.output.background == "#00ff00"

    virtual(main())


def test_a_sink_that_cannot_open_is_told_and_the_show_goes_on(virtual):
    class Closed(MemorySink):
        async def run(self, frames, fps):
            raise SinkError("No virtual camera.", "sudo modprobe v4l2loopback")

    async def main():
        clock = LoopClock()
        show = a_show(clock, cam(clock), [Closed(clock, name="virtual camera")])
        await show.run(2)
        assert "modprobe" in show.state()["sinks"][0]["error"]
        assert show.stats.frames_out > 50
        assert type(show.frames.newest.value) is Rendered

    virtual(main())


def test_an_animator_that_cannot_load_gives_way_to_warp_with_a_message(virtual):
    async def main():
        clock = LoopClock()
        show = a_show(
            clock,
            {"cam": lambda: ScriptedSource(clock, frames=5)},
            sets=["animator.kind=liveportrait"],
            make_animator=lambda: CostlyAnimator(load_error=FaceshotError("W.pth is damaged.", "Pull it again.")),
        )
        await show.run(0.5)
        return show

    show = virtual(main())
    assert show.stats.snapshot()["frames_out"] > 0
    message = show.state()["message"]
    assert "liveportrait cannot be used, drawing with warp instead" in message
    assert "Pull it again" in message


def test_a_step_of_the_calibration_without_a_face_gives_up_and_says_so(virtual):
    async def main():
        clock = LoopClock()
        show = a_show(clock, cam(clock), make_tracker=lambda: ScriptedTracker([FaceState.lost((64, 48))]))
        with pytest.raises(FaceshotError, match="not begun"):
            await show.measure_range("eyes-shut")
        running = asyncio.ensure_future(show.run())
        await at(clock, 1)
        with pytest.raises(FaceshotError, match="No face was seen long enough within 6 seconds"):
            await show.measure_range("eyes-shut")
        assert show.config.motion.range.left_shut == 0.0
        show.stop()
        await running

    virtual(main())


def test_animators_load_one_after_the_other_though_pictures_are_dropped_at_once():
    """CUDA graphs are recorded while an animator loads, and PyTorch records one at a time. With real threads; one who
    gives up waiting does not end the load in hand."""
    first_loads, second_asked, second_loads = threading.Event(), threading.Event(), threading.Event()
    loading, together = [], []

    class Recording(CostlyAnimator):
        def load(self, character):
            loading.append(character.name)
            together.append(len(loading))
            if character.name == "a.png":
                first_loads.set()
                assert second_asked.wait(10)
                second_loads.wait(0.2)
                together.append(len(loading))
            elif character.name == "b.png":
                second_loads.set()
            super().load(character)
            loading.remove(character.name)

    async def main():
        clock = LoopClock()
        show = a_show(clock, cam(clock), make_animator=Recording)
        show._load_worker = ThreadWorker("load")
        running = asyncio.ensure_future(show.run(60))
        await show._on_stage()
        given_up = asyncio.ensure_future(show.set_picture(b"\x28", "a.png"))
        await asyncio.to_thread(first_loads.wait, 10)
        given_up.cancel()
        await asyncio.wait([given_up])
        others = [asyncio.ensure_future(show.set_picture(b"\x29", name)) for name in ("b.png", "c.png")]
        await asyncio.sleep(0)  # both have asked now
        second_asked.set()
        await asyncio.gather(*others)
        assert show.state()["character"]["name"] == "c.png"
        show.stop()
        await running

    asyncio.run(main())
    assert together == [1] * 5
