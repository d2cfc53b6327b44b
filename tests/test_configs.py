"""Every file in `configs/` is valid, does what its name says, and names a command that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from live.config import Config, load_config

FOLDER = Path(__file__).resolve().parent.parent / "configs"
FILES = sorted(FOLDER.glob("*.toml"))


def test_there_are_configs() -> None:
    assert {"webcam", "demo", "replay", "obs", "zoom", "record"} <= {file.stem for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_loads_and_says_how_to_use_it(file: Path) -> None:
    load_config(file)
    comment = file.read_text()
    assert comment.startswith("# ")
    assert f"#   faceshot live --config configs/{file.name}" in comment


def test_the_webcam_config_is_the_default_written_out() -> None:
    assert load_config(FOLDER / "webcam.toml") == Config()


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("demo", "source.spec", "demo"),
        ("replay", "motion.mirror", False),
        ("obs", "output.background", "transparent"),
        ("zoom", "output.sinks", ("vcam",)),
        ("record", "output.sinks", ("take.webm",)),
        ("phone", "server.lan", True),
    ],
)
def test_it_sets_what_its_name_says(name: str, key: str, value: object) -> None:
    config: object = load_config(FOLDER / f"{name}.toml")
    for part in key.split("."):
        config = getattr(config, part)
    assert config == value


def test_bundled_characters_named_in_configs_exist() -> None:
    from faceshot.character import bundled_names

    named = {
        match[1] for file in FILES for match in re.finditer(r'^\[character\]\nspec = "([^"]+)"', file.read_text(), re.M)
    }
    assert named <= set(bundled_names())
