"""The mathematics of inversion and features, on small random models with the real classes and file layout."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from faceshot import features
from faceshot.backbone import Backbone, FeatureSettings
from faceshot.errors import FaceshotError, ShapeError
from faceshot.features import diffusion_features, invert, stopping_feature
from tests.faceshot.conftest import QUICK

torch = pytest.importorskip("torch")
SMALL = 64
SETTINGS = FeatureSettings(size=SMALL)


def pictures(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SMALL, SMALL, 3), dtype=np.uint8)


def test_the_time_of_the_paper_is_step_15(sd15: Backbone, sd21: Backbone) -> None:
    for backbone in (sd15, sd21):
        times = backbone.scheduler(50).timesteps.tolist()
        assert times[:3] == [1, 21, 41] and times[-1] == 981
        assert times[15] == 301


@pytest.mark.parametrize("n", [0, 1, 14])
def test_one_step_is_the_closed_form(sd15: Backbone, sd21: Backbone, n: int) -> None:
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2  # the model was trained with these, single precision
    alphas = torch.cumprod(1 - betas, 0).double()
    generator = torch.Generator().manual_seed(n)
    z, output = (torch.randn(1, 4, 8, 8, generator=generator) for _ in range(2))
    for backbone in (sd15, sd21):
        scheduler = backbone.scheduler(50)
        t = int(scheduler.timesteps[n])
        a, b = alphas[max(t - 20, 0)], alphas[t]
        if scheduler.config.prediction_type == "epsilon":
            epsilon = output.double()
            x0 = (z.double() - (1 - a).sqrt() * epsilon) / a.sqrt()
        else:
            x0 = a.sqrt() * z.double() - (1 - a).sqrt() * output.double()
            epsilon = a.sqrt() * output.double() + (1 - a).sqrt() * z.double()
        expected = b.sqrt() * x0 + (1 - b).sqrt() * epsilon
        assert (scheduler.step(output, t, z).prev_sample - expected).abs().max() < 1e-6


def test_the_hook_sees_what_a_full_forward_computes(sd15: Backbone) -> None:
    z = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    embeds = torch.from_numpy(sd15.image_embeds(list(pictures(2))))
    prompt = sd15.prompt_embeds(SETTINGS.prompt)
    stopped = stopping_feature(sd15, z, SETTINGS, prompt, embeds)
    seen: list[Any] = []
    last: list[Any] = []
    hooks = [
        sd15.unet.up_blocks[1].register_forward_hook(lambda module, inputs, output: seen.append(output)),
        sd15.unet.conv_out.register_forward_hook(lambda module, inputs, output: last.append(output)),
    ]
    with torch.inference_mode():
        conditions = features._conditions(sd15, 2, prompt, embeds)
        full = sd15.unet(z, 301, **conditions).sample
    for hook in hooks:
        hook.remove()
    assert len(last) == 1 and full.shape == z.shape  # this one did run to its end
    assert torch.equal(stopped, seen[0])
    stopping_feature(sd15, z, SETTINGS, prompt, embeds)
    assert len(last) == 1  # and stopping did not
    assert not sd15.unet.up_blocks[1]._forward_hooks


def test_a_feature_has_half_the_latents_side(sd21: Backbone) -> None:
    found = diffusion_features(sd21, pictures(1), None, SETTINGS)
    assert found.shape == (1, 32, SMALL // 16, SMALL // 16) and found.dtype == np.float32


@pytest.mark.parametrize("name", ["sd15", "sd21"])
def test_together_or_one_by_one(name: str, request: pytest.FixtureRequest) -> None:
    backbone: Backbone = request.getfixturevalue(name)
    squares = pictures(3)
    prompts = backbone.image_embeds(list(pictures(3, seed=1))) if backbone.spec.takes_image_prompt else None
    together = diffusion_features(backbone, squares, prompts, SETTINGS, batch=3)
    single = diffusion_features(backbone, squares, prompts, SETTINGS, batch=1)
    assert np.abs(together - single).max() < 1e-5
    again = diffusion_features(backbone, squares, prompts, SETTINGS, batch=3)
    assert np.array_equal(together, again)


def test_an_image_prompt_changes_the_feature_as_an_adapter_should(sd15: Backbone) -> None:
    squares = np.repeat(pictures(1), 3, axis=0)
    a, b = sd15.image_embeds(list(pictures(2, seed=5)))
    seen = diffusion_features(sd15, squares, np.stack([a, b, a]), SETTINGS, batch=3)
    assert np.abs(seen[0] - seen[2]).max() < 1e-5
    changed = np.linalg.norm(seen[0] - seen[1]) / np.linalg.norm(seen[0])
    assert 1e-3 < changed < 1.0
    # Turned off, the adapter must leave no trace of the prompt.
    for processor in sd15.unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [0.0]
    try:
        without = diffusion_features(sd15, squares[:2], np.stack([a, b]), SETTINGS)
    finally:
        for processor in sd15.unet.attn_processors.values():
            if hasattr(processor, "scale"):
                processor.scale = [1.0]
    assert np.abs(without[0] - without[1]).max() < 1e-5


def test_memory_that_runs_out_halves_the_batch(sd21: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    widths: list[int] = []
    quick = pictures(4)

    def small(backbone: Backbone, scheduler: Any, latents: Any, *rest: Any) -> Any:
        widths.append(len(latents))
        if len(latents) > 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate 7.00 GiB")
        return invert(backbone, scheduler, latents, *rest)

    whole = diffusion_features(sd21, quick, None, QUICK, batch=4)
    monkeypatch.setattr(features, "invert", small)
    reported: list[tuple[str, int, int]] = []
    halved = diffusion_features(sd21, quick, None, QUICK, lambda *step: reported.append(step), batch=4)
    assert widths == [4, 2, 1, 1, 1, 1]
    assert np.abs(whole - halved).max() < 1e-5
    assert reported[-1] == ("inverting", 16, 16)
    assert [done for _, done, _ in reported] == sorted(done for _, done, _ in reported)


def test_memory_for_nothing_at_all_is_an_error_with_a_cure(sd21: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(features, "invert", never)
    with pytest.raises(FaceshotError, match="Not enough memory on cpu for one picture of 64 pixels") as caught:
        diffusion_features(sd21, pictures(2), None, SETTINGS)
    assert "matching.device" in caught.value.hint


def test_other_failures_are_not_taken_for_memory(sd21: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> Any:
        raise RuntimeError("shapes do not fit")

    monkeypatch.setattr(features, "invert", broken)
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        diffusion_features(sd21, pictures(1), None, SETTINGS)


def test_what_does_not_belong_together_is_refused(sd15: Backbone, sd21: Backbone) -> None:
    with pytest.raises(ShapeError, match=r"uint8 \(N, 64, 64, 3\)"):
        diffusion_features(sd21, np.zeros((1, 32, 32, 3), np.uint8), None, SETTINGS)
    with pytest.raises(ShapeError, match="sd15-ip needs image prompts"):
        diffusion_features(sd15, pictures(1), None, SETTINGS)
    with pytest.raises(ShapeError, match="sd21-plain takes no image prompts"):
        diffusion_features(sd21, pictures(1), np.zeros((1, 24), np.float32), SETTINGS)
    with pytest.raises(ShapeError, match="2 pictures need as many"):
        diffusion_features(sd15, pictures(2), np.zeros((1, 24), np.float32), SETTINGS)
    with pytest.raises(FaceshotError, match="Time 300 is not on the schedule") as caught:
        diffusion_features(sd21, pictures(1), None, replace(SETTINGS, t=300))
    assert "301" in caught.value.hint


def recipe(key: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    """The fixtures' weights: golden/README.md, section 2."""
    seed = (zlib.crc32(key.encode()) + 20240704) % 2**32
    n = np.random.RandomState(seed).standard_normal(shape)
    if len(shape) >= 2:
        value = n * gain / np.sqrt(np.prod(shape[1:]))
    elif key.endswith("weight"):
        value = 1 + 0.1 * n
    else:
        value = 0.1 * n
    return value.astype(np.float16).astype(np.float32)


