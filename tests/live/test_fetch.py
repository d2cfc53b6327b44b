"""Model files arrive whole and checked, or not at all."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import IO
from urllib.error import URLError

import pytest

from faceshot.weights import Entry
from live.errors import LiveError
from live.fetch import fetch

CONTENT = bytes(range(256)) * 4096  # 1 MiB, several chunks
ENTRY = Entry(
    kind="test",
    file="sub/test.task",
    url="https://example.org/test.task",
    size=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    licence="CC0-1.0",
    needed_by="this test",
)


def sends(content: bytes) -> Callable[[str], IO[bytes]]:
    return lambda url: io.BytesIO(content)


def test_a_good_file_arrives_with_progress(tmp_path: Path) -> None:
    seen: list[int] = []
    path = fetch(ENTRY, tmp_path, seen.append, sends(CONTENT))
    assert path == tmp_path / "sub" / "test.task"
    assert path.read_bytes() == CONTENT
    assert seen == sorted(seen) and len(seen) > 1 and seen[-1] == len(CONTENT)


def breaks(url: str) -> IO[bytes]:
    raise URLError("no route to host")


class Interrupted(io.BytesIO):
    """A connection that dies in the middle."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell():
            raise ConnectionResetError(104, "connection reset")
        return super().read(size)


@pytest.mark.parametrize(
    ("opener", "words"),
    [
        (sends(CONTENT[:-1]), "wrong size"),
        (sends(CONTENT + b"more"), "wrong size"),
        (sends(CONTENT[:-1] + b"!"), "wrong hash"),
        (sends(b""), "wrong size"),
        (breaks, "no route to host"),
        (lambda url: Interrupted(CONTENT), "connection reset"),
    ],
)
def test_anything_else_leaves_nothing_behind(tmp_path: Path, opener: Callable[[str], IO[bytes]], words: str) -> None:
    with pytest.raises(LiveError, match=words) as caught:
        fetch(ENTRY, tmp_path, opener=opener)
    assert ENTRY.url in caught.value.hint
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_an_older_file_stays_when_the_new_one_is_bad(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "test.task").write_bytes(b"old")
    with pytest.raises(LiveError):
        fetch(ENTRY, tmp_path, opener=sends(b"bad"))
    assert (tmp_path / "sub" / "test.task").read_bytes() == b"old"


def test_a_folder_that_cannot_be_made_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "sub").write_text("a file stands in the way")
    with pytest.raises(LiveError, match="could not be fetched") as caught:
        fetch(ENTRY, tmp_path, opener=sends(CONTENT))
    assert "by hand" in caught.value.hint
