"""Editing portrait videos, casts with several drivers, and what is refused; with tiny LivePortrait networks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")

from faceshot.animators.liveportrait.animator import LivePortraitAnimator  # noqa: E402
from faceshot.animators.liveportrait.tiny import write_tiny  # noqa: E402
from live.cli import main  # noqa: E402
from live.config_animators import PORTRAIT_VIDEO_KEYS, LivePortraitConfig  # noqa: E402
from tests.live.videos import decode_rgb, write_video  # noqa: E402

LIVEPORTRAIT = ["--animator", "liveportrait"]
SMALL = ["--set", "animator.max_side_px=256"]


@pytest.fixture(autouse=True)
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path / "models"
    write_tiny(folder)
    monkeypatch.setenv("FACESHOT_MODELS", str(folder))
    yield folder
    torch.set_num_threads(threads)


def excerpt(source: Path, path: Path, frames: int, start: int = 0) -> Path:
    with av.open(str(source)) as clip, av.open(str(path), "w") as out:
        video = clip.streams.video[0]
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 256, 256, "yuv420p"
        for i, frame in enumerate(itertools.islice(clip.decode(video), start, start + frames)):
            small = frame.reformat(256, 256)
            small.pts, small.time_base = i, Fraction(1, 30)
            out.mux(stream.encode(small))
        out.mux(stream.encode(None))
    return path


@pytest.mark.media
def test_a_portrait_video_is_moved_by_another(shared_media: Path, tmp_path: Path) -> None:
    portrait = excerpt(shared_media / "driving" / "d10.mp4", tmp_path / "portrait.mp4", 5)
    drive = excerpt(shared_media / "driving" / "d6.mp4", tmp_path / "talk.mp4", 8, start=30)
    out = tmp_path / "out.mp4"
    assert main(["render", str(portrait), str(drive), "-o", str(out), *LIVEPORTRAIT]) == 0
    made, was = decode_rgb(out), decode_rgb(portrait)
    assert len(made) == 5, "as many as the shorter of the two"
    assert made[0].shape == was[0].shape
    changed = np.abs(made[2].astype(int) - was[2]).mean(axis=2)
    assert changed[96:160, 96:160].mean() > 10, "the face is drawn anew"
    assert main(["render", str(portrait), str(drive), "-o", str(out), *LIVEPORTRAIT]) == 1, "nothing is overwritten"


@pytest.mark.media
def test_a_picture_gives_a_whole_video_its_expression(
    shared_media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    portrait = excerpt(shared_media / "driving" / "d10.mp4", tmp_path / "portrait.mp4", 4)
    out, thing = tmp_path / "out.mp4", tmp_path / "thing.png"
    drive = str(shared_media / "characters" / "s7.jpg")
    assert main(["render", str(portrait), drive, "-o", str(out), *LIVEPORTRAIT]) == 0
    made, was = decode_rgb(out), decode_rgb(portrait)
    assert len(made) == len(was) == 4
    assert np.abs(made[3].astype(int) - was[3]).mean(axis=2)[96:160, 96:160].mean() > 10
    Image.new("RGB", (200, 150), (80, 120, 160)).save(thing)
    error = said(capsys, "render", str(portrait), str(thing), "-o", str(tmp_path / "no.mp4"), *LIVEPORTRAIT)
    assert "No face was found in" in error and "thing.png" in error
    assert not (tmp_path / "no.mp4").exists()


@pytest.mark.media
@pytest.mark.parametrize("at_once", [1, 3])
def test_a_picture_takes_the_published_flags_too_and_frames_in_any_handfuls(
    shared_media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(LivePortraitAnimator, "at_once", at_once)
    drive = excerpt(shared_media / "driving" / "d6.mp4", tmp_path / "talk.mp4", 4, start=30)
    made = {}
    for flag in ("", "retarget_eyes=true", "retarget_lips=true"):
        out = tmp_path / f"{flag or 'plain'}.mp4"
        sets = [word for one in ("motion=absolute", flag) if one for word in ("--set", f"animator.liveportrait.{one}")]
        assert main(["render", "mika", str(drive), "-o", str(out), *LIVEPORTRAIT, *sets, *SMALL]) == 0
        made[flag] = np.stack(decode_rgb(out)).astype(int)
        assert len(made[flag]) == 4
    for flag, pictures in made.items():
        if flag:
            assert np.abs(pictures - made[""]).max() > 8, flag


@pytest.mark.media
def test_the_published_flags_reach_the_motion(shared_media: Path, tmp_path: Path) -> None:
    portrait = excerpt(shared_media / "driving" / "d10.mp4", tmp_path / "portrait.mp4", 3)
    drive = excerpt(shared_media / "driving" / "d6.mp4", tmp_path / "talk.mp4", 3, start=30)
    made = {}
    for flag in ("", "retarget_eyes=true", "retarget_lips=true", "source_eye_retargeting=true"):
        out = tmp_path / f"{flag or 'plain'}.mp4"
        sets = [word for one in ("motion=relative", flag) if one for word in ("--set", f"animator.liveportrait.{one}")]
        assert main(["render", str(portrait), str(drive), "-o", str(out), *LIVEPORTRAIT, *sets]) == 0
        made[flag] = decode_rgb(out)[2].astype(int)
    for flag, picture in made.items():
        if flag:
            assert np.abs(picture - made[""]).max() > 8, flag


@pytest.mark.media
def test_a_picture_is_moved_offline(shared_media: Path, tmp_path: Path) -> None:
    drive = excerpt(shared_media / "driving" / "d6.mp4", tmp_path / "talk.mp4", 4)
    out = tmp_path / "out.mp4"
    picture = str(shared_media / "characters" / "s9.jpg")
    sets = ["--set", "animator.max_side_px=256"]
    assert main(["render", picture, str(drive), "-o", str(out), *LIVEPORTRAIT, *sets]) == 0
    assert len(decode_rgb(out)) == 4


def said(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert main(list(args)) in (1, 2)
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error


def test_a_video_is_no_character_for_warp(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = str(write_video(tmp_path / "a.mp4", range(3)))
    error = said(capsys, "render", video, video, "-o", str(tmp_path / "out.mp4"))
    assert "is a video, which warp cannot animate" in error
    assert "--animator liveportrait" in error


def test_videos_without_a_face_are_refused_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video, out = str(write_video(tmp_path / "a.mp4", range(3))), tmp_path / "out.mp4"
    error = said(capsys, "render", video, video, "-o", str(out), *LIVEPORTRAIT)
    assert "No face was found in any of the 3 frames of" in error
    assert not out.exists()
    assert "itself" in said(capsys, "render", video, video, "-o", video, "--overwrite", *LIVEPORTRAIT)


@pytest.mark.media
def test_a_motion_clip_cannot_drive_a_video(
    shared_media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    portrait = excerpt(shared_media / "driving" / "d10.mp4", tmp_path / "portrait.mp4", 2)
    error = said(capsys, "render", str(portrait), "talking", "-o", str(tmp_path / "out.mp4"), *LIVEPORTRAIT)
    assert "motion clip" in error
    drive = excerpt(shared_media / "driving" / "d6.mp4", tmp_path / "talk.mp4", 2)
    drivers = [str(portrait), str(drive), "--with", str(drive)]
    assert "Leave --with out" in said(capsys, "render", *drivers, "-o", str(tmp_path / "out.mp4"), *LIVEPORTRAIT)


def test_what_a_portrait_video_does_not_listen_to_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video, out = str(write_video(tmp_path / "a.mp4", range(3))), tmp_path / "out.mp4"
    sets = ["crop=whole", "people=each", "cut_out=true", "normalize_lip=false", "region=lip", "multiplier=1.5"]
    words = [word for one in sets for word in ("--set", f"animator.liveportrait.{one}")]
    words += ["--set", "motion.gains.head=0.5", "--set", "output.mirror=true"]
    error = said(capsys, "render", video, video, "-o", str(out), *LIVEPORTRAIT, *words)
    not_used = error.split("Not used, because a portrait video keeps its own: ")[1].split(".\n")[0].split(", ")
    table = "animator.liveportrait."
    assert not_used == ["motion.gains", f"{table}crop", f"{table}people", f"{table}cut_out", f"{table}normalize_lip"]
    assert "Not used" not in said(capsys, "render", video, video, "-o", str(out), *LIVEPORTRAIT)
    assert PORTRAIT_VIDEO_KEYS <= LivePortraitConfig.model_fields.keys()


@pytest.mark.parametrize("motion", ["relative", "absolute"])
def test_the_published_rules_refuse_a_driver_without_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], motion: str
) -> None:
    out, sets = tmp_path / "out.mp4", ["--set", f"animator.liveportrait.motion={motion}"]
    error = said(capsys, "render", "mika", "talking", "-o", str(out), *LIVEPORTRAIT, *sets)
    assert "talking is a motion clip" in error
    assert "animator.liveportrait.motion=live" in error
    sets += ["--tracker", "matching"]
    error = said(capsys, "render", "mika", "talk.mp4", "-o", str(out), *LIVEPORTRAIT, *sets)
    assert "tracker.kind=matching gives points only" in error
    assert not out.exists()


def test_more_drivers_than_people_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "out.mp4")
    error = said(capsys, "render", "mika", "talking", "--with", "talking", "-o", out)
    assert "2 drivers, but 1 person" in error
    assert "people=all" in error


def test_missing_torch_is_two_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "torch" else real(name, *a))
    for command in (["render", "mika", "talking", "-o", str(tmp_path / "out.mp4")], ["live", "--no-open"]):
        error = said(capsys, *command, *LIVEPORTRAIT)
        assert "needs torch, which is not installed" in error
        assert "pip install 'faceshot-live[gpu]'" in error


def test_missing_weights_are_two_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACESHOT_MODELS", str(tmp_path / "none"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for command in (["render", "mika", "talking", "-o", str(tmp_path / "out.mp4")], ["live", "--no-open"]):
        assert "Type: faceshot models pull liveportrait" in said(capsys, *command, *LIVEPORTRAIT)


def test_tiny_models_are_made_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "made"
    assert main(["models", "make-tiny", "liveportrait", str(folder)]) == 0
    assert "spade_generator.pth" in capsys.readouterr().out
    assert (folder / "liveportrait/base_models/warping_module.pth").is_file()
    assert "no tiny models of kind" in said(capsys, "models", "make-tiny", "nothing", str(folder))
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert "cannot be written" in said(capsys, "models", "make-tiny", "liveportrait", str(blocked))


def test_a_picture_without_a_face_needs_a_square(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "thing.png"
    Image.new("RGB", (200, 150), (80, 120, 160)).save(picture)
    out = tmp_path / "out.mp4"
    command = ["render", str(picture), "talking", "-o", str(out), *LIVEPORTRAIT]
    assert "animator.liveportrait.crop=whole" in said(capsys, *command)
    assert "left,top,side" in said(capsys, *command, "--set", "animator.liveportrait.crop=900,0,50")
