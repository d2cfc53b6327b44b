"""State for the control pages: four times a second, and at once after a command."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from live.server.answer import to_json

__all__ = ["StateFeed"]

_PERIOD_S = 0.25
_MAX_PAGES = 16


class StateFeed:
    """Pushes `state()` to every connected control page."""

    def __init__(self, state: Callable[[], dict[str, Any]]) -> None:
        self._state = state
        self._wake_ups: set[asyncio.Event] = set()

    @property
    def full(self) -> bool:
        return len(self._wake_ups) >= _MAX_PAGES

    def changed(self) -> None:
        """Something happened that the pages should see at once."""
        for wake_up in self._wake_ups:
            wake_up.set()

    async def serve(self, socket: WebSocket) -> None:
        """Serve one accepted connection until the page is gone."""
        wake_up = asyncio.Event()
        self._wake_ups.add(wake_up)
        try:
            async with asyncio.TaskGroup() as tasks:
                pushing = tasks.create_task(self._push(socket, wake_up))
                with contextlib.suppress(WebSocketDisconnect, KeyError):
                    while True:  # pages only listen; what they say is read so that a hang-up is seen
                        await socket.receive_text()
                pushing.cancel()
        finally:
            self._wake_ups.discard(wake_up)

    async def _push(self, socket: WebSocket, wake_up: asyncio.Event) -> None:
        with contextlib.suppress(WebSocketDisconnect):
            while True:
                wake_up.clear()
                await socket.send_text(to_json(self._state()))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_PERIOD_S):
                        await wake_up.wait()
