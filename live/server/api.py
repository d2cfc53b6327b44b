"""The HTTP API: commands are POSTs that answer with the new state, so a Stream Deck or a script can steer the show.

    GET  /api/state                         what the control page shows
    GET  /api/stats                         counters and latencies
    GET  /api/sources                       webcams: {"cameras": [{"spec", "name", "note"}]}
    GET  /api/characters/NAME/thumb         WebP portrait
    POST /api/calibrate                     take the present face as neutral
    POST /api/range       {"what"}          measure shut eyes, shut lips or the wide open mouth; takes two seconds
    POST /api/expression                    {"name": "smile"}; the same again, or null, ends it
    POST /api/pause  /api/panic             {"on": true|false} or ?on=1|0; neither: toggle
    POST /api/character                     {"spec": "mika"}
    POST /api/source                        {"spec": "0"}
    POST /api/settings                      {"motion.gains.head": 1.2, "output.mirror": true, ...}
    POST /api/picture?filename=cat.png      the picture itself as body

An error is {"error": what is wrong, "hint": what to do next} with a status that says whose mistake it was.
"""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from faceshot.character import bundled_names, open_character
from faceshot.errors import FaceshotError, NoFace
from faceshot.versions import own_characters
from live.devices import camera_facts
from live.errors import ConfigError
from live.server.answer import Json
from live.server.feed import StateFeed
from live.server.remote import Remote
from live.server.thumbnails import Thumbnails, portrait
from live.server.viewers import Viewers
from live.workers import Worker

if TYPE_CHECKING:
    from live.show import Show

__all__ = ["Api", "BadRequest", "error_response", "read_body", "read_json"]

_MAX_JSON_BYTES = 64 * 1024
_MEGABYTE = 1 << 20
_NO_STORE = {"cache-control": "no-store"}
_ON = {"1": True, "true": True, "on": True, "0": False, "false": False, "off": False}


class BadRequest(FaceshotError):
    """A request that no page of ours sends."""

    def __init__(self, message: str, hint: str = "", status: int = 400) -> None:
        super().__init__(message, hint)
        self.status = status


def error_response(error: FaceshotError) -> Json:
    """The error as JSON: 400 for a malformed request or setting, 422 for input that is understood but unusable."""
    status = error.status if isinstance(error, BadRequest) else 400 if isinstance(error, ConfigError) else 422
    return Json({"error": error.message, "hint": error.hint}, status, _NO_STORE)


