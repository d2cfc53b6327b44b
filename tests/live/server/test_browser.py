"""A real Chromium on a served show: what it draws, what its buttons do, how it comes back."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Page

from faceshot.types import Character, Drive, Rendered, UInt8
from live.build import build_show
from live.clock import LoopClock
from live.config import load_config
from live.server.serve import listen
from live.show import Show
from protocols.viewer import Chunk, Codec, Frame, encode_chunk
from tests.fakes import CostlyAnimator, ScriptedSource, a_character, a_face, a_show
from tests.live.server.harness import Served, served

pytestmark = pytest.mark.browser

SIDE = 128
PIXEL = "([x, y]) => [...document.querySelector('canvas').getContext('2d').getImageData(x, y, 1, 1).data]"
GREY = "Math.abs(document.querySelector('canvas').getContext('2d').getImageData(8, 8, 1, 1).data[1] - {}) < 8"


class StillAnimator(CostlyAnimator):
    """Gives the character's picture back: nothing moves, every pixel is known."""

    def render(self, drives: Sequence[Drive]) -> list[Rendered]:
        assert self._character is not None
        return [Rendered(self._character.rgba.copy()) for _ in drives[-self.window.stride :]]


def a_picture() -> UInt8:
    """Left third transparent with garbage under it, then a ramp of alpha, right third opaque; soft colours."""
    y, x = np.mgrid[:SIDE, :SIDE]
    alpha = np.clip((x - SIDE / 3) * 3 / SIDE, 0, 1) * 255
    rgba = np.dstack([120 + 60 * np.sin(y / 20), 90 + x / 2, 160 - y / 2, alpha]).round().astype(np.uint8)
    rgba[rgba[..., 3] == 0] = (255, 0, 0, 0)
    return rgba


def plain(name: str, grey: int) -> Character:
    return a_character(name, (SIDE, SIDE), grey)


def make_show(*sets: str, **characters: Character) -> Callable[[], Show]:
    def make() -> Show:
        clock = LoopClock()
        source = {
            "cam": lambda: ScriptedSource(clock, states=[a_face()]),
            "demo": lambda: ScriptedSource(clock, states=[a_face()], name="demo"),
        }
        who = characters or {"dot": plain("dot", 60), "dash": plain("dash", 180)}
        return a_show(clock, source, make_animator=StillAnimator, characters=who, sets=sets)

    return make


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": SIDE, "height": SIDE})
    opened.set_default_timeout(20_000)
    yield opened
    opened.close()


@pytest.fixture
def control(browser: Browser) -> Iterator[tuple[Page, Served]]:
    """The control page of a show with two characters; anything on its console fails the test."""
    with served(make_show()) as server:
        opened = browser.new_page(viewport={"width": 1280, "height": 800})
        opened.set_default_timeout(20_000)
        complaints: list[str] = []
        opened.on("console", lambda message: complaints.append(message.text))
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.goto(server.url)
        opened.wait_for_selector("#stage[data-view=live]")
        opened.wait_for_selector("[role=radio][data-spec=dash]")
        yield opened, server
        opened.close()
    # The characters of this show are not bundled ones and have no portrait.
    assert [text for text in complaints if "404" not in text and "422" not in text] == []


def drawn(page: Page) -> None:
    until(page, "document.querySelector('canvas').width > 1")


def until(page: Page, expression: str, arg: object = None) -> None:
    """Wait for an expression to become true; playwright's own way needs eval(), which the pages' policy forbids."""
    for _ in range(400):
        if page.evaluate(expression, arg):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"still not true: {expression}")


def screenshot(page: Page) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(float)


