"""The show as a webcam for calls: pyvirtualcam in a thread of its own, free running at a fixed rate."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from faceshot.types import Rendered, UInt8
from live.clock import Clock
from live.edges import Closed, Edge
from live.errors import SinkError
from live.sinks.camera_faults import explain
from live.sinks.canvas import Background, Canvas, parse_background
from live.workers import ThreadWorker, Worker

if TYPE_CHECKING:
    from pyvirtualcam import Camera

__all__ = ["CANVAS_WH", "VirtualCameraSink"]

CANVAS_WH = (1280, 720)
"""Calls expect 16:9 and crop or stretch anything else, so a square character stands in the middle of 720p."""


class VirtualCameraSink:
    """Sends the newest picture at a fixed rate, again and again when no new one comes: programs that watch a virtual
    camera freeze or drop it otherwise. Until the first picture it sends the background.

    The size is fixed while it runs; a character of another size is fitted into it. Most virtual cameras have no alpha:
    `transparent` is black there. `unitycapture` (Windows) carries alpha.

    Args:
        clock: paces the pictures.
        background: see `parse_background`; `set_background` changes it while running.
        size_wh: size of the camera's picture.
        backend: pyvirtualcam's name of it (`v4l2loopback`, `obs`, `unitycapture`), `null` for none at all, or None to
            try all that the system has.
        device: one particular device, such as /dev/video10.
        view_url: named in error messages as the way to go on without a virtual camera.
        worker: where composing and sending run; a thread of its own by default.

    Attributes:
        sent: pictures sent, repeated ones included.
        repeated: how many of these had been sent before.

    Raises:
        ConfigError: the background is no good.
    """

    edge: Literal["latest", "lossless"] = "latest"

    def __init__(
        self,
        clock: Clock,
        background: str = "transparent",
        size_wh: tuple[int, int] = CANVAS_WH,
        backend: str | None = None,
        device: str | None = None,
        view_url: str = "http://127.0.0.1:8765/view",
        worker: Worker | None = None,
    ) -> None:
        self.name = "virtual camera"
        self.sent = 0
        self.repeated = 0
        self._clock = clock
        self._size_wh = size_wh
        self._backend = backend
        self._device = device
        self._view_url = view_url
        self._worker = worker or ThreadWorker("virtual camera")
        self._camera: Camera | None = None
        self._newest: Rendered | None = None
        self._on_air: tuple[Rendered | None, Canvas, UInt8] | None = None
        self._ended = False
        self.set_background(parse_background(background))

    def set_background(self, background: Background) -> None:
        """Change it from the next picture on."""
        self._canvas = Canvas(self._size_wh, background)

    async def run(self, frames: Edge[Rendered], fps: float) -> None:
        try:
            await self._worker.run(self._open, fps)
            broken: SinkError | None = None
            async with asyncio.TaskGroup() as tasks:
                collecting = tasks.create_task(self._collect(frames))
                try:
                    await self._send_all(fps)
                except SinkError as error:  # raised below, or the group would wrap it
                    broken = error
                collecting.cancel()
            if broken is not None:
                raise broken
        finally:
            await self._worker.run(self._close)
            await self._worker.close()

    async def _collect(self, frames: Edge[Rendered]) -> None:
        try:
            while True:
                self._newest = (await frames.get()).value
        except Closed:
            self._ended = True

    async def _send_all(self, fps: float) -> None:
        """One picture per tick of an absolute grid; ticks that were missed are left out, never caught up in a burst."""
        period_ns = 1e9 / fps
        start_ns = self._clock.now_ns()
        tick = 0
        while not self._ended:
            await self._worker.run(self._send, self._newest)
            tick = max(tick + 1, int((self._clock.now_ns() - start_ns) / period_ns))
            await self._clock.sleep_until_ns(start_ns + round(tick * period_ns))

    # Everything below runs in the worker.

    def _open(self, fps: float) -> None:
        try:
            import pyvirtualcam
            from pyvirtualcam.camera import BACKENDS
        except ImportError as error:
            raise SinkError(f"Virtual cameras do not work here: {error}.", "pip install pyvirtualcam") from error
        if self._backend == "null":
            pyvirtualcam.register_backend("null", _NullBackend)
        # Looked up here because pyvirtualcam answers an unknown name with a bare KeyError.
        if self._backend is not None and self._backend not in BACKENDS:
            have = ", ".join(sorted({*BACKENDS, "null"}))
            raise SinkError(f"There is no virtual camera back end {self._backend!r} on this system.", f"Have: {have}.")
        self._alpha = self._backend == "unitycapture"
        pixel_format = pyvirtualcam.PixelFormat.RGBA if self._alpha else pyvirtualcam.PixelFormat.RGB
        try:
            self._camera = pyvirtualcam.Camera(
                *self._size_wh, fps, fmt=pixel_format, device=self._device, backend=self._backend
            )
        except Exception as error:  # back ends raise whatever they like
            raise explain(str(error), self._device, self._view_url, sys.platform) from error
        self.name = f"virtual camera {self._camera.device}"

    def _send(self, newest: Rendered | None) -> None:
        assert self._camera is not None
        canvas = self._canvas
        if self._on_air is None or self._on_air[0] is not newest or self._on_air[1] is not canvas:
            rgba = np.zeros((1, 1, 4), np.uint8) if newest is None else newest.rgba
            picture = canvas.rgba(rgba) if self._alpha else canvas.rgb(rgba)
            self._on_air = (newest, canvas, np.ascontiguousarray(picture))
        else:
            self.repeated += 1
        device = self._camera.device
        # A failed write raises nothing (the driver's message goes to stderr), but a device that is gone can be seen.
        if device.startswith("/dev/") and not os.path.exists(device):
            raise SinkError(f"Virtual camera {device} was removed while it was in use.", self._without())
        try:
            self._camera.send(self._on_air[2])
        except Exception as error:
            raise SinkError(f"Virtual camera {device} stopped working: {error}.", self._without()) from error
        self.sent += 1

    def _without(self) -> str:
        return f"Start again with --sink vcam, or use the browser source in OBS: {self._view_url}"

    def _close(self) -> None:
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()


class _NullBackend:
    """A camera that nobody can see, for dry runs."""

    def __init__(self, **_: Any) -> None:
        pass

    def close(self) -> None:
        pass

    def send(self, frame: UInt8) -> None:
        pass

    def device(self) -> str:
        return "null"

    def native_fourcc(self) -> None:
        return None
