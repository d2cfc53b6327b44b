"""WHIP and WHEP: one HTTP exchange opens a WebRTC session. State machines for a server, sans-I/O.

Specifications: RFC 9725 (WHIP, March 2025); draft-ietf-wish-whep-04 (WHEP, June 2026, still a draft). Trickle ICE
fragments: RFC 8840. HTTP preconditions: RFC 9110, 13.1.1 and RFC 6585, 3.

    POST    endpoint   application/sdp, an offer        201, the answer, Location, ETag, Link: ICE servers
    PATCH   session    application/trickle-ice-sdpfrag  204 for candidates (If-Match: the ETag)
                                                        200, new credentials, new ETag for a restart (If-Match: *)
    DELETE  session                                     200: OBS demands exactly that
    OPTIONS either                                      204 with Accept-Post; no CORS header, see `live.server.guard`
    HEAD    endpoint   of WHEP                          200 with Content-Type: application/sdp, for discovery

A `Request` goes in; out comes either the `Reply` or what must be done first (`Open`, `Trickle`, `Restart`, `Close`),
for whose outcome there is a method that makes the reply. Of WHEP only the answering way is spoken: no counter-offers.

A sample, the candidates of a browser, and what comes of it:

    PATCH /whip/7f3a HTTP/1.1
    If-Match: "gen0"
    Content-Type: application/trickle-ice-sdpfrag

    a=ice-ufrag:EsAw
    a=ice-pwd:P2uYro0UCOQ4zxjKXaWCBui1
    m=audio 9 UDP/TLS/RTP/SAVPF 0
    a=mid:0
    a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host
    a=end-of-candidates

    Trickle(candidates=(Candidate("0", "1387637174 1 udp ..."),), end=True)   then   HTTP/1.1 204 No Content
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from protocols.errors import ProtocolError

__all__ = [
    "FRAGMENT_TYPE",
    "MAX_SDP_BYTES",
    "SDP_TYPE",
    "Candidate",
    "Close",
    "Endpoint",
    "IceServer",
    "Offer",
    "Open",
    "Reply",
    "Request",
    "Restart",
    "Session",
    "Trickle",
    "parse_fragment",
    "parse_offer",
]

SDP_TYPE = "application/sdp"
FRAGMENT_TYPE = "application/trickle-ice-sdpfrag"
MAX_SDP_BYTES = 64 * 1024
VIDEO_CODECS = ("H264", "VP8")

_MAX_LINES = 2000
_MAX_MEDIA = 4
_MAX_CANDIDATES = 100
_DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
_CREDENTIAL_LENGTHS = {"ice-ufrag": (4, 256), "ice-pwd": (22, 256)}  # RFC 8839, 5.4
_ICE_CHARS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")

Role = Literal["ingest", "playback"]
Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request. `headers` have names in lower case."""

    method: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP response."""

    status: int
    headers: Pairs = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class IceServer:
    """A STUN or TURN server that the other side may use."""

    url: str
    username: str = ""
    credential: str = ""

    def link(self) -> str:
        """As the value of a Link header."""
        text = f'<{self.url}>; rel="ice-server"'
        if self.username:
            name, secret = _quoted(self.username), _quoted(self.credential)
            text += f'; username={name}; credential={secret}; credential-type="password"'
        return text


@dataclass(frozen=True, slots=True)
class Offer:
    """What an offer says that a server must know before it answers.

    Attributes:
        ufrag: of the client's ICE agent; another one later means a restart.
        audio: there is sound in it.
        video_codecs: of those that we speak, in the client's order.
    """

    sdp: str
    ufrag: str
    audio: bool
    video_codecs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One remote ICE candidate: the `mid` it belongs to and its text after `a=candidate:`."""

    mid: str
    text: str


@dataclass(frozen=True, slots=True)
class Open:
    """Answer the offer, then `Session.created`."""

    offer: Offer


@dataclass(frozen=True, slots=True)
class Trickle:
    """Add the candidates, then `Session.trickled`."""

    candidates: tuple[Candidate, ...]
    end: bool


@dataclass(frozen=True, slots=True)
class Restart:
    """Restart ICE towards these credentials, then `Session.restarted`."""

    ufrag: str
    password: str
    candidates: tuple[Candidate, ...]
    end: bool


