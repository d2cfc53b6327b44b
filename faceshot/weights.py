"""Every model file of the program: what it is, where it comes from, what needs it; finding and checking it.

Files are searched in the folder that `FACESHOT_MODELS` names, then in the configured folder, then in the user's cache.
Nothing is fetched here; `faceshot models pull` does that and nothing else does.
"""

from __future__ import annotations

import hashlib
import os
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal

from faceshot.errors import WeightsMissing
from faceshot.matching_files import REPOSITORIES

__all__ = [
    "DEFAULT_KINDS",
    "GROUPS",
    "MANIFEST",
    "Entry",
    "Status",
    "cache_folder",
    "ends_as_pth",
    "entry_of",
    "find",
    "need",
    "pull_command",
    "search_folders",
    "verify",
]

Status = Literal["missing", "ok", "wrong size", "wrong hash"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One model file.

    Attributes:
        kind: the word after `faceshot models pull`; files that are needed together share it.
        file: path below a models folder.
        url: where it is fetched from.
        size: bytes.
        sha256: lower-case hex; empty when its publisher states none, then only the size is checked.
        licence: SPDX name, or the licence's own.
        needed_by: which part of the program uses it, for the list.
        exact: whether `size` is; else the file may be a twentieth larger or smaller, and must end as its format does.
    """

    kind: str
    file: str
    url: str
    size: int
    sha256: str
    licence: str
    needed_by: str
    exact: bool = True

    @property
    def size_range(self) -> tuple[int, int]:
        """Least and greatest size in bytes that is believed."""
        return (self.size, self.size) if self.exact else (self.size * 19 // 20, self.size * 21 // 20)


_OLD_PTH: Final = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
"""A pickled number stands at the beginning of what PyTorch wrote before it took to zip files."""

_HUB: Final = "https://huggingface.co/KwaiVGI/LivePortrait/resolve/main"


def _liveportrait(file: str, size: int, kind: str, whose: str) -> Entry:
    """The publisher states neither sizes to the byte nor hashes; those here are of the networks, rounded."""
    return Entry(kind, file, f"{_HUB}/{file}", size, "", "MIT", f"animator liveportrait: {whose}", exact=False)


def _matching_entries() -> tuple[Entry, ...]:
    return tuple(
        Entry(
            kind=repository.kind,
            file=f"{repository.folder}/{path}",
            url=f"https://huggingface.co/{repository.repo}/resolve/{repository.revision}/{path}",
            size=size,
            sha256=sha256,
            licence=repository.licence,
            needed_by=repository.needed_by,
        )
        for repository in REPOSITORIES
        for path, size, sha256 in repository.files
    )


MANIFEST: Final[tuple[Entry, ...]] = (
    Entry(
        kind="face_landmarker",
        file="face_landmarker.task",
        url="https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/face_landmarker.task",
        size=3_758_596,
        sha256="64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff",
        licence="Apache-2.0",
        needed_by="tracker: blendshapes and head pose (the only tracker on Python 3.13 and newer)",
    ),
    *_matching_entries(),
    *(
        _liveportrait(f"liveportrait/{file}", size, "liveportrait", "people")
        for file, size in (
            ("base_models/appearance_feature_extractor.pth", 3_390_000),
            ("base_models/motion_extractor.pth", 112_600_000),
            ("base_models/spade_generator.pth", 221_900_000),
            ("base_models/warping_module.pth", 182_300_000),
        )
    ),
    _liveportrait(
        "liveportrait/retargeting_models/stitching_retargeting_module.pth",
        2_380_000,
        "liveportrait_small",
        "people and animals",
    ),
    *(
        _liveportrait(f"liveportrait_animals/base_models_v1.1/{file}", size, "liveportrait_animals", "animals")
        for file, size in (
            ("appearance_feature_extractor.pth", 3_390_000),
            ("motion_extractor.pth", 112_600_000),
            ("spade_generator.pth", 221_900_000),
            ("warping_module.pth", 182_300_000),
        )
    ),
)

GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "liveportrait": ("liveportrait", "liveportrait_small"),
    "liveportrait_animals": ("liveportrait_animals", "liveportrait_small"),
    "matching": ("sd15", "ip-adapter", "clip-h"),
    "matching-sd21": ("sd21", "clip-h", "faceshot-gallery"),
}
"""Words for several kinds that are needed together."""

DEFAULT_KINDS: Final = ("face_landmarker",)
"""What `faceshot models pull` fetches when no kind is named: a megabyte or two, never gigabytes unasked."""


def entry_of(file: str) -> Entry:
    """The manifest's entry of a file. Raises KeyError: such names are the programmer's, not the user's."""
    for entry in MANIFEST:
        if entry.file == file:
            return entry
    raise KeyError(f"{file} is not in the manifest.")


def search_folders(folder: Path | None = None) -> tuple[Path, ...]:
    """Where model files are looked for, in order; `folder` is the configured one. The first is where they are put."""
    named = os.environ.get("FACESHOT_MODELS")
    first = (Path(named).expanduser(),) if named else ()
    configured = (folder.expanduser(),) if folder else ()
    return (*first, *configured, cache_folder())


def cache_folder() -> Path:
    """The last place that is searched: the user's own cache."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "faceshot" / "models"


def find(file: str, folder: Path | None = None) -> Path | None:
    """The path of a model file that is at hand, or None."""
    for place in search_folders(folder):
        if (place / file).is_file():
            return place / file
    return None


def need(file: str, folder: Path | None = None) -> Path:
    """Like `find`, for what cannot go on without. Raises `WeightsMissing` with the command that fetches the file."""
    path = find(file, folder)
    if path is None:
        places = ", ".join(str(place) for place in search_folders(folder))
        raise WeightsMissing(f"The model file {file} is in none of: {places}.", f"Type: {pull_command(entry_of(file))}")
    return path


def pull_command(entry: Entry) -> str:
    return f"faceshot models pull {entry.kind}"


def ends_as_pth(path: Path) -> bool:
    """Whether a .pth file is not cut off, as far as can be seen without reading it: the list of contents stands at the
    end. Files of before PyTorch 1.6 have no such list; those are believed here, and read or refused later."""
    with path.open("rb") as file:
        return zipfile.is_zipfile(file) or _is_old_pth(file)


def _is_old_pth(file: BinaryIO) -> bool:
    file.seek(0)
    return file.read(len(_OLD_PTH)) == _OLD_PTH


def verify(entry: Entry, path: Path) -> Status:
    """Compare a file with what the manifest says of it; reads the whole file."""
    if not path.is_file():
        return "missing"
    least, most = entry.size_range
    if not least <= path.stat().st_size <= most:
        return "wrong size"
    if not entry.exact and entry.file.endswith(".pth") and not ends_as_pth(path):
        return "wrong size"  # cut off
    if entry.sha256:
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != entry.sha256:
                return "wrong hash"
    return "ok"
