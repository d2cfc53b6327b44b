"""The viewer protocol: pictures from the server to a page, acknowledgements back. Sans-I/O.

Specification: this file; `live/server/static/viewer-protocol.js` is its mirror in the browser.

Server to viewer, one binary WebSocket message per chunk. All numbers are unsigned and big-endian:

    offset  size  what
    0       3     magic "FSV"
    3       1     version, 1
    4       1     codec: 1 jpeg, 2 jpeg+mask, 3 webp
    5       1     flags: bit 0 = key (decodable without an earlier chunk); all others 0
    6       2     n, number of frames in this chunk, 1 to 64
    8       4     sequence: grows by one per chunk made; a gap means that this viewer was skipped
    12      2     width in pixels, 1 to 4096
    14      2     height in pixels, 1 to 4096
    16      8     capture time in nanoseconds on the server's monotonic clock
    24      n ×   frame:
              4     when to show it, in microseconds after the chunk's first frame; never falling
              4     p, length of the picture, at least 1
              4     m, length of the mask: at least 1 with codec jpeg+mask, otherwise 0
              p     the picture: JPEG or WebP (WebP carries straight alpha of its own)
              m     the mask: a PNG of the same size whose alpha channel is the picture's alpha

A sample: sequence 7, captured at 1 s, jpeg+mask, 512×256, one frame with a 2-byte picture and a 1-byte mask:

    46 53 56 | 01 | 02 | 01 | 00 01 | 00 00 00 07 | 02 00 | 01 00 | 00 00 00 00 3b 9a ca 00
    00 00 00 00 | 00 00 00 02 | 00 00 00 01 | ff d8 | 89

Viewer to server, text messages holding one JSON object:

    {"type": "ack", "sequence": 7}      chunk 7 is on screen, or was skipped for a newer one
    {"type": "visible", "on": false}    send nothing until it is `true` again

A newer chunk takes the place of frames of the last one that are not shown yet, so that hiding is immediate.

A server keeps at most `MAX_IN_FLIGHT` unacknowledged chunks per viewer, so no buffer between the two ever fills: the
next picture a viewer gets is the newest one.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from enum import IntEnum

from protocols.errors import ProtocolError

__all__ = [
    "MAX_FRAMES",
    "MAX_IN_FLIGHT",
    "MAX_MESSAGE_BYTES",
    "MAX_SIDE_PX",
    "Ack",
    "Chunk",
    "Codec",
    "Frame",
    "Visible",
    "decode_chunk",
    "decode_message",
    "encode_chunk",
    "encode_message",
]

MAGIC = b"FSV"
VERSION = 1
MAX_FRAMES = 64
MAX_SIDE_PX = 4096
MAX_IN_FLIGHT = 2
MAX_MESSAGE_BYTES = 256

_FLAG_KEY = 1
_U32 = 2**32 - 1
_HEADER = struct.Struct(">3sBBBHIHHQ")
_FRAME = struct.Struct(">III")


class Codec(IntEnum):
    """How the pictures of a chunk are coded."""

    JPEG = 1
    JPEG_MASK = 2
    WEBP = 3


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a chunk.

    Attributes:
        picture: JPEG or WebP file.
        mask: PNG file whose alpha channel is the picture's; empty unless the codec is `JPEG_MASK`.
        offset_us: when to show it, in microseconds after the chunk's first frame.
    """

    picture: bytes
    mask: bytes = b""
    offset_us: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """One message to a viewer. `t_capture_ns` is on the server's clock: only differences have meaning."""

    sequence: int
    t_capture_ns: int
    codec: Codec
    size_wh: tuple[int, int]
    frames: tuple[Frame, ...]
    key: bool = True


@dataclass(frozen=True, slots=True)
class Ack:
    """The viewer is done with this chunk."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Visible:
    """Whether anybody sees the viewer's page."""

    on: bool


def encode_chunk(chunk: Chunk) -> bytes:
    """The chunk as bytes. Raises `ProtocolError` for what a decoder would refuse."""
    _check(chunk)
    width, height = chunk.size_wh
    flags = _FLAG_KEY if chunk.key else 0
    header = _HEADER.pack(
        MAGIC, VERSION, chunk.codec, flags, len(chunk.frames), chunk.sequence, width, height, chunk.t_capture_ns
    )
    parts = [header]
    for frame in chunk.frames:
        parts += (_FRAME.pack(frame.offset_us, len(frame.picture), len(frame.mask)), frame.picture, frame.mask)
    return b"".join(parts)


