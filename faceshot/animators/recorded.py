"""A function of tensors, recorded once as a CUDA graph: what a small window costs a host in launches is paid once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["Recorded"]

log = logging.getLogger(__name__)


class Recorded:
    """A function of tensors, recorded once as a CUDA graph and replayed; elsewhere, or when recording fails, called.

    Args:
        work: writes nothing but its own state and results, allocates the same each time, reads nothing back.
        examples: inputs of the shapes to come; they are overwritten by every call.
        pool: memory that graphs share which are never in use at the same time, see `torch.cuda.graph_pool_handle`;
            results are then only good until another of them is called.
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
            except torch.OutOfMemoryError:
                raise  # without a graph it would need as much
            except RuntimeError as error:
                log.warning("CUDA graph not recorded, drawing without it: %s", str(error).splitlines()[0])
                self._graph = None

    @property
    def recorded(self) -> bool:
        return self._graph is not None

    def _record(self, pool: Any | None) -> None:
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # cuDNN chooses its algorithms before, not while, it is recorded
            for _ in range(3):
                self._work(*self._inputs)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
            self._results = self._work(*self._inputs)
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
