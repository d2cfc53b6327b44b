"""The two passes, the crossing of prompts, the choice of domains, and what cannot be done."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faceshot import diffusion_matcher as module
from faceshot.backbone import Backbone, FeatureSettings, load_backbone
from faceshot.character import open_character
from faceshot.diffusion_matcher import MatcherSettings, is_at_hand, match_landmarks, parse_domain
from faceshot.errors import FaceshotError, GalleryError, WeightsMissing
from faceshot.gallery import PARTS, Gallery
from faceshot.gallery_build import Sample, build_gallery
from tests.faceshot.conftest import QUICK, SMALL

SAMPLES = [Sample(open_character(name), kind) for name, kind in (("mika", "anime"), ("luna", "animal"))]


@pytest.fixture(scope="module")
def crossing(sd15: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    return build_gallery(SAMPLES, sd15, tmp_path_factory.mktemp("g") / "g.safetensors", settings=QUICK, mirror=False)


@pytest.fixture(scope="module")
def plain(sd21: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    return build_gallery(SAMPLES, sd21, tmp_path_factory.mktemp("g") / "g.safetensors", settings=QUICK, mirror=False)


def test_a_picture_of_any_shape_gets_seventy_points(sd15: Backbone, crossing: Gallery) -> None:
    rgba = open_character("ember").rgba[200:900, 100:1000]
    before = rgba.copy()
    stages: list[tuple[str, int, int]] = []
    found = match_landmarks(rgba, crossing, sd15, progress=lambda *stage: stages.append(stage))
    assert found.matcher == "diffusion" and found.points_xy.shape == (70, 2) and found.visible.all()
    assert 0 <= found.confidence.min() and found.confidence.max() <= 1
    assert np.array_equal(rgba, before)
    assert found.details["backbone"] == "sd15-ip" and found.details["crossed"] is True
    assert set(found.details["domains"]) == set(PARTS)
    assert {"first look", "second look"} == {stage for stage, _, _ in stages}
    again = match_landmarks(rgba, crossing, sd15)
    assert np.array_equal(found.points_xy, again.points_xy)


@pytest.mark.parametrize("name", ["sd15", "sd21"])
def test_a_picture_finds_itself(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """The gallery's only picture, matched against itself: every vector has cosine 1 at its own landmark."""
    backbone: Backbone = request.getfixturevalue(name)
    settings = FeatureSettings(size=SMALL, steps=10)
    gallery = build_gallery(SAMPLES[:1], backbone, tmp_path / "g.safetensors", settings=settings, mirror=False)
    assert gallery.references is not None
    square, points = gallery.references.squares[0], gallery.references.points_xy[0]
    found = match_landmarks(square, gallery, backbone, MatcherSettings(zoom=False, repair="none"))
    error = np.linalg.norm(found.points_xy - points, axis=1)
    assert np.percentile(error, 95) < 0.75  # a pixel is 4 at 512
    assert found.details["mean_cosine"] > 0.999
    assert found.details["domains"] == dict.fromkeys(PARTS, "anime")
    repaired = match_landmarks(square, gallery, backbone, MatcherSettings(zoom=False))
    assert np.percentile(np.linalg.norm(repaired.points_xy - points, axis=1), 95) < 1.5


def test_prompts_are_crossed(sd15: Backbone, crossing: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, np.ndarray]] = []
    real = module.diffusion_features

    def watched(backbone: Backbone, squares: Any, prompts: Any, *rest: Any) -> Any:
        seen.append((len(squares), prompts.copy()))
        return real(backbone, squares, prompts, *rest)

    monkeypatch.setattr(module, "diffusion_features", watched)
    rgb = np.ascontiguousarray(open_character("miso").rgba[..., :3])
    domain = {"": "animal"}
    found = match_landmarks(rgb, crossing, sd15, MatcherSettings(domain=domain, zoom=False))
    (one, first), (both, second) = seen
    assert one == 1 and np.array_equal(first[0], crossing.prompt)  # the first look: everything under one prompt
    assert both == 2 and crossing.references is not None
    theirs = crossing.references.embeds[1]
    assert np.array_equal(second[0], theirs)  # the character is looked at with the reference's appearance
    own = sd15.image_embeds([module.letterbox(rgb, QUICK.size).rgb])[0]
    assert np.allclose(second[1], own, atol=1e-5)  # and the reference with the character's
    monkeypatch.undo()
    straight = match_landmarks(rgb, crossing, sd15, MatcherSettings(domain=domain, zoom=False, crossed=False))
    assert straight.details["crossed"] is False
    assert np.abs(straight.confidence - found.confidence).max() > 1e-4


