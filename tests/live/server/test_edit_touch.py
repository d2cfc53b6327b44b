"""The editor by touch, on a page as narrow as a phone."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from playwright.sync_api import Browser

from faceshot.character import read_character
from faceshot.saved_square import saved_square
from faceshot.topology import MIRROR_70
from tests.live.server.editor_page import PHONE, Fingers, open_page

pytestmark = pytest.mark.browser


def test_a_finger_drags_two_fingers_zoom(browser: Browser, url: str, cat: Path) -> None:
    before = read_character(cat).points_xy
    for desk in open_page(browser, f"{url}/edit?spec={quote(str(cat), safe='')}", **PHONE):
        send = Fingers(desk.page).send
        send("touchStart", desk.at(before[8]))
        send("touchMove", desk.at(before[8] + [4, 8]))
        assert "on" in (desk.page.get_attribute("#loupe", "class") or "").split()
        send("touchMove", desk.at(before[8] + [10, 20]))
        send("touchEnd")
        desk.save()
        after = read_character(cat).points_xy
        np.testing.assert_allclose(after[8] - before[8], [10, 20], atol=2)

        zoom = float(desk.page.get_attribute("#canvas", "data-view").split()[0])
        x, y = desk.at(after[27])
        send("touchStart", (x - 30, y), (x + 30, y))
        send("touchMove", (x - 60, y), (x + 60, y))
        send("touchEnd")
        desk.page.wait_for_timeout(100)
        assert float(desk.page.get_attribute("#canvas", "data-view").split()[0]) == pytest.approx(2 * zoom, rel=0.1)
        assert desk.page.is_disabled("#save")  # a pinch moves no point
        wide = desk.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390


def test_fingers_draw_move_and_resize_the_square_and_take_it_away(browser: Browser, url: str, cat: Path) -> None:
    for desk in open_page(browser, f"{url}/edit?spec={quote(str(cat), safe='')}", **PHONE):
        page, fingers = desk.page, Fingers(desk.page)
        page.tap("[data-tool=square]")
        assert page.is_hidden("#uncrop")
        fingers.drag(desk.at((150, 200)), desk.at((300, 350)))
        fingers.drag(desk.at((220, 270)), desk.at((240, 260)))  # inside: moved
        fingers.drag(desk.at((320, 340)), desk.at((370, 390)))  # a corner: the opposite one stays
        desk.save()
        assert saved_square(read_character(cat)) == pytest.approx([170, 190, 200], abs=4)
        x, y = desk.at((130, 160))  # outside
        fingers.send("touchStart", (x, y))
        fingers.send("touchMove", (x + 2, y + 2))
        fingers.send("touchEnd")
        assert page.is_disabled("#save"), "a finger that trembles draws no new one"
        x, y = desk.at((250, 250))
        fingers.send("touchStart", (x, y))
        fingers.send("touchMove", (x + 20, y))
        fingers.send("touchStart", (x + 20, y), (x + 60, y))  # a second finger: it was a pinch
        fingers.send("touchMove", (x, y), (x + 100, y))
        fingers.send("touchEnd")
        assert page.is_disabled("#save")
        told = page.locator("#tell")
        assert told.evaluate("(e) => e.scrollWidth <= e.clientWidth") and "LivePortrait" in told.inner_text()
        page.tap("#uncrop")
        assert page.is_hidden("#uncrop")
        desk.save()
        assert saved_square(read_character(cat)) is None


def test_a_finger_drags_the_marks_of_the_guide(browser: Browser, url: str, cat: Path) -> None:
    before = read_character(cat).points_xy
    for desk in open_page(browser, f"{url}/edit?spec={quote(str(cat), safe='')}", **PHONE):
        page, fingers = desk.page, Fingers(desk.page)
        page.tap("[data-tool=guide]")
        x, y = desk.at(before[8])
        with page.expect_response("**/fit"):
            fingers.drag((x + 12, y + 12), (x + 12, y + 42))  # beside the mark, as fingers do
        assert "left corner of the mouth" in page.inner_text("#ask-what"), "that was no answer to the question"
        page.tap("#ask-done")
        desk.save()
        zoom = float(page.get_attribute("#canvas", "data-view").split()[0])
        assert read_character(cat).points_xy[8, 1] == pytest.approx(before[8, 1] + 30 / zoom, abs=3)


def test_fingers_mirror_undo_save_and_reload(browser: Browser, url: str, cat: Path) -> None:
    before = read_character(cat).points_xy
    for desk in open_page(browser, f"{url}/edit?spec={quote(str(cat), safe='')}", **PHONE):
        page, fingers = desk.page, Fingers(desk.page)
        rail = page.locator(".tools")
        assert rail.evaluate("(e) => e.scrollWidth <= e.clientWidth"), "all tools are in sight"
        page.tap("#mirror")
        fingers.drag(desk.at(before[36]), desk.at(before[36] + [-15, 9]))
        fingers.drag(desk.at(before[8]), desk.at(before[8] + [0, 20]))
        page.tap("#undo")
        desk.save()
        after = read_character(cat).points_xy
        twin = MIRROR_70[36]
        np.testing.assert_allclose(after[36] - before[36], [-15, 9], atol=1.5)
        np.testing.assert_allclose(after[twin] - before[twin], [15, 9], atol=1.7)
        np.testing.assert_allclose(after[8], before[8], atol=0.01)
        page.reload()
        page.wait_for_selector("html[data-state=ready]")
        assert "1 older version kept" in page.inner_text("#file") and page.is_disabled("#save")
