"""The published files of the SVD animator: hubs, paths, and where they go below a models folder. Data only.

Neither sizes nor hashes are stated in a place that can be pinned, so the hub is asked when the files are pulled.
"""

from __future__ import annotations

from typing import Final

from faceshot.matching_files import Listing

__all__ = ["CMP_FILE", "CONTROLNET", "FAST_UNET", "LISTINGS", "SVD_FOLDERS", "TINY_DECODER"]

_MOFA: Final = "MOFA-Video-Hybrid"
_SVD: Final = "stable-video-diffusion-img2vid-xt-1-1"

CONTROLNET: Final = f"{_MOFA}/ckpts/mofa/ldmk_controlnet"
CMP_FILE: Final = (
    f"{_MOFA}/models/cmp/experiments/semiauto_annot/resnet50_vip+mpii_liteflow/checkpoints/ckpt_iter_42000.pth.tar"
)
SVD_FOLDERS: Final = (f"{_MOFA}/ckpts/mofa/{_SVD}", _SVD)
"""MOFA's copy of SVD-XT-1.1, and the official repository where somebody has put it beside."""
FAST_UNET: Final = "AnimateLCM-SVD-xt/AnimateLCM-SVD-xt-1.1.safetensors"
"""Optional: a UNet that needs few steps."""
TINY_DECODER: Final = "taesdv/taesdv.pth"
"""Optional: a small decoder for live pictures."""

_NETWORK: Final = "diffusion_pytorch_model"
_GB: Final = 1 << 30

LISTINGS: Final = (
    Listing(
        kind="svd",
        repo="MyNiuuu/MOFA-Video-Hybrid",
        folder=_MOFA,
        below="",
        suffixes=(".json", ".safetensors", ".tar"),
        licence="not stated; SVD-XT-1.1 is under Stability AI's own licence",
        needed_by="animator svd",
        paths=(
            f"ckpts/mofa/ldmk_controlnet/{_NETWORK}.safetensors",
            f"ckpts/mofa/{_SVD}/unet/config.json",
            f"ckpts/mofa/{_SVD}/unet/{_NETWORK}.fp16.safetensors",
            f"ckpts/mofa/{_SVD}/vae/config.json",
            f"ckpts/mofa/{_SVD}/vae/{_NETWORK}.fp16.safetensors",
            f"ckpts/mofa/{_SVD}/image_encoder/config.json",
            f"ckpts/mofa/{_SVD}/image_encoder/model.fp16.safetensors",
            f"ckpts/mofa/{_SVD}/scheduler/scheduler_config.json",
            CMP_FILE.removeprefix(f"{_MOFA}/"),
        ),
        most_bytes=8 * _GB,
    ),
    Listing(
        kind="svd-fast",
        repo="wangfuyun/AnimateLCM-SVD-xt",
        folder=FAST_UNET.partition("/")[0],
        below="",
        suffixes=(".safetensors",),
        licence="not stated; SVD-XT-1.1 is under Stability AI's own licence",
        needed_by="animator svd, live in few steps",
        paths=(FAST_UNET.partition("/")[2],),
        most_bytes=8 * _GB,
    ),
    Listing(
        kind="svd-fast",
        repo="madebyollin/taesdv",
        folder=TINY_DECODER.partition("/")[0],
        below="",
        suffixes=(".pth",),
        licence="MIT",
        needed_by="animator svd, live decoding",
        paths=(TINY_DECODER.partition("/")[2],),
    ),
)
