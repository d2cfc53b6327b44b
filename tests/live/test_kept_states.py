"""Crops that lie on disk come back as they were, and memory does not grow with them."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from faceshot.types import FaceState
from live.errors import LiveError
from live.kept_states import KeptStates

NOBODY = FaceState.lost((640, 480))


def state(seed: int) -> FaceState:
    crop = np.random.default_rng(seed).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    return replace(NOBODY, crop=crop, crop_square=(float(seed), 2.0, 3.0))


def test_crops_come_back_exactly_and_in_any_order(tmp_path: Path) -> None:
    kept = KeptStates(tmp_path)
    states = [state(0), state(1), NOBODY, state(3)]
    for one in states:
        kept.append(one)
    assert len(kept) == 4 and kept[2].crop is None
    for i in (3, 0, 1, -1):
        assert np.array_equal(kept[i].crop, states[i].crop) and kept[i].crop_square == states[i].crop_square
    assert [one.crop is None for one in kept] == [False, False, True, False]
    assert len(kept[1:3]) == 2 and all(one.crop is None for one in kept.without_crops)
    kept.close()
    assert list(tmp_path.iterdir()) == []


def test_a_hundred_frames_take_no_more_memory_than_a_few(tmp_path: Path) -> None:
    """A crop is 0.2 MB, so a hundred of them would be 20."""
    kept = KeptStates(tmp_path)
    kept.append(state(0))
    tracemalloc.start()
    for i in range(100):
        kept.append(state(i))
    for one in kept:
        assert one.crop is not None
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    kept.close()
    assert held < 1e6


def test_a_folder_that_takes_nothing_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(LiveError, match="cannot be kept") as caught:
        KeptStates(tmp_path / "none").append(state(0))
    assert "Make room" in caught.value.hint
