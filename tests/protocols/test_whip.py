"""WHIP and WHEP against byte-exact requests, the documented sample, hostile SDP and the rules of the RFCs."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import whip
from protocols.errors import ProtocolError
from protocols.whip import (
    MAX_SDP_BYTES,
    Candidate,
    Close,
    Endpoint,
    IceServer,
    Open,
    Reply,
    Request,
    Restart,
    Session,
    Trickle,
    parse_fragment,
    parse_offer,
)

# What a browser offers, shortened: audio and video in one bundle.
OFFER = b"""v=0\r
o=- 5228595038118931041 2 IN IP4 127.0.0.1\r
s=-\r
t=0 0\r
a=group:BUNDLE 0 1\r
a=msid-semantic: WMS\r
m=audio 9 UDP/TLS/RTP/SAVPF 111\r
c=IN IP4 0.0.0.0\r
a=ice-ufrag:EsAw\r
a=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y\r
a=fingerprint:sha-256 DA:7B:57:DC:28:CE:04:4F:31:79:85:C4:31:67:EB:27:58:29:ED:77:2A:0D:24:AE:ED:AD:30:BC:BD:F1:9C:02\r
a=setup:actpass\r
a=mid:0\r
a=sendonly\r
a=rtcp-mux\r
a=rtpmap:111 opus/48000/2\r
m=video 9 UDP/TLS/RTP/SAVPF 96 97\r
c=IN IP4 0.0.0.0\r
a=ice-ufrag:EsAw\r
a=ice-pwd:bP+XJMM09aR8AiX1jdukzR6Y\r
a=fingerprint:sha-256 DA:7B:57:DC:28:CE:04:4F:31:79:85:C4:31:67:EB:27:58:29:ED:77:2A:0D:24:AE:ED:AD:30:BC:BD:F1:9C:02\r
a=setup:actpass\r
a=mid:1\r
a=sendonly\r
a=rtcp-mux\r
a=rtpmap:96 VP8/90000\r
a=rtpmap:97 H264/90000\r
"""
FRAGMENT = (
    b"a=ice-ufrag:EsAw\r\na=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n"
    b"a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host\r\na=end-of-candidates\r\n"
)
NEW_CREDENTIALS = b"a=ice-ufrag:ysXw\r\na=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k\r\n"
HOST_CANDIDATE = "1387637174 1 udp 2122260223 192.0.2.1 61764 typ host"


def post(body: bytes = OFFER, content_type: str = "application/sdp") -> Request:
    return Request("POST", {"content-type": content_type}, body)


def patch(body: bytes = FRAGMENT, match: str | None = '"gen0"', content_type: str = whip.FRAGMENT_TYPE) -> Request:
    headers = {"content-type": content_type}
    return Request("PATCH", headers if match is None else {**headers, "if-match": match}, body)


def opened(endpoint: Endpoint | None = None) -> Session:
    endpoint = endpoint or Endpoint("ingest")
    verdict = endpoint.request(post())
    assert isinstance(verdict, Open)
    return endpoint.opened("/whip/7f3a", verdict.offer)


def header(reply: Reply, name: str) -> list[str]:
    return [value for key, value in reply.headers if key == name]


def test_an_offer_is_read() -> None:
    offer = parse_offer(OFFER, "ingest")
    assert offer.ufrag == "EsAw"
    assert offer.audio
    assert offer.video_codecs == ("VP8", "H264")
    assert offer.sdp == OFFER.decode()


def test_the_answer_is_a_201_as_obs_wants_it() -> None:
    servers = [IceServer("stun:s.example:3478"), IceServer("turn:t.example:3478?transport=udp", 'u"1', "p\\2")]
    reply = opened(Endpoint("ingest", servers)).created("v=0\r\n")
    assert reply.status == 201
    assert reply.body == b"v=0\r\n"
    assert reply.headers == (
        ("Content-Type", "application/sdp"),
        ("Location", "/whip/7f3a"),
        ("ETag", '"gen0"'),
        ("Link", '<stun:s.example:3478>; rel="ice-server"'),
        (
            "Link",
            '<turn:t.example:3478?transport=udp>; rel="ice-server"; username="u\\"1"; credential="p\\\\2"; '
            'credential-type="password"',
        ),
    )


@pytest.mark.parametrize(
    ("what", "old", "new", "status", "says"),
    [
        ("no SDP at all", OFFER, b"hello", 400, "does not begin with v=0"),
        ("empty", OFFER, b"", 400, "does not begin with v=0"),
        ("bytes that are no text", b"s=-", b"s=\xff\xfe", 400, "not UTF-8"),
        ("a line without =", b"t=0 0", b"nonsense", 400, "is no SDP"),
        ("a control character", b"t=0 0", b"t=0 \x00", 400, "is no SDP"),
        ("a media line cut short", b"m=audio 9 UDP/TLS/RTP/SAVPF 111", b"m=audio 9", 400, "no media line"),
        ("too many lines", b"t=0 0\r\n", b"t=0 0\r\n" * 2001, 400, "at most 2000"),
        ("no media", OFFER[OFFER.index(b"m=audio") :], b"", 422, "no media"),
        ("no video", OFFER[OFFER.index(b"m=video") :], b"", 422, "no video"),
        ("a data channel", b"m=audio 9", b"m=application 9", 422, "only audio and video"),
        ("two videos", b"m=audio 9", b"m=video 9", 422, "at most one"),
        ("five sections", b"m=audio 9", b"m=text 9 UDP 0\r\n" * 3 + b"m=audio 9", 422, "at most 4"),
        ("no mid", b"a=mid:1\r\n", b"", 422, "no mid"),
        ("the same mid twice", b"a=mid:1", b"a=mid:0", 422, "BUNDLE"),
        ("not bundled", b"BUNDLE 0 1", b"BUNDLE 0", 422, "BUNDLE"),
        ("no ufrag", b"a=ice-ufrag:EsAw\r\n", b"", 422, "no ice-ufrag"),
        ("no fingerprint", b"a=fingerprint", b"a=fingerprint-gone", 422, "no fingerprint"),
        ("a short password", b"bP+XJMM09aR8AiX1jdukzR6Y", b"short", 422, "22 to 256"),
        ("a password with a trap", b"bP+XJMM09aR8AiX1jdukzR6Y", b"bP+XJMM09aR8AiX1jd<kzR6Y", 422, "letters"),
        ("a passive client", b"setup:actpass", b"setup:passive", 422, "setup:actpass"),
        ("no rtcp-mux", b"a=rtcp-mux\r\n", b"", 422, "rtcp-mux"),
        ("a viewer's offer", b"a=sendonly", b"a=recvonly", 422, "must be sendonly"),
        ("inactive", b"a=sendonly", b"a=inactive", 422, "must be sendonly"),
        (
            "codecs from elsewhere",
            b"VP8/90000\r\na=rtpmap:97 H264",
            b"AV1/90000\r\na=rtpmap:97 H265",
            422,
            "H264 and VP8",
        ),
        (
            "a flood of candidates",
            b"a=mid:1\r\n",
            b"a=mid:1\r\n" + b"a=candidate:1 1 udp 1 1.1.1.1 1 typ host\r\n" * 101,
            422,
            "more than 100",
        ),
    ],
)
def test_a_bad_offer_is_refused_as_a_whole(what: str, old: bytes, new: bytes, status: int, says: str) -> None:
    assert old in OFFER
    reply = Endpoint("ingest").request(post(OFFER.replace(old, new)))
    assert isinstance(reply, Reply)
    assert reply.status == status, what
    assert says in reply.body.decode(), what


def test_other_bodies_are_refused() -> None:
    wrong_type = Endpoint("ingest").request(post(content_type="application/json"))
    assert isinstance(wrong_type, Reply)
    assert wrong_type.status == 415
    assert header(wrong_type, "Accept-Post") == ["application/sdp"]
    too_large = Endpoint("ingest").request(post(OFFER + b"a=x\r\n" * MAX_SDP_BYTES))
    assert isinstance(too_large, Reply)
    assert too_large.status == 413


@pytest.mark.parametrize("direction", [b"sendrecv", b""])
def test_sendrecv_is_tolerated_from_both(direction: bytes) -> None:
    body = OFFER.replace(b"a=sendonly\r\n", b"a=" + direction + b"\r\n" if direction else b"")
    assert isinstance(Endpoint("ingest").request(post(body)), Open)
    assert isinstance(Endpoint("playback").request(post(body)), Open)


def test_a_direction_may_stand_at_the_session() -> None:
    body = OFFER.replace(b"a=sendonly\r\n", b"").replace(b"t=0 0\r\n", b"t=0 0\r\na=recvonly\r\n")
    assert isinstance(Endpoint("playback").request(post(body)), Open)
    assert isinstance(Endpoint("ingest").request(post(body)), Reply)


def test_whep_wants_receivers() -> None:
    endpoint = Endpoint("playback")
    assert isinstance(endpoint.request(post(OFFER.replace(b"sendonly", b"recvonly"))), Open)
    assert isinstance(endpoint.request(post()), Reply)


def test_content_type_may_have_parameters() -> None:
    assert isinstance(Endpoint("ingest").request(post(content_type="Application/SDP; charset=utf-8")), Open)


def test_what_else_may_be_asked_of_an_endpoint() -> None:
    whip_end, whep_end = Endpoint("ingest"), Endpoint("playback")
    options = whip_end.request(Request("OPTIONS"))
    assert isinstance(options, Reply)
    assert options.status == 204
    assert header(options, "Accept-Post") == ["application/sdp"]
    assert not any(name.lower().startswith("access-control") for name, _ in options.headers)
    assert whip_end.request(Request("HEAD")) == Reply(204)
    head = whep_end.request(Request("HEAD"))
    assert isinstance(head, Reply)
    assert (head.status, header(head, "Content-Type")) == (200, ["application/sdp"])
    for method in ("PUT", "PATCH", "DELETE"):
        refused = whip_end.request(Request(method))
        assert isinstance(refused, Reply)
        assert refused.status == 405
        assert "POST" in header(refused, "Allow")[0]


def test_docstring_sample_is_the_one_tested_here() -> None:
    assert whip.__doc__ is not None
    lines = re.findall(r"^    (a=[^.\n]+|m=[^\n]+|a=candidate[^\n]+)$", whip.__doc__, re.M)
    assert "".join(f"{line}\r\n" for line in lines) == FRAGMENT.decode()


def test_candidates_trickle() -> None:
    session = opened()
    verdict = session.request(patch())
    assert verdict == Trickle((Candidate("0", HOST_CANDIDATE),), end=True)
    assert session.trickled() == Reply(204)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (patch(match=None), 428),
        (patch(match='"gen1"'), 412),
        (patch(match=""), 412),
        (patch(content_type="application/sdp"), 415),
        (patch(b"x" * (MAX_SDP_BYTES + 1)), 413),
        (patch(b"a=candidate:too short\r\n"), 400),
        (patch(b"not sdp"), 400),
        (patch(b""), 400),
        (patch(NEW_CREDENTIALS), 422),
        (patch(NEW_CREDENTIALS.replace(b"ysXw", b"y"), match="*"), 400),
        (patch(b"a=candidate:1 1 udp 1 1.1.1.1 1 typ host\r\n" * 101), 400),
        (Request("POST"), 405),
        (Request("PUT"), 405),
    ],
)
def test_a_bad_request_to_a_session_changes_nothing(request_: Request, status: int) -> None:
    session = opened()
    reply = session.request(request_)
    assert isinstance(reply, Reply)
    assert reply.status == status
    assert session.etag == '"gen0"'


def test_an_etag_may_stand_in_a_list() -> None:
    assert isinstance(opened().request(patch(match='"other", "gen0"')), Trickle)


def test_ice_restarts() -> None:
    session = opened()
    restart = session.request(patch(NEW_CREDENTIALS, match="*"))
    assert restart == Restart("ysXw", "vw5LmwG4y/e6dPP/zAP9Gp5k", (), end=False)
    assert isinstance(restart, Restart)
    reply = session.restarted(restart, "oURS", "ours0123456789012345678", [HOST_CANDIDATE])
    assert reply == Reply(
        200,
        (("Content-Type", whip.FRAGMENT_TYPE), ("ETag", '"gen1"')),
        b"a=ice-ufrag:oURS\r\na=ice-pwd:ours0123456789012345678\r\na=candidate:" + HOST_CANDIDATE.encode()
        + b"\r\na=end-of-candidates\r\n",
    )  # fmt: skip
    assert isinstance(session.request(patch(NEW_CREDENTIALS + b"a=end-of-candidates\r\n", match='"gen1"')), Trickle)
    late = session.request(patch())
    assert isinstance(late, Reply)
    assert late.status == 412


def test_a_star_with_the_same_credentials_is_no_restart() -> None:
    assert isinstance(opened().request(patch(match="*")), Trickle)


def test_sessions_end_with_200() -> None:
    session = opened()
    assert session.request(Request("DELETE")) == Close()
    assert session.closed() == Reply(200)


def test_what_else_may_be_asked_of_a_session() -> None:
    session = opened()
    assert session.request(Request("GET")) == Reply(204)
    options = session.request(Request("OPTIONS"))
    assert isinstance(options, Reply)
    assert header(options, "Allow") == ["PATCH, DELETE, OPTIONS, HEAD, GET"]


def test_fragments_without_media() -> None:
    fragment = parse_fragment(b"a=candidate:" + HOST_CANDIDATE.encode() + b"\n")
    assert fragment == Trickle((Candidate("", HOST_CANDIDATE),), end=False)


@given(st.binary(max_size=300))
def test_garbage_is_a_protocol_error_and_nothing_else(data: bytes) -> None:
    for parse in (lambda: parse_offer(data, "ingest"), lambda: parse_fragment(data)):
        try:
            parse()
        except ProtocolError:
            pass


def test_an_offer_cut_anywhere_is_refused_or_whole() -> None:
    """A cut at a line's end may leave a valid offer; anything else must be refused without any other exception."""
    for length in range(len(OFFER)):
        try:
            offer = parse_offer(OFFER[:length], "ingest")
        except ProtocolError:
            continue
        assert offer.video_codecs
