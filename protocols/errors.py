"""Errors of the protocols package.

ProtocolError    bytes or text from the other side break the rules of the protocol
"""

from __future__ import annotations

__all__ = ["ProtocolError"]


class ProtocolError(ValueError):
    """What came from the other side breaks the rules; the message says what, measured against allowed."""
