"""Offline rendering: every frame once, at its time, with its sound; whole or not at all."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from faceshot.animators import Animator
from faceshot.errors import FaceshotError, MotionClipError
from faceshot.motion_clip import MotionClip, write_clip
from faceshot.puppeteer import MotionSettings
from faceshot.topology import ARKIT_INDEX
from faceshot.types import Drive, FaceState, Rendered
from live.errors import SinkError, SourceError
from live.render import Report, render
from tests.faceshot.performer import perform
from tests.fakes import CostlyAnimator, DuoAnimator, ScriptedTracker, a_character, a_face
from tests.live.videos import decode_rgb, decode_rgba, decode_times, number_in, numbered, sound_of, write_video

VFR = [0, 1, 5, 6, 30, 31, 32]


class WitnessAnimator(CostlyAnimator):
    """Remembers what it was asked to draw, and draws `numbered` pictures."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.drives: list[Drive] = []

    def render(self, drives: Sequence[Drive]) -> list[Rendered]:
        self.drives += drives
        (picture,) = super().render(drives)
        return [Rendered(np.dstack([numbered(self.rendered - 1, (64, 64)), picture.rgba[..., 3]]))]


def go(
    drive: Path, out: Path, tracker: ScriptedTracker | None = None, animator: Animator | None = None, **options: Any
) -> Report:
    return render(
        a_character(), drive, out, lambda: tracker or ScriptedTracker(), animator or CostlyAnimator(), **options
    )


def sound_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


@pytest.mark.parametrize("time_base", [Fraction(1, 30), Fraction(1001, 30000), Fraction(1, 90000)])
def test_frames_and_times_are_the_drivers(tmp_path: Path, time_base: Fraction) -> None:
    pts = [round(t / (30 * time_base)) for t in VFR]
    drive = write_video(tmp_path / "drive.mp4", pts, time_base)
    out = tmp_path / "out.mp4"
    animator = WitnessAnimator()
    report = go(drive, out, animator=animator)
    assert report.frames == report.with_face == animator.rendered == len(VFR)
    assert decode_times(out) == decode_times(drive)
    assert [number_in(rgb) for rgb in decode_rgb(out)] == list(range(len(VFR)))
    assert report.duration_s == pytest.approx(33 / 30, abs=0.2)


def test_webm_keeps_times_to_the_millisecond_and_alpha(tmp_path: Path) -> None:
    drive = write_video(tmp_path / "drive.mp4", VFR)
    out = tmp_path / "out.webm"
    character = a_character()
    rgba = character.rgba.copy()
    rgba[:, :32, 3] = 0
    render(replace(character, rgba=rgba), drive, out, ScriptedTracker, CostlyAnimator())
    assert [float(t) for t in decode_times(out)] == pytest.approx([float(t) for t in decode_times(drive)], abs=0.0006)
    pictures = decode_rgba(out)
    assert len(pictures) == len(VFR)
    assert pictures[3][32, [8, 56], 3].tolist() == pytest.approx([0, 255], abs=4)


def test_sound_is_copied_untouched_where_the_container_takes_it(tmp_path: Path) -> None:
    drive = write_video(tmp_path / "drive.mp4", range(25), sound_s=1.0)
    out = tmp_path / "out.mp4"
    go(drive, out)
    assert sound_packets(out) == sound_packets(drive)
    assert len(sound_of(out)) == len(sound_of(drive))


def test_sound_is_encoded_again_where_it_must_be(tmp_path: Path) -> None:
    drive = write_video(tmp_path / "drive.mp4", range(25), sound_s=0.8)
    out = tmp_path / "out.webm"
    go(drive, out)
    with av.open(str(out)) as container:
        assert container.streams.audio[0].codec_context.name in ("opus", "libopus")
    wave = sound_of(out)
    assert len(wave) / 48_000 == pytest.approx(0.8, abs=0.06)
    spectrum = np.abs(np.fft.rfft(wave[4800:33600]))
    assert np.argmax(spectrum) * 48_000 / 28_800 == pytest.approx(440, abs=2)


@pytest.mark.parametrize("codec", ["pcm_s16le", "flac", "mp2"])
def test_sound_of_other_files_goes_into_an_mp4_as_aac(tmp_path: Path, codec: str) -> None:
    drive = write_video(tmp_path / "drive.mkv", range(25), sound_s=0.8, sound_codec=codec)
    out = tmp_path / "out.mp4"
    go(drive, out)
    with av.open(str(out)) as container:
        assert container.streams.audio[0].codec_context.name == "aac"
    assert len(sound_of(out)) / 44_100 == pytest.approx(0.8, abs=0.06)


