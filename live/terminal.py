"""What the person at the terminal reads: errors in two lines, the status line, tables, the summary at the end.

Colour and cursor movement only on a terminal; in a pipe or a log file the same words stand as plain lines.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from live.stats import status_line

__all__ = ["StatusLine", "print_error", "print_rows", "printable", "status_text", "summary_text"]

RED, GREEN, YELLOW, DIM, BOLD, END = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[2m", "\x1b[1m", "\x1b[0m"

FACE_WORDS = {
    "waiting": "waiting for a face",
    "calibrating": "hold still: taking your neutral pose",
    "tracking": "face found",
    "holding": "face lost: holding",
    "idle": "no face: idling",
}


def colour(text: str, code: str, stream: TextIO) -> str:
    """`text` in colour when `stream` is a terminal."""
    return f"{code}{text}{END}" if stream.isatty() else text


def printable(text: str) -> str:
    """`text` without control sequences: names come from files, and a file must not write to the terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def print_error(message: str, hint: str = "", stream: TextIO | None = None) -> None:
    """At most two lines: what is wrong, and what to do next."""
    stream = stream or sys.stderr
    print(f"{colour('error:', RED, stream)} {printable(' '.join(message.split()))}", file=stream)
    if hint:
        print(f"{colour(' hint:', DIM, stream)} {printable(' '.join(hint.split()))}", file=stream)


def print_rows(rows: Iterable[tuple[str, ...]], stream: TextIO | None = None) -> None:
    """Columns padded to their widest cell; the last one is free."""
    stream = stream or sys.stdout
    table = [tuple(map(printable, row)) for row in rows]
    if not table:
        return
    columns = max(len(row) for row in table)
    widths = [max(len(row[k]) if k < len(row) else 0 for row in table) for k in range(columns)]
    for row in table:
        cells = [cell.ljust(widths[k]) if k < len(row) - 1 else cell for k, cell in enumerate(row)]
        print("  ".join(cells).rstrip(), file=stream)


def status_text(state: Mapping[str, Any]) -> str:
    """One line about a running show, from `Show.state()`."""
    if state["hidden"]:
        face = "HIDDEN: nothing on air"
    elif state["paused"]:
        face = "paused"
    else:
        face = FACE_WORDS.get(state["face"], state["face"])
    source, viewers = state["source"], state["viewers"]
    where = f"{source['name'] or source['spec']} → {state['character']['name']}"
    trouble = {"opening": "opening the source", "lost": "source lost, trying again", "ended": "source ended"}
    broken = [f"{sink['name']} stopped: {sink['error'].splitlines()[0]}" for sink in state["sinks"] if sink["error"]]
    return status_line(
        state["stats"],
        [trouble.get(source["state"], ""), *broken, face, f"{viewers} viewer{'' if viewers == 1 else 's'}", where],
    )


def summary_text(stats: Mapping[str, Any]) -> str:
    """The last words of a show, from `Stats.snapshot()`."""
    latency = stats["latency_ms"]
    lines = [
        f"{stats['frames_in']} frames in, {stats['frames_out']} out, {_number(stats['fps_out'])} fps; latency "
        f"p50 {_number(latency['p50'])}, p95 {_number(latency['p95'])}, p99 {_number(latency['p99'])} ms; "
        f"memory {_number(stats['rss_mb'])} MB"
    ]
    stages = ", ".join(f"{name} {_number(s['p50'])}/{_number(s['p95'])}" for name, s in stats["stages"].items())
    dropped = ", ".join(f"{n} {reason}" for reason, n in stats["dropped"].items() if n) or "none"
    lines.append(f"stages p50/p95 ms: {stages or 'none ran'}; dropped: {dropped}")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


class StatusLine:
    """Keeps one line up to date on a terminal; elsewhere prints a line only when something other than a number changed,
    or every `plain_every` updates."""

    def __init__(self, stream: TextIO | None = None, plain_every: int = 20) -> None:
        self._stream = stream or sys.stderr
        self._tty = self._stream.isatty()
        self._plain_every = plain_every
        self._since = plain_every
        self._words = ""

    def update(self, text: str) -> None:
        text = printable(text)
        if self._tty:
            import shutil

            width = shutil.get_terminal_size().columns - 1
            text = text if len(text) <= width else text[: width - 1] + "…"
            self._stream.write(f"\r\x1b[2K{text}")
            self._stream.flush()
            return
        words = "".join(c for c in text if not c.isdigit() and c not in ".–")
        self._since += 1
        if words != self._words or self._since >= self._plain_every:
            print(text, file=self._stream, flush=True)
            self._words, self._since = words, 0

    def say(self, text: str) -> None:
        """A line that stays, above the status."""
        self.clear()
        print("\n".join(map(printable, text.split("\n"))), file=self._stream, flush=True)

    def draw(self, picture: str) -> None:
        """A picture of our own making, with its control sequences; only a terminal can show it."""
        if self._tty:
            self.clear()
            print(picture, file=self._stream, flush=True)

    def clear(self) -> None:
        if self._tty:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()
