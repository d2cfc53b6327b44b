"""What characters are drawn in to be measured."""

from __future__ import annotations

import numpy as np

from faceshot.calibration_probes import first_round, second_round
from faceshot.character import open_character


def test_probes_are_always_the_same_and_go_without_jumps() -> None:
    miso = open_character("miso")
    for probes in (first_round, second_round):
        first, again = (probes(miso) for _ in range(2))
        assert all((a.expression_xy == b.expression_xy).all() for a, b in zip(first, again, strict=True))
        turns = np.array([drive.head.rotation for drive in first])
        assert np.degrees(turns.std(axis=0)).min() > 3
        places = np.array([drive.points_xy[27] for drive in first])
        by_chance = np.random.default_rng(0).permutation(places)
        steps, leaps = (np.linalg.norm(np.diff(path, axis=0), axis=1).mean() for path in (places, by_chance))
        assert steps < 0.7 * leaps
