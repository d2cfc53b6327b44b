from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from faceshot import topology
from faceshot.errors import FaceshotError, WeightsMissing
from faceshot.mediapipe_import import import_mediapipe
from faceshot.pictures import read_picture
from faceshot.tracker import (
    FaceMeshTracker,
    FaceTracker,
    LandmarkerTracker,
    _from_message,
    detect_face,
    make_tracker,
)
from faceshot.types import CameraImage, FaceState
from tests.faceshot.faces import crossing

NOTHING = CameraImage(np.full((240, 320, 3), 90, np.uint8))
has_face_mesh = pytest.mark.skipif(
    not hasattr(import_mediapipe(), "solutions"), reason="this mediapipe has no face mesh"
)


def frames(path: Path, count: int, step: int = 1) -> list[CameraImage]:
    capture = cv2.VideoCapture(str(path))
    images = []
    for _ in range(count * step):
        ok, bgr = capture.read()
        assert ok
        images.append(CameraImage(np.ascontiguousarray(bgr[..., ::-1])))
    capture.release()
    return images[::step]


@pytest.fixture(scope="module")
def talking(shared_media: Path) -> list[CameraImage]:
    """Six seconds of a real face that talks, blinks and turns, five frames a second."""
    return frames(shared_media / "driving" / "d10.mp4", 30, step=6)


@pytest.fixture(scope="module")
def no_models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("FACESHOT_MODELS", raising=False)
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr("sys.platform", "linux")
        yield tmp_path_factory.mktemp("models")


@pytest.fixture(params=["landmarker", pytest.param("facemesh", marks=has_face_mesh)])
def tracker(request: pytest.FixtureRequest, shared_models: Path) -> Iterator[FaceTracker]:
    made = make_tracker(request.param, shared_models)
    yield made
    made.close()


def track_all(tracker: FaceTracker, images: list[CameraImage]) -> list[FaceState]:
    return [tracker.track(image, 200 * i) for i, image in enumerate(images)]


def test_a_real_face_is_followed(tracker: FaceTracker, talking: list[CameraImage]) -> None:
    states = track_all(tracker, talking)
    assert all(state.found and state.confidence == 1.0 for state in states)
    for state in states:
        assert state.size_wh == (512, 512) and state.crop is None and state.has_depth
        points = state.points_xyz
        assert points is not None and points.shape == (478, 3) and points.dtype == np.float32
        xy = points[topology.MEDIAPIPE_TO_70, :2]
        assert xy[36:42, 0].max() < xy[42:48, 0].min(), "image-left eye is left of the other"
        assert xy[36:48, 1].mean() < xy[30:36, 1].mean() < xy[48:68, 1].mean() < xy[8, 1]
        nose_z, ears_z = points[1, 2], points[[234, 454], 2].mean()
        assert nose_z < ears_z, "smaller z is nearer"
        for pupil, eye in ((68, topology.EYE_LEFT), (69, topology.EYE_RIGHT)):
            corner_distance = np.linalg.norm(xy[eye[0]] - xy[eye[3]])
            assert np.linalg.norm(xy[pupil] - xy[list(eye)].mean(axis=0)) < 0.4 * corner_distance


def test_points_are_in_pixels_of_any_frame(tracker: FaceTracker, talking: list[CameraImage]) -> None:
    """The same face in a wide frame, moved to the right by 300 px: the points move with it."""
    wide = np.full((512, 1100, 3), 90, np.uint8)
    wide[:, 300:812] = talking[0].rgb
    one = [tracker.track(talking[0], t) for t in range(0, 400, 100)][-1]
    tracker.reset()
    other = [tracker.track(CameraImage(wide), t) for t in range(500, 900, 100)][-1]
    assert one.points_xyz is not None and other.points_xyz is not None
    assert np.abs(other.points_xyz[:, :2] - (300, 0) - one.points_xyz[:, :2]).max() < 6
    assert np.abs(other.points_xyz[:, 2] - one.points_xyz[:, 2]).max() < 12


def test_4k_frames_are_shrunk_and_points_are_not(tracker: FaceTracker, talking: list[CameraImage]) -> None:
    large = CameraImage(np.asarray(cv2.resize(talking[0].rgb, (2560, 2560)), np.uint8))
    small = [tracker.track(talking[0], t) for t in range(0, 400, 100)][-1]
    tracker.reset()
    state = [tracker.track(large, t) for t in range(500, 900, 100)][-1]
    assert state.size_wh == (2560, 2560) and state.points_xyz is not None and small.points_xyz is not None
    assert np.abs(state.points_xyz / 5 - small.points_xyz)[:, :2].max() < 5


