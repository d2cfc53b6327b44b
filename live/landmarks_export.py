"""A driver's motion as the character's landmarks, for animators that are not ours (`faceshot landmarks`).

    out.npz, out.json   everything of each frame: points with and without the head's motion, head, lids, gaze, time
    out.npy             MOFA-Video: (1 + M, 68, 2) float32, row 0 the character at rest
    out.mp4             pose pictures as a video with the driver's frame rate and sound, frame for frame
    a folder            pose pictures 0000.png (at rest), 0001.png ..., landmarks.npy and picture.png, which they fit

Convention:
    Points are pixels of the character's picture, or, with a size S, of that picture in the middle of an S × S square
    whose sides repeat its border; other animators want squares, so npy and poses default to 512.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from faceshot.framing import letterbox
from faceshot.pictures import flatten
from faceshot.pose_drawings import STYLES, PoseStyle, draw_pose
from faceshot.puppeteer import MotionSettings, Puppeteer, best_neutral
from faceshot.types import Character, Drive, Float32
from live.errors import ConfigError, SinkError, SourceError
from live.files import check_writable
from live.performance import Performance, Progress, perform
from live.stages import Tracker
from live.video_writer import VideoWriter

__all__ = ["export_landmarks"]

SUFFIXES = (".npz", ".json", ".npy", ".mp4")
DEFAULT_SIZE = 512


def export_landmarks(
    character: Character,
    drive: str | Path,
    out: Path,
    make_tracker: Callable[[], Tracker],
    settings: MotionSettings | None = None,
    style: str = "mofa",
    size: int | None = None,
    overwrite: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> int:
    """Write the retargeted sequence; `out` appears only when it is whole.

    Args:
        out: its ending says what is written, see above.
        style: of pose pictures, a key of `pose_drawings.STYLES`.
        size: side of the square, or None.

    Returns:
        Frames of the driver.
    """
    _check(out, style, overwrite)
    performance = perform(drive, make_tracker, None, progress)
    neutral = best_neutral(performance.states)
    if neutral is None:
        raise SourceError(
            f"No face was found in any of the {len(performance.states)} frames of {drive}.",
            "Is it no human? --tracker matching follows dogs, puppets and drawings.",
        )
    puppeteer = Puppeteer(character, settings)
    puppeteer.use_neutral(neutral)
    drives = list(puppeteer.perform(performance.states, performance.dts_s))
    if out.suffix in (".npz", ".json"):
        _write_numbers(out, character, drives, performance, size)
    else:
        _write_for_animators(out, character, drives, performance, style, size or DEFAULT_SIZE, overwrite, progress)
    return len(drives)


def _check(out: Path, style: str, overwrite: bool) -> None:
    if style not in STYLES:
        raise ConfigError(f"There is no style {style!r}.", f"Styles are: {', '.join(STYLES)}.")
    if out.suffix and out.suffix not in SUFFIXES:
        raise SinkError(f"{out} ends in {out.suffix}.", f"Write {', '.join(SUFFIXES)}, or a folder (no ending).")
    if out.exists() and not overwrite:
        raise SinkError(f"{out} exists already.", "Replace it with --overwrite, or choose another name.")
    if out.suffix:
        check_writable(out)
    elif out.is_file():
        raise SinkError(f"{out} is a file.", "Poses go into a folder: choose another name.")
    elif out.is_dir() and any(out.iterdir()) and not (out / "landmarks.npy").is_file():
        raise SinkError(f"{out} holds other things.", "Choose a new folder; only one made by this command is replaced.")
    else:
        check_writable(out.with_suffix(".folder"))


def _write_numbers(
    out: Path, character: Character, drives: Sequence[Drive], performance: Performance, size: int | None
) -> None:
    fit = _fitting(character, size)
    times = [float((t - performance.pts[0]) * performance.time_base) for t in performance.pts]
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "points_xy": np.stack([fit(drive.points_xy) for drive in drives]),
        "expression_xy": np.stack([fit(drive.expression_xy) for drive in drives]),
        "rest_xy": fit(character.points_xy),
        "visible": character.visible,
        "head_rotation": np.stack([drive.head.rotation for drive in drives]),
        "head_translation": np.stack([drive.head.translation for drive in drives]),
        "head_scale": np.array([drive.head.scale for drive in drives], np.float32),
        "lids": np.stack([drive.lids for drive in drives]),
        "gaze": np.stack([drive.gaze for drive in drives]),
        "blendshapes": np.stack([drive.blendshapes for drive in drives]),
        "time_s": np.array(times, np.float64),
    }
    about = {
        "schema": "faceshot-landmarks/1",
        "character": character.name,
        "size_wh": [size, size] if size else list(character.size_wh),
        "fps": performance.fps,
        "face_found": [bool(state.found) for state in performance.states],
    }
    if out.suffix == ".json":
        values: dict[str, Any] = {key: _plain(array) for key, array in arrays.items()}
        data = (json.dumps({**about, **values}) + "\n").encode()
        _put(out, lambda path: path.write_bytes(data))
    else:
        _put(out, lambda path: _save_npz(path, {**arrays, "about": np.array(json.dumps(about))}))


def _plain(array: np.ndarray[Any, Any]) -> Any:
    return array.tolist() if array.dtype == bool else np.round(array.astype(np.float64), 4).tolist()


def _save_npz(path: Path, arrays: dict[str, np.ndarray[Any, Any]]) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _write_for_animators(
    out: Path,
    character: Character,
    drives: Sequence[Drive],
    performance: Performance,
    style: str,
    size: int,
    overwrite: bool,
    progress: Progress,
) -> None:
    fit = _fitting(character, size)
    rest = fit(character.points_xy)
    sequence = np.stack([fit(drive.points_xy) for drive in drives])
    table = np.ascontiguousarray(np.concatenate([rest[None], sequence])[:, :68], np.float32)
    chosen: PoseStyle = "aniportrait" if style == "aniportrait" else "mofa"

    def pose(points: Float32) -> np.ndarray[Any, Any]:
        return draw_pose(points, (size, size), chosen, character.visible)

    if out.suffix == ".npy":
        _put(out, lambda path: _save_npy(path, table))
    elif out.suffix == ".mp4":
        writer = VideoWriter(
            out, (size, size), performance.fps, performance.time_base, live=False, sound=performance.sound,
            overwrite=overwrite,
        )  # fmt: skip
        pts = performance.pts
        ends = [*pts[1:], pts[-1] + performance.interval_pts]
        try:
            for i, points in enumerate(sequence):
                writer.write(pose(points), pts[i], ends[i] - pts[i])
                progress("draw", i + 1, len(sequence))
        except BaseException:
            writer.discard()
            raise
        writer.finish()
    else:
        _write_folder(out, character, [rest, *sequence], table, size, pose, progress)


def _write_folder(
    out: Path,
    character: Character,
    sequence: Sequence[Float32],
    table: Float32,
    size: int,
    pose: Callable[[Float32], np.ndarray[Any, Any]],
    progress: Progress,
) -> None:
    part = Path(tempfile.mkdtemp(dir=out.absolute().parent, prefix=f".{out.name}.", suffix=".part"))
    try:
        for i, points in enumerate(sequence):
            Image.fromarray(pose(points)).save(part / f"{i:04d}.png")
            progress("draw", i + 1, len(sequence))
        Image.fromarray(letterbox(flatten(character.rgba, (255, 255, 255)), size).rgb).save(part / "picture.png")
        _save_npy(part / "landmarks.npy", table)
        part.chmod(0o755)  # temporary folders are made private
        if out.is_dir():
            shutil.rmtree(out)
        os.replace(part, out)
    except OSError as error:
        raise SinkError(f"Cannot write {out}: {error.strerror or error}.", "Name another folder.") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _save_npy(path: Path, table: Float32) -> None:
    with path.open("wb") as file:
        np.save(file, table, allow_pickle=False)


def _fitting(character: Character, size: int | None) -> Callable[[np.ndarray[Any, Any]], Float32]:
    """Points of the character's picture to points of what is written."""
    if size is None:
        return lambda points: np.asarray(points, np.float32)
    square = letterbox(np.zeros((*character.rgba.shape[:2], 3), np.uint8), size)
    return square.to_square


def _put(out: Path, write: Callable[[Path], object]) -> None:
    """A file whole or not at all."""
    part: Path | None = None
    try:
        handle, name = tempfile.mkstemp(dir=out.absolute().parent, prefix=f".{out.name}.", suffix=".part")
        os.close(handle)
        part = Path(name)
        write(part)
        part.chmod(0o644)
        os.replace(part, out)
    except OSError as error:
        raise SinkError(f"Cannot write {out}: {error.strerror or error}.", "Name a file in another folder.") from None
    finally:
        if part is not None:
            part.unlink(missing_ok=True)
