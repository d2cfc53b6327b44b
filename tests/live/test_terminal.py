"""What the terminal shows: two-line errors, one status line, the summary."""

from __future__ import annotations

import io
from typing import Any

from live.terminal import StatusLine, print_error, print_rows, status_text, summary_text


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def state(**changes: Any) -> dict[str, Any]:
    """As `Show.state()` gives it."""
    return {
        "character": {"spec": "mika", "name": "Mika", "kind": "anime"},
        "source": {"spec": "0", "name": "webcam 0: HD", "state": "open"},
        "face": "tracking",
        "paused": False,
        "hidden": False,
        "sinks": [],
        "stats": {
            "fps_in": 30.0,
            "fps_out": 29.5,
            "latency_ms": {"p50": 12.3, "p95": 18.0, "p99": 20.0},
            "dropped": {"newer": 2, "stale": 1},
        },
        "viewers": 1,
        **changes,
    }


def test_the_status_line_names_source_character_rate_latency_face_and_viewers() -> None:
    text = status_text(state())
    for part in ("webcam 0: HD → Mika", "29.5", "12", "18", "face found", "1 viewer", "3 dropped"):
        assert part in text, part
    assert "\n" not in text


def test_before_the_first_frame_there_are_no_latencies() -> None:
    stats = {"fps_in": 0.0, "fps_out": 0.0, "latency_ms": dict.fromkeys(("p50", "p95", "p99")), "dropped": {}}
    assert "no camera frames" in status_text(state(stats=stats))


def test_hidden_and_broken_things_are_said() -> None:
    assert "HIDDEN" in status_text(state(hidden=True))
    assert "paused" in status_text(state(paused=True))
    lost = {"spec": "0", "name": "webcam 0: HD", "state": "lost"}
    assert "trying again" in status_text(state(source=lost))
    broken = [{"name": "recording to a.mp4", "state": "stopped", "error": "Disk full.\nFree some."}]
    assert "recording to a.mp4 stopped: Disk full." in status_text(state(sinks=broken))


def test_errors_are_two_lines_without_colour_in_a_pipe() -> None:
    pipe = io.StringIO()
    print_error("It is\nbroken.", "Mend it.", pipe)
    assert pipe.getvalue() == "error: It is broken.\n hint: Mend it.\n"
    terminal = Terminal()
    print_error("It is broken.", "", terminal)
    assert terminal.getvalue() == "\x1b[31merror:\x1b[0m It is broken.\n"


def test_on_a_terminal_the_line_is_rewritten_in_place() -> None:
    terminal = Terminal()
    line = StatusLine(terminal)
    line.update("one")
    line.update("x" * 1000)
    line.say("a note")
    assert terminal.getvalue().startswith("\r\x1b[2Kone\r\x1b[2Kxxx")
    assert terminal.getvalue().endswith("…\r\x1b[2Ka note\n")


def test_in_a_pipe_only_news_is_printed() -> None:
    """Numbers that wobble are not news, words are, and now and then a line shows that it lives."""
    pipe = io.StringIO()
    line = StatusLine(pipe, plain_every=4)
    for fps in range(4):
        line.update(f"{fps} fps, face found")
    line.update("9 fps, no face")
    for fps in range(4):
        line.update(f"{fps} fps, no face")
    assert pipe.getvalue().splitlines() == ["0 fps, face found", "9 fps, no face", "3 fps, no face"]


def test_rows_are_aligned() -> None:
    pipe = io.StringIO()
    print_rows([("a", "bb", "c"), ("aaa", "b", "c")], pipe)
    assert pipe.getvalue() == "a    bb  c\naaa  b   c\n"
    print_rows([], pipe)


def test_the_summary_has_every_number() -> None:
    stats = {
        "frames_in": 300,
        "frames_out": 290,
        "fps_out": 29.0,
        "latency_ms": {"p50": 12.0, "p95": 18.0, "p99": 25.0},
        "stages": {"track": {"p50": 6.0, "p95": 9.0}},
        "dropped": {"newer": 10},
        "rss_mb": 512.4,
    }
    text = summary_text(stats)
    for part in ("300", "290", "29.0", "12.0", "18.0", "25.0", "track 6.0/9.0", "10 newer", "512 MB"):
        assert part in text, part
    empty = {**stats, "latency_ms": dict.fromkeys(("p50", "p95", "p99")), "stages": {}, "dropped": {}}
    assert "dropped: none" in summary_text(empty)


def test_names_from_files_cannot_write_to_the_terminal():
    stream = io.StringIO()
    evil = "cat\x1b[2J\x07.png"
    print_error(f"There is no file {evil}.", evil, stream)
    print_rows([("name", evil), (evil, "x")], stream)
    line = StatusLine(stream)
    line.say(f"source {evil}\nnext")
    line.update(evil)
    said = stream.getvalue()
    assert "\x1b" not in said and "\x07" not in said
    assert "cat?[2J?.png" in said and "\nnext\n" in said
