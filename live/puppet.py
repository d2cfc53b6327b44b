"""What the render worker owns: puppeteers and animator, and what replaces them when they fail.

Synchronous; `perform`, `swap` and `reset` are called in the render worker, `prepare` in any.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence

from faceshot.animators import Animator, Ensemble, Gradual
from faceshot.animators.output import mirrored
from faceshot.errors import FaceshotError, OutOfMemory
from faceshot.puppeteer import Puppeteer
from faceshot.troupe import Troupe
from faceshot.types import Character, Drive, FaceState, Rendered
from live.clock import Clock
from live.edges import Packet
from live.ladder import Ladder

__all__ = ["Puppet", "prepare"]

log = logging.getLogger(__name__)

SHORTEST_STEP_S = 0.001
LONGEST_STEP_S = 0.25
HANGING_NS = 5_000_000_000
LATE_PICTURES = 3


def prepare(make_animator: Callable[[], Animator], character: Character) -> Animator:
    """A new animator with `character` loaded; the blocking half of a character switch."""
    animator = make_animator()
    try:
        animator.load(character)
    except BaseException:
        animator.close()
        raise
    return animator


class Puppet:
    """Turns face states into pictures and never raises: a failing animator is replaced by `make_fallback()`, and when
    that fails too the picture is blank. There is no camera image here that could be shown.

    A `Gradual` animator draws worse while it cannot keep up, or when memory is full, before it is replaced.

    Args:
        animator: with the character loaded.
        make_fallback: makes the animator that is always there.
        media_time: step by the packets' media time (offline) instead of their capture time.

    Attributes:
        troupe: who carries the performers' motion over.
        character: who is on air.
        mirror: whether pictures are flipped left to right.
        message: what is wrong now, for the user; None when all is well. Readable from any thread, and there it tells
            of a picture that does not get done: a thread that hangs cannot be ended, but whoever waits should know.
    """

    def __init__(
        self,
        puppeteer: Puppeteer,
        character: Character,
        animator: Animator,
        make_fallback: Callable[[], Animator],
        clock: Clock,
        media_time: bool = False,
    ) -> None:
        self.troupe = Troupe(puppeteer)
        self.character = character
        self.animator = animator
        self.mirror = False
        self._message: str | None = None
        self._begun_ns: int | None = None  # when the picture in hand was
        self.blank = Rendered.blank(character.size_wh)
        self._make_fallback = make_fallback
        self._clock = clock
        self._media_time = media_time
        self._standing: str | None = None  # the message of a fallback; it stays until the next character
        self._fault: str | None = None
        self._fallen_back = False
        self._late = 0
        self._ladder = _ladder_of(animator)
        self._rung_note: str | None = None
        self._drawn: deque[tuple[Packet[FaceState], list[Drive]]] = deque(maxlen=animator.window.size)
        self.troupe.set_cast(self._cast())
        self._last_ns: int | None = None
        self._asked: deque[Callable[[], None]] = deque()

    @property
    def message(self) -> str | None:
        begun_ns = self._begun_ns
        hanging_ns = 0 if begun_ns is None else self._clock.now_ns() - begun_ns
        if hanging_ns < HANGING_NS:
            return self._message
        return f"Drawing hangs for {hanging_ns // 1_000_000_000} s; if it goes on, end the show and start it again."

    def soon(self, wish: Callable[[], None]) -> None:
        """Call `wish` in the render worker before the next picture. Callable from any thread."""
        self._asked.append(wish)

    def perform(
        self, packets: Sequence[Packet[FaceState]], hidden: bool, pace_ns: float = 0.0
    ) -> list[Packet[Rendered]]:
        """One picture per new drive, in the packet of its face state.

        Args:
            packets: the animator's window, oldest first; one packet for a per-frame animator.
            hidden: motion goes on, but the pictures are blank.
            pace_ns: time between two packets as they come now; 0 when a late picture makes nobody fall behind.
        """
        while self._asked:
            self._asked.popleft()()
        self._fault = None
        t0 = self._begun_ns = self._clock.now_ns()
        fresh = self._retarget(packets)
        t1 = self._clock.now_ns()
        pictures = [self.blank] if hidden else self._render([drives for _, drives in self._drawn], fresh, pace_ns)
        if self.mirror:
            pictures = [mirrored(picture) for picture in pictures]
        stages = {"retarget": t1 - t0, "render": self._clock.now_ns() - t1}
        self._message = self._fault or self._standing or self._rung_note or getattr(self.animator, "note", None)
        self._begun_ns = None
        late = list(packets)[-len(pictures) :]
        return [packet.carry(picture, stages) for packet, picture in zip(late, pictures, strict=True)]

    def swap(self, character: Character, animator: Animator) -> None:
        """Put another character on air; the old animator is closed."""
        old, self.animator = self.animator, animator
        self.character = character
        self.blank = Rendered.blank(character.size_wh)
        self._message = self._standing = None
        self._fallen_back = False
        self._late = 0
        self._ladder, self._rung_note = _ladder_of(animator), None
        self._drawn = deque(maxlen=animator.window.size)
        self.troupe.set_cast(self._cast())
        _close(old)

    def reset(self) -> None:
        """Another source: forget the last performer."""
        self.troupe.reset()
        self.animator.reset()
        self._drawn.clear()
        self._last_ns = None

    def close(self) -> None:
        """Free the animator."""
        _close(self.animator)

    def _retarget(self, packets: Sequence[Packet[FaceState]]) -> int:
        """Step the puppeteers by each packet that is new; how many there were."""
        known = {id(packet) for packet, _ in self._drawn}
        fresh = [packet for packet in packets if id(packet) not in known]  # its window overlaps the last one
        for packet in fresh:
            t_ns = packet.t_media_ns if self._media_time else packet.t_capture_ns
            dt_s = (t_ns - self._last_ns) / 1e9 if self._last_ns is not None else 1 / 30
            self._last_ns = t_ns
            try:
                drives = self.troupe.step(packet.value, min(max(dt_s, SHORTEST_STEP_S), LONGEST_STEP_S))
            except Exception as error:
                self._report("The motion of one frame could not be used", error)
                drives = [Drive.neutral(who) for who in self._cast()]
            self._drawn.append((packet, drives))
        return len(fresh)

    def _cast(self) -> list[Character]:
        """Those who move by themselves, from left to right."""
        if isinstance(self.animator, Ensemble) and self.animator.own_drivers:
            return list(self.animator.cast)
        return [self.character]

    def _render(self, frames: Sequence[Sequence[Drive]], fresh: int, pace_ns: float) -> list[Rendered]:
        begun_ns = self._clock.now_ns()
        try:
            pictures = self._rendered(frames)
        except Exception as error:
            if not self._fallen_back:
                self._fall_back(error)
                if len(frames[-1]) > 1:  # these are of people whom the new animator does not know
                    frames = [[Drive.neutral(self.character)]] * len(frames)
        else:
            self._watch(self._clock.now_ns() - begun_ns, len(pictures), pace_ns)
            return pictures
        try:
            new = frames[-fresh:] if fresh and self.animator.window.size == 1 else frames[-1:]
            return [picture for frame in new for picture in self._draw([frame])]
        except Exception as error:
            self._report("Nothing can be drawn; the picture is blank", error)
            return [self.blank]

    def _draw(self, frames: Sequence[Sequence[Drive]]) -> list[Rendered]:
        if isinstance(self.animator, Ensemble) and self.animator.own_drivers:
            return self.animator.render_cast(frames)
        return self.animator.render([drives[0] for drives in frames])

    def _rendered(self, frames: Sequence[Sequence[Drive]]) -> list[Rendered]:
        """What the animator draws, on the best rung that fits into memory."""
        while True:
            try:
                return self._draw(frames)
            except OutOfMemory as error:
                full = error
            self._make_room(full)

    def _make_room(self, full: OutOfMemory) -> None:
        """One rung down, or as many as it takes until the way there fits. Raises `full` at the bottom."""
        while True:
            if self._ladder is None or self._ladder.bottom:
                raise full
            try:
                self._take(self._ladder.out_of_memory(), full.message.rstrip("."))
                return
            except OutOfMemory as error:
                full = error

    def _watch(self, work_ns: int, count: int, pace_ns: float) -> None:
        """Let an animator that cannot keep up draw worse, or replace it when it keeps taking far too long."""
        if self._media_time:
            return
        if self._ladder is not None:
            was = self._ladder.rung
            rung = self._ladder.took(work_ns, pace_ns * count)
            if rung != was:
                took = f"{count} pictures took {work_ns / 1e6:.0f} of {pace_ns * count / 1e6:.0f} ms"
                try:
                    self._take(rung, took if rung > was else "")
                except Exception as error:
                    self._fall_back(error)
                    return
        limit_s: float | None = getattr(self.animator, "late_after_s", None)
        if limit_s is None:
            return
        picture_ns = work_ns / count
        self._late = self._late + 1 if picture_ns > limit_s * 1e9 else 0
        if self._late >= LATE_PICTURES:
            what = f"a picture takes {picture_ns / 1e9:.1f} s, {limit_s:g} s is the most that is live."
            self._fall_back(FaceshotError(f"This machine is too slow for it: {what}"))

    def _take(self, rung: int, why: str) -> None:
        """Draw on another rung of the ladder, and say so."""
        assert isinstance(self.animator, Gradual)
        self.animator.take_rung(rung)
        self._drawn = deque(self._drawn, maxlen=self.animator.window.size)
        name = self.animator.rungs[rung].name
        self._rung_note = f"Drawing with {name}: {why or 'that is what fits now'}." if rung else None
        log.warning("%s", self._rung_note or f"Drawing with {name} again.")

    def _fall_back(self, error: Exception) -> None:
        self._fallen_back = True
        self._report("The animator failed; drawing with warp instead", error)
        self._standing = self._fault
        try:
            animator = prepare(self._make_fallback, self.character)
        except Exception as another:
            self._report("The animator failed, and warp cannot draw this character", another)
            return
        _close(self.animator)
        self.animator = animator
        self.troupe.set_cast(self._cast())
        self._ladder, self._rung_note = _ladder_of(animator), None
        self._drawn = deque(self._drawn, maxlen=animator.window.size)

    def _report(self, what: str, error: Exception) -> None:
        text = f"{what}: {error if isinstance(error, FaceshotError) else repr(error)}"
        if text != self._message:  # once, not once a frame
            log.warning(text, exc_info=None if isinstance(error, FaceshotError) else error)
        self._fault = text


def _ladder_of(animator: Animator) -> Ladder | None:
    return Ladder(animator.rungs) if isinstance(animator, Gradual) else None


def _close(animator: Animator) -> None:
    try:
        animator.close()
    except Exception:
        log.exception("an animator did not close cleanly")
