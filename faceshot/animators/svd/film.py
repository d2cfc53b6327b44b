"""A film in the making on disk: latents of the frames that are finished, and the state that the others are in.

    film.json        what it is a film of, and the numbers of the state
    points.npy       the landmarks it follows
    front.safetensors   tensors of the state
    latents.f16      finished frames, one after the other

Each is replaced in one step, the numbers last; what a stop left beyond them is cut off. So a film goes on at the last
whole round, wherever it was stopped.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from faceshot.errors import FaceshotError
from faceshot.locks import hold

__all__ = ["Film"]

_NEAR_PX: Final = 1.0
"""Tracking the same video again may differ by this much; the landmarks of the beginning are kept then."""


class Film:
    """A folder that keeps a film. Made of nothing, or gone on with.

    Args:
        folder: made if need be; everything in it is the film's.
        about: what decides how the film looks, apart from its landmarks; JSON.
        points_xy: (M, 68 or 70, 2) float32 px.
        shape: (4, h, w) of a frame's latents.

    Attributes:
        points_xy: the landmarks to follow: those of the beginning when it is gone on with.
        finished: frames that are done.
        state: tensors and numbers of the sampler to go on from, or None.
        started_over: a film of something else was here and is thrown away.

    Raises:
        FaceshotError: the folder cannot be written, or is something else.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any], points_xy: np.ndarray, shape: tuple[int, ...]) -> None:
        self._lock: int | None = None
        self.folder, self._shape = folder, shape
        self._about = json.loads(json.dumps(dict(about), sort_keys=True))
        self.points_xy = np.asarray(points_xy, np.float32)
        self.finished = 0
        self.state: tuple[dict[str, Tensor], dict[str, Any]] | None = None
        self.started_over = False
        with self._disk_faults_are_said():
            self._open()

    def append(self, latents: Tensor) -> None:
        """A frame that is done. It counts once `save` is called."""
        with self._disk_faults_are_said(), self._latents.open("ab") as file:
            file.write(latents.detach().to("cpu", torch.float16).contiguous().numpy().tobytes())
        self.finished += 1

    def save(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Where the sampler is now."""
        front = self.folder / f"front-{numbers['round']}.safetensors"
        with self._disk_faults_are_said():
            save_file({key: value.detach().cpu().contiguous() for key, value in tensors.items()}, front)
            before = self._numbers().get("front")
            self._write({"about": self._about, "front": front.name, "finished": self.finished, "state": dict(numbers)})
            if before and before != front.name:
                (self.folder / before).unlink(missing_ok=True)

    def latents(self, start: int, stop: int) -> Tensor:
        """(stop - start, 4, h, w) float32 of finished frames."""
        size = self._frame_bytes
        with self._latents.open("rb") as file:
            file.seek(start * size)
            data = file.read((stop - start) * size)
        return torch.from_numpy(np.frombuffer(data, np.float16).astype(np.float32).reshape(-1, *self._shape))

    def discard(self) -> None:
        """The film is whole and shown: its parts are not needed any more."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Let others go on with it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __del__(self) -> None:
        self.close()

    @property
    def _latents(self) -> Path:
        return self.folder / "latents.f16"

    @property
    def _frame_bytes(self) -> int:
        return int(np.prod(self._shape)) * 2

    def _open(self) -> None:
        if self.folder.is_dir() and any(self.folder.iterdir()):
            if not (self.folder / "film.json").is_file():
                raise FaceshotError(
                    f"{self.folder} is needed to keep the film in, but something else is in it.",
                    "Move it away, or choose another name for the output.",
                )
            self._claim()
            if self._go_on():
                return
            self.started_over = True
            self.close()
            shutil.rmtree(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._claim()
        self._write({"about": self._about, "finished": 0})
        np.save(self.folder / "points.npy", self.points_xy)
        self._latents.write_bytes(b"")

    def _claim(self) -> None:
        """Two programs that write the same film would spoil it. The claim ends with the program, however it ends."""
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT)
        try:
            hold(lock)
        except OSError:
            os.close(lock)
            raise FaceshotError(
                f"Another program is at work on {self.folder}.", "Wait for it, or choose another name for the output."
            ) from None
        self._lock = lock

    @contextmanager
    def _disk_faults_are_said(self) -> Iterator[None]:
        try:
            yield
        except (OSError, SafetensorError) as error:
            reason = getattr(error, "strerror", None) or error
            raise FaceshotError(
                f"The film cannot be kept in {self.folder}: {reason}.",
                "Free some disk space, or write the output into another folder.",
            ) from None

    def _go_on(self) -> bool:
        """Whether what is here is a whole beginning of this film."""
        known = self._numbers()
        if known.get("about") != self._about:
            return False
        try:
            points_xy = np.load(self.folder / "points.npy", allow_pickle=False)
            if points_xy.shape != self.points_xy.shape or np.abs(points_xy - self.points_xy).max() > _NEAR_PX:
                return False
            finished = int(known["finished"])
            if "front" in known:
                self.state = (load_file(self.folder / known["front"]), known["state"])
            elif finished:
                return False
            if self._latents.stat().st_size < finished * self._frame_bytes:
                return False
            os.truncate(self._latents, finished * self._frame_bytes)
        except (OSError, ValueError, KeyError, SafetensorError):
            self.state = None
            return False
        for stray in self._strays(known.get("front")):
            stray.unlink(missing_ok=True)
        self.points_xy, self.finished = points_xy, finished
        return True

    def _strays(self, front: str | None) -> Iterator[Path]:
        return (path for path in self.folder.glob("front-*.safetensors") if path.name != front)

    def _numbers(self) -> dict[str, Any]:
        try:
            content = json.loads((self.folder / "film.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def _write(self, content: Mapping[str, Any]) -> None:
        part = self.folder / "film.json.part"
        part.write_text(json.dumps(content), encoding="utf-8")
        os.replace(part, self.folder / "film.json")
