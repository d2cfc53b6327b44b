"""A file held against other programs until it is closed, however the program ends. Standard library only."""

from __future__ import annotations

import os
import sys

__all__ = ["hold"]

_FAR = (1 << 42) - 1  # a byte that nobody writes: Windows locks parts of a file, and others may not read those


def hold(handle: int) -> None:
    """Hold an open, writable file. Its position may change.

    Args:
        handle: of the operating system.

    Raises:
        OSError: at once when another program, or another handle of this one, holds it.
    """
    if sys.platform == "win32":
        import msvcrt

        os.lseek(handle, _FAR, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
