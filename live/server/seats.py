"""Who may drive: at most one at a time. No network, no tasks; time comes from the clock.

free ──claim──► taken ──release, kick, or away for GRACE──► free
                  ▲ claim by somebody else: asked, until `allow` (then they have the seat) or `refuse`
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from live.clock import Clock

__all__ = ["ASK_NS", "GRACE_NS", "Claim", "Seat"]

GRACE_NS = 20_000_000_000  # a phone in a tunnel comes back to its seat
ASK_NS = 60_000_000_000
MAX_ASKING = 4

Verdict = Literal["granted", "asked", "refused"]


@dataclass(slots=True)
class Claim:
    """Somebody who drives or wants to: a secret-free identity and a name for people."""

    who: str
    name: str
    since_ns: int


@dataclass(slots=True)
class Seat:
    """The one seat.

    Attributes:
        holder: who has it.
        asking: who wants it, oldest first.
    """

    clock: Clock
    holder: Claim | None = None
    asking: dict[str, Claim] = field(default_factory=dict)
    _away_since_ns: int | None = None
    _must_ask: set[str] = field(default_factory=set)
    _allowed: set[str] = field(default_factory=set)
    _refused: set[str] = field(default_factory=set)

    def claim(self, who: str, name: str) -> Verdict:
        """Take the seat if it is free or one's own; else ask for it. A refused or kicked one has to ask too."""
        self.tidy()
        mine = self.holder is not None and self.holder.who == who
        free = self.holder is None and who not in self._must_ask
        if mine or free or who in self._allowed:
            self._allowed.discard(who)
            self._must_ask.discard(who)
            self.asking.pop(who, None)
            if not mine:
                self.holder = Claim(who, name, self.clock.now_ns())
            self._away_since_ns = self.clock.now_ns()  # until the connection stands
            return "granted"
        if who in self._refused:
            self._refused.discard(who)
            return "refused"
        if who not in self.asking and len(self.asking) >= MAX_ASKING:
            return "refused"
        self.asking.setdefault(who, Claim(who, name, self.clock.now_ns())).name = name
        return "asked"

    def present(self, who: str) -> None:
        """The holder's connection stands."""
        if self.holder is not None and self.holder.who == who:
            self._away_since_ns = None

    def absent(self, who: str) -> None:
        """The holder's connection broke; the seat is kept for a while."""
        if self.holder is not None and self.holder.who == who and self._away_since_ns is None:
            self._away_since_ns = self.clock.now_ns()

    @property
    def away(self) -> bool:
        """Somebody has the seat and is not there."""
        return self.holder is not None and self._away_since_ns is not None

    def release(self, who: str) -> None:
        """The holder leaves of their own will."""
        if self.holder is not None and self.holder.who == who:
            self.holder, self._away_since_ns = None, None

    def kick(self) -> str | None:
        """Take the seat away; that one must ask before sitting down again. Returns who it was."""
        if self.holder is None:
            return None
        who = self.holder.who
        self._must_ask.add(who)
        self.release(who)
        return who

    def allow(self, who: str) -> bool:
        """Let somebody who asks have the seat with their next claim. False: nobody of that name asks any more."""
        self.tidy()
        if self.asking.pop(who, None) is None:
            return False
        self._allowed.add(who)
        return True

    def refuse(self, who: str) -> bool:
        """Say no to somebody who asks."""
        if self.asking.pop(who, None) is None:
            return False
        self._refused.add(who)
        return True

    def is_allowed(self, who: str) -> bool:
        return who in self._allowed

    def tidy(self) -> None:
        """Let time have its effect: a holder who stayed away, questions that nobody answered."""
        now_ns = self.clock.now_ns()
        if self._away_since_ns is not None and now_ns - self._away_since_ns >= GRACE_NS:
            self.holder, self._away_since_ns = None, None
        for who in [who for who, claim in self.asking.items() if now_ns - claim.since_ns >= ASK_NS]:
            del self.asking[who]

    def state(self) -> dict[str, Any]:
        """For the control page."""
        self.tidy()
        return {
            "holder": None if self.holder is None else {"name": self.holder.name, "away": self.away},
            "asking": [{"who": claim.who, "name": claim.name} for claim in self.asking.values()],
        }
