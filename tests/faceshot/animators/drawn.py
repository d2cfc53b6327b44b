"""Test characters that the tests draw themselves, and drives built by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from faceshot.topology import LIPS_INNER, LIPS_OUTER
from faceshot.types import Character, CharacterKind, Drive, HeadMotion

SIDE = 320


def landmarks() -> np.ndarray:
    """(70, 2) a symmetric face of 150 pixels' width in a picture of 320."""
    points = np.zeros((70, 2), np.float32)
    angle = np.linspace(np.pi, 0, 17)
    points[:17, 0], points[:17, 1] = 160 - 75 * -np.cos(angle) * -1, 150 + 95 * np.sin(angle)
    points[:17, 0] = 160 + 75 * np.cos(angle)
    points[17:22] = [(98, 118), (107, 111), (118, 109), (129, 111), (138, 116)]
    points[22:27] = [(320 - x, y) for x, y in points[17:22][::-1]]
    points[27:31] = [(160, 140), (160, 152), (160, 164), (160, 176)]
    points[31:36] = [(146, 183), (153, 186), (160, 188), (167, 186), (174, 183)]
    points[36:42] = [(100, 142), (111, 131), (125, 131), (136, 142), (125, 152), (111, 152)]
    points[42:48] = [(184, 142), (195, 131), (209, 131), (220, 142), (209, 152), (195, 152)]
    points[48:55] = [(130, 212), (140, 206), (150, 203), (160, 205), (170, 203), (180, 206), (190, 212)]
    points[55:60] = [(180, 220), (170, 224), (160, 225), (150, 224), (140, 220)]
    points[60:65] = [(134, 212), (150, 212), (160, 212), (170, 212), (186, 212)]
    points[65:68] = [(170, 212), (160, 212), (150, 212)]
    points[68], points[69] = (118, 142), (202, 142)
    return points


def picture(points: np.ndarray, alpha: bool) -> np.ndarray:
    """(SIDE, SIDE, 4) a plain drawn face; blue eyeballs, the only blue in the picture, red lips."""
    image = np.full((SIDE, SIDE, 3), (120, 150, 120), np.uint8)
    mask = np.zeros((SIDE, SIDE), np.uint8)

    def both(draw: object, *args: object) -> None:
        draw(image, *args)  # type: ignore[operator]

    cv2.rectangle(image, (120, 220), (200, SIDE), (200, 160, 130), -1)
    cv2.rectangle(mask, (120, 220), (200, SIDE), 255, -1)
    cv2.ellipse(image, (160, 150), (82, 110), 0, 0, 360, (225, 185, 155), -1, cv2.LINE_AA)
    cv2.ellipse(mask, (160, 150), (82, 110), 0, 0, 360, 255, -1, cv2.LINE_AA)
    for first in (36, 42):
        ring = np.round(points[first : first + 6]).astype(np.int32)
        cv2.fillPoly(image, [ring], (40, 60, 250), cv2.LINE_AA)
        cv2.polylines(image, [ring[:4]], False, (60, 40, 30), 2, cv2.LINE_AA)
    for brow in (points[17:22], points[22:27]):
        cv2.polylines(image, [np.round(brow).astype(np.int32)], False, (90, 60, 40), 4, cv2.LINE_AA)
    cv2.fillPoly(image, [np.round(points[list(LIPS_OUTER)]).astype(np.int32)], (205, 90, 90), cv2.LINE_AA)
    cv2.line(image, (134, 212), (186, 212), (130, 50, 50), 1, cv2.LINE_AA)
    cv2.circle(image, (160, 180), 4, (200, 150, 120), -1, cv2.LINE_AA)
    # Symmetric to the last bit, so that mirror tests measure the animator only.
    half = SIDE // 2
    image[:, half + 1 :] = image[:, 1:half][:, ::-1]
    mask[:, half + 1 :] = mask[:, 1:half][:, ::-1]
    return np.dstack([image, mask if alpha else np.full_like(mask, 255)])


def character(
    kind: CharacterKind = "human", alpha: bool = True, hidden: Sequence[int] = (), move: np.ndarray | None = None
) -> Character:
    points = landmarks()
    rgba = picture(points, alpha)
    visible = np.ones(70, bool)
    visible[list(hidden)] = False
    return Character("drawn", rgba, (points if move is None else move).astype(np.float32), visible, kind)


def drive(
    who: Character,
    *,
    delta: np.ndarray | None = None,
    lids: tuple[float, float] = (1.0, 1.0),
    gaze: tuple[float, float] = (0.0, 0.0),
    turn_deg: tuple[float, float, float] = (0.0, 0.0, 0.0),
    shift: tuple[float, float] = (0.0, 0.0),
    scale: float = 1.0,
    breath: float = 0.0,
) -> Drive:
    """A drive from its parts; `turn_deg` is (pitch, yaw, roll)."""
    still = Drive.neutral(who)
    moved = still.expression_xy if delta is None else (still.expression_xy + delta).astype(np.float32)
    head = HeadMotion(np.radians(np.array(turn_deg, np.float32)), np.array(shift, np.float32), scale)
    look = np.array([gaze, gaze], np.float32)
    return replace(still, expression_xy=moved, head=head, lids=np.array(lids, np.float32), gaze=look, breath=breath)


def jaw(pixels: float) -> np.ndarray:
    """Landmark displacements of a jaw that drops."""
    delta = np.zeros((70, 2), np.float32)
    delta[[7, 8, 9], 1] = pixels
    delta[[5, 6, 10, 11], 1] = 0.7 * pixels
    delta[[55, 56, 57, 58, 59, 65, 66, 67], 1] = pixels
    delta[[48, 54, 60, 64], 1] = 0.3 * pixels
    return delta


def smile(pixels: float) -> np.ndarray:
    """Corners out and up."""
    delta = np.zeros((70, 2), np.float32)
    for corners, sign in (((48, 60), -1), ((54, 64), 1)):
        delta[list(corners)] = (sign * pixels, -0.6 * pixels)
    for near, sign in (((49, 59), -1), ((53, 55), 1)):
        delta[list(near)] = (0.5 * sign * pixels, -0.3 * pixels)
    return delta


def lips_of(delta: np.ndarray) -> np.ndarray:
    return delta[[*LIPS_OUTER, *LIPS_INNER]]
