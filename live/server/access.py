"""Tokens, sessions and scopes: who may drive, watch or control over the network.

    pairing token   in the fragment of an address (a QR code, a link); exchanged for a session, then it is used up
    view link       the same, but as often as it is shared
    session         what a browser keeps in a cookie
    bearer token    for programs (OBS, a WHIP or WHEP client); as long as the show

All are 192 random bits and only their SHA-256 is kept, so looking one up takes the same time whatever is asked.
Requests from this very machine need none: see `live.server.guard`.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Literal, get_args

from live.clock import Clock

__all__ = ["SCOPES", "Access", "Denied", "Scope", "Session"]

Scope = Literal["drive", "view", "control"]
SCOPES: tuple[Scope, ...] = get_args(Scope)

PAIRING_NS = 10 * 60 * 1_000_000_000
SESSION_NS = 12 * 3600 * 1_000_000_000
MAX_SESSIONS = 200
MAX_TOKENS = 64
FAILURES = 10  # of one address ...
FAILURES_NS = 60 * 1_000_000_000  # ... within that time
MAX_ADDRESSES = 1000
_BYTES = 24


class Denied(Exception):
    """The reason, for people: `wrong`, `expired`, `used` or `busy`."""


@dataclass(slots=True)
class Session:
    """One browser or program.

    Attributes:
        who: names it to others without being a secret.
        scopes: what it may do.
    """

    who: str
    scopes: frozenset[Scope]
    until_ns: int


@dataclass(slots=True)
class _Token:
    scope: Scope
    until_ns: int
    once: bool
    used: bool = False


class Access:
    """All tokens and sessions of one server; none outlives it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tokens: dict[bytes, _Token] = {}
        self._sessions: dict[bytes, Session] = {}
        self._bearers: dict[Scope, str] = {}
        self._failures: dict[str, list[int]] = {}
        self._offered: dict[Scope, str] = {}

    def mint(self, scope: Scope, once: bool = True) -> str:
        """A new token for an address: for one browser and ten minutes, or for many and as long as a session."""
        secret = secrets.token_urlsafe(_BYTES)
        while len(self._tokens) >= MAX_TOKENS:
            del self._tokens[next(iter(self._tokens))]
        lifetime_ns = PAIRING_NS if once else SESSION_NS
        self._tokens[_hash(secret)] = _Token(scope, self._clock.now_ns() + lifetime_ns, once)
        return secret

    def offered(self, scope: Scope, once: bool = True) -> str:
        """The token to show now: the same until it is used up or half of its life is over."""
        token = self._tokens.get(_hash(self._offered.get(scope, "")))
        half_ns = (PAIRING_NS if once else SESSION_NS) // 2
        if token is None or token.used or token.until_ns - self._clock.now_ns() < half_ns:
            self._offered[scope] = self.mint(scope, once)
        return self._offered[scope]

    def exchange(self, secret: str, address: str) -> tuple[str, Session]:
        """A session for a token: the cookie's value and the session. Raises `Denied`.

        Args:
            address: who asks; an address with many failures has to wait.
        """
        self._check_attempts(address)
        token = self._tokens.get(_hash(secret))
        if token is None:
            self.failed(address)
            raise Denied("wrong")
        if token.used:
            self.failed(address)
            raise Denied("used")
        if token.until_ns <= self._clock.now_ns():
            self.failed(address)
            raise Denied("expired")
        token.used = token.once
        return self.open_session(frozenset({token.scope}))

    def open_session(self, scopes: frozenset[Scope]) -> tuple[str, Session]:
        """A session that nobody had to prove anything for: a browser on this machine."""
        secret = secrets.token_urlsafe(_BYTES)
        while len(self._sessions) >= MAX_SESSIONS:
            del self._sessions[next(iter(self._sessions))]
        session = Session(secrets.token_hex(8), scopes, self._clock.now_ns() + SESSION_NS)
        self._sessions[_hash(secret)] = session
        return secret, session

    def extend(self, session: Session, token: str, address: str) -> None:
        """Add a token's scope to a session that is there already. Raises `Denied`."""
        _, extra = self.exchange(token, address)
        self._sessions = {key: kept for key, kept in self._sessions.items() if kept is not extra}
        session.scopes |= extra.scopes

    def session(self, cookie: str) -> Session | None:
        """The session of a cookie, if it is one of ours and still good."""
        found = self._sessions.get(_hash(cookie))
        return found if found is not None and found.until_ns > self._clock.now_ns() else None

    def program(self, bearer: str, address: str) -> Session | None:
        """The session of a bearer token. Raises `Denied` when this address has guessed too often."""
        self._check_attempts(address)
        found = self.session(bearer)
        if found is None:
            self.failed(address)
        return found

    def bearer(self, scope: Scope) -> str:
        """The bearer token for programs, made when it is first asked for."""
        if scope not in self._bearers:
            secret, session = self.open_session(frozenset({scope}))
            session.until_ns = 2**63
            self._bearers[scope] = secret
        return self._bearers[scope]

    def revoke(self, who: str) -> None:
        """End a browser's session; it has to be paired anew. Programs keep their token: it is in their settings."""
        bearers = {_hash(secret) for secret in self._bearers.values()}
        self._sessions = {key: kept for key, kept in self._sessions.items() if kept.who != who or key in bearers}

    def failed(self, address: str) -> None:
        """Note a wrong guess."""
        while len(self._failures) >= MAX_ADDRESSES:
            del self._failures[next(iter(self._failures))]
        self._failures.setdefault(address, []).append(self._clock.now_ns())

    def _check_attempts(self, address: str) -> None:
        since_ns = self._clock.now_ns() - FAILURES_NS
        recent = [t_ns for t_ns in self._failures.pop(address, []) if t_ns > since_ns]
        if recent:
            self._failures[address] = recent[-FAILURES:]
        if len(recent) >= FAILURES:
            raise Denied("busy")


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
