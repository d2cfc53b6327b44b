"""What the tests of landmarks share: the hand-labelled pictures, and a drawn face of any size."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from faceshot.assisted import CLICKS
from faceshot.pictures import read_picture
from faceshot.types import Character, UInt8

__all__ = [
    "LABELLED",
    "Labelled",
    "clicks_as_asked",
    "clicks_on",
    "crossing",
    "drawn_face",
    "eye_distance",
    "labelled",
    "near_eyes",
]

FOLDER = Path(__file__).resolve().parent.parent / "data" / "landmarks"
LABELLED = sorted(path.stem for path in FOLDER.glob("*.json"))


class Labelled(NamedTuple):
    """A picture and where a person sees its landmarks."""

    rgb: UInt8
    points: np.ndarray
    visible: np.ndarray
    kind: Any


def labelled(name: str, media: Path) -> Labelled:
    about = json.loads((FOLDER / f"{name}.json").read_text())
    rgba = read_picture(media / "characters" / about["picture"])
    return Labelled(rgba[..., :3].copy(), np.array(about["landmarks"]), np.array(about["visible"]), about["kind"])


def clicks_on(points: np.ndarray, names: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """Where somebody with a steady hand clicks."""
    found = {}
    for name in names:
        x, y = sum(weight * np.asarray(points[i], float) for i, weight in CLICKS[name].items())
        found[name] = (float(x), float(y))
    return found


def edge_beside_nose(points: np.ndarray, side: str) -> tuple[float, float]:
    """Where the outline is as high as the tip of the nose, which is where the page asks for a click."""
    across = points[42:48].mean(axis=0) - points[36:42].mean(axis=0)
    height = points @ np.array([-across[1], across[0]])
    outline = list(range(9)) if side == "left" else list(range(16, 7, -1))
    at = np.interp(height[30], np.maximum.accumulate(height[outline]), np.arange(9))
    x, y = (np.interp(at, np.arange(9), points[outline, axis]) for axis in (0, 1))
    return float(x), float(y)


def clicks_as_asked(points: np.ndarray, names: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    """Where somebody with a steady hand clicks who reads the questions: nobody knows which point of an outline is the
    third."""
    edges = {"left-jaw": edge_beside_nose(points, "left"), "right-jaw": edge_beside_nose(points, "right")}
    return {name: edges.get(name, xy) for name, xy in clicks_on(points, names).items()}


def eye_distance(points: np.ndarray) -> float:
    return float(np.linalg.norm(points[42:48].mean(axis=0) - points[36:42].mean(axis=0)))


def near_eyes(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Distance of each point in eye distances."""
    return np.linalg.norm(found - wanted, axis=1) / eye_distance(wanted)


def drawn_face(character: Character, background: tuple[int, int, int] = (40, 90, 160)) -> UInt8:
    """A bundled character as an opaque picture on a plain background."""
    alpha = character.rgba[..., 3:].astype(np.float32) / 255
    flat = character.rgba[..., :3] * alpha + np.array(background, np.float32) * (1 - alpha)
    picture = np.dstack([flat.round().astype(np.uint8), np.full(alpha.shape[:2], 255, np.uint8)])
    return np.ascontiguousarray(cv2.resize(picture, (512, 512), interpolation=cv2.INTER_AREA))


def crossing(media: Path, count: int, dt_s: float) -> list[UInt8]:
    """Two real faces that change sides, the left one in front: pictures of 800 x 360 px."""
    front, back = (_faces(media / "driving" / f"{name}.mp4", count, side) for name, side in (("d0", 260), ("d10", 230)))
    pictures = []
    for n in range(count):
        picture = np.full((360, 800, 3), 110, np.uint8)
        share = min(max((n * dt_s - 0.3) / 1.8, 0.0), 1.0)
        _lay(picture, back[n], round(540 - 520 * share), 60)
        _lay(picture, front[n], round(20 + 500 * share), 50)
        pictures.append(picture)
    return pictures


def _faces(path: Path, count: int, side: int) -> list[UInt8]:
    video = cv2.VideoCapture(str(path))
    faces = []
    for _ in range(count):
        ok, bgr = video.read()
        assert ok
        faces.append(np.asarray(cv2.resize(bgr[..., ::-1], (side, side)), np.uint8))
    video.release()
    return faces


def _lay(picture: UInt8, face: UInt8, left: int, top: int) -> None:
    side = len(face)
    oval = np.zeros((side, side), np.uint8)
    cv2.ellipse(oval, (side // 2, side // 2), (side * 36 // 100, side // 2), 0, 0, 360, 1, -1)
    picture[top : top + side, left : left + side][oval > 0] = face[oval > 0]
