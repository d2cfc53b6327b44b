"""What the track worker owns: a tracker that is built when it is first needed and whose failures count as a lost face.

Synchronous; every method but the constructor is called in the track worker.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from faceshot.errors import FaceshotError
from faceshot.types import CameraImage, FaceState
from live.clock import Clock
from live.stages import Tracker

__all__ = ["FaceFinder"]

log = logging.getLogger(__name__)

REBUILD_AFTER_ERRORS = 30
REBUILD_PAUSE_NS = 5_000_000_000
GAP_MS = 33


class FaceFinder:
    """Never raises: a broken frame is a lost face, a tracker that keeps failing is built anew.

    Args:
        make_tracker: builds the tracker; called in the track worker because models take seconds to load.

    Attributes:
        message: what is wrong now, for the user; None when all is well. Readable from any thread.
    """

    def __init__(self, make_tracker: Callable[[], Tracker], clock: Clock) -> None:
        self.message: str | None = None
        self._make_tracker = make_tracker
        self._clock = clock
        self._tracker: Tracker | None = None
        self._build_at_ns = 0
        self._errors = 0
        self._last_ms = -1
        self._shift_ms = 0

    def find(self, image: CameraImage, timestamp_ms: int) -> tuple[FaceState, int]:
        """The face in `image` and how many nanoseconds the search took."""
        if self._tracker is None and not self._build():
            return FaceState.lost(image.size_wh), 0
        assert self._tracker is not None
        started_ns = self._clock.now_ns()
        try:
            state = self._tracker.track(image, self._growing(timestamp_ms))
        except Exception as error:
            self._failed(error)
            state = FaceState.lost(image.size_wh)
        else:
            self._errors, self.message = 0, None
        return state, self._clock.now_ns() - started_ns

    def reset(self) -> None:
        """Another source: forget the last one's face."""
        if self._tracker is not None:
            try:
                self._tracker.reset()
            except Exception as error:
                self._failed(error)

    def close(self) -> None:
        """Free the model."""
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            try:
                tracker.close()
            except Exception:
                log.exception("the tracker did not close cleanly")

    def _build(self) -> bool:
        if self._clock.now_ns() < self._build_at_ns:
            return False
        try:
            self._tracker = self._make_tracker()
        except Exception as error:
            self._build_at_ns = self._clock.now_ns() + REBUILD_PAUSE_NS
            self._report("The face tracker does not start", error)
            return False
        self.message = None
        return True

    def _failed(self, error: Exception) -> None:
        self._errors += 1
        self._report("The face tracker failed", error)
        if self._errors >= REBUILD_AFTER_ERRORS:
            log.warning("face tracker failed on %d frames in a row; building it anew", self._errors)
            self._errors = 0
            self._build_at_ns = self._clock.now_ns() + REBUILD_PAUSE_NS
            self.close()

    def _report(self, what: str, error: Exception) -> None:
        text = f"{what}: {error if isinstance(error, FaceshotError) else repr(error)}"
        if text != self.message:  # once, not once a frame
            log.warning(text, exc_info=None if isinstance(error, FaceshotError) else error)
        self.message = text

    def _growing(self, timestamp_ms: int) -> int:
        """Trackers want time that strictly grows, also when a file starts again at zero."""
        if timestamp_ms + self._shift_ms <= self._last_ms:
            self._shift_ms = self._last_ms + GAP_MS - timestamp_ms
        self._last_ms = timestamp_ms + self._shift_ms
        return self._last_ms
