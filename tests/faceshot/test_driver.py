from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceshot.blendshape_rig import CANONICAL_FACE
from faceshot.driver import blend, frontal_face, measure, observe, reference_from, yaw_at_rest
from faceshot.geometry import matrix_from_rotation_vector
from faceshot.motion import DELTA, GAZE, LIDS, ROTATION, SCALE, SHAPES, TRANSLATION, delta_of, rest
from faceshot.topology import ARKIT_INDEX, MEDIAPIPE_TO_70
from faceshot.types import FaceState
from tests.faceshot.performer import SIZE, perform, phone, shapes, tracked_clip

NEUTRAL = reference_from(observe(perform()))


def motion_of(state, neutral=NEUTRAL, **kwargs):
    return measure(observe(state), neutral, **kwargs)


def test_the_neutral_measures_as_rest():
    np.testing.assert_allclose(motion_of(perform()), rest(), atol=1e-4)


@settings(max_examples=50)
@given(
    st.tuples(st.floats(-25, 25), st.floats(-35, 35), st.floats(-30, 30)),
    st.tuples(st.floats(-0.4, 0.4), st.floats(-0.3, 0.3)),
    st.floats(0.6, 1.5),
)
def test_rigid_motion_is_head_motion_and_nothing_else(rotation, translation, scale):
    motion = motion_of(perform(rotation, translation, scale))
    np.testing.assert_allclose(np.degrees(motion[ROTATION]), rotation, atol=0.7)
    np.testing.assert_allclose(motion[TRANSLATION], translation, atol=0.015)
    assert np.exp(motion[SCALE][0]) == pytest.approx(scale, rel=1e-3)
    np.testing.assert_allclose(motion[DELTA], 0, atol=2e-3)
    np.testing.assert_allclose(motion[LIDS], 1, atol=0.02)
    np.testing.assert_allclose(motion[GAZE], 0, atol=0.01)


def test_a_nod_is_a_nod_however_the_camera_stands():
    base = (5.0, 25.0, -8.0)
    neutral = reference_from(observe(perform(base=base)))
    for rotation in ((12, 0, 0), (0, 15, 0), (0, 0, 10)):
        motion = motion_of(perform(rotation, base=base), neutral)
        np.testing.assert_allclose(np.degrees(motion[ROTATION]), rotation, atol=0.5)
    np.testing.assert_allclose(neutral.face, NEUTRAL.face, atol=0.02)


def posed(state, roll=0.0):
    """The same with a tracker's own pose, tilted too far by so many degrees."""
    head = np.eye(4, dtype=np.float32)
    head[:3, :3] = matrix_from_rotation_vector(np.radians((0.0, 0.0, roll)))
    return replace(state, head=head)


@pytest.mark.parametrize("rolled", [-2.0, 2.0])
def test_eyes_say_how_a_head_tilts_unless_it_is_to_be_read_the_same(rolled):
    neutral = reference_from(observe(posed(perform())))
    aside = posed(perform(mouthLeft=1.0, jawLeft=1.0), rolled)
    tilt, as_read = (np.degrees(motion_of(aside, neutral, as_read=said)[ROTATION][2]) for said in (False, True))
    assert abs(tilt) < 0.2 and as_read == pytest.approx(rolled, abs=0.01)


@pytest.mark.parametrize("rotation", [(0, 0, 0), (10, 20, -10)])
def test_expressions_survive_frontalisation(rotation):
    delta = delta_of(motion_of(perform(rotation, jawOpen=0.8, mouthSmileLeft=0.7, browInnerUp=0.9)))
    still = delta_of(motion_of(perform(jawOpen=0.8, mouthSmileLeft=0.7, browInnerUp=0.9)))
    np.testing.assert_allclose(delta, still, atol=5e-3)
    assert delta[66, 1] - delta[62, 1] > 0.12
    assert delta[54, 1] < delta[48, 1] - 0.02
    assert delta[21, 1] < -0.05


def test_the_contour_slides_instead_of_stretching():
    noise = np.zeros((70, 3))
    noise[[2, 3, 13, 14]] = 12.0
    np.testing.assert_allclose(delta_of(motion_of(perform(noise=noise)))[[2, 14]], 0)
    assert np.abs(delta_of(motion_of(perform(noise=noise)))[[3, 13]]).max() < 0.02


