"""Characters of pictures in which nobody finds a face: a square that the user names takes its place.

Such a character has no landmarks of its own; an average face in the middle of the square stands in for them, marked as
not visible, so that everything which needs points to hold on to has some.
"""

from __future__ import annotations

import numpy as np

from faceshot.animators.liveportrait.settings import chosen_square
from faceshot.blendshape_rig import CANONICAL_FACE
from faceshot.saved_square import saved_square, with_saved_square
from faceshot.topology import N_POINTS
from faceshot.types import Character, UInt8

__all__ = ["character_in_square", "crop_of", "with_square"]

_FACE_SHARE = 0.36
"""Face width over the side of the square, as it comes out around real faces."""
_DOWN = 0.06


def character_in_square(rgba: UInt8, name: str, crop: str) -> Character:
    """A character without a face.

    Args:
        rgba: (H, W, 4) uint8.
        crop: `whole`, or `left,top,side` in pixels of the picture.

    Raises:
        PictureError: `crop` is no square of the picture.
    """
    nowhere = np.zeros((N_POINTS, 2), np.float32)
    square = chosen_square(crop, (rgba.shape[1], rgba.shape[0]), nowhere)
    centre = np.array([square.x, square.y + _DOWN * square.side])
    face = CANONICAL_FACE[:, :2] - CANONICAL_FACE[:68, :2].mean(axis=0)
    points = (centre + face * _FACE_SHARE * square.side).astype(np.float32)
    about = {"landmarks": {"matcher": "none: an average face in the square"}}
    return Character(name, rgba, points, np.zeros(N_POINTS, np.bool_), "human", about)


def with_square(character: Character, crop: str) -> Character:
    """The character with the square in its provenance, in pixels of the picture as it is now.

    Pictures are scaled to the size of the output later, squares with them (`crop_of`). Raises `PictureError`.
    """
    if crop in ("auto", "whole"):
        return character
    square = chosen_square(crop, character.size_wh, character.points_xy)
    return with_saved_square(character, (square.x - square.side / 2, square.y - square.side / 2, square.side))


def crop_of(character: Character, crop: str) -> str:
    """The square that was saved with the character, for every `crop` but `whole`; `crop` when it has none."""
    square = None if crop == "whole" else saved_square(character)
    return crop if square is None else ",".join(f"{part:.3f}" for part in square)
