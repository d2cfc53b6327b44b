import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceshot.puppeteer import MotionSettings, Puppeteer
from faceshot.types import Character, Drive, FaceState
from tests.faceshot.performer import SIZE, character, perform, phone, tracked_clip

DT = 1 / 30
RAW = MotionSettings(smoothing=0.0, idle=False)
LOST = FaceState.lost(SIZE)


def ready(settings=RAW, who=None, neutral=None, seed=0):
    puppeteer = Puppeteer(who or character(), settings, seed)
    puppeteer.use_neutral(neutral or perform())
    return puppeteer


def play(puppeteer, states, dt_s=DT):
    return [puppeteer.step(state, dt_s) for state in states]


def check(drive: Drive):
    for array in (drive.expression_xy, drive.points_xy, drive.lids, drive.gaze, drive.blendshapes):
        assert np.isfinite(array).all()
    assert np.isfinite(drive.head.rotation).all()
    assert 0.7 < drive.head.scale < 1.4
    assert 0 <= drive.breath <= 1
    assert ((drive.lids >= 0) & (drive.lids <= 1.6)).all()
    assert ((drive.blendshapes >= 0) & (drive.blendshapes <= 1)).all()


# What a drive says


def test_the_neutral_gives_no_motion_on_any_character():
    for who in (character(), character(25, seed=1), character(missing=range(17, 27))):
        drive = ready(who=who).step(perform(), DT)
        np.testing.assert_allclose(drive.expression_xy, who.points_xy, atol=1e-3)
        np.testing.assert_allclose(drive.points_xy, who.points_xy, atol=0.05)
        np.testing.assert_allclose(drive.head.rotation, 0, atol=1e-4)
        np.testing.assert_allclose(drive.lids, 1, atol=1e-3)


@settings(max_examples=25)
@given(st.floats(-20, 20), st.floats(-25, 25), st.floats(-25, 25), st.floats(-0.2, 0.2), st.floats(0.8, 1.2))
def test_head_motion_leaves_the_expression_alone(pitch, yaw, roll, x, scale):
    who = character(seed=3)
    drive = ready(who=who).step(perform((pitch, yaw, roll), (x, 0.1), scale), DT)
    np.testing.assert_allclose(drive.expression_xy, who.points_xy, atol=1.0)
    # Softly limited, but of the right sign and near the performed angle.
    for got, want in zip(np.degrees(drive.head.rotation), (pitch, yaw, roll), strict=True):
        assert got == pytest.approx(want, abs=1.0 + 0.2 * abs(want))


def test_roll_turns_points_rigidly_and_scale_and_shift_follow():
    who = character()
    drive = ready(who=who).step(perform((0, 0, 12), (0.1, 0.05), 1.1), DT)
    z, z0 = (p[:, 0] + 1j * p[:, 1] for p in (drive.points_xy.astype(float), who.points_xy.astype(float)))
    move = np.polyfit(z0, z, 1)
    np.testing.assert_allclose(np.polyval(move, z0), z, atol=0.5)
    assert np.degrees(np.angle(move[0])) == pytest.approx(np.degrees(drive.head.rotation[2]), abs=0.2)
    assert abs(move[0]) == pytest.approx(drive.head.scale, rel=5e-3)


def test_a_turn_of_the_head_shows_in_the_points_as_it_does_on_the_performer():
    who = character()
    state = perform((0, 20, 0))
    drive = ready(who=who).step(state, DT)
    assert drive.head.rotation[1] > 0.25, "+y turns the nose to the image's left"
    assert drive.points_xy[30, 0] < who.points_xy[30, 0] - 10
    # The same face as the driver's: Eq. 5 and 6 reproduce its turned points.
    away = drive.points_xy - drive.points_xy.mean(axis=0)
    performed = state.points_xyz[:, :2] - state.points_xyz[:, :2].mean(axis=0)
    assert np.abs(away - performed * 200 / 160).mean() < 3.0


def test_the_head_turns_in_the_characters_own_axes():
    drive = ready(who=character(90)).step(perform((0, 20, 0)), DT)
    assert abs(drive.head.rotation[0]) > 0.25
    assert abs(drive.head.rotation[1]) < 0.02


