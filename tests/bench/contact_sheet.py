"""A character through everything that a face does, on one picture to be looked at.

    python -m tests.bench.contact_sheet mika bruno --out out/sheets
    python -m tests.bench.contact_sheet ../shared/media/characters/s7.jpg --out out/sheets --crop 1.3
    python -m tests.bench.contact_sheet mika ada bruno --together cast.webp --cell 120 --poses neutral blink laugh

Each cell goes the whole way that a performer's frame goes, puppeteer included, with a synthetic performer. `--crop`
shows that many face heights around the face, at the resolution that it has.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from faceshot.animators.warp import WarpAnimator
from faceshot.animators.warp.frame import face_frame
from faceshot.character import open_character, resize
from faceshot.pictures import flatten
from faceshot.puppeteer import MotionSettings, Puppeteer
from faceshot.types import Character, FaceState
from tests.faceshot.performer import perform

__all__ = ["POSES", "contact_sheet"]

POSES: dict[str, FaceState] = {
    "neutral": perform(),
    "half blink": perform(lids=(0.5, 0.5)),
    "blink": perform(lids=(0.0, 0.0)),
    "wink": perform(lids=(0.0, 1.0)),
    "other wink": perform(lids=(1.0, 0.0)),
    "wide eyes": perform(lids=(1.5, 1.5), browInnerUp=0.8, browOuterUpLeft=0.8, browOuterUpRight=0.8),
    "small mouth": perform(jawOpen=0.25),
    "wide mouth": perform(jawOpen=0.9),
    "smile": perform(mouthSmileLeft=1.0, mouthSmileRight=1.0),
    "laugh": perform(mouthSmileLeft=1.0, mouthSmileRight=1.0, jawOpen=0.5, lids=(0.6, 0.6)),
    "frown": perform(mouthFrownLeft=1.0, mouthFrownRight=1.0, browDownLeft=0.8, browDownRight=0.8),
    "pucker": perform(mouthPucker=1.0),
    "funnel": perform(mouthFunnel=1.0, jawOpen=0.3),
    "one corner": perform(mouthSmileLeft=1.0),
    "gaze left": perform(gaze=(-0.15, 0.0)),
    "gaze right": perform(gaze=(0.15, 0.0)),
    "gaze up": perform(gaze=(0.0, -0.08)),
    "gaze down": perform(gaze=(0.0, 0.08)),
    "yaw +25": perform((0, 25, 0)),
    "yaw -25": perform((0, -25, 0)),
    "pitch +20": perform((20, 0, 0)),
    "pitch -20": perform((-20, 0, 0)),
    "roll +20": perform((0, 0, 20)),
    "roll -20": perform((0, 0, -20)),
}
COLUMNS = 6
WALL = (86, 92, 104)


def contact_sheet(
    character: Character,
    crop: float,
    cell_px: int,
    poses: Sequence[str],
    columns: int = COLUMNS,
    names: bool = True,
) -> np.ndarray:
    """(H, W, 3) uint8 RGB.

    Args:
        crop: side of what is shown in face heights; 0 shows the whole picture.
        names: write the pose into each cell.
    """
    puppeteer = Puppeteer(character, MotionSettings(mirror=False, smoothing=0.0, idle=False))
    puppeteer.use_neutral(POSES["neutral"])
    puppeteer.step(POSES["neutral"], 1.0)
    animator = WarpAnimator()
    animator.load(character)
    frame = face_frame(character)
    size_of_text = min(0.5, cell_px / 360)
    cells = []
    for name in poses:
        for _ in range(4):  # past the easing in
            drive = puppeteer.step(POSES[name], 1.0)
        picture = flatten(animator.render([drive])[0].rgba, WALL)
        if crop:
            side = int(crop * frame.height)
            x, y = (frame.centre - side / 2).astype(int)
            picture = cv2.copyMakeBorder(picture, side, side, side, side, cv2.BORDER_CONSTANT, value=WALL)
            picture = picture[y + side : y + 2 * side, x + side : x + 2 * side]
        scale = cell_px / max(picture.shape[:2])
        size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
        shown = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        cell = np.full((cell_px, cell_px, 3), WALL, np.uint8)
        cell[: size[1], : size[0]] = shown
        for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
            cv2.putText(
                cell, name, (6, cell_px - 8), cv2.FONT_HERSHEY_SIMPLEX, size_of_text, colour, thick, cv2.LINE_AA
            )
        cells.append(cell)
    while len(cells) % columns:
        cells.append(np.zeros_like(cells[0]))
    return np.vstack([np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)])


def cast(names: Sequence[str], poses: Sequence[str], crop: float, side: int, cell_px: int) -> np.ndarray:
    """(H, W, 3) uint8 RGB: a row a character, a column a pose."""
    who = [resize(open_character(spec), side) for spec in names]
    return np.vstack([contact_sheet(one, crop, cell_px, poses, len(poses), one is who[0]) for one in who])


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Draw contact sheets of characters.")
    parser.add_argument("characters", nargs="+", help="bundled names, pictures or .faceshot files")
    parser.add_argument("--out", type=Path, default=Path("out/sheets"), help="folder of the PNG files")
    parser.add_argument("--side", type=int, default=512, help="longest side of the character, pixels")
    parser.add_argument("--crop", type=float, default=0.0, help="side of what is shown, in face heights; 0: all")
    parser.add_argument("--cell", type=int, default=300, help="side of a cell, pixels")
    parser.add_argument("--poses", nargs="*", choices=list(POSES), default=list(POSES), help="only these")
    parser.add_argument("--together", type=Path, help="one picture instead, a row a character (WebP)")
    args = parser.parse_args(argv)
    if args.together is not None:
        sheet = cast(args.characters, args.poses, args.crop, args.side, args.cell)
        cv2.imwrite(str(args.together), sheet[..., ::-1], [cv2.IMWRITE_WEBP_QUALITY, 80])
        print(args.together)
        return 0
    args.out.mkdir(parents=True, exist_ok=True)
    for spec in args.characters:
        character = resize(open_character(spec), args.side)
        sheet = contact_sheet(character, args.crop, args.cell, args.poses)
        path = args.out / f"{Path(spec).stem}.png"
        cv2.imwrite(str(path), sheet[..., ::-1])
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
