"""Live SVD through the whole pipeline, in virtual time, on small random networks: pacing, faults, and what is said."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from faceshot.animators import Window
from faceshot.animators.warp import WarpAnimator
from faceshot.character import open_character, resize
from faceshot.errors import WeightsMissing
from live.build import Loading, build_animator, build_show, check_animator
from live.clock import LoopClock
from live.config import Config, load_config
from live.errors import ConfigError
from live.show import Show
from tests.fakes import CAMERA_COLOUR, CostlyAnimator, MemorySink, ScriptedSource, a_character, a_face, a_show
from tests.tiny_svd import tiny_svd_models

torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")
pytest.importorskip("diffusers", reason="diffusers is not installed: pip install '.[gpu]'")


@pytest.fixture(scope="module")
def weights() -> Path:
    return tiny_svd_models()


def config(weights: Path, *sets: str) -> Config:
    chosen = ["animator.kind=svd", "animator.svd.live.size=64", *sets]
    return load_config(sets=chosen, options={"models.folder": weights})


def a_svd_show(clock: LoopClock, weights: Path, sink: MemorySink, spoil=lambda animator: None) -> Show:  # type: ignore[no-untyped-def]
    def make():  # type: ignore[no-untyped-def]
        quick = ["animator.svd.live.steps=1", "animator.svd.live.start_sigmas=[700.0]"]
        animator = build_animator("svd", config(weights, *quick))
        spoil(animator)
        return animator

    faces = [a_face(0.5 + 0.5 * float(np.sin(i / 3))) for i in range(40)]
    return a_show(
        clock,
        {"cam": lambda: ScriptedSource(clock, fps=25, states=faces)},
        [sink],
        sets=["animator.kind=svd"],
        make_animator=make,
        make_fallback=WarpAnimator,
        characters={"dot": resize(open_character("mika"), 96)},
        costs_ms={"render": 80},
    )


@pytest.mark.slow
def test_a_show_is_drawn_in_chunks_and_shown_on_a_fixed_clock(virtual, weights: Path) -> None:
    async def main() -> None:
        clock = LoopClock()
        sink = MemorySink(clock, edge="lossless")
        show = a_svd_show(clock, weights, sink)
        await show.run(1.4)
        drawn = [(t, p) for t, p in zip(sink.times_ns, sink.packets, strict=True) if "render" in p.stages_ns][12:-4]
        assert len(drawn) >= 12
        assert np.diff([t / 1e6 for t, _ in drawn]) == pytest.approx(40, abs=0.01)
        assert {(t - p.t_capture_ns) / 1e6 for t, p in drawn} == {200.0}
        for _, packet in drawn:
            rgba = packet.value.rgba
            assert rgba.shape == (96, 96, 4)
            assert rgba[0, 0, 3] < 128 < rgba[48, 48, 3], "cut out as the character is"
            assert (rgba[..., :3] == CAMERA_COLOUR).all(2).mean() < 0.01
        assert show.state()["message"] is None

    virtual(main())


@pytest.mark.slow
def test_when_the_gpu_is_lost_warp_takes_over_within_the_chunk_and_says_so(virtual, weights: Path) -> None:
    async def main() -> None:
        clock = LoopClock()
        sink = MemorySink(clock, edge="lossless")

        def spoil(animator) -> None:  # type: ignore[no-untyped-def]
            render = animator.render

            def lost(drives):  # type: ignore[no-untyped-def]
                if animator.anchors[0] and clock.now_ns() > 1_000_000_000:
                    animator._at(64).draw = broken
                return render(drives)

            animator.render = lost

        def broken(*_: object) -> None:
            raise RuntimeError("CUDA error: unspecified launch failure")

        show = a_svd_show(clock, weights, sink, spoil)
        await show.run(2)
        gaps = np.diff([t / 1e6 for t in sink.times_ns])[-20:]
        assert gaps.max() < 81, "no frame of the chunk is missing"
        message = show.state()["message"]
        assert "drawing with warp instead" in message and "The GPU was lost: CUDA error" in message

    virtual(main())


def test_a_ten_minute_show_of_chunks_does_not_grow(virtual) -> None:
    async def main() -> None:
        clock = LoopClock()
        show = a_show(
            clock,
            {"cam": lambda: ScriptedSource(clock, fps=6)},
            [MemorySink(clock)],
            sets=["output.fps=6"],
            make_animator=lambda: CostlyAnimator(window=Window(8, 4, 3)),
            characters={"dot": a_character(size_wh=(8, 8))},
            costs_ms={"render": 400},
        )
        running = asyncio.ensure_future(show.run(600))
        blocks = []
        for second in (360, 595):
            await clock.sleep_until_ns(second * 1_000_000_000)
            gc.collect()
            blocks.append(sys.getallocatedblocks())
        await running
        assert blocks[1] - blocks[0] < 1000
        assert show.stats.frames_out > 3400

    virtual(main())


@pytest.mark.parametrize(
    ("missing", "kind"),
    [("taesdv/taesdv.pth", "svd-fast"), ("MOFA-Video-Hybrid/ckpts/mofa/ldmk_controlnet", "svd")],
)
def test_a_missing_file_is_named_before_anything_starts(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, kind: str
) -> None:
    import shutil

    folder = tmp_path / "models"
    shutil.copytree(weights, folder)
    (shutil.rmtree if (folder / missing).is_dir() else Path.unlink)(folder / missing)
    with pytest.raises(WeightsMissing) as named:
        check_animator(config(folder), live=True)
    assert missing in named.value.message
    assert f"faceshot models pull {kind}" in named.value.hint


def test_a_show_that_does_not_follow_the_clock_is_for_films(weights: Path) -> None:
    with pytest.raises(ConfigError, match="realtime is false") as refused:
        check_animator(config(weights, "source.realtime=false"), live=True)
    assert "faceshot render" in refused.value.hint
    check_animator(config(weights), live=True)


def test_without_torch_the_pip_line_is_said(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "torch" else there(name, *a))
    for call in (
        lambda: build_animator("svd", config(weights)),
        lambda: check_animator(config(weights), live=True),
    ):
        with pytest.raises(Exception, match="torch") as refused:
            call()
        assert "pip install" in str(refused.value)


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (["animator.svd.live.window=4", "animator.svd.live.stride=3"], "stride 3 leaves no past in a window of 4"),
        (["animator.svd.live.sigmas=[0.5, 4.0]"], "each must be smaller than the one before"),
        (["animator.svd.live.start_sigmas=[900.0]"], "each must be 0.002 to 700"),
        (["animator.svd.live.size=500"], "multiple of 64"),
        (["animator.svd.live.steps=3"], "1, 2 or 4"),
        (["animator.svd.live.sizes=512"], "Did you mean animator.svd.live.size"),
    ],
)
def test_settings_that_cannot_be_are_named(weights: Path, sets: list[str], says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        config(weights, *sets)
    assert says in str(refused.value) and "animator.svd.live" in str(refused.value)


def test_the_config_file_is_the_default_written_out() -> None:
    file = Path(__file__).resolve().parents[2] / "configs" / "svd_window.toml"
    from faceshot.animators.svd.consistency import few_sigmas, warm_sigmas

    live = load_config(file).animator.svd.live
    plain = Config().animator.svd.live
    assert live.sigmas == pytest.approx(warm_sigmas(2), rel=1e-3)
    assert live.start_sigmas == pytest.approx(few_sigmas(4), rel=1e-3)
    assert live.model_copy(update={"sigmas": (), "start_sigmas": ()}) == plain


def test_what_is_loaded_is_said_and_then_nothing() -> None:
    loading = Loading("svd")
    assert loading.text is None
    loading.tell("UNet", 0, 5)
    assert loading.text == "Loading svd, 1 of 5: UNet"
    loading.tell("the drawing code", 0, 1)
    assert loading.text == "Loading svd: the drawing code"
    loading.tell("ready", 5, 5)
    assert loading.text is None


def test_a_show_of_svd_is_built(virtual, weights: Path) -> None:
    async def main() -> None:
        show = build_show(config(weights, "server.enabled=false"))
        assert show.config.animator.kind == "svd"
        await show._load_worker.close()

    virtual(main())
