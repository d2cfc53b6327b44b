"""Which way of drawing a deformed picture is the fastest on a CPU: the choice behind `faceshot.animators.warp`.

    pip install skia-python moderngl     both are optional: what is not installed is left out
    python -m tests.bench.drawing [--json out.json]

The same work by each candidate: a picture of premultiplied RGBA and a displacement on a coarse grid in, the deformed
picture as an array out. A mesh gives straight triangles for each cell, the others bilinear cells; how far their
pictures are from the first one's is stated. Times are medians, the candidates in turn in each round, so that a busy
machine slows all alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numba import njit, prange

from faceshot.animators.warp.grid import Grid
from faceshot.character import resize
from faceshot.types import Float32, UInt8
from live.bench import environment
from live.build import open_character
from live.config import Config

Draw = Callable[[Float32], UInt8]
"""Where each node's picture comes from, (rows, columns, 2) pixels, to (H, W, 4) premultiplied RGBA."""

SIDES_PX = (512, 1024)
NODES = 40  # along a side, as `WarpAnimator` has them at most


def by_remap(picture: UInt8, grid: Grid) -> Draw:
    """cv2: the field enlarged, made whole numbers, remapped."""
    side = picture.shape[0]
    fixed, fraction = np.empty((side, side, 2), np.int16), np.empty((side, side), np.uint16)

    def draw(nodes: Float32) -> UInt8:
        where = np.ascontiguousarray(grid.upsample(nodes)[-grid.y0 :, -grid.x0 :][:side, :side])
        cv2.convertMaps(where, None, cv2.CV_16SC2, fixed, fraction)
        drawn: UInt8 = cv2.remap(picture, fixed, fraction, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return drawn

    return draw


def by_numba(picture: UInt8, grid: Grid) -> Draw:
    """numba: field and picture interpolated in one loop over pixels, its rows shared among threads."""
    out = np.empty_like(picture)

    def draw(nodes: Float32) -> UInt8:
        _resample(picture, nodes, grid.x0, grid.y0, grid.pitch, out)
        return out

    return draw


@njit(fastmath=True, parallel=True)  # type: ignore[misc]
def _resample(picture: UInt8, nodes: Float32, x0: int, y0: int, pitch: int, out: UInt8) -> None:
    height, width = out.shape[:2]
    for y in prange(height):
        v = (y + 0.5 - y0) / pitch - 0.5
        i = int(v)
        fy = v - i
        for x in range(width):
            u = (x + 0.5 - x0) / pitch - 0.5
            j = int(u)
            fx = u - j
            a, b, c, d = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
            at_x = a * nodes[i, j, 0] + b * nodes[i, j + 1, 0] + c * nodes[i + 1, j, 0] + d * nodes[i + 1, j + 1, 0]
            at_y = a * nodes[i, j, 1] + b * nodes[i, j + 1, 1] + c * nodes[i + 1, j, 1] + d * nodes[i + 1, j + 1, 1]
            at_x, at_y = min(max(at_x, 0.0), width - 1.001), min(max(at_y, 0.0), height - 1.001)
            k, m = int(at_y), int(at_x)
            gx, gy = at_x - m, at_y - k
            for channel in range(4):
                above = (1 - gx) * picture[k, m, channel] + gx * picture[k, m + 1, channel]
                below = (1 - gx) * picture[k + 1, m, channel] + gx * picture[k + 1, m + 1, channel]
                out[y, x, channel] = np.uint8((1 - gy) * above + gy * below + 0.5)


def triangles(rows: int, columns: int) -> np.ndarray:
    """(n, 3) nodes of a grid's triangles."""
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    upper = np.stack([first, first + 1, first + columns], 1)
    return np.concatenate([upper, np.stack([first + 1, first + columns + 1, first + columns], 1)])


def by_skia(picture: UInt8, grid: Grid) -> Draw:
    """skia: a textured mesh, drawn by its software rasteriser."""
    import skia

    side = picture.shape[0]
    out = np.zeros_like(picture)
    canvas = skia.Surface(out, colorType=skia.kRGBA_8888_ColorType).getCanvas()
    image = skia.Image.fromarray(picture, colorType=skia.kRGBA_8888_ColorType)
    sampling = skia.SamplingOptions(skia.FilterMode.kLinear)
    shader = image.makeShader(skia.TileMode.kClamp, skia.TileMode.kClamp, sampling)
    paint = skia.Paint(Shader=shader, BlendMode=skia.BlendMode.kSrc)
    places = [skia.Point(float(x) + 0.5, float(y) + 0.5) for x, y in grid.nodes().reshape(-1, 2)]
    indices = triangles(grid.rows, grid.columns).ravel().tolist()

    def draw(nodes: Float32) -> UInt8:
        textures = [skia.Point(x, y) for x, y in (nodes.reshape(-1, 2) + 0.5).tolist()]
        mesh = skia.Vertices.MakeCopy(skia.Vertices.kTriangles_VertexMode, places, textures, None, indices)
        canvas.drawVertices(mesh, paint, skia.BlendMode.kSrc)
        return out[:side]

    return draw


def by_opengl(picture: UInt8, grid: Grid) -> Draw:
    """moderngl: a textured mesh in an EGL context; on a machine without a GPU that is Mesa's software."""
    import moderngl

    context = moderngl.create_standalone_context(backend="egl")
    side = picture.shape[0]
    program = context.program(
        "#version 330\nin vec2 place; in vec2 source; out vec2 at;"
        f"void main() {{ at = (source + 0.5) / {side:.1f};"
        f" gl_Position = vec4((place + 0.5) / {side / 2:.1f} - 1.0, 0.0, 1.0); }}",
        "#version 330\nuniform sampler2D picture; in vec2 at; out vec4 colour;"
        "void main() { colour = texture(picture, at); }",
    )
    context.texture((side, side), 4, picture.tobytes()).use()
    places = context.buffer(grid.nodes().tobytes())
    sources = context.buffer(reserve=grid.nodes().nbytes)
    indices = context.buffer(triangles(grid.rows, grid.columns).astype(np.int32).tobytes())
    mesh = context.vertex_array(program, [(places, "2f", "place"), (sources, "2f", "source")], indices)
    target = context.framebuffer([context.texture((side, side), 4)])
    out = np.empty_like(picture)

    def draw(nodes: Float32) -> UInt8:
        target.use()
        sources.write(np.ascontiguousarray(nodes).tobytes())
        mesh.render()
        target.read_into(out, components=4)
        return out

    return draw


CANDIDATES = {"cv2.remap": by_remap, "numba": by_numba, "skia mesh": by_skia, "OpenGL mesh": by_opengl}


def fields(grid: Grid, side: int) -> Iterator[Float32]:
    """A head that turns and nods: smooth, some per cent of the picture at most."""
    nodes = grid.nodes()
    middle = np.exp(-((nodes - side / 2) ** 2).sum(-1) / (0.3 * side) ** 2)[..., None].astype(np.float32)
    while True:
        for angle in np.linspace(0, 2 * np.pi, 40, endpoint=False):
            yield nodes + 0.04 * side * middle * np.array([np.cos(angle), np.sin(angle)], np.float32)


def measure(picture: UInt8, rounds: int) -> dict[str, dict[str, float | str]]:
    """Milliseconds (median) of each candidate, and the mean difference to the first one's pictures in grey levels."""
    side = picture.shape[0]
    pitch = -(-side // NODES)
    grid = Grid.covering(-pitch, -pitch, side + pitch, side + pitch, pitch)
    found: dict[str, dict[str, float | str]] = {}
    draws: dict[str, Draw] = {}
    for name, make in CANDIDATES.items():
        try:
            draws[name] = make(picture, grid)
        except Exception as error:  # whatever an optional package says on a machine without it
            found[name] = {"left_out": f"{type(error).__name__}: {error}"}
    times: dict[str, list[float]] = {name: [] for name in draws}
    apart: dict[str, list[float]] = {name: [] for name in draws}
    for index, nodes in zip(range(rounds + 3), fields(grid, side), strict=False):
        first: np.ndarray | None = None
        for name, draw in draws.items():
            start = time.perf_counter()
            drawn = draw(nodes)
            if index >= 3:  # the first ones compile and warm up
                times[name].append((time.perf_counter() - start) * 1000)
            first = drawn.astype(int) if first is None else first
            apart[name].append(float(np.abs(drawn - first).mean()))
    for name in draws:
        found[name] = {"ms": round(statistics.median(times[name]), 2), "apart": round(float(np.mean(apart[name])), 3)}
    return found


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--character", default="mika")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(words)
    rgba = resize(open_character(options.character, Config()), max(SIDES_PX)).rgba.astype(np.float32)
    rgba[..., :3] *= rgba[..., 3:] / 255
    result: dict[str, object] = {"environment": environment()}
    for side in SIDES_PX:
        picture = np.ascontiguousarray(cv2.resize(rgba, (side, side), interpolation=cv2.INTER_AREA).round())
        result[str(side)] = found = measure(picture.astype(np.uint8), options.rounds)
        for name, row in found.items():
            print(f"{side:5} px  {name:12}", *(f"{key} {value}" for key, value in row.items()))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
