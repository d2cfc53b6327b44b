"""A phone as a source: what comes in, what is overtaken, what becomes of it when nobody takes it."""

from __future__ import annotations

import numpy as np
import pytest

from faceshot.types import CameraImage
from live.build import build_source
from live.clock import LoopClock
from live.config import load_config
from live.edges import Packet
from live.errors import SourceError
from live.sources.phone import PhoneInlet, PhoneSource
from live.workers import InlineWorker
from tests.virtual_time import run


def grey(value: int) -> np.ndarray:
    return np.full((4, 6, 3), value, np.uint8)


def test_the_newest_picture_wins_and_only_that_is_converted() -> None:
    async def main() -> None:
        clock = LoopClock()
        inlet = PhoneInlet(clock)
        source = PhoneSource(inlet, InlineWorker("phone", clock, cost_ms=2))
        converted: list[int] = []

        def offer(value: int) -> None:
            inlet.offer(lambda: (converted.append(value), grey(value))[1])

        offer(1)  # nobody takes it
        info = await source.open()
        assert (info.live, info.mirrored) == (True, True)
        packets: list[Packet[CameraImage]] = []
        for value in (2, 3):
            offer(value)
        async for packet in source.packets():
            packets.append(packet)
            if len(packets) == 1:
                await clock.sleep_until_ns(50_000_000)
                offer(4)
            else:
                await source.close()
        assert [int(packet.value.rgb[0, 0, 0]) for packet in packets] == [3, 4]
        assert converted == [3, 4]
        assert [packet.seq for packet in packets] == [2, 3]
        assert [packet.t_capture_ns for packet in packets] == [0, 50_000_000]
        assert inlet.pictures == 4

    run(main())


def test_the_last_source_opened_has_the_pictures() -> None:
    async def main() -> None:
        clock = LoopClock()
        inlet = PhoneInlet(clock)
        first, second = (PhoneSource(inlet, InlineWorker("phone", clock)) for _ in range(2))
        await first.open()
        await second.open()
        inlet.offer(lambda: grey(7))
        assert [packet async for packet in first.packets()] == []  # closed: it ends in order
        await first.close()  # and does not take the pictures of the second away
        async for packet in second.packets():
            assert packet.value.rgb[0, 0, 0] == 7
            await second.close()
        await second.close()

    run(main())


def test_without_a_server_there_is_no_phone() -> None:
    async def main() -> None:
        clock = LoopClock()
        off = load_config(sets=["server.enabled=false"])
        for source in (
            build_source("phone", off, clock, PhoneInlet(clock)),
            build_source("phone", load_config(), clock),
        ):
            with pytest.raises(SourceError, match="server"):
                await source.open()
            await source.close()
        assert isinstance(build_source("phone", load_config(), clock, PhoneInlet(clock)), PhoneSource)

    run(main())
