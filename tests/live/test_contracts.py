"""One contract for every Source, Sink, Animator and Tracker, fakes included: what `live.stages` and
`faceshot.animators` promise on paper."""

import asyncio
import atexit
import importlib
import itertools
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest

from faceshot.animators import Animator, Window
from faceshot.character import bundled_names, open_character, resize
from faceshot.motion_clip import MotionClip
from faceshot.types import CameraImage, Character, Drive, FaceState, HeadMotion, Rendered
from live.build import ANIMATORS, SINKS, SOURCES, build_animator, build_tracker
from live.clock import Clock, LoopClock
from live.config import Config, load_config
from live.edges import Edge, Latest, Lossless, Packet
from live.errors import SinkError, SourceError
from live.sinks.null import NullSink
from live.sinks.recorder import RecorderSink
from live.sinks.virtual_camera import VirtualCameraSink
from live.sources.camera import CameraSource
from live.sources.cameras import CameraInfo
from live.sources.clip import ClipSource
from live.sources.file import FileSource
from live.sources.phone import PhoneInlet, PhoneSource
from live.stages import Sink, Source, Tracker
from live.workers import InlineWorker
from tests import virtual_time
from tests.fakes import CostlyAnimator, MemorySink, ScriptedSource, ScriptedTracker, a_character, a_face
from tests.live.videos import write_video
from tests.tiny_svd import tiny_svd_models

Run = Callable[[Coroutine[Any, Any, Any]], Any]


# Sources


@dataclass(frozen=True)
class SourceCase:
    """How to make a source that gives at least five packets, and one that cannot be opened."""

    kind: type
    make: Callable[[Path, Clock], Source]
    make_bad: Callable[[Path, Clock], Source]
    run: Run = virtual_time.run


class StillCamera:
    """A webcam that always sees the same."""

    def read(self) -> tuple[bool, np.ndarray]:
        return True, np.zeros((48, 64, 3), np.uint8)

    def release(self) -> None:
        pass


def camera(clock: Clock, spec: str) -> CameraSource:
    return CameraSource(
        spec, (64, 48), 30, clock, lambda *_: StillCamera(), lambda: [CameraInfo(0, "still", "/dev/video0")]
    )


def file(path: Path, clock: Clock) -> FileSource:
    return FileSource(path, clock, worker=InlineWorker("decode", clock))


class BusyInlet(PhoneInlet):
    """Somebody drives as soon as the source is open."""

    def attach(self) -> Any:
        edge = super().attach()
        self.driving = asyncio.ensure_future(self._drive(edge))
        return edge

    async def _drive(self, edge: Any) -> None:
        while self._edge is edge:
            self.offer(lambda: np.zeros((480, 640, 3), np.uint8))
            await self._clock.sleep_until_ns(self._clock.now_ns() + 33_000_000)


SOURCE_CASES = [
    SourceCase(
        FileSource,
        lambda folder, clock: file(write_video(folder / "a.mp4", range(7)), clock),
        lambda folder, clock: file(folder / "nothing.mp4", clock),
    ),
    SourceCase(
        ClipSource,
        lambda folder, clock: ClipSource([MotionClip("nod", 25.0, [a_face()] * 3)], clock),
        lambda folder, clock: ClipSource([], clock),
    ),
    SourceCase(
        CameraSource,
        lambda folder, clock: camera(clock, "0"),
        lambda folder, clock: camera(clock, "1"),
        asyncio.run,  # has a thread of its own, so time cannot be virtual
    ),
    SourceCase(
        PhoneSource,
        lambda folder, clock: PhoneSource(BusyInlet(clock), InlineWorker("phone", clock)),
        lambda folder, clock: PhoneSource(None, InlineWorker("phone", clock)),
    ),
    SourceCase(
        ScriptedSource,
        lambda folder, clock: ScriptedSource(clock, live=False),
        lambda folder, clock: ScriptedSource(clock, open_error=SourceError("broken", "mend it")),
    ),
]
sources = pytest.mark.parametrize("case", SOURCE_CASES, ids=lambda case: case.kind.__name__)


@sources
def test_a_source_describes_itself_and_sends_packets_in_order(case: SourceCase, tmp_path: Path) -> None:
    async def main() -> None:
        clock = LoopClock()
        source = case.make(tmp_path, clock)
        info = await source.open()
        assert info.name
        assert 0 < info.fps <= 240
        packets = []
        async for packet in source.packets():
            packets.append(packet)
            if len(packets) == 5:
                break
        await source.close()
        for before, after in itertools.pairwise(packets):
            assert after.seq > before.seq >= 0
            assert after.t_capture_ns >= before.t_capture_ns
            assert after.t_media_ns > before.t_media_ns
        for packet in packets:
            assert packet.t_capture_ns <= clock.now_ns()
            if info.size_wh is None:
                assert isinstance(packet.value, FaceState)
            else:
                assert isinstance(packet.value, CameraImage)
                assert packet.value.size_wh == info.size_wh
            if info.live:
                assert packet.t_media_ns == packet.t_capture_ns

    case.run(main())


