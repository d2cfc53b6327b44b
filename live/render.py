"""Offline: a video of a face, or a motion clip, moves a character into a video file (`faceshot render`).

Two passes: track every frame, then draw every frame. Between them stand the choice of the neutral pose and smoothing
without delay, for which the whole clip is known; only face states and motion are kept, about 10 kB a frame; crops
lie on disk.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from faceshot.animators import Animator, Ensemble
from faceshot.animators.output import mirrored
from faceshot.puppeteer import MotionSettings, Puppeteer, best_neutral
from faceshot.types import Character, Drive, FaceState
from live.errors import SourceError
from live.kept_states import KeptStates
from live.performance import Performance, Progress, perform
from live.sinks.canvas import Canvas, parse_background
from live.stages import Tracker
from live.video_writer import VideoWriter, check_not_read, check_output

__all__ = ["Report", "prepare", "render"]


Act = tuple[Performance, Puppeteer]
"""A tracked driver and who carries its motion over to one person."""
_SEEN_ENOUGH = 0.1
"""A further face of the driving video that is seen in a smaller share of its frames moves nobody."""
_FIRST_SEEN = 30


@dataclass(frozen=True, slots=True)
class Report:
    """What `render` did.

    Attributes:
        frames: pictures in the output, as many as in the driver.
        with_face: in how many of them the driver's face was found.
        duration_s: length of the output.
    """

    frames: int
    with_face: int
    duration_s: float


def render(
    character: Character,
    drive: str | Path,
    out: Path,
    make_tracker: Callable[[], Tracker],
    animator: Animator,
    settings: MotionSettings | None = None,
    background: str = "transparent",
    overwrite: bool = False,
    progress: Progress = lambda stage, done, total: None,
    mirror: bool = False,
    others: Sequence[str | Path] = (),
) -> Report:
    """Render `drive` performed by `character` into `out`: every frame exactly once, at its own time, with its sound.

    Args:
        character: at the size of the output.
        drive: a video file, a `.motion` file or the name of a bundled clip.
        out: .mp4, or .webm with alpha; appears only when it is whole.
        make_tracker: called when `drive` is a video.
        animator: of window 1; loaded here, left to the caller to close.
        settings: how motion is carried over.
        background: behind the character, see `live.sinks.canvas.parse_background`; black in an .mp4 by default.
        overwrite: replace an existing `out`.
        mirror: flip the pictures left to right.
        others: drivers of the other people in the picture, from left to right; who has none moves as the first does.
            With an animator of `own_drivers` the faces in `drive` come first, and who has none idles.

    Raises:
        SourceError, MotionClipError: the driver cannot be read, or no frame of it shows a face.
        SinkError: `out` cannot be written. ConfigError: the background is no good.
    """
    check_output(out, overwrite)
    check_not_read(out, "the driver", drive)
    backdrop = parse_background(background)
    animator.load(character)
    _check_cast(animator, others)
    with ExitStack() as kept:

        def crops() -> KeptStates:
            return kept.enter_context(closing(KeptStates(out.absolute().parent)))

        keep_crops = crops if animator.needs_crop else None
        performance, puppeteer = prepare(character, drive, make_tracker, keep_crops, settings, progress)
        acts = [(performance, puppeteer)]
        if isinstance(animator, Ensemble):
            if animator.own_drivers:
                acts = _each(animator.cast[: len(animator.cast) - len(others)], performance, settings)
            acts += [
                prepare(who, other, make_tracker, keep_crops, settings, progress)
                for who, other in zip(animator.cast[len(acts) :], others, strict=False)
            ]
            if animator.own_drivers:
                acts += _idle(animator.cast, len(acts), performance, settings)
        writer = VideoWriter(
            out,
            character.size_wh,
            performance.fps,
            performance.time_base,
            live=False,
            sound=performance.sound,
            overwrite=overwrite,
        )
        try:
            _draw(acts, animator, Canvas(character.size_wh, backdrop), writer, progress, mirror)
        except BaseException:  # Ctrl-C too: nothing half-written stays behind
            writer.discard()
            raise
        writer.finish()
    length_pts = performance.pts[-1] - performance.pts[0] + performance.interval_pts
    found = sum(state.found for state in acts[0][0].faces)
    return Report(len(performance.states), found, float(length_pts * performance.time_base))


def prepare(
    character: Character,
    drive: str | Path,
    make_tracker: Callable[[], Tracker],
    keep_crops: Callable[[], KeptStates] | None,
    settings: MotionSettings | None,
    progress: Progress,
) -> Act:
    """A tracked driver and who carries its motion over, measured against its neutral."""
    performance = perform(drive, make_tracker, keep_crops, progress)
    neutral = best_neutral(performance.faces)
    if neutral is None:
        raise SourceError(
            f"No face was found in any of the {len(performance.states)} frames of {drive}.",
            "Give a video in which one face is seen from the front, at least a tenth of the picture wide.",
        )
    puppeteer = Puppeteer(character, settings)
    puppeteer.use_neutral(neutral)
    return performance, puppeteer


def _each(people: Sequence[Character], performance: Performance, settings: MotionSettings | None) -> list[Act]:
    """The faces of one video and who each of them moves: from left to right as they are first seen, in a mirror when
    motion is mirrored."""
    seen = []
    for one in (performance, *performance.others):
        faces = [state for state in one.faces if state.found]
        neutral = best_neutral(one.faces)
        if neutral is not None and (one is performance or len(faces) >= _SEEN_ENOUGH * len(one.faces)):
            x = np.median([0.0 if s.points_xyz is None else s.points_xyz[:, 0].mean() for s in faces[:_FIRST_SEEN]])
            seen.append((float(x), replace(one, others=()), neutral))
    seen.sort(key=lambda one: one[0], reverse=settings is not None and settings.mirror)
    acts = []
    for i, (who, (_, one, neutral)) in enumerate(zip(people, seen, strict=False)):
        puppeteer = Puppeteer(who, settings, seed=i)
        puppeteer.use_neutral(neutral)
        acts.append((one, puppeteer))
    return acts


def _idle(
    people: Sequence[Character], driven: int, performance: Performance, settings: MotionSettings | None
) -> list[Act]:
    """Those who have no driver."""
    nobody = [FaceState.lost(performance.faces[0].size_wh)] * len(performance.states)
    alone = replace(performance, states=nobody, others=())
    return [(alone, Puppeteer(who, settings, seed=i)) for i, who in enumerate(people) if i >= driven]


def _check_cast(animator: Animator, others: Sequence[str | Path]) -> None:
    people = len(animator.cast) if isinstance(animator, Ensemble) else 1
    if len(others) >= people and others:
        raise SourceError(
            f"There are {len(others) + 1} drivers, but {people} person in the picture is animated."
            if people == 1
            else f"There are {len(others) + 1} drivers, but {people} people in the picture are animated.",
            "Use --animator liveportrait --set animator.liveportrait.people=all and a picture with more faces.",
        )


class _Other:
    """The performer of another person in the picture, frame by frame beside the first one."""

    def __init__(self, performance: Performance, puppeteer: Puppeteer) -> None:
        self._performance = performance
        self._drives = enumerate(puppeteer.perform(performance.states, performance.dts_s))
        self._number, self._drive = next(self._drives)

    def at(self, t_s: float) -> Drive:
        """What is performed at a time; times only grow."""
        while self._number < self._performance.at(t_s):
            self._number, self._drive = next(self._drives)
        return self._drive


def _draw(
    acts: Sequence[Act], animator: Animator, canvas: Canvas, writer: VideoWriter, progress: Progress, mirror: bool
) -> None:
    (performance, puppeteer), *others = acts
    pts = performance.pts
    ends = [*pts[1:], pts[-1] + performance.interval_pts]
    drives = puppeteer.perform(performance.states, performance.dts_s)
    beside = [_Other(other, acting) for other, acting in others]
    number = 0
    at_once = getattr(animator, "at_once", 1)
    while together := list(itertools.islice(drives, at_once)):
        if beside and isinstance(animator, Ensemble):
            frames = []
            for i, drive in enumerate(together, number):
                at_s = float((pts[i] - pts[0]) * performance.time_base)
                frame = [drive, *(other.at(at_s) for other in beside)]
                # Who has no driver of his own moves as the first does.
                frames.append(frame + [drive] * (len(animator.cast) - len(frame)))
            pictures = animator.render_cast(frames)
        else:
            pictures = animator.render(together)
        for picture in pictures:
            rgba = (mirrored(picture) if mirror else picture).rgba
            pixels = canvas.rgba(rgba) if writer.takes_alpha else canvas.rgb(rgba)
            writer.write(pixels, pts[number], ends[number] - pts[number])
            number += 1
            progress("draw", number, len(performance.states))
