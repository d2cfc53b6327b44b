"""What the README says is so: its links lead somewhere, its commands parse, its files and numbers exist."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

from faceshot.character import bundled_names
from faceshot.motion_clip import bundled_clips
from live import cli
from live.config import all_keys

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINKS = sorted(set(re.findall(r"\]\(([^)#\s]+)\)", README)))
COMMANDS = sorted(set(re.findall(r"(?:^|`|&& )(faceshot(?: [^`\n&|]+)?)(?=`|\n|$)", README, re.M)))


@pytest.mark.parametrize("link", [link for link in LINKS if "://" not in link])
def test_a_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_links_out_of_the_project_are_to_this_machine_only() -> None:
    assert all("127.0.0.1" in link for link in LINKS if "://" in link)


def test_commands_were_found() -> None:
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_understood(command: str) -> None:
    """Parsed, not run: every sub-command, option and setting exists."""
    words = [word for word in shlex.split(command)[1:] if word not in ("[CHARACTER]",)]
    parser = typer.main.get_command(cli.app)
    while words and words[0] in getattr(parser, "commands", {}):
        parser = parser.commands[words.pop(0)]  # type: ignore[attr-defined]
    if words:
        with parser.make_context("faceshot", words) as context:
            for setting in context.params.get("settings") or ():
                assert setting.partition("=")[0] in all_keys()


def test_every_setting_named_in_prose_exists() -> None:
    for setting in set(re.findall(r"--set ([a-z_.]+)=", README)) - {"a.b"}:  # a.b stands for any key
        assert setting in all_keys(), setting


def test_every_sub_command_is_in_the_table() -> None:
    for name in typer.main.get_command(cli.app).commands:  # type: ignore[attr-defined]
        assert f"`faceshot {name}" in README, name


def test_bundled_names_are_as_many_as_it_says() -> None:
    words = {6: "six", 7: "seven", 8: "eight", 9: "nine", 10: "ten"}
    assert f"{words[len(bundled_names())]} are bundled" in README
    assert "`talking`" in README and "talking" in bundled_clips()


def test_the_version_in_the_changes_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"**{project['version']}**" in README


def test_error_texts_of_the_table_stand_in_the_source() -> None:
    """Troubleshooting quotes what the program really says."""
    table = README.partition("## When something is wrong")[2].partition("\n## ")[0]
    source = "\n".join(path.read_text() for folder in ("faceshot", "live") for path in (ROOT / folder).rglob("*.py"))
    quotes = re.findall(r"^\| `([^`]+)`", table, re.M)
    assert len(quotes) >= 5
    for quote in quotes:
        for part in re.split(r"\s*…\s*|\s\d+\s*", quote):
            assert part in source, part
