import numpy as np
import pytest

from faceshot.driver import measure, observe
from faceshot.motion import LIDS, ROTATION, delta_of
from faceshot.neutral import NeutralKeeper, best_neutral
from faceshot.topology import ARKIT_INDEX
from faceshot.types import FaceState
from tests.faceshot.performer import SIZE, perform, phone, shapes, tracked_clip

DT = 1 / 30


def noisy(seed, **kwargs):
    return perform(noise=np.random.default_rng(seed).normal(0, 0.4, (70, 3)), **kwargs)


def talk(i):
    """A face that never stops moving."""
    return perform((3 * np.sin(i / 7), 5 * np.sin(i / 11), 0), jawOpen=0.5 + 0.4 * np.sin(i / 2.3))


def feed(keeper, states, dt_s=DT):
    return [keeper.step(observe(state), dt_s) for state in states]


def of(state):
    """The reference that a face state makes."""
    return feed(NeutralKeeper(), [state])[0]


def gap(reference):
    return reference.face[66, 1] - reference.face[62, 1]


REST_GAP = gap(of(perform()))


def test_the_first_stable_second_becomes_the_neutral():
    keeper = NeutralKeeper()
    moving = [talk(i) for i in range(30)]
    feed(keeper, moving)
    assert not keeper.settled
    for i in range(45):
        feed(keeper, [noisy(i)])
        if keeper.settled:
            break
    assert keeper.settled
    assert 20 <= i <= 40, "about a second of calm"
    final = feed(keeper, [noisy(100 + k) for k in range(20)])[-1]
    assert gap(final) == pytest.approx(REST_GAP, abs=0.02)
    assert np.degrees(np.abs(measure(observe(perform()), final)[ROTATION])).max() < 1.5


def test_a_blink_does_not_spoil_the_stable_second():
    keeper = NeutralKeeper()
    states = [noisy(i, lids=(0, 0) if 12 <= i < 17 else (1, 1)) for i in range(60)]
    final = feed(keeper, states)[-1]
    assert keeper.settled
    np.testing.assert_allclose(measure(observe(perform()), final)[LIDS], 1, atol=0.15)


def test_a_performer_who_never_rests_is_not_waited_for_forever():
    keeper = NeutralKeeper()
    references = feed(keeper, [talk(i) for i in range(110)])
    assert keeper.settled
    assert gap(references[-1]) < REST_GAP + 0.06, "the calmest moments: the mouth was nearly shut"


def test_a_bad_start_is_improved_gradually():
    keeper = NeutralKeeper()
    feed(keeper, [noisy(i, jawOpen=0.8, browInnerUp=0.7) for i in range(40)])
    before = keeper.step(observe(perform(jawOpen=0.8, browInnerUp=0.7)), DT)
    assert keeper.settled
    assert gap(before) > REST_GAP + 0.08
    after = feed(keeper, [noisy(i) for i in range(60)])
    assert gap(after[-1]) == pytest.approx(REST_GAP, abs=0.02)
    steps = np.abs(np.diff([gap(r) for r in after]))
    assert steps.max() < 0.25 * (gap(before) - REST_GAP), "no jump"


def test_no_frame_is_ever_without_a_neutral():
    keeper = NeutralKeeper()
    assert keeper.step(observe(talk(0)), DT) is not None
    explicit = NeutralKeeper()
    explicit.calibrate()
    assert explicit.step(observe(talk(0)), 0.0) is not None


def test_calibration_takes_the_next_stable_second_and_keeps_it():
    keeper = NeutralKeeper()
    feed(keeper, [noisy(i) for i in range(40)])
    keeper.calibrate()
    assert not keeper.settled
    # The performer wants this face, odd as it is, to be neutral.
    feed(keeper, [noisy(i, rotation=(0, 15, 0), browInnerUp=0.8) for i in range(60)])
    assert keeper.settled
    final = feed(keeper, [noisy(i) for i in range(90)])[-1]
    assert np.degrees(measure(observe(perform()), final)[ROTATION])[1] == pytest.approx(-15, abs=1.5)
    assert delta_of(measure(observe(perform()), final))[21, 1] > 0.03


def test_use_sets_it_at_once_and_for_good():
    keeper = NeutralKeeper()
    keeper.use(observe(perform((0, 10, 0))))
    assert keeper.settled
    final = feed(keeper, [noisy(i) for i in range(60)])[-1]
    assert np.degrees(measure(observe(perform()), final)[ROTATION])[1] == pytest.approx(-10, abs=0.5)


def test_another_kind_of_tracker_starts_anew():
    keeper = NeutralKeeper()
    feed(keeper, [noisy(i) for i in range(40)])
    reference = keeper.step(observe(phone((0, 5, 0))), DT)
    assert reference.rigid is None
    assert not keeper.settled
    final = feed(keeper, [phone((0, 5, 0), browInnerUp=0.1)] * 60)[-1]
    assert keeper.settled
    assert final.shapes is not None


