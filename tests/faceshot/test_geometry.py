import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceshot.geometry import (
    as_complex,
    as_xy,
    matrix_from_rotation_vector,
    part_frames,
    procrustes,
    rotation_vector_from_matrix,
)

angles = st.tuples(*[st.floats(-1.7, 1.7)] * 3).map(np.array)


@given(angles)
def test_rotation_vectors_and_matrices_are_inverse(vector):
    rotation = matrix_from_rotation_vector(vector)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(rotation_vector_from_matrix(rotation), vector, atol=1e-6)


def test_signs_are_those_of_head_motion():
    nose = np.array([0.0, 0.0, -1.0])
    assert (matrix_from_rotation_vector(np.array([0.1, 0, 0])) @ nose)[1] > 0, "+x looks down"
    assert (matrix_from_rotation_vector(np.array([0, 0.1, 0])) @ nose)[0] < 0, "+y turns the nose to the image's left"
    right = matrix_from_rotation_vector(np.array([0, 0, 0.1])) @ np.array([1.0, 0, 0])
    assert right[1] > 0, "+z rolls clockwise as seen"


@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.6, 0.8, 0), (-0.6, 0, 0.8)])
def test_half_a_turn_comes_back(axis):
    rotation = matrix_from_rotation_vector(np.pi * np.array(axis, float))
    back = matrix_from_rotation_vector(rotation_vector_from_matrix(rotation))
    np.testing.assert_allclose(back, rotation, atol=1e-6)


@given(angles, st.floats(0.05, 20), st.tuples(*[st.floats(-500, 500)] * 3), st.integers(0, 999))
def test_procrustes_finds_the_similarity(vector, scale, shift, seed):
    random = np.random.default_rng(seed)
    source = random.normal(0, 1, (12, 3))
    rotation = matrix_from_rotation_vector(vector)
    target = scale * source @ rotation.T + shift
    fit = procrustes(source, target, random.uniform(0.1, 1, 12))
    np.testing.assert_allclose(fit.rotation, rotation, atol=1e-8)
    assert fit.scale == pytest.approx(scale)
    np.testing.assert_allclose(fit.apply(source), target, atol=1e-6)
    np.testing.assert_allclose(fit.undo(target), source, atol=1e-6)


@given(st.floats(-1.5, 1.5), st.floats(0.5, 2))
def test_flat_points_turn_about_z_only(angle, scale):
    source = np.random.default_rng(4).normal(0, 1, (9, 3)) * (1, 1, 0)
    rotation = matrix_from_rotation_vector(np.array([0, 0, angle]))
    fit = procrustes(source, scale * source @ rotation.T)
    np.testing.assert_allclose(fit.rotation, rotation, atol=1e-8)


def test_weights_decide():
    source = np.random.default_rng(5).normal(0, 1, (10, 3))
    target = source + np.array([3.0, 0, 0])
    target[0] += 50
    weights = np.ones(10)
    weights[0] = 0
    np.testing.assert_allclose(procrustes(source, target, weights).translation, (3, 0, 0), atol=1e-9)


@pytest.mark.parametrize(
    "target", [np.zeros((5, 3)), np.full((5, 3), np.nan), np.full((5, 3), np.inf), np.full((5, 3), 7.0)]
)
def test_procrustes_never_fails(target):
    for source in (np.zeros((5, 3)), np.random.default_rng(0).normal(0, 1, (5, 3))):
        fit = procrustes(source, target)
        assert np.isfinite(fit.rotation).all()
        assert fit.scale > 0
        assert np.isfinite(fit.translation).all()


def test_complex_points_are_the_same_points():
    points = np.random.default_rng(0).normal(0, 1, (3, 70, 2))
    assert as_complex(points)[1, 5] == complex(*points[1, 5])
    np.testing.assert_array_equal(as_xy(as_complex(points)), points)
    np.testing.assert_array_equal(
        as_xy(as_complex(points.astype(np.float32)[:, ::2])), points.astype(np.float32)[:, ::2]
    )


def test_part_frames_are_the_published_ones(shared_golden):
    units = np.load(shared_golden / "faceshot" / "retarget_units.npz")
    for key in units.files:
        if not key.endswith("origin_xy_theta"):
            continue
        origins, part_angles = part_frames(units["faces/" + key.split("/")[1]])
        golden = units[key]
        # Angles are equal up to whole turns.
        np.testing.assert_allclose(np.exp(1j * part_angles), np.exp(1j * golden[:, 2]), atol=1e-9)
        nose_base = 3
        np.testing.assert_allclose(np.delete(origins, nose_base, 0), np.delete(golden[:, :2], nose_base, 0), atol=1e-6)
