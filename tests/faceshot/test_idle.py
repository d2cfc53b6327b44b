import numpy as np
import pytest

from faceshot.idle import IdleLife

DT = 1 / 30


def live(seconds, seed=0, dt_s=DT):
    life = IdleLife(seed)
    return [life.step(dt_s) for _ in range(round(seconds / dt_s))]


def test_equal_seeds_live_equal_lives_and_others_do_not():
    one, same, other = live(20), live(20), live(20, seed=1)
    assert [p.lid for p in one] == [p.lid for p in same]
    np.testing.assert_array_equal([p.rotation for p in one], [p.rotation for p in same])
    assert [p.lid for p in one] != [p.lid for p in other]


def test_blinks_come_about_every_four_seconds_shut_fully_and_reopen():
    lids = np.array([p.lid for p in live(400, dt_s=0.01)])
    shut = np.flatnonzero(np.diff((lids < 0.5).astype(int)) == 1)
    assert 60 <= len(shut) <= 140
    assert np.diff(shut).min() * 0.01 > 0.8
    assert lids.min() < 0.02
    down = np.flatnonzero(np.diff((lids < 1).astype(int)) == 1)[0]
    assert lids[down : down + 40].argmin() * 0.01 == pytest.approx(0.12, abs=0.02)
    assert lids[down + 32] == 1.0, "0.12 s down and 0.18 s up"


def test_breath_has_a_quarter_hertz_and_its_full_range():
    breath = np.array([p.breath for p in live(40)])
    assert breath.min() == pytest.approx(0, abs=0.01)
    assert breath.max() == pytest.approx(1, abs=0.01)
    assert len(np.flatnonzero(np.diff(np.sign(breath - 0.5)) > 0)) == 10


def test_sway_is_small_slow_and_smooth():
    poses = live(120)
    rotation = np.degrees([p.rotation for p in poses])
    assert 1.0 < np.abs(rotation).max() < 4.0
    assert np.abs(np.diff(rotation, axis=0)).max() / DT < 4.0, "degrees a second"
    translation = np.array([p.translation for p in poses])
    assert np.abs(translation).max() < 0.02


def test_a_long_step_is_survived():
    life = IdleLife(3)
    life.step(3600.0)
    assert 0 <= life.step(DT).lid <= 1
    assert np.isfinite(life.step(0.0).rotation).all()
