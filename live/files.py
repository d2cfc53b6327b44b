"""Files that are written whole or not at all: measurements, what is kept of a user, and secrets that only their owner
may read."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from live.errors import LiveError

__all__ = ["check_new", "check_writable", "config_folder", "write_json", "write_private"]


def config_folder() -> Path:
    """Where this user's settings live; it need not be there yet."""
    if sys.platform == "win32":
        base = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return base / "faceshot"


def check_writable(path: Path) -> None:
    """Refuse a place where no file can be made, before any work is done for it. Raises `LiveError`."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise LiveError(f"Cannot write {path}: there is no such folder.", f"mkdir -p {path.parent}")
    if path.is_dir():
        raise LiveError(f"Cannot write {path}: it is a folder.", "Give the name of a file in it.")
    if not os.access(folder, os.W_OK):
        raise LiveError(f"Cannot write {path}: its folder is not writable.", "Name a file in another folder.")


def check_new(path: Path) -> None:
    """Refuse a place that is taken, too: nothing says that what is there may go. Raises `LiveError`."""
    if path.exists():
        raise LiveError(f"{path} exists already.", "Name another file, or take it away.")
    check_writable(path)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file, whole or not at all. Raises `LiveError`."""
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.absolute().parent, prefix=f".{path.name}.", suffix=".part", delete=False
        ) as file:
            temporary = file.name
            json.dump(value, file, indent=1)
            file.write("\n")
        os.chmod(temporary, 0o644)  # temporary files are made private
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise LiveError(f"Cannot write {path}: {error.strerror or error}.", "Name a file in another folder.") from None


def write_private(path: Path, data: bytes) -> None:
    """Write a file that its owner alone may read (0600), whole or not at all. Raises `OSError`."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")  # made with 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
