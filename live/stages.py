"""The plug points of `live` on one page: `Source`, `Tracker`, `Sink`. (`Animator` is in `faceshot.animators`.)

Implementations do not inherit from these classes; `live.build` maps names to implementations, and
`tests/live/test_contracts.py` runs one contract over all of them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from faceshot.types import CameraImage, FaceState, Rendered
from live.edges import Edge, Packet

if TYPE_CHECKING:
    from live.sinks.canvas import Background

__all__ = ["Sink", "Source", "SourceInfo", "Styled", "Tracker"]


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of a source once it is open.

    Attributes:
        name: shown to the user ("webcam 0: HD Camera", "d10.mp4", "demo: talking").
        fps: nominal frame rate; 30 when unknown.
        size_wh: picture size in pixels; None for sources of face states.
        live: True for devices and network trackers: time cannot be stopped, so the newest frame wins.
        mirrored: whether motion is mirrored by default, as in front of a looking glass (webcams: True).
    """

    name: str
    fps: float
    size_wh: tuple[int, int] | None
    live: bool
    mirrored: bool


class Source(Protocol):
    """Makes packets of `CameraImage`, or of `FaceState` when it is a motion clip or a network tracker."""

    async def open(self) -> SourceInfo:
        """Open the device or file. Raises `SourceError` with the cure; nothing stays open then."""

    def packets(self) -> AsyncIterator[Packet[CameraImage] | Packet[FaceState]]:
        """Packets in order, paced by the injected clock, stamped when they became available.

        Ends at the end of a file that does not loop; raises `SourceLost` when a device breaks.
        """

    async def close(self) -> None:
        """Let go of the device. Safe to call twice and after a failed `open`."""


class Tracker(Protocol):
    """Finds the face in camera images. Synchronous; owned by one worker thread."""

    def track(self, image: CameraImage, timestamp_ms: int) -> FaceState:
        """The face in `image`, or `FaceState.lost(...)`. `timestamp_ms` strictly grows from call to call."""

    def reset(self) -> None:
        """Forget the past (another source, a cut)."""

    def close(self) -> None:
        """Free the model."""


class Sink(Protocol):
    """Takes rendered pictures off the program. One broken sink never stops the show.

    Attributes:
        name: shown to the user ("virtual camera", "recording to out.mp4").
        edge: which edge the pipeline puts in front of it: "latest" (live) or "lossless" (recording).
    """

    name: str
    edge: Literal["latest", "lossless"]

    async def run(self, frames: Edge[Rendered], fps: float) -> None:
        """Open, consume until `frames` raises `Closed` or the task is cancelled, then close in `finally`.

        Raises `SinkError` with the cure when it cannot be opened or breaks.
        """


@runtime_checkable
class Styled(Protocol):
    """A sink that cannot show transparency, so it puts a background behind the picture."""

    def set_background(self, background: Background) -> None:
        """Use another background from the next picture on."""