def test_no_face_and_a_face_again(tracker: FaceTracker, talking: list[CameraImage]) -> None:
    states = track_all(tracker, [NOTHING, talking[0], talking[1], NOTHING, talking[2]])
    assert [state.found for state in states] == [False, True, True, False, True]
    assert states[0].size_wh == (320, 240) and states[0].confidence == 0.0 and states[0].points_xyz is None


def test_reset_forgets_the_face(tracker: FaceTracker, shared_media: Path, talking: list[CameraImage]) -> None:
    """After a cut to another person the result is the same as from a new tracker, at once."""
    other = frames(shared_media / "driving" / "d6.mp4", 1)[0]
    tracker.track(other, 0)
    tracker.reset()
    fresh = tracker.track(talking[0], 200)
    tracker.reset()
    for t, image in enumerate(talking[:4]):
        tracker.track(image, 400 + 100 * t)
    tracker.reset()
    again = tracker.track(talking[0], 1400)
    assert fresh.points_xyz is not None and again.points_xyz is not None
    assert np.abs(fresh.points_xyz - again.points_xyz).max() < 0.5


def test_time_that_stands_still_or_runs_back(tracker: FaceTracker, talking: list[CameraImage]) -> None:
    for time_ms in (1000, 1000, 5, 0):
        assert tracker.track(talking[0], time_ms).found


def test_pictures_that_are_views(tracker: FaceTracker, talking: list[CameraImage]) -> None:
    bgr = np.ascontiguousarray(talking[0].rgb[..., ::-1])
    assert tracker.track(CameraImage(bgr[..., ::-1]), 0).found


def test_blendshapes_and_pose(shared_models: Path, shared_media: Path) -> None:
    tracker = make_tracker("landmarker", shared_models)
    states = [tracker.track(f, 67 * i) for i, f in enumerate(frames(shared_media / "driving" / "d10.mp4", 100, 2))]
    tracker.close()
    shapes = np.stack([s.blendshapes for s in states if s.blendshapes is not None])
    poses = np.stack([s.head for s in states if s.head is not None])
    points = np.stack([s.points_xyz for s in states if s.points_xyz is not None])
    assert len(shapes) == len(poses) == 100 and shapes.dtype == np.float32
    assert shapes.min() >= 0 and shapes.max() <= 1 and not shapes[:, topology.ARKIT_INDEX["tongueOut"]].any()

    def gap(upper: int, lower: int) -> np.ndarray:
        return np.linalg.norm(points[:, upper, :2] - points[:, lower, :2], axis=1)

    # Named channels must move with what they name: lips apart, image-left lid (the subject's right) closing.
    assert np.corrcoef(shapes[:, topology.ARKIT_INDEX["jawOpen"]], gap(13, 14))[0, 1] > 0.6
    assert np.corrcoef(shapes[:, topology.ARKIT_INDEX["eyeBlinkRight"]], gap(159, 145))[0, 1] < -0.8

    # A rotation, in front of the camera, and turning as the points do in image axes (x right, y down, z away).
    rotation, distance = poses[:, :3, :3], poses[:, 2, 3]
    assert np.allclose(rotation @ rotation.transpose(0, 2, 1), np.eye(3), atol=1e-3)
    assert (np.linalg.det(rotation) > 0.99).all() and (distance > 10).all() and (distance < 100).all()
    across = points[:, 454] - points[:, 234]
    along = points[:, 152] - points[:, 10]
    roll, yaw = np.arctan2(across[:, 1], across[:, 0]), np.arctan2(across[:, 2], across[:, 0])
    pitch = np.arctan2(along[:, 2], along[:, 1])
    assert np.corrcoef(roll, np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0]))[0, 1] > 0.9
    assert np.corrcoef(yaw, np.arctan2(rotation[:, 2, 0], rotation[:, 0, 0]))[0, 1] > 0.9
    assert np.corrcoef(pitch, np.arctan2(rotation[:, 2, 1], rotation[:, 1, 1]))[0, 1] > 0.9


def test_the_model_knows_exactly_our_names(shared_models: Path, talking: list[CameraImage]) -> None:
    mediapipe = import_mediapipe()
    tracker = LandmarkerTracker(shared_models / "face_landmarker.task")
    image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=talking[0].rgb)
    names = [c.category_name for c in tracker._landmarker.detect_for_video(image, 99).face_blendshapes[0]]
    tracker.close()
    assert names == ["_neutral", *topology.ARKIT_NAMES[:-1]] and topology.ARKIT_NAMES[-1] == "tongueOut"


