"""Listening: the sockets, and uvicorn inside the program's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import uvicorn
from starlette.applications import Starlette

from live.config import ServerConfig
from live.errors import ServerError
from live.server.access import Access
from live.server.app import create_app
from live.server.certificates import Certificate, certificate_for
from live.server.guard import is_loopback
from live.server.invite import Invite, lan_addresses

if TYPE_CHECKING:
    from live.show import Show

__all__ = ["Lan", "invite_to", "listen", "listen_lan", "serve", "serve_app", "url_of"]

_MAX_MESSAGE_BYTES = 64 * 1024
_GOODBYE_S = 1
_SETTINGS: dict[str, Any] = {
    "log_config": None,
    "log_level": "warning",
    "access_log": False,
    "server_header": False,
    "ws": "websockets-sansio",
    "ws_max_size": _MAX_MESSAGE_BYTES,
    "ws_per_message_deflate": False,  # pictures are compressed already
    "timeout_graceful_shutdown": _GOODBYE_S,
    "proxy_headers": False,  # who asks is who connects: see `live.server.guard`
}


def listen(config: ServerConfig, setting: str = "server.port") -> socket.socket:
    """A listening socket on the configured address. Raises `ServerError` that says who holds the port.

    Args:
        setting: the one to change when the port is taken.
    """
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
        raise _explained(error, config, setting) from None
    return sock


@dataclass(frozen=True, slots=True)
class Lan:
    """HTTPS for the local network, ready to be served."""

    sock: socket.socket
    urls: tuple[str, ...]
    certificate: Certificate


def listen_lan(config: ServerConfig, folder: Path | None = None) -> Lan:
    """A listening socket for HTTPS and its certificate. Raises `ServerError`.

    Args:
        folder: where our own authority lives; None: in the user's configuration.
    """
    addresses = lan_addresses()
    if not addresses:
        raise ServerError(
            "This machine is in no network, so nobody could reach it.", "Connect it, or start without --lan."
        )
    certificate = certificate_for(addresses, config.cert, config.key, folder)
    sock = listen(config.model_copy(update={"host": "0.0.0.0", "port": config.lan_port}), "server.lan_port")
    port = sock.getsockname()[1]
    return Lan(sock, tuple(f"https://{address}:{port}" for address in addresses), certificate)


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
    lan: Lan | None = None,
    access: Access | None = None,
    on_end: Callable[[dict[str, Any]], None] = lambda watched: None,
) -> None:
    """Serve a show's pages until cancelled, then say goodbye to every connection.

    Args:
        sock: from `listen`, when the port was to be taken before anything else was opened; closed here.
        on_ready: called with the address once pages can be opened.
        lan: from `listen_lan`: the same pages over HTTPS for the local network; closed here.
        access: who may do what over the network.
        on_end: told what `/api/stats` says of those who watch or drive, just before they are sent away.
    """
    sock = sock or listen(config)
    access = access or Access(show.clock)
    app = create_app(show, access=access, invite=invite_to(access, sock, lan), on_end=on_end)
    await serve_app(app, sock, on_ready, lan)


async def serve_app(
    app: Starlette, sock: socket.socket, on_ready: Callable[[str], None] | None = None, lan: Lan | None = None
) -> None:
    """Serve any application of ours on listening sockets, which are closed here, until cancelled."""
    server = _Server(
        uvicorn.Config(app, lifespan="on", **_SETTINGS), lambda: on_ready(url_of(sock)) if on_ready else None
    )
    servers, sockets = [server], [sock]
    if lan is not None:
        # The first one starts the application for both.
        tls: dict[str, Any] = {"ssl_certfile": lan.certificate.chain, "ssl_keyfile": lan.certificate.key}
        secure = _Server(uvicorn.Config(app, lifespan="off", **tls, **_SETTINGS), lambda: None)
        servers.append(secure)
        sockets.append(lan.sock)
    log = logging.getLogger("uvicorn.error")
    log.addFilter(_no_false_alarm)
    try:
        async with asyncio.TaskGroup() as group:
            for each, its_socket in zip(servers, sockets, strict=True):
                group.create_task(_serve_one(each, its_socket))
    finally:
        log.removeFilter(_no_false_alarm)
        for its_socket in sockets:
            its_socket.close()


def invite_to(access: Access, sock: socket.socket, lan: Lan | None) -> Invite:
    """How others get in: by HTTPS, by plain http where `server.host` lets them, or not at all."""
    url = url_of(sock)
    if lan is not None:
        return Invite(access, url, lan.urls, own_certificate=lan.certificate.own)
    host, port = sock.getsockname()[:2]
    if is_loopback(host):
        return Invite(access, url)
    names = lan_addresses() if host in ("0.0.0.0", "::") else [f"[{host}]" if ":" in host else host]
    return Invite(access, url, tuple(f"http://{name}:{port}" for name in names), secure=False)


async def _serve_one(server: _Server, sock: socket.socket) -> None:
    try:
        await server.serve(sockets=[sock])
    except asyncio.CancelledError:
        if server.started:
            await server.shutdown([sock])
            for connection in tuple(server.server_state.connections):
                connection.transport.abort()  # an encrypted one waits half a minute for the other side's goodbye
            await asyncio.sleep(0)
        raise


def _no_false_alarm(record: logging.LogRecord) -> bool:
    """uvicorn 0.54 calls things an error that are none: a WebSocket refused with an HTTP answer, a request still under
    way at the end (a drawing of a second), a browser that keeps its connection open."""
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


def _explained(error: OSError, config: ServerConfig, setting: str) -> ServerError:
    where = f"Port {config.port} on {config.host}"
    other = config.port + 1 if config.port < 65535 else config.port - 1
    if error.errno == errno.EADDRINUSE:
        return ServerError(
            f"{where} is in use{_holder(config.port)}.",
            f"Stop that program, or use another port: --set {setting}={other}",
        )
    if error.errno == errno.EACCES:
        return ServerError(f"{where} may not be used by this user.", f"Use a port above 1023: --set {setting}=8765")
    if error.errno == errno.EADDRNOTAVAIL:
        return ServerError(
            f"server.host is {config.host!r}, which is no address of this machine.",
            "Use --set server.host=127.0.0.1",
        )
    return ServerError(f"{where} cannot be used: {error.strerror or error}.", f"Try --set {setting}={other}")


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
