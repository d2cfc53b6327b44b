"""The square of a character's picture that is to be animated, saved with the character by the editor.

It stands in the provenance as shares of the picture's width, since pictures are scaled to the size of the output later.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from faceshot.errors import PictureError
from faceshot.types import Character

__all__ = ["saved_square", "with_saved_square"]

LEAST_SIDE_PX: Final = 16
_KEY: Final = "square"


def saved_square(character: Character) -> list[float] | None:
    """Left, top and side in pixels of the character's picture; None when it has no square, or a damaged one."""
    share = character.provenance.get(_KEY)
    if not isinstance(share, list) or not _numbers(share):
        return None
    square = [float(value) * character.size_wh[0] for value in share]
    return square if square[2] > 0 else None


def with_saved_square(character: Character, square: Any) -> Character:
    """The character with a square, or without one for None.

    Args:
        square: left, top, side in pixels.

    Raises:
        PictureError: it is no square, or leaves nothing of the picture.
    """
    about = {key: value for key, value in character.provenance.items() if key != _KEY}
    if square is None:
        return replace(character, provenance=about)
    width, height = character.size_wh
    if not isinstance(square, (list, tuple)) or not _numbers(square):
        raise PictureError(f"The square {square!r} is not left, top, side in pixels.", "Draw it anew.")
    left, top, side = (float(value) for value in square)
    if side < LEAST_SIDE_PX or not (left < width and top < height and left + side > 0 and top + side > 0):
        raise PictureError(
            f"The square {left:g},{top:g},{side:g} (left, top, side) is smaller than {LEAST_SIDE_PX} pixels or outside "
            f"the picture of {width}×{height}.",
            "Draw it over the face.",
        )
    return replace(character, provenance={**about, _KEY: [value / width for value in (left, top, side)]})


def _numbers(values: Any) -> bool:
    plain = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
    return len(values) == 3 and plain and bool(np.isfinite(values).all())
