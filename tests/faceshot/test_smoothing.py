import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceshot.motion import DELTA, LIDS, N_CHANNELS, ROTATION, SHAPES, TRANSLATION, make_filter, rest
from faceshot.smoothing import OneEuro
from faceshot.topology import ARKIT_INDEX

DT = 1 / 30


def run(channels, signal, strength=1.0, dt_s=DT):
    """(T, k) signal on some channels through the filter of all channels."""
    one_euro = make_filter()
    raw = np.tile(rest(), (len(signal), 1))
    raw[:, channels] = signal
    return np.array([one_euro.step(frame, dt_s, strength) for frame in raw])[:, channels]


def delay_frames(response):
    """When a step from 0 to 1 that is seen in frame 0 is half done."""
    after = int(np.argmax(response >= 0.5))
    before = response[after - 1] if after else 0.0
    return after - (response[after] - 0.5) / (response[after] - before)


@pytest.mark.parametrize(("channels", "noise"), [(ROTATION, np.radians(0.15)), (TRANSLATION, 0.002)])
def test_jitter_of_a_still_head_falls_by_sixty_percent(channels, noise):
    """Noise as measured on calm faces: 0.05 to 0.17 degrees with the face mesh, 0.02 to 0.05 with the landmarker."""
    width = len(range(*channels.indices(N_CHANNELS)))
    signal = np.random.default_rng(0).normal(0, noise, (600, width))
    smooth = run(channels, signal)
    assert smooth[60:].std(axis=0).max() < 0.4 * signal.std()


@pytest.mark.parametrize(("channels", "size"), [(ROTATION, np.radians(12)), (TRANSLATION, 0.15)])
def test_a_sudden_turn_is_late_by_one_and_a_half_frames_at_most(channels, size):
    width = len(range(*channels.indices(N_CHANNELS)))
    signal = np.zeros((60, width))
    signal[30:] = size
    smooth = run(channels, signal)[:, 0] / size
    assert delay_frames(smooth[30:]) <= 1.5
    assert smooth.max() < 1.0 + 1e-9, "no overshoot"


def test_lips_are_quicker_than_brows_and_brows_than_the_head():
    lip, brow = DELTA.start + 3 * 57 + 1, DELTA.start + 3 * 19 + 1
    signal = np.zeros((40, 1))
    signal[20:] = 0.02
    delays = [delay_frames(run([channel], signal)[20:, 0] / 0.02) for channel in (lip, brow, TRANSLATION.start)]
    assert delays[0] < 0.6
    assert delays == sorted(delays)


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_a_blink_keeps_its_depth(strength):
    """120 ms at 30 fps: four frames."""
    lids = np.ones((40, 2))
    lids[20:24] = np.array([0.35, 0.0, 0.0, 0.5])[:, None]
    smooth = run(LIDS, lids, strength)
    assert smooth.min() <= 0.2
    assert smooth[21].max() == 0.0, "down without delay"
    assert smooth[27].min() > 0.8, "and up again"
    blink = SHAPES.start + ARKIT_INDEX["eyeBlinkLeft"]
    assert run([blink], 1 - lids[:, :1], strength).max() >= 0.8


def test_noise_does_not_pull_the_lids_down():
    signal = 1 + np.random.default_rng(0).normal(0, 0.04, (600, 2))
    smooth = run(LIDS, signal)
    assert smooth.mean() > 0.98
    assert smooth.std() < 0.8 * signal.std()


def test_zero_strength_is_raw_and_more_is_smoother():
    signal = np.random.default_rng(1).normal(0, 0.01, (300, 3))
    np.testing.assert_array_equal(run(ROTATION, signal, 0.0), signal)
    spread = [run(ROTATION, signal, strength)[50:].std() for strength in (0.25, 0.5, 1.0, 2.0)]
    assert spread == sorted(spread, reverse=True)


@given(st.lists(st.sampled_from([0.0, 1e-4, 1 / 120, 1 / 30, 0.3, 10.0]), min_size=5, max_size=30))
def test_any_time_step_gives_values_between_old_and_new(steps):
    one_euro = make_filter()
    one_euro.step(np.zeros(N_CHANNELS), DT)
    last = np.zeros(N_CHANNELS)
    for dt_s in steps:
        value = one_euro.step(np.ones(N_CHANNELS), dt_s)
        assert (value >= last - 1e-12).all()
        assert (value <= 1 + 1e-12).all()
        last = value


def test_no_time_no_change():
    one_euro = OneEuro(np.ones(1), np.zeros(1), np.ones(1), np.full(1, np.inf))
    one_euro.step(np.zeros(1), DT)
    first = one_euro.step(np.ones(1), DT)
    np.testing.assert_array_equal(one_euro.step(np.full(1, 9.0), 0.0), first)


def test_frame_rate_hardly_matters():
    def settle(fps):
        return run(TRANSLATION, np.r_[np.zeros((fps, 2)), np.full((fps // 2, 2), 0.05)], dt_s=1 / fps)[-1, 0]

    assert settle(30) == pytest.approx(settle(60), rel=0.05)


def test_reset_to_a_value_goes_on_from_there():
    one_euro = make_filter()
    one_euro.reset(np.full(N_CHANNELS, 0.5))
    value = one_euro.step(np.full(N_CHANNELS, 0.5), DT)
    np.testing.assert_allclose(value, 0.5)
