"""The live SVD animator on small random networks: what a chunk is, what it remembers, when it begins anew, what it does
when something is wrong. What it draws is noise; how well real weights draw is not known here."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")
pytest.importorskip("diffusers", reason="diffusers is not installed: pip install '.[gpu]'")

from faceshot.animators import Gradual, Rung  # noqa: E402
from faceshot.animators.svd import live_engine, live_settings  # noqa: E402
from faceshot.animators.svd.live_engine import open_engine  # noqa: E402
from faceshot.animators.svd.live_settings import LiveSettings  # noqa: E402
from faceshot.animators.svd_window import SvdWindowAnimator  # noqa: E402
from faceshot.character import open_character, resize  # noqa: E402
from faceshot.errors import DeviceError, OutOfMemory, ShapeError, WeightsMissing  # noqa: E402
from faceshot.retarget import face_width  # noqa: E402
from faceshot.types import Character, Drive, Rendered  # noqa: E402
from tests.tiny_svd import tiny_svd_models  # noqa: E402

SMALL = LiveSettings(size=64, start_sigmas=(700.0, 13.7))


@pytest.fixture(scope="module")
def weights() -> Path:
    return tiny_svd_models()


@pytest.fixture(scope="module")
def who() -> Character:
    return resize(open_character("mika"), 96)


@pytest.fixture(scope="module")
def shared(weights: Path, who: Character) -> Iterator[SvdWindowAnimator]:
    """One animator for most tests: loading takes longer than drawing."""
    animator = SvdWindowAnimator(SMALL, weights)
    animator.load(who)
    yield animator
    animator.close()


@pytest.fixture
def animator(shared: SvdWindowAnimator) -> SvdWindowAnimator:
    shared.take_rung(0)
    shared.reset()
    shared.anchors, shared.beyond_reach = [0, 0], 0
    return shared


@pytest.fixture
def kept(animator: SvdWindowAnimator, monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, float]]:
    """What is asked of the drawing, which is left out: whether it begins anew, and the share of the last frame."""
    asked: list[tuple[bool, float]] = []

    def draw(way: object, points_xy: np.ndarray, begins: bool, share: float) -> tuple[np.ndarray, bool]:
        asked.append((begins, share))
        return np.zeros((len(points_xy), 64, 64, 4), np.uint8), True

    monkeypatch.setattr(animator._at(64), "draw", draw)
    return asked


def drives(who: Character, shifts: Sequence[float], **what: object) -> list[Drive]:
    """The character's face, moved sideways by so many face widths."""
    still = Drive.neutral(who)
    step = face_width(who.points_xy)
    return [replace(still, points_xy=still.points_xy + np.float32([shift * step, 0]), **what) for shift in shifts]


CALM = [0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07]


def chunks(animator: SvdWindowAnimator, all_drives: Sequence[Drive]) -> list[Rendered]:
    """Pictures of all drives, in windows as the pipeline makes them."""
    made = []
    while len(made) < len(all_drives):
        end = len(made) + animator.window.stride
        made += animator.render(all_drives[max(0, end - animator.window.size) : end])
    return made


def same(one: Sequence[Rendered], other: Sequence[Rendered]) -> bool:
    return all(np.array_equal(a.rgba, b.rgba) for a, b in zip(one, other, strict=True))


def test_a_window_brings_four_pictures_of_the_characters_size(animator: SvdWindowAnimator, who: Character) -> None:
    assert tuple(animator.window) == (8, 4, 3)
    assert isinstance(animator, Gradual)
    pictures = animator.render(drives(who, CALM[:4]))
    assert [picture.size_wh for picture in pictures] == [who.size_wh] * 4
    colours = pictures[0].rgba[pictures[0].rgba[..., 3] > 0][:, :3]
    assert 20 < colours.mean() < 235, "something is drawn"


def test_the_outline_moves_with_the_landmarks_and_nothing_is_drawn_around_it(
    animator: SvdWindowAnimator, who: Character
) -> None:
    pictures = chunks(animator, drives(who, CALM))
    own = who.rgba[..., 3]
    for picture in pictures:
        alpha = picture.rgba[..., 3]
        assert alpha[own == 0].mean() < 30, "outside stays transparent"
        assert alpha[own == 255].mean() > 200, "inside stays opaque"


def test_an_opaque_character_stays_opaque(weights: Path, who: Character) -> None:
    rgba = who.rgba.copy()
    rgba[..., 3] = 255
    animator = SvdWindowAnimator(SMALL, weights)
    animator.load(replace(who, rgba=rgba))
    assert all(picture.rgba[..., 3].min() == 255 for picture in animator.render(drives(who, CALM[:4])))
    animator.close()