@sources
def test_a_source_can_be_closed_at_any_time_and_twice(case: SourceCase, tmp_path: Path) -> None:
    async def main() -> None:
        clock = LoopClock()
        await case.make(tmp_path, clock).close()
        source = case.make(tmp_path, clock)
        await source.open()
        packets = source.packets()
        await anext(packets)
        waiting = asyncio.ensure_future(anext(packets))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        await source.close()
        await source.close()

    case.run(main())


@sources
def test_a_source_that_cannot_be_opened_says_why_and_what_to_do(case: SourceCase, tmp_path: Path) -> None:
    async def main() -> None:
        source = case.make_bad(tmp_path, LoopClock())
        with pytest.raises(SourceError) as refused:
            await source.open()
        assert refused.value.message
        assert refused.value.hint
        await source.close()

    case.run(main())


# Sinks


@dataclass(frozen=True)
class SinkCase:
    """How to make a sink, and one that breaks at the latest with its second picture."""

    kind: type
    make: Callable[[Path, Clock], Sink]
    make_bad: Callable[[Path, Clock], Sink] | None
    name: str = ""


def vcam(clock: Clock, backend: str) -> VirtualCameraSink:
    return VirtualCameraSink(clock, backend=backend, size_wh=(64, 36), worker=InlineWorker("vcam", clock))


def recorder(path: Path, clock: Clock) -> RecorderSink:
    return RecorderSink(path, clock, worker=InlineWorker("recorder", clock))


def doomed(folder: Path, clock: Clock) -> RecorderSink:
    """Its folder goes away before the first picture comes."""
    (folder / "gone").mkdir()
    sink = recorder(folder / "gone" / "a.mp4", clock)
    (folder / "gone").rmdir()
    return sink


SINK_CASES = [
    SinkCase(NullSink, lambda folder, clock: NullSink(), None, "null"),
    SinkCase(NullSink, lambda folder, clock: NullSink("lossless"), None, "null-lossless"),
    SinkCase(RecorderSink, lambda folder, clock: recorder(folder / "a.mp4", clock), doomed, "mp4"),
    SinkCase(RecorderSink, lambda folder, clock: recorder(folder / "a.webm", clock), doomed, "webm"),
    SinkCase(
        VirtualCameraSink,
        lambda folder, clock: vcam(clock, "null"),
        lambda folder, clock: vcam(clock, "no such"),
        "vcam",
    ),
    SinkCase(
        MemorySink,
        lambda folder, clock: MemorySink(clock),
        lambda folder, clock: MemorySink(clock, "lossless", fails_at=1),
        "memory",
    ),
]
sinks = pytest.mark.parametrize("case", SINK_CASES, ids=lambda case: case.name)


def pictures() -> Iterator[Packet[Rendered]]:
    """Of several sizes, a blank one among them, three at a time."""
    rng = np.random.default_rng(1)
    for i in range(12):
        size = (64, 48) if i // 3 % 2 else (40, 80)
        picture = Rendered(rng.integers(0, 256, (size[1], size[0], 4), np.uint8)) if i != 5 else Rendered.blank(size)
        yield Packet(i, round(i * 1e9 / 30), picture)


async def serve(sink: Sink, clock: Clock, shown: list[Packet[Rendered]], end: bool) -> asyncio.Task[None]:
    """Run a sink on an edge of its kind, feed it at 30 fps, close the edge or cancel the sink, and wait for its end."""
    frames: Edge[Rendered] = (Latest if sink.edge == "latest" else Lossless)("sink", clock)
    task = asyncio.ensure_future(sink.run(frames, 30.0))
    for packet in shown:
        await clock.sleep_until_ns(packet.t_capture_ns)
        if not task.done():
            await frames.put(packet)
    await clock.sleep_until_ns(clock.now_ns() + 50_000_000)
    frames.close() if end else task.cancel()
    limit_ns = clock.now_ns() + 1_000_000_000
    await asyncio.wait([task], timeout=1.0)
    assert task.done()
    assert clock.now_ns() <= limit_ns
    return task


@sinks
@pytest.mark.parametrize("count", [0, 1, 12])
@pytest.mark.parametrize("end", [True, False], ids=["closed", "cancelled"])
def test_a_sink_takes_what_comes_and_ends_when_told(case: SinkCase, count: int, end: bool, tmp_path: Path) -> None:
    async def main() -> None:
        clock = LoopClock()
        sink = case.make(tmp_path, clock)
        assert sink.name
        assert sink.edge in ("latest", "lossless")
        shown = list(pictures())[:count]
        before = [packet.value.rgba.copy() for packet in shown]
        task = await serve(sink, clock, shown, end)
        assert task.cancelled() != end
        if end:
            task.result()
        for packet, rgba in zip(shown, before, strict=True):
            assert np.array_equal(packet.value.rgba, rgba), "a picture is shared with other sinks"

    virtual_time.run(main())


