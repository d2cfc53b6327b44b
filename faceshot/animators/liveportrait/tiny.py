"""Tiny networks with random weights in the files and with the keys of the published ones: for tests and for looking at
how everything plays together before 500 MB are fetched. What they draw is coloured noise.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from faceshot.animators.liveportrait.appearance import AppearanceFeatureExtractor
from faceshot.animators.liveportrait.blocks import Mlp
from faceshot.animators.liveportrait.checkpoints import FILES
from faceshot.animators.liveportrait.decoder import SpadeDecoder
from faceshot.animators.liveportrait.extractor import MotionExtractor
from faceshot.animators.liveportrait.warping import WarpingNetwork

__all__ = ["write_tiny"]


def write_tiny(folder: Path) -> list[Path]:
    """Write all files of both variants below `folder`, about 5 MB; what is there is replaced."""
    written: list[Path] = []
    for seed, files in enumerate(FILES.values()):
        torch.manual_seed(seed)
        nets: dict[str, nn.Module] = {
            "appearance_feature_extractor": AppearanceFeatureExtractor(3, 4, 2, 16, 8, 2, 1),
            "motion_extractor": MotionExtractor(depths=(1, 1, 1, 1), dims=(8, 12, 16, 24)),
            "warping_module": WarpingNetwork(21, 8, 16, 0, 8, 2, 4, 16, 2, 1),
            "spade_generator": SpadeDecoder(2, 8, 8, 4, 0, 8),
        }
        states: dict[str, object] = {slot: _calm(net) for slot, net in nets.items()}
        states["stitching_retargeting_module"] = {
            name: {f"module.{key}": value for key, value in _calm(net).items()}
            for name, net in (
                ("retarget_shoulder", Mlp(126, [128, 128, 64], 65)),
                ("retarget_mouth", Mlp(65, [128, 128, 64], 63)),
                ("retarget_eye", Mlp(66, [256, 256, 128, 128, 64], 63)),
            )
        }
        for slot, file in files.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(states[slot], path)
            written.append(path)
    return list(dict.fromkeys(written))


def _calm(net: nn.Module) -> dict[str, Tensor]:
    """Random weights that give motions and offsets of the size of real ones."""
    state = net.state_dict()
    small = {"detector.fc_exp": 0.02, "detector.fc_t": 0.05, "detector.fc_kp": 0.5}
    if isinstance(net, Mlp):
        last = f"mlp.{max(int(key.split('.')[1]) for key in state)}"
        small = {last: 0.02}
    for key, value in state.items():
        stem = key.rpartition(".")[0]
        if stem in small:
            value.mul_(small[stem])
        if key == "detector.fc_scale.bias":
            value.fill_(1.3)
    return state
