"""Operator, inversion and lip line of the warp animator."""

from __future__ import annotations

import numpy as np
import pytest

from faceshot.animators.warp.frame import face_frame, safe_points
from faceshot.animators.warp.grid import Grid, invert
from faceshot.animators.warp.lips import LipLine, lip_line
from faceshot.animators.warp.sheets import Operator, build_operator, face_grid
from tests.faceshot.animators.drawn import character, jaw, smile

WHO = character()
POINTS, FRAME = safe_points(WHO), face_frame(WHO)


@pytest.fixture(scope="module")
def lips() -> LipLine:
    found = lip_line(POINTS, WHO.visible, FRAME)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def operator(lips: LipLine) -> Operator:
    return build_operator(POINTS, WHO.visible, FRAME, face_grid(FRAME, lips.width), lips)


def test_upsampling_a_grid_hits_its_nodes() -> None:
    grid = Grid.covering(-7, 3, 50, 41, 5)
    assert (grid.x0, grid.y0) == (-10, 0)
    pixels = grid.upsample(grid.nodes())
    xs = np.arange(grid.x0, grid.x0 + grid.size_wh[0])
    inner = slice(3, -3)
    assert np.abs(pixels[10, inner, 0] - xs[inner]).max() < 1e-3
    assert np.allclose(grid.sample(grid.nodes(), grid.nodes()), grid.nodes(), atol=1e-3)


def test_fields_are_linear_in_the_landmarks(operator: Operator) -> None:
    a, b = jaw(10), smile(7)
    whole = operator.upper_field(0.3 * a - 2 * b)
    parts = 0.3 * operator.upper_field(a) - 2 * operator.upper_field(b)
    assert np.abs(whole - parts).max() < 1e-4


def test_fields_follow_the_landmarks(operator: Operator) -> None:
    delta = smile(8) + jaw(10)
    upper = operator.upper_field(delta)
    lower = operator.lower_field(delta, operator.upper_field(delta))
    for index in (48, 54, 50, 51, 52, 49, 53):
        got = operator.grid.sample(upper, WHO.points_xy[index].reshape(1, 1, 2))[0, 0]
        assert np.abs(got - delta[index]).max() < 1.0, index
    for index in (8, 56, 57, 58):
        got = operator.grid.sample(lower, WHO.points_xy[index].reshape(1, 1, 2))[0, 0]
        assert np.abs(got - delta[index]).max() < 1.0, index


def test_brows_do_not_pull_the_eyes(operator: Operator) -> None:
    delta = np.zeros((70, 2), np.float32)
    delta[17:27, 1] = -10
    field = operator.upper_field(delta)
    eye = operator.grid.sample(field, WHO.points_xy[36:48].reshape(1, -1, 2))
    assert np.abs(eye).max() < 3.0


def test_fields_die_out_at_the_border(operator: Operator) -> None:
    field = operator.upper_field(jaw(30))
    border = np.concatenate([field[0], field[-1], field[:, 0], field[:, -1]])
    assert np.abs(border).max() < 1e-5


def test_the_sheets_part_at_the_lips_and_nowhere_else(operator: Operator, lips: LipLine) -> None:
    delta = jaw(20)
    upper, lower = operator.upper_field(delta), operator.lower_field(delta, operator.upper_field(delta))
    apart = np.abs(upper - lower).max(-1)
    nodes = operator.grid.nodes().reshape(-1, 2).astype(float)
    columns = lips.within(nodes).reshape(apart.shape)
    assert apart[~columns].max() < 1e-5
    middle = lips.middle.reshape(1, 1, 2).astype(np.float32)
    gap = operator.grid.sample(lower, middle) - operator.grid.sample(upper, middle)
    assert gap[0, 0, 1] > 0.85 * 20


def test_newton_inverts_expressions(operator: Operator, lips: LipLine) -> None:
    rng = np.random.default_rng(0)
    nodes = operator.grid.nodes()
    inside = np.abs(FRAME.local(nodes.astype(float)))
    face = (inside[..., 0] < 0.5 * FRAME.width) & (inside[..., 1] < 0.6 * FRAME.height)
    for k in range(20):
        delta = jaw(float(rng.uniform(0, 32))) + smile(float(rng.uniform(-6, 10)))
        delta[17:27, 1] += rng.uniform(-8, 8)
        forward = operator.upper_field(delta)
        back = invert(operator.grid, forward)
        there = nodes + back
        # Below the lips this sheet is never shown.
        rest = there.reshape(-1, 2).astype(float)
        hidden = lips.within(rest) & (lips.below(rest) > 0) & (lips.below(rest) < 0.7 * lips.width)
        seen = face & ~hidden.reshape(face.shape)
        error = np.linalg.norm(there + operator.grid.sample(forward, there) - nodes, axis=-1)[seen]
        assert error.mean() < 0.05, k
        assert np.percentile(error, 99) < 0.5, k


def test_inverting_over_a_part_agrees_with_the_whole(operator: Operator) -> None:
    forward = operator.lower_field(jaw(18), operator.upper_field(jaw(18)))
    grid = operator.grid
    whole = invert(grid, forward)
    part = Grid(grid.x0 + 10 * grid.pitch, grid.y0 + 12 * grid.pitch, 9, 8, grid.pitch)
    assert np.abs(invert(grid, forward, over=part) - whole[12:20, 10:19]).max() < 0.05


def test_lip_line_of_a_closed_and_of_an_open_mouth(lips: LipLine) -> None:
    assert not lips.is_open
    assert np.abs(lips.upper - lips.lower).max() == 0
    points = POINTS.copy()
    points[61:64, 1] -= 5
    points[65:68, 1] += 6
    parted = lip_line(points, WHO.visible, FRAME)
    assert parted is not None and parted.is_open
    assert (parted.lower - parted.upper).max() == pytest.approx(11, abs=1.5)


def test_no_lip_line_without_a_mouth() -> None:
    visible = WHO.visible.copy()
    visible[60] = False
    assert lip_line(POINTS, visible, FRAME) is None
    points = POINTS.copy()
    points[48:68] = points[48]
    assert lip_line(points, WHO.visible, FRAME) is None
