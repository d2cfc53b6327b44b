"""MatchedLandmarks: shapes are checked once, confidence is told part by part."""

import numpy as np
import pytest

from faceshot.errors import ShapeError
from faceshot.landmarks import MatchedLandmarks


def matched(**changes):
    fields = {
        "points_xy": np.zeros((70, 2), np.float32),
        "visible": np.ones(70, bool),
        "confidence": np.full(70, 0.5, np.float32),
        "matcher": "file",
    }
    return MatchedLandmarks(**{**fields, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"points_xy": np.zeros((68, 2), np.float32)},
        {"points_xy": np.zeros((70, 2), np.float64)},
        {"points_xy": np.full((70, 2), np.nan, np.float32)},
        {"visible": np.ones(70, np.uint8)},
        {"confidence": np.ones(68, np.float32)},
    ],
)
def test_wrong_arrays_are_refused(changes):
    with pytest.raises(ShapeError, match="MatchedLandmarks"):
        matched(**changes)


def test_confidence_of_a_part_is_the_mean_of_what_is_seen():
    confidence, visible = np.zeros(70, np.float32), np.ones(70, bool)
    confidence[27:36] = np.linspace(0, 1, 9)
    visible[27:30] = False
    visible[17:22] = False
    parts = matched(confidence=confidence, visible=visible).part_confidence()
    assert parts["nose"] == pytest.approx(np.linspace(0, 1, 9)[3:].mean())
    assert parts["image-left brow"] == 0.0