def test_domains_are_chosen_by_looks_or_by_name(sd21: Backbone, plain: Gallery) -> None:
    assert plain.references is not None
    for i, name in enumerate(plain.domains):
        found = match_landmarks(plain.references.squares[i], plain, sd21, MatcherSettings(zoom=False, repair="none"))
        assert found.details["domains"]["face_boundary"] == name or found.details["likeness"]["face_boundary"] > 0.9
    rgb = plain.references.squares[0]
    forced = match_landmarks(rgb, plain, sd21, MatcherSettings(domain=parse_domain("animal,eyes=anime")))
    assert forced.details["domains"] == {**dict.fromkeys(PARTS, "animal"), "eyes": "anime"}
    assert forced.details["likeness"] == {}
    with pytest.raises(GalleryError, match="has no domain 'cubist'") as caught:
        match_landmarks(rgb, plain, sd21, MatcherSettings(domain={"": "cubist"}))
    assert "anime, animal" in caught.value.hint
    with pytest.raises(GalleryError, match="no part 'beak'"):
        parse_domain("beak=animal")


def test_parts_that_a_domain_lacks_are_invisible(sd21: Backbone, tmp_path: Path) -> None:
    emoji = [Sample(open_character("sunny"), "emoji"), Sample(open_character("bolt"), "toy")]
    gallery = build_gallery(emoji, sd21, tmp_path / "g.safetensors", settings=QUICK, mirror=False)
    with pytest.raises(GalleryError, match="no pictures of the part nose"):
        match_landmarks(open_character("sunny").rgba, gallery, sd21)
    with_nose = build_gallery([*emoji, SAMPLES[0]], sd21, tmp_path / "h.safetensors", settings=QUICK, mirror=False)
    found = match_landmarks(open_character("sunny").rgba, with_nose, sd21, MatcherSettings(domain={"": "emoji"}))
    assert found.details["domains"]["nose"] == "anime"  # where the domain lacks a part, looks decide as ever


@pytest.mark.parametrize("picture", [np.full((300, 200, 3), 77, np.uint8), np.zeros((64, 2000, 4), np.uint8)])
def test_pictures_without_anything_on_them(picture: np.ndarray, sd21: Backbone, plain: Gallery) -> None:
    found = match_landmarks(picture, plain, sd21)
    assert np.isfinite(found.points_xy).all()


def test_a_gallery_of_the_other_backbone(sd15: Backbone, plain: Gallery) -> None:
    with pytest.raises(GalleryError, match="backbone 'sd21-plain' instead of 'sd15-ip'"):
        match_landmarks(np.zeros((64, 64, 3), np.uint8), plain, sd15)


def test_without_torch_there_is_one_clear_message(tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_at_hand("sd15-ip", tiny_models)
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else real(name))
    assert not is_at_hand("sd15-ip", tiny_models)
    with pytest.raises(FaceshotError, match="Diffusion matching needs torch, which is not installed") as caught:
        load_backbone("sd15-ip", tiny_models)
    assert "pip install 'faceshot-live[gpu]'" in caught.value.hint


def test_without_weights_the_message_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACESHOT_MODELS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert not is_at_hand("sd15-ip")
    with pytest.raises(WeightsMissing, match="sd15-ip is not complete") as caught:
        load_backbone("sd15-ip")
    assert caught.value.hint == "Type: faceshot models pull matching"
    with pytest.raises(FaceshotError, match="no backbone 'sd3'"):
        load_backbone("sd3")


def test_a_matcher_by_name(tiny_models: Path, plain: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "open_gallery", lambda spec, backbone, settings, progress: plain)
    matcher = module.diffusion_matcher("sd21-plain", "any", folder=tiny_models, device="cpu")
    found = matcher(np.ascontiguousarray(open_character("luna").rgba[..., :3]), lambda *stage: None)
    assert found.details["gallery"] == "g" and set(found.part_confidence()) >= {"mouth", "nose"}
