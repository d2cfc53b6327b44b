"""Compilation of the few functions that run once per pixel or per node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

__all__ = ["compiled"]

F = TypeVar("F", bound=Callable[..., Any])

_FAST = {"contract", "nsz", "arcp"}  # not "nnan": a NaN must stay one, or no check would see it


def compiled(function: F) -> F:
    """The function as machine code, made when it is first called and kept on disk for later starts.

    It runs without Python's lock, so the tracker's thread goes on meanwhile. Where no folder may be written, it is
    compiled anew at each start.
    """
    options = {"nogil": True, "error_model": "numpy", "fastmath": _FAST}
    try:
        fast: F = njit(cache=True, **options)(function)
    except RuntimeError:  # "no locator available": neither __pycache__ nor the user's cache folder is writable
        fast = njit(**options)(function)
    return fast
