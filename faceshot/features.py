"""Diffusion features: DDIM inversion of a picture up to time t, then the output of one up block of the UNet.

Convention:
    A picture is inverted from its latent z₀ with guidance 1. Step to time t, with a = ᾱ(t - 20) (ᾱ(0) below zero),
    b = ᾱ(t) and ε predicted at (z, t):  z ← √b (z - √(1-a) ε) / √a + √(1-b) ε.  Of the 50 steps those below t = 301
    are taken (15); at t the UNet runs up to `up_blocks[1]` and stops there.
    A feature cell (i, j) of a map of side n covers the square of S/n pixels whose centre is ((j + ½) S/n - ½, ...).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from faceshot.backbone import Backbone, FeatureSettings
from faceshot.errors import FaceshotError, ShapeError
from faceshot.landmarks import MatchProgress
from faceshot.memory import make_room, ran_out_of_memory
from faceshot.types import Float32, UInt8

__all__ = ["diffusion_features", "invert", "stopping_feature"]


class _Reached(Exception):
    """Leaves the UNet at the hook; no failure."""


def diffusion_features(
    backbone: Backbone,
    squares: UInt8,
    image_prompts: Float32 | None = None,
    settings: FeatureSettings | None = None,
    progress: MatchProgress = lambda stage, done, total: None,
    batch: int | None = None,
) -> Float32:
    """Features of pictures, as many at a time as memory allows; the same numbers whatever the batch.

    Args:
        squares: (N, S, S, 3) uint8, S = `settings.size`.
        image_prompts: (N, D) float32, what each picture is looked at with (`Backbone.image_embeds`); needed by
            backbones with image prompts, refused by the others.
        settings: None means the paper's.
        progress: called after each step; the total is `N` × steps.
        batch: at most so many at a time; None tries all on a GPU and two on a CPU, where more is not faster. Halved
            when memory runs out.

    Returns:
        (N, C, h, w) float32; (N, 1280, 32, 32) of the real models at 512 pixels.

    Raises:
        FaceshotError: not even one picture fits into memory.
    """
    import torch

    settings = settings or FeatureSettings()
    _check(backbone, squares, image_prompts, settings)
    count = len(squares)
    if batch is None:
        batch = 2 if backbone.placement.device == "cpu" else count
    latents = backbone.latents(squares)
    prompt = backbone.prompt_embeds(settings.prompt)
    scheduler = backbone.scheduler(settings.steps)
    steps = _steps_below(scheduler, settings.t) + 1
    found: list[Float32] = []
    done = 0
    while done < count:
        part = slice(done, min(done + max(1, batch), count))
        embeds = None if image_prompts is None else torch.from_numpy(image_prompts[part])

        def step(n: int, start: int = done, width: int = part.stop - done) -> None:
            progress("inverting", start * steps + n * width, count * steps)

        try:
            z = invert(backbone, scheduler, latents[part], prompt, embeds, settings.t, step)
            feature = stopping_feature(backbone, z, settings, prompt, embeds)
            found.append(np.asarray(feature.float().cpu().numpy(), np.float32))
        except (RuntimeError, MemoryError) as error:
            if not ran_out_of_memory(error):
                raise
            batch = (part.stop - part.start) // 2
            if batch < 1:
                raise FaceshotError(
                    f"Not enough memory on {backbone.placement.device} for one picture of {settings.size} pixels.",
                    "Close other programs, or choose another device: --set matching.device=cpu",
                ) from error
            make_room(backbone.placement.device)
            continue
        done = part.stop
        step(steps, part.start, part.stop - part.start)
    return np.concatenate(found)


def invert(
    backbone: Backbone,
    scheduler: Any,
    latents: Any,
    prompt: Any,
    image_embeds: Any | None,
    t: int,
    step: Callable[[int], None] = lambda n: None,
) -> Any:
    """Latents of the last inversion step below `t`.

    Args:
        scheduler: of `Backbone.scheduler`.
        latents: (N, 4, h, w) float32 tensor; the arithmetic of the steps is in single precision whatever the UNet's.
        prompt: (1, 77, D) tensor.
        image_embeds: (N, E) tensor or None.
        t: the time of the feature, one of the schedule's.
        step: called after each step with their number so far.
    """
    import torch

    z = latents
    with torch.inference_mode():
        for n in range(_steps_below(scheduler, t)):
            now = scheduler.timesteps[n]
            epsilon = backbone.unet(
                z.to(backbone.unet.dtype), now, **_conditions(backbone, len(z), prompt, image_embeds)
            ).sample
            z = scheduler.step(epsilon.float(), int(now), z).prev_sample
            step(n + 1)
    return z


def stopping_feature(
    backbone: Backbone, z: Any, settings: FeatureSettings, prompt: Any, image_embeds: Any | None
) -> Any:
    """Output of `up_blocks[settings.block]` at `settings.t`; what lies after it in the UNet is not computed."""
    import torch

    caught: list[Any] = []

    def stop(module: Any, inputs: Any, output: Any) -> None:
        caught.append(output)
        raise _Reached

    hook = backbone.unet.up_blocks[settings.block].register_forward_hook(stop)
    try:
        with torch.inference_mode():
            backbone.unet(z.to(backbone.unet.dtype), settings.t, **_conditions(backbone, len(z), prompt, image_embeds))
    except _Reached:
        pass
    finally:
        hook.remove()
    return caught[0]


def _conditions(backbone: Backbone, count: int, prompt: Any, image_embeds: Any | None) -> dict[str, Any]:
    conditions: dict[str, Any] = {"encoder_hidden_states": prompt.expand(count, -1, -1)}
    if image_embeds is not None:
        embeds = image_embeds.to(backbone.placement.device, backbone.placement.torch_dtype)
        conditions["added_cond_kwargs"] = {"image_embeds": [embeds[:, None]]}
    return conditions


def _steps_below(scheduler: Any, t: int) -> int:
    times = [int(time) for time in scheduler.timesteps]
    if t not in times:
        near = min(times, key=lambda time: abs(time - t))
        raise FaceshotError(f"Time {t} is not on the schedule of {len(times)} steps.", f"The nearest is {near}.")
    return times.index(t)


def _check(backbone: Backbone, squares: UInt8, image_prompts: Float32 | None, settings: FeatureSettings) -> None:
    side = settings.size
    if squares.ndim != 4 or squares.shape[1:] != (side, side, 3) or squares.dtype != np.uint8:
        raise ShapeError(f"Pictures must be uint8 (N, {side}, {side}, 3), got {squares.dtype} {squares.shape}.")
    if backbone.spec.takes_image_prompt != (image_prompts is not None):
        rule = "needs" if backbone.spec.takes_image_prompt else "takes no"
        raise ShapeError(f"The backbone {backbone.spec.name} {rule} image prompts.")
    if image_prompts is not None and len(image_prompts) != len(squares):
        raise ShapeError(f"{len(squares)} pictures need as many image prompts, got {len(image_prompts)}.")
