"""Offline: the person in a video moves as the person in another one does (`faceshot render portrait.mp4 talk.mp4`).

Each frame of the portrait is paired with the driver's frame of the same time; the result ends with the shorter one and
has the driver's sound. A driving picture is one expression for the whole portrait.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from faceshot.animators.output import mirrored
from faceshot.driver import observe, reference_from
from faceshot.neutral import best_neutral
from faceshot.pictures import read_picture
from faceshot.rest_crops import rest_crops_of
from faceshot.types import CameraImage
from live.config import Config
from live.config_animators import PORTRAIT_VIDEO_KEYS, Table
from live.errors import SourceError
from live.kept_states import KeptStates
from live.performance import Progress
from live.render import Report
from live.sinks.canvas import Canvas
from live.stages import Tracker
from live.video_reader import VideoReader
from live.video_writer import VideoWriter, check_not_read, check_output

if TYPE_CHECKING:
    from faceshot.animators.liveportrait.keypoints import Motion
    from faceshot.animators.liveportrait.ratios import Ratios
    from faceshot.animators.liveportrait.video import VideoEditor

__all__ = ["VIDEO_SUFFIXES", "render_portrait_video", "unused_settings"]

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
VIDEO_SUFFIXES = (".mp4", ".webm", ".mov", ".mkv", ".avi", ".m4v")


def render_portrait_video(
    portrait: str | Path,
    drive: str | Path,
    out: Path,
    make_tracker: Callable[[], Tracker],
    make_editor: Callable[[], VideoEditor],
    overwrite: bool = False,
    progress: Progress = lambda stage, done, total: None,
    mirror: bool = False,
) -> Report:
    """Render `portrait` moved by `drive` into `out`.

    Args:
        portrait: a video file with one face.
        drive: another one, or a picture of a face.
        out: .mp4 or .webm; appears only when it is whole.
        make_tracker: a tracker that cuts crops; called once for each video.
        mirror: flip the pictures left to right.

    Raises:
        SourceError: a video cannot be read, or shows no face. SinkError: `out` cannot be written.
    """
    check_output(out, overwrite)
    check_not_read(out, "one of the videos", portrait, drive)
    editor = make_editor()
    starts_s = _track_portrait(portrait, make_tracker, editor, progress)
    still = Path(drive).suffix.lower() in PICTURE_SUFFIXES
    rest: list[Motion] = []
    if still:
        motions, openings = _look_at_picture(drive, make_tracker, editor)
        paired = [0] * len(starts_s)
    else:
        with closing(KeptStates(out.absolute().parent)) as states:
            motions, openings, at_s, rest = _track_driver(drive, make_tracker, editor, states, progress)
        paired = [_nearest(at_s, t_s) for t_s in starts_s if t_s <= at_s[-1] + 0.5 * _step(at_s)]
        motions, openings = [motions[i] for i in paired], [openings[i] for i in paired]
    with VideoReader(portrait) as reader:
        seen = [editor.see(i, reader.rgb(picture)) for i, picture in zip(range(len(paired)), reader, strict=False)]
    editor.drive(seen, motions, rest, openings)
    with VideoReader(portrait) as reader:
        sound = portrait if still else drive
        writer = VideoWriter(
            out, reader.size_wh, reader.fps, reader.time_base, live=False, sound=Path(sound), overwrite=overwrite
        )
        canvas = Canvas(reader.size_wh)
        interval_pts = max(1, round(reader.interval_ns / 1e9 / reader.time_base))
        try:
            for i, picture in zip(range(len(paired)), reader, strict=False):
                drawn = editor.draw(i, reader.rgb(picture))
                rgba = (mirrored(drawn) if mirror else drawn).rgba
                writer.write(canvas.rgba(rgba) if writer.takes_alpha else canvas.rgb(rgba), picture.pts, interval_pts)
                progress("draw", i + 1, len(paired))
        except BaseException:  # Ctrl-C too: nothing half-written stays behind
            writer.discard()
            raise
        writer.finish()
        return Report(len(paired), editor.with_face, len(paired) / reader.fps)


def unused_settings(config: Config) -> list[str]:
    """Keys that were changed and that a portrait video does not listen to, as `--set` writes them.

    Its crops are always around the face, one face is moved, what surrounds it stays, and motion goes from picture to
    picture without landmarks that could be scaled.
    """
    tables: list[tuple[str, Table, frozenset[str]]] = [
        ("motion", config.motion, frozenset()),
        ("output", config.output, frozenset({"mirror", "sinks", "fps"})),  # sinks and fps are of shows alone
        ("animator.liveportrait", config.animator.liveportrait, PORTRAIT_VIDEO_KEYS),
    ]
    return [
        f"{name}.{key}"
        for name, table, heard in tables
        for key, field in type(table).model_fields.items()
        if key not in heard and getattr(table, key) != field.default
    ]


def _track_portrait(
    portrait: str | Path, make_tracker: Callable[[], Tracker], editor: VideoEditor, progress: Progress
) -> list[float]:
    """Presentation times in seconds of the portrait's frames."""
    starts_s: list[float] = []
    with VideoReader(portrait) as reader:
        tracker = make_tracker()
        try:
            for i, picture in enumerate(reader):
                editor.track(tracker.track(CameraImage(reader.rgb(picture)), max(i, round(picture.t_ns / 1e6))))
                starts_s.append(picture.t_ns / 1e9)
                progress("track", i + 1, reader.frame_count)
        finally:
            tracker.close()
    if editor.with_face == 0:
        raise SourceError(
            f"No face was found in any of the {len(starts_s)} frames of {portrait}.",
            "Give a portrait in which one face is seen from the front, at least a tenth of the picture wide.",
        )
    editor.settle()
    return starts_s


