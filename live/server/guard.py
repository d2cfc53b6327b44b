"""Who may talk to the server: every request passes here first, whoever added its route.

A page of another site, open in the same browser, must neither steer the show nor watch it. So the Host header must be
one of ours (against DNS rebinding), and whoever sends an Origin (browsers do with every POST and WebSocket) must send
ours. Programs such as a Stream Deck send none and may pass.

Who asks from this very machine may do everything. Over the network each path wants a scope, from a cookie or a bearer
token (see `live.server.access`): `_REQUIRED` lists those that drive or watch, `_PAGES` those that hold no secret and
must load before a token can be exchanged; everything else, new routes included, wants `control`. And over the network
nothing but an explanation is served without encryption where HTTPS is to be had.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from live.server.access import Access, Denied, Session
from live.server.access import Scope as AccessScope
from live.server.answer import Json

__all__ = ["COOKIE", "Guard", "address_of", "allowed_hosts", "is_local", "is_loopback"]

COOKIE = "faceshot"

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_ANY_ADDRESS = frozenset({"0.0.0.0", "::"})
_SAFE_METHODS = frozenset({"GET", "HEAD"})
_FORWARDED = ("x-forwarded-for", "forwarded", "x-real-ip", "cf-connecting-ip")

_PAGES = frozenset({"/", "/drive", "/watch", "/view", "/favicon.ico"})
_REQUIRED: tuple[tuple[str, AccessScope], ...] = (
    ("/whip", "drive"),
    ("/ws/drive", "drive"),
    ("/whep", "view"),
    ("/ws/view", "view"),
)

_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


def allowed_hosts(host: str) -> frozenset[str]:
    """Names under which a server that listens on `host` may be addressed, besides plain IP addresses (see `Guard`)."""
    own = socket.gethostname().lower()
    return _LOOPBACK | {own, f"{own}.local"} if host in _ANY_ADDRESS else _LOOPBACK | {host.lower()}


def is_local(scope: Scope) -> bool:
    """Whether a request comes from this very machine, and not through a tunnel that ends on it."""
    headers = Headers(scope=scope)
    name = _host_name(headers.get("host", ""))
    return (
        is_loopback(address_of(scope))
        and name in _LOOPBACK
        and not any(forwarded in headers for forwarded in _FORWARDED)
    )


def address_of(scope: Scope) -> str:
    """Address of the other side."""
    client = scope.get("client")
    return str(client[0]) if client else ""


class Guard:
    """ASGI middleware: checks Host, Origin and scope and adds the security headers.

    It leaves who asks in the request's state: `request.state.session`, None for this machine without a cookie.

    Args:
        host: address that the server listens on. With `0.0.0.0` every IP address is accepted as Host: rebinding needs
            a name.
        access: who may do what over the network; None: nobody may do anything.
        explain: makes the page that stands in for all others over plain http; None where there is no HTTPS to go to.
    """

    def __init__(
        self, app: ASGIApp, host: str, access: Access | None = None, explain: Callable[[str], str] | None = None
    ) -> None:
        self._app = app
        self._hosts = allowed_hosts(host)
        self._any_address = host in _ANY_ADDRESS
        self._access = access
        self._explain = explain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await _refuse(scope, receive, send, refusal)
            return
        local = is_local(scope)
        if not local and self._explain is not None and scope["scheme"] in ("http", "ws"):
            await self._send_to_https(scope, receive, send, self._explain)
            return
        try:
            session = self._session(scope)
        except Denied:
            busy = ("Too many wrong tokens came from your address.", "Wait a minute, then scan a new code.")
            await _refuse(scope, receive, send, busy, 429)
            return
        scope.setdefault("state", {})
        scope["state"] = {**scope["state"], "session": session}
        wanted = _required(scope)
        if not local and wanted is not None and (session is None or not _grants(session, wanted)):
            status = 401 if session is None else 403
            hint = "Open the link, or scan the code, on the control page of the computer that runs the show."
            await _refuse(scope, receive, send, (f"This needs permission to {wanted}.", hint), status)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _session(self, scope: Scope) -> Session | None:
        if self._access is None:
            return None
        headers = Headers(scope=scope)
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and token.strip():
            return self._access.program(token.strip(), address_of(scope))
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return None
        return self._access.session(cookie.value) if cookie is not None else None

    async def _send_to_https(self, scope: Scope, receive: Receive, send: Send, explain: Callable[[str], str]) -> None:
        if scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS:
            https = ("Over the network this server is used with HTTPS.", "Open the https:// address.")
            await _refuse(scope, receive, send, https, 403)
            return
        name = _host_name(Headers(scope=scope).get("host", ""))
        page = HTMLResponse(explain(name), 426, {**_HEADERS, "upgrade": "TLS/1.2", "cache-control": "no-store"})
        await page(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[str, str] | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._known(host):
            return (
                f"This server does not answer to the name {host!r}.",
                "Open it as http://127.0.0.1 with the port, or set server.host to the name that you use.",
            )
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE_METHODS
        origin = headers.get("origin")
        if changes and origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return (
                f"A page of {origin} tried to use this server.",
                "Only its own pages may; programs send no Origin header.",
            )
        return None

    def _known(self, host: str) -> bool:
        name = _host_name(host)
        return name in self._hosts or (self._any_address and _is_address(name))


def _required(scope: Scope) -> AccessScope | None:
    """What a request over the network needs; None for what everybody may have."""
    path, method = scope["path"], scope.get("method", "GET")
    if (path in _PAGES or path.startswith("/static/")) and method in _SAFE_METHODS:
        return None
    if path == "/pair" and method == "POST":
        return None
    for prefix, wanted in _REQUIRED:
        if path == prefix or path.startswith(prefix + "/"):
            return wanted
    return "control"


def _grants(session: Session, wanted: AccessScope) -> bool:
    return wanted in session.scopes or "control" in session.scopes


async def _refuse(scope: Scope, receive: Receive, send: Send, refusal: tuple[str, str], status: int = 403) -> None:
    error, hint = refusal
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": error[:120]})
        return
    headers = {**_HEADERS, "www-authenticate": "Bearer"} if status == 401 else _HEADERS
    await Json({"error": error, "hint": hint}, status, headers)(scope, receive, send)


def _host_name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def is_loopback(address: str) -> bool:
    """Whether an IP address means this machine."""
    try:
        return ipaddress.ip_address(address.removeprefix("::ffff:")).is_loopback
    except ValueError:
        return False


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
