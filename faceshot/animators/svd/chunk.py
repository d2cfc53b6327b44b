"""One window of video diffusion as a function of tensors with static shapes: landmarks in, pictures out.

    [ reference | h1 h2 h3 | n1 n2 n3 n4 ]

Slot 0 is the reference, an identity sink that is never shown. The history are the last latents that were shown; after
each step they are put back, with the noise of the next. New frames start from a guess, the reference and the last frame
carried along the landmarks' flow, so that two steps are enough and drift has nothing to feed on.

Everything that outlives a chunk stands in buffers that `run` writes in place: recorded as a CUDA graph it does the
same. Nothing in it waits for the device.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from faceshot.animators.svd.adapter import Conditions, stack
from faceshot.animators.svd.cmp import SIDE
from faceshot.animators.svd.consistency import c_in, matched, statistics, timestep
from faceshot.animators.svd.constant_attention import constants_of, using
from faceshot.animators.svd.live_engine import LiveEngine
from faceshot.animators.svd.live_settings import LiveSettings
from faceshot.animators.svd.raster import CANVAS
from faceshot.animators.svd.scene import TIME_IDS, Scene
from faceshot.animators.svd.splat import splat_average, splat_sum
from faceshot.animators.svd.square import carried_alpha
from faceshot.pose_drawings import draw_pose
from faceshot.types import UInt8

__all__ = ["ChunkStage", "coefficients"]

SCALING = 0.18215
"""The VAE's latents times this are what is diffused; the ones beside them are not scaled."""
_BLACK = 1 / 255


def coefficients(sigmas: Sequence[float]) -> Tensor:
    """(steps, 5) float32: sigma, c_in, c_skip, c_out and time of each step."""
    rows = [(s, c_in(s), 1 / (s * s + 1), -s * c_in(s), timestep(s)) for s in sigmas]
    return torch.tensor(rows, dtype=torch.float32)


