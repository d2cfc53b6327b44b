"""Eyes as parts: a lid that slides over the eyeball column by column, and an eyeball that the lids clip.

Everything happens in the resting picture's coordinates: the field of head and face has already said which resting
point a pixel shows; the lid map, monotone in every column and in closed form, then says what is seen there
(`kernels.draw_eye`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceshot.animators.warp.frame import F64, FaceFrame, as_float32
from faceshot.animators.warp.iris import Iris, find_iris
from faceshot.animators.warp.kernels import EyeNow, EyeShape, draw_eye
from faceshot.animators.warp.lid_skin import LidSkin, make_lid_skin
from faceshot.animators.warp.lids import Lids
from faceshot.types import CharacterKind, Float32, UInt8

__all__ = ["Eye", "make_eye", "make_eyes"]


class Eye:
    """One eye of a character, ready to be drawn.

    Args:
        pupil: (2,) where it rests; None if there is none that can glance.
        nose: see `make_lid_skin`.
        deepest: see `find_iris`.
    """

    def __init__(
        self,
        rgba: UInt8,
        lids: Lids,
        kind: CharacterKind,
        brow_half: float,
        pupil: F64 | None,
        nose: F64 | None = None,
        deepest: tuple[float, float] = (1.0, 1.0),
    ) -> None:
        self.lids = lids
        self._looks = pupil is not None
        skin = make_lid_skin(rgba, lids, kind, brow_half, nose)
        iris = None
        if pupil is not None and (not lids.style.squash or lids.style.glows):
            iris = find_iris(skin.patch, skin.origin, lids, pupil, deepest)
        # How far the lids' edges reach into the opening, eye heights; None if no iris is seen beneath them.
        self.rims = None if iris is None else (iris.rims[0] / lids.height, iris.rims[1] / lids.height)
        # A small iris has more room to look aside.
        radius = 0.28 if iris is None else float(iris.circle[2]) / lids.width
        self._furthest = min(0.16 + max(0.28 - radius, 0.0), 0.24)
        self._shape = _shape(lids, skin, iris)

    def is_still(self, opening: float, gaze: Float32) -> bool:
        return abs(opening - 1) < 0.01 and not self._glances(gaze)

    def _glances(self, gaze: Float32) -> bool:
        return self._looks and bool(np.abs(gaze).max() * self.lids.width > 0.1)

    def draw(self, out: UInt8, where: Float32, box: tuple[int, int, int, int], opening: float, gaze: Float32) -> None:
        """Paints the eye over a box of `out`, in place.

        Args:
            out: (H, W, 4).
            where: (H, W, 2) resting picture point that each pixel shows.
            box: left, top, right, bottom in pixels.
            opening: 0 to 1.6.
            gaze: (2,) shift in eye widths.
        """
        width, height = self.lids.width, self.lids.height
        gaze_x = gaze_y = 0.0
        if self._glances(gaze):
            gaze_x = _within(gaze[0], self._furthest) * width
            gaze_y = _within(gaze[1], min(0.06, 0.15 * height / width)) * width
        draw_eye(out, where, box, self._shape, EyeNow(self.lids.table(opening), opening, gaze_x, gaze_y))


def _shape(lids: Lids, skin: LidSkin, iris: Iris | None) -> EyeShape:
    style = lids.style
    touched = (skin.plate != skin.patch).any(-1) | (skin.ink > 0).any(-1)
    return EyeShape(
        to_column=as_float32(lids.to_local[0]),
        to_down=as_float32(lids.to_local[1]),
        axis_x=lids.axis_x,
        axis_y=lids.axis_y,
        per_pixel=lids.per_pixel,
        origin=skin.origin,
        patch=skin.patch,
        plate=skin.plate,
        ink=skin.ink,
        touched=touched.astype(np.uint8),
        line=as_float32(skin.line_rgb),
        width=lids.width,
        height=lids.height,
        strip=lids.strip,
        above=lids.above,
        below=lids.below,
        rim_up=style.pad_up * lids.height + 1.0 if iris is None else iris.rims[0],
        rim_down=style.pad_down * lids.height + 1.0 if iris is None else iris.rims[1],
        steep=lids.steepness,
        white=skin.patch if iris is None else iris.white,
        disc=np.zeros((2, 2), np.uint8) if iris is None else iris.disc,
        iris=np.zeros(3, np.float32) if iris is None else iris.circle,
        squash=style.squash,
        rim_fades=style.rim_fades,
        line_width=max(0.5 * style.line * lids.height, 0.7) if style.line > 0 else 0.0,
        line_strength=style.line_strength,
        shadow=style.shadow,
    )


def _within(value: float, limit: float) -> float:
    return min(max(float(value), -limit), limit) if np.isfinite(value) else 0.0


def make_eyes(
    rgba: UInt8, frame: FaceFrame, points: F64, visible: NDArray[np.bool_], kind: CharacterKind
) -> tuple[Eye | None, Eye | None]:
    """Both eyes, which close in the same way, however differently they are lit."""
    left, right = (make_eye(rgba, frame, points, visible, side, kind) for side in (0, 1))
    if left is not None and right is not None and left.lids.style.squash != right.lids.style.squash:
        left, right = (make_eye(rgba, frame, points, visible, side, kind, lidded=True) for side in (0, 1))
    if left is not None and right is not None and left.rims and right.rims:
        # Lids of one face are alike; what seems much thicker is a shadow.
        up, down = (1.3 * min(pair) for pair in zip(left.rims, right.rims, strict=True))
        if any(rims[0] > up or rims[1] > down for rims in (left.rims, right.rims)):
            lidded = not left.lids.style.squash
            left, right = (
                make_eye(rgba, frame, points, visible, side, kind, lidded=lidded, deepest=(up, down)) for side in (0, 1)
            )
    return left, right


def make_eye(
    rgba: UInt8,
    frame: FaceFrame,
    points: F64,
    visible: NDArray[np.bool_],
    side: int,
    kind: CharacterKind,
    *,
    lidded: bool = False,
    deepest: tuple[float, float] = (1.0, 1.0),
) -> Eye | None:
    """The image-left (side 0) or image-right (1) eye; None if the character lacks it or it cannot be told open."""
    first, brow = 36 + 6 * side, slice(17 + 5 * side, 22 + 5 * side)
    if not visible[first : first + 6].all():
        return None
    p = points[first : first + 6]
    width = float(np.linalg.norm(p[3] - p[0]))
    opening = float(np.linalg.norm(p[4:6].mean(0) - p[1:3].mean(0)))
    if (
        width < max(3.0, 0.02 * frame.width)
        or opening < max(1.0, 0.03 * width)
        or (p[3] - p[0]) @ frame.axis_x < 0.2 * width
    ):
        return None
    seen_brow = points[brow] if visible[brow].all() else None
    lids = Lids(rgba, p[[0, 3]], p[[1, 2]], p[[5, 4]], seen_brow, kind, lidded=lidded)
    brow_half = min(0.06 * frame.width, 0.35 * lids.above)
    nose = points[31:36][visible[31:36]]
    return Eye(rgba, lids, kind, brow_half, points[68 + side] if visible[68 + side] else None, nose, deepest)