@pytest.mark.parametrize("codec", ["mask", "webp"])
@pytest.mark.parametrize("colour", [(0, 200, 80), (255, 255, 255)])
def test_the_viewer_is_transparent_over_a_coloured_page(page: Page, codec: str, colour: tuple[int, int, int]) -> None:
    rgba = a_picture()
    character = Character("ramp", rgba, a_character(size_wh=(SIDE, SIDE)).points_xy, np.ones(70, np.bool_))
    with served(make_show(dot=character)) as server:
        page.goto(f"{server.url}/view?codec={codec}")
        drawn(page)
        page.evaluate("colour => { document.documentElement.style.background = `rgb(${colour})` }", list(colour))
        shown = screenshot(page)
    alpha = rgba[..., 3:] / 255
    error = np.abs(shown - (rgba[..., :3] * alpha + np.array(colour) * (1 - alpha))) / 255
    assert error[rgba[..., 3] == 0].max() == 0
    assert error.mean() < 0.01
    assert np.quantile(error, 0.99) < 0.02


def test_the_mask_arrives_exactly(page: Page) -> None:
    rgba = a_picture()
    character = Character("ramp", rgba, a_character(size_wh=(SIDE, SIDE)).points_xy, np.ones(70, np.bool_))
    with served(make_show(dot=character)) as server:
        page.goto(f"{server.url}/view")
        drawn(page)
        row = page.evaluate(
            f"[...document.querySelector('canvas').getContext('2d').getImageData(0, 64, {SIDE}, 1).data]"
        )
    assert row[3::4] == rgba[64, :, 3].tolist()


def test_the_decoder_in_the_browser_is_as_strict_as_ours(page: Page) -> None:
    """The documented sample decodes; cut at any byte, or with a byte too many, it does not."""
    sample = encode_chunk(Chunk(7, 1_000_000_000, Codec.JPEG_MASK, (512, 256), (Frame(b"\xff\xd8", b"\x89"),)))
    wrong = [sample[:length] for length in range(len(sample))] + [sample + b"\0"]
    wrong += [sample[:at] + bytes([value]) + sample[at + 1 :] for at, value in ((0, 0), (3, 2), (4, 9), (5, 2), (7, 0))]
    decode = """async (chunks) => {
        const { decodeChunk } = await import('/static/viewer-protocol.js');
        const tried = (bytes) => { try { return decodeChunk(new Uint8Array(bytes).buffer); } catch { return null; } };
        return chunks.map(tried).map((c) => c && [c.sequence, c.captureMs, c.codec, c.key, c.width, c.height,
            c.frames.map((f) => [f.picture.size, f.mask.size, f.offsetMs])]);
    }"""
    with served(make_show()) as server:
        page.goto(f"{server.url}/view")
        good, *bad = page.evaluate(decode, [list(data) for data in (sample, *wrong)])
    assert good == [7, 1000, 2, True, 512, 256, [[2, 1, 0]]]
    assert bad == [None] * len(wrong)


def _jpeg(grey: int) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (16, 16), (grey, grey, grey)).save(data, "JPEG", quality=95)
    return data.getvalue()


def test_a_chunk_of_several_pictures_is_shown_one_after_the_other_each_at_its_time(page: Page) -> None:
    """What a chunked animator draws may come in one message."""
    frames = tuple(Frame(_jpeg(50 + 50 * i), offset_us=30_000 * i) for i in range(4))
    chunk = encode_chunk(Chunk(3, 1_000_000_000, Codec.JPEG, (16, 16), frames))
    play = """async (bytes) => {
        const { Viewer } = await import('/static/viewer.js');
        const { decodeChunk } = await import('/static/viewer-protocol.js');
        const viewer = new Viewer(document.createElement('canvas'), {});
        viewer.take = () => {};  // nothing of the show that runs beside
        const seen = [], draw = viewer.draw.bind(viewer), start = performance.now();
        viewer.draw = (chunk, bitmaps) => {
            draw(chunk, bitmaps);
            seen.push([viewer.context.getImageData(8, 8, 1, 1).data[0], performance.now() - start]);
        };
        await viewer.show(decodeChunk(new Uint8Array(bytes).buffer));
        return seen;
    }"""
    with served(make_show()) as server:
        page.goto(f"{server.url}/view")
        seen = page.evaluate(play, list(chunk))
    assert [grey for grey, _ in seen] == pytest.approx([50, 100, 150, 200], abs=3)
    assert all(at_ms >= 30 * i - 3 for i, (_, at_ms) in enumerate(seen)), "none before its time"


