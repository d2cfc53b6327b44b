"""All that runs once per pixel or per node of a frame, compiled.

One file on purpose: what is compiled is kept on disk until *its own* file changes, so a kernel must not inline a
function of another file.

Convention:
    A grid is (x0, y0, pitch) as in `grid`: node (i, j) lies at pixel x0 + (j + 1/2) pitch - 1/2. Fields are
    displacements in pixels, (rows, columns, 2) float32, continued constantly outside their grid.
    Boxes are left, top, right, bottom in pixels, the last two not included.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from faceshot.animators.warp.compiled import compiled
from faceshot.types import Float32, UInt8

__all__ = [
    "EyeNow",
    "EyeShape",
    "MouthShape",
    "compose",
    "draw_eye",
    "draw_mouth",
    "extent",
    "newton",
    "part_lips",
    "put_behind",
    "share_without_fold",
    "slide_lids",
    "turn_head",
    "unfold",
]


@compiled
def _unit(x: float) -> float:
    return min(max(x, 0.0), 1.0)


@compiled
def _smooth(x: float, low: float, high: float) -> float:
    x = _unit((x - low) / (high - low))
    return x * x * (3.0 - 2.0 * x)


@compiled
def _cell(x: float, count: int) -> tuple[int, float]:
    """Index and fraction of a place between samples, held at both ends."""
    x = min(max(x, 0.0), count - 1.0)
    index = min(int(x), count - 2)
    return index, x - index


@compiled
def _pair(field: Float32, i: int, j: int, fx: float, fy: float) -> tuple[float, float]:
    """Bilinear value of a field, fx and fy into the cell (i, j)."""
    a, b, c, d = field[i, j, 0], field[i, j + 1, 0], field[i + 1, j, 0], field[i + 1, j + 1, 0]
    top, bottom = a + fx * (b - a), c + fx * (d - c)
    first = top + fy * (bottom - top)
    a, b, c, d = field[i, j, 1], field[i, j + 1, 1], field[i + 1, j, 1], field[i + 1, j + 1, 1]
    top, bottom = a + fx * (b - a), c + fx * (d - c)
    return first, top + fy * (bottom - top)


@compiled
def _colour(image: UInt8, x: float, y: float) -> tuple[float, float, float]:
    """Bilinear RGB of an image at a place of its own."""
    j, fx = _cell(x, image.shape[1])
    i, fy = _cell(y, image.shape[0])
    a, b, c, d = (1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy
    return (
        a * image[i, j, 0] + b * image[i, j + 1, 0] + c * image[i + 1, j, 0] + d * image[i + 1, j + 1, 0],
        a * image[i, j, 1] + b * image[i, j + 1, 1] + c * image[i + 1, j, 1] + d * image[i + 1, j + 1, 1],
        a * image[i, j, 2] + b * image[i, j + 1, 2] + c * image[i + 1, j, 2] + d * image[i + 1, j + 1, 2],
    )


@compiled
def _share(mask: UInt8, x: float, y: float) -> float:
    """Bilinear value of a mask (h, w) at a place of its own, 0 to 1."""
    j, fx = _cell(x, mask.shape[1])
    i, fy = _cell(y, mask.shape[0])
    top = (1 - fx) * mask[i, j] + fx * mask[i, j + 1]
    bottom = (1 - fx) * mask[i + 1, j] + fx * mask[i + 1, j + 1]
    return (top + fy * (bottom - top)) / 255


@compiled
def _vector(field: Float32, x: float, y: float) -> tuple[float, float]:
    """Bilinear value of a field at fractional column x and row y."""
    j, fx = _cell(x, field.shape[1])
    i, fy = _cell(y, field.shape[0])
    return _pair(field, i, j, fx, fy)


@compiled
def _at_cell(place: float, start: int, pitch: int) -> float:
    """A pixel coordinate as a fractional node index."""
    return (place - start + 0.5) / pitch - 0.5


@compiled
def newton(
    field: Float32,
    grid: tuple[int, int, int],
    start: tuple[int, int],
    shape: tuple[int, int],
    steps: int,
    reach: float,
) -> Float32:
    """Displacement v with (y + v) + u(y + v) = y on nodes y, by Newton steps (a fixed-point iteration diverges where
    the field stretches more than twofold, which a jaw opening does).

    Args:
        field: (rows, columns, 2) displacement u of source points on `grid`.
        start: (x0, y0) of the nodes y; their pitch is `grid`'s.
        shape: (rows, columns) of the result.
        reach: longest step, in cells, along either axis.
    """
    x0, y0, pitch = grid
    rows, columns = field.shape[:2]
    of_x, of_y = np.empty((rows, columns, 2), np.float32), np.empty((rows, columns, 2), np.float32)  # slopes
    for i in range(rows):
        above, below = max(i - 1, 0), min(i + 1, rows - 1)
        for j in range(columns):
            left, right = max(j - 1, 0), min(j + 1, columns - 1)
            of_x[i, j, 0] = (field[i, right, 0] - field[i, left, 0]) * 0.5 / pitch
            of_x[i, j, 1] = (field[below, j, 0] - field[above, j, 0]) * 0.5 / pitch
            of_y[i, j, 0] = (field[i, right, 1] - field[i, left, 1]) * 0.5 / pitch
            of_y[i, j, 1] = (field[below, j, 1] - field[above, j, 1]) * 0.5 / pitch
    result = np.empty((shape[0], shape[1], 2), np.float32)
    longest = reach * pitch
    for row in range(shape[0]):
        ty = start[1] + (row + 0.5) * pitch - 0.5
        for column in range(shape[1]):
            tx = start[0] + (column + 0.5) * pitch - 0.5
            ux, uy = _vector(field, _at_cell(tx, x0, pitch), _at_cell(ty, y0, pitch))
            x, y = tx - ux, ty - uy
            for _ in range(steps):
                j, fx = _cell(_at_cell(x, x0, pitch), columns)
                i, fy = _cell(_at_cell(y, y0, pitch), rows)
                dx, dy = _pair(field, i, j, fx, fy)
                ex, ey = x - tx + dx, y - ty + dy
                if abs(ex) + abs(ey) < 0.01:
                    break
                xx, xy = _pair(of_x, i, j, fx, fy)
                yx, yy = _pair(of_y, i, j, fx, fy)
                a, b, c, d = 1 + xx, xy, yx, 1 + yy
                scale = 1 / max(a * d - b * c, 0.25)
                x -= min(max((d * ex - b * ey) * scale, -longest), longest)
                y -= min(max((a * ey - c * ex) * scale, -longest), longest)
            result[row, column, 0] = x - tx
            result[row, column, 1] = y - ty
    return result


@compiled
def turn_head(
    q: Float32,
    resting: Float32,
    member: Float32,
    trunk: Float32,
    turn: Float32,
    axes: Float32,
    scale: float,
    focal: float,
    shift: tuple[float, float],
    stretch: tuple[float, float],
    lift: float,
    ball: bool,
) -> Float32:
    """(rows, columns, 2) displacement of nodes by a rigid motion of the head, in perspective, and by breathing.

    Args:
        q: (rows, columns, 3) nodes in the face's own axes about the head's centre, z away from the viewer, pixels.
        resting: (rows, columns, 2) where they are seen at rest.
        member, trunk: (rows, columns) share in the head's motion, rise of a full breath in pixels.
        turn: (3, 3) rotation in the face's axes; `axes` (2, 2) are these in the picture, row by row.
        focal: distance of the viewer, pixels.
        shift: pixels of the picture.
        stretch: squash and stretch of a head without a mouth, and the chin's distance below the centre.
        lift: share of a full breath.
        ball: the head is a ball: what is on it slides, its outline stays.
    """
    rows, columns = member.shape
    field = np.empty((rows, columns, 2), np.float32)
    roll = np.arctan2(turn[1, 0] - turn[0, 1], turn[0, 0] + turn[1, 1])
    cos, sin = np.cos(roll), np.sin(roll)
    amount, chin = stretch
    for i in range(rows):
        for j in range(columns):
            x, y, z = q[i, j, 0], q[i, j, 1], q[i, j, 2]
            if ball:
                mx = scale * (cos * x - sin * y + z * turn[0, 2]) - x
                my = scale * (sin * x + cos * y + z * turn[1, 2]) - y
            else:
                near = scale * focal / (focal + turn[2, 0] * x + turn[2, 1] * y + turn[2, 2] * z)
                mx = near * (turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z) - resting[i, j, 0]
                my = near * (turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z) - resting[i, j, 1]
            mx -= 0.05 * amount * x
            my += 0.10 * amount * (y - chin)
            field[i, j, 0] = (mx * axes[0, 0] + my * axes[1, 0] + shift[0]) * member[i, j]
            field[i, j, 1] = (mx * axes[0, 1] + my * axes[1, 1] + shift[1]) * member[i, j] - lift * trunk[i, j]
    return field


@compiled
def unfold(field: Float32, member: Float32, pitch: int, rounds: int) -> None:
    """Smooths a field (rows, columns, 2) where it nearly folds, in place, and leaves it alone elsewhere.

    Where head and body part, a large motion would turn the picture inside out; there neighbours share the strain.

    Args:
        member: (rows, columns) share in the head's motion; the head itself (1) stays as rigid as it is.
    """
    rows, columns = field.shape[:2]
    strain = np.zeros((rows, columns), np.float32)
    old = np.empty_like(field)
    for _ in range(rounds):
        worst = 0.0
        for i in range(rows):
            up, down = max(i - 1, 0), min(i + 1, rows - 1)
            for j in range(columns):
                left, right = max(j - 1, 0), min(j + 1, columns - 1)
                # Per cell on either side: central differences do not see a fold of one node.
                least = 1.0
                for k in (left, j):
                    if k == right or k + 1 > columns - 1:
                        continue
                    for m in (up, i):
                        if m + 1 > rows - 1:
                            continue
                        a = 1 + (field[m, k + 1, 0] - field[m, k, 0]) / pitch
                        b = (field[m + 1, k, 0] - field[m, k, 0]) / pitch
                        c = (field[m, k + 1, 1] - field[m, k, 1]) / pitch
                        d = 1 + (field[m + 1, k, 1] - field[m, k, 1]) / pitch
                        least = min(least, a * d - b * c)
                strain[i, j] = _unit((0.32 - least) / 0.2)
                worst = max(worst, strain[i, j])
        if worst == 0:
            return
        for i in range(rows):  # in loops: compiling a slice's assignment, with its messages, would take seconds
            for j in range(columns):
                old[i, j, 0], old[i, j, 1] = field[i, j, 0], field[i, j, 1]
        for i in range(rows):
            up, down = max(i - 1, 0), min(i + 1, rows - 1)
            for j in range(columns):
                left, right = max(j - 1, 0), min(j + 1, columns - 1)
                share = max(
                    strain[i, j], 0.6 * max(max(strain[up, j], strain[down, j]), max(strain[i, left], strain[i, right]))
                )
                if share > 0 and member[i, j] < 0.999:
                    for k in range(2):
                        mean = 0.25 * (old[up, j, k] + old[down, j, k] + old[i, left, k] + old[i, right, k])
                        field[i, j, k] = old[i, j, k] + 0.8 * share * (mean - old[i, j, k])


@compiled
def share_without_fold(field: Float32, seen: UInt8, pitch: int, least: float) -> float:
    """The largest share of a field (rows, columns, 2), at most 1, of which no cell folds.

    Along the way from rest to the field the area of each corner of a cell is a parabola that begins at 1: what counts
    is where the first one falls to `least`.

    Args:
        seen: (rows - 1, columns - 1) the cells that count.
    """
    share = 1.0
    for i in range(field.shape[0] - 1):
        for j in range(field.shape[1] - 1):
            if not seen[i, j]:
                continue
            for m in range(i, i + 2):
                a, c = (field[m, j + 1, 0] - field[m, j, 0]) / pitch, (field[m, j + 1, 1] - field[m, j, 1]) / pitch
                for k in range(j, j + 2):
                    b, d = (field[i + 1, k, 0] - field[i, k, 0]) / pitch, (field[i + 1, k, 1] - field[i, k, 1]) / pitch
                    trace, area = a + d, a * d - b * c
                    if 1 + share * (trace + share * area) < least:
                        root = np.sqrt(max(trace * trace - 4 * area * (1 - least), 0.0))
                        share = min(share, max(2 * (1 - least) / max(root - trace, 1e-6), 0.0))
    return share


@compiled
def compose(
    start: tuple[int, int, int],
    shape: tuple[int, int],
    head_back: Float32,
    head: tuple[int, int, int],
    sheet_back: Float32,
    sheet: tuple[int, int, int],
    through_sheet: bool,
) -> Float32:
    """(rows, columns, 2) resting point of each node of a grid (`start`, `shape`), through the head and then a sheet."""
    x0, y0, pitch = start
    points = np.empty((shape[0], shape[1], 2), np.float32)
    for i in range(shape[0]):
        for j in range(shape[1]):
            x, y = x0 + (j + 0.5) * pitch - 0.5, y0 + (i + 0.5) * pitch - 0.5
            dx, dy = _vector(head_back, _at_cell(x, head[0], head[2]), _at_cell(y, head[1], head[2]))
            x, y = x + dx, y + dy
            if through_sheet:
                dx, dy = _vector(sheet_back, _at_cell(x, sheet[0], sheet[2]), _at_cell(y, sheet[1], sheet[2]))
                x, y = x + dx, y + dy
            points[i, j, 0], points[i, j, 1] = x, y
    return points


@compiled
def extent(
    points: Float32,
    fields: tuple[Float32, ...],
    grids: tuple[tuple[int, int, int], ...],
) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of where resting points (n, 2) go.

    Args:
        fields: of the head, then of the sheets; each point goes through each sheet and then through the head.
    """
    left, top, right, bottom = 1e9, 1e9, -1e9, -1e9
    head, head_grid = fields[0], grids[0]
    for k in range(1, len(fields)):
        field, grid = fields[k], grids[k]
        for n in range(points.shape[0]):
            x, y = points[n, 0], points[n, 1]
            dx, dy = _vector(field, _at_cell(x, grid[0], grid[2]), _at_cell(y, grid[1], grid[2]))
            x, y = x + dx, y + dy
            dx, dy = _vector(head, _at_cell(x, head_grid[0], head_grid[2]), _at_cell(y, head_grid[1], head_grid[2]))
            x, y = x + dx, y + dy
            left, top, right, bottom = min(left, x), min(top, y), max(right, x), max(bottom, y)
    return left, top, right, bottom


