"""Texts for virtual cameras that do not open: what back ends say, and what we make of it."""

import pytest

from live.sinks.camera_faults import MODPROBE, explain

VIEW = "http://127.0.0.1:8765/view"

SAID = [
    (
        "linux",
        None,
        "'v4l2loopback' backend: No v4l2 loopback device found at /dev/video[0-99]. Did you run 'modprobe "
        "v4l2loopback'? See also pyvirtualcam's documentation.",
        "no virtual camera",
        MODPROBE,
    ),
    ("linux", "/dev/video9", "'v4l2loopback' backend: Device /dev/video9 does not exist.", "/dev/video9", MODPROBE),
    (
        "linux",
        None,
        "'v4l2loopback' backend: Could not open /dev/video10 due to missing permissions. Did you add your user to the "
        "'video' group? Run 'usermod -a -G video myusername' and log out and in again.",
        "/dev/video10 may not be used",
        "sudo usermod -aG video $USER",
    ),
    (
        "linux",
        "/dev/null",
        "'v4l2loopback' backend: Device capabilities of /dev/null could not be queried.",
        "/dev/null is not",
        MODPROBE,
    ),
    (
        "linux",
        "/dev/video10",
        "'v4l2loopback' backend: Virtual camera device /dev/video10 could not be configured: Device or resource busy",
        "in use",
        "modprobe -r v4l2loopback",
    ),
    ("linux", None, "'v4l2loopback' backend: Unsupported image format.", "pixel format", "modprobe"),
    (
        "win32",
        None,
        "'obs' backend: OBS Virtual Camera device not found! Did you install OBS?\n"
        "'unitycapture' backend: No camera registered. Did you install any camera?",
        "no virtual camera",
        "Install OBS 30",
    ),
    ("win32", None, "'obs' backend: virtual camera output could not be started", "in use", "Stop Virtual Camera"),
    (
        "win32",
        "My Cam",
        "'obs' backend: This backend supports only the 'OBS Virtual Camera' device.",
        "My Cam is not",
        "OBS Virtual Camera",
    ),
    (
        "darwin",
        None,
        "'obs' backend: OBS Virtual Camera is not installed in your system. Use the Virtual Camera function in OBS "
        "30.0 or later to trigger the installation",
        "not installed its own",
        "System Settings",
    ),
    ("linux", None, "'v4l2loopback' backend: something new", "something new", "browser source"),
]


@pytest.mark.parametrize(("system", "device", "said", "what", "cure"), SAID)
def test_every_fault_names_a_cure_and_the_way_without(
    system: str, device: str | None, said: str, what: str, cure: str
) -> None:
    error = explain(said, device, VIEW, system)
    assert what in error.message
    assert cure in error.hint
    assert VIEW in error.hint
    assert len(str(error).splitlines()) == 2


def test_the_modprobe_line_is_complete() -> None:
    assert MODPROBE == ('sudo modprobe v4l2loopback devices=1 video_nr=10 card_label="faceshot-live" exclusive_caps=1')