@pytest.mark.parametrize(("how", "shown"), [("newer", [50, 250]), ("cleared", [50])])
def test_what_comes_in_the_middle_of_a_chunk_ends_it(page: Page, how: str, shown: list[int]) -> None:
    """Panic is immediate: what was sent ahead is not shown after it."""
    frames = tuple(Frame(_jpeg(50 + 50 * i), offset_us=60_000_000 * i) for i in range(4))
    chunk = encode_chunk(Chunk(3, 1_000_000_000, Codec.JPEG, (16, 16), frames))
    blank = encode_chunk(Chunk(4, 1_000_000_001, Codec.JPEG, (16, 16), (Frame(_jpeg(250)),)))
    play = """async ([chunk, blank, how]) => {
        const { Viewer } = await import('/static/viewer.js');
        const viewer = new Viewer(document.createElement('canvas'), {});
        const take = viewer.take.bind(viewer), draw = viewer.draw.bind(viewer), seen = [];
        viewer.take = () => {};  // nothing of the show that runs beside
        viewer.socket.send = () => {};
        const drawn = (n) => new Promise((done) => (viewer.onFrame = viewer.draw = (...given) => {
            if (given.length === 2) {
                draw(...given);
                seen.push(viewer.context.getImageData(8, 8, 1, 1).data[0]);
            }
            if (seen.length === n) done();
        }));
        const first = drawn(1);
        take(new Uint8Array(chunk).buffer);
        await first;
        if (how === 'newer') {
            const second = drawn(2);
            take(new Uint8Array(blank).buffer);
            await second;
        } else viewer.blank();
        while (viewer.busy) await new Promise((later) => setTimeout(later, 5));
        return [seen, viewer.context.getImageData(8, 8, 1, 1).data[3]];
    }"""
    with served(make_show()) as server:
        page.goto(f"{server.url}/view")
        seen, alpha = page.evaluate(play, [list(chunk), list(blank), how])
    assert seen == pytest.approx(shown, abs=4)
    assert alpha == (0 if how == "cleared" else 255)


