import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from faceshot.motion import (
    DELTA,
    GAZE,
    LIDS,
    N_CHANNELS,
    ROTATION,
    SCALE,
    SHAPES,
    TRANSLATION,
    Gains,
    delta_of,
    limited,
    mirrored,
    rest,
    smoothed_whole,
    with_gains,
)
from faceshot.topology import ARKIT_INDEX

motions = st.integers(0, 10_000).map(lambda seed: rest() + np.random.default_rng(seed).normal(0, 0.05, N_CHANNELS))


@given(motions)
def test_two_mirrors_are_none(motion):
    np.testing.assert_array_equal(mirrored(mirrored(motion)), motion)


def test_the_mirror_swaps_sides_and_directions():
    motion = rest()
    motion[ROTATION] = 0.1, 0.2, 0.3
    motion[TRANSLATION] = 0.05, 0.06
    motion[LIDS] = 0.0, 1.0
    motion[GAZE] = 0.1, 0.02, 0.11, 0.03
    delta_of(motion)[48] = -0.1, 0.2, 0.3
    motion[SHAPES.start + ARKIT_INDEX["mouthSmileRight"]] = 0.7
    out = mirrored(motion)
    np.testing.assert_allclose(out[ROTATION], (0.1, -0.2, -0.3))
    np.testing.assert_allclose(out[TRANSLATION], (-0.05, 0.06))
    np.testing.assert_allclose(out[LIDS], (1.0, 0.0))
    np.testing.assert_allclose(out[GAZE], (-0.11, 0.03, -0.1, 0.02))
    np.testing.assert_allclose(delta_of(out)[54], (0.1, 0.2, 0.3))
    assert out[SHAPES.start + ARKIT_INDEX["mouthSmileLeft"]] == 0.7


@given(motions)
def test_gain_one_changes_nothing_in_range_and_gain_zero_is_rest(motion):
    motion[LIDS] = np.clip(motion[LIDS], 0, 1.6)
    motion[SHAPES] = np.clip(motion[SHAPES], 0, 1)
    np.testing.assert_allclose(with_gains(motion, Gains()), motion, atol=1e-12)
    np.testing.assert_array_equal(with_gains(motion, Gains(0, 0, 0, 0)), rest())


def test_each_gain_has_its_own_group():
    motion = rest() + 0.01
    for k, (channels, points) in enumerate(
        [((ROTATION, TRANSLATION, SCALE), ()), ((LIDS, GAZE), ()), ((), range(17, 27)), ((), range(48, 68))]
    ):
        gains = [0.0, 0.0, 0.0, 0.0]
        gains[k] = 2.0
        changed = np.flatnonzero(with_gains(motion, Gains(*gains)) != rest())
        wanted = {i for c in channels for i in range(c.start, c.stop)}
        wanted |= {DELTA.start + 3 * p + axis for p in points for axis in range(3)}
        assert wanted <= set(changed.tolist())
        others = {i for c in (ROTATION, LIDS, GAZE) if c not in channels for i in range(c.start, c.stop)}
        assert not others & set(changed.tolist())


@given(motions, st.floats(0, 1000))
def test_limits_are_soft_bounded_and_keep_small_motion(motion, size):
    small = rest() + 0.02 * (motion - rest())
    np.testing.assert_allclose(limited(small), small, atol=1e-4)
    huge = rest() + size * (motion - rest())
    out = limited(huge)
    assert np.degrees(np.abs(out[ROTATION])).max() <= 38
    assert np.abs(out[TRANSLATION]).max() <= 0.35
    assert 0.74 <= np.exp(out[SCALE][0]) <= 1.36
    assert np.abs(out[DELTA]).max() <= 0.6


def test_a_whole_stretch_is_smoothed_alike_forwards_and_backwards():
    random = np.random.default_rng(0)
    motions = rest() + random.normal(0, 0.002, (90, N_CHANNELS))
    motions[:, LIDS] = 1.0
    motions[40:44, LIDS] = 0.0
    motions[:, ROTATION] += 0.1 * np.sin(np.arange(90) / 6)[:, None]
    dts_s = np.full(90, 1 / 30)
    out = smoothed_whole(motions, dts_s, 1.0)
    np.testing.assert_allclose(smoothed_whole(motions[::-1], dts_s, 1.0), out[::-1], atol=1e-12)
    np.testing.assert_array_equal(out[40:44, LIDS], 0.0)
    assert out[[38, 39, 44, 45]][:, LIDS].min() > 0.9
    np.testing.assert_array_equal(smoothed_whole(motions, dts_s, 0.0), motions)
    np.testing.assert_array_equal(smoothed_whole(motions[:1], dts_s[:1], 1.0), motions[:1])


@given(motions, st.floats(-1.0, 1.0))
def test_a_turned_character_is_limited_on_its_far_side_only(motion, yaw):
    frontal, turned = limited(motion), limited(motion, yaw)
    same = np.arange(N_CHANNELS) != 1
    np.testing.assert_array_equal(turned[same], frontal[same])
    if motion[1] * yaw <= 0:
        assert turned[1] == frontal[1]
    assert abs(turned[1]) <= abs(frontal[1]) + 1e-12
