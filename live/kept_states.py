"""The face states of a whole video, their crops on disk: what an offline command keeps grows by a few kB a frame.

A crop takes 200 kB, so the crops of half an hour would take 10 GB of memory. They are compressed without loss into one
file without a name, which is gone with the program however it ends.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, overload

import cv2
import numpy as np

from faceshot.types import FaceState, UInt8
from live.errors import LiveError

__all__ = ["KeptStates"]

_LEAST_WORK = (cv2.IMWRITE_PNG_COMPRESSION, 1)


class KeptStates(Sequence[FaceState]):
    """A growing sequence; a state that is asked for has its crop, read anew each time.

    Args:
        folder: where the crops lie; it should have room for 0.1 MB a frame.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._states: list[FaceState] = []
        self._at: list[tuple[int, int] | None] = []  # offset and length of the crop in the file
        self._file: IO[bytes] | None = None
        self._end = 0

    def append(self, state: FaceState) -> None:
        """Raises `LiveError` when the disk is full."""
        self._at.append(None if state.crop is None else self._put(state.crop))
        self._states.append(replace(state, crop=None))

    @property
    def without_crops(self) -> Sequence[FaceState]:
        """The same states, for whoever looks at all of them and at no picture."""
        return self._states

    def __len__(self) -> int:
        return len(self._states)

    @overload
    def __getitem__(self, index: int) -> FaceState: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[FaceState]: ...
    def __getitem__(self, index: int | slice) -> FaceState | Sequence[FaceState]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        at = self._at[index]
        return self._states[index] if at is None else replace(self._states[index], crop=self._get(*at))

    def close(self) -> None:
        """Give the disk back."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _put(self, crop: UInt8) -> tuple[int, int]:
        data = cv2.imencode(".png", crop, _LEAST_WORK)[1].tobytes()
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder)
            self._file.seek(self._end)
            self._file.write(data)
        except OSError as error:
            raise LiveError(
                f"The pictures of the face cannot be kept in {self._folder}: {error.strerror or error}.",
                "Make room: half a GB is enough for three minutes of video.",
            ) from None
        at = self._end, len(data)
        self._end += len(data)
        return at

    def _get(self, start: int, length: int) -> UInt8:
        assert self._file is not None
        self._file.seek(start)
        data = np.frombuffer(self._file.read(length), np.uint8)
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), np.uint8)
