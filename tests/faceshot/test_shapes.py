"""The examples are well-formed, and what is said to be likely is likely."""

from __future__ import annotations

import numpy as np
import pytest

from faceshot.character import bundled_names
from faceshot.shapes import KINDS, covariance, shapes
from faceshot.topology import MIRROR_70


def test_every_kind_has_an_example_and_every_bundled_character_is_one():
    assert {shape.kind for shape in shapes().values()} == set(KINDS)
    assert set(bundled_names()) <= set(shapes())


@pytest.mark.parametrize("name", sorted(shapes()))
def test_an_example_is_in_its_own_frame(name):
    shape = shapes()[name]
    assert shape.points.shape == (70, 2) and shape.visible.shape == (70,)
    left, right = shape.points[36:42].mean(axis=0), shape.points[42:48].mean(axis=0)
    np.testing.assert_allclose(left, [-0.5, 0], atol=0.01)
    np.testing.assert_allclose(right, [0.5, 0], atol=0.01)
    assert (shape.points[27:36, 1].mean() < shape.points[48:60, 1].mean() < shape.points[8, 1] + 0.05).all()


def test_a_covariance_is_one():
    full = covariance("miso")
    np.testing.assert_allclose(full, full.T, atol=1e-12)
    assert np.linalg.eigvalsh(full).min() > -1e-9


def test_neighbours_move_together():
    full = covariance("ada")
    spread = np.sqrt(np.diag(full))
    like = full / np.outer(spread, spread)
    assert like[2 * 48 + 1, 2 * 49 + 1] > like[2 * 48 + 1, 2 * 36 + 1]  # a mouth corner, its neighbour, an eye


def test_left_and_right_are_as_free_as_each_other():
    """An upright, symmetric example allows on one side what it allows, flipped, on the other."""
    spread = np.sqrt(np.diag(covariance("miso"))).reshape(70, 2)
    np.testing.assert_allclose(spread[MIRROR_70], spread, rtol=0.02)
