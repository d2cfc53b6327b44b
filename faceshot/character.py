"""Characters: where they come from (bundled, a picture, a `.faceshot` file) and how they are kept.

A `.faceshot` file is a zip with

    character.json      {"schema_version": 1, "name": str, "kind": str, "landmarks": [[x, y] × 70],
                         "visible": [bool × 70], "provenance": {...}}
                        points in pixels of image.png, order of `faceshot.topology`
    image.png           the picture, RGBA
    arrays.safetensors  optional; named arrays that an animator cached

A picture becomes a character by itself when MediaPipe finds a face in it. For any other picture the landmarks are given
in a JSON file beside it, `NAME.landmarks.json` or `NAME.json`, with the keys of character.json, all optional but
`landmarks`: 68 points (iBUG order; the pupils are put in the middle of the eyes) or 70, in pixels of the upright
picture. The bare list of points is accepted too. A `NAME.json` without `landmarks` is something else and is left alone.
"""

from __future__ import annotations

import difflib
import io
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceshot import topology
from faceshot.archive import pack_arrays, read_archive, unpack_arrays, write_archive
from faceshot.driver import observe, own_rotation
from faceshot.errors import CharacterFileError, LandmarkError, NoFace, PictureError
from faceshot.pictures import MIN_SIDE_PX, fit_within, flatten, read_picture
from faceshot.rest_pose import as_provenance
from faceshot.tracker import detect_face
from faceshot.types import Character, CharacterKind, Float32, UInt8

__all__ = [
    "Summary",
    "bundled_names",
    "bundled_summaries",
    "character_from_picture",
    "check_landmarks",
    "open_character",
    "read_character",
    "read_landmarks",
    "resize",
    "summary_of",
    "write_character",
]

SCHEMA_VERSION = 1
SCALE_FREE = "scale_free."
"""How the names of arrays begin that are about the character at any size."""
# No animator shows more than 1024 pixels; twice that leaves room for zooming in and keeps memory small.
MAX_SIDE_PX = 2048
_MEGABYTE = 1 << 20
_REQUIRED = {"character.json": _MEGABYTE, "image.png": 32 * _MEGABYTE}
_OPTIONAL = {"arrays.safetensors": 128 * _MEGABYTE}
_REMAKE = "Make the character again from its picture, or get a fresh copy of the file."
_LANDMARKS_FORM = (
    'It should read {"landmarks": [[x, y], ...]} with 68 or 70 points (or the 98 of WFLW) in pixels of the picture.'
)
_ASSETS = Path(__file__).parent / "assets" / "characters"
_FIRST = "mika"  # the default character, so it is also the first one on offer


def bundled_names() -> tuple[str, ...]:
    """Names of the characters that come with the program, the default one first."""
    names = sorted(path.stem for path in _ASSETS.glob("*.faceshot"))
    return tuple(sorted(names, key=lambda name: name != _FIRST))


class Summary(NamedTuple):
    """What a list of characters shows.

    Attributes:
        spec: what `open_character` takes.
        name: for people.
        kind: see `faceshot.types.CharacterKind`.
    """

    spec: str
    name: str
    kind: str


def bundled_summaries() -> tuple[Summary, ...]:
    """The bundled characters without their pictures, whose decoding takes most of the time of opening one."""
    summaries = []
    for spec in bundled_names():
        about = json.loads(_entries(_ASSETS / f"{spec}.faceshot", spec)["character.json"])
        summaries.append(Summary(spec, about["name"], about["kind"]))
    return tuple(summaries)


def summary_of(path: Path) -> Summary:
    """What a list shows of a character file. Raises `CharacterFileError` when it is damaged."""
    try:
        about = json.loads(_entries(path, path.name)["character.json"])
        name = "".join(c for c in about["name"][:100] if c.isprintable())
        return Summary(str(path), name, str(about["kind"]))
    except _BAD_CONTENT as bad:
        raise CharacterFileError(f"{path.name} is damaged: {_reason(bad)}.", _REMAKE) from bad