@pytest.mark.parametrize("tilt", [0, 30])
def test_a_blink_shuts_exactly_and_a_wink_one_eye_only(tilt):
    who = character(tilt)
    for lids, expected in (((0, 0), (0, 0)), ((0, 1), (0, 1)), ((1, 0), (1, 0))):
        drive = ready(who=who).step(perform((5, -10, 3), lids=lids), DT)
        np.testing.assert_allclose(drive.lids, expected, atol=0.03)
        for eye, (first, last, points) in enumerate(((36, 39, (37, 38, 40, 41)), (42, 45, (43, 44, 46, 47)))):
            for face in (drive.expression_xy.astype(float), drive.points_xy.astype(float)):
                chord = face[last] - face[first]
                offset = face[list(points)] - face[first]
                away = np.abs(chord[0] * offset[:, 1] - chord[1] * offset[:, 0]) / np.linalg.norm(chord)
                assert (away.max() < 1e-3) == (expected[eye] == 0)


def test_an_open_mouth_a_smile_and_raised_brows_arrive():
    who = character(seed=5)
    rest = who.points_xy
    mouth = ready(who=who).step(perform(jawOpen=0.9), DT).expression_xy
    opened = (mouth[66, 1] - mouth[62, 1]) - (rest[66, 1] - rest[62, 1])
    assert opened == pytest.approx(0.9 * 0.19 * 200, rel=0.25)
    assert mouth[8, 1] > rest[8, 1] + 20
    smile = ready(who=who).step(perform(mouthSmileLeft=1, mouthSmileRight=1), DT).expression_xy
    assert smile[54, 0] - smile[48, 0] > rest[54, 0] - rest[48, 0] + 10
    assert smile[[48, 54], 1].mean() < rest[[48, 54], 1].mean() - 5
    brows = ready(who=who).step(perform(browInnerUp=1), DT).expression_xy
    assert brows[[20, 21, 22, 23], 1].mean() < rest[[20, 21, 22, 23], 1].mean() - 8


def test_gaze_arrives_in_both_eyes_and_is_limited():
    drive = ready().step(perform(gaze=(0.1, 0.02)), DT)
    np.testing.assert_allclose(drive.gaze[0], drive.gaze[1])
    assert drive.gaze[0, 0] == pytest.approx(0.09, abs=0.015)
    moved = (drive.expression_xy - character().points_xy)[[68, 69], 0]
    assert (moved > 2).all()
    assert np.abs(ready().step(perform(gaze=(0.6, 0.4)), DT).gaze).max() <= 0.18


def test_the_mirror_swaps_sides():
    state = perform((0, 15, 8), (0.1, 0), lids=(0, 1), gaze=(0.1, 0), mouthSmileLeft=1)
    who = character()
    plain = ready(who=who).step(state, DT)
    flipped = ready(MotionSettings(smoothing=0, idle=False, mirror=True), who).step(state, DT)
    np.testing.assert_allclose(flipped.head.rotation, plain.head.rotation * (1, -1, -1), atol=1e-6)
    np.testing.assert_allclose(flipped.head.translation, plain.head.translation * (-1, 1), atol=1e-6)
    np.testing.assert_allclose(flipped.lids, plain.lids[::-1])
    np.testing.assert_allclose(flipped.gaze, plain.gaze[::-1] * (-1, 1))
    from faceshot.topology import MIRROR_70

    looking_glass = plain.expression_xy[MIRROR_70] * (-1, 1) + (512, 0)
    np.testing.assert_allclose(flipped.expression_xy, looking_glass, atol=1.0)


def test_gains_scale_their_groups():
    state = perform((0, 10, 0), jawOpen=0.5, browInnerUp=0.5, lids=(0.5, 0.5))
    who = character()

    def moved(**gains):
        drive = ready(MotionSettings(smoothing=0, idle=False, **gains), who).step(state, DT)
        return (
            drive.head.rotation[1],
            1 - drive.lids.mean(),
            (who.points_xy - drive.expression_xy)[21, 1],
            (drive.expression_xy - who.points_xy)[66, 1],
        )

    plain = moved()
    for k, name in enumerate(("head", "eyes", "brows", "mouth")):
        strong, none = moved(**{name: 1.5}), moved(**{name: 0.0})
        assert strong[k] > 1.2 * plain[k]
        assert none[k] == pytest.approx(0, abs=0.5 if k > 1 else 1e-3)
        others = [j for j in range(4) if j != k]
        np.testing.assert_allclose([strong[j] for j in others], [plain[j] for j in others], rtol=0.1, atol=1e-2)


