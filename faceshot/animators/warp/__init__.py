"""The default animator: a layered two-dimensional warp of one picture, on a CPU, in real time.

frame       where the face is and how large
grid        coarse node grids, sampling, inversion
kernels     what runs once per pixel or node, as machine code; compiled: how it becomes that
curves      monotone curves through a few points
expression  landmark motion, bounded and free of folds
lips        the lip line
sheets      landmark motion -> dense field with a slit along the lips, solved at load
head        the head as an ellipsoid: yaw, pitch, roll, translation, scale, breathing
springs     hair, ears and hats that swing after the head
eyes        lids and gaze; lids: their shape; iris: the disc that glances; eye_styles: how each kind closes
lid_skin    what shut lids look like; skin: filling a hole with the skin around it
mouth       two sheets and the inside of the mouth
matte       figure and plate of an opaque picture
animator    the order of it all
"""

from __future__ import annotations

from faceshot.animators.warp.animator import WarpAnimator, WarpSettings

__all__ = ["WarpAnimator", "WarpSettings"]