def open_character(spec: str, folder: Path | None = None, *, calibrate: bool = True) -> Character:
    """The character that a user means.

    Args:
        spec: a bundled name, the path of a `.faceshot` file, or the path of a picture.
        folder: where model files are (see `faceshot.weights.find`).
        calibrate: measure how trackers read a picture (`faceshot.calibration`), which takes some seconds; character
            files are as they were made.

    Raises:
        CharacterFileError: no such character, a damaged file, or bad manual landmarks.
        PictureError: the picture cannot be read; `NoFace` when no face was found in it.
    """
    if spec in bundled_names():
        return read_character(_ASSETS / f"{spec}.faceshot")
    path = Path(spec).expanduser()
    if not os.path.isfile(path):  # Path.is_file raises for a name that is too long
        raise _unknown(spec)
    if path.suffix.lower() == ".faceshot":
        return read_character(path)
    rgba = read_picture(path, path.name)
    for manual in (path.with_suffix(".landmarks.json"), path.with_suffix(".json")):
        if manual.is_file() and (about := _read_manual(manual)) is not None:
            return _from_manual(rgba, path.stem, about, manual.name)
    made = character_from_picture(rgba, path.stem, folder)
    if not calibrate:
        return made
    from faceshot.calibration import calibrated

    return calibrated(made, folder)


def _unknown(spec: str) -> CharacterFileError:
    names = bundled_names()
    nearest = difflib.get_close_matches(spec.lower(), names, 1)
    is_path = "/" in spec or "\\" in spec or Path(spec).suffix
    what = f"There is no file {spec}." if is_path else f"There is no character {spec!r}."
    if os.path.isdir(spec):
        what = f"{spec} is a folder, not a character."
    did_you_mean = f"Did you mean {nearest[0]}? " if nearest else ""
    return CharacterFileError(
        what, f"{did_you_mean}Give a picture, a .faceshot file or one of: {', '.join(names) or '(none bundled)'}."
    )


def character_from_picture(rgba: UInt8, name: str, folder: Path | None = None) -> Character:
    """Make a character of a picture in which MediaPipe finds a face.

    Args:
        rgba: (H, W, 4) uint8, straight alpha; scaled down to `MAX_SIDE_PX`.
        name: the character's name.
        folder: where model files are.

    Raises:
        NoFace: with a hint how to place the landmarks by hand.
    """
    rgba = fit_within(rgba, MAX_SIDE_PX)
    state = detect_face(_opaque(rgba), folder)
    if state.points_xyz is None:
        raise NoFace(
            f"No face was found in {name}.",
            "Seven clicks in the landmark editor make a character of it: faceshot character edit PICTURE. Or by hand: "
            f'{name}.json beside it, {{"landmarks": [[x, y], ...]}} with 68 (iBUG order) or 70 points in pixels.',
        )
    made: dict[str, Any] = {"matcher": "mediapipe", "confidence": round(state.confidence, 3)}
    seen = observe(state)
    if seen is not None:
        made |= as_provenance(own_rotation(seen))
    return Character(
        name=name,
        rgba=rgba,
        points_xy=np.ascontiguousarray(state.points_xyz[topology.MEDIAPIPE_TO_70, :2]),
        visible=np.ones(topology.N_POINTS, bool),
        kind="human",
        provenance={"landmarks": made},
    )


def _opaque(rgba: UInt8) -> UInt8:
    """What the detector sees of a cut-out: mid-grey behind it, since black would hide dark hair."""
    return flatten(rgba, (128, 128, 128))


