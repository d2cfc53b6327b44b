"""Portrait video editing: the person in a video takes over the performer's head and expression (Eq. 8), offline.

Two looks at the source: first what M sees in every frame, then, when the motion of the whole clip has been smoothed
forwards and backwards, every frame anew, since each has an appearance of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from faceshot.animators.liveportrait.crop import Square, cut, network_input
from faceshot.animators.liveportrait.engine import faults_are_said, open_engine
from faceshot.animators.liveportrait.keypoints import Motion
from faceshot.animators.liveportrait.live_motion import mean_motion
from faceshot.animators.liveportrait.official import Options, official_video
from faceshot.animators.liveportrait.paste import Paster, feather
from faceshot.animators.liveportrait.ratios import Ratios, ratios_of_mesh
from faceshot.animators.liveportrait.settings import Settings
from faceshot.animators.liveportrait.source import video_square
from faceshot.topology import MEDIAPIPE_TO_70
from faceshot.types import FaceState, Rendered, UInt8

__all__ = ["VideoEditor"]

_STEADY_FRAMES: Final = 5
"""Squares are averaged over so many frames: their trembling would be seen at the edge of what is pasted."""


class VideoEditor:
    """Takes one source video: `see` every frame, `drive`, then `draw` every frame.

    Args:
        settings: `motion` live measures against the driver's neutral pose, relative and absolute against its first
            frame; `multiplier`, `region`, `stitching` as for pictures. Crops are always around the face.
        folder: the configured models folder.

    Raises:
        WeightsMissing, CheckpointError, DeviceError: the networks cannot be loaded.
    """

    def __init__(self, settings: Settings, folder: Path | None = None) -> None:
        self._settings = settings
        self._engine = open_engine(folder, settings.variant, settings.device, settings.precision, settings.compile)
        self._points: list[np.ndarray | None] = []
        self._ratios: list[Ratios] = []
        self._squares: list[Square] = []
        self._x_s: Tensor | None = None
        self._x_d: Tensor | None = None
        self._mask = feather()

    def track(self, state: FaceState) -> None:
        """Where the face of the next source frame is; a frame without one is shown as it is."""
        points = None if state.points_xyz is None or len(state.points_xyz) < 478 else state.points_xyz
        self._points.append(None if points is None else points[MEDIAPIPE_TO_70, :2].astype(np.float64))
        if points is not None:
            self._ratios.append(ratios_of_mesh(points))
        else:
            self._ratios.append(self._ratios[-1] if self._ratios else Ratios(np.full(2, 0.3, np.float32), 0.0))

    @staticmethod
    def openings(state: FaceState) -> Ratios | None:
        """How open a driver's eyes and lips are; None without a face."""
        points = state.points_xyz
        return None if points is None or len(points) < 478 else ratios_of_mesh(points)

    @property
    def with_face(self) -> int:
        """In how many of the source's frames a face was found."""
        return sum(points is not None for points in self._points)

    def settle(self) -> None:
        """All frames have been tracked: decide where to cut. Needs a face in one frame at least."""
        found = [i for i, points in enumerate(self._points) if points is not None]
        known = np.array([video_square(self._points[i]) for i in found])  # type: ignore[arg-type]
        known[:, 3] = np.unwrap(known[:, 3])
        everywhere = np.stack([np.interp(np.arange(len(self._points)), found, part) for part in known.T], axis=1)
        window = np.ones(_STEADY_FRAMES) / _STEADY_FRAMES
        half = _STEADY_FRAMES // 2
        padded = np.pad(everywhere, ((half, half), (0, 0)), mode="edge")
        steady = np.stack([np.convolve(part, window, mode="valid") for part in padded.T], axis=1)
        self._squares = [Square(*(float(v) for v in row)) for row in steady]

    def see(self, index: int, rgb: UInt8) -> Motion:
        """M of one source frame, after `settle`."""
        with faults_are_said(), torch.no_grad():
            return self._engine.motion(self._engine.upload([network_input(cut(rgb, self._squares[index]))]))

    def look(self, crop: UInt8) -> Motion:
        """M of a driver's crop."""
        with faults_are_said(), torch.no_grad():
            return self._engine.motion(self._engine.upload([crop]))

    def drive(
        self,
        source: Sequence[Motion],
        driver: Sequence[Motion],
        rest: Sequence[Motion] = (),
        openings: Sequence[Ratios] | None = None,
    ) -> None:
        """Work out all motion.

        Args:
            source: of every frame, by `see`.
            driver: of the frame that goes with each, as many; or one for all.
            rest: of the driver's neutral pose; for the motion "live".
            openings: of the driver's eyes and lips, as many as `driver`; None switches their retargeting off.
        """
        settings = self._settings
        human = settings.variant == "human"
        options = Options(
            relative=settings.motion != "absolute",
            region=settings.region,
            stitching=settings.stitching and human,
            eye_retargeting=settings.retarget_eyes and human,
            lip_retargeting=settings.retarget_lips and human,
            source_eye_retargeting=settings.source_eye_retargeting and human,
            multiplier=settings.multiplier,
            observation_variance=settings.observation_variance,
        )
        with torch.no_grad():
            reference = mean_motion(_joined(rest)) if rest and settings.motion == "live" else None
            self._x_s, self._x_d = official_video(
                _joined(source), self._ratios, _joined(driver), openings, self._engine.heads, options, reference
            )

    def draw(self, index: int, rgb: UInt8) -> Rendered:
        """One source frame with the driver's motion, of the frame's own size."""
        rgba = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
        if self._points[index] is None or self._x_s is None or self._x_d is None:
            return Rendered(rgba)
        square = self._squares[index]
        with faults_are_said(), torch.no_grad():
            crop = self._engine.upload([network_input(cut(rgb, square))])
            prepared = self._engine.prepare(crop, self._x_s[index : index + 1])
            drawn: UInt8 = self._engine.draw(prepared, self._x_d[index : index + 1])[0].cpu().numpy()
        made = np.dstack([drawn, np.full(drawn.shape[:2], 255, np.uint8)])
        Paster((rgb.shape[1], rgb.shape[0]), square, self._mask).paste(rgba, made)
        return Rendered(rgba)


def _joined(motions: Sequence[Motion]) -> Motion:
    return Motion(*(torch.cat(parts) for parts in zip(*motions, strict=True)))
