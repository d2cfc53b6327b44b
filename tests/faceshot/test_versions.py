"""Whatever happens while a character is saved over, there is always a whole one, and the old one is kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from faceshot import versions
from faceshot.character import read_character
from faceshot.errors import CharacterFileError
from tests.fakes import a_character


def test_the_first_save_keeps_nothing(tmp_path):
    path = tmp_path / "dot.faceshot"
    assert versions.save_version(a_character(), path) is None
    assert read_character(path).name == "dot" and versions.old_versions(path) == []


def test_each_save_keeps_the_one_before(tmp_path):
    path = tmp_path / "dot.faceshot"
    for grey in (10, 20, 30):
        versions.save_version(a_character(grey=grey), path)
    assert [one.name for one in versions.old_versions(path)] == ["dot.v1.faceshot", "dot.v2.faceshot"]
    greys = [int(read_character(one).rgba[0, 0, 0]) for one in (*versions.old_versions(path), path)]
    assert greys == [10, 20, 30]


def test_numbers_go_on_after_an_old_one_was_deleted(tmp_path):
    path = tmp_path / "dot.faceshot"
    for _ in range(3):
        versions.save_version(a_character(), path)
    (tmp_path / "dot.v1.faceshot").unlink()
    kept = versions.save_version(a_character(), path)
    assert kept is not None and kept.name == "dot.v3.faceshot"


def test_a_save_that_fails_changes_nothing(tmp_path):
    path = tmp_path / "dot.faceshot"
    versions.save_version(a_character(grey=10), path)
    before = path.read_bytes()
    too_large = replace(a_character(size_wh=(2100, 64)))
    with pytest.raises(CharacterFileError, match="2100×64"):
        versions.save_version(too_large, path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["dot.faceshot"]


def test_a_file_system_without_links_gets_a_copy(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    path = tmp_path / "dot.faceshot"
    versions.save_version(a_character(grey=1), path)
    kept = versions.save_version(a_character(grey=2), path)
    assert kept is not None and read_character(kept).rgba[0, 0, 0] == 1


def test_a_free_name_is_safe_and_free(tmp_path):
    (tmp_path / "cat.faceshot").touch()
    assert versions.free_path(tmp_path, "cat").name == "cat-2.faceshot"
    assert versions.free_path(tmp_path, "../../etc/passwd").parent == tmp_path
    assert versions.free_path(tmp_path, "///").name == "character.faceshot"
    assert versions.free_path(tmp_path, "猫 の").name == "猫 の.faceshot"


def test_own_folder_can_be_named(monkeypatch, tmp_path):
    monkeypatch.setenv("FACESHOT_CHARACTERS", str(tmp_path))
    assert versions.own_folder() == tmp_path
    monkeypatch.delenv("FACESHOT_CHARACTERS")
    assert versions.own_folder().name == "characters" and isinstance(versions.own_folder(), Path)


def test_own_characters_are_the_newest_whole_ones(monkeypatch, tmp_path):
    monkeypatch.setenv("FACESHOT_CHARACTERS", str(tmp_path))
    path = tmp_path / "dot.faceshot"
    for name in ("Old", "New"):
        versions.save_version(a_character(name), path)
    (tmp_path / "broken.faceshot").write_bytes(b"nothing")
    assert versions.own_characters() == ((str(path), "New", "human"),)
    monkeypatch.setenv("FACESHOT_CHARACTERS", str(tmp_path / "nowhere"))
    assert versions.own_characters() == ()
