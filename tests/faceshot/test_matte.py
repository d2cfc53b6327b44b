"""Figures cut out of plain and busy backgrounds, and what a matte may not touch."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from faceshot.character import open_character
from faceshot.errors import PictureError
from faceshot.matte import Matte, apply_matte, cut_background, has_alpha, make_matte
from tests.faceshot.faces import drawn_face


@pytest.fixture(scope="module")
def bruno():
    """The bear on blue, at half size, and the alpha it really has."""
    cut = open_character("bruno")
    import cv2

    alpha = cv2.resize(cut.rgba[..., 3], (512, 512), interpolation=cv2.INTER_AREA).astype(float) / 255
    return replace(cut, rgba=drawn_face(cut), points_xy=cut.points_xy / 2), alpha


def test_a_figure_on_a_plain_ground_is_cut_cleanly(bruno):
    character, alpha = bruno
    matte = make_matte(character)
    assert matte.backend == "grabcut" and matte.trusted
    cut = cut_background(character, matte)
    mine = cut.rgba[..., 3].astype(float) / 255
    assert np.abs(mine - alpha).mean() < 0.02
    assert cut.provenance["matte"] == {"backend": "grabcut", "threshold": 0.5}
    # No blue rim: where the figure is half there, its colour is the bear's.
    rim = (mine > 0.2) & (mine < 0.8)
    assert rim.sum() > 200
    blue_over_red = cut.rgba[..., 2][rim].astype(float) - cut.rgba[..., 0][rim]
    before = character.rgba[..., 2][rim].astype(float) - character.rgba[..., 0][rim]
    assert blue_over_red.mean() < before.mean() - 20
    inside = (mine == 1) & (alpha == 1)
    assert (cut.rgba[inside] == character.rgba[inside]).mean() > 0.99


def test_the_threshold_moves_the_contour(bruno):
    character, _ = bruno
    matte = make_matte(character)
    areas = [apply_matte(character.rgba, matte, t)[..., 3].astype(float).mean() for t in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert areas == sorted(areas, reverse=True) and areas[0] > areas[-1] + 1


def test_real_alpha_is_the_matte_and_stays_exact():
    character = open_character("miso")
    matte = make_matte(character)
    assert matte.backend == "alpha" and has_alpha(character.rgba)
    assert apply_matte(character.rgba, matte) is character.rgba


def test_a_busy_background_is_not_trusted(bruno):
    character, alpha = bruno
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    rgba = character.rgba.copy()
    rgba[alpha == 0, :3] = noise[alpha == 0]
    assert not make_matte(replace(character, rgba=rgba)).trusted


def test_nothing_to_tell_apart_is_said():
    character = open_character("miso")
    grey = np.full((512, 512, 4), 128, np.uint8)
    grey[..., 3] = 255
    plain = replace(character, rgba=grey, points_xy=character.points_xy / 2)
    try:
        matte = make_matte(plain, "grabcut")
    except PictureError as error:
        assert "--keep-background" in error.hint
    else:
        assert not matte.trusted


def test_an_alpha_that_is_not_there(bruno):
    with pytest.raises(PictureError, match="no transparent pixels") as caught:
        make_matte(bruno[0], "alpha")
    assert "grabcut" in caught.value.hint


def test_rembg_when_it_is_missing(bruno, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(PictureError, match="rembg is not installed"):
        make_matte(bruno[0], "rembg")


def test_rembg_when_it_is_there(bruno, monkeypatch):
    """Its documented call: an array in, with `only_mask` a one-channel mask out."""
    character, alpha = bruno
    module = ModuleType("rembg")

    def remove(picture, only_mask=False):
        assert only_mask and picture.shape == (512, 512, 3)
        return (alpha * 255).astype(np.uint8)

    module.remove = remove
    monkeypatch.setitem(sys.modules, "rembg", module)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: module)
    matte = make_matte(character)
    assert matte.backend == "rembg"
    np.testing.assert_allclose(matte.figure, alpha, atol=1 / 254)


def test_an_unknown_matte(bruno):
    with pytest.raises(PictureError, match="no matte 'magic'"):
        make_matte(bruno[0], "magic")


def test_a_threshold_on_alpha_cuts_tighter():
    character = open_character("miso")
    tight = apply_matte(character.rgba, make_matte(character), 0.9)
    assert tight[..., 3].astype(float).mean() < character.rgba[..., 3].mean()
    soft = Matte(np.full((4, 4), 0.5, np.float32), "grabcut", True)
    assert (apply_matte(np.full((4, 4, 4), 255, np.uint8), soft, 0.5)[..., 3] == 128).all()
