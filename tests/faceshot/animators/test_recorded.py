"""A recorded function gives what calling it gives; without CUDA it is called."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")

from faceshot.animators.recorded import Recorded  # noqa: E402


def test_without_cuda_it_is_called() -> None:
    calls = []

    def work(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        calls.append(1)
        return (2 * x,)

    recorded = Recorded(work, [torch.zeros(3)])
    assert not recorded.recorded and not calls
    assert recorded(torch.ones(3))[0].tolist() == [2, 2, 2]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_replay_equals_the_call_and_carries_its_state() -> None:
    device = torch.device("cuda")
    state = torch.zeros(4, device=device)

    def work(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        made = torch.sin(x) + 0.5 * state
        state.copy_(made)
        return (made * 2,)

    def play(call) -> list[list[float]]:  # type: ignore[no-untyped-def]
        state.zero_()
        return [call(torch.full((4,), float(i)).pin_memory())[0].tolist() for i in range(5)]

    recorded = Recorded(work, [torch.zeros(4, device=device)], torch.cuda.graph_pool_handle())
    assert recorded.recorded
    assert play(recorded) == pytest.approx(play(lambda x: work(x.to(device))))
