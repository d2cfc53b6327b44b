"""Crop, networks, paste, with an identity in the place of F to G: what the picture looks like must come back."""

from __future__ import annotations

from collections.abc import Iterator
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
def identity(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """F, W and G hand on the small crop, doubled; M and all that is around the networks stay."""

    def draw(self: Engine, small: torch.Tensor, x_d: torch.Tensor, alpha: torch.Tensor | None) -> torch.Tensor:
        picture = F.interpolate(small.permute(0, 3, 1, 2).float(), size=(512, 512), mode="bilinear")
        if alpha is not None:
            picture = torch.cat([picture, 255 * alpha], dim=1)
        return picture.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()

    monkeypatch.setattr(Engine, "prepare", lambda self, crops, x_s: crops)
    monkeypatch.setattr(Engine, "draw", draw)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def check(tiny: Path, character: Character, covered: bool = False, **settings: object) -> None:
    """Outside the blend nothing changes by more than a grey level, inside only what half the size does to it.

    Args:
        covered: the crop lies over the whole picture.
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
    assert outside.any() != covered
    seen = character.rgba[..., 3:] > 0
    off = np.abs(rgba.astype(int) - character.rgba)
    off[..., :3] *= seen  # colours that nobody sees may be any
    assert off[outside].max(initial=0) <= 1
    # The picture as half the size leaves it, for comparison.
    zoom = 256 / person.square.side
    small = cv2.resize(character.rgba, None, fx=min(zoom, 1), fy=min(zoom, 1), interpolation=cv2.INTER_AREA)
    soft = cv2.resize(small, rgba.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    worst = np.abs(soft.astype(int) - character.rgba)
    worst[..., :3] *= seen
    assert off[inside].mean() < 1.5 * worst[inside].mean() + 2


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
    """As they are (upright and landscape), a tenth as large, four times, half transparent, near and over the edge."""
    character = open_character(str(shared_media / "characters" / f"{name}.jpg"), calibrate=False)
    check(tiny, character)
    check(tiny, resize(character, 96))
    height, width = character.rgba.shape[:2]
    large = cv2.resize(character.rgba, (4000, round(4000 * height / width)))
    check(tiny, replace(character, rgba=large, points_xy=character.points_xy * np.float32(4000 / width)))
    check(tiny, faded(character))
    check(tiny, cut_tight(character), covered=True)
    check(tiny, character, crop=f"-20,-30,{min(width, height) // 2}")
    wide = np.concatenate([character.rgba, character.rgba[:, ::-1]], axis=1)
    check(tiny, replace(character, rgba=wide))


@pytest.mark.media
@pytest.mark.parametrize("name", OTHERS)
def test_pictures_without_a_face_come_back_in_their_square(shared_media: Path, tiny: Path, name: str) -> None:
    rgba = read_picture(shared_media / "characters" / f"{name}.jpg", name)
    height, width = rgba.shape[:2]
    square = f"{width // 4},{height // 5},{width // 2}"
    check(tiny, character_in_square(rgba, name, square), crop=square)
    whole = character_in_square(rgba, name, "whole")
    check(tiny, whole, covered=True, crop="whole")


@pytest.mark.parametrize("name", bundled_names())
def test_figures_with_alpha_come_back(tiny: Path, name: str) -> None:
    check(tiny, resize(open_character(name), 400))
