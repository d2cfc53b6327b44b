"""Reading videos: times, sizes, rotation, and everything that can be wrong with a file."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from live.errors import SourceError
from live.video_reader import MAX_SIDE_PX, VideoReader
from tests.live.videos import number_in, write_sound_only, write_video


def test_every_picture_with_its_time(tmp_path: Path) -> None:
    times = [0, 1, 5, 6, 30, 31]  # thirtieths of a second: a variable frame rate
    with VideoReader(write_video(tmp_path / "vfr.mp4", times)) as reader:
        pictures = list(reader)
        assert [picture.t_ns for picture in pictures] == [round(t * 1e9 / 30) for t in times]
        assert [number_in(reader.rgb(picture)) for picture in pictures] == list(range(6))
        assert reader.frame_count == 6
        assert reader.name == "vfr.mp4"


@pytest.mark.parametrize("first", [0, 15])
def test_time_starts_at_the_first_picture(tmp_path: Path, first: int) -> None:
    with VideoReader(write_video(tmp_path / "late.mkv", range(first, first + 3))) as reader:
        assert [picture.t_ns for picture in reader] == pytest.approx([0, 33e6, 67e6], abs=1e6)


@pytest.mark.parametrize(
    ("rotation", "corner", "size_wh"),
    [
        (None, (0, 0), (64, 48)),
        (90, (-1, 0), (48, 64)),  # anticlockwise: the upper left corner goes to the lower left
        (180, (-1, -1), (64, 48)),
        (-90, (0, -1), (48, 64)),
    ],
)
def test_phone_pictures_are_turned_upright(
    tmp_path: Path, rotation: int | None, corner: tuple[int, int], size_wh: tuple[int, int]
) -> None:
    with VideoReader(write_video(tmp_path / "phone.mp4", rotation=rotation)) as reader:
        rgb = reader.rgb(next(iter(reader)))
        assert reader.size_wh == size_wh == (rgb.shape[1], rgb.shape[0])
        red = rgb[corner[0]][corner[1]].astype(int)
        assert red[0] > 200
        assert red[1:].max() < 60
        assert rgb.flags.c_contiguous


def test_odd_sizes(tmp_path: Path) -> None:
    path = write_video(tmp_path / "odd.mp4", size_wh=(101, 75), pix_fmt="yuv444p")
    with VideoReader(path) as reader:
        assert reader.size_wh == (101, 75)
        assert reader.rgb(next(iter(reader))).shape == (75, 101, 3)


def test_pixels_become_square(tmp_path: Path) -> None:
    path = write_video(tmp_path / "dv.mp4", size_wh=(72, 58), sample_aspect_ratio=Fraction(16, 11))
    with VideoReader(path) as reader:
        assert reader.size_wh == (105, 58)


def test_large_pictures_are_scaled_down(tmp_path: Path) -> None:
    path = write_video(tmp_path / "large.mp4", [0, 1], size_wh=(2560, 1440))
    with VideoReader(path) as reader:
        assert reader.size_wh == (MAX_SIDE_PX, 720)
        second = list(reader)[1]
        rgb = reader.rgb(second)
        assert rgb.shape == (720, 1280, 3)
        assert number_in(rgb) == 1


def _empty(path: Path) -> Path:
    path.write_bytes(b"")
    return path


def _text(path: Path) -> Path:
    path.write_text("not a video\n" * 100)
    return path


def _cut_off(path: Path) -> Path:
    whole = write_video(path.with_name("whole.mp4")).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])  # the index stands at the end
    return path


def _no_pictures(path: Path) -> Path:
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.start_encoding()
    return path


def _still(path: Path) -> Path:
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(path, format="PNG")
    return path


def _folder(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path, "no file"),
        (_folder, "folder"),
        (_empty, "0 bytes"),
        (_text, "not a video"),
        (_cut_off, "cut off"),
        (_no_pictures, "no picture"),
        (_still, "still picture"),
        (write_sound_only, "only sound"),
    ],
)
def test_what_cannot_be_played_is_refused_in_two_lines(tmp_path: Path, make, says: str) -> None:  # type: ignore[no-untyped-def]
    path = make(tmp_path / "bad.mp4")
    with pytest.raises(SourceError, match=says) as refused:
        VideoReader(path)
    assert "bad.mp4" in refused.value.message
    assert refused.value.hint
    assert len(str(refused.value).splitlines()) == 2


def test_pictures_that_would_fill_the_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "huge.mp4", size_wh=(640, 480))
    monkeypatch.setattr("live.video_reader.MAX_MEGAPIXELS", 0.3)  # an 8K video is slow to make
    with pytest.raises(SourceError, match=r"640×480; at most 0\.3 megapixels"):
        VideoReader(path)


def test_a_cut_off_file_with_its_index_plays_as_far_as_it_goes(tmp_path: Path) -> None:
    options = {"movflags": "faststart"}
    whole = write_video(tmp_path / "whole.mp4", range(25), codec="mpeg4", options=options).read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: (whole.index(b"mdat") + len(whole)) // 2])
    with VideoReader(path) as reader:
        numbers = [number_in(reader.rgb(picture)) for picture in reader]
    assert 3 < len(numbers) < 25
    assert numbers == sorted(numbers)


def test_damage_in_the_middle_costs_no_more_than_some_pictures(tmp_path: Path) -> None:
    path = write_video(tmp_path / "damaged.mp4", range(25), codec="mpeg4")
    data = bytearray(path.read_bytes())
    middle = (data.index(b"mdat") + data.index(b"moov")) // 2
    data[middle : middle + 100] = bytes(100)
    path.write_bytes(data)
    with VideoReader(path) as reader:
        times = [picture.t_ns for picture in reader]
    assert len(times) >= 15
    assert times == sorted(set(times))


@pytest.mark.media
@pytest.mark.parametrize("name", ["d0", "d6", "d10", "d18", "ravdess_01-01-08-02-01-01-19"])
def test_real_clips(shared_media: Path, name: str) -> None:
    with VideoReader(shared_media / "driving" / f"{name}.mp4") as reader:
        pictures = list(reader)
        assert len(pictures) == reader.frame_count
        steps = np.diff([picture.t_ns for picture in pictures])
        assert np.allclose(steps, 1e9 / reader.fps, atol=2e6)
        assert reader.rgb(pictures[-1]).shape == (reader.size_wh[1], reader.size_wh[0], 3)
