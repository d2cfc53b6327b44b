"""Index sets: complete, mirror-symmetric, and in the right places on a real face."""

import json
from pathlib import Path

import numpy as np
import pytest

from faceshot.topology import (
    ARKIT_INDEX,
    ARKIT_MIRROR,
    ARKIT_NAMES,
    BROW_LEFT,
    BROW_RIGHT,
    EYE_LEFT,
    EYE_RIGHT,
    GROUPS,
    JAW,
    LIPS_INNER,
    LIPS_OUTER,
    MEDIAPIPE_TO_70,
    MIRROR_70,
    N_POINTS,
    NOSE,
    PARTS,
    PUPIL_LEFT,
    PUPIL_RIGHT,
    WFLW_TO_70,
)


def test_groups_cover_every_point_once():
    assert sorted(i for group in GROUPS.values() for i in group) == list(range(N_POINTS))


def test_parts_cover_the_68_points():
    assert len(PARTS) == 13
    assert {i for part in PARTS for i in part} == set(range(68))


def test_mirroring_twice_is_nothing_and_swaps_left_and_right():
    assert (MIRROR_70[MIRROR_70] == np.arange(N_POINTS)).all()
    for left, right in ((BROW_LEFT, BROW_RIGHT), (EYE_LEFT, EYE_RIGHT), ((PUPIL_LEFT,), (PUPIL_RIGHT,))):
        assert set(MIRROR_70[list(left)]) == set(right)
    for middle in (JAW, NOSE, LIPS_OUTER, LIPS_INNER):
        assert set(MIRROR_70[list(middle)]) == set(middle)


def test_blendshapes_are_the_52_of_arkit():
    assert len(set(ARKIT_NAMES)) == 52
    assert all(ARKIT_NAMES[i] == name for name, i in ARKIT_INDEX.items())
    assert (ARKIT_MIRROR[ARKIT_MIRROR] == np.arange(52)).all()
    assert ARKIT_MIRROR[ARKIT_INDEX["eyeBlinkLeft"]] == ARKIT_INDEX["eyeBlinkRight"]
    assert ARKIT_MIRROR[ARKIT_INDEX["jawOpen"]] == ARKIT_INDEX["jawOpen"]


def test_mediapipe_indices_are_distinct_and_exist():
    assert MEDIAPIPE_TO_70.shape == (N_POINTS,)
    assert len(set(MEDIAPIPE_TO_70)) == N_POINTS
    assert MEDIAPIPE_TO_70.min() >= 0 and MEDIAPIPE_TO_70.max() < 478


@pytest.mark.parametrize("name", ["s9.jpg", "s7.jpg"])
def test_the_points_lie_where_their_names_say_on_a_real_face(shared_media, name):
    from faceshot.pictures import flatten, read_picture
    from faceshot.tracker import detect_face

    path = shared_media / "characters" / name
    state = detect_face(flatten(read_picture(path, name), (128, 128, 128)))
    points = state.points_xyz[MEDIAPIPE_TO_70, :2]
    x, y = points.T
    width = x[16] - x[0]
    assert width > 0
    assert np.mean(np.diff(x[list(JAW)]) > 0) > 0.8, "the jaw runs from image-left to image-right"
    assert y[8] == y[list(JAW)].max(), "over the chin"
    for brow, eye, pupil in ((BROW_LEFT, EYE_LEFT, PUPIL_LEFT), (BROW_RIGHT, EYE_RIGHT, PUPIL_RIGHT)):
        assert y[list(brow)].mean() < y[list(eye)].mean()
        assert x[list(eye)].min() < x[pupil] < x[list(eye)].max()
        assert (y[[eye[1], eye[2]]] < y[[eye[5], eye[4]]]).all(), "upper lid above lower lid"
    assert x[list(EYE_LEFT)].mean() < x[list(EYE_RIGHT)].mean()
    assert y[33] < y[51] < y[57] < y[8], "nose, upper lip, lower lip, chin"
    assert x[48] < x[60] < x[64] < x[54], "the inner lips lie within the outer ones"
    assert np.abs(y[MIRROR_70] - y).max() < 0.15 * width, "partners are level on an upright head"


def test_wflw_points_by_the_published_map(shared_golden: Path) -> None:
    golden = json.loads((shared_golden / "faceshot" / "landmark_maps.json").read_text())
    for ours, published in zip(WFLW_TO_70[:68], golden["map_98_to_68"], strict=True):
        assert {str(i): list(ours).count(i) / 2 for i in ours} == published
    example = golden["example"]
    mapped = np.array(example["in_98"])[WFLW_TO_70].mean(axis=1)[:68]
    assert np.abs(mapped - next(np.array(v) for k, v in example.items() if k != "in_98")).max() < 1e-4


def test_wflw_map_keeps_parts_and_sides():
    assert WFLW_TO_70.shape == (70, 2) and WFLW_TO_70.max() == 97
    used = np.unique(WFLW_TO_70)
    assert set(range(98)) - set(used.tolist()) == {*range(1, 33, 2), 62, 66, 70, 74}  # contour, middle of the lids
    single = WFLW_TO_70[:, 0] == WFLW_TO_70[:, 1]
    assert single[list(JAW + NOSE + EYE_LEFT + EYE_RIGHT + LIPS_OUTER + LIPS_INNER)].all()
    assert (~single)[list(BROW_LEFT + BROW_RIGHT)].sum() == 8
