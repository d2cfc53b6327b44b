"""`faceshot render --animator svd`: films that take long, are never half there, and go on after a stop."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")

from faceshot.animators.svd import quality  # noqa: E402
from faceshot.animators.svd.adapter import Conditions  # noqa: E402
from faceshot.animators.svd.film import Film  # noqa: E402
from faceshot.animators.svd.quality import SvdQuality  # noqa: E402
from faceshot.animators.svd.settings import QualitySettings  # noqa: E402
from faceshot.errors import DeviceError  # noqa: E402
from faceshot.motion_clip import MotionClip, open_clip, write_clip  # noqa: E402
from live.cli import main  # noqa: E402
from live.film import film_folder, render_film  # noqa: E402
from live.render import Report  # noqa: E402
from tests.fakes import ScriptedTracker, a_character  # noqa: E402
from tests.live.videos import decode_rgba, decode_times, write_video  # noqa: E402

QUICK = QualitySettings(device="cpu", size=64, steps=2)
COMMAND = ["--animator", "svd", "--set", "animator.svd.quality.size=64", "--set", "animator.svd.quality.steps=1"]


@pytest.fixture(scope="module")
def painter(tiny_svd: Path) -> SvdQuality:
    return SvdQuality(QUICK, tiny_svd)


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is predicted or decoded: what a film goes through is looked at here, not how it looks."""

    def decoded(models: object, film: Film, start: int) -> np.ndarray:
        latents = film.latents(start, min(start + 8, len(film.points_xy))).numpy()
        return np.kron(latents[:, :3].transpose(0, 2, 3, 1) % 256, np.ones((1, 8, 8, 1))).astype(np.uint8)

    def conditions(scene: quality.Scene, points: np.ndarray) -> Conditions:
        return scene.anchor[[0] * len(points)]

    monkeypatch.setattr(quality.Scene, "conditions", conditions)
    monkeypatch.setattr(quality, "_decoded", decoded)
    monkeypatch.setattr(quality._Denoising, "_denoise", lambda self, latents, step, frames: latents * 0.9)


def go(painter: SvdQuality, drive: Path, out: Path, **options: Any) -> tuple[Report, list[str]]:
    said: list[str] = []
    report = render_film(a_character(), drive, out, lambda: ScriptedTracker(), painter, say=said.append, **options)
    return report, said


def driver(path: Path, frames: int) -> Path:
    return write_video(path, list(range(frames)))


