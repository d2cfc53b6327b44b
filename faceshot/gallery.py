"""The appearance gallery: for each part of a face, what it looks like in each domain, as features to be matched.

A gallery is one safetensors file. Its header says which features it holds (backbone, weights, time, layer, prompt,
size), and it is refused when those are not the ones that are asked for: features of different backbones have the same
shape, and comparing them gives no error, only nonsense.

    vectors/PART/DOMAIN     (n, C) float32   mean unit feature vector at each of the part's landmarks
    known/PART/DOMAIN       (n,)   uint8     0 where no picture of the domain has the landmark
    clip/PART/DOMAIN        (D,)   float32   mean unit CLIP embedding of the part's crops
    prompt                  (D,)   float32   mean CLIP embedding of all pictures
    references/...          pictures (K, S, S, 3) uint8, landmarks and embeddings, where the gallery was made from
                            pictures; backbones with image prompts need them, since their features depend on the target
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from faceshot.backbone import BACKBONES, Backbone, FeatureSettings
from faceshot.errors import GalleryError
from faceshot.placement import need_packages
from faceshot.shape_prior import canonical_template
from faceshot.topology import N_POINTS
from faceshot.types import Float32, UInt8

__all__ = ["PARTS", "Gallery", "References", "import_published", "load_gallery", "save_gallery"]

# The published order of parts; together rows 0 to 67. Our own galleries add the pupils to the eyes.
PARTS: Final[dict[str, tuple[int, ...]]] = {
    "face_boundary": tuple(range(0, 17)),
    "eye_brows": tuple(range(17, 27)),
    "nose": tuple(range(27, 36)),
    "eyes": (*range(36, 48), 68, 69),
    "mouth": tuple(range(48, 68)),
}
SCHEMA: Final = "faceshot-gallery/1"
MAX_MB: Final = 4096


@dataclass(frozen=True, slots=True, eq=False)
class References:
    """The pictures of a gallery, framed alike (`framing.frame_face`).

    Attributes:
        squares: (K, S, S, 3) uint8.
        points_xy: (K, 70, 2) float32 px of the squares.
        visible: (K, 70) bool.
        domain: (K,) int64, index into `Gallery.domains`.
        embeds: (K, D) float32 CLIP embeddings of the squares.
    """

    squares: UInt8
    points_xy: Float32
    visible: np.ndarray
    domain: np.ndarray
    embeds: Float32


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Features of reference faces.

    Attributes:
        name: for people and provenance.
        backbone: key of `faceshot.backbone.BACKBONES`.
        fingerprint: of the weights (`Backbone.fingerprint`); empty when its maker did not say.
        settings: what the features are features of.
        domains: names, at least one.
        vectors: (part, domain) -> (n, C); n as in `PARTS`, or 12 for eyes without pupils.
        known: (part, domain) -> (n,) bool.
        clip: (part, domain) -> (D,) unit vector.
        prompt: (D,) image prompt that the vectors were made under; empty for plain backbones.
        references: None for an imported gallery.
    """

    name: str
    backbone: str
    fingerprint: str
    settings: FeatureSettings
    domains: tuple[str, ...]
    vectors: Mapping[tuple[str, str], Float32]
    known: Mapping[tuple[str, str], np.ndarray]
    clip: Mapping[tuple[str, str], Float32]
    prompt: Float32
    references: References | None = None
    made_of: Mapping[str, Any] = field(default_factory=dict)

    def compose(self, chosen: Mapping[str, str] | None = None) -> tuple[Float32, np.ndarray]:
        """The vectors of all 70 landmarks.

        Args:
            chosen: domain of each part; None takes the mean of all domains.

        Returns:
            (70, C) float32, and (70,) bool: which of them the gallery knows.
        """
        width = next(iter(self.vectors.values())).shape[1]
        vectors, known = np.zeros((N_POINTS, width), np.float32), np.zeros(N_POINTS, bool)
        for part, points in PARTS.items():
            names = [chosen[part]] if chosen else [name for name in self.domains if (part, name) in self.vectors]
            if not names:
                continue
            index = list(points[: len(self.vectors[part, names[0]])])
            have = np.stack([self.known[part, name] for name in names])
            total = sum(self.vectors[part, name] * self.known[part, name][:, None] for name in names)
            vectors[index] = total / np.maximum(have.sum(axis=0), 1)[:, None]
            known[index] = have.any(axis=0)
        return vectors, known

    def template(self, chosen: Mapping[str, str] | None = None) -> np.ndarray:
        """(70, 2) where the landmarks are on the gallery's own pictures; a human face when it has none."""
        if self.references is None:
            return canonical_template()
        mean = np.empty((N_POINTS, 2))
        for part, points in PARTS.items():
            index = list(points)
            take = np.ones(len(self.references.domain), bool)
            if chosen:
                take = self.references.domain == self.domains.index(chosen[part])
            mean[index] = self.references.points_xy[take][:, index].mean(axis=0)
        return mean

    def domains_of(self, part: str) -> tuple[str, ...]:
        """The domains in which at least one picture has that part."""
        return tuple(name for name in self.domains if (part, name) in self.known and self.known[part, name].any())

    def check(self, backbone: Backbone, settings: FeatureSettings | None = None) -> None:
        """Refuse to be used with other features than those it holds. Raises `GalleryError`."""
        wanted = {"backbone": backbone.spec.name, **asdict(settings or self.settings)}
        holds = {"backbone": self.backbone, **asdict(self.settings)}
        differing = [key for key in wanted if wanted[key] != holds[key]]
        if differing:
            facts = ", ".join(f"{key} {holds[key]!r} instead of {wanted[key]!r}" for key in differing)
            cure = (
                f"Choose that backbone: --backbone {self.backbone}, or build the gallery again: faceshot gallery build"
                if "backbone" in differing
                else "Build it again: faceshot gallery build"
            )
            raise GalleryError(f"The gallery {self.name} holds other features: {facts}.", cure)
        if self.fingerprint and self.fingerprint != backbone.fingerprint:
            raise GalleryError(
                f"The gallery {self.name} was made with other weights of {self.backbone} "
                f"({self.fingerprint} instead of {backbone.fingerprint}).",
                "Build it again: faceshot gallery build",
            )
        if backbone.spec.takes_image_prompt and self.references is None:
            raise GalleryError(
                f"The gallery {self.name} has no pictures, and {backbone.spec.name} computes features anew for each "
                "character.",
                "Build one from pictures: faceshot gallery build FOLDER -o OUT",
            )


