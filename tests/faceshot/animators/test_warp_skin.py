"""Curves, skin and balls of the warp animator."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.interpolate import PchipInterpolator

from faceshot.animators.warp.curves import monotone_curve
from faceshot.animators.warp.frame import face_frame, safe_points
from faceshot.animators.warp.grid import Grid
from faceshot.animators.warp.head import HeadField, fit_ball
from faceshot.animators.warp.skin import fill_with_skin
from faceshot.types import HeadMotion
from tests.faceshot.animators.drawn import SIDE, character


@pytest.mark.parametrize("count", [2, 3, 5])
def test_monotone_curve_is_pchip(count: int) -> None:
    rng = np.random.default_rng(count)
    knots, values = np.cumsum(rng.uniform(0.2, 2, count)), rng.normal(0, 1, count)
    at = np.linspace(knots[0], knots[-1], 50)
    assert np.allclose(monotone_curve(knots, values, at), PchipInterpolator(knots, values)(at))


def test_a_hole_in_shaded_skin_is_filled_without_a_boundary() -> None:
    ys, xs = np.mgrid[0:120, 0:160]
    skin = np.stack([220 - 0.5 * xs, 170 - 0.4 * ys, 140 + 0 * xs], -1).astype(np.uint8)
    hole = ((xs - 80) / 40) ** 2 + ((ys - 60) / 22) ** 2 < 1
    eye = skin.copy()
    eye[hole] = (20, 30, 200)
    filled = fill_with_skin(eye, hole, np.ones_like(hole))
    assert np.abs(filled - skin).max() < 6
    assert np.abs(filled - skin)[~hole].mean() < 1


def test_a_hole_in_fur_is_filled_with_the_fur_beside_it() -> None:
    """As rough as around it, in the same lie; the same noise on smooth skin's scale, and hard edges, are no fur."""
    rng = np.random.default_rng(5)
    ys, xs = np.mgrid[0:120, 0:160]
    noise = cv2.GaussianBlur(rng.normal(0, 1, (120, 160)), (0, 0), sigmaX=0.8, sigmaY=5.0)  # locks hang down
    noise *= 12 / noise.std()
    coat = np.clip(np.stack([180 + noise, 140 + noise, 90 + noise], -1), 0, 255).astype(np.uint8)
    hole = ((xs - 80) / 30) ** 2 + ((ys - 60) / 18) ** 2 < 1
    eye = coat.copy()
    eye[hole] = (10, 10, 10)
    filled = fill_with_skin(eye, hole, np.ones_like(hole), furry=True)
    inside, outside = filled[52:68, 62:98, 0], coat[20:36, 62:98, 0].astype(float)
    assert 0.6 < inside.std() / outside.std() < 1.3
    across, down = np.abs(np.diff(inside, axis=1)).mean(), np.abs(np.diff(inside, axis=0)).mean()
    assert across > 2 * down
    assert abs(filled[hole].mean() - coat[hole].mean()) < 8
    smooth = fill_with_skin(eye, hole, np.ones_like(hole))
    assert smooth[52:68, 62:98, 0].std() < inside.std()


def test_eyes_lie_flat_on_a_turned_head_and_nothing_else_hinders_it() -> None:
    """The far eye keeps more of its width than on an even ball, and its outer corner goes where it went."""
    who = character("anime")
    frame, grid = face_frame(who), Grid.covering(0, 0, SIDE, SIDE, 6)
    whole = np.ones((grid.rows, grid.columns), np.float32)
    corners = safe_points(who)[[[36, 39], [42, 45]]]
    turn = HeadMotion(np.radians(np.array([0, 22, 0], np.float32)))
    widths, outer = [], []
    for flat in (0.0, 0.7):
        head = HeadField(frame, grid, whole, whole, None, eyes=corners, flat=(flat, 0.85))
        moved = corners + grid.sample(head.forward(turn, 0.0, 0.0), corners.astype(np.float32))
        lengths = np.linalg.norm(moved[:, 1] - moved[:, 0], axis=-1) / np.linalg.norm(
            corners[:, 1] - corners[:, 0], axis=-1
        )
        widths.append(float(lengths.min()))
        outer.append(moved[[0, 1], [0, 1]])
    assert widths[1] > widths[0] + 0.05
    assert np.abs(outer[1] - outer[0]).max() < 0.05 * frame.width


def test_only_a_round_head_is_a_ball_and_its_outline_rests_while_it_turns() -> None:
    who = character("emoji")
    ys, xs = np.mgrid[0:SIDE, 0:SIDE]
    disc = np.where((xs - 160) ** 2 + (ys - 160) ** 2 < 100**2, 255, 0).astype(np.uint8)
    points = safe_points(who)
    angle = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([160 + 97 * np.cos(angle), 160 + 97 * np.sin(angle)], -1)
    frame, grid = face_frame(who), Grid.covering(0, 0, SIDE, SIDE, 8)
    ball = fit_ball(disc, points, who.visible, frame)
    assert ball is not None and np.abs(ball.centre - 160).max() < 1
    assert fit_ball(np.full_like(disc, 255), points, who.visible, frame) is None
    whole = np.ones((grid.rows, grid.columns), np.float32)
    field = HeadField(frame, grid, whole, whole, None, ball=ball)
    turned = field.forward(HeadMotion(np.array([0.15, 0.3, 0], np.float32)), 0.0, 0.0)
    away = np.linalg.norm(grid.nodes() - 160, axis=-1)
    assert np.abs(turned[away >= 100]).max() < 0.2
    assert turned[away < 20, 0].max() < -10
