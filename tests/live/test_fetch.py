"""Model files arrive whole and checked, or not at all."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import IO
from urllib.error import URLError
from urllib.request import Request

import pytest

from faceshot.matching_files import GALLERY
from faceshot.weights import Entry
from live.errors import LiveError
from live.fetch import fetch, list_hub

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


def sends(content: bytes) -> Callable[[Request | str], IO[bytes]]:
    return lambda url: io.BytesIO(content)


def test_a_good_file_arrives_with_progress(tmp_path: Path) -> None:
    seen: list[int] = []
    path = fetch(ENTRY, tmp_path, seen.append, sends(CONTENT))
    assert path == tmp_path / "sub" / "test.task"
    assert path.read_bytes() == CONTENT
    assert seen == sorted(seen) and len(seen) > 1 and seen[-1] == len(CONTENT)


def breaks(url: Request | str) -> IO[bytes]:
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
def test_anything_else_leaves_nothing_behind(
    tmp_path: Path, opener: Callable[[Request], IO[bytes]], words: str
) -> None:
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


TREE = [
    {"type": "directory", "path": "target_domains/eyes/00", "size": 0},
    {"type": "file", "path": "target_domains/eyes/00/diff_feature.pt", "size": 62_000, "lfs": {"oid": "ab" * 32}},
    {"type": "file", "path": "target_domains/eyes/00/clip_feature.pt", "size": 5_000},
    {"type": "file", "path": "README.md", "size": 100},
    {"type": "file", "path": "target_domains/../../evil.pt", "size": 100},
    {"type": "file", "path": "target_domains/huge.pt", "size": 10**12},
]


def test_a_hub_is_asked_for_files_nobody_knows_beforehand() -> None:
    asked: list[str] = []

    def opener(url: str) -> IO[bytes]:
        asked.append(url)
        return io.BytesIO(json.dumps(TREE).encode())

    first, second = list_hub(GALLERY, opener)
    assert asked == ["https://huggingface.co/api/models/Gaojunyao/FaceShot/tree/main?recursive=true"]
    assert first.file == "FaceShot/target_domains/eyes/00/diff_feature.pt" and first.sha256 == "ab" * 32
    assert second.url.endswith("/Gaojunyao/FaceShot/resolve/main/target_domains/eyes/00/clip_feature.pt")
    assert (second.size, second.sha256, second.kind) == (5_000, "", "faceshot-gallery")


@pytest.mark.parametrize(
    ("opener", "words"),
    [
        (breaks, "could not be listed: no route to host"),
        (sends(b"<html>"), "is no list of files"),
        (sends(b'{"error": "gone"}'), "is no list of files"),
        (sends(b"[]"), "lists no files"),
    ],
)
def test_a_hub_that_does_not_answer_well(opener: Callable[[str], IO[bytes]], words: str) -> None:
    with pytest.raises(LiveError, match=words) as caught:
        list_hub(GALLERY, opener)
    assert "https://huggingface.co/Gaojunyao/FaceShot" in caught.value.hint
