"""The running session: owns the pipeline's parts, and is what the server and the command line control.

`Show.run` plays; everything else may be called meanwhile, on the same event loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import Any, cast

from faceshot.animators import Animator
from faceshot.animators.output import mirrored, still
from faceshot.errors import FaceshotError
from faceshot.presets import PRESETS, PresetMixer
from faceshot.puppeteer import MotionSettings, Puppeteer
from faceshot.range_control import Limits, Measurement, Range, RangeStep
from faceshot.types import Character, Rendered
from live.air import IDLE_SEQ, Air
from live.clock import Clock
from live.config import Config, MotionConfig, with_changes
from live.edges import Fanout, Packet
from live.errors import ConfigError, LiveError, SourceError, first_of
from live.face_finder import FaceFinder
from live.feed import Feed
from live.kept_range import KEPT_KEYS
from live.pipeline import Pipeline
from live.puppet import Puppet, prepare
from live.sinks.canvas import parse_background
from live.sources.phone import PhoneInlet
from live.stages import Sink, Source, Styled, Tracker
from live.stats import Stats
from live.workers import Worker

__all__ = ["Parts", "Show", "keep_nothing", "motion_settings"]

log = logging.getLogger(__name__)

DRAIN_S = 5.0  # how long sinks may write on after the last picture
_MEASURE_AT_MOST_NS = 6_000_000_000
UPLOADS = 8  # dropped pictures that stay at hand


def _as_it_is(character: Character) -> Character:
    return character


def keep_nothing(changes: Mapping[str, object]) -> None:
    """The next show begins as this one did."""


@dataclass(frozen=True)
class Parts:
    """What a show is made from; `live.build` fills it, tests fill it with fakes. All but `make_worker` may block.

    Attributes:
        open_character: a bundled name or a path to a character, at the size to be rendered.
        read_picture: bytes of a dropped picture and its name to a character, at the size to be rendered.
        list_characters: rows of spec, name and kind.
        choose_source: what `auto` means now.
        make_source: a spec to a source that is not open yet.
        calibrate: a character to the same with what its animator would like to know of it; takes seconds, so
            characters go on air without.
        phone: the inlet that `make_source` uses for `phone`.
        keep: gets the settings of the card *Range* that were changed, by dotted key, for the next show.
        loading: what of the animator is being loaded now, for the user; None when nothing is.
    """

    open_character: Callable[[str], Character]
    read_picture: Callable[[bytes, str], Character]
    list_characters: Callable[[], Sequence[Mapping[str, str]]]
    choose_source: Callable[[], str]
    make_source: Callable[[str], Source]
    make_tracker: Callable[[], Tracker]
    make_animator: Callable[[], Animator]
    make_fallback: Callable[[], Animator]
    make_worker: Callable[[str], Worker]
    calibrate: Callable[[Character], Character] = _as_it_is
    phone: PhoneInlet | None = None
    keep: Callable[[Mapping[str, object]], None] = keep_nothing
    loading: Callable[[], str | None] = lambda: None


class Show:
    """One session.

    Args:
        sinks: built, not open.

    Attributes:
        config: as it is now; `update` and the switches replace it.
        frames: where viewers subscribe an edge of their own.
        stats: counters.
        viewers: how many there are; the server keeps it up to date.
        phone: where the server leaves the pictures of a remote driver.
    """

    def __init__(self, config: Config, clock: Clock, parts: Parts, sinks: Sequence[Sink] = ()) -> None:
        self.config = config
        self.clock = clock
        self.stats = Stats(clock)
        self.viewers = 0
        self.phone = parts.phone or PhoneInlet(clock)
        self._parts = parts
        self._sinks = tuple(sinks)
        self._offline = not config.source.realtime
        side = config.animator.max_side_px
        self._air = Air(clock, self.stats, (side, side), self._offline)
        self._load_worker = parts.make_worker("load")
        self._calibrate_worker = parts.make_worker("calibrate")
        self._finder = FaceFinder(parts.make_tracker, clock)
        self._feed = self._new_feed(config.source.spec)
        self._expression = PresetMixer()  # what was asked for; the puppeteers' own live in the render worker
        self._message: str | None = None
        self._characters: list[dict[str, str]] = []
        self._uploads: dict[str, Character] = {}
        self._switching = asyncio.Lock()
        self._ready = asyncio.Event()
        self._new_on_air = asyncio.Event()  # a character that its animator may not know yet
        self._to_keep: dict[str, object] = {}
        self._has_to_keep = asyncio.Event()
        self._ended = False
        self._stop = asyncio.Event()
        self._puppet: Puppet | None = None
        self._pipeline: Pipeline | None = None

    @property
    def frames(self) -> Fanout[Rendered]:
        return self._air.frames

    async def run(self, duration_s: float | None = None) -> None:
        """Play until `stop`, the end of a source that does not loop, or `duration_s` seconds after the first picture.

        Raises:
            FaceshotError: the character or the source of the configuration cannot be opened.
        """
        track, render = self._parts.make_worker("track"), self._parts.make_worker("render")
        try:
            pipeline = await self._prepare(track, render, keep_on=duration_s is not None)
            async with asyncio.TaskGroup() as group:
                fps = self.config.output.fps
                sinks = [group.create_task(self._air.serve(sink, fps), name=sink.name) for sink in self._sinks]
                ended = pipeline.start(group)
                around = [group.create_task(self._begin()), group.create_task(self._keep())]
                stop = group.create_task(self._stop.wait())
                await asyncio.wait([ended, stop], timeout=duration_s, return_when=asyncio.FIRST_COMPLETED)
                self.stats.finish()
                stop.cancel()
                for task in around:
                    task.cancel()
                pipeline.finish()
                await _bounded([ended, *sinks], DRAIN_S)
        except BaseExceptionGroup as errors:
            raise first_of(errors) from None
        finally:
            self._ended = True
            self._ready.set()
            self._air.close()
            if self._puppet is not None:
                await _finish(render, self._puppet.close)
            await _finish(track, self._finder.close)
            await self._keep_now()
            await self._calibrate_worker.close()
            await self._load_worker.close()

    def character(self, spec: str) -> Character | None:
        """The character on air or one made of a dropped picture, when `spec` names it; None for all others."""
        if self._puppet is not None and spec == self.config.character.spec:
            return self._puppet.character
        return self._uploads.get(spec)

    def stop(self) -> None:
        """End the show: what is on its way is still shown and written, then `run` returns."""
        self._stop.set()

    # What the user can do.

    def calibrate(self) -> None:
        """Take the performer's next stable second as the neutral pose."""
        if self._puppet is not None:
            self._puppet.soon(self._puppet.troupe.calibrate)

    async def measure_range(self, what: str) -> None:
        """Measure one step of `faceshot.range_control` on the performer and use it from then on.

        Raises:
            FaceshotError: there is no such step, or what was seen cannot be it; nothing is changed then.
        """
        measurement = Measurement(cast(RangeStep, what))
        if self._puppet is None:
            raise FaceshotError("The show has not begun yet.", "Try again when the character is on air.")
        self._puppet.soon(partial(self._puppet.troupe.measure, measurement))
        end_ns = self.clock.now_ns() + _MEASURE_AT_MOST_NS
        while not measurement.done:
            if self.clock.now_ns() > end_ns:
                raise FaceshotError(
                    f"No face was seen long enough within {_MEASURE_AT_MOST_NS / 1e9:g} seconds; about 2 are needed.",
                    "Look at the camera and press again.",
                )
            await self.clock.sleep_until_ns(self.clock.now_ns() + 50_000_000)
        if measurement.error is not None:
            raise measurement.error
        await self.update({f"motion.range.{name}": round(v, 4) for name, v in (measurement.result or {}).items()})

    def set_expression(self, name: str | None) -> None:
        """Blend an expression of `faceshot.presets` over the performer's; None ends it. Raises `FaceshotError`."""
        self._expression.choose(name)
        if self._puppet is not None:
            self._puppet.soon(partial(self._puppet.troupe.choose, name))

    def set_paused(self, on: bool) -> None:
        """Freeze the last picture, or go on."""
        self._air.pause(on)

    def set_hidden(self, on: bool) -> None:
        """Panic: blank pictures from this very moment, everywhere; or back on air."""
        self._air.hide(on)

    async def set_character(self, spec: str) -> None:
        """Put another character on air. Raises `FaceshotError` when it cannot; the old one stays then."""
        await self._on_stage()
        async with self._switching:
            character = self._uploads.get(spec)
            if character is None:
                character = await self._load_worker.run(self._parts.open_character, spec)
            await self._cast(spec, character)
            self._new_on_air.set()

    async def set_picture(self, data: bytes, filename: str) -> None:
        """Make a character of a dropped picture or character file and put it on air. Raises `FaceshotError`."""
        await self._on_stage()
        name = "".join(c for c in PurePath(filename).name if c.isprintable()) or "picture"
        if any(row["spec"] == name for row in self._characters):
            name = f"dropped {name}"  # a bundled one stays within reach
        async with self._switching:
            character = await self._load_worker.run(self._parts.read_picture, data, name)
            await self._cast(name, character)
            self._new_on_air.set()
            self._uploads.pop(name, None)
            self._uploads[name] = character
            if len(self._uploads) > UPLOADS:
                del self._uploads[next(iter(self._uploads))]

    async def set_source(self, spec: str) -> None:
        """Drive the character by another source. Raises `SourceError` when it cannot be opened; the old one goes on."""
        await self._on_stage()
        assert self._pipeline is not None
        async with self._switching:
            if spec == "auto":
                spec = await self._load_worker.run(self._parts.choose_source)
            feed = self._new_feed(spec)
            again = spec == self._feed.spec
            if again:
                await self._pipeline.stop_source()  # a device opens only once
            try:
                await feed.open()
            except Exception as error:
                if again:  # there is no old one to go back to: keep trying
                    feed.lost(error)
                    await self._play(feed)
                raise
            await self._play(feed)
            self.config = with_changes(self.config, {"source.spec": spec})

    async def update(self, changes: Mapping[str, object]) -> None:
        """Change settings by dotted key: all of `motion.`, `output.mirror`, `output.background`. Raises `ConfigError`;
        nothing is changed then."""
        for key in changes:
            if not key.startswith("motion.") and key not in ("output.mirror", "output.background"):
                raise ConfigError(
                    f"{key} cannot be changed while the show runs.",
                    "motion.*, output.mirror and output.background can; for the rest start again with --set.",
                )
        wanted = with_changes(self.config, changes).output.background
        if wanted != self.config.output.background:
            # A picture is read away from the loop; without sinks too, because viewers show it as well.
            background = await self._load_worker.run(parse_background, wanted)
            for sink in self._sinks:
                if isinstance(sink, Styled):
                    sink.set_background(background)
        self.config = with_changes(self.config, changes)  # other changes may have come during the wait
        self._apply()
        if kept := {key: value for key, value in changes.items() if key in KEPT_KEYS}:
            self._to_keep |= kept
            self._has_to_keep.set()

    def state(self) -> dict[str, Any]:
        """Everything the control page shows, ready for JSON."""
        puppet, stats = self._puppet, self.stats.snapshot()
        shown = {"spec": self.config.character.spec, "name": self.config.character.spec, "kind": ""}
        if puppet is not None:
            shown.update(name=puppet.character.name, kind=puppet.character.kind)
        return {
            "character": shown,
            "characters": [*self._characters, *(_row(spec, who) for spec, who in self._uploads.items())],
            "source": {
                "spec": self._feed.spec,
                "name": self._feed.info.name if self._feed.info else self._feed.spec,
                "state": self._feed.state,
            },
            "face": puppet.troupe.status if puppet else "waiting",
            "expression": self._expression.name,
            "expressions": list(PRESETS),
            "paused": self._air.paused,
            "hidden": self._air.hidden,
            "motion": {**self.config.motion.model_dump(), "mirror": self._mirrored},
            "output": {"mirror": self.config.output.mirror, "background": self.config.output.background},
            "sinks": [
                {"name": sink.name, "state": "running" if sink.running else "stopped", "error": sink.error}
                for sink in self._air.sinks
            ],
            "stats": {key: value for key, value in stats.items() if key not in ("stages", "rss_mb")},
            "viewers": self.viewers,
            "message": self._feed.message
            or self._finder.message
            or (puppet.message if puppet else None)
            or self._parts.loading()
            or self._message,
            "size_wh": list(self._air.size_wh),
        }

    # How it is done.

    async def _prepare(self, track: Worker, render: Worker, keep_on: bool) -> Pipeline:
        """Load the character. It is on air as it is before its animator has loaded."""
        spec = self.config.character.spec
        character = await self._load_worker.run(self._parts.open_character, spec)
        if self._offline:
            character = await self._load_worker.run(self._parts.calibrate, character)
        self._air.size_wh = character.size_wh
        if not self._offline:
            now_ns = self.clock.now_ns()
            picture = mirrored(still(character)) if self.config.output.mirror else still(character)
            await self._air.show(Packet(IDLE_SEQ, now_ns, picture, t_media_ns=now_ns))
        animator = await self._first_animator(character)
        puppeteer = await self._load_worker.run(Puppeteer, character)
        self._puppet = Puppet(puppeteer, character, animator, self._parts.make_fallback, self.clock, self._offline)
        self._apply()
        self._pipeline = Pipeline(
            self.clock,
            self.stats,
            self._finder,
            self._puppet,
            self._air,
            track,
            render,
            self.config.output.fps,
            offline=self._offline,
            keep_on=keep_on,
        )
        return self._pipeline

    async def _first_animator(self, character: Character) -> Animator:
        """The one that was asked for; in a live show warp, with a message, when it cannot draw this character."""
        try:
            return await self._load_worker.run(prepare, self._parts.make_animator, character)
        except FaceshotError as error:
            kind = self.config.animator.kind
            if kind == "warp" or self._offline:
                raise
            log.warning("%s", error)
            self._message = f"{kind} cannot be used, drawing with warp instead: {error}"
            return await self._load_worker.run(prepare, self._parts.make_fallback, character)

    async def _begin(self) -> None:
        """While the character idles already: open the source, then look what other characters there are."""
        asked = self._feed.spec
        if asked == "auto":  # chosen once: a camera that is unplugged later is waited for
            self._feed = self._new_feed(await self._load_worker.run(self._parts.choose_source))
        try:
            await self._feed.open()
        except SourceError as error:
            if asked != "auto":
                raise
            self._message = f"{error.message} Playing the demo instead."
            log.warning("%s", error)
            self._feed = self._new_feed("demo")
            await self._feed.open()
        await self._play(self._feed)
        self._ready.set()
        self._characters = [dict(row) for row in await self._load_worker.run(self._parts.list_characters)]
        if not self._offline:
            self._new_on_air.set()
            await self._calibrate()

    async def _calibrate(self) -> None:
        """Until cancelled: a character that is on air moves already; from now on as it does once its animator knows
        it."""
        assert self._puppet is not None
        while await self._new_on_air.wait():
            self._new_on_air.clear()
            before = self._puppet.character
            character = await self._calibrate_worker.run(self._parts.calibrate, before)
            async with self._switching:
                spec = self.config.character.spec
                if character is not before and self._puppet.character is before:
                    await self._cast(spec, character)
                    if spec in self._uploads:
                        self._uploads[spec] = character

    async def _keep(self) -> None:
        """Until cancelled: whatever came while the last changes were written is written together."""
        while await self._has_to_keep.wait():
            self._has_to_keep.clear()
            await self._keep_now()

    async def _keep_now(self) -> None:
        changes, self._to_keep = self._to_keep, {}
        if not changes:
            return
        try:
            await self._load_worker.run(self._parts.keep, changes)
        except LiveError as error:
            log.warning("%s", error)
            self._message = str(error)

    def _new_feed(self, spec: str) -> Feed:
        async def make_source() -> Source:
            return await self._load_worker.run(self._parts.make_source, spec)

        return Feed(spec, make_source, self.clock, retry=not self._offline)

    async def _play(self, feed: Feed) -> None:
        assert self._pipeline is not None
        self._feed = feed
        await self._pipeline.play(feed)
        self._apply()

    async def _on_stage(self) -> None:
        """Wait until the show has begun. Raises `LiveError` when it is over."""
        await self._ready.wait()
        if self._ended:
            raise LiveError("The show has ended.", "Start it again: faceshot live")

    async def _cast(self, spec: str, character: Character) -> None:
        assert self._pipeline is not None
        animator = await self._load_worker.run(prepare, self._parts.make_animator, character)
        await self._pipeline.cast(character, animator)
        self.config = with_changes(self.config, {"character.spec": spec})

    @property
    def _mirrored(self) -> bool:
        wanted = self.config.motion.mirror
        return bool(self._feed.info and self._feed.info.mirrored) if wanted is None else wanted

    def _apply(self) -> None:
        """Hand the settings that may change in the middle of a show to those who use them."""
        if self._puppet is not None:
            self._puppet.mirror = self.config.output.mirror
            settings = motion_settings(self.config.motion, self._mirrored)
            # Between two frames, never in the middle of one.
            self._puppet.soon(partial(setattr, self._puppet.troupe, "settings", settings))


