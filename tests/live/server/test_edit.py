"""The editor's API: opening, fitting, trying out, saving; and everything that must be refused."""

from __future__ import annotations

import asyncio
import copy
import io
from collections.abc import Awaitable, Callable
from dataclasses import replace

import httpx
import numpy as np
import pytest
from PIL import Image

from faceshot.animators.warp.response import BENDS, LID_STEPS, LIDS, N_FEATURES, N_READINGS, RESPONSE
from faceshot.assisted import RECOMMENDED
from faceshot.calibration import can_calibrate
from faceshot.character import open_character, read_character, resize, write_character
from faceshot.saved_square import saved_square
from faceshot.tracker import TASK_FILE
from faceshot.types import FaceState
from live.clock import LoopClock
from live.server.app import create_edit_app
from live.server.edit import Editor
from live.workers import InlineWorker
from tests.faceshot.faces import clicks_on, drawn_face
from tests.fakes import a_character

URL = "http://127.0.0.1:8765"


@pytest.fixture
def edit(monkeypatch, tmp_path) -> Callable[..., None]:
    """`edit(test)` runs `await test(client)` against the editor; what is saved without a file goes to `own`."""
    monkeypatch.setenv("FACESHOT_CHARACTERS", str(tmp_path / "own"))

    def run(test: Callable[[httpx.AsyncClient], Awaitable[None]], **options: object) -> None:
        async def main() -> None:
            editor = Editor(InlineWorker("edit", LoopClock()), **options)
            transport = httpx.ASGITransport(create_edit_app(editor, "127.0.0.1"))
            async with httpx.AsyncClient(transport=transport, base_url=URL) as client:
                await test(client)

        asyncio.run(main())

    return run


def png(rgba) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgba[..., :3]).save(buffer, "PNG")
    return buffer.getvalue()


def face(document) -> dict:
    return {key: document[key] for key in ("landmarks", "visible", "kind")}


async def opened(client, spec) -> dict:
    answer = await client.post("/api/edit/open", json={"spec": str(spec)})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_bundled_character_is_saved_as_my_own(edit, tmp_path):
    async def test(client):
        document = await opened(client, "miso")
        assert document["name"] == "Miso" and document["placed"] and not document["saved"] and document["transparent"]
        picture = await client.get(f"/api/edit/{document['id']}/picture")
        assert (
            np.asarray(Image.open(io.BytesIO(picture.content)))[..., 3] == open_character("miso").rgba[..., 3]
        ).all()
        moved = face(document)
        moved["landmarks"][30][1] += 7
        answer = await client.post(f"/api/edit/{document['id']}/save", json={**moved, "name": "Whiskers"})
        saved = answer.json()
        assert saved["filename"] == "my-miso.faceshot" and saved["kept"] is None and saved["saved"]
        made = read_character(tmp_path / "own" / "my-miso.faceshot")
        assert made.name == "Whiskers" and made.points_xy[30, 1] == pytest.approx(document["landmarks"][30][1])
        assert made.provenance["landmarks"]["edited"] == {"points": 1} and made.provenance["author"]

    edit(test)


def test_a_square_is_saved_shown_again_and_taken_away(edit, tmp_path):
    path = tmp_path / "dot.faceshot"
    write_character(a_character(size_wh=(128, 128)), path)

    async def test(client):
        document = await opened(client, path)
        assert document["square"] is None
        save = f"/api/edit/{document['id']}/save"
        answer = (await client.post(save, json={**face(document), "square": [10, 20.5, 64]})).json()
        assert answer["square"] == pytest.approx([10, 20.5, 64])
        assert saved_square(resize(read_character(path), 64)) == pytest.approx([5, 10.25, 32])
        for bad, says in (
            ([10, 20], "is not left, top, side"),
            ([500, 0, 64], "outside the picture of 128×128"),
            ("x", "is not"),
        ):
            refused = await client.post(save, json={**face(document), "square": bad})
            assert refused.status_code == 422 and says in refused.json()["error"]
        assert (await opened(client, path))["square"] == pytest.approx([10, 20.5, 64])
        await client.post(save, json={**face(document), "square": None})
        assert (await opened(client, path))["square"] is None

    edit(test)


def test_saving_over_a_file_keeps_the_old_one(edit, tmp_path):
    path = tmp_path / "dot.faceshot"
    write_character(a_character(size_wh=(128, 128)), path)

    async def test(client):
        document = await opened(client, path)
        assert document["file"] == str(path) and document["saved"] and document["versions"] == 0
        gone = face(document)
        gone["visible"] = [i < 17 or i > 26 for i in range(70)]
        gone["kind"] = "toy"
        answer = (await client.post(f"/api/edit/{document['id']}/save", json=gone)).json()
        assert answer["kept"] == "dot.v1.faceshot" and answer["versions"] == 1
        assert not read_character(path).visible[17:27].any() and read_character(path).kind == "toy"
        assert read_character(tmp_path / "dot.v1.faceshot").visible.all()
        again = await opened(client, path)  # as after a reload
        assert again["visible"] == gone["visible"]

    edit(test)


