"""Every knob of the program: a frozen tree read from TOML, `--set a.b=c` and options. Those of the animators are in
`live.config_animators`, all others on this page.

Precedence: option, `--set`, environment, file, default. An error names the place, the dotted key, the bad value and
the nearest valid key.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator

from live.config_animators import LivePortraitConfig, SvdConfig, Table, WarpConfig
from live.errors import ConfigError

__all__ = [
    "AnimatorConfig",
    "CharacterConfig",
    "Config",
    "GainsConfig",
    "IceConfig",
    "IceServerConfig",
    "LivePortraitConfig",
    "MatchingConfig",
    "ModelsConfig",
    "MotionConfig",
    "OutputConfig",
    "RemoteConfig",
    "ServerConfig",
    "SourceConfig",
    "SvdConfig",
    "TrackerConfig",
    "all_keys",
    "load_config",
    "to_toml",
    "with_changes",
]

ENVIRONMENT = {"FACESHOT_MODELS": "models.folder"}


class SourceConfig(Table):
    """Where motion comes from."""

    spec: str = Field("auto", min_length=1)
    """`auto` (a webcam if there is one, else `demo`), `demo`, `phone`, a camera index or name, a path, or a URL."""
    realtime: bool = True
    """Play files at their own speed; false: as fast as everything downstream allows, no frame dropped."""
    loop: bool = True
    """Start a file again at its end (live only)."""
    width: int = Field(640, ge=64, le=4096)
    """Width in pixels asked of a camera; 640×480 is plenty for landmarks."""
    height: int = Field(480, ge=64, le=4096)
    """Height in pixels asked of a camera."""
    fps: float = Field(30.0, gt=0, le=240)
    """Frame rate in Hz asked of a camera."""


class TrackerConfig(Table):
    """How the face is found."""

    kind: Literal["auto", "landmarker", "facemesh", "matching"] = "auto"
    """`landmarker` needs the file face_landmarker.task; `facemesh` needs nothing; `auto` takes the best at hand.
    `matching` is for `faceshot render` with faces that are not human; see the table `matching`."""


class MatchingConfig(Table):
    """Landmarks by diffusion features: of characters, and of drivers that are not human."""

    backbone: Literal["sd15-ip", "sd21-plain"] = "sd15-ip"
    """`sd15-ip` is the paper's, `sd21-plain` fits the published gallery."""
    gallery: str = "built-in"
    """`built-in`, a gallery file, or the name of an imported one."""
    domain: str = ""
    """A domain of the gallery, or `eyes=anime,mouth=animal`; empty: chosen by looks."""
    k: int = Field(10, ge=1, le=1000)
    """References of a domain at most."""
    repair: Literal["prior", "published", "none"] = "prior"
    """How outliers are put right: our shape prior, the published rearrangement, or not at all."""
    stride: int = Field(48, ge=0, le=10_000)
    """Driver frames from one match to the next, optical flow in between; 0 matches the first frame only."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1` ..."""
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Numbers of the UNet; `auto`: float16 on CUDA, float32 elsewhere."""


class CharacterConfig(Table):
    """Who is on air."""

    spec: str = "mika"
    """A bundled name, a picture or a `.faceshot` file."""


class GainsConfig(Table):
    """How strongly motion is carried over; 1 is as performed."""

    head: float = Field(1.0, ge=0, le=2)
    """Head rotation and translation."""
    eyes: float = Field(1.0, ge=0, le=2)
    """Lids and gaze."""
    brows: float = Field(1.0, ge=0, le=2)
    """Brows."""
    mouth: float = Field(1.0, ge=0, le=2)
    """Lips and jaw."""


class LimitsConfig(Table):
    """How far each group may go, as a share of what a picture can follow; nearing the limit is soft."""

    head: float = Field(1.0, ge=0.1, le=1)
    """Head rotation and translation."""
    eyes: float = Field(1.0, ge=0.1, le=1)
    """Gaze, and how wide eyes open."""
    brows: float = Field(1.0, ge=0.1, le=1)
    """Brows."""
    mouth: float = Field(1.0, ge=0.1, le=1)
    """Lips and jaw."""


class RangeConfig(Table):
    """What this performer's face reads as; measured on the control page. Left and right are the performer's own."""

    left_shut: float = Field(0.0, ge=0, le=0.7)
    """Opening read of the left eye when it is shut; a relaxed eye reads 1."""
    right_shut: float = Field(0.0, ge=0, le=0.7)
    """The same of the right eye."""
    lips_shut: float = Field(0.0, ge=-0.05, le=0.05)
    """Face widths between the inner lips when they are shut, against neutral."""
    lips_wide: float = Field(0.18, ge=0.08, le=0.8)
    """The same when the mouth is wide open."""


class MotionConfig(Table):
    """How the performer's motion becomes the character's."""

    gains: GainsConfig = GainsConfig()
    smoothing: float = Field(0.5, ge=0, le=1)
    """0 is raw, 1 is very smooth; lids and lips stay quick at any setting."""
    mirror: bool | None = None
    """Mirror the motion as in front of a looking glass; unset: mirrored for cameras, not for files."""
    hold_s: float = Field(0.5, ge=0, le=10)
    """Seconds to hold the last expression when the face is lost, before easing to neutral."""
    idle: bool = True
    """Blink, breathe and sway while nobody is in front of the camera."""
    limits: LimitsConfig = LimitsConfig()
    range: RangeConfig = RangeConfig()
    close_mouth: float = Field(0.0, ge=0, le=1)
    """How far a mouth that is open in the picture shuts while the performer's is shut."""


