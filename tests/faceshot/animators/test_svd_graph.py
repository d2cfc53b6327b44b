"""What a chunk must be so that it can be a CUDA graph, proven without CUDA: it asks for nothing, and the same list of
operations, carried out again on the same memory, is the next chunk. And what is done when recording fails."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")
pytest.importorskip("diffusers", reason="diffusers is not installed: pip install '.[gpu]'")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from faceshot.animators import recorded  # noqa: E402
from faceshot.animators.recorded import Recorded  # noqa: E402
from faceshot.animators.svd import live_engine  # noqa: E402
from faceshot.animators.svd.checkpoints import load_models  # noqa: E402
from faceshot.animators.svd.chunk import ChunkStage, coefficients  # noqa: E402
from faceshot.animators.svd.live_engine import LiveEngine  # noqa: E402
from faceshot.animators.svd.live_settings import LiveSettings  # noqa: E402
from faceshot.animators.svd.scene import make_scene  # noqa: E402
from faceshot.animators.svd.taesdv import load_decoder  # noqa: E402
from faceshot.character import open_character, resize  # noqa: E402
from tests.tiny_svd import tiny_svd_models  # noqa: E402

WARM = coefficients((4.353, 0.497))


@pytest.fixture(scope="module", autouse=True)
def no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


def a_stage(dtype: torch.dtype = torch.float32) -> ChunkStage:
    folder, settings = tiny_svd_models(), LiveSettings(size=64)
    engine = LiveEngine(load_models(folder, dtype=dtype, fast=True), load_decoder(folder))
    character = resize(open_character("mika"), 96)
    return ChunkStage(make_scene(character, engine.models, 64), engine, settings)


@pytest.fixture(scope="module")
def stage() -> ChunkStage:
    return a_stage()


def moved(stage: ChunkStage, n: int) -> list[torch.Tensor]:
    """Inputs of the n-th chunk: the face goes to the right."""
    points = np.stack([stage.scene.points_xy + np.float32([0.4 * (4 * n + i), 0]) for i in range(4)])
    return [*stage.inputs(points), WARM, torch.tensor([0.5])]


class Tape(TorchDispatchMode):
    """Writes down every operation with the memory it reads and writes, as a CUDA graph does."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        self.rows.append((func, args, kwargs or {}, out))
        return out

    def replay(self) -> None:
        """No line of Python of the chunk runs here: only its operations, on the memory of the first time."""
        for func, args, kwargs, out in self.rows:
            again = func(*args, **kwargs)
            pairs = zip(again, out, strict=True) if isinstance(out, tuple | list) else [(again, out)]
            for new, old in pairs:
                if isinstance(new, torch.Tensor) and new.data_ptr() != old.data_ptr():
                    old.copy_(new)


def test_carrying_out_the_same_operations_again_is_the_next_chunk(stage: ChunkStage) -> None:
    stage.reset()
    eager = [[part.clone() for part in stage.run(*moved(stage, n))] for n in range(2)]
    known = stage._known.clone()
    stage.reset()
    inputs = [part.clone() for part in moved(stage, 7)]
    with Tape() as tape:
        results = stage.run(*inputs)
    stage.reset()
    for n, wanted in enumerate(eager):
        for mine, new in zip(inputs, moved(stage, n), strict=True):
            mine.copy_(new)
        tape.replay()
        assert bool(results[1])
        assert torch.equal(results[0], wanted[0]), f"chunk {n}"
    assert torch.equal(stage._known, known)
    assert not torch.equal(eager[0][0], eager[1][0]), "and they differ"


WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "index.Tensor", "is_nonzero", "equal.default")


def test_nothing_in_a_chunk_waits_for_the_device_or_comes_from_the_host(stage: ChunkStage) -> None:
    """Each of these would stop a recording: reading a number, choosing by one, and numbers made of Python's."""
    inputs = moved(stage, 0)
    with Tape() as tape:
        stage.run(*inputs)
    assert len(tape.rows) > 1000
    for func, _, kwargs, _ in tape.rows:
        name = str(func)
        assert not any(wait in name for wait in WAITS), name
        assert "lift_fresh" not in name, "a tensor made of a list is an upload"
        assert "randn" not in name and "rand_like" not in name and "bernoulli" not in name, "noise is a slot's own"
        if "_to_copy" in name:
            assert kwargs.get("device") in (None, stage.scene.first.device)