@dataclass(frozen=True, slots=True)
class Close:
    """End the session, then `Session.closed`."""


class Endpoint:
    """Where sessions are opened.

    Args:
        role: "ingest" is WHIP (we receive), "playback" is WHEP (we send).
        ice_servers: told to every client.
    """

    def __init__(self, role: Role, ice_servers: Sequence[IceServer] = ()) -> None:
        self.role = role
        self._links: Pairs = tuple(("Link", server.link()) for server in ice_servers)

    def request(self, request: Request) -> Reply | Open:
        """Judge a request to the endpoint."""
        match request.method:
            case "POST":
                return self._post(request)
            case "OPTIONS":
                return Reply(204, (*self._allowed, ("Accept-Post", SDP_TYPE)))
            case "GET" | "HEAD" if self.role == "ingest":
                return Reply(204)  # RFC 9725, 4.1: without meaning, yet not an error
            case "GET" | "HEAD":
                return Reply(200, (("Content-Type", SDP_TYPE), ("Accept-Post", SDP_TYPE)))
        return _refuse(405, f"{request.method} means nothing here.", self._allowed)

    def _post(self, request: Request) -> Reply | Open:
        if _media_type(request) != SDP_TYPE:
            accepted = (("Accept-Post", SDP_TYPE),)
            return _refuse(415, f"An offer has the Content-Type {SDP_TYPE}.", accepted)
        if len(request.body) > MAX_SDP_BYTES:
            return _refuse(413, f"The offer has {len(request.body)} bytes, at most {MAX_SDP_BYTES} are allowed.")
        try:
            return Open(parse_offer(request.body, self.role))
        except ProtocolError as error:
            return _refuse(400 if isinstance(error, _Malformed) else 422, str(error))

    @property
    def _allowed(self) -> Pairs:
        return (("Allow", "POST, OPTIONS, HEAD, GET"),)

    def opened(self, session_path: str, offer: Offer) -> Session:
        """The session of an offer that can be answered. `session_path` is its own address."""
        return Session(session_path, offer, self._links)


class Session:
    """One session from its answer to its end."""

    def __init__(self, path: str, offer: Offer, links: Pairs = ()) -> None:
        self.path = path
        self._ufrag = offer.ufrag
        self._links = links
        self._generation = 0

    @property
    def etag(self) -> str:
        """Identifies the present ICE session."""
        return f'"gen{self._generation}"'

    def created(self, answer: str) -> Reply:
        """The reply to the POST."""
        headers = (("Content-Type", SDP_TYPE), ("Location", self.path), ("ETag", self.etag), *self._links)
        return Reply(201, headers, answer.encode())

    def request(self, request: Request) -> Reply | Trickle | Restart | Close:
        """Judge a request to the session's own address."""
        match request.method:
            case "PATCH":
                return self._patch(request)
            case "DELETE":
                return Close()
            case "OPTIONS":
                return Reply(204, (*self._allowed, ("Accept-Patch", FRAGMENT_TYPE)))
            case "GET" | "HEAD":
                return Reply(204)
        return _refuse(405, f"{request.method} means nothing here.", self._allowed)

    def trickled(self) -> Reply:
        return Reply(204)

    def restarted(self, restart: Restart, ufrag: str, password: str, candidates: Iterable[str]) -> Reply:
        """The reply to an ICE restart: our new credentials and all of our candidates."""
        self._ufrag = restart.ufrag
        self._generation += 1
        lines = [f"a=ice-ufrag:{ufrag}", f"a=ice-pwd:{password}"]
        lines += [f"a=candidate:{text}" for text in candidates]
        lines.append("a=end-of-candidates")
        body = "".join(f"{line}\r\n" for line in lines).encode()
        return Reply(200, (("Content-Type", FRAGMENT_TYPE), ("ETag", self.etag), *self._links), body)

    def closed(self) -> Reply:
        return Reply(200)

    @property
    def _allowed(self) -> Pairs:
        return (("Allow", "PATCH, DELETE, OPTIONS, HEAD, GET"),)

    def _patch(self, request: Request) -> Reply | Trickle | Restart:
        if _media_type(request) != FRAGMENT_TYPE:
            return _refuse(415, f"A PATCH has the Content-Type {FRAGMENT_TYPE}.", (("Accept-Patch", FRAGMENT_TYPE),))
        if len(request.body) > MAX_SDP_BYTES:
            return _refuse(413, f"The fragment has {len(request.body)} bytes, at most {MAX_SDP_BYTES} are allowed.")
        wanted = request.headers.get("if-match")
        if wanted is None:
            return _refuse(428, "A PATCH needs If-Match: the ETag of the session, or * for an ICE restart.")
        if wanted.strip() != "*" and self.etag not in [tag.strip() for tag in wanted.split(",")]:
            return _refuse(412, f"If-Match is {wanted[:60]}, the session is at {self.etag}.")
        try:
            fragment = parse_fragment(request.body)
        except ProtocolError as error:
            return _refuse(400, str(error))
        if isinstance(fragment, Trickle):
            return fragment
        if fragment.ufrag == self._ufrag:
            return Trickle(fragment.candidates, fragment.end)
        if wanted.strip() != "*":
            return _refuse(422, "The fragment has other ICE credentials; an ICE restart says If-Match: *.")
        return fragment


