"""The command line as a user meets it: real processes and real shows, short ones."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from live.cli import main

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("live", "render", "doctor", "devices", "bench", "models", "character")


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "live", "--help"],
        capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout, command
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    heavy = {"numpy", "cv2", "mediapipe", "torch", "scipy", "pydantic", "av", "PIL", "starlette", "uvicorn", "psutil"}
    assert imported & heavy == set()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert f"Usage: faceshot {command}" in capsys.readouterr().out


def test_examples_in_the_help_name_bundled_characters(capsys: pytest.CaptureFixture[str]) -> None:
    from faceshot.character import bundled_names

    said = ""
    for args in ([], ["live"], ["render"], ["bench"]):
        main([*args, "--help"])
        said += capsys.readouterr().out
    named = re.findall(r"^ +faceshot (?:live|render) ([a-z]+)(?= |$)", said, re.M)
    assert len(named) >= 5
    assert set(named) <= set(bundled_names())


def test_no_arguments_at_all_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "faceshot live" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["liv"], "Did you mean 'live'"),
        (["live", "--sauce", "0"], "--sauce"),
        (["render", "mika"], "DRIVE"),
        (["render", "mika", "a.mp4"], "--out"),
        (["live", "--duration", "long"], "--duration"),
    ],
)
def test_wrong_usage_is_two_lines_and_exit_code_2(
    args: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(args) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 2
    assert error.startswith("error: ") and "hint: faceshot" in error


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("faceshot")


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["live", "--set", "motion.smothing=1"], 2, "motion.smoothing"),
        (["live", "--set", "motion.smoothing=7"], 2, "motion.smoothing"),
        (["live", "--set", "nonsense"], 2, "nonsense"),
        (["live", "--config", "nosuch.toml"], 2, "nosuch.toml"),
        (["live", "--animator", "nosuch"], 2, "nosuch"),
        (["live", "--sink", "out.avi"], 1, "out.avi"),
        (["live", "--stats-json", "nosuch/folder/stats.json"], 1, "mkdir -p nosuch/folder"),
        (["live", "nosuch", "--no-open", "--set", "server.port=0"], 1, "mika"),
        (["bench", "--source", "nosuch.mp4"], 1, "nosuch.mp4"),
        (["bench", "--json", "nosuch/folder/bench.json"], 1, "mkdir -p nosuch/folder"),
        (["render", "mika", "nosuch.mp4", "-o", "nosuch.webm"], 1, "nosuch.mp4"),
        (["render", "mika", "talking", "-o", "out.avi"], 1, "out.avi"),
        (["models", "pull", "face_landmarkr"], 2, "face_landmarker"),
        (["character", "show", "nosuch"], 1, "mika"),
        (["character", "show", "README.md"], 1, "README.md"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_user_s_mistake_is_at_most_two_lines(
    args: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(args) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert words in error
    assert error.count("\n") <= 2
    assert "Traceback" not in error and "unexpected" not in error


def test_a_taken_port_is_told_before_anything_else_starts(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        port = taken.getsockname()[1]
        assert main(["live", "--source", "demo", "--set", f"server.port={port}"]) == 1
    error = capsys.readouterr().err
    assert f"Port {port}" in error and "--set server.port=" in error
    assert error.count("\n") == 2


def test_a_defect_is_one_line_and_the_way_to_the_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(as_json: bool) -> int:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("live.commands.devices", broken)
    assert main(["devices"]) == 1
    error = capsys.readouterr().err
    assert "ZeroDivisionError: by nothing" in error and "faceshot --debug devices" in error
    assert error.count("\n") == 2
    with pytest.raises(ZeroDivisionError):
        main(["devices", "--debug"])


STATS_KEYS = {"frames_in", "frames_out", "fps_out", "latency_ms", "stages", "dropped", "rss_mb"}


def test_a_show_says_where_it_is_and_ends_on_ctrl_c_with_its_numbers(tmp_path: Path) -> None:
    stats = tmp_path / "stats.json"
    show = subprocess.Popen(
        [sys.executable, "-m", "live", "live", "sunny", "--source", "demo", "--no-open", "--set", "server.port=0",
         "--set", "animator.max_side_px=128", "--stats-json", str(stats)],
        stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip
    assert show.stderr is not None
    lines = []
    for line in show.stderr:
        lines.append(line)
        if "face found" in line or "neutral pose" in line:
            break
    show.send_signal(signal.SIGINT)
    rest = show.communicate(timeout=60)[1]
    said = "".join(lines)
    assert show.returncode == 0, said + rest
    assert "control page  http://127.0.0.1:" in said and "/view" in said
    assert "--source 0" in said and "--source talk.mp4" in said
    assert "frames in" in rest and "Traceback" not in said + rest
    written = json.loads(stats.read_text())
    assert set(written) >= STATS_KEYS
    assert written["frames_out"] > 0
    assert set(written["remote"]) == {"phone", "viewers", "broadcasts"}, "as the page's statistics have it"
    assert [path.name for path in tmp_path.iterdir()] == ["stats.json"]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Ten frames of bundled motion."""
    from faceshot.motion_clip import MotionClip, open_clip, write_clip

    whole = open_clip("talking")
    path = tmp_path / "short.motion"
    write_clip(MotionClip("short", whole.fps, whole.states[60:70]), path)
    return path


