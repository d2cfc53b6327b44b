"""Pictures to bytes: the alpha channel survives exactly, colours nearly, and each way is chosen when it fits."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from faceshot.types import UInt8
from live.server.encode import AlphaCodec, alpha_png, encode_frame
from protocols.viewer import Codec, Frame


def a_picture(side: int = 256) -> UInt8:
    """A round, softly lit head with an edge some pixels wide; black where it is transparent, as animators leave it."""
    y, x = np.mgrid[:side, :side] / side - 0.5
    distance = np.hypot(x, y)
    alpha = np.clip((0.4 - distance) * side / 3 + 0.5, 0, 1)
    colour = np.stack([230 - 120 * distance, 180 + 60 * x, 90 + 100 * y], axis=-1)
    rgba = np.dstack([colour, alpha * 255]).round().astype(np.uint8)
    rgba[rgba[..., 3] == 0] = 0
    return rgba


def decoded(codec: Codec, frame: Frame) -> UInt8:
    """What a browser shows: the picture's colours with its own alpha or the mask's."""
    rgba = np.array(Image.open(io.BytesIO(frame.picture)).convert("RGBA"))
    if codec is Codec.JPEG_MASK:
        rgba[..., 3] = np.array(Image.open(io.BytesIO(frame.mask)).convert("RGBA"))[..., 3]
    return rgba


def over(rgba: UInt8, background: tuple[int, int, int]) -> np.ndarray:
    alpha = rgba[..., 3:] / 255
    return rgba[..., :3] * alpha + np.array(background) * (1 - alpha)


@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (256, 256), (511, 300)])
def test_the_mask_carries_alpha_exactly(shape: tuple[int, int]) -> None:
    alpha = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    image = Image.open(io.BytesIO(alpha_png(alpha)))
    image.verify()  # checksums
    back = np.array(Image.open(io.BytesIO(alpha_png(alpha))).convert("RGBA"))
    assert np.array_equal(back[..., 3], alpha)
    assert not back[..., :3].any()


@pytest.mark.parametrize(
    ("alpha_codec", "codec", "worst"), [("mask", Codec.JPEG_MASK, 0.02), ("webp", Codec.WEBP, 0.07)]
)
def test_over_any_background_the_picture_is_hardly_changed(alpha_codec: AlphaCodec, codec: Codec, worst: float) -> None:
    rgba = a_picture()
    got_codec, frame = encode_frame(rgba, alpha_codec)
    assert got_codec is codec
    shown = decoded(codec, frame)
    for background in ((0, 255, 0), (255, 255, 255), (255, 0, 255)):
        error = np.abs(over(shown, background) - over(rgba, background)) / 255
        assert error[rgba[..., 3] == 0].max() == 0, "transparent pixels show the background and nothing else"
        assert error.mean() < 0.005
        assert error.max() < worst


def test_an_opaque_picture_is_a_plain_jpeg() -> None:
    rgba = a_picture()
    rgba[..., 3] = 255
    codec, frame = encode_frame(rgba, "mask")
    assert codec is Codec.JPEG
    assert frame.mask == b""
    assert np.abs(decoded(codec, frame)[..., :3].astype(int) - rgba[..., :3]).mean() < 2


def test_one_pixel_of_transparency_is_enough_to_keep_alpha() -> None:
    rgba = a_picture()
    rgba[..., 3] = 255
    rgba[5, 7, 3] = 254
    codec, frame = encode_frame(rgba, "mask")
    assert codec is Codec.JPEG_MASK
    assert decoded(codec, frame)[5, 7, 3] == 254


def test_a_blank_picture_is_small() -> None:
    _, frame = encode_frame(np.zeros((512, 512, 4), np.uint8), "mask")
    assert len(frame.picture) + len(frame.mask) < 8000
