"""A character as the networks see it: everything that depends on it alone, computed once, and what one frame adds.

Rows of a result do not depend on one another: a frame gives the same numbers alone or among others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from faceshot.animators.svd.adapter import Conditions, Reference
from faceshot.animators.svd.checkpoints import SvdModels
from faceshot.animators.svd.cmp import Seen, seen_by_cmp, upscale_flow
from faceshot.animators.svd.hints import Hints
from faceshot.animators.svd.raster import pose_pictures
from faceshot.animators.svd.square import Square, carried_alpha
from faceshot.types import Character, Rendered, UInt8

__all__ = ["NOISE_AUG", "TIME_IDS", "Scene", "clip_picture", "make_scene"]

TIME_IDS: Final = (6.0, 128.0, 0.02)
"""Frames a second, motion bucket and noise that the published program says whatever it is asked for."""
NOISE_AUG: Final = 0.02
_CLIP_SIDE: Final = 224
_AT_ONCE: Final = 8


@dataclass(slots=True, eq=False)
class Scene:
    """Made with `make_scene`.

    Attributes:
        square: where the character's picture is in the square that is drawn.
        first: (1, 3, S, S) float32 in 0..1, the reference.
        alpha: (1, 1, S, S) float32 of a cut-out figure, or None.
        points_xy: (70, 2) px of the square, the reference's landmarks.
        embedding: (1, 1, D), what CLIP sees.
        latents: (1, 4, S/8, S/8), the VAE's latents of the reference, not scaled.
        reference, anchor: the adapter's view of the reference, and of the window's index 0.
    """

    models: SvdModels
    square: Square
    first: Tensor
    alpha: Tensor | None
    points_xy: np.ndarray
    visible: np.ndarray
    hints: Hints
    seen: Seen
    reference: Reference
    anchor: Conditions
    embedding: Tensor
    latents: Tensor

    def flows(self, points_xy: np.ndarray) -> Tensor:
        """(F, 2, S, S) px from the reference to each frame.

        Args:
            points_xy: (F, 68 or 70, 2) px of the square.
        """
        size = self.square.size
        motion = torch.from_numpy(self.hints.motion(points_xy)).to(self.models.device)
        made = []
        for some in motion.split(_AT_ONCE):
            flow = self.models.cmp.flow(
                self.seen, self.hints.dense(some), self.hints.mask.expand(len(some), -1, -1, -1)
            )
            made.append(upscale_flow(flow, (size, size)))
        return torch.cat(made)

    def conditions(self, points_xy: np.ndarray) -> Conditions:
        """What the adapter needs of frames; points as for `flows`."""
        poses = torch.from_numpy(pose_pictures(points_xy, self.square.size, self.visible))
        poses = poses.to(self.models.device, self.models.dtype)
        return self.models.controlnet.conditions(self.reference, poses, self.flows(points_xy))

    def pictures(self, rgb: UInt8, points_xy: np.ndarray) -> list[Rendered]:
        """Drawn squares (F, S, S, 3) as pictures of the character's size, cut out as the reference is."""
        if self.alpha is None:
            return [Rendered(self.square.back(one)) for one in rgb]
        alpha = carried_alpha(self.alpha, self.flows(points_xy))[:, 0].mul(255).round().to(torch.uint8).cpu().numpy()
        return [Rendered(self.square.back(one, veil)) for one, veil in zip(rgb, alpha, strict=True)]


def make_scene(character: Character, models: SvdModels, size: int, seed: int = 0) -> Scene:
    """Look at a character once.

    Args:
        size: side of the square in pixels, a multiple of 64.
        seed: of the faint noise that is laid over the picture before the VAE.
    """
    device, dtype = models.device, models.dtype
    square = Square.around(character.size_wh, size)
    rgb, veil = square.picture(character)
    first = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1))[None]).to(device).float() / 255
    alpha = None if veil is None else torch.from_numpy(veil)[None, None].to(device).float() / 255
    points_xy = square.points(character.points_xy)
    hints = Hints(points_xy, (size, size), character.visible, device)
    pose = torch.from_numpy(pose_pictures(points_xy[None], size, character.visible)).to(device, dtype)
    reference = models.controlnet.prepare((first * 2 - 1).to(dtype))
    noise = torch.randn(first.shape, generator=torch.Generator().manual_seed(seed)).to(device)
    latents = models.vae.encode(first * 2 - 1 + NOISE_AUG * noise).latent_dist.mode()
    return Scene(
        models=models,
        square=square,
        first=first,
        alpha=alpha,
        points_xy=points_xy,
        visible=character.visible,
        hints=hints,
        seen=models.cmp.see(seen_by_cmp(first)),
        reference=reference,
        anchor=models.controlnet.anchor(reference, pose),
        embedding=models.image_encoder(clip_picture(first).to(dtype)).image_embeds[:, None],
        latents=latents.to(dtype),
    )


def clip_picture(picture: Tensor, side: int = _CLIP_SIDE) -> Tensor:
    """(N, 3, H, W) in 0..1 -> (N, 3, side, side): blurred as much as it shrinks, then bicubic, corners on corners.

    CLIP's own normalisation is left out, as the published program leaves it out.
    """
    factors = [have / side for have in picture.shape[2:]]
    kernels = [_gaussian(max((factor - 1) / 2, 0.001)).to(picture) for factor in factors]
    channels = picture.shape[1]
    for axis, kernel in ((2, kernels[0]), (3, kernels[1])):
        pad = len(kernel) // 2
        padding = (0, 0, pad, pad) if axis == 2 else (pad, pad, 0, 0)
        shape = (channels, 1, len(kernel), 1) if axis == 2 else (channels, 1, 1, len(kernel))
        weight = kernel.reshape(1, 1, *shape[2:]).expand(shape)
        picture = functional.conv2d(functional.pad(picture, padding, mode="reflect"), weight, groups=channels)
    return functional.interpolate(picture, (side, side), mode="bicubic", align_corners=True)


def _gaussian(sigma: float) -> Tensor:
    """A kernel four sigmas wide, of odd length and at least 3."""
    length = max(int(4 * sigma), 3) | 1
    x = torch.arange(length, dtype=torch.float64) - length // 2
    weights = torch.exp(-(x**2) / (2 * sigma**2))
    return (weights / weights.sum()).float()
