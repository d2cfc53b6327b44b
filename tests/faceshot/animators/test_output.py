"""Pictures that no animator draws."""

import numpy as np

from faceshot.animators.output import mirrored, still
from tests.fakes import a_character


def test_mirrored_flips_left_and_right_only():
    who = a_character()
    who.rgba[:] = np.random.default_rng(0).integers(0, 256, who.rgba.shape, np.uint8)
    picture = still(who)
    flipped = mirrored(picture)
    assert np.array_equal(flipped.rgba, np.fliplr(who.rgba))
    assert flipped.rgba.flags["C_CONTIGUOUS"]
    assert np.array_equal(mirrored(flipped).rgba, picture.rgba)


def test_still_is_the_character_itself():
    who = a_character()
    assert np.array_equal(still(who).rgba, who.rgba)