@pytest.mark.parametrize("dt_s", [0.0, 1e-4, 0.2, 1.0])
def test_odd_time_steps_are_survived(dt_s):
    keeper = NeutralKeeper()
    assert feed(keeper, [noisy(i) for i in range(30)], dt_s)[-1] is not None


def test_the_best_neutral_of_a_clip_is_calm_with_and_without_blendshapes():
    states = [talk(i) for i in range(80)] + [FaceState.lost(SIZE)] + [noisy(i) for i in range(10)]
    assert gap(of(best_neutral(states))) == pytest.approx(REST_GAP, abs=0.02)

    def values(i):
        return {"jawOpen": 0.5 + 0.4 * np.sin(i / 2.3), "browInnerUp": 0.5} if i < 80 else {"jawOpen": 0.02}

    both = [
        FaceState(SIZE, 1.0, s.points_xyz, True, shapes(**values(i)).astype(np.float32))
        for i, s in enumerate(states)
        if s.found
    ]
    chosen = best_neutral(both)
    assert gap(of(chosen)) == pytest.approx(REST_GAP, abs=0.02)
    np.testing.assert_allclose(chosen.blendshapes[[ARKIT_INDEX["jawOpen"], ARKIT_INDEX["browInnerUp"]]], (0.02, 0))


def test_a_neutral_is_composed_when_no_frame_is_calm_in_everything():
    """Mouth shut only while the brows are up and the head is turned; brows at rest only while the mouth is open."""
    shut = [noisy(i, rotation=(4, 12, 0), browInnerUp=0.8, browOuterUpLeft=0.8) for i in range(15)]
    still = [noisy(50 + i, jawOpen=0.7) for i in range(60)]
    winks = [noisy(200 + i, jawOpen=0.4, lids=(0.1, 0.1), gaze=(0.1, 0)) for i in range(5)]
    states = [*still[:30], *shut, *winks, *still[30:]]
    composed = of(best_neutral(states))
    neutral = observe(perform())
    assert gap(composed) == pytest.approx(REST_GAP, abs=0.02)
    away = measure(neutral, composed)
    np.testing.assert_allclose(delta_of(away)[17:27], 0, atol=0.015)
    np.testing.assert_allclose(away[LIDS], 1, atol=0.12)
    assert np.degrees(np.abs(away[ROTATION])).max() < 1.5

    keeper = NeutralKeeper()
    live = feed(keeper, [*still[:35], *shut, *shut, *still])[-1]
    assert gap(live) == pytest.approx(REST_GAP, abs=0.025), "live the mouth improves by itself, too"
    np.testing.assert_allclose(delta_of(measure(neutral, live))[17:27], 0, atol=0.02)
    assert np.degrees(np.abs(measure(neutral, live)[ROTATION])).max() < 2.5


def test_the_composed_neutral_of_a_mesh_is_a_mesh(shared_media):
    states = [s for s in tracked_clip(shared_media / "driving" / "d10.mp4", 150) if s.found]
    chosen = best_neutral(states)
    assert chosen.points_xyz.shape == states[0].points_xyz.shape
    assert chosen.points_xyz.dtype == np.float32
    assert observe(chosen).kind == observe(states[0]).kind
    # Neighbours in the mesh stay neighbours: the lips of the mesh lie around the composed ones.
    upper, lower = chosen.points_xyz[[12, 13], 1], chosen.points_xyz[[14, 15], 1]
    assert upper.max() <= lower.min() + 1.0


def test_a_single_lucky_frame_does_not_win():
    states = [noisy(i, browInnerUp=0.3) for i in range(20)]
    states = [*states[:15], *[perform(jawOpen=0.9)] * 3, perform(), *[perform(jawOpen=0.9)] * 3]
    brows = delta_of(measure(observe(perform(browInnerUp=0.3)), of(best_neutral(states))))[[20, 21, 22, 23], 1]
    np.testing.assert_allclose(brows, 0, atol=0.015)


def test_there_is_no_neutral_without_a_face():
    assert best_neutral([]) is None
    assert best_neutral([FaceState.lost(SIZE)] * 3) is None
    assert best_neutral([perform()]) is not None


@pytest.mark.parametrize("clip", ["d10", "d6"])
def test_real_clips_are_measured_against_a_calm_face(clip, shared_media):
    """Among the frames of a talking clip the chosen neutral has a calmer mouth than most, and open eyes."""
    states = [s for s in tracked_clip(shared_media / "driving" / f"{clip}.mp4", 150) if s.found]
    chosen = best_neutral(states)
    keeper = NeutralKeeper()
    live = [keeper.step(observe(s), DT) for s in states][-1]
    assert keeper.settled
    frames = [feed(NeutralKeeper(), [s])[0] for s in states]
    gaps = np.array([gap(r) for r in frames])
    eyes = np.array([r.openings.mean() for r in frames])
    for reference, share in ((of(chosen), 0.15), (live, 0.3)):
        assert (gaps < gap(reference)).mean() < share
        assert reference.openings.mean() > 0.8 * np.median(eyes)
