"""The editor in a real Chromium: dragging, mirroring, undoing, saving, reloading, the assisted fit; mouse and keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from playwright.sync_api import Browser

from faceshot.assisted import RECOMMENDED
from faceshot.character import open_character, read_character, write_character
from faceshot.saved_square import saved_square
from faceshot.topology import MIRROR_70
from faceshot.types import Character, FaceState
from live.build import build_show
from live.config import load_config
from tests.faceshot.faces import clicks_on, drawn_face
from tests.live.server.editor_page import Desk, open_page
from tests.live.server.harness import served
from tests.live.server.test_edit import png

pytestmark = pytest.mark.browser


@pytest.fixture
def desk(browser: Browser, url: str, cat: Path) -> Iterator[Desk]:
    yield from open_page(browser, f"{url}/edit?spec={quote(str(cat), safe='')}")


def test_drag_a_point_save_and_reload(desk: Desk, cat: Path) -> None:
    before = read_character(cat).points_xy
    assert desk.page.is_disabled("#save")
    desk.drag(before[30], before[30] + [20, 12])
    desk.save()
    after = read_character(cat).points_xy
    np.testing.assert_allclose(after[30], before[30] + [20, 12], atol=1)
    still = np.delete(np.arange(70), 30)
    np.testing.assert_allclose(after[still], before[still], atol=0.01)
    assert read_character(cat.with_name("cat.v1.faceshot")).points_xy[30] == pytest.approx(before[30], abs=0.01)
    desk.page.reload()
    desk.page.wait_for_selector("html[data-state=ready]")
    assert "1 older version kept" in desk.page.inner_text("#file")
    desk.page.mouse.click(*desk.at(after[30]))
    assert "Point 30" in desk.page.inner_text("#tell")


def test_what_is_done_on_one_side_happens_on_the_other(desk: Desk, cat: Path) -> None:
    before = read_character(cat).points_xy
    desk.page.keyboard.press("m")
    desk.drag(before[36], before[36] + [-15, 9])
    desk.save()
    after = read_character(cat).points_xy
    twin = MIRROR_70[36]
    np.testing.assert_allclose(after[36] - before[36], [-15, 9], atol=1)
    np.testing.assert_allclose(after[twin] - before[twin], [15, 9], atol=1.2)


def test_undo_and_redo_go_gesture_by_gesture(desk: Desk, cat: Path) -> None:
    before = read_character(cat).points_xy
    desk.drag(before[8], before[8] + [0, 25])
    desk.drag(before[30], before[30] + [18, 0])
    desk.page.keyboard.press("Control+z")
    desk.save()
    after = read_character(cat).points_xy
    assert after[8, 1] == pytest.approx(before[8, 1] + 25, abs=1) and after[30] == pytest.approx(before[30], abs=0.1)
    desk.page.keyboard.press("Control+z")
    desk.page.keyboard.press("Control+Shift+z")
    desk.page.click("#redo")
    assert desk.page.is_disabled("#redo")
    desk.save()
    assert read_character(cat).points_xy[30, 0] == pytest.approx(before[30, 0] + 18, abs=1)


def test_a_click_that_moves_nothing_leaves_no_step(desk: Desk, cat: Path) -> None:
    desk.page.mouse.click(*desk.at(read_character(cat).points_xy[30]))
    assert desk.page.is_disabled("#undo")


def test_keys_nudge_the_chosen_point(desk: Desk, cat: Path) -> None:
    before = read_character(cat).points_xy
    desk.page.mouse.click(*desk.at(before[30]))
    for key in ("ArrowRight", "ArrowRight", "Shift+ArrowDown"):
        desk.page.keyboard.press(key)
    desk.save()
    np.testing.assert_allclose(read_character(cat).points_xy[30] - before[30], [2, 10], atol=0.02)


def test_a_part_is_moved_scaled_and_turned(desk: Desk, cat: Path) -> None:
    before = read_character(cat).points_xy
    mouth = list(range(48, 68))
    desk.page.keyboard.press("2")
    assert desk.page.locator(".part.chosen").get_attribute("data-part") == "mouth"
    desk.drag(before[62], before[62] + [10, 6])
    desk.save()
    moved = read_character(cat).points_xy
    np.testing.assert_allclose(moved[mouth] - before[mouth], np.tile([10, 6], (20, 1)), atol=1)
    np.testing.assert_allclose(moved[:48], before[:48], atol=0.01)
    # The corner of the frame: 14 screen pixels outside of the part's box.
    zoom = float(desk.page.get_attribute("#canvas", "data-view").split()[0])
    high, low = moved[mouth].min(axis=0) - 14 / zoom, moved[mouth].max(axis=0) + 14 / zoom
    desk.drag(low, high + 1.3 * (low - high))
    desk.save()
    larger = read_character(cat).points_xy
    assert np.ptp(larger[mouth, 0]) == pytest.approx(1.3 * np.ptp(moved[mouth, 0]), rel=0.05)
    high, low = larger[mouth].min(axis=0) - 14 / zoom, larger[mouth].max(axis=0) + 14 / zoom
    knob = np.array([(high[0] + low[0]) / 2, high[1] - 30 / zoom])
    centre = (high + low) / 2
    arm = knob[1] - centre[1]
    turned = centre + np.array([-arm * np.sin(0.3), arm * np.cos(0.3)])
    desk.drag(knob, turned)
    desk.save()
    after = read_character(cat).points_xy
    slope = np.arctan2(*(after[54] - after[48])[::-1]) - np.arctan2(*(larger[54] - larger[48])[::-1])
    assert abs(slope) == pytest.approx(0.3, abs=0.06)


def test_neighbours_come_along_when_soft(desk: Desk, cat: Path) -> None:
    before = read_character(cat).points_xy
    desk.page.keyboard.press("f")
    desk.drag(before[8], before[8] + [0, 24])
    desk.save()
    down = read_character(cat).points_xy[:17, 1] - before[:17, 1]
    assert down[8] == pytest.approx(24, abs=1) and 10 < down[7] < 22 and 2 < down[6] < down[7] and abs(down[2]) < 0.1


def test_a_part_is_taken_away_and_given_back(desk: Desk, cat: Path) -> None:
    eye = "[data-part='image-left brow'] .eye"
    desk.page.click(eye)
    desk.save()
    assert not read_character(cat).visible[17:22].any() and read_character(cat).visible[22:].all()
    desk.page.click(eye)
    desk.page.click("[data-kind=toy]")
    desk.save()
    assert read_character(cat).visible.all() and read_character(cat).kind == "toy"


def test_zoom_and_pan_leave_the_points_where_they_are(desk: Desk, cat: Path) -> None:
    before = read_character(cat).points_xy
    nose = desk.at(before[30])
    desk.page.mouse.move(*nose)
    desk.page.mouse.wheel(0, -400)
    desk.page.wait_for_timeout(100)
    assert desk.at(before[30]) == pytest.approx(nose, abs=3)  # what is under the pointer stays there
    desk.page.keyboard.down(" ")
    desk.drag(before[30], before[30] + [15, 10])
    desk.page.keyboard.up(" ")
    assert desk.page.is_disabled("#undo")  # nothing was edited
    desk.page.keyboard.press("0")
    desk.page.wait_for_timeout(100)
    assert desk.at(before[30]) == pytest.approx(nose, abs=3)


def test_the_preview_moves(browser: Browser, url: str, cat: Path) -> None:
    for desk in open_page(browser, f"{url}/edit?spec={quote(str(cat), safe='')}", preview=True):
        desk.page.click("[data-motion=blink]")
        desk.page.wait_for_selector("#preview[data-motion=blink]", timeout=90_000)  # it may be compiled first
        seen = set()
        for _ in range(40):
            seen.add(desk.page.evaluate("document.querySelector('#preview').toDataURL()"))
            desk.page.wait_for_timeout(40)
        assert len(seen) >= 4


def test_the_background_is_cut_away_where_asked(desk: Desk, cat: Path) -> None:
    desk.page.click("#background [data-cut='1']")
    desk.page.wait_for_selector("#threshold-row:not([hidden])")
    desk.save()
    made = read_character(cat)
    assert (made.rgba[..., 3] == 0).mean() > 0.2 and made.provenance["matte"]["backend"] == "grabcut"
    assert (read_character(cat.with_name("cat.v1.faceshot")).rgba[..., 3] == 255).all()


def test_seven_clicks_on_a_picture_without_a_face(
    browser: Browser, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("faceshot.tracker.detect_face", lambda rgb, folder=None: FaceState.lost((512, 512)))
    bear = open_character("bruno")
    picture = tmp_path / "bear.png"
    picture.write_bytes(png(drawn_face(bear)))
    points = bear.points_xy / 2
    for desk in open_page(browser, f"{url}/edit?spec={quote(str(picture), safe='')}"):
        assert desk.page.get_attribute("html", "data-tool") == "guide" and desk.page.is_disabled("#save")
        for name, xy in clicks_on(points, RECOMMENDED).items():
            assert desk.page.is_visible("#ask")
            desk.page.mouse.click(*desk.at(xy))
            desk.page.wait_for_timeout(60)
            assert name
        desk.page.wait_for_selector("#ask-done:not([hidden])")
        desk.page.click("[data-kind=toy]")
        desk.page.wait_for_selector("[data-kind=toy][aria-checked=true]")
        desk.page.click("#ask-done")
        desk.save()
        made = read_character(tmp_path / "bear.faceshot")
        error = np.linalg.norm(made.points_xy - points, axis=1)[bear.visible]
        assert error.mean() < 8 and made.kind == "toy" and made.provenance["landmarks"]["matcher"] == "fit"
        desk.page.click("#undo")  # the kind
        desk.page.click("#undo")  # the whole round of the guide
        assert desk.page.is_disabled("#undo") and desk.page.is_disabled("#save")
        desk.page.click("#redo")
        assert not desk.page.is_disabled("#save")


def test_a_kind_that_is_chosen_while_points_are_fitted_stays(desk: Desk, cat: Path) -> None:
    chin, held = read_character(cat).points_xy[8], []
    desk.page.keyboard.press("3")
    desk.page.route("**/fit", lambda route: held.append(route))
    with desk.page.expect_request("**/fit"):
        desk.drag(chin, chin + np.array([0, 12]))
    desk.page.click("[data-kind=toy]")
    desk.page.unroute("**/fit")
    with desk.page.expect_response("**/fit"):
        held[0].continue_()
    desk.save()
    assert read_character(cat).kind == "toy"


def test_the_marks_of_the_guide_go_back_with_the_points(desk: Desk, cat: Path) -> None:
    before, page = read_character(cat).points_xy, desk.page
    chin = before[8]
    page.keyboard.press("3")
    for _ in range(2):  # the second time is a step of history as the first was
        with page.expect_response("**/fit"):
            desk.drag(chin, chin + np.array([0, 25]))
        page.wait_for_selector("#undo:not([disabled])")
        page.keyboard.press("Control+z")
        assert page.is_disabled("#undo") and page.is_disabled("#save")
    page.click("#redo")
    with page.expect_response("**/fit"):
        desk.drag(chin + np.array([0, 25]), chin + np.array([0, 40]))  # the mark is where the redone chin is
    desk.save()
    assert read_character(cat).points_xy[8, 1] == pytest.approx(chin[1] + 40, abs=2)


def test_a_file_that_somebody_else_changed_is_kept_and_told_about(desk: Desk, cat: Path) -> None:
    before = read_character(cat)
    desk.drag(before.points_xy[30], before.points_xy[30] + [20, 12])
    theirs = before.points_xy + np.float32(1.5)
    write_character(Character("Theirs", before.rgba, theirs, before.visible, "toy"), cat)
    desk.page.click("#save")
    told = desk.page.wait_for_selector("#toasts .toast.error").inner_text()
    assert "changed by somebody else" in told and "cat.v1.faceshot" in told
    assert read_character(cat.with_name("cat.v1.faceshot")).name == "Theirs" and read_character(cat).name == "Cat"


def no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_edits_outlive_a_full_disk_a_dead_server_and_one_that_was_started_again(
    browser: Browser, url: str, cat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_character(cat).points_xy
    for desk in open_page(browser, f"{url}/edit?spec={quote(str(cat), safe='')}", failing=True):
        page = desk.page

        def fails(says: str, page=page) -> None:
            page.click("#save")
            assert says in page.wait_for_selector("#toasts .toast.error").inner_text()
            page.evaluate("document.querySelector('#toasts').replaceChildren()")
            assert page.is_enabled("#save") and "Not saved yet" in page.inner_text("#file")

        desk.drag(before[30], before[30] + [20, 12])
        with monkeypatch.context() as full:
            full.setattr("os.replace", no_space)
            fails("No space left on device")
        page.route("**/save", lambda route: route.abort())
        fails("leave this page open")
        page.unroute("**/save")
        assert sorted(path.name for path in cat.parent.glob("*.faceshot")) == ["cat.faceshot"]
        np.testing.assert_allclose(read_character(cat).points_xy, before)
        for _ in range(12):  # as many as stay open: this one is forgotten, as by a server that was started again
            page.evaluate("fetch('/api/edit/open', {method: 'POST', body: JSON.stringify({spec: 'sunny'})})")
        desk.save()
        np.testing.assert_allclose(read_character(cat).points_xy[30], before[30] + [20, 12], atol=1)


def test_the_square_of_liveportrait_is_drawn_moved_resized_and_saved(desk: Desk, cat: Path) -> None:
    page = desk.page
    page.keyboard.press("4")
    page.wait_for_selector("html[data-tool=square]")
    assert page.is_disabled("#save")
    desk.drag((100, 120), (300, 320))
    desk.drag((200, 200), (220, 190))  # inside: moved
    desk.drag((320, 310), (370, 340))  # a corner: the opposite one stays
    desk.save()
    assert saved_square(read_character(cat)) == pytest.approx([120, 110, 250], abs=2)
    desk.drag((130, 130), (180, 180))
    page.keyboard.press("Control+z")
    assert page.is_disabled("#save")
    page.reload()
    page.wait_for_selector("html[data-state=ready]")
    page.click("[data-tool=square]")
    assert "LivePortrait animates" in page.inner_text("#tell")
    page.keyboard.press("Delete")
    desk.save()
    assert saved_square(read_character(cat)) is None


BADLY = np.array([[0.55, 0.12], [-0.1, 0.7]])
"""What a matcher made of a cat: the whole face too small, sheared and turned."""


def test_a_badly_matched_cat_is_put_right_in_twelve_actions(browser: Browser, url: str, cat: Path) -> None:
    """At three seconds an action, which is slow, that is well below a minute."""
    good = read_character(cat)
    middle = good.points_xy.mean(axis=0)
    bad = (good.points_xy - middle) @ BADLY.T + middle + [25, -30]
    write_character(Character("Cat", good.rgba, bad.astype(np.float32), good.visible, "animal"), cat)
    unit = np.linalg.norm(good.points_xy[42:48].mean(axis=0) - good.points_xy[36:42].mean(axis=0))
    actions = 0
    for desk in open_page(browser, f"{url}/edit?spec={quote(str(cat), safe='')}"):
        page = desk.page
        page.keyboard.press("3")
        page.wait_for_selector("#ask:not([hidden])")
        page.click("#zoom-fit")  # the whole picture: the marks go where the cat is
        actions += 2
        now, wanted = clicks_on(bad, RECOMMENDED), clicks_on(good.points_xy, RECOMMENDED)
        for name in RECOMMENDED:
            desk.drag(now[name], wanted[name])
            actions += 1
        desk.save()  # at once: the last mark counts too
        page.click("#ask-done")
        actions += 2
    error = np.linalg.norm(read_character(cat).points_xy - good.points_xy, axis=1) / unit
    before = np.linalg.norm(bad - good.points_xy, axis=1) / unit
    assert actions <= 12 and before.mean() > 0.4 and error.mean() < 0.05, error.round(2)


def test_from_the_control_page_to_the_editor_and_on_air(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dropped picture without a face is offered the editor; what is saved there goes on air and is listed."""
    monkeypatch.setenv("FACESHOT_CHARACTERS", str(tmp_path / "own"))
    monkeypatch.setattr("faceshot.character.detect_face", lambda rgb, folder=None: FaceState.lost((512, 512)))
    monkeypatch.setattr("faceshot.tracker.detect_face", lambda rgb, folder=None: FaceState.lost((512, 512)))
    bear = open_character("bruno")
    (tmp_path / "bear.png").write_bytes(png(drawn_face(bear)))
    config = load_config(sets=["source.spec=demo", "animator.max_side_px=128"])
    with served(lambda: build_show(config)) as server:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(30_000)
        page.goto(server.url)
        page.wait_for_selector("[role=radio][data-spec=miso]")
        assert page.get_attribute("#edit-character", "href") == "/edit?spec=mika"
        page.set_input_files("#picture-file", str(tmp_path / "bear.png"))
        page.click("text=Place the points")
        page.wait_for_selector("html[data-state=ready][data-tool=guide]")
        desk = Desk(page)
        for xy in clicks_on(bear.points_xy / 2, RECOMMENDED).values():
            page.mouse.click(*desk.at(xy))
        page.wait_for_selector("#ask-done:not([hidden])")
        page.click("#ask-done")
        page.click("#air")
        page.wait_for_url("**/")
        made = tmp_path / "own" / "bear.faceshot"
        page.wait_for_selector(f"[role=radio][data-spec='{made}'][aria-checked=true]")
        assert server.show.state()["character"]["name"] == "bear" and made.is_file()
        page.close()
