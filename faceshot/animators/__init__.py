"""The animator plug point. Each animator is one file (or folder) beside this one and implements `Animator`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from faceshot.types import Character, Drive, Rendered

__all__ = ["Animator", "Ensemble", "Gradual", "Rung", "Window"]


class Window(NamedTuple):
    """How many drives an animator wants at once; the pipeline builds its edge from it.

    Attributes:
        size: drives in one call of `render` at most; at the start, and after a cut, there are fewer.
        stride: new drives between two calls.
        lookahead: drives of the future that the first emitted frame waits for.
    """

    size: int = 1
    stride: int = 1
    lookahead: int = 0


class Rung(NamedTuple):
    """One way of drawing, of an animator that knows several.

    Attributes:
        name: for people: "2 steps at 384 px".
        cost: of a picture, in any unit that all rungs of an animator share.
    """

    name: str
    cost: float


class Animator(Protocol):
    """Turns drives into pictures. Synchronous; owned by one thread; keeps state only between `reset` calls.

    Attributes:
        window: `Window()` for a per-frame animator.
        needs_crop: whether `Drive.crop` must be filled.
    """

    window: Window
    needs_crop: bool

    def load(self, character: Character) -> None:
        """Precompute everything that depends on the character only. Raises `FaceshotError` when it cannot be animated;
        the character loaded before then stays loaded."""

    def render(self, drives: Sequence[Drive]) -> list[Rendered]:
        """One picture per new drive, of the size of the loaded character's picture (as the animator limited it)."""

    def reset(self) -> None:
        """Forget the past (a cut, another performer, tracking regained); the character stays loaded."""

    def close(self) -> None:
        """Free what `load` took. The animator is not used afterwards."""


@runtime_checkable
class Gradual(Protocol):
    """What an animator may offer besides: to draw worse, and so faster, when it cannot keep up.

    Attributes:
        rungs: the best first.
        rung: the index of the one in use, 0 at first.
    """

    rungs: Sequence[Rung]
    rung: int

    def take_rung(self, rung: int) -> None:
        """Draw on another rung from the next `render` on; `window` may change with it. The motion goes on."""


@runtime_checkable
class Ensemble(Protocol):
    """What an animator may offer besides: several people in one picture. Without it, and in `render`, they move alike.

    Attributes:
        cast: the character once a person who is animated, with that person's points, from left to right.
        own_drivers: each performer in front of the camera is to move one person.
    """

    @property
    def cast(self) -> Sequence[Character]: ...

    @property
    def own_drivers(self) -> bool: ...

    def render_cast(self, frames: Sequence[Sequence[Drive]]) -> list[Rendered]:
        """One picture a frame; a frame has one drive for each of `cast`."""