def _track_driver(
    drive: str | Path,
    make_tracker: Callable[[], Tracker],
    editor: VideoEditor,
    states: KeptStates,
    progress: Progress,
) -> tuple[list[Motion], list[Ratios], list[float], list[Motion]]:
    """M and openings of every driving frame (a frame without a face holds the last one), their times, and M of the
    neutral pose."""
    if Path(drive).suffix == ".motion" or not Path(drive).suffix:
        raise SourceError(
            f"{drive} is a motion clip; a portrait video is driven by the pictures of a face.", "Give a video file."
        )
    motions: list[tuple[Motion, Ratios] | None] = []
    at_s: list[float] = []
    with VideoReader(drive) as reader:
        tracker = make_tracker()
        try:
            for i, picture in enumerate(reader):
                state = tracker.track(CameraImage(reader.rgb(picture)), max(i, round(picture.t_ns / 1e6)))
                open_by = editor.openings(state)
                both = None if state.crop is None or open_by is None else (editor.look(state.crop), open_by)
                motions.append(both)
                # Every fifth crop is plenty to find the neutral pose in.
                states.append(state if i % 5 == 0 else replace(state, crop=None))
                at_s.append(picture.t_ns / 1e9)
                progress("track", i + 1, reader.frame_count)
        finally:
            tracker.close()
    found = [motion for motion in motions if motion is not None]
    if not found:
        raise SourceError(
            f"No face was found in any of the {len(states)} frames of {drive}.",
            "Give a video in which one face is seen from the front, at least a tenth of the picture wide.",
        )
    held, whole = found[0], []
    for motion in motions:
        held = held if motion is None else motion
        whole.append(held)
    neutral = best_neutral(states.without_crops)
    calm = None if neutral is None else observe(neutral)
    rest = [] if calm is None else [editor.look(crop) for crop, _ in rest_crops_of(states, reference_from(calm))]
    return [motion for motion, _ in whole], [open_by for _, open_by in whole], at_s, rest


def _look_at_picture(
    drive: str | Path, make_tracker: Callable[[], Tracker], editor: VideoEditor
) -> tuple[list[Motion], list[Ratios]]:
    """M and openings of a driving picture."""
    rgb = np.ascontiguousarray(read_picture(Path(drive))[..., :3])
    tracker = make_tracker()
    try:
        state = tracker.track(CameraImage(rgb), 0)
    finally:
        tracker.close()
    openings = editor.openings(state)
    if state.crop is None or openings is None:
        raise SourceError(
            f"No face was found in {drive}.", "Give a picture of one face from the front, not cut off by its edge."
        )
    return [editor.look(state.crop)], [openings]


def _nearest(at_s: list[float], t_s: float) -> int:
    after = min(bisect.bisect_left(at_s, t_s), len(at_s) - 1)
    return after - 1 if after and t_s - at_s[after - 1] <= at_s[after] - t_s else after


def _step(at_s: list[float]) -> float:
    return at_s[-1] - at_s[-2] if len(at_s) > 1 else 1.0
