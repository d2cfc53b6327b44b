"""`faceshot landmarks`: numbers and pose pictures for other animators."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from faceshot.character import open_character
from faceshot.framing import letterbox
from faceshot.pose_drawings import draw_pose
from faceshot.types import CameraImage, Character, FaceState
from live.errors import ConfigError, LiveError, SinkError, SourceError
from live.landmarks_export import export_landmarks


@pytest.fixture(scope="module")
def ada() -> Character:
    return open_character("ada")


def picture_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def no_tracker() -> Any:
    raise AssertionError("a motion clip needs no tracker")


def test_npz_and_json_say_the_same(ada: Character, tmp_path: Path) -> None:
    frames = export_landmarks(ada, "talking", tmp_path / "a.npz", no_tracker)
    export_landmarks(ada, "talking", tmp_path / "a.json", no_tracker)
    numbers = np.load(tmp_path / "a.npz")
    told = json.loads((tmp_path / "a.json").read_text())
    about = json.loads(str(numbers["about"]))
    assert numbers["points_xy"].shape == (frames, 70, 2) and frames > 50
    assert {*numbers.files} - {"about"} == {*told} - {*about}  # nothing else has slipped in
    assert about["size_wh"] == [1024, 1024] and about["schema"] == told["schema"] == "faceshot-landmarks/1"
    assert np.allclose(told["points_xy"], numbers["points_xy"], atol=1e-3)
    assert np.array_equal(numbers["rest_xy"], ada.points_xy)
    assert np.allclose(np.diff(numbers["time_s"]), 1 / about["fps"], atol=1e-3)
    moved = np.linalg.norm(numbers["points_xy"] - ada.points_xy, axis=2)
    assert moved.max() > 5 and np.median(moved) < 80  # it moves, and stays a face
    assert numbers["lids"].min() < 0.3  # somebody blinks


def test_npy_is_what_mofa_wants(ada: Character, tmp_path: Path) -> None:
    frames = export_landmarks(ada, "talking", tmp_path / "a.npy", no_tracker)
    table = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert table.shape == (frames + 1, 68, 2) and table.dtype == np.float32
    assert np.allclose(table[0], (ada.points_xy[:68] + 0.5) / 2 - 0.5, atol=1e-4)  # at rest, in a 512 square
    other = tmp_path / "b.npy"
    export_landmarks(ada, "talking", other, no_tracker, size=256)
    assert np.allclose((np.load(other) + 0.5) * 2, table + 0.5, atol=1e-3)


def test_a_folder_of_poses_fits_its_picture(tmp_path: Path) -> None:
    whole = open_character("miso")
    wide = Character(
        "wide", np.ascontiguousarray(whole.rgba[100:900]), whole.points_xy - np.float32((0, 100)), whole.visible
    )
    out = tmp_path / "poses"
    frames = export_landmarks(wide, "talking", out, no_tracker, size=128)
    assert len(list(out.glob("[0-9]*.png"))) == frames + 1
    table = np.load(out / "landmarks.npy")
    assert np.array_equal(picture_of(out / "0000.png"), draw_pose(table[0], (128, 128)))
    picture = picture_of(out / "picture.png")
    assert picture.shape == (128, 128, 3)
    assert np.allclose(table[0], letterbox(wide.rgba[..., :3], 128).to_square(wide.points_xy)[:68], atol=1e-3)
    with pytest.raises(SinkError, match="exists already"):
        export_landmarks(wide, "talking", out, no_tracker)
    export_landmarks(wide, "talking", out, no_tracker, style="aniportrait", size=96, overwrite=True)
    assert picture_of(out / "0001.png").shape == (96, 96, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["poses"]


def test_a_video_of_poses_has_every_frame(ada: Character, tmp_path: Path) -> None:
    out = tmp_path / "poses.mp4"
    frames = export_landmarks(ada, "expressions", out, no_tracker, style="aniportrait", size=128)
    with av.open(str(out)) as video:
        pictures = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert len(pictures) == frames and pictures[0].shape == (128, 128, 3)
    assert max(int(picture.max()) for picture in pictures[:3]) > 100


class Blind:
    name = "blind"

    def track(self, image: CameraImage, timestamp_ms: int) -> FaceState:
        return FaceState.lost(image.size_wh)

    def reset(self) -> None: ...
    def close(self) -> None: ...


def test_no_face_hints_at_matching(ada: Character, shared_media: Path, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="No face was found") as caught:
        export_landmarks(ada, shared_media / "driving" / "d10.mp4", tmp_path / "a.npz", Blind)
    assert "--tracker matching" in caught.value.hint
    assert not list(tmp_path.iterdir())


def test_bad_outputs_are_refused_before_any_work(ada: Character, tmp_path: Path) -> None:
    def refused(out: Path, error: type[LiveError], words: str, **options: Any) -> None:
        with pytest.raises(error, match=words):
            export_landmarks(ada, "no-such-clip", out, no_tracker, **options)

    refused(tmp_path / "a.txt", SinkError, r"ends in \.txt")
    refused(tmp_path / "a.npz", ConfigError, "no style 'cubist'", style="cubist")
    refused(tmp_path / "none" / "a.npz", LiveError, "no such folder")
    (tmp_path / "there.npz").write_bytes(b"x")
    refused(tmp_path / "there.npz", SinkError, "exists already")
    (tmp_path / "things").mkdir()
    (tmp_path / "things" / "holiday.jpg").write_bytes(b"x")
    refused(tmp_path / "things", SinkError, "holds other things", overwrite=True)
    assert (tmp_path / "things" / "holiday.jpg").exists()


def test_a_stopped_export_leaves_nothing(ada: Character, tmp_path: Path) -> None:
    def stop(stage: str, done: int, total: int | None) -> None:
        if stage == "draw" and done == 3:
            raise KeyboardInterrupt

    for name in ("poses", "poses.mp4"):
        with pytest.raises(KeyboardInterrupt):
            export_landmarks(ada, "talking", tmp_path / name, no_tracker, size=64, progress=stop)
    assert not list(tmp_path.iterdir())
