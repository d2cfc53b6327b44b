"""Fitting pictures onto a sink's canvas."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceshot.types import UInt8
from live.errors import ConfigError
from live.sinks.canvas import Canvas, parse_background


def disc(size: int = 64, hidden: tuple[int, int, int] = (0, 0, 0)) -> UInt8:
    """A white disc with a soft edge; `hidden` is the colour where alpha is 0."""
    y, x = np.mgrid[:size, :size] + 0.5 - size / 2
    alpha = np.clip((0.4 * size - np.hypot(x, y)) * 64 + 128, 0, 255).astype(np.uint8)
    rgba = np.full((size, size, 4), 255, np.uint8)
    rgba[alpha == 0, :3] = hidden
    rgba[..., 3] = alpha
    return rgba


def over(rgba: UInt8, behind: tuple[int, int, int]) -> np.ndarray:
    alpha = rgba[..., 3:] / 255.0
    return rgba[..., :3] * alpha + np.array(behind) * (1 - alpha)


@pytest.mark.parametrize(
    ("spec", "colour"), [("transparent", (0, 0, 0)), ("#00ff00", (0, 255, 0)), ("#10a", (17, 0, 170))]
)
def test_alpha_goes_over_the_background(spec: str, colour: tuple[int, int, int]) -> None:
    rgb = Canvas((64, 64), parse_background(spec)).rgb(disc())
    assert np.abs(rgb - over(disc(), colour)).max() <= 2


def test_a_square_stands_in_the_middle_of_a_wide_canvas() -> None:
    opaque = np.full((512, 512, 4), 255, np.uint8)
    rgb = Canvas((1280, 720), parse_background("#204060")).rgb(opaque)
    assert rgb.shape == (720, 1280, 3)
    assert (rgb[:, 280:1000] == 255).all()
    assert (rgb[:, :280] == (32, 64, 96)).all()
    assert (rgb[:, 1000:] == (32, 64, 96)).all()


def test_a_tall_picture_touches_top_and_bottom() -> None:
    rgb = Canvas((100, 100)).rgb(np.full((400, 200, 4), 255, np.uint8))
    assert (rgb[:, 25:75] == 255).all()
    assert not rgb[:, :25].any()


@pytest.mark.parametrize("side", [48, 200])
def test_scaling_lets_no_hidden_colour_bleed_in(side: int) -> None:
    picture = disc(hidden=(255, 0, 0))
    rgb = Canvas((side, side), parse_background("white")).rgb(picture)
    assert rgb.min() >= 252
    rgba = Canvas((side, side)).rgba(picture)
    seen = rgba[..., 3] > 8
    assert rgba[seen][:, 1].min() >= 200


def test_alpha_is_kept_when_the_sink_has_it() -> None:
    picture = disc()
    assert np.array_equal(Canvas((64, 64)).rgba(picture), picture)
    wide = Canvas((128, 64)).rgba(picture)
    assert np.array_equal(wide[:, :32], np.zeros((64, 32, 4), np.uint8))
    assert np.abs(wide[:, 32:96, 3].astype(int) - picture[..., 3]).max() <= 1
    assert (Canvas((64, 64), (1, 2, 3)).rgba(picture)[..., 3] == 255).all()


def test_a_picture_as_background_covers_the_canvas(tmp_path: Path) -> None:
    path = tmp_path / "room.png"
    left_right = np.zeros((100, 400, 3), np.uint8)
    left_right[:, 200:] = 200
    Image.fromarray(left_right).save(path)
    rgb = Canvas((64, 64), parse_background(str(path))).rgb(np.zeros((64, 64, 4), np.uint8))
    assert not rgb[:, :30].any()
    assert (rgb[:, 34:] == 200).all()


def test_the_canvas_is_not_changed_by_use() -> None:
    canvas = Canvas((128, 64), (10, 20, 30))
    first = canvas.rgb(disc()).copy()
    canvas.rgb(np.full((64, 64, 4), 255, np.uint8))
    assert np.array_equal(canvas.rgb(disc()), first)


@pytest.mark.parametrize("spec", ["#12", "no-such-colour", "nowhere/room.png"])
def test_what_is_neither_colour_nor_picture_is_refused(spec: str) -> None:
    with pytest.raises(ConfigError, match=r"output\.background") as refused:
        parse_background(spec)
    assert refused.value.hint


def test_a_background_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "room.png"
    path.write_text("not a picture")
    with pytest.raises(ConfigError, match=r"output\.background: room\.png"):
        parse_background(str(path))
