"""Measurements on disk: whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from live.errors import LiveError

__all__ = ["check_folder", "write_json"]


def check_folder(path: Path) -> None:
    """Refuse a file in a folder that does not exist, before any work is done for it. Raises `LiveError`."""
    if not path.absolute().parent.is_dir():
        raise LiveError(f"Cannot write {path}: there is no such folder.", f"mkdir -p {path.parent}")


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