@pytest.mark.parametrize(
    ("lids", "expected"), [((0, 0), (0, 0)), ((0, 1), (0, 1)), ((1, 0), (1, 0)), ((1.5, 1.5), None)]
)
def test_each_eye_shuts_by_itself_and_exactly(lids, expected):
    for rotation in ((0, 0, 0), (8, -15, 5)):
        measured = motion_of(perform(rotation, lids=lids))[LIDS]
        if expected is None:
            assert ((measured > 1.2) & (measured <= 1.6)).all()
        else:
            np.testing.assert_allclose(measured, expected, atol=0.03)
            assert (measured[np.array(expected) == 0] == 0).all()


def test_half_shut_eyes_are_half_shut():
    assert motion_of(perform(lids=(0.6, 0.6)))[LIDS] == pytest.approx([0.6, 0.6], abs=0.08)


def test_blendshapes_help_the_lids_where_they_are_known():
    neutral = reference_from(observe(with_shapes(perform(), eyeBlinkLeft=0.1, eyeBlinkRight=0.1)))
    state = with_shapes(perform(lids=(0.12, 1)), eyeBlinkRight=0.65, eyeBlinkLeft=0.1)
    np.testing.assert_allclose(motion_of(state, neutral)[LIDS], (0, 1), atol=0.02)


def with_shapes(state, **values):
    return FaceState(state.size_wh, 1.0, state.points_xyz, True, shapes(**values).astype(np.float32))


def test_gaze_is_the_pupils_place_and_is_held_while_the_eyes_are_shut():
    looking = motion_of(perform(gaze=(0.12, 0.03)))[GAZE]
    np.testing.assert_allclose(looking, (0.12, 0.03, 0.12, 0.03), atol=0.01)
    shut = motion_of(perform(gaze=(-0.3, 0.3), lids=(0, 0)), last_gaze=looking)[GAZE]
    np.testing.assert_allclose(shut, looking)
    # During a wink the open eye decides.
    wink = motion_of(perform(gaze=(0.12, 0.03), lids=(0, 1)))[GAZE]
    np.testing.assert_allclose(wink, (0.12, 0.03, 0.12, 0.03), atol=0.01)


def test_what_is_measured_can_be_composed_again():
    state = perform(lids=(0.5, 1.2), gaze=(0.05, -0.02), jawOpen=0.5, browDownLeft=0.6)
    motion = motion_of(state)
    again = motion_of(perform(), NEUTRAL).copy()
    again[:] = motion
    face = frontal_face(again, NEUTRAL.face)
    lips = list(range(48, 68))
    seen = (state.points_xyz[:, :2] - (320, 240)) / 160
    np.testing.assert_allclose(face[lips, :2], seen[lips], atol=0.02)


def test_flat_points_turn_about_z_only():
    neutral = reference_from(observe(perform(flat=True)))
    motion = motion_of(perform((0, 0, 15), (0.1, 0), 1.2, flat=True), neutral)
    np.testing.assert_allclose(np.degrees(motion[ROTATION]), (0, 0, 15), atol=0.1)
    np.testing.assert_allclose(motion[TRANSLATION], (0.1, 0), atol=0.01)
    np.testing.assert_allclose(motion[DELTA], 0, atol=1e-3)


def test_without_blendshapes_rough_ones_are_read_from_the_points():
    read = motion_of(perform(jawOpen=0.9, mouthSmileRight=0.8, lids=(0, 1)))[SHAPES]
    assert read[ARKIT_INDEX["jawOpen"]] > 0.6
    assert read[ARKIT_INDEX["mouthSmileRight"]] > read[ARKIT_INDEX["mouthSmileLeft"]] + 0.3
    assert read[ARKIT_INDEX["eyeBlinkRight"]] == 1, "the image-left eye is the subject's right"


def test_blendshapes_and_head_alone_give_the_same_motion():
    neutral = reference_from(observe(phone((3, 8, 0))))
    turn = matrix_from_rotation_vector(np.radians((3, 8, 0))) @ matrix_from_rotation_vector(np.radians((0, 12, 0)))
    state = phone(jawOpen=0.8, eyeBlinkLeft=1.0)
    state.head[:3, :3] = turn
    state.head[:3, 3] = (1.45, 0, -36)
    motion = motion_of(state, neutral)
    np.testing.assert_allclose(np.degrees(motion[ROTATION]), (0, 12, 0), atol=0.01)
    np.testing.assert_allclose(motion[TRANSLATION], (0.1, 0), atol=1e-6)
    assert np.exp(motion[SCALE][0]) == pytest.approx(40 / 36)
    np.testing.assert_array_equal(motion[LIDS], (1, 0))
    assert delta_of(motion)[66, 1] > 0.1


