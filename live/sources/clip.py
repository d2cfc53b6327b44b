"""Recorded motion as a source: a performer without a camera. `demo` plays the bundled clips in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from faceshot.motion_clip import MotionClip
from faceshot.types import FaceState
from live.clock import Clock
from live.edges import Packet
from live.errors import SourceError
from live.sources.pacing import Pacer
from live.stages import SourceInfo

__all__ = ["ClipSource"]


class ClipSource:
    """Face states of one or more motion clips, one clip after the other.

    Args:
        clips: at least one, each with at least one state.
        clock: paces and stamps the states.
        realtime: at the clips' own speed; otherwise as fast as they are asked for.
        loop: begin again after the last clip; otherwise `packets` ends there.
        name: shown to the user; the first clip's name when empty.
    """

    def __init__(
        self, clips: Sequence[MotionClip], clock: Clock, realtime: bool = True, loop: bool = True, name: str = ""
    ) -> None:
        self._clips = tuple(clips)
        self._clock = clock
        self._realtime = realtime
        self._loop = loop
        self._name = name

    async def open(self) -> SourceInfo:
        if not self._clips or not all(len(clip.states) for clip in self._clips):
            raise SourceError("There is no motion to play: no clip, or a clip without states.", "Give a .motion file.")
        first = self._clips[0]
        return SourceInfo(self._name or first.name, first.fps, None, live=False, mirrored=False)

    async def packets(self) -> AsyncIterator[Packet[FaceState]]:
        """States in order; `seq` counts every state, so a gap is one whose time had passed."""
        pacer = Pacer(self._clock)
        seq = 0
        clip_ns = 0
        while True:
            for clip in self._clips:
                interval_ns = round(1e9 / clip.fps)
                for i, state in enumerate(clip.states):
                    t_media_ns = clip_ns + round(i * 1e9 / clip.fps)
                    seq += 1
                    if self._realtime:
                        if pacer.must_skip(t_media_ns, interval_ns):
                            continue
                        await pacer.wait(t_media_ns)
                    else:
                        await self._clock.sleep_until_ns(0)  # let others run: nothing else here ever waits
                    yield Packet(seq - 1, self._clock.now_ns(), state, t_media_ns=t_media_ns)
                clip_ns += round(clip.duration_s * 1e9)
            if not self._loop:
                return

    async def close(self) -> None:
        """Nothing is held."""
