"""`faceshot doctor`: is everything there that a show needs, and if not, what cures it.

Each check is a plain function of a `Machine` and the `Config`, so tests run them on made-up machines. `fail` means that
a show cannot run as configured; `warn` that something a user may want is missing; the exit code is 0 without a `fail`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from faceshot.errors import FaceshotError
from live.config import Config
from live.devices import CameraFact
from live.machine import Machine
from live.sinks.camera_faults import MODPROBE

__all__ = ["Check", "diagnose", "usable"]

Status = Literal["ok", "warn", "fail"]

REQUIRED = (
    "mediapipe",
    "numpy",
    "scipy",
    "opencv-contrib-python",
    "pillow",
    "pydantic",
    "typer",
    "rich",
    "starlette",
    "uvicorn",
    "websockets",
    "av",
    "pyvirtualcam",
    "psutil",
)

ENCODERS = {"libx264": ".mp4 recordings", "libvpx-vp9": ".webm recordings with transparency"}

NEIGHBOURS_TCP = {
    4455: "OBS (obs-websocket)",
    7860: "a gradio app",
    8001: "VTube Studio",
    49986: "iFacialMocap receiver",
}
NEIGHBOURS_UDP = {
    11111: "Live Link Face",
    11573: "OpenSeeFace",
    39539: "VMC",
    39540: "VMC",
    49983: "iFacialMocap (VTube Studio, VSeeFace)",
}

SELFTEST_S = 3.0


@dataclass(frozen=True)
class Check:
    """One line of the diagnosis.

    Attributes:
        name: what was looked at.
        status: ok, warn (a wish stays open) or fail (a show cannot run).
        detail: what was found.
        cure: what to type or do; empty when nothing is needed.
    """

    name: str
    status: Status
    detail: str
    cure: str = ""


def diagnose(
    config: Config, machine: Machine, cache: Path, selftest: Callable[[], Mapping[str, Any]]
) -> Iterator[Check]:
    """All checks, quick ones first, each given as soon as it is known.

    Args:
        cache: where model files are kept.
        selftest: runs a short show without devices and returns its stats.
    """
    cameras = machine.cameras()
    yield check_system(machine)
    yield check_packages(machine)
    yield check_cameras(machine, cameras)
    yield check_virtual_camera(machine, cameras)
    yield check_loop(config, cameras)
    yield check_port(config, machine)
    yield check_neighbours(machine)
    yield check_cache(machine, cache)
    yield check_encoders(machine)
    yield check_gpu(machine)
    yield check_viewers(config, machine)
    yield check_tracker(machine)
    yield check_show(selftest)


def usable(checks: list[Check]) -> bool:
    """Whether nothing stops a show."""
    return all(check.status != "fail" for check in checks)


def check_system(machine: Machine) -> Check:
    version = ".".join(str(n) for n in machine.python)
    detail = f"Python {version} on {machine.system} {machine.release}"
    if machine.python < (3, 11, 0):
        return Check("system", "fail", detail, "Python 3.11 or newer is needed.")
    return Check("system", "ok", detail)


def check_packages(machine: Machine) -> Check:
    missing = [name for name in REQUIRED if machine.version_of(name) is None]
    if missing:
        return Check("packages", "fail", f"not installed: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    rivals = [n for n in ("opencv-python", "opencv-python-headless") if machine.version_of(n)]
    if rivals:
        return Check(
            "packages",
            "warn",
            f"{rivals[0]} is installed beside opencv-contrib-python: each overwrites the other's files",
            f"pip uninstall -y {' '.join(rivals)} && pip install --force-reinstall --no-deps opencv-contrib-python",
        )
    return Check("packages", "ok", f"{len(REQUIRED)} packages; mediapipe {machine.version_of('mediapipe')}")


def check_tracker(machine: Machine) -> Check:
    try:
        fact = machine.tracker()
    except FaceshotError as error:
        return Check("tracker", "fail", error.message, error.hint)
    detail = f"{fact.name}: ready in {fact.start_s:.1f} s, {fact.frame_ms:.1f} ms for a frame without a face"
    if not fact.complete:
        cure = "For better blinks, brows and mouth shapes: faceshot models pull face_landmarker"
        return Check("tracker", "warn", detail, cure)
    return Check("tracker", "ok", detail)


def check_cameras(machine: Machine, cameras: Sequence[CameraFact]) -> Check:
    lenses = [camera for camera in cameras if not camera.loopback]
    if not lenses:
        cure = "Plug one in, or use a file: faceshot live --source video.mp4. Without either, the demo plays."
        return Check("camera", "warn", "no webcam found", cure)
    names = ", ".join(f"{camera.index}: {camera.name}" for camera in lenses)
    closed = [camera for camera in lenses if not camera.readable]
    if closed and machine.system == "Linux":
        cure = "sudo usermod -aG video $USER, then log out and in"
        return Check("camera", "warn", f"no permission for {closed[0].path} ({closed[0].name})", cure)
    if machine.system == "Darwin":
        cure = "If it stays black: System Settings → Privacy & Security → Camera → allow your terminal."
        return Check("camera", "ok", names, cure)
    return Check("camera", "ok", names)


def check_virtual_camera(machine: Machine, cameras: Sequence[CameraFact]) -> Check:
    loopbacks = [camera for camera in cameras if camera.loopback]
    instead = "or use the OBS browser source, which needs nothing"
    if machine.system == "Linux":
        if loopbacks:
            names = ", ".join(f"{camera.path} ({camera.name})" for camera in loopbacks)
            closed = [camera for camera in loopbacks if not camera.readable]
            if closed:
                return Check("virtual camera", "warn", f"no permission for {names}", "sudo usermod -aG video $USER")
            return Check("virtual camera", "ok", names)
        if machine.virtual_camera_installed():
            return Check("virtual camera", "warn", "v4l2loopback is installed, not loaded", f"{MODPROBE}  ({instead})")
        cure = f"sudo apt install v4l2loopback-dkms && {MODPROBE}  ({instead})"
        return Check("virtual camera", "warn", "no v4l2loopback device", cure)
    if machine.virtual_camera_installed():
        return Check("virtual camera", "ok", "OBS Virtual Camera")
    steps = "install OBS Studio 30 or later, press Start Virtual Camera once"
    steps += ", approve the extension, reboot" if machine.system == "Darwin" else ", close OBS's own output again"
    return Check("virtual camera", "warn", "OBS Virtual Camera is not installed", f"{steps}; {instead}")


def check_loop(config: Config, cameras: Sequence[CameraFact]) -> Check:
    """The chosen camera must not be a virtual camera: it could be our own output."""
    spec = config.source.spec
    for camera in () if spec in ("auto", "demo") else cameras:
        chosen = spec in (str(camera.index), camera.path) or (spec and spec.lower() in camera.name.lower())
        if chosen and camera.loopback:
            detail = f"--source {spec} is the virtual camera {camera.name}: our own picture would drive us"
            return Check("feedback loop", "fail", detail, "Choose another one: faceshot devices")
    return Check("feedback loop", "ok", f"source {spec} is not an output")


def check_port(config: Config, machine: Machine) -> Check:
    host, port = config.server.host, config.server.port
    if machine.can_listen(host, port):
        return Check("port", "ok", f"{host}:{port} is free")
    cure = f"faceshot live --set server.port={port + 1}"
    if machine.is_faceshot(host, port):
        return Check("port", "warn", f"a faceshot is already running at http://{host}:{port}/", f"Use it, or: {cure}")
    return Check("port", "fail", f"{host}:{port} is taken by another program", cure)


def check_neighbours(machine: Machine) -> Check:
    near = [f"{name} on {port}" for port, name in NEIGHBOURS_TCP.items() if machine.answers(port)]
    near += [f"{name} on {port}/udp" for port, name in NEIGHBOURS_UDP.items() if machine.udp_taken(port)]
    return Check("neighbours", "ok", ", ".join(near) or "no other tool of the trade is running")


def check_cache(machine: Machine, cache: Path) -> Check:
    if machine.writable(cache):
        return Check("model folder", "ok", str(cache))
    return Check("model folder", "warn", f"{cache} is not writable", "Set FACESHOT_MODELS to a folder you own.")


def check_encoders(machine: Machine) -> Check:
    missing = [f"{name} ({use})" for name, use in ENCODERS.items() if not machine.encoder(name)]
    if missing:
        return Check("encoders", "warn", f"PyAV lacks {', '.join(missing)}", "pip install --force-reinstall av")
    return Check("encoders", "ok", f"{', '.join(ENCODERS)} in PyAV; no ffmpeg needed")


def check_gpu(machine: Machine) -> Check:
    has_card = machine.program("nvidia-smi") is not None
    if machine.version_of("torch") is None:
        detail = "torch is not installed; the warp animator needs neither torch nor a GPU"
        return Check("gpu", "ok", detail, "pip install 'faceshot-live[gpu]'" if has_card else "")
    name = machine.cuda()
    if name is None and has_card:
        cure = "Install the CUDA build of torch; faceshot runs on the CPU meanwhile."
        return Check("gpu", "warn", "there is an NVIDIA card, but this torch cannot use it", cure)
    return Check("gpu", "ok", name or "none that torch can use; the warp animator runs on the CPU")


def check_viewers(config: Config, machine: Machine) -> Check:
    url = f"http://{config.server.host}:{config.server.port}/view"
    obs = "OBS is running" if machine.answers(4455) else "in OBS"
    desktop = "the control page opens by itself" if machine.has_desktop else "no desktop: open the control page by hand"
    size = config.animator.max_side_px
    detail = f"{desktop}; {obs}: Sources + → Browser → {url}, {size}×{size}, 60 fps, 'Shutdown when not visible' off"
    return Check("viewers", "ok", detail)


def check_show(selftest: Callable[[], Mapping[str, Any]]) -> Check:
    """A real show without devices: bundled clip → warp → nowhere."""
    try:
        stats = selftest()
    except FaceshotError as error:
        return Check("self-test", "fail", error.message, error.hint)
    fps, latency = float(stats["fps_out"]), stats["latency_ms"]
    if not stats["frames_out"]:
        return Check("self-test", "fail", "the demo rendered no frame", "faceshot --debug live --sink null")
    detail = f"demo → warp: {fps:.1f} fps, latency p50 {latency['p50']:.1f} ms, p95 {latency['p95']:.1f} ms"
    if fps < 24 or latency["p95"] > 50:
        cure = "Close other programs, or draw smaller: faceshot live --set animator.max_side_px=384"
        return Check("self-test", "warn", detail + ": slow", cure)
    return Check("self-test", "ok", detail)
