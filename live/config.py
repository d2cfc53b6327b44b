"""Every knob of the program on one page: a frozen tree read from TOML, `--set a.b=c` and options.

An error names the file, the dotted key, the bad value and the nearest valid key.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "AnimatorConfig",
    "CharacterConfig",
    "Config",
    "GainsConfig",
    "ModelsConfig",
    "MotionConfig",
    "OutputConfig",
    "ServerConfig",
    "SourceConfig",
    "TrackerConfig",
]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class SourceConfig(_Table):
    """Where motion comes from."""

    spec: str = "auto"
    """`auto` (a webcam if there is one, else `demo`), `demo`, a camera index or name, a path, or a URL."""
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


class TrackerConfig(_Table):
    """How the face is found."""

    kind: Literal["auto", "landmarker", "facemesh"] = "auto"
    """`landmarker` needs the file face_landmarker.task; `facemesh` needs nothing; `auto` takes the best at hand."""


class CharacterConfig(_Table):
    """Who is on air."""

    spec: str = "mika"
    """A bundled name, a picture or a `.faceshot` file."""


class GainsConfig(_Table):
    """How strongly motion is carried over; 1 is as performed."""

    head: float = Field(1.0, ge=0, le=2)
    """Head rotation and translation."""
    eyes: float = Field(1.0, ge=0, le=2)
    """Lids and gaze."""
    brows: float = Field(1.0, ge=0, le=2)
    """Brows."""
    mouth: float = Field(1.0, ge=0, le=2)
    """Lips and jaw."""


class MotionConfig(_Table):
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


class AnimatorConfig(_Table):
    """What draws the character."""

    kind: Literal["warp"] = "warp"
    """`warp` runs everywhere."""
    max_side_px: int = Field(512, ge=128, le=1024)
    """Longest side of the rendered picture in pixels; a smaller character keeps its size."""


class OutputConfig(_Table):
    """Where pictures go."""

    sinks: tuple[str, ...] = ()
    """`vcam`, `null`, or a path ending in .mp4 or .webm; the browser viewer is always there."""
    fps: float = Field(30.0, gt=0, le=120)
    """Frame rate in Hz of the virtual camera and of recordings."""
    mirror: bool = False
    """Flip the output picture left to right."""
    background: str = "transparent"
    """`transparent`, a colour such as `#00ff00`, or a picture; opaque sinks show black for `transparent`."""


class ServerConfig(_Table):
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


class ModelsConfig(_Table):
    """Where model files are."""

    folder: Path | None = None
    """Searched first; FACESHOT_MODELS in the environment goes before it."""


class Config(_Table):
    """The whole program."""

    source: SourceConfig = SourceConfig()
    tracker: TrackerConfig = TrackerConfig()
    character: CharacterConfig = CharacterConfig()
    motion: MotionConfig = MotionConfig()
    animator: AnimatorConfig = AnimatorConfig()
    output: OutputConfig = OutputConfig()
    server: ServerConfig = ServerConfig()
    models: ModelsConfig = ModelsConfig()
