"""Errors of the science package.

FaceshotError               what went wrong, where, measured against allowed, and what to type next
├── ShapeError              an array does not have the promised shape or dtype (a programmer's mistake)
├── PictureError            a picture cannot be read or used
│   └── NoFace              a readable picture in which no face was found
├── CharacterFileError      a `.faceshot` file is damaged, hostile or from another version
├── LandmarkError           landmarks or clicks given by hand cannot be used, or no matcher could place any
├── MotionClipError         a motion clip file is damaged or from another version
├── GalleryError            an appearance gallery is damaged, incomplete, or made with another backbone
├── CheckpointError         a model file is damaged, cut off or of another network
├── DeviceError             a device that computes is not there or is lost
│   └── OutOfMemory         its memory is full
└── WeightsMissing          model files are not there; carries the command that fetches them
"""

from __future__ import annotations

__all__ = [
    "CharacterFileError",
    "CheckpointError",
    "DeviceError",
    "FaceshotError",
    "GalleryError",
    "LandmarkError",
    "MotionClipError",
    "NoFace",
    "OutOfMemory",
    "PictureError",
    "ShapeError",
    "WeightsMissing",
]


class FaceshotError(Exception):
    """Base of all errors that are shown to a user as one or two lines.

    Args:
        message: what is wrong and where, with the measured and the allowed value.
        hint: what to type or do next; empty when the message already says it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class ShapeError(FaceshotError):
    """An array has another shape or dtype than the contract says."""


class PictureError(FaceshotError):
    """A picture cannot be read or used."""


class NoFace(PictureError):
    """A readable picture in which no face was found."""


class CharacterFileError(FaceshotError):
    """A character file is damaged, hostile or of an unknown version."""


class LandmarkError(FaceshotError):
    """Landmarks or clicks given by hand cannot be used, or no matcher could place any."""


class MotionClipError(FaceshotError):
    """A motion clip is damaged or of an unknown version."""


class GalleryError(FaceshotError):
    """An appearance gallery is damaged, incomplete, or made with another backbone."""


class CheckpointError(FaceshotError):
    """A model file is damaged or is not what its place says."""


class DeviceError(FaceshotError):
    """What is to compute is not there, or was lost."""


class OutOfMemory(DeviceError):
    """What is to compute does not fit into its memory."""


class WeightsMissing(FaceshotError):
    """Model files are not at hand; the hint is the command that fetches them."""
