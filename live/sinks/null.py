"""A sink that throws pictures away: for benchmarks and dry runs."""

from __future__ import annotations

from typing import Literal

from faceshot.types import Rendered
from live.edges import Closed, Edge, Packet

__all__ = ["NullSink"]


class NullSink:
    """Counts pictures.

    Args:
        edge: "lossless" to see every picture, in a benchmark as fast as possible.

    Attributes:
        frames: pictures taken.
        newest: the last one.
    """

    def __init__(self, edge: Literal["latest", "lossless"] = "latest") -> None:
        self.name = "null"
        self.edge: Literal["latest", "lossless"] = edge
        self.frames = 0
        self.newest: Packet[Rendered] | None = None

    async def run(self, frames: Edge[Rendered], fps: float) -> None:
        while True:
            try:
                self.newest = await frames.get()
            except Closed:
                return
            self.frames += 1
