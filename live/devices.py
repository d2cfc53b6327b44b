"""What `--source`, `--sink` and CHARACTER can name on this machine: `faceshot devices`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from live.sources.cameras import CameraInfo, list_cameras

__all__ = ["CameraFact", "camera_facts", "inventory"]

VIRTUAL_ROOT = Path("/sys/devices/virtual/video4linux")


@dataclass(frozen=True, slots=True)
class CameraFact:
    """A camera, and what may be done with it.

    Attributes:
        index: what `--source` takes.
        name: as the system calls it.
        path: device file on Linux, else empty.
        readable: whether this user may open it.
        loopback: a virtual camera: somebody's output, not a lens.
    """

    index: int
    name: str
    path: str = ""
    readable: bool = True
    loopback: bool = False


def camera_facts(
    cameras: Iterable[CameraInfo] | None = None,
    virtual_root: Path = VIRTUAL_ROOT,
    may_open: Callable[[str], bool] = lambda path: os.access(path, os.R_OK | os.W_OK),
) -> list[CameraFact]:
    """All cameras and all virtual ones, those that only wait for a writer included. Blocks for up to a second.

    Args:
        cameras: what was found; asked of the system when None.
        virtual_root: where Linux keeps devices without hardware.
        may_open: whether this user may read and write a device file.
    """
    virtual = {folder.name: folder for folder in virtual_root.glob("video*")} if virtual_root.is_dir() else {}
    facts: dict[int, CameraFact] = {}
    for camera in list_cameras() if cameras is None else cameras:
        name = Path(camera.path).name
        loopback = name in virtual or camera.is_own_output or "virtual camera" in camera.name.lower()
        readable = not camera.path or may_open(camera.path)
        facts[camera.index] = CameraFact(camera.index, camera.name, camera.path, readable, loopback)
    for name, folder in virtual.items():
        index = int(name.removeprefix("video"))
        if index not in facts:
            label = (folder / "name").read_text(errors="replace").strip() if (folder / "name").is_file() else name
            facts[index] = CameraFact(index, label, f"/dev/{name}", may_open(f"/dev/{name}"), loopback=True)
    return [facts[index] for index in sorted(facts)]


def inventory() -> dict[str, Any]:
    """Everything by kind, ready for JSON: cameras, virtual_cameras, characters, clips."""
    from faceshot.character import bundled_names
    from faceshot.motion_clip import bundled_clips

    facts = camera_facts()
    return {
        "cameras": [asdict(fact) for fact in facts if not fact.loopback],
        "virtual_cameras": [asdict(fact) for fact in facts if fact.loopback],
        "characters": list(bundled_names()),
        "clips": list(bundled_clips()),
    }
