import dataclasses
import hashlib
from pathlib import Path

import pytest

from faceshot import weights
from faceshot.errors import WeightsMissing
from faceshot.weights import MANIFEST, Entry

FILE = "face_landmarker.task"


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The three folders that are searched, empty: the environment's, the configured one, the user's cache."""
    found = {name: tmp_path / name for name in ("env", "configured", "cache/faceshot/models")}
    for path in found.values():
        path.mkdir(parents=True)
    monkeypatch.setenv("FACESHOT_MODELS", str(found["env"]))
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return found


def test_order_of_the_search(places: dict[str, Path]) -> None:
    env, configured, cache = places.values()
    assert weights.search_folders(configured) == (env, configured, cache)
    assert weights.find(FILE, configured) is None
    for folder in (cache, configured, env):
        (folder / FILE).write_bytes(b"x")
        assert weights.find(FILE, configured) == folder / FILE
    assert weights.find(FILE) == env / FILE


def test_without_the_variable(places: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACESHOT_MODELS")
    assert weights.search_folders() == (places["cache/faceshot/models"],)
    monkeypatch.setenv("FACESHOT_MODELS", "")
    assert weights.search_folders() == (places["cache/faceshot/models"],)


@pytest.mark.parametrize(("platform", "part"), [("win32", "Local"), ("darwin", "Library/Caches"), ("linux", ".cache")])
def test_caches_of_the_systems(platform: str, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FACESHOT_MODELS", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    (folder,) = weights.search_folders()
    assert folder.is_relative_to(tmp_path) and part in folder.as_posix() and folder.name == "models"


def test_a_folder_of_that_name_is_no_file(places: dict[str, Path]) -> None:
    (places["env"] / FILE).mkdir()
    assert weights.find(FILE) is None


def test_a_miss_names_the_command_and_the_places(places: dict[str, Path]) -> None:
    with pytest.raises(WeightsMissing) as caught:
        weights.need(FILE, places["configured"])
    assert "faceshot models pull face_landmarker" in caught.value.hint
    assert all(str(place) in caught.value.message for place in places.values())


def test_the_manifest_is_complete() -> None:
    assert len({entry.file for entry in MANIFEST}) == len(MANIFEST)
    for entry in MANIFEST:
        assert entry.url.startswith("https://") and entry.size > 0 and entry.licence and entry.needed_by
        assert entry.sha256 == "" or (len(entry.sha256) == 64 and int(entry.sha256, 16))
        assert not Path(entry.file).is_absolute() and ".." not in entry.file
        assert weights.entry_of(entry.file) is entry
    with pytest.raises(KeyError):
        weights.entry_of("nothing.bin")


def test_verifying(tmp_path: Path) -> None:
    data = b"model" * 1000
    entry = Entry("k", "k.bin", "https://example.org/k", len(data), hashlib.sha256(data).hexdigest(), "MIT", "tests")
    path = tmp_path / "k.bin"
    assert weights.verify(entry, path) == "missing"
    path.write_bytes(data)
    assert weights.verify(entry, path) == "ok"
    path.write_bytes(data[:-1])
    assert weights.verify(entry, path) == "wrong size"
    path.write_bytes(b"x" + data[1:])
    assert weights.verify(entry, path) == "wrong hash"
    assert weights.verify(dataclasses.replace(entry, sha256=""), path) == "ok"


def test_the_real_file_is_the_manifests(shared_models: Path) -> None:
    assert weights.verify(weights.entry_of(FILE), shared_models / FILE) == "ok"
