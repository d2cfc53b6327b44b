"""The HTTP side of remote driving and watching: thin routes over `Remote` and `Access`.

POST   /pair                      {"token": "..."} or nothing: a session cookie, {"scopes": [...]}
any    /whip   /whip/ID           see `protocols.whip`
any    /whep   /whep/ID           ?alpha=1: colour and alpha side by side
WS     /ws/drive                  to the phone how things stand; from it {"type": "paused", "on": true}
GET    /api/remote/invite         addresses, tokens and the QR code for the cards of the control page
POST   /api/remote/kick           end the driver; {"viewer": ID}: end that viewer
POST   /api/remote/answer         {"who": ..., "allow": true|false}: somebody wants to drive instead
GET    /metrics                   Prometheus
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from live.server.access import SCOPES, Access, Denied, Session
from live.server.answer import Json, to_json
from live.server.guard import COOKIE, address_of, is_local
from live.server.invite import Invite
from live.server.metrics import CONTENT_TYPE, exposition
from live.server.remote import Remote
from protocols.whip import MAX_SDP_BYTES, Reply, Request

if TYPE_CHECKING:
    from live.show import Show

__all__ = ["RemoteRoutes"]

_METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
_NO_STORE = {"cache-control": "no-store"}
_COOKIE_S = 12 * 3600
_MAX_JSON_BYTES = 4096
_PUSH_S = 0.25
_MAX_DRIVE_PAGES = 16
_WHY = {
    "wrong": ("This code is not known here.", "Scan the code that the control page shows now."),
    "expired": ("This code has expired.", "Scan the code that the control page shows now."),
    "used": ("This code has been used already.", "Each code lets one device in. Scan a fresh one."),
    "busy": ("Too many wrong codes came from your address.", "Wait a minute, then scan a fresh one."),
}


class RemoteRoutes:
    """The routes.

    Args:
        changed: tells the control pages to look again.
    """

    def __init__(self, show: Show, remote: Remote, access: Access, invite: Invite, changed: Callable[[], None]) -> None:
        self._show = show
        self._remote = remote
        self._access = access
        self._invite = invite
        self._changed = changed
        self._pages = 0

    def routes(self) -> list[Route | WebSocketRoute]:
        return [
            Route("/pair", self.pair, methods=["POST"]),
            Route("/whip", self.whip, methods=_METHODS),
            Route("/whip/{key}", self.whip_session, methods=_METHODS),
            Route("/whep", self.whep, methods=_METHODS),
            Route("/whep/{key}", self.whep_session, methods=_METHODS),
            WebSocketRoute("/ws/drive", self.drive),
            Route("/api/remote/invite", self.invite),
            Route("/api/remote/kick", self.kick, methods=["POST"]),
            Route("/api/remote/answer", self.answer, methods=["POST"]),
            Route("/metrics", self.metrics),
        ]

    async def pair(self, request: HttpRequest) -> Response:
        """A cookie for a token, or for a browser on this machine."""
        token = (await _json(request)).get("token") or ""
        cookie, session = request.cookies.get(COOKIE, ""), _session(request)
        if request.headers.get("authorization"):
            session = None  # programs need no cookie
        if isinstance(token, str) and token and not (is_local(request.scope) and session is not None):
            try:
                if session is not None:
                    self._access.extend(session, token, address_of(request.scope))
                else:
                    cookie, session = self._access.exchange(token, address_of(request.scope))
            except Denied as denied:
                if session is None and not is_local(request.scope):
                    error, hint = _WHY[str(denied)]
                    status = 429 if str(denied) == "busy" else 401
                    return Json({"error": error, "hint": hint, "reason": str(denied)}, status, _NO_STORE)
        if session is None:
            if not is_local(request.scope):
                error, hint = "This device is not paired.", "Scan the code on the control page."
                return Json({"error": error, "hint": hint, "reason": "unpaired"}, 401, _NO_STORE)
            cookie, session = self._access.open_session(frozenset(SCOPES))
        answer = Json({"scopes": sorted(session.scopes)}, headers=_NO_STORE)
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, cookie, max_age=_COOKIE_S, httponly=True, samesite="strict", secure=secure)
        return answer

    async def whip(self, request: HttpRequest) -> Response:
        return _http(await self._remote.endpoint("whip", await _asked(request), _who(request), _name(request)))

    async def whep(self, request: HttpRequest) -> Response:
        alpha = request.query_params.get("alpha") == "1"
        return _http(await self._remote.endpoint("whep", await _asked(request), _who(request), _name(request), alpha))

    async def whip_session(self, request: HttpRequest) -> Response:
        return await self._to_session("whip", request)

    async def whep_session(self, request: HttpRequest) -> Response:
        return await self._to_session("whep", request)

    async def _to_session(self, kind: str, request: HttpRequest) -> Response:
        key = request.path_params["key"]
        return _http(await self._remote.session(kind, key, await _asked(request), _who(request)))

    async def drive(self, socket: WebSocket) -> None:
        """The phone page's eye on the show."""
        if self._pages >= _MAX_DRIVE_PAGES:
            await socket.send_denial_response(Json({"error": "Too many pages want to drive.", "hint": ""}, 503))
            return
        who = _who(socket)
        await socket.accept()
        self._pages += 1
        try:
            async with asyncio.TaskGroup() as tasks:
                pushing = tasks.create_task(self._push(socket, who))
                with contextlib.suppress(WebSocketDisconnect, KeyError, ValueError):
                    while True:
                        message = json.loads(await socket.receive_text())
                        if isinstance(message, dict) and message.get("type") == "paused":
                            self._remote.set_paused(who, message.get("on") is True)
                pushing.cancel()
        finally:
            self._pages -= 1
            self._remote.set_paused(who, False)

    async def _push(self, socket: WebSocket, who: str) -> None:
        clock, told = self._show.clock, ""
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                state = self._show.state()
                phone = self._remote.state()["phone"]
                text = to_json(
                    {
                        "seat": self._remote.seat_of(who),
                        "on_air": phone.get("on_air", False),
                        "face": state["face"],
                        "hidden": state["hidden"],
                        "paused": state["paused"],
                        "character": state["character"]["name"],
                        "viewers": state["viewers"],
                    }
                )
                if text != told:
                    await socket.send_text(text)
                    told = text
                await clock.sleep_until_ns(clock.now_ns() + round(_PUSH_S * 1e9))

    async def invite(self, request: HttpRequest) -> Response:
        return Json(self._invite.facts(), headers=_NO_STORE)

    async def kick(self, request: HttpRequest) -> Response:
        viewer = (await _json(request)).get("viewer")
        if viewer is not None:
            if not (isinstance(viewer, str) and await self._remote.kick_viewer(viewer)):
                return Json({"error": "This viewer is gone already.", "hint": ""}, 404, _NO_STORE)
        else:
            who = await self._remote.kick()
            if who is None:
                return Json({"error": "Nobody drives.", "hint": ""}, 409, _NO_STORE)
            self._access.revoke(who)
        self._changed()
        return Json(self._remote.state(), headers=_NO_STORE)

    async def answer(self, request: HttpRequest) -> Response:
        said = await _json(request)
        who, allow = said.get("who"), said.get("allow")
        if not isinstance(who, str) or not isinstance(allow, bool):
            return Json({"error": "Say who, and allow true or false.", "hint": ""}, 400, _NO_STORE)
        if not (self._remote.allow(who) if allow else self._remote.refuse(who)):
            return Json({"error": "That one does not ask any more.", "hint": ""}, 404, _NO_STORE)
        self._changed()
        return Json(self._remote.state(), headers=_NO_STORE)

    async def metrics(self, request: HttpRequest) -> Response:
        return PlainTextResponse(
            exposition(self._show.stats.snapshot(), self._remote.stats(), self._show.viewers),
            headers=_NO_STORE,
            media_type=CONTENT_TYPE,
        )


