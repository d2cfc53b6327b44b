"""Pictures to packets and back with a decoder of our own."""

from __future__ import annotations

from typing import Any

import av
import numpy as np
import pytest

from live.webrtc.encoder import RTP_CLOCK_HZ, VIDEO_CODECS, EncodedPicture, VideoCodec, VideoEncoder, side_by_side


def pictures(count: int, size_wh: tuple[int, int] = (128, 96)) -> list[np.ndarray]:
    """A soft gradient with a light square that wanders."""
    y, x = np.mgrid[: size_wh[1], : size_wh[0]]
    made = []
    for i in range(count):
        rgb = np.dstack([60 + x / 2, 90 + y / 2, 140 - x / 3]).astype(np.uint8)
        rgb[40:60, 10 + 4 * i : 30 + 4 * i] = (250, 240, 200)
        made.append(rgb)
    return made


def encode(codec: VideoCodec, rgbs: list[np.ndarray], keys: tuple[int, ...] = (0,)) -> list[EncodedPicture]:
    encoder = VideoEncoder(codec, (rgbs[0].shape[1], rgbs[0].shape[0]), 1_500_000, 30)
    made = [encoder.encode(rgb, i * RTP_CLOCK_HZ // 30, i in keys) for i, rgb in enumerate(rgbs)]
    assert all(each is not None for each in made)
    return [each for each in made if each is not None]


def decode(codec: VideoCodec, packets: list[EncodedPicture]) -> list[np.ndarray]:
    decoder: Any = av.CodecContext.create("h264" if codec == "h264" else "libvpx", "r")
    frames = []
    for each in packets:
        frames += decoder.decode(av.Packet(each.data))
    return [frame.to_ndarray(format="rgb24") for frame in frames]


@pytest.mark.parametrize("codec", VIDEO_CODECS)
def test_every_picture_comes_back_at_once_and_alike(codec: VideoCodec) -> None:
    rgbs = pictures(12)
    back = decode(codec, encode(codec, rgbs))
    assert len(back) == len(rgbs)  # no picture waits for a later one
    for sent, got in zip(rgbs, back, strict=True):
        assert np.abs(sent.astype(int) - got).mean() < 6


@pytest.mark.parametrize("codec", VIDEO_CODECS)
def test_keyframes_come_when_asked_for_and_stand_for_themselves(codec: VideoCodec) -> None:
    rgbs = pictures(9)
    packets = encode(codec, rgbs, keys=(0, 5))
    assert [i for i, each in enumerate(packets) if each.key] == [0, 5]
    back = decode(codec, packets[5:])
    assert np.abs(rgbs[5].astype(int) - back[0]).mean() < 6


def test_time_stamps_grow_even_when_time_does_not() -> None:
    encoder = VideoEncoder("h264", (64, 64), 1_000_000, 30)
    stamps = []
    for pts in (10, 10, 9, 50):
        made = encoder.encode(np.zeros((64, 64, 3), np.uint8), pts, key=False)
        assert made is not None
        stamps.append(made.pts)
    assert stamps == [10, 11, 12, 50]


def test_odd_sizes_lose_a_row_and_a_column() -> None:
    back = decode("vp8", encode("vp8", pictures(2, (127, 95))))
    assert back[0].shape == (94, 126, 3)


def test_colour_and_alpha_side_by_side() -> None:
    colour = np.dstack(pictures(1, (65, 32))[0].transpose(2, 0, 1))
    alpha = np.tile(np.arange(65, dtype=np.uint8), (32, 1))
    both = side_by_side(colour, alpha)
    assert both.shape == (32, 128, 3)
    assert (both[:, :64] == colour[:, :64]).all()
    assert (both[..., 64:, :] == alpha[:, :64, None]).all()
