"""The virtual camera, through back ends registered with pyvirtualcam (there is no device on a build machine)."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvirtualcam
from pyvirtualcam.camera import BACKENDS

from faceshot.types import Rendered
from live.clock import Clock, LoopClock
from live.edges import Latest, Packet
from live.errors import SinkError
from live.sinks.virtual_camera import VirtualCameraSink
from live.workers import InlineWorker
from tests.virtual_time import run

FPS = 30.0


class WitnessBackend:
    """A back end that remembers; the newest one made is `made`."""

    made: "WitnessBackend"
    name = "witness"
    fails_at: int | None = None

    def __init__(self, *, width: int, height: int, fps: float, fourcc: int, device: str | None) -> None:
        type(self).made = self
        self.shape = (height, width, -1)
        self.fourcc = fourcc
        self.frames: list[np.ndarray] = []
        self.times_s: list[float] = []
        self.closed = 0

    def send(self, frame: np.ndarray) -> None:
        if len(self.frames) == self.fails_at:
            raise RuntimeError("device went away")
        self.frames.append(frame.reshape(self.shape).copy())
        self.times_s.append(asyncio.get_running_loop().time())

    def device(self) -> str:
        return self.name

    def native_fourcc(self) -> None:
        return None

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def register() -> Iterator[Callable[..., None]]:
    """`register(name, **attributes)` makes a witness back end available under `name`."""
    before = dict(BACKENDS)

    def add(name: str, /, **attributes: Any) -> None:
        pyvirtualcam.register_backend(name, type("Backend", (WitnessBackend,), attributes))

    yield add
    BACKENDS.clear()
    BACKENDS.update(before)


def sink_of(clock: Clock, backend: str = "witness", cost_ms: float = 0.0, **options: Any) -> VirtualCameraSink:
    return VirtualCameraSink(clock, backend=backend, worker=InlineWorker("vcam", clock, cost_ms), **options)


def grey(level: int, size_wh: tuple[int, int] = (64, 64)) -> Rendered:
    rgba = np.full((size_wh[1], size_wh[0], 4), level, np.uint8)
    rgba[..., 3] = 255
    return Rendered(rgba)


@asynccontextmanager
async def running(sink: VirtualCameraSink, clock: Clock) -> AsyncIterator[Latest[Rendered]]:
    """The sink at work; ends it in order."""
    frames = Latest[Rendered]("vcam", clock)
    async with asyncio.TaskGroup() as group:
        group.create_task(sink.run(frames, FPS))
        yield frames
        frames.close()


def test_sends_at_its_rate_and_repeats_the_last_picture(register: Callable[..., None]) -> None:
    register("witness")

    async def main() -> VirtualCameraSink:
        clock = LoopClock()
        sink = sink_of(clock)
        async with running(sink, clock) as frames:
            await asyncio.sleep(0.501)
            for i in range(10):  # a renderer at 10 fps
                frames.put_nowait(Packet(i, clock.now_ns(), grey(100 + i)))
                await asyncio.sleep(0.1)
            await asyncio.sleep(1.5)
        return sink

    sink = run(main())
    backend = BACKENDS["witness"].made
    assert len(backend.frames) == pytest.approx(91, abs=1)
    assert np.diff(backend.times_s) == pytest.approx(1 / FPS, abs=1e-6)
    middle = [int(frame[360, 640, 0]) for frame in backend.frames]
    assert middle[:15] == [0] * 15  # nothing yet: the background
    assert sorted(set(middle)) == [0, *range(100, 110)]
    assert middle[-40:] == [109] * 40
    assert sink.sent == len(backend.frames)
    assert sink.repeated == sink.sent - 11
    assert backend.closed == 1


def test_the_size_stays_whatever_the_character(register: Callable[..., None]) -> None:
    register("witness")

    async def main() -> None:
        clock = LoopClock()
        async with running(sink_of(clock, background="#203040"), clock) as frames:
            for i, size_wh in enumerate([(512, 512), (100, 300), (640, 360)]):
                frames.put_nowait(Packet(i, 0, grey(200, size_wh)))
                await asyncio.sleep(0.1)

    run(main())
    frames = BACKENDS["witness"].made.frames
    assert {frame.shape for frame in frames} == {(720, 1280, 3)}
    covered = sorted({int((frame[360, :, 0] == 200).sum()) for frame in frames})
    assert covered == [0, 240, 720, 1280]
    assert frames[0][0, 0].tolist() == [32, 48, 64]


def test_the_background_changes_while_it_runs(register: Callable[..., None]) -> None:
    register("witness")

    async def main() -> None:
        clock = LoopClock()
        sink = sink_of(clock, size_wh=(64, 36))
        async with running(sink, clock) as frames:
            frames.put_nowait(Packet(0, 0, Rendered.blank((8, 8))))
            await asyncio.sleep(0.1)
            sink.set_background((255, 0, 0))
            await asyncio.sleep(0.1)

    run(main())
    frames = BACKENDS["witness"].made.frames
    assert frames[0][0, 0].tolist() == [0, 0, 0]
    assert frames[-1][0, 0].tolist() == [255, 0, 0]


def test_unity_capture_gets_real_alpha(register: Callable[..., None]) -> None:
    register("unitycapture")
    half = Rendered(np.full((64, 64, 4), 128, np.uint8))

    async def main() -> None:
        clock = LoopClock()
        async with running(sink_of(clock, "unitycapture", size_wh=(128, 64)), clock) as frames:
            frames.put_nowait(Packet(0, 0, half))
            await asyncio.sleep(0.1)

    run(main())
    last = BACKENDS["unitycapture"].made.frames[-1]
    assert last.shape == (64, 128, 4)
    assert last[32, 64].tolist() == pytest.approx([128, 128, 128, 128], abs=1)
    assert last[32, 0, 3] == 0


def test_a_slow_device_misses_ticks_but_never_bursts(register: Callable[..., None]) -> None:
    register("witness")

    async def main() -> None:
        clock = LoopClock()
        async with running(sink_of(clock, cost_ms=50), clock):
            await asyncio.sleep(2)

    run(main())
    gaps = np.diff(BACKENDS["witness"].made.times_s)
    assert gaps.min() > 0.049
    assert gaps.max() < 0.101


@pytest.mark.parametrize(
    ("attributes", "says"),
    [({"fails_at": 3}, "device went away"), ({"name": "/dev/video9999"}, "was removed")],
)
def test_a_device_that_breaks_ends_the_sink_with_a_sentence(
    register: Callable[..., None], attributes: dict[str, Any], says: str
) -> None:
    register("witness", **attributes)

    async def main() -> None:
        clock = LoopClock()
        await sink_of(clock, view_url="http://127.0.0.1:9000/view").run(Latest("vcam", clock), FPS)

    with pytest.raises(SinkError, match=says) as broken:
        run(main())
    assert "http://127.0.0.1:9000/view" in broken.value.hint
    assert BACKENDS["witness"].made.closed == 1


def test_cancelling_closes_the_device(register: Callable[..., None]) -> None:
    register("witness")

    async def main() -> None:
        clock = LoopClock()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(sink_of(clock).run(Latest("vcam", clock), FPS))
            await asyncio.sleep(0.5)
            task.cancel()

    run(main())
    assert BACKENDS["witness"].made.closed == 1


def refused(make: Callable[[Clock], VirtualCameraSink]) -> SinkError:
    async def main() -> None:
        clock = LoopClock()
        await make(clock).run(Latest("vcam", clock), FPS)

    with pytest.raises(SinkError) as error:
        run(main())
    return error.value


def test_an_unknown_back_end_lists_those_there_are() -> None:
    error = refused(lambda clock: sink_of(clock, "obz"))
    assert "'obz'" in error.message
    assert "null" in error.hint


@pytest.mark.skipif(
    sys.platform != "linux" or any(Path("/dev").glob("video*")), reason="a Linux machine without video devices"
)
@pytest.mark.parametrize(
    ("device", "says"),
    [(None, "no virtual camera"), ("/dev/video77", "no virtual camera /dev/video77"), ("/dev/null", "not a v4l2")],
)
def test_the_real_back_end_without_a_device_names_the_cure(device: str | None, says: str) -> None:
    error = refused(lambda clock: sink_of(clock, backend="v4l2loopback", device=device))
    assert says in error.message
    assert "sudo modprobe v4l2loopback" in error.hint
    assert "/view" in error.hint


def test_the_null_back_end_runs_in_a_real_thread() -> None:
    async def main() -> VirtualCameraSink:
        clock = LoopClock()
        sink = VirtualCameraSink(clock, backend="null", size_wh=(64, 36))
        frames = Latest[Rendered]("vcam", clock)
        frames.put_nowait(Packet(0, 0, grey(9)))
        frames.close()
        await sink.run(frames, FPS)
        return sink

    sink = asyncio.run(main())
    assert sink.sent >= 1
    assert sink.name == "virtual camera null"
