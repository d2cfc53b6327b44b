"""Self-reenactment: the first frame of a clip is the character, the clip drives it, the clip itself is the truth.

    python -m tests.bench.reenactment --media ../shared/media --json out/reenactment.json

For each clip PSNR (dB) and SSIM of the rendered pictures and, for comparison, of the first frame shown all the time:
what an animator that does nothing reaches. Inside the box of the face, where the motion is; backgrounds say nothing
about an animator. PSNR is that of the clip's mean squared error; the mean of its frames' is kept beside it: frames in
which nothing moves yet, which a still picture matches to the noise, say much there. SSIM is OpenCV's (`cv2.quality`),
the frames' mean.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from faceshot.animators.warp import WarpAnimator
from faceshot.character import character_from_picture, resize
from faceshot.pictures import flatten
from faceshot.puppeteer import MotionSettings, Puppeteer
from tests.bench.fidelity import read_frames, track_all

__all__ = ["measure"]


def score(picture: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """PSNR in dB and mean SSIM of two (H, W, 3) uint8 pictures."""
    ssim, _ = cv2.quality.QualitySSIM_compute(picture, truth)
    return float(cv2.PSNR(picture, truth)), float(np.mean(ssim[:3]))


def of_all(psnrs_db: Sequence[float]) -> float:
    """PSNR of the mean squared error of frames of these PSNRs, dB."""
    return float(-10 * np.log10(np.mean(10 ** (-np.asarray(psnrs_db) / 10))))


def measure(clip: Path, models: Path | None, max_frames: int, side: int) -> dict[str, float]:
    """Means over the frames of a clip after its first."""
    fps, images = read_frames(clip, max_frames)
    frames = list(images)
    states = track_all(iter(frames), fps, models)
    first = frames[0].rgb
    rgba = np.dstack([first, np.full(first.shape[:2], 255, np.uint8)])
    character = resize(character_from_picture(rgba, clip.stem, models), side)
    height, width = character.rgba.shape[:2]
    points = character.points_xy[:68]
    low, high = points.min(0), points.max(0)
    margin = 0.35 * (high - low)
    left, top = np.maximum(low - margin, 0).astype(int)
    right, bottom = np.minimum(high + margin, (width, height)).astype(int)
    box = (slice(top, bottom), slice(left, right))

    # The picture's own expression is the neutral here, so the first frame is, however calm it is.
    puppeteer = Puppeteer(character, MotionSettings(mirror=False, idle=False))
    puppeteer.use_neutral(states[0])
    animator = WarpAnimator()
    animator.load(character)
    ours, still = [], []
    for frame, drive in zip(frames[1:], list(puppeteer.perform(states, [1 / fps] * len(states)))[1:], strict=True):
        truth = cv2.resize(frame.rgb, (width, height), interpolation=cv2.INTER_AREA)[box]
        picture = flatten(animator.render([drive])[0].rgba, (0, 0, 0))[box]
        ours.append(score(np.ascontiguousarray(picture), np.ascontiguousarray(truth)))
        still.append(score(np.ascontiguousarray(character.rgba[..., :3][box]), np.ascontiguousarray(truth)))
    psnr, ssim = np.mean(ours, axis=0)
    still_psnr, still_ssim = np.mean(still, axis=0)
    return {
        "frames": len(frames),
        "psnr_db": of_all([one for one, _ in ours]),
        "still_psnr_db": of_all([one for one, _ in still]),
        "mean_psnr_db": float(psnr),
        "still_mean_psnr_db": float(still_psnr),
        "ssim": float(ssim),
        "still_ssim": float(still_ssim),
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Compare self-reenactment with the true frames.")
    parser.add_argument("--media", type=Path, default=Path("../shared/media"), help="has driving/")
    parser.add_argument("--max-frames", type=int, default=0, help="first N frames of each clip; 0: all")
    parser.add_argument("--side", type=int, default=512, help="longest side of the character, pixels")
    parser.add_argument("--models", type=Path, help="folder with face_landmarker.task; default: where faceshot looks")
    parser.add_argument("--json", type=Path, help="write the results there")
    args = parser.parse_args(argv)
    results = {}
    print("| clip | PSNR, still → ours | SSIM, still → ours |\n|---|---|---|")
    for clip in sorted((args.media / "driving").glob("*.mp4")):
        one = results[clip.stem] = measure(clip, args.models, args.max_frames, args.side)
        print(
            f"| {clip.stem} | {one['still_psnr_db']:.2f} → {one['psnr_db']:.2f} dB | "
            f"{one['still_ssim']:.3f} → {one['ssim']:.3f} |",
            flush=True,
        )
    if args.json:
        args.json.write_text(json.dumps({"schema": "faceshot-reenactment/1", "clips": results}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
