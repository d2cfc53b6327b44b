"""The prior mends what cannot be a face and leaves the rest alone."""

from __future__ import annotations

import numpy as np
import pytest

from faceshot.character import bundled_names, open_character
from faceshot.rearrange import rearrange
from faceshot.shape_prior import canonical_template, repair, robust_affine
from faceshot.topology import EYE_LEFT, EYE_RIGHT, MIRROR_70

CAST = bundled_names()


def truth(name: str) -> tuple[np.ndarray, float]:
    points = open_character(name).points_xy.astype(np.float64)
    return points, float(np.linalg.norm(points[45] - points[36]))


@pytest.mark.parametrize("name", CAST)
def test_good_landmarks_of_any_character_stay(name: str) -> None:
    points, eyes = truth(name)
    result = repair(points, np.full(70, 0.8), canonical_template())
    assert np.linalg.norm(result.points_xy - points, axis=1).mean() < 0.02 * eyes
    assert result.confidence.min() > 0 and result.swapped == ()


@pytest.mark.parametrize("name", CAST)
@pytest.mark.parametrize("lost", [0.2, 0.35])
def test_lost_points_come_back(name: str, lost: float) -> None:
    """Against a human template, on characters that are none."""
    points, eyes = truth(name)
    rng = np.random.default_rng(3)
    matched = points + rng.normal(0, 0.03 * eyes, points.shape)
    astray = rng.random(70) < lost
    matched[astray] = rng.uniform(0, 1024, (int(astray.sum()), 2))
    confidence = np.where(astray, rng.uniform(0.05, 0.5, 70), rng.uniform(0.2, 0.9, 70))
    result = repair(matched, confidence, canonical_template())
    before = np.linalg.norm(matched - points, axis=1).mean() / eyes
    after = np.linalg.norm(result.points_xy - points, axis=1).mean() / eyes
    assert before > 0.15 and after < 0.12
    far = astray & (np.linalg.norm(matched - points, axis=1) > 0.5 * eyes)
    assert result.confidence[far].mean() < 0.5 * result.confidence[~astray].mean()
    published = np.linalg.norm(rearrange(matched) - points, axis=1).mean() / eyes
    assert after < 0.5 * published


def test_eyes_that_changed_sides_change_back() -> None:
    points, eyes = truth("ada")
    crossed = points.copy()
    index = [*EYE_LEFT, *EYE_RIGHT, 68, 69]
    crossed[index] = points[MIRROR_70[index]]
    result = repair(crossed, np.full(70, 0.7), canonical_template())
    assert result.swapped == ("eyes",)
    assert np.linalg.norm(result.points_xy - points, axis=1)[index].mean() < 0.05 * eyes


def test_what_was_not_matched_is_taken_from_the_template() -> None:
    points, eyes = truth("ada")
    matched = points.copy()
    matched[27:36] = 0.0
    known = np.ones(70, bool)
    known[27:36] = False
    result = repair(matched, np.full(70, 0.8), canonical_template(), known)
    assert np.linalg.norm(result.points_xy - points, axis=1)[27:36].mean() < 0.2 * eyes
    assert result.confidence[27:36].max() < 0.3


def test_points_out_of_turn_are_put_in_order() -> None:
    points, _ = truth("ada")
    shuffled = points.copy()
    shuffled[[18, 20]] = points[[20, 18]]
    result = repair(shuffled, np.full(70, 0.8), canonical_template())
    assert (np.diff(shuffled[17:22, 0]) < 0).any()
    assert (np.diff(result.points_xy[17:22, 0]) > 0).all()


def test_the_other_kinds() -> None:
    points, _ = truth("ada")
    untouched = repair(points, np.full(70, 0.3), canonical_template(), kind="none")
    assert np.allclose(untouched.points_xy, points, atol=1e-3) and not untouched.moved.any()
    published = repair(points, np.full(70, 0.3), canonical_template(), kind="published")
    assert np.allclose(published.points_xy, rearrange(points), atol=1e-3)


def test_a_robust_fit_finds_the_majority() -> None:
    rng = np.random.default_rng(0)
    source = rng.uniform(-1, 1, (40, 2))
    cos, sin = np.cos(0.4), np.sin(0.4)
    target = 30 * source @ np.array([[cos, sin], [-sin, cos]]) + (100, 50)
    target[:14] = rng.uniform(0, 200, (14, 2))
    found = robust_affine(source, target, np.ones(40), rigid=True, sigma=2.0)
    expected = np.array([[30 * cos, -30 * sin, 100], [30 * sin, 30 * cos, 50]])
    assert np.abs(found - expected).max() < 0.2


def test_nothing_matched_at_all_still_gives_a_face() -> None:
    result = repair(np.full((70, 2), 5.0), np.zeros(70), canonical_template())
    assert np.isfinite(result.points_xy).all()