TABLES = {
    RESPONSE: np.zeros((N_FEATURES + 3, N_READINGS), np.float32),
    BENDS: np.ones((3, N_FEATURES + N_READINGS), np.float32),
    LIDS: np.array([*LID_STEPS, 0.7], np.float32),
}


@pytest.fixture
def measured(tmp_path):
    """A character file with what was measured on it, and a tracker beside it that could measure it anew."""
    path = tmp_path / "dot.faceshot"
    made_of = {"landmarks": {"matcher": "mediapipe", "confidence": 0.9}}
    whole = a_character(size_wh=(128, 128))
    odd = whole.points_xy + np.float32(1 / 3)  # more digits than the page is told
    write_character(replace(whole, points_xy=odd, provenance=made_of, arrays=TABLES), path)
    (tmp_path / TASK_FILE).write_bytes(b"there")
    return path


@pytest.mark.parametrize("change", ["point", "part", "kind"])
def test_the_next_show_measures_an_edited_character_anew(edit, measured, change):
    """What was measured with the old points goes; the new file must not look as if it could not be measured."""

    async def test(client):
        assert not can_calibrate(read_character(measured), measured.parent)
        document = await opened(client, measured)
        wish = face(document)
        if change == "point":
            wish["landmarks"][30][1] += 0.1
        elif change == "part":
            wish["visible"] = [i < 17 or i > 26 for i in range(70)]
        else:
            wish["kind"] = "toy"
        answer = await client.post(f"/api/edit/{document['id']}/save", json=wish)
        assert answer.json()["kept"] == "dot.v1.faceshot"
        saved = read_character(measured)
        assert not saved.arrays and can_calibrate(saved, measured.parent)
        old = read_character(measured.with_name("dot.v1.faceshot"))
        assert np.array_equal(old.arrays[RESPONSE], TABLES[RESPONSE])

    edit(test)


def test_a_new_name_or_square_keeps_what_was_measured(edit, measured):
    before = read_character(measured)

    async def test(client):
        document = await opened(client, measured)
        save = f"/api/edit/{document['id']}/save"
        await client.post(save, json={**face(document), "name": "Spot"})
        await client.post(save, json={**face(document), "name": "Spot", "square": [10, 20, 64]})
        after = read_character(measured)
        assert after.name == "Spot" and saved_square(after) == pytest.approx([10, 20, 64])
        assert {name: array.tolist() for name, array in after.arrays.items()} == {
            name: array.tolist() for name, array in TABLES.items()
        }
        assert np.array_equal(after.points_xy, before.points_xy), "nor is anything rounded"
        # Moved and moved back: the same face again.
        moved = copy.deepcopy(face(document))
        moved["landmarks"][30][1] += 3
        await client.post(f"/api/edit/{document['id']}/preview", json={**moved, "motions": ["blink"]})
        await client.post(save, json={**face(document), "name": "Spot"})
        assert set(read_character(measured).arrays) == set(TABLES)

    edit(test)


def test_another_background_is_another_picture_to_measure(edit, measured, monkeypatch):
    monkeypatch.setattr("live.server.edit.cut_background", lambda character, *_: replace(character, arrays={}))
    monkeypatch.setattr("live.server.edit._matte", lambda *_: None)

    async def test(client):
        document = await opened(client, measured)
        await client.post(f"/api/edit/{document['id']}/save", json={**face(document), "cut": 0.5})
        assert not read_character(measured).arrays

    edit(test)


def test_a_picture_without_a_face_is_fitted_from_clicks(edit, tmp_path, monkeypatch):
    monkeypatch.setattr("faceshot.tracker.detect_face", lambda rgb, folder=None: FaceState.lost((512, 512)))
    bear = open_character("bruno")
    points = bear.points_xy / 2
    clicks = {name: list(xy) for name, xy in clicks_on(points, RECOMMENDED).items()}

    async def test(client):
        upload = {"content": png(drawn_face(bear)), "params": {"filename": "teddy.png"}}
        document = (await client.post("/api/edit/picture", **upload)).json()
        assert not document["placed"] and document["matcher"] == "none" and not document["saved"]
        assert "mediapipe" in document["attempts"]["all"]
        answer = await client.post(f"/api/edit/{document['id']}/fit", json={"clicks": clicks, "kind": "toy"})
        found = answer.json()
        error = np.linalg.norm(np.array(found["landmarks"]) - points, axis=1)[bear.visible]
        assert found["matcher"] == "fit" and error.mean() < 8
        wish = {key: found[key] for key in ("landmarks", "visible", "kind", "matcher")}
        cut = await client.post(f"/api/edit/{document['id']}/cut", json={**wish, "cut": 0.5})
        alpha = np.asarray(Image.open(io.BytesIO(cut.content)).convert("RGBA"))[..., 3]
        assert alpha[0, 0] == 0 and alpha[256, 256] == 255
        saved = (await client.post(f"/api/edit/{document['id']}/save", json={**wish, "cut": 0.5})).json()
        made = read_character(tmp_path / "own" / "teddy.faceshot")
        assert saved["transparent"] and made.kind == "toy" and (made.rgba[..., 3] == 0).mean() > 0.2
        assert made.provenance["matte"]["backend"] == "grabcut"
        assert set(made.provenance["landmarks"]["clicks"]) == set(RECOMMENDED)

    edit(test)


