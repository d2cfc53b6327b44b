"""Eq. 4 without the big map: equal to it, sub-pixel, and honest about what is uncertain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faceshot.errors import ShapeError
from faceshot.matching import cosine_map, grid_norms, match_vectors, mean_vectors, sample
from faceshot.shape_prior import canonical_template

SIZE = 512


def test_the_published_matches(shared_golden: Path) -> None:
    golden = np.load(shared_golden / "faceshot" / "matching_small.npz")
    found = match_vectors(golden["in/feature"][0], golden["in/gallery"], 64, refine=False)
    clear = golden["out/margin"] > 1e-6  # the others are ties of repeated border values
    assert clear.sum() == 54
    assert np.array_equal(found.points_xy[clear], golden["out/points_xy"][clear])
    assert np.abs(found.cosine - golden["out/best_cosine"]).max() < 1e-6


def test_norms_and_cosines_are_those_of_the_big_map() -> None:
    torch = pytest.importorskip("torch")
    feature = np.random.default_rng(0).normal(size=(12, 6, 9)).astype(np.float32)
    vector = np.random.default_rng(1).normal(size=12).astype(np.float32)
    big = torch.nn.functional.interpolate(torch.from_numpy(feature)[None], size=(48, 48), mode="bilinear")[0].numpy()
    assert np.abs(grid_norms(feature, 48) - np.linalg.norm(big, axis=0)).max() < 1e-5
    expected = np.tensordot(vector / np.linalg.norm(vector), big, 1) / np.linalg.norm(big, axis=0)
    assert np.abs(cosine_map(feature, vector, 48) - expected).max() < 1e-5
    points = np.array([[0, 0], [47, 47], [13, 30]], np.float32)
    assert np.abs(sample(feature, points, 48) - big[:, [0, 47, 30], [0, 47, 13]].T).max() < 1e-5


def waves(seed: int, wavelength_px: float, channels: int = 64) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(channels, 2)) * 2 * np.pi / (1.5 * wavelength_px), rng.uniform(0, 2 * np.pi, channels)


def feature_of(back: np.ndarray, seed: int, wavelength_px: float) -> np.ndarray:
    """A 32 × 32 map of ideal features: smooth functions of the place on the undistorted picture."""
    frequencies, phases = waves(seed, wavelength_px)
    middles = (np.arange(32) + 0.5) * SIZE / 32 - 0.5
    x, y = np.meshgrid(middles, middles)
    place = np.stack([x.ravel(), y.ravel()], axis=1) @ back[:, :2].T + back[:, 2]
    return np.cos(place @ frequencies.T + phases).T.reshape(-1, 32, 32).astype(np.float32)


@pytest.mark.parametrize("seed", range(6))
def test_the_own_affine_warp_within_three_pixels(seed: int) -> None:
    """Rotation ±15°, scale 0.8 to 1.25, shift ±20: 95 % of the points within 3 px, though cells are 16 px wide."""
    rng = np.random.default_rng(seed)
    angle, scale = np.radians(rng.uniform(-15, 15)), rng.uniform(0.8, 1.25)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = 256 - linear @ (256, 256) + rng.uniform(-20, 20, 2)
    points = (canonical_template() * 230 + 256).astype(np.float32)
    there = points @ linear.T + shift
    inverse = np.linalg.inv(linear)
    reference = feature_of(np.eye(2, 3), seed, 80.0)
    warped = feature_of(np.column_stack([inverse, -inverse @ shift]), seed, 80.0)
    found = match_vectors(warped, sample(reference, points, SIZE), SIZE)
    error = np.linalg.norm(found.points_xy - there, axis=1)
    assert (error < 3).mean() >= 0.95
    assert np.median(error) < 1.0
    whole = match_vectors(warped, sample(reference, points, SIZE), SIZE, refine=False)
    assert np.median(np.linalg.norm(whole.points_xy - there, axis=1)) >= 0.9 * np.median(error)
    assert found.confidence.mean() > 0.5 and found.mutual.mean() > 0.9


def test_the_mean_of_references_leaves_out_what_they_lack() -> None:
    vectors = np.random.default_rng(0).normal(size=(3, 5, 8)).astype(np.float32)
    visible = np.ones((3, 5), bool)
    visible[1, 2] = False
    visible[:, 4] = False
    mean, known = mean_vectors(vectors, visible)
    unit = vectors / np.linalg.norm(vectors, axis=2, keepdims=True)
    assert np.allclose(mean[0], unit[:, 0].mean(axis=0), atol=1e-6)
    assert np.allclose(mean[2], unit[[0, 2], 2].mean(axis=0), atol=1e-6)
    assert known.tolist() == [True, True, True, True, False] and not mean[4].any()


def test_confidence_tells_a_clear_match_from_an_ambiguous_and_a_missing_one() -> None:
    points = np.array([[128, 128], [384, 384], [128, 384]], np.float32)
    feature = feature_of(np.eye(2, 3), 0, 80.0)
    vectors = sample(feature, points, SIZE)
    clear = match_vectors(feature, vectors, SIZE).confidence
    doubled = feature.copy()
    doubled[:, :, 16:] = feature[:, :, :16]  # whatever is on the left is on the right, too
    twice = match_vectors(doubled, vectors[:1], SIZE).confidence
    stranger = np.random.default_rng(5).normal(size=(1, 64)).astype(np.float32)
    nowhere = match_vectors(feature, stranger, SIZE).confidence
    assert clear.min() > 0.5
    assert twice[0] < 0.6 * clear[0]
    assert nowhere[0] < 0.5 * clear.min()


def test_features_of_another_backbone_are_refused() -> None:
    with pytest.raises(ShapeError, match="different backbones"):
        match_vectors(np.zeros((8, 4, 4), np.float32), np.zeros((3, 9), np.float32), 64)


def test_a_map_of_nothing_gives_finite_points_without_confidence() -> None:
    found = match_vectors(np.zeros((8, 4, 4), np.float32), np.ones((3, 8), np.float32), 64)
    assert np.isfinite(found.points_xy).all() and found.confidence.max() == 0
