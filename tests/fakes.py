"""Small real implementations of the plug points that play a script: tests hand them to the real program."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from faceshot.animators import Window
from faceshot.errors import FaceshotError
from faceshot.topology import ARKIT_INDEX
from faceshot.types import CameraImage, Character, Drive, FaceState, Rendered
from live.clock import Clock
from live.config import Config, load_config
from live.edges import Closed, Edge, Packet
from live.errors import SinkError, SourceError
from live.show import Parts, Show, keep_nothing
from live.sources.phone import PhoneInlet
from live.stages import Sink, Source, SourceInfo, Tracker
from live.workers import InlineWorker

__all__ = [
    "CAMERA_COLOUR",
    "CostlyAnimator",
    "DuoAnimator",
    "MemorySink",
    "ScriptedSource",
    "ScriptedTracker",
    "a_character",
    "a_face",
    "a_show",
]

CAMERA_COLOUR = 201
"""Every pixel of every camera image has this value, so that a test can see whether one got on air."""
CAMERA_WH = (64, 48)


def a_face(mouth: float = 0.0) -> FaceState:
    """A face as a network tracker sends it: blendshapes and a head pose."""
    shapes = np.zeros(52, np.float32)
    shapes[ARKIT_INDEX["jawOpen"]] = mouth
    return FaceState(CAMERA_WH, 1.0, blendshapes=shapes, head=np.eye(4, dtype=np.float32))


def a_character(name: str = "dot", size_wh: tuple[int, int] = (64, 64), grey: int = 100) -> Character:
    """A plain grey picture with a well-formed face on it."""
    width, height = size_wh

    def ring(n: int, x: float, y: float, rx: float, ry: float, start: float, stop: float) -> np.ndarray:
        angles = np.radians(np.linspace(start, stop, n))
        return np.stack([x + rx * np.cos(angles), y + ry * np.sin(angles)], axis=1)

    points = np.concatenate(
        [
            ring(17, 0.5, 0.45, 0.3, 0.4, 180, 0),  # jaw, over the chin
            ring(5, 0.36, 0.36, 0.09, 0.04, 180, 360),
            ring(5, 0.64, 0.36, 0.09, 0.04, 180, 360),
            np.stack([np.full(4, 0.5), np.linspace(0.42, 0.54, 4)], axis=1),
            ring(5, 0.5, 0.57, 0.06, 0.02, 180, 0),
            ring(6, 0.37, 0.43, 0.06, 0.03, 180, 480),
            ring(6, 0.63, 0.43, 0.06, 0.03, 180, 480),
            ring(12, 0.5, 0.7, 0.1, 0.05, 180, 510),
            ring(8, 0.5, 0.7, 0.07, 0.02, 180, 495),
            np.array([[0.37, 0.43], [0.63, 0.43]]),
        ]
    )
    rgba = np.full((height, width, 4), grey, np.uint8)
    rgba[..., 3] = 255
    return Character(name, rgba, (points * (width, height)).astype(np.float32), np.ones(70, np.bool_))


class ScriptedSource:
    """A camera, a video or a face-state tracker that sends frame n at n / fps seconds of its own life.

    Args:
        frames: how many until it ends; None: it never does.
        states: face states to send in turn, instead of camera images.
        open_error: raised by `open`.
        error_after: (n, error): raise it in the place of frame n.
        realtime: False: as fast as it is asked.
    """

    def __init__(
        self,
        clock: Clock,
        fps: float = 30.0,
        frames: int | None = None,
        states: Sequence[FaceState] = (),
        live: bool = True,
        mirrored: bool = False,
        open_error: Exception | None = None,
        error_after: tuple[int, Exception] | None = None,
        realtime: bool = True,
        name: str = "scripted",
    ) -> None:
        self.opened = 0
        self.closed = 0
        self._clock = clock
        self._fps = fps
        self._frames = frames
        self._states = states
        self._live = live
        self._mirrored = mirrored
        self._open_error = open_error
        self._error_after = error_after
        self._realtime = realtime
        self._name = name
        self._image = CameraImage(np.full((CAMERA_WH[1], CAMERA_WH[0], 3), CAMERA_COLOUR, np.uint8))

    async def open(self) -> SourceInfo:
        if self._open_error is not None:
            raise self._open_error
        self.opened += 1
        return SourceInfo(self._name, self._fps, None if self._states else CAMERA_WH, self._live, self._mirrored)

    async def packets(self) -> AsyncIterator[Packet[CameraImage] | Packet[FaceState]]:
        start_ns = self._clock.now_ns()
        seq = 0
        while self._frames is None or seq < self._frames:
            t_media_ns = round(seq * 1e9 / self._fps)
            await self._clock.sleep_until_ns(start_ns + t_media_ns if self._realtime else 0)
            if self._error_after is not None and seq == self._error_after[0]:
                raise self._error_after[1]
            now_ns = self._clock.now_ns()
            if self._states:
                yield Packet(seq, now_ns, self._states[seq % len(self._states)], t_media_ns=t_media_ns)
            else:
                yield Packet(seq, now_ns, self._image, t_media_ns=t_media_ns)
            seq += 1

    async def close(self) -> None:
        self.closed += 1


class ScriptedTracker:
    """Finds what the script says: per image a face state, or an error to raise; the last entry repeats."""

    def __init__(self, script: Sequence[FaceState | Exception] = ()) -> None:
        self.script = deque(script or [a_face()])
        self.times_ms: list[int] = []
        self.resets = 0
        self.closed = False

    def track(self, image: CameraImage, timestamp_ms: int) -> FaceState:
        assert not self.times_ms or timestamp_ms > self.times_ms[-1], "the tracker's time must grow"
        self.times_ms = [*self.times_ms[-9:], timestamp_ms]
        found = self.script.popleft() if len(self.script) > 1 else self.script[0]
        if isinstance(found, Exception):
            raise found
        return found

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        self.closed = True


class CostlyAnimator:
    """Paints the whole picture in the character's grey, red counting the drives. What it costs is its worker's matter.

    Args:
        fails: called with the number of the picture; whether to fail.
        load_error: raised by `load`.
    """

    needs_crop = False

    def __init__(
        self,
        window: Window = Window(),  # noqa: B008 - immutable
        fails: Callable[[int], bool] = lambda n: False,
        load_error: FaceshotError | None = None,
    ) -> None:
        self.window = window
        self.calls: deque[int] = deque(maxlen=100)
        self.rendered = 0
        self.resets = 0
        self.closed = False
        self._fails = fails
        self._load_error = load_error
        self._character: Character | None = None

    def load(self, character: Character) -> None:
        if self._load_error is not None:
            raise self._load_error
        self._character = character

    def render(self, drives: Sequence[Drive]) -> list[Rendered]:
        assert self._character is not None and not self.closed
        self.calls.append(len(drives))
        new = drives[-self.window.stride :]
        pictures = []
        for _ in new:
            self.rendered += 1
            if self._fails(self.rendered):
                raise RuntimeError("the GPU fell off the bus")
            rgba = self._character.rgba.copy()
            rgba[..., 0] = self.rendered % 256
            pictures.append(Rendered(rgba))
        return pictures

    def reset(self) -> None:
        self.resets += 1

    def close(self) -> None:
        self.closed = True


class MemorySink:
    """Remembers the last pictures.

    Args:
        cost_s: how long it takes with each.
        fails_at: raise `SinkError` in the place of that picture.
    """

    def __init__(
        self,
        clock: Clock,
        edge: Literal["latest", "lossless"] = "latest",
        cost_s: float = 0.0,
        fails_at: int | None = None,
        name: str = "memory",
    ) -> None:
        self.name = name
        self.edge: Literal["latest", "lossless"] = edge
        self.packets: deque[Packet[Rendered]] = deque(maxlen=1000)
        self.times_ns: deque[int] = deque(maxlen=1000)
        self.taken = 0
        self.ended = False
        self._clock = clock
        self._cost_s = cost_s
        self._fails_at = fails_at

    async def run(self, frames: Edge[Rendered], fps: float) -> None:
        try:
            while True:
                packet = await frames.get()
                if self.taken == self._fails_at:
                    raise SinkError("the disk is full", "Free some space.")
                self.taken += 1
                self.packets.append(packet)
                self.times_ns.append(self._clock.now_ns())
                if self._cost_s:
                    await self._clock.sleep_until_ns(self._clock.now_ns() + round(self._cost_s * 1e9))
        except Closed:
            self.ended = True

    @property
    def greys(self) -> list[int]:
        """Which character each picture shows: its grey, 0 when blank."""
        return [int(packet.value.rgba[0, 0, 1]) for packet in self.packets]


class DuoAnimator(CostlyAnimator):
    """Two people in one picture: each half's red says how far its person's jaw is open, each person's crop aside."""

    own_drivers = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.frames: deque[Sequence[Drive]] = deque(maxlen=200)

    @property
    def cast(self) -> list[Character]:
        assert self._character is not None
        return [self._character, self._character]

    def render_cast(self, frames: Sequence[Sequence[Drive]]) -> list[Rendered]:
        self.frames += frames
        pictures = self.render([drives[0] for drives in frames])
        for picture, drives in zip(pictures, frames, strict=True):
            middle = picture.size_wh[0] // 2
            for half, drive in zip((slice(None, middle), slice(middle, None)), drives, strict=True):
                picture.rgba[:, half, 0] = round(100 * float(drive.blendshapes[ARKIT_INDEX["jawOpen"]]))
        return pictures