def test_pictures_do_not_depend_on_when_a_frame_arrives(animator: SvdWindowAnimator, who: Character) -> None:
    """The same frames, slow or fast, evenly or not, give the same pictures to the byte."""
    rng = np.random.default_rng(0)
    frames = drives(who, CALM)
    first = chunks(animator, frames)
    latents = animator._at(64).stage._known.clone()
    animator.reset()
    other = [replace(drive, dt_s=float(rng.uniform(0.001, 0.25)), breath=0.0) for drive in frames]
    assert same(first, chunks(animator, other))
    assert torch.equal(animator._at(64).stage._known, latents)
    animator.reset()
    chunks(animator, drives(who, CALM[::-1]))
    assert not torch.equal(animator._at(64).stage._known, latents), "on what arrives they do depend"


def test_a_chunk_continues_the_one_before(animator: SvdWindowAnimator, who: Character) -> None:
    frames = drives(who, CALM)
    chunks(animator, frames)
    continued = animator._at(64).stage._known.clone()
    animator.reset()
    animator.render(frames[4:])
    assert not torch.equal(animator._at(64).stage._known, continued)
    assert animator.anchors == [2, 0]


@pytest.mark.parametrize(
    ("name", "shifts", "begins"),
    [
        ("calm", CALM, 1),
        ("a jump between two chunks", [*CALM[:4], 0.6, 0.6, 0.6, 0.6], 2),
        ("a jump inside of a chunk", [*CALM[:4], 0.04, 0.04, 0.6, 0.6], 2),
    ],
)
def test_a_jump_begins_anew(
    animator: SvdWindowAnimator, who: Character, kept: object, name: str, shifts: list[float], begins: int
) -> None:
    chunks(animator, drives(who, shifts))
    assert animator.anchors == [begins, 0], name


@pytest.mark.parametrize(("lost", "begins"), [(1, 1), (3, 1), (4, 2), (7, 2)])
def test_a_face_that_was_away_begins_anew(
    animator: SvdWindowAnimator, who: Character, kept: list[tuple[bool, float]], lost: int, begins: int
) -> None:
    seen = [True] * 5 + [False] * lost + [True] * (15 - lost)
    chunks(animator, [replace(drive, found=found) for drive, found in zip(drives(who, [0.0] * 20), seen, strict=True)])
    assert sum(begin for begin, _ in kept) == begins


