"""Which file is which network, and what is said of files that are not."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")

from safetensors.torch import save_file  # noqa: E402

from faceshot import weights  # noqa: E402
from faceshot.animators.liveportrait.checkpoints import (  # noqa: E402
    FILES,
    Variant,
    find_files,
    identify,
    load_networks,
    read_state,
)
from faceshot.animators.liveportrait.tiny import write_tiny  # noqa: E402
from faceshot.errors import CheckpointError  # noqa: E402
from tests.faceshot.animators.liveportrait_golden import Golden  # noqa: E402

HUMAN = FILES["human"]


@pytest.fixture
def models(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("FACESHOT_MODELS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_tiny(tmp_path)
    return tmp_path


def refused(models: Path, words: str) -> CheckpointError:
    with pytest.raises(CheckpointError, match=words) as caught:
        load_networks(models)
    assert "faceshot models pull liveportrait" in caught.value.hint
    return caught.value


def test_every_file_is_known_by_its_keys(models: Path) -> None:
    for slot, file in HUMAN.items():
        assert identify(read_state(models / file)) == slot
    assert identify({"weight": torch.zeros(1)}) is None


@pytest.mark.parametrize("name", ["F", "M", "W", "G"])
def test_full_size_keys_are_known(shared_golden: Path, name: str) -> None:
    keys = Golden(shared_golden, f"full_{name}").meta["keys"]
    state = {key: torch.empty(shape, device="meta") for key, shape, _ in keys}
    slots = {
        "F": "appearance_feature_extractor",
        "M": "motion_extractor",
        "W": "warping_module",
        "G": "spade_generator",
    }
    assert identify(state) == slots[name]


def test_the_safetensors_mirror_gives_the_same_networks(models: Path, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    (mirror / "liveportrait").mkdir(parents=True)
    for slot, file in HUMAN.items():
        state = {key: value.contiguous() for key, value in read_state(models / file).items()}
        save_file(state, mirror / "liveportrait" / f"{slot}.safetensors")
    ours, theirs = load_networks(models), load_networks(mirror)
    for a, b in zip(ours[:4], theirs[:4], strict=True):
        assert all(torch.equal(x, b.state_dict()[key]) for key, x in a.state_dict().items())
    x = torch.randn(1, 126)
    assert torch.allclose(ours.heads.stitching(x), theirs.heads.stitching(x), atol=1e-7)


def test_another_network_in_the_slot_is_named(models: Path) -> None:
    shutil.copy(models / HUMAN["spade_generator"], models / HUMAN["warping_module"])
    refused(models, "should be the warping network W, but it is the decoder G")


def test_an_unknown_file_names_the_key_that_gives_it_away(models: Path) -> None:
    torch.save({"model.layer.weight": torch.zeros(2)}, models / HUMAN["motion_extractor"])
    refused(models, r"is not the motion extractor M .*'model\.layer\.weight'")


def test_animal_weights_in_the_human_slot_are_found_by_being_the_same_file(models: Path) -> None:
    shutil.copy(models / FILES["animals"]["motion_extractor"], models / HUMAN["motion_extractor"])
    error = refused(models, "are the same file: one of them is in the wrong place")
    assert "liveportrait_animals" in error.hint


@pytest.mark.parametrize("variant", ["human", "animals"])
def test_a_link_into_the_folder_of_the_other_weights_is_found_too(models: Path, variant: Variant) -> None:
    """Also when the other slot is empty, so that there is no twin."""
    mine, others = (FILES[one]["motion_extractor"] for one in (variant, "animals" if variant == "human" else "human"))
    (models / mine).unlink()
    (models / mine).symlink_to(models / others)
    with pytest.raises(CheckpointError, match=f"should be of the {variant} weights, but it is a link to") as caught:
        load_networks(models, variant)
    assert caught.value.hint.startswith("Delete the link, then type: faceshot models pull liveportrait")


def test_files_of_an_old_torch_are_read(models: Path) -> None:
    """Before 1.6 a .pth was no zip file; what the publisher wrote with is not stated."""
    path = models / HUMAN["motion_extractor"]
    state = torch.load(path, weights_only=True)
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert all(torch.equal(value, state[key]) for key, value in read_state(path).items())
    assert weights.ends_as_pth(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(models, "cannot be read as a checkpoint")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_half_a_download_is_said_before_anything_is_built(models: Path, share: float) -> None:
    path = models / HUMAN["spade_generator"]
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    refused(models, "damaged or only partly there")


@pytest.mark.parametrize("share", [0.00001, 0.5, 0.999])
def test_half_a_safetensors_file_too(tmp_path: Path, share: float) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.randn(1000)}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(CheckpointError, match="damaged or only partly there"):
        read_state(path)


def test_code_in_a_file_is_never_run(models: Path, tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "ran",)

    torch.save({"a": Bomb()}, models / HUMAN["motion_extractor"], pickle_module=pickle)
    refused(models, "cannot be read as a checkpoint")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "content", [[1, 2], {"a": 3}, {"retarget_shoulder": 1, "retarget_mouth": {}, "retarget_eye": {}}]
)
def test_what_is_no_table_of_tensors_is_refused(models: Path, content: object) -> None:
    torch.save(content, models / HUMAN["stitching_retargeting_module"])
    refused(models, "tensors")


def test_a_tensor_of_another_size_is_refused(models: Path) -> None:
    path = models / HUMAN["warping_module"]
    state = read_state(path)
    state["fourth.weight"] = torch.zeros(3, 3, 1, 1)
    torch.save(state, path)
    refused(models, "does not fit the network")


def test_both_variants_share_the_small_networks(models: Path) -> None:
    human, animals = find_files(models), find_files(models, "animals")
    assert human["stitching_retargeting_module"] == animals["stitching_retargeting_module"]
    assert human["motion_extractor"] != animals["motion_extractor"]


@pytest.mark.parametrize("variant", ["human", "animals"])
def test_what_a_variant_needs_is_what_its_word_fetches(variant: Variant) -> None:
    word = {"human": "liveportrait", "animals": "liveportrait_animals"}[variant]
    fetched = {entry.file for entry in weights.MANIFEST if entry.kind in weights.GROUPS[word]}
    assert fetched == set(FILES[variant].values())
