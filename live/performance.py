"""A driver after tracking: what an offline command knows of a video or a motion clip before it draws anything."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from faceshot.motion_clip import open_clip
from faceshot.types import CameraImage, FaceState
from live.kept_states import KeptStates
from live.stages import Tracker
from live.video_reader import VideoReader

__all__ = ["Performance", "Progress", "perform"]

Progress = Callable[[str, int, int | None], None]
"""Called with the stage ("track" or "draw"), frames done, and frames in all (None when unknown)."""


@dataclass(frozen=True, slots=True)
class Performance:
    """A driver after tracking: one state and one presentation time per frame.

    Attributes:
        states: without crops unless they were asked for.
        pts: in units of `time_base`, growing.
        interval_pts: nominal distance of two frames.
        sound: file that has the sound, if any.
        others: of further faces in the same video, frame by frame; of trackers that follow several.
    """

    states: Sequence[FaceState]
    pts: Sequence[int]
    time_base: Fraction
    interval_pts: int
    fps: float
    sound: Path | None
    others: Sequence[Performance] = ()

    @property
    def faces(self) -> Sequence[FaceState]:
        """The states without their crops."""
        return self.states.without_crops if isinstance(self.states, KeptStates) else self.states

    @property
    def dts_s(self) -> list[float]:
        """Time since the frame before, one a frame."""
        starts = [self.pts[0] - self.interval_pts, *self.pts[:-1]]
        return [float((now - before) * self.time_base) for now, before in zip(self.pts, starts, strict=True)]

    def at(self, t_s: float) -> int:
        """Number of the frame that is shown `t_s` seconds after the first; the last one stays."""
        return bisect.bisect_right(self.pts, self.pts[0] + t_s / float(self.time_base) + 1e-6) - 1


def perform(
    drive: str | Path,
    make_tracker: Callable[[], Tracker],
    keep_crops: Callable[[], KeptStates] | None,
    progress: Progress,
) -> Performance:
    """Track every frame of a video, or open a motion clip.

    Args:
        drive: a video file, a `.motion` file or the name of a bundled clip.
        make_tracker: called when it is a video.
        keep_crops: makes what states are put into together with the tracker's crops; None keeps no crops.

    Raises:
        SourceError, MotionClipError: it cannot be read.
    """
    if Path(drive).suffix == ".motion" or not Path(drive).suffix:
        clip = open_clip(str(drive))
        rate = Fraction(clip.fps).limit_denominator(1001)
        return Performance(clip.states, range(len(clip.states)), 1 / rate, 1, clip.fps, None)
    rows: list[list[FaceState] | KeptStates] = [_row(keep_crops)]  # one a face
    pts: list[int] = []
    with VideoReader(drive) as reader:
        tracker = make_tracker()
        try:
            t_ms = -1
            for picture in reader:
                t_ms = max(t_ms + 1, round(picture.t_ns / 1e6))
                state = tracker.track(CameraImage(reader.rgb(picture)), t_ms)
                faces = [replace(state, others=()), *state.others]
                lost = FaceState.lost(state.size_wh)
                while len(rows) < len(faces):
                    rows.append(_row(keep_crops))
                    for _ in pts:
                        rows[-1].append(lost)
                faces += [lost] * (len(rows) - len(faces))
                for row, face in zip(rows, faces, strict=True):
                    row.append(replace(face, crop=None) if keep_crops is None else face)
                pts.append(picture.pts)
                progress("track", len(pts), reader.frame_count)
        finally:
            tracker.close()
        interval_pts = max(1, round(reader.interval_ns / 1e9 / reader.time_base))
        first, *others = (
            Performance(row, pts, reader.time_base, interval_pts, reader.fps, reader.path) for row in rows
        )
        return replace(first, others=others)


def _row(keep_crops: Callable[[], KeptStates] | None) -> list[FaceState] | KeptStates:
    return [] if keep_crops is None else keep_crops()
