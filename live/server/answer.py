"""Answers in JSON that can carry every text: file names on Linux may hold bytes that are no UTF-8."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse

__all__ = ["Json", "to_json"]


def to_json(value: Any) -> str:
    """ASCII only, so that a lone surrogate, which Python makes of such a byte, is escaped instead of an error."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


class Json(JSONResponse):
    def render(self, content: Any) -> bytes:
        return to_json(content).encode("ascii")
