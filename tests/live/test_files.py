"""Measurements on disk: whole or not at all."""

import json

import pytest

from live.errors import LiveError
from live.files import check_writable, write_json


def test_what_was_written_reads_back_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "stats.json"
    path.write_text("old")
    write_json(path, {"fps_out": 30.0, "name": "ü"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"fps_out": 30.0, "name": "ü"}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("where", ["folder", "nosuch/stats.json"])
def test_a_place_that_cannot_be_written_is_named_and_left_alone(tmp_path, where):
    (tmp_path / "folder").mkdir()
    with pytest.raises(LiveError, match=where.split("/")[0]):
        write_json(tmp_path / where, {"a": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_bad_place_is_refused_before_the_work(tmp_path):
    check_writable(tmp_path / "stats.json")
    with pytest.raises(LiveError, match="no such folder"):
        check_writable(tmp_path / "nosuch" / "stats.json")
    with pytest.raises(LiveError, match="is a folder"):
        check_writable(tmp_path)
