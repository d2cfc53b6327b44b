"""Galleries on disk: exact, and refused when they do not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from faceshot.backbone import Backbone, FeatureSettings
from faceshot.errors import GalleryError
from faceshot.gallery import PARTS, Gallery, References, import_published, load_gallery, save_gallery

SETTINGS = FeatureSettings(size=64, steps=10)


def made(backbone: str = "sd15-ip", fingerprint: str = "abc", domains: tuple[str, ...] = ("anime", "emoji")) -> Gallery:
    rng = np.random.default_rng(0)
    vectors, known, clip = {}, {}, {}
    for part, points in PARTS.items():
        for domain in domains:
            if (part, domain) == ("nose", "emoji"):
                continue
            vectors[part, domain] = rng.normal(size=(len(points), 32)).astype(np.float32)
            known[part, domain] = np.arange(len(points)) != 1
            unit = rng.normal(size=24)
            clip[part, domain] = (unit / np.linalg.norm(unit)).astype(np.float32)
    references = References(
        squares=rng.integers(0, 256, (4, 64, 64, 3), dtype=np.uint8),
        points_xy=rng.uniform(0, 64, (4, 70, 2)).astype(np.float32),
        visible=rng.random((4, 70)) > 0.1,
        domain=np.array([0, 1, 0, 1]),
        embeds=rng.normal(size=(4, 24)).astype(np.float32),
    )
    prompt = rng.normal(size=24).astype(np.float32)
    return Gallery(
        "mine", backbone, fingerprint, SETTINGS, domains, vectors, known, clip, prompt, references, {"pictures": ["a"]}
    )


def test_saved_and_loaded_is_exactly_the_same(tmp_path: Path) -> None:
    gallery = made()
    save_gallery(gallery, tmp_path / "sub" / "mine.safetensors")
    again = load_gallery(tmp_path / "sub" / "mine.safetensors")
    for name in ("name", "backbone", "fingerprint", "settings", "domains", "made_of"):
        assert getattr(again, name) == getattr(gallery, name)
    for name in ("vectors", "known", "clip"):
        ours, theirs = getattr(gallery, name), getattr(again, name)
        assert set(ours) == set(theirs)
        assert all(np.array_equal(ours[key], theirs[key]) and ours[key].dtype == theirs[key].dtype for key in ours)
    assert np.array_equal(gallery.prompt, again.prompt)
    assert gallery.references is not None and again.references is not None
    for name in ("squares", "points_xy", "visible", "domain", "embeds"):
        ours, theirs = getattr(gallery.references, name), getattr(again.references, name)
        assert np.array_equal(ours, theirs) and ours.dtype == theirs.dtype
    assert [path.name for path in (tmp_path / "sub").iterdir()] == ["mine.safetensors"]


def test_vectors_of_chosen_domains_and_of_all() -> None:
    gallery = made()
    chosen = dict.fromkeys(PARTS, "anime")
    vectors, known = gallery.compose({**chosen, "eyes": "emoji"})
    assert np.array_equal(vectors[36], gallery.vectors["eyes", "emoji"][0])
    assert np.array_equal(vectors[68], gallery.vectors["eyes", "emoji"][12])  # the pupils come with the eyes
    assert np.array_equal(vectors[3], gallery.vectors["face_boundary", "anime"][3])
    assert not known[[1, 18, 28, 37, 49]].any() and known.sum() == 65
    mean, _ = gallery.compose()
    both = (gallery.vectors["mouth", "anime"][4] + gallery.vectors["mouth", "emoji"][4]) / 2
    assert np.allclose(mean[52], both, atol=1e-6)
    assert gallery.domains_of("nose") == ("anime",)
    assert np.allclose(gallery.template(chosen)[30], gallery.references.points_xy[[0, 2], 30].mean(axis=0))  # type: ignore[union-attr]


def test_another_backbone_is_refused(sd15: Backbone, sd21: Backbone) -> None:
    fitting = made("sd15-ip", sd15.fingerprint)
    fitting.check(sd15)
    with pytest.raises(GalleryError, match="backbone 'sd15-ip' instead of 'sd21-plain'") as caught:
        fitting.check(sd21)
    assert "--backbone sd15-ip" in caught.value.hint
    with pytest.raises(GalleryError, match="t 301 instead of 281"):
        fitting.check(sd15, replace(SETTINGS, t=281))
    with pytest.raises(GalleryError, match="other weights of sd15-ip"):
        made("sd15-ip", "0123456789abcdef").check(sd15)
    with pytest.raises(GalleryError, match="has no pictures"):
        replace(fitting, references=None).check(sd15)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data: data[: len(data) // 2], "damaged or no gallery"),
        (lambda data: b"\x80\x04" + data[2:], "damaged or no gallery"),
        (lambda data: data.replace(b"faceshot-gallery/1", b"faceshot-gallery/9"), "gallery/9"),
        (lambda data: data.replace(b"vectors/mouth/anime", b"vectors/snout/anime"), "damaged"),
        (lambda data: b"", "damaged or no gallery"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, spoil, words: str) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "g.safetensors"
    save_gallery(made(), path)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(GalleryError, match=words):
        load_gallery(path)


def test_missing_files_and_bad_places(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="There is no gallery"):
        load_gallery(tmp_path / "none.safetensors")
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(GalleryError, match="Cannot write"):
        save_gallery(made(), tmp_path / "file" / "g.safetensors")


def published(folder: Path, domains: tuple[str, ...] = ("00", "01"), width: int = 1280) -> dict[str, np.ndarray]:
    """The published layout with random numbers in it."""
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(0)
    made_up = {}
    for part, count in {"face_boundary": 17, "eye_brows": 10, "nose": 9, "eyes": 12, "mouth": 20}.items():
        for domain in domains:
            place = folder / "target_domains" / part / domain
            place.mkdir(parents=True)
            diff = torch.randn(count, width, generator=generator)
            torch.save(diff, place / "diff_feature.pt")
            torch.save(torch.randn(1, 1024, generator=generator), place / "clip_feature.pt")
            made_up[f"{part}/{domain}"] = diff.numpy()
    return made_up


def test_the_published_features_are_imported_exactly(tmp_path: Path) -> None:
    features = published(tmp_path)
    gallery = import_published(tmp_path)
    assert gallery.backbone == "sd21-plain" and gallery.domains == ("00", "01") and gallery.references is None
    for name, array in features.items():
        part, _, domain = name.partition("/")
        assert np.array_equal(gallery.vectors[part, domain], array)
        assert np.linalg.norm(gallery.clip[part, domain]) == pytest.approx(1, abs=1e-6)
    vectors, known = gallery.compose(dict.fromkeys(PARTS, "01"))
    assert vectors.shape == (70, 1280) and known[:68].all() and not known[68:].any()
    save_gallery(gallery, tmp_path / "p.safetensors")
    assert np.array_equal(load_gallery(tmp_path / "p.safetensors").vectors["nose", "00"], features["nose/00"])


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("was-executed"),))  # type: ignore[return-value]


def test_a_pickle_that_would_run_code_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    published(tmp_path)
    torch.save(Bomb(), tmp_path / "target_domains" / "eyes" / "00" / "diff_feature.pt")
    with pytest.raises(GalleryError, match="not a plain tensor"):
        import_published(tmp_path)
    assert not (tmp_path / "was-executed").exists()


def test_incomplete_published_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="no folder face_boundary, eye_brows") as caught:
        import_published(tmp_path)
    assert "models pull faceshot-gallery" in caught.value.hint
    published(tmp_path)
    (tmp_path / "target_domains" / "nose" / "01" / "clip_feature.pt").unlink()
    with pytest.raises(GalleryError, match=r"clip_feature\.pt is missing"):
        import_published(tmp_path)
    torch = pytest.importorskip("torch")
    torch.save(torch.zeros(8, 1280), tmp_path / "target_domains" / "nose" / "00" / "diff_feature.pt")
    with pytest.raises(GalleryError, match=r"has shape \(8, 1280\), \(9, 1280\) is right"):
        import_published(tmp_path)