def test_every_so_many_frames_one_window_is_guessed_from_the_reference_alone(
    animator: SvdWindowAnimator, who: Character, kept: list[tuple[bool, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(animator, "settings", replace(SMALL, anchor_every=8))
    chunks(animator, drives(who, [0.0] * 28))
    assert kept == [(True, 0.5), (False, 0.5), (False, 0.5), (False, 0.0), (False, 0.5), (False, 0.5), (False, 0.0)]
    assert animator.anchors == [1, 2]


def test_landmarks_beyond_the_reach_of_the_flow_are_counted_and_said_once(
    animator: SvdWindowAnimator, who: Character, kept: object, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        animator.render(drives(who, [0.9] * 4))
    assert animator.beyond_reach == 2 * 4 * len(animator._at(64).stage.scene.hints.motion(who.points_xy[None])[0])
    assert len([r for r in caplog.records if "further than the flow can say" in r.message]) == 1


def test_what_is_drawn_does_not_grow(animator: SvdWindowAnimator, who: Character) -> None:
    def tensors() -> int:
        gc.collect()
        return sum(issubclass(type(thing), torch.Tensor) for thing in gc.get_objects())

    frames = drives(who, CALM[:4])
    animator.render(frames)
    animator.render(frames)
    before = tensors()
    for _ in range(3):
        animator.render(frames)
    assert tensors() == before


# Worse, but in time


def test_rungs_change_steps_size_and_rate_and_the_motion_goes_on(
    weights: Path, who: Character, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_settings, "_SIZES", (64,))
    animator = SvdWindowAnimator(replace(SMALL, size=128), weights)
    animator.load(who)
    assert [rung.name for rung in animator.rungs] == [
        "2 steps at 128 px",
        "1 step at 128 px",
        "1 step at 64 px",
        "1 step at 64 px, every other frame",
    ]
    assert all(isinstance(rung, Rung) for rung in animator.rungs)
    still = drives(who, [0.02] * 8)
    animator.render(still[:4])
    animator.take_rung(1)
    assert len(animator.render(still)) == 4
    large = animator._at(128).stage
    animator.take_rung(2)
    small = animator._at(64).stage
    assert torch.allclose(
        small._known[1:],
        torch.nn.functional.interpolate(large._known[1:], (8, 8), mode="bilinear", align_corners=False),
    ), "its past is that of the larger one"
    assert [picture.size_wh for picture in animator.render(still)] == [who.size_wh] * 4
    assert animator.anchors == [1, 0], "nothing began anew"
    animator.take_rung(3)
    assert tuple(animator.window) == (12, 8, 7)
    made = animator.render(drives(who, CALM))
    assert len(made) == 8
    between = (made[1].rgba[..., 3].astype(int) + made[3].rgba[..., 3] + 1) // 2
    assert np.array_equal(made[2].rgba[..., 3], between), "every other one is blended"
    animator.close()


# Bad input and faults


def test_missing_weights_are_named_with_the_command(tmp_path: Path, weights: Path, who: Character) -> None:
    with pytest.raises(WeightsMissing) as missing:
        SvdWindowAnimator(SMALL, tmp_path).load(who)
    assert "faceshot models pull svd" in missing.value.hint


def test_without_the_fast_unet_it_draws_and_says_so(weights: Path, tmp_path: Path, who: Character) -> None:
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(weights, folder)
    shutil.rmtree(folder / "AnimateLCM-SVD-xt")
    animator = SvdWindowAnimator(SMALL, folder)
    animator.load(who)
    assert animator.note is not None and "models pull svd-fast" in animator.note
    assert len(animator.render(drives(who, CALM[:4]))) == 4
    animator.close()


def test_published_weights_on_a_cpu_are_refused_before_they_are_read(
    weights: Path, who: Character, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_engine, "_SLOW_ON_A_CPU", 1000)
    monkeypatch.setattr(live_engine, "_ENGINES", {})
    monkeypatch.setattr(live_engine, "load_models", lambda *a, **k: pytest.fail("read"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="needs a CUDA GPU") as refused:
        SvdWindowAnimator(SMALL, weights).load(who)
    assert "faceshot render" in refused.value.hint


def test_a_device_that_is_not_there_is_said(weights: Path, who: Character, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="finds no CUDA device"):
        open_engine(weights, replace(SMALL, device="cuda"))


def test_rendering_before_loading_is_a_clear_mistake() -> None:
    with pytest.raises(ShapeError, match="load"):
        SvdWindowAnimator(SMALL).render([])


def test_a_chunk_of_nan_is_drawn_again_from_the_beginning(
    animator: SvdWindowAnimator, who: Character, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = animator._at(64).stage
    frames = drives(who, CALM)
    animator.render(frames[:4])
    stage._known[2] = float("nan")
    made = animator.render(frames)
    assert all(picture.rgba[..., :3].max() > 0 for picture in made)
    assert torch.isfinite(stage._known).all()


def test_an_animator_that_draws_nothing_but_black_gives_up(
    animator: SvdWindowAnimator, who: Character, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunks = animator._at(64)
    monkeypatch.setattr(chunks, "draw", lambda *a: (np.zeros((4, 64, 64, 4), np.uint8), False))
    with pytest.raises(DeviceError, match="NaN or black"):
        animator.render(drives(who, CALM[:4]))


def test_a_full_memory_in_the_middle_of_a_show_has_its_own_error(
    animator: SvdWindowAnimator, who: Character, monkeypatch: pytest.MonkeyPatch
) -> None:
    animator.render(drives(who, CALM[:4]))

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 MiB")

    monkeypatch.setattr(animator._at(64), "draw", full)
    with pytest.raises(OutOfMemory):
        animator.render(drives(who, CALM))


def test_another_character_is_drawn_by_the_same_networks(
    animator: SvdWindowAnimator, weights: Path, who: Character
) -> None:
    """And what one character is attended to as does not reach the other."""
    frames = drives(who, CALM)
    wanted = chunks(animator, frames)
    animator.reset()
    first = animator.render(frames[:4])
    other = SvdWindowAnimator(SMALL, weights)
    someone = resize(open_character("miso"), 96)
    other.load(someone)
    assert other._engine is animator._engine
    other.render(drives(someone, CALM[:4]))
    assert same(first + animator.render(frames), wanted)
    other.close()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_a_replayed_chunk_equals_an_eager_one(weights: Path, who: Character) -> None:
    animator = SvdWindowAnimator(replace(SMALL, precision="fp32"), weights)
    animator.load(who)
    drawing = animator._at(64)
    assert drawing.recorded
    frames = drives(who, CALM)
    replayed = chunks(animator, frames)
    for recorded in drawing._recorded.values():
        recorded._graph = None
    animator.reset()
    eager = chunks(animator, frames)
    for one, two in zip(replayed, eager, strict=True):
        assert np.abs(one.rgba.astype(int) - two.rgba).max() <= 2
    animator.close()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_nothing_in_a_chunk_waits_for_the_gpu(weights: Path, who: Character) -> None:
    animator = SvdWindowAnimator(SMALL, weights)
    animator.load(who)
    stage = animator._at(64).stage
    motion, canvas = stage.inputs(np.repeat(stage.scene.points_xy[None], 4, 0))
    device = stage.scene.first.device
    inputs = [part.to(device) for part in (motion, canvas, animator._at(64)._start, torch.zeros(1))]
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.no_grad():
            stage.run(*inputs)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    animator.close()
