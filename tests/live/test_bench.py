"""The measurements measure: counted against the show's own counters, and against series whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from live.bench import environment, measure, report, run, selftest
from live.config import load_config
from live.errors import SourceError
from tests.bench.fidelity import MIN_RANGE, SIGNALS, compare, signals_of

DEMO = load_config(sets=("source.spec=demo", "animator.max_side_px=128", "output.sinks=null", "server.enabled=false"))


def test_a_run_counts_its_own_seconds_only() -> None:
    parts: list[float] = []
    result = run(DEMO, seconds=1.0, realtime=True, progress=parts.append, warmup_s=0.3)
    assert result["frames_out"] <= result["seconds"] * 40
    assert result["fps_out"] == pytest.approx(result["frames_out"] / result["seconds"], rel=0.02)
    assert result["latency_ms"]["p50"] <= result["latency_ms"]["p95"] <= result["latency_ms"]["p99"]
    assert set(result["stages"]) >= {"retarget", "render"}
    assert result["rss_max_mb"] >= result["rss_mb"] > 20
    assert result["first_frame_s"] > 0 and result["warmup_s"] == 0.3
    assert parts == sorted(parts) and parts[-1] >= 1.0


def test_as_fast_as_possible_drops_nothing() -> None:
    result = run(DEMO, seconds=1.0, realtime=False, warmup_s=0.3)
    assert result["frames_out"] > 0
    assert sum(n for why, n in result["dropped"].items() if "newer" in why or "stale" in why) == 0


@pytest.mark.slow
def test_the_report_has_every_number_of_both_runs() -> None:
    result = measure(DEMO, seconds=1.0)
    assert result["schema"] == "faceshot-bench/1"
    assert result["config"]["output"]["sinks"] == ["null"]
    text = report(result)
    for run_name in ("fast", "realtime"):
        assert f"{result['runs'][run_name]['fps_out']:.1f} fps" in text
    assert "p95" in text and result["hardware"]["cpu"] in text


def test_the_environment_names_machine_and_versions() -> None:
    facts = environment()
    assert facts["hardware"]["cores"] >= 1 and facts["hardware"]["cpu"]
    assert facts["versions"]["numpy"] == np.__version__
    assert facts["commit"] is None or len(facts["commit"]) == 40


def test_the_self_test_of_doctor_is_a_real_show() -> None:
    stats = selftest(DEMO, seconds=0.5)
    assert stats["frames_out"] > 0


def test_a_source_that_does_not_exist_is_an_error_not_a_number() -> None:
    config = load_config(sets=("source.spec=nosuch.mp4", "server.enabled=false"))
    with pytest.raises(SourceError, match=r"nosuch\.mp4"):
        run(config, seconds=1.0, realtime=True)


# tests/bench/fidelity.py


def series(n: int = 200) -> dict[str, np.ndarray]:
    """Seven independent smooth signals of ample range; the same every time."""
    rng = np.random.default_rng(7)
    noise = rng.standard_normal((len(SIGNALS), n + 20))
    smooth = np.array([np.convolve(row, np.hanning(9), "same") for row in noise])[:, 10:-10]
    return {name: smooth[k] * 10 * MIN_RANGE[name] for k, name in enumerate(SIGNALS)}


def test_a_perfect_copy_scores_one() -> None:
    driver = series()
    for name, judged in compare(driver, driver).items():
        assert judged.r == pytest.approx(1.0), name
        assert judged.gain == pytest.approx(1.0) and judged.lag_frames == 0


def test_gain_delay_and_sign_are_seen() -> None:
    driver = series()
    late = {name: np.concatenate([np.full(3, values[0]), values[:-3]]) * 0.5 for name, values in driver.items()}
    for name, judged in compare(driver, late).items():
        assert judged.lag_frames == 3, name
        assert judged.gain == pytest.approx(0.5, rel=0.05)
        assert judged.r < 0.9
    opposite = {name: -values for name, values in driver.items()}
    assert all(judged.r == pytest.approx(-1.0) for judged in compare(driver, opposite).values())


def test_a_frozen_result_scores_nothing() -> None:
    driver = series()
    frozen = {name: np.full_like(values, 0.3) for name, values in driver.items()}
    assert all(judged.r == 0.0 and judged.gain == 0.0 for judged in compare(driver, frozen).values())


def test_a_signal_that_the_driver_hardly_moves_is_not_judged() -> None:
    driver = series()
    driver["yaw"] = driver["yaw"] / 1000
    assert "yaw" not in compare(driver, driver)
    assert "pitch" in compare(driver, driver)


def test_frames_without_a_face_are_left_out() -> None:
    driver = series()
    result = {name: values.copy() for name, values in driver.items()}
    for values in result.values():
        values[20:60] = np.nan
    assert all(judged.r == pytest.approx(1.0) for judged in compare(driver, result).values())


def test_signals_come_from_blendshapes_and_head() -> None:
    from faceshot import topology
    from faceshot.types import FaceState

    shapes = np.zeros(52, np.float32)
    shapes[topology.ARKIT_NAMES.index("eyeBlinkLeft")] = 0.8
    shapes[topology.ARKIT_NAMES.index("jawOpen")] = 0.5
    angle = np.radians(10)
    head = np.eye(4, dtype=np.float32)
    head[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    state = FaceState((640, 480), 1.0, np.zeros((478, 3), np.float32), blendshapes=shapes, head=head)
    signals = signals_of([state, FaceState.lost((640, 480))])
    assert signals["eyeBlink"][0] == pytest.approx(0.4)
    assert signals["jawOpen"][0] == pytest.approx(0.5)
    assert signals["roll"][0] == pytest.approx(10, abs=1e-3)
    assert signals["yaw"][0] == pytest.approx(0, abs=1e-3)
    assert all(np.isnan(values[1]) for values in signals.values())
