"""Finding the performer's face with MediaPipe, in video and in stills.

Two generations of MediaPipe's models give the same 478 points:

    LandmarkerTracker   the FaceLandmarker task (needs face_landmarker.task): also blendshapes and the head's pose
    FaceMeshTracker     the face mesh inside the mediapipe 0.10 wheels: points only, no file needed, three times as fast

mediapipe 1.0 and newer has no face mesh; there the task file is a must.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import cv2
import numpy as np

from faceshot import topology, weights
from faceshot.errors import FaceshotError, WeightsMissing
from faceshot.mediapipe_import import import_mediapipe, quiet
from faceshot.same_faces import SameFaces, Spot
from faceshot.types import CameraImage, FaceState, Float32, Square, UInt8

__all__ = [
    "Cropper",
    "FaceMeshTracker",
    "FaceTracker",
    "LandmarkerTracker",
    "TrackerKind",
    "aligned_crop",
    "detect_face",
    "make_tracker",
]

TrackerKind = Literal["auto", "landmarker", "facemesh"]
TASK_FILE = "face_landmarker.task"
CROP_SIDE_PX = 256
# MediaPipe's camera axes are x right, y up, z towards the viewer; ours are x right, y down, z away from the viewer.
_FLIP = np.diag([1.0, -1.0, -1.0, 1.0]).astype(np.float32)
_BLANK = np.zeros((128, 128, 3), np.uint8)
STILL_LOOKS = 4
MAX_SIDE_PX = 1920


class FaceTracker(Protocol):
    """What both trackers do; `live.stages.Tracker` is the same.

    Attributes:
        name: shown to the user.
    """

    name: str

    def track(self, image: CameraImage, timestamp_ms: int) -> FaceState: ...
    def reset(self) -> None: ...
    def close(self) -> None: ...


class Cropper(Protocol):
    """Cuts the face out in a way of its own, see `faceshot.animators.liveportrait.driver_crop`."""

    def crop(self, rgb: UInt8, points_xyz: Float32, time_ms: int) -> tuple[UInt8, Square]: ...
    def reset(self) -> None: ...


def make_tracker(
    kind: TrackerKind = "auto",
    folder: Path | None = None,
    want_crop: bool = False,
    make_cropper: Callable[[], Cropper] | None = None,
    most: int = 1,
) -> FaceTracker:
    """The best tracker at hand, or the one asked for.

    Args:
        kind: "auto" is the Landmarker when its file is at hand, else the face mesh.
        folder: where model files are (see `faceshot.weights.find`).
        want_crop: whether `FaceState.crop` is filled, by `aligned_crop` unless there is a cropper.
        make_cropper: makes what fills `FaceState.crop` and `crop_square`; one for each face.
        most: faces that are followed; each that is seen takes as long as the first.

    Raises:
        WeightsMissing: the file that is needed is missing or damaged.
        FaceshotError: this mediapipe has no face mesh.
    """
    if kind == "landmarker" or (kind == "auto" and weights.find(TASK_FILE, folder)) or not _has_face_mesh():
        if kind == "facemesh":
            raise FaceshotError(
                "The installed mediapipe has no face mesh (only versions before 1.0 have it).",
                "Use the tracker kind landmarker.",
            )
        tracker: _MediaPipeTracker = LandmarkerTracker(weights.need(TASK_FILE, folder), want_crop, most)
    else:
        tracker = FaceMeshTracker(want_crop, most)
    if make_cropper is not None:
        tracker.croppers = [make_cropper() for _ in range(most)]
    return tracker


def _has_face_mesh() -> bool:
    return hasattr(import_mediapipe(), "solutions")


class _MediaPipeTracker(ABC):
    """What both generations share: silence at start-up, units, several faces, resetting. Owned by one thread."""

    name: str
    croppers: Sequence[Cropper] = ()

    def __init__(self, want_crop: bool, most: int = 1) -> None:
        self._want_crop, self._most = want_crop, most
        self._same = SameFaces(most)
        self._last_ms = -1
        self._talks = True  # MediaPipe logs at creation and until a first face has passed through the whole graph
        with quiet():
            self._load()
            self._detect(_BLANK, self._next_ms(0))

    def track(self, image: CameraImage, timestamp_ms: int) -> FaceState:
        """The face in `image` with confidence 1 (MediaPipe tells no more than yes or no), or `FaceState.lost(...)`.

        The largest face is followed until it is lost; where several are followed the further ones are its `others`.
        Time that stands still or runs back is taken as 1 ms later.
        """
        time_ms = self._next_ms(timestamp_ms)
        with quiet() if self._talks else nullcontext():
            faces = self._detect(_bounded(image.rgb), time_ms)
        self._talks = self._talks and not faces
        if self._most == 1:
            return self._state(image, faces[0], 0, time_ms) if faces else FaceState.lost(image.size_wh)
        first, *others = (
            FaceState.lost(image.size_wh) if i is None else self._state(image, faces[i], slot, time_ms)
            for slot, i in enumerate(self._same.assign([_spot(face, image.size_wh) for face in faces], time_ms))
        )
        while others and not others[-1].found:
            others.pop()
        return replace(first, others=tuple(others))

    def _state(self, image: CameraImage, face: _Face, slot: int, time_ms: int) -> FaceState:
        width, height = image.size_wh
        # z comes in units of the width, so it scales like x.
        points_xyz = face.normalised * np.array([width, height, width], np.float32)
        crop, square = None, None
        if self.croppers:
            crop, square = self.croppers[slot].crop(image.rgb, points_xyz, time_ms)
        elif self._want_crop:
            crop = aligned_crop(image.rgb, points_xyz)
        return FaceState(image.size_wh, 1.0, points_xyz, True, face.blendshapes, face.head, crop, square)

    def reset(self) -> None:
        """Forget the face: shown a picture without one, MediaPipe drops its region of interest and its filters."""
        self._detect(_BLANK, self._next_ms(0))
        self._same.reset()
        for cropper in self.croppers:
            cropper.reset()

    @abstractmethod
    def close(self) -> None:
        """Free the model."""

    @abstractmethod
    def _load(self) -> None: ...

    @abstractmethod
    def _detect(self, rgb: UInt8, time_ms: int) -> list[_Face]: ...

    def _next_ms(self, time_ms: int) -> int:
        self._last_ms = max(time_ms, self._last_ms + 1)
        return self._last_ms


def _bounded(rgb: UInt8) -> UInt8:
    """The picture, at most `MAX_SIDE_PX` long: on 4K frames that saves a third of the time and moves points by 0.3 % of
    the eyes' distance; on 1080p it saves nothing, for the models cut out and shrink the face themselves."""
    longer = max(rgb.shape[:2])
    if longer <= MAX_SIDE_PX:
        return np.ascontiguousarray(rgb)
    size_wh = round(rgb.shape[1] * MAX_SIDE_PX / longer), round(rgb.shape[0] * MAX_SIDE_PX / longer)
    return np.asarray(cv2.resize(rgb, size_wh, interpolation=cv2.INTER_LINEAR), np.uint8)


