"""`faceshot models pull`: the only place that downloads anything. A file appears whole and checked, or not at all.

What arrived before a connection broke, or before Ctrl-C, is kept beside it where the server can send the rest.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any

from faceshot.matching_files import Listing
from faceshot.weights import Entry, verify
from live.errors import LiveError
from live.partial import Opener, Partial, PartialInUse

__all__ = ["fetch", "list_hub"]

_TIMEOUT_S = 30.0
_TRIES = 8


def _open(request: urllib.request.Request) -> Any:
    return urllib.request.urlopen(request, timeout=_TIMEOUT_S)


def fetch(
    entry: Entry, folder: Path, progress: Callable[[int], None] = lambda done: None, opener: Opener = _open
) -> Path:
    """Download one model file into `folder` and compare it with the manifest before it gets its name.

    Args:
        progress: called with the bytes that are there so far, those of an earlier try included.

    Raises:
        LiveError: no network, no room, or not the file that the manifest promises.
    """
    target = folder / entry.file
    by_hand = f"Fetch {entry.url} by hand and put it at {target}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with Partial(target, entry.url, blind=bool(entry.sha256)) as part:
            _receive(entry, part, progress, opener, by_hand)
            part.become(target)
    except PartialInUse as used:
        raise LiveError(f"{entry.file} is being fetched already ({used}).", "Wait for the other program.") from None
    except (OSError, HTTPException) as error:  # URLError and timeouts included
        raise LiveError(f"{entry.file} could not be fetched into {folder}: {_why(error)}.", by_hand) from None
    return target


def _receive(entry: Entry, part: Partial, progress: Callable[[int], None], opener: Opener, by_hand: str) -> None:
    """Fill `part` until it is the promised file; tries that bring nothing new are the last."""
    for tries_left in reversed(range(_TRIES)):
        before = part.size
        why = "the connection ended early"
        try:
            whole = part.receive(opener, entry.size_range[1], progress)
        except (OSError, HTTPException) as error:
            if not part.kept:
                raise
            whole, why = False, _why(error)
        if not whole and part.kept:
            if tries_left and part.size > before:
                continue
            raise LiveError(
                f"{entry.file} could not be fetched: {why} after {part.size / 1e6:.1f} of {entry.size / 1e6:.1f} MB.",
                "What has come is kept: the same command goes on there.",
            )
        state = verify(entry, part.path)
        if state == "ok":
            return
        size, again = part.size, part.resumed and tries_left
        part.empty()
        if not again:  # else two halves that do not fit: once more from the beginning
            raise LiveError(f"What came for {entry.file} is not the promised file: {state} ({size} bytes).", by_hand)


def _why(error: Exception) -> str:
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error)


def list_hub(
    listing: Listing,
    opener: Callable[[str], IO[bytes] | Any] = lambda url: urllib.request.urlopen(url, timeout=_TIMEOUT_S),
) -> list[Entry]:
    """The files of a repository that the manifest cannot know, as its hub lists them now.

    Raises:
        LiveError: no network, or nothing of use in the answer.
    """
    url = f"https://huggingface.co/api/models/{listing.repo}/tree/main?recursive=true"
    by_hand = f"See https://huggingface.co/{listing.repo}; its files belong into the folder {listing.folder}."
    try:
        with opener(url) as answer:
            rows = json.loads(answer.read(8 << 20))
        entries = [_listed(listing, row) for row in rows if _is_wanted(listing, row)]
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or error
        raise LiveError(f"The files of {listing.repo} could not be listed: {reason}.", by_hand) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LiveError(f"What {listing.repo} answered is no list of files ({error}).", by_hand) from None
    came = {entry.file.removeprefix(f"{listing.folder}/") for entry in entries}
    if lacking := [path for path in listing.paths if path not in came]:
        raise LiveError(f"{listing.repo} has no {', '.join(lacking)} (any more).", by_hand)
    if not entries:
        raise LiveError(f"{listing.repo} lists no files {listing.below}*{'/'.join(listing.suffixes)}.", by_hand)
    return entries


def _is_wanted(listing: Listing, row: dict[str, Any]) -> bool:
    path = row["path"]
    safe = ".." not in path.split("/") and not path.startswith("/") and "\\" not in path
    wanted = row["type"] == "file" and path.startswith(listing.below) and path.endswith(listing.suffixes)
    wanted = wanted and (not listing.paths or path in listing.paths)
    return bool(wanted and safe and 0 < row["size"] <= listing.most_bytes)


def _listed(listing: Listing, row: dict[str, Any]) -> Entry:
    return Entry(
        kind=listing.kind,
        file=f"{listing.folder}/{row['path']}",
        url=f"https://huggingface.co/{listing.repo}/resolve/main/{row['path']}",
        size=int(row["size"]),
        sha256=str((row.get("lfs") or {}).get("oid", "")),
        licence=listing.licence,
        needed_by=listing.needed_by,
    )
