"""Errors of the live package. Like `faceshot.errors`, each is one or two lines: what is wrong, and what to type next.

LiveError
├── ConfigError       a configuration file, a `--set` or an option has an unknown key or a bad value
├── SourceError       a camera, video or clip cannot be opened
│   └── SourceLost    it was open and broke in the middle of a show (the show idles and retries)
├── SinkError         an output cannot be opened, or broke (only that sink stops)
├── ServerError       the web server cannot start (port in use)
└── MissingExtra      an optional package is not installed; the hint is the pip line
"""

from __future__ import annotations

from faceshot.errors import FaceshotError

__all__ = [
    "ConfigError",
    "LiveError",
    "MissingExtra",
    "ServerError",
    "SinkError",
    "SourceError",
    "SourceLost",
    "first_of",
]


class LiveError(FaceshotError):
    """Base of the errors of `live`."""


class ConfigError(LiveError):
    """A configuration value is wrong; names file, dotted key, value and the nearest valid key."""


class SourceError(LiveError):
    """A source cannot be opened."""


class SourceLost(SourceError):
    """A source broke while it was in use."""


class SinkError(LiveError):
    """An output cannot be opened or stopped working."""


class ServerError(LiveError):
    """The web server cannot start."""


class MissingExtra(LiveError):
    """An optional package is missing."""


def first_of(error: BaseException) -> BaseException:
    """The first single error of a task group's error."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
