"""Compilation of the few functions that run once per pixel or per node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from numba import njit
from numba.core import event

__all__ = ["compiled", "telling_of_compilation"]

F = TypeVar("F", bound=Callable[..., Any])

_FAST = {"contract", "nsz", "arcp"}  # not "nnan": a NaN must stay one, or no check would see it


def compiled(function: F) -> F:
    """The function as machine code, made when it is first called and kept on disk for later starts.

    It runs without Python's lock, so the tracker's thread goes on meanwhile. Where no folder may be written, it is
    compiled anew at each start.
    """
    options = {"nogil": True, "no_cfunc_wrapper": True, "error_model": "numpy", "fastmath": _FAST}
    try:
        fast: F = njit(cache=True, **options)(function)
    except RuntimeError:  # "no locator available": neither __pycache__ nor the user's cache folder is writable
        fast = njit(**options)(function)
    return fast


class _First(event.Listener):  # type: ignore[misc]  # numba has no types
    """Calls `tell` at the first event."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell: Callable[[], None] | None = tell

    def on_start(self, event: event.Event) -> None:
        if self._tell is not None:
            self._tell()
            self._tell = None

    def on_end(self, event: event.Event) -> None:
        """Of no interest."""


@contextmanager
def telling_of_compilation(tell: Callable[[], None]) -> Iterator[None]:
    """Calls `tell` before the first function that is compiled within the context because it is not on disk: the first
    start after an installation takes some seconds for that."""
    with event.install_listener("numba:compile", _First(tell)):
        yield
