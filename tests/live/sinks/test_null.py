"""The sink that throws away."""

from typing import Literal

import pytest

from faceshot.types import Rendered
from live.clock import LoopClock
from live.edges import Latest, Lossless, Packet
from live.sinks.null import NullSink
from tests.virtual_time import run


@pytest.mark.parametrize(("edge", "seen"), [("latest", 1), ("lossless", 3)])
def test_counts_what_its_edge_gives_it(edge: Literal["latest", "lossless"], seen: int) -> None:
    async def main() -> NullSink:
        clock = LoopClock()
        sink = NullSink(edge)
        frames = Latest[Rendered]("null", clock) if edge == "latest" else Lossless[Rendered]("null", clock)
        for seq in range(3):
            frames.put_nowait(Packet(seq, 0, Rendered.blank((8, 8))))
        frames.close()
        await sink.run(frames, 30)
        return sink

    sink = run(main())
    assert sink.frames == seen
    assert sink.newest is not None
    assert sink.newest.seq == 2
