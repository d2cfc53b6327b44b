"""A function of tensors, recorded once as a CUDA graph: what a small window costs a host in launches is paid once."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor

from faceshot.animators.gpu_faults import is_out_of_memory

__all__ = ["Recorded"]

log = logging.getLogger(__name__)

WARM_UPS: Final = 3
"""Runs before the one that is recorded: cuDNN chooses its algorithms and libraries take their workspace in them."""


class Recorded:
    """A function of tensors, recorded once as a CUDA graph and replayed; elsewhere, or when recording fails, called.

    Args:
        work: writes nothing but its own state and results, allocates the same each time, reads nothing back.
        examples: inputs of the shapes to come; they are overwritten by every call.
        pool: memory that graphs share which are never in use at the same time, see `torch.cuda.graph_pool_handle`;
            results are then only good until another of them is called.

    PyTorch records one graph at a time in a process: make them in one thread, as a show does, which loads in one.

    Raises:
        torch.OutOfMemoryError: without a graph it would need as much.
    """

    def __init__(
        self, work: Callable[..., tuple[Tensor, ...]], examples: Sequence[Tensor], pool: Any | None = None
    ) -> None:
        self._work = work
        self._inputs = [example.clone() for example in examples]
        self._graph: torch.cuda.CUDAGraph | None = None
        self._results: tuple[Tensor, ...] = ()
        if self._inputs[0].is_cuda:
            try:
                self._record(pool)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise torch.OutOfMemoryError("CUDA out of memory while a graph was recorded.") from error
                log.warning("CUDA graph not recorded, drawing without it: %s", str(error).splitlines()[0])
                self._graph, self._results = None, ()

    @property
    def recorded(self) -> bool:
        return self._graph is not None

    def _record(self, pool: Any | None) -> None:
        ours = torch.cuda.current_stream()
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(ours)
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                self._work(*self._inputs)
        ours.wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        try:
            with _no_garbage(), torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
                self._results = self._work(*self._inputs)
        except BaseException:
            torch.cuda.set_stream(ours)  # a recording that fails leaves its own stream in use
            raise
        self._graph = graph

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """The results; the next call may write over them. Inputs may be on the host, best in pinned memory."""
        if self._graph is None:
            device = self._inputs[0].device
            return self._work(*(new.to(device, non_blocking=True) for new in inputs))
        for mine, new in zip(self._inputs, inputs, strict=True):
            mine.copy_(new, non_blocking=True)
        self._graph.replay()
        return self._results


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Nothing is collected inside: an old graph or tensor that is freed while another one is recorded spoils it."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
