"""The editor's page in a Chromium, as the tests of the editor use it: mouse, fingers, and the server behind it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page

from faceshot.character import open_character, write_character
from faceshot.types import Character
from live.config import ServerConfig
from live.server.app import create_edit_app
from live.server.edit import Editor
from live.server.serve import listen, serve_app
from live.workers import ThreadWorker
from tests.faceshot.faces import drawn_face
from tests.live.server.test_edit import png

__all__ = ["PHONE", "Desk", "Fingers", "cat_in", "edit_server", "open_page"]

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "device_scale_factor": 2}


@contextmanager
def edit_server() -> Iterator[str]:
    """The editor's address."""
    ready = threading.Event()
    found: list[str] = []
    stop: list = []

    async def main() -> None:
        worker = ThreadWorker("edit")
        config = ServerConfig(port=0)

        def announce(address: str) -> None:
            found.append(address)
            ready.set()

        loop = asyncio.get_running_loop()
        end = asyncio.Event()
        stop.append(lambda: loop.call_soon_threadsafe(end.set))
        async with asyncio.TaskGroup() as group:
            app = create_edit_app(Editor(worker), config.host)
            serving = group.create_task(serve_app(app, listen(config), announce))
            await end.wait()
            serving.cancel()
        await worker.close()

    thread = threading.Thread(target=asyncio.run, args=(main(),), name="edit-server")
    thread.start()
    assert ready.wait(20)
    yield found[0]
    stop[0]()
    thread.join(20)


def cat_in(folder: Path) -> Path:
    path = folder / "cat.faceshot"
    whole = open_character("miso")
    write_character(Character("Cat", drawn_face(whole), whole.points_xy / 2, whole.visible, "animal"), path)
    return path


class Desk:
    """An open editor and the way from the picture to the screen."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def at(self, xy) -> tuple[float, float]:
        self.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        zoom, x, y = (float(v) for v in self.page.get_attribute("#canvas", "data-view").split())
        box = self.page.locator("#canvas").bounding_box()
        assert box is not None
        return (xy[0] - x) * zoom + box["width"] / 2 + box["x"], (xy[1] - y) * zoom + box["height"] / 2 + box["y"]

    def drag(self, start, end) -> None:
        self.page.mouse.move(*self.at(start))
        self.page.mouse.down()
        self.page.mouse.move(*self.at((np.array(start) + np.array(end)) / 2))
        self.page.mouse.move(*self.at(end))
        self.page.mouse.up()

    def save(self) -> None:
        self.page.click("#save")
        self.page.wait_for_selector("#toasts .toast:not(.error)")
        self.page.evaluate("document.querySelector('#toasts').replaceChildren()")


class Fingers:
    """Touches on a page, in its CSS pixels."""

    def __init__(self, page: Page) -> None:
        self._session = page.context.new_cdp_session(page)

    def send(self, kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        self.send("touchStart", start)
        for share in (0.5, 1.0):
            self.send("touchMove", tuple(np.array(start) + share * (np.array(end) - np.array(start))))
        self.send("touchEnd")


NO_PREVIEW = {"x-frame-width": "1", "x-frame-height": "1", "x-frames": "1", "x-columns": "1", "x-fps": "16"}


def open_page(
    browser: Browser, address: str, preview: bool = False, failing: bool = False, **context
) -> Iterator[Desk]:
    """Without `preview` the server draws none: it is slow, and one test looks at it. `failing` requests are expected,
    which the browser logs."""
    opened = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **context})
    page = opened.new_page()
    if not preview:
        dot = png(np.zeros((1, 1, 4), np.uint8))
        page.route("**/preview", lambda route: route.fulfill(body=dot, content_type="image/png", headers=NO_PREVIEW))
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    page.wait_for_selector("html[data-state=ready]")
    page.wait_for_selector("#canvas[data-view]")
    yield Desk(page)
    opened.close()
    assert [text for text in complaints if not (failing and "Failed to load resource" in text)] == []