class ChunkStage:
    """A character at one size, and where its window stands.

    Args:
        scene: of the character, at that size.
        engine: the networks.
        settings: see there.
    """

    def __init__(self, scene: Scene, engine: LiveEngine, settings: LiveSettings) -> None:
        self.scene, self.settings = scene, settings
        self._engine = engine
        models, device, dtype = engine.models, engine.models.device, engine.models.dtype
        size, history, frames = scene.square.size, settings.history, settings.window
        self._constants = constants_of(scene.embedding, models.unet, models.controlnet)
        self._ids = torch.tensor([TIME_IDS], dtype=dtype, device=device)
        reference = scene.latents[0].float() * SCALING
        self._reference = reference
        self._mean, self._std = statistics(reference)
        self._beside = scene.latents.to(dtype).expand(frames, -1, -1, -1)
        generator = torch.Generator().manual_seed(settings.seed)
        self._noise = torch.randn((frames, *reference.shape), generator=generator).to(device)
        grid = [torch.arange(n, device=device, dtype=torch.float32) for n in reference.shape[1:]]
        self._grid = torch.stack(torch.meshgrid(*grid, indexing="ij")[::-1])
        # What outlives a chunk.
        self._known = reference.repeat(1 + history, 1, 1, 1)
        self._past = scene.anchor.repeated(history)
        self._flow = torch.zeros(1, 2, size, size, device=device)
        self._memory = engine.decoder.blank_memory(*reference.shape[1:])

    def reset(self) -> None:
        """The past is the reference at rest, and was decoded by nobody."""
        self._known.copy_(self._reference.expand_as(self._known))
        for mine, first in zip(_flat(self._past), _flat(self.scene.anchor), strict=True):
            mine.copy_(first.expand_as(mine))
        self._flow.zero_()
        for memory in self._memory:
            memory.zero_()

    @torch.no_grad()
    def resume(self, other: ChunkStage, points_xy: np.ndarray) -> None:
        """Go on where the same character stands at another size.

        Args:
            points_xy: (history, 70, 2) px of this stage's square: the last frames that were shown.
        """
        self.reset()
        hw = (int(self._known.shape[2]), int(self._known.shape[3]))
        self._known[1:].copy_(functional.interpolate(other._known[1:], hw, mode="bilinear", align_corners=False))
        device = self._known.device
        motion, canvas = (part.to(device) for part in self.inputs(points_xy))
        flows = self._flows(motion)
        made = self._conditions(canvas, flows)
        for mine, new in zip(_flat(self._past), _flat(made), strict=True):
            mine.copy_(new)
        self._flow.copy_(flows[-1:])

    def inputs(self, points_xy: np.ndarray) -> tuple[Tensor, Tensor]:
        """What is uploaded for frames, on the host: (F, K, 2) motion and (F, 320, 320, 3) uint8 pose drawings.

        Args:
            points_xy: (F, 70, 2) px of the square.
        """
        size = self.scene.square.size
        drawn = [draw_pose(points, (size, size), "mofa", self.scene.visible, (CANVAS, CANVAS)) for points in points_xy]
        return torch.from_numpy(self.scene.hints.motion(points_xy)), torch.from_numpy(np.stack(drawn))

    def pictures(self, rgba: UInt8) -> list[UInt8]:
        """Drawn squares (F, S, S, 4) as pictures (H, W, 4) of the character's size."""
        opaque = self.scene.alpha is None
        return [self.scene.square.back(one[..., :3], None if opaque else one[..., 3]) for one in rgba]

    def run(self, motion: Tensor, canvas: Tensor, steps: Tensor, share: Tensor) -> tuple[Tensor, ...]:
        """The next chunk.

        Args:
            motion, canvas: see `inputs`, of the new frames.
            steps: see `coefficients`.
            share: (1,) how much of the guess is the last frame; the rest is the reference.

        Returns:
            (stride, S, S, 4) uint8 pictures, and a bool whether they are pictures: neither NaN nor black.
        """
        with using(self._constants):
            return self._run(motion, canvas, steps, share)

    def _run(self, motion: Tensor, canvas: Tensor, steps: Tensor, share: Tensor) -> tuple[Tensor, ...]:
        flows = self._flows(motion)
        new = self._conditions(canvas, flows)
        window = stack([self.scene.anchor, self._past, new])
        clean = self._denoised(self._guess(flows, share), window, steps)
        clean = matched(clean, self._mean, self._std, self.settings.match)
        pictures, memory = self._engine.decoder(clean.to(self._engine.models.dtype), self._memory)
        pictures = pictures.float()
        healthy = torch.isfinite(pictures).all() & (pictures.amax() > _BLACK)
        rgb = (pictures.nan_to_num(0).clamp(0, 1) * 255).round()
        if self.scene.alpha is None:
            alpha = torch.full_like(rgb[:, :1], 255)
        else:
            alpha = (carried_alpha(self.scene.alpha, flows) * 255).round()
        rgba = torch.cat([rgb, alpha], 1).to(torch.uint8).permute(0, 2, 3, 1).contiguous()

        history = self.settings.history
        self._known[1:].copy_(torch.cat([self._known[1:], clean])[-history:])
        for mine, fresh in zip(_flat(self._past), _flat(new), strict=True):
            mine.copy_(torch.cat([mine, fresh])[-history:])
        self._flow.copy_(flows[-1:])
        for mine, later in zip(self._memory, memory, strict=True):
            mine.copy_(later)
        return rgba, healthy

    def _denoised(self, guess: Tensor, window: Conditions, steps: Tensor) -> Tensor:
        """(stride, 4, h, w) latents without noise."""
        models = self._engine.models
        token, ids = self.scene.embedding, self._ids
        known = self._known
        base = torch.cat([known, guess])
        for sigma, scale, c_skip, c_out, time in (row.unbind() for row in steps.unbind()):
            noisy = base + sigma * self._noise
            sample = torch.cat([(noisy * scale).to(models.dtype), self._beside], 1)[None]
            out = self._engine.predict(sample, time, token, ids, window)
            clean = noisy * c_skip + out[0].float() * c_out
            base = torch.cat([known, clean[known.shape[0] :]])
        return base[known.shape[0] :]

    def _guess(self, flows: Tensor, share: Tensor) -> Tensor:
        """(stride, 4, h, w) the reference and the last frame, carried to where the landmarks are now.

        The last frame is first brought back to where the reference is, along its own flow; so both go the same way.
        """
        hw = self._reference.shape[1:]
        small = functional.interpolate(flows, tuple(hw), mode="area") / (flows.shape[2] / hw[0])
        last = functional.interpolate(self._flow, tuple(hw), mode="area") / (flows.shape[2] / hw[0])
        at_rest = _sampled(self._known[-1:], self._grid + last[0])
        mixed = self._reference + share * (at_rest - self._reference)
        mixed = mixed.expand(flows.shape[0], -1, -1, -1)
        landed = splat_sum(mixed[:, :1], small)[1].clamp(max=1)
        return splat_average(mixed, small) * landed + self._reference * (1 - landed)

    def _flows(self, motion: Tensor) -> Tensor:
        """(F, 2, S, S) px from the reference to each frame."""
        scene = self.scene
        hints = scene.hints.dense(motion)
        flow = scene.models.cmp.flow(scene.seen, hints, scene.hints.mask.expand(len(motion), -1, -1, -1))
        size = scene.square.size
        return functional.interpolate(flow, (size, size), mode="nearest") * (size / SIDE)

    def _conditions(self, canvas: Tensor, flows: Tensor) -> Conditions:
        size, models = self.scene.square.size, self._engine.models
        poses = canvas.permute(0, 3, 1, 2).float() / 255
        poses = functional.interpolate(poses, (size, size), mode="bilinear", align_corners=False).to(models.dtype)
        return models.controlnet.conditions(self.scene.reference, poses, flows)


def _sampled(picture: Tensor, at: Tensor) -> Tensor:
    """A (1, C, h, w) picture read at (2, h, w) px; beyond the border the border."""
    height, width = picture.shape[2:]
    grid = torch.stack([(2 * at[0] + 1) / width - 1, (2 * at[1] + 1) / height - 1], -1)
    return functional.grid_sample(picture, grid[None], mode="bilinear", padding_mode="border", align_corners=False)


def _flat(conditions: Conditions) -> list[Tensor]:
    return [*conditions.landmarks, *conditions.warped]
