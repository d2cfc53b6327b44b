import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from faceshot.archive import pack_arrays, read_archive, unpack_arrays
from faceshot.errors import MotionClipError
from faceshot.motion_clip import MotionClip, bundled_clips, open_clip, read_clip, record_clip, write_clip
from faceshot.types import CameraImage, FaceState

SIZE_WH = (640, 480)


def state(t: int, n: int = 478, full: bool = True) -> FaceState:
    rng = np.random.default_rng(t)
    points = np.stack([np.linspace(100, 400, n), np.linspace(50, 470, n), np.linspace(-60, 60, n)], axis=1)
    points += 20 * np.sin(t / 5) + rng.normal(0, 0.1, points.shape)
    head = np.eye(4, dtype=np.float32)
    head[:3, 3] = (t, -t, 40.5)
    return FaceState(
        size_wh=SIZE_WH,
        confidence=0.75,
        points_xyz=points.astype(np.float32),
        blendshapes=rng.random(52).astype(np.float32) if full else None,
        head=head if full else None,
    )


def written(clip: MotionClip, folder: Path) -> Path:
    path = folder / "clip.motion"
    write_clip(clip, path)
    return path


@pytest.mark.parametrize("n", [70, 468, 478])
def test_a_clip_comes_back(n: int, tmp_path: Path) -> None:
    lost = FaceState.lost(SIZE_WH)
    states = [lost, *(state(t, n) for t in range(40)), lost, state(41, n)]
    clip = MotionClip("hello", 29.97, states, {"licence": "MIT"})
    back = read_clip(written(clip, tmp_path))
    assert (back.name, back.fps, back.provenance, len(back.states)) == ("hello", 29.97, {"licence": "MIT"}, 43)
    assert back.duration_s == pytest.approx(43 / 29.97)
    for was, now in zip(states, back.states, strict=True):
        assert now.size_wh == SIZE_WH and now.found == was.found and now.confidence == was.confidence
        if was.found:
            assert np.abs(now.points_xyz - was.points_xyz).max() <= 640 / 8192 / 2 + 1e-4
            assert np.abs(now.blendshapes - was.blendshapes).max() < 1e-3
            assert (now.head == was.head).all()


def test_points_alone_are_enough(tmp_path: Path) -> None:
    flat = [replace(state(t, 70, full=False), has_depth=False) for t in range(3)]
    back = read_clip(written(MotionClip("flat", 30, flat), tmp_path).read_bytes())
    assert not back.states[1].has_depth
    assert back.states[1].blendshapes is None and back.states[1].head is None


def test_states_are_a_sequence(tmp_path: Path) -> None:
    states = read_clip(written(MotionClip("s", 30, [state(t) for t in range(10)]), tmp_path)).states
    assert len(states[2:5]) == 3 and (states[-1].points_xyz == states[9].points_xyz).all()
    assert len(list(states)) == 10
    with pytest.raises(IndexError):
        states[10]


def test_a_crop_of_the_performer_is_never_kept(tmp_path: Path) -> None:
    crop = np.full((256, 256, 3), 123, np.uint8)
    path = written(MotionClip("private", 30, [replace(state(t), crop=crop) for t in range(3)]), tmp_path)
    assert all(s.crop is None for s in read_clip(path).states)
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == ["arrays.safetensors", "motion.json"]


def test_ten_seconds_of_478_points_stay_small(tmp_path: Path) -> None:
    assert written(MotionClip("long", 30, [state(t) for t in range(300)]), tmp_path).stat().st_size < 700_000


@pytest.mark.parametrize(
    "states",
    [
        [],
        [FaceState.lost(SIZE_WH)] * 3,
        [state(0), state(1, 70)],
        [state(0), state(1, full=False)],
        [state(0), replace(state(1), size_wh=(1, 1))],
        [FaceState(SIZE_WH, 1.0, blendshapes=np.zeros(52, np.float32))],
        [replace(state(0), points_xyz=np.full((478, 3), 1e6, np.float32))],
    ],
)
def test_what_cannot_be_kept_is_refused(states: list[FaceState], tmp_path: Path) -> None:
    with pytest.raises(MotionClipError):
        write_clip(MotionClip("bad", 30, states), tmp_path / "bad.motion")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fps", [0.0, -1.0, 241.0, float("nan"), float("inf")])
def test_frame_rates(fps: float, tmp_path: Path) -> None:
    with pytest.raises(MotionClipError, match="fps"):
        write_clip(MotionClip("bad", fps, [state(0)]), tmp_path / "bad.motion")


