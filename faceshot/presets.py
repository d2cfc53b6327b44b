"""Expressions on a key: a smile, a wink, a start, blended over what the performer does."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceshot.blendshape_rig import motion_from_blendshapes
from faceshot.errors import FaceshotError
from faceshot.motion import DELTA, LIDS, LIDS_MAX, READINGS, SHAPES
from faceshot.topology import ARKIT_INDEX, ARKIT_NAMES, BROW_LEFT, BROW_RIGHT, N_POINTS

__all__ = ["PRESETS", "PresetMixer"]

Float = NDArray[np.float64]

_EASE_S: Final = 0.18
_TRACKED_MOUTH: Final = 0.55
"""What is left of the performer's own mouth and brows under a full preset: speech still shows."""


def _both(**values: float) -> dict[str, float]:
    """Sided shapes on both sides."""
    return {name + side: value for name, value in values.items() for side in ("Left", "Right")}


PRESETS: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {
        "smile": _both(mouthSmile=0.95, eyeSquint=0.5) | {"browInnerUp": 0.15},
        "laugh": _both(mouthSmile=0.9, eyeBlink=1.0) | {"jawOpen": 0.45, "browInnerUp": 0.3},
        "angry": _both(browDown=1.0, browOuterUp=0.75, mouthFrown=0.7, eyeSquint=0.7),  # brows down to the nose
        "sad": _both(mouthFrown=0.9, eyeSquint=0.4) | {"browInnerUp": 1.0},
        "surprised": _both(eyeWide=1.0, browOuterUp=0.9) | {"browInnerUp": 0.9, "jawOpen": 0.45, "mouthFunnel": 0.3},
        "wink": {"eyeBlinkLeft": 1.0, "mouthSmileLeft": 0.8, "mouthSmileRight": 0.35, "browOuterUpRight": 0.3},
        "kiss": _both(eyeBlink=1.0) | {"mouthPucker": 1.0},
        "sleepy": _both(eyeBlink=0.6, mouthFrown=0.15, browDown=0.1),
    }
)
"""Blendshapes of each; left and right are the subject's."""

_UPPER_AND_LOWER_FACE: Final = np.zeros(3 * N_POINTS, np.bool_)
for _point in (*BROW_LEFT, *BROW_RIGHT, *range(48, 68)):
    _UPPER_AND_LOWER_FACE[3 * _point : 3 * _point + 3] = True


class PresetMixer:
    """Eases one expression in and the one before out.

    Attributes:
        name: the expression that is on, None when there is none.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self._motions = {name: motion_from_blendshapes(_shapes(values)) for name, values in PRESETS.items()}
        self._shares = dict.fromkeys(PRESETS, 0.0)

    def choose(self, name: str | None) -> None:
        """Show this expression from now on; None: the performer's own alone.

        Raises:
            FaceshotError: there is no such expression.
        """
        if name is not None and name not in PRESETS:
            raise FaceshotError(f"There is no expression {name!r}.", f"There are: {', '.join(PRESETS)}.")
        self.name = name

    def step(self, motion: Float, dt_s: float) -> Float:
        """The motion (`faceshot.motion`) with the expressions that are on their way in or out, after `dt_s` more."""
        for name, share in self._shares.items():
            towards = 1.0 if name == self.name else 0.0
            change = dt_s / _EASE_S
            self._shares[name] = min(share + change, 1.0) if towards else max(share - change, 0.0)
        active = {name: _smooth(share) for name, share in self._shares.items() if share > 0.0}
        if not active:
            return motion
        out = motion.copy()
        total = min(sum(active.values()), 1.0)
        out[DELTA][_UPPER_AND_LOWER_FACE] *= 1.0 - (1.0 - _TRACKED_MOUTH) * total
        out[READINGS] *= 1.0 - (1.0 - _TRACKED_MOUTH) * total
        for name, share in active.items():
            preset = self._motions[name]
            out[DELTA] += share * preset[DELTA]
            out[LIDS] *= 1.0 + share * (preset[LIDS] - 1.0)
            out[SHAPES] = np.maximum(out[SHAPES], share * preset[SHAPES])
            out[READINGS] += share * preset[READINGS]
        np.clip(out[LIDS], 0.0, LIDS_MAX, out=out[LIDS])
        np.clip(out[READINGS], -1.0, 1.0, out=out[READINGS])
        return out


def _shapes(values: Mapping[str, float]) -> Float:
    shapes = np.zeros(len(ARKIT_NAMES))
    for name, value in values.items():
        shapes[ARKIT_INDEX[name]] = value
    return shapes


def _smooth(share: float) -> float:
    return share * share * (3.0 - 2.0 * share)
