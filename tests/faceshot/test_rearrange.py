"""The published rearrangement, number for number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from faceshot.rearrange import ARCS, fit_circle, fit_ellipse, rearrange


def test_all_published_cases(shared_golden: Path) -> None:
    golden = np.load(shared_golden / "faceshot" / "rearrange.npz")
    cases = sorted({name.partition("/")[0] for name in golden.files if name.endswith("/out_float_yx")})
    assert len(cases) >= 15
    for case in cases:
        ours = rearrange(golden[f"{case}/in_yx"][:, ::-1])
        assert np.abs(ours - golden[f"{case}/out_float_yx"][:, ::-1]).max() < 1e-6, case


def test_fits(shared_golden: Path) -> None:
    golden = np.load(shared_golden / "faceshot" / "arc_fits.npz")
    for case in ("canonical", "tilted", "noisy8"):
        ellipse = fit_ellipse(golden[f"{case}/jaw_xy"])
        circle = fit_circle(golden[f"{case}/lip_xy"])
        assert ellipse is not None and circle is not None
        assert np.abs(np.array(ellipse) - golden[f"{case}/jaw_ellipse_xc_yc_a_b_theta"]).max() < 1e-6
        assert np.abs(np.array(circle) - golden[f"{case}/lip_circle_xc_yc_r"]).max() < 1e-6


def face() -> np.ndarray:
    from faceshot.shape_prior import canonical_template

    return canonical_template() * 300 + 256


@pytest.mark.parametrize("scale", [1.0, 0.0])
def test_parts_on_a_line_or_a_point_do_not_crash(scale: float) -> None:
    """The original stops at collinear points; the line fallback is for them."""
    points = face()
    points[17:22] = (100.0, 100.0) + scale * np.linspace(0, 1, 5)[:, None] * (60.0, 20.0)
    points[0:17] = (50.0, 300.0) + scale * np.linspace(0, 1, 17)[:, None] ** 2 * (400.0, 0.0)
    result = rearrange(points)
    assert np.isfinite(result).all()
    if scale:
        steps = np.diff(result[0:17], axis=0)
        assert np.allclose(steps, steps[0])


def test_ends_of_arcs_stay_and_the_rest_is_even() -> None:
    points = face()
    rng = np.random.default_rng(0)
    noisy = points + rng.normal(0, 4, points.shape)
    result = rearrange(noisy)
    for arc in ARCS[1:3]:  # the brows share no corner with another arc
        assert np.array_equal(result[[arc[0], arc[-1]]], noisy[[arc[0], arc[-1]]])
        x, y, _ = fit_circle(noisy[list(arc)]) or (0.0, 0.0, 0.0)
        angles = np.unwrap(np.arctan2(*(result[list(arc)] - (x, y)).T[::-1]))
        assert np.allclose(np.diff(angles), np.diff(angles)[0], atol=1e-9)
    assert np.array_equal(result[68:], noisy[68:])
