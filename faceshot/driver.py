"""From what a tracker saw to motion relative to neutral: frontalised points, lids, gaze and the head's rigid motion.

Head and expression are separated by one Procrustes fit of points that do not take part in expressions; the same fit
gives the head's rotation and the frontalised face, or the remainder would be counted twice (specs/warp.md §3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from faceshot.blendshape_rig import CANONICAL_FACE, motion_from_blendshapes, shapes_from_motion
from faceshot.geometry import (
    Similarity,
    matrix_from_rotation_vector,
    procrustes,
    rotation_vector_from_matrix,
)
from faceshot.motion import (
    DELTA,
    GAZE,
    LIDS,
    LIDS_MAX,
    READINGS,
    ROTATION,
    SCALE,
    SHAPES,
    TRANSLATION,
    delta_of,
    readings,
    rest,
)
from faceshot.topology import ARKIT_INDEX, MEDIAPIPE_TO_70, N_POINTS, NOSE
from faceshot.types import FaceState

__all__ = [
    "Observation",
    "Reference",
    "blend",
    "eye_openings",
    "frontal_face",
    "measure",
    "observe",
    "own_rotation",
    "reference_from",
    "yaw_at_rest",
]

Float = NDArray[np.float64]

# Mesh points on bone or on the hairline, and eye corners.
_RIGID_MESH: Final = np.array(
    [10, 338, 297, 109, 67, 6, 168, 197, 195, 5, 33, 133, 362, 263, 127, 356, 234, 454, 151, 9, 8, 93, 323]
)
_RIGID_70: Final = np.array([0, 1, 15, 16, 27, 28, 29, 30, 36, 39, 42, 45])

_SLIDE: Final = np.ones(N_POINTS)
"""A mesh contour is a silhouette, not skin: jaw points follow expressions only around the chin."""
_SLIDE[:17] = (0, 0, 0, 0.1, 0.3, 0.6, 0.85, 1, 1, 1, 0.85, 0.6, 0.3, 0.1, 0, 0, 0)
_SLIDE[list(NOSE)] = 0.3
_SLIDE[36:48] = 0.0
_SLIDE[68:70] = 0.0

_LID_FLOOR: Final = 0.22
"""Share of the neutral eye opening that trackers still report for a shut eye."""
_LID_SHUT, _LID_KNEE = 0.15, 0.45
"""Lids below the first are shut; between the two the rest of the way is made up."""
_BLINK_SHUT: Final = 0.62
"""What the eyeBlink blendshape reaches with a shut eye."""
_SHAPE_SHARE: Final = 0.8
"""How much of a closing lid is the blendshape's word and not that of the gap between lid points, which jitters more."""
_GAZE_LOST, _GAZE_SURE = 0.25, 0.55
"""Below the first opening a pupil cannot be seen, above the second its place is trusted."""

_FACE_PITCH: Final = np.radians(-9.0)
"""From the line bridge-chin to upright; measured against the tracker's own head pose on five people (8 to 12°)."""
_HEAD_WIDTH_CM: Final = 14.5


@dataclass(frozen=True, slots=True, eq=False)
class Observation:
    """A face state that can be used, in double precision.

    Attributes:
        points: (70, 3) pixels of the camera image; None when the tracker knows only blendshapes.
        rigid: (K, 3), the points that do not take part in expressions.
        shapes: (52,) or None.
        head: (4, 4) or None.
        has_depth: whether z means anything.
    """

    points: Float | None
    rigid: Float | None
    shapes: Float | None
    head: Float | None
    has_depth: bool

    @property
    def kind(self) -> tuple[int, bool]:
        """Observations of one kind can share a reference."""
        return (0 if self.rigid is None else len(self.rigid), self.has_depth)


def observe(state: FaceState, confidence_min: float = 0.0) -> Observation | None:
    """What can be used of a face state; None when there is no face or its numbers make no sense."""
    if not state.found or state.confidence < confidence_min:
        return None
    shapes = None
    if state.blendshapes is not None and np.isfinite(state.blendshapes).all():
        shapes = np.clip(state.blendshapes.astype(np.float64), 0.0, 1.0)
    head = None
    if state.head is not None and np.isfinite(state.head).all() and np.linalg.det(state.head[:3, :3]) > 1e-6:
        head = state.head.astype(np.float64)
    if state.points_xyz is None:
        return None if shapes is None else Observation(None, None, shapes, head, True)
    raw = state.points_xyz.astype(np.float64)
    if not np.isfinite(raw).all() or np.abs(raw).max() > 1e6:
        return None
    if not state.has_depth:
        raw[:, 2] = 0.0
    if len(raw) == N_POINTS:
        points, rigid = raw, raw[_RIGID_70]
    elif len(raw) >= 468:
        points, rigid = _from_mesh(raw), raw[_RIGID_MESH]
    else:
        return None
    width, eyes = np.linalg.norm(points[16] - points[0]), np.linalg.norm(points[45] - points[36])
    if width < 8.0 or eyes < 3.0:
        return None
    return Observation(points, rigid, shapes, head, state.has_depth)


