"""The offline animator: a whole clip at once, as published: windows of 25, 25 Karras steps, a ramp of guidance.

Two passes. The first denoises latents in a wave of windows, see `windows.units`; a frame's conditions are computed when
the wave reaches it and dropped when it has passed, and finished latents go to disk. The second decodes them in order.
Nothing that is held grows with the clip but some bytes a frame.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from faceshot.animators.svd.adapter import Conditions, stack
from faceshot.animators.svd.checkpoints import SvdModels, find_files, load_models
from faceshot.animators.svd.film import Film
from faceshot.animators.svd.machine import activation_bytes, check_memory, free_bytes, out_of_memory_is_said, place
from faceshot.animators.svd.sampler import Schedule, WindowSampler, guided, schedule_of
from faceshot.animators.svd.scene import TIME_IDS, Scene, make_scene
from faceshot.animators.svd.settings import QualitySettings
from faceshot.animators.svd.unet import run_unet
from faceshot.animators.svd.windows import STRIDE, WINDOW, guidance_ramp, guided_clip_length, triangle, views
from faceshot.errors import ShapeError
from faceshot.types import Character, Rendered, UInt8

__all__ = ["Progress", "SvdQuality"]

Progress = Callable[[str, int, int], None]
"""Called with the stage ("load", "denoise" or "draw"), what is done of it, and all there is."""

_DECODED: Final = 8
_CONTEXT: Final = 2
"""Frames decoded at once, and their neighbours on each side that are decoded along and thrown away: the decoder looks
at neighbours, so a bare cut would show."""
_AHEAD: Final = 4
"""Conditions computed at once."""


class SvdQuality:
    """Draws films.

    Args:
        settings: see there.
        folder: the configured models folder.

    Attributes:
        on_gpu: whether it computes on a GPU; known after `load`.
    """

    def __init__(self, settings: QualitySettings | None = None, folder: Path | None = None) -> None:
        self.settings = settings or QualitySettings()
        self._folder = folder
        self._models: SvdModels | None = None
        self._scene: Scene | None = None
        self._character = ""
        self.on_gpu = False

    def load(self, character: Character, progress: Progress = lambda stage, done, total: None) -> None:
        """Load the networks, unless that is done, and look at the character.

        Raises:
            WeightsMissing, CheckpointError: a file is missing or wrong.
            DeviceError: no such device, or too little memory; says what fits.
        """
        settings = self.settings
        with out_of_memory_is_said(), torch.no_grad():
            if self._models is None:
                device, dtype = place(settings.device, settings.precision)
                check_memory(find_files(self._folder), device, dtype, settings.size, free_bytes(device))
                self._models = load_models(
                    self._folder, device, dtype, progress=lambda part, done, total: progress("load", done, total)
                )
                self.on_gpu = device.type == "cuda"
            self._scene = make_scene(character, self._models, settings.size, settings.seed)
        self._character = _fingerprint(character)

    def open_film(self, points_xy: np.ndarray, folder: Path) -> Film:
        """A film of the loaded character, or what `folder` holds of the same one.

        Args:
            points_xy: (M, 68 or 70, 2) px of the character's picture.
            folder: what is done is kept there; the caller discards it.

        Raises:
            ShapeError: no character is loaded. FaceshotError: the folder is of no use.
        """
        scene = self._ready()
        points = scene.square.points(points_xy)
        side = self.settings.size // 8
        return Film(folder, self._about(len(points)), points, (4, side, side))

    def beyond_reach(self, film: Film) -> tuple[int, int]:
        """Landmarks that move further than the adapter's flow can say (they move that far), and frames with any."""
        far = self._ready().hints.beyond_reach(film.points_xy)
        return int(far.sum()), int((far > 0).sum())

    def draw(self, film: Film, progress: Progress = lambda stage, done, total: None) -> Iterator[Rendered]:
        """One picture a frame, in order. Raises `DeviceError` when memory runs out; what is done is kept."""
        scene = self._ready()
        with out_of_memory_is_said(), torch.no_grad():
            _Denoising(scene, self.settings, film).run(progress)
        total = len(film.points_xy)
        for start in range(0, total, _DECODED):
            with out_of_memory_is_said(), torch.no_grad():
                rgb = _decoded(scene.models, film, start)
                pictures = scene.pictures(rgb, film.points_xy[start : start + len(rgb)])
            yield from pictures
            progress("draw", start + len(rgb), total)

    def close(self) -> None:
        self._scene = self._models = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _ready(self) -> Scene:
        if self._scene is None:
            raise ShapeError("The svd animator has no character yet.", "Call load(character) first.")
        return self._scene

    def _about(self, frames: int) -> dict[str, Any]:
        """What decides how a film looks, apart from the landmarks."""
        assert self._models is not None
        settings, files = self.settings, self._models.files
        return {
            "version": 1,
            "character": self._character,
            "frames": frames,
            "size": settings.size,
            "steps": settings.steps,
            "guidance": settings.guidance,
            "seed": settings.seed,
            "precision": str(self._models.dtype).removeprefix("torch."),
            "weights": [_first_megabyte(path) for path in (files.unet, files.controlnet, files.vae, files.cmp)],
        }