def a_show(
    clock: Clock,
    sources: Mapping[str, Callable[[], Source]],
    sinks: Sequence[Sink] = (),
    sets: Sequence[str] = (),
    make_tracker: Callable[[], Tracker] = ScriptedTracker,
    make_animator: Callable[[], CostlyAnimator] = CostlyAnimator,
    make_fallback: Callable[[], CostlyAnimator] = CostlyAnimator,
    characters: Mapping[str, Character] | None = None,
    costs_ms: Mapping[str, float] | None = None,
    phone: PhoneInlet | None = None,
    keep: Callable[[Mapping[str, object]], None] = keep_nothing,
    calibrate: Callable[[Character], Character] = lambda character: character,
) -> Show:
    """A show of fakes on the running virtual loop. The source `cam` and the character `dot` are on unless `sets` say
    otherwise; `costs_ms` is the virtual cost of a call of the workers "track", "render", "load" and "calibrate".
    `auto` is the first source."""
    who = {"dot": a_character()} if characters is None else characters

    def make_source(spec: str) -> Source:
        if spec not in sources:
            raise SourceError(f"No source {spec}.")
        return sources[spec]()

    def open_character(spec: str) -> Character:
        if spec not in who:
            raise FaceshotError(f"No character {spec}.")
        return who[spec]

    config: Config = load_config(sets=["source.spec=cam", "character.spec=dot", *sets])
    parts = Parts(
        open_character=open_character,
        read_picture=lambda data, name: a_character(name, grey=data[0]),
        list_characters=lambda: [{"spec": spec, "name": c.name, "kind": c.kind} for spec, c in who.items()],
        choose_source=lambda: next(iter(sources)),
        make_source=make_source,
        make_tracker=make_tracker,
        make_animator=make_animator,
        make_fallback=make_fallback,
        make_worker=lambda name: InlineWorker(name, clock, (costs_ms or {}).get(name, 0.0)),
        phone=phone,
        keep=keep,
        calibrate=calibrate,
    )
    return Show(config, clock, parts, sinks)
