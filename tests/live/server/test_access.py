"""Tokens and sessions, in virtual time: wrong, expired, reused, revoked, guessed."""

from __future__ import annotations

import pytest

from live.server.access import FAILURES, FAILURES_NS, MAX_SESSIONS, MAX_TOKENS, PAIRING_NS, SESSION_NS, Access, Denied
from tests.live.server.test_seats import HandClock

PHONE = "192.168.1.20"


def access() -> tuple[Access, HandClock]:
    clock = HandClock()
    return Access(clock), clock


def test_a_token_lets_one_browser_in() -> None:
    one, _ = access()
    token = one.mint("drive")
    assert len(token) >= 22  # 128 bits and more in base 64
    cookie, session = one.exchange(token, PHONE)
    assert session.scopes == {"drive"}
    assert one.session(cookie) is session
    with pytest.raises(Denied, match="used"):
        one.exchange(token, PHONE)


def test_a_view_link_may_be_shared() -> None:
    one, clock = access()
    token = one.mint("view", once=False)
    sessions = [one.exchange(token, PHONE)[1].who for _ in range(3)]
    assert len(set(sessions)) == 3
    clock.t_ns += SESSION_NS
    with pytest.raises(Denied, match="expired"):
        one.exchange(token, PHONE)


def test_tokens_and_sessions_expire() -> None:
    one, clock = access()
    token = one.mint("drive")
    cookie, _ = one.exchange(one.mint("control"), PHONE)
    clock.t_ns += PAIRING_NS
    with pytest.raises(Denied, match="expired"):
        one.exchange(token, PHONE)
    assert one.session(cookie) is not None
    clock.t_ns += SESSION_NS
    assert one.session(cookie) is None


def test_guessing_is_slow_and_others_do_not_suffer() -> None:
    one, clock = access()
    good = one.mint("drive")
    for _ in range(FAILURES):
        with pytest.raises(Denied, match="wrong"):
            one.exchange("A" * 32, PHONE)
    with pytest.raises(Denied, match="busy"):
        one.exchange(good, PHONE)
    one.exchange(good, "192.168.1.21")
    clock.t_ns += FAILURES_NS
    with pytest.raises(Denied, match="used"):
        one.exchange(good, PHONE)


def test_a_program_has_a_token_that_stays() -> None:
    one, clock = access()
    token = one.bearer("drive")
    assert one.bearer("drive") == token
    clock.t_ns += 10 * SESSION_NS
    session = one.program(token, PHONE)
    assert session is not None and session.scopes == {"drive"}
    one.revoke(session.who)
    assert one.program(token, PHONE) is session
    assert one.program("wrong", PHONE) is None
    for _ in range(FAILURES - 1):
        one.program("wrong", PHONE)
    with pytest.raises(Denied, match="busy"):
        one.program(token, PHONE)


def test_a_revoked_browser_is_out() -> None:
    one, _ = access()
    cookie, session = one.exchange(one.mint("drive"), PHONE)
    one.revoke(session.who)
    assert one.session(cookie) is None


def test_the_offered_token_is_renewed_when_used_or_old() -> None:
    one, clock = access()
    first = one.offered("drive")
    assert one.offered("drive") == first
    one.exchange(first, PHONE)
    second = one.offered("drive")
    assert second != first
    clock.t_ns += PAIRING_NS // 2 + 1
    assert one.offered("drive") != second
    one.exchange(second, PHONE)  # still good for whoever has scanned it already


def test_scopes_add_up_in_one_browser() -> None:
    one, _ = access()
    cookie, session = one.exchange(one.mint("drive"), PHONE)
    one.extend(session, one.mint("view"), PHONE)
    assert session.scopes == {"drive", "view"}
    assert one.session(cookie) is session


def test_memory_is_bounded() -> None:
    one, _ = access()
    for i in range(2 * MAX_SESSIONS):
        one.mint("view")
        one.open_session(frozenset())
        one.failed(f"10.0.{i // 250}.{i % 250}")
    assert len(one._tokens) == MAX_TOKENS
    assert len(one._sessions) == MAX_SESSIONS


def test_no_secret_is_kept() -> None:
    one, _ = access()
    token = one.mint("drive")
    cookie, _ = one.exchange(token, PHONE)
    kept = repr((one._tokens, one._sessions))
    assert token not in kept and cookie not in kept
