"""Galleries made of pictures: what is read, what is refused before any work, what a stopped run leaves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceshot import gallery_build
from faceshot.backbone import Backbone
from faceshot.character import open_character, write_character
from faceshot.errors import GalleryError
from faceshot.features import diffusion_features
from faceshot.gallery import PARTS, load_gallery
from faceshot.gallery_build import Sample, build_gallery, built_in, describe, open_gallery, read_samples
from faceshot.matching import sample
from faceshot.topology import MIRROR_70
from tests.faceshot.conftest import QUICK


def put(folder: Path, name: str, kind: str = "json", count: int = 70) -> None:
    character = open_character("ada")
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(character.rgba).resize((256, 256)).save(folder / f"{name}.png")
    points = character.points_xy[:count] / 4
    if kind == "json":
        (folder / f"{name}.json").write_text(json.dumps({"landmarks": points.tolist()}))
    else:
        np.save(folder / f"{name}.npy", points)


def test_pictures_with_json_npy_and_character_files(tmp_path: Path) -> None:
    put(tmp_path / "human", "a")
    put(tmp_path / "human", "b", "npy", 68)
    (tmp_path / "toy").mkdir()
    write_character(open_character("bolt"), tmp_path / "toy" / "bolt.faceshot")
    (tmp_path / "notes.txt").write_text("not a picture")
    samples = read_samples(tmp_path)
    assert [(one.domain, one.character.name) for one in samples] == [("human", "a"), ("human", "b"), ("toy", "Bolt")]
    assert np.allclose(samples[1].character.points_xy[:68], samples[0].character.points_xy[:68], atol=1e-3)
    assert read_samples(tmp_path / "human")[0].domain == "human"


def test_everything_that_cannot_be_used_is_named_at_once(tmp_path: Path) -> None:
    put(tmp_path / "x", "good")
    put(tmp_path / "x", "short", count=67)
    put(tmp_path / "x", "short-too", "npy", count=67)
    put(tmp_path / "x", "far", "npy")
    points = np.load(tmp_path / "x" / "far.npy")
    points[3] = (9000, 9000)
    np.save(tmp_path / "x" / "far.npy", points)
    Image.new("RGB", (100, 100), (90, 90, 90)).save(tmp_path / "x" / "plain.png")
    np.save(tmp_path / "x" / "plain.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(GalleryError) as caught:
        read_samples(tmp_path)
    text = str(caught.value)
    assert "4 of 5 pictures cannot be used" in text
    assert "(67, 2)" in text and "(9000" not in text and "far outside the picture (256×256)" in text
    assert "plain.npy cannot be read" in text


def test_empty_and_missing_folders(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match="is no folder"):
        read_samples(tmp_path / "none")
    with pytest.raises(GalleryError, match="There are no pictures"):
        read_samples(tmp_path)


def test_a_mirror_image_has_mirrored_landmarks() -> None:
    character = open_character("luna")
    flipped = Sample(character, "animal").mirrored().character
    width = character.rgba.shape[1]
    assert np.array_equal(flipped.rgba[:, 0], character.rgba[:, -1])
    assert np.allclose(flipped.points_xy[:, 0], width - 1 - character.points_xy[MIRROR_70, 0])
    assert np.array_equal(flipped.visible, character.visible[MIRROR_70])


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [Sample(open_character(name), domain) for name, domain in (("mika", "anime"), ("sunny", "emoji"))]


def test_vectors_are_those_at_the_landmarks(sd21: Backbone, samples: list[Sample], tmp_path: Path) -> None:
    out = tmp_path / "g.safetensors"
    stages: list[tuple[str, int, int]] = []
    gallery = build_gallery(samples, sd21, out, settings=QUICK, mirror=False, progress=lambda *s: stages.append(s))
    references = gallery.references
    assert references is not None and gallery.prompt.size == 0
    feature = diffusion_features(sd21, references.squares[:1], None, QUICK)[0]
    expected = sample(feature, references.points_xy[0], QUICK.size)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    ours, _ = gallery.compose(dict.fromkeys(PARTS, "anime"))
    assert np.abs(ours - expected).max() < 1e-4
    assert gallery.domains_of("nose") == ("anime",)  # an emoji has none
    assert {stage for stage, _, _ in stages} == {"looking", "inverting"}
    assert stages[-1][1] == stages[-1][2]
    assert [path.name for path in tmp_path.iterdir()] == ["g.safetensors"]
    assert dict(describe(load_gallery(out)))["nose"].startswith("anime (9")


def test_a_stopped_run_goes_on_where_it_was(
    sd15: Backbone, samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "g.safetensors"
    calls: list[int] = []
    real = gallery_build.diffusion_features

    def stopping(*args, **kwargs):  # type: ignore[no-untyped-def]
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    monkeypatch.setattr(gallery_build, "diffusion_features", stopping)
    with pytest.raises(KeyboardInterrupt):
        build_gallery(samples, sd15, out, settings=QUICK, mirror=False)
    assert not out.exists()
    kept = list((tmp_path / ".g.safetensors.parts").iterdir())
    assert len(kept) == 3  # two looks and one picture's features
    kept[0].write_bytes(b"half a file")
    resumed = build_gallery(samples, sd15, out, settings=QUICK, mirror=False)
    assert len(calls) in (3, 4)  # 4 when the spoilt file was that of the features
    monkeypatch.undo()
    whole = build_gallery(samples, sd15, tmp_path / "h.safetensors", settings=QUICK, mirror=False)
    assert all(np.array_equal(whole.vectors[key], resumed.vectors[key]) for key in whole.vectors)
    assert np.array_equal(whole.prompt, resumed.prompt) and whole.prompt.shape == (24,)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g.safetensors", "h.safetensors"]


def test_the_built_in_gallery_is_made_once(sd21: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages: list[str] = []
    first = built_in(sd21, QUICK, lambda stage, done, total: stages.append(stage), tmp_path)
    assert first.domains == ("anime", "human", "toy", "animal", "emoji")
    assert first.references is not None and len(first.references.domain) == 8  # on a CPU without mirror images
    stages.clear()
    second = built_in(sd21, QUICK, lambda stage, done, total: stages.append(stage), tmp_path)
    assert not stages and np.array_equal(second.vectors["eyes", "toy"], first.vectors["eyes", "toy"])
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:1000])
    made: list[Path] = []
    monkeypatch.setattr(gallery_build, "build_gallery", lambda samples, backbone, path, *rest: made.append(path))
    built_in(sd21, QUICK, folder=tmp_path)
    assert made == [file] and not file.exists()  # a damaged copy is made anew


def test_galleries_have_names(sd21: Backbone, samples: list[Sample], tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(gallery_build, "galleries_folder", lambda: tmp_path)
    build_gallery(samples[:1], sd21, tmp_path / "cats.safetensors", settings=QUICK, mirror=False)
    assert open_gallery("cats", sd21).name == "cats"
    assert open_gallery(str(tmp_path / "cats.safetensors"), sd21).domains == ("anime",)
    with pytest.raises(GalleryError, match="There is no gallery dogs"):
        open_gallery("dogs", sd21)
