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

__all__ = ["LABELLED", "Labelled", "clicks_on", "drawn_face", "eye_distance", "labelled", "near_eyes"]

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
