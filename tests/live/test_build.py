"""From a configuration to a show: what each spec means, and that the real parts play together."""

import asyncio
import json

import pytest

from faceshot.errors import FaceshotError
from live import build
from live.clock import LoopClock, MonotonicClock
from live.config import Config, load_config
from live.edges import Latest
from live.errors import ConfigError, SinkError, SourceError
from live.sinks.null import NullSink
from live.sinks.recorder import RecorderSink
from live.sinks.virtual_camera import VirtualCameraSink
from live.sources.camera import CameraSource
from live.sources.clip import ClipSource
from live.sources.file import FileSource

CLOCK = MonotonicClock()


def source(spec: str, *sets: str):
    return build.build_source(spec, load_config(sets=sets), CLOCK)


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("demo", ClipSource),
        ("talking", ClipSource),
        ("0", CameraSource),
        ("HD Camera", CameraSource),
        ("/dev/video7", CameraSource),
    ],
)
def test_what_a_source_spec_means(spec, kind):
    assert isinstance(source(spec), kind)


def test_a_file_that_is_there_is_a_video_or_a_clip(tmp_path):
    from faceshot.motion_clip import open_clip, write_clip

    video = tmp_path / "me.mp4"
    video.write_bytes(b"not opened yet")
    assert isinstance(source(str(video)), FileSource)
    clip = tmp_path / "me.motion"
    write_clip(open_clip("talking"), clip)
    assert isinstance(source(str(clip)), ClipSource)


def test_auto_is_a_camera_when_there_is_one_and_else_the_demo(monkeypatch):
    from live.sources import cameras

    own = cameras.CameraInfo(4, cameras.OWN_LABEL, "")
    for found, chosen in (([], "demo"), ([own], "demo"), ([own, cameras.CameraInfo(5, "HD", "")], "5")):
        monkeypatch.setattr(cameras, "list_cameras", lambda found=found: found)
        assert build.choose_source() == chosen


@pytest.mark.parametrize("spec", ["gone.mp4", "./gone", "clips/", "C:\\gone.mp4", "gopher://host", "."])
def test_a_source_that_does_not_exist_lists_what_does(spec):
    with pytest.raises(SourceError) as caught:
        source(spec)
    assert spec in caught.value.message
    assert "a camera" in caught.value.hint


def test_a_damaged_clip_is_an_error_of_two_lines(tmp_path):
    clip = tmp_path / "bad.motion"
    clip.write_bytes(b"PK\x03\x04nonsense")
    with pytest.raises(FaceshotError, match=r"bad\.motion"):
        source(str(clip))


def test_what_a_sink_spec_means(tmp_path):
    config = load_config(options={"output.sinks": ("null", "vcam", str(tmp_path / "a.mp4"), str(tmp_path / "b.webm"))})
    sinks = build.build_sinks(config, CLOCK)
    assert [type(sink) for sink in sinks] == [NullSink, VirtualCameraSink, RecorderSink, RecorderSink]
    assert [sink.edge for sink in sinks] == ["latest", "latest", "lossless", "lossless"]
    offline = load_config(sets=["output.sinks=null", "source.realtime=false"])
    assert build.build_sinks(offline, CLOCK)[0].edge == "lossless"


@pytest.mark.parametrize(
    ("sets", "error", "part"),
    [
        (["output.sinks=obs"], SinkError, "vcam, null"),
        (["output.sinks=rtmp://host/out.mp4"], SinkError, "vcam, null"),
        (["output.sinks=out.mp4", "source.realtime=false"], ConfigError, "faceshot render"),
        (["output.sinks=vcam", "output.background=nonsense"], ConfigError, "background"),
        (["output.sinks=vcam,null,vcam"], ConfigError, "vcam is named twice"),
    ],
)
def test_a_sink_that_cannot_be_is_refused_before_the_show(sets, error, part):
    with pytest.raises(error, match=part):
        build.build_sinks(load_config(sets=sets), CLOCK)


def test_tables_name_classes_that_exist():
    for table in (build.ANIMATORS, build.SOURCES, build.SINKS):
        for target in table.values():
            assert isinstance(build._load(target), type)
    assert set(build.ANIMATORS) == set(
        Config.model_fields["animator"].annotation.model_fields["kind"].annotation.__args__
    )


def test_characters_come_at_the_size_to_be_rendered():
    config = load_config(sets=["animator.max_side_px=256"])
    assert max(build.open_character("mika", config).size_wh) == 256


def test_a_dropped_character_file_is_a_character(tmp_path):
    from faceshot.character import open_character, write_character

    file = tmp_path / "me.faceshot"
    write_character(open_character("mika"), file)
    made = build._read_picture(file.read_bytes(), "me.faceshot", load_config())
    assert made.kind == "anime"
    with pytest.raises(FaceshotError):
        build._read_picture(b"GIF89a nonsense", "cat.gif", load_config())


def test_the_real_parts_play_together_in_real_threads():
    """Demo clip, warp animator, thread workers; then the switches of the control page."""

    async def main():
        show = build.build_show(load_config(sets=["source.spec=demo", "output.sinks=null", "animator.max_side_px=128"]))
        assert isinstance(show.clock, LoopClock)
        viewer = Latest("viewer", show.clock)
        show.frames.subscribe(viewer)
        running = asyncio.ensure_future(show.run())
        first = await viewer.get()
        assert max(first.value.size_wh) == 128 and first.value.rgba.any()
        while show.state()["face"] not in ("calibrating", "tracking"):
            await viewer.get()
        await show.set_character("sunny")
        while (await viewer.get()).epoch < 2:
            pass
        assert show.state()["character"]["kind"] == "emoji"
        show.set_hidden(True)
        assert not (await viewer.get()).value.rgba.any()
        show.stop()
        await running
        return show

    show = asyncio.run(main())
    stats = show.stats.snapshot()
    assert json.dumps(stats)
    assert stats["frames_in"] > 0 and stats["latency_ms"]["p50"] > 0
    assert show.state()["message"] is None
    assert show.state()["sinks"] == [{"name": "null", "state": "stopped", "error": None}]


def test_a_real_face_in_a_real_video_moves_the_character(shared_media):
    async def main():
        video = shared_media / "driving" / "d10.mp4"
        show = build.build_show(
            load_config(
                options={"source.spec": str(video), "output.sinks": ("null",)},
                sets=["animator.max_side_px=128", "source.realtime=false", "source.loop=false"],
            )
        )
        await show.run()
        return show

    show = asyncio.run(main())
    stats = show.stats.snapshot()
    assert stats["frames_in"] == stats["frames_out"] > 50
    assert stats["dropped"] == {}
    assert set(stats["stages"]) == {"track", "retarget", "render"}
    assert show.state()["face"] == "tracking"
    assert show.state()["message"] is None


@pytest.mark.parametrize("open_it", [source, lambda spec: build.open_character(spec, load_config())])
def test_a_name_too_long_for_the_system_is_a_mistake_like_any_other(open_it):
    with pytest.raises(FaceshotError, match="There is no"):
        open_it(f"{'x' * 5000}.motion")
