"""Pictures that no animator draws: the character as it is, and a finished picture flipped.

It stands among the animators because only they construct `Rendered`.
"""

from __future__ import annotations

import numpy as np

from faceshot.types import Character, Rendered

__all__ = ["mirrored", "still"]


def mirrored(picture: Rendered) -> Rendered:
    """The picture flipped left to right, contiguous in memory."""
    return Rendered(np.ascontiguousarray(picture.rgba[:, ::-1]))


def still(character: Character) -> Rendered:
    """The character without any motion: what is on air while its animator loads."""
    return Rendered(character.rgba)