def test_pictures_and_sound_stay_in_step_when_pictures_start_late(tmp_path: Path) -> None:
    drive = write_video(tmp_path / "drive.mkv", range(15, 25), sound_s=1.0)
    out = tmp_path / "out.mp4"
    go(drive, out)
    assert float(decode_times(out)[0]) == pytest.approx(0.5, abs=0.002)
    assert len(sound_of(out)) / 48_000 == pytest.approx(1.0, abs=0.06)


def test_an_odd_character_and_a_driver_without_sound(tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    render(
        a_character(size_wh=(75, 101)),
        write_video(tmp_path / "drive.mp4"),
        out,
        ScriptedTracker,
        CostlyAnimator(),
        background="#0000ff",
    )
    with av.open(str(out)) as container:
        assert not container.streams.audio
        assert (container.streams.video[0].width, container.streams.video[0].height) == (76, 102)


def test_a_motion_clip_drives_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(100, 300, (70, 3)).astype(np.float32)
    states = [FaceState((400, 400), 1.0, points_xyz=points + i, has_depth=False) for i in range(12)]
    write_clip(MotionClip("walk", 25.0, states), tmp_path / "walk.motion")
    out = tmp_path / "out.mp4"
    report = go(tmp_path / "walk.motion", out)
    assert report == Report(12, 12, 12 / 25)
    assert decode_times(out) == [Fraction(i, 25) for i in range(12)]


def test_the_neutral_is_the_calmest_moment_and_not_the_first(tmp_path: Path) -> None:
    open_mouth, calm = a_face(mouth=0.8), a_face(mouth=0.0)
    animator = WitnessAnimator()
    go(
        write_video(tmp_path / "drive.mp4", range(25)),
        tmp_path / "out.mp4",
        ScriptedTracker([*[open_mouth] * 10, *[calm] * 15]),
        animator,
    )
    jaw = [float(drive.blendshapes[ARKIT_INDEX["jawOpen"]]) for drive in animator.drives]
    assert max(jaw[2:10]) > 0.5
    assert max(jaw[-5:]) < 0.05


def test_frames_without_a_face_are_counted_and_still_rendered(tmp_path: Path) -> None:
    tracker = ScriptedTracker([a_face(), FaceState.lost((64, 48)), a_face()])
    report = go(write_video(tmp_path / "drive.mp4"), tmp_path / "out.mp4", tracker)
    assert (report.frames, report.with_face) == (10, 9)
    assert tracker.closed


def test_progress_is_told_for_both_passes(tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    go(write_video(tmp_path / "drive.mp4"), tmp_path / "out.mp4", progress=lambda *step: told.append(step))
    assert told == [("track", i, 10) for i in range(1, 11)] + [("draw", i, 10) for i in range(1, 11)]


class Stopped(KeyboardInterrupt):
    """Ctrl-C."""


@pytest.mark.parametrize("stage", ["track", "draw"])
def test_ctrl_c_leaves_nothing_behind(tmp_path: Path, stage: str) -> None:
    drive = write_video(tmp_path / "drive.mp4", sound_s=0.3)

    def stop(at: str, done: int, total: int | None) -> None:
        if at == stage and done == 5:
            raise Stopped

    tracker = ScriptedTracker()
    with pytest.raises(Stopped):
        go(drive, tmp_path / "out.mp4", tracker, progress=stop)
    assert list(tmp_path.iterdir()) == [drive]
    assert tracker.closed


@pytest.mark.parametrize(
    ("animator", "error"),
    [
        (CostlyAnimator(load_error=FaceshotError("no mouth")), FaceshotError),
        (CostlyAnimator(fails=lambda n: n == 4), RuntimeError),
    ],
)
def test_a_failing_animator_leaves_nothing_behind(
    tmp_path: Path, animator: CostlyAnimator, error: type[Exception]
) -> None:
    drive = write_video(tmp_path / "drive.mp4")
    with pytest.raises(error):
        go(drive, tmp_path / "out.mp4", animator=animator)
    assert list(tmp_path.iterdir()) == [drive]


def test_a_driver_without_a_face_is_refused(tmp_path: Path) -> None:
    drive = write_video(tmp_path / "drive.mp4")
    with pytest.raises(SourceError, match="No face was found in any of the 10 frames"):
        go(drive, tmp_path / "out.mp4", ScriptedTracker([FaceState.lost((64, 48))]))
    assert list(tmp_path.iterdir()) == [drive]


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    drive = write_video(tmp_path / "drive.mp4")
    out = tmp_path / "out.mp4"
    out.write_bytes(b"precious")
    with pytest.raises(SinkError, match="exists already"):
        go(drive, out)
    with pytest.raises(Stopped):
        go(drive, out, overwrite=True, progress=_stop_at_once)
    assert out.read_bytes() == b"precious"
    go(drive, out, overwrite=True)
    assert len(decode_times(out)) == 10
    with pytest.raises(SinkError, match="driver itself"):
        go(drive, drive, overwrite=True)


def _stop_at_once(*_: object) -> None:
    raise Stopped


def test_what_cannot_drive_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no file"):
        go(tmp_path / "nothing.mp4", tmp_path / "out.mp4")
    with pytest.raises(MotionClipError):
        go(tmp_path / "nothing.motion", tmp_path / "out.mp4")
    with pytest.raises(SinkError, match=r"\.mp4 or \.webm"):
        go(tmp_path / "nothing.mp4", tmp_path / "out.gif")
    assert list(tmp_path.iterdir()) == []


def _placed(x_px: float, rolled: float = 0.0) -> FaceState:
    """A face of 70 points at a place of a picture 640 px wide."""
    state = perform((0, 0, rolled))
    assert state.points_xyz is not None
    return replace(state, points_xyz=state.points_xyz + np.array([x_px - 320, 0, 0], np.float32))


def _rolls(animator: DuoAnimator) -> list[list[float]]:
    """How far each of the two people turns, over the film."""
    turned = np.array([[drive.head.rotation[2] for drive in drives] for drives in animator.frames])
    return np.ptp(turned, axis=0).round(2).tolist()


@pytest.mark.parametrize("mirror", [False, True])
def test_two_faces_in_one_video_move_a_person_each_from_left_to_right(tmp_path: Path, mirror: bool) -> None:
    """The one at the right, whom the tracker found first, tilts; a third is seen for a moment and moves nobody."""
    drive = write_video(tmp_path / "drive.mp4", range(40))
    script = [
        replace(_placed(480, 15 * np.sin(n / 5)), others=(_placed(160), _placed(20)) if n == 30 else (_placed(160),))
        for n in range(40)
    ]
    animator = DuoAnimator()
    settings = MotionSettings(mirror=mirror, idle=False)
    report = go(drive, tmp_path / "out.mp4", ScriptedTracker(script), animator, settings=settings)
    assert report.frames == report.with_face == len(animator.frames) == 40
    rolls = _rolls(animator)
    assert min(rolls) < 0.02 and rolls[0 if mirror else 1] > 0.3


def test_who_has_no_face_in_the_video_idles_or_has_a_driver_named(tmp_path: Path) -> None:
    drive, other = write_video(tmp_path / "drive.mp4", range(40)), write_video(tmp_path / "other.mp4", range(20))
    tilting = [_placed(300, 15 * np.sin(n / 5)) for n in range(40)]
    for others, expected in (((), False), ((other,), True)):
        animator = DuoAnimator()
        out = tmp_path / f"{expected}.mp4"
        scripts = iter([tilting, tilting[:20]])
        render(
            a_character(),
            drive,
            out,
            lambda s=scripts: ScriptedTracker(next(s)),
            animator,
            others=others,  # type: ignore[misc]
        )
        assert {drives[1].found for drives in animator.frames} == {expected}
        first, second = _rolls(animator)
        assert first > 0.3 and (second > 0.3) is expected


@pytest.mark.media
def test_a_real_face_moves_a_bundled_character(shared_media: Path, tmp_path: Path) -> None:
    """Real video, tracker and animator on a second of talking, with its sound."""
    from faceshot.animators.warp import WarpAnimator
    from faceshot.character import bundled_names, open_character, resize
    from faceshot.tracker import make_tracker

    drive = _excerpt(shared_media / "driving" / "d10.mp4", tmp_path / "talk.mp4", 24)
    out = tmp_path / "out.webm"
    character = resize(open_character(bundled_names()[0]), 256)
    report = render(character, drive, out, lambda: make_tracker("auto", None), WarpAnimator())
    assert report.frames == report.with_face == 24
    pictures = decode_rgba(out)
    assert max(pictures[0].shape) == 256
    assert pictures[0].shape[:2] == character.rgba.shape[:2]
    moved = [np.abs(a.astype(int) - b).max() for a, b in itertools.pairwise(pictures)]
    assert max(moved) > 30
    assert len(sound_of(out)) > 0.5 * 48_000


def _excerpt(source: Path, path: Path, frames: int) -> Path:
    """The first frames of a clip and about as much of its sound."""
    with av.open(str(source)) as clip, av.open(str(path), "w") as out:
        video, sound = clip.streams.video[0], clip.streams.audio[0]
        copied = out.add_stream_from_template(sound)
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        seconds = frames / 30
        for frame in itertools.islice(clip.decode(video), frames):
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
        clip.seek(0)
        for packet in clip.demux(sound):
            if packet.dts is None or packet.pts * packet.time_base > seconds:
                break
            packet.stream = copied
            out.mux(packet)
    return path
