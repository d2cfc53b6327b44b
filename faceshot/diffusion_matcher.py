"""Landmarks of any character by diffusion features: FaceShot's appearance-guided matching, in two passes.

    1  the whole picture against the mean of all domains: roughly where the face and its parts are
    2  the face, framed like the gallery's pictures, against the domain that each part looks most like (CLIP)

Under a backbone with image prompts the second pass is the paper's: prompts are crossed, so that the character is looked
at with the references' appearance and each reference with the character's. Its references are computed anew for each
character, together with it, as many at a time as memory allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from faceshot.backbone import Backbone, is_at_hand, load_backbone
from faceshot.errors import GalleryError
from faceshot.features import diffusion_features
from faceshot.framing import Square, frame_face, letterbox
from faceshot.gallery import PARTS, Gallery
from faceshot.gallery_build import crop_part, open_gallery
from faceshot.landmarks import MatchedLandmarks, Matcher, MatchProgress
from faceshot.matching import Matches, match_vectors, mean_vectors, sample
from faceshot.pictures import flatten
from faceshot.shape_prior import Repair, RepairKind, repair
from faceshot.topology import EYE_LEFT, EYE_RIGHT, N_POINTS
from faceshot.types import Float32, UInt8

__all__ = ["MatcherSettings", "diffusion_matcher", "is_at_hand", "match_landmarks", "parse_domain"]


@dataclass(frozen=True, slots=True)
class MatcherSettings:
    """How to match.

    Attributes:
        k: references of a domain at most (the paper's k).
        domain: part -> domain, "" as part for all of them; what is not named is chosen by CLIP.
        repair: see `faceshot.shape_prior.repair`.
        zoom: match a second time on the framed face; without it the second pass sees the whole picture again.
        crossed: cross the image prompts (the paper); else everything is seen under the gallery's own prompt.
        batch: pictures at a time, None for as many as fit.
    """

    k: int = 10
    domain: Mapping[str, str] | None = None
    repair: RepairKind = "prior"
    zoom: bool = True
    crossed: bool = True
    batch: int | None = None


def diffusion_matcher(
    backbone: str = "sd15-ip",
    gallery: str = "built-in",
    settings: MatcherSettings | None = None,
    folder: Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    keep: bool = False,
) -> Matcher:
    """A matcher for `faceshot.landmarks.Matcher`; networks and gallery are read at its first use.

    Args:
        backbone: key of `faceshot.backbone.BACKBONES`.
        gallery: "built-in", a file, or a name (`gallery_build.open_gallery`).
        folder: where model files are.
        keep: keep networks loaded for the next picture (video).

    Raises:
        FaceshotError, WeightsMissing: torch or weights are missing, at once.
    """
    loaded = load_backbone(backbone, folder, device, dtype, keep)
    opened: list[Gallery] = []

    def match(rgb: UInt8, progress: MatchProgress) -> MatchedLandmarks:
        try:
            if not opened:
                opened.append(open_gallery(gallery, loaded, None, partial(_stage, progress, "gallery, only once")))
            return match_landmarks(rgb, opened[0], loaded, settings, progress)
        finally:
            if not keep:
                loaded.release()

    return match


def match_landmarks(
    picture: UInt8,
    gallery: Gallery,
    backbone: Backbone,
    settings: MatcherSettings | None = None,
    progress: MatchProgress = lambda stage, done, total: None,
) -> MatchedLandmarks:
    """The 70 landmarks of a character.

    Args:
        picture: (H, W, 3 or 4) uint8 of any size and aspect; behind transparent pixels is mid-grey.
        gallery: that fits the backbone.

    Raises:
        GalleryError: the gallery does not fit, or has no such domain.
        FaceshotError: not enough memory.
    """
    settings = settings or MatcherSettings()
    gallery.check(backbone)
    asked = _asked_domains(gallery, settings.domain or {})
    rgb = flatten(picture, (128, 128, 128)) if picture.shape[2] == 4 else picture
    size = gallery.settings.size
    whole = letterbox(rgb, size)
    vectors, known = gallery.compose()
    feature = _features(backbone, gallery, whole, settings, partial(_stage, progress, "first look"))
    _, fixed, _ = _match(feature, vectors, known, gallery.template(), size, settings)
    points = whole.to_picture(fixed.points_xy)
    view = frame_face(rgb, _bounded(points, rgb), size) if settings.zoom else whole
    chosen, likeness = _choose_domains(backbone, gallery, view, view.to_square(points), asked)
    crossing = backbone.spec.takes_image_prompt and settings.crossed
    if crossing:
        feature, vectors, known = _crossed(backbone, gallery, view, chosen, settings, progress)
    else:
        vectors, known = gallery.compose(chosen)
        if view is not whole:
            feature = _features(backbone, gallery, view, settings, partial(_stage, progress, "second look"))
    matches, final, visible = _match(feature, vectors, known, gallery.template(chosen), size, settings)
    details: dict[str, Any] = {
        "backbone": backbone.spec.name,
        "weights": backbone.fingerprint,
        "gallery": gallery.name,
        "t": gallery.settings.t,
        "layer": f"up_blocks[{gallery.settings.block}]",
        "prompt": gallery.settings.prompt,
        "crossed": crossing,
        "domains": chosen,
        "likeness": {part: round(value, 3) for part, value in likeness.items()},
        "repair": settings.repair,
        "moved": int(final.moved.sum()),
        "swapped": list(final.swapped),
        "mean_cosine": round(float(matches.cosine[known].mean()), 3),
    }
    return MatchedLandmarks(
        points_xy=view.to_picture(final.points_xy),
        visible=visible,
        confidence=np.clip(final.confidence, 0.0, 1.0).astype(np.float32),
        matcher="diffusion",
        details=details,
    )


def parse_domain(text: str) -> dict[str, str]:
    """`anime`, or `eyes=anime,mouth=animal`. Raises `GalleryError`."""
    chosen: dict[str, str] = {}
    for word in filter(None, (part.strip() for part in text.split(","))):
        part, equals, domain = word.partition("=")
        if not equals:
            part, domain = "", part
        if part and part not in PARTS:
            raise GalleryError(f"There is no part {part!r}.", f"Parts are: {', '.join(PARTS)}.")
        chosen[part.strip()] = domain.strip()
    return chosen


def _match(
    feature: Float32, vectors: Float32, known: np.ndarray, template: np.ndarray, size: int, settings: MatcherSettings
) -> tuple[Matches, Repair, np.ndarray]:
    """Match what the gallery knows; the prior places the rest.

    Returns:
        Matches of all 70 points (zero where the gallery knows none), what became of them, and (70,) bool: which of
        them the character has.
    """
    found = match_vectors(feature, vectors[known], size)
    points, confidence = np.zeros((N_POINTS, 2), np.float32), np.zeros(N_POINTS, np.float32)
    points[known], confidence[known] = found.points_xy, found.confidence
    complete = known.copy()
    for pupil, eye in ((68, EYE_LEFT), (69, EYE_RIGHT)):
        if not known[pupil] and known[list(eye)].all():
            # Published galleries know no pupils: they rest in the middle of the eyes.
            points[pupil], confidence[pupil] = points[list(eye)].mean(axis=0), confidence[list(eye)].mean()
            complete[pupil] = True
    if settings.repair != "prior":
        points[~complete] = points[complete].mean(axis=0)
    repaired = repair(points, confidence, template, complete, settings.repair)
    spread = {name: np.zeros(N_POINTS, np.float32) for name in ("cosine", "sharpness", "margin", "mutual")}
    for name, array in spread.items():
        array[known] = getattr(found, name)
    matches = Matches(points, **spread, confidence=confidence)
    return matches, repaired, complete


def _features(
    backbone: Backbone, gallery: Gallery, view: Square, settings: MatcherSettings, progress: MatchProgress
) -> Float32:
    """(C, n, n) of a view of the character, under the gallery's prompt where there are prompts."""
    under = gallery.prompt[None] if backbone.spec.takes_image_prompt else None
    return diffusion_features(backbone, view.rgb[None], under, gallery.settings, progress, settings.batch)[0]


def _choose_domains(
    backbone: Backbone, gallery: Gallery, view: Square, points: Float32, asked: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, float]]:
    """For each part the domain whose crops look most like the character's, and the cosine."""
    chosen: dict[str, str] = {}
    likeness: dict[str, float] = {}
    open_parts = [part for part in PARTS if part not in asked]
    crops = [crop_part(view.rgb, points, part) for part in open_parts]
    for part, embed in zip(open_parts, backbone.image_embeds(crops) if crops else (), strict=True):
        unit = embed / max(float(np.linalg.norm(embed)), 1e-12)
        scores = {domain: float(unit @ gallery.clip[part, domain]) for domain in gallery.domains_of(part)}
        chosen[part] = max(scores, key=lambda domain: scores[domain])
        likeness[part] = scores[chosen[part]]
    return {**chosen, **asked}, likeness


