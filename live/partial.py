"""A download that was interrupted and goes on: the bytes so far, and what the server said they are bytes of.

    .NAME.part        the first bytes of the file; locked while somebody adds to it
    .NAME.part.json   address, length and validator (ETag or date) that the server sent with them

The rest is asked for with `Range` and, so that a file that changed meanwhile comes whole, `If-Range` (RFC 9110, 13.1.5
and 14). Nothing is kept of a server that does not say that it can send parts.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any
from urllib.request import Request

from faceshot.locks import hold

__all__ = ["Opener", "Partial", "PartialInUse"]

Opener = Callable[[Request], Any]
"""Opens an address: a context manager with `read(size)`, and with `status` and `headers` where it speaks HTTP."""

_CHUNK_BYTES = 256 * 1024


class PartialInUse(OSError):
    """Another program is downloading the same file into the same folder."""


@dataclass(frozen=True, slots=True)
class _Told:
    """What a server says about a file: enough to know whether it is the same one the next time."""

    url: str
    length: int | None = None
    etag: str = ""
    date: str = ""
    parts: bool = False

    @property
    def validator(self) -> str:
        """For `If-Range`: a strong ETag, else the date; empty without either."""
        return self.etag if self.etag and not self.etag.startswith("W/") else self.date

    @classmethod
    def by(cls, url: str, answer: Any) -> _Told:
        headers: Mapping[str, str] = getattr(answer, "headers", None) or {}
        whole = re.fullmatch(r"bytes \d+-\d+/(\d+)", headers.get("Content-Range", ""))
        length = whole[1] if whole else headers.get("Content-Length", "")
        return cls(
            url=url,
            length=int(length) if length.isdigit() else None,
            etag=headers.get("ETag", ""),
            date=headers.get("Last-Modified", ""),
            parts=whole is not None or headers.get("Accept-Ranges", "").lower() == "bytes",
        )


class Partial:
    """The file that a download grows in, held for the length of a `with`.

    Args:
        target: what the file is to become; the partial file stands beside it.
        url: where it comes from.
        blind: bytes may be added even when the server names no validator, since the whole is checked by its hash.

    Raises:
        PartialInUse: somebody else holds it. OSError: the folder cannot be written.
    """

    def __init__(self, target: Path, url: str, blind: bool) -> None:
        self.path = target.with_name(f".{target.name}.part")
        self._about = target.with_name(f".{target.name}.part.json")
        self._url, self._blind = url, blind
        self._told = _Told(url)
        self._file: IO[bytes] | None = None
        self.size = 0
        self.resumed = False

    def __enter__(self) -> Partial:
        self._file = self.path.open("ab+")
        try:
            hold(self._file.fileno())
        except OSError:
            self._file.close()
            raise PartialInUse(f"{self.path} is being written by another program") from None
        self._told = self._read_about()
        self.size = self._file.seek(0, os.SEEK_END)
        if self.size and not self._can_go_on:
            self.empty()
        return self

    def __exit__(self, *exc: object) -> None:
        """Keep what can be added to, else leave nothing."""
        if self._file is None:
            return
        if not self.path.exists():  # it has become the target
            self._file.close()
            self._about.unlink(missing_ok=True)
        elif self.size and self._can_go_on:
            self._file.close()
        else:
            self.remove()

    @property
    def kept(self) -> bool:
        """Whether these bytes will be there for the next try."""
        return self.size > 0 and self._can_go_on

    @property
    def _can_go_on(self) -> bool:
        told = self._told
        return told.url == self._url and told.parts and bool(told.validator or self._blind)

    def receive(self, opener: Opener, at_most: int, progress: Callable[[int], None]) -> bool:
        """Ask for what is missing and add it.

        Args:
            at_most: bytes; more is not written, for it is something else.

        Returns:
            Whether the server has sent all that it promised.

        Raises:
            OSError: the connection broke, or the disk is full; what came before is in the file.
        """
        assert self._file is not None
        answer = self._ask(opener)
        if self.size and not self._is_the_rest(answer):
            if getattr(answer, "status", 200) == 206:  # a part, but of something else
                answer.close()
                self.empty()
                answer = self._ask(opener)
            else:
                self.empty()
        with answer:
            self.resumed = self.size > 0
            self._told = told = _Told.by(self._url, answer)
            self._about.write_text(json.dumps(asdict(told)), encoding="utf-8")
            if self.resumed:
                progress(self.size)
            while self.size <= at_most and (chunk := answer.read(_CHUNK_BYTES)):
                self._file.write(chunk)
                self.size += len(chunk)
                progress(self.size)
            self._file.flush()
        return told.length is None or self.size >= told.length

    def empty(self) -> None:
        """Start anew."""
        assert self._file is not None
        self._file.truncate(0)
        self.size, self._told, self.resumed = 0, _Told(self._url), False
        self._about.unlink(missing_ok=True)

    def become(self, target: Path) -> None:
        """Take the file's name."""
        assert self._file is not None
        self._file.flush()
        self.path.chmod(0o644)
        if sys.platform == "win32":  # which renames no open files
            self._file.close()
        os.replace(self.path, target)

    def remove(self) -> None:
        """Leave nothing."""
        if self._file is not None:
            self._file.close()
        self.path.unlink(missing_ok=True)
        self._about.unlink(missing_ok=True)

    def _ask(self, opener: Opener) -> Any:
        headers = {"Accept-Encoding": "identity"}
        if self.size:
            headers["Range"] = f"bytes={self.size}-"
            if self._told.validator:
                headers["If-Range"] = self._told.validator
        try:
            return opener(Request(self._url, headers=headers))
        except OSError as error:
            if self.size and getattr(error, "code", None) == 416:  # the file has become shorter
                self.empty()
                return opener(Request(self._url, headers={"Accept-Encoding": "identity"}))
            raise

    def _is_the_rest(self, answer: Any) -> bool:
        """Whether the answer goes on where these bytes end, in the same file."""
        if getattr(answer, "status", 200) != 206:
            return False
        told = _Told.by(self._url, answer)
        start = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
        same = (told.length, told.etag) == (self._told.length, self._told.etag)
        return same and start is not None and int(start[1]) == self.size

    def _read_about(self) -> _Told:
        try:
            return _Told(**json.loads(self._about.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return _Told(self._url)
