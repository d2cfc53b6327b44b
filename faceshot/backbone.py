"""The two diffusion backbones of the matcher, behind one interface: loading, text prompt, image prompts, latents.

    sd15-ip      Stable Diffusion 1.5 with IP-Adapter: the paper. Features of a picture depend on an image prompt.
    sd21-plain   Stable Diffusion 2.1 without image prompts: what the published code runs: its gallery fits.

Networks are loaded when first used, from a folder in the layout of their hub repositories, never from the network, and
those used only once (text and image encoder, VAE) make room again: a full-size UNet in single precision is 3.4 GB.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image
from safetensors import SafetensorError

from faceshot.errors import FaceshotError, WeightsMissing
from faceshot.memory import make_room, ran_out_of_memory
from faceshot.placement import Placement, need_packages, place
from faceshot.types import Float32, UInt8
from faceshot.weights import search_folders

__all__ = ["BACKBONES", "Backbone", "BackboneSpec", "FeatureSettings", "hushed", "is_at_hand", "load_backbone"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """Which files make a backbone.

    Attributes:
        name: "sd15-ip" or "sd21-plain".
        diffusion: folder of the diffusion model below a models folder.
        takes_image_prompt: whether the IP-Adapter is put in.
        pull: the word after `faceshot models pull`.
    """

    name: str
    diffusion: str
    takes_image_prompt: bool
    pull: str


BACKBONES: Final[dict[str, BackboneSpec]] = {
    "sd15-ip": BackboneSpec("sd15-ip", "stable-diffusion-v1-5", True, "matching"),
    "sd21-plain": BackboneSpec("sd21-plain", "stable-diffusion-2-1", False, "matching-sd21"),
}
ADAPTER_FOLDER: Final = "IP-Adapter"
ADAPTER_FILE: Final = "models/ip-adapter_sd15.safetensors"
ENCODER_FOLDER: Final = "models/image_encoder"
# CLIP's own normalisation, in RGB.
_CLIP_MEAN: Final = np.array([0.48145466, 0.4578275, 0.40821073], np.float32)
_CLIP_STD: Final = np.array([0.26862954, 0.26130258, 0.27577711], np.float32)


@dataclass(frozen=True, slots=True)
class FeatureSettings:
    """What a feature is a feature of; two features compare only when all of it is equal.

    Attributes:
        size: side in pixels of the square picture.
        steps: steps of the whole inversion, of which only those up to `t` are taken.
        t: time of the feature.
        block: index of the up block whose output is the feature (the paper's sixth layer is the end of block 1).
        prompt: the text prompt.
    """

    size: int = 512
    steps: int = 50
    t: int = 301
    block: int = 1
    prompt: str = "a photo of a face"


@dataclass(slots=True, eq=False)
class Backbone:
    """A diffusion model that gives features; make it with `load_backbone`.

    Attributes:
        spec: which one.
        folder: the models folder it is loaded from.
        placement: device and number type of the UNet. VAE and encoders compute in single precision on a CPU.
        keep: keep every network loaded between uses (for video) instead of making room.
    """

    spec: BackboneSpec
    folder: Path
    placement: Placement
    keep: bool = False
    _loaded: dict[str, Any] = field(default_factory=dict)
    _prompts: dict[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Says which weights made a feature: a hash of the UNet's configuration, size and first megabyte."""
        if "fingerprint" not in self._loaded:
            path = _weights_file(self.folder / self.spec.diffusion / "unet", "diffusion_pytorch_model")
            digest = hashlib.sha256((path.parent / "config.json").read_bytes())
            digest.update(str(path.stat().st_size).encode())
            with path.open("rb") as file:
                digest.update(file.read(1 << 20))
            self._loaded["fingerprint"] = digest.hexdigest()[:16]
        return str(self._loaded["fingerprint"])

    @property
    def unet(self) -> Any:
        """The UNet, with the IP-Adapter at full strength where the backbone has one."""
        if "unet" not in self._loaded:
            from diffusers import UNet2DConditionModel

            unet = self._from(UNet2DConditionModel, "unet", "diffusion_pytorch_model", "cpu", self.placement.dtype)
            if self.spec.takes_image_prompt:
                self._put_adapter_into(unet)
            try:
                self._loaded["unet"] = unet.to(self.placement.device)
            except (RuntimeError, MemoryError) as error:
                if not ran_out_of_memory(error):
                    raise
                raise FaceshotError(
                    f"Not enough memory on {self.placement.device} for the UNet of {self.spec.name}.",
                    "Close other programs, or choose another device: --set matching.device=cpu",
                ) from error
        return self._loaded["unet"]

    def scheduler(self, steps: int) -> Any:
        """A DDIM inversion schedule of the model's own betas and prediction type, `steps` long."""
        from diffusers import DDIMInverseScheduler

        config = json.loads((self.folder / self.spec.diffusion / "scheduler" / "scheduler_config.json").read_text())
        # The hub's configurations are those of other schedulers; what they share with DDIM inversion is meant.
        names = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "prediction_type")
        shared = {name: config[name] for name in names if name in config}
        scheduler = DDIMInverseScheduler(
            **shared, clip_sample=False, set_alpha_to_one=False, steps_offset=1, timestep_spacing="leading"
        )
        scheduler.set_timesteps(steps)
        return scheduler

    def prompt_embeds(self, prompt: str) -> Any:
        """(1, 77, D) tensor of a text prompt, in the UNet's type."""

        if prompt not in self._prompts:
            from transformers import CLIPTextModel, CLIPTokenizer

            tokenizer = CLIPTokenizer.from_pretrained(
                self.folder / self.spec.diffusion / "tokenizer", local_files_only=True
            )
            tokens = tokenizer(prompt, padding="max_length", max_length=77, truncation=True, return_tensors="np")
            load = partial(self._from, CLIPTextModel, "text_encoder", "model")
            embeds = self._through(
                "text_encoder", load, list(tokens.input_ids), lambda encoder, ids: encoder(ids).last_hidden_state
            )
            self._prompts[prompt] = embeds.to(self.placement.device, self.placement.torch_dtype)
        return self._prompts[prompt]

    def latents(self, squares: UInt8) -> Any:
        """(N, 4, S/8, S/8) float32 tensor: the most likely latent of each picture, so the same one every time.

        Args:
            squares: (N, S, S, 3) uint8.
        """
        from diffusers import AutoencoderKL

        pixels = [(square.astype(np.float32) / 127.5 - 1.0).transpose(2, 0, 1) for square in squares]
        load = partial(self._from, AutoencoderKL, "vae", "diffusion_pytorch_model")

        def encode(vae: Any, batch: Any) -> Any:
            return vae.encode(batch).latent_dist.mode() * vae.config.scaling_factor

        return self._through("vae", load, pixels, encode).to(self.placement.device)

    def image_embeds(self, pictures: list[UInt8]) -> Float32:
        """(N, D) float32, what CLIP sees in each picture (any size, (H, W, 3) uint8); not normalised."""
        from transformers import CLIPVisionModelWithProjection

        place_at = self.folder / ADAPTER_FOLDER / ENCODER_FOLDER
        side = int(json.loads((place_at / "config.json").read_text()).get("image_size", 224))
        load = partial(self._from, CLIPVisionModelWithProjection, place_at, "model")
        pixels = [_clip_pixels(picture, side) for picture in pictures]
        embeds = self._through("image_encoder", load, pixels, lambda encoder, batch: encoder(batch).image_embeds)
        return np.asarray(embeds.numpy(), np.float32)

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """For one picture after the other: what is used only once for each stays loaded for the length of a `with`."""
        keep, there = self.keep, set(self._loaded)
        self.keep = True
        try:
            yield
        finally:
            self.keep = keep
            if not keep:
                for name in {"vae", "image_encoder"} - there:
                    self._loaded.pop(name, None)

    def release(self) -> None:
        """Give all memory back; what is needed again is loaded again."""
        self._loaded.clear()
        self._prompts.clear()

    def _from(self, kind: Any, part: str | Path, stem: str, device: str, dtype: str = "float32") -> Any:
        """A network out of its hub layout, from whichever of the half and single precision files is there."""
        import torch

        folder = part if isinstance(part, Path) else self.folder / self.spec.diffusion / part
        file = _weights_file(folder, stem)
        variant = "fp16" if file.name.endswith(".fp16.safetensors") else None
        wanted = getattr(torch, dtype)
        name = "torch_dtype" if kind.__module__.startswith("diffusers") else "dtype"
        try:
            with hushed():
                network = kind.from_pretrained(
                    folder, variant=variant, local_files_only=True, use_safetensors=True, **{name: wanted}
                )
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as bad:
            reason = str(bad).splitlines()[0][:200]
            raise WeightsMissing(
                f"{file} cannot be loaded: {reason}.", f"Delete it, then type: faceshot models pull {self.spec.pull}"
            ) from bad
        return network.to(device).eval().requires_grad_(False)

    def _put_adapter_into(self, unet: Any) -> None:
        path = self.folder / ADAPTER_FOLDER / ADAPTER_FILE
        try:
            with hushed():
                from diffusers.loaders import IPAdapterMixin

                class Loader(IPAdapterMixin):  # type: ignore[misc]
                    """The stock loader without the rest of a pipeline."""

                    unet_name = "unet"

                loader = Loader()
                loader.unet = unet
                loader.load_ip_adapter(
                    str(self.folder / ADAPTER_FOLDER),
                    subfolder="models",
                    weight_name=path.name,
                    image_encoder_folder=None,
                    local_files_only=True,
                )
                loader.set_ip_adapter_scale(1.0)
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as bad:
            reason = str(bad).splitlines()[0][:200]
            raise WeightsMissing(
                f"{path} does not fit the UNet of {self.spec.diffusion}: {reason}.",
                f"Type: faceshot models pull {self.spec.pull}",
            ) from bad

    def _through(
        self, name: str, load: Callable[[str], Any], inputs: Sequence[Any], work: Callable[[Any, Any], Any]
    ) -> Any:
        """What a network makes of inputs, in single precision on the CPU; the network stays only if the backbone keeps.

        All of them at once on a GPU and one by one on a CPU, where more is not faster. When memory runs out half as
        many, and in the end the network goes to the CPU, which is slower and gives the same.

        Args:
            load: makes the network on a device.
            inputs: arrays of one shape.
            work: (network, batch of inputs) to a batch of results.

        Raises:
            FaceshotError: there is no memory for one input on the CPU either.
        """
        import torch

        network = self._loaded.get(name)
        device = self.placement.device if network is None else str(network.device)
        batch = 1 if device == "cpu" else len(inputs)
        made: list[Any] = []
        while len(made) < len(inputs):
            part = np.stack(inputs[len(made) : len(made) + batch])
            try:
                network = load(device) if network is None else network
                with torch.inference_mode():
                    made.extend(work(network, torch.from_numpy(part).to(device)).float().cpu())
            except (RuntimeError, MemoryError) as error:
                if not ran_out_of_memory(error):
                    raise
                if batch > 1:
                    batch //= 2
                elif device != "cpu":
                    log.warning("No memory for the %s on %s: it computes on the CPU.", name, device)
                    device, network = "cpu", None if network is None else network.to("cpu")
                else:
                    raise FaceshotError(
                        f"Not enough memory on {device} for the {name} of {self.spec.name}.", "Close other programs."
                    ) from error
                make_room(self.placement.device)
        if self.keep:
            self._loaded[name] = network
        return torch.stack(made)