def _crossed(
    backbone: Backbone,
    gallery: Gallery,
    view: Square,
    chosen: Mapping[str, str],
    settings: MatcherSettings,
    progress: MatchProgress,
) -> tuple[Float32, Float32, np.ndarray]:
    """The paper's features: the character under the references' appearance, the references under the character's.

    Returns:
        (C, n, n) feature of the character, (70, C) vectors of the references, (70,) bool which of them there are.
    """
    references = gallery.references
    assert references is not None  # `Gallery.check` has seen to it
    own = backbone.image_embeds([view.rgb])[0]
    members = {
        part: _nearest(gallery, gallery.domains.index(domain), own, settings.k) for part, domain in chosen.items()
    }
    used = sorted({int(i) for chosen_ones in members.values() for i in chosen_ones})
    theirs = references.embeds[members["face_boundary"]].mean(axis=0)
    pictures = np.concatenate([view.rgb[None], references.squares[used]])
    prompts = np.concatenate([theirs[None], np.repeat(own[None], len(used), axis=0)]).astype(np.float32)
    step = partial(_stage, progress, "second look")
    features = diffusion_features(backbone, pictures, prompts, gallery.settings, step, settings.batch)
    size = gallery.settings.size
    sampled = {i: sample(features[1 + n], references.points_xy[i], size) for n, i in enumerate(used)}
    vectors, known = np.zeros((N_POINTS, features.shape[1]), np.float32), np.zeros(N_POINTS, bool)
    for part, index in PARTS.items():
        columns = list(index)
        stack = np.stack([sampled[int(i)][columns] for i in members[part]])
        seen = references.visible[members[part]][:, columns]
        vectors[columns], known[columns] = mean_vectors(stack, seen)
    return features[0], vectors, known


