"""Pictures of the cast for the README (for developers: `python -m faceshot.assets.source.showcase`).

Still: every character in another moment. Moving: three of them following the same motion clip.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from faceshot.animators.warp import WarpAnimator, WarpSettings
from faceshot.character import open_character, resize
from faceshot.motion_clip import open_clip
from faceshot.puppeteer import MotionSettings, Puppeteer

README = Path(__file__).parent.parent / "readme"
# Character and second of the clip `expressions` at which it is shown.
STILL = (
    ("mika", 3.0), ("bolt", 15.8), ("miso", 7.95), ("ember", 10.0),
    ("ada", 8.3), ("bruno", 15.9), ("luna", 11.6), ("sunny", 4.35),
)  # fmt: skip
MOVING = ("mika", "miso", "ember")
MOVING_S = (2.3, 6.7)


def frames(name: str, side: int, start_s: float, stop_s: float) -> list[Image.Image]:
    """What the program itself would show: puppeteer and warp animator from the first frame of the clip on."""
    clip = open_clip("expressions")
    character = resize(open_character(name), side)
    puppeteer, animator = Puppeteer(character, MotionSettings(idle=False)), WarpAnimator(WarpSettings(swing=0.5))
    animator.load(character)
    out = []
    for i, state in enumerate(clip.states[: int(stop_s * clip.fps) + 1]):
        drive = puppeteer.step(state, 1 / clip.fps)
        if i >= int(start_s * clip.fps):
            out.append(Image.fromarray(animator.render([drive])[0].rgba))
    animator.close()
    return out


def backdrop(width: int, height: int) -> Image.Image:
    """A dark studio wall with a soft light in the middle."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    light = np.exp(-(((x - width / 2) / (0.55 * width)) ** 2) - ((y - 0.45 * height) / (0.9 * height)) ** 2)
    colour = np.array([24, 26, 36]) + light[..., None] * np.array([38, 42, 62])
    return Image.fromarray(colour.astype(np.uint8)).convert("RGBA")


def still() -> None:
    side, step, height = 320, 188, 300
    width = step * (len(STILL) - 1) + side
    sheet = backdrop(width, height)
    # From both ends to the middle, so that the ones in front are in the middle.
    order = sorted(range(len(STILL)), key=lambda i: -abs(i - 3.4))
    for i in order:
        name, at = STILL[i]
        picture = frames(name, 640, at, at)[-1].resize((side, side), Image.Resampling.LANCZOS)
        sheet.alpha_composite(picture.crop((0, 0, side, height - 4)), (i * step, 4))
    sheet.convert("RGB").quantize(256, kmeans=3, dither=Image.Dither.FLOYDSTEINBERG).save(
        README / "cast.png", optimize=True
    )


def moving() -> None:
    side, height = 160, 168
    columns = [frames(name, 480, *MOVING_S)[::2] for name in MOVING]
    pictures = []
    for row in zip(*columns, strict=True):
        sheet = backdrop(side * len(row), height)
        for i, picture in enumerate(row):
            sheet.alpha_composite(picture.resize((side, side), Image.Resampling.LANCZOS), (i * side, height - side))
        pictures.append(sheet.convert("RGB"))
    pictures[0].save(
        README / "cast.webp", quality=82, method=6, save_all=True, append_images=pictures[1:], duration=67, loop=0
    )


if __name__ == "__main__":
    README.mkdir(exist_ok=True)
    still()
    moving()
    for path in sorted(README.iterdir()):
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
