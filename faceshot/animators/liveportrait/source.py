"""The source picture as the networks want it: one crop a person, what W can prepare of it, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from faceshot.animators.liveportrait.crop import SOURCE_SCALE, SOURCE_UP, Square, cut, face_square, network_input
from faceshot.animators.liveportrait.engine import Engine
from faceshot.animators.liveportrait.faceless import crop_of
from faceshot.animators.liveportrait.fast_warping import Prepared
from faceshot.animators.liveportrait.keypoints import Motion
from faceshot.animators.liveportrait.paste import Paster, feather, spread
from faceshot.animators.liveportrait.people import find_faces
from faceshot.animators.liveportrait.ratios import Ratios, ratios_of_character
from faceshot.animators.liveportrait.settings import Settings, chosen_square
from faceshot.animators.warp.frame import face_frame, safe_points
from faceshot.animators.warp.matte import cut_out
from faceshot.types import Character, UInt8

__all__ = ["Person", "Source", "load_source", "people_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """One face of the picture.

    Attributes:
        character: the picture with this person's points.
        square: where the crop is.
        motion: M of the crop, a batch of one.
        ratios: how open eyes and lips are; None when nobody knows.
        paster: the way back into the picture.
    """

    character: Character
    square: Square
    motion: Motion
    ratios: Ratios | None
    paster: Paster


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A picture, ready to be animated.

    Attributes:
        people: from left to right.
        canvas: (H, W, 4) the picture; where it is wholly transparent with the colours from around.
        prepared: of all people, a batch.
        alpha: (B, 1, 512, 512) mattes of the crops, 0 to 1; None for an opaque picture.
    """

    people: tuple[Person, ...]
    canvas: UInt8
    prepared: Prepared
    alpha: Tensor | None


def people_of(character: Character, settings: Settings, folder: Path | None = None) -> list[Character]:
    """The character once a person in its picture, each with that person's points; itself when there is but one."""
    if settings.people == "first" or settings.crop != "auto":
        return [character]
    found = find_faces(spread(character.rgba), folder)
    if len(found) < 2:
        return [character]
    return [replace(character, points_xy=points, visible=np.ones(70, np.bool_)) for points in found]


def load_source(character: Character, settings: Settings, engine: Engine, folder: Path | None = None) -> Source:
    """Crop, look and prepare. Raises `PictureError` when the settings name no square of the picture."""
    people = people_of(character, settings, folder)
    alone = len(people) == 1  # a saved square is that of one face
    squares = [_square(person, settings, alone) for person in people]
    alpha = _matte(character, settings)
    opaque = bool(alpha.min() == 255)
    # The edge of a figure that was cut out here has colours of its background; that of a picture's own alpha has not.
    own = bool((alpha == character.rgba[..., 3]).all())
    filled = np.dstack([spread(np.dstack([character.rgba[..., :3], alpha]), 64 if own else 255), alpha])
    crops = [cut(filled, square) for square in squares]
    canvas = np.where((alpha > 0)[..., None], character.rgba, filled) if own else filled
    small = engine.upload([network_input(np.ascontiguousarray(crop[..., :3])) for crop in crops])
    seen = engine.motion(small)
    mask = None if settings.crop == "whole" else feather()
    made = tuple(
        Person(person, square, seen.frame(i), ratios_of_character(person), Paster(character.size_wh, square, mask))
        for i, (person, square) in enumerate(zip(people, squares, strict=True))
    )
    return Source(made, canvas, engine.prepare(small, seen.points), None if opaque else _alpha(crops, engine))


def _square(person: Character, settings: Settings, alone: bool) -> Square:
    crop = crop_of(person, settings.crop) if alone else settings.crop
    return chosen_square(crop, person.size_wh, person.points_xy)


def _matte(character: Character, settings: Settings) -> UInt8:
    alpha = character.rgba[..., 3]
    if not settings.cut_out or alpha.min() < 255:
        return alpha
    figure = cut_out(character.rgba, safe_points(character), face_frame(character))
    return alpha if figure is None else figure.figure[..., 3]


def _alpha(crops: Sequence[UInt8], engine: Engine) -> Tensor:
    return engine.to_device(np.stack([crop[None, ..., 3] for crop in crops]).astype(np.float32) / np.float32(255))


def video_square(points_xy: np.ndarray) -> Square:
    """Where the face of one frame of a source video is."""
    return face_square(points_xy[:68], SOURCE_SCALE, SOURCE_UP)
