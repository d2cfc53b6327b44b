"""A webcam as a source, through OpenCV, in a thread of its own that keeps only the newest picture."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol, cast

import numpy as np

from faceshot.types import CameraImage, UInt8
from live.clock import Clock
from live.edges import Closed, Latest, Packet
from live.errors import SourceError, SourceLost
from live.sources.cameras import CameraInfo, choose_camera, list_cameras
from live.stages import SourceInfo

__all__ = ["CameraInfo", "CameraSource", "Capture", "list_cameras", "open_opencv"]

_FIRST_PICTURE_S = 5.0
_PATIENCE_S = 1.0
_SILENCE_S = 5.0
_RETRY_S = 0.02
_JOIN_S = 2.0


class Capture(Protocol):
    """What is used of `cv2.VideoCapture`: BGR pictures, one per `read`."""

    def read(self) -> tuple[bool, UInt8 | None]:
        """Wait for the next picture; (False, None) when there is none."""

    def release(self) -> None:
        """Close the device."""


class CameraSource:
    """Pictures of a webcam, mirrored motion by default.

    The thread opens the device, reads it and closes it, so a driver that hangs never stops the show; every picture is
    stamped when `read` returns, and an unread older one is replaced.

    Args:
        spec: index, name (or a part of it), or device path.
        size_wh: size in pixels asked for; the camera may choose another.
        fps: frame rate in Hz asked for.
        clock: stamps the pictures.
        open_capture: opens the chosen camera; None when that fails.
        cameras: lists the cameras.
    """

    def __init__(
        self,
        spec: str,
        size_wh: tuple[int, int],
        fps: float,
        clock: Clock,
        open_capture: Callable[[CameraInfo, tuple[int, int], float], Capture | None] | None = None,
        cameras: Callable[[], list[CameraInfo]] = list_cameras,
    ) -> None:
        self._spec = spec
        self._size_wh = size_wh
        self._fps = fps
        self._clock = clock
        self._open_capture = open_capture or open_opencv
        self._cameras = cameras
        self._newest: Latest[CameraImage] = Latest("camera", clock)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lost: SourceLost | None = None
        self._name = spec

    async def open(self) -> SourceInfo:
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[tuple[CameraInfo, tuple[int, int]]] = loop.create_future()
        self._thread = threading.Thread(target=self._serve, args=(loop, opened), name="camera", daemon=True)
        self._thread.start()
        camera, size_wh = await opened
        return SourceInfo(f"webcam {camera.index}: {camera.name}", self._fps, size_wh, live=True, mirrored=True)

    async def packets(self) -> AsyncIterator[Packet[CameraImage]]:
        """Raises `SourceLost` when pictures stop coming."""
        while True:
            try:
                async with asyncio.timeout(_SILENCE_S):
                    packet = await self._newest.get()
            except TimeoutError:
                raise SourceLost(f"Camera {self._name} has sent no picture for {_SILENCE_S:g} s.", _REPLUG) from None
            except Closed:
                if self._lost is not None:
                    raise self._lost from None
                return
            yield packet

    async def close(self) -> None:
        self._stop.set()
        self._newest.close()
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.join, _JOIN_S)

    # Everything below runs in the camera's thread.

    def _serve(
        self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[tuple[CameraInfo, tuple[int, int]]]
    ) -> None:
        capture: Capture | None = None
        try:
            camera = choose_camera(self._spec, self._cameras())
            self._name = str(camera)
            capture = self._open_capture(camera, self._size_wh, self._fps)
            if capture is None:
                raise why_not(camera)
            first = self._first_picture(capture, camera)
            _call(loop, _settle, opened, (camera, (first.shape[1], first.shape[0])))
            self._read(loop, capture)
        except SourceLost as lost:
            _call(loop, self._fail, lost)
        except Exception as error:
            _call(loop, _reject, opened, error)
        finally:
            if capture is not None:
                capture.release()

    def _first_picture(self, capture: Capture, camera: CameraInfo) -> UInt8:
        """Many cameras need some reads to wake up; one that is used by another program opens and then stays silent."""
        deadline_ns = self._clock.now_ns() + round(_FIRST_PICTURE_S * 1e9)
        while not self._stop.is_set():
            good, bgr = capture.read()
            if good and bgr is not None:
                return bgr
            if self._clock.now_ns() >= deadline_ns:
                break
            self._stop.wait(_RETRY_S)
        raise SourceError(
            f"Camera {camera} opens but sends no picture; it is probably in use by another program.",
            "Close the other program (a call, a browser tab, OBS), or choose another: faceshot devices",
        )

    def _read(self, loop: asyncio.AbstractEventLoop, capture: Capture) -> None:
        seq = 0
        last_good_ns = self._clock.now_ns()
        while not self._stop.is_set():
            good, bgr = capture.read()
            now_ns = self._clock.now_ns()
            if good and bgr is not None:
                rgb = _bgr_to_rgb(bgr)
                _call(loop, self._newest.put_nowait, Packet(seq, now_ns, CameraImage(rgb), t_media_ns=now_ns))
                seq += 1
                last_good_ns = now_ns
            elif now_ns - last_good_ns >= _PATIENCE_S * 1e9:
                raise SourceLost(f"Camera {self._name} stopped sending pictures; was it unplugged?", _REPLUG)
            else:
                self._stop.wait(_RETRY_S)

    # Back on the loop.

    def _fail(self, lost: SourceLost) -> None:
        self._lost = lost
        self._newest.close()


_REPLUG = "Plug it in again; the show idles until then."


def open_opencv(camera: CameraInfo, size_wh: tuple[int, int], fps: float) -> Capture | None:
    """Open `camera` with OpenCV's native back end; None when it cannot be opened. Pictures may have another size."""
    import cv2

    backends = {"linux": [cv2.CAP_V4L2], "darwin": [cv2.CAP_AVFOUNDATION], "win32": [cv2.CAP_DSHOW, cv2.CAP_MSMF]}
    level = cv2.getLogLevel()
    cv2.setLogLevel(0)  # its own warnings would stand above our one line
    try:
        for backend in backends.get(sys.platform, [cv2.CAP_ANY]):
            capture = cv2.VideoCapture(camera.index, backend)
            if not capture.isOpened():
                capture.release()
                continue
            # Uncompressed pictures above VGA do not fit through USB 2 at 30 fps.
            if size_wh[0] * size_wh[1] > 640 * 480:
                capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, size_wh[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size_wh[1])
            capture.set(cv2.CAP_PROP_FPS, fps)
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
            return cast(Capture, capture)
        return None
    finally:
        cv2.setLogLevel(level)


