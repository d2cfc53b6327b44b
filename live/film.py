"""Offline, for animators that draw a clip as a whole and take long for it: `faceshot render --animator svd`.

What is done is kept in a folder beside the output (`OUT.film`), so that the same command goes on after a stop; the
folder goes when the output is whole.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from faceshot.animators.output import mirrored
from faceshot.puppeteer import MotionSettings
from faceshot.types import Character
from live.clock import MonotonicClock
from live.errors import SourceError
from live.performance import Performance, Progress
from live.render import Report, prepare
from live.sinks.canvas import Canvas, parse_background
from live.stages import Tracker
from live.video_writer import VideoWriter, check_not_read, check_output

if TYPE_CHECKING:
    from faceshot.animators.svd.film import Film
    from faceshot.animators.svd.quality import SvdQuality

__all__ = ["film_folder", "render_film"]

_LONG_S: Final = 600.0
_UNITS: Final = 4
"""So many steps of a window are timed for an estimate."""


def film_folder(out: Path) -> Path:
    """Where a film is kept until `out` is whole."""
    return out.with_name(out.name + ".film")


def render_film(
    character: Character,
    drive: str | Path,
    out: Path,
    make_tracker: Callable[[], Tracker],
    painter: SvdQuality,
    settings: MotionSettings | None = None,
    background: str = "transparent",
    overwrite: bool = False,
    progress: Progress = lambda stage, done, total: None,
    mirror: bool = False,
    say: Callable[[str], None] = lambda text: None,
    now_ns: Callable[[], int] | None = None,
) -> Report:
    """Render `drive` performed by `character` into `out`, or go on with it: every frame once, with the driver's sound.

    Args:
        painter: loaded here, left to the caller to close.
        say: is told what a user should know on the way: what goes on, and how long it will take.
        now_ns: monotonic time, for that estimate.
        Others: see `live.render.render`.

    Raises:
        SourceError, MotionClipError: the driver cannot be read, or no frame of it shows a face.
        SinkError: `out` cannot be written. DeviceError: too little memory.
    """
    check_output(out, overwrite)
    check_not_read(out, "the driver", drive)
    backdrop = parse_background(background)
    painter.load(character, progress)
    if not painter.on_gpu:
        say("This computes on the CPU: with the published weights a second of video takes hours.")
    performance, puppeteer = prepare(character, drive, make_tracker, None, settings, progress)
    points_xy = np.stack([drive.points_xy for drive in puppeteer.perform(performance.states, performance.dts_s)])
    film = painter.open_film(points_xy, film_folder(out))
    if film.started_over:
        say(f"{film.folder} held a film of something else: it is begun anew.")
    elif film.state is not None:
        say(f"Going on with {film.folder}: {film.finished} of {len(points_xy)} frames are denoised.")
    points, frames = painter.beyond_reach(film)
    if points:
        say(
            f"In {frames} of {len(points_xy)} frames landmarks move further than the adapter can say (66 px at 512): "
            f"{points} are held back. A character that fills less of its picture moves fewer pixels."
        )
    timed = _Timed(progress, say, now_ns or MonotonicClock().now_ns)
    try:
        _write(
            performance, painter, film, out, character, Canvas(character.size_wh, backdrop), overwrite, timed, mirror
        )
    except BaseException:
        film.close()
        say(f"What is done is kept in {film.folder}: the same command goes on where it was.")
        raise
    film.discard()
    length_pts = performance.pts[-1] - performance.pts[0] + performance.interval_pts
    found = sum(state.found for state in performance.states)
    return Report(len(performance.states), found, float(length_pts * performance.time_base))


def _write(
    performance: Performance,
    painter: SvdQuality,
    film: Film,
    out: Path,
    character: Character,
    canvas: Canvas,
    overwrite: bool,
    progress: Progress,
    mirror: bool,
) -> None:
    pts = performance.pts
    ends = [*pts[1:], pts[-1] + performance.interval_pts]
    writer: VideoWriter | None = None
    try:
        for i, picture in enumerate(painter.draw(film, progress)):
            if writer is None:  # hours may have passed before there is a first picture
                writer = VideoWriter(
                    out,
                    character.size_wh,
                    performance.fps,
                    performance.time_base,
                    live=False,
                    sound=performance.sound,
                    overwrite=overwrite,
                )
            rgba = (mirrored(picture) if mirror else picture).rgba
            writer.write(canvas.rgba(rgba) if writer.takes_alpha else canvas.rgb(rgba), pts[i], ends[i] - pts[i])
    except BaseException:  # Ctrl-C too: nothing half-written stays behind
        if writer is not None:
            writer.discard()
        raise
    if writer is None:
        raise SourceError("The driver has no frames.", "Give a video or a motion clip with at least one.")
    writer.finish()


class _Timed:
    """Passes progress on, and says once how long denoising will take when that is long."""

    def __init__(self, progress: Progress, say: Callable[[str], None], now_ns: Callable[[], int]) -> None:
        self._progress, self._say, self._now_ns = progress, say, now_ns
        self._first: tuple[int, int] | None = None
        self._said = False

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        self._progress(stage, done, total)
        if stage != "denoise" or total is None or self._said:
            return
        now_ns = self._now_ns()
        if self._first is None:
            self._first = done, now_ns
            return
        if done < min(total, self._first[0] + _UNITS):
            return
        self._said = True
        left_s = (now_ns - self._first[1]) / 1e9 / max(1, done - self._first[0]) * (total - done)
        if left_s > _LONG_S:
            how_long = f"{left_s / 3600:.1f} hours" if left_s > 5400 else f"{left_s / 60:.0f} minutes"
            self._say(f"About {how_long} to go. Ctrl-C is safe: the same command goes on where it was.")
