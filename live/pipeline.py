"""The story of a show: four loops and the edges between them.

    feed ──captured──► track loop ──states──► render loop ──playout──► show loop ──frames──► sinks, viewers
        CameraImage  (track worker) FaceState (render worker) Rendered

Each loop takes from one edge and puts onto the next; the work runs in a worker thread, so the tracker looks at frame
n + 1 while frame n is drawn. In a live show the edges are `Latest`, or `Window` before an animator that draws several
frames at once: what is slow skips frames and is never late. Offline they are `Lossless`: every frame exactly once.
While no face state comes (no camera yet, unplugged) the idle loop sends lost ones: the character breathes and blinks.
What was begun before a switch of source or character carries an old epoch and is thrown away when it arrives.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from faceshot.animators import Animator
from faceshot.types import CameraImage, Character, FaceState
from live.air import IDLE_SEQ, Air
from live.clock import Clock
from live.edges import Edge, Latest, Lossless, Packet
from live.errors import LiveError
from live.face_finder import FaceFinder
from live.feed import Feed
from live.playout import Playout
from live.puppet import Puppet
from live.states import States
from live.stats import Stats
from live.workers import Worker

__all__ = ["Pipeline"]

SILENCE_NS = 250_000_000  # a source that is silent for this long counts as a lost face
STALE_MS = 1000  # what is older (the tracker's models were loading, the laptop slept) is not worth showing


class Pipeline:
    """One show's loops. All methods are called on the event loop.

    Args:
        finder: finds faces in the track worker.
        puppet: draws in the render worker.
        air: where pictures go.
        fps: rate in Hz of idle life.
        offline: every source frame is tracked, drawn and handed on exactly once, at the pace of the slowest.
        keep_on: idle on when a source ends; otherwise its end is the end of `run`.
    """

    def __init__(
        self,
        clock: Clock,
        stats: Stats,
        finder: FaceFinder,
        puppet: Puppet,
        air: Air,
        track_worker: Worker,
        render_worker: Worker,
        fps: float,
        offline: bool = False,
        keep_on: bool = True,
    ) -> None:
        self.clock, self.stats = clock, stats
        self.finder, self.puppet, self.air = finder, puppet, air
        self.track_worker, self.render_worker = track_worker, render_worker
        self.fps, self.offline, self.keep_on = fps, offline, keep_on
        self.epoch = 0
        self.captured: Edge[CameraImage | FaceState] = (
            Lossless("captured", clock) if offline else Latest("captured", clock, STALE_MS)
        )
        self.states = States(clock, stats, puppet.animator.window, offline, STALE_MS)
        self.playout = Playout(clock)
        for edge in (self.captured.stats, self.playout.edge.stats):
            stats.watch(edge)
        self._group: asyncio.TaskGroup
        self._source_task: asyncio.Task[None] | None = None
        self._idle_task: asyncio.Task[None]
        self._first_picture = asyncio.Event()
        self._over = False
        self._heard_ns = -SILENCE_NS

    def start(self, group: asyncio.TaskGroup) -> asyncio.Task[None]:
        """Start the loops in `group`. The task returned ends after `finish`, or when the source has and `keep_on` is
        False; everything on its way has been shown then."""
        self._group = group
        self._idle_task = group.create_task(self._idle_loop())
        group.create_task(self._track_loop())
        return group.create_task(self._draw_and_show(), name="rendering")

    async def _source_loop(self, feed: Feed) -> None:
        try:
            async for packet in feed.packets():
                self.stats.came_in()
                await self.captured.put(replace(packet, epoch=self.epoch))
        finally:
            await feed.close()
        if not self.keep_on:
            self.captured.close()

    async def _track_loop(self) -> None:
        async for packet in self.captured:
            if self._outdated(packet):
                continue
            if isinstance(packet.value, FaceState):
                state, stages_ns = packet.value, {}
            else:
                await self._first_picture.wait()  # it must not wait for the tracker's models
                t_ns = packet.t_media_ns if self.offline else packet.t_capture_ns
                state, took_ns = await self.track_worker.run(self.finder.find, packet.value, t_ns // 1_000_000)
                stages_ns = {"track": took_ns}
            self._heard_ns = self.clock.now_ns()
            if not self._outdated(packet):
                await self.states.put(packet.carry(state, stages_ns))
        self.states.close()

    async def _draw_and_show(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._show_loop())
            await self._render_loop()

    async def _render_loop(self) -> None:
        while packets := await self.states.get():
            if self.air.paused:
                self.stats.drop("paused", int(packets[-1].seq != IDLE_SEQ))
                continue
            pictures = await self.render_worker.run(self.puppet.perform, packets, self.air.hidden, self.states.pace_ns)
            await self.playout.put([picture for picture in pictures if not self._outdated(picture)])
            self._first_picture.set()
            self.states.fit(self.puppet.animator.window)
        self._idle_task.cancel()
        self.playout.close()

    async def _show_loop(self) -> None:
        async for picture in self.playout:
            if not self._outdated(picture):
                await self.air.show(picture)
        self.air.close()

    async def _idle_loop(self) -> None:
        if self.offline:
            self._first_picture.set()
            return
        while True:
            now_ns = self.clock.now_ns()
            wake_ns = self._heard_ns + SILENCE_NS
            if now_ns >= wake_ns:
                wake_ns = now_ns + round(1e9 / self.fps)
                if self.states.hungry:
                    lost = FaceState.lost(self.puppet.character.size_wh)
                    self.states.put_nowait(Packet(IDLE_SEQ, now_ns, lost, self.epoch, t_media_ns=now_ns))
            await self.clock.sleep_until_ns(wake_ns)

    async def play(self, feed: Feed) -> None:
        """From now on the opened `feed` drives the show. Raises `LiveError`, and closes it, when the show has ended."""
        await self.stop_source()
        self.new_epoch()
        await self.track_worker.run(self.finder.reset)
        await self.render_worker.run(self.puppet.reset)
        if not self._over:
            loop = self._source_loop(feed)
            try:
                self._source_task = self._group.create_task(loop)
                return
            except RuntimeError:  # the group is shutting down because something failed
                loop.close()
        await feed.close()  # the show has ended during these waits, and nobody else will
        raise LiveError("The show has ended.", "Start it again: faceshot live")

    async def stop_source(self) -> None:
        """Close the source; the show idles."""
        if self._source_task is not None:
            self._source_task.cancel()
            await asyncio.wait([self._source_task])

    async def cast(self, character: Character, animator: Animator) -> None:
        """Put another character on air; `animator` has loaded it."""
        await self.render_worker.run(self.puppet.swap, character, animator)
        self.new_epoch()
        self.air.size_wh = character.size_wh
        self.states.fit(self.puppet.animator.window)

    def new_epoch(self) -> None:
        """What is on its way now will not be shown."""
        self.epoch += 1
        self.captured.clear("epoch")
        self.states.clear("epoch")
        self.playout.clear()

    def finish(self) -> None:
        """Let what is on its way drain; then `run` returns."""
        self._over = True
        if self._source_task is not None:
            self._source_task.cancel()
        self.captured.close()

    def _outdated(self, packet: Packet[Any]) -> bool:
        if packet.epoch != self.epoch:
            self.stats.drop("epoch")
        return packet.epoch != self.epoch