@pytest.mark.parametrize("turn", [0, 25])
def test_the_crop_is_upright_and_centred(turn: int, shared_models: Path, talking: list[CameraImage]) -> None:
    tracker = make_tracker("landmarker", shared_models, want_crop=True)
    turned = cv2.warpAffine(talking[0].rgb, cv2.getRotationMatrix2D((256, 256), turn, 0.8), (512, 512))
    state = [tracker.track(CameraImage(np.asarray(turned, np.uint8)), 100 * t) for t in range(4)][-1]
    assert state.crop is not None and state.crop.shape == (256, 256, 3)
    inside = [tracker.track(CameraImage(state.crop), 1000 + 100 * t) for t in range(4)][-1]
    tracker.close()
    assert inside.points_xyz is not None
    xy = inside.points_xyz[topology.MEDIAPIPE_TO_70, :2]
    left, right = xy[36:42].mean(axis=0), xy[42:48].mean(axis=0)
    assert abs(np.degrees(np.arctan2(right[1] - left[1], right[0] - left[0]))) < 4
    assert np.abs((left + right) / 2 - (128, 122)).max() < 8
    assert 40 < right[0] - left[0] < 64


@pytest.mark.parametrize("name", ["s0", "s6", "s7", "s9", "s10"])
@pytest.mark.parametrize("models", ["with", pytest.param("without", marks=has_face_mesh)])
def test_stills(name: str, models: str, shared_media: Path, shared_models: Path, no_models: Path) -> None:
    rgb = read_picture(shared_media / "characters" / f"{name}.jpg")[..., :3]
    state = detect_face(rgb, shared_models if models == "with" else no_models)
    assert state.found and state.size_wh == (rgb.shape[1], rgb.shape[0]) and state.points_xyz is not None


def face_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    rgb = read_picture(path)[..., :3]
    points = detect_face(rgb).points_xyz
    assert points is not None
    return rgb, points[topology.MEDIAPIPE_TO_70, :2]


@has_face_mesh
def test_a_face_that_fills_the_picture(shared_media: Path) -> None:
    rgb, xy = face_of(shared_media / "characters" / "s9.jpg")
    left, top = np.floor(xy.min(axis=0)).astype(int)
    right, bottom = np.ceil(xy.max(axis=0)).astype(int)
    tight = np.ascontiguousarray(rgb[top:bottom, left:right])
    state = detect_face(tight)
    assert state.points_xyz is not None and state.size_wh == (tight.shape[1], tight.shape[0])
    error = np.linalg.norm(state.points_xyz[topology.MEDIAPIPE_TO_70, :2] + (left, top) - xy, axis=1)
    assert error.mean() < 0.05 * (right - left)


