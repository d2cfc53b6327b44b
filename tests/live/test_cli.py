"""The command line as a user meets it: real processes and real shows, short ones."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from live.cli import main

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("live", "render", "doctor", "devices", "bench", "models", "character")


def faceshot(*args: str) -> subprocess.CompletedProcess[str]:
    """Run the real command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "live", *args], capture_output=True, text=True, cwd=ROOT, timeout=120, env=os.environ
    )


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