def is_at_hand(name: str, folder: Path | None = None) -> bool:
    """Whether the files of a backbone are there and torch and diffusers can be imported; imports nothing."""
    try:
        need_packages("Diffusion matching", "torch", "diffusers", "transformers")
        _find(BACKBONES[name], folder)
    except FaceshotError:
        return False
    return True


def load_backbone(
    name: str = "sd15-ip",
    folder: Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    keep: bool = False,
) -> Backbone:
    """A backbone; its networks are loaded later, when first used.

    Args:
        name: a key of `BACKBONES`.
        folder: where model files are (see `faceshot.weights.find`).
        device, dtype: see `faceshot.placement.place`.
        keep: see `Backbone`.

    Raises:
        FaceshotError: no such backbone or device, or a package is missing.
        WeightsMissing: files are missing; the hint is the command that fetches them.
    """
    if name not in BACKBONES:
        raise FaceshotError(f"There is no backbone {name!r}.", f"There are: {', '.join(BACKBONES)}.")
    need_packages("Diffusion matching", "torch", "diffusers", "transformers")
    found = _find(BACKBONES[name], folder)
    return Backbone(BACKBONES[name], found, place(device, dtype), keep)


def _find(spec: BackboneSpec, folder: Path | None) -> Path:
    """The first models folder that has the whole backbone."""
    needed = [
        f"{spec.diffusion}/scheduler/scheduler_config.json",
        f"{spec.diffusion}/tokenizer/vocab.json",
        f"{spec.diffusion}/unet/diffusion_pytorch_model",
        f"{spec.diffusion}/vae/diffusion_pytorch_model",
        f"{spec.diffusion}/text_encoder/model",
        f"{ADAPTER_FOLDER}/{ENCODER_FOLDER}/model",
        *([f"{ADAPTER_FOLDER}/{ADAPTER_FILE}"] if spec.takes_image_prompt else []),
    ]
    closest: list[str] = needed
    for place_at in search_folders(folder):
        missing = [file for file in needed if not _is_there(place_at / file)]
        if not missing:
            return place_at
        closest = min(closest, missing, key=len)
    places = ", ".join(str(place_at) for place_at in search_folders(folder))
    more = f" and {len(closest) - 1} more" if len(closest) > 1 else ""
    raise WeightsMissing(
        f"The model {spec.name} is not complete: {closest[0]}{more} is in none of: {places}.",
        f"Type: faceshot models pull {spec.pull}",
    )