def test_a_picture_on_disk_is_saved_beside_itself(edit, tmp_path):
    ada = open_character("ada")
    (tmp_path / "ada.png").write_bytes(png(drawn_face(ada)))

    async def test(client):
        document = await opened(client, tmp_path / "ada.png")
        assert document["placed"] and document["matcher"] == "mediapipe" and document["fresh"]
        await client.post(f"/api/edit/{document['id']}/save", json=face(document))
        assert read_character(tmp_path / "ada.faceshot").name == "ada"

    edit(test)


def test_the_preview_is_frames_that_move(edit):
    async def test(client):
        document = await opened(client, "miso")
        wish = {**face(document), "motions": ["blink"]}
        answer = await client.post(f"/api/edit/{document['id']}/preview", json=wish)
        width, height = int(answer.headers["x-frame-width"]), int(answer.headers["x-frame-height"])
        count, columns = int(answer.headers["x-frames"]), int(answer.headers["x-columns"])
        sheet = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGBA")).astype(int)
        assert sheet.shape == (-(-count // columns) * height, columns * width, 4)
        first, shut = sheet[:height, :width], sheet[:height, 5 * width : 6 * width]
        assert np.abs(first - shut).max() > 100

    edit(test)


def test_dropped_characters_of_the_show_can_be_opened(edit):
    async def test(client):
        document = await opened(client, "dropped.png")
        assert document["name"] == "dot" and document["show"] and document["filename"] == "dropped.faceshot"

    edit(test, on_air=lambda spec: a_character() if spec == "dropped.png" else None, has_show=True)


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("open", {}, 400, "names no spec"),
        ("open", {"spec": "misso"}, 422, "Did you mean miso?"),
        ("open", {"spec": "/no/such.png"}, 422, "There is no file"),
        ("ID/save", {"landmarks": [[1, 2]] * 67}, 422, "68 or 70 pairs"),
        ("ID/save", {"landmarks": [[5e5, 2]] + [[10 * i, 9 * i] for i in range(69)]}, 422, "far outside the picture"),
        ("ID/save", {"landmarks": "none"}, 422, "cannot be used"),
        ("ID/save", {"name": " "}, 400, "needs a name"),
        ("ID/save", {"cut": 7}, 400, "from 0 to 1"),
        ("ID/save", {"visible": [1] * 70}, 422, "`visible`"),
        ("ID/save", {"kind": "dragon"}, 422, "`kind` must be one of"),
        ("ID/fit", {"clicks": {"nose": [1, 2]}}, 422, "4 to 9 are needed"),
        ("ID/fit", {"clicks": [1]}, 400, "`clicks` must be"),
        ("ID/fit", {"clicks": {key: ["a", None] for key in RECOMMENDED}}, 422, "not a pair"),
        ("ID/fit", {"clicks": {}, "kind": "x"}, 400, "no kind"),
        ("ID/preview", {"motions": ["dance"]}, 400, "blink"),
        ("ID/cut", {"cut": None}, 400, "from 0 to 1"),
        ("gone/save", {}, 404, "not open any more"),
    ],
)
def test_what_is_refused_changes_nothing(edit, tmp_path, path, body, status, says):
    async def test(client):
        document = await opened(client, "miso")
        wish = {**face(document), **body} if path.startswith("ID/") and "fit" not in path else body
        answer = await client.post(f"/api/edit/{path.replace('ID', document['id'])}", json=wish)
        assert answer.status_code == status, answer.text
        assert says in answer.text
        assert not (tmp_path / "own").exists()

    edit(test)


def test_a_picture_that_is_none(edit):
    async def test(client):
        answer = await client.post("/api/edit/picture", content=b"hello", params={"filename": "x.png"})
        assert answer.status_code == 422 and "x.png is not a picture" in answer.text
        assert (await client.post("/api/edit/picture")).status_code == 400
        large = await client.post("/api/edit/picture", content=b"0" * (2 << 20))
        assert large.status_code == 413 and "1 MB" in large.text

    edit(test, max_upload_mb=1)


def test_a_save_that_cannot_be_written_says_so(edit, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("FACESHOT_CHARACTERS", str(tmp_path / "file" / "below"))

    async def test(client):
        document = await opened(client, "miso")
        answer = await client.post(f"/api/edit/{document['id']}/save", json=face(document))
        assert answer.status_code == 422 and "cannot be" in answer.text

    edit(test)


def test_only_so_many_stay_open(edit):
    async def test(client):
        first = await opened(client, "miso")
        for _ in range(12):
            await opened(client, "sunny")
        assert (await client.get(f"/api/edit/{first['id']}")).status_code == 404

    edit(test)


def test_pages_of_other_sites_may_not_save(edit):
    async def test(client):
        answer = await client.post("/api/edit/open", json={"spec": "miso"}, headers={"origin": "http://evil.example"})
        assert answer.status_code == 403
        page = await client.get("/edit")
        assert page.status_code == 200 and "default-src 'self'" in page.headers["content-security-policy"]

    edit(test)
