"""Expression sliders: what each adds to M's expression. Found by looking at what the 21 points do, not by training.

They drive the character when there are no pixels to look at: blendshapes and a head pose of a network tracker, idle
life, or a face that was just lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from faceshot.animators.liveportrait.keypoints import N_KEYPOINTS
from faceshot.topology import ARKIT_INDEX
from faceshot.types import Drive, Float32

__all__ = ["SLIDERS", "expression_of", "slider_deltas"]

X, Y, Z = range(3)
_Table = tuple[tuple[int, int, float], ...]
"""Rows of point, axis, change per unit of the slider."""

_SMILE: Final[_Table] = (
    *((20, Y, -0.01), (14, Y, -0.02), (17, Y, 0.0065), (17, Z, 0.003)),
    *((13, Y, -0.00275), (16, Y, -0.00275), (3, Y, -0.0035), (7, Y, -0.0035)),
)
_WINK: Final[_Table] = ((11, Y, 0.001), (13, Y, -0.0003), (17, X, 0.0003), (17, Y, 0.0003), (3, Y, -0.0003))
_BROWS_UP: Final[_Table] = ((1, Y, 0.001), (2, Y, -0.001))
_BROWS_DOWN: Final[_Table] = ((1, X, -0.001), (2, X, 0.001), (1, Y, 0.0003), (2, Y, -0.0003))
_GAZE_RIGHT: Final[_Table] = ((11, X, 0.0007), (15, X, 0.001))
_GAZE_LEFT: Final[_Table] = ((11, X, 0.001), (15, X, 0.0007))
_GAZE_DOWN: Final[_Table] = ((11, Y, -0.001), (15, Y, -0.001))
_LIDS: Final[_Table] = ((11, Y, -0.001), (15, Y, -0.001), (13, Y, 0.0003), (16, Y, 0.0003))
_POUT: Final[_Table] = ((19, X, 1.0),)
_PURSE: Final[_Table] = ((14, Y, 0.001), (3, Y, -0.0005), (7, Y, -0.0005), (17, Z, -0.0005))
_GRIN: Final[_Table] = ((20, Z, -0.001), (20, Y, -0.001), (14, Y, -0.001))
_OPEN: Final[_Table] = ((19, Y, 0.001), (19, Z, 0.0001), (17, Y, -0.0001))

SLIDERS: Final[Mapping[str, tuple[float, float]]] = {
    "smile": (-0.3, 1.3),
    "wink": (0.0, 39.0),
    "eyebrow": (-30.0, 30.0),
    "gaze_x": (-30.0, 30.0),
    "gaze_y": (-63.0, 63.0),
    "pout": (-0.09, 0.09),
    "purse": (-20.0, 15.0),
    "grin": (0.0, 15.0),
    "lip_open": (-90.0, 120.0),
    "move_x": (-0.19, 0.19),
    "move_y": (-0.19, 0.19),
}
"""Name of each slider and its useful range."""


def _added(delta: Float32, table: _Table, value: float) -> None:
    for point, axis, per_unit in table:
        delta[point, axis] += per_unit * value


def slider_deltas(values: Mapping[str, float]) -> Float32:
    """(21, 3) what the named sliders add to the expression. Raises KeyError for an unknown name."""
    delta = np.zeros((N_KEYPOINTS, 3), np.float32)
    for name, value in values.items():
        match name:
            case "smile":
                _added(delta, _SMILE, value)
            case "wink":
                _added(delta, _WINK, value)
            case "eyebrow":
                _added(delta, _BROWS_UP if value > 0 else _BROWS_DOWN, value)
            case "gaze_x":
                _added(delta, _GAZE_RIGHT if value > 0 else _GAZE_LEFT, value)
            case "gaze_y":
                _added(delta, _GAZE_DOWN, value)
                _added(delta, _LIDS, -value / 2)  # lids follow the eyeball
            case "pout":
                _added(delta, _POUT, value)
            case "purse":
                _added(delta, _PURSE, value)
            case "grin":
                _added(delta, _GRIN, value)
            case "lip_open":
                _added(delta, _OPEN, value)
            case "move_x":
                delta[5, X] -= value
            case "move_y":
                delta[5, Y] += value
            case _:
                raise KeyError(name)
    return delta


_SHUT: Final = np.array([[11, Y, 0.0115], [13, Y, -0.005], [15, Y, 0.0085], [16, Y, -0.004]])
"""From open to shut: what M's real outputs do (medians of the published templates)."""
_WIDE_MOUTH: Final = 0.066 * 1000
"""`lip_open` of a wide open mouth, from the same templates."""
_GAZE_EDGE: Final = np.array([0.16, 0.07])
"""Pupil shift in eye widths of a glance to the side and of one up or down (`faceshot.blendshape_rig`)."""


def expression_of(drive: Drive) -> Float32:
    """(21, 3) the expression of a drive without pixels, as sliders would make it; zero at rest."""

    def shape(name: str) -> float:
        return float(drive.blendshapes[ARKIT_INDEX[name]])

    def both(name: str) -> float:
        return 0.5 * (shape(f"{name}Left") + shape(f"{name}Right"))

    smile, frown = both("mouthSmile"), both("mouthFrown")
    pucker = max(shape("mouthPucker"), shape("mouthFunnel"))
    brows = max(shape("browInnerUp"), both("browOuterUp")) - both("browDown")
    gaze_x, gaze_y = drive.gaze.mean(axis=0) / _GAZE_EDGE
    delta = slider_deltas(
        {
            "smile": smile - 0.25 * frown,
            "eyebrow": 25.0 * brows,
            "gaze_x": float(np.clip(20.0 * gaze_x, -30, 30)),
            "gaze_y": float(np.clip(25.0 * gaze_y, -63, 63)),
            "pout": 0.05 * (shape("mouthLeft") - shape("mouthRight")),
            "purse": 12.0 * pucker,
            "grin": 6.0 * both("mouthUpperUp"),
            "lip_open": _WIDE_MOUTH * max(shape("jawOpen") - shape("mouthClose"), 0.0),
        }
    )
    # Image-left eye: points 11 and 13; image-right: 15 and 16. Wider than at rest goes the other way, half as far.
    for eye, rows in enumerate((_SHUT[:2], _SHUT[2:])):
        closed = 1.0 - float(drive.lids[eye])
        for point, axis, way in rows:
            delta[int(point), int(axis)] += way * (closed if closed > 0 else 0.5 * closed)
    return delta