def save_gallery(gallery: Gallery, path: Path) -> None:
    """Write the file whole or not at all. Raises `GalleryError` when it cannot be written."""
    tensors: dict[str, np.ndarray] = {"prompt": gallery.prompt}
    for kind, table in (("vectors", gallery.vectors), ("known", gallery.known), ("clip", gallery.clip)):
        for (part, domain), array in table.items():
            tensors[f"{kind}/{part}/{domain}"] = array.astype(np.uint8) if kind == "known" else array
    if gallery.references is not None:
        for key in ("squares", "points_xy", "visible", "domain", "embeds"):
            array = getattr(gallery.references, key)
            tensors[f"references/{key}"] = array.astype(np.uint8) if key == "visible" else array
    header = {
        "schema": SCHEMA,
        "name": gallery.name,
        "backbone": gallery.backbone,
        "fingerprint": gallery.fingerprint,
        "domains": json.dumps(gallery.domains),
        "settings": json.dumps(asdict(gallery.settings)),
        "made_of": json.dumps(dict(gallery.made_of)),
    }
    part_file: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part_file = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        save_file({key: np.ascontiguousarray(array) for key, array in tensors.items()}, part_file, metadata=header)
        os.chmod(part_file, 0o644)  # temporary files are made private
        os.replace(part_file, path)
    except OSError as bad:
        raise GalleryError(f"Cannot write {path}: {bad.strerror or bad}.", "Name a file in another folder.") from bad
    finally:
        if part_file is not None:
            Path(part_file).unlink(missing_ok=True)


def load_gallery(path: Path) -> Gallery:
    """Read a gallery. Raises `GalleryError` for what is damaged or something else; see `Gallery.check` for the rest."""
    remake = "Make it again: faceshot gallery build FOLDER -o OUT, or faceshot gallery import"
    if not path.is_file():
        raise GalleryError(f"There is no gallery {path}.", "Give a file, or leave it out for the built-in one.")
    if path.stat().st_size > MAX_MB << 20:
        raise GalleryError(f"{path} has {path.stat().st_size >> 20} MB, at most {MAX_MB} MB are read.", remake)
    try:
        with safe_open(str(path), framework="np") as file:
            header = file.metadata() or {}
            if header.get("schema") != SCHEMA:
                raise GalleryError(
                    f"{path} is no gallery of this version: schema {header.get('schema')!r} instead of {SCHEMA!r}.",
                    remake,
                )
            tensors = {key: file.get_tensor(key) for key in file.keys()}
        return _from_tensors(header, tensors)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError) as bad:
        raise GalleryError(f"{path} is damaged or no gallery: {str(bad)[:200]}.", remake) from bad