def why_not(camera: CameraInfo, system: str = sys.platform) -> SourceError:
    """The likely reason why `camera` cannot be opened, with its cure."""
    if system == "darwin":
        return SourceError(
            f"Camera {camera} cannot be opened: this terminal may lack the permission, or the camera is in use.",
            "Allow it in System Settings → Privacy & Security → Camera, then start the terminal again.",
        )
    if system.startswith("linux") and camera.path:
        try:
            os.close(os.open(Path(camera.path), os.O_RDWR | os.O_NONBLOCK))
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EPERM):
                return SourceError(
                    f"Camera {camera} may not be used by this user.",
                    "Join the group: sudo usermod -aG video $USER, then log out and in again.",
                )
            if error.errno != errno.EBUSY:
                return SourceError(f"Camera {camera} is gone: {error.strerror}.", "See: faceshot devices")
    return SourceError(
        f"Camera {camera} cannot be opened; it is probably in use by another program.",
        "Close the other program (a call, a browser tab, OBS), or choose another: faceshot devices",
    )


def _bgr_to_rgb(bgr: UInt8) -> UInt8:
    import cv2

    if bgr.ndim == 2 or bgr.shape[2] == 1:  # infrared and microscope cameras
        return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_GRAY2RGB), np.uint8)
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[..., object], *args: object) -> None:
    try:
        loop.call_soon_threadsafe(function, *args)
    except RuntimeError:
        pass  # the loop has ended before the thread


def _settle(future: asyncio.Future[tuple[CameraInfo, tuple[int, int]]], value: object) -> None:
    if not future.done():
        future.set_result(value)  # type: ignore[arg-type]


def _reject(future: asyncio.Future[tuple[CameraInfo, tuple[int, int]]], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
