"""How much of the performer's motion arrives on the character, measured by a face tracker on the result.

    python -m tests.bench.fidelity --media ../shared/media                    # 4 pictures x 5 clips: 20 pairs
    python -m tests.bench.fidelity --media ../shared/media --pairs s9:d6 s7:d18 --max-frames 300 --json out.json
    python -m tests.bench.fidelity --media ../shared/media --pictures s6 s22 my.png --clips d10 talk.mp4 --plain

For each pair (character, driver): every driver frame is tracked and rendered offline, in the driver's own time, with
the same parts as `faceshot render`; MediaPipe's FaceLandmarker then looks at the rendered pictures as it looked at the
driver. Per signal:

    r       Pearson correlation of driver and result over the frames in which both have a face
    gain    range of the result over range of the driver (98th - 2nd percentile)
    lag     the shift in frames (result later than driver is positive) at which r is largest; 0 is right

A signal is left out when the driver itself hardly moves (MIN_RANGE): its correlation would be that of noise. `found` is
the share of rendered frames in which a face is found. --pictures and --clips take any others, by their name in the
media folder or as files (a clip's first frame, FILE.mp4, is a picture too), and --plain shows each pair also without
its calibration (`faceshot.calibration`): what that brings to faces that nobody tuned it on. Settings are the program's
own, mirroring off. Deterministic: the only chance in it, idle life, has a fixed seed. Not a test: minutes of work, and
numbers to judge rather than to pass.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from faceshot import topology
from faceshot.animators.warp import WarpAnimator
from faceshot.calibration import calibrated
from faceshot.character import character_from_picture, open_character, resize
from faceshot.pictures import flatten
from faceshot.puppeteer import MotionSettings, Puppeteer, best_neutral
from faceshot.tracker import make_tracker
from faceshot.types import CameraImage, Character, Drive, FaceState

__all__ = ["SIGNALS", "PairResult", "SignalResult", "compare", "main", "measure_pair", "signals_of"]

CHARACTERS = ("s0", "s7", "s9", "s10")
DRIVERS = ("d0", "d6", "d10", "d18", "ravdess_01-01-08-02-01-01-19")

SIGNALS: dict[str, tuple[str, ...]] = {
    "jawOpen": ("jawOpen",),
    "eyeBlink": ("eyeBlinkLeft", "eyeBlinkRight"),
    "mouthSmile": ("mouthSmileLeft", "mouthSmileRight"),
    "browInnerUp": ("browInnerUp",),
    "yaw": (),
    "pitch": (),
    "roll": (),
}
"""Blendshapes averaged into each signal; the last three are head angles in degrees."""

MIN_RANGE = {name: (0.2 if shapes else 4.0) for name, shapes in SIGNALS.items()}
"""Least range (98th - 2nd percentile) of the driver for a signal to be judged: 0.2 of a blendshape, 4 degrees."""

TARGET_FOUND = 0.99
TARGET_R = 0.9
TARGET_LEAST_R = 0.82
TARGET_GAIN = {
    "jawOpen": (0.5, 1.3),
    "eyeBlink": (0.5, 1.3),
    "yaw": (0.6, 1.3),
    "pitch": (0.6, 1.3),
    "roll": (0.6, 1.3),
}


@dataclass(frozen=True)
class SignalResult:
    """One signal of one pair."""

    r: float
    gain: float
    lag_frames: int
    driver_range: float


@dataclass(frozen=True)
class PairResult:
    """One character driven by one clip; `signals` has only the judged ones."""

    character: str
    driver: str
    frames: int
    found: float
    mean_r: float
    signals: dict[str, SignalResult]
    seconds: float


def signals_of(states: Sequence[FaceState]) -> dict[str, np.ndarray]:
    """One (N,) float64 series a signal; NaN where no face was found."""
    series = {name: np.full(len(states), np.nan) for name in SIGNALS}
    for i, state in enumerate(states):
        if not state.found or state.blendshapes is None or state.head is None:
            continue
        for name, shapes in SIGNALS.items():
            if shapes:
                series[name][i] = np.mean([state.blendshapes[topology.ARKIT_NAMES.index(s)] for s in shapes])
        rot = state.head[:3, :3].astype(np.float64)
        rot = rot / np.cbrt(np.linalg.det(rot))
        series["yaw"][i] = np.degrees(np.arctan2(rot[0, 2], rot[2, 2]))
        series["pitch"][i] = np.degrees(np.arcsin(np.clip(-rot[1, 2], -1, 1)))
        series["roll"][i] = np.degrees(np.arctan2(rot[1, 0], rot[1, 1]))
    return series


def _range(values: np.ndarray) -> float:
    low, high = np.percentile(values, [2, 98])
    return float(high - low)


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    if a.std() < 1e-9 or b.std() < 1e-9:
        return 0.0  # a frozen result does not follow at all
    return float(np.corrcoef(a, b)[0, 1])


def compare(driver: dict[str, np.ndarray], result: dict[str, np.ndarray], max_lag: int = 5) -> dict[str, SignalResult]:
    """Judge every signal whose driver moves enough."""
    judged = {}
    for name in SIGNALS:
        a, b = driver[name], result[name]
        both = ~(np.isnan(a) | np.isnan(b))
        if both.sum() < 20 or _range(a[both]) < MIN_RANGE[name]:
            continue
        by_lag = {}
        for lag in range(-max_lag, max_lag + 1):
            x = a[max(0, -lag) : len(a) - max(0, lag)]
            y = b[max(0, lag) : len(b) - max(0, -lag)]
            ok = ~(np.isnan(x) | np.isnan(y))
            by_lag[lag] = _pearson(x[ok], y[ok])
        judged[name] = SignalResult(
            r=by_lag[0],
            gain=_range(b[both]) / _range(a[both]),
            lag_frames=max(by_lag, key=lambda lag: by_lag[lag]),
            driver_range=_range(a[both]),
        )
    return judged


def read_frames(path: Path, max_frames: int) -> tuple[float, Iterator[CameraImage]]:
    """Frame rate and RGB pictures of a video, at most `max_frames` (0: all)."""
    import av

    container = av.open(str(path))
    stream = container.streams.video[0]
    fps = float(stream.average_rate or 30)

    def frames() -> Iterator[CameraImage]:
        with container:
            for i, frame in enumerate(container.decode(stream)):
                if max_frames and i >= max_frames:
                    return
                yield CameraImage(frame.to_ndarray(format="rgb24"))

    return fps, frames()


def track_all(images: Iterator[CameraImage], fps: float, models: Path | None) -> list[FaceState]:
    tracker = make_tracker("landmarker", models)
    try:
        return [tracker.track(image, round(1 + i * 1000 / fps)) for i, image in enumerate(images)]
    finally:
        tracker.close()


def character_of(picture: Path, models: Path | None, plain: bool) -> Character:
    """The character in a picture or in the first frame of a clip; with its calibration unless `plain`."""
    if picture.suffix == ".mp4":
        rgb = next(read_frames(picture, 1)[1]).rgb
        rgba = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
        made = character_from_picture(rgba, picture.stem, models)
    else:
        made = open_character(str(picture), models, calibrate=False)
    return replace(made, arrays={}) if plain else calibrated(made, models)


def measure_pair(
    picture: Path,
    driver: Path,
    states: Sequence[FaceState],
    fps: float,
    *,
    models: Path | None = None,
    settings: MotionSettings | None = None,
    max_side_px: int = 512,
    sheet: Path | None = None,
    live: bool = False,
    plain: bool = False,
) -> PairResult:
    """Render `driver` (already tracked) on the character in `picture` and measure the result.

    Args:
        sheet: where to write a contact sheet of 12 moments, driver's time, for looking at.
        live: smooth as on air, frame by frame, rather than over the whole clip.
        plain: leave out what is known of how trackers read the character.
    """
    start = time.perf_counter()
    character = resize(character_of(picture, models, plain), max_side_px)
    settings = settings or MotionSettings(mirror=False)
    puppeteer = Puppeteer(character, settings)
    neutral = best_neutral(states)
    if neutral is None:
        raise SystemExit(f"{driver}: no face in any frame")
    puppeteer.use_neutral(neutral)
    animator = WarpAnimator()
    animator.load(character)

    moments: list[np.ndarray] = []
    every = max(1, len(states) // 12)

    def drives() -> Iterator[Drive]:
        if live:
            return (puppeteer.step(state, 1 / fps) for state in states)
        return puppeteer.perform(states, [1 / fps] * len(states))

    def rendered() -> Iterator[CameraImage]:
        for i, drive in enumerate(drives()):
            (out,) = animator.render([drive])
            rgb = flatten(out.rgba, (127, 127, 127))
            if sheet and i % every == 0 and len(moments) < 12:
                moments.append(rgb)
            yield CameraImage(rgb)

    result = track_all(rendered(), fps, models)
    animator.close()
    if sheet and moments:
        from PIL import Image

        rows = [np.concatenate(moments[k : k + 4], axis=1) for k in range(0, len(moments) // 4 * 4, 4)]
        Image.fromarray(np.concatenate(rows)).save(sheet)
    signals = compare(signals_of(states), signals_of(result))
    return PairResult(
        character=picture.stem + (" plain" if plain else ""),
        driver=driver.stem,
        frames=len(states),
        found=float(np.mean([s.found for s in result])) if result else 0.0,
        mean_r=float(np.mean([s.r for s in signals.values()])) if signals else float("nan"),
        signals=signals,
        seconds=time.perf_counter() - start,
    )


def markdown(results: Sequence[PairResult]) -> str:
    """One row a pair, `r / gain` a cell, and the mean over the pairs."""
    lines = [
        "| pair | found | mean r | " + " | ".join(SIGNALS) + " |",
        "|---|---|---|" + "---|" * len(SIGNALS),
    ]
    for one in results:
        cells = []
        for name in SIGNALS:
            signal = one.signals.get(name)
            lag = f" ({signal.lag_frames:+d})" if signal and signal.lag_frames else ""
            cells.append(f"{signal.r:.2f} / {signal.gain:.2f}{lag}" if signal else "–")
        lines.append(
            f"| {one.character} × {one.driver} | {one.found:.1%} | **{one.mean_r:.3f}** | " + " | ".join(cells) + " |"
        )
    return "\n".join(lines)


def _at(folder: Path, name: str, ending: str) -> Path:
    """A file as given, or of that name in the media folder."""
    return Path(name) if Path(name).suffix else folder / f"{name}{ending}"


def _commit() -> str | None:
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent)
    return done.stdout.strip() or None


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure how faithfully characters follow real drivers.")
    parser.add_argument("--media", type=Path, default=Path("../shared/media"), help="has characters/ and driving/")
    parser.add_argument("--pairs", nargs="*", help="CHARACTER:DRIVER without endings; default: all 20")
    parser.add_argument("--pictures", nargs="*", help="names or files; default: the four of the 20 pairs")
    parser.add_argument("--clips", nargs="*", help="names or files; default: the five of the 20 pairs")
    parser.add_argument("--plain", action="store_true", help="each pair without calibration too")
    parser.add_argument("--max-frames", type=int, default=0, help="first N frames of each driver; 0 is all")
    parser.add_argument("--models", type=Path, help="folder with face_landmarker.task; default: where faceshot looks")
    parser.add_argument("--smoothing", type=float, help="as motion.smoothing; default: the program's")
    parser.add_argument(
        "--live", action="store_true", help="smooth frame by frame, as on air, and show what that costs"
    )
    parser.add_argument("--json", type=Path, help="write the results there")
    parser.add_argument("--sheets", type=Path, help="write contact sheets of the results into this folder")
    args = parser.parse_args(argv)
    if args.sheets:
        args.sheets.mkdir(parents=True, exist_ok=True)

    pictures, clips = args.pictures or CHARACTERS, args.clips or DRIVERS
    pairs = [tuple(p.split(":")) for p in args.pairs] if args.pairs else [(c, d) for d in clips for c in pictures]
    settings = MotionSettings(mirror=False)
    if args.smoothing is not None:
        settings = MotionSettings(mirror=False, smoothing=args.smoothing)
    results: list[PairResult] = []
    tracked: dict[str, tuple[float, list[FaceState]]] = {}
    for character, driver in pairs:
        clip, picture = _at(args.media / "driving", driver, ".mp4"), _at(args.media / "characters", character, ".jpg")
        if picture == clip:
            continue  # `reenactment` does that
        if driver not in tracked:
            fps, images = read_frames(clip, args.max_frames)
            tracked[driver] = fps, track_all(images, fps, args.models)
        fps, states = tracked[driver]
        for plain in (True, False) if args.plain else (False,):
            sheet = None if plain or not args.sheets else args.sheets / f"{picture.stem}x{clip.stem}.png"
            result = measure_pair(
                picture,
                clip,
                states,
                fps,
                models=args.models,
                settings=settings,
                sheet=sheet,
                live=args.live,
                plain=plain,
            )
            results.append(result)
            print(
                f"{result.character} x {driver}: {result.mean_r:.3f}, {result.seconds:.0f} s",
                file=sys.stderr,
                flush=True,
            )

    print(markdown(results))
    if args.plain:
        before, after = (np.nanmean([one.mean_r for one in results[first::2]]) for first in (0, 1))
        print(f"\nmean r without calibration {before:.3f}, with it {after:.3f}")
        results = results[1::2]
    mean_r = float(np.mean([one.mean_r for one in results]))
    found = min(one.found for one in results)
    least = min(results, key=lambda one: one.mean_r)
    gains = [
        f"{one.character} × {one.driver} {name} {one.signals[name].gain:.2f}"
        for one in results
        for name, (low, high) in TARGET_GAIN.items()
        if name in one.signals and not low <= one.signals[name].gain <= high
    ]
    print(f"\nmean r {mean_r:.3f} (target {TARGET_R})")
    print(f"lowest pair {least.character} × {least.driver} {least.mean_r:.3f} (target {TARGET_LEAST_R})")
    print(f"least found {found:.1%} (target {TARGET_FOUND:.0%})")
    print(f"gains out of range: {', '.join(gains) or 'none'}")
    if args.json:
        payload = {
            "schema": "faceshot-fidelity/1",
            "commit": _commit(),
            "hardware": {"machine": platform.machine(), "python": platform.python_version()},
            "settings": asdict(settings),
            "min_range": MIN_RANGE,
            "mean_r": mean_r,
            "found_min": found,
            "pairs": [asdict(one) for one in results],
        }
        args.json.write_text(json.dumps(payload, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