class AnimatorConfig(Table):
    """What draws the character."""

    kind: Literal["warp", "liveportrait", "svd"] = "warp"
    """`warp` runs everywhere; `liveportrait` is photo-real and needs a GPU to be live, as does `svd`."""
    max_side_px: int = Field(512, ge=128, le=1024)
    """Longest side of the rendered picture in pixels; a smaller character keeps its size."""
    warp: WarpConfig = WarpConfig()
    liveportrait: LivePortraitConfig = LivePortraitConfig()
    svd: SvdConfig = SvdConfig()


class OutputConfig(Table):
    """Where pictures go."""

    sinks: tuple[str, ...] = ()
    """`vcam`, `null`, or a path ending in .mp4 or .webm; the browser viewer is always there."""
    fps: float = Field(30.0, gt=0, le=120)
    """Frame rate in Hz of the virtual camera and of recordings."""
    mirror: bool = False
    """Flip the output picture left to right."""
    background: str = "transparent"
    """`transparent`, a colour such as `#00ff00`, or a picture; opaque sinks show black for `transparent`."""

    @field_validator("sinks", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        """`--set output.sinks=vcam,out.mp4` means two."""
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


class ServerConfig(Table):
    """The control page and the viewers."""

    enabled: bool = True
    """Serve the pages."""
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(8765, ge=0, le=65535)
    """TCP port; 0 picks a free one."""
    open_browser: bool = True
    """Open the control page at start when there is a desktop."""
    max_viewers: int = Field(16, ge=1, le=200)
    """Viewers at a time."""
    max_upload_mb: int = Field(25, ge=1, le=200)
    """Largest picture that may be dropped on the page, in megabytes."""
    lan: bool = False
    """Let phones and viewers on the local network in: HTTPS, and only with a token."""
    lan_port: int = Field(8443, ge=0, le=65535)
    """TCP port of HTTPS; 0 picks a free one."""
    cert: Path | None = None
    """Certificate chain (PEM) for HTTPS; unset: one of our own small authority."""
    key: Path | None = None
    """Private key (PEM) of `cert`."""


class RemoteConfig(Table):
    """Who comes over WebRTC."""

    codec: Literal["h264", "vp8"] = "h264"
    """Sent to viewers who speak both."""
    bitrate_mbps: float = Field(2.5, ge=0.2, le=20)
    """Megabits a second of the pictures, the same for every viewer."""
    max_viewers: int = Field(16, ge=1, le=100)
    """WebRTC viewers at a time."""
    sound: bool = True
    """Pass the driver's sound on to viewers, where the driver sends any."""


class IceServerConfig(Table):
    """A STUN or TURN server."""

    urls: tuple[str, ...] = Field(min_length=1)
    """`stun:host:3478`, `turn:host:3478?transport=udp`, `turns:host:5349`."""
    username: str = ""
    """For TURN."""
    credential: str = ""
    """For TURN."""

    @field_validator("urls", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("urls")
    @classmethod
    def _are_ice_urls(cls, urls: tuple[str, ...]) -> tuple[str, ...]:
        for url in urls:
            if not re.fullmatch(r"(stun|stuns|turn|turns):[\w.\-\[\]:]+(\?transport=(udp|tcp))?", url):
                raise ValueError(f"{url} is no STUN or TURN address such as stun:host:3478 or turn:host:3478")
        return urls


class IceConfig(Table):
    """How peers outside of the local network find each other; inside none of it is needed."""

    servers: tuple[IceServerConfig, ...] = ()
    """`[[ice.servers]]` tables with urls, username, credential; used by the server and told to every peer."""


class ModelsConfig(Table):
    """Where model files are."""

    folder: Path | None = None
    """Searched first; FACESHOT_MODELS in the environment goes before it."""


class Config(Table):
    """The whole program."""

    source: SourceConfig = SourceConfig()
    tracker: TrackerConfig = TrackerConfig()
    matching: MatchingConfig = MatchingConfig()
    character: CharacterConfig = CharacterConfig()
    motion: MotionConfig = MotionConfig()
    animator: AnimatorConfig = AnimatorConfig()
    output: OutputConfig = OutputConfig()
    server: ServerConfig = ServerConfig()
    remote: RemoteConfig = RemoteConfig()
    ice: IceConfig = IceConfig()
    models: ModelsConfig = ModelsConfig()


def load_config(
    file: Path | None = None,
    sets: Sequence[str] = (),
    options: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    kept: Mapping[str, object] | None = None,
) -> Config:
    """Read the whole configuration.

    Args:
        file: a TOML file; only the keys that differ from the default need to be in it.
        sets: `a.b=c` texts of `--set`; `c` is a TOML value or a bare word.
        options: dotted key to value, from command line options; None values are left out.
        environment: usually `os.environ`; `FACESHOT_MODELS` is `models.folder`.
        kept: dotted key to value, from the show before (`live.kept_range`); everything else wins over it.

    Raises:
        ConfigError: names place, key and value, and the nearest valid key.
    """
    values = {key: (value, "kept from the show before") for key, value in (kept or {}).items()}
    if file is not None:
        values.update({key: (value, str(file)) for key, value in _flat(_read_toml(file))})
    for name, key in ENVIRONMENT.items():
        if text := (environment or {}).get(name):
            values[key] = (text, name)
    for text in sets:
        key, equals, raw = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set {text}: a key and a value are needed.", "Type --set motion.smoothing=0.3")
        values[key.strip()] = (_value(raw.strip()), "--set")
    for key, value in (options or {}).items():
        if value is not None:
            values[key] = (value, "command line")
    return _build({}, values)


def with_changes(config: Config, changes: Mapping[str, object], place: str = "settings") -> Config:
    """A copy of `config` with some dotted keys changed, checked like everything else. Raises `ConfigError`."""
    return _build(config.model_dump(), {key: (value, place) for key, value in changes.items()})


def to_toml(config: Config) -> str:
    """The configuration as TOML that `load_config` reads back; unset keys are left out."""
    lines: list[str] = []
    _write_table(config.model_dump(mode="json", exclude_none=True), "", lines)
    return "\n".join(lines).strip() + "\n"


def all_keys() -> list[str]:
    """Every dotted key there is, in order."""
    return list(_keys(Config, ""))


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}.", "Check the path given to --config.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: is not TOML: {error}.", 'Texts need quotes: spec = "demo"') from None


def _value(raw: str) -> object:
    try:
        return tomllib.loads(f"x = {raw}")["x"]
    except tomllib.TOMLDecodeError:
        return raw  # a bare word: demo, out.mp4, #00ff00


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, object]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _build(tree: dict[str, Any], values: Mapping[str, tuple[object, str]]) -> Config:
    for key, (value, place) in values.items():
        *tables, name = key.split(".")
        table = tree
        for part in tables:
            table = table.setdefault(part, {})
            if not isinstance(table, dict):
                raise _unknown(key, value, place)
        table[name] = value
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise _explain(error.errors()[0], values) from None


