"""Motion clips: recorded `FaceState`s without any picture of the performer, in `NAME.motion` files.

A `.motion` file is a zip with `motion.json` (schema version, name, fps, size, provenance) and `arrays.safetensors`:

    points       (T, N, 3) int16, N = 70, 468 or 478: differences between frames in steps of `points_step_px` (the first
                 frame is a difference to 0), modulo 2^16; this packs to a third of the plain numbers
    confidence   (T,) float16, 0 where no face was found
    blendshapes  (T, 52) float16, optional
    head         (T, 4, 4) float32, optional
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from faceshot.archive import pack_arrays, read_archive, unpack_arrays, write_archive
from faceshot.errors import MotionClipError
from faceshot.types import N_BLENDSHAPES, CameraImage, FaceState, Float32, UInt8

__all__ = ["MotionClip", "bundled_clips", "open_clip", "read_clip", "record_clip", "write_clip"]

SCHEMA_VERSION = 1
MAX_FRAMES = 18_000  # ten minutes at 30 fps
POINT_COUNTS = (70, 468, 478)
_MEGABYTE = 1 << 20
_REQUIRED = {"motion.json": _MEGABYTE, "arrays.safetensors": 64 * _MEGABYTE}
_REMAKE = "Record the clip again, or get a fresh copy of the file."
_ASSETS = Path(__file__).parent / "assets" / "motions"
# A step is this part of the longer side of the frame: 1/16 px at 512, below the tracker's own jitter of about 0.1 px.
_STEPS_PER_SIDE = 8192


@dataclass(frozen=True, slots=True, eq=False)
class MotionClip:
    """Recorded motion.

    Attributes:
        name: shown to the user.
        fps: frames per second of `states`.
        states: one per frame; states of a clip that was read are made when they are asked for.
        provenance: who performed, who recorded, licence.
    """

    name: str
    fps: float
    states: Sequence[FaceState]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def duration_s(self) -> float:
        return len(self.states) / self.fps


@dataclass(frozen=True, slots=True, eq=False)
class _ArrayStates(Sequence[FaceState]):
    """States kept as the file has them: a minute of 478 points is 5 MB this way."""

    size_wh: tuple[int, int]
    has_depth: bool
    steps: NDArray[np.int16]
    step_px: float
    confidence: Float32
    blendshapes: Float32 | None
    head: Float32 | None

    def __len__(self) -> int:
        return len(self.confidence)

    @overload
    def __getitem__(self, index: int) -> FaceState: ...
    @overload
    def __getitem__(self, index: slice) -> list[FaceState]: ...
    def __getitem__(self, index: int | slice) -> FaceState | list[FaceState]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        confidence = float(self.confidence[index])
        if confidence <= 0.0:
            return FaceState.lost(self.size_wh)
        return FaceState(
            size_wh=self.size_wh,
            confidence=confidence,
            points_xyz=self.steps[index] * np.float32(self.step_px),
            has_depth=self.has_depth,
            blendshapes=None if self.blendshapes is None else self.blendshapes[index],
            head=None if self.head is None else self.head[index],
        )


def bundled_clips() -> tuple[str, ...]:
    """Names of the clips that come with the program."""
    return tuple(sorted(path.stem for path in _ASSETS.glob("*.motion")))


def open_clip(name_or_path: str) -> MotionClip:
    """A bundled clip by name, or a `.motion` file by path. Raises `MotionClipError`."""
    if name_or_path in bundled_clips():
        return read_clip(_ASSETS / f"{name_or_path}.motion")
    path = Path(name_or_path).expanduser()
    if os.path.isfile(path):
        return read_clip(path)
    bundled = ", ".join(bundled_clips())
    raise MotionClipError(
        f"There is no motion clip {name_or_path!r}.", f"Bundled are: {bundled}; or give a .motion file."
    )


def record_clip(
    name: str, frames: Iterable[UInt8], tracker: _Tracker, fps: float, provenance: Mapping[str, Any] | None = None
) -> MotionClip:
    """Track RGB frames (each (H, W, 3) uint8) into a clip; the tracker is reset first."""
    tracker.reset()
    states = [tracker.track(CameraImage(rgb), round(i * 1000 / fps)) for i, rgb in enumerate(frames)]
    return MotionClip(name, fps, states, provenance or {})


class _Tracker(Protocol):
    def track(self, image: CameraImage, timestamp_ms: int) -> FaceState: ...
    def reset(self) -> None: ...


def write_clip(clip: MotionClip, path: str | Path) -> None:
    """Write `clip` to `path` in one step. Crops are never written.

    Raises:
        MotionClipError: no face in any frame, frames that differ in what they know, or the file cannot be written.
    """
    found = [state for state in clip.states if state.found]
    if not found or any(state.points_xyz is None for state in found):
        raise MotionClipError(f"Clip {clip.name!r} has no frame with a face, or frames without points.")
    first = found[0]
    layout = {(s.size_wh, s.has_depth, len(s.points_xyz), s.blendshapes is None, s.head is None) for s in found}  # type: ignore[arg-type]
    if len(layout) != 1:
        raise MotionClipError(f"Clip {clip.name!r} mixes frames of different size, point count or content.")
    _check_length(len(clip.states), clip.fps, clip.name)

    step_px = max(first.size_wh) / _STEPS_PER_SIDE
    points = _stack(clip.states, lambda s: s.points_xyz)
    quantised = np.rint(points / step_px)
    if np.abs(quantised).max() > 32767:
        raise MotionClipError(f"Clip {clip.name!r} has points more than four frame sizes away from the frame.")
    arrays = {
        "points": np.diff(quantised.astype(np.int16), axis=0, prepend=np.int16(0)),
        "confidence": np.array([s.confidence if s.found else 0.0 for s in clip.states], np.float16),
    }
    if first.blendshapes is not None:
        arrays["blendshapes"] = _stack(clip.states, lambda s: s.blendshapes).astype(np.float16)
    if first.head is not None:
        arrays["head"] = _stack(clip.states, lambda s: s.head)
    about = {
        "schema_version": SCHEMA_VERSION,
        "name": clip.name,
        "fps": clip.fps,
        "size_wh": list(first.size_wh),
        "has_depth": first.has_depth,
        "points_step_px": step_px,
        "provenance": dict(clip.provenance),
    }
    entries = {"motion.json": json.dumps(about, indent=1).encode(), "arrays.safetensors": pack_arrays(arrays)}
    write_archive(Path(path), entries, MotionClipError)


def _stack(states: Sequence[FaceState], pick: Any) -> Float32:
    """Values of all frames; a lost frame repeats the one before it (differences of zero pack to nothing)."""
    values = [pick(state) if state.found else None for state in states]
    last = next(value for value in values if value is not None)
    rows = []
    for value in values:
        last = last if value is None else value
        rows.append(last)
    return np.stack(rows)


def read_clip(source: str | Path | bytes) -> MotionClip:
    """Read a `.motion` file. Raises `MotionClipError` for every damaged, hostile or unknown one."""
    source = source if isinstance(source, bytes) else Path(source)
    name = source.name if isinstance(source, Path) else "The motion clip"
    entries = read_archive(source, name, required=_REQUIRED, optional={}, error=MotionClipError, remake=_REMAKE)
    arrays = unpack_arrays(entries["arrays.safetensors"], name, MotionClipError, _REMAKE)
    try:
        about = json.loads(entries["motion.json"])
        version = about["schema_version"]
        if version != SCHEMA_VERSION:
            raise MotionClipError(
                f"{name} has schema version {version!r}, this program reads {SCHEMA_VERSION}.", "Update the program."
            )
        return _build(about, arrays, name)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as bad:
        raise MotionClipError(f"{name} is damaged ({type(bad).__name__}: {bad}).", _REMAKE) from bad


def _build(about: Mapping[str, Any], arrays: Mapping[str, np.ndarray], name: str) -> MotionClip:
    width, height = (int(side) for side in about["size_wh"])
    fps, step_px = float(about["fps"]), float(about["points_step_px"])
    if not (0 < width <= 16384 and 0 < height <= 16384 and 0 < step_px <= 16):
        raise ValueError(f"size {width}×{height} or step {step_px}")
    coded, confidence = arrays["points"], arrays["confidence"]
    frames = len(confidence)
    _check_length(frames, fps, name)
    _check_array("points", coded, np.int16, [(frames, n, 3) for n in POINT_COUNTS])
    _check_array("confidence", confidence, np.float16, [(frames,)])
    blendshapes, head = arrays.get("blendshapes"), arrays.get("head")
    if blendshapes is not None:
        _check_array("blendshapes", blendshapes, np.float16, [(frames, N_BLENDSHAPES)])
    if head is not None:
        _check_array("head", head, np.float32, [(frames, 4, 4)])
    states = _ArrayStates(
        size_wh=(width, height),
        has_depth=bool(about["has_depth"]),
        steps=np.cumsum(coded, axis=0, dtype=np.int16),
        step_px=step_px,
        confidence=confidence.astype(np.float32).clip(0, 1),
        blendshapes=None if blendshapes is None else blendshapes.astype(np.float32).clip(0, 1),
        head=None if head is None else head.astype(np.float32),
    )
    # A file from somewhere must not write control sequences to the terminal.
    title = "".join(c for c in str(about["name"])[:100] if c.isprintable())
    return MotionClip(title, fps, states, dict(about["provenance"]))


def _check_length(frames: int, fps: float, name: str) -> None:
    if not 1 <= frames <= MAX_FRAMES or not (math.isfinite(fps) and 1 <= fps <= 240):
        raise MotionClipError(
            f"{name} has {frames} frames at {fps:g} fps; allowed are 1 to {MAX_FRAMES} frames at 1 to 240 fps.", _REMAKE
        )


def _check_array(name: str, array: np.ndarray, dtype: type, shapes: list[tuple[int, ...]]) -> None:
    if array.dtype != dtype or array.shape not in shapes or not np.isfinite(array).all():
        raise ValueError(f"{name} is {array.dtype} {array.shape}, or not finite")
