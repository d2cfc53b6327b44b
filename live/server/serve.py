"""Listening: the socket, and uvicorn inside the program's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import psutil
import uvicorn
from starlette.applications import Starlette

from live.config import ServerConfig
from live.errors import ServerError
from live.server.app import create_app

if TYPE_CHECKING:
    from live.show import Show

__all__ = ["listen", "serve", "serve_app", "url_of"]

_MAX_MESSAGE_BYTES = 64 * 1024
_GOODBYE_S = 1


def listen(config: ServerConfig) -> socket.socket:
    """A listening socket on the configured address. Raises `ServerError` that says who holds the port."""
    try:
        found = socket.getaddrinfo(config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror:
        raise ServerError(
            f"server.host is {config.host!r}, which is no address of this machine.",
            "Use --set server.host=127.0.0.1",
        ) from None
    family, kind, protocol, _, address = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):  # Windows, where SO_REUSEADDR would let two programs share a port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:  # elsewhere it only skips the wait after a restart
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(128)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise _explained(error, config) from None
    return sock


def url_of(sock: socket.socket) -> str:
    """The address to open in a browser on this machine."""
    host, port = sock.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(
    show: Show,
    config: ServerConfig,
    sock: socket.socket | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve a show's pages until cancelled, then say goodbye to every connection.

    Args:
        sock: from `listen`, when the port was to be taken before anything else was opened; closed here.
        on_ready: called with the address once pages can be opened.
    """
    await serve_app(create_app(show), sock or listen(config), on_ready)


async def serve_app(app: Starlette, sock: socket.socket, on_ready: Callable[[str], None] | None = None) -> None:
    """Serve any application of ours on a listening socket, which is closed here, until cancelled."""
    server = _Server(
        uvicorn.Config(
            app,
            lifespan="on",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="websockets-sansio",
            ws_max_size=_MAX_MESSAGE_BYTES,
            ws_per_message_deflate=False,  # pictures are compressed already
            timeout_graceful_shutdown=_GOODBYE_S,
        ),
        lambda: on_ready(url_of(sock)) if on_ready else None,
    )
    log = logging.getLogger("uvicorn.error")
    log.addFilter(_no_false_alarm)
    try:
        await server.serve(sockets=[sock])
    except asyncio.CancelledError:
        if server.started:
            await server.shutdown([sock])
        raise
    finally:
        log.removeFilter(_no_false_alarm)
        sock.close()


def _no_false_alarm(record: logging.LogRecord) -> bool:
    """uvicorn 0.54 calls it an error when a WebSocket is refused with an HTTP answer, which is how it should be, and
    when a request is still under way at the end, which is how a drawing of a second ends."""
    message = record.getMessage()
    return "without completing handshake" not in message and "timeout graceful shutdown exceeded" not in message


class _Server(uvicorn.Server):
    """uvicorn as a guest: signals belong to the program, not to its web server."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _explained(error: OSError, config: ServerConfig) -> ServerError:
    where = f"Port {config.port} on {config.host}"
    other = config.port + 1 if config.port < 65535 else config.port - 1
    if error.errno == errno.EADDRINUSE:
        return ServerError(
            f"{where} is in use{_holder(config.port)}.",
            f"Stop that program, or use another port: --set server.port={other}",
        )
    if error.errno == errno.EACCES:
        return ServerError(f"{where} may not be used by this user.", "Use a port above 1023: --set server.port=8765")
    if error.errno == errno.EADDRNOTAVAIL:
        return ServerError(
            f"server.host is {config.host!r}, which is no address of this machine.",
            "Use --set server.host=127.0.0.1",
        )
    return ServerError(f"{where} cannot be used: {error.strerror or error}.", f"Try --set server.port={other}")


def _holder(port: int) -> str:
    """' by NAME (process 123)' where the system tells it to this user."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                name = psutil.Process(connection.pid).name()
                guess = ", perhaps another `faceshot live`" if name.startswith(("python", "faceshot")) else ""
                return f" by {name} (process {connection.pid}{guess})"
    except (psutil.Error, OSError):
        pass
    return ", perhaps by another `faceshot live`"