def test_a_phone_that_sends_blendshapes_only_drives_the_same_character():
    puppeteer = ready(neutral=phone())
    drive = puppeteer.step(phone((0, 15, 0), jawOpen=0.8, eyeBlinkLeft=1.0), DT)
    np.testing.assert_array_equal(drive.lids, (1, 0))
    rest = character().points_xy
    assert drive.expression_xy[66, 1] > rest[66, 1] + 20
    assert drive.head.rotation[1] > 0.2
    assert drive.points_xy[30, 0] < rest[30, 0]


def test_a_two_dimensional_tracker_drives_by_the_papers_rule_alone():
    puppeteer = ready(neutral=perform(flat=True))
    drive = puppeteer.step(perform((0, 0, 10), jawOpen=0.7, flat=True), DT)
    assert np.degrees(drive.head.rotation) == pytest.approx((0, 0, 10), abs=1)
    assert drive.expression_xy[66, 1] > character().points_xy[66, 1] + 15


def test_the_crop_travels_while_the_face_is_there():
    crop = np.zeros((256, 256, 3), np.uint8)
    seen = perform()
    puppeteer = ready()
    assert puppeteer.step(FaceState(SIZE, 1.0, seen.points_xyz, crop=crop), DT).crop is crop
    assert puppeteer.step(LOST, DT).crop is None


# Smoothing


def test_a_blink_of_120_ms_survives_the_default_smoothing():
    puppeteer = ready(MotionSettings(idle=False))
    lids = [1.0] * 20 + [0.4, 0.0, 0.0, 0.5] + [1.0] * 20
    drives = play(puppeteer, [perform(lids=(v, v)) for v in lids])
    openness = np.array([d.lids for d in drives])
    assert openness.min() == 0
    assert openness[22].max() == 0
    assert openness[-1] == pytest.approx([1, 1], abs=0.05)


def test_smoothing_steadies_the_head():
    states = [perform(noise=np.random.default_rng(i).normal(0, 0.5, (70, 3))) for i in range(120)]
    raw = np.array([d.head.rotation for d in play(ready(), states)])
    smooth = np.array([d.head.rotation for d in play(ready(MotionSettings(idle=False)), states)])
    assert smooth[30:].std() < 0.4 * raw[30:].std()


def test_a_whole_clip_is_smoothed_without_delay_and_loses_no_blink():
    random = np.random.default_rng(1)
    yaw = 8 * np.sin(np.arange(150) / 5)
    lids = np.ones(150)
    lids[[60, 61, 62, 63]] = 0.35, 0.0, 0.0, 0.5
    states = [
        perform((0, a, 0), lids=(v, v), jawOpen=0.4 - 0.4 * np.cos(i / 4), noise=random.normal(0, 0.3, (70, 3)))
        for i, (a, v) in enumerate(zip(yaw, lids, strict=True))
    ]
    for smoothing in (0.5, 1.0):
        drives = list(ready(MotionSettings(smoothing=smoothing, idle=False)).perform(states, [DT] * 150))
        raw = np.degrees([d.head.rotation[1] for d in play(ready(), states)])
        turn = np.degrees([d.head.rotation[1] for d in drives])
        by_lag = {k: np.corrcoef(raw[10:-10], np.roll(turn, -k)[10:-10])[0, 1] for k in (-1, 0, 1)}
        assert max(by_lag, key=by_lag.get) == 0
        assert by_lag[-1] == pytest.approx(by_lag[1], abs=0.01), "neither late nor early"
        openness = np.array([d.lids.mean() for d in drives])
        assert openness[[61, 62]].max() < 0.02
        assert openness[[58, 66]].min() > 0.85, "it neither begins early nor ends late"
    calm = [perform(noise=random.normal(0, 0.3, (70, 3))) for _ in range(120)]
    raw = np.array([d.head.rotation for d in play(ready(), calm)])
    smooth = np.array([d.head.rotation for d in ready(MotionSettings(idle=False)).perform(calm, [DT] * 120)])
    assert smooth.std() < 0.4 * raw.std()


