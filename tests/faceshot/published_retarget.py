"""The published retargeting rule with all its faults, written from its description (specs/faceshot.md §2), for parity
tests only: it says which of our departures from the golden numbers are departures from the *rule*.

Loops on purpose: one line here is one sentence there. 68 points, pixels, (x, y).
"""

from __future__ import annotations

import numpy as np

from faceshot.geometry import part_frames
from faceshot.topology import PARTS

_INNER = (4, 5)
_BRIDGE, _NOSE = 12, 3
_ORIGIN, _POINT = 0, 1
# Per part the neighbours [s0, s1, s2, s3] along y, y, x, x.
_BOUNDS = {
    **{part: ((_ORIGIN, 3), (_POINT, 8), (_POINT, 0), (_POINT, 16)) for part in (1, 2, 4, 5)},
    3: ((_ORIGIN, 12), (_ORIGIN, 1), (_POINT, 0), (_POINT, 16)),
    **{part: ((_ORIGIN, 10), (_ORIGIN, 12), (_POINT, 0), (_ORIGIN, 8)) for part in (6, 7)},
    **{part: ((_ORIGIN, 11), (_ORIGIN, 12), (_ORIGIN, 6), (_POINT, 16)) for part in (8, 9)},
    10: ((_POINT, 8), (_ORIGIN, 6), (_POINT, 0), (_ORIGIN, 11)),
    11: ((_POINT, 8), (_ORIGIN, 8), (_ORIGIN, 10), (_POINT, 16)),
}


def turn(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def bounds(target, driver0):
    """(13, 4) b_tar/b_ref, at most 1."""
    in_face = []
    for face in (target, driver0):
        origins, angles = part_frames(face)
        back = turn(-angles[0])
        in_face.append(((origins - origins[0]) @ back.T, (face - origins[0]) @ back.T))
    (t_origins, t_points), (d_origins, d_points) = in_face
    out = np.ones((13, 4))
    for part, neighbours in _BOUNDS.items():
        for k, (kind, index) in enumerate(neighbours):
            axis = 1 if k < 2 else 0
            t, d = (t_origins, d_origins) if kind == _ORIGIN else (t_points, d_points)
            ratio = abs(t[index, axis] - t_origins[part, axis]) / abs(d[index, axis] - d_origins[part, axis])
            out[part, k] = min(ratio, 1.0)
    return out


def smooth_scale(scales):
    """Replace outliers among the scales of one coordinate of one part by their neighbours."""
    out = scales.copy()
    size = np.abs(scales)
    used = np.flatnonzero(size > 0)
    if len(used) <= (len(scales) - 2) / 2:
        return np.zeros_like(scales)
    q1, q3 = np.percentile(size[used], [25, 75])
    spread = q3 - q1
    spread += 0.2 if spread < 0.2 else 0.0
    odd = [i for i in used if not q1 - 1.5 * spread <= size[i] <= q3 + 1.5 * spread]
    if not odd:
        median = np.median(size[used])
        mad = np.median(np.abs(size[used] - median))
        mad += 0.1 if mad < 0.1 else 0.0
        odd = [i for i in used if abs(0.6745 * (size[i] - median) / mad) > 2.5]
    good = [i for i in used if i not in odd]
    n = len(scales)
    for i in odd:
        left = next((size[(i - k) % n] for k in range(1, n) if (i - k) % n in good), None)
        right = next((size[(i + k) % n] for k in range(1, n) if (i + k) % n in good), None)
        near = [v for v in (left, right) if v is not None]
        if near:
            out[i] = np.sign(scales[i]) * np.mean(near)
    return out


def point_scale(r, d0, dn, r_other, d0_other):
    if dn == 0:
        return 0.0
    if d0 != 0:
        big = abs(r / d0) > 1.5
        unit = abs(r) * np.sign(d0) if big else d0
        n = 1
        if abs(dn - d0) > 1.5 * abs(unit):
            n = 0
        if (dn - d0) / unit < 0 and n == 1:
            n = -1
        return n + (dn - d0) / unit if abs(dn / d0) > 1 and big else dn / d0
    if r == 0:
        unit = abs(d0_other / r_other) if d0_other != 0 and r_other != 0 else 1.0
        return dn / unit
    n = 0 if abs(dn) > 1.5 * abs(r) else 1
    return (n + abs(dn) / abs(r)) * np.sign(dn * r)


def apply_scale(s, r, d0, dn):
    if r != 0:
        p = r * s
    elif d0 != 0:
        p = 0.0 if s == 0 else d0 * s - d0
    else:
        p = s
    if d0 * r < 0 and dn != 0:
        p = -p
    elif d0 == 0 and dn * r < 0:
        p += r
    return p


def _local(points, origin, angle):
    out = (points - origin) @ turn(-angle).T
    out[np.abs(out) < 1] = 0
    return out


def _shape(part, r, d0, dn):
    """A part's points in its own frame."""
    n = len(r)
    s = np.array(
        [[point_scale(r[i, a], d0[i, a], dn[i, a], r[i, 1 - a], d0[i, 1 - a]) for a in (0, 1)] for i in range(n)]
    )
    d0, dn = d0.copy(), dn.copy()
    if part in _INNER and s[2, 1] == 0 and s[1, 1] != 0 and s[3, 1] != 0:
        for values in (s, d0, dn):
            values[2, 1] = 0.5 * (values[1, 1] + values[3, 1])
    if part <= 9:
        s = np.stack([smooth_scale(s[:, 0]), smooth_scale(s[:, 1])], axis=1)
    return np.array([[apply_scale(s[i, a], r[i, a], d0[i, a], dn[i, a]) for a in (0, 1)] for i in range(n)])


def published_retarget(driver, target):
    """(M, 68, 2) driver frames, frame 0 neutral, and (68, 2) target -> (M, 68, 2)."""
    out = np.repeat(target[None].astype(np.float64), len(driver), axis=0)
    scale = bounds(target, driver[0])
    t_origins, t_angles = part_frames(target)
    d_origins, d_angles = part_frames(driver)
    for origins in (t_origins[None], d_origins):
        origins[:, _NOSE] = origins[:, _BRIDGE]
    for m in range(1, len(driver)):
        face_shift = d_origins[m, 0] - d_origins[0, 0]
        face_turn = d_angles[m, 0] - d_angles[0, 0]
        for i, part in enumerate(PARTS):
            points = list(part)
            r = _local(target[points], t_origins[i], t_angles[i])
            d0 = _local(driver[0, points], d_origins[0, i], d_angles[0, i])
            dn = _local(driver[m, points], d_origins[m, i], d_angles[m, i])
            q = _shape(i, r, d0, dn) @ turn(t_angles[i]).T + t_origins[i]
            carried = turn(d_angles[m, 0] - t_angles[0] - face_turn) @ face_shift
            q = (q - t_origins[i]) @ turn(face_turn).T + t_origins[i] + carried
            if i:
                middle = 0.5 * (q[0] + q[-1])
                own_turn = (d_angles[m, i] - d_angles[0, i]) - face_turn
                shift = turn(d_angles[m, i]) @ ((d_origins[m, i] - d_origins[0, i]) - face_shift)
                s0, s1, s2, s3 = scale[i]
                shift = shift * (s2 if shift[0] < 0 else s3, s1 if shift[1] < 0 else s0)
                q = (q - middle) @ turn(own_turn).T + middle + turn(-(t_angles[i] + face_turn + own_turn)) @ shift
            out[m, points] = q
    return out
