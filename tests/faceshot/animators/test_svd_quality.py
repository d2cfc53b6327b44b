"""Films drawn offline with a tiny random model: whole, resumable, and the same however they were interrupted."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")

from faceshot.animators.svd.adapter import Conditions, stack  # noqa: E402
from faceshot.animators.svd.checkpoints import SvdModels, load_models  # noqa: E402
from faceshot.animators.svd.film import Film  # noqa: E402
from faceshot.animators.svd.quality import SvdQuality  # noqa: E402
from faceshot.animators.svd.scene import Scene, make_scene  # noqa: E402
from faceshot.animators.svd.settings import QualitySettings  # noqa: E402
from faceshot.animators.svd.square import GREY, Square, carried_alpha  # noqa: E402
from faceshot.errors import FaceshotError, ShapeError  # noqa: E402
from faceshot.types import Character  # noqa: E402
from tests.fakes import a_character  # noqa: E402

QUICK = QualitySettings(device="cpu", size=64, steps=2)


@pytest.fixture(autouse=True)
def no_grad() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def models(tiny_svd: Path) -> SvdModels:
    return load_models(tiny_svd)


@pytest.fixture(scope="module")
def painter(tiny_svd: Path) -> SvdQuality:
    made = SvdQuality(QUICK, tiny_svd)
    made.load(a_character())
    return made


def walk(frames: int, character: Character | None = None) -> np.ndarray:
    points, i = (character or a_character()).points_xy, np.arange(frames)
    sway = np.stack([3 * np.sin(i / 3), 2 * np.cos(i / 4)], 1)
    return (points + sway[:, None]).astype(np.float32)


@pytest.fixture
def looked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real conditions, but of frames that were there before only once: CMP has one size only, and that is large."""
    real, known = Scene.conditions, {}

    def conditions(scene: Scene, points: np.ndarray) -> Conditions:
        for one in points:
            if one.tobytes() not in known:
                known[one.tobytes()] = real(scene, one[None])
        return stack([known[one.tobytes()] for one in points])

    monkeypatch.setattr(Scene, "conditions", conditions)


def pictures(painter: SvdQuality, film: Film) -> list[np.ndarray]:
    drawn = [picture.rgba for picture in painter.draw(film)]
    film.close()
    return drawn


class Stopped(Exception):
    """As if somebody had pressed Ctrl-C."""


@pytest.mark.usefixtures("looked_once")
def test_a_stopped_film_goes_on_and_is_the_same(painter: SvdQuality, tmp_path: Path) -> None:
    points = walk(26)
    whole = pictures(painter, painter.open_film(points, tmp_path / "whole"))
    assert len(whole) == 26 and whole[0].shape == (64, 64, 4)
    assert np.ptp([picture.mean() for picture in whole]) > 0  # it moves

    seen: list[tuple[int, int]] = []

    def stop(stage: str, done: int, total: int) -> None:
        seen.append((done, total))
        if (stage, done) == ("denoise", 3):
            raise Stopped

    film = painter.open_film(points, tmp_path / "cut")
    with pytest.raises(Stopped):
        next(painter.draw(film, stop))
    assert seen[-1] == (3, 4) and film.finished == 0
    film.close()
    again = painter.open_film(points + np.float32(0.2), tmp_path / "cut")  # tracked again, almost the same
    assert again.state is not None and not again.started_over
    seen.clear()
    drawn = [p.rgba for p in painter.draw(again, lambda stage, done, total: seen.append((done, total)))]
    assert seen[0] == (2, 4)  # the last whole round
    assert all(np.array_equal(a, b) for a, b in zip(drawn, whole, strict=True))
    again.close()
    # Once more, and nothing is denoised again.
    done = painter.open_film(points, tmp_path / "cut")
    assert done.finished == 26
    seen.clear()
    assert np.array_equal(next(painter.draw(done, lambda *a: seen.append(a[1:]))).rgba, whole[0])  # type: ignore[arg-type]
    assert seen == [(4, 4)]


@pytest.mark.usefixtures("looked_once")
def test_a_clip_shorter_than_a_window_is_held_at_its_end(painter: SvdQuality, tmp_path: Path) -> None:
    short = pictures(painter, painter.open_film(walk(3), tmp_path / "three"))
    assert len(short) == 3
    held = np.concatenate([walk(3), np.repeat(walk(3)[-1:], 21, 0)])
    long = pictures(painter, painter.open_film(held, tmp_path / "held"))
    assert len(long) == 24
    film = [painter.open_film(points, tmp_path / name) for points, name in ((walk(3), "three"), (held, "held"))]
    assert torch.equal(film[0].latents(0, 3), film[1].latents(0, 3))