def _from_mesh(mesh: Float) -> Float:
    if len(mesh) >= 478:
        return mesh[MEDIAPIPE_TO_70]
    # Without irises the pupils rest in the middle of the eyes.
    points = np.empty((N_POINTS, 3))
    points[:68] = mesh[MEDIAPIPE_TO_70[:68]]
    points[68], points[69] = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    return points


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """A neutral pose.

    Attributes:
        face: (70, 3), upright and frontal, in face widths, origin in the middle of the head (between the ends of the
            face boundary).
        rigid: (K, 3) in the same frame; None for blendshape-only trackers.
        pose: from that frame to the camera's.
        shapes: (52,) blendshapes at rest, or None.
        openings: (2,) eye opening over eye width at rest.
        pupils: (2, 2) their places at rest, see `_pupils`.
        kind: `Observation.kind` it was made from.
    """

    face: Float
    rigid: Float | None
    pose: Similarity
    shapes: Float | None
    openings: Float
    pupils: Float
    kind: tuple[int, bool]


def own_rotation(seen: Observation) -> Float:
    """(3, 3) rotation of the head against upright and frontal, from the tracker's matrix or from the face's axes."""
    if seen.head is not None and seen.has_depth:
        u, _, vt = np.linalg.svd(seen.head[:3, :3])
        return u @ vt
    if seen.points is None:
        return np.eye(3)
    p = seen.points
    x = (p[45] - p[36]) / np.linalg.norm(p[45] - p[36]) + (p[16] - p[0]) / np.linalg.norm(p[16] - p[0])
    x /= max(float(np.linalg.norm(x)), 1e-9)
    y = p[8] - p[27]
    y = y - x * (x @ y)
    length = float(np.linalg.norm(y))
    if length < 1e-6:
        return np.eye(3)
    rotation = np.stack([x, y / length, np.cross(x, y / length)], axis=1)
    if not seen.has_depth:
        return rotation
    return rotation @ matrix_from_rotation_vector(np.array([_FACE_PITCH, 0.0, 0.0]))


def reference_from(seen: Observation) -> Reference:
    """Take an observation as the neutral pose."""
    rotation = own_rotation(seen)
    if seen.points is None or seen.rigid is None:
        translation = np.zeros(3) if seen.head is None else seen.head[:3, 3]
        pose = Similarity(rotation, 1.0, translation)
        openings, pupils = eye_openings(CANONICAL_FACE), _pupils(CANONICAL_FACE)
        return Reference(CANONICAL_FACE, None, pose, seen.shapes, openings, pupils, seen.kind)
    p = seen.points
    width = float(np.linalg.norm(p[16] - p[0]))
    pose = Similarity(rotation, width, np.zeros(3))
    face = pose.undo(p)
    ears, eyes = 0.5 * (face[0] + face[16]), face[[36, 39, 42, 45]].mean(axis=0)
    # The head turns about the middle of the ears' plane, a third of the way from the eyes to the chin.
    centre = np.array([0.5 * (ears[0] + eyes[0]), eyes[1] + 0.3 * (face[8, 1] - eyes[1]), ears[2]])
    pose = Similarity(rotation, width, width * rotation @ centre)
    face = face - centre
    return Reference(face, pose.undo(seen.rigid), pose, seen.shapes, eye_openings(face), _pupils(face), seen.kind)


def blend(a: Reference, b: Reference, share: float) -> Reference:
    """From `a` (0) to `b` (1); of one kind."""
    if share >= 1.0 or a.kind != b.kind:
        return b
    turn = rotation_vector_from_matrix(b.pose.rotation @ a.pose.rotation.T)
    pose = Similarity(
        matrix_from_rotation_vector(share * turn) @ a.pose.rotation,
        a.pose.scale + share * (b.pose.scale - a.pose.scale),
        a.pose.translation + share * (b.pose.translation - a.pose.translation),
    )
    rigid = None if a.rigid is None or b.rigid is None else a.rigid + share * (b.rigid - a.rigid)
    shapes = b.shapes if a.shapes is None or b.shapes is None else a.shapes + share * (b.shapes - a.shapes)
    face = a.face + share * (b.face - a.face)
    openings, pupils = a.openings + share * (b.openings - a.openings), a.pupils + share * (b.pupils - a.pupils)
    return Reference(face, rigid, pose, shapes, openings, pupils, b.kind)


