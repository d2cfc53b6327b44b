"""The LivePortrait animator: a picture, animated photo-real from the performer's face.

One frame is two steps. `move` turns what is known of the performer into 21 points a person; `draw` turns points into
pictures. Each is recorded as a CUDA graph of its own where there is one, so that a frame in which nothing moves is not
drawn again.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceshot.animators import Window
from faceshot.animators.liveportrait.driving import Driving, with_squares
from faceshot.animators.liveportrait.engine import Engine, Recorded, faults_are_said, open_engine
from faceshot.animators.liveportrait.keypoints import Motion
from faceshot.animators.liveportrait.live_motion import CONTROLS, LiveMotion, Tuning, mean_motion
from faceshot.animators.liveportrait.official import OfficialMotion, Options
from faceshot.animators.liveportrait.ratios import Ratios
from faceshot.animators.liveportrait.settings import Settings, blind_text
from faceshot.animators.liveportrait.source import Source, load_source
from faceshot.errors import ShapeError
from faceshot.types import Character, Drive, Rendered, UInt8

__all__ = ["LivePortraitAnimator"]

STILL: Final = 2e-4
"""Points that moved less than this (a twentieth of a pixel) are seen by nobody."""


class LivePortraitAnimator:
    """Implements `faceshot.animators.Animator`.

    Args:
        settings: see there.
        folder: the configured models folder.

    Attributes:
        late_after_s: a live show goes on with warp when pictures keep taking longer than this.
        note: what the user should know; None when all is well.
    """

    window = Window()
    needs_crop = True
    late_after_s = 1.0

    def __init__(self, settings: Settings | None = None, folder: Path | None = None) -> None:
        self.settings = settings or Settings()
        self._folder = folder
        self._engine: Engine | None = None
        self._stage: _Stage | None = None
        self.note: str | None = None

    def load(self, character: Character) -> None:
        """Load the networks if no other animator has, look at the picture, and draw it once.

        Raises:
            WeightsMissing, CheckpointError, DeviceError, PictureError: see the parts.
        """
        settings = self.settings
        if self._engine is None:
            self._engine = open_engine(
                self._folder, settings.variant, settings.device, settings.precision, settings.compile
            )
        with faults_are_said(), torch.no_grad():
            self._stage = _Stage(load_source(character, settings, self._engine, self._folder), self._engine, settings)

    def render(self, drives: Sequence[Drive]) -> list[Rendered]:
        """One picture a drive; every person in the picture moves alike."""
        return self.render_cast([[drive] * self.people for drive in drives])

    def render_cast(self, frames: Sequence[Sequence[Drive]]) -> list[Rendered]:
        """One picture a frame; a frame has one drive for each person, from left to right.

        With CUDA M looks at the next frame while this one is drawn.
        """
        if self._stage is None:
            raise ShapeError("The LivePortrait animator has no character yet.", "Call load(character) before render().")
        with faults_are_said(), torch.no_grad():
            pictures = self._stage.pictures(frames)
        blind = self._stage.blind
        self.note = f"{blind_text(self.settings.motion)} Use animator.liveportrait.motion=live." if blind else None
        return [Rendered(rgba) for rgba in pictures]

    @property
    def at_once(self) -> int:
        """How many frames a film should give to one call: with CUDA several, for all but the first of them are looked
        at beside the drawing. A live show has one at a time: to wait for the next would cost more than M does."""
        return 16 if self._engine is not None and self._engine.device.type == "cuda" else 1

    @property
    def people(self) -> int:
        """How many people of the picture are animated."""
        return 0 if self._stage is None else len(self._stage.source.people)

    @property
    def cast(self) -> list[Character]:
        """The character once a person, from left to right."""
        return [] if self._stage is None else [person.character for person in self._stage.source.people]

    @property
    def own_drivers(self) -> bool:
        return self.settings.people == "each"

    def reset(self) -> None:
        if self._stage is not None:
            self._stage.reset()

    def close(self) -> None:
        self._stage = self._engine = None
        with suppress(RuntimeError):  # a lost GPU has nothing to give back
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


class _Stage:
    """A loaded source and the motion of everybody in it.

    Attributes:
        blind: whether the published rules, which follow pictures, were last given motion without any.
    """

    def __init__(self, source: Source, engine: Engine, settings: Settings) -> None:
        self.source, self._engine, self._settings = source, engine, settings
        # The small networks were never trained on animals; the published program's authors leave stitching off there.
        stitching = settings.stitching and settings.variant == "human"
        eyes = settings.eye_retargeting and settings.variant == "human"
        lips = settings.normalize_lip and settings.variant == "human"
        self._tuning = Tuning(
            pitch=settings.pitch,
            yaw=settings.yaw,
            roll=settings.roll,
            translation=settings.translation,
            scale=settings.scale,
            region=settings.region,
            stitching=stitching,
            normalize_lip=lips,
            eye_retargeting=eyes,
            multiplier=settings.multiplier,
        )
        self._options = Options(
            relative=settings.motion == "relative",
            region=settings.region,
            expression_friendly=settings.expression_friendly,
            stitching=stitching,
            normalize_lip=lips,
            eye_retargeting=settings.retarget_eyes and settings.variant == "human",
            lip_retargeting=settings.retarget_lips and settings.variant == "human",
            multiplier=settings.multiplier,
            animals=settings.variant == "animals",
        )
        people = source.people
        self._live = [LiveMotion(p.motion, p.ratios, engine.heads, self._tuning) for p in people]
        self._driving = [
            Driving(p.square, p.character, self._tuning, p.motion.rotation[0].cpu().numpy()) for p in people
        ]
        self._side = torch.cuda.Stream() if engine.device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self.reset()
        x_s = torch.cat([live.x_s for live in self._live])
        controls = torch.zeros(len(people), CONTROLS, device=engine.device)
        crops = torch.zeros(len(people), 256, 256, 3, dtype=torch.uint8, device=engine.device)
        self._seeing = Recorded(self._see, [crops, controls])
        self._posing = Recorded(self._pose, [controls])
        self._drawing = Recorded(self._draw, [x_s])
        self.reset()
        self._finished(self._begun(x_s))  # what is slow the first time is done now

    def reset(self) -> None:
        people = self.source.people
        self.blind = False
        self._official = [OfficialMotion(p.motion, p.ratios, self._engine.heads, self._options) for p in people]
        for live, driving in zip(self._live, self._driving, strict=True):
            live.reset()
            driving.reset()
        self._last_x: Tensor | None = None
        self._last: UInt8 | None = None
        if self._side is not None:
            # What was forgotten here is looked at there. The device is not waited for: another thread may be recording
            # a graph, which that would spoil.
            self._side.wait_stream(torch.cuda.current_stream())

    def pictures(self, frames: Sequence[Sequence[Drive]]) -> list[UInt8]:
        made: list[UInt8] = []
        begun: Tensor | None = None
        for frame in frames:
            x_d = self._moved(frame)
            if begun is not None:
                made.append(self._finished(begun))
                begun = None
            if x_d is None and self._last is not None:
                made.append(self._last)
            else:
                assert x_d is not None
                begun = self._begun(x_d)
        if begun is not None:
            made.append(self._finished(begun))
        return made

    def _moved(self, frame: Sequence[Drive]) -> Tensor | None:
        """(B, 21, 3) the points of everybody; None when nothing has moved since the last picture."""
        if self._side is None:
            return self._pointed(frame)
        with torch.cuda.stream(self._side):  # beside the drawing of the frame before
            x_d = self._pointed(frame)
        here = torch.cuda.current_stream()
        here.wait_stream(self._side)
        if x_d is not None:
            x_d.record_stream(here)
        return x_d

    def _pointed(self, frame: Sequence[Drive]) -> Tensor | None:
        if self._settings.motion == "live":
            self._calibrated(frame)
            controls = self._engine.to_device(
                np.stack([driving.controls(drive) for driving, drive in zip(self._driving, frame, strict=True)])
            )
            if any(driving.sees for driving in self._driving):
                crops = [driving.last_crop for driving in self._driving]
                (x_d,) = self._seeing(self._engine.upload(crops), controls)
            else:
                (x_d,) = self._posing(controls)
        else:
            x_d = self._by_the_book(frame)
        x_d = x_d.clone()
        if self._last_x is not None and float((x_d - self._last_x).abs().max()) < STILL:
            return None
        self._last_x = x_d
        return x_d

    def _calibrated(self, frame: Sequence[Drive]) -> None:
        """Take the neutral pose anew where the performer has another one."""
        for live, driving, drive in zip(self._live, self._driving, frame, strict=True):
            crops = driving.new_reference(drive)
            if crops:
                seen = self._engine.motion(self._engine.upload([crop for crop, _ in crops]))
                seen, square = with_squares(seen, [at for _, at in crops])
                live.calibrate(mean_motion(seen), self._engine.to_device(square), driving.on_air)

    def _see(self, crops: Tensor, controls: Tensor) -> tuple[Tensor, ...]:
        seen = self._engine.motion(crops)
        for i, live in enumerate(self._live):
            live.see(seen.frame(i), controls[i])
        return self._pose(controls)

    def _pose(self, controls: Tensor) -> tuple[Tensor, ...]:
        return (torch.cat([live.pose(controls[i]) for i, live in enumerate(self._live)]),)

    def _by_the_book(self, frame: Sequence[Drive]) -> Tensor:
        """The published rules, frame by frame; a frame without a face holds the last one."""
        made = []
        self.blind = any(drive.found and drive.crop is None for drive in frame)
        for mover, driving, drive in zip(self._official, self._driving, frame, strict=True):
            if drive.crop is not None:
                motion: Motion = self._engine.motion(self._engine.upload([drive.crop]))
                opened = drive.openings
                ratios = None if opened is None else Ratios(opened[:2], float(opened[2]))
                driving.held = mover.step(motion, ratios)
            made.append(mover.x_s if driving.held is None else driving.held)
        return torch.cat(made)

    def _draw(self, x_d: Tensor) -> tuple[Tensor, ...]:
        return (self._engine.draw(self.source.prepared, x_d, self.source.alpha),)

    def _begun(self, x_d: Tensor) -> Tensor:
        (drawn,) = self._drawing(x_d)
        return drawn

    def _finished(self, drawn: Tensor) -> UInt8:
        crops: NDArray[np.uint8] = drawn.cpu().numpy()
        canvas = self.source.canvas.copy()
        for person, crop in zip(self.source.people, crops, strict=True):
            if crop.shape[2] == 3:
                crop = np.dstack([crop, np.full(crop.shape[:2], 255, np.uint8)])
            person.paster.paste(canvas, crop)
        self._last = canvas
        return canvas