def test_the_real_command_with_a_tiny_model(
    tiny_svd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FACESHOT_MODELS", str(tiny_svd))
    clip = tmp_path / "nod.motion"
    write_clip(MotionClip("nod", 25.0, open_clip("expressions").states[:6], {"licence": "CC0-1.0"}), clip)
    out = tmp_path / "out.webm"
    assert main(["render", "mika", str(clip), "-o", str(out), *COMMAND, "--set", "animator.max_side_px=128"]) == 0
    printed = capsys.readouterr()
    assert "6 frames, 0.2 s; face found in 6" in printed.out
    assert "on the CPU" in printed.err and "Going on" not in printed.err
    drawn = decode_rgba(out)
    assert len(drawn) == 6 and drawn[0].shape[:2] == (128, 128)
    assert drawn[0][..., 3].min() == 0 and drawn[0][..., 3].max() > 250  # mika is cut out, and stays so
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nod.motion", "out.webm"]


@pytest.mark.usefixtures("cheap")
def test_every_frame_at_its_time(painter: SvdQuality, tmp_path: Path) -> None:
    drive = driver(tmp_path / "drive.mp4", 40)
    report, said = go(painter, drive, tmp_path / "out.mp4")
    assert (report.frames, report.with_face) == (40, 40)
    assert decode_times(tmp_path / "out.mp4") == decode_times(drive)
    assert sum("CPU" in text for text in said) == 1 and len(said) == 1


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize("stage", ["denoise", "draw"])
def test_a_stop_leaves_no_output_and_the_same_command_goes_on(painter: SvdQuality, tmp_path: Path, stage: str) -> None:
    drive, out = driver(tmp_path / "drive.mp4", 60), tmp_path / "out.mp4"
    whole, _ = go(painter, drive, tmp_path / "whole.mp4")
    done: list[int] = []

    def stop(at: str, count: int, total: int | None) -> None:
        if at == "denoise":
            done.append(count)
        if at == stage and count >= 6:
            raise KeyboardInterrupt

    said: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        render_film(a_character(), drive, out, lambda: ScriptedTracker(), painter, say=said.append, progress=stop)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["drive.mp4", "out.mp4.film", "whole.mp4"]
    assert "the same command goes on" in said[-1] and str(film_folder(out)) in said[-1]
    before, done[:] = max(done), []
    stage = "never"
    report, said = go(painter, drive, out, progress=stop)
    assert any(text.startswith("Going on") for text in said)
    assert done[0] >= before - 2  # all but the round that was cut short
    assert report == whole and not film_folder(out).exists()
    with av.open(str(out)) as ours, av.open(str(tmp_path / "whole.mp4")) as theirs:
        pairs = zip(ours.decode(video=0), theirs.decode(video=0), strict=True)
        assert all(np.array_equal(a.to_ndarray(), b.to_ndarray()) for a, b in pairs)


@pytest.mark.usefixtures("cheap")
def test_what_takes_long_is_said_once(painter: SvdQuality, tmp_path: Path) -> None:
    ticks = itertools.count(0, 60_000_000_000)  # a minute between two looks at the clock
    _, said = go(painter, driver(tmp_path / "drive.mp4", 60), tmp_path / "out.mp4", now_ns=lambda: next(ticks))
    assert [text for text in said if "to go" in text] == []  # 12 steps are soon done at this pace
    ticks = itertools.count(0, 3_600_000_000_000)
    _, said = go(painter, driver(tmp_path / "d.mp4", 60), tmp_path / "o.mp4", now_ns=lambda: next(ticks))
    (text,) = [text for text in said if "to go" in text]
    assert "hours" in text and "Ctrl-C is safe" in text


@pytest.mark.usefixtures("cheap")
def test_another_drive_begins_anew_and_says_so(painter: SvdQuality, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"

    def stop(at: str, count: int, total: int | None) -> None:
        if at == "draw":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(painter, driver(tmp_path / "a.mp4", 30), out, progress=stop)
    _, said = go(painter, driver(tmp_path / "b.mp4", 31), out)
    assert any("begun anew" in text for text in said)


@pytest.mark.usefixtures("cheap")
def test_out_of_memory_keeps_what_is_done(painter: SvdQuality, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = itertools.count()

    def denoise(self: Any, latents: torch.Tensor, step: int, frames: Any) -> torch.Tensor:
        if next(calls) == 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return latents

    monkeypatch.setattr(quality._Denoising, "_denoise", denoise)
    drive, out = driver(tmp_path / "drive.mp4", 60), tmp_path / "out.mp4"
    with pytest.raises(DeviceError, match="ran out of memory") as caught:
        go(painter, drive, out)
    assert "What is done is kept" in caught.value.hint
    _, said = go(painter, drive, out)
    assert any(text.startswith("Going on") for text in said)


def refusal(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) != 0
    printed = capsys.readouterr()
    assert "Traceback" not in printed.err and len(printed.err.strip().splitlines()) <= 3
    return printed.err


def test_bad_requests(
    tiny_svd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    command = ["render", "mika", "talking", "-o", str(tmp_path / "o.mp4"), *COMMAND]
    monkeypatch.setenv("FACESHOT_MODELS", str(tmp_path))
    assert "faceshot models pull svd" in refusal(command, capsys)
    monkeypatch.setenv("FACESHOT_MODELS", str(tiny_svd))
    assert "moves one person" in refusal([*command, "--with", "expressions"], capsys)
    assert "multiple of 64" in refusal([*command, "--set", "animator.svd.quality.size=500"], capsys)
    if not torch.cuda.is_available():
        assert "finds no CUDA device" in refusal([*command, "--set", "animator.svd.device=cuda"], capsys)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    error = refusal(command, capsys)
    assert "needs torch, diffusers, transformers and safetensors" in error and "faceshot-live[gpu]" in error
    assert [path.name for path in tmp_path.iterdir()] == []


def test_make_tiny_by_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "make-tiny", "svd", str(tmp_path / "m")]) == 0
    printed = capsys.readouterr().out
    assert "ckpt_iter_42000.pth.tar" in printed and "export FACESHOT_MODELS=" in printed
