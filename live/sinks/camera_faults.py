"""Why a virtual camera does not open, and the command that cures it. Data and text only."""

from __future__ import annotations

import re

from live.errors import SinkError
from live.sources.cameras import OWN_LABEL

__all__ = ["MODPROBE", "explain"]

MODPROBE = f'sudo modprobe v4l2loopback devices=1 video_nr=10 card_label="{OWN_LABEL}" exclusive_caps=1'

_LOADED_OTHERWISE = f"Load it anew: sudo modprobe -r v4l2loopback && {MODPROBE}"
_OBS = "Install OBS 30 or later, press Start Virtual Camera in it once, then Stop (its one device takes one program)"

# system, pattern in the back end's message, what to say ({device}), what to do.
_FAULTS: tuple[tuple[str, str, str, str], ...] = (
    (
        "linux",
        "No v4l2 loopback device found",
        "There is no virtual camera: none of /dev/video* is a v4l2loopback device.",
        f"Create one: {MODPROBE} (first, on Debian and Ubuntu: sudo apt install v4l2loopback-dkms; "
        '"Key was rejected" means that secure boot wants the module signed)',
    ),
    (
        "linux",
        "permission",
        "Virtual camera {device} may not be used by this user.",
        "Join the group: sudo usermod -aG video $USER, then log out and in again",
    ),
    ("linux", "does not exist", "There is no virtual camera {device}.", f"Create one: {MODPROBE}"),
    (
        "linux",
        "could not be queried|is not a|not an? (?:v4l2|output|video)",
        "{device} is not a v4l2loopback device.",
        f"Leave the device out to use the first that fits, or create one: {MODPROBE}",
    ),
    (
        "linux",
        "nsupported image format",
        "Virtual camera {device} does not take this pixel format.",
        _LOADED_OTHERWISE,
    ),
    (
        "linux",
        "busy|in use|could not be opened|could not be configured|set format|VIDIOC_S_FMT",
        "Virtual camera {device} is in use by another program, or keeps another picture size.",
        f"Close the other program (OBS?). {_LOADED_OTHERWISE}",
    ),
    (
        "win32",
        "could not be started|already in use",
        "Virtual camera {device} is in use by another program.",
        "Press Stop Virtual Camera in OBS, or close the other program",
    ),
    (
        "win32",
        "device not found|No camera registered",
        "There is no virtual camera: OBS is not installed (nor Unity Capture).",
        _OBS,
    ),
    (
        "win32",
        "supports only",
        "{device} is not a virtual camera of OBS.",
        "Leave the device out: it is called 'OBS Virtual Camera'",
    ),
    (
        "darwin",
        "not installed",
        "There is no virtual camera: OBS has not installed its own yet.",
        f"{_OBS}, allow the extension in System Settings, and restart the Mac",
    ),
    (
        "darwin",
        "could not be started|in use|busy",
        "Virtual camera {device} is in use by another program.",
        "Press Stop Virtual Camera in OBS, or close the other program",
    ),
)


def explain(said: str, device: str | None, view_url: str, system: str) -> SinkError:
    """The error for a virtual camera that did not open.

    Args:
        said: what the back ends said, one line each.
        device: which one was asked for; None for any.
        view_url: address of the browser source, the way to go on without.
        system: as `sys.platform`.
    """
    instead = f"Or go on without: add {view_url} as a browser source in OBS."
    named = device or _device_in(said)
    for on, pattern, what, cure in _FAULTS:
        if system.startswith(on) and re.search(pattern, said, re.IGNORECASE):
            return SinkError(what.format(device=named), f"{cure}. {instead}")
    return SinkError(f"The virtual camera cannot be opened: {'; '.join(said.splitlines())}", instead)


def _device_in(said: str) -> str:
    match = re.search(r"/dev/video\d+|'[^']*Camera'", said)
    return match[0].strip("'") if match else "of this system"
