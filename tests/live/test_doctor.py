"""`faceshot doctor` on made-up machines: every finding has its cure, and only what stops a show fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from faceshot.errors import WeightsMissing
from live.config import Config, ServerConfig, SourceConfig
from live.devices import CameraFact
from live.doctor import Check, diagnose, usable
from live.machine import Machine, TrackerFact, this_machine
from live.sinks.camera_faults import MODPROBE

WEBCAM = CameraFact(0, "HD Webcam", "/dev/video0")
LOOPBACK = CameraFact(10, "faceshot-live", "/dev/video10", loopback=True)
GOOD_STATS = {"fps_out": 30.0, "frames_out": 90, "latency_ms": {"p50": 9.0, "p95": 14.0, "p99": 18.0}}


def good_machine(**changes: Any) -> Machine:
    """A Linux desktop on which everything is right."""
    machine = Machine(
        python=(3, 11, 7),
        system="Linux",
        release="6.1.0",
        has_desktop=True,
        version_of=lambda name: None if name in ("torch", "opencv-python", "opencv-python-headless") else "1.0",
        cameras=lambda: [WEBCAM, LOOPBACK],
        tracker=lambda: TrackerFact("MediaPipe FaceLandmarker", True, 0.5, 8.0),
        virtual_camera_installed=lambda: True,
        can_listen=lambda host, port: True,
        answers=lambda port: False,
        udp_taken=lambda port: False,
        is_faceshot=lambda host, port: False,
        writable=lambda folder: True,
        encoder=lambda name: True,
        program=lambda name: None,
        cuda=lambda: None,
    )
    return replace(machine, **changes)


def diagnosis(
    machine: Machine, config: Config | None = None, stats: Mapping[str, Any] = GOOD_STATS
) -> dict[str, Check]:
    checks = diagnose(config or Config(), machine, Path("models"), lambda: stats)
    return {check.name: check for check in checks}


def test_a_good_machine_has_nothing_to_cure() -> None:
    checks = diagnosis(good_machine())
    assert {check.status for check in checks.values()} == {"ok"}
    assert [check.name for check in checks.values() if check.cure] == []
    assert usable(list(checks.values()))


def test_every_finding_names_its_cure() -> None:
    """Nothing works here, and each warning or failure says what to do."""

    def no_tracker() -> TrackerFact:
        raise WeightsMissing("No model file.", "faceshot models pull face_landmarker")

    ruin = good_machine(
        python=(3, 10, 1),
        version_of=lambda name: None,
        cameras=lambda: [],
        tracker=no_tracker,
        virtual_camera_installed=lambda: False,
        can_listen=lambda host, port: False,
        writable=lambda folder: False,
        encoder=lambda name: False,
        has_desktop=False,
    )
    stats = {"fps_out": 0.0, "frames_out": 0, "latency_ms": {"p50": None, "p95": None, "p99": None}}
    checks = diagnosis(ruin, stats=stats)
    bad = {name: check for name, check in checks.items() if check.status != "ok"}
    assert {name for name, check in bad.items() if check.status == "fail"} == {
        "system", "packages", "port", "tracker", "self-test",
    }  # fmt: skip
    assert {"camera", "virtual camera", "model folder", "encoders"} <= set(bad)
    assert [name for name, check in bad.items() if not check.cure] == []
    assert checks["tracker"].cure == "faceshot models pull face_landmarker"
    assert not usable(list(checks.values()))


def test_no_camera_is_a_warning_because_the_demo_plays() -> None:
    checks = diagnosis(good_machine(cameras=lambda: [LOOPBACK]))
    assert checks["camera"].status == "warn"
    assert usable(list(checks.values()))


def test_a_camera_without_permission_names_the_group() -> None:
    checks = diagnosis(good_machine(cameras=lambda: [replace(WEBCAM, readable=False)]))
    assert checks["camera"].status == "warn"
    assert "/dev/video0" in checks["camera"].detail
    assert "usermod -aG video" in checks["camera"].cure


@pytest.mark.parametrize("installed", [True, False])
def test_linux_without_virtual_camera_gets_the_modprobe_line(installed: bool) -> None:
    machine = good_machine(cameras=lambda: [WEBCAM], virtual_camera_installed=lambda: installed)
    check = diagnosis(machine)["virtual camera"]
    assert check.status == "warn"
    assert MODPROBE in check.cure
    assert ("apt install" in check.cure) != installed


@pytest.mark.parametrize("system", ["Darwin", "Windows"])
def test_elsewhere_the_virtual_camera_is_that_of_obs(system: str) -> None:
    without = good_machine(system=system, virtual_camera_installed=lambda: False)
    assert "Start Virtual Camera" in diagnosis(without)["virtual camera"].cure
    assert diagnosis(good_machine(system=system))["virtual camera"].status == "ok"


@pytest.mark.parametrize("spec", ["10", "/dev/video10", "faceshot-live"])
def test_our_own_output_as_input_is_refused(spec: str) -> None:
    check = diagnosis(good_machine(), Config(source=SourceConfig(spec=spec)))["feedback loop"]
    assert check.status == "fail"
    assert "faceshot devices" in check.cure


@pytest.mark.parametrize("spec", ["auto", "demo", "0", "HD Webcam", "talk.mp4"])
def test_other_sources_are_no_feedback_loop(spec: str) -> None:
    assert diagnosis(good_machine(), Config(source=SourceConfig(spec=spec)))["feedback loop"].status == "ok"


def test_a_taken_port_names_the_next_one() -> None:
    config = Config(server=ServerConfig(port=9000))
    check = diagnosis(good_machine(can_listen=lambda host, port: False), config)["port"]
    assert check.status == "fail"
    assert "--set server.port=9001" in check.cure


def test_a_port_taken_by_ourselves_is_said_so() -> None:
    machine = good_machine(can_listen=lambda host, port: False, is_faceshot=lambda host, port: True)
    check = diagnosis(machine)["port"]
    assert check.status == "warn"
    assert "http://127.0.0.1:8765/" in check.detail


def test_neighbours_are_named() -> None:
    machine = good_machine(answers=lambda port: port == 4455, udp_taken=lambda port: port == 11573)
    checks = diagnosis(machine)
    assert "obs-websocket" in checks["neighbours"].detail
    assert "OpenSeeFace on 11573/udp" in checks["neighbours"].detail
    assert "OBS is running" in checks["viewers"].detail


def test_two_opencv_distributions_are_a_warning() -> None:
    machine = good_machine(version_of=lambda name: None if name == "torch" else "1.0")
    assert "opencv-python" in diagnosis(machine)["packages"].detail
    assert diagnosis(machine)["packages"].status == "warn"


def test_the_older_tracker_generation_offers_the_better_one() -> None:
    machine = good_machine(tracker=lambda: TrackerFact("MediaPipe face mesh", False, 0.3, 4.0))
    check = diagnosis(machine)["tracker"]
    assert check.status == "warn"
    assert "models pull" in check.cure


def test_an_nvidia_card_without_torch_says_how_to_get_it() -> None:
    machine = good_machine(program=lambda name: "/usr/bin/nvidia-smi" if name == "nvidia-smi" else None)
    assert "faceshot-live[gpu]" in diagnosis(machine)["gpu"].cure
    with_cpu_torch = replace(machine, version_of=lambda name: "2.8" if name == "torch" else "1.0")
    assert diagnosis(with_cpu_torch)["gpu"].status == "warn"


def test_a_slow_show_is_a_warning_with_numbers() -> None:
    stats = {"fps_out": 11.0, "frames_out": 33, "latency_ms": {"p50": 80.0, "p95": 120.0, "p99": 150.0}}
    check = diagnosis(good_machine(), stats=stats)["self-test"]
    assert check.status == "warn"
    assert "11.0 fps" in check.detail and "120.0 ms" in check.detail
    assert "max_side_px" in check.cure


def test_the_real_machine_answers_every_question(tmp_path: Path) -> None:
    machine = this_machine()
    assert machine.python >= (3, 11, 0)
    assert machine.version_of("numpy") is not None
    assert machine.version_of("no-such-distribution") is None
    assert machine.encoder("libx264") and machine.encoder("libvpx-vp9") and not machine.encoder("no-such-codec")
    assert machine.writable(tmp_path / "new" / "folder")
    (tmp_path / "file").write_text("")
    assert not machine.writable(tmp_path / "file" / "folder")
    assert isinstance(machine.virtual_camera_installed(), bool)
    assert all(isinstance(camera, CameraFact) for camera in machine.cameras())


def test_a_port_in_use_is_seen() -> None:
    import socket

    machine = this_machine()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        assert not machine.can_listen("127.0.0.1", port)
        assert machine.answers(port)
        assert not machine.is_faceshot("127.0.0.1", port)
    assert machine.can_listen("127.0.0.1", port)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        assert machine.udp_taken(taken.getsockname()[1])
