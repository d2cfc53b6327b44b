"""Pose pictures as MOFA-Video and AniPortrait draw them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faceshot.pose_drawings import STYLES, draw_pose
from faceshot.shape_prior import canonical_template

FACE = canonical_template() * 200 + 256
FACE[[65, 66, 67]] += (0, 14)  # an open mouth, whose lips do not hide one another
FACE[[55, 56, 57, 58, 59]] += (0, 16)


@pytest.mark.parametrize("case", ["real_a", "real_b", "real_c"])
def test_mofa_pixel_by_pixel(shared_golden: Path, case: str) -> None:
    golden = np.load(shared_golden / "mofa" / "pose_raster.npz")
    drawn = draw_pose(golden[f"{case}/landmarks_512"], (512, 512), "mofa", out_wh=(320, 320))
    assert np.array_equal(drawn, golden[f"{case}/all/raster_320_u8"])
    if f"{case}/all/pose_image_512" in golden.files:
        full = draw_pose(golden[f"{case}/landmarks_512"], (512, 512)).transpose(2, 0, 1) / 255
        assert np.abs(full - golden[f"{case}/all/pose_image_512"]).max() < 1 / 255


def test_points_outside_are_cut_off(shared_golden: Path) -> None:
    golden = np.load(shared_golden / "mofa" / "pose_raster.npz")
    drawn = draw_pose(golden["outside/landmarks_512"], (512, 512), "mofa", out_wh=(320, 320))
    assert (drawn != golden["outside/all/raster_320_u8"]).sum() <= 60  # OpenCV versions differ at the border
    assert draw_pose(FACE * 1e7, (512, 512)).shape == (512, 512, 3)


@pytest.mark.parametrize("style", ["mofa", "aniportrait"])
def test_every_colour_is_there_and_nothing_else(style: str) -> None:
    lines, side = STYLES[style]
    drawn = draw_pose(FACE, (512, 512), style, out_wh=(side, side))  # type: ignore[arg-type]
    colours = {tuple(int(v) for v in pixel) for pixel in np.unique(drawn.reshape(-1, 3), axis=0)}
    assert colours <= {(0, 0, 0), *(colour for _, colour in lines)}
    assert len(colours) >= len(lines)


def test_aniportrait_has_no_nose_and_the_meshs_sides() -> None:
    drawn = draw_pose(FACE, (512, 512), "aniportrait")
    assert not (drawn == (10, 200, 250)).all(axis=2).any()
    left = np.argwhere((drawn == (10, 200, 180)).all(axis=2))[:, 1].mean()
    right = np.argwhere((drawn == (180, 200, 10)).all(axis=2))[:, 1].mean()
    assert left < 256 < right


def test_invisible_parts_are_left_out() -> None:
    visible = np.ones(70, bool)
    visible[17:27] = False
    drawn = draw_pose(FACE, (512, 512), "mofa", visible)
    assert not (drawn == (10, 220, 180)).all(axis=2).any()
    assert (drawn == (10, 200, 180)).all(axis=2).any()