_UPPER_LIDS: Final = np.array([[37, 38], [43, 44]])
_LOWER_LIDS: Final = np.array([[41, 40], [47, 46]])


def eye_openings(face: Float) -> Float:
    """(2,) mean of the two lid gaps over the eye's width, image-left and image-right eye of a frontal (70, 3) face."""
    z = face[:, 0] + 1j * face[:, 1]
    gaps = np.abs(z[_LOWER_LIDS] - z[_UPPER_LIDS]) @ (0.5, 0.5)
    widths = np.abs(z[[39, 45]] - z[[36, 42]])
    return gaps / np.maximum(widths, 1e-6)


def measure(seen: Observation, neutral: Reference, last_gaze: Float | None = None, *, as_read: bool = False) -> Float:
    """The motion vector (`faceshot.motion`) of one observation.

    Args:
        neutral: of the same kind.
        last_gaze: (4,) what to keep looking at while both eyes are nearly shut; straight ahead when None.
        as_read: the head tilts as the tracker's own pose says, for characters that are drawn to be read the same.
    """
    if seen.points is None or seen.rigid is None or neutral.rigid is None:
        return _measure_shapes(seen, neutral)
    fit = procrustes(neutral.rigid, seen.rigid)
    face = fit.undo(seen.points)
    motion = rest()
    # In the head's own axes: a nod is a nod, however the camera stands.
    # A tracker that measures the head's pose knows better how far it turns than few points and their guessed depth; but
    # a mouth that goes aside is a tilt to it, which the eyes know better.
    measured = seen.head is not None and seen.has_depth
    rotation = own_rotation(seen) if measured else fit.rotation
    if measured and not as_read:
        rotation = _level_with_eyes(rotation, seen.points, neutral.face)
    motion[ROTATION] = rotation_vector_from_matrix(neutral.pose.rotation.T @ rotation)
    motion[TRANSLATION] = ((fit.translation - neutral.pose.translation) / neutral.pose.scale)[:2]
    motion[SCALE] = np.log(max(fit.scale / neutral.pose.scale, 1e-3))
    motion[DELTA] = ((face - neutral.face) * _SLIDE[:, None]).ravel()
    motion[LIDS] = _lids(face, seen.shapes, neutral)
    motion[GAZE] = _gaze(face, neutral, motion[LIDS], last_gaze)
    motion[SHAPES] = shapes_from_motion(motion) if seen.shapes is None else seen.shapes
    motion[READINGS] = readings(motion[SHAPES], None if seen.shapes is None else neutral.shapes)
    return motion


_EYE_LINE: Final = np.zeros(N_POINTS)
_EYE_LINE[[36, 39]], _EYE_LINE[[42, 45]] = -1.0, 1.0
_ROLLED_BY: Final = np.radians(6.0)


def _level_with_eyes(rotation: Float, points: Float, neutral_face: Float) -> Float:
    """A head's rotation, rolled so that the line of the neutral eyes lies as that of the seen ones does."""
    turned, there = rotation @ (_EYE_LINE @ neutral_face), _EYE_LINE @ points
    roll = np.arctan2(there[1], there[0]) - np.arctan2(turned[1], turned[0])
    roll = (roll + np.pi) % (2.0 * np.pi) - np.pi
    limited = _ROLLED_BY * np.tanh(roll / _ROLLED_BY)
    return matrix_from_rotation_vector(np.array([0.0, 0.0, limited])) @ rotation


def _lids(face: Float, shapes: Float | None, neutral: Reference) -> Float:
    ratio = eye_openings(face) / np.maximum(neutral.openings, 1e-3)
    lids = (ratio - _LID_FLOOR) / (1.0 - _LID_FLOOR)
    if shapes is not None and neutral.shapes is not None:
        # Image-left is the subject's right.
        index = [ARKIT_INDEX["eyeBlinkRight"], ARKIT_INDEX["eyeBlinkLeft"]]
        blink, at_rest = shapes[index], neutral.shapes[index]
        from_shape = 1.0 - np.maximum(blink - at_rest, 0.0) / np.maximum(_BLINK_SHUT - at_rest, 0.25)
        lids = np.where(lids < 1.0, lids + _SHAPE_SHARE * (from_shape - lids), lids)
    made_up = (lids - _LID_SHUT) * (_LID_KNEE / (_LID_KNEE - _LID_SHUT))
    return np.clip(np.where(lids < _LID_KNEE, made_up, lids), 0.0, LIDS_MAX)