class _Face(NamedTuple):
    normalised: Float32  # (478, 3), x and y in picture sizes, z in picture widths
    blendshapes: Float32 | None = None
    head: Float32 | None = None


class FaceMeshTracker(_MediaPipeTracker):
    """The face mesh with irises of mediapipe before 1.0: 478 points, neither blendshapes nor pose."""

    name = "MediaPipe face mesh"

    def __init__(self, want_crop: bool = False, most: int = 1) -> None:
        super().__init__(want_crop, most)

    def _load(self) -> None:
        solutions = import_mediapipe().solutions
        self._mesh = solutions.face_mesh.FaceMesh(
            static_image_mode=False, max_num_faces=self._most, refine_landmarks=True
        )

    def _detect(self, rgb: UInt8, time_ms: int) -> list[_Face]:
        return [_Face(_from_message(face)) for face in self._mesh.process(rgb).multi_face_landmarks or ()]

    def close(self) -> None:
        self._mesh.close()


class LandmarkerTracker(_MediaPipeTracker):
    """The FaceLandmarker task in video mode: 478 points, 52 blendshapes, head pose.

    Args:
        path: face_landmarker.task.

    Raises:
        WeightsMissing: the file is damaged.
    """

    name = "MediaPipe FaceLandmarker"

    def __init__(self, path: Path, want_crop: bool = False, most: int = 1) -> None:
        self._path = path
        super().__init__(want_crop, most)

    def _load(self) -> None:
        self._mediapipe = import_mediapipe()
        tasks = self._mediapipe.tasks
        options = tasks.vision.FaceLandmarkerOptions(
            # The content, not the path: MediaPipe cannot open paths with characters outside ASCII on Windows.
            base_options=tasks.BaseOptions(model_asset_buffer=self._path.read_bytes()),
            running_mode=tasks.vision.RunningMode.VIDEO,
            num_faces=self._most,
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
        try:
            self._landmarker = tasks.vision.FaceLandmarker.create_from_options(options)
        except (RuntimeError, ValueError) as bad:
            command = weights.pull_command(weights.entry_of(TASK_FILE))
            raise WeightsMissing(f"{self._path} is damaged: MediaPipe cannot load it.", f"Type: {command}") from bad

    def _detect(self, rgb: UInt8, time_ms: int) -> list[_Face]:
        image = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=rgb)
        result = self._landmarker.detect_for_video(image, time_ms)
        every = zip(result.face_landmarks, result.face_blendshapes, result.facial_transformation_matrixes, strict=True)
        return [
            _Face(_to_array(points), _blendshapes(shapes), _FLIP @ np.asarray(pose, np.float32) @ _FLIP)
            for points, shapes, pose in every
        ]

    def close(self) -> None:
        self._landmarker.close()


