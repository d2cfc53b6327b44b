"""A real Chromium with a fake camera on a served show: /drive, /watch and the cards, over http and https."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websockets.sync.client
from playwright.sync_api import Browser, Page
from websockets.exceptions import InvalidStatus

from live.server.invite import lan_addresses
from tests.live.server.chromium import chromium_at
from tests.live.server.harness import Served, served
from tests.live.server.remote_peer import make_remote_show
from tests.live.server.test_browser import until

pytestmark = pytest.mark.browser

CAMERA = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
STATE = "document.documentElement.dataset.state === '{}'"
WAY = "document.documentElement.dataset.way"
CAMERA_OFF = "document.querySelector('video').srcObject.getTracks().every((t) => t.readyState === 'ended')"
STATIC = Path(__file__).resolve().parents[3] / "live/server/static"
PIXEL = """(at) => {
    const canvas = document.createElement('canvas'), video = document.querySelector('video');
    canvas.width = video.videoWidth; canvas.height = video.videoHeight;
    canvas.getContext('2d').drawImage(video, 0, 0);
    return [...canvas.getContext('2d').getImageData(...at, 1, 1).data];
}"""


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with chromium_at(chromium, *CAMERA) as launched:
        yield launched


@pytest.fixture
def pages(browser: Browser) -> Iterator[Any]:
    """`pages(**options)`: a page in a profile of its own; an error on it fails the test."""
    contexts = []
    complaints: list[str] = []

    def make(**options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == []


def phone(pages: Any, **options: Any) -> Page:
    return pages(viewport={"width": 280, "height": 420}, permissions=["camera", "microphone"], **options)


def ask(server: Served, path: str) -> Any:
    with urllib.request.urlopen(f"{server.url}{path}") as reply:
        return json.load(reply)


def test_a_phone_drives_pauses_and_leaves(pages: Any) -> None:
    with served(make_remote_show()) as server:
        page = phone(pages)
        page.goto(f"{server.url}/drive")
        until(page, STATE.format("live"))
        assert ask(server, "/api/state")["source"]["spec"] == "phone"
        assert ask(server, "/api/state")["remote"]["phone"]["size_wh"] == [640, 480]
        assert "scaleX" in page.evaluate(
            "getComputedStyle(document.querySelector('video')).transform"
        ) or page.evaluate("getComputedStyle(document.querySelector('video')).transform").startswith(
            "matrix(-1"
        )  # one's own picture is a mirror
        page.click("#pause")
        until(page, STATE.format("paused"))
        until(page, "fetch('/api/state').then((r) => r.json()).then((s) => s.remote.phone.paused)")
        page.click("#action")
        until(page, STATE.format("live"))
        page.click("#mic")
        until(page, "document.querySelector('#mic').getAttribute('aria-pressed') === 'true'")
        until(page, STATE.format("live"))
        page.click("#leave")
        until(page, STATE.format("left"))
        assert page.evaluate(
            "document.querySelector('video').srcObject.getTracks().every((t) => t.readyState === 'ended')"
        )
        until(page, "fetch('/api/state').then((r) => r.json()).then((s) => s.source.spec === 'cam')")


def test_a_phone_that_is_kicked_stops_its_camera(pages: Any) -> None:
    with served(make_remote_show()) as server:
        page, control = phone(pages), pages(viewport={"width": 1280, "height": 900})
        page.goto(f"{server.url}/drive")
        control.goto(server.url)
        until(page, STATE.format("live"))
        control.click("#kick")
        until(page, STATE.format("kicked"))
        assert page.evaluate(
            "document.querySelector('video').srcObject.getTracks().every((t) => t.readyState === 'ended')"
        )
        assert ask(server, "/api/state")["remote"]["phone"]["holder"] is None


def test_a_computer_that_falls_silent_is_told_and_waited_for(pages: Any) -> None:
    """WebRTC notices after many seconds that nobody answers, the page's own socket at once."""
    with served(make_remote_show()) as server:
        page = phone(pages)
        sockets: list[Any] = []
        silent = False

        def answer(socket: Any) -> None:
            sockets.append(socket)
            if silent:
                socket.close()
            else:
                socket.connect_to_server()

        page.route_web_socket("**/ws/drive", answer)
        page.goto(f"{server.url}/drive")
        until(page, STATE.format("live"))
        silent = True
        sockets[-1].close()
        until(page, STATE.format("lost"))
        until(page, "document.querySelector('#card').innerText.includes('cannot be reached')")
        silent = False
        until(page, STATE.format("live"))


