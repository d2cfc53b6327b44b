"""Which cameras there are, found without opening them where the system allows it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from live.errors import SourceError

__all__ = ["OWN_LABEL", "CameraInfo", "choose_camera", "list_cameras"]

OWN_LABEL = "faceshot-live"
"""Name of the virtual camera that our own `modprobe` line makes; taking it as input would feed the show to itself."""

_PROBED_INDICES = range(4)
# <linux/videodev2.h>: struct v4l2_capability is 104 bytes, VIDIOC_QUERYCAP is _IOR('V', 0, struct v4l2_capability).
_QUERYCAP = 0x80685600
_CAPTURE = 0x00000001 | 0x00001000  # single- and multi-planar
_HAS_DEVICE_CAPS = 0x80000000


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A camera.

    Attributes:
        index: what `--source 0` means; on Linux the number in /dev/videoN.
        name: shown to the user; "camera N" where the system does not tell.
        path: /dev/videoN on Linux, empty elsewhere.
    """

    index: int
    name: str
    path: str

    @property
    def is_own_output(self) -> bool:
        return self.name.startswith(OWN_LABEL)

    def __str__(self) -> str:
        return f"{self.index}: {self.name}" + (f" ({self.path})" if self.path else "")


def list_cameras(
    system: str = sys.platform,
    sys_root: Path = Path("/sys/class/video4linux"),
    dev_root: Path = Path("/dev"),
    can_capture: Callable[[Path], bool | None] | None = None,
    works: Callable[[int], bool] | None = None,
) -> list[CameraInfo]:
    """All cameras, our own virtual one included (see `CameraInfo.is_own_output`). Blocks; call it in a worker.

    Linux reads names from sysfs and asks each device whether it captures. Elsewhere OpenCV is the only way and does
    not tell names: the first indices are opened one after the other, which takes about a second.

    Args:
        system: as `sys.platform`.
        sys_root: where Linux describes its video devices.
        dev_root: where they are.
        can_capture: asks a Linux device; None as an answer means that it may not be opened.
        works: tries an index elsewhere.
    """
    if system.startswith("linux"):
        return _list_linux(sys_root, dev_root, can_capture or _can_capture)
    probe = works or _opens
    return [CameraInfo(i, f"camera {i}", "") for i in _PROBED_INDICES if probe(i)]


def choose_camera(spec: str, cameras: list[CameraInfo]) -> CameraInfo:
    """The camera that `spec` (index, name or part of it, or device path) means.

    Raises:
        SourceError: none, several, or our own output; lists the cameras.
    """
    spec = spec.strip()
    if spec.isdecimal():
        found = [camera for camera in cameras if camera.index == int(spec)]
    elif spec.startswith("/dev/"):
        real = Path(spec).resolve()
        found = [camera for camera in cameras if camera.path and Path(camera.path).resolve() == real]
    else:
        exact = [camera for camera in cameras if camera.name.lower() == spec.lower()]
        found = exact or [camera for camera in cameras if spec.lower() in camera.name.lower()]
    if not found:
        raise SourceError(f"There is no camera {spec!r}.", _what_there_is(cameras))
    if len(found) > 1:
        raise SourceError(
            f"{spec!r} fits {len(found)} cameras: {', '.join(map(str, found))}.", "Give the index: --source INDEX"
        )
    if found[0].is_own_output:
        others = [camera for camera in cameras if not camera.is_own_output]
        raise SourceError(
            f"Camera {found[0]} is this program's own output; it would watch itself.", _what_there_is(others)
        )
    return found[0]


def _what_there_is(cameras: list[CameraInfo]) -> str:
    usable = [str(camera) for camera in cameras if not camera.is_own_output]
    if usable:
        return f"Cameras found: {', '.join(usable)}. Choose with --source INDEX."
    return "No camera was found: plug one in, or go on without: --source demo, or a video file."


def _list_linux(sys_root: Path, dev_root: Path, can_capture: Callable[[Path], bool | None]) -> list[CameraInfo]:
    cameras = []
    for folder in sys_root.glob("video*") if sys_root.is_dir() else ():
        match = re.fullmatch(r"video(\d+)", folder.name)
        if match is None:
            continue
        device = dev_root / folder.name
        captures = can_capture(device)
        if captures is None:  # no permission: a webcam's first node captures, the second carries metadata
            captures = _read(folder / "index") in ("", "0")
        name = _read(folder / "name") or folder.name
        # A loopback device with exclusive_caps captures only while somebody writes; ours is listed to be recognised.
        if captures or name.startswith(OWN_LABEL):
            cameras.append(CameraInfo(int(match[1]), name, str(device)))
    return sorted(cameras, key=lambda camera: camera.index)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _can_capture(device: Path) -> bool | None:
    """Whether a V4L2 device delivers pictures; None when it may not be opened, False when it is no such device."""
    import fcntl
    import os
    import struct

    try:
        handle = os.open(device, os.O_RDWR | os.O_NONBLOCK)
    except PermissionError:
        return None
    except OSError:
        return False
    try:
        answer = fcntl.ioctl(handle, _QUERYCAP, bytes(104))
    except OSError:
        return False
    finally:
        os.close(handle)
    capabilities, device_capabilities = struct.unpack_from("=II", answer, 84)
    mine = device_capabilities if capabilities & _HAS_DEVICE_CAPS else capabilities
    return bool(mine & _CAPTURE)


def _opens(index: int) -> bool:
    from live.sources.camera import open_opencv

    capture = open_opencv(CameraInfo(index, "", ""), (640, 480), 30.0)
    if capture is None:
        return False
    capture.release()
    return True
