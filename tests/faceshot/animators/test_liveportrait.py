"""LivePortrait as an animator, with tiny random networks in the published files: what can be relied on whatever the
weights are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")

from faceshot.animators.liveportrait import engine as engine_module  # noqa: E402
from faceshot.animators.liveportrait.animator import LivePortraitAnimator  # noqa: E402
from faceshot.animators.liveportrait.engine import Engine, Recorded, moved_alpha, open_engine  # noqa: E402
from faceshot.animators.liveportrait.faceless import character_in_square, crop_of, with_square  # noqa: E402
from faceshot.animators.liveportrait.official import retarget_eyes, retarget_lips  # noqa: E402
from faceshot.animators.liveportrait.people import find_faces  # noqa: E402
from faceshot.animators.liveportrait.settings import Settings, chosen_square  # noqa: E402
from faceshot.animators.liveportrait.tiny import write_tiny  # noqa: E402
from faceshot.animators.liveportrait.warping import identity_grid  # noqa: E402
from faceshot.character import open_character, resize  # noqa: E402
from faceshot.errors import DeviceError, PictureError, WeightsMissing  # noqa: E402
from faceshot.saved_square import with_saved_square  # noqa: E402
from faceshot.types import Character, Drive, HeadMotion  # noqa: E402
from tests.fakes import a_character  # noqa: E402


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_tiny(folder)
    return folder


def loaded(tiny: Path, character: Character, **settings: object) -> LivePortraitAnimator:
    animator = LivePortraitAnimator(Settings(**settings), tiny)  # type: ignore[arg-type]
    animator.load(character)
    return animator


def a_crop(seed: int) -> np.ndarray:
    """Large patches of colour."""
    patches = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), np.uint8)
    return np.kron(patches, np.ones((64, 64, 1), np.uint8))


def seen(character: Character, seed: int, **more: object) -> Drive:
    return replace(Drive.neutral(character), crop=a_crop(seed), crop_square=(128.0, 128.0, 256.0), **more)


def cut_out_character(size: int = 160) -> Character:
    """An ellipse of skin colour on nothing."""
    character = a_character(size_wh=(size, size))
    y, x = np.mgrid[0:size, 0:size] / size - 0.5
    rgba = character.rgba.copy()
    rgba[..., :3] = (210, 160, 130)
    rgba[..., 3] = np.where((x / 0.35) ** 2 + (y / 0.45) ** 2 < 1, 255, 0)
    return replace(character, rgba=rgba)


def test_outside_the_square_the_picture_stays_and_inside_it_moves(tiny: Path) -> None:
    character = a_character(size_wh=(300, 200))
    texture = np.random.default_rng(0).integers(0, 255, (25, 38, 1), np.uint8)
    character.rgba[..., :3] = np.kron(texture, np.ones((8, 8, 1), np.uint8))[:200, :300]
    animator = loaded(tiny, character, crop="20,30,120")
    first, second = (animator.render([seen(character, seed)])[0].rgba for seed in (1, 2))
    for rgba in (first, second):
        assert rgba.shape == (200, 300, 4)
        assert np.array_equal(rgba[:, 150:], character.rgba[:, 150:])
        assert np.array_equal(rgba[155:], character.rgba[155:])
    assert np.abs(first[60:120, 50:110].astype(int) - second[60:120, 50:110]).max() > 0
    animator.close()


def test_the_same_motion_is_not_drawn_twice(tiny: Path) -> None:
    character = a_character(size_wh=(160, 160))
    animator = loaded(tiny, character)
    stage = animator._stage
    assert stage is not None
    drawn = []
    begun = stage._begun
    stage._begun = lambda x_d: drawn.append(1) or begun(x_d)  # type: ignore[method-assign,func-returns-value]
    still = Drive.neutral(character)
    pictures = animator.render([still, still, still])
    assert len(pictures) == 3
    assert len(drawn) == 1
    assert all(np.array_equal(p.rgba, pictures[0].rgba) for p in pictures)
    turned = replace(still, head=HeadMotion(np.array([0, 0.3, 0], np.float32)))
    animator.render([turned])
    assert len(drawn) == 2


def test_nothing_on_air_shows_the_performer(tiny: Path) -> None:
    character = a_character(size_wh=(160, 160))
    animator = loaded(tiny, character)
    drive = seen(character, 1)
    bright = replace(drive, crop=np.full((256, 256, 3), 251, np.uint8))
    rgba = animator.render([bright])[0].rgba
    assert (rgba[..., :3] == 251).all(axis=2).mean() < 0.001


def test_without_pixels_the_sliders_move_it(tiny: Path) -> None:
    character = a_character(size_wh=(160, 160))
    animator = loaded(tiny, character)
    still = Drive.neutral(character)
    stage = animator._stage
    assert stage is not None

    def points(drive: Drive) -> torch.Tensor:
        stage.reset()
        with torch.no_grad():
            made = stage._pointed([drive])
        assert made is not None
        return made[0]

    rest = points(still)
    shut = points(replace(still, lids=np.zeros(2, np.float32)))
    nod = points(replace(still, head=HeadMotion(np.array([0.2, 0, 0], np.float32))))
    aside = points(replace(still, head=HeadMotion(translation=np.array([0.1, 0], np.float32))))
    assert (shut - rest).abs().max() > 1e-3
    assert (nod - rest).abs().max() > 1e-3
    assert (aside - rest)[:, 0].mean() > 0.02


def test_transparency_is_kept_and_moves_with_the_picture(tiny: Path) -> None:
    character = cut_out_character()
    animator = loaded(tiny, character, crop="whole")
    rgba = animator.render([Drive.neutral(character)])[0].rgba
    assert rgba[2, 2, 3] == 0
    assert rgba[80, 80, 3] > 200
    clear = character.rgba[..., 3] == 0
    assert rgba[..., 3][clear].mean() < 60


def test_a_matte_is_moved_as_the_deformation_says() -> None:
    alpha = torch.zeros(1, 1, 64, 64)
    alpha[..., 20:40, 20:40] = 1
    grid = identity_grid(4, 16, 16, alpha)[None]
    assert (moved_alpha(alpha, grid) - alpha).abs().max() < 1e-5
    shift = torch.tensor([0.25, 0.0, 0.0])  # sampled further right, so shown further left: an eighth of the width
    moved = moved_alpha(alpha, grid + shift)
    assert (moved[..., 20:40, 12:32] == 1).float().mean() > 0.95
    assert moved[..., 20:40, 34:].max() < 0.1


@pytest.mark.parametrize("motion", ["relative", "absolute"])
def test_the_published_rules_can_be_chosen(tiny: Path, motion: str) -> None:
    character = a_character(size_wh=(160, 160))
    animator = loaded(tiny, character, motion=motion)
    stage = animator._stage
    assert stage is not None
    with torch.no_grad():
        rest = stage._pointed([Drive.neutral(character)])
        first = stage._pointed([seen(character, 1)])
        second = stage._pointed([seen(character, 2)])
        held = stage._pointed([Drive.neutral(character)])
    assert rest is not None and second is not None
    x_s = stage._official[0].x_s
    assert torch.equal(rest, x_s)
    assert (second - x_s).abs().max() > 1e-4
    assert held is None, "a lost face holds the last points"
    if motion == "absolute":
        assert first is not None and (first - x_s).abs().max() > 1e-3


def test_the_published_rules_say_when_there_are_no_pictures_to_follow(tiny: Path) -> None:
    """A motion clip has none; a face that is not there (yet) is another matter."""
    character = a_character(size_wh=(160, 160))
    for motion in ("live", "absolute"):
        animator = loaded(tiny, character, motion=motion)
        notes = []
        still = Drive.neutral(character)
        for drive in (replace(still, found=False), still, seen(character, 1), still):
            animator.render([drive])
            notes.append(animator.note)
        animator.reset()
        animator.render([replace(still, found=False)])
        assert animator.note is None
        if motion == "live":
            assert notes == [None] * 4
        else:
            assert [note is None for note in notes] == [True, False, True, False]
            assert "there are none: nothing would move. Use animator.liveportrait.motion=live." in str(notes[1])


@pytest.mark.parametrize(("flag", "part"), [("retarget_eyes", 0), ("retarget_lips", 2)])
def test_the_published_retargeting_sets_openings_of_pictures_too(tiny: Path, flag: str, part: int) -> None:
    """With relative motion nothing else is left: the points are the source's, its eyes or lips as open as the
    performer's."""
    character = a_character(size_wh=(160, 160))
    stage = loaded(tiny, character, motion="relative", stitching=False, normalize_lip=False, **{flag: True})._stage
    assert stage is not None
    own, heads, x_s = stage.source.people[0].ratios, stage._engine.heads, stage._official[0].x_s
    assert own is not None
    offsets = []
    for opening in (0.02, 0.5):
        stage.reset()
        openings = np.full(3, 0.9, np.float32)
        openings[part] = opening
        target = torch.full((1, 1), opening)
        with torch.no_grad():
            made = stage._pointed([seen(character, 1, openings=openings)])
            if flag == "retarget_eyes":
                offset = retarget_eyes(heads, x_s, torch.from_numpy(own.eyes)[None], target)
            else:
                offset = retarget_lips(heads, x_s, torch.full((1, 1), own.lips), target)
        assert made is not None
        assert (made - x_s - offset).abs().max() < 1e-6
        offsets.append(offset)
    assert (offsets[1] - offsets[0]).abs().max() > 1e-5