def test_other_settings_begin_anew(painter: SvdQuality, tiny_svd: Path, tmp_path: Path) -> None:
    points = walk(2)
    film = painter.open_film(points, tmp_path / "f")
    film.append(torch.zeros(4, 8, 8))
    film.save({"latents": torch.zeros(1)}, {"round": 1})
    film.close()
    assert painter.open_film(points, tmp_path / "f").finished == 1
    assert painter.open_film(points + 5, tmp_path / "f").started_over  # another motion
    film = painter.open_film(points, tmp_path / "f")
    film.save({"latents": torch.zeros(1)}, {"round": 1})
    film.close()
    other = SvdQuality(dataclasses.replace(QUICK, guidance=3.0), tiny_svd)
    other.load(a_character())
    assert other.open_film(points, tmp_path / "f").started_over
    other.load(a_character(grey=20))
    assert other.open_film(points, tmp_path / "f").started_over


def test_damage_to_a_film_begins_it_anew(tmp_path: Path) -> None:
    shape = (4, 2, 2)

    def begun() -> Film:
        film = Film(tmp_path / "f", {"seed": 1}, walk(5), shape)
        film.append(torch.ones(shape))
        film.save({"latents": torch.ones(1)}, {"round": 3})
        film.close()
        return Film(tmp_path / "f", {"seed": 1}, walk(5), shape)

    film = begun()
    assert film.finished == 1 and film.state is not None and film.state[1] == {"round": 3}
    assert torch.equal(film.latents(0, 1), torch.ones(1, *shape))
    kept = (tmp_path / "f/latents.f16").read_bytes()
    (tmp_path / "f/latents.f16").write_bytes(kept + b"what a stop left behind")
    (tmp_path / "f/front-4.safetensors").write_bytes(b"half")
    film.close()
    film = Film(tmp_path / "f", {"seed": 1}, walk(5), shape)
    assert film.finished == 1 and not film.started_over
    assert (tmp_path / "f/latents.f16").stat().st_size == 32
    assert not (tmp_path / "f/front-4.safetensors").exists()
    for damage in ("latents.f16", "front-3.safetensors", "points.npy"):
        assert not film.started_over
        film.close()
        (tmp_path / "f" / damage).write_bytes(b"x")
        film = Film(tmp_path / "f", {"seed": 1}, walk(5), shape)
        assert film.started_over and film.finished == 0, damage
        film.discard()
        film = begun()
    film.discard()
    assert not (tmp_path / "f").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"dear")
    with pytest.raises(FaceshotError, match="something else is in it"):
        Film(tmp_path, {}, walk(2), (4, 2, 2))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FaceshotError, match="cannot be kept"):
        Film(tmp_path / "file" / "f", {}, walk(2), (4, 2, 2))
    assert (tmp_path / "holiday.jpg").read_bytes() == b"dear"


