"""Saving a character over an older one without losing it.

`miso.faceshot` is always the newest; what it was before is kept beside it as `miso.v1.faceshot`, `miso.v2.faceshot` ...
At no moment is there neither the old nor the new one.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

from faceshot.character import Summary, summary_of, write_character
from faceshot.errors import CharacterFileError
from faceshot.types import Character

__all__ = ["free_path", "old_versions", "own_characters", "own_folder", "save_version"]


def old_versions(path: Path) -> list[Path]:
    """Earlier versions of a character file, oldest first."""
    pattern = re.compile(re.escape(path.stem) + r"\.v(\d+)" + re.escape(path.suffix))
    try:
        found = [(int(match[1]), one) for one in path.parent.iterdir() if (match := pattern.fullmatch(one.name))]
    except OSError:
        return []
    return [one for _, one in sorted(found)]


def save_version(character: Character, path: Path) -> Path | None:
    """Write `path`, whole or not at all, and keep what was there.

    Returns:
        Where the old file is kept now; None when there was none.

    Raises:
        CharacterFileError: it cannot be written; everything is as it was.
    """
    if not os.path.lexists(path):
        write_character(character, path)
        return None
    older = old_versions(path)
    number = int(older[-1].stem.rpartition(".v")[2]) + 1 if older else 1
    kept = path.with_name(f"{path.stem}.v{number}{path.suffix}")
    try:
        _second_name(path, kept)
    except OSError as error:
        raise CharacterFileError(
            f"The old {path.name} cannot be kept as {kept.name}: {error.strerror or error}.",
            "Free space, or save under another name.",
        ) from None
    try:
        write_character(character, path)
    except BaseException:
        kept.unlink(missing_ok=True)
        raise
    return kept


def _second_name(path: Path, kept: Path) -> None:
    try:
        os.link(path, kept)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        shutil.copyfile(path, kept)


def own_folder() -> Path:
    """Where characters are saved that have no file yet; `FACESHOT_CHARACTERS` in the environment names another."""
    if named := os.environ.get("FACESHOT_CHARACTERS"):
        return Path(named).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return base / "faceshot" / "characters"


def free_path(folder: Path, name: str) -> Path:
    """A file in `folder` for a character called `name` that is not taken yet."""
    stem = re.sub(r"[^\w\- ]+", "-", name).strip("- ")[:60] or "character"
    taken = (folder / f"{stem}{tail}.faceshot" for tail in ("", *(f"-{n}" for n in range(2, 10_000))))
    return next(path for path in taken if not os.path.lexists(path))


def own_characters() -> tuple[Summary, ...]:
    """The newest version of each character that was saved into `own_folder`, for the list of characters."""
    try:
        files = sorted(own_folder().glob("*.faceshot"))
    except OSError:
        return ()
    found = []
    for path in files:
        if re.search(r"\.v\d+$", path.stem) or path.name.startswith("."):
            continue
        try:
            found.append(summary_of(path))
        except CharacterFileError:
            continue  # a damaged one is told about when it is opened, not in a list
    return tuple(found)