def test_a_whole_clip_with_gaps_goes_as_frame_by_frame():
    states = [perform((0, 0.3 * i, 0)) for i in range(40)]
    states[12:30] = [LOST] * 18
    drives = list(ready().perform(states, [DT] * 40))
    live = play(ready(), states)
    for one, other in zip(drives, live, strict=True):
        np.testing.assert_allclose(one.points_xy, other.points_xy, atol=1e-3)
    assert list(ready().perform([], [])) == []
    assert len(list(ready().perform([LOST] * 3, [DT] * 3))) == 3


def test_smoothing_by_default_follows_a_talking_head_closely():
    """Turns and lips as quick as in real clips lose less than a hundredth of their correlation."""
    t = np.arange(240) * DT
    states = [
        perform((3 * np.sin(5 * a), 3 * np.sin(4 * a), 3 * np.sin(6 * a)), jawOpen=0.4 + 0.4 * np.sin(9 * a)) for a in t
    ]
    raw, smooth = play(ready(), states), play(ready(MotionSettings(idle=False)), states)
    for axis in range(3):
        a, b = (np.array([d.head.rotation[axis] for d in drives[30:]]) for drives in (raw, smooth))
        assert np.corrcoef(a, b)[0, 1] > 0.99
    a, b = (np.array([d.expression_xy[66, 1] for d in drives[30:]]) for drives in (raw, smooth))
    assert np.corrcoef(a, b)[0, 1] > 0.998


# A character that is painted from the side


def turned_character(yaw_degrees):
    from faceshot.blendshape_rig import CANONICAL_FACE
    from faceshot.geometry import matrix_from_rotation_vector

    turn = matrix_from_rotation_vector(np.radians((0.0, yaw_degrees, 0.0)))
    points = 200 * (CANONICAL_FACE @ turn.T)[:, :2] + 256
    return Character("turned", np.zeros((512, 512, 4), np.uint8), points.astype(np.float32), np.ones(70, np.bool_))


@pytest.mark.parametrize("side", [-1, 1])
def test_a_turned_character_moves_as_its_performer_would_look_from_there(side):
    who = turned_character(side * 32)
    smile = ready(who=who).step(perform(mouthSmileLeft=1, mouthSmileRight=1), DT)
    moved = np.abs(smile.expression_xy - who.points_xy)[[48, 54], 0]
    frontal = ready().step(perform(mouthSmileLeft=1, mouthSmileRight=1), DT)
    # The rig's smile has no depth, so both corners are foreshortened alike.
    np.testing.assert_allclose(
        moved, np.cos(np.radians(28)) * np.abs(frontal.expression_xy - character().points_xy)[[48, 54], 0], rtol=0.12
    )
    rest = ready(who=who).step(perform(), DT)
    np.testing.assert_allclose(rest.expression_xy, who.points_xy, atol=1e-3)
    jaw = ready(who=who).step(perform(jawOpen=0.9), DT).expression_xy
    opened = (jaw[66, 1] - jaw[62, 1]) - (who.points_xy[66, 1] - who.points_xy[62, 1])
    assert opened == pytest.approx(0.9 * 0.19 * 200, rel=0.25), "height is not foreshortened"


@pytest.mark.parametrize("side", [-1, 1])
def test_a_turned_character_turns_on_only_a_little(side):
    puppeteer = ready(who=turned_character(side * 30))
    on = puppeteer.step(perform((0, side * 20, 0)), DT).head.rotation[1]
    back = puppeteer.step(perform((0, -side * 20, 0)), DT).head.rotation[1]
    assert 4 < side * np.degrees(on) < 10
    assert -side * np.degrees(back) > 15


# Face lost and found


def test_from_waiting_to_tracking_and_back_to_life():
    puppeteer = Puppeteer(character())
    assert puppeteer.status == "waiting"
    puppeteer.step(LOST, DT)
    assert puppeteer.status == "waiting"
    play(puppeteer, [perform()] * 3)
    assert puppeteer.status == "calibrating"
    play(puppeteer, [perform()] * 40)
    assert puppeteer.status == "tracking"
    puppeteer.calibrate()
    play(puppeteer, [perform()] * 3)
    assert puppeteer.status == "calibrating"
    play(puppeteer, [perform()] * 45)
    assert puppeteer.status == "tracking"
    play(puppeteer, [LOST] * 5)
    assert puppeteer.status == "holding"
    play(puppeteer, [LOST] * 30)
    assert puppeteer.status == "idle"
    puppeteer.step(perform(), DT)
    assert puppeteer.status == "tracking"
    puppeteer.reset()
    assert puppeteer.status == "waiting"


