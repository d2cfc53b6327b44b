"""LivePortrait's motion rules against the published program, case by case."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")

from faceshot.animators.liveportrait.blocks import Mlp  # noqa: E402
from faceshot.animators.liveportrait.keypoints import (  # noqa: E402
    Motion,
    angles_degrees,
    degrees_from_logits,
    hull_multiplier,
    keypoints,
    rotation,
)
from faceshot.animators.liveportrait.live_motion import one_euro  # noqa: E402
from faceshot.animators.liveportrait.official import (  # noqa: E402
    NEUTRAL_LIPS,
    Heads,
    OfficialMotion,
    Options,
    official_video,
    rts_smoothed,
    stitched,
)
from faceshot.animators.liveportrait.ratios import Ratios, ratios_of_203  # noqa: E402
from faceshot.animators.liveportrait.sliders import SLIDERS, expression_of, slider_deltas  # noqa: E402
from faceshot.topology import ARKIT_INDEX  # noqa: E402
from faceshot.types import Drive  # noqa: E402
from tests.faceshot.animators.liveportrait_golden import Golden, state_dict  # noqa: E402
from tests.fakes import a_character  # noqa: E402

SHARED = Path(__file__).resolve().parents[4] / "shared" / "golden" / "liveportrait" / "index.json"
CASES: dict[str, Any] = json.loads(SHARED.read_text())["pipeline_xd"]["cases"] if SHARED.is_file() else {}
FLAGS = {
    "flag_relative_motion": "relative",
    "animation_region": "region",
    "flag_stitching": "stitching",
    "flag_normalize_lip": "normalize_lip",
    "flag_eye_retargeting": "eye_retargeting",
    "flag_lip_retargeting": "lip_retargeting",
    "flag_source_video_eye_retargeting": "source_eye_retargeting",
    "driving_multiplier": "multiplier",
    "animal": "animals",
}


def recipe_heads(gain: float) -> Heads:
    nets = [Mlp(126, [128, 128, 64], 65), Mlp(65, [128, 128, 64], 63), Mlp(66, [256, 256, 128, 128, 64], 63)]
    for net in nets:
        net.load_state_dict(state_dict([(k, tuple(v.shape)) for k, v in net.state_dict().items()], gain))
    return Heads(*(net.eval() for net in nets))


def options_of(case: dict[str, Any]) -> Options:
    known = {FLAGS[name]: value for name, value in case.items() if name in FLAGS}
    return Options(**known, expression_friendly=case.get("driving_option") == "expression-friendly")


def test_there_are_35_cases(shared_golden: Path) -> None:
    assert len(CASES) == len(Golden(shared_golden, "pipeline_xd").meta["cases"]) == 35


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_the_points_are_those_of_the_published_program(shared_golden: Path, name: str) -> None:
    golden = Golden(shared_golden, "pipeline_xd")
    case = CASES[name]
    heads, options = recipe_heads(golden.meta["gain_mlp"]), options_of(case)
    drv = golden.group("drv")
    count = case["n"]
    driver = Motion(drv["R"][:count], drv["exp"][:count], drv["t"][:count], drv["scale"][:count], drv["exp"][:count])
    driver_ratios = [Ratios(eyes.numpy(), float(lip)) for eyes, lip in zip(drv["c_eyes"], drv["c_lip"], strict=True)]
    src = golden.group("src")
    source = Motion.of({key: value for key, value in src.items() if key != "lmk203"})
    ratios = [ratios_of_203(points.numpy()) for points in src["lmk203"]]
    if case["source"].endswith(".mp4"):
        x_s, x_d = official_video(source, ratios, driver, driver_ratios, heads, options)
    else:
        mover = OfficialMotion(source.frame(0), ratios[0], heads, options, single=count == 1)
        x_d = torch.cat([mover.step(driver.frame(i), driver_ratios[i]) for i in range(count)])
        x_s = mover.x_s.expand_as(x_d)
    want = golden.group(f"case/{name}")
    assert x_d.shape == want["x_d"].shape
    assert (x_s - want["x_s"]).abs().max() < 5e-6
    assert (x_d - want["x_d"]).abs().max() < 5e-6


def test_the_cases_differ_from_each_other(shared_golden: Path) -> None:
    """A rule that ignored its options would pass only if all cases were alike."""
    golden = Golden(shared_golden, "pipeline_xd")
    same = [
        (a, b)
        for i, a in enumerate(CASES)
        for b in list(CASES)[i + 1 :]
        if golden[f"case/{a}/x_d"].shape == golden[f"case/{b}/x_d"].shape
        and torch.allclose(golden[f"case/{a}/x_d"], golden[f"case/{b}/x_d"], atol=1e-6)
    ]
    assert set(same) == {
        # Relative motion starts at the source itself: its faces have one size and the friendly rule changes nothing.
        ("img_rel_all", "img_rel_all_exprfriendly"),
        ("img_rel_exp", "img_rel_exp_exprfriendly"),
        ("img_abs_all", "img_abs_all_normlip"),  # lips are normalised in relative motion only
    }


def test_pose_points_and_ratios_are_the_published_ones(shared_golden: Path) -> None:
    golden = Golden(shared_golden, "postproc")
    degrees = degrees_from_logits(golden["logits"])
    assert (degrees - golden["out_deg"]).abs().max() < 2e-5
    angles = golden["angles_pyr_deg"][..., 0]
    turned = rotation(*angles)
    assert (turned - golden["angles_R"]).abs().max() < 5e-6
    assert (angles_degrees(turned) - angles.T).abs().max() < 1e-3
    kp, exp = (golden[name].reshape(-1, 21, 3) for name in ("kp", "exp"))
    made = keypoints(kp, golden["R"], exp, golden["scale"], golden["t"])
    assert (made - golden["x_s"]).abs().max() < 5e-6
    for i, points in enumerate(golden["lmk203"]):
        ratios = ratios_of_203(points.numpy())
        assert np.allclose(ratios.eyes, golden["eye_ratio"][i], atol=5e-6)
        assert ratios.lips == pytest.approx(float(golden["lip_ratio"][i, 0]), abs=5e-6)


def test_the_stitching_network_is_told_source_then_driving_points(shared_golden: Path) -> None:
    golden = Golden(shared_golden, "postproc")
    told: list[torch.Tensor] = []
    heads = recipe_heads(0.5)
    heads.stitching.register_forward_pre_hook(lambda net, given: told.append(given[0]))
    stitched(heads, golden["mm_a"], golden["mm_b"])
    assert torch.equal(told[0], golden["concat"])


def test_hull_multiplier_and_smoother_are_the_published_ones(shared_golden: Path) -> None:
    golden = Golden(shared_golden, "postproc")
    ratio = hull_multiplier(golden["mm_a"][0].numpy(), golden["mm_b"][0].numpy())
    assert ratio == pytest.approx(float(golden["motion_multiplier"]), abs=1e-6)
    flat = np.zeros((21, 3))
    assert hull_multiplier(flat, flat) == 1.0
    for variance, name in ((3e-7, "smooth_3e_7"), (1e-5, "smooth_1e_5")):
        smooth = rts_smoothed(golden["seq"], variance)[:, 0]
        assert (smooth - golden[name]).abs().max() < 1e-6
        assert (smooth - golden["seq"][:, 0]).abs().max() > 1e-4


def test_the_live_filter_is_the_one_euro_filter_of_the_published_live_port(shared_golden: Path) -> None:
    """With its constants; ours are gentler on the head and quicker on lids and lips."""
    golden = Golden(shared_golden, "flp")
    raw, want = golden["x"].double(), golden["y"].double()
    value, speed = raw[0], torch.zeros_like(raw[0])
    dt, rest, rise = (torch.tensor(number, dtype=torch.float64) for number in (1 / 30, 4.0, 0.3))
    assert torch.equal(want[0], raw[0])
    for last, now, smooth in zip(raw[:-1], raw[1:], want[1:], strict=True):
        value, speed = one_euro(now, value, last, speed, dt, rest, rise, speed_hz=1.0)
        assert (value - smooth).abs().max() < 1e-6
    assert (want - raw).abs().max() > 1e-3


def test_the_neutral_lips_are_the_published_ones(shared_golden: Path) -> None:
    stored = Golden(shared_golden, "pipeline_xd")["lip_array"][0].numpy()
    assert np.abs(stored - NEUTRAL_LIPS).max() < 1e-8


def test_sliders_add_what_the_published_ones_add(shared_golden: Path) -> None:
    golden = Golden(shared_golden, "sliders")
    names = {"eyeball": ("gaze_x", "gaze_y"), "lip0_pout": ("pout",), "lip1_purse": ("purse",)}
    names |= {"lip2_grin": ("grin",), "lip3_open": ("lip_open",), "mov_x": ("move_x",), "mov_y": ("move_y",)}
    stored = [name for name in golden.names if name != "meta"]
    assert len(stored) == 13
    seen = set()
    for name in stored:
        which, _, text = name.partition("/")
        values = [float(part) for part in text.split("_")]
        if which == "mov_x":  # the published page hands it over negated
            values = [-value for value in values]
        sliders = dict(zip(names.get(which, (which,)), values, strict=True))
        seen |= set(sliders)
        assert np.abs(slider_deltas(sliders) - golden[name][0].numpy()).max() < 1e-8, name
    assert seen == set(SLIDERS)
    with pytest.raises(KeyError):
        slider_deltas({"nose": 1.0})


def a_drive(lids: tuple[float, float] = (1.0, 1.0), gaze: float = 0.0, **shapes: float) -> Drive:
    rest = Drive.neutral(a_character())
    for name, value in shapes.items():
        rest.blendshapes[ARKIT_INDEX[name]] = value
    return Drive(
        rest.expression_xy,
        rest.points_xy,
        rest.head,
        np.array(lids, np.float32),
        np.full((2, 2), (gaze, 0.0), np.float32),
        rest.blendshapes,
    )


def test_blendshapes_move_the_points_that_real_faces_move() -> None:
    """Directions as measured on M's real outputs: 11y and 15y grow when the eyes close, 19y when the mouth opens."""
    assert not expression_of(a_drive()).any()
    shut = expression_of(a_drive(lids=(0.0, 0.0)))
    assert 0.009 < shut[11, 1] < 0.013
    assert 0.006 < shut[15, 1] < 0.011
    wink = expression_of(a_drive(lids=(0.0, 1.0)))
    assert wink[11, 1] == shut[11, 1]
    assert wink[15, 1] == 0
    talk = expression_of(a_drive(jawOpen=1.0))
    assert talk[19, 1] > 0.06
    assert talk[[11, 15]].any() == 0
    smile = expression_of(a_drive(mouthSmileLeft=1.0, mouthSmileRight=1.0))
    assert smile[14, 1] < -0.015
    assert expression_of(a_drive(gaze=0.1))[11, 0] > 0 > expression_of(a_drive(gaze=-0.1))[11, 0]
