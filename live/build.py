"""The composition root: from a configuration to a show. Only this file knows concrete classes, and it imports each when
it is asked for, so that a missing back end hurts nobody who does not use it.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from faceshot.animators import Animator
from faceshot.errors import NoFace, WeightsMissing
from faceshot.landmarks import Matcher, MatchProgress
from faceshot.types import Character, UInt8
from live.clock import Clock, LoopClock
from live.config import Config
from live.errors import ConfigError, MissingExtra, SinkError, SourceError
from live.show import Parts, Show, keep_nothing
from live.sources.phone import PHONE, PhoneInlet
from live.stages import Sink, Source, Tracker
from live.workers import ThreadWorker

if TYPE_CHECKING:
    from faceshot.animators.liveportrait.video import VideoEditor
    from faceshot.animators.svd.quality import SvdQuality

__all__ = [
    "build_animator",
    "build_film_animator",
    "build_matcher",
    "build_show",
    "build_sinks",
    "build_source",
    "build_tracker",
    "build_video_editor",
    "check_animator",
    "check_drivers",
    "choose_source",
    "open_character",
]

ANIMATORS = {
    "warp": "faceshot.animators.warp:WarpAnimator",
    "liveportrait": "faceshot.animators.liveportrait.animator:LivePortraitAnimator",
    "svd": "faceshot.animators.svd_window:SvdWindowAnimator",
}
SOURCES = {
    "camera": "live.sources.camera:CameraSource",
    "file": "live.sources.file:FileSource",
    "clip": "live.sources.clip:ClipSource",
    "phone": "live.sources.phone:PhoneSource",
}
SINKS = {
    "vcam": "live.sinks.virtual_camera:VirtualCameraSink",
    "record": "live.sinks.recorder:RecorderSink",
    "null": "live.sinks.null:NullSink",
}
MOST_DRIVERS = 4
"""Faces in front of one camera that move a person each (`animator.liveportrait.people = "each"`)."""
LoadProgress = Callable[[str, int, int], None]
RECORDINGS = (".mp4", ".webm")
SOURCE_KINDS = "demo, phone, a camera (number or name), a video file, a .motion clip"


class Loading:
    """What is being loaded, for those who wait. `tell` is called in one thread, `text` read in another."""

    def __init__(self, kind: str) -> None:
        self.text: str | None = None
        self._kind = kind

    def tell(self, what: str, done: int, total: int) -> None:
        count = f", {done + 1} of {total}" if total > 1 else ""
        self.text = None if done >= total else f"Loading {self._kind}{count}: {what}"


def build_show(config: Config, keep: Callable[[Mapping[str, object]], None] | None = None) -> Show:
    """A show that is ready to run. Call it on the running event loop, whose time is the show's.

    Args:
        keep: see `live.show.Parts`; without it nothing is kept.

    Raises:
        ConfigError, SinkError: what the configuration asks for cannot be built. Characters, sources and models are
            opened by `Show.run`, away from the event loop.
    """
    if config.tracker.kind == "matching":
        raise ConfigError(
            "tracker.kind=matching takes seconds to minutes for a frame: it is for files, not for a live show.",
            "Type faceshot render CHARACTER DRIVE -o OUT.mp4 --tracker matching",
        )
    check_animator(config, live=True)
    clock = LoopClock()
    phone = PhoneInlet(clock)
    loading = Loading(config.animator.kind)
    parts = Parts(
        open_character=partial(open_character, config=config, calibrate=False),
        read_picture=partial(_read_picture, config=config),
        list_characters=_list_characters,
        choose_source=choose_source,
        make_source=partial(build_source, config=config, clock=clock, phone=phone),
        make_tracker=partial(build_tracker, config),
        make_animator=partial(build_animator, config.animator.kind, config, loading.tell),
        loading=lambda: loading.text,
        make_fallback=partial(build_animator, "warp", config),
        calibrate=partial(calibrated, config=config),
        make_worker=ThreadWorker,
        phone=phone,
        keep=keep or keep_nothing,
    )
    return Show(config, clock, parts, build_sinks(config, clock))


def choose_source() -> str:
    """What `auto` means now: the first camera that is not our own virtual one, else `demo`. Blocks."""
    from live.sources.cameras import list_cameras

    return next((str(camera.index) for camera in list_cameras() if not camera.is_own_output), "demo")


def build_source(spec: str, config: Config, clock: Clock, phone: PhoneInlet | None = None) -> Source:
    """The source that `spec` (anything but `auto`) means, not open yet. Blocks while a clip is read.

    Args:
        phone: where the server leaves a phone's pictures; None where there is no server.

    Raises:
        SourceError: there is no such source.
        MotionClipError: the clip is damaged.
    """
    if spec == PHONE:
        remote: Source = _load(SOURCES["phone"])(phone if config.server.enabled else None)
        return remote
    how = {"realtime": config.source.realtime, "loop": config.source.loop}
    path = Path(spec).expanduser()
    if "://" in spec:
        scheme = spec.partition("://")[0]
        raise SourceError(f"No source speaks {scheme}:// (in {spec}).", f"There are: {SOURCE_KINDS}.")
    if spec == "demo" or _is_clip(spec):
        from faceshot.motion_clip import bundled_clips, open_clip

        names = bundled_clips() if spec == "demo" else (spec,)
        clips = [open_clip(str(path) if os.path.isfile(path) else name) for name in names]
        made: Source = _load(SOURCES["clip"])(clips, clock, **how, name="demo" if spec == "demo" else path.stem)
        return made
    if os.path.isfile(path):  # Path.is_file raises for a name that is too long
        made = _load(SOURCES["file"])(path, clock, **how)
        return made
    if os.path.isdir(path) or (not spec.startswith("/dev/") and ("/" in spec or "\\" in spec or path.suffix)):
        what = "is a folder" if os.path.isdir(path) else "does not exist"
        raise SourceError(f"The file {spec} {what}.", f"A source is one of: {SOURCE_KINDS}.")
    size_wh = (config.source.width, config.source.height)
    made = _load(SOURCES["camera"])(spec, size_wh, config.source.fps, clock)
    return made


def build_tracker(config: Config, progress: MatchProgress = lambda stage, done, total: None) -> Tracker:
    """The face tracker. Blocks for a second or more while its models load. Raises `WeightsMissing`.

    Args:
        progress: of matching, which takes seconds to minutes for a frame.
    """
    if config.tracker.kind == "matching":
        from faceshot.matching_tracker import MatchingTracker

        return MatchingTracker(build_matcher(config, keep=True), config.matching.stride, progress)
    from faceshot.tracker import make_tracker

    if config.animator.kind != "liveportrait":
        return make_tracker(config.tracker.kind, config.models.folder)
    from faceshot.animators.liveportrait.driver_crop import DriverCrop

    most = MOST_DRIVERS if config.animator.liveportrait.people == "each" else 1
    return make_tracker(config.tracker.kind, config.models.folder, make_cropper=DriverCrop, most=most)


def build_matcher(config: Config, keep: bool = False) -> Matcher:
    """The diffusion matcher; read at its first use. Raises `WeightsMissing` when it is not all there."""
    from faceshot.diffusion_matcher import diffusion_matcher

    return diffusion_matcher(folder=config.models.folder, keep=keep, **matcher_options(config))


def matcher_options(config: Config) -> dict[str, Any]:
    """Arguments of `diffusion_matcher`. Raises `GalleryError` for a part of a face that there is not."""
    from faceshot.diffusion_matcher import MatcherSettings, parse_domain

    chosen = config.matching
    settings = MatcherSettings(k=chosen.k, domain=parse_domain(chosen.domain), repair=chosen.repair)
    named = {name: getattr(chosen, name) for name in ("backbone", "gallery", "device", "dtype")}
    return {**named, "settings": settings}


def build_animator(
    kind: str, config: Config | None = None, progress: LoadProgress = lambda what, done, total: None
) -> Animator:
    """An animator without a character. Raises `MissingExtra` when it needs a package that is not there.

    Args:
        progress: of loading large networks: what comes next, how many are done, of all.
    """
    made: Animator
    if kind == "liveportrait":
        from faceshot.animators.liveportrait.settings import Settings

        config = config or Config()
        _check_torch(kind)
        settings = Settings(**config.animator.liveportrait.model_dump())
        made = _load(ANIMATORS[kind])(settings, config.models.folder)
    elif kind == "svd":
        from faceshot.animators.svd.live_settings import LiveSettings

        config = config or Config()
        _check_torch(kind)
        svd = config.animator.svd
        live = LiveSettings(device=svd.device, precision=svd.precision, **svd.live.model_dump())
        made = _load(ANIMATORS[kind])(live, config.models.folder, progress)
    else:
        from faceshot.animators.warp import WarpSettings

        warp = (config or Config()).animator.warp
        made = _load(ANIMATORS[kind])(WarpSettings(**warp.model_dump()), progress)
    return made


def build_film_animator(config: Config) -> SvdQuality:
    """What draws a whole clip offline (`animator.kind=svd`), without a character."""
    from faceshot.animators.svd.quality import SvdQuality
    from faceshot.animators.svd.settings import QualitySettings

    svd = config.animator.svd
    settings = QualitySettings(device=svd.device, precision=svd.precision, **svd.quality.model_dump())
    return SvdQuality(settings, config.models.folder)


def build_video_editor(config: Config) -> VideoEditor:
    """What animates the person in a video. Blocks while networks load."""
    from faceshot.animators.liveportrait.settings import Settings
    from faceshot.animators.liveportrait.video import VideoEditor

    return VideoEditor(Settings(**config.animator.liveportrait.model_dump()), config.models.folder)


def check_animator(config: Config, live: bool = False) -> None:
    """Refuse at once what cannot work: a package or a model file that is not there. Opens nothing.

    Args:
        live: for a show, not for a film.

    Raises:
        ConfigError: the animator draws no such show.
        MissingExtra, WeightsMissing: with the command that cures it.
    """
    if config.animator.kind == "svd":
        from faceshot.placement import need_packages

        need_packages("The animator svd", "torch", "diffusers", "transformers", "safetensors")
        from faceshot.animators.svd.checkpoints import find_files as find_svd_files

        find_svd_files(config.models.folder)
        if live:
            _check_live_svd(config)
    if config.animator.kind != "liveportrait":
        return
    _check_torch(config.animator.kind)
    from faceshot.animators.liveportrait.checkpoints import find_files

    find_files(config.models.folder, config.animator.liveportrait.variant)


def check_drivers(config: Config, *drives: str) -> None:
    """Refuse at once drivers of a film that would move nothing. Raises `ConfigError`."""
    from faceshot.animators.liveportrait.settings import blind_text

    motion = config.animator.liveportrait.motion
    if config.animator.kind != "liveportrait" or motion == "live":
        return
    use = "use --set animator.liveportrait.motion=live."
    for drive in drives:
        if _is_clip(drive):
            raise ConfigError(f"{drive} is a motion clip. {blind_text(motion)}", f"Give a video, or {use}")
    if config.tracker.kind == "matching":
        raise ConfigError(f"tracker.kind=matching gives points only. {blind_text(motion)}", f"Drop it, or {use}")


def _check_live_svd(config: Config) -> None:
    from faceshot.animators.svd.files import TINY_DECODER
    from faceshot.weights import find, search_folders

    if not config.source.realtime:
        raise ConfigError(
            "The animator svd draws live in windows of a clock, but source.realtime is false.",
            "Type faceshot render CHARACTER DRIVE -o OUT.mp4 --animator svd",
        )
    if find(TINY_DECODER, config.models.folder) is None:
        places = ", ".join(str(place) for place in search_folders(config.models.folder))
        raise WeightsMissing(
            f"The model file {TINY_DECODER} is in none of: {places}.", "Type: faceshot models pull svd-fast"
        )


def _check_torch(kind: str) -> None:
    if importlib.util.find_spec("torch") is None:
        raise MissingExtra(
            f"The animator {kind} needs torch, which is not installed.",
            "Type: pip install 'faceshot-live[gpu]', or use --animator warp.",
        )


def build_sinks(config: Config, clock: Clock) -> list[Sink]:
    """The sinks that `output.sinks` names. Raises `SinkError` or `ConfigError`."""
    for i, spec in enumerate(config.output.sinks):
        if spec in config.output.sinks[:i]:
            raise ConfigError(f"The output {spec} is named twice.", "Name each output once.")
    return [_build_sink(spec, config, clock) for spec in config.output.sinks]


def open_character(spec: str, config: Config, calibrate: bool = True) -> Character:
    """The character that `spec` means, at the size to be rendered. Raises `CharacterFileError` or `PictureError`.

    Args:
        calibrate: see `calibrated`.
    """
    from faceshot import character, pictures

    def anew() -> tuple[UInt8, str]:
        path = Path(spec).expanduser()
        return pictures.read_picture(path, path.name), path.stem

    made = _with_crop(lambda: character.open_character(spec, config.models.folder, calibrate=False), anew, config)
    made = character.resize(made, config.animator.max_side_px)
    return calibrated(made, config) if calibrate else made


def calibrated(character: Character, config: Config) -> Character:
    """The character with what is known of how trackers read it, when the animator makes use of that; takes some
    seconds unless its file has it already."""
    if config.animator.kind != "warp":
        return character
    from faceshot import calibration

    return calibration.calibrated(character, config.models.folder)


def _build_sink(spec: str, config: Config, clock: Clock) -> Sink:
    background, server = config.output.background, config.server
    sink: Sink
    if spec == "null":
        sink = _load(SINKS["null"])("latest" if config.source.realtime else "lossless")
    elif spec == "vcam":
        host = "127.0.0.1" if server.host in ("0.0.0.0", "::") else server.host
        view_url = f"http://{host}:{server.port}/view"
        sink = _load(SINKS["vcam"])(clock, background, view_url=view_url)
    elif spec.lower().endswith(RECORDINGS) and "://" not in spec:
        if not config.source.realtime:
            raise ConfigError(
                f"Recording to {spec} follows real time, but source.realtime is false.",
                "Type faceshot render CHARACTER DRIVE -o OUT.mp4 to make a video as fast as possible.",
            )
        sink = _load(SINKS["record"])(spec, clock, background)
    else:
        raise SinkError(f"There is no output {spec!r}.", "Outputs are: vcam, null, or a file ending in .mp4 or .webm.")
    return sink


def _with_crop(make: Callable[[], Character], picture: Callable[[], tuple[UInt8, str]], config: Config) -> Character:
    """A character with the square that the settings name; with one, a picture needs no face."""
    if config.animator.kind != "liveportrait":
        return make()
    from faceshot.animators.liveportrait.faceless import character_in_square, with_square

    crop = config.animator.liveportrait.crop
    try:
        made = make()
    except NoFace as error:
        if crop == "auto":
            square = "Or name what is to be animated: --set animator.liveportrait.crop=whole, or left,top,side."
            raise NoFace(error.message, f"{error.hint} {square}") from None
        made = character_in_square(*picture(), crop)
    return with_square(made, crop)


def _read_picture(data: bytes, name: str, config: Config) -> Character:
    from faceshot import character, pictures

    if name.lower().endswith(".faceshot"):
        made = character.read_character(data)
    else:
        rgba, stem = pictures.read_picture(data, name), Path(name).stem or name
        made = _with_crop(
            lambda: character.character_from_picture(rgba, stem, config.models.folder), lambda: (rgba, stem), config
        )
    return character.resize(made, config.animator.max_side_px)


def _list_characters() -> list[dict[str, str]]:
    from faceshot import character, versions

    return [summary._asdict() for summary in (*character.bundled_summaries(), *versions.own_characters())]


def _is_clip(spec: str) -> bool:
    from faceshot.motion_clip import bundled_clips

    return spec.endswith(".motion") or spec in bundled_clips()


def _load(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(module), name)