def motion_settings(motion: MotionConfig, mirror: bool) -> MotionSettings:
    """The puppeteer's settings from the configuration's.

    Args:
        mirror: the effective one, for `motion.mirror` may leave it to the source.
    """
    return MotionSettings(
        **motion.gains.model_dump(),
        smoothing=motion.smoothing,
        mirror=mirror,
        hold_s=motion.hold_s,
        idle=motion.idle,
        limits=Limits(**motion.limits.model_dump()),
        range=Range(**motion.range.model_dump()),
        close_mouth=motion.close_mouth,
    )


def _row(spec: str, character: Character) -> dict[str, str]:
    return {"spec": spec, "name": character.name, "kind": character.kind}


async def _bounded(tasks: Sequence[asyncio.Task[None]], timeout_s: float) -> None:
    """Wait for the tasks, then cancel those that hang."""
    _, late = await asyncio.wait(tasks, timeout=timeout_s)
    for task in late:
        log.warning("%s did not finish within %g s; it is cut off", task.get_name(), timeout_s)
        task.cancel()


async def _finish(worker: Worker, last: Callable[[], None]) -> None:
    try:
        async with asyncio.timeout(DRAIN_S):
            await worker.run(last)
    except TimeoutError:
        pass  # `close` names the thread
    await worker.close()
