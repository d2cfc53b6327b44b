"""A Chromium; the editor's server and a cat to edit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.live.server.chromium import chromium_at
from tests.live.server.editor_page import cat_in, edit_server


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with chromium_at(chromium) as launched:
        yield launched


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The editor's address; what has no file of its own is saved below `tmp_path`."""
    monkeypatch.setenv("FACESHOT_CHARACTERS", str(tmp_path / "own"))
    with edit_server() as address:
        yield address


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    return cat_in(tmp_path)
