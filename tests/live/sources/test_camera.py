"""The webcam source on a scripted camera: real threads, no sleeps."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faceshot.types import UInt8
from live.clock import LoopClock
from live.errors import SourceError, SourceLost
from live.sources.camera import CameraSource, why_not
from live.sources.cameras import CameraInfo

WEBCAM = CameraInfo(0, "HD Webcam", "/dev/video0")
RED_BGR = np.zeros((48, 64, 3), np.uint8)
RED_BGR[..., 2] = 255


class SteppingClock:
    """Time passes by 100 ms each time somebody looks."""

    def __init__(self) -> None:
        self._t_ns = 0

    def now_ns(self) -> int:
        self._t_ns += 100_000_000
        return self._t_ns

    async def sleep_until_ns(self, t_ns: int) -> None:
        raise AssertionError("a camera never waits on the clock")


class ScriptedCapture:
    """A camera that plays `script`: a picture, None for a failed read; then it repeats its last entry.

    With `gate`, every read after the first waits for a permit.
    """

    def __init__(self, script: list[UInt8 | None], gate: threading.Semaphore | None = None) -> None:
        self.script = script
        self.gate = gate
        self.reads = 0
        self.begun = 0
        self.asked = threading.Condition()
        self.released = threading.Event()
        self.thread: str | None = None

    def read(self) -> tuple[bool, UInt8 | None]:
        with self.asked:
            self.begun += 1
            self.asked.notify_all()
        if self.gate is not None and self.reads:
            self.gate.acquire(timeout=5)
        picture = self.script[min(self.reads, len(self.script) - 1)]
        self.reads += 1
        self.thread = threading.current_thread().name
        return picture is not None, picture

    def wait_for_reads(self, count: int) -> None:
        """Return when `count` pictures were read and handed over, and the next one is asked for."""
        with self.asked:
            assert self.asked.wait_for(lambda: self.begun > count, timeout=5)

    def release(self) -> None:
        self.released.set()


def source(capture: ScriptedCapture | None, clock: Any = None, spec: str = "0") -> CameraSource:
    return CameraSource(
        spec, (640, 480), 30, clock or LoopClock(), open_capture=lambda *_: capture, cameras=lambda: [WEBCAM]
    )


def go(main: Callable[[], Any]) -> Any:
    return asyncio.run(main())


def grey(level: int) -> UInt8:
    return np.full((48, 64, 3), level, np.uint8)


def test_pictures_are_rgb_and_the_source_says_what_it_is() -> None:
    capture = ScriptedCapture([RED_BGR])

    async def main() -> None:
        camera = source(capture)
        info = await camera.open()
        assert (info.name, info.size_wh, info.live, info.mirrored) == ("webcam 0: HD Webcam", (64, 48), True, True)
        async for packet in camera.packets():
            assert packet.value.rgb[0, 0].tolist() == [255, 0, 0]
            assert packet.t_media_ns == packet.t_capture_ns
            break
        await camera.close()
        await camera.close()

    go(main)
    assert capture.released.is_set()
    assert capture.thread == "camera"


def test_a_slow_reader_gets_the_newest_picture() -> None:
    gate = threading.Semaphore(0)
    capture = ScriptedCapture([grey(level) for level in range(10)], gate)

    async def main() -> None:
        camera = source(capture)
        await camera.open()
        packets = camera.packets()
        gate.release()
        first = await anext(packets)
        gate.release(5)
        await asyncio.to_thread(capture.wait_for_reads, 7)
        later = await anext(packets)
        assert later.seq - first.seq >= 5
        assert int(later.value.rgb[0, 0, 0]) == later.seq + 1  # the very first picture only tells the size
        gate.release(100)
        await camera.close()

    go(main)


def test_an_infrared_camera_becomes_rgb() -> None:
    capture = ScriptedCapture([np.full((48, 64), 70, np.uint8)])

    async def main() -> None:
        camera = source(capture)
        await camera.open()
        packet = await anext(camera.packets())
        assert packet.value.rgb.shape == (48, 64, 3)
        await camera.close()

    go(main)


def test_some_failed_reads_are_forgiven() -> None:
    capture = ScriptedCapture([None, None, grey(1), grey(2), None, None, grey(3)])

    async def main() -> None:
        camera = source(capture)
        await camera.open()
        async for packet in camera.packets():
            if packet.value.rgb[0, 0, 0] == 3:
                break
        await camera.close()

    go(main)


def test_unplugged_in_mid_show_is_lost_after_a_second() -> None:
    capture = ScriptedCapture([grey(1), grey(2), None])

    async def main() -> None:
        camera = source(capture, SteppingClock())
        await camera.open()
        with pytest.raises(SourceLost, match="unplugged") as lost:
            async for _ in camera.packets():
                pass
        assert "HD Webcam" in lost.value.message
        assert "again" in lost.value.hint
        await camera.close()

    go(main)
    assert capture.released.is_set()
    assert 10 <= capture.reads < 30


def test_a_camera_in_use_opens_but_sends_nothing() -> None:
    capture = ScriptedCapture([None])

    async def main() -> None:
        camera = source(capture, SteppingClock())
        with pytest.raises(SourceError, match="in use") as refused:
            await camera.open()
        assert "Close the other program" in refused.value.hint
        await camera.close()

    go(main)
    assert capture.released.is_set()


@pytest.mark.parametrize(("spec", "says"), [("0", "HD Webcam"), ("3", "no camera '3'")])
def test_what_cannot_be_opened_is_explained(spec: str, says: str) -> None:
    async def main() -> None:
        camera = source(None, spec=spec)
        with pytest.raises(SourceError, match=says):
            await camera.open()
        await camera.close()

    go(main)


def test_an_end_while_reading_ends_the_packets() -> None:
    capture = ScriptedCapture([grey(1)])

    async def main() -> None:
        camera = source(capture)
        await camera.open()
        packets = camera.packets()
        await anext(packets)
        await camera.close()
        async for _ in packets:
            pass

    go(main)


def test_reasons(tmp_path: Path) -> None:
    there = tmp_path / "video0"
    there.write_bytes(b"")
    assert "in use" in str(why_not(CameraInfo(0, "Cam", str(there)), "linux"))
    assert "gone" in str(why_not(CameraInfo(0, "Cam", str(tmp_path / "video1")), "linux"))
    assert "Privacy" in str(why_not(CameraInfo(0, "Cam", ""), "darwin"))
    assert "in use" in str(why_not(CameraInfo(0, "Cam", ""), "win32"))


def test_no_permission_names_the_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", refuse)  # a test may run as root, to whom nothing is forbidden
    assert "usermod -aG video" in why_not(WEBCAM, "linux").hint