class _Malformed(ProtocolError):
    """No SDP at all, as against SDP that is of no use here."""


def parse_offer(data: bytes, role: Role) -> Offer:
    """The offer in the body of a POST.

    Raises:
        ProtocolError: it is no SDP, or breaks a rule of WHIP (RFC 9725, 4.2 to 4.4) or WHEP.
    """
    session, media = _sections(_lines(data))
    if not media:
        raise ProtocolError("The offer has no media.")
    if len(media) > _MAX_MEDIA:
        raise ProtocolError(f"The offer has {len(media)} media sections, at most {_MAX_MEDIA} are allowed.")
    kinds = [section.kind for section in media]
    for kind in kinds:
        if kind not in ("audio", "video"):
            raise ProtocolError(f"The offer has a section of kind {kind[:20]!r}; only audio and video are spoken here.")
        if kinds.count(kind) > 1:
            raise ProtocolError(f"The offer has {kinds.count(kind)} {kind} sections, at most one is allowed.")
    if "video" not in kinds:
        raise ProtocolError("The offer has no video.")
    for section in media:
        _check_section(section, session, role)
    mids = [section.value("mid") for section in media]
    bundled = [value.split()[1:] for value in session.values("group") if value.split()[:1] == ["BUNDLE"]]
    if len(media) > 1 and (len(set(mids)) < len(mids) or not any(set(mids) <= set(group) for group in bundled)):
        raise ProtocolError("All media must be in one BUNDLE group.")
    video = media[kinds.index("video")]
    names = [value.split()[1].partition("/")[0].upper() for value in video.values("rtpmap") if " " in value.strip()]
    codecs = tuple(dict.fromkeys(name for name in names if name in VIDEO_CODECS))
    if not codecs:
        raise ProtocolError(f"None of the video codecs is spoken here; {' and '.join(VIDEO_CODECS)} are.")
    ufrag = media[0].value("ice-ufrag") or session.value("ice-ufrag")
    return Offer(data.decode(), ufrag, "audio" in kinds, codecs)


def parse_fragment(data: bytes) -> Trickle | Restart:
    """The body of a PATCH; a `Restart` when it carries credentials, whether they are new or not.

    Raises:
        ProtocolError: it is no fragment, or has nothing in it.
    """
    session, media = _sections(_lines(data, whole=False))
    candidates: list[Candidate] = []
    end = "end-of-candidates" in session.flags
    for section in [session, *media]:
        candidates += [Candidate(section.value("mid"), text) for text in section.values("candidate")]
        end = end or "end-of-candidates" in section.flags
    if len(candidates) > _MAX_CANDIDATES:
        raise ProtocolError(f"The fragment has {len(candidates)} candidates, at most {_MAX_CANDIDATES} are allowed.")
    for candidate in candidates:
        if len(candidate.text.split()) < 8:
            raise ProtocolError(f"This is no candidate: {candidate.text[:60]!r}.")
    first = media[0] if media else session
    ufrag = session.value("ice-ufrag") or first.value("ice-ufrag")
    password = session.value("ice-pwd") or first.value("ice-pwd")
    if ufrag and password:
        _check_credential("ice-ufrag", ufrag)
        _check_credential("ice-pwd", password)
        return Restart(ufrag, password, tuple(candidates), end)
    if not candidates and not end:
        raise ProtocolError("The fragment has neither candidates nor credentials.")
    return Trickle(tuple(candidates), end)