def test_what_is_held_does_not_grow_with_the_film(
    painter: SvdQuality, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the real first pass; the networks' answers and the conditions cost nothing here."""
    from faceshot.animators.svd import quality

    made, held = [], []
    window = painter._scene.anchor if painter._scene else None
    assert window is not None

    class Counting(quality._Denoising):
        def _denoise(self, latents: torch.Tensor, step: int, frames: object) -> torch.Tensor:
            held.append(len(self._conditions))
            return latents

    def conditions(scene: object, points: np.ndarray) -> object:
        made.append(len(points))
        return window[[0] * len(points)]

    monkeypatch.setattr(quality, "_Denoising", Counting)
    monkeypatch.setattr(quality.Scene, "conditions", conditions)
    sizes = {}
    for frames in (100, 700):
        made.clear(), held.clear()
        film = painter.open_film(walk(frames), tmp_path / str(frames))
        next(painter.draw(film))
        assert sum(made) == frames  # each frame once
        fronts = [path.stat().st_size for path in film.folder.glob("front-*")]
        sizes[frames] = max(held), len(fronts)
        assert film.finished == frames and film.folder.joinpath("latents.f16").stat().st_size == frames * 4 * 64 * 2
    assert sizes[100] == sizes[700] and sizes[700][0] <= 2 * 12 + 24 and sizes[700][1] == 1


def test_a_frame_is_the_same_whenever_it_comes(models: SvdModels) -> None:
    scene = make_scene(a_character(), models, 64)
    points = scene.square.points(walk(6))
    together = scene.conditions(points)
    for rows in ([4], [1, 2], [5, 0, 3]):
        alone = scene.conditions(points[rows])
        for a, b in zip((*together.landmarks, *together.warped), (*alone.landmarks, *alone.warped), strict=True):
            assert torch.allclose(a[rows], b, atol=1e-5)
    again = make_scene(a_character(), models, 64)
    assert torch.equal(again.latents, scene.latents) and torch.equal(again.embedding, scene.embedding)


@pytest.mark.usefixtures("looked_once")
def test_without_guidance_only_one_half_is_computed(
    painter: SvdQuality, tiny_svd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from faceshot.animators.svd import quality

    calls: list[float] = []

    class Watching(quality._Denoising):
        def _predict(self, latents: torch.Tensor, step: int, window: Conditions, held: float) -> torch.Tensor:
            calls.append(held)
            return latents

    monkeypatch.setattr(quality, "_Denoising", Watching)
    free = SvdQuality(dataclasses.replace(QUICK, guidance=1.0), tiny_svd)
    free.load(a_character())
    next(free.draw(free.open_film(walk(2), tmp_path / "free")))
    assert calls == [1, 1]
    calls.clear()
    next(painter.draw(painter.open_film(walk(2), tmp_path / "held")))
    assert calls == [0, 1] * 2


def test_landmarks_beyond_the_flow_are_counted(painter: SvdQuality, tmp_path: Path) -> None:
    points = walk(4)
    points[2, :5] += 30  # of 64 pixels: 240 of 512
    assert painter.beyond_reach(painter.open_film(points, tmp_path / "far")) == (5, 1)


def test_no_character_no_film(tiny_svd: Path, tmp_path: Path) -> None:
    fresh = SvdQuality(QUICK, tiny_svd)
    with pytest.raises(ShapeError, match="no character yet"):
        fresh.open_film(walk(2), tmp_path / "f")
    fresh.close()


# --- the square


@pytest.mark.parametrize("size_wh", [(64, 64), (100, 60), (60, 100), (640, 401)])
def test_into_the_square_and_back(size_wh: tuple[int, int]) -> None:
    width, height = size_wh
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    character = a_character(size_wh=size_wh)
    character = dataclasses.replace(character, rgba=np.dstack([x, y, 255 - x, np.full_like(x, 255)]).astype(np.uint8))
    square = Square.around(size_wh, 256)
    rgb, alpha = square.picture(character)
    assert rgb.shape == (256, 256, 3) and alpha is None
    back = square.back(rgb)
    assert back.shape == character.rgba.shape
    assert np.abs(back.astype(int) - character.rgba).mean() < 1.5
    corners = square.points(np.array([[0, 0], [width, height]]))
    assert corners.min() >= 0 and corners.max() <= 256 and np.ptp(corners, axis=0).max() == 256


def test_a_cut_out_figure_stays_cut_out() -> None:
    y, x = np.mgrid[:128, :128]
    inside = (x - 64) ** 2 + (y - 64) ** 2 < 40**2
    rgba = np.dstack([np.full_like(x, 200), np.full_like(x, 40), np.full_like(x, 90), inside * 255]).astype(np.uint8)
    character = dataclasses.replace(a_character(size_wh=(128, 128)), rgba=rgba)
    square = Square.around((128, 128), 128)
    rgb, alpha = square.picture(character)
    assert alpha is not None and (rgb[0, 0] == GREY).all() and (rgb[64, 64] == (200, 40, 90)).all()
    flows = torch.zeros(3, 2, 128, 128)
    flows[1, 0] = 7
    flows[2] = (torch.stack(torch.meshgrid(torch.arange(128.0), torch.arange(128.0), indexing="xy")) - 64) * 0.3
    moved = carried_alpha(torch.from_numpy(alpha)[None, None] / 255, flows)[:, 0].numpy() > 0.5
    assert (moved[0] == inside).all()
    assert (moved[1][:, 7:] == inside[:, :-7]).all()
    grown = (x - 64) ** 2 + (y - 64) ** 2 < 52**2
    assert (moved[2] != grown).mean() < 0.02  # enlarging tears holes, which are filled
    back = square.back(rgb, alpha)
    assert (back[inside][:, :3] == (200, 40, 90)).all() and (back[..., 3] == alpha).all()


def test_a_films_numbers_are_plain_json(painter: SvdQuality, tmp_path: Path) -> None:
    film = painter.open_film(walk(2), tmp_path / "f")
    content = json.loads((film.folder / "film.json").read_text())
    assert content["about"]["steps"] == 2 and set(content) == {"about", "finished"}
    assert len(set(map(str, itertools.chain(content["about"]["weights"])))) == 4


def test_two_programs_do_not_write_one_film(tmp_path: Path) -> None:
    first = Film(tmp_path / "f", {}, walk(2), (4, 2, 2))
    with pytest.raises(FaceshotError, match="Another program is at work"):
        Film(tmp_path / "f", {}, walk(2), (4, 2, 2))
    first.close()
    again = Film(tmp_path / "f", {}, walk(2), (4, 2, 2))
    assert not again.started_over
    again.close()


def test_a_full_disk_is_said(tmp_path: Path) -> None:
    film = Film(tmp_path / "f", {}, walk(2), (4, 2, 2))
    film._latents.unlink()
    film._latents.mkdir()  # cannot be written to either
    with pytest.raises(FaceshotError, match="cannot be kept") as caught:
        film.append(torch.zeros(4, 2, 2))
    assert "disk space" in caught.value.hint and film.finished == 0
    film.close()


def test_conditions_are_kept_where_there_is_room(painter: SvdQuality, tmp_path: Path) -> None:
    from faceshot.animators.svd.quality import _Denoising

    assert painter._scene is not None
    film = painter.open_film(walk(2), tmp_path / "f")
    denoising = _Denoising(painter._scene, QUICK, film)
    assert denoising._where_to_keep(None).type == "cpu"
    painter._scene.models.device = torch.device("cuda")  # pretended: nothing is computed
    try:
        assert denoising._where_to_keep(None).type == "cpu"
        assert denoising._where_to_keep(1e3).type == "cpu"
        assert denoising._where_to_keep(80e9).type == "cuda"
    finally:
        painter._scene.models.device = torch.device("cpu")
        film.close()
