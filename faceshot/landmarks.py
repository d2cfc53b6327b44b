"""What every landmark matcher gives: 70 points on a picture, and how sure it is of each.

A matcher is a callable `(rgb, progress) -> MatchedLandmarks`: MediaPipe, diffusion matching and the assisted fit are
three of them, and `faceshot character new` chooses among those that are at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceshot.errors import ShapeError
from faceshot.topology import GROUPS, N_POINTS
from faceshot.types import Float32, UInt8

__all__ = ["MatchProgress", "MatchedLandmarks", "Matcher"]

MatchProgress = Callable[[str, int, int], None]
"""Called with the stage in words ("inverting"), steps done, and steps in all."""


@dataclass(frozen=True, slots=True, eq=False)
class MatchedLandmarks:
    """Landmarks of one picture.

    Convention:
        Pixels of the picture that was given to the matcher, x right, y down, (0, 0) the centre of the first pixel;
        order of `faceshot.topology`. A confidence says how far a point may be trusted, 0 (guessed) to 1 (certain),
        comparable between points of one matcher, not between matchers.

    Attributes:
        points_xy: (70, 2) float32 px, finite; a point may lie outside the picture.
        visible: (70,) bool, False for what the character does not have.
        confidence: (70,) float32 in 0..1.
        matcher: which one it was: "mediapipe", "diffusion", "fit", "file".
        details: what goes into the character's provenance (backbone, gallery, domains, seconds ...); JSON values only.
    """

    points_xy: Float32
    visible: NDArray[np.bool_]
    confidence: Float32
    matcher: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wanted: tuple[tuple[str, np.ndarray, tuple[int, ...], type], ...] = (
            ("points_xy", self.points_xy, (N_POINTS, 2), np.float32),
            ("visible", self.visible, (N_POINTS,), np.bool_),
            ("confidence", self.confidence, (N_POINTS,), np.float32),
        )
        for name, array, shape, dtype in wanted:
            if array.shape != shape or array.dtype != dtype:
                got = f"{array.dtype.name} {tuple(array.shape)}"
                raise ShapeError(f"MatchedLandmarks.{name} must be {np.dtype(dtype).name} {shape}, got {got}.")
        if not np.isfinite(self.points_xy).all() or not np.isfinite(self.confidence).all():
            raise ShapeError("MatchedLandmarks holds a point or a confidence that is not finite.")

    def part_confidence(self) -> dict[str, float]:
        """Mean confidence by the names of `topology.GROUPS`; 0 for a part that is wholly invisible."""
        return {
            name: float(self.confidence[seen].mean()) if (seen := [i for i in group if self.visible[i]]) else 0.0
            for name, group in GROUPS.items()
        }


Matcher = Callable[[UInt8, MatchProgress], MatchedLandmarks]
"""`(rgb (H, W, 3) uint8, progress) -> MatchedLandmarks`."""
