"""From M's raw heads to the 21 implicit keypoints, and what is measured on them.

Convention:
    x to the right, y down, z inwards; 2 units are the side of the crop. Rotation matrices act on rows from the right:
    `points @ R`. Motions are batches: first axis B, one entry a face or a frame.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = [
    "BROW_POINTS",
    "EYE_POINTS",
    "LIP_POINTS",
    "N_KEYPOINTS",
    "Motion",
    "angles_degrees",
    "degrees_from_logits",
    "hull_multiplier",
    "keypoints",
    "rotation",
]

N_KEYPOINTS = 21
LIP_POINTS = (6, 12, 14, 17, 19, 20)
EYE_POINTS = (11, 13, 15, 16, 18)
BROW_POINTS = (1, 2)


class Motion(NamedTuple):
    """What M sees in one face.

    Attributes:
        rotation: (B, 3, 3).
        exp: (B, 21, 3) deformation by the expression.
        t: (B, 3); z is never used.
        scale: (B, 1).
        kp: (B, 21, 3) canonical points; a driver's are never used.
    """

    rotation: Tensor
    exp: Tensor
    t: Tensor
    scale: Tensor
    kp: Tensor

    @classmethod
    def of(cls, heads: dict[str, Tensor]) -> Motion:
        """From the output of M."""
        pitch, yaw, roll = (degrees_from_logits(heads[name]) for name in ("pitch", "yaw", "roll"))
        exp, kp = (heads[name].reshape(-1, N_KEYPOINTS, 3) for name in ("exp", "kp"))
        return cls(rotation(pitch, yaw, roll), exp, heads["t"], heads["scale"], kp)

    def frame(self, i: int) -> Motion:
        """One entry, as a batch of one."""
        return Motion(*(part[i : i + 1] for part in self))

    @property
    def points(self) -> Tensor:
        """(B, 21, 3) where the points are."""
        return keypoints(self.kp, self.rotation, self.exp, self.scale, self.t)


def degrees_from_logits(logits: Tensor) -> Tensor:
    """(B, 66) logits over bins of 3 degrees to (B,) degrees."""
    bins = torch.arange(logits.shape[-1], dtype=logits.dtype, device=logits.device)
    return (torch.softmax(logits, dim=-1) * bins).sum(-1) * 3 - 97.5


def rotation(pitch: Tensor, yaw: Tensor, roll: Tensor) -> Tensor:
    """(B, 3, 3) from (B,) degrees: the transpose of Rz(roll) Ry(yaw) Rx(pitch), for use from the right."""
    pitch, yaw, roll = (angle.reshape(-1) * (torch.pi / 180) for angle in (pitch, yaw, roll))
    one, zero = torch.ones_like(pitch), torch.zeros_like(pitch)

    def matrix(*rows: Tensor) -> Tensor:
        return torch.stack(rows, dim=-1).reshape(-1, 3, 3)

    (cp, sp), (cy, sy), (cr, sr) = ((torch.cos(a), torch.sin(a)) for a in (pitch, yaw, roll))
    about_x = matrix(one, zero, zero, zero, cp, -sp, zero, sp, cp)
    about_y = matrix(cy, zero, sy, zero, one, zero, -sy, zero, cy)
    about_z = matrix(cr, -sr, zero, sr, cr, zero, zero, zero, one)
    return (about_z @ about_y @ about_x).transpose(1, 2)


def angles_degrees(turned: Tensor) -> Tensor:
    """(B, 3) pitch, yaw and roll in degrees of (B, 3, 3) matrices of `rotation`."""
    m = turned.transpose(1, 2)
    pitch = torch.atan2(m[:, 2, 1], m[:, 2, 2])
    yaw = torch.asin((-m[:, 2, 0]).clamp(-1, 1))
    roll = torch.atan2(m[:, 1, 0], m[:, 0, 0])
    return torch.stack([pitch, yaw, roll], dim=-1) * (180 / torch.pi)


def keypoints(kp: Tensor, turned: Tensor, exp: Tensor, scale: Tensor, t: Tensor) -> Tensor:
    """scale · (kp R + exp) + t; the size multiplies the expression too, and nothing moves along z."""
    flat = torch.cat([t[..., :2], torch.zeros_like(t[..., 2:3])], dim=-1)
    return scale.reshape(-1, 1, 1) * (kp @ turned + exp) + flat.reshape(-1, 1, 3)


def hull_multiplier(source: NDArray, first: NDArray) -> float:
    """How much larger the source moves than the driver: the root of the ratio of the points' hull volumes.

    Args:
        source, first: (21, 3) points of the source and of the driver's first picture.
    """
    from scipy.spatial import ConvexHull, QhullError

    try:
        return float(np.sqrt(ConvexHull(source).volume) / np.sqrt(ConvexHull(first).volume))
    except QhullError:  # all in one plane: nothing to compare
        return 1.0
