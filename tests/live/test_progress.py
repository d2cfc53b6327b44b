"""Bars for people at a terminal, and nothing in a log file."""

from __future__ import annotations

import io
import sys

import pytest

from live.progress import stage_bars


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_each_stage_has_a_line_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with stage_bars() as progress:
        progress("track", 1, 4)
        progress("first look", 1, 2)
        progress("track", 4, 4)
    shown = screen.getvalue()
    assert "finding the face" in shown and "first look" in shown and "100%" in shown


def test_a_log_file_is_left_in_peace(capsys: pytest.CaptureFixture[str]) -> None:
    with stage_bars() as progress:
        progress("track", 1, None)
        progress("track", 2, 2)
    assert capsys.readouterr() == ("", "")
