"""Facts about this machine, asked one at a time. `live.doctor` judges them; tests hand it a made-up machine instead.

Nothing here raises for an ordinary lack (no camera, no module): the answer then is empty or None.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from live.devices import CameraFact, camera_facts

__all__ = ["Machine", "TrackerFact", "has_desktop", "this_machine"]


@dataclass(frozen=True)
class TrackerFact:
    """A tracker that was started and run once.

    Attributes:
        name: which model generation runs.
        complete: whether it gives blendshapes and head pose, not only points.
        start_s: seconds until it was ready.
        frame_ms: median time of a frame without a face.
    """

    name: str
    complete: bool
    start_s: float
    frame_ms: float


@dataclass(frozen=True)
class Machine:
    """Every question that `doctor` asks, as a plain function."""

    python: tuple[int, int, int]
    system: str
    release: str
    has_desktop: bool
    version_of: Callable[[str], str | None]
    cameras: Callable[[], Sequence[CameraFact]]
    tracker: Callable[[], TrackerFact]
    virtual_camera_installed: Callable[[], bool]
    can_listen: Callable[[str, int], bool]
    answers: Callable[[int], bool]
    udp_taken: Callable[[int], bool]
    is_faceshot: Callable[[str, int], bool]
    writable: Callable[[Path], bool]
    encoder: Callable[[str], bool]
    program: Callable[[str], str | None]
    cuda: Callable[[], str | None]


def this_machine(models_folder: Path | None = None) -> Machine:
    """The machine we run on."""
    return Machine(
        python=(sys.version_info.major, sys.version_info.minor, sys.version_info.micro),
        system=platform.system(),
        release=platform.release(),
        has_desktop=has_desktop(),
        version_of=_version_of,
        cameras=camera_facts,
        tracker=lambda: _tracker(models_folder),
        virtual_camera_installed=_virtual_camera_installed,
        can_listen=_can_listen,
        answers=_answers,
        udp_taken=_udp_taken,
        is_faceshot=_is_faceshot,
        writable=_writable,
        encoder=_encoder,
        program=shutil.which,
        cuda=_cuda,
    )


def has_desktop() -> bool:
    """Whether opening a browser window makes sense."""
    if platform.system() in ("Windows", "Darwin"):
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _version_of(distribution: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _tracker(folder: Path | None) -> TrackerFact:
    import statistics

    import numpy as np

    from faceshot.tracker import LandmarkerTracker, make_tracker
    from faceshot.types import CameraImage
    from live.clock import MonotonicClock, ms

    clock = MonotonicClock()
    start_ns = clock.now_ns()
    tracker = make_tracker("auto", folder)
    try:
        image = CameraImage(np.full((480, 640, 3), 127, np.uint8))
        tracker.track(image, 1)
        ready_ns = clock.now_ns()
        times_ms = []
        for i in range(5):
            before_ns = clock.now_ns()
            tracker.track(image, 34 + i * 33)
            times_ms.append(ms(clock.now_ns() - before_ns))
        complete = isinstance(tracker, LandmarkerTracker)
        return TrackerFact(tracker.name, complete, ms(ready_ns - start_ns) / 1e3, statistics.median(times_ms))
    finally:
        tracker.close()


def _virtual_camera_installed() -> bool:
    """Whether the system has the driver of a virtual camera at all, loaded or not."""
    system = platform.system()
    if system == "Linux":
        modules = Path("/lib/modules") / platform.release()
        return Path("/sys/module/v4l2loopback").exists() or any(modules.glob("**/v4l2loopback.ko*"))
    if system == "Darwin":
        return any(Path("/Library/SystemExtensions").glob("*/com.obsproject.obs-studio.mac-camera-extension*"))
    return _windows_obs_camera()


def _windows_obs_camera() -> bool:
    try:
        import winreg  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return False
    try:
        key = r"CLSID\{A3FCE0F5-3493-419F-958A-ABA1250EC20B}"
        winreg.CloseKey(winreg.OpenKey(winreg.HKEY_CLASSES_ROOT, key))  # type: ignore[attr-defined,unused-ignore]
    except OSError:
        return False
    return True


def _can_listen(host: str, port: int) -> bool:
    with socket.socket() as probe:
        if platform.system() != "Windows":  # as uvicorn does: a port in TIME_WAIT is free
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _udp_taken(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _is_faceshot(host: str, port: int) -> bool:
    """Whether a running faceshot answers there."""
    import json
    import urllib.request

    try:
        with urllib.request.urlopen(f"http://{host}:{port}/api/state", timeout=1.0) as answer:
            return "character" in json.load(answer)
    except (OSError, ValueError):
        return False


def _writable(folder: Path) -> bool:
    """Whether files can be made in `folder`, which is created if need be."""
    import tempfile

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _encoder(name: str) -> bool:
    import av

    try:
        av.Codec(name, "w")
    except (av.FFmpegError, ValueError):
        return False
    return True


def _cuda() -> str | None:
    """Name of the GPU that torch can use."""
    import torch

    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else None
