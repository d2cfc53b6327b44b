"""Pose pictures as the adapter was trained on them: drawn by `faceshot.pose_drawings` at 320 × 320, then enlarged."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from faceshot.pose_drawings import draw_pose
from faceshot.types import Float32

__all__ = ["CANVAS", "pose_pictures"]

CANVAS: Final = 320


def pose_pictures(points_xy: np.ndarray, size: int, visible: np.ndarray | None = None) -> Float32:
    """
    Args:
        points_xy: (F, 68 or 70, 2) px of a square picture of `size`.
        visible: lines with an invisible end are left out.

    Returns:
        (F, 3, size, size) in 0..1; enlarged as numbers, not as bytes, so between two colours nothing is rounded.
    """
    drawn = [draw_pose(points, (size, size), "mofa", visible, (CANVAS, CANVAS)) for points in points_xy]
    large = [cv2.resize(one.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR) for one in drawn]
    return np.ascontiguousarray(np.stack(large).transpose(0, 3, 1, 2) / np.float32(255))
