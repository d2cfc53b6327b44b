"""Importing and starting MediaPipe without its side effects: no plotting libraries, no chatter on the terminal."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from _thread import allocate_lock
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

__all__ = ["import_mediapipe", "quiet"]

# mediapipe imports these for drawing plots and recording sound, which nothing here does. They are most of its import
# time (1.3 of 1.8 s), 60 MB, and on a new machine matplotlib first builds a font cache for several seconds.
_UNUSED = ("matplotlib", "matplotlib.pyplot", "sounddevice")

# Lines of the C++ loggers of MediaPipe 0.10 and 1.x, as in "W0000 00:00:1795226015.597205 13520 graph.cc:114] ...".
_CHATTER = re.compile(
    rb"[IWEF]\d{4} \d\d:\d\d:[\d.]+ +\d+ .*|"
    rb"INFO: Created TensorFlow Lite .*|"
    rb"WARNING: (All log messages|Logging) before .*"
)

_importing = allocate_lock()
# The descriptor is the process's, and a picture may be searched while the live tracker starts: two that redirect it at
# once would each restore the other's file, and stderr would be lost for good.
_redirecting = allocate_lock()


def import_mediapipe() -> Any:
    """The `mediapipe` module. Stand-ins take the place of plotting and sound libraries while it is imported."""
    with _importing:  # else a second thread would find the module in sys.modules while half of it is there
        stand_ins = [] if "mediapipe" in sys.modules else [name for name in _UNUSED if name not in sys.modules]
        for name in stand_ins:
            sys.modules[name] = ModuleType(name)
        if "matplotlib.pyplot" in stand_ins:
            sys.modules["matplotlib"].pyplot = sys.modules["matplotlib.pyplot"]  # type: ignore[attr-defined]
        try:
            import mediapipe
        finally:
            for name in stand_ins:
                del sys.modules[name]
    return mediapipe


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MediaPipe's log lines off the terminal; everything else written to stderr meanwhile is passed on at the end.

    The loggers are C++ and write to file descriptor 2 before they can be configured, so the descriptor itself is led
    into a temporary file. Errors still arrive as exceptions. Threads take turns.
    """
    with _redirecting:
        yield from _redirected()


def _redirected() -> Iterator[None]:
    try:
        caught = tempfile.TemporaryFile()
    except OSError:  # nowhere to put it: chatter is the lesser evil
        yield
        return
    with caught:
        try:
            terminal = os.dup(2)
        except OSError:  # no stderr at all, as under pythonw on Windows
            yield
            return
        os.dup2(caught.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(terminal, 2)
            caught.seek(0)
            kept = [line for line in caught if not _CHATTER.match(line)]
            if kept:
                os.write(terminal, b"".join(kept))
            os.close(terminal)
