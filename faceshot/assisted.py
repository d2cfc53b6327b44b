"""The assisted fit: from 4 to 9 clicks on a face to all 70 landmarks, on any character, without a detector or torch.

The faces of `faceshot.shapes` are laid over the clicks (`faceshot.shape_fit`), then the picture is asked
(`faceshot.image_evidence`): what it says is added to the clicks, with its own uncertainty.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from faceshot.errors import LandmarkError
from faceshot.image_evidence import Evidence, look
from faceshot.landmarks import MatchedLandmarks
from faceshot.shape_fit import OnOutline, Seen, solve, weights_of
from faceshot.shapes import MOUTHS_DIFFER, shapes
from faceshot.topology import BROW_LEFT, BROW_RIGHT, EYE_LEFT, EYE_RIGHT
from faceshot.types import CharacterKind, UInt8

__all__ = ["CLICKS", "MAX_CLICKS", "MIN_CLICKS", "RECOMMENDED", "AssistedFit", "fit", "parse_clicks"]

Float = NDArray[np.float64]

_LEFT_EYE: Final = {i: 1 / 6 for i in EYE_LEFT}
_RIGHT_EYE: Final = {i: 1 / 6 for i in EYE_RIGHT}

# What may be clicked, in the order in which it is asked for; each is a weighted mean of landmarks. Left and right are
# the picture's.
CLICKS: Final[dict[str, Mapping[int, float]]] = {
    "left-eye": _LEFT_EYE,
    "right-eye": _RIGHT_EYE,
    "nose": {30: 1.0},
    "mouth": {62: 0.5, 66: 0.5},
    "chin": {8: 1.0},
    "left-jaw": {2: 1.0},  # the edge of the face, anywhere between the eyes and the mouth
    "right-jaw": {14: 1.0},
    "mouth-left": {48: 1.0},
    "mouth-right": {54: 1.0},
    "left-eye-outer": {36: 1.0},
    "left-eye-inner": {39: 1.0},
    "right-eye-inner": {42: 1.0},
    "right-eye-outer": {45: 1.0},
    "left-brow": {19: 1.0},
    "right-brow": {24: 1.0},
    "left-temple": {0: 1.0},
    "right-temple": {16: 1.0},
}
RECOMMENDED: Final = ("left-eye", "right-eye", "nose", "mouth", "chin", "left-jaw", "right-jaw")
MIN_CLICKS: Final = 4
MAX_CLICKS: Final = 9

_CLICK_NOISE: Final = 0.006  # eye distances: a steady hand
_EDGES: Final = {"left-jaw": "left", "right-jaw": "right"}
_BROWS: Final = ("left-brow", "right-brow")
_BROW_POINTS: Final = [*BROW_LEFT, *BROW_RIGHT]
_BROWS_LEAST: Final = 0.095  # eye distances that brows may differ from the fit, at least
_LOOKS: Final = 3  # each look at the picture starts where the one before ended
_SURE: Final = 0.055  # eye distances of standard deviation at which the confidence is one half
_FORM: Final = f"Name {MIN_CLICKS} to {MAX_CLICKS} of {', '.join(CLICKS)}, as in left-eye=120,80 right-eye=190,82 ..."


class AssistedFit:
    """The matcher: `(rgb, progress) -> MatchedLandmarks` with clicks given beforehand."""

    def __init__(self, clicks: Mapping[str, Sequence[float]], kind: CharacterKind = "animal") -> None:
        self._clicks, self._kind = clicks, kind

    def __call__(self, rgb: UInt8, progress: Any = None) -> MatchedLandmarks:
        if progress is not None:
            progress("fitting", 0, 1)
        result = fit(rgb, self._clicks, self._kind)
        if progress is not None:
            progress("fitting", 1, 1)
        return result


def parse_clicks(text: str) -> dict[str, tuple[float, float]]:
    """Clicks from `left-eye=120,80 right-eye=190,82 ...` or from a JSON object of the same.

    Raises:
        LandmarkError: which part of the text is wrong, and the form it should have.
    """
    if text.lstrip().startswith("{"):
        try:
            pairs: list[tuple[str, Any]] = list(json.loads(text).items())
        except (ValueError, AttributeError) as bad:
            raise LandmarkError(f"The clicks are not a JSON object ({bad}).", _FORM) from None
    else:
        pairs = []
        for word in text.split():
            name, _, value = word.partition("=")
            pairs.append((name, value.split(",")))
    clicks: dict[str, tuple[float, float]] = {}
    for name, value in pairs:
        try:
            x, y = (float(v) for v in value)
        except (TypeError, ValueError):
            typed = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            raise LandmarkError(f"The click {name}={typed} is not x,y in pixels.", _FORM) from None
        if name in clicks:
            raise LandmarkError(f"{name} is clicked twice.", _FORM)
        clicks[name] = (x, y)
    return clicks


def check_clicks(clicks: Mapping[str, Sequence[float]], size_wh: tuple[int, int]) -> None:
    """Raises `LandmarkError` for clicks that no face can be fitted to."""
    for name in clicks:
        if name not in CLICKS:
            near = difflib.get_close_matches(name, CLICKS, 1)
            raise LandmarkError(f"There is no click {name!r}.", f"Did you mean {near[0]}? {_FORM}" if near else _FORM)
    if not MIN_CLICKS <= len(clicks) <= MAX_CLICKS:
        given = "1 click was" if len(clicks) == 1 else f"{len(clicks)} clicks were"
        raise LandmarkError(f"{given} given; {MIN_CLICKS} to {MAX_CLICKS} are needed.", _FORM)
    try:
        points = np.array(list(clicks.values()), float)
    except (TypeError, ValueError):
        raise LandmarkError("A click is not a pair of numbers.", _FORM) from None
    if points.shape != (len(clicks), 2) or not np.isfinite(points).all():
        raise LandmarkError("A click is not a pair of numbers.", _FORM)
    outside = (points < 0) | (points > np.array(size_wh))
    if outside.any():
        row = int(outside.any(axis=1).argmax())
        name = list(clicks)[row]
        raise LandmarkError(
            f"The click {name} at {points[row, 0]:g},{points[row, 1]:g} is outside the picture "
            f"({size_wh[0]}×{size_wh[1]}).",
            "Clicks are x,y in pixels of the upright picture, from its top left corner.",
        )
    if np.ptp(points, axis=0).max() < 12 or len(np.unique(points.round(1), axis=0)) < len(points):
        raise LandmarkError("The clicks lie on top of each other.", "Click each part of the face where it is.")
    for left, right in (("left-eye", "right-eye"), ("left-jaw", "right-jaw"), ("mouth-left", "mouth-right")):
        if left in clicks and right in clicks and clicks[left][0] > clicks[right][0]:
            raise LandmarkError(
                f"{left} lies to the right of {right}.", "Left and right are the picture's, not the character's."
            )


def fit(
    rgb: UInt8,
    clicks: Mapping[str, Sequence[float]],
    kind: CharacterKind = "animal",
    *,
    without: Collection[str] = (),
    use_picture: bool = True,
) -> MatchedLandmarks:
    """All landmarks of a face from a few clicks.

    Args:
        rgb: (H, W, 3) uint8.
        clicks: names of `CLICKS` to x, y in pixels; `MIN_CLICKS` to `MAX_CLICKS` of them.
        kind: examples of this kind count for more.
        without: examples to leave out; tests leave out the picture that they measure on.
        use_picture: whether edges and dark parts of the picture may refine the fit.

    Raises:
        LandmarkError: clicks that cannot be used.
    """
    check_clicks(clicks, (rgb.shape[1], rgb.shape[0]))
    examples = [shape for name, shape in shapes().items() if name not in without]
    known = [_clicked(name, xy) for name, xy in clicks.items()]
    face = solve(known, examples, kind)
    seen: dict[str, float] = {}
    if use_picture:
        found: Mapping[str, Evidence] = {}
        for _ in range(_LOOKS):
            start = face.points.copy()
            # Where brows are is the least known of all: they are looked for around what everything else says of them
            # and as far as that leaves open. From where they were seen before, they would creep away look by look.
            others = {name: one for name, one in found.items() if name not in _BROWS}
            without_brows = solve([*known, *_observations(others)], examples, kind)
            start[_BROW_POINTS] = without_brows.points[_BROW_POINTS]
            open_to = max(float(without_brows.deviation[_BROW_POINTS].mean()), _BROWS_LEAST)
            found = look(rgb, start, frozenset(clicks), MOUTHS_DIFFER[kind], open_to)
            seen = {name: round(one.trust, 2) for name, one in found.items()}
            face = solve([*known, *_observations(found)], examples, kind)
    confidence = 1 / (1 + (face.deviation / _SURE) ** 2)
    clicked = {point for name in set(clicks) - set(_EDGES) for point, weight in CLICKS[name].items() if weight == 1.0}
    confidence[sorted(clicked)] = 1.0
    return MatchedLandmarks(
        points_xy=face.points.astype(np.float32),
        visible=face.visible,
        confidence=confidence.astype(np.float32),
        matcher="fit",
        details={
            "kind": kind,
            "clicks": {name: [round(float(x), 1), round(float(y), 1)] for name, (x, y) in clicks.items()},
            "picture": seen,
        },
    )


def _clicked(name: str, xy: Sequence[float]) -> Seen | OnOutline:
    place = np.array(xy, float)
    if name in _EDGES:
        return OnOutline(_EDGES[name], place, _CLICK_NOISE)
    return Seen(weights_of(CLICKS[name]), place, _CLICK_NOISE)


def _observations(found: Mapping[str, Evidence]) -> list[Seen]:
    return [
        Seen(weights_of({int(i): 1.0}), xy, float(one.deviation))
        for one in found.values()
        for i, xy in zip(one.indices, one.points, strict=True)
    ]