def test_the_next_frame_is_looked_at_while_one_is_drawn_and_nothing_else_changes(tiny: Path) -> None:
    """Each frame is moved before the one before it is fetched, drawn after; the pictures are those of single calls.
    With CUDA the moving has a stream of its own, so that it runs beside the drawing."""
    character = a_character(size_wh=(160, 160))
    drives = [seen(character, seed, smoothing=0.0) for seed in (1, 2, 2, 3)]
    animator = loaded(tiny, character)
    alone = [animator.render([drive])[0].rgba for drive in drives]
    animator.reset()
    stage = animator._stage
    assert stage is not None
    steps: list[str] = []

    def told(name: str, work: Callable[..., object]) -> Callable[..., object]:
        return lambda *args: steps.append(name) or work(*args)  # type: ignore[func-returns-value]

    for name in ("_moved", "_begun", "_finished"):
        setattr(stage, name, told(name, getattr(stage, name)))
    together = [picture.rgba for picture in animator.render(drives)]
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
    assert not np.array_equal(together[0], together[3])
    assert " ".join(steps) == (
        "_moved _begun _moved _finished _begun _moved _finished _moved _begun _finished"
    )  # the third frame shows what the second one does


def test_animals_are_loaded_from_their_own_files(tiny: Path) -> None:
    character = a_character(size_wh=(160, 160))
    human, animals = loaded(tiny, character), loaded(tiny, character, variant="animals")
    a, b = (animator.render([Drive.neutral(character)])[0].rgba for animator in (human, animals))
    assert not np.array_equal(a, b)


