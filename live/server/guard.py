"""Who may talk to the server: every request passes here first.

A page of another site, open in the same browser, must neither steer the show nor watch it. So the Host header must be
one of ours (against DNS rebinding), and whoever sends an Origin (browsers do with every POST and WebSocket) must send
ours. Programs such as a Stream Deck send none and may pass.
"""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from live.server.answer import Json

__all__ = ["Guard", "allowed_hosts"]

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_ANY_ADDRESS = frozenset({"0.0.0.0", "::"})
_SAFE_METHODS = frozenset({"GET", "HEAD"})

_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}


def allowed_hosts(host: str) -> frozenset[str]:
    """Names under which a server that listens on `host` may be addressed, besides plain IP addresses (see `Guard`)."""
    return _LOOPBACK | {socket.gethostname().lower()} if host in _ANY_ADDRESS else _LOOPBACK | {host.lower()}


class Guard:
    """ASGI middleware: checks Host and Origin and adds the security headers.

    Args:
        host: address that the server listens on. With `0.0.0.0` every IP address is accepted as Host: rebinding needs
            a name.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._hosts = allowed_hosts(host)
        self._any_address = host in _ANY_ADDRESS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await _refuse(scope, receive, send, refusal)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers)

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
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        return name in self._hosts or (self._any_address and _is_address(name))


async def _refuse(scope: Scope, receive: Receive, send: Send, refusal: tuple[str, str]) -> None:
    error, hint = refusal
    if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1008, "reason": error[:120]})
        return
    await Json({"error": error, "hint": hint}, 403, _HEADERS)(scope, receive, send)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
