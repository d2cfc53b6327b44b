"""Progress on the terminal of anything that takes longer than two seconds, with an estimate of the time that is left.

On stderr, gone when it is done; silent where stderr is no terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

__all__ = ["StageProgress", "progress_bars", "stage_bars"]

StageProgress = Callable[[str, int, int | None], None]
"""Called with the name of a stage, how much of it is done, and how much there is (None when unknown)."""

_WORDS = {
    "load": "loading networks",
    "track": "finding the face",
    "denoise": "denoising",
    "draw": "drawing",
}


@contextmanager
def progress_bars() -> Iterator[Any]:
    """A `rich.progress.Progress`, for bars of one's own."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        yield bars


@contextmanager
def stage_bars(words: Mapping[str, str] = _WORDS) -> Iterator[StageProgress]:
    """A bar for each stage, made when the stage is first heard of.

    Args:
        words: what people are told instead of the name of a stage.
    """
    with progress_bars() as bars:
        tasks: dict[str, Any] = {}

        def progress(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(words.get(stage, stage), total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield progress
