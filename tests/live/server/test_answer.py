"""Answers in JSON."""

import json
import os

import pytest

from live.server.answer import Json, to_json


def test_file_names_that_are_no_utf_8_can_be_told():
    name = os.fsdecode(b"caf\xe9.png")
    assert json.loads(to_json({"spec": name})) == {"spec": name}
    assert json.loads(Json({"error": name}).body) == {"error": name}


def test_what_is_no_json_is_refused():
    with pytest.raises(ValueError):
        to_json(float("nan"))
