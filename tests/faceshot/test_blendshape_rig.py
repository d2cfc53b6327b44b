import numpy as np
import pytest

from faceshot.blendshape_rig import CANONICAL_FACE, motion_from_blendshapes, shapes_from_motion
from faceshot.driver import frontal_face
from faceshot.motion import GAZE, LIDS, delta_of, mirrored, rest
from faceshot.topology import ARKIT_INDEX, ARKIT_MIRROR, ARKIT_NAMES, MIRROR_70


def shapes(**values):
    out = np.zeros(len(ARKIT_NAMES))
    for name, value in values.items():
        out[ARKIT_INDEX[name]] = value
    return out


def face(**values):
    return frontal_face(motion_from_blendshapes(shapes(**values)), CANONICAL_FACE)


def test_the_canonical_face_is_upright_symmetric_and_one_wide():
    np.testing.assert_allclose(CANONICAL_FACE[MIRROR_70] * (-1, 1, 1), CANONICAL_FACE, atol=1e-3)
    assert CANONICAL_FACE[16, 0] - CANONICAL_FACE[0, 0] == pytest.approx(1, abs=1e-3)
    y = CANONICAL_FACE[:, 1]
    assert y[17:27].max() < y[36:48].min() < y[33] < y[62] < y[8]
    assert CANONICAL_FACE[30, 2] < CANONICAL_FACE[8, 2] < 0, "the nose is nearest"


def test_at_rest_nothing_moves():
    np.testing.assert_array_equal(motion_from_blendshapes(shapes()), rest())
    np.testing.assert_allclose(face(), CANONICAL_FACE, atol=1e-9)
    ground = shapes(jawOpen=0.2, eyeBlinkLeft=0.3)
    motion = motion_from_blendshapes(ground, ground)
    np.testing.assert_allclose(delta_of(motion), 0, atol=1e-12)
    np.testing.assert_array_equal(motion[LIDS], 1)


def test_shapes_do_what_their_names_say():
    jaw = face(jawOpen=1)
    assert jaw[66, 1] - jaw[62, 1] > 0.15
    assert jaw[8, 1] > CANONICAL_FACE[8, 1] + 0.1
    closed = face(jawOpen=1, mouthClose=1)
    assert abs(closed[66, 1] - closed[62, 1]) < 0.03
    smile = face(mouthSmileLeft=1)
    assert smile[54, 0] > CANONICAL_FACE[54, 0] + 0.03, "the subject's left is the image's right"
    assert smile[54, 1] < CANONICAL_FACE[54, 1] - 0.03
    np.testing.assert_allclose(smile[48], CANONICAL_FACE[48])
    pucker = face(mouthPucker=1)
    assert pucker[54, 0] - pucker[48, 0] < 0.7 * (CANONICAL_FACE[54, 0] - CANONICAL_FACE[48, 0])
    assert face(browInnerUp=1)[21, 1] < CANONICAL_FACE[21, 1] - 0.05
    assert face(browDownRight=1)[20, 1] > CANONICAL_FACE[20, 1] + 0.03


def test_a_wink_shuts_one_eye_exactly():
    motion = motion_from_blendshapes(shapes(eyeBlinkRight=1))
    np.testing.assert_array_equal(motion[LIDS], (0, 1))
    out = face(eyeBlinkRight=1)
    axis = (out[39] - out[36]) / np.linalg.norm(out[39] - out[36])
    for p in (37, 38, 40, 41):
        assert np.linalg.norm(np.cross(out[p] - out[36], axis)) < 1e-6
    # A neutral with some eyeBlink in it can still be shut.
    tired = motion_from_blendshapes(shapes(eyeBlinkRight=1), shapes(eyeBlinkRight=0.4, eyeBlinkLeft=0.4))
    assert tired[LIDS][0] == 0


def test_gaze_looks_where_the_eyes_look():
    left = motion_from_blendshapes(shapes(eyeLookOutLeft=1, eyeLookInRight=1))[GAZE].reshape(2, 2)
    assert (left[:, 0] > 0.1).all(), "the subject's left is the image's right"
    down = motion_from_blendshapes(shapes(eyeLookDownLeft=1, eyeLookDownRight=1))[GAZE].reshape(2, 2)
    assert (down[:, 1] > 0.05).all()


@pytest.mark.parametrize("name", ARKIT_NAMES)
def test_the_rig_is_symmetric(name):
    one = shapes(**{name: 0.8})
    np.testing.assert_allclose(
        motion_from_blendshapes(one[ARKIT_MIRROR]), mirrored(motion_from_blendshapes(one)), atol=1e-9
    )


@pytest.mark.parametrize(
    "name",
    "jawOpen mouthPucker browInnerUp eyeBlinkLeft eyeWideRight mouthSmileRight mouthFrownLeft browDownLeft "
    "browOuterUpRight eyeLookOutLeft eyeLookDownRight".split(),
)
def test_shapes_that_landmarks_show_are_read_back(name):
    read = shapes_from_motion(motion_from_blendshapes(shapes(**{name: 0.8})))
    assert read[ARKIT_INDEX[name]] > 0.5
    assert (read >= 0).all()
    assert (read <= 1).all()
    np.testing.assert_array_equal(shapes_from_motion(rest()), 0)