def _gaze(face: Float, neutral: Reference, lids: Float, last_gaze: Float | None) -> Float:
    moved = _pupils(face) - neutral.pupils
    trust = np.clip((lids - _GAZE_LOST) / (_GAZE_SURE - _GAZE_LOST), 0.0, 1.0)
    total = float(trust.sum())
    held = np.zeros(2) if last_gaze is None else last_gaze[:2]
    if total <= 1e-6:
        return np.tile(held, 2)
    # Eyes move together, and the mean of two noisy pupils is steadier; an eye that is nearly shut has no say.
    both = (trust @ moved) / total
    sure = min(total, 1.0)
    return np.tile(sure * both + (1.0 - sure) * held, 2)


def _pupils(face: Float) -> Float:
    """(2, 2) place of each pupil against the middle of its eye's corners, along the eye's axes, in eye widths."""
    z = face[:, 0] + 1j * face[:, 1]
    chord = z[[39, 45]] - z[[36, 42]]
    chord = np.where(np.abs(chord) > 1e-6, chord, 1.0)
    place = (z[[68, 69]] - 0.5 * (z[[36, 42]] + z[[39, 45]])) / chord
    return np.stack([place.real, place.imag], axis=1)


def _measure_shapes(seen: Observation, neutral: Reference) -> Float:
    shapes = np.zeros(len(ARKIT_INDEX)) if seen.shapes is None else seen.shapes
    motion = motion_from_blendshapes(shapes, neutral.shapes)
    if seen.head is not None:
        motion[ROTATION] = rotation_vector_from_matrix(neutral.pose.rotation.T @ own_rotation(seen))
        moved = seen.head[:3, 3] - neutral.pose.translation
        motion[TRANSLATION] = moved[:2] / _HEAD_WIDTH_CM
        distance = abs(float(neutral.pose.translation[2]))
        if distance > 10.0:
            motion[SCALE] = -np.log(max(abs(float(seen.head[2, 3])) / distance, 1e-3))
    return motion


_BONE_70: Final = np.array([0, 1, 15, 16, 27, 28, 29, 30, 33, 36, 39, 42, 45, 48, 54, 8])
_FRONTAL_WITHIN, _YAW_AT_REST_MAX = np.radians(4.0), np.radians(45.0)


def yaw_at_rest(points_xy: NDArray, visible: NDArray[np.bool_]) -> float:
    """How far a face is turned in its picture, radians, positive with the nose to the image's left.

    The pose of the affine camera that sees an average head so. The first 4 degrees do not count (nobody is painted
    exactly straight); without a nose or a side nothing shows the turn and the face counts as frontal.
    """
    xy = points_xy[_BONE_70].astype(np.float64)
    if not visible[_BONE_70].all() or not np.isfinite(xy).all():
        return 0.0
    head = CANONICAL_FACE[_BONE_70] - CANONICAL_FACE[_BONE_70].mean(axis=0)
    camera = np.linalg.lstsq(head, xy - xy.mean(axis=0), rcond=None)[0].T
    u, size, vt = np.linalg.svd(camera, full_matrices=False)
    if size[1] < 0.2 * size[0]:
        return 0.0
    x, y = u @ vt
    yaw = float(np.arctan2(x[2], x[0] * y[1] - x[1] * y[0]))
    return float(np.sign(yaw) * max(min(abs(yaw), _YAW_AT_REST_MAX) - _FRONTAL_WITHIN, 0.0))


# Corners, lid points and pupil, image-left eye first.
_INNER_OUTER: Final = np.array([[36, 39], [42, 45]])
_LID_POINTS: Final = np.array([[37, 38, 40, 41], [43, 44, 46, 47]])


def frontal_face(motion: Float, neutral_face: Float) -> Float:
    """(70, 3) a neutral face with a motion's expression: the composition that `measure` undoes.

    Lids move along the line to their eye's axis, so that at 0 they meet on it, whatever the neutral's curve.
    """
    face = neutral_face + delta_of(motion)
    first = face[_INNER_OUTER[:, :1]]
    chord = face[_INNER_OUTER[:, 1:]] - first
    width = np.sqrt((chord * chord).sum(axis=2, keepdims=True)) + 1e-9
    along = chord / width
    offset = face[_LID_POINTS] - first
    on_axis = (offset * along).sum(axis=2, keepdims=True) * along
    face[_LID_POINTS] = first + on_axis + motion[LIDS][:, None, None] * (offset - on_axis)
    look = motion[GAZE].reshape(2, 2) * width[:, 0]
    along = along[:, 0]
    face[68:, :2] += look[:, :1] * along[:, :2] + look[:, 1:] * (along[:, 1::-1] * (-1.0, 1.0))
    return face
