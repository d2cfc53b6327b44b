"""Two real faces in one camera picture, two people in one character, from the tracker to the drawn picture."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")

from faceshot.animators.liveportrait.animator import LivePortraitAnimator  # noqa: E402
from faceshot.animators.liveportrait.tiny import write_tiny  # noqa: E402
from faceshot.puppeteer import MotionSettings, Puppeteer  # noqa: E402
from faceshot.types import CameraImage, Character, Drive, Rendered, UInt8  # noqa: E402
from live.build import build_animator, build_tracker, open_character  # noqa: E402
from live.cli import main  # noqa: E402
from live.config import Config, load_config  # noqa: E402
from live.edges import Packet  # noqa: E402
from live.puppet import Puppet, prepare  # noqa: E402
from tests.live.test_face_finder import HandClock  # noqa: E402
from tests.live.videos import decode_rgb, write_pictures  # noqa: E402

SIDE = 240
EACH = ["animator.kind=liveportrait", "animator.liveportrait.people=each", "animator.max_side_px=480"]

pytestmark = pytest.mark.media


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_tiny(folder)
    return folder


@pytest.fixture(scope="module")
def pair(shared_media: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of two people."""
    halves = [cv2.imread(str(shared_media / "characters" / f"{name}.jpg")) for name in ("s9", "s7")]
    halves = [cv2.resize(half[: half.shape[1]], (SIDE, SIDE), interpolation=cv2.INTER_AREA) for half in halves]
    path = tmp_path_factory.mktemp("pair") / "pair.png"
    cv2.imwrite(str(path), np.hstack(halves))
    return path


@pytest.fixture(scope="module")
def camera(shared_media: Path) -> list[UInt8]:
    """Two faces side by side: the left one stands still, the right one talks and turns."""
    [still] = _clip(shared_media / "driving" / "d0.mp4", 1)
    lively = _clip(shared_media / "driving" / "d10.mp4", 11)
    return [np.hstack([still, face]) for face in lively]


def _clip(path: Path, count: int) -> list[UInt8]:
    video = cv2.VideoCapture(str(path))
    frames = []
    for n in range(6 * count):
        ok, bgr = video.read()
        assert ok
        if n % 6 == 0:
            frames.append(np.asarray(cv2.resize(bgr[..., ::-1], (SIDE, SIDE)), np.uint8))
    video.release()
    return frames


@pytest.fixture
def drives(monkeypatch: pytest.MonkeyPatch) -> list[list[Drive]]:
    """What the animator is asked to draw, frame by frame."""
    seen: list[list[Drive]] = []
    draw = LivePortraitAnimator.render_cast

    def watched(self: LivePortraitAnimator, frames: Sequence[Sequence[Drive]]) -> list[Rendered]:
        seen.extend(list(frame) for frame in frames)
        return draw(self, frames)

    monkeypatch.setattr(LivePortraitAnimator, "render_cast", watched)
    return seen