class EyeShape(NamedTuple):
    """An eye as `draw_eye` wants it; lengths in pixels of the resting picture.

    Attributes:
        to_column: (3,) picture point (x, y, 1) to the column of the lid tables; `to_down`: to t, down the eye.
        axis_x, axis_y: (2,) unit vectors across and down the eye.
        per_pixel: table columns in a pixel across.
        origin: (2,) the picture's pixel where the patches begin.
        patch, plate, ink: (h, w, 3) the picture there, with skin instead of the eye, and what is darker than skin.
        touched: (h, w) where `plate` or `ink` differ from the picture.
        line: (3,) colour of shut lids' line.
        width, height, strip, above, below: see `Lids`.
        rim_up, rim_down: what beneath a lid's edge does not glance, across that edge, and `steep` (columns, 2) by how
            much it is thicker down the eye.
        white: (h, w, 3) the picture there without the iris; `disc` (h, w) says what of it is iris, `iris`
            (3,) is its middle (s, t) and radius, which is 0 where none can be told from the white.
        squash: the eye is squeezed instead of covered.
        rim_fades, line_width, line_strength, shadow: see `EyeStyle`; the width is a half one, in pixels.
    """

    to_column: Float32
    to_down: Float32
    axis_x: Float32
    axis_y: Float32
    per_pixel: float
    origin: Float32
    patch: UInt8
    plate: UInt8
    ink: UInt8
    touched: UInt8
    line: Float32
    width: float
    height: float
    strip: float
    above: float
    below: float
    rim_up: float
    rim_down: float
    steep: Float32
    white: UInt8
    disc: UInt8
    iris: Float32
    squash: bool
    rim_fades: float
    line_width: float
    line_strength: float
    shadow: float