def test_render_writes_every_frame_once(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import av

    out = tmp_path / "out.mp4"
    args = ["render", "mika", str(clip), "-o", str(out), "--set", "animator.max_side_px=128"]
    assert main(args) == 0
    assert "10 frames" in capsys.readouterr().out
    with av.open(str(out)) as video:
        assert sum(1 for _ in video.decode(video=0)) == 10
    assert main(args) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert main([*args, "--overwrite"]) == 0


def test_render_mirrors_the_picture_when_told(clip: Path, tmp_path: Path) -> None:
    import av
    import numpy as np

    pictures = []
    for mirror in ("false", "true"):
        out = tmp_path / f"{mirror}.mp4"
        small = ["--set", "animator.max_side_px=128", "--set", f"output.mirror={mirror}"]
        assert main(["render", "mika", str(clip), "-o", str(out), *small]) == 0
        with av.open(str(out)) as video:
            pictures.append(next(video.decode(video=0)).to_ndarray(format="rgb24").astype(int))
    plain, flipped = pictures
    assert np.abs(plain[:, ::-1] - flipped).mean() < 3
    assert np.abs(plain - flipped).mean() > 6


def test_devices_lists_characters_clips_and_what_to_do_without_a_camera(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices"]) == 0
    said = capsys.readouterr().out
    assert "mika" in said and "--source talking" in said and "--sink vcam" in said
    assert main(["devices", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"cameras", "virtual_cameras", "characters", "clips"}


def test_character_show_tells_and_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    picture = tmp_path / "check.png"
    assert main(["character", "show", "mika", "--picture", str(picture)]) == 0
    said = capsys.readouterr().out
    assert "Mika" in said and "70 of 70" in said
    with Image.open(picture) as image:
        assert (0, 255, 120) in {pixel[:3] for _, pixel in image.convert("RGBA").getcolors(1 << 24) or ()}
    assert main(["character", "show", "mika", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["points_xy"]) == 70


def test_models_are_listed_and_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACESHOT_MODELS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert main(["models", "list"]) == 0
    assert "not here" in capsys.readouterr().out
    assert main(["models", "verify"]) == 0
    assert "missing" in capsys.readouterr().out
    (tmp_path / "face_landmarker.task").write_bytes(b"not the model")
    assert main(["models", "verify"]) == 1
    said = capsys.readouterr().out
    assert "wrong size" in said and "faceshot models pull face_landmarker" in said