def _from_tensors(header: Mapping[str, str], tensors: Mapping[str, np.ndarray]) -> Gallery:
    tables: dict[str, dict[tuple[str, str], np.ndarray]] = {"vectors": {}, "known": {}, "clip": {}}
    references: dict[str, np.ndarray] = {}
    for key, array in tensors.items():
        kind, _, rest = key.partition("/")
        part, _, domain = rest.partition("/")
        if kind == "references":
            references[part] = array
        elif kind in tables:
            if part not in PARTS or not domain:
                raise ValueError(f"unknown part {part!r}")
            tables[kind][part, domain] = array
    domains = tuple(json.loads(header["domains"]))
    settings = FeatureSettings(**json.loads(header["settings"]))
    if header["backbone"] not in BACKBONES or not domains or not tables["vectors"]:
        raise ValueError("its header is incomplete")
    if set(tables["known"]) != set(tables["vectors"]):
        raise ValueError("parts are missing")
    return Gallery(
        name=header["name"],
        backbone=header["backbone"],
        fingerprint=header["fingerprint"],
        settings=settings,
        domains=domains,
        vectors=tables["vectors"],
        known={key: array.astype(bool) for key, array in tables["known"].items()},
        clip=tables["clip"],
        prompt=np.asarray(tensors["prompt"], np.float32),
        references=_references(references, settings, len(domains)) if references else None,
        made_of=json.loads(header["made_of"]),
    )


def _references(arrays: Mapping[str, np.ndarray], settings: FeatureSettings, domains: int) -> References:
    count, side = len(arrays["squares"]), settings.size
    shapes = {"squares": (count, side, side, 3), "points_xy": (count, N_POINTS, 2), "visible": (count, N_POINTS)}
    for key, shape in shapes.items():
        if arrays[key].shape != shape:
            raise ValueError(f"references/{key} has shape {arrays[key].shape}, {shape} is right")
    if len(arrays["domain"]) != count or len(arrays["embeds"]) != count or arrays["domain"].max(initial=0) >= domains:
        raise ValueError("its pictures and domains do not fit together")
    return References(
        arrays["squares"], arrays["points_xy"], arrays["visible"].astype(bool), arrays["domain"], arrays["embeds"]
    )


def import_published(folder: Path, name: str = "published") -> Gallery:
    """The published features (`PART/DOMAIN/{clip_feature.pt, diff_feature.pt}`), made with SD 2.1 as `sd21-plain`.

    Tensors are read with `weights_only=True`: nothing in the files is executed.

    Args:
        folder: with the five part folders, or its parent (`target_domains/`).
    """
    need_packages("Importing the published gallery", "torch")
    place = folder / "target_domains" if (folder / "target_domains").is_dir() else folder
    missing = [part for part in PARTS if not (place / part).is_dir()]
    if missing:
        raise GalleryError(
            f"{folder} is not the published gallery: there is no folder {', '.join(missing)} in it.",
            "Type: faceshot models pull faceshot-gallery, then: faceshot gallery import",
        )
    vectors: dict[tuple[str, str], Float32] = {}
    known: dict[tuple[str, str], np.ndarray] = {}
    clip: dict[tuple[str, str], Float32] = {}
    domains: set[str] = set()
    for part, points in PARTS.items():
        for domain in sorted(path for path in (place / part).iterdir() if path.is_dir()):
            count = len([i for i in points if i < 68])
            diff = _read_pt(domain / "diff_feature.pt")
            seen = _read_pt(domain / "clip_feature.pt").reshape(-1)
            if diff.ndim != 2 or len(diff) != count:
                raise GalleryError(f"{domain / 'diff_feature.pt'} has shape {diff.shape}, ({count}, 1280) is right.")
            key = (part, domain.name)
            vectors[key], known[key] = diff, np.linalg.norm(diff, axis=1) > 1e-9
            clip[key] = seen / max(float(np.linalg.norm(seen)), 1e-12)
            domains.add(domain.name)
    if len({array.shape[1] for array in vectors.values()}) != 1:
        raise GalleryError(f"The features in {folder} do not all have the same length.")
    return Gallery(
        name=name,
        backbone="sd21-plain",
        fingerprint="",
        settings=FeatureSettings(),
        domains=tuple(sorted(domains)),
        vectors=vectors,
        known=known,
        clip=clip,
        prompt=np.zeros(0, np.float32),
        made_of={"source": "Gaojunyao/FaceShot"},
    )


def _read_pt(path: Path) -> Float32:
    import pickle

    import torch

    try:
        tensor = torch.load(path, map_location="cpu", weights_only=True)
        return np.asarray(tensor.detach().float().numpy(), np.float32)
    except FileNotFoundError:
        raise GalleryError(f"{path} is missing.", "Type: faceshot models pull faceshot-gallery") from None
    except (pickle.UnpicklingError, RuntimeError, OSError, EOFError, AttributeError, ValueError) as bad:
        raise GalleryError(
            f"{path} is not a plain tensor: {str(bad).splitlines()[0][:160]}.",
            "Get a fresh copy; files that would run code are not opened.",
        ) from bad
