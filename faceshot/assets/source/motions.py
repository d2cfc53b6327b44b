"""Make the bundled motion clips from driving videos (for developers:
`python -m faceshot.assets.source.motions FOLDER`).

`talking` is a recording: 478 points, blendshapes and head pose of a performer, cut so that it starts calm, its end
cross-faded into its start. `expressions` is composed on one recorded neutral face: what the performers' faces did at
the height of a blink, smile, raised or lowered brows, a kiss and an open mouth (differences to their own neutral, head
motion removed) is played with eased time courses; winks are a recorded closure applied to one eye, and head turns are
rotations of the recorded 3-D points, since no recording has clean ones.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.spatial.transform import Rotation

from faceshot.motion_clip import MotionClip, write_clip
from faceshot.topology import ARKIT_INDEX
from faceshot.tracker import make_tracker
from faceshot.types import CameraImage, FaceState

FPS = 30
MOTIONS = Path(__file__).parent.parent / "motions"
RIGID = [10, 338, 297, 109, 67, 6, 168, 197, 195, 5, 33, 133, 362, 263, 127, 356, 234, 454, 151, 9, 8, 93, 323]
SOURCE = "KwaiVGI/LivePortrait assets/examples/driving (MIT); landmarks by MediaPipe FaceLandmarker; no pixels are kept"


@dataclass
class Take:
    """(T, 478, 3) px, (T, 52), (T, 4, 4) of one video."""

    points: np.ndarray
    shapes: np.ndarray
    head: np.ndarray
    size_wh: tuple[int, int]


def track(path: Path, frames: int) -> Take:
    states: list[FaceState] = []
    tracker = make_tracker("landmarker", None)
    with av.open(str(path)) as video:
        rate = video.streams.video[0].average_rate
        if rate is None:
            raise SystemExit(f"{path}: no frame rate")
        fps = float(rate)
        for i, frame in enumerate(video.decode(video=0)):
            if i >= frames:
                break
            rgb = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            states.append(tracker.track(CameraImage(rgb), round(i * 1000 / fps)))
    tracker.close()
    if not all(s.found for s in states):
        raise SystemExit(f"{path}: the face was lost")
    points, shapes, head = (
        np.array([getattr(s, k) for s in states], float) for k in ("points_xyz", "blendshapes", "head")
    )
    take = Take(points, shapes, head, states[0].size_wh)
    return take if abs(fps - FPS) < 0.1 else _resample(take, fps)


def _resample(take: Take, fps: float) -> Take:
    at = np.arange(0, len(take.points) - 1, fps / FPS)
    low, share = at.astype(int), at % 1

    def mix(values: np.ndarray) -> np.ndarray:
        w = share.reshape(-1, *[1] * (values.ndim - 1))
        return values[low] * (1 - w) + values[low + 1] * w

    return Take(mix(take.points), mix(take.shapes), mix(take.head), take.size_wh)


def fit(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """`points` (478, 3) rotated, scaled and moved so that the rigid part lies on that of `target`."""
    a, b = points[RIGID], target[RIGID]
    ca, cb = a.mean(0), b.mean(0)
    u, s, vt = np.linalg.svd((a - ca).T @ (b - cb))
    sign = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation = u @ sign @ vt
    scale = (s * np.diag(sign)).sum() / ((a - ca) ** 2).sum()
    return (points - ca) @ rotation * scale + cb


def to_states(points: np.ndarray, shapes: np.ndarray, head: np.ndarray, size_wh: tuple[int, int]) -> list[FaceState]:
    step = max(size_wh) / 4096  # an eighth of a pixel: finer than the tracker's jitter, and a third smaller when packed
    points = np.round(points / step) * step
    return [
        FaceState(size_wh, 1.0, p.astype(np.float32), True, b.clip(0, 1).astype(np.float32), h.astype(np.float32))
        for p, b, h in zip(points, shapes, head, strict=True)
    ]


def talking(take: Take, start: int, stop: int, fade: int = 24) -> list[FaceState]:
    """Frames start..stop; the last `fade` are mixed into those that precede the start of the loop."""
    tracks = []
    for values in (take.points, take.shapes, take.head):
        smooth = gaussian_filter1d(values, 0.8, axis=0)[start:stop]
        weight = (0.5 - 0.5 * np.cos(np.linspace(0, np.pi, fade))).reshape(-1, *[1] * (values.ndim - 1))
        smooth[-fade:] = smooth[-fade:] * (1 - weight) + smooth[:1] * weight
        tracks.append(smooth)
    for m in tracks[2]:
        u, _, vt = np.linalg.svd(m[:3, :3])
        m[:3, :3] = u @ vt
    points, shapes, head = tracks
    return to_states(points, shapes, head, take.size_wh)


def bump(t: np.ndarray, start: float, rise: float, hold: float, fall: float) -> np.ndarray:
    """0 -> 1 -> 0 with eased slopes, seconds."""

    def ease(x: np.ndarray) -> np.ndarray:
        x = x.clip(0, 1)
        return x * x * (3 - 2 * x)

    return ease((t - start) / rise) * (1 - ease((t - start - rise - hold) / fall))


def expressions(d0: Take, d6: Take, d10: Take) -> list[FaceState]:
    calm = np.median(d0.points[:6], axis=0)
    calm_shapes = np.median(d0.shapes[:6], axis=0)
    base = calm - calm[RIGID].mean(0)
    base = base @ np.linalg.inv(np.median(d0.head[:6], axis=0)[:3, :3]).T
    base += calm[RIGID].mean(0)
    width = base[454, 0] - base[234, 0]

    def height(take: Take, at: list[int], rest: list[int]) -> tuple[np.ndarray, np.ndarray]:
        """What the face does in frames `at` compared with `rest`, on the base face."""
        of = [np.median([fit(take.points[i], base) for i in frames], axis=0) for frames in (at, rest)]
        return of[0] - of[1], np.median(take.shapes[at], axis=0) - np.median(take.shapes[rest], axis=0)

    def name(*names: str) -> list[int]:
        return [ARKIT_INDEX[n] for n in names]

    def near(take: Take, shape: str, low: int, high: int) -> list[int]:
        """The three frames of low..high in which a blendshape is strongest."""
        order = np.argsort(take.shapes[low:high, ARKIT_INDEX[shape]])
        return [low + int(i) for i in order[-3:]]

    rest6, rest10 = [18, 22, 26], [405, 406, 407, 408]
    x = base[:, 0]
    middle = base[168, 0]
    left = 1 / (1 + np.exp((x - middle) / (0.05 * width)))  # 1 on the image's left
    blink = height(d10, near(d10, "eyeBlinkLeft", 330, 345), [326, 327, 343, 344])
    eyes = np.exp(-((((base[:, 1] - base[[33, 263], 1].mean()) / (0.20 * width)) ** 2) ** 2))[:, None]
    closed = blink[0] * eyes
    for upper, lower_lid, half in ((159, 145, x < middle), (386, 374, x >= middle)):
        # The performers' eyes differ in size: scale the closure so that these lids just meet.
        gap = base[lower_lid, 1] - base[upper, 1]
        closed[half] *= 0.92 * gap / (closed[upper, 1] - closed[lower_lid, 1])
    blink_shapes = np.zeros(52)
    for index in name("eyeBlinkLeft", "eyeBlinkRight"):
        blink_shapes[index] = blink[1][index]
    smile = height(d0, near(d0, "mouthSmileLeft", 30, 60), [0, 1, 2, 3])
    brows_up = height(d10, near(d10, "browOuterUpLeft", 418, 440), rest10)
    band = np.exp(-((((base[:, 1] - base[[105, 334], 1].mean()) / (0.16 * width)) ** 2) ** 2))[:, None]
    brow_names = name("browInnerUp", "browOuterUpLeft", "browOuterUpRight")
    up_shapes = np.zeros(52)
    up_shapes[brow_names] = np.maximum(brows_up[1][brow_names], 0.6)
    kiss = height(d6, near(d6, "mouthPucker", 95, 110), rest6)
    gape = height(d6, near(d6, "jawOpen", 240, 255), rest6)
    lower = 1 / (1 + np.exp((base[4, 1] + 0.02 * width - base[:, 1]) / (0.03 * width)))[:, None]
    mouth_only = [i for n, i in ARKIT_INDEX.items() if n.startswith(("mouth", "jaw"))]
    only = np.zeros(52)
    only[mouth_only] = 1

    length_s = 19.0
    t = np.arange(0, length_s, 1 / FPS)
    zero = np.zeros_like(t)
    quick = {"rise": 0.10, "hold": 0.06, "fall": 0.17}
    shut_both = sum((bump(t, s, **quick) for s in (1.75, 6.9, 10.6, 14.6, 17.9)), zero)
    wink_left = bump(t, 2.7, 0.14, 0.45, 0.22)
    wink_right = bump(t, 4.0, 0.14, 0.45, 0.22)
    smiling = bump(t, 2.55, 0.3, 2.2, 0.5) * 0.55 + bump(t, 7.3, 0.45, 1.5, 0.6)
    raised = bump(t, 5.5, 0.2, 0.5, 0.3) * 0.8 + bump(t, 15.3, 0.18, 0.75, 0.35)
    kissing = bump(t, 16.9, 0.25, 0.35, 0.3)
    gaping = bump(t, 15.35, 0.2, 0.65, 0.35)
    left_shut, right_shut = (np.minimum(shut_both + w, 1.0) for w in (wink_left, wink_right))
    tilt = bump(t, 7.4, 0.5, 0.5, 0.45) * 8 - bump(t, 8.5, 0.4, 0.3, 0.5) * 8
    pose = np.stack(
        [
            bump(t, 12.7, 0.45, 0.35, 0.5) * 11 - bump(t, 13.9, 0.45, 0.3, 0.5) * 10 - 3.0 * raised,
            bump(t, 9.4, 0.55, 0.5, 0.7) * 19 - bump(t, 11.0, 0.55, 0.5, 0.6) * 19,
            tilt - 4 * wink_left + 4 * wink_right + 6 * kissing,
        ],
        1,
    )
    # Nobody holds still: a slow sway that vanishes at both ends of the loop and in the calm first second.
    sway = bump(t, 1.2, 1.0, length_s - 4.0, 1.2)[:, None]
    pose += sway * np.stack([0.9 * np.sin(2.1 * t), 1.3 * np.sin(1.3 * t + 1), 0.7 * np.sin(1.7 * t + 2)], 1)
    pose = gaussian_filter1d(pose, 1.5, axis=0, mode="nearest")

    look = np.zeros((len(t), 2))
    look[:, 0] = bump(t, 9.25, 0.12, 0.9, 0.3) * -0.10 + bump(t, 10.85, 0.12, 0.9, 0.3) * 0.10
    shapes = np.tile(calm_shapes, (len(t), 1))
    points = np.tile(base, (len(t), 1, 1))
    iris = {0: slice(468, 473), 1: slice(473, 478)}
    eye_width = base[133, 0] - base[33, 0]
    centre = base[RIGID].mean(0) + np.array([0, 0.08, 0.42]) * width
    heads = np.tile(np.eye(4), (len(t), 1, 1))
    for k in range(len(t)):
        side = left[:, None] * left_shut[k] + (1 - left[:, None]) * right_shut[k]
        points[k] += closed * side
        points[k] += (smile[0] * smiling[k] + kiss[0] * kissing[k] * 0.9 + gape[0] * gaping[k] * 0.8) * lower
        points[k] += brows_up[0] * band * raised[k] - closed * 0.25 * raised[k]
        for s in iris.values():
            points[k, s, 0] += look[k, 0] * eye_width
        # The subject's right eye is the image's left one.
        b = np.zeros(52)
        b[ARKIT_INDEX["eyeBlinkRight"]] = blink_shapes[ARKIT_INDEX["eyeBlinkRight"]] * left_shut[k]
        b[ARKIT_INDEX["eyeBlinkLeft"]] = blink_shapes[ARKIT_INDEX["eyeBlinkLeft"]] * right_shut[k]
        side_shapes = smile[1] * smiling[k] + kiss[1] * kissing[k] * 0.9 + gape[1] * gaping[k] * 0.8
        b += side_shapes * only + up_shapes * raised[k]
        b[name("eyeWideLeft", "eyeWideRight")] = 0.4 * raised[k]
        if look[k, 0] > 0:  # towards the image's right: the subject's left
            b[name("eyeLookOutLeft", "eyeLookInRight")] += 5 * look[k, 0]
        else:
            b[name("eyeLookInLeft", "eyeLookOutRight")] -= 5 * look[k, 0]
        shapes[k] += b
        rotation = Rotation.from_rotvec(np.radians(pose[k])).as_matrix()
        points[k] = (points[k] - centre) @ rotation.T + centre
        heads[k, :3, :3] = rotation
        heads[k, :3, 3] = (0, 0, 40)
    return to_states(points, shapes, heads, d0.size_wh)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder with d0.mp4, d6.mp4 and d10.mp4")
    folder = parser.parse_args().folder
    d0, d6, d10 = (track(folder / f"{n}.mp4", limit) for n, limit in (("d0", 78), ("d6", 440), ("d10", 448)))
    MOTIONS.mkdir(exist_ok=True)
    clips = {
        "talking": (talking(d6, 8, 388), {"performance": "recorded (d6), end cross-faded into the start"}),
        "expressions": (
            expressions(d0, d6, d10),
            {
                "performance": "composed of recorded expressions (d0, d6, d10) on one recorded neutral face",
                "authored": "time courses; winks are a recorded closure on one eye; head turns and glances",
            },
        ),
    }
    for name, (states, about) in clips.items():
        path = MOTIONS / f"{name}.motion"
        provenance = {"source": SOURCE, "licence": "MIT", **about}
        write_clip(MotionClip(name, FPS, states, provenance), path)
        print(f"{path.name}: {len(states) / FPS:.1f} s, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