class EyeNow(NamedTuple):
    """An eye in one frame.

    Attributes:
        table: (columns, 4) float32 upper and lower lid now, upper and lower lid at rest, pixels down.
        opening: 0 shut, 1 at rest, up to 1.6.
        gaze_x, gaze_y: shift of the pupil across and down the eye, pixels.
    """

    table: Float32
    opening: float
    gaze_x: float
    gaze_y: float


@compiled
def slide_lids(
    t: float, un: float, ln: float, u: float, low: float, strip: float, above: float, below: float
) -> tuple[float, float]:
    """How far down the source of a place lies if it belongs to the upper lid, and if to the lower.

    Above the eye the skin is still at the top and stretches down to the strip of lashes, which moves as it is; below
    it stretches between the lid and a place that rests.

    Args:
        t: the place, down the eye.
        un, ln: upper and lower lid now; u, low: at rest. All in pixels.
    """
    down = un - u
    over = t - (u - above)
    if t >= un - strip:
        upper = -down
    elif over < 0:
        upper = 0.0
    else:
        upper = over * ((above - strip) / max(down + (above - strip), 0.05 * above) - 1)
    left = max(low + below - t, 0.0)
    lower = left - left * below / max(low + below - ln, 0.05 * below)
    return upper, lower


@compiled
def draw_eye(out: UInt8, where: Float32, box: tuple[int, int, int, int], eye: EyeShape, now: EyeNow) -> None:
    """Paints an eye over a box of `out`, in place: lids, then the eyeball that they clip, then the line of shut lids.

    Args:
        out: (H, W, 4); its alpha stays.
        where: (H, W, 2) resting picture point that each pixel shows.
    """
    count = now.table.shape[0]
    middle = (count - 1) / 2
    closing = _unit(1 - now.opening)
    lidded = abs(now.opening - 1) >= 0.01
    glances = now.gaze_x != 0 or now.gaze_y != 0
    # At rest the eyeball is the picture's own; a glance comes in softly, or a still eye would tremble.
    glance_share = _unit(np.hypot(now.gaze_x, now.gaze_y) / (0.03 * eye.width + 0.5))
    bare_share = _smooth(closing, 0.05, 0.40)
    rim_fade = eye.rim_fades * _smooth(closing, 0.4, 1.0)
    shade = eye.shadow * _smooth(closing, 0.0, 0.3)
    stroke = _smooth(closing, 0.6, 0.95)
    line_share = eye.line_strength * _smooth(closing, 0.75, 0.98) if not eye.squash else 0.0
    strip = max(eye.strip, 1.0)
    rim = 0.10 * eye.height
    soft = 1 / (0.2 * eye.strip + 1)
    clean = 0.03 * eye.width + 1  # next to a lid's edge an iris has the shade of it
    # Most of the box is skin that rests.
    first, last = 1e9, -1e9
    for k in range(count):
        first = min(first, min(now.table[k, 0], now.table[k, 2]))
        last = max(last, max(now.table[k, 1], now.table[k, 3]))
    if lidded:
        first, last = first - eye.above, last + eye.below
    for row in range(box[1], box[3]):
        for column in range(box[0], box[2]):
            ax, ay = where[row, column, 0], where[row, column, 1]
            at = eye.to_column[0] * ax + eye.to_column[1] * ay + eye.to_column[2]
            s = (at - middle) / eye.per_pixel
            side = 0.5 * eye.width - abs(s)
            if side < -0.25 * eye.width:
                continue
            t = eye.to_down[0] * ax + eye.to_down[1] * ay + eye.to_down[2]
            px, py = ax - eye.origin[0], ay - eye.origin[1]
            if t < first - 1 or t > last + 1:
                i = min(max(int(py + 0.5), 0), eye.touched.shape[0] - 1)
                j = min(max(int(px + 0.5), 0), eye.touched.shape[1] - 1)
                if bare_share == 0 or not eye.touched[i, j]:
                    continue
            k, f = _cell(at, count)
            un = now.table[k, 0] + f * (now.table[k + 1, 0] - now.table[k, 0])
            ln = now.table[k, 1] + f * (now.table[k + 1, 1] - now.table[k, 1])
            u = now.table[k, 2] + f * (now.table[k + 1, 2] - now.table[k, 2])
            low = now.table[k, 3] + f * (now.table[k + 1, 3] - now.table[k, 3])
            rim_up, rim_down = eye.rim_up * eye.steep[k, 0], eye.rim_down * eye.steep[k, 1]
            below_upper, above_lower = t - un, ln - t
            inside = _unit(min(min(below_upper, above_lower) + 0.5, side))
            if inside == 0 and not lidded:
                continue
            r, g, b = float(out[row, column, 0]), float(out[row, column, 1]), float(out[row, column, 2])
            if lidded and inside < 1:
                of_upper, of_lower = slide_lids(t, un, ln, u, low, eye.strip, eye.above, eye.below)
                lower_half = above_lower < below_upper  # where the lids meet, each keeps its own half
                shift = of_lower if lower_half else of_upper
                sx, sy = px + shift * eye.axis_y[0], py + shift * eye.axis_y[1]
                i = min(max(int(py + 0.5), 0), eye.touched.shape[0] - 1)
                j = min(max(int(px + 0.5), 0), eye.touched.shape[1] - 1)
                if bare_share > 0 and (eye.touched[i, j] or abs(shift) > 0.01):
                    # Bare skin, with only what is darker than skin (lashes, lid line) carried along: no stretched
                    # sockets and no slivers of white where the eye is wider than its landmarks.
                    br, bg, bb = _colour(eye.plate, px, py)
                    if not eye.squash:
                        # Beyond the strip above, or a thin rim beneath, what is dark does not belong to the lids.
                        beyond = -above_lower - rim if lower_half else -below_upper - strip
                        weight = _unit(1 - beyond * soft)
                        if lower_half:  # shut lids have one lash line, not two
                            weight *= 1 - rim_fade
                        if weight > 0:
                            dr, dg, db = _colour(eye.ink, sx, sy)
                            br, bg, bb = br - weight * dr, bg - weight * dg, bb - weight * db
                    if bare_share < 1:
                        cr, cg, cb = _colour(eye.patch, sx, sy)
                        br, bg, bb = (
                            cr + bare_share * (br - cr),
                            cg + bare_share * (bg - cg),
                            cb + bare_share * (bb - cb),
                        )
                    r, g, b = max(br, 0.0), max(bg, 0.0), max(bb, 0.0)
                elif abs(shift) > 0.01:
                    r, g, b = _colour(eye.patch, sx, sy)
            if inside > 0 and (lidded or glances):
                from_s, from_t = s, t
                if now.opening > 1 or eye.squash:  # scaled to the new opening, so that there is no hole to fill
                    from_t = u + below_upper * (low - u) / max(below_upper + above_lower, 1e-3)
                if glances and eye.iris[2] > 0:
                    # The disc moves as a whole; what a lid hides of it at rest is as at the lid's edge.
                    down = from_t - t
                    er, eg, eb = _colour(eye.white, px + down * eye.axis_y[0], py + down * eye.axis_y[1])
                    across = -now.gaze_x
                    k, f = _cell((s + across) * eye.per_pixel + middle, count)
                    there_u = now.table[k, 2] + f * (now.table[k + 1, 2] - now.table[k, 2])
                    there_low = now.table[k, 3] + f * (now.table[k + 1, 3] - now.table[k, 3])
                    wanted = from_t - now.gaze_y
                    held = max(wanted, there_u + eye.rim_up * eye.steep[k, 0] + clean)
                    held = min(held, there_low - eye.rim_down * eye.steep[k, 1] - clean)
                    fits = 1.0
                    if held != wanted:  # hidden at rest: as what is seen as far from the iris's middle
                        x, y = s + across - eye.iris[0], wanted - eye.iris[1]
                        away = np.hypot(x, y)
                        fits = _unit(eye.iris[2] + 0.5 - away)
                        for _ in range(2):
                            turned = np.sqrt(max(away * away - (held - eye.iris[1]) ** 2, 0.0))
                            to = eye.iris[0] + (turned if x > 0 else -turned)
                            k, f = _cell(to * eye.per_pixel + middle, count)
                            there_u = now.table[k, 2] + f * (now.table[k + 1, 2] - now.table[k, 2])
                            there_low = now.table[k, 3] + f * (now.table[k + 1, 3] - now.table[k, 3])
                            held = max(held, there_u + eye.rim_up * eye.steep[k, 0] + clean)
                            held = min(held, there_low - eye.rim_down * eye.steep[k, 1] - clean)
                        across = to - s
                    down = held - t
                    ix = px + across * eye.axis_x[0] + down * eye.axis_y[0]
                    iy = py + across * eye.axis_x[1] + down * eye.axis_y[1]
                    share = fits * _share(eye.disc, ix, iy)
                    # The lids' own edges stay over it.
                    share *= _unit(from_t - u - rim_up + 1.0) * _unit(low - rim_down - from_t + 1.0)
                    if share > 0:
                        cr, cg, cb = _colour(eye.patch, ix, iy)
                        er, eg, eb = er + share * (cr - er), eg + share * (cg - eg), eb + share * (cb - eb)
                    if glance_share < 1:
                        down = from_t - t
                        cr, cg, cb = _colour(eye.patch, px + down * eye.axis_y[0], py + down * eye.axis_y[1])
                        er, eg, eb = (
                            cr + glance_share * (er - cr),
                            cg + glance_share * (eg - cg),
                            cb + glance_share * (eb - cb),
                        )
                else:
                    if glances:
                        # No disc to be seen: the middle moves as a whole, what is beside it gives way, and what lies
                        # beneath the lids' own edges (lashes, rims) stays.
                        shift = 1 - _smooth(abs(s), 0.22 * eye.width, 0.5 * eye.width)
                        shift *= _unit(0.35 * min(from_t - u - 0.5 * eye.rim_up, low - 0.5 * eye.rim_down - from_t))
                        from_s = s - now.gaze_x * shift
                        k, f = _cell(from_s * eye.per_pixel + middle, count)
                        there_u = now.table[k, 2] + f * (now.table[k + 1, 2] - now.table[k, 2])
                        there_low = now.table[k, 3] + f * (now.table[k + 1, 3] - now.table[k, 3])
                        within = min(max(from_t - now.gaze_y * shift, there_u + eye.rim_up), there_low - eye.rim_down)
                        from_t += shift * (within - from_t)
                    dx, dy = from_s - s, from_t - t
                    er, eg, eb = _colour(
                        eye.patch,
                        px + dx * eye.axis_x[0] + dy * eye.axis_y[0],
                        py + dx * eye.axis_x[1] + dy * eye.axis_y[1],
                    )
                if eye.squash:  # shut, it is one clean stroke
                    er += stroke * (eye.line[0] - er)
                    eg += stroke * (eye.line[1] - eg)
                    eb += stroke * (eye.line[2] - eb)
                elif shade > 0:
                    light = 1 - shade * _unit(1 - below_upper / (0.30 * eye.height))
                    er, eg, eb = er * light, eg * light, eb * light
                r, g, b = r + inside * (er - r), g + inside * (eg - g), b + inside * (eb - b)
            if line_share > 0 and eye.line_width > 0:
                taper = min(side / (0.12 * eye.width), 1.0)
                ink = line_share * _unit(eye.line_width * taper - abs(below_upper - above_lower) * 0.5 + 0.5)
                r += ink * (eye.line[0] - r)
                g += ink * (eye.line[1] - g)
                b += ink * (eye.line[2] - b)
            out[row, column, 0] = np.uint8(min(r, 255.0) + 0.5)
            out[row, column, 1] = np.uint8(min(g, 255.0) + 0.5)
            out[row, column, 2] = np.uint8(min(b, 255.0) + 0.5)


