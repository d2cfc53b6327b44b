"""A full memory is told from a lost GPU, whatever the words, and a failed try leaves nothing behind."""

from __future__ import annotations

import weakref

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")
pytest.importorskip("diffusers", reason="diffusers is not installed: pip install '.[gpu]'")

from faceshot.animators.gpu_faults import is_out_of_memory  # noqa: E402
from faceshot.animators.svd.live_engine import faults_are_said  # noqa: E402
from faceshot.errors import OutOfMemory  # noqa: E402


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_a_full_memory_in_the_words_of_the_libraries_is_no_lost_gpu(text: str) -> None:
    with pytest.raises(OutOfMemory), faults_are_said():
        raise RuntimeError(text)
    assert not is_out_of_memory(RuntimeError("CUDA error: unspecified launch failure"))


class Big:
    """As a tensor that a failed function holds."""


def test_what_a_failed_chunk_held_is_free_before_the_next_try() -> None:
    held: list[weakref.ref[Big]] = []

    def draw() -> None:
        big = Big()
        held.append(weakref.ref(big))
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(OutOfMemory), faults_are_said():
        draw()
    assert held[0]() is None
