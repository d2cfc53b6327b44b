"""The knobs of single animators; `live.config` is the page that they belong to."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from faceshot.animators.svd.consistency import check_sigmas

__all__ = [
    "PORTRAIT_VIDEO_KEYS",
    "LivePortraitConfig",
    "SvdConfig",
    "SvdLiveConfig",
    "SvdQualityConfig",
    "Table",
    "WarpConfig",
]


class Table(BaseModel):
    """Base of all tables: frozen, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, coerce_numbers_to_str=True)


class WarpConfig(Table):
    """The animator that runs everywhere."""

    swing: float = Field(0.5, ge=0, le=1)
    """How much hair, ears and hats swing after the head has moved; only of figures that are cut out."""
    mouth: Literal["auto", "plain", "none"] = "auto"
    """What is in an open mouth: `auto` as suits the kind of character, `plain` nothing but dark, `none`: the drawn
    mouth moves but never opens."""


class LivePortraitConfig(Table):
    """The photo-real animator; needs torch, `faceshot models pull liveportrait`, and a GPU to be live."""

    variant: Literal["human", "animals"] = "human"
    """Which weights: `animals` are `faceshot models pull liveportrait_animals`."""
    device: Literal["auto", "cuda", "mps", "cpu"] = "auto"
    """Where it runs; `auto` takes a GPU when there is one."""
    precision: Literal["auto", "fp16", "fp32"] = "auto"
    """Of the two large networks; `auto` is fp16 on CUDA, and a CPU always uses fp32. A GPU that draws black in fp16 is
    found at the start."""
    compile: bool = False
    """Let torch.compile fuse the large networks: minutes once, then faster."""
    motion: Literal["live", "relative", "absolute"] = "live"
    """`live`: calibrated and smoothed. The others are the published rules, with the first frame as reference."""
    region: Literal["all", "exp", "pose", "lip", "eyes"] = "all"
    """What of the performer's motion is used."""
    crop: str = "auto"
    """What of the picture is animated: `auto` (the square that was drawn in the editor, else around the face), `whole`,
    or a square `left,top,side` in pixels."""
    people: Literal["first", "all", "each"] = "first"
    """`all`: everybody in the picture moves alike. `each`: up to four faces in front of the camera (or in the driving
    video) move a person each, from left to right, in a mirror when motion is mirrored; a person without one idles.
    Each face takes as long to track as the first."""
    cut_out: bool = False
    """Cut the figure out of an opaque picture, where its background is plain enough."""
    stitching: bool = True
    """Keep the shoulders where they are."""
    normalize_lip: bool = True
    """Close a mouth that is open in the picture, at rest."""
    eye_retargeting: bool = True
    """Close eyes that are larger than the performer's wholly."""
    multiplier: float = Field(1.0, ge=0, le=3)
    """Last scaling of all motion."""
    expression_friendly: bool = True
    """With `motion = "relative"` on a picture: scale the motion by the sizes of the two faces (published as
    `driving_option`)."""
    retarget_eyes: bool = False
    """The published rules and portrait videos, published as `flag_eye_retargeting`: eyes as open as the driver's. With
    relative motion nothing else of it is left then."""
    retarget_lips: bool = False
    """The same for the lips, published as `flag_lip_retargeting`."""
    source_eye_retargeting: bool = False
    """Portrait videos, published as `flag_source_video_eye_retargeting`: eyes as open as in the first frame."""
    observation_variance: float = Field(3e-7, gt=0, le=1e-2)
    """Portrait videos: larger is smoother (published as `driving_smooth_observation_variance`)."""
    pitch: float = Field(1.0, ge=0, le=2)
    """Gain of nodding, on top of `motion.gains.head`."""
    yaw: float = Field(1.0, ge=0, le=2)
    """Gain of turning."""
    roll: float = Field(1.0, ge=0, le=2)
    """Gain of tilting."""
    translation: float = Field(1.0, ge=0, le=2)
    """Gain of moving sideways, up and down."""
    scale: float = Field(0.3, ge=0, le=2)
    """Gain of coming nearer; low, because it is what trembles most."""


PORTRAIT_VIDEO_KEYS = frozenset(
    "variant device precision compile motion region stitching multiplier retarget_eyes retarget_lips "
    "source_eye_retargeting observation_variance".split()
)
"""What of `LivePortraitConfig` a portrait video (`faceshot render portrait.mp4 talk.mp4`) listens to."""


class SvdQualityConfig(Table):
    """Offline, `faceshot render --animator svd`."""

    size: int = Field(512, ge=64, le=1024, multiple_of=64)
    """Side in pixels of the square that is drawn; the published weights were tuned at 320 to 512."""
    steps: int = Field(25, ge=1, le=200)
    """Denoising steps of each window."""
    guidance: float = Field(7.5, ge=1, le=20)
    """How strongly the last frame of a window is held to the character; the first is held with 1."""
    seed: int = Field(0, ge=0)
    """Of the noise; the same seed draws the same film."""


class SvdLiveConfig(Table):
    """Live, `faceshot live --animator svd`: a sliding window, see `configs/svd_window.toml`."""

    size: int = Field(512, ge=64, le=1024, multiple_of=64)
    """Side in pixels of the square that is drawn."""
    window: int = Field(8, ge=3, le=25)
    """Frames in the window: the reference, the last ones shown, the new ones."""
    stride: int = Field(4, ge=1, le=16)
    """New frames of a window; more are drawn faster and later."""
    steps: Literal[1, 2, 4] = 2
    """Denoising steps of a window that begins from a good guess."""
    sigmas: tuple[float, ...] = ()
    """Noise at each of these steps, falling; empty: 4.353, 0.497 for two, and the like."""
    start_sigmas: tuple[float, ...] = ()
    """Noise at each step where there is no past to guess from; empty: 700, 128.6, 13.68, 0.497."""
    anchor_every: int = Field(64, ge=1, le=100_000)
    """Frames after which a window is guessed from the reference alone, against drift."""
    share_of_last: float = Field(0.5, ge=0, le=1)
    """How much of the guess is the last frame; the rest is the reference."""
    match: float = Field(1.0, ge=0, le=1)
    """How firmly colour and contrast are held to the reference's."""
    jump: float = Field(0.35, gt=0, le=10)
    """Motion from one frame to the next, in face widths, that begins anew."""
    seed: int = Field(0, ge=0)
    """Of the noise, which is the same for all windows."""
    ladder: bool = True
    """Draw in fewer steps, then smaller, then every other frame, while the machine cannot keep up."""

    @field_validator("sigmas", "start_sigmas")
    @classmethod
    def _fall(cls, sigmas: tuple[float, ...]) -> tuple[float, ...]:
        if sigmas and (fault := check_sigmas(sigmas)):
            raise ValueError(fault)
        return sigmas

    @model_validator(mode="after")
    def _remembers(self) -> Self:
        if self.stride > self.window - 2:
            raise ValueError(f"stride {self.stride} leaves no past in a window of {self.window}")
        return self


class SvdConfig(Table):
    """Video diffusion moved by landmarks; needs the extra `gpu` and `faceshot models pull svd`."""

    device: Literal["auto", "cuda", "cpu"] = "auto"
    """Where it runs; `auto` takes a GPU when there is one."""
    precision: Literal["auto", "fp16", "bf16", "fp32"] = "auto"
    """Of the large networks; `auto`: half precision on CUDA. A CPU always uses fp32."""
    quality: SvdQualityConfig = SvdQualityConfig()
    live: SvdLiveConfig = SvdLiveConfig()