def _spot(face: _Face, size_wh: tuple[int, int]) -> Spot:
    xy = face.normalised[:, :2] * np.array(size_wh, np.float32)
    x, y = xy.mean(axis=0)
    return Spot(float(x), float(y), float(np.ptp(xy[:, 0])))


_POINT_BYTES = 17  # tag and length of a point, then tag and four little-endian bytes each of x, y and z
_XYZ_BYTES = np.array([start + byte for start in (3, 8, 13) for byte in range(4)])


def _from_message(message: Any) -> Float32:
    """The points of a NormalizedLandmarkList, out of its wire format: reading 1434 attributes takes ten times as long.

    Source: protobuf's wire format; landmark.proto of MediaPipe, where x, y, z are fields 1 to 3 of type float. A list
    with further fields has another length and is read attribute by attribute.
    """
    wire = np.frombuffer(message.SerializeToString(), np.uint8)
    if len(wire) != _POINT_BYTES * len(message.landmark):
        return _to_array(message.landmark)
    points = np.ascontiguousarray(wire.reshape(-1, _POINT_BYTES)[:, _XYZ_BYTES])
    return np.asarray(points.view("<f4"), np.float32)


def _to_array(landmarks: Any) -> Float32:
    return np.array([(p.x, p.y, p.z) for p in landmarks], np.float32)


def _blendshapes(categories: Any) -> Float32:
    """By name, since the order is MediaPipe's own business; `_neutral` is dropped and `tongueOut` stays 0."""
    values = np.zeros(len(topology.ARKIT_NAMES), np.float32)
    for category in categories:
        index = topology.ARKIT_INDEX.get(category.category_name)
        if index is not None:
            values[index] = category.score
    return values