def decode_chunk(data: bytes) -> Chunk:
    """The chunk in one binary message. Raises `ProtocolError` when it is cut off, too long or against the rules."""
    if len(data) < _HEADER.size:
        raise ProtocolError(f"chunk of {len(data)} bytes is shorter than its header of {_HEADER.size}")
    magic, version, codec, flags, n_frames, sequence, width, height, t_capture_ns = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise ProtocolError(f"chunk begins with {magic!r}, expected {MAGIC!r}")
    if version != VERSION:
        raise ProtocolError(f"chunk has version {version}, this side speaks {VERSION}")
    if codec not in Codec.__members__.values():
        raise ProtocolError(f"chunk has unknown codec {codec}")
    if flags & ~_FLAG_KEY:
        raise ProtocolError(f"chunk has unknown flags {flags:#04x}")

    frames, at = [], _HEADER.size
    for index in range(n_frames):
        if len(data) - at < _FRAME.size:
            raise ProtocolError(f"chunk ends inside the header of frame {index} of {n_frames}")
        offset_us, n_picture, n_mask = _FRAME.unpack_from(data, at)
        at += _FRAME.size
        if len(data) - at < n_picture + n_mask:
            raise ProtocolError(
                f"frame {index} of {n_frames} says {n_picture + n_mask} bytes, the chunk has {len(data) - at} left"
            )
        frames.append(Frame(data[at : at + n_picture], data[at + n_picture : at + n_picture + n_mask], offset_us))
        at += n_picture + n_mask
    if at != len(data):
        raise ProtocolError(f"chunk has {len(data) - at} bytes after its last frame")

    chunk = Chunk(sequence, t_capture_ns, Codec(codec), (width, height), tuple(frames), bool(flags & _FLAG_KEY))
    _check(chunk)
    return chunk


def encode_message(message: Ack | Visible) -> str:
    """A viewer's message as JSON text."""
    if isinstance(message, Ack):
        return json.dumps({"type": "ack", "sequence": message.sequence})
    return json.dumps({"type": "visible", "on": message.on})


def decode_message(text: str) -> Ack | Visible:
    """A viewer's message. Raises `ProtocolError` for everything that is not exactly one of the two."""
    if len(text) > MAX_MESSAGE_BYTES:
        raise ProtocolError(f"message of {len(text)} characters, at most {MAX_MESSAGE_BYTES} are allowed")
    try:
        fields = json.loads(text)
    except ValueError:
        raise ProtocolError("message is not JSON") from None
    match fields:
        case {"type": "ack", "sequence": int(sequence)} if type(sequence) is int and 0 <= sequence <= _U32:
            return Ack(sequence)
        case {"type": "visible", "on": bool(on)}:
            return Visible(on)
    raise ProtocolError("message is neither an ack with its sequence nor a visible with on true or false")


def _check(chunk: Chunk) -> None:
    if not 1 <= len(chunk.frames) <= MAX_FRAMES:
        raise ProtocolError(f"chunk has {len(chunk.frames)} frames, allowed are 1 to {MAX_FRAMES}")
    if not all(1 <= side <= MAX_SIDE_PX for side in chunk.size_wh):
        width, height = chunk.size_wh
        raise ProtocolError(f"chunk is {width}×{height} px, allowed are 1 to {MAX_SIDE_PX} a side")
    if not (0 <= chunk.sequence <= _U32 and 0 <= chunk.t_capture_ns < 2**64):
        raise ProtocolError(f"sequence {chunk.sequence} or capture time {chunk.t_capture_ns} is out of range")
    earliest_us = 0
    for index, frame in enumerate(chunk.frames):
        if not frame.picture:
            raise ProtocolError(f"frame {index} has an empty picture")
        if bool(frame.mask) != (chunk.codec is Codec.JPEG_MASK):
            raise ProtocolError(f"frame {index} has a mask of {len(frame.mask)} bytes with codec {chunk.codec.name}")
        if not earliest_us <= frame.offset_us <= _U32:
            raise ProtocolError(f"frame {index} shows at {frame.offset_us} µs, the one before at {earliest_us} µs")
        earliest_us = frame.offset_us
