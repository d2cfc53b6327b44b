"""The four nouns of the program and the character they animate.

A source makes `CameraImage`, a tracker makes `FaceState`, retargeting makes `Drive`, an animator makes `Rendered`.

Convention:
    Image axes everywhere: x to the right, y down, z away from the viewer; left and right are the *image's* unless a
    name says `subject`. Images are uint8 HWC, RGB or RGBA with straight (not premultiplied) alpha.
    Arrays are checked at construction, so later stages need not ask.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from faceshot.errors import ShapeError

__all__ = [
    "CameraImage",
    "Character",
    "CharacterKind",
    "Drive",
    "FaceState",
    "Float32",
    "HeadMotion",
    "Rendered",
    "Square",
    "UInt8",
]

UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]
CharacterKind = Literal["human", "anime", "animal", "emoji", "toy"]
Square = tuple[float, float, float]

N_POINTS = 70
N_BLENDSHAPES = 52


def _check(name: str, array: np.ndarray, shape: tuple[int | None, ...], dtype: type) -> None:
    wrong_shape = array.ndim != len(shape) or any(
        want is not None and got != want for got, want in zip(array.shape, shape, strict=False)
    )
    if wrong_shape or array.dtype != dtype:
        want_text = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
        raise ShapeError(
            f"{name} must be {np.dtype(dtype).name} {want_text}, got {array.dtype.name} {tuple(array.shape)}."
        )


@dataclass(frozen=True, slots=True, eq=False)
class CameraImage:
    """What a camera saw. Never leaves the tracker: no sink accepts it.

    Attributes:
        rgb: (H, W, 3) uint8.
    """

    rgb: UInt8

    def __post_init__(self) -> None:
        _check("CameraImage.rgb", self.rgb, (None, None, 3), np.uint8)

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.rgb.shape[1], self.rgb.shape[0]


@dataclass(frozen=True, slots=True, eq=False)
class FaceState:
    """What a tracker knows of the performer's face in one frame; everything it does not know is None.

    Attributes:
        size_wh: size in pixels of the camera image (or of the tracker's own frame) that the points refer to.
        confidence: 0 (no face) to 1.
        points_xyz: (N, 3) float32, N = 478 (or 468 without irises) MediaPipe face-mesh points, or 70 in our own order
            (`faceshot.topology`); x, y in pixels of the camera image, z in the same unit, smaller is nearer.
            A pure 2-D source sets z to 0 and `has_depth` to False.
        has_depth: whether z means anything.
        blendshapes: (52,) float32 in 0..1, order of `topology.ARKIT_NAMES`; left and right are the subject's.
        head: (4, 4) float32, head pose in image axes, translation in centimetres.
        crop: (256, 256, 3) uint8, the aligned face for animators that need pixels.
        crop_square: centre x, y and side in pixels of the camera image, of a crop that is an upright square.
        others: further faces of the same frame, for trackers that follow several: each keeps its place in the tuple
            from frame to frame, and one that is not seen now is `lost`. They have no others themselves.
    """

    size_wh: tuple[int, int]
    confidence: float
    points_xyz: Float32 | None = None
    has_depth: bool = True
    blendshapes: Float32 | None = None
    head: Float32 | None = None
    crop: UInt8 | None = None
    crop_square: Square | None = None
    others: tuple[FaceState, ...] = ()

    def __post_init__(self) -> None:
        if self.points_xyz is not None:
            _check("FaceState.points_xyz", self.points_xyz, (None, 3), np.float32)
        if self.blendshapes is not None:
            _check("FaceState.blendshapes", self.blendshapes, (N_BLENDSHAPES,), np.float32)
        if self.head is not None:
            _check("FaceState.head", self.head, (4, 4), np.float32)
        if self.crop is not None:
            _check("FaceState.crop", self.crop, (256, 256, 3), np.uint8)

    @classmethod
    def lost(cls, size_wh: tuple[int, int]) -> FaceState:
        """The state of a frame in which no face was found."""
        return cls(size_wh=size_wh, confidence=0.0)

    @property
    def found(self) -> bool:
        return self.confidence > 0.0 and (self.points_xyz is not None or self.blendshapes is not None)


@dataclass(frozen=True, slots=True, eq=False)
class HeadMotion:
    """Rigid motion of the head relative to neutral.

    Attributes:
        rotation: (3,) float32 rotation vector in radians in image axes (x right, y down, z away from the viewer),
            applied as p' = R p about the head's centre. So +x looks down, +y turns the nose to the image's
            left, +z rolls clockwise as seen.
        translation: (2,) float32, x and y in face widths (the character's |p16 - p0|).
        scale: 1 is the neutral distance; larger is nearer.
    """

    rotation: Float32 = field(default_factory=lambda: np.zeros(3, np.float32))
    translation: Float32 = field(default_factory=lambda: np.zeros(2, np.float32))
    scale: float = 1.0

    def __post_init__(self) -> None:
        _check("HeadMotion.rotation", self.rotation, (3,), np.float32)
        _check("HeadMotion.translation", self.translation, (2,), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Drive:
    """One frame of motion in the character's own terms, the same for every animator. Pixels are the character's.

    Attributes:
        expression_xy: (70, 2) float32 px, the character's landmarks with the performer's expression and a still head.
        points_xy: (70, 2) float32 px, expression and head together (Eq. 5 and 6 of FaceShot).
        head: rigid head motion relative to neutral.
        lids: (2,) float32, opening relative to rest of image-left and image-right eye: 0 shut, 1 at rest, up to 1.6.
        gaze: (2, 2) float32, pupil shift per eye (image-left, image-right) in eye widths, x and y, relative to rest.
        blendshapes: (52,) float32 in 0..1 (`topology.ARKIT_NAMES`; subject's left and right).
        readings: (3,) float32 in -1..1, how far a tracker reads the performer's jaw, smile and inner brows up from
            neutral (`motion.READINGS`).
        breath: 0 (rest) to 1 (chest fully raised); the body's only motion of its own.
        crop: (256, 256, 3) uint8 performer's face for animators that encode motion from pixels; None otherwise.
            Mirrored as all motion is.
        crop_square: which square of the camera image that is: centre x, y and side in pixels, mirrored likewise.
        openings: (3,) float32, gap over width of image-left eye, image-right eye and lips in the crop, mirrored
            likewise; None when nobody knows.
        rest_crops: crops of the performer's neutral pose with their squares, the calmest first; the very same tuple
            until there are better ones.
        preset_shapes: (52,) float32, how much of `blendshapes` comes from a chosen expression and is not in the crops;
            None when no expression is chosen.
        dt_s: time since the drive before.
        gains: head, eyes, brows, mouth; all of the above but the crops has them already.
        smoothing: how strongly motion out of the crops is to be smoothed; 0 raw, 1 as tuned.
        found: whether a face was seen in this frame; False while the motion is held or idle.
    """

    expression_xy: Float32
    points_xy: Float32
    head: HeadMotion
    lids: Float32
    gaze: Float32
    blendshapes: Float32
    readings: Float32 = field(default_factory=lambda: np.zeros(3, np.float32))
    breath: float = 0.0
    crop: UInt8 | None = None
    crop_square: Square | None = None
    openings: Float32 | None = None
    rest_crops: tuple[tuple[UInt8, Square | None], ...] = ()
    preset_shapes: Float32 | None = None
    dt_s: float = 1 / 30
    gains: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)
    smoothing: float = 1.0
    found: bool = True

    def __post_init__(self) -> None:
        _check("Drive.expression_xy", self.expression_xy, (N_POINTS, 2), np.float32)
        _check("Drive.points_xy", self.points_xy, (N_POINTS, 2), np.float32)
        _check("Drive.lids", self.lids, (2,), np.float32)
        _check("Drive.gaze", self.gaze, (2, 2), np.float32)
        _check("Drive.blendshapes", self.blendshapes, (N_BLENDSHAPES,), np.float32)
        _check("Drive.readings", self.readings, (3,), np.float32)
        if self.openings is not None:
            _check("Drive.openings", self.openings, (3,), np.float32)

    @classmethod
    def neutral(cls, character: Character) -> Drive:
        """No motion at all: an animator must give the picture back."""
        return cls(
            expression_xy=character.points_xy.copy(),
            points_xy=character.points_xy.copy(),
            head=HeadMotion(),
            lids=np.ones(2, np.float32),
            gaze=np.zeros((2, 2), np.float32),
            blendshapes=np.zeros(N_BLENDSHAPES, np.float32),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Character:
    """A picture and where its face is.

    Attributes:
        name: shown to the user.
        rgba: (H, W, 4) uint8, straight alpha.
        points_xy: (70, 2) float32 in pixels of `rgba`: 68 iBUG points, then the pupils (68 image-left, 69 image-right).
        visible: (70,) bool; False for what the character does not have (no brows, no nose ...).
        kind: which recipe the warp animator uses for lids and mouth.
        provenance: how the landmarks were made (matcher, backbone, parameters), licence and author of the picture.
        arrays: optional named arrays that an animator cached in the character file.
    """

    name: str
    rgba: UInt8
    points_xy: Float32
    visible: NDArray[np.bool_]
    kind: CharacterKind = "human"
    provenance: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check("Character.rgba", self.rgba, (None, None, 4), np.uint8)
        _check("Character.points_xy", self.points_xy, (N_POINTS, 2), np.float32)
        _check("Character.visible", self.visible, (N_POINTS,), np.bool_)
        if self.kind not in get_args(CharacterKind):
            raise ShapeError(f"Character.kind must be one of {', '.join(get_args(CharacterKind))}, got {self.kind!r}.")

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.rgba.shape[1], self.rgba.shape[0]


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """What goes on air. Only animators construct it, so no path can show the performer.

    Attributes:
        rgba: (H, W, 4) uint8, straight alpha.
    """

    rgba: UInt8

    def __post_init__(self) -> None:
        _check("Rendered.rgba", self.rgba, (None, None, 4), np.uint8)

    @classmethod
    def blank(cls, size_wh: tuple[int, int]) -> Rendered:
        """A fully transparent picture: what is on air while hidden or before the first frame."""
        return cls(np.zeros((size_wh[1], size_wh[0], 4), np.uint8))

    @property
    def size_wh(self) -> tuple[int, int]:
        return self.rgba.shape[1], self.rgba.shape[0]