def test_a_lost_face_is_held_then_eased_to_neutral():
    puppeteer = ready()
    held = play(puppeteer, [perform((0, 20, 0), jawOpen=0.8)] * 15)[-1]
    drives = play(puppeteer, [LOST] * 60)
    turn = np.array([d.head.rotation[1] for d in drives])
    np.testing.assert_allclose(turn[:14], held.head.rotation[1], atol=1e-6)
    np.testing.assert_allclose(drives[10].expression_xy, held.expression_xy)
    assert turn[34] == pytest.approx(0, abs=1e-6), "0.5 s held and 0.6 s eased"
    assert (np.diff(turn) <= 1e-6).all()
    assert np.abs(np.diff(turn)).max() < 0.12 * turn[0], "no jump"
    np.testing.assert_allclose(drives[-1].expression_xy, character().points_xy, atol=1e-2)


def test_the_return_is_smooth():
    puppeteer = ready()
    play(puppeteer, [perform()] * 10 + [LOST] * 60)
    drives = play(puppeteer, [perform((0, 20, 0), jawOpen=0.8)] * 20)
    turn = np.array([d.head.rotation[1] for d in drives])
    assert turn[0] < 0.1 * turn[-1]
    assert np.abs(np.diff(turn)).max() < 0.25 * turn[-1]
    assert turn[10] == pytest.approx(turn[-1], rel=1e-3), "within 0.3 s"


def test_a_gap_of_one_frame_is_hardly_seen():
    puppeteer = ready()
    states = [perform((0, 0.5 * i, 0)) for i in range(40)]
    states[20] = LOST
    turn = np.degrees([d.head.rotation[1] for d in play(puppeteer, states)])
    assert np.diff(turn).min() >= -1e-6
    assert np.diff(turn).max() < 1.5
    assert turn[24] == pytest.approx(12, abs=0.6)


def test_idle_life_appears_only_without_a_face_and_is_deterministic():
    one = play(Puppeteer(character(), seed=4), [LOST] * 600)
    same = play(Puppeteer(character(), seed=4), [LOST] * 600)
    other = play(Puppeteer(character(), seed=5), [LOST] * 600)
    lids = np.array([d.lids.mean() for d in one])
    assert lids.min() < 0.3, "it blinks"
    assert np.ptp([d.breath for d in one]) > 0.9
    assert np.ptp([d.head.rotation[1] for d in one]) > 0.01
    np.testing.assert_array_equal(lids, [d.lids.mean() for d in same])
    assert not np.array_equal(lids, [d.lids.mean() for d in other])
    for drive in one[::20]:
        check(drive)

    tracked = play(ready(MotionSettings()), [perform()] * 300)
    assert np.min([d.lids for d in tracked[20:]]) > 0.97
    assert np.ptp([d.head.rotation for d in tracked[20:]]) < 1e-3
    breath = [d.breath for d in tracked]
    assert 0.4 < np.ptp(breath) < 0.8, "it breathes gently while tracking too"


def test_without_idle_nobody_there_means_nothing_moves():
    who = character()
    for drive in play(Puppeteer(who, MotionSettings(idle=False)), [LOST] * 200)[::10]:
        np.testing.assert_allclose(drive.points_xy, who.points_xy, atol=1e-3)
        assert drive.breath == 0


def test_after_a_long_absence_whoever_comes_is_calibrated_anew():
    puppeteer = Puppeteer(character())
    play(puppeteer, [perform()] * 50)
    play(puppeteer, [LOST] * 12, dt_s=1.0)
    play(puppeteer, [perform((0, 20, 0))] * 2)
    assert puppeteer.status == "calibrating"
    final = play(puppeteer, [perform((0, 20, 0))] * 60)[-1]
    assert abs(np.degrees(final.head.rotation[1])) < 1


# What may go wrong