def looks_like(drive: Drive, face: UInt8, mirror: bool) -> bool:
    """Whether the face that moves a person is this one and no other: the middle of its crop is found in the picture."""
    if drive.crop is None or drive.crop_square is None:
        return False
    crop = drive.crop[:, ::-1] if mirror else drive.crop
    side = round(drive.crop_square[2])
    part = cv2.resize(np.ascontiguousarray(crop), (side, side), interpolation=cv2.INTER_AREA)
    part = part[side // 3 : 2 * side // 3, side // 3 : 2 * side // 3]
    return float(cv2.matchTemplate(face, part, cv2.TM_CCOEFF_NORMED).max()) > 0.95


def a_puppet(config: Config, character: Character, mirror: bool = False) -> tuple[Puppet, LivePortraitAnimator]:
    animator = prepare(partial(build_animator, "liveportrait", config), character)
    assert isinstance(animator, LivePortraitAnimator) and animator.people == 2
    puppeteer = Puppeteer(character, MotionSettings(mirror=mirror, idle=False, smoothing=0.0))
    return Puppet(puppeteer, character, animator, partial(build_animator, "warp", config), HandClock()), animator


@pytest.mark.parametrize("mirror", [False, True])
def test_live_each_face_moves_its_own_person(
    tiny: Path, pair: Path, camera: list[UInt8], drives: list[list[Drive]], mirror: bool
) -> None:
    """Mirrored, the face at the right of the camera picture is the left person; nothing of the camera is shown."""
    config = load_config(sets=[*EACH, f"models.folder='{tiny}'"])
    character = open_character(str(pair), config)
    puppet, animator = a_puppet(config, character, mirror)
    tracker = build_tracker(config)
    stage = animator._stage
    assert stage is not None
    pictures, points = [], []
    seen = camera[:3] if mirror else camera
    for n, rgb in enumerate(seen):
        state = tracker.track(CameraImage(rgb), 200 * n)
        packet = Packet(n, 200_000_000 * n, state, t_media_ns=200_000_000 * n)
        pictures += [out.value.rgba for out in puppet.perform([packet], hidden=False)]
        points.append(stage._last_x.numpy().copy())  # type: ignore[union-attr]
    tracker.close()
    assert puppet.message is None and len(drives) == len(seen)
    for (left, right), rgb in zip(drives, seen, strict=True):
        faces = [np.ascontiguousarray(half) for half in (rgb[:, :SIDE], rgb[:, SIDE:])]
        own, other = faces[::-1] if mirror else faces
        assert looks_like(left, own, mirror) and looks_like(right, other, mirror)
        assert not looks_like(left, other, mirror) and not looks_like(right, own, mirror)
    if not mirror:  # once the crops stand still, the still face's person does
        still, lively = np.ptp(np.stack(points[5:11]), axis=0).max(axis=(1, 2))
        assert still < 0.2 * lively
    outside = np.ones(character.rgba.shape[:2], bool)
    for person in stage.source.people:
        x, y, reach = person.square.x, person.square.y, 0.55 * person.square.side  # hardly tilted
        outside[max(round(y - reach), 0) : round(y + reach), max(round(x - reach), 0) : round(x + reach)] = False
    assert outside.mean() > 0.02
    assert all(np.array_equal(picture[outside], character.rgba[outside]) for picture in pictures)
    puppet.close()


@pytest.mark.parametrize("people", ["each", "all"])
def test_a_film_of_two_faces_moves_two_people(
    tiny: Path,
    pair: Path,
    camera: list[UInt8],
    drives: list[list[Drive]],
    tmp_path: Path,
    people: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FACESHOT_MODELS", str(tiny))
    drive, out = write_pictures(tmp_path / "two.mp4", camera[:2], 5), tmp_path / "out.mp4"
    sets = [*EACH, f"animator.liveportrait.people={people}"]
    assert main(["render", str(pair), str(drive), "-o", str(out), *(w for one in sets for w in ("--set", one))]) == 0
    assert len(decode_rgb(out)) == len(drives) == 2
    faces = [np.ascontiguousarray(half) for half in (camera[0][:, :SIDE], camera[0][:, SIDE:])]
    seen = [[looks_like(drive, face, False) for face in faces] for drive in drives[0]]
    if people == "each":
        assert seen == [[True, False], [False, True]]
    else:
        assert seen[0] == seen[1] and sum(seen[0]) == 1, "one face moves both"


def test_of_two_people_the_one_without_a_face_idles(
    tiny: Path, pair: Path, camera: list[UInt8], drives: list[list[Drive]]
) -> None:
    config = load_config(sets=[*EACH, f"models.folder='{tiny}'"])
    puppet, _ = a_puppet(config, open_character(str(pair), config))
    tracker = build_tracker(config)
    for n, rgb in enumerate(camera[:3]):
        alone = rgb.copy()
        alone[:, :SIDE] = 90
        state = tracker.track(CameraImage(alone), 200 * n)
        assert state.found and state.others == ()
        puppet.perform([Packet(n, 200_000_000 * n, state, t_media_ns=0)], hidden=False)
    tracker.close()
    puppet.close()
    for first, other in drives:
        assert first.found and first.crop is not None, "although its face is at the right"
        assert other.crop is None and not other.found
