"""Downloads that break and go on, over real sockets: every kind of server, and every way in which a file can change."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from faceshot.weights import Entry
from live.errors import LiveError
from live.fetch import fetch
from live.partial import Partial

CONTENT = bytes(i * 7 % 251 for i in range(1 << 20))
OTHER = bytes(i * 11 % 253 for i in range(1 << 20))
HALF = 600_000


@dataclass
class Hub:
    """What the server sends, and what it was asked."""

    content: bytes = CONTENT
    etag: str = '"one"'
    date: str = ""
    ranges: bool = True
    heeds_if_range: bool = True
    lies_about_parts: bool = False
    cut_after: list[int] = field(default_factory=list)  # bytes of the first, second ... answer
    asked: list[str] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
            hub.asked.append(wanted or "all")
            start = 0
            same = condition is None or not hub.heeds_if_range or condition in (hub.etag, hub.date)
            if hub.ranges and wanted and same:
                start = int(wanted.removeprefix("bytes=").removesuffix("-"))
                if start >= len(hub.content):
                    self.send_response(416)
                    self.end_headers()
                    return
                self.send_response(206)
                shown = start - 7 if hub.lies_about_parts else start
                self.send_header("Content-Range", f"bytes {shown}-{len(hub.content) - 1}/{len(hub.content)}")
            else:
                self.send_response(200)
            body = hub.content[start:]
            self.send_header("Content-Length", str(len(body)))
            if hub.ranges:
                self.send_header("Accept-Ranges", "bytes")
            if hub.etag:
                self.send_header("ETag", hub.etag)
            if hub.date:
                self.send_header("Last-Modified", hub.date)
            self.end_headers()
            self.wfile.write(body[: hub.cut_after.pop(0)] if hub.cut_after else body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_address[1]}/big.bin"
    yield hub
    server.shutdown()
    thread.join()
    server.server_close()


def entry(hub: Hub, content: bytes = CONTENT, hashed: bool = True) -> Entry:
    digest = hashlib.sha256(content).hexdigest() if hashed else ""
    return Entry("test", "big.bin", hub.url, len(content), digest, "CC0-1.0", "this test")


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def stop_at(count: int):
    """Ctrl-C after so many bytes."""

    def progress(done: int) -> None:
        if done >= count:
            raise KeyboardInterrupt

    return progress


def test_a_stopped_download_goes_on_where_it_was(hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fetch(entry(hub), tmp_path, stop_at(HALF))
    assert left(tmp_path) == [".big.bin.part", ".big.bin.part.json"]
    there = (tmp_path / ".big.bin.part").stat().st_size
    assert HALF <= there < len(CONTENT)
    seen: list[int] = []
    path = fetch(entry(hub), tmp_path, seen.append)
    assert path.read_bytes() == CONTENT and left(tmp_path) == ["big.bin"]
    assert hub.asked == ["all", f"bytes={there}-"] and seen[0] == there


def test_a_connection_that_ends_early_is_taken_up_at_once(hub: Hub, tmp_path: Path) -> None:
    hub.cut_after = [300_000, 200_000]
    assert fetch(entry(hub), tmp_path).read_bytes() == CONTENT
    assert hub.asked == ["all", "bytes=300000-", "bytes=500000-"] and left(tmp_path) == ["big.bin"]


def test_a_connection_that_brings_nothing_more_is_given_up_and_what_came_is_kept(hub: Hub, tmp_path: Path) -> None:
    hub.cut_after = [300_000, 0]
    with pytest.raises(LiveError, match=r"ended early after 0\.3 of 1\.0 MB") as caught:
        fetch(entry(hub), tmp_path)
    assert "the same command goes on there" in caught.value.hint
    assert fetch(entry(hub), tmp_path).read_bytes() == CONTENT
    assert hub.asked[-1] == "bytes=300000-"


def test_a_server_without_parts_starts_anew_and_leaves_nothing(hub: Hub, tmp_path: Path) -> None:
    hub.ranges = False
    with pytest.raises(KeyboardInterrupt):
        fetch(entry(hub), tmp_path, stop_at(HALF))
    assert left(tmp_path) == []
    hub.cut_after = [300_000]
    with pytest.raises(LiveError, match="wrong size"):
        fetch(entry(hub), tmp_path)
    assert left(tmp_path) == []
    assert fetch(entry(hub), tmp_path).read_bytes() == CONTENT
    assert hub.asked == ["all"] * 3


def test_a_server_that_has_lost_its_parts_sends_all(hub: Hub, tmp_path: Path) -> None:
    hub.cut_after = [300_000, 0]
    with pytest.raises(LiveError):
        fetch(entry(hub), tmp_path)
    hub.ranges = False
    seen: list[int] = []
    assert fetch(entry(hub), tmp_path, seen.append).read_bytes() == CONTENT
    assert seen[0] < 300_000 and left(tmp_path) == ["big.bin"]


@pytest.mark.parametrize("heeds_if_range", [True, False])
def test_a_file_that_changed_meanwhile_comes_whole(hub: Hub, tmp_path: Path, heeds_if_range: bool) -> None:
    hub.cut_after = [300_000, 0]
    with pytest.raises(LiveError):
        fetch(entry(hub), tmp_path)
    hub.content, hub.etag, hub.heeds_if_range = OTHER, '"two"', heeds_if_range
    assert fetch(entry(hub, OTHER), tmp_path).read_bytes() == OTHER
    assert hub.asked[-1] == ("bytes=300000-" if heeds_if_range else "all")


def test_two_halves_that_do_not_fit_are_found_by_the_hash(hub: Hub, tmp_path: Path) -> None:
    hub.etag = ""  # nobody says that the file has changed
    hub.cut_after = [300_000, 0]
    with pytest.raises(LiveError):
        fetch(entry(hub), tmp_path)
    hub.content = OTHER
    assert fetch(entry(hub, OTHER), tmp_path).read_bytes() == OTHER
    assert hub.asked[-2:] == ["bytes=300000-", "all"]


@pytest.mark.parametrize(("etag", "kept"), [("", False), ('W/"weak"', False), ('"strong"', True)])
def test_without_hash_and_validator_nothing_is_kept(hub: Hub, tmp_path: Path, etag: str, kept: bool) -> None:
    hub.etag = etag
    with pytest.raises(KeyboardInterrupt):
        fetch(entry(hub, hashed=False), tmp_path, stop_at(HALF))
    assert bool(left(tmp_path)) == kept


def test_a_date_is_as_good_as_a_tag(hub: Hub, tmp_path: Path) -> None:
    hub.etag, hub.date = "", "Wed, 21 Oct 2015 07:28:00 GMT"
    hub.cut_after = [300_000]
    assert fetch(entry(hub, hashed=False), tmp_path).read_bytes() == CONTENT
    assert hub.asked == ["all", "bytes=300000-"]


def test_a_file_that_has_become_shorter(hub: Hub, tmp_path: Path) -> None:
    hub.cut_after = [300_000, 0]
    with pytest.raises(LiveError):
        fetch(entry(hub), tmp_path)
    hub.content, hub.heeds_if_range = CONTENT[:1000], False
    assert fetch(entry(hub, CONTENT[:1000]), tmp_path).read_bytes() == CONTENT[:1000]
    assert hub.asked[-2:] == ["bytes=300000-", "all"]


def test_a_part_of_another_place_is_not_believed(hub: Hub, tmp_path: Path) -> None:
    hub.cut_after, hub.lies_about_parts = [300_000], True
    assert fetch(entry(hub), tmp_path).read_bytes() == CONTENT
    assert hub.asked == ["all", "bytes=300000-", "all"]


def test_a_damaged_whole_is_refused_and_not_kept(hub: Hub, tmp_path: Path) -> None:
    hub.content = OTHER
    with pytest.raises(LiveError, match="wrong hash"):
        fetch(entry(hub), tmp_path)
    assert left(tmp_path) == []


@pytest.mark.parametrize("about", ["", "[]", '{"url": 3, "more": 1}', json.dumps({"url": "http://elsewhere/"})])
def test_bytes_of_which_nothing_is_known_are_not_used(hub: Hub, tmp_path: Path, about: str) -> None:
    (tmp_path / ".big.bin.part").write_bytes(b"junk" * 100)
    (tmp_path / ".big.bin.part.json").write_text(about)
    assert fetch(entry(hub), tmp_path).read_bytes() == CONTENT
    assert hub.asked == ["all"] and left(tmp_path) == ["big.bin"]


def test_two_at_a_time_do_not_write_into_one_another(hub: Hub, tmp_path: Path) -> None:
    with Partial(tmp_path / "big.bin", hub.url, blind=True):
        with pytest.raises(LiveError, match="being fetched already"):
            fetch(entry(hub), tmp_path)
    assert fetch(entry(hub), tmp_path).read_bytes() == CONTENT