@pytest.mark.parametrize("case", ["sd15_like", "sd21_like"])
def test_the_published_inversion(shared_golden: Path, case: str) -> None:
    """Latents of all 15 steps and the feature, against the published code run on the same weights."""
    from diffusers import DDIMInverseScheduler, UNet2DConditionModel

    golden = np.load(shared_golden / "faceshot" / "ddim_inversion_tiny.npz")
    meta = json.loads(str(golden["meta"]))
    config = {key: tuple(v) if isinstance(v, list) else v for key, v in meta["cases"][case]["config"].items()}
    unet = UNet2DConditionModel(**config).eval()
    weights = {
        key: torch.from_numpy(recipe(key, tuple(tensor.shape), meta["gain"]))
        for key, tensor in unet.state_dict().items()
    }
    unet.load_state_dict(weights)
    backbone = Backbone(
        SimpleNamespace(name=case, takes_image_prompt=False),  # type: ignore[arg-type]
        Path(),
        SimpleNamespace(device="cpu", torch_dtype=torch.float32, dtype="float32"),  # type: ignore[arg-type]
        _loaded={"unet": unet},
    )
    scheduler = DDIMInverseScheduler(**meta["cases"][case]["scheduler"])
    scheduler.set_timesteps(50)
    assert scheduler.timesteps.tolist() == golden[f"{case}/out/all_inverse_timesteps"].tolist()
    prompt = torch.from_numpy(golden[f"{case}/in/prompt_embeds"])
    latent = torch.from_numpy(golden[f"{case}/in/latent"])
    expected = golden[f"{case}/out/latents_after_each_step"]
    for n in (1, 8, 15):
        z = invert(backbone, scheduler, latent, prompt, None, int(scheduler.timesteps[n]))
        assert np.abs(z.numpy() - expected[n - 1]).max() < 2e-5
    feature = stopping_feature(backbone, z, SETTINGS, prompt, None)
    assert np.abs(feature.numpy() - golden[f"{case}/out/feature"]).max() < 2e-4


def test_a_picture_shifted_is_found_within_three_pixels(sd21: Backbone) -> None:
    """A bundled character, through VAE and UNet at 512 px. Any random networks know shifts by their own stride
    (64 px) only: turned or scaled content looks new to them. `test_own_warp` turns and scales."""
    import cv2

    from faceshot.character import open_character
    from faceshot.matching import match_vectors, sample
    from faceshot.pictures import flatten

    character = open_character("mika")
    small = cv2.resize(flatten(character.rgba, (128, 128, 128)), None, fx=0.32, fy=0.32, interpolation=cv2.INTER_AREA)
    squares = np.full((2, 512, 512, 3), 128, np.uint8)
    squares[0, 92 : 92 + len(small), 92 : 92 + len(small)] = small
    squares[1, 156 : 156 + len(small), 28 : 28 + len(small)] = small
    points = (character.points_xy * 0.32 + 92).astype(np.float32)
    reference, shifted = diffusion_features(sd21, squares, None, FeatureSettings(steps=10, t=101), batch=1)
    found = match_vectors(shifted, sample(reference, points, 512), 512)
    error = np.linalg.norm(found.points_xy - points - np.array([-64, 64]), axis=1)
    assert (error < 3).mean() >= 0.95
    assert np.median(error) < 1.0