def test_an_operation_that_waits_is_seen() -> None:
    with Tape() as tape:
        float(torch.ones(1) + 1)
    assert any("_local_scalar_dense" in str(func) for func, *_ in tape.rows)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_chunk_in_half_precision(dtype: torch.dtype) -> None:
    """As on a GPU: every layer gets the numbers it was made for, and what outlives a chunk stays single."""
    stage = a_stage(dtype)
    rgba, healthy = stage.run(*moved(stage, 0))
    assert bool(healthy) and rgba.dtype == torch.uint8 and rgba.shape == (4, 64, 64, 4)
    assert stage._known.dtype == torch.float32 and stage._past.warped[0].dtype == dtype


# When recording fails


class _Cuda:
    """Streams and graphs that only note what is done with them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, fails: Exception | None) -> None:
        self.current = self.ours = SimpleNamespace(wait_stream=lambda other: None)
        self.collecting: list[bool] = []
        cuda = self

        @contextmanager
        def graph(graph: Any, pool: Any, capture_error_mode: str) -> Iterator[None]:
            cuda.current = SimpleNamespace(name="of the recording")
            cuda.collecting.append(gc.isenabled())
            yield
            if fails is not None:  # as `capture_end` does, before the stream is put back
                raise fails
            cuda.current = cuda.ours

        @contextmanager
        def stream(side: Any) -> Iterator[None]:
            yield

        cuda_api = {
            "current_stream": lambda: cuda.current,
            "set_stream": lambda one: setattr(cuda, "current", one),
            "Stream": lambda: SimpleNamespace(wait_stream=lambda other: None),
            "stream": stream,
            "CUDAGraph": lambda: SimpleNamespace(replay=lambda: None),
            "graph": graph,
        }
        for name, stand_in in cuda_api.items():
            monkeypatch.setattr(torch.cuda, name, stand_in)


class _OnCuda:
    is_cuda, device = True, torch.device("cpu")

    def clone(self) -> _OnCuda:
        return self


def test_a_recording_that_fails_leaves_no_stream_behind_and_is_drawn_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cuda = _Cuda(monkeypatch, RuntimeError("CUDA error: operation failed due to a previous error during capture"))
    calls: list[object] = []
    made = Recorded(lambda *inputs: calls.append(inputs) or (torch.ones(1),), [_OnCuda()])  # type: ignore[func-returns-value,list-item]
    assert not made.recorded and cuda.current is cuda.ours
    assert cuda.collecting == [False] and gc.isenabled()
    assert "not recorded, drawing without it: CUDA error" in caplog.text
    assert len(calls) == recorded.WARM_UPS + 1
    assert made(torch.zeros(1))[0].tolist() == [1] and len(calls) == recorded.WARM_UPS + 2


def test_a_recording_that_works_is_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = _Cuda(monkeypatch, None)
    made = Recorded(lambda one: (torch.ones(1),), [_OnCuda()])  # type: ignore[list-item]
    assert made.recorded and cuda.current is cuda.ours


def test_memory_that_fills_up_while_recording_is_no_failed_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch then says that the recording is invalid; what came before tells why."""
    invalid = RuntimeError("CUDA error: operation failed due to a previous error during capture")
    invalid.__context__ = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
    _Cuda(monkeypatch, invalid)
    with pytest.raises(torch.OutOfMemoryError):
        Recorded(lambda one: (torch.ones(1),), [_OnCuda()])  # type: ignore[list-item]


def test_a_card_that_only_pretends_to_know_bf16_computes_in_fp16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for native, wanted in ((True, torch.bfloat16), (False, torch.float16)):
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda including_emulation=True, n=native: including_emulation or n
        )
        assert live_engine.placed(LiveSettings()) == (torch.device("cuda"), wanted)
    assert live_engine.placed(LiveSettings(precision="fp32"))[1] == torch.float32