def test_animators_of_one_program_share_their_networks(tiny: Path) -> None:
    character = a_character(size_wh=(96, 96))
    first = loaded(tiny, character)
    assert open_engine(tiny) is first._engine
    assert open_engine(tiny, precision="fp32") is not first._engine


def test_what_was_loaded_stays_loaded_when_another_character_cannot_be(tiny: Path) -> None:
    character = a_character(size_wh=(160, 160))
    animator = loaded(tiny, character, crop="0,0,100")
    with pytest.raises(PictureError, match="outside the picture"):
        animator.load(with_bad_square(a_character(size_wh=(64, 64))))
    assert animator.render([Drive.neutral(character)])[0].size_wh == (160, 160)


def with_bad_square(character: Character) -> Character:
    return replace(character, provenance={"square": [5.0, 5.0, 1.0]})


def test_missing_weights_name_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACESHOT_MODELS", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(WeightsMissing) as caught:
        loaded(tmp_path, a_character())
    assert "faceshot models pull liveportrait" in caught.value.hint
    with pytest.raises(WeightsMissing) as caught:
        loaded(tmp_path, a_character(), variant="animals")
    assert "liveportrait_animals" in caught.value.hint


# Devices


@pytest.mark.parametrize("spoils", [float("nan"), 0.0])
def test_half_precision_that_draws_black_is_given_up(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, spoils: float
) -> None:
    """As on GTX 16. A CPU stands in for the GPU: it is told to use half, and calculates in 32 bits nevertheless."""
    fast_decoder, fast_warping = engine_module.FastDecoder, engine_module.FastWarping
    asked = []

    def decoder(net: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
        made = fast_decoder(net)  # type: ignore[arg-type]
        asked.append(dtype)
        if dtype == torch.float16:
            made.register_forward_hook(lambda module, inputs, drawn: drawn * spoils)
        return made

    networks = engine_module.load_networks(tiny)
    monkeypatch.setattr(engine_module, "_half_is_wanted", lambda precision, device: True)
    monkeypatch.setattr(engine_module, "FastWarping", lambda net, dtype, align: fast_warping(net, align=align))
    monkeypatch.setattr(engine_module, "FastDecoder", decoder)
    assert not Engine(networks, torch.device("cpu"), "auto").half
    assert asked == [torch.float16, torch.float32]
    spoils = 1.0
    assert Engine(networks, torch.device("cpu"), "auto").half


def test_half_precision_is_for_gpus() -> None:
    wanted = engine_module._half_is_wanted
    cpu, cuda, mps = (torch.device(name) for name in ("cpu", "cuda", "mps"))
    assert [wanted("auto", device) for device in (cpu, cuda, mps)] == [False, True, False]
    assert [wanted("fp16", device) for device in (cpu, cuda, mps)] == [False, True, True]
    assert not wanted("fp32", cuda)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_out_of_memory_is_two_lines(tiny: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def full(*_: object) -> torch.Tensor:
        raise error

    character = a_character(size_wh=(96, 96))
    animator = loaded(tiny, character)
    assert animator._stage is not None
    monkeypatch.setattr(animator._stage, "_begun", full)
    with pytest.raises(DeviceError, match="out of memory") as caught:
        animator.render([replace(Drive.neutral(character), lids=np.zeros(2, np.float32))])
    assert "warp" in caught.value.hint


def test_a_lost_gpu_is_two_lines_and_does_not_hinder_warp(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object) -> torch.Tensor:
        raise RuntimeError("CUDA error: unspecified launch failure\nCompile with `TORCH_USE_CUDA_DSA`")

    character = a_character(size_wh=(96, 96))
    animator = loaded(tiny, character)
    assert animator._stage is not None
    monkeypatch.setattr(animator._stage, "_begun", lost)
    with pytest.raises(DeviceError, match=r"GPU was lost: CUDA error: unspecified launch failure\n") as caught:
        animator.render([replace(Drive.neutral(character), lids=np.zeros(2, np.float32))])
    assert "start it again" in caught.value.hint
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lost)
    animator.close()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_said(tiny: Path) -> None:
    with pytest.raises(DeviceError, match="'cuda'") as caught:
        loaded(tiny, a_character(), device="cuda")
    assert "device=cpu" in caught.value.hint


def test_work_is_called_where_it_cannot_be_recorded() -> None:
    calls = []
    work = Recorded(lambda a, b: (calls.append(1) or a + b,), [torch.zeros(2), torch.zeros(2)])
    assert not work.recorded
    (made,) = work(torch.ones(2), torch.full((2,), 2.0))
    assert made.tolist() == [3.0, 3.0]
    assert len(calls) == 1


def test_a_frame_can_be_recorded(tiny: Path) -> None:
    """No operation of a frame reads a value back, depends on one in its shape, or brings a number from the host: then
    a CUDA graph may hold it. Checked on a CPU by the operations' names."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Listening(TorchDispatchMode):
        def __init__(self) -> None:
            super().__init__()
            self.names: set[str] = set()

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            self.names.add(func.overloadpacket.__name__)
            return func(*args, **(kwargs or {}))

    character = cut_out_character()
    stage = loaded(tiny, character)._stage
    assert stage is not None
    drive = seen(character, 1)
    control = stage._engine.to_device(stage._driving[0].controls(drive))[None]
    crops = stage._engine.upload([a_crop(1)])
    with torch.no_grad(), Listening() as listening:
        (x_d,) = stage._see(crops, control)
        stage._draw(x_d)
    host = {"_local_scalar_dense", "nonzero", "index", "index_put_", "index_put", "lift_fresh", "linalg_matrix_exp"}
    assert not listening.names & host
    assert {"_softmax", "convolution", "grid_sampler_3d"} <= listening.names


# Squares and people


@pytest.mark.parametrize("crop", ["", "left", "1,2", "1,2,3,4", "0,0,nan", "0,0,5", "300,0,50", "-80,0,60"])
def test_a_bad_square_says_what_a_good_one_is(crop: str) -> None:
    with pytest.raises(PictureError) as caught:
        chosen_square(crop, (200, 100), a_character().points_xy)
    assert "left,top,side" in caught.value.hint


def test_a_square_that_was_drawn_in_the_editor_is_the_crop(tiny: Path) -> None:
    character = with_saved_square(a_character(size_wh=(160, 160)), [20, 10, 120])
    stage = loaded(tiny, character)._stage
    assert stage is not None
    assert stage.source.people[0].square[:3] == pytest.approx((80, 70, 120))
    assert crop_of(character, "whole") == "whole"


def test_a_picture_without_a_face_is_animated_in_its_square(tiny: Path) -> None:
    rgba = np.full((300, 400, 4), 90, np.uint8)
    rgba[..., 3] = 255
    character = resize(with_square(character_in_square(rgba, "thing", "100,40,200"), "100,40,200"), 200)
    assert crop_of(character, "100,40,200") == "50.000,20.000,100.000"
    inside = character.points_xy[:68]
    assert ((inside > (50, 20)) & (inside < (150, 120))).all()
    animator = loaded(tiny, character, crop="100,40,200")
    stage = animator._stage
    assert stage is not None
    assert stage.source.people[0].square[:3] == pytest.approx((100, 70, 100))
    assert stage.source.people[0].ratios is None
    rgba = animator.render([seen(character, 3, lids=np.zeros(2, np.float32))])[0].rgba
    assert np.array_equal(rgba[:, 155:], character.rgba[:, 155:])


@pytest.fixture(scope="module")
def couple(request: pytest.FixtureRequest) -> Character:
    """Two people side by side."""
    media: Path = request.getfixturevalue("shared_media")
    halves = []
    for name in ("s9", "s7"):
        character = resize(open_character(str(media / "characters" / f"{name}.jpg")), 360)
        half = np.full((360, 360, 4), 255, np.uint8)
        height, width = character.rgba.shape[:2]
        half[:height, :width] = character.rgba
        halves.append(half)
    return replace(a_character(), rgba=np.hstack(halves))


@pytest.mark.media
def test_everybody_in_a_picture_is_found_from_left_to_right(couple: Character) -> None:
    faces = find_faces(np.ascontiguousarray(couple.rgba[..., :3]))
    assert len(faces) == 2
    assert faces[0][:, 0].max() < 360 < faces[1][:, 0].min()


@pytest.mark.media
def test_everybody_moves_with_one_driver_or_with_their_own(couple: Character, tiny: Path) -> None:
    animator = loaded(tiny, couple, people="all")
    assert animator.people == len(animator.cast) == 2
    still = Drive.neutral(couple)
    nod = replace(still, head=HeadMotion(np.array([0.3, 0, 0], np.float32)))
    rest = animator.render([still])[0].rgba.astype(int)
    both = animator.render([nod])[0].rgba.astype(int)
    own = animator.render_cast([[still, nod]])[0].rgba.astype(int)
    left, right = (slice(None), slice(0, 330)), (slice(None), slice(390, 720))
    assert np.abs(both - rest)[left].max() > 0
    assert np.abs(both - rest)[right].max() > 0
    assert np.abs(own - rest)[left].mean() < 0.1 * np.abs(both - rest)[left].mean()
    assert np.abs(own - both)[right].mean() < 0.1 * np.abs(both - rest)[right].mean()
