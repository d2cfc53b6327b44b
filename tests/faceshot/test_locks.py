"""Two programs do not write the same file, on Windows neither."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from faceshot.locks import hold


def test_a_file_is_held_until_it_is_closed(tmp_path: Path) -> None:
    first, second = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    hold(first)
    with pytest.raises(OSError):
        hold(second)
    os.close(first)
    hold(second)
    os.close(second)


def test_on_windows_one_far_byte_is_locked_and_who_comes_second_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for `msvcrt`, which locks at the file's position."""
    held: dict[int, int] = {}

    def locking(handle: int, mode: int, count: int) -> None:
        at = os.lseek(handle, 0, os.SEEK_CUR)
        assert (mode, count) == (2, 1) and at > os.fstat(handle).st_size
        if at in held.values():
            raise PermissionError(13, "Permission denied")
        held[handle] = at

    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(LK_NBLCK=2, locking=locking))  # type: ignore[arg-type]
    monkeypatch.setattr(sys, "platform", "win32")
    first, second = (os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    hold(first)
    with pytest.raises(OSError):
        hold(second)
    for handle in (first, second):
        os.close(handle)