def _session(request: HttpRequest | WebSocket) -> Session | None:
    session: Session | None = request.scope["state"].get("session")
    return session


def _who(request: HttpRequest | WebSocket) -> str:
    """Who asks: a session, or a program on this machine that needs none."""
    session = _session(request)
    if session is not None:
        return session.who
    return f"local {request.headers.get('user-agent', '')[:60]}"


def _name(request: HttpRequest) -> str:
    """What to call them on the control page, from what browsers say of themselves."""
    agent = request.headers.get("user-agent", "")
    if agent.startswith("Mozilla/"):
        places = (("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Windows", "Windows PC"))
        more = (("Mac OS X", "Mac"), ("CrOS", "Chromebook"), ("Linux", "Linux PC"))
        what = next((name for mark, name in (*places, *more) if mark in agent), "browser")
        browsers = (("Edg", "Edge"), ("Firefox/", "Firefox"), ("FxiOS", "Firefox"), ("Chrome/", "Chrome"))
        browser = next(
            (name for mark, name in (*browsers, ("CriOS", "Chrome"), ("Safari/", "Safari")) if mark in agent), ""
        )
        name = f"{browser} on {what}" if browser else what
    else:
        name = "".join(c for c in agent.partition("/")[0] if c.isprintable())[:40] or "a program"
    address = address_of(request.scope)
    return name if is_local(request.scope) else f"{name} ({address})"


async def _asked(request: HttpRequest) -> Request:
    """The request for a state machine, cut where it grows too long: the state machine refuses it then."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_SDP_BYTES:
            break
    return Request(request.method, dict(request.headers), bytes(body))


def _http(reply: Reply) -> Response:
    response = Response(reply.body, reply.status)
    if not reply.body:
        del response.headers["content-length"]
    response.raw_headers = [
        *response.raw_headers,
        *((name.lower().encode(), value.encode("latin-1", "replace")) for name, value in reply.headers),
        (b"cache-control", b"no-store"),
    ]
    return response


async def _json(request: HttpRequest) -> dict[str, Any]:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > _MAX_JSON_BYTES:
            return {}
    try:
        value = json.loads(bytes(body) or b"{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