def aligned_crop(rgb: UInt8, points_xyz: Float32) -> UInt8:
    """The face upright and centred in a square, in a framing that depends on eyes and mouth only.

    Convention: the square's axis runs from the middle of the eyes to the middle of the mouth's corners; half its side
    is 2.4 times the distance of the eyes or 2.16 times that from eyes to mouth, whichever is more (a profile has no
    eye distance). Outside the picture the edge is repeated.

    Returns:
        (256, 256, 3) uint8.
    """
    points = points_xyz[topology.MEDIAPIPE_TO_70, :2]
    left, right = points[list(topology.EYE_LEFT)].mean(axis=0), points[list(topology.EYE_RIGHT)].mean(axis=0)
    eyes, mouth = (left + right) / 2, (points[48] + points[54]) / 2
    down = mouth - eyes
    across = right - left + np.array([down[1], -down[0]])
    across /= max(float(np.hypot(*across)), 1e-6)
    half = 1.2 * max(2.0 * float(np.hypot(*(right - left))), 1.8 * float(np.hypot(*down)), 1.0)
    centre = eyes + 0.1 * down
    x_axis, y_axis = half * across, half * np.array([-across[1], across[0]])
    corners = np.stack([centre - x_axis - y_axis, centre + x_axis - y_axis, centre - x_axis + y_axis])
    side = float(CROP_SIDE_PX)
    to_crop = cv2.getAffineTransform(corners.astype(np.float32), np.array([[0, 0], [side, 0], [0, side]], np.float32))
    size_wh = (CROP_SIDE_PX, CROP_SIDE_PX)
    crop = cv2.warpAffine(rgb, to_crop, size_wh, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)


def detect_face(rgb: UInt8, folder: Path | None = None) -> FaceState:
    """The face in a still picture, searched for at several framings before giving up.

    Args:
        rgb: (H, W, 3) uint8.
        folder: where model files are.

    Returns:
        The face in pixels of `rgb`, or `FaceState.lost(...)`.

    Raises:
        WeightsMissing: there is no tracker at hand.
    """
    size_wh = rgb.shape[1], rgb.shape[0]
    # The face mesh first: on paintings and cartoons its attention to eyes and lips sets them closer than the task does.
    tracker = make_tracker("facemesh" if _has_face_mesh() else "landmarker", folder)
    try:
        for view, offset in _framings(rgb):
            # Several looks at the same picture: MediaPipe's second region of interest comes from landmarks, not from
            # the coarse detector, and is upright.
            for look in range(STILL_LOOKS):
                state = tracker.track(CameraImage(view), look * 33)
                if not state.found:
                    break
            if state.found and state.points_xyz is not None:
                shift = np.array([*offset, 0.0], np.float32)
                return replace(state, size_wh=size_wh, points_xyz=state.points_xyz + shift)
    finally:
        tracker.close()
    return FaceState.lost(size_wh)


def _framings(rgb: UInt8) -> Iterator[tuple[UInt8, tuple[int, int]]]:
    """The picture, then with a border (a face that fills it), then parts of it (a small face): each with its offset."""
    yield np.ascontiguousarray(rgb), (0, 0)
    height, width = rgb.shape[:2]
    for share in (0.25, 0.6):
        x, y = round(width * share), round(height * share)
        padded = cv2.copyMakeBorder(rgb, y, y, x, x, cv2.BORDER_CONSTANT, value=(128, 128, 128))
        yield np.asarray(padded, np.uint8), (-x, -y)
    longer = max(width, height)
    for part in (0.7, 0.5, 0.33):
        side = round(longer * part)
        for top in _starts(height, side):
            for left in _starts(width, side):
                tile = rgb[top : top + side, left : left + side]
                if min(tile.shape[:2]) >= 64:
                    yield np.ascontiguousarray(tile), (left, top)


def _starts(length: int, side: int) -> list[int]:
    """Evenly spread starts of tiles that overlap by half or more, the middle ones first."""
    if side >= length:
        return [0]
    count = -(-2 * (length - side) // side) + 1
    starts = [round(i * (length - side) / (count - 1)) for i in range(count)]
    return sorted(starts, key=lambda start: abs(start - (length - side) / 2))