def _explain(problem: Any, values: Mapping[str, tuple[object, str]]) -> ConfigError:
    path = ".".join(str(part) for part in problem["loc"] if not isinstance(part, int))
    key = path if path in values else next((k for k in values if k.startswith(path + ".")), path)
    value, place = values.get(key, (problem["input"], "settings"))
    if problem["type"] == "extra_forbidden" or (key != path and path in all_keys()):
        return _unknown(key, value, place)
    if problem["type"] == "model_type":
        below = [k for k in all_keys() if k.startswith(f"{path}.")]
        return ConfigError(f"{place}: {key} is a table, not a value (= {_text(value)}).", f"Set {' or '.join(below)}.")
    return ConfigError(f"{place}: {key} = {_text(value)} is not possible: {problem['msg']}.")


def _unknown(key: str, value: object, place: str) -> ConfigError:
    keys = all_keys()
    near = difflib.get_close_matches(key, keys, n=1, cutoff=0.5)
    if not near:  # the right name in the wrong table
        near = [k for k in keys if k.rpartition(".")[2] == key.rpartition(".")[2]][:1]
    hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(Config.model_fields)}."
    return ConfigError(f"{place}: unknown key {key} (= {_text(value)}).", hint)


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _keys(model: type[BaseModel], prefix: str) -> Iterable[str]:
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _keys(kind, f"{prefix}{name}.")
        else:
            yield prefix + name


def _write_table(table: Mapping[str, Any], name: str, lines: list[str]) -> None:
    plain = {key: value for key, value in table.items() if not isinstance(value, dict)}
    if plain:
        lines += ["", f"[{name}]"] if name else []
        lines += [f"{key} = {_toml(value)}" for key, value in plain.items()]
    for key, value in table.items():
        if isinstance(value, dict):
            _write_table(value, f"{name}.{key}" if name else key, lines)


def _toml(value: Any) -> str:
    """A value on one line; JSON but for tables."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(part)}" for key, part in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
