"""What may still be done to a finished picture. It stands among the animators because only they construct `Rendered`."""

from __future__ import annotations

import numpy as np

from faceshot.types import Rendered

__all__ = ["mirrored"]


def mirrored(picture: Rendered) -> Rendered:
    """The picture flipped left to right, contiguous in memory."""
    return Rendered(np.ascontiguousarray(picture.rgba[:, ::-1]))
