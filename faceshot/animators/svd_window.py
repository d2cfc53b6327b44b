"""The live SVD animator: landmark-driven video diffusion in a sliding window that brings a few pictures at a time.

One call of `render` is one window (`faceshot.animators.svd.chunk`): four new frames after a reference and three that
were shown. A show begins, and begins again after a cut, a jump or a face that was lost, with the long way from noise;
in between two steps from a good guess do. Every few seconds one chunk is guessed from the reference alone.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from torch import Tensor

from faceshot.animators import Rung, Window
from faceshot.animators.recorded import Recorded
from faceshot.animators.svd.chunk import ChunkStage, coefficients
from faceshot.animators.svd.consistency import few_sigmas
from faceshot.animators.svd.live_engine import LiveEngine, faults_are_said, open_engine
from faceshot.animators.svd.live_settings import LiveSettings, Way, rungs_of
from faceshot.animators.svd.scene import make_scene
from faceshot.errors import DeviceError, ShapeError
from faceshot.retarget import face_width
from faceshot.types import Character, Drive, Rendered, UInt8

__all__ = ["SvdWindowAnimator"]

log = logging.getLogger(__name__)

LOST_FRAMES: Final = 4
"""A face that was away for so many frames begins anew; shorter gaps are bridged."""
START_STEPS: Final = 4

_NO_PICTURE: Final = "Try --set animator.svd.precision=fp32, or --animator warp."

Progress = Callable[[str, int, int], None]


class SvdWindowAnimator:
    """Implements `faceshot.animators.Animator` and `Gradual`.

    Args:
        settings: see there.
        folder: the configured models folder.
        progress: called while networks load and graphs are recorded, with what comes next, how many are done, of all.

    Attributes:
        late_after_s: a live show goes on with warp when pictures keep taking longer than this.
        anchors: how often the show began anew, and how often it was guessed from the reference alone.
        beyond_reach: landmarks so far that moved further than the flow can say.
        note: what the user should know; None when all is well.
    """

    needs_crop = False
    late_after_s = 1.0

    def __init__(
        self,
        settings: LiveSettings | None = None,
        folder: Path | None = None,
        progress: Progress = lambda what, done, total: None,
    ) -> None:
        self.settings = settings or LiveSettings()
        self.anchors = [0, 0]
        self.beyond_reach = 0
        self.note: str | None = None
        self._ways = rungs_of(self.settings)
        self.rungs: Sequence[Rung] = tuple(way.rung for way in self._ways)
        self.rung = 0
        self.window: Window = self._ways[0].window(self.settings)
        self._folder, self._progress = folder, progress
        self._engine: LiveEngine | None = None
        self._pool: Any | None = None  # memory that all graphs share: only one is replayed at a time
        self._character: Character | None = None
        self._chunks: dict[int, _Chunks] = {}
        self._last_picture: UInt8 | None = None
        self._shown: deque[np.ndarray] = deque(maxlen=self.settings.history)
        self._forget()

    def load(self, character: Character) -> None:
        """Load the networks if no other animator has, look at the picture, and draw it once at the size asked for.

        Raises:
            WeightsMissing, CheckpointError, DeviceError: see `open_engine`.
        """
        if self._engine is None:
            self._engine = open_engine(self._folder, self.settings, self._progress)
            if self._engine.models.device.type == "cuda":
                self._pool = torch.cuda.graph_pool_handle()
            if self._engine.models.files.fast_unet is None:
                self.note = "The UNet of few steps is missing, so pictures are soft: faceshot models pull svd-fast"
        before = self._character, self._chunks
        self._character, self._chunks = character, {}
        try:
            with faults_are_said():
                # On a GPU all rungs are recorded now, so that none has to be in the middle of a show.
                sizes = dict.fromkeys(way.size for way in self._ways)
                wanted = list(sizes) if self._engine.models.device.type == "cuda" else [self._ways[0].size]
                for i, size in enumerate(wanted):
                    self._progress(f"drawing at {size} px", i, len(wanted))
                    try:
                        self._at(size).warm_up()
                    except torch.OutOfMemoryError:
                        if i == 0:
                            raise
                        self._only(wanted[:i])
                        break
                self._progress("ready", len(wanted), len(wanted))
        except BaseException:
            self._character, self._chunks = before
            raise
        self.reset()

    def render(self, drives: Sequence[Drive]) -> list[Rendered]:
        """One picture for each of the last `window.stride` drives.

        Raises:
            OutOfMemory, DeviceError: the GPU is full or lost, or draws no pictures.
        """
        if self._character is None:
            raise ShapeError("The SVD animator has no character yet.", "Call load(character) before render().")
        way = self._ways[self.rung]
        new = list(drives[-self.window.stride :])
        new = [new[0]] * (self.window.stride - len(new)) + new
        drawn = new[way.every - 1 :: way.every]
        with faults_are_said():
            pictures = self._at(way.size).stage.pictures(self._drawn(way, drawn))
        if way.every > 1:
            pictures = _blended(self._last_picture, pictures)
        self._last_picture = pictures[-1]
        return [Rendered(picture) for picture in pictures]

    def take_rung(self, rung: int) -> None:
        """Draw on another rung from the next `render` on; at another size the past is carried over."""
        before, way = self._ways[self.rung], self._ways[rung]
        if before.size != way.size and self._character is not None and not self._begins:
            with faults_are_said():
                there = self._at(way.size)
                history = np.stack([there.stage.scene.square.points(points) for points in self._shown])
                there.stage.resume(self._at(before.size).stage, history)
        self.rung = rung
        self.window = way.window(self.settings)

    def reset(self) -> None:
        self._forget()

    def close(self) -> None:
        self._chunks, self._engine, self._character = {}, None, None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _forget(self) -> None:
        self._begins = True
        self._lost = 0
        self._since_anchor = 0
        self._shown.clear()
        self._last_picture = None

    def _only(self, sizes: Sequence[int]) -> None:
        """Keep the rungs of these sizes; the others do not fit beside them."""
        log.warning("The card has no room for rungs smaller than %d px.", min(sizes))
        self._ways = tuple(way for way in self._ways if way.size in sizes)
        self.rungs = tuple(way.rung for way in self._ways)
        self._chunks = {size: chunks for size, chunks in self._chunks.items() if size in sizes}

    def _at(self, size: int) -> _Chunks:
        """What draws at that size; made when it is asked for first."""
        if size not in self._chunks:
            assert self._engine is not None and self._character is not None
            with torch.no_grad():
                scene = make_scene(self._character, self._engine.models, size, self.settings.seed)
                stage = ChunkStage(scene, self._engine, self.settings)
                self._chunks[size] = _Chunks(stage, self._ways, self._pool)
        return self._chunks[size]

    def _drawn(self, way: Way, drives: Sequence[Drive]) -> UInt8:
        """(stride, S, S, 4) the pictures of these frames."""
        chunks = self._at(way.size)
        points = np.stack([drive.points_xy for drive in drives])
        begins = self._begins_anew(points, [drive.found for drive in drives])
        anchors = not begins and self._since_anchor + len(drives) > self.settings.anchor_every
        square_xy = chunks.stage.scene.square.points(points)
        rgba = self._tried(chunks, way, square_xy, begins, 0.0 if anchors else self.settings.share_of_last)
        self._count_far(chunks, square_xy)
        self.anchors[0] += begins
        self.anchors[1] += anchors
        self._since_anchor = 0 if begins or anchors else self._since_anchor + len(drives)
        self._begins = False
        if begins:
            self._shown.extend([self._character.points_xy] * self.settings.history)  # type: ignore[union-attr]
        self._shown.extend(points)
        return rgba

    def _tried(self, chunks: _Chunks, way: Way, points_xy: np.ndarray, begins: bool, share: float) -> UInt8:
        """A chunk that came to nothing is tried once more, from the beginning."""
        rgba, healthy = chunks.draw(way, points_xy, begins, share)
        if healthy:
            return rgba
        log.warning("A chunk came out as NaN or black; beginning anew.")
        rgba, healthy = chunks.draw(way, points_xy, True, share)
        if not healthy:
            raise DeviceError(f"SVD draws NaN or black at {way.size} px.", _NO_PICTURE)
        return rgba

    def _begins_anew(self, points: np.ndarray, found: Sequence[bool]) -> bool:
        """Whether these frames have no past: the first, after a jump, or of a face that was away."""
        assert self._character is not None
        begins = self._begins
        if not begins:
            steps = np.diff(np.stack([self._shown[-1], *points])[:, :68], axis=0)
            moved = np.median(np.linalg.norm(steps, axis=2), axis=1) / face_width(self._character.points_xy)
            begins = bool(moved.max() > self.settings.jump)
        for one in found:
            begins = begins or (one and self._lost >= LOST_FRAMES)
            self._lost = 0 if one else self._lost + 1
        return begins

    def _count_far(self, chunks: _Chunks, square_xy: np.ndarray) -> None:
        far = int(chunks.stage.scene.hints.beyond_reach(square_xy).sum())
        if far and not self.beyond_reach:
            log.warning("%d landmarks moved further than the flow can say (66 px at 512); they move that far.", far)
        self.beyond_reach += far


class _Chunks:
    """A stage and its recorded windows, one for each number of steps.

    Args:
        stage: at one size.
        ways: all rungs; those of this size are recorded.
        pool: see `Recorded`.
    """

    def __init__(self, stage: ChunkStage, ways: Sequence[Way], pool: Any | None = None) -> None:
        self.stage = stage
        settings = stage.settings
        self._start = coefficients(settings.start_sigmas or few_sigmas(START_STEPS))
        self._warm = {way: coefficients(way.sigmas) for way in ways if way.size == stage.scene.square.size}
        device = stage.scene.first.device
        motion, canvas = stage.inputs(np.repeat(stage.scene.points_xy[None], settings.stride, 0))
        share = torch.zeros(1)
        self._recorded: dict[int, Recorded] = {}
        self._pinned = device.type == "cuda"
        with torch.no_grad():
            for steps in (self._start, *self._warm.values()):
                if len(steps) not in self._recorded:
                    examples = [part.to(device) for part in (motion, canvas, steps, share)]
                    self._recorded[len(steps)] = Recorded(stage.run, examples, pool)
        stage.reset()
        self._rgba = torch.empty(0, dtype=torch.uint8)

    @property
    def recorded(self) -> bool:
        """Whether every window is a CUDA graph."""
        return all(one.recorded for one in self._recorded.values())

    def warm_up(self) -> None:
        """Draw the reference at rest, and see whether it is a picture."""
        points = np.repeat(self.stage.scene.points_xy[None], self.stage.settings.stride, 0)
        way = next(iter(self._warm))
        if not self.draw(way, points, True, 0.0)[1]:
            raise DeviceError(f"SVD draws NaN or black at {way.size} px.", _NO_PICTURE)
        self.stage.reset()

    @torch.no_grad()
    def draw(self, way: Way, points_xy: np.ndarray, begins: bool, share: float) -> tuple[UInt8, bool]:
        """(stride, S, S, 4) pictures of frames, and whether they are any.

        Args:
            points_xy: (stride, 70, 2) px of the square.
            begins: without a past, the long way.
            share: of the last frame in the guess.
        """
        if begins:
            self.stage.reset()
        steps = self._start if begins else self._warm[way]
        inputs = [*self.stage.inputs(points_xy), steps, torch.tensor([0.0 if begins else share])]
        if self._pinned:
            inputs = [part.pin_memory() for part in inputs]
        rgba, healthy = self._recorded[len(steps)](*inputs)
        return self._downloaded(rgba, healthy)

    def _downloaded(self, rgba: Tensor, healthy: Tensor) -> tuple[UInt8, bool]:
        """The one place where a chunk waits for the GPU."""
        if not rgba.is_cuda:
            return rgba.numpy(), bool(healthy)
        if self._rgba.shape != rgba.shape:
            self._rgba = torch.empty(rgba.shape, dtype=torch.uint8, pin_memory=True)
            self._healthy = torch.empty(healthy.shape, dtype=torch.bool, pin_memory=True)
        self._rgba.copy_(rgba, non_blocking=True)
        self._healthy.copy_(healthy, non_blocking=True)
        torch.cuda.current_stream().synchronize()
        return self._rgba.numpy().copy(), bool(self._healthy)


def _blended(before: UInt8 | None, pictures: Sequence[UInt8]) -> list[UInt8]:
    """A picture between every two: twice as many, each drawn one after the one between it and the last."""
    made: list[UInt8] = []
    for picture in pictures:
        made += [_between(picture if before is None else before, picture), picture]
        before = picture
    return made


def _between(one: UInt8, other: UInt8) -> UInt8:
    """Half of each, colours weighted by how opaque they are."""
    if one.shape != other.shape:
        return other.copy()
    weights = [np.maximum(part[..., 3], 1).astype(np.float32) for part in (one, other)]
    mixed = np.asarray(cv2.blendLinear(one, other, *weights), np.uint8)
    mixed[..., 3] = (one[..., 3].astype(np.uint16) + other[..., 3] + 1) // 2
    return mixed