def test_a_viewer_sees_the_character_over_webrtc(pages: Any) -> None:
    with served(make_remote_show()) as server:
        page = pages(viewport={"width": 256, "height": 256})
        page.goto(f"{server.url}/watch")
        until(page, STATE.format("live"))
        until(page, "document.querySelector('video').videoWidth === 128")
        assert page.evaluate(WAY) is None
        assert abs(page.evaluate(PIXEL, [64, 64])[1] - 60) < 8
        card = pages(viewport={"width": 1280, "height": 900})
        card.goto(server.url)
        until(card, "document.querySelector('#viewers-now').textContent.startsWith('1 over WebRTC')")
        until(card, "document.querySelector('#viewers .person h3').textContent.includes('Chrome')")


def test_alpha_is_put_together_again(pages: Any) -> None:
    with served(make_remote_show()) as server:
        page = pages(viewport={"width": 128, "height": 128})
        page.goto(f"{server.url}/watch?alpha=1")
        until(page, STATE.format("live"))
        until(page, "document.querySelector('canvas').width === 128")
        read = """() => {
            const gl = document.querySelector('canvas').getContext('webgl'), pixel = new Uint8Array(4);
            gl.readPixels(64, 64, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
            return [...pixel];
        }"""
        until(page, f"({read})()[3] > 250 && Math.abs(({read})()[1] - 60) < 8")
        server.call(lambda: server.show.set_hidden(True))  # blank pictures: fully transparent
        until(page, f"({read})()[3] < 4")


def test_without_webrtc_the_websocket_takes_over(pages: Any) -> None:
    with served(make_remote_show("remote.max_viewers=1")) as server:
        bare = pages()
        bare.add_init_script("delete window.RTCPeerConnection")
        bare.goto(f"{server.url}/watch")
        until(bare, STATE.format("live"))
        assert bare.evaluate(WAY) == "websocket"
        first, second = pages(), pages()
        first.goto(f"{server.url}/watch")
        until(first, STATE.format("live"))
        second.goto(f"{server.url}/watch")  # the places for WebRTC are taken
        until(second, STATE.format("live"))
        assert second.evaluate(WAY) == "websocket"


def test_ice_restarts_in_a_real_browser(pages: Any) -> None:
    """The session goes on under new credentials: the viewer's video keeps playing."""
    restart = """async () => {
        const { RtcSession } = await import('/static/whip.js');
        const peer = new RTCPeerConnection(), video = document.createElement('video');
        peer.addTransceiver('video', { direction: 'recvonly' });
        video.muted = true;
        peer.ontrack = (event) => { video.srcObject = new MediaStream([event.track]); video.play(); };
        let ended = false;
        const session = new RtcSession('/whep', peer, () => (ended = true));
        await session.open();
        const until = async (what) => {
            for (let i = 0; i < 400 && !what(); i++) await new Promise((r) => setTimeout(r, 25));
            if (!what()) throw new Error(String(what));
        };
        await until(() => video.currentTime > 0.2);
        const before = peer.remoteDescription.sdp.match(/ice-ufrag:(.*)/)[1];
        await session.restart();
        const after = peer.remoteDescription.sdp.match(/ice-ufrag:(.*)/)[1];
        await until(() => ['connected', 'completed'].includes(peer.iceConnectionState));
        const t = video.currentTime;
        await until(() => video.currentTime > t + 1);
        const result = [before !== after, session.etag, ended];
        session.close();
        return result;
    }"""
    with served(make_remote_show()) as server:
        page = pages()
        page.goto(f"{server.url}/watch?ws=1")
        until(page, STATE.format("live"))
        assert page.evaluate(restart) == [True, '"gen1"', False]


