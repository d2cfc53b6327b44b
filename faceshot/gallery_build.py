"""Making a gallery out of pictures with landmarks, and the built-in one out of our own bundled characters.

    FOLDER/DOMAIN/NAME.png + NAME.json or NAME.npy   (or .faceshot files, or pictures in which MediaPipe finds a face)

One picture after the other is worked on and kept in a folder beside the output; a run that was stopped goes on where it
was, and that folder goes when the gallery is whole.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from faceshot.backbone import Backbone, FeatureSettings
from faceshot.character import bundled_names, open_character
from faceshot.errors import CharacterFileError, FaceshotError, GalleryError
from faceshot.features import diffusion_features
from faceshot.framing import cut, frame_face
from faceshot.gallery import PARTS, Gallery, References, load_gallery, save_gallery
from faceshot.landmarks import MatchProgress
from faceshot.matching import mean_vectors, sample
from faceshot.pictures import flatten, read_picture
from faceshot.topology import EYE_LEFT, EYE_RIGHT, MIRROR_70, N_POINTS
from faceshot.types import Character, Float32, UInt8
from faceshot.weights import cache_folder

__all__ = [
    "Sample",
    "build_gallery",
    "built_in",
    "crop_part",
    "describe",
    "find_gallery",
    "galleries_folder",
    "kept_galleries",
    "open_gallery",
    "read_samples",
]

PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".faceshot")
PART_MARGIN: Final = 0.35
"""Around a part's landmarks, as a share of their longer extent, when it is cut out for CLIP."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One picture of a gallery to be: a character and what domain it stands for."""

    character: Character
    domain: str

    def mirrored(self) -> Sample:
        """Its looking-glass picture: where a landmark is in a picture averages out."""
        points = self.character.points_xy[MIRROR_70] * np.array([-1, 1], np.float32)
        points[:, 0] += self.character.rgba.shape[1] - 1
        flipped = replace(
            self.character,
            name=self.character.name + " mirrored",
            rgba=np.ascontiguousarray(self.character.rgba[:, ::-1]),
            points_xy=points,
            visible=self.character.visible[MIRROR_70],
        )
        return Sample(flipped, self.domain)


def read_samples(folder: Path, models: Path | None = None) -> list[Sample]:
    """All pictures of a folder of domains; a folder without sub-folders is one domain of its own name.

    Raises:
        GalleryError: no pictures, or pictures that cannot be used: all of them are named, before any work is done.
    """
    if not folder.is_dir():
        raise GalleryError(f"{folder} is no folder.", "Give a folder of pictures: FOLDER/DOMAIN/NAME.png + NAME.json")
    samples: list[Sample] = []
    problems: list[str] = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in PICTURES or not path.is_file() or path.name.startswith("."):
            continue
        where = path.relative_to(folder)
        domain = where.parts[0] if len(where.parts) > 1 else folder.resolve().name
        try:
            samples.append(Sample(_read_sample(path, models), domain))
        except FaceshotError as bad:
            problems.append(f"{where}: {bad.message}")
    if problems:
        more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""
        raise GalleryError(
            f"{len(problems)} of {len(problems) + len(samples)} pictures cannot be used{more}: "
            + " ".join(problems[:5]),
            "Put 68 or 70 landmarks beside each picture, NAME.json or NAME.npy, or take it away.",
        )
    if not samples:
        raise GalleryError(f"There are no pictures in {folder}.", "Put them into FOLDER/DOMAIN/NAME.png + NAME.json")
    return samples


def build_gallery(
    samples: Sequence[Sample],
    backbone: Backbone,
    out: Path,
    name: str = "",
    settings: FeatureSettings | None = None,
    mirror: bool = True,
    progress: MatchProgress = lambda stage, done, total: None,
) -> Gallery:
    """Compute a gallery and write it; picture by picture, so that a stopped run goes on where it was.

    Args:
        samples: pictures with landmarks.
        out: the file to be written.
        mirror: add each picture's mirror image.
        progress: stages "looking" (CLIP) and "inverting".
    """
    settings = settings or FeatureSettings()
    everything = [*samples, *(sample_.mirrored() for sample_ in samples if mirror)]
    domains = tuple(dict.fromkeys(sample_.domain for sample_ in everything))
    kept = out.with_name(f".{out.name}.parts")
    framed = [_frame(sample_.character, settings.size) for sample_ in everything]
    with backbone.keeping():
        seen = [
            _look(backbone, square, points, visible, kept, progress, i, len(framed))
            for i, (square, points, visible) in enumerate(framed)
        ]
    prompt = np.mean([one["embed"] for one in seen], axis=0).astype(np.float32)
    per_picture = settings.steps * settings.t // 1000 + 1
    vectors = []
    with backbone.keeping():
        for i, (square, points, _) in enumerate(framed):

            def step(stage: str, done: int, total: int, before: int = i) -> None:
                progress(stage, before * per_picture + done, len(framed) * per_picture)

            vectors.append(_vectors(backbone, square, points, prompt, settings, kept, step))
            step("inverting", per_picture, per_picture)
    gallery = _assemble(everything, framed, seen, vectors, domains, prompt, backbone, settings, name or out.stem)
    save_gallery(gallery, out)
    shutil.rmtree(kept, ignore_errors=True)
    return gallery


