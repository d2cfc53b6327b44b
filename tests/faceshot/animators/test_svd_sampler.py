"""Windows, noise levels and the wave in which a clip is denoised: the published result in bounded memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")

from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d  # noqa: E402

from faceshot.animators.svd.sampler import (  # noqa: E402
    Schedule,
    WindowSampler,
    euler_step,
    guided,
    schedule_of,
)
from faceshot.animators.svd.tiny import SCHEDULER  # noqa: E402
from faceshot.animators.svd.windows import guidance_ramp, guided_clip_length, triangle, units, views  # noqa: E402
from tests.faceshot.animators.svd_golden import Golden  # noqa: E402

Denoise = Callable[[torch.Tensor, int, tuple[int, ...]], torch.Tensor]


@pytest.mark.parametrize(
    ("frames", "table"),
    [
        (25, [(1, 25)]),
        (26, [(1, 25), (2, 26)]),
        (36, [(1, 25), (12, 36)]),
        (37, [(1, 25), (13, 37)]),
        (122, [*((1 + 12 * i, 25 + 12 * i) for i in range(9)), (98, 122)]),
    ],
)
def test_window_table(frames: int, table: list[tuple[int, int]]) -> None:
    assert views(frames) == table


def test_windows_are_the_published_ones_once_each(shared_golden: Path) -> None:
    golden = json.loads((shared_golden / "mofa" / "schedule_windows.json").read_text())
    for frames, table in golden["windows"]["views"].items():
        if frames.isdigit():
            assert views(int(frames)) == list(dict.fromkeys(tuple(view) for view in table))
    for most in ("7.5", "3", "2.5"):
        assert guidance_ramp(float(most)).tolist() == pytest.approx(golden["guidance_ramp"][f"max_{most}"], rel=1e-5)


def test_noise_levels_as_published(shared_golden: Path) -> None:
    golden = json.loads((shared_golden / "mofa" / "schedule_windows.json").read_text())
    assert {key: SCHEDULER[key] for key in golden["scheduler_config"]} == golden["scheduler_config"]
    for steps, row in golden["stock_euler"].items():
        schedule = schedule_of(SCHEDULER, int(steps))
        assert schedule.sigmas == pytest.approx(row["sigmas"], rel=1e-5)
        assert schedule.timesteps == pytest.approx(row["timesteps"], rel=1e-5)
        assert schedule.start == pytest.approx(row["init_noise_sigma"], rel=1e-6)


def test_25_karras_steps() -> None:
    schedule = schedule_of(SCHEDULER, 25)
    rho = 7
    ladder = [(700 ** (1 / rho) + i / 24 * (0.002 ** (1 / rho) - 700 ** (1 / rho))) ** rho for i in range(25)]
    assert schedule.sigmas == pytest.approx([*ladder, 0], rel=1e-4)
    assert schedule.timesteps == pytest.approx([0.25 * np.log(s) for s in ladder], abs=1e-4)
    assert schedule.sigmas[:3] == pytest.approx([700, 545.7, 421.6], abs=0.05)


def test_one_step_is_the_stock_schedulers() -> None:
    from diffusers import EulerDiscreteScheduler

    torch.manual_seed(0)
    stock = EulerDiscreteScheduler.from_config(SCHEDULER)
    stock.set_timesteps(6)
    schedule = schedule_of(SCHEDULER, 6)
    latents = torch.randn(3, 4, 5, 5) * schedule.start
    ours = latents
    for step, t in enumerate(stock.timesteps):
        prediction = torch.randn(3, 4, 5, 5)
        assert torch.allclose(stock.scale_model_input(latents, t), latents / (schedule.sigmas[step] ** 2 + 1) ** 0.5)
        latents = stock.step(prediction, t, latents).prev_sample
        ours = euler_step(ours, prediction, *schedule.sigmas[step : step + 2])
        assert torch.allclose(ours, latents, rtol=1e-5, atol=1e-4)


def test_frames_in_the_middle_of_a_window_count_most() -> None:
    weights = triangle(24)
    assert weights.argmax() in (11, 12) and np.allclose(weights, weights[::-1]) and weights.min() > 0
    assert np.allclose(weights[:12] + weights[12:], 1)  # neighbours at stride 12 add up evenly
    assert guided_clip_length(3) == 25 and guided_clip_length(24) == 25 and guided_clip_length(30) == 31


def in_published_order(
    schedule: Schedule, table: Sequence[tuple[int, int]], weights: np.ndarray, noise: torch.Tensor, denoise: Denoise
) -> torch.Tensor:
    """Every window takes step 0, then every window step 1 ..., all latents held."""
    latents = noise * schedule.start
    for step, (sigma, following) in enumerate(zip(schedule.sigmas, schedule.sigmas[1:], strict=False)):
        total, count = torch.zeros_like(latents), torch.zeros(len(latents))
        for i, (start, stop) in enumerate(table):
            numbers = (0, *range(start, stop))
            moved = euler_step(
                latents[list(numbers)],
                denoise(latents[list(numbers)] / (sigma**2 + 1) ** 0.5, step, numbers),
                sigma,
                following,
            )
            if i == 0:
                total[0], count[0] = moved[0], 1
            total[start:stop] += moved[1:] * torch.from_numpy(weights)[:, None, None, None]
            count[start:stop] += torch.from_numpy(weights)
        latents = total / count[:, None, None, None]
    return latents


def through_the_wave(sampler: WindowSampler, denoise: Denoise) -> dict[int, torch.Tensor]:
    out: dict[int, torch.Tensor] = {}
    while sampler.round < sampler.rounds:
        out.update(sampler.advance(denoise))
    return out


def mixing(latents: torch.Tensor, step: int, frames: tuple[int, ...]) -> torch.Tensor:
    """A network in which every frame depends on its place, on its neighbours and on frame 0."""
    place = torch.linspace(0, 1, len(frames))[:, None, None, None]
    return 0.6 * latents + 0.3 * latents.mean(0) + 0.2 * latents[:1] * place + 0.05 * step + 0.01 * frames[1]


@pytest.mark.parametrize("frames", [25, 26, 36, 37, 60, 122])
def test_the_wave_gives_what_the_published_order_gives(frames: int) -> None:
    torch.manual_seed(0)
    schedule, table, weights = schedule_of(SCHEDULER, 5), views(frames), triangle(24)
    noise = torch.randn(frames, 4, 2, 2)
    wanted = in_published_order(schedule, table, weights, noise, mixing)
    got = through_the_wave(WindowSampler(schedule, table, weights, lambda i: noise[i]), mixing)
    assert list(got) == list(range(1, frames))  # in order, each once
    assert torch.allclose(torch.stack(list(got.values())), wanted[1:], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", ["M26_steps4_win25", "M37_steps3_win25", "M13_steps5_win7"])
def test_sampling_as_published(shared_golden: Path, case: str) -> None:
    golden = Golden(shared_golden, "sampler_loop")
    z = golden.group(case)
    schedule = schedule_of(golden.meta["scheduler"], len(z["timesteps"]))
    landmarks, flows = z["lmk"][0], torch.cat([torch.zeros(1, 2, 8, 8), z["flow"][0]])
    seen = adaptive_avg_pool2d(z["clip_in"], 4).mean()
    picture = z["im8"].permute(2, 0, 1)[None].float() / 255 * 2 - 1
    pooled = avg_pool2d(picture + 0.02 * z["noise"], 8)
    known, colours = torch.cat([pooled, pooled[:, :1]], 1), avg_pool2d(picture, 8)
    window = len(z["gs"])

    def toy(latents: torch.Tensor, step: int, frames: tuple[int, ...], held: float) -> torch.Tensor:
        rows = list(frames)
        flow = flows[rows]
        flow[0] = 0
        x = torch.cat([latents, (known * held).expand(len(rows), -1, -1, -1)], 1)
        mid = torch.cat([landmarks[rows], landmarks[rows].sum(1, keepdim=True)], 1)
        mid = mid + 0.1 * torch.cat([flow, -flow], 1) + 0.05 * x[:, :4]
        mid = mid + 0.2 * torch.cat([colours, colours.mean(1, keepdim=True)], 1)
        place = torch.arange(len(rows))[:, None, None, None] / window
        out = 0.6 * x[:, :4] - 0.2 * x[:, 4:] + 0.5 * mid + 0.3 * seen * held + 0.2 * place
        return out + 0.01 * schedule.timesteps[step] + 0.001 * 134.02 + 0.1 * x[:, :4].mean(0, keepdim=True)

    def denoise(latents: torch.Tensor, step: int, frames: tuple[int, ...]) -> torch.Tensor:
        return guided(toy(latents, step, frames, 0), toy(latents, step, frames, 1), z["gs"])

    table = [(start, stop) for start, stop in z["views"].tolist()]
    assert table[: len(views(len(landmarks), window, window // 2))] == views(len(landmarks), window, window // 2)
    # The published average is uniform, and counts a duplicate of the last window twice.
    sampler = WindowSampler(schedule, table, np.ones(window - 1), lambda i: z["lat"][0, i], window // 2)
    got = through_the_wave(sampler, denoise)
    assert float((torch.stack(list(got.values())) - z["out"][0, 1:]).abs().max()) < 5e-5


def test_every_window_takes_every_step_once_and_after_its_neighbours() -> None:
    table, steps = views(122), 25
    done: set[tuple[int, int]] = set()
    for unit in (unit for round_ in units(table, steps) for unit in round_):
        window, step = unit
        start, stop = table[window]
        near = [i for i, (a, b) in enumerate(table) if a < stop and b > start]
        assert step == 0 or all((i, step - 1) in done for i in near)
        assert not any((i, step + 1) in done for i in near)
        assert unit not in done
        done.add(unit)
    assert len(done) == len(table) * steps


def test_ten_minutes_hold_no_more_frames_than_one() -> None:
    """18,000 frames, fewer steps than in earnest, and a network that costs nothing."""
    schedule = schedule_of(SCHEDULER, 3)

    def most_held(frames: int) -> tuple[int, int]:
        sampler = WindowSampler(schedule, views(frames), triangle(24), lambda i: torch.full((4, 1, 1), float(i % 7)))
        held = emitted = 0
        while sampler.round < sampler.rounds:
            emitted += sum(1 for _ in sampler.advance(lambda latents, step, numbers: latents))
            held = max(held, sampler.flying)
        assert emitted == frames - 1 and sampler.flying == 0
        return held, sum(value.numel() for value in sampler.state()[0].values())

    one, ten = most_held(1801), most_held(18_001)
    assert one == ten
    assert one[0] <= 3 * 12 + 24


def test_a_saved_state_goes_on_bit_by_bit() -> None:
    torch.manual_seed(0)
    schedule, table, weights = schedule_of(SCHEDULER, 4), views(62), triangle(24)
    noise = torch.randn(62, 4, 2, 2)
    whole = through_the_wave(WindowSampler(schedule, table, weights, lambda i: noise[i]), mixing)
    for stop in (0, 1, 3, 6):
        first = WindowSampler(schedule, table, weights, lambda i: noise[i])
        out = {}
        for _ in range(stop):
            out.update(first.advance(mixing))
        tensors, numbers = first.state()
        second = WindowSampler(schedule, table, weights, lambda i: noise[i])
        second.restore({key: value.clone() for key, value in tensors.items()}, json.loads(json.dumps(numbers)))
        out.update(through_the_wave(second, mixing))
        assert out.keys() == whole.keys() and all(torch.equal(out[i], whole[i]) for i in whole)