@pytest.mark.parametrize("case", [c for c in SINK_CASES if c.make_bad is not None], ids=lambda case: case.name)
def test_a_sink_that_breaks_says_why_and_what_to_do(case: SinkCase, tmp_path: Path) -> None:
    async def main() -> None:
        clock = LoopClock()
        assert case.make_bad is not None
        task = await serve(case.make_bad(tmp_path, clock), clock, list(pictures()), end=True)
        error = task.exception()
        assert isinstance(error, SinkError)
        assert error.message
        assert error.hint

    virtual_time.run(main())


@sinks
def test_a_sink_accepts_nothing_but_rendered_pictures(case: SinkCase) -> None:
    assert get_type_hints(case.kind.run)["frames"] == Edge[Rendered]


# Animators


def bundled() -> Character:
    return resize(open_character(bundled_names()[0]), 192)


@cache
def tiny_models() -> Path:
    """A folder of tiny LivePortrait models that lives as long as the tests."""
    from faceshot.animators.liveportrait.tiny import write_tiny

    folder = Path(tempfile.mkdtemp(prefix="faceshot-tiny-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_tiny(folder)
    return folder


def tiny_svd() -> Animator:
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")
    torch.set_num_threads(1)
    sets = ["animator.svd.live.size=64"]
    return build_animator("svd", load_config(sets=sets, options={"models.folder": tiny_svd_models()}))


def tiny_liveportrait() -> Animator:
    pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")
    return build_animator("liveportrait", load_config(options={"models.folder": tiny_models()}))


ANIMATOR_CASES = [
    pytest.param(lambda: build_animator("warp"), id="warp"),
    pytest.param(tiny_liveportrait, id="liveportrait"),
    pytest.param(tiny_svd, id="svd"),
    pytest.param(CostlyAnimator, id="CostlyAnimator"),
]
animators = pytest.mark.parametrize("make", ANIMATOR_CASES)


def drives(character: Character, count: int) -> list[Drive]:
    """A head that turns, with the expression at rest."""
    still = Drive.neutral(character)
    return [
        Drive(
            still.expression_xy,
            still.points_xy,
            HeadMotion(np.array([0.02 * i, 0.1 * i, 0.05 * i], np.float32)),
            still.lids,
            still.gaze,
            still.blendshapes,
        )
        for i in range(count)
    ]


@animators
def test_an_animator_gives_one_picture_of_the_characters_size_per_new_drive(make: Callable[[], Animator]) -> None:
    animator = make()
    window = Window(*animator.window)
    assert 1 <= window.stride <= window.size
    assert 0 <= window.lookahead < window.size
    assert isinstance(animator.needs_crop, bool)
    for character in (bundled(), a_character(size_wh=(96, 128))):
        before = character.rgba.copy()
        animator.load(character)
        for _ in range(2):
            made = animator.render(drives(character, window.size))
            assert len(made) == window.stride
            for picture in made:
                assert isinstance(picture, Rendered)
                assert picture.size_wh == character.size_wh
                assert not np.shares_memory(picture.rgba, character.rgba)
            animator.reset()
        assert np.array_equal(character.rgba, before)
    animator.close()


@animators
def test_a_picture_that_was_handed_out_is_never_drawn_on_again(make: Callable[[], Animator]) -> None:
    animator, character = make(), bundled()
    animator.load(character)
    first = animator.render(drives(character, animator.window.size))[0]
    kept = first.rgba.copy()
    animator.render(drives(character, 3 * animator.window.size)[-animator.window.size :])
    assert np.array_equal(first.rgba, kept)
    animator.close()


# Trackers

TRACKER_CASES = [
    pytest.param(lambda: build_tracker(Config()), id="auto"),
    pytest.param(lambda: ScriptedTracker([FaceState.lost((64, 48))]), id="ScriptedTracker"),
]


@pytest.mark.parametrize("make", TRACKER_CASES)
def test_a_tracker_answers_for_an_image_without_a_face(make: Callable[[], Tracker]) -> None:
    tracker = make()
    image = CameraImage(np.full((48, 64, 3), 90, np.uint8))
    for t_ms in (0, 33, 66):
        state = tracker.track(image, t_ms)
        assert not state.found
        assert state.size_wh == image.size_wh
    tracker.reset()
    tracker.track(image, 100)
    tracker.close()


# All of them


def test_everything_that_can_be_built_is_held_to_its_contract() -> None:
    def classes(table: dict[str, str]) -> set[type]:
        return {getattr(importlib.import_module(module), name) for module, _, name in map(_split, table.values())}

    assert set(ANIMATORS) <= {case.id for case in ANIMATOR_CASES}
    assert classes(SOURCES) <= {case.kind for case in SOURCE_CASES}
    assert classes(SINKS) <= {case.kind for case in SINK_CASES}


def _split(target: str) -> tuple[str, str, str]:
    return target.partition(":")
