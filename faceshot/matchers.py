"""Which landmark matchers there are, which of them are at hand, and trying them in order.

    file        landmarks that the user gives, 68 or 70 points as JSON
    mediapipe   a face detector: people, paintings, many cartoons
    diffusion   FaceShot's matching on diffusion features: anything with a face; needs torch and weights
    fit         the assisted fit: anything with a face, from 4 to 9 clicks

Each is a callable `(rgb, progress) -> MatchedLandmarks`; every one is imported when its turn comes.
"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from faceshot.errors import FaceshotError, LandmarkError, NoFace
from faceshot.landmarks import MatchedLandmarks, Matcher, MatchProgress
from faceshot.topology import GROUPS, MEDIAPIPE_TO_70, N_POINTS
from faceshot.types import CharacterKind, Float32, UInt8

__all__ = ["MATCHERS", "Attempt", "Request", "part_confidence", "place_landmarks"]


_UNSEEN: Final = 0.6  # confidence of a detected part about which the picture says nothing
_APART: Final = 0.08  # eye distances between detector and picture at which half of the rest is gone


@dataclass(frozen=True)
class Request:
    """What the user gave besides the picture.

    Attributes:
        landmarks: (68 or 70, 2) points and (70,) visibility read from a file, in pixels of the picture; None: no file.
        file: what messages call that file.
        clicks: for the assisted fit; None: none were given.
        kind: what the character is; None: not said.
        models: folder with model files.
        options: of the diffusion matcher.
    """

    landmarks: tuple[Float32, np.ndarray] | None = None
    file: str = ""
    clicks: Mapping[str, Sequence[float]] | None = None
    kind: CharacterKind | None = None
    models: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


class Attempt(NamedTuple):
    """What became of one matcher."""

    matcher: str
    outcome: str


Made = Matcher | str
"""A matcher, or the reason in words why it is not at hand."""


def _file(request: Request) -> Made:
    if request.landmarks is None:
        return "no landmark file was given (--landmarks FILE)"
    points, visible = request.landmarks

    def match(rgb: UInt8, progress: MatchProgress) -> MatchedLandmarks:
        return MatchedLandmarks(points, visible, np.ones(N_POINTS, np.float32), "file", {"file": request.file})

    return match


def _mediapipe(request: Request) -> Made:
    def match(rgb: UInt8, progress: MatchProgress) -> MatchedLandmarks:
        from faceshot.driver import observe, own_rotation
        from faceshot.rest_pose import as_provenance
        from faceshot.tracker import detect_face

        progress("looking for a face", 0, 1)
        state = detect_face(rgb, request.models)
        if state.points_xyz is None:
            raise NoFace("MediaPipe found no face")
        points = np.ascontiguousarray(state.points_xyz[MEDIAPIPE_TO_70, :2])
        sure = _agreement(rgb, points) * np.float32(state.confidence)
        turned = observe(state)
        details = {} if turned is None else as_provenance(own_rotation(turned))
        return MatchedLandmarks(points, np.ones(N_POINTS, bool), sure, "mediapipe", details)

    return match


def _agreement(rgb: UInt8, points: Float32) -> Float32:
    """(70,) how well the picture agrees with a detector, which itself only says that there is a face.

    It knows human faces and lays one over every muzzle: parts for which the picture shows nothing stay doubtful.
    """
    from faceshot.image_evidence import look

    rough = points.astype(np.float64)
    unit = max(float(np.linalg.norm(rough[42:48].mean(axis=0) - rough[36:42].mean(axis=0))), 1e-6)
    sure = np.full(N_POINTS, _UNSEEN, np.float32)
    for part in look(rgb, rough, frozenset()).values():
        apart = float(np.linalg.norm(part.points - rough[part.indices], axis=1).mean()) / unit
        group = next(list(members) for members in GROUPS.values() if part.indices[0] in members)
        sure[group] = _UNSEEN + (1 - _UNSEEN) * part.trust / (1 + (apart / _APART) ** 2)
    return sure


def _diffusion(request: Request) -> Made:
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed (pip install 'faceshot-live[gpu]')"
    from faceshot.diffusion_matcher import diffusion_matcher

    try:
        made: Made = diffusion_matcher(folder=request.models, **request.options)
    except FaceshotError as missing:
        return f"{missing.message.rstrip('.')} ({missing.hint})" if missing.hint else missing.message.rstrip(".")
    return made


def _fit(request: Request) -> Made:
    if not request.clicks:
        return 'no clicks were given (--clicks "left-eye=x,y right-eye=x,y ...")'
    from faceshot.assisted import AssistedFit

    return AssistedFit(request.clicks, request.kind or "animal")


MATCHERS: Final[dict[str, Callable[[Request], Made]]] = {
    "file": _file,
    "mediapipe": _mediapipe,
    "diffusion": _diffusion,
    "fit": _fit,
}


def place_landmarks(
    rgb: UInt8, request: Request, force: str | None = None, progress: MatchProgress = lambda *_: None
) -> tuple[MatchedLandmarks, list[Attempt]]:
    """The landmarks of a picture by the first matcher that is at hand and finds a face.

    Args:
        rgb: (H, W, 3) uint8.
        force: the only matcher to try; None: all, in the order of `MATCHERS`. Clicks or a file that were given but not
            reached are not wasted work of the user: what was given by hand goes first.

    Returns:
        The landmarks, and what became of the matchers that were tried before.

    Raises:
        LandmarkError: no matcher could place any; the message names each and why. Of a forced one its own hint.
    """
    if force is not None and force not in MATCHERS:
        near = difflib.get_close_matches(force, MATCHERS, 1)
        hint = f"Did you mean {near[0]}? " if near else ""
        raise LandmarkError(f"There is no matcher {force!r}.", f"{hint}There are: {', '.join(MATCHERS)}.")
    if (rgb == rgb[0, 0]).all():
        raise LandmarkError("The picture has one colour only.", "Use a picture with a face on it.")
    order = [force] if force else sorted(MATCHERS, key=lambda name: name != "fit" if request.clicks else 0)
    if force is None and request.landmarks is not None:
        order.remove("file")
        order.insert(0, "file")
    attempts: list[Attempt] = []
    for name in order:
        made = MATCHERS[name](request)
        if isinstance(made, str):
            attempts.append(Attempt(name, made))
            continue
        try:
            return made(rgb, progress), attempts
        except LandmarkError:
            raise  # what was given by hand is wrong: the user should know instead of getting another face
        except FaceshotError as error:
            if force and error.hint:
                raise LandmarkError(f"The matcher {name} failed: {error.message}", error.hint) from error
            attempts.append(Attempt(name, error.message.rstrip(".")))
    reasons = "; ".join(f"{attempt.matcher}: {attempt.outcome}" for attempt in attempts)
    raise LandmarkError(
        f"No landmarks could be placed. {reasons}.",
        "Click 4 to 9 points yourself: faceshot character edit PICTURE opens the editor.",
    )


def part_confidence(landmarks: MatchedLandmarks) -> dict[str, float]:
    """How sure each part of the face is, 0 to 1; parts that the character lacks are left out."""
    parts = {}
    for name, members in GROUPS.items():
        seen = [i for i in members if landmarks.visible[i]]
        if seen:
            parts[name] = float(landmarks.confidence[seen].mean())
    return parts
