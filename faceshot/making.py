"""From any picture to a character: landmarks by whatever matcher is at hand, the matte, then the calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from faceshot.calibration import calibrated
from faceshot.character import MAX_SIDE_PX, read_landmarks
from faceshot.errors import LandmarkError, PictureError
from faceshot.landmarks import MatchedLandmarks, MatchProgress
from faceshot.matchers import Attempt, Request, place_landmarks
from faceshot.matte import DEFAULT_THRESHOLD, MatteKind, cut_background, make_matte
from faceshot.pictures import MIN_SIDE_PX, fit_within, flatten, read_picture
from faceshot.types import Character, CharacterKind, Float32, UInt8

__all__ = ["Made", "Wish", "character_of", "make_character", "prepare_picture", "seen_by_matchers"]

_GREY = (128, 128, 128)


@dataclass(frozen=True)
class Wish:
    """What the user asked for besides the picture. Pixels are those of the upright picture as it is on disk.

    Attributes:
        landmarks: JSON file with 68 or 70 points.
        clicks: for the assisted fit, name to x, y.
        matcher: the only one to try.
        kind: what the character is.
        matte: how the background is found.
        threshold: 0 cuts little away, 1 much.
        keep_background: cut nothing away.
        models: folder with model files.
        diffusion: arguments of `diffusion_matcher.diffusion_matcher`.
    """

    landmarks: Path | None = None
    clicks: dict[str, tuple[float, float]] | None = None
    matcher: str | None = None
    kind: CharacterKind | None = None
    matte: MatteKind = "auto"
    threshold: float = DEFAULT_THRESHOLD
    keep_background: bool = False
    models: Path | None = None
    diffusion: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Made:
    """A new character and how it came about.

    Attributes:
        landmarks: as the matcher gave them, in pixels of the character's picture.
        attempts: matchers that were tried or skipped before.
        background: what was done about the background, in words.
    """

    character: Character
    landmarks: MatchedLandmarks
    attempts: list[Attempt]
    background: str


def make_character(path: Path, wish: Wish, progress: MatchProgress = lambda *_: None) -> Made:
    """Make a character of a picture file, which is only read.

    Raises:
        PictureError: the picture cannot be used.
        LandmarkError: landmarks or clicks that were given are wrong, or no matcher found a face.
    """
    if path.suffix.lower() == ".faceshot":
        raise PictureError(f"{path.name} is a character already.", f"faceshot character edit {path}")
    whole = read_picture(path, path.name)
    size_wh = whole.shape[1], whole.shape[0]
    rgba = prepare_picture(whole, path.name)
    factor = np.array([rgba.shape[1], rgba.shape[0]], np.float64) / np.array(size_wh)
    given: tuple[Float32, np.ndarray] | None = None
    kind = wish.kind
    if wish.landmarks is not None:
        hand = read_landmarks(wish.landmarks, size_wh)
        given = (hand.points_xy * factor).astype(np.float32), hand.visible
        kind = kind or hand.kind
    clicks = None
    if wish.clicks is not None:
        from faceshot.assisted import check_clicks

        check_clicks(wish.clicks, size_wh)  # in the pixels that the user sees, so that the message is about those
        clicks = {name: (x * factor[0], y * factor[1]) for name, (x, y) in wish.clicks.items()}
    request = Request(given, wish.landmarks.name if wish.landmarks else "", clicks, kind, wish.models, wish.diffusion)
    try:
        landmarks, attempts = place_landmarks(seen_by_matchers(rgba), request, wish.matcher, progress)
    except LandmarkError as error:
        raise LandmarkError(error.message, error.hint.replace("PICTURE", str(path))) from error
    character = character_of(rgba, path.stem, landmarks, kind)
    character, background = _cut(character, wish, progress)
    progress("looking at it as a tracker does", 0, 1)
    character = calibrated(character, wish.models)
    return Made(character, landmarks, attempts, background)


def prepare_picture(rgba: UInt8, name: str) -> UInt8:
    """The picture at the size that a character file keeps. Raises `PictureError` when it is too long and thin."""
    fitted = fit_within(rgba, MAX_SIDE_PX)
    if min(fitted.shape[:2]) < MIN_SIDE_PX:
        raise PictureError(
            f"{name} is too long and thin: {rgba.shape[1]}×{rgba.shape[0]}, which is "
            f"{fitted.shape[1]}×{fitted.shape[0]} at the largest size that is kept; each side needs {MIN_SIDE_PX}.",
            "Crop it to the face.",
        )
    return fitted


def seen_by_matchers(rgba: UInt8) -> UInt8:
    """What matchers see of a cut-out: mid-grey behind it, since black would hide dark hair."""
    return flatten(rgba, _GREY)


def character_of(rgba: UInt8, name: str, landmarks: MatchedLandmarks, kind: CharacterKind | None) -> Character:
    """A character with these landmarks; unless the user says, what a face detector finds is human, the rest is not."""
    guess: CharacterKind = "human" if landmarks.matcher == "mediapipe" else "animal"
    about: dict[str, Any] = {
        "matcher": landmarks.matcher,
        **landmarks.details,
        "confidence": [round(float(c), 2) for c in landmarks.confidence],
    }
    return Character(
        name=name,
        rgba=rgba,
        points_xy=landmarks.points_xy,
        visible=landmarks.visible,
        kind=kind or guess,
        provenance={"landmarks": about},
    )


def _cut(character: Character, wish: Wish, progress: MatchProgress) -> tuple[Character, str]:
    if wish.keep_background:
        return character, "kept as asked"
    progress("finding the background", 0, 1)
    try:
        matte = make_matte(character, wish.matte)
    except PictureError as error:
        if wish.matte != "auto":
            raise
        return character, f"kept: {error.message}"
    if matte.backend == "alpha":
        cut = cut_background(character, matte, wish.threshold) if wish.threshold != DEFAULT_THRESHOLD else character
        return cut, "transparent already"
    if not matte.trusted and wish.matte == "auto":
        return character, "kept: it cannot be cut away cleanly (--matte grabcut does it anyway)"
    return cut_background(character, matte, wish.threshold), f"cut away by {matte.backend}"