class _Denoising:
    """The first pass."""

    def __init__(self, scene: Scene, settings: QualitySettings, film: Film) -> None:
        models = scene.models
        self._scene, self._models, self._film = scene, models, film
        self._schedule: Schedule = schedule_of(models.scheduler, settings.steps)
        self._seed = settings.seed
        self._shape = tuple(scene.latents.shape[1:])
        self._length = len(film.points_xy)
        self._table = views(guided_clip_length(self._length))
        self._guides = settings.guidance > 1
        self._ramp = torch.from_numpy(guidance_ramp(settings.guidance)).to(models.device)
        self._timesteps = torch.tensor(self._schedule.timesteps, device=models.device)
        self._ids = torch.tensor([TIME_IDS], device=models.device, dtype=models.dtype)
        self._conditions: dict[int, Conditions] = {}
        self._keep_on = self._where_to_keep(free_bytes(models.device))

    def _where_to_keep(self, free: float | None) -> torch.device:
        """Conditions of the frames in flight (2.3 GB at 512 px in half precision) stay on a GPU that has the room."""
        models = self._models
        held = STRIDE * self._schedule.steps + WINDOW
        need = held * self._scene.anchor.bytes + activation_bytes(
            models.controlnet.config.channels[0], models.dtype, self._scene.square.size
        )
        fits = free is not None and free > 1.2 * need
        return models.device if models.device.type == "cpu" or fits else torch.device("cpu")

    def run(self, progress: Progress) -> None:
        sampler = WindowSampler(self._schedule, self._table, triangle(WINDOW - 1), self._noise)
        if self._film.state is not None:
            tensors, numbers = self._film.state
            sampler.restore({key: value.to(self._models.device) for key, value in tensors.items()}, numbers)
        per_round = [len(sampler.units_of(i)) for i in range(sampler.rounds)]
        done, total = sum(per_round[: sampler.round]), sum(per_round)
        progress("denoise", done, total)

        def one_more() -> None:
            nonlocal done
            done += 1
            progress("denoise", done, total)

        while sampler.round < sampler.rounds:
            self._look_at(sampler.frames_of(sampler.round))
            for number, latents in sampler.advance(self._denoise, one_more):
                if number <= self._length:
                    self._film.append(latents)
            self._film.save(*sampler.state())

    def _noise(self, number: int) -> Tensor:
        """A frame's own noise: the same whatever the clip's length, and after a stop."""
        generator = torch.Generator().manual_seed((self._seed << 32) + number)
        return torch.randn(self._shape, generator=generator).to(self._models.device)

    def _look_at(self, frames: set[int]) -> None:
        """Compute the conditions of new frames, forget those that are not needed any more."""
        for number in self._conditions.keys() - frames:
            del self._conditions[number]
        new = sorted(number for number in frames - self._conditions.keys() if number <= self._length)
        for i in range(0, len(new), _AHEAD):
            some = new[i : i + _AHEAD]
            made = self._scene.conditions(self._film.points_xy[np.array(some) - 1])
            for j, number in enumerate(some):
                self._conditions[number] = made[j : j + 1].copied().to(self._keep_on)
        for number in frames - self._conditions.keys():  # a clip shorter than a window is held at its end
            self._conditions[number] = self._conditions[self._length]

    def _denoise(self, latents: Tensor, step: int, frames: Sequence[int]) -> Tensor:
        """The networks' prediction for one window, guided."""
        later = stack([self._conditions[number] for number in frames[1:]])
        window = stack([self._scene.anchor, later.to(self._models.device)])
        if not self._guides:
            return self._predict(latents, step, window, 1)
        # One half after the other: half the memory, and on large windows no slower.
        return guided(self._predict(latents, step, window, 0), self._predict(latents, step, window, 1), self._ramp)

    def _predict(self, latents: Tensor, step: int, window: Conditions, held: float) -> Tensor:
        """With the character (1) or without it (0); landmarks and flow are there in both halves."""
        models, scene = self._models, self._scene
        known = (scene.latents * held).expand(len(latents), -1, -1, -1)
        sample = torch.cat([latents.to(models.dtype), known], 1)[None]
        timestep = self._timesteps[step]
        embedding = scene.embedding * held
        added = models.controlnet(sample, timestep, embedding, self._ids, window)
        return run_unet(models.unet, sample, timestep, embedding, self._ids, added)[0].float()


def _decoded(models: SvdModels, film: Film, start: int) -> UInt8:
    """(F, S, S, 3) the next frames."""
    total = len(film.points_xy)
    stop = min(start + _DECODED, total)
    first, last = max(0, start - _CONTEXT), min(total, stop + _CONTEXT)
    latents = film.latents(first, last).to(models.device, models.dtype) / models.vae.config.scaling_factor
    drawn = models.vae.decode(latents, num_frames=last - first).sample[start - first : stop - first]
    rgb = (drawn.float() / 2 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8)
    return np.asarray(rgb.permute(0, 2, 3, 1).numpy(force=True), np.uint8)


def _fingerprint(character: Character) -> str:
    digest = hashlib.sha256(character.rgba.tobytes())
    digest.update(character.points_xy.tobytes() + character.visible.tobytes())
    return digest.hexdigest()[:16]


def _first_megabyte(path: Path) -> str:
    """Says which weights: size and beginning of a file."""
    digest = hashlib.sha256(str(path.stat().st_size).encode())
    with path.open("rb") as file:
        digest.update(file.read(1 << 20))
    return digest.hexdigest()[:16]