def test_fit(page: Page) -> None:
    page.set_viewport_size({"width": 2 * SIDE, "height": SIDE})
    with served(make_show()) as server:
        for fit, left_edge in (("contain", 255), ("cover", 60)):
            page.goto(f"{server.url}/view?fit={fit}")
            drawn(page)
            shown = screenshot(page)
            assert abs(shown[SIDE // 2, SIDE, 1] - 60) < 4
            assert abs(shown[SIDE // 2, 2, 1] - left_edge) < 4


def test_a_background_of_the_show_reaches_the_viewer_unless_it_wants_alpha(page: Page) -> None:
    rgba = a_picture()
    character = Character("ramp", rgba, a_character(size_wh=(SIDE, SIDE)).points_xy, np.ones(70, np.bool_))
    with served(make_show("output.background=#0000ff", dot=character)) as server:
        for query, want in (("", [0, 0, 255, 255]), ("?alpha=1", [0, 0, 0, 0])):
            page.goto(f"{server.url}/view{query}")
            drawn(page)
            assert np.abs(np.array(page.evaluate(PIXEL, [4, 60])) - want).max() < 6


def test_panic_blanks_the_viewer_and_shows_it_again(page: Page) -> None:
    with served(make_show()) as server:
        page.goto(f"{server.url}/view")
        until(page, GREY.format(60))
        server.call(lambda: server.show.set_hidden(True))
        until(
            page,
            "document.querySelector('canvas').getContext('2d').getImageData(0, 0, 128, 128).data.every((v) => v === 0)",
        )
        server.call(lambda: server.show.set_hidden(False))
        until(page, GREY.format(60))


def test_another_character_comes_through_the_same_socket(page: Page) -> None:
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    with served(make_show()) as server:
        page.goto(f"{server.url}/view")
        until(page, GREY.format(60))
        server.call(lambda: server.show.set_character("dash"))
        until(page, GREY.format(180))
    assert len([url for url in sockets if url.endswith("/ws/view?")]) == 1


def test_the_viewer_comes_back_when_the_server_does(page: Page) -> None:
    with listen(load_config(sets=["server.port=0"]).server) as free:
        port = free.getsockname()[1]
    with served(make_show(), port) as server:
        page.goto(f"{server.url}/view")
        until(page, GREY.format(60))
    until(page, "document.documentElement.dataset.state === 'lost'")
    with served(make_show("character.spec=dash"), port):
        until(page, GREY.format(180))


def test_a_frozen_face_is_not_left_on_air_when_the_server_is_gone(page: Page) -> None:
    with served(make_show()) as server:
        page.goto(f"{server.url}/view")
        until(page, GREY.format(60))
    until(page, "document.querySelector('canvas').getContext('2d').getImageData(8, 8, 1, 1).data[3] === 0")


def test_a_source_hidden_in_obs_costs_nothing(page: Page) -> None:
    def sent() -> int:
        return server.call(lambda: server.show.frames) and page.evaluate(
            "fetch('/api/stats').then((r) => r.json()).then((s) => s.viewers.each[0].sent)"
        )

    with served(make_show()) as server:
        page.goto(f"{server.url}/view")
        until(page, GREY.format(60))
        page.evaluate("dispatchEvent(new CustomEvent('obsSourceVisibleChanged', {detail: {visible: false}}))")
        page.wait_for_timeout(300)
        before = sent()
        page.wait_for_timeout(600)
        assert sent() == before
        page.evaluate("dispatchEvent(new CustomEvent('obsSourceVisibleChanged', {detail: {visible: true}}))")
        until(page, f"fetch('/api/stats').then((r) => r.json()).then((s) => s.viewers.each[0].sent > {before + 5})")


def test_keys_do_what_the_buttons_say(control: tuple[Page, Served]) -> None:
    page, _ = control

    def wait_for(key: str, value: object) -> None:
        until(
            page,
            "([key, value]) => fetch('/api/state').then((r) => r.json())"
            ".then((s) => key.split('.').reduce((at, part) => at[part], s) === value)",
            [key, value],
        )

    for key, what, value in [
        ("p", "paused", True),
        (" ", "paused", False),
        ("m", "motion.mirror", True),
        ("t", "output.mirror", True),
        ("q", "expression", "smile"),
        ("d", "expression", "wink"),
        ("d", "expression", None),
        ("2", "character.spec", "dash"),
        ("1", "character.spec", "dot"),
        ("Escape", "hidden", True),
        ("Escape", "hidden", True),
        ("s", "hidden", False),
        ("h", "hidden", True),
        ("s", "hidden", False),
    ]:
        page.keyboard.press(key)
        wait_for(what, value)
    with page.expect_response("**/api/calibrate"):
        page.keyboard.press("c")


def test_a_face_is_measured_step_by_step_and_reset(control: tuple[Page, Served]) -> None:
    page, server = control
    page.click("#range-steps button:has-text('Lips shut')")
    page.wait_for_selector("text=Shut your lips for two seconds.")
    page.wait_for_selector("text=Lips shut: measured")
    page.click("#range-steps button:has-text('Eyes shut')")
    page.wait_for_selector("text=at most 70% is usable")
    page.fill("#motion-limits-head", "0.5")
    page.wait_for_selector("#range-limits .slider.changed")
    page.click("#range-reset")
    page.wait_for_selector("#range-reset", state="hidden")
    motion = server.call(lambda: server.show.state()["motion"])
    assert motion["limits"]["head"] == 1.0 and motion["range"]["lips_shut"] == 0.0


def test_hiding_is_unmistakable_and_a_second_press_does_not_undo_it(control: tuple[Page, Served]) -> None:
    page, server = control
    page.dblclick("#panic")
    page.wait_for_selector("#stage[data-view=hidden]")
    assert page.is_visible("text=You are hidden")
    assert page.inner_text("#status") == "Hidden"
    page.wait_for_timeout(300)
    assert server.call(lambda: server.show.state()["hidden"]) is True
    page.click("#show-again")
    page.wait_for_selector("#stage[data-view=live]")
    assert server.call(lambda: server.show.state()["hidden"]) is False


def test_escape_hides_even_while_typing(control: tuple[Page, Served]) -> None:
    page, server = control
    page.click("[data-source=file]")
    page.fill("#source-spec", "cam p m 2")
    assert server.call(lambda: server.show.state()["paused"]) is False
    page.keyboard.press("Escape")
    page.wait_for_selector("#stage[data-view=hidden]")


def test_sliders_and_backgrounds_reach_the_show(control: tuple[Page, Served]) -> None:
    page, server = control
    page.fill("#motion-gains-mouth", "1.5")
    page.click("[title='Green screen']")
    page.wait_for_selector("#motion-reset:not([hidden])")
    page.wait_for_selector("[title='Green screen'][aria-checked=true]")
    assert server.call(lambda: server.show.config.motion.gains.mouth) == 1.5
    page.click("#motion-reset")
    page.wait_for_selector("#motion-reset", state="hidden")


def test_a_picture_is_put_on_air_or_refused_with_the_reason(control: tuple[Page, Served], tmp_path: Path) -> None:
    page, _ = control
    picture = tmp_path / "cat.png"
    picture.write_bytes(bytes([99]) + b"...")
    page.set_input_files("#picture-file", picture)
    page.wait_for_selector("[role=radio][data-spec='cat.png'][aria-checked=true]")

    page.click("[data-source=file]")
    page.fill("#source-spec", "nowhere")
    page.keyboard.press("Enter")
    page.wait_for_selector(".toast.error >> text=No source nowhere")


def test_the_page_says_when_the_server_is_gone_and_comes_back(browser: Browser) -> None:
    with listen(load_config(sets=["server.port=0"]).server) as free:
        port = free.getsockname()[1]
    page = browser.new_page()
    with served(make_show(), port) as server:
        page.goto(server.url)
        page.wait_for_selector("#stage[data-view=live]")
    page.wait_for_selector("#stage[data-view=gone] >> text=faceshot live")
    with served(make_show(), port):
        page.wait_for_selector("#stage[data-view=live]")
    page.close()


def test_nothing_is_cut_off_at_any_width(control: tuple[Page, Served]) -> None:
    page, _ = control
    for width in (320, 390, 768, 901, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        cut = page.evaluate(
            "[...document.querySelectorAll('button, .meters dd, h2')].filter((e) => e.offsetParent"
            " && (e.getBoundingClientRect().right > innerWidth + 1 || e.getBoundingClientRect().left < -1))"
            ".map((e) => e.outerHTML.slice(0, 80))"
        )
        assert cut == [], f"{width} px"


def test_every_control_has_a_name(control: tuple[Page, Served]) -> None:
    page, _ = control
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, input:not([type=file])')]"
        ".filter((e) => e.checkVisibility({visibilityProperty: true}))"
        ".filter((e) => !(e.innerText.trim() || e.ariaLabel || e.labels?.length)).map((e) => e.outerHTML)"
    )
    assert nameless == []


@pytest.mark.slow
def test_the_demo_moves_in_the_browser(page: Page) -> None:
    """The whole path with nothing faked: bundled clip, real warp, real server, real browser."""
    page.set_viewport_size({"width": 256, "height": 256})
    config = load_config(sets=["source.spec=demo", "animator.max_side_px=256"])
    os.environ.setdefault("GLOG_minloglevel", "2")
    with served(lambda: build_show(config)) as server:
        page.goto(f"{server.url}/view")
        drawn(page)
        first = screenshot(page)
        until(
            page,
            """() => {
                const canvas = document.querySelector('canvas');
                const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
                window.before ??= data;
                let changed = 0;
                for (let i = 0; i < data.length; i += 4) changed += Math.abs(data[i] - window.before[i]) > 24;
                return changed > 400;
            }""",
        )
        assert np.abs(screenshot(page) - first).max() > 24
        assert page.evaluate(PIXEL, [1, 1])[3] == 0, "the corner is transparent"