def _nearest(gallery: Gallery, domain: int, embed: Float32, k: int) -> np.ndarray:
    """The k pictures of a domain that look most like the character."""
    references = gallery.references
    assert references is not None
    members = np.flatnonzero(references.domain == domain)
    theirs = references.embeds[members]
    likeness = theirs @ embed / np.maximum(np.linalg.norm(theirs, axis=1), 1e-12)
    return members[np.argsort(-likeness, kind="stable")[: max(1, k)]]


def _asked_domains(gallery: Gallery, domain: Mapping[str, str]) -> dict[str, str]:
    """The override, part by part. Raises `GalleryError` for a domain that the gallery lacks."""
    asked: dict[str, str] = {}
    for part in PARTS:
        name = domain.get(part) or domain.get("")
        there = gallery.domains_of(part)
        if not there:
            raise GalleryError(
                f"The gallery {gallery.name} has no pictures of the part {part}.", "Use another gallery."
            )
        if name is None:
            continue
        if name not in gallery.domains:
            raise GalleryError(
                f"The gallery {gallery.name} has no domain {name!r}.", f"It has: {', '.join(gallery.domains)}."
            )
        # An emoji has no nose: where the domain lacks the part, CLIP chooses as ever.
        if name in there:
            asked[part] = name
    return asked


def _bounded(points: Float32, rgb: UInt8) -> np.ndarray:
    """Points kept from framing a view far outside the picture when the first look went astray."""
    size = np.array([rgb.shape[1], rgb.shape[0]])
    return np.clip(points, -0.1 * size, 1.1 * size)


def _stage(progress: MatchProgress, name: str, stage: str, done: int, total: int) -> None:
    progress(name if stage == "inverting" else stage, done, total)