def _is_there(path: Path) -> bool:
    return path.is_file() or any(path.with_name(path.name + end).is_file() for end in _ENDINGS)


_ENDINGS = (".fp16.safetensors", ".safetensors")


def _weights_file(folder: Path, stem: str) -> Path:
    """The half-precision file when it is there (half the download), else the full one."""
    for end in _ENDINGS:
        if (folder / (stem + end)).is_file():
            return folder / (stem + end)
    return folder / (stem + _ENDINGS[-1])


def _clip_pixels(picture: UInt8, side: int) -> Float32:
    """(3, side, side): the shorter side to `side`, the middle cut out, normalised."""
    height, width = picture.shape[:2]
    scale = side / min(height, width)
    size_wh = max(side, round(width * scale)), max(side, round(height * scale))
    image = np.asarray(Image.fromarray(picture).resize(size_wh, Image.Resampling.BICUBIC), np.float32)
    top, left = (size_wh[1] - side) // 2, (size_wh[0] - side) // 2
    cut = image[top : top + side, left : left + side] / 255.0
    return np.ascontiguousarray(((cut - _CLIP_MEAN) / _CLIP_STD).transpose(2, 0, 1), np.float32)


@contextmanager
def hushed() -> Iterator[None]:
    """Loading without the libraries' own bars and remarks: the program has its own."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    before = [
        (log, log.get_verbosity(), log.is_progress_bar_enabled()) for log in (diffusers_logging, transformers_logging)
    ]
    try:
        for log, _, _ in before:
            log.set_verbosity_error()
            log.disable_progress_bar()
        yield
    finally:
        for log, level, bar in before:
            log.set_verbosity(level)
            if bar:
                log.enable_progress_bar()
