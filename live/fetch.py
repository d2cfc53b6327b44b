"""`faceshot models pull`: the only place that downloads anything. A file appears whole and checked, or not at all."""

from __future__ import annotations

import json
import os
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from faceshot.matching_files import Listing
from faceshot.weights import Entry, verify
from live.errors import LiveError

__all__ = ["fetch", "list_hub"]

_CHUNK_BYTES = 256 * 1024
_TIMEOUT_S = 30.0


def fetch(
    entry: Entry,
    folder: Path,
    progress: Callable[[int], None] = lambda done: None,
    opener: Callable[[str], IO[bytes] | Any] = lambda url: urllib.request.urlopen(url, timeout=_TIMEOUT_S),
) -> Path:
    """Download one model file into `folder` and compare it with the manifest before it gets its name.

    Args:
        progress: called with the bytes that have arrived so far.
        opener: opens the address; what it gives is read in chunks.

    Raises:
        LiveError: no network, no room, or not the file that the manifest promises.
    """
    target = folder / entry.file
    by_hand = f"Fetch {entry.url} by hand and put it at {target}"
    part: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=target.parent, prefix=f".{target.name}.", suffix=".part", delete=False
        ) as out:
            part = Path(out.name)
            with opener(entry.url) as answer:
                done = 0
                while chunk := answer.read(_CHUNK_BYTES):
                    done += len(chunk)
                    if done > entry.size_range[1]:
                        break  # never fill the disk with something else
                    out.write(chunk)
                    progress(done)
        state = verify(entry, part) if done <= entry.size_range[1] else "wrong size"
        if state != "ok":
            raise LiveError(f"What came for {entry.file} is not the promised file: {state} ({done} bytes).", by_hand)
        part.chmod(0o644)
        os.replace(part, target)
    except OSError as error:  # URLError and timeouts included
        reason = getattr(error, "reason", None) or error.strerror or error
        raise LiveError(f"{entry.file} could not be fetched into {folder}: {reason}.", by_hand) from None
    finally:
        if part is not None:
            part.unlink(missing_ok=True)
    return target


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