class MouthShape(NamedTuple):
    """A mouth as `part_lips` and `draw_mouth` want it; lengths in pixels of the resting picture.

    Attributes:
        axis_x, axis_y, middle: (2,) the mouth's own frame.
        width: distance of the corners.
        table: (columns, 5) upper line, the edge that covers beneath it, lower line, its covering edge, and the share
            of the lower sheet where both show the same.
        reach: half-width of that table in mouth widths.
        cavity, tongue, teeth: (3,) RGB; `has_teeth`.
        flat: drawn with flat colours.
        light: how bright the face is, 1 is usual.
        rim: width of the line drawn around the opening's lower edge, pixels, and `line` (3,) its colour.
    """

    axis_x: Float32
    axis_y: Float32
    middle: Float32
    width: float
    table: Float32
    reach: float
    cavity: Float32
    tongue: Float32
    teeth: Float32
    has_teeth: bool
    flat: bool
    light: float
    rim: float
    line: Float32


@compiled
def part_lips(
    where: Float32, box: tuple[int, int, int, int], at_lower: Float32, mouth: MouthShape, gap: Float32
) -> tuple[int, int, int, int, float]:
    """Chooses for each pixel of a box the sheet that shows there and writes its resting point into `where`.

    Args:
        where: (H, W, 2) resting point that each pixel shows on the upper sheet, changed in place.
        at_lower: (h, w, 2) the same on the lower sheet.
        gap: (h, w, 6) written where the inside shows: how much of it the lips cover, distance below the upper and
            above the lower lip, place across the mouth (-1 to 1), and the resting point to show of an open picture.

    Returns:
        The box within the box where the inside shows (empty if nowhere) and its greatest height in pixels.
    """
    left, top, right, bottom = gap.shape[1], gap.shape[0], 0, 0
    widest = 0.0
    count = mouth.table.shape[0]
    per_pixel = (count - 1) / (2 * mouth.reach * mouth.width)
    middle = (count - 1) / 2
    for i in range(box[3] - box[1]):
        for j in range(box[2] - box[0]):
            ux, uy = where[box[1] + i, box[0] + j, 0], where[box[1] + i, box[0] + j, 1]
            lx, ly = at_lower[i, j, 0], at_lower[i, j, 1]
            dx, dy = ux - mouth.middle[0], uy - mouth.middle[1]
            su, tu = dx * mouth.axis_x[0] + dy * mouth.axis_x[1], dx * mouth.axis_y[0] + dy * mouth.axis_y[1]
            dx, dy = lx - mouth.middle[0], ly - mouth.middle[1]
            sl, tl = dx * mouth.axis_x[0] + dy * mouth.axis_x[1], dx * mouth.axis_y[0] + dy * mouth.axis_y[1]
            k, f = _cell(su * per_pixel + middle, count)
            upper = mouth.table[k, 0] + f * (mouth.table[k + 1, 0] - mouth.table[k, 0])
            upper_edge = mouth.table[k, 1] + f * (mouth.table[k + 1, 1] - mouth.table[k, 1])
            k, f = _cell(sl * per_pixel + middle, count)
            lower = mouth.table[k, 2] + f * (mouth.table[k + 1, 2] - mouth.table[k, 2])
            lower_edge = mouth.table[k, 3] + f * (mouth.table[k + 1, 3] - mouth.table[k, 3])
            below, above = tu - upper, lower - tl
            if above < below:
                share = mouth.table[k, 4] + f * (mouth.table[k + 1, 4] - mouth.table[k, 4])
                # Only at the corners themselves are the sheets one; beneath, the upper one has no say.
                share = max(share, _unit(-above / (0.12 * mouth.width)))
                where[box[1] + i, box[0] + j, 0] = ux + share * (lx - ux)
                where[box[1] + i, box[0] + j, 1] = uy + share * (ly - uy)
            cover = _unit(0.5 - (tu - upper_edge)) + _unit(0.5 + (tl - lower_edge))
            gap[i, j, 0] = min(cover, 1.0)
            if cover < 1:
                left, top, right, bottom = min(left, j), min(top, i), max(right, j + 1), max(bottom, i + 1)
                du, dl = max(below, 0.0), max(above, 0.0)
                widest = max(widest, du + dl)
                gap[i, j, 1], gap[i, j, 2] = du, dl
                gap[i, j, 3] = (su + sl) / mouth.width
                # at_upper - du and at_lower + dl lie on the lips themselves.
                share = du / max(du + dl, 1e-3)
                ux, uy = ux - du * mouth.axis_y[0], uy - du * mouth.axis_y[1]
                lx, ly = lx + dl * mouth.axis_y[0], ly + dl * mouth.axis_y[1]
                gap[i, j, 4] = ux + share * (lx - ux)
                gap[i, j, 5] = uy + share * (ly - uy)
    return left, top, right, bottom, widest


