"""Draw the bundled characters and write them as package data (for developers).

Run `python -m faceshot.assets.source.build`, or with the names of some.

Every character is a module beside this one with `draw() -> ink.Drawing`. Chromium (through playwright) paints the SVG,
and the ray-marched shape under it when the character is a solid one: the only tool needed beside the package itself.
"""

from __future__ import annotations

import argparse
import base64
import importlib
import io
from pathlib import Path

import numpy as np
from PIL import Image

from faceshot.assets.source import ink, solid
from faceshot.character import write_character
from faceshot.types import Character

FOLDER = Path(__file__).parent.parent
NAMES = ("mika", "miso", "bruno", "sunny", "bolt", "ember", "ada", "luna")
PARTS = ("jaw", "brow_left", "brow_right", "nose", "eye_left", "eye_right", "lips", "pupils")


def points(drawing: ink.Drawing) -> np.ndarray:
    """(70, 2) float32 landmarks in the order of `faceshot.topology`."""
    return np.concatenate([np.asarray(drawing.landmarks[part], np.float32) for part in PARTS]).astype(np.float32)


def visible(drawing: ink.Drawing) -> np.ndarray:
    return np.concatenate([np.full(len(drawing.landmarks[part]), part not in drawing.absent) for part in PARTS])


def picture(drawing: ink.Drawing, draft: bool = False) -> np.ndarray:
    """(1024, 1024, 4) uint8, straight alpha."""
    svg = drawing.svg
    with solid.chromium() as page:
        if drawing.glsl:
            base, normals = solid.render(page, drawing.glsl, draft)
            base = drawing.finish(base, normals) if drawing.finish else base
            svg = svg.replace('"shape:"', f'"{_data_url(base)}"')
        page.set_content(f'<body style="margin:0;background:transparent">{svg}</body>')
        shot = page.screenshot(omit_background=True, timeout=300_000)
    rgba = np.array(Image.open(io.BytesIO(shot)).convert("RGBA"))
    if drawing.finish and not drawing.glsl:
        return drawing.finish(rgba, np.zeros(0))
    return rgba


def _data_url(rgba: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(rgba).save(buffer, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def build(name: str) -> Path:
    drawing = importlib.import_module(f"faceshot.assets.source.{name}").draw()
    character = Character(
        name=name.capitalize(),
        rgba=_thrifty(picture(drawing), drawing.step),
        points_xy=points(drawing),
        visible=visible(drawing),
        kind=drawing.kind,
        provenance={
            "author": "the faceshot-live authors",
            "licence": "MIT",
            "picture": f"drawn by faceshot/assets/source/{name}.py",
            "landmarks": {"matcher": "the drawing's own curves", "checked": "by eye, on overlays and contact sheets"},
        },
    )
    path = FOLDER / "characters" / f"{name}.faceshot"
    path.parent.mkdir(exist_ok=True)
    write_character(character, path)
    return path


def _thrifty(rgba: np.ndarray, step: int) -> np.ndarray:
    """The picture without what costs bytes and is not seen: colours under full transparency, grain below `step`."""
    out = rgba.copy()
    out[..., :3] = np.minimum(np.round(out[..., :3] / step) * step, 255)
    out[out[..., 3] < 3] = 0
    out[out[..., 3] > 252, 3] = 255
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=NAMES, help="characters to build; all by default")
    for name in parser.parse_args().names:
        path = build(name)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
