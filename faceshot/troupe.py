"""Several people in one picture, each moved by a performer of their own: a puppeteer a person, and who sits where.

Performers and people are matched from left to right, as in front of a looking glass when the motion is mirrored. That
is done while the first second passes, and again when everybody is calibrated; from then on everybody keeps their
person. Who comes later takes a person whom nobody moves, or whose performer has been away for a while.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from faceshot.puppeteer import MotionSettings, Puppeteer, Status
from faceshot.range_control import Measurement
from faceshot.same_faces import KEEP_S
from faceshot.types import Character, Drive, FaceState

__all__ = ["Troupe"]

_SETTLE_S: Final = 1.0
"""Whoever is seen within this time of the first face is seated with it, from left to right."""


class Troupe:
    """Turns face states into one drive a person. With one person it is that person's puppeteer and nothing else.

    Args:
        puppeteer: of the first person from the left, or of the only one.
    """

    def __init__(self, puppeteer: Puppeteer) -> None:
        self._acting = [puppeteer]  # one a person, from left to right
        self._cast: list[Character] = []
        self._expression: str | None = None
        self._settings = puppeteer.settings
        self._seats: list[int | None] = [None]  # which of the faces moves each person
        self._gone_s: list[float] = [np.inf]
        self._settle()

    @property
    def settings(self) -> MotionSettings:
        """Everybody's; may be assigned at any time."""
        return self._settings

    @settings.setter
    def settings(self, settings: MotionSettings) -> None:
        if settings.mirror is not self._settings.mirror:
            self._settle()  # left and right have changed places
        self._settings = settings
        for one in self._acting:
            one.settings = settings

    @property
    def status(self) -> Status:
        """That of the first who has a face, else of the first."""
        seen = (one.status for one in self._acting if one.status in ("calibrating", "tracking"))
        return next(seen, self._acting[0].status)

    def set_cast(self, characters: Sequence[Character]) -> None:
        """Animate these people; calibration and motion of who has a person still go on."""
        self._cast = list(characters)
        for i, character in enumerate(characters):
            if i < len(self._acting):
                self._acting[i].set_character(character)
                continue
            new = Puppeteer(character, self._settings, seed=i)  # a seed each: nobody blinks in step
            new.presets.choose(self._expression)
            self._acting.append(new)
        del self._acting[len(characters) :]
        more = len(characters) - len(self._seats)
        self._seats = [*self._seats, *[None] * more][: len(characters)]
        self._gone_s = [*self._gone_s, *[np.inf] * more][: len(characters)]

    def reset(self) -> None:
        """Another source: forget all performers."""
        for one in self._acting:
            one.reset()
        self._seats = [None] * len(self._acting)
        self._gone_s = [np.inf] * len(self._acting)
        self._settle()

    def calibrate(self) -> None:
        """Make everybody's next stable second their neutral pose, and seat those who are there from left to right."""
        self._settle()
        for one in self._acting:
            one.calibrate()

    def choose(self, expression: str | None) -> None:
        """Blend an expression over everybody's. Raises `FaceshotError`."""
        for one in self._acting:
            one.presets.choose(expression)
        self._expression = expression

    def measure(self, measurement: Measurement) -> None:
        """Let it see the first performer from now on."""
        self._acting[0].measurement = measurement

    def step(self, state: FaceState, dt_s: float) -> list[Drive]:
        """The drives for one frame, from left to right.

        Args:
            state: what the tracker saw, with `others`.
            dt_s: time since the last call.
        """
        if len(self._acting) == 1 and not state.others and self._seats == [None]:
            return [self._acting[0].step(state, dt_s)]
        faces = (state, *state.others)
        self._seat(faces, dt_s)
        lost = FaceState.lost(state.size_wh)
        drives = []
        for seat, acting in zip(self._seats, self._acting, strict=True):
            drives.append(acting.step(lost if seat is None or seat >= len(faces) else faces[seat], dt_s))
        return drives

    def _settle(self) -> None:
        """Seat whoever is seen in the next second from left to right."""
        self._settle_s = _SETTLE_S
        self._seen: dict[int, float] = {}

    def _seat(self, faces: Sequence[FaceState], dt_s: float) -> None:
        """Find out who moves whom in this frame."""
        sign = -1.0 if self._settings.mirror else 1.0
        here = {i: sign * _across(face) for i, face in enumerate(faces) if face.found}
        count = len(self._seats)
        if self._settle_s > 0:
            self._seen.update(here)
            if self._seen:
                self._settle_s -= dt_s
                row = sorted(self._seen, key=self._seen.__getitem__)[:count]
                self._reseat([*row, *[None] * (count - len(row))])
        else:
            self._seat_newcomers(sorted(here, key=here.__getitem__))
        for person, seat in enumerate(self._seats):
            self._gone_s[person] = 0.0 if seat in here else self._gone_s[person] + dt_s

    def _seat_newcomers(self, row: Sequence[int]) -> None:
        for face in row:
            if face in self._seats:
                continue
            free = [person for person, gone_s in enumerate(self._gone_s) if gone_s > KEEP_S]
            if not free:
                return
            self._seats[free[0]] = face
            self._gone_s[free[0]] = 0.0
            self._acting[free[0]].forget_performer()

    def _reseat(self, seats: list[int | None]) -> None:
        """Everybody takes their puppeteer, who knows them, along."""
        if seats == self._seats:
            return
        before, after = self._acting, list[Puppeteer | None]([None] * len(seats))
        for person, seat in enumerate(seats):
            if seat is not None and seat in self._seats:
                after[person] = before[self._seats.index(seat)]
        spare = [one for one in before if one not in after]
        self._acting = [one or spare.pop(0) for one in after]
        self._seats = seats
        if len(seats) > 1:
            for one, character in zip(self._acting, self._cast, strict=True):
                one.set_character(character)


def _across(face: FaceState) -> float:
    """Where a face is in the camera picture, in pixels; 0 for trackers that do not say."""
    return 0.0 if face.points_xyz is None else float(face.points_xyz[:, 0].mean())