def rebuilt(path: Path, about: dict[str, object], arrays: dict[str, np.ndarray | None]) -> bytes:
    """The clip with some content exchanged, or left out with None."""
    parts = read_archive(
        path,
        "x",
        required={"motion.json": 10**6, "arrays.safetensors": 10**7},
        optional={},
        error=MotionClipError,
        remake="",
    )
    new_about = {k: v for k, v in {**json.loads(parts["motion.json"]), **about}.items() if v is not None}
    old_arrays = unpack_arrays(parts["arrays.safetensors"], "x", MotionClipError, "")
    new_arrays = {k: v for k, v in {**old_arrays, **arrays}.items() if v is not None}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("motion.json", json.dumps(new_about))
        archive.writestr("arrays.safetensors", pack_arrays(new_arrays))
    return out.getvalue()


@pytest.mark.parametrize(
    ("about", "arrays"),
    [
        ({"schema_version": 2}, {}),
        ({"schema_version": "1"}, {}),
        ({"schema_version": None}, {}),
        ({"fps": "fast"}, {}),
        ({"fps": 1e9}, {}),
        ({"fps": float("nan")}, {}),
        ({"size_wh": [0, 10]}, {}),
        ({"size_wh": [1e300, 10]}, {}),
        ({"size_wh": 7}, {}),
        ({"points_step_px": -1}, {}),
        ({"points_step_px": float("inf")}, {}),
        ({"provenance": 7}, {}),
        ({"name": None}, {}),
        ({}, {"points": None}),
        ({}, {"confidence": None}),
        ({}, {"points": np.zeros((3, 478, 3), np.float32)}),
        ({}, {"points": np.zeros((3, 477, 3), np.int16)}),
        ({}, {"points": np.zeros((2, 478, 3), np.int16)}),
        ({}, {"confidence": np.zeros(0, np.float16), "points": np.zeros((0, 478, 3), np.int16)}),
        ({}, {"confidence": np.full(3, np.nan, np.float16)}),
        ({}, {"blendshapes": np.full((3, 52), np.inf, np.float16)}),
        ({}, {"blendshapes": np.zeros((3, 51), np.float16)}),
        ({}, {"head": np.full((3, 4, 4), np.nan, np.float32)}),
        ({}, {"confidence": np.zeros(20_000, np.float16), "points": np.zeros((20_000, 70, 3), np.int16)}),
    ],
)
def test_wrong_content_is_named(about: dict[str, object], arrays: dict[str, np.ndarray | None], tmp_path: Path) -> None:
    path = written(MotionClip("clip", 30, [state(t) for t in range(3)]), tmp_path)
    assert len(read_clip(rebuilt(path, {}, {})).states) == 3
    with pytest.raises(MotionClipError) as caught:
        read_clip(rebuilt(path, about, arrays))
    assert caught.value.hint and "\n" not in caught.value.message


def test_cut_off_at_every_offset(tmp_path: Path) -> None:
    data = written(MotionClip("clip", 30, [state(0, 70, full=False)]), tmp_path).read_bytes()
    for length in range(len(data)):
        with pytest.raises(MotionClipError):
            read_clip(data[:length])


def test_names_cannot_steer_the_terminal(tmp_path: Path) -> None:
    path = written(MotionClip("\x1b[2Jclip\n" + "x" * 500, 30, [state(0)]), tmp_path)
    assert read_clip(path).name.startswith("[2Jclipxxx") and len(read_clip(path).name) <= 100


def test_bundled_clips_are_sound() -> None:
    assert len(bundled_clips()) >= 2
    for name in bundled_clips():
        clip = open_clip(name)
        assert clip.duration_s >= 10 and clip.provenance["licence"]
        found = [s for s in clip.states if s.found]
        assert len(found) > 0.95 * len(clip.states)
        width, height = found[0].size_wh
        points = np.stack([s.points_xyz for s in found])
        assert points[..., 0].min() > -width and points[..., 1].max() < 2 * height


def test_unknown_names_and_paths(tmp_path: Path) -> None:
    path = written(MotionClip("mine", 30, [state(0)]), tmp_path)
    assert open_clip(str(path)).name == "mine"
    with pytest.raises(MotionClipError, match="no motion clip 'nothing'") as caught:
        open_clip("nothing")
    assert bundled_clips()[0] in caught.value.hint


class Alternating:
    """Sees a face in every other frame."""

    def __init__(self) -> None:
        self.resets, self.times_ms = 0, []

    def track(self, image: CameraImage, timestamp_ms: int) -> FaceState:
        self.times_ms.append(timestamp_ms)
        return state(timestamp_ms) if len(self.times_ms) % 2 else FaceState.lost(image.size_wh)

    def reset(self) -> None:
        self.resets += 1


def test_recording_runs_a_tracker_in_media_time(tmp_path: Path) -> None:
    tracker = Alternating()
    clip = record_clip("rec", (np.zeros((480, 640, 3), np.uint8) for _ in range(4)), tracker, 25, {"licence": "CC0"})
    assert tracker.resets == 1 and tracker.times_ms == [0, 40, 80, 120]
    assert [s.found for s in read_clip(written(clip, tmp_path)).states] == [True, False, True, False]