def built_in(
    backbone: Backbone,
    settings: FeatureSettings | None = None,
    progress: MatchProgress = lambda stage, done, total: None,
    folder: Path | None = None,
) -> Gallery:
    """The gallery of our own bundled characters, one domain for each kind; computed once, then kept in the cache.

    Args:
        folder: where it is kept; None means the user's cache.
    """
    settings = settings or FeatureSettings()
    characters = [open_character(name) for name in bundled_names()]
    # Mirror images double the references, and on a CPU the minutes that the first use takes.
    mirror = backbone.placement.device != "cpu"
    content = hashlib.sha256(json.dumps([asdict(settings), mirror]).encode())
    for character in characters:
        content.update(character.rgba.tobytes() + character.points_xy.tobytes())
    stem = f"built-in-{backbone.spec.name}-{backbone.fingerprint}-{content.hexdigest()[:12]}.safetensors"
    path = (folder or galleries_folder()) / stem
    if path.is_file():
        try:
            gallery = load_gallery(path)
            gallery.check(backbone, settings)
            return gallery
        except GalleryError:
            path.unlink(missing_ok=True)  # our own cache: damaged is as good as missing
    samples = [Sample(character, character.kind) for character in characters]
    return build_gallery(samples, backbone, path, "built-in", settings, mirror, progress)


def galleries_folder() -> Path:
    """Where galleries that the program made itself are kept."""
    return cache_folder().parent / "galleries"


def open_gallery(
    spec: str,
    backbone: Backbone,
    settings: FeatureSettings | None = None,
    progress: MatchProgress = lambda stage, done, total: None,
) -> Gallery:
    """The gallery that `spec` means: "built-in", a file, or a name in `galleries_folder()`; refused if it does not
    fit."""
    if spec in ("", "built-in"):
        return built_in(backbone, settings, progress)
    gallery = load_gallery(find_gallery(spec))
    gallery.check(backbone, settings)
    return gallery


def find_gallery(spec: str) -> Path:
    """The file of a gallery, given as such or by its name. Raises `GalleryError`, which names those that there are."""
    path, named = Path(spec).expanduser(), galleries_folder() / f"{spec}.safetensors"
    for place in (path, named):
        if place.is_file():
            return place
    names = ", ".join(place.stem for place in kept_galleries()) or "none"
    if spec in ("", "built-in"):
        raise GalleryError(
            "The built-in gallery has no file of that name: it is computed for each backbone when it is first used.",
            f"Computed and imported so far: {names}.",
        )
    raise GalleryError(f"There is no gallery {spec}.", f"Give a file, built-in, or the name of one kept here: {names}.")


def kept_galleries() -> list[Path]:
    """Files of the galleries that were imported, and of the built-in one for each backbone that has used it."""
    return sorted(galleries_folder().glob("*.safetensors"))


def crop_part(square: UInt8, points_xy: Float32, part: str) -> UInt8:
    """A part of a face with some surroundings, as a square picture for CLIP."""
    points = points_xy[list(PARTS[part])]
    low, high = points.min(axis=0), points.max(axis=0)
    extent = float((high - low).max())
    side = max(16, round(extent * (1 + 2 * PART_MARGIN)))
    left, top = np.round((low + high) / 2 - side / 2).astype(int)
    return cut(square, int(left), int(top), side, min(side, 224)).rgb


def _read_sample(path: Path, models: Path | None) -> Character:
    array = path.with_suffix(".npy")
    if not array.is_file():
        return open_character(str(path), models, calibrate=False)
    rgba = read_picture(path, path.name)
    try:
        points = np.load(array, allow_pickle=False).astype(np.float32)
    except (OSError, ValueError) as bad:
        raise CharacterFileError(f"{array.name} cannot be read: {bad}.") from bad
    if points.shape not in ((68, 2), (N_POINTS, 2)):
        raise CharacterFileError(f"{array.name} has shape {points.shape}, (68, 2) or (70, 2) is right.")
    size = np.array([rgba.shape[1], rgba.shape[0]])
    if not np.isfinite(points).all() or (points < -0.5 * size).any() or (points > 1.5 * size).any():
        raise CharacterFileError(f"{array.name} has points far outside the picture ({size[0]}×{size[1]}).")
    if len(points) == 68:
        pupils = [points[list(eye)].mean(axis=0) for eye in (EYE_LEFT, EYE_RIGHT)]
        points = np.concatenate([points, pupils]).astype(np.float32)
    return Character(path.stem, rgba, points, np.ones(N_POINTS, bool))


def _frame(character: Character, size: int) -> tuple[UInt8, Float32, np.ndarray]:
    """The face in its square, its landmarks there, and which of them there are."""
    rgb = flatten(character.rgba, (128, 128, 128))
    square = frame_face(rgb, character.points_xy, size)
    return square.rgb, square.to_square(character.points_xy), character.visible


