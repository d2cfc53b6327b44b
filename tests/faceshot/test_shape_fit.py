"""Faces from a few known places: what is definite about them holds, and what nobody can know does not matter."""

from __future__ import annotations

import numpy as np
import pytest

from faceshot.assisted import CLICKS
from faceshot.shape_fit import OnOutline, Seen, solve, weights_of
from faceshot.shapes import shapes
from tests.faceshot.faces import near_eyes

SIDES = (list(range(9)), list(range(16, 7, -1)))


def placed(name: str, turn_deg: float = 0.0, unit: float = 90.0) -> np.ndarray:
    points = shapes()[name].points
    turn = np.radians(turn_deg)
    c, s = np.cos(turn), np.sin(turn)
    return unit * points @ np.array([[c, s], [-s, c]]) + [300, 260]


def seen(points: np.ndarray, *names: str) -> list[Seen | OnOutline]:
    rows = [weights_of(CLICKS[name]) for name in names]
    return [Seen(row, row @ points, 0.006) for row in rows]


@pytest.fixture(scope="module")
def others():
    return [shape for shape in shapes().values() if shape.name != "s7"]


def test_the_outline_is_evenly_spaced_and_ends_at_the_chin(others):
    points = placed("s7")
    face = solve(seen(points, "left-eye", "right-eye", "nose", "mouth", "chin", "left-temple"), others, "human")
    for side in SIDES:
        gaps = np.linalg.norm(np.diff(face.points[side], axis=0), axis=1)
        assert np.ptp(gaps) < 0.02 * gaps.mean()
    assert np.linalg.norm(face.points[8] - points[8]) < 1


@pytest.mark.parametrize("turn_deg", [0, 35])
def test_any_place_on_an_edge_says_the_same(others, turn_deg):
    points = placed("s7", turn_deg)
    known = seen(points, "left-eye", "right-eye", "nose", "mouth", "chin")
    faces = []
    for at in (1.0, 2.0, 2.5, 3.5):
        first = int(at)
        for side in SIDES:
            xy = points[side[first]] * (first + 1 - at) + points[side[first + 1]] * (at - first)
            known.append(OnOutline("left" if side[0] == 0 else "right", xy, 0.006))
        faces.append(solve(known, others, "human").points)
        del known[-2:]
    for face in faces:
        assert near_eyes(face, points)[:17].mean() < 0.06
        assert near_eyes(face, faces[0]).mean() < 0.05


def test_an_edge_pulls_its_own_side(others):
    points = placed("s7")
    known = seen(points, "left-eye", "right-eye", "nose", "mouth", "chin")
    narrow, wide = (solve([*known, OnOutline("left", points[3] + [dx, 0], 0.006)], others, "human") for dx in (9, -9))
    assert narrow.points[3, 0] - wide.points[3, 0] > 12 > abs(narrow.points[13, 0] - wide.points[13, 0])


def test_what_is_known_less_is_doubted_more(others):
    points = placed("s7")
    few = solve(seen(points, "left-eye", "right-eye", "nose", "mouth"), others, "human")
    more = solve(seen(points, "left-eye", "right-eye", "nose", "mouth", "chin"), others, "human")
    assert more.deviation[8] < 0.1 * few.deviation[8] and (more.deviation <= few.deviation + 0.03).all()
