"""The default animator: a layered two-dimensional warp of one picture, on a CPU, in real time.

frame       where the face is and how large
grid        coarse node grids, sampling, Newton inversion
lips        the lip line
sheets      landmark motion -> dense field with a slit along the lips, solved at load
head        the head as an ellipsoid: yaw, pitch, roll, translation, scale, breathing
eyes        lids and gaze; eye_styles: how each kind closes; skin: what a lid is made of
mouth       two sheets and the inside of the mouth
matte       figure and plate of an opaque picture
animator    the order of it all
"""

from __future__ import annotations

from faceshot.animators.warp.animator import WarpAnimator

__all__ = ["WarpAnimator"]
