"""The web application: pages, viewers, state feed and API over one show."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from faceshot.errors import FaceshotError
from live.server.access import Access
from live.server.answer import Json
from live.server.api import Api, error_response
from live.server.edit import Editor
from live.server.encode import ALPHA_CODECS
from live.server.explain import https_page
from live.server.feed import StateFeed
from live.server.guard import Guard
from live.server.invite import Invite
from live.server.remote import Remote
from live.server.remote_routes import RemoteRoutes
from live.server.viewers import Viewers, Wish
from live.workers import ThreadWorker, Worker

if TYPE_CHECKING:
    from live.show import Show

__all__ = ["create_app", "create_edit_app"]

STATIC = Path(__file__).parent / "static"

_CONTROL_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
# The viewer may be framed by overlays, and OBS puts a browser source's custom CSS into the page as a <style> element.
_VIEW_POLICY = (
    "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; object-src 'none'; "
    "base-uri 'none'; form-action 'none'"
)
# The phone page shows its own camera and nothing else; a viewer may listen.
# (Safari before 15.4 does not count WebSockets of the same origin as 'self'.)
_MEDIA = "media-src 'self' blob: mediastream:; connect-src 'self' ws: wss:"
_DRIVE_POLICY = f"{_CONTROL_POLICY}; {_MEDIA}"
_WATCH_POLICY = f"{_VIEW_POLICY}; {_MEDIA}"


class _Static(StaticFiles):
    """Files that the browser keeps but asks about each time, so that an upgraded program is never half old."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        response.headers["cache-control"] = "no-cache"
        return response


def create_app(
    show: Show,
    worker: Worker | None = None,
    access: Access | None = None,
    invite: Invite | None = None,
    on_end: Callable[[dict[str, Any]], None] = lambda watched: None,
) -> Starlette:
    """The application for `show`.

    Args:
        access: who may do what over the network.
        invite: how others get in; None: from this machine only.
        worker: where pictures are encoded and errands run; None starts two threads and ends them with the application.
        on_end: told `Api.watched()` when the application ends, before it sends everybody away.
    """
    encoding = worker or ThreadWorker("encode")
    errands = worker or ThreadWorker("server-errands")
    config = show.config.server
    viewers = Viewers(
        show.frames,
        show.clock,
        encoding,
        config.max_viewers,
        background=lambda: show.config.output.background,
        on_count=lambda count: count_viewers(),
    )
    feed = StateFeed(lambda: api.state())
    access = access or Access(show.clock)
    invite = invite or Invite(access, f"http://127.0.0.1:{config.port}")

    def count_viewers() -> None:
        show.viewers = viewers.count + remote.viewers

    def remote_changed() -> None:
        count_viewers()
        feed.changed()

    remote = Remote(show, remote_changed, worker)
    api = Api(show, viewers, feed, errands, remote)
    editing, drawing = worker or ThreadWorker("edit"), worker or ThreadWorker("edit-preview")
    editor = Editor(editing, drawing, show.character, True, config.max_upload_mb, show.config.models.folder)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with remote.running():
            yield
            on_end(api.watched())
        if worker is None:
            await encoding.close()
            await errands.close()
            await editing.close()
            await drawing.close()

    async def watch(socket: WebSocket) -> None:
        alpha_codec = socket.query_params.get("codec", "mask")
        if alpha_codec not in ALPHA_CODECS:
            refusal = {"error": f"Unknown codec {alpha_codec!r}.", "hint": f"Allowed: {', '.join(ALPHA_CODECS)}."}
            await socket.send_denial_response(Json(refusal, 400))
        elif viewers.full:
            await socket.send_denial_response(_viewers_full(config.max_viewers))
        else:
            await socket.accept()
            wish = Wish(alpha_codec, alpha=socket.query_params.get("alpha") == "1")
            await viewers.serve(socket, wish, preview=socket.query_params.get("preview") == "1")

    async def why_not_watch(request: Request) -> Response:
        """A page cannot read why its WebSocket was refused, so it asks again over HTTP."""
        if viewers.full:
            return _viewers_full(config.max_viewers)
        return Json({"error": "This address speaks WebSocket.", "hint": "Open /view in a browser."}, 426)

    async def control(socket: WebSocket) -> None:
        if feed.full:
            await socket.send_denial_response(
                Json({"error": "Too many control pages are open.", "hint": "Close one."}, 503)
            )
        else:
            await socket.accept()
            await feed.serve(socket)

    lan = invite.lan_urls if invite.secure else ()
    host = "0.0.0.0" if lan else config.host
    explain = partial(https_page, lan) if lan else None
    routes = [
        Route("/", _page("index.html", _CONTROL_POLICY)),
        Route("/view", _page("view.html", _VIEW_POLICY)),
        Route("/edit", _page("edit.html", _CONTROL_POLICY)),
        Route("/favicon.ico", _page("favicon.svg", _CONTROL_POLICY)),
        WebSocketRoute("/ws/view", watch),
        Route("/ws/view", why_not_watch),
        WebSocketRoute("/ws/control", control),
        Route("/drive", _page("drive.html", _DRIVE_POLICY)),
        Route("/watch", _page("watch.html", _WATCH_POLICY)),
        *RemoteRoutes(show, remote, access, invite, feed.changed).routes(),
        Mount("/api/edit", routes=editor.routes()),
        Mount("/api", routes=api.routes()),
        Mount("/static", _Static(directory=STATIC)),
    ]
    return Starlette(
        routes=routes,
        lifespan=lifespan,
        middleware=[Middleware(Guard, host=host, access=access, explain=explain)],
        exception_handlers={FaceshotError: _on_faceshot_error, HTTPException: _on_http_error},
    )


def create_edit_app(editor: Editor, host: str) -> Starlette:
    """The application of `faceshot character edit`: the landmark editor without a show.

    Args:
        host: address that the server listens on.
    """
    routes = [
        Route("/", _page("edit.html", _CONTROL_POLICY)),
        Route("/edit", _page("edit.html", _CONTROL_POLICY)),
        Route("/favicon.ico", _page("favicon.svg", _CONTROL_POLICY)),
        Mount("/api/edit", routes=editor.routes()),
        Mount("/static", _Static(directory=STATIC)),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, host=host)],
        exception_handlers={FaceshotError: _on_faceshot_error, HTTPException: _on_http_error},
    )


def _page(name: str, policy: str) -> Callable[[Request], Awaitable[Response]]:
    async def page(request: Request) -> Response:
        headers = {"cache-control": "no-cache", "content-security-policy": policy}
        return FileResponse(STATIC / name, headers=headers)

    return page


def _viewers_full(limit: int) -> Json:
    return Json(
        {
            "error": f"All {limit} places for viewers are taken.",
            "hint": f"Close one, or start with --set server.max_viewers={limit * 2}.",
        },
        503,
    )


async def _on_faceshot_error(request: Request, error: Exception) -> Response:
    return error_response(cast(FaceshotError, error))


async def _on_http_error(request: Request, error: Exception) -> Response:
    http = cast(HTTPException, error)
    hints = {
        404: "The pages are /, /view, /drive, /watch and /edit; live/server/api.py lists the API.",
        405: "Commands are POST requests.",
    }
    return Json(
        {"error": f"{http.detail}: {request.method} {request.url.path}", "hint": hints.get(http.status_code, "")},
        http.status_code,
        http.headers,
    )
