"""The viewer protocol against its documented sample, in both directions, cut at every byte."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import viewer
from protocols.errors import ProtocolError
from protocols.viewer import Ack, Chunk, Codec, Frame, Visible, decode_chunk, decode_message, encode_chunk

SAMPLE = bytes.fromhex(
    "465356 01 02 01 0001 00000007 0200 0100 000000003b9aca00 00000000 00000002 00000001 ffd8 89".replace(" ", "")
)
SAMPLE_CHUNK = Chunk(7, 1_000_000_000, Codec.JPEG_MASK, (512, 256), (Frame(b"\xff\xd8", b"\x89"),))
TWO_FRAMES = Chunk(8, 5, Codec.WEBP, (16, 16), (Frame(b"RIFF"), Frame(b"R", offset_us=33_333)), key=False)


def test_docstring_sample_is_the_one_tested_here() -> None:
    assert viewer.__doc__ is not None
    lines = viewer.__doc__.split("one frame with a 2-byte picture", 1)[1].splitlines()[2:4]
    assert bytes.fromhex("".join(lines).replace("|", " ")) == SAMPLE


def test_sample_both_ways() -> None:
    assert encode_chunk(SAMPLE_CHUNK) == SAMPLE
    assert decode_chunk(SAMPLE) == SAMPLE_CHUNK


frames = st.builds(Frame, st.binary(min_size=1, max_size=40), st.binary(min_size=1, max_size=9))


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    st.sampled_from(Codec),
    st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
    st.lists(frames, min_size=1, max_size=64),
    st.booleans(),
)
def test_any_chunk_survives_the_way(
    sequence: int, t_ns: int, codec: Codec, size_wh: tuple[int, int], pictures: list[Frame], key: bool
) -> None:
    shaped = tuple(
        replace(frame, offset_us=1000 * i, mask=frame.mask if codec is Codec.JPEG_MASK else b"")
        for i, frame in enumerate(pictures)
    )
    chunk = Chunk(sequence, t_ns, codec, size_wh, shaped, key)
    assert decode_chunk(encode_chunk(chunk)) == chunk


@pytest.mark.parametrize("chunk", [SAMPLE_CHUNK, TWO_FRAMES])
def test_cut_at_every_byte_is_refused(chunk: Chunk) -> None:
    whole = encode_chunk(chunk)
    for length in range(len(whole)):
        with pytest.raises(ProtocolError):
            decode_chunk(whole[:length])


def test_bytes_after_the_end_are_refused() -> None:
    with pytest.raises(ProtocolError, match="1 bytes after"):
        decode_chunk(SAMPLE + b"\0")


@pytest.mark.parametrize(
    ("offset", "value", "message"),
    [
        (0, 0x00, "begins with"),
        (3, 0x02, "version 2"),
        (4, 0x00, "codec 0"),
        (4, 0x01, "mask of 1 bytes with codec JPEG"),
        (4, 0x63, "codec 99"),
        (5, 0x03, "flags 0x03"),
        (7, 0x00, "27 bytes|15 bytes after"),
        (7, 0x02, "header of frame 1 of 2"),
        (12, 0x40, "16384×256"),
        (27, 0x05, None),
        (28, 0xFF, "says"),
        (31, 0x00, "bytes after|empty picture"),
        (31, 0x03, "says 4 bytes"),
        (35, 0x00, "bytes after"),
    ],
)
def test_one_wrong_byte(offset: int, value: int, message: str | None) -> None:
    data = bytearray(SAMPLE)
    data[offset] = value
    if message is None:
        assert decode_chunk(bytes(data)).frames[0].offset_us == value
        return
    with pytest.raises(ProtocolError, match=message):
        decode_chunk(bytes(data))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": ()}, "0 frames"),
        ({"frames": (Frame(b"x", b"y"),) * 65}, "65 frames"),
        ({"size_wh": (0, 5)}, "0×5"),
        ({"size_wh": (5, 4097)}, "5×4097"),
        ({"sequence": -1}, "out of range"),
        ({"sequence": 2**32}, "out of range"),
        ({"t_capture_ns": 2**64}, "out of range"),
        ({"frames": (Frame(b"", b"y"),)}, "empty picture"),
        ({"frames": (Frame(b"x"),)}, "mask of 0 bytes"),
        ({"frames": (Frame(b"x", b"y", 10), Frame(b"x", b"y", 9))}, "the one before at 10"),
        ({"frames": (Frame(b"x", b"y", 2**32),)}, "shows at"),
    ],
)
def test_what_a_decoder_refuses_is_not_encoded(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        encode_chunk(replace(SAMPLE_CHUNK, **changes))  # type: ignore[arg-type]


def test_an_empty_size_or_no_frames_on_the_wire() -> None:
    no_width = bytearray(SAMPLE)
    no_width[12:14] = b"\0\0"
    with pytest.raises(ProtocolError, match="0×256"):
        decode_chunk(bytes(no_width))
    no_frames = bytearray(SAMPLE[:24])
    no_frames[7] = 0
    with pytest.raises(ProtocolError, match="0 frames"):
        decode_chunk(bytes(no_frames))


@pytest.mark.parametrize("message", [Ack(0), Ack(2**32 - 1), Visible(True), Visible(False)])
def test_messages_both_ways(message: Ack | Visible) -> None:
    assert decode_message(viewer.encode_message(message)) == message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "null",
        '{"type": "ack"}',
        '{"type": "ack", "sequence": -1}',
        '{"type": "ack", "sequence": 4294967296}',
        '{"type": "ack", "sequence": true}',
        '{"type": "ack", "sequence": 1.0}',
        '{"type": "visible", "on": 1}',
        '{"type": "other"}',
        '{"type": "ack", "sequence": 1' + " " * 300 + "}",
    ],
)
def test_bad_messages_are_refused(text: str) -> None:
    with pytest.raises(ProtocolError):
        decode_message(text)
