"""Finding cameras, on a made-up /sys and /dev."""

from pathlib import Path

import pytest

from live.errors import SourceError
from live.sources.cameras import OWN_LABEL, CameraInfo, choose_camera, list_cameras

CAMERAS = [
    CameraInfo(0, "HD Webcam C525", "/dev/video0"),
    CameraInfo(2, "Phone: HD", "/dev/video2"),
    CameraInfo(10, OWN_LABEL, "/dev/video10"),
]


def describe(root: Path, number: int, name: str, index: int = 0) -> None:
    folder = root / f"video{number}"
    folder.mkdir(parents=True)
    (folder / "name").write_text(name + "\n")
    (folder / "index").write_text(f"{index}\n")


def test_linux_lists_what_captures(tmp_path: Path) -> None:
    for number, name, index in ((10, OWN_LABEL, 0), (0, "Webcam", 0), (1, "Webcam", 1), (3, "Scaler", 0)):
        describe(tmp_path, number, name, index)
    (tmp_path / "v4l-subdev0").mkdir()
    captures = {"video0": True, "video1": False, "video3": False, "video10": False}
    found = list_cameras("linux", tmp_path, Path("/dev"), lambda device: captures[device.name])
    assert [(camera.index, camera.name, camera.path) for camera in found] == [
        (0, "Webcam", "/dev/video0"),
        (10, OWN_LABEL, "/dev/video10"),
    ]
    assert [camera.is_own_output for camera in found] == [False, True]


def test_without_permission_the_first_node_of_a_webcam_is_taken_for_the_camera(tmp_path: Path) -> None:
    describe(tmp_path, 0, "Webcam", 0)
    describe(tmp_path, 1, "Webcam", 1)
    found = list_cameras("linux", tmp_path, Path("/dev"), lambda device: None)
    assert [camera.index for camera in found] == [0]


def test_a_file_that_is_no_video_device_does_not_capture(tmp_path: Path) -> None:
    describe(tmp_path / "sys", 0, "Nonsense")
    (tmp_path / "video0").write_bytes(b"")
    assert list_cameras("linux", tmp_path / "sys", tmp_path) == []


def test_no_video_devices_at_all(tmp_path: Path) -> None:
    assert list_cameras("linux", tmp_path / "nothing") == []


def test_elsewhere_indices_are_tried() -> None:
    assert list_cameras("darwin", works=lambda index: index in (0, 2)) == [
        CameraInfo(0, "camera 0", ""),
        CameraInfo(2, "camera 2", ""),
    ]


@pytest.mark.parametrize(
    ("spec", "index"), [("0", 0), ("2", 2), ("C525", 0), ("phone", 2), (" hd webcam c525 ", 0), ("/dev/video2", 2)]
)
def test_choosing(spec: str, index: int) -> None:
    assert choose_camera(spec, CAMERAS).index == index


def test_a_link_to_a_device_is_followed(tmp_path: Path) -> None:
    device = tmp_path / "video4"
    device.write_bytes(b"")
    link = tmp_path / "by-id"
    link.symlink_to(device)
    camera = CameraInfo(4, "Linked", str(device))
    assert choose_camera(f"/dev/../{link}", [camera]) is camera


@pytest.mark.parametrize(
    ("spec", "says", "cure"),
    [
        ("7", "no camera '7'", "0: HD Webcam C525"),
        ("nikon", "no camera 'nikon'", "--source INDEX"),
        ("hd", "fits 2 cameras", "--source INDEX"),
        ("10", "own output", "0: HD Webcam C525"),
        (OWN_LABEL, "own output", "2: Phone: HD"),
    ],
)
def test_choosing_badly_lists_the_cameras_in_two_lines(spec: str, says: str, cure: str) -> None:
    with pytest.raises(SourceError, match=says) as refused:
        choose_camera(spec, CAMERAS)
    assert cure in refused.value.hint
    assert len(str(refused.value).splitlines()) == 2


def test_without_any_camera_there_is_another_way() -> None:
    with pytest.raises(SourceError) as refused:
        choose_camera("0", [])
    assert "--source demo" in refused.value.hint