class _Section:
    """The attributes of one part of an SDP."""

    def __init__(self, kind: str = "") -> None:
        self.kind = kind
        self.flags: set[str] = set()
        self._values: dict[str, list[str]] = {}

    def add(self, attribute: str) -> None:
        name, colon, value = attribute.partition(":")
        if colon:
            self._values.setdefault(name, []).append(value.strip())
        else:
            self.flags.add(name)

    def values(self, name: str) -> list[str]:
        return self._values.get(name, [])

    def value(self, name: str) -> str:
        return self._values.get(name, [""])[0]


def _check_section(section: _Section, session: _Section, role: Role) -> None:
    """One media section against the rules. Session-level attributes stand in for missing ones."""
    kind = section.kind
    if not section.value("mid"):
        raise ProtocolError(f"The {kind} section has no mid.")
    for name in ("ice-ufrag", "ice-pwd", "fingerprint"):
        value = section.value(name) or session.value(name)
        if not value:
            raise ProtocolError(f"The {kind} section has no {name}.")
        if name in _CREDENTIAL_LENGTHS:
            _check_credential(name, value)
    setup = section.value("setup") or session.value("setup")
    if setup != "actpass":
        raise ProtocolError(f"The {kind} section says setup:{setup[:20] or 'nothing'}, an offer says setup:actpass.")
    if "rtcp-mux" not in section.flags:
        raise ProtocolError(f"The {kind} section has no rtcp-mux.")
    flags = section.flags | (session.flags if not section.flags.intersection(_DIRECTIONS) else set())
    direction = next((name for name in _DIRECTIONS if name in flags), "sendrecv")
    wanted = "sendonly" if role == "ingest" else "recvonly"
    if direction not in (wanted, "sendrecv"):
        raise ProtocolError(f"The {kind} section is {direction}, it must be {wanted}.")
    if len(section.values("candidate")) > _MAX_CANDIDATES:
        raise ProtocolError(f"The {kind} section has more than {_MAX_CANDIDATES} candidates.")


def _check_credential(name: str, value: str) -> None:
    least, most = _CREDENTIAL_LENGTHS[name]
    if not least <= len(value) <= most or not _ICE_CHARS.issuperset(value):
        raise ProtocolError(f"The {name} must be {least} to {most} letters, digits, + or /.")


def _lines(data: bytes, whole: bool = True) -> Iterator[tuple[str, str]]:
    """Type and value of each line. `whole`: a session description, which begins with v=0; else a fragment."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise _Malformed("The body is not UTF-8.") from None
    lines = [line for line in text.replace("\r\n", "\n").split("\n") if line]
    if len(lines) > _MAX_LINES:
        raise _Malformed(f"The body has {len(lines)} lines, at most {_MAX_LINES} are allowed.")
    if whole and lines[:1] != ["v=0"]:
        raise _Malformed("The body is no SDP: it does not begin with v=0.")
    for number, line in enumerate(lines, 1):
        if len(line) < 2 or line[1] != "=" or not line[0].isascii() or not line[0].islower() or not line.isprintable():
            raise _Malformed(f"Line {number} is no SDP: {line[:40]!r}.")
        yield line[0], line[2:]


def _sections(lines: Iterable[tuple[str, str]]) -> tuple[_Section, list[_Section]]:
    session = _Section()
    media: list[_Section] = []
    for kind, value in lines:
        if kind == "m":
            if len(value.split()) < 4:
                raise _Malformed(f"This is no media line: {value[:40]!r}.")
            media.append(_Section(value.split()[0]))
        elif kind == "a":
            (media[-1] if media else session).add(value)
    return session, media


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _refuse(status: int, text: str, headers: Pairs = ()) -> Reply:
    return Reply(status, (("Content-Type", "text/plain; charset=utf-8"), *headers), f"{text}\n".encode())


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
