"""The bodies of `faceshot character new` and `faceshot character edit`."""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path
from typing import Any, cast, get_args

from faceshot.assisted import parse_clicks
from faceshot.making import Made, Wish, make_character
from faceshot.matchers import MATCHERS, part_confidence
from faceshot.matte import MatteKind
from faceshot.shapes import KINDS
from faceshot.types import CharacterKind
from live.commands import OK, print_json
from live.config import Config
from live.errors import ConfigError, LiveError
from live.files import check_writable
from live.progress import stage_bars
from live.terminal import print_rows

__all__ = ["character_edit", "character_new", "wish"]

_UNSURE = 0.5


def wish(
    config: Config,
    landmarks: Path | None,
    clicks: str | None,
    matcher: str | None,
    kind: str | None,
    matte: str,
    threshold: float,
    keep_background: bool,
) -> Wish:
    """The options of `faceshot character new`, checked. Raises `ConfigError` for words that mean nothing."""
    from live.build import matcher_options

    for what, word, words in (
        ("--kind", kind, KINDS),
        ("--matte", matte, get_args(MatteKind)),
        ("--matcher", matcher, tuple(MATCHERS)),
    ):
        if word is not None and word not in words:
            near = difflib.get_close_matches(word, words, 1)
            guess = f"Did you mean {near[0]}? " if near else ""
            raise ConfigError(f"{what} {word} is not possible.", f"{guess}There are: {', '.join(words)}.")
    return Wish(
        landmarks=landmarks,
        clicks=parse_clicks(clicks) if clicks is not None else None,
        matcher=matcher,
        kind=cast(CharacterKind | None, kind),
        matte=cast(MatteKind, matte),
        threshold=threshold,
        keep_background=keep_background,
        models=config.models.folder,
        diffusion=matcher_options(config),
    )


def character_new(image: Path, out: Path | None, wish: Wish, overwrite: bool, as_json: bool) -> int:
    """Make a character file of a picture; say which matcher did it and how sure it is of each part."""
    from faceshot.character import write_character

    if image.suffix.lower() == ".faceshot":
        raise LiveError(f"{image.name} is a character already.", f"faceshot character edit {image}")
    path = out or image.with_suffix(".faceshot")
    if path.suffix.lower() != ".faceshot":
        raise LiveError(f"{path.name} does not end in .faceshot.", f"-o {path.with_suffix('.faceshot')}")
    if path.exists() and not overwrite:
        raise LiveError(f"{path} exists already.", "Replace it with --overwrite, or name another file with -o.")
    check_writable(path)
    try:
        with stage_bars() as progress:
            made = make_character(image, wish, progress)
    except KeyboardInterrupt:
        print(f"Stopped: {path} was not written.{_begun()}", file=sys.stderr)
        raise
    write_character(made.character, path)
    if as_json:
        print_json(_facts(made, path))
    else:
        _report(made, path)
    return OK


def _begun() -> str:
    """Whether a stopped run has left something to go on with."""
    from faceshot.gallery_build import galleries_folder

    kept = any(galleries_folder().glob(".*.parts"))
    return " The matcher's gallery so far is kept: the same command goes on there." if kept else ""


def _facts(made: Made, path: Path) -> dict[str, Any]:
    return {
        "file": str(path),
        "name": made.character.name,
        "kind": made.character.kind,
        "size_wh": list(made.character.size_wh),
        "matcher": made.landmarks.matcher,
        "parts": {name: round(sure, 2) for name, sure in part_confidence(made.landmarks).items()},
        "outside": _outside(made),
        "background": made.background,
        "not_used": {attempt.matcher: attempt.outcome for attempt in made.attempts},
    }


def _report(made: Made, path: Path) -> None:
    parts = part_confidence(made.landmarks)
    rows: list[tuple[str, ...]] = [
        ("character", f"{made.character.name}, {made.character.kind}"),
        ("matcher", made.landmarks.matcher),
    ]
    rows += [(f"  not {attempt.matcher}", attempt.outcome) for attempt in made.attempts]
    rows += [
        (f"  {name}", f"{sure:4.0%} sure" + ("  look at it" if sure < _UNSURE else "")) for name, sure in parts.items()
    ]
    if outside := _outside(made):
        said = "1 point lies" if outside == 1 else f"{outside} points lie"
        rows.append(("  outside", f"{said} outside the picture"))
    rows.append(("background", made.background))
    print_rows(rows)
    print(f"\n{path}")
    print(f"  on air: faceshot live {path}\n  to put points right: faceshot character edit {path}")


def _outside(made: Made) -> int:
    points = made.character.points_xy[made.character.visible]
    return int(((points < 0) | (points > made.character.size_wh)).any(axis=1).sum())


def character_edit(file: str, port: int, open_browser: bool) -> int:
    """Serve the landmark editor on one character until Ctrl-C."""
    import asyncio

    from live.server.edit_serve import edit

    path = os.path.expanduser(file)
    spec = os.path.abspath(path) if os.path.isfile(path) else file
    try:
        asyncio.run(edit(spec, port, open_browser))
    except KeyboardInterrupt:
        print("", file=sys.stderr)
    return OK
