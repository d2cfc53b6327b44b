"""The card *Range* from show to show: what the performer's face reads as, and how far the character may go.

One small JSON file in the user's configuration folder, with the values that are not the usual ones:

    {"schema": "faceshot-range/1", "values": {"motion.range.left_shut": 0.21, "motion.limits.head": 0.7}}

Only what is changed in a show gets into it, never what a configuration file or `--set` says; these win.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from live.config import Config, with_changes
from live.errors import ConfigError, LiveError
from live.files import config_folder, write_json

__all__ = ["KEPT_KEYS", "KeptRange"]

_SCHEMA: Final = "faceshot-range/1"


def _on_card(config: Config) -> dict[str, object]:
    """Every value of the card by its dotted key."""
    motion = config.motion
    tables = {"range": motion.range.model_dump(), "limits": motion.limits.model_dump()}
    values = {f"motion.{table}.{name}": value for table, row in tables.items() for name, value in row.items()}
    return {**values, "motion.close_mouth": motion.close_mouth}


_USUAL: Final = _on_card(Config())
KEPT_KEYS: Final = frozenset(_USUAL)


class KeptRange:
    """Args:
    path: the file; by default `range.json` in the user's configuration folder.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or config_folder() / "range.json"

    def read(self) -> dict[str, object]:
        """Dotted keys and values, all of them possible; empty when nothing was ever kept.

        Raises:
            LiveError: the file cannot be read or something else is in it.
        """
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._unusable(error.strerror or str(error)) from None
        except (ValueError, RecursionError):
            raise self._unusable("it is not JSON") from None
        values = found.get("values") if isinstance(found, dict) and found.get("schema") == _SCHEMA else None
        if not isinstance(values, dict):
            raise self._unusable(f"it is not of schema {_SCHEMA}")
        if strange := sorted(set(values) - KEPT_KEYS):
            raise self._unusable(f"{strange[0]} is not kept here")
        try:
            with_changes(Config(), values)
        except ConfigError as error:
            raise self._unusable(error.message) from None
        return values

    def keep(self, changes: Mapping[str, object]) -> None:
        """Add these values of `KEPT_KEYS` to what is kept, whole or not at all; usual ones are kept by leaving them
        out, and with the last one the file goes. What was damaged is replaced. Blocks.

        Raises:
            LiveError: the file cannot be written.
        """
        try:
            before = self.read()
        except LiveError:
            before = {}
        chosen = _on_card(with_changes(Config(), {**before, **changes}))
        values = {key: value for key, value in chosen.items() if value != _USUAL[key]}
        try:
            if not values:
                self.path.unlink(missing_ok=True)
                return
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LiveError(
                f"The range cannot be kept in {self.path}: {error.strerror or error}.",
                "It holds for this show; make the folder writable for the next.",
            ) from None
        write_json(self.path, {"schema": _SCHEMA, "values": values})

    def _unusable(self, why: str) -> LiveError:
        return LiveError(
            f"The kept range in {self.path} is not used: {why}.",
            "Measure again on the card Range, which writes it anew, or delete the file.",
        )
