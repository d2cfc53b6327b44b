"""Square views and the way back, to a fraction of a pixel."""

from __future__ import annotations

import numpy as np
import pytest

from faceshot.framing import FACE_SHARE, frame_face, letterbox


def dotted(width: int, height: int, spots: list[tuple[int, int]]) -> np.ndarray:
    rgb = np.zeros((height, width, 3), np.uint8)
    for x, y in spots:
        rgb[y - 6 : y + 7, x - 6 : x + 7] = 255
    return rgb


def centre_of_light(rgb: np.ndarray, near: np.ndarray, reach: int) -> np.ndarray:
    x0, y0 = np.maximum(np.round(near).astype(int) - reach, 0)
    patch = rgb[y0 : y0 + 2 * reach + 1, x0 : x0 + 2 * reach + 1, 0].astype(float)
    ys, xs = np.mgrid[y0 : y0 + patch.shape[0], x0 : x0 + patch.shape[1]]
    return np.array([(xs * patch).sum(), (ys * patch).sum()]) / patch.sum()


@pytest.mark.parametrize(("width", "height"), [(640, 360), (300, 900), (512, 512), (1600, 1500), (100, 70)])
def test_spots_are_where_the_mapping_says(width: int, height: int) -> None:
    spots = [(20, 20), (width - 20, height - 20)]
    view = letterbox(dotted(width, height, spots), 256)
    assert view.rgb.shape == (256, 256, 3)
    there = view.to_square(np.array(spots, float))
    for spot, expected in zip(spots, there, strict=True):
        reach = max(6, round(9 * view.scale))
        assert np.abs(centre_of_light(view.rgb, expected, reach) - expected).max() < 0.75
        assert np.allclose(view.to_picture(expected[None])[0], spot, atol=1e-3)


def test_a_framed_face_spans_its_share_even_at_the_edge() -> None:
    points = np.array([[5.0, 5.0], [105.0, 85.0]])
    view = frame_face(np.full((200, 200, 3), 90, np.uint8), points, 128)
    spread = np.ptp(view.to_square(points), axis=0).max()
    assert spread == pytest.approx(FACE_SHARE * 128, abs=2)
    assert view.left < 0 and (view.rgb == 90).all()  # beyond the picture its border goes on


def test_the_picture_stays() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    before = rgb.copy()
    letterbox(rgb, 64)
    frame_face(rgb, np.array([[10.0, 10.0], [300.0, 300.0]]), 64)
    assert np.array_equal(rgb, before)
