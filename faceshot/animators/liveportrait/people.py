"""All faces of one picture, from left to right."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from faceshot import weights
from faceshot.mediapipe_import import import_mediapipe, quiet
from faceshot.topology import MEDIAPIPE_TO_70
from faceshot.tracker import TASK_FILE
from faceshot.types import Float32, UInt8

__all__ = ["MOST_PEOPLE", "find_faces"]

MOST_PEOPLE: Final = 8
_SAME_FACE: Final = 0.5
"""Faces whose middles are closer than this share of the larger one's width are one face."""


def find_faces(rgb: UInt8, folder: Path | None = None) -> list[Float32]:
    """(70, 2) points of every face that MediaPipe finds in the picture or in one of its overlapping halves.

    Args:
        rgb: (H, W, 3) uint8.
        folder: where model files are.
    """
    found: list[Float32] = []
    with quiet():
        detector = _detector(folder)
        try:
            for left, top, part in _parts(rgb):
                for face in detector(part):
                    points = face + np.array([left, top], np.float32)
                    if not any(_same(points, other) for other in found):
                        found.append(points)
        finally:
            detector.close()
    largest = sorted(found, key=lambda p: -np.ptp(p[:, 0]))[:MOST_PEOPLE]
    return sorted(largest, key=lambda p: float(p[:, 0].mean()))


def _parts(rgb: UInt8) -> list[tuple[int, int, UInt8]]:
    """The picture and, since the detector misses small faces, its halves along the longer side, overlapping."""
    height, width = rgb.shape[:2]
    parts = [(0, 0, rgb)]
    longer = max(width, height)
    side = round(0.6 * longer)
    for start in (0, round(0.2 * longer), longer - side):
        if width >= height:
            parts.append((start, 0, rgb[:, start : start + side]))
        else:
            parts.append((0, start, rgb[start : start + side]))
    return [(left, top, np.ascontiguousarray(part)) for left, top, part in parts]


def _same(a: Float32, b: Float32) -> bool:
    apart = float(np.hypot(*(a.mean(axis=0) - b.mean(axis=0))))
    return apart < _SAME_FACE * max(float(np.ptp(a[:, 0])), float(np.ptp(b[:, 0])))


def _detector(folder: Path | None) -> _MeshDetector | _TaskDetector:
    mediapipe = import_mediapipe()
    if hasattr(mediapipe, "solutions"):
        return _MeshDetector(mediapipe)
    return _TaskDetector(mediapipe, weights.need(TASK_FILE, folder))


class _MeshDetector:
    """The face mesh inside the wheels of mediapipe before 1.0."""

    def __init__(self, mediapipe: Any) -> None:
        self._mesh = mediapipe.solutions.face_mesh.FaceMesh(
            static_image_mode=True, max_num_faces=MOST_PEOPLE, refine_landmarks=True
        )

    def __call__(self, rgb: UInt8) -> list[Float32]:
        faces = self._mesh.process(rgb).multi_face_landmarks or []
        return [_points(face.landmark, rgb) for face in faces]

    def close(self) -> None:
        self._mesh.close()


class _TaskDetector:
    """The FaceLandmarker task, for newer ones."""

    def __init__(self, mediapipe: Any, path: Path) -> None:
        self._mediapipe = mediapipe
        tasks = mediapipe.tasks
        self._landmarker = tasks.vision.FaceLandmarker.create_from_options(
            tasks.vision.FaceLandmarkerOptions(
                base_options=tasks.BaseOptions(model_asset_buffer=path.read_bytes()), num_faces=MOST_PEOPLE
            )
        )

    def __call__(self, rgb: UInt8) -> list[Float32]:
        image = self._mediapipe.Image(image_format=self._mediapipe.ImageFormat.SRGB, data=rgb)
        return [_points(face, rgb) for face in self._landmarker.detect(image).face_landmarks]

    def close(self) -> None:
        self._landmarker.close()


def _points(landmarks: Any, rgb: UInt8) -> Float32:
    mesh = np.array([(p.x, p.y) for p in landmarks], np.float32) * (rgb.shape[1], rgb.shape[0])
    return np.ascontiguousarray(mesh[MEDIAPIPE_TO_70], np.float32)
