"""Crop, networks, paste, with an identity in the place of F to G: what the picture looks like must come back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")

import torch.nn.functional as F  # noqa: E402

from faceshot.animators.liveportrait.animator import LivePortraitAnimator  # noqa: E402
from faceshot.animators.liveportrait.engine import Engine  # noqa: E402
from faceshot.animators.liveportrait.faceless import character_in_square  # noqa: E402
from faceshot.animators.liveportrait.settings import Settings  # noqa: E402
from faceshot.animators.liveportrait.tiny import write_tiny  # noqa: E402
from faceshot.character import bundled_names, open_character, resize  # noqa: E402
from faceshot.pictures import read_picture  # noqa: E402
from faceshot.types import Character, Drive  # noqa: E402

HUMAN_LIKE = ("s0", "s6", "s7", "s9", "s10")
OTHERS = ("s22", "s23", "s25", "s30", "s38", "s40")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_tiny(folder)
    return folder


@pytest.fixture(autouse=True)
def identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """F, W and G hand on the small crop, doubled; M and all that is around the networks stay."""

    def draw(self: Engine, small: torch.Tensor, x_d: torch.Tensor, alpha: torch.Tensor | None) -> torch.Tensor:
        picture = F.interpolate(small.permute(0, 3, 1, 2).float(), size=(512, 512), mode="bilinear")
        if alpha is not None:
            picture = torch.cat([picture, 255 * alpha], dim=1)
        return picture.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()

    monkeypatch.setattr(Engine, "prepare", lambda self, crops, x_s: crops)
    monkeypatch.setattr(Engine, "draw", draw)


def check(tiny: Path, character: Character, **settings: object) -> float:
    """Outside the blend nothing changes by more than a grey level, inside only what half the size does to it.

    Returns:
        The share of the picture that is outside.
    """
    animator = LivePortraitAnimator(Settings(**settings), tiny)  # type: ignore[arg-type]
    animator.load(character)
    rgba = animator.render([Drive.neutral(character)])[0].rgba
    assert animator._stage is not None
    (person,) = animator._stage.source.people
    shown = np.zeros(rgba.shape[:2], np.float32)
    shown[person.paster.part] = person.paster.shown
    outside, inside = shown == 0, shown > 0
    assert inside.any()
    seen = character.rgba[..., 3:] > 0
    off = cv2.absdiff(rgba, character.rgba)
    off[..., :3] *= seen  # colours that nobody sees may be any
    assert off[outside].max(initial=0) <= 1
    # Inside, the networks' size costs sharpness, as it would to look at the picture that small.
    sides = np.maximum(np.array(rgba.shape[1::-1]) * min(256 / person.square.side, 1), 1)
    small = cv2.resize(character.rgba, tuple(int(n) for n in np.ceil(sides)), interpolation=cv2.INTER_AREA)
    soft = cv2.resize(small, rgba.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    solid = inside & (character.rgba[..., 3] >= 64)
    lost = cv2.absdiff(soft, character.rgba)
    assert off[solid].mean() < 1.5 * lost[solid].mean() + 2
    return float(outside.mean())


def faded(character: Character) -> Character:
    """With alpha that falls off slowly, so that most of the picture is half transparent."""
    rgba = character.rgba.copy()
    height, width = rgba.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    away = np.hypot((x - width / 2) / width, (y - height / 2) / height)
    rgba[..., 3] = np.clip(380 - 700 * away, 0, 255).astype(np.uint8)
    return replace(character, rgba=rgba)


def cut_tight(character: Character) -> Character:
    """Only the face, so that its square reaches far beyond every edge."""
    face = character.points_xy[:68]
    left, top = np.maximum(np.floor(face.min(axis=0)), 0).astype(int)
    right, bottom = np.ceil(face.max(axis=0)).astype(int) + 1
    part = np.ascontiguousarray(character.rgba[top:bottom, left:right])
    return replace(character, rgba=part, points_xy=character.points_xy - np.float32([left, top]))


@pytest.mark.media
@pytest.mark.parametrize("name", HUMAN_LIKE)
def test_portraits_come_back(shared_media: Path, tiny: Path, name: str) -> None:
    """As they are (upright and landscape), at 96 and at 1800 pixels, half transparent, near and over the edge."""
    character = open_character(str(shared_media / "characters" / f"{name}.jpg"), calibrate=False)
    check(tiny, character)
    check(tiny, resize(character, 96))
    height, width = character.rgba.shape[:2]
    large = cv2.resize(character.rgba, (1800, round(1800 * height / width)))
    check(tiny, replace(character, rgba=large, points_xy=character.points_xy * np.float32(1800 / width)))
    check(tiny, faded(character))
    assert check(tiny, cut_tight(character)) == 0
    assert check(tiny, character, crop=f"-20,-30,{min(width, height) // 2}") > 0.5
    wide = np.concatenate([character.rgba, character.rgba[:, ::-1]], axis=1)
    assert check(tiny, replace(character, rgba=wide)) > 0.4


@pytest.mark.media
@pytest.mark.parametrize("name", OTHERS)
def test_pictures_without_a_face_come_back_in_their_square(shared_media: Path, tiny: Path, name: str) -> None:
    rgba = read_picture(shared_media / "characters" / f"{name}.jpg", name)
    height, width = rgba.shape[:2]
    square = f"{width // 4},{height // 5},{width // 2}"
    assert check(tiny, character_in_square(rgba, name, square), crop=square) > 0.5
    assert check(tiny, character_in_square(rgba, name, "whole"), crop="whole") == 0


@pytest.mark.parametrize("name", bundled_names())
def test_figures_with_alpha_come_back(tiny: Path, name: str) -> None:
    check(tiny, resize(open_character(name), 400))