def test_blending_references_goes_from_one_to_the_other():
    a, b = NEUTRAL, reference_from(observe(perform((5, 10, 0), (0.1, 0), 1.1, jawOpen=0.3)))
    half = blend(a, b, 0.5)
    np.testing.assert_allclose(half.face, 0.5 * (a.face + b.face))
    np.testing.assert_allclose(half.pose.rotation @ half.pose.rotation.T, np.eye(3), atol=1e-9)
    assert blend(a, b, 1.0) is b
    np.testing.assert_allclose(blend(a, b, 0.0).pose.rotation, a.pose.rotation)


@pytest.mark.parametrize(
    "state",
    [
        FaceState.lost(SIZE),
        FaceState(SIZE, 1.0),
        FaceState(SIZE, 1.0, np.full((70, 3), np.nan, np.float32)),
        FaceState(SIZE, 1.0, np.full((70, 3), np.inf, np.float32)),
        FaceState(SIZE, 1.0, np.zeros((70, 3), np.float32)),
        FaceState(SIZE, 1.0, np.zeros((478, 3), np.float32)),
        FaceState(SIZE, 1.0, np.random.default_rng(0).normal(0, 100, (33, 3)).astype(np.float32)),
        FaceState(SIZE, 1.0, None, True, np.full(52, np.nan, np.float32)),
    ],
    ids="lost nothing nan inf point478 point33 odd shapes".split(),
)
def test_what_makes_no_sense_is_not_observed(state):
    assert observe(state) is None


def test_low_confidence_can_be_refused():
    assert observe(perform(confidence=0.2), 0.3) is None
    assert observe(perform(confidence=0.4), 0.3) is not None


def test_the_pupils_are_on_their_own_sides(shared_media):
    """The map of 478 points to ours, on a real face: 68 is the image-left pupil, inside the image-left eye."""
    states = tracked_clip(shared_media / "driving" / "d10.mp4", 60)
    mesh = states[-1].points_xyz
    points = mesh[MEDIAPIPE_TO_70]
    for pupil, inner, outer in ((68, 36, 39), (69, 42, 45)):
        assert points[inner, 0] < points[pupil, 0] < points[outer, 0]
    assert points[68, 0] < points[27, 0] < points[69, 0]


def test_a_mesh_without_irises_looks_straight_ahead(shared_media):
    states = tracked_clip(shared_media / "driving" / "d10.mp4", 60)
    bare = [FaceState(s.size_wh, 1.0, np.ascontiguousarray(s.points_xyz[:468])) for s in states if s.found]
    neutral = reference_from(observe(bare[0]))
    gaze = np.array([motion_of(s, neutral)[GAZE] for s in bare])
    assert np.abs(gaze).max() < 0.12


def test_a_real_face_moves_within_reason(shared_media):
    states = tracked_clip(shared_media / "driving" / "d10.mp4", 60)
    neutral = reference_from(observe(states[30]))
    motions = np.array([motion_of(s, neutral) for s in states])
    assert np.degrees(np.abs(motions[:, ROTATION])).max() < 25
    assert np.abs(motions[:, DELTA]).max() < 0.4
    assert 0 <= motions[:, LIDS].min()


@pytest.mark.parametrize("yaw", [-38, -15, 0, 15, 38])
@pytest.mark.parametrize(("pitch", "roll"), [(0, 0), (10, 20), (-8, -15)])
def test_the_turn_of_a_picture_is_seen_from_its_points(yaw, pitch, roll):
    # Turned about the face's own upright, then tilted, as heads are.
    tilt = matrix_from_rotation_vector(np.radians((0, 0, roll))) @ matrix_from_rotation_vector(
        np.radians((pitch, 0, 0))
    )
    turn = matrix_from_rotation_vector(np.radians((0, yaw, 0)))
    points = (200 * CANONICAL_FACE @ turn.T @ tilt.T)[:, :2] + 256
    all_there = np.ones(70, np.bool_)
    found = np.degrees(yaw_at_rest(points, all_there))
    assert found == pytest.approx(np.sign(yaw) * max(abs(yaw) - 4, 0), abs=4)
    noseless = all_there.copy()
    noseless[27:36] = False
    assert yaw_at_rest(points, noseless) == 0
    assert yaw_at_rest(np.full((70, 2), np.nan), all_there) == 0
    assert yaw_at_rest(np.zeros((70, 2)), all_there) == 0
