"""What the host knows of one performer from frame to frame, and how it is told to the device: a vector of controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from torch import Tensor

from faceshot.animators.liveportrait.crop import NETWORK_PX, Square
from faceshot.animators.liveportrait.keypoints import Motion
from faceshot.animators.liveportrait.live_motion import (
    CHANNELS,
    EXP,
    ROTATION,
    SCALE,
    TRANSLATION,
    Tuning,
    controls,
    gains_of,
)
from faceshot.animators.liveportrait.sliders import expression_of
from faceshot.retarget import face_width
from faceshot.types import Character, Drive, Float32, UInt8
from faceshot.types import Square as CropSquare

__all__ = ["Driving", "sliders_of", "with_squares"]

_EASE_IN_S, _EASE_OUT_S, _JUMP_S = 0.3, 0.5, 0.3
_TAKE_OVER_FROM, _TAKE_OVER_TO = 0.75, 0.25
"""Opening of an eye, relative to rest, at which the eye network begins and has finished to take over."""
_BREATH: Final = 0.006
_UNKNOWN: Final[CropSquare] = (128.0, 128.0, 256.0)


class Driving:
    """One performer and the person that is animated.

    Args:
        square: of the person's crop.
        pose: (3, 3) the head's rotation in the crop, as M sees it; straight when None.

    Attributes:
        sees: whether the last drive had a crop.
        last_crop: the last crop there was; grey before the first.
        on_air: whether a picture has been made already.
        held: for rules that hold the last points.
    """

    def __init__(self, square: Square, character: Character, tuning: Tuning, pose: Float32 | None = None) -> None:
        self._square, self._tuning = square, tuning
        self._pose = np.eye(3, dtype=np.float32) if pose is None else pose
        self._width = face_width(character.points_xy)
        self._without_gains = gains_of(tuning)
        self.reset()

    def reset(self) -> None:
        """Another performer."""
        self.sees = False
        self.last_crop: UInt8 = np.full((NETWORK_PX, NETWORK_PX, 3), 128, np.uint8)
        self.on_air = False
        self.held: Tensor | None = None
        self._pixels = 0.0
        self._jump_s = _JUMP_S
        self._rest: object = None

    def new_reference(self, drive: Drive) -> tuple[tuple[UInt8, CropSquare | None], ...]:
        """Crops to measure against from now on; none when those in use are still right.

        The puppeteer's crops of the neutral pose; before it has any, the first crop there is.
        """
        if drive.crop is None:
            return ()
        if drive.rest_crops:
            if drive.rest_crops is self._rest:
                return ()
            self._rest = drive.rest_crops
        elif self._rest is None:
            self._rest = ()
            return ((drive.crop, drive.crop_square),)
        self._jump_s = 0.0 if self.on_air and self._pixels > 0 else _JUMP_S
        return drive.rest_crops

    def controls(self, drive: Drive) -> Float32:
        """What the device is told for this frame."""
        sees = drive.crop is not None
        fresh = sees and not self.sees
        if drive.crop is not None:
            self.last_crop = drive.crop
        dt_s = max(drive.dt_s, 0.0)
        if not self.on_air:
            self._pixels = float(sees)
        elif sees:
            self._pixels = min(self._pixels + dt_s / _EASE_IN_S, 1.0)
        else:
            self._pixels = max(self._pixels - dt_s / _EASE_OUT_S, 0.0)
        self._jump_s = min(self._jump_s + dt_s, _JUMP_S)
        self.sees, self.on_air = sees, True
        shut = _take_over(drive.lids)
        return controls(
            dt_s=dt_s,
            fresh=fresh,
            strength=drive.smoothing,
            pixels=_smooth(self._pixels),
            jump=1.0 - _smooth(self._jump_s / _JUMP_S),
            square=drive.crop_square or _UNKNOWN,
            shut=(float(shut[0]), float(shut[1])),
            opening=(float(drive.lids[0]), float(drive.lids[1])),
            sliders=sliders_of(drive, self._square, self._width, self._pose) * self._without_gains,
            gains=gains_of(self._tuning, *drive.gains),
            added=_preset_of(drive),
        )


def sliders_of(drive: Drive, square: Square, face_width_px: float, pose: Float32) -> Float32:
    """(CHANNELS,) the motion of a drive as sliders make it: turns in the head's own axes, places in the crop's."""
    motion = np.zeros(CHANNELS, np.float32)
    # The crop stands upright in the face, the drive in the picture.
    turn = np.exp(-1j * square.angle)
    across = complex(*drive.head.rotation[:2]) * turn
    motion[ROTATION] = pose @ (across.real, across.imag, drive.head.rotation[2])
    moved = complex(*drive.head.translation) * turn * face_width_px / (square.side / 2)
    motion[TRANSLATION] = moved.real, moved.imag - _BREATH * drive.breath
    motion[SCALE] = np.log(max(drive.head.scale, 1e-3))
    motion[EXP] = expression_of(drive).ravel()
    return motion


def _preset_of(drive: Drive) -> Float32:
    """(CHANNELS,) a chosen expression, which nobody performs. Its lids are the eye network's matter."""
    added = np.zeros(CHANNELS, np.float32)
    if drive.preset_shapes is not None:
        alone = replace(
            drive,
            blendshapes=np.clip(drive.preset_shapes, 0.0, 1.0),
            lids=np.ones(2, np.float32),
            gaze=np.zeros((2, 2), np.float32),
        )
        added[EXP] = expression_of(alone).ravel()
    return added


def with_squares(motion: Motion, squares: Sequence[CropSquare | None]) -> tuple[Motion, Float32]:
    """Motions of crops of several squares as if all were of the first one; and that square.

    Args:
        motion: a batch, one entry a square.
    """
    known = np.array([square or _UNKNOWN for square in squares], np.float32)
    first = known[0]
    zoom = motion.scale.new_tensor(known[:, 2:] / first[2])
    shift = motion.t.new_tensor((known[:, :2] - first[:2]) / (first[2] / 2))
    t = motion.t.clone()
    t[:, :2] = t[:, :2] * zoom + shift
    return motion._replace(t=t, scale=motion.scale * zoom), first


def _take_over(lids: Float32) -> Float32:
    share = np.clip((_TAKE_OVER_FROM - lids) / (_TAKE_OVER_FROM - _TAKE_OVER_TO), 0.0, 1.0)
    return np.asarray(share * share * (3 - 2 * share), np.float32)


def _smooth(share: float) -> float:
    share = min(max(share, 0.0), 1.0)
    return share * share * (3.0 - 2.0 * share)
