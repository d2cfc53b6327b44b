"""What the server's tests share: a socket in memory, and a served show in a thread for tests with a real client."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.websockets import WebSocket

from faceshot.types import Rendered
from live.clock import Clock
from live.config import ServerConfig
from live.edges import Fanout, Packet
from live.server.access import Access
from live.server.serve import Lan, listen, listen_lan, serve
from live.show import Show
from protocols.viewer import Ack, Chunk, Visible, decode_chunk, encode_message

__all__ = ["MemorySocket", "Served", "put", "served"]


class MemorySocket:
    """The client's end of a WebSocket without a network; `socket` is the server's end, accepted already.

    Args:
        acks: acknowledge every chunk `delay_s` after it came; None: never.
    """

    def __init__(self, clock: Clock, acks: float | None = 0.0) -> None:
        self.chunks: list[Chunk] = []
        self.times_ns: list[int] = []
        self.closed: dict[str, Any] | None = None
        self._clock = clock
        self._acks = acks
        self._due_ns = 0
        self._said: list[tuple[int, dict[str, Any]]] = [(0, {"type": "websocket.connect"})]
        self._news = asyncio.Event()
        self.socket = WebSocket({"type": "websocket", "headers": []}, self._receive, self._send)

    def say(self, message: Ack | Visible | str | bytes) -> None:
        if isinstance(message, bytes):
            self._hear({"type": "websocket.receive", "bytes": message})
        else:
            text = message if isinstance(message, str) else encode_message(message)
            self._hear({"type": "websocket.receive", "text": text})

    def hang_up(self) -> None:
        self._hear({"type": "websocket.disconnect", "code": 1001})

    def _hear(self, event: dict[str, Any], delay_s: float = 0.0) -> None:
        self._said.append((self._clock.now_ns() + round(delay_s * 1e9), event))
        self._news.set()

    async def _receive(self) -> dict[str, Any]:
        while not self._said:
            self._news.clear()
            await self._news.wait()
        due_ns, event = self._said.pop(0)
        await self._clock.sleep_until_ns(due_ns)
        return event

    async def _send(self, event: Any) -> None:
        if event["type"] == "websocket.close":
            self.closed = event
            self.hang_up()
        elif event["type"] == "websocket.send":
            self.chunks.append(decode_chunk(event["bytes"]))
            self.times_ns.append(self._clock.now_ns())
            if self._acks is not None:
                text = encode_message(Ack(self.chunks[-1].sequence))
                self._hear({"type": "websocket.receive", "text": text}, self._acks)


def put(frames: Fanout[Rendered], clock: Clock, rgba: Any) -> Rendered:
    """One picture on air."""
    seq = 0 if frames.newest is None else frames.newest.seq + 1
    rendered = Rendered(rgba)
    frames.put_nowait(Packet(seq, clock.now_ns(), rendered))
    return rendered


class Served:
    """A show that runs and is served in a thread of its own, as in real life."""

    def __init__(self, url: str, show: Show, loop: asyncio.AbstractEventLoop, access: Access, lan: Lan | None) -> None:
        self.url = url
        self.show = show
        self.access = access
        self.lan = lan
        self._loop = loop

    def call(self, fn: Callable[[], Any]) -> Any:
        """`fn()` on the show's event loop; an awaitable is awaited."""

        async def there() -> Any:
            result = fn()
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(there(), self._loop).result(20)


@contextmanager
def served(make_show: Callable[[], Show], port: int = 0, lan_folder: Path | None = None) -> Iterator[Served]:
    """Serve `make_show()`, made on the server's loop, until the block ends.

    Args:
        lan_folder: serve the local network as well, by HTTPS; our own authority lives there.
    """
    ready = threading.Event()
    there: list[Served] = []
    failed: list[BaseException] = []
    stop: list[Callable[[], None]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        show = make_show()
        host = "127.0.0.1" if lan_folder is None else "0.0.0.0"
        config = ServerConfig(host=host, port=port, lan_port=0, max_viewers=show.config.server.max_viewers)
        access = Access(show.clock)
        lan = None if lan_folder is None else listen_lan(config, lan_folder)

        def announce(url: str) -> None:
            there.append(Served(url, show, loop, access, lan))
            ready.set()

        async with asyncio.TaskGroup() as group:
            serving = group.create_task(serve(show, config, listen(config), announce, lan, access))
            stop.append(lambda: loop.call_soon_threadsafe(show.stop))
            await show.run()
            serving.cancel()

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="served")
    thread.start()
    try:
        assert ready.wait(30)
        if not there:
            raise failed[0]
        yield there[0]
    finally:
        if stop:
            stop[0]()
        thread.join(30)
    if failed:
        raise failed[0]