class Api:
    """The routes of `/api` over one show.

    Args:
        worker: for work that would hold up the event loop: portraits, looking for cameras.
        remote: who drives and watches over WebRTC.
    """

    def __init__(
        self,
        show: Show,
        viewers: Viewers,
        feed: StateFeed,
        worker: Worker,
        remote: Remote,
    ) -> None:
        self._remote = remote
        self._show = show
        self._viewers = viewers
        self._feed = feed
        self._worker = worker
        self._thumbnails = Thumbnails(worker)
        self._max_upload_bytes = show.config.server.max_upload_mb * _MEGABYTE

    def routes(self) -> list[Route]:
        return [
            Route("/state", self.get_state),
            Route("/stats", self.get_stats),
            Route("/sources", self.get_sources),
            Route("/characters/{name:path}/thumb", self.get_thumbnail),
            Route("/calibrate", self.calibrate, methods=["POST"]),
            Route("/range", self.range, methods=["POST"]),
            Route("/expression", self.expression, methods=["POST"]),
            Route("/pause", self.pause, methods=["POST"]),
            Route("/panic", self.panic, methods=["POST"]),
            Route("/character", self.character, methods=["POST"]),
            Route("/source", self.source, methods=["POST"]),
            Route("/settings", self.settings, methods=["POST"]),
            Route("/picture", self.picture, methods=["POST"]),
        ]

    def state(self) -> dict[str, Any]:
        """The show's state and what only the server knows."""
        return {
            **self._show.state(),
            "max_upload_mb": self._show.config.server.max_upload_mb,
            "remote": self._remote.state(),
        }

    async def get_state(self, request: Request) -> Response:
        return self._answer()

    async def get_stats(self, request: Request) -> Response:
        return Json({**self._show.stats.snapshot(), **self.watched()}, headers=_NO_STORE)

    def watched(self) -> dict[str, Any]:
        """Counters of those who are connected: viewers over WebSocket, and everybody over WebRTC."""
        return {"viewers": self._viewers.stats(), "remote": self._remote.stats()}

    async def get_sources(self, request: Request) -> Response:
        cameras = [
            {"spec": str(camera.index), "name": camera.name, "note": "" if camera.readable else "no permission"}
            for camera in await self._worker.run(camera_facts)
            if not camera.loopback
        ]
        return Json({"cameras": cameras}, headers=_NO_STORE)

    async def calibrate(self, request: Request) -> Response:
        self._show.calibrate()
        return self._answer()

    async def range(self, request: Request) -> Response:
        what = (await _json_object(request)).get("what")
        if not isinstance(what, str):
            raise BadRequest(f"`what` is {what!r}.", "It must be a step such as eyes-shut or mouth-wide.")
        await self._show.measure_range(what)
        return self._answer()

    async def expression(self, request: Request) -> Response:
        name = (await _json_object(request)).get("name", request.query_params.get("name"))
        if name is not None and not isinstance(name, str):
            raise BadRequest(f"`name` is {name!r}.", "It must be the name of an expression, or null.")
        self._show.set_expression(None if not name or name == self._show.state()["expression"] else name)
        return self._answer()

    async def pause(self, request: Request) -> Response:
        on = await _on(request)
        self._show.set_paused(not self._show.state()["paused"] if on is None else on)
        return self._answer()

    async def panic(self, request: Request) -> Response:
        on = await _on(request)
        self._show.set_hidden(not self._show.state()["hidden"] if on is None else on)
        return self._answer()

    async def character(self, request: Request) -> Response:
        await self._show.set_character(await _spec(request))
        return self._answer()

    async def source(self, request: Request) -> Response:
        await self._show.set_source(await _spec(request))
        return self._answer()

    async def settings(self, request: Request) -> Response:
        await self._show.update(await _json_object(request))
        self._viewers.refresh()
        return self._answer()

    async def picture(self, request: Request) -> Response:
        limit = self._max_upload_bytes
        data = await _body(request, limit, f"The picture is larger than {limit // _MEGABYTE} MB.", "Use a smaller one.")
        if not data:
            raise BadRequest("No picture came with the request.", "Send the file itself as the body.")
        filename = PurePath(request.query_params.get("filename", "picture").replace("\\", "/")).name[-100:] or "picture"
        try:
            await self._show.set_picture(data, filename)
        except NoFace as error:  # what helps most people first, then what always helps
            hint = f"Try one with the face larger and seen from the front. {error.hint}"
            # `editor`: the landmark editor can make a character of it (POST /api/edit/picture)
            return Json({"error": error.message, "hint": hint, "editor": True}, 422, _NO_STORE)
        return self._answer()

    async def get_thumbnail(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name in bundled_names():
            data = await self._thumbnails.get(name, lambda: open_character(name))
            return Response(data, media_type="image/webp", headers={"cache-control": "max-age=3600"})
        character = self._show.character(name)
        if character is None and name in {summary.spec for summary in await self._worker.run(own_characters)}:
            character = await self._worker.run(open_character, name)
        if character is None:
            raise BadRequest(f"There is no character {name!r}.", f"There are: {', '.join(bundled_names())}.", 404)
        return Response(await self._worker.run(portrait, character), media_type="image/webp", headers=_NO_STORE)

    def _answer(self) -> Response:
        self._feed.changed()
        return Json(self.state(), headers=_NO_STORE)


async def _spec(request: Request) -> str:
    spec = (await _json_object(request)).get("spec", request.query_params.get("spec"))
    if not isinstance(spec, str) or not spec.strip():
        raise BadRequest("The request names no spec.", 'Send {"spec": "..."} or ?spec=...')
    return spec.strip()


async def _on(request: Request) -> bool | None:
    on = (await _json_object(request)).get("on", request.query_params.get("on"))
    if isinstance(on, str):
        on = _ON.get(on.lower(), on)
    if on is not None and not isinstance(on, bool):
        raise BadRequest(f"`on` is {on!r}.", "It must be true or false; leave it out to toggle.")
    return on


async def _json_object(request: Request) -> dict[str, Any]:
    data = await _body(request, _MAX_JSON_BYTES, f"The request is larger than {_MAX_JSON_BYTES // 1024} kB.", "")
    if not data:
        return {}
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise BadRequest("The request's body is not JSON.", 'Send an object such as {"on": true}.') from None
    if not isinstance(value, dict):
        raise BadRequest("The request's body is JSON but not an object.", 'Send an object such as {"on": true}.')
    return value


async def _body(request: Request, limit: int, error: str, hint: str) -> bytes:
    """The body, given up as soon as it says or turns out to be longer than `limit` bytes."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > limit:
        raise BadRequest(error, hint, 413)
    data = bytearray()
    try:
        async for part in request.stream():
            data += part
            if len(data) > limit:
                raise BadRequest(error, hint, 413)
    except ClientDisconnect:
        raise BadRequest("The connection ended before the whole body had come.") from None
    return bytes(data)


read_body, read_json = _body, _json_object
"""How a request's body is read, for the routes of other modules. Both raise `BadRequest`."""