def _read_manual(path: Path) -> dict[str, Any] | None:
    """The content of a landmarks file; None when it is about something else."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as bad:
        raise CharacterFileError(f"{path} cannot be read: {bad.strerror or bad}.", "Check its name.") from bad
    except (ValueError, RecursionError) as bad:
        raise CharacterFileError(f"{path} is not a readable JSON file ({bad}).", "Correct it or move it away.") from bad
    about = {"landmarks": content} if isinstance(content, list) else content
    if isinstance(about, dict) and ("landmarks" in about or path.name.endswith(".landmarks.json")):
        return about
    return None


class HandMade(NamedTuple):
    """Landmarks from a file.

    Attributes:
        points_xy: (70, 2) float32, pixels of the upright picture.
        visible: (70,) bool.
        kind: what the file says the character is; None when it says nothing.
    """

    points_xy: Float32
    visible: NDArray[np.bool_]
    kind: CharacterKind | None


def read_landmarks(path: Path, size_wh: tuple[int, int]) -> HandMade:
    """Landmarks that somebody placed by hand, from a JSON file as the head of this module describes it.

    Raises:
        LandmarkError: what is wrong with the file, and how it should read.
    """
    try:
        about = _read_manual(path)
    except CharacterFileError as error:
        raise LandmarkError(error.message, _LANDMARKS_FORM) from error
    if about is None:
        raise LandmarkError(f"{path.name} has no `landmarks`.", _LANDMARKS_FORM)
    return check_landmarks(about, size_wh, path.name)


def check_landmarks(about: Mapping[str, Any], size_wh: tuple[int, int], name: str) -> HandMade:
    """Landmarks as JSON holds them: `landmarks`, and `visible` and `kind` if they are there.

    Args:
        size_wh: of the picture that they are for.
        name: what messages call them.

    Raises:
        LandmarkError: what is wrong with them.
    """
    rgba = np.zeros((size_wh[1], size_wh[0], 4), np.uint8)
    try:
        made = _build({**about, "name": name, "provenance": {}}, rgba, {})
    except _BAD_CONTENT as bad:
        raise LandmarkError(f"{name} cannot be used: {_reason(bad)}.", _LANDMARKS_FORM) from bad
    return HandMade(made.points_xy, made.visible, made.kind if "kind" in about else None)


def _from_manual(rgba: UInt8, name: str, about: Mapping[str, Any], file: str) -> Character:
    defaults = {"name": name, "provenance": {"landmarks": {"matcher": "manual"}}}
    try:
        character = _build({**defaults, **about}, rgba, {})
    except _BAD_CONTENT as bad:
        raise CharacterFileError(
            f"{file} cannot be used: {_reason(bad)}.",
            _LANDMARKS_FORM,
        ) from bad
    return _scaled(character, fit_within(rgba, MAX_SIDE_PX))


def resize(character: Character, max_side_px: int) -> Character:
    """The character with its longest side at most `max_side_px`; smaller ones are returned as they are.

    Cached arrays are dropped, as they belong to the old size, but for those named `SCALE_FREE`.
    """
    return _scaled(character, fit_within(character.rgba, max_side_px))


def _scaled(character: Character, rgba: UInt8) -> Character:
    """`character` with `rgba`, a scaled version of its picture, and the landmarks to match.

    Convention: coordinate x lies between pixel columns, 0 at the left edge of the picture and W at its right edge.
    """
    if rgba.shape == character.rgba.shape:
        return character
    factor = np.array([rgba.shape[1], rgba.shape[0]], np.float32) / np.array(character.size_wh, np.float32)
    arrays = {name: array for name, array in character.arrays.items() if name.startswith(SCALE_FREE)}
    return replace(character, rgba=rgba, points_xy=character.points_xy * factor, arrays=arrays)


def write_character(character: Character, path: str | Path) -> None:
    """Write a `.faceshot` file in one step: `path` is either untouched or complete.

    Raises:
        CharacterFileError: the picture is larger than `MAX_SIDE_PX`, or the file cannot be written.
    """
    if max(character.size_wh) > MAX_SIDE_PX:
        width, height = character.size_wh
        raise CharacterFileError(
            f"{character.name} is {width}×{height}, at most {MAX_SIDE_PX} pixels a side can be kept in a file."
        )
    about = {
        "schema_version": SCHEMA_VERSION,
        "name": character.name,
        "kind": character.kind,
        "landmarks": [[round(float(x), 3), round(float(y), 3)] for x, y in character.points_xy],
        "visible": [bool(v) for v in character.visible],
        "provenance": dict(character.provenance),
    }
    png = io.BytesIO()
    Image.fromarray(character.rgba).save(png, "PNG", optimize=True)
    entries = {"character.json": json.dumps(about, indent=1).encode(), "image.png": png.getvalue()}
    if character.arrays:
        entries["arrays.safetensors"] = pack_arrays(character.arrays)
    write_archive(Path(path), entries, CharacterFileError)


def read_character(source: str | Path | bytes) -> Character:
    """Read a `.faceshot` file. Raises `CharacterFileError` for every damaged, hostile or unknown one."""
    source = source if isinstance(source, bytes) else Path(source)
    name = source.name if isinstance(source, Path) else "The character file"
    entries = _entries(source, name)
    arrays = {}
    if "arrays.safetensors" in entries:
        arrays = unpack_arrays(entries["arrays.safetensors"], name, CharacterFileError, _REMAKE)
    try:
        about = json.loads(entries["character.json"])
        version = about["schema_version"]
        if version == SCHEMA_VERSION:
            return _build(about, _decode_png(entries["image.png"]), arrays)
    except _BAD_CONTENT as bad:
        raise CharacterFileError(f"{name} is damaged: {_reason(bad)}.", _REMAKE) from bad
    raise CharacterFileError(
        f"{name} has schema version {version!r}, this program reads {SCHEMA_VERSION}.", "Update the program."
    )


def _entries(source: Path | bytes, name: str) -> dict[str, bytes]:
    return read_archive(source, name, required=_REQUIRED, optional=_OPTIONAL, error=CharacterFileError, remake=_REMAKE)


# What decoding damaged JSON, numbers, arrays and PNG data raises.
_BAD_CONTENT = (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError, PictureError)


def _reason(bad: BaseException) -> str:
    if isinstance(bad, KeyError):
        return f"{bad.args[0]!r} is missing"
    text = bad.message if isinstance(bad, PictureError) else str(bad)
    return text[:200].rstrip(".") or type(bad).__name__


def _decode_png(data: bytes) -> UInt8:
    if data[:8] != b"\x89PNG\r\n\x1a\n" or len(data) < 24:
        raise ValueError("its picture is no PNG")
    width, height = struct.unpack(">II", data[16:24])
    if max(width, height) > MAX_SIDE_PX or min(width, height) < MIN_SIDE_PX:
        raise ValueError(f"its picture is {width}×{height}, {MIN_SIDE_PX} to {MAX_SIDE_PX} a side are allowed")
    return read_picture(data, "its picture")


def _build(about: Mapping[str, Any], rgba: UInt8, arrays: Mapping[str, np.ndarray]) -> Character:
    """A character from the content of character.json. Raises ValueError, KeyError or TypeError when it is wrong."""
    points = _check_points(about["landmarks"], (rgba.shape[1], rgba.shape[0]))
    visible = about.get("visible", [True] * topology.N_POINTS)
    if not isinstance(visible, list) or len(visible) not in (68, 70) or not all(isinstance(v, bool) for v in visible):
        raise ValueError("`visible` must be a list of 70 times true or false")
    if len(visible) == 68:
        visible = [*visible, visible[36], visible[42]]
    kind: CharacterKind = about.get("kind", "human")
    if kind not in get_args(CharacterKind):
        raise ValueError(f"`kind` must be one of {', '.join(get_args(CharacterKind))}, got {kind!r}")
    name, provenance = about["name"], about["provenance"]
    if not isinstance(name, str) or not isinstance(provenance, dict):
        raise ValueError("`name` must be a text and `provenance` an object")
    # A file from somewhere must not write control sequences to the terminal.
    name = "".join(c for c in name[:100] if c.isprintable())
    return Character(name, rgba, points, np.array(visible), kind, provenance, arrays)


def _pairs(landmarks: Any) -> NDArray[np.float64]:
    """(n, 2) of a list of pairs of numbers; ValueError says which one is none."""
    if not isinstance(landmarks, list):
        raise ValueError(f"`landmarks` must be a list of pairs [x, y], got {type(landmarks).__name__}")
    for i, pair in enumerate(landmarks):
        if not isinstance(pair, list) or len(pair) != 2 or not all(type(v) in (int, float) for v in pair):
            raise ValueError(f"landmark {i} is {json.dumps(pair)[:40]}, not a pair of numbers [x, y]")
    return np.array(landmarks, np.float64).reshape(-1, 2)


def _check_points(landmarks: Any, size_wh: tuple[int, int]) -> Float32:
    points = _pairs(landmarks)
    if points.shape == (98, 2):
        points = points[topology.WFLW_TO_70].mean(axis=1)
    if points.shape not in ((68, 2), (70, 2)):
        raise ValueError(f"`landmarks` must be 68 or 70 pairs [x, y], or WFLW's 98, got {len(points)} pairs")
    size = np.array(size_wh)
    # Chins and brows may lie outside a tight picture, but not by more than its own size.
    outside = ~np.isfinite(points) | (points < -size) | (points > 2 * size)
    if outside.any():
        i = int(outside.any(axis=1).argmax())
        raise ValueError(
            f"landmark {i} at {points[i].tolist()} is far outside the picture ({size_wh[0]}×{size_wh[1]}, "
            f"at most {size_wh[0]} px beyond its left and right edges and {size_wh[1]} px beyond the others)"
        )
    if np.ptp(points, axis=0).min() < 8:
        raise ValueError("the landmarks span less than 8 pixels")
    if len(points) == 68:
        eyes = [points[list(topology.EYE_LEFT)], points[list(topology.EYE_RIGHT)]]
        points = np.concatenate([points, [eye.mean(axis=0) for eye in eyes]])
    return points.astype(np.float32)
