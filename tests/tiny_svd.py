"""One folder of small random SVD models for all tests of a run; it is gone afterwards."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

__all__ = ["tiny_svd_models"]


@cache
def tiny_svd_models() -> Path:
    """The folder; never written to by a test."""
    from faceshot.animators.svd.tiny import write_tiny

    folder = Path(tempfile.mkdtemp(prefix="faceshot-tiny-svd-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write_tiny(folder)
    return folder
