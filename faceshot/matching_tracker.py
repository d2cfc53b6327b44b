"""Tracking a face that no face tracker knows: a dog, a puppet, a drawing (the paper's Figure 8).

The first frame is matched like a character. From then on its points follow the optical flow, which keeps every small
motion and costs milliseconds; every so many frames the picture is matched again, so that flow cannot drift away. The
correction is spread over some frames: a jump would look like an expression.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from faceshot.landmarks import MatchedLandmarks, Matcher, MatchProgress
from faceshot.topology import PARTS
from faceshot.types import CameraImage, FaceState, Float32, UInt8

__all__ = ["MatchingTracker"]

Float = NDArray[np.float64]

FLOW_SIDE_PX: Final = 640
"""Longer side of the picture that flow is computed on."""
_WINDOW_PX: Final = 21
_ROUND_TRIP_PX: Final = 1.0
"""A point that comes back farther from where it began was not followed."""
_FOLLOWED_SHARE: Final = 0.4
"""With fewer points followed the picture has changed as a whole (a cut): match again at once."""
_EASE_FRAMES: Final = 8
_LOST_BELOW: Final = 0.12
"""Mean confidence of a match that found no face."""
_RETRY_FRAMES: Final = 12
"""Frames to the next attempt where no face was found: a match takes seconds."""


class MatchingTracker:
    """A `live.stages.Tracker` that gives the 70 points of `faceshot.topology`, without depth.

    Args:
        matcher: `(rgb, progress) -> MatchedLandmarks`; called for the first frame and then every `stride`.
        stride: frames from one match to the next; 0 matches the first frame only (and after cuts).
        progress: handed to the matcher.

    Attributes:
        matched: how often the matcher ran.
    """

    name = "diffusion matching with optical flow"

    def __init__(
        self,
        matcher: Matcher,
        stride: int = 48,
        progress: MatchProgress = lambda stage, done, total: None,
    ) -> None:
        self._matcher = matcher
        self._stride = stride
        self._progress = progress
        self.matched = 0
        self.reset()

    def reset(self) -> None:
        """Forget the face: the next frame is matched."""
        self._points: Float | None = None
        self._grey: UInt8 | None = None
        self._offset = np.zeros((70, 2))
        self._ease_left = 0
        self._wait = 0
        self._since_match = 0
        self._confidence = 0.0

    def close(self) -> None:
        """Nothing of its own is held; the matcher's networks go with it."""
        self.reset()

    def track(self, image: CameraImage, timestamp_ms: int) -> FaceState:
        """The face in a frame; frames must come in order. `timestamp_ms` does not matter: flow knows no time."""
        grey, scale = _small_grey(image.rgb)
        before, self._grey = self._grey, grey
        if self._points is None and self._wait:
            self._wait -= 1
            return FaceState.lost(image.size_wh)
        if self._points is None or before is None or before.shape != grey.shape:
            return self._match(image, scale, ease=False)
        followed, share = _follow(before, grey, self._points * scale)
        if share < _FOLLOWED_SHARE:
            return self._match(image, scale, ease=False)
        self._points = followed / scale
        if self._ease_left:
            self._points += self._offset / _EASE_FRAMES
            self._ease_left -= 1
        self._since_match += 1
        if self._stride and self._since_match >= self._stride:
            return self._match(image, scale, ease=True)
        return self._state(image)

    def _match(self, image: CameraImage, scale: float, ease: bool) -> FaceState:
        matched = self._matcher(image.rgb, self._progress)
        self.matched += 1
        self._since_match = 0
        sure = float(matched.confidence[matched.visible].mean()) if matched.visible.any() else 0.0
        if sure < _LOST_BELOW and not ease:
            self._points, self._wait = None, _RETRY_FRAMES - 1
            return FaceState.lost(image.size_wh)
        target = matched.points_xy.astype(np.float64)
        if ease and self._points is not None:
            self._offset, self._ease_left = _correction(self._points, target, matched), _EASE_FRAMES
        else:
            self._points, self._ease_left = target, 0
        self._confidence = float(np.clip(0.5 + sure, 0.0, 1.0))
        return self._state(image)

    def _state(self, image: CameraImage) -> FaceState:
        assert self._points is not None
        flat = np.column_stack([self._points, np.zeros(len(self._points))])
        return FaceState(image.size_wh, self._confidence, flat.astype(np.float32), has_depth=False)


def _correction(points: Float, target: Float, matched: MatchedLandmarks) -> Float:
    """What to add over the next frames, by how sure the match is of each point.

    Drift is common to the points of a part; what single points differ by is more likely the match's own noise.
    """
    offset = (target - points) * matched.confidence[:, None]
    calm = offset.copy()
    for part in PARTS:
        index = list(part)
        calm[index] = 0.3 * offset[index] + 0.7 * np.median(offset[index], axis=0)
    return calm


def _small_grey(rgb: UInt8) -> tuple[UInt8, float]:
    longer = max(rgb.shape[:2])
    scale = min(1.0, FLOW_SIDE_PX / longer)
    grey = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY)
    if scale < 1.0:
        size_wh = round(rgb.shape[1] * scale), round(rgb.shape[0] * scale)
        grey = cv2.resize(grey, size_wh, interpolation=cv2.INTER_AREA)
    return np.asarray(grey, np.uint8), scale


def _follow(before: UInt8, now: UInt8, points: Float) -> tuple[Float, float]:
    """Where points went, and the share of them that the flow is sure of; the others go with their neighbours."""
    start = points.astype(np.float32)[:, None]
    window = (_WINDOW_PX, _WINDOW_PX)
    there, found, _ = cv2.calcOpticalFlowPyrLK(before, now, start, None, winSize=window, maxLevel=3)
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(now, before, there, None, winSize=window, maxLevel=3)
    error = np.linalg.norm((back - start)[:, 0], axis=1)
    good = (found[:, 0] > 0) & (found_back[:, 0] > 0) & (error < _ROUND_TRIP_PX)
    height, width = now.shape
    moved: Float32 = there[:, 0]
    good &= (moved >= 0).all(axis=1) & (moved[:, 0] < width) & (moved[:, 1] < height)
    if good.sum() < 3:
        return points, 0.0
    motion = (moved - points)[good]
    typical = np.median(motion, axis=0)
    spread = np.median(np.linalg.norm(motion - typical, axis=1)) + 0.5
    # A single point that flies off alone was taken along by something else (a hand, a highlight).
    good[np.flatnonzero(good)[np.linalg.norm(motion - typical, axis=1) > 12 * spread]] = False
    if good.sum() < 3:
        return points, 0.0
    result = points + _motion_at(points, points[good], (moved - points)[good])
    result[good] = moved[good]
    return result, float(good.mean())


def _motion_at(points: Float, anchors: Float, motion: Float) -> Float:
    """Motion of the nearest anchors, weighted by 1/d²."""
    square = ((points[:, None] - anchors[None]) ** 2).sum(axis=2) + 1.0
    weights = 1.0 / square
    return np.asarray((weights @ motion) / weights.sum(axis=1, keepdims=True), np.float64)
