"""Live motion: what it promises whatever the weights are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")

from faceshot.animators.liveportrait.blocks import Mlp  # noqa: E402
from faceshot.animators.liveportrait.crop import Square  # noqa: E402
from faceshot.animators.liveportrait.driving import Driving, sliders_of, with_squares  # noqa: E402
from faceshot.animators.liveportrait.keypoints import Motion, keypoints, rotation  # noqa: E402
from faceshot.animators.liveportrait.live_motion import (  # noqa: E402
    CHANNELS,
    EXP,
    ROTATION,
    SCALE,
    TRANSLATION,
    LiveMotion,
    Tuning,
    controls,
    gains_of,
    mean_motion,
    rotation_matrix,
    rotation_vector,
)
from faceshot.animators.liveportrait.official import Heads  # noqa: E402
from faceshot.animators.liveportrait.ratios import Ratios  # noqa: E402
from faceshot.topology import ARKIT_INDEX  # noqa: E402
from faceshot.types import Drive, HeadMotion  # noqa: E402
from tests.fakes import a_character  # noqa: E402

SQUARE = (320.0, 240.0, 200.0)
PLAIN = Tuning(scale=1.0, stitching=False, normalize_lip=False, eye_retargeting=False)


def a_motion(seed: int, pitch: float = 0, yaw: float = 0, roll: float = 0, t: tuple[float, float] = (0, 0)) -> Motion:
    torch.manual_seed(seed)
    angles = (torch.tensor([float(v)]) for v in (pitch, yaw, roll))
    exp, kp = 0.02 * torch.randn(1, 21, 3), 0.3 * torch.randn(1, 21, 3)
    return Motion(rotation(*angles), exp, torch.tensor([[*t, 0.0]]), torch.tensor([[1.4]]), kp)


def heads() -> Heads:
    torch.manual_seed(0)
    return Heads(Mlp(126, [128, 64], 65), Mlp(65, [128, 64], 63), Mlp(66, [128, 64], 63))


def a_control(**changes: object) -> torch.Tensor:
    settings: dict[str, object] = {
        "dt_s": 1 / 30,
        "fresh": True,
        "strength": 1.0,
        "pixels": 1.0,
        "jump": 0.0,
        "square": SQUARE,
        "shut": (0.0, 0.0),
        "opening": (1.0, 1.0),
        "sliders": np.zeros(CHANNELS, np.float32),
        "gains": gains_of(PLAIN),
        "added": np.zeros(CHANNELS, np.float32),
    }
    return torch.from_numpy(controls(**{**settings, **changes}))  # type: ignore[arg-type]


def calibrated(tuning: Tuning = PLAIN, reference: Motion | None = None, ratios: Ratios | None = None) -> LiveMotion:
    live = LiveMotion(a_motion(1, 3, -5, 2), ratios, heads(), tuning)
    live.calibrate(reference or a_motion(2), torch.tensor(SQUARE), jump=False)
    return live


@pytest.fixture(autouse=True)
def no_grad():
    with torch.no_grad():
        yield


def test_rotation_vectors_and_matrices_are_each_others_inverse() -> None:
    for vector in ([0, 0, 0], [1e-4, 0, 0], [0.3, -0.2, 0.1], [0, 1.5, 0], [0.5, 0.5, -2.0]):
        made = rotation_vector(rotation_matrix(torch.tensor(vector, dtype=torch.float64)))
        assert torch.allclose(made, torch.tensor(vector, dtype=torch.float64), atol=1e-3)


def test_a_performer_at_rest_leaves_the_source_as_it_is() -> None:
    live = calibrated()
    live.see(a_motion(2), a_control())
    assert (live.pose(a_control()) - live.x_s).abs().max() < 1e-4


def test_relative_motion_is_that_of_equation_7() -> None:
    """Within the soft limits, which lose little at small motions."""
    live, source = calibrated(), a_motion(1, 3, -5, 2)
    driver = a_motion(2, 2, 3, -1, (0.02, -0.01))._replace(scale=torch.tensor([[1.42]]))
    driver.exp[0, 19, 1] += 0.03
    live.see(driver, a_control())
    reference = a_motion(2)
    want = keypoints(
        source.kp,
        driver.rotation @ reference.rotation.transpose(1, 2) @ source.rotation,
        source.exp + driver.exp - reference.exp,
        source.scale * driver.scale / reference.scale,
        source.t + driver.t - reference.t,
    )
    assert (live.pose(a_control()) - want).abs().max() < 2e-3
    assert (want - live.x_s).abs().max() > 0.03


def test_the_motion_of_the_drivers_square_is_taken_out() -> None:
    """The same face seen in a square that has moved and grown."""
    live = calibrated()
    seen = a_motion(2, t=(0.1, 0.05))
    live.see(seen, a_control())
    before = live.pose(a_control())
    x, y, side = SQUARE
    moved = (x + 30, y - 10, side * 1.2)
    where = np.array([x, y]) + np.array([0.1, 0.05]) * side / 2
    t = (where - moved[:2]) / (moved[2] / 2)
    same = seen._replace(t=torch.tensor([[*t, 0.0]], dtype=torch.float32), scale=seen.scale / 1.2)
    live.see(same, a_control(square=moved))
    assert (live.pose(a_control()) - before).abs().max() < 1e-4


def test_the_filter_steadies_noise_and_follows_a_blink() -> None:
    live = calibrated()
    rng = np.random.default_rng(0)
    live.see(a_motion(2), a_control())
    shown, raw = [], []
    for _ in range(60):
        noisy = a_motion(2, yaw=0.06 * rng.standard_normal())
        live.see(noisy, a_control(fresh=False))
        shown.append(float(live.pose(a_control())[0, 0, 0]))
        fresh = calibrated()
        fresh.see(noisy, a_control())
        raw.append(float(fresh.pose(a_control())[0, 0, 0]))
    assert np.std(shown[10:]) < 0.6 * np.std(raw[10:])
    blink = a_motion(2)
    blink.exp[0, 11, 1] += 0.011
    for _ in range(3):
        live.see(blink, a_control(fresh=False))
    at_rest = calibrated()
    at_rest.see(a_motion(2), a_control())
    closed = (live.pose(a_control()) - at_rest.pose(a_control()))[0, 11].norm()
    assert closed > 0.8 * 0.011 * 1.4


def test_large_turns_are_bounded() -> None:
    live = calibrated()
    live.see(a_motion(2, yaw=80), a_control())
    assert live._value[1].abs() > 1.2
    turned = live.pose(a_control())
    live.see(a_motion(2, yaw=120), a_control())
    assert (live.pose(a_control()) - turned).abs().max() < 0.05


def test_each_group_has_its_own_gain() -> None:
    gains = gains_of(Tuning(yaw=0.5, scale=0.2), head=2.0, eyes=0.0, brows=0.5, mouth=1.5)
    assert gains[ROTATION].tolist() == pytest.approx([2.0, 1.0, 2.0])
    assert gains[TRANSLATION].tolist() == [2.0, 2.0]
    assert gains[SCALE].tolist() == pytest.approx([0.4])
    exp = gains[EXP].reshape(21, 3)
    assert exp[11, 1] == 0 and exp[1, 1] == 0.5 and exp[19, 1] == 1.5
    lips = gains_of(Tuning(region="lip"))[EXP].reshape(21, 3)
    assert lips[19, 1] == 1 and lips[11, 1] == 0
    pose = gains_of(Tuning(region="pose"))
    assert pose[ROTATION].all() and not pose[EXP].any() and not pose[SCALE].any()


def test_big_eyes_close_by_the_eye_network_and_only_then() -> None:
    eyes = replace(PLAIN, eye_retargeting=True)
    live = calibrated(eyes, ratios=Ratios(np.array([0.5, 0.45], np.float32), 0.0))
    live.see(a_motion(2), a_control())
    assert (live.pose(a_control()) - live.x_s).abs().max() < 1e-4
    shut = live.pose(a_control(shut=(1.0, 1.0), opening=(0.0, 0.0)))
    wink = live.pose(a_control(shut=(1.0, 0.0), opening=(0.0, 1.0)))
    assert (shut - live.x_s)[0, [11, 15]].norm(dim=1).min() > 1e-3
    assert torch.allclose(wink[0, [11, 13]], shut[0, [11, 13]], atol=1e-6)
    assert (wink - live.x_s)[0, [15, 16]].abs().max() < 1e-5


def test_a_new_reference_is_eased_in() -> None:
    live = calibrated()
    driver = a_motion(2, yaw=5)
    live.see(driver, a_control())
    before = live.pose(a_control())
    live.calibrate(driver, torch.tensor(SQUARE), jump=True)
    assert (live.pose(a_control(jump=1.0)) - before).abs().max() < 1e-4
    assert (live.pose(a_control(jump=0.0)) - live.x_s).abs().max() < 1e-3


def test_a_mean_of_motions_is_a_rotation_in_their_middle() -> None:
    parts = [a_motion(3, yaw=angle) for angle in (2.0, 4.0, 6.0)]
    mean = mean_motion(Motion(*(torch.cat(p) for p in zip(*parts, strict=True))))
    assert torch.allclose(mean.rotation, a_motion(3, yaw=4.0).rotation, atol=1e-3)
    assert torch.allclose(mean.exp, parts[0].exp)


def test_motions_of_several_squares_are_brought_to_one() -> None:
    parts = [a_motion(3, t=(0.1, 0.0)), a_motion(3, t=(0.1, 0.0))]
    motion, square = with_squares(
        Motion(*(torch.cat(p) for p in zip(*parts, strict=True))), [SQUARE, (340.0, 240.0, 100.0)]
    )
    assert square.tolist() == list(SQUARE)
    assert motion.t[1, 0] == pytest.approx((20 + 0.1 * 50) / 100)
    assert motion.scale[1, 0] == pytest.approx(0.7)


# What the host decides


def drive(seconds: float = 1 / 30, crop: bool = True, rest: tuple = (), lids: float = 1.0) -> Drive:
    made = Drive.neutral(a_character())
    pixels = np.zeros((256, 256, 3), np.uint8) if crop else None
    return replace(
        made, crop=pixels, crop_square=SQUARE, rest_crops=rest, dt_s=seconds, lids=np.full(2, lids, np.float32)
    )


def driving() -> Driving:
    return Driving(Square(32, 32, 60), a_character(), Tuning())


PIXELS, FRESH, JUMP, SHUT = 3, 1, 4, 8


def test_a_lost_face_eases_to_the_sliders_and_back() -> None:
    host = driving()
    shares = [host.controls(drive(crop=i < 5 or i >= 40))[PIXELS] for i in range(60)]
    assert shares[0] == shares[4] == 1
    assert 0 < shares[8] < 1
    assert shares[30] == 0
    assert 0 < shares[42] < 1
    assert shares[59] == 1


def test_the_filter_starts_anew_when_a_face_comes() -> None:
    host = driving()
    fresh = [bool(host.controls(drive(crop=i in (0, 1, 4)))[FRESH]) for i in range(6)]
    assert fresh == [True, False, False, False, True, False]


def test_without_a_face_from_the_beginning_sliders_have_it_all() -> None:
    assert driving().controls(drive(crop=False))[PIXELS] == 0


def test_the_reference_is_the_performers_neutral_as_soon_as_there_is_one() -> None:
    host = driving()
    first = drive()
    assert host.new_reference(first) == ((first.crop, SQUARE),)
    host.controls(first)
    assert host.new_reference(first) == ()
    crops = ((np.ones((256, 256, 3), np.uint8), SQUARE),)
    assert host.new_reference(drive(rest=crops)) is crops
    assert host.controls(drive(rest=crops))[JUMP] > 0.9
    assert host.new_reference(drive(rest=crops)) == ()
    for _ in range(12):
        last = host.controls(drive(rest=crops))
    assert last[JUMP] == 0
    assert host.new_reference(drive(crop=False, rest=(crops[0],))) == ()


def test_lids_near_closure_are_given_to_the_eye_network() -> None:
    assert [float(driving().controls(drive(lids=lids))[SHUT]) for lids in (1.2, 0.75, 0.25, 0.0)] == [0, 0, 1, 1]
    assert 0 < driving().controls(drive(lids=0.5))[SHUT] < 1


def test_a_drives_head_is_turned_into_the_axes_of_the_crop() -> None:
    character = a_character()
    head = HeadMotion(np.array([0.1, 0.2, 0.05], np.float32), np.array([0.1, 0], np.float32), 1.1)
    made = replace(Drive.neutral(character), head=head)
    straight = np.eye(3, dtype=np.float32)
    level = sliders_of(made, Square(0, 0, 200), 50, straight)
    assert level[ROTATION].tolist() == pytest.approx([0.1, 0.2, 0.05])
    assert level[TRANSLATION].tolist() == pytest.approx([0.05, 0.0])
    assert level[SCALE] == pytest.approx(np.log(1.1))
    tilted = sliders_of(made, Square(0, 0, 200, np.pi / 2), 50, straight)
    assert tilted[TRANSLATION].tolist() == pytest.approx([0.0, -0.05], abs=1e-6)
    assert tilted[ROTATION].tolist() == pytest.approx([0.2, -0.1, 0.05])


def test_a_turn_in_the_picture_is_one_in_the_heads_own_axes() -> None:
    """A drive's rotation acts after the source's pose, the sliders' before it; both show the same head."""
    vector = np.array([0.1, -0.15, 0.05], np.float32)
    made = replace(Drive.neutral(a_character()), head=HeadMotion(vector))
    pose = a_motion(1, 5, 30, -10).rotation[0]
    own = sliders_of(made, Square(0, 0, 200), 50, pose.numpy())[ROTATION]
    before = rotation_matrix(torch.from_numpy(own)).T @ pose
    after = pose @ rotation_matrix(torch.from_numpy(vector)).T
    assert torch.allclose(before, after, atol=1e-5)


def test_a_chosen_expression_is_added_to_what_is_seen() -> None:
    plain = drive()
    shapes = np.zeros(52, np.float32)
    shapes[ARKIT_INDEX["jawOpen"]] = 0.5
    added = driving().controls(replace(plain, preset_shapes=shapes)) - driving().controls(plain)
    assert added[-CHANNELS:][EXP].reshape(21, 3)[19, 1] > 0.02
    assert not added[:-CHANNELS].any()
    live = calibrated()
    live.see(a_motion(2), a_control())
    opened = live.pose(a_control(added=added[-CHANNELS:])) - live.pose(a_control())
    assert opened[0, 19, 1].abs() > 0.02
    without = live.pose(a_control(pixels=0.0, added=added[-CHANNELS:])) - live.pose(a_control(pixels=0.0))
    assert without.abs().max() == 0, "sliders have it already"