def _look(
    backbone: Backbone,
    square: UInt8,
    points: Float32,
    visible: np.ndarray,
    kept: Path,
    progress: MatchProgress,
    number: int,
    count: int,
) -> dict[str, Float32]:
    """CLIP embeddings of a picture and of its parts, out of the folder of a stopped run if they are there."""
    key = _key("look", backbone.fingerprint, square, points)
    found = _kept(kept, key)
    if found is None:
        parts = [part for part, index in PARTS.items() if visible[list(index)].any()]
        embeds = backbone.image_embeds([square, *(crop_part(square, points, part) for part in parts)])
        found = {"embed": embeds[0], **dict(zip(parts, embeds[1:], strict=True))}
        _keep(kept, key, found)
    progress("looking", number + 1, count)
    return found


def _vectors(
    backbone: Backbone,
    square: UInt8,
    points: Float32,
    prompt: Float32,
    settings: FeatureSettings,
    kept: Path,
    progress: MatchProgress,
) -> Float32:
    """(70, C) features at the landmarks of a reference, likewise."""
    under = prompt[None] if backbone.spec.takes_image_prompt else None
    key = _key(json.dumps(asdict(settings)), backbone.fingerprint, square, points, *(() if under is None else (under,)))
    found = _kept(kept, key)
    if found is None:
        feature = diffusion_features(backbone, square[None], under, settings, progress)[0]
        found = {"vectors": sample(feature, points, settings.size)}
        _keep(kept, key, found)
    return found["vectors"]


def _assemble(
    samples: Sequence[Sample],
    framed: Sequence[tuple[UInt8, Float32, np.ndarray]],
    seen: Sequence[dict[str, Float32]],
    vectors: Sequence[Float32],
    domains: tuple[str, ...],
    prompt: Float32,
    backbone: Backbone,
    settings: FeatureSettings,
    name: str,
) -> Gallery:
    squares = np.stack([one[0] for one in framed])
    points = np.stack([one[1] for one in framed])
    visible = np.stack([one[2] for one in framed])
    domain = np.array([domains.index(one.domain) for one in samples], np.int64)
    table: dict[tuple[str, str], Float32] = {}
    known: dict[tuple[str, str], np.ndarray] = {}
    clip: dict[tuple[str, str], Float32] = {}
    for i, here in enumerate(domains):
        members = np.flatnonzero(domain == i)
        for part, index in PARTS.items():
            columns = list(index)
            mean, has = mean_vectors(
                np.stack([vectors[m][columns] for m in members]), np.stack([visible[m][columns] for m in members])
            )
            embeds = [
                seen[m][part] / max(float(np.linalg.norm(seen[m][part])), 1e-12) for m in members if part in seen[m]
            ]
            if not has.any() or not embeds:
                continue
            average = np.mean(embeds, axis=0)
            table[part, here], known[part, here] = mean, has
            clip[part, here] = np.asarray(average / max(float(np.linalg.norm(average)), 1e-12), np.float32)
    embeds_all = np.stack([one["embed"] for one in seen]).astype(np.float32)
    takes_prompt = backbone.spec.takes_image_prompt
    return Gallery(
        name=name,
        backbone=backbone.spec.name,
        fingerprint=backbone.fingerprint,
        settings=settings,
        domains=domains,
        vectors=table,
        known=known,
        clip=clip,
        prompt=prompt if takes_prompt else np.zeros(0, np.float32),
        references=References(squares, points, visible, domain, embeds_all),
        made_of={"pictures": [f"{one.domain}/{one.character.name}" for one in samples]},
    )


def _key(*parts: str | np.ndarray) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:24]


def _kept(folder: Path, key: str) -> dict[str, Float32] | None:
    path = folder / f"{key}.safetensors"
    if not path.is_file():
        return None
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError):
        return None  # the run was stopped while it wrote this one


def _keep(folder: Path, key: str, arrays: dict[str, Float32]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, folder / f"{key}.safetensors")
    except OSError as bad:
        raise GalleryError(f"Cannot write into {folder}: {bad.strerror or bad}.", "Name another output.") from bad


def describe(gallery: Gallery) -> Iterable[tuple[str, str]]:
    """Rows for people: what a gallery holds."""
    settings = gallery.settings
    yield "name", gallery.name
    yield "backbone", f"{gallery.backbone}, weights {gallery.fingerprint or 'unknown'}"
    yield "features", f"t = {settings.t} of {settings.steps} steps, up_blocks[{settings.block}], {settings.size} px"
    yield "prompt", settings.prompt
    count = 0 if gallery.references is None else len(gallery.references.domain)
    yield "pictures", str(count) if count else "none, only features"
    for part in PARTS:
        rows = [f"{domain} ({int(gallery.known[part, domain].sum())} points)" for domain in gallery.domains_of(part)]
        yield part, ", ".join(rows) or "in no domain"