@compiled
def draw_mouth(
    out: UInt8,
    texture: UInt8,
    box: tuple[int, int, int, int],
    inner: tuple[int, int, int, int],
    still: Float32,
    mouth: MouthShape,
    gap: Float32,
    widest: float,
    arc: tuple[float, float, float],
    raised: float,
    jaw: float,
    own: float,
) -> None:
    """Paints the inside of the mouth over `out`, in place.

    Args:
        box: as given to `part_lips`; `inner`, `widest` and `gap` as it returned them.
        still: (h, w, 2) resting point that each pixel of `box` would show without any expression.
        arc: parabola over pixels across the mouth along which the upper teeth hang.
        raised: how far the upper lip is above rest, pixels.
        jaw: how far the jaw, and with it the lower teeth, is below rest, pixels.
        own: how much of the inside is the picture's own, 0..1.
    """
    open_by = widest / mouth.width
    hill_height = min(0.66, 1.7 * open_by) * widest
    tongue_edge = 1.5 if mouth.flat else max(2.0, 0.04 * mouth.width)
    tongue_share = _unit((open_by - 0.06) / 0.08)
    band = min(max(0.055 * mouth.width + raised, 0.03 * mouth.width), 0.13 * mouth.width)
    teeth_edge = 1.0 if mouth.flat else 1.0 / max(1.0, 0.012 * mouth.width)
    teeth_share = _unit((open_by - 0.06) / 0.12)
    low_band = 0.15 * mouth.width
    floor = -1e9  # where the mouth is lowest near its middle, as the teeth
    for i in range(inner[1], inner[3]):
        for j in range(inner[0], inner[2]):
            if gap[i, j, 0] < 1 and abs(gap[i, j, 3]) < 0.4:
                x, y = still[i, j, 0] - mouth.middle[0], still[i, j, 1] - mouth.middle[1]
                floor = max(floor, x * mouth.axis_y[0] + y * mouth.axis_y[1] + gap[i, j, 2])
    for i in range(inner[1], inner[3]):
        for j in range(inner[0], inner[2]):
            cover = gap[i, j, 0]
            if cover >= 1:
                continue
            r, g, b = 0.0, 0.0, 0.0
            if own < 1:
                du, dl, place = gap[i, j, 1], gap[i, j, 2], gap[i, j, 3]
                depth = du / max(du + dl, 1e-3)
                side = _unit(1 - place * place)
                dim = 1.0 if mouth.flat else (0.65 + 0.35 * side) * (0.8 + 0.35 * depth)
                dx, dy = still[i, j, 0] - mouth.middle[0], still[i, j, 1] - mouth.middle[1]
                s = dx * mouth.axis_x[0] + dy * mouth.axis_x[1]
                t = dx * mouth.axis_y[0] + dy * mouth.axis_y[1]
                # A tongue: a low hill that grows with the opening, on a floor of its own, however the lip curves.
                hill = hill_height * np.sqrt(max(1 - (place / 0.85) ** 2, 0.0))
                up = max(floor - t, 0.0)
                tongue = tongue_share * _unit((hill - up) / tongue_edge + 0.5)
                shade = 1.0 if mouth.flat else 0.6 + 0.4 * _unit(1 - up / max(hill, 1.0))
                r = (mouth.cavity[0] * dim + tongue * (mouth.tongue[0] * shade - mouth.cavity[0] * dim)) * mouth.light
                g = (mouth.cavity[1] * dim + tongue * (mouth.tongue[1] * shade - mouth.cavity[1] * dim)) * mouth.light
                b = (mouth.cavity[2] * dim + tongue * (mouth.tongue[2] * shade - mouth.cavity[2] * dim)) * mouth.light
                if mouth.has_teeth:  # an even row under the upper lip, attached to the skull
                    inward = t - ((arc[0] * s + arc[1]) * s + arc[2])
                    arch = _unit(1 - (place / 0.80) ** 4)
                    white = teeth_share * _unit((band * arch - inward) * teeth_edge + 0.5) * min(arch * 3, 1.0)
                    gum = 1.0
                    if not mouth.flat:
                        gum = (0.76 + 0.24 * _unit(inward / band)) * (0.7 + 0.3 * side)
                    r += white * (mouth.teeth[0] * gum - r)
                    g += white * (mouth.teeth[1] * gum - g)
                    b += white * (mouth.teeth[2] * gum - b)
                    if not mouth.flat:
                        # The lower ones meet them while the jaw is shut, and sink with it, less than the lip.
                        low = inward - band - 0.8 * jaw - 0.05 * mouth.width
                        arch = _unit(1 - (place / 0.70) ** 4)
                        white = teeth_share * _unit(low * teeth_edge + 0.5) * min(arch * 3, 1.0)
                        white *= _unit((low_band - low) * teeth_edge + 0.5)
                        gum = (0.70 - 0.30 * _unit(low / low_band)) * (0.66 + 0.34 * side)
                        r += white * (mouth.teeth[0] * gum - r)
                        g += white * (mouth.teeth[1] * gum - g)
                        b += white * (mouth.teeth[2] * gum - b)
            if own > 0:
                tr, tg, tb = _colour(texture, gap[i, j, 4], gap[i, j, 5])
                r, g, b = r + own * (tr - r), g + own * (tg - g), b + own * (tb - b)
            if mouth.rim > 0:
                ink = _unit(mouth.rim - gap[i, j, 2] + 0.5) * _unit(widest / (3 * mouth.rim) - 0.5)
                r, g, b = r + ink * (mouth.line[0] - r), g + ink * (mouth.line[1] - g), b + ink * (mouth.line[2] - b)
            y, x = box[1] + i, box[0] + j
            out[y, x, 0] = np.uint8(min(r + cover * (out[y, x, 0] - r), 255.0) + 0.5)
            out[y, x, 1] = np.uint8(min(g + cover * (out[y, x, 1] - g), 255.0) + 0.5)
            out[y, x, 2] = np.uint8(min(b + cover * (out[y, x, 2] - b), 255.0) + 0.5)


@compiled
def put_behind(figure: UInt8, plate: UInt8) -> None:
    """Completes a premultiplied figure (H, W, 4) with the opaque plate behind it, in place."""
    for i in range(figure.shape[0]):
        for j in range(figure.shape[1]):
            alpha = figure[i, j, 3]
            if alpha < 255:
                clear = 255 - int(alpha)
                for k in range(4):
                    figure[i, j, k] = min(int(figure[i, j, k]) + (int(plate[i, j, k]) * clear + 127) // 255, 255)