@pytest.mark.parametrize("dt_s", [0.0, -1.0, float("nan"), float("inf"), 1e-9, 500.0])
def test_any_time_step_gives_a_drive(dt_s):
    puppeteer = Puppeteer(character())
    for state in [perform(), perform((5, 5, 5)), LOST, perform(), LOST, LOST]:
        check(puppeteer.step(state, dt_s))


def test_nonsense_from_the_tracker_is_a_lost_face():
    puppeteer = ready()
    play(puppeteer, [perform((0, 15, 0))] * 5)
    broken = [
        np.full((70, 3), np.nan, np.float32),
        np.zeros((70, 3), np.float32),
        np.full((478, 3), 1e30, np.float32),
    ]
    for points in broken:
        drive = puppeteer.step(FaceState(SIZE, 1.0, points), DT)
        check(drive)
        assert puppeteer.status == "holding"
    check(puppeteer.step(FaceState(SIZE, 1.0, None, True, np.full(52, np.nan, np.float32)), DT))
    check(puppeteer.step(perform(confidence=0.1), DT))
    assert puppeteer.status == "holding"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["face", "lost", "phone", "flat", "noise", "far", "character", "calibrate", "mirror"])))
def test_any_order_of_events_gives_finite_drives(events):
    puppeteer = Puppeteer(character())
    random = np.random.default_rng(0)
    for event in events:
        state = LOST
        if event == "face":
            state = perform(tuple(random.normal(0, 15, 3)), jawOpen=float(random.uniform()))
        elif event == "phone":
            state = phone(tuple(random.normal(0, 15, 3)))
        elif event == "flat":
            state = perform(flat=True)
        elif event == "noise":
            state = FaceState(SIZE, 1.0, random.normal(200, 80, (70, 3)).astype(np.float32))
        elif event == "far":
            state = perform(scale=0.06)
        elif event == "character":
            puppeteer.set_character(character(float(random.normal(0, 30)), missing=range(int(random.integers(0, 70)))))
        elif event == "calibrate":
            puppeteer.calibrate()
        elif event == "mirror":
            puppeteer.settings = MotionSettings(mirror=bool(random.integers(2)))
        check(puppeteer.step(state, float(random.choice([0.0, DT, 0.4]))))


def test_another_character_goes_on_with_the_same_performance():
    puppeteer = ready()
    state = perform((0, 15, 0), jawOpen=0.6)
    before = play(puppeteer, [state] * 5)[-1]
    other = character(10, width_px=120)
    puppeteer.set_character(other)
    after = puppeteer.step(state, DT)
    assert puppeteer.status == "tracking"
    np.testing.assert_allclose(np.linalg.norm(after.head.rotation), np.linalg.norm(before.head.rotation), rtol=1e-4)
    opened = np.linalg.norm(after.expression_xy[66] - other.points_xy[66])
    assert opened == pytest.approx(np.linalg.norm(before.expression_xy[66] - character().points_xy[66]) * 0.6, rel=0.15)


def test_settings_may_be_assigned_in_mid_show():
    puppeteer = ready()
    state = perform((0, 10, 0))
    play(puppeteer, [state] * 5)
    puppeteer.settings = MotionSettings(head=0.0, smoothing=0.0, idle=False)
    np.testing.assert_allclose(puppeteer.step(state, DT).head.rotation, 0, atol=1e-6)


def test_a_useless_neutral_is_not_taken():
    puppeteer = ready()
    puppeteer.use_neutral(LOST)
    assert abs(puppeteer.step(perform(), DT).head.rotation).max() < 1e-3


# Real faces


@pytest.mark.parametrize("clip", ["d10", "d6"])
def test_a_real_performance_stays_within_reason(clip, shared_media):
    states = tracked_clip(shared_media / "driving" / f"{clip}.mp4", 150)
    who = character()
    puppeteer = Puppeteer(who)
    drives = play(puppeteer, states)
    assert puppeteer.status == "tracking"
    for drive in drives:
        check(drive)
        assert np.abs(drive.expression_xy - who.points_xy).max() < 0.4 * 200
    points = np.array([d.expression_xy for d in drives])
    mouth = points[:, 66, 1] - points[:, 62, 1]
    assert np.ptp(mouth) > 0.06 * 200, "it talks"
    head = np.array([d.head.rotation for d in drives])
    assert np.degrees(np.ptp(head, axis=0)).max() > 3
    assert np.degrees(np.abs(head)).max() < 30
