"""Solid characters: a signed distance field in GLSL, ray-marched by Chromium's own WebGL."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A page of 1024 x 1024 pixels."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--no-sandbox"]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        yield browser.new_page(viewport={"width": 1024, "height": 1024})
        browser.close()