def test_what_stands_in_the_way_of_a_camera_is_told(browser: Browser, pages: Any) -> None:
    with served(make_remote_show()) as server:
        plain = pages()
        plain.add_init_script("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
        plain.goto(f"{server.url}/drive")
        until(plain, STATE.format("insecure"))
        assert "lan and scan the code" in (plain.text_content("#text") or "")
        for error, state in (
            ("NotAllowedError", "blocked"),
            ("NotFoundError", "nocamera"),
            ("NotReadableError", "busycamera"),
        ):
            page = pages()
            page.add_init_script(
                "navigator.mediaDevices.getUserMedia = () => Promise.reject("
                f"Object.assign(new Error('no'), {{ name: '{error}' }}))"
            )
            page.goto(f"{server.url}/drive")
            until(page, STATE.format(state))
            assert page.text_content("#text")


def test_sockets_of_other_sites_are_refused() -> None:
    with served(make_remote_show()) as server:
        address = server.url.replace("http", "ws")
        for path in ("/ws/drive", "/ws/view", "/ws/control"):
            with pytest.raises(InvalidStatus) as refused:
                websockets.sync.client.connect(f"{address}{path}", origin="https://evil.example")  # type: ignore[arg-type]
            assert refused.value.response.status_code == 403
        with websockets.sync.client.connect(f"{address}/ws/drive") as socket:
            assert json.loads(socket.recv(10))["seat"] == "free"
            socket.send("not json")
            socket.send("[1]")


@pytest.mark.skipif(not lan_addresses(), reason="this machine is in no network")
def test_over_https_with_a_code_from_the_control_page(pages: Any, tmp_path: Path) -> None:
    with served(make_remote_show(), lan_folder=tmp_path) as server:
        assert server.lan is not None
        here = server.url.replace("0.0.0.0", "127.0.0.1")
        control = pages(viewport={"width": 500, "height": 400})
        control.goto(here)
        until(control, "document.querySelector('.qr svg') !== null")
        link = control.evaluate("fetch('/api/remote/invite').then((r) => r.json()).then((i) => i.drive.url)")
        assert re.fullmatch(rf"{server.lan.urls[0]}/drive#t=[\w-]{{32}}", link)

        stranger = phone(pages, ignore_https_errors=True)
        stranger.goto(f"{server.lan.urls[0]}/drive")
        until(stranger, STATE.format("unpaired"))
        stranger.context.close()

        first = phone(pages, ignore_https_errors=True)
        first.goto(link)
        until(first, STATE.format("live"))
        assert "#" not in first.url  # the token is gone from the address
        assert first.context.cookies()[0]["httpOnly"] and first.context.cookies()[0]["secure"]
        first.reload()
        until(first, STATE.format("live"))  # the same seat

        late = phone(pages, ignore_https_errors=True)
        late.goto(link)
        until(late, STATE.format("unpaired"))
        assert "used" in (late.text_content("#text") or "")
        late.context.close()

        second = phone(pages, ignore_https_errors=True)
        second.goto(control.evaluate("fetch('/api/remote/invite').then((r) => r.json()).then((i) => i.drive.url)"))
        until(second, STATE.format("asking"))
        control.click(".button.yes")
        until(second, STATE.format("live"))
        until(first, STATE.format("taken"))

        viewer = pages(ignore_https_errors=True)
        viewer.goto(control.evaluate("fetch('/api/remote/invite').then((r) => r.json()).then((i) => i.watch.url)"))
        until(viewer, STATE.format("live"))
        plain = pages()
        plain.goto(f"http://{server.lan.urls[0].split('/')[2].split(':')[0]}:{here.rpartition(':')[2]}/drive")
        assert "secure connection" in plain.inner_text("h1")
        for page in (control, first, second, viewer, plain):
            page.context.close()


def test_the_phone_page_is_written_for_safari_14() -> None:
    """No syntax or method that came later; of the modules that /drive and /watch load."""
    later = [r"\?\?=", r"\|\|=", r"&&=", r"#[a-z]\w*\s*[=(;]", r"\(\?<", r"\.at\(", r"\.findLast", r"structuredClone"]
    later += [r"Object\.hasOwn", r"\bstatic\s*\{", r"^await ", r"\.replaceAll\(", r":has\("]
    for name in ("drive.js", "watch.js", "whip.js", "pair.js", "socket.js", "dom.js", "alpha.js", "drive.css"):
        text = (STATIC / name).read_text(encoding="utf-8")
        for line in text.splitlines():
            for pattern in later:
                if name.endswith(".css") and pattern.startswith("#"):
                    continue
                assert not re.search(pattern, re.sub(r"//.*|\"[^\"]*\"", "", line)), f"{name}: {line.strip()}"