@has_face_mesh
@pytest.mark.parametrize("corner", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_a_small_face_in_a_corner_of_a_large_picture(corner: tuple[int, int], shared_media: Path) -> None:
    rgb, xy = face_of(shared_media / "characters" / "s9.jpg")
    small = np.asarray(cv2.resize(rgb, (360, 640), interpolation=cv2.INTER_AREA), np.uint8)
    large = np.full((1600, 2400, 3), 100, np.uint8)
    left, top = corner[0] * (2400 - 360), corner[1] * (1600 - 640)
    large[top : top + 640, left : left + 360] = small
    state = detect_face(large)
    assert state.points_xyz is not None, "a face 5 % as wide as its picture"
    error = np.linalg.norm(state.points_xyz[topology.MEDIAPIPE_TO_70, :2] - (left, top) - xy / 2, axis=1)
    assert error.mean() < 0.05 * np.linalg.norm(xy[16] - xy[0]) / 2


def test_noise_and_odd_shapes_have_no_face(shared_models: Path) -> None:
    rng = np.random.default_rng(0)
    for shape in ((64, 64, 3), (64, 900, 3), (700, 65, 3)):
        assert not detect_face(rng.integers(0, 256, shape, np.uint8), shared_models).found


@has_face_mesh
def test_auto_takes_the_best_at_hand(shared_models: Path, no_models: Path) -> None:
    for folder, kind in ((shared_models, LandmarkerTracker), (no_models, FaceMeshTracker)):
        made = make_tracker("auto", folder)
        assert isinstance(made, kind) and made.name.startswith("MediaPipe")
        made.close()


def test_a_missing_file_names_the_command(no_models: Path) -> None:
    with pytest.raises(WeightsMissing, match="faceshot models pull face_landmarker"):
        make_tracker("landmarker", no_models)


def test_mediapipe_without_a_face_mesh(no_models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faceshot.tracker._has_face_mesh", lambda: False)
    with pytest.raises(WeightsMissing, match="faceshot models pull face_landmarker"):
        make_tracker("auto", no_models)
    with pytest.raises(WeightsMissing, match="faceshot models pull face_landmarker"):
        detect_face(NOTHING.rgb, no_models)
    with pytest.raises(FaceshotError, match="has no face mesh"):
        make_tracker("facemesh", no_models)


@pytest.mark.parametrize("damage", ["empty", "rubbish", "cut"])
def test_a_damaged_model_file(damage: str, tmp_path: Path, shared_models: Path) -> None:
    data = (shared_models / "face_landmarker.task").read_bytes()
    damaged = {"empty": b"", "rubbish": b"rubbish" * 999, "cut": data[: len(data) // 2]}[damage]
    (tmp_path / "face_landmarker.task").write_bytes(damaged)
    with pytest.raises(WeightsMissing, match="is damaged") as caught:
        LandmarkerTracker(tmp_path / "face_landmarker.task")
    assert "faceshot models pull face_landmarker" in caught.value.hint


@has_face_mesh
@pytest.mark.parametrize("further", [{}, {"visibility": 0.5}])
def test_points_are_read_from_the_message_as_they_are(further: dict[str, float]) -> None:
    from mediapipe.framework.formats import landmark_pb2

    points = np.random.default_rng(1).normal(size=(478, 3)).astype(np.float32)
    points[5] = 0.0
    message = landmark_pb2.NormalizedLandmarkList()
    for x, y, z in points:
        message.landmark.add(x=x, y=y, z=z, **further)
    assert np.array_equal(_from_message(message), points)


# Several faces


@pytest.fixture(params=["landmarker", pytest.param("facemesh", marks=has_face_mesh)])
def trackers(request: pytest.FixtureRequest, shared_models: Path) -> Iterator[FaceTracker]:
    made = make_tracker(request.param, shared_models, want_crop=True, most=3)
    yield made
    made.close()


def middle(state: FaceState) -> float:
    assert state.points_xyz is not None
    return float(state.points_xyz[:, 0].mean())


def test_two_real_faces_that_pass_each_other_stay_themselves(trackers: FaceTracker, shared_media: Path) -> None:
    """While one is behind the other it is lost; it comes out on the other side as the second face again."""
    pictures = crossing(shared_media, 24, 0.1)
    states = [trackers.track(CameraImage(picture), 100 * i) for i, picture in enumerate(pictures)]
    first, second = states[0], states[0].others[0]
    assert middle(first) < 200 < 600 < middle(second), "at first from left to right"
    assert any(not state.others for state in states), "it is lost"
    last = states[-1]
    assert len(last.others) == 1 and middle(last.others[0]) < 200 < 600 < middle(last)
    # Their crops show who is who: two people differ more than one does from himself.
    crops = [first.crop, second.crop, last.crop, last.others[0].crop]
    a, b, a_again, b_again = (np.float32(crop[64:192, 64:192]) for crop in crops if crop is not None)
    own = float(max(np.abs(a - a_again).mean(), np.abs(b - b_again).mean()))
    assert own < 0.8 * float(min(np.abs(a - b_again).mean(), np.abs(b - a_again).mean()))


def test_one_face_among_several_is_followed_as_it_is_alone(trackers: FaceTracker, talking: list[CameraImage]) -> None:
    for i, image in enumerate(talking[:4]):
        state = trackers.track(image, 200 * i)
        assert state.found and state.crop is not None and state.others == ()
    trackers.reset()
    assert not trackers.track(NOTHING, 1000).found


def test_each_of_several_faces_has_a_cropper_of_its_own(shared_models: Path, shared_media: Path) -> None:
    from faceshot.animators.liveportrait.driver_crop import DriverCrop

    tracker = make_tracker("auto", shared_models, make_cropper=DriverCrop, most=2)
    pictures = crossing(shared_media, 3, 0.1)
    states = [tracker.track(CameraImage(picture), 100 * i) for i, picture in enumerate(pictures)]
    tracker.close()
    for state in (states[-1], states[-1].others[0]):
        assert state.crop_square is not None
        assert abs(state.crop_square[0] - middle(state)) < 20, "around its own face"
