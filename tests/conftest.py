"""Fixtures that every test may ask for.

What a machine may lack (the shared media folder, Chromium) is skipped with the reason; with
`FACESHOT_REQUIRE=browser,media` in the environment its absence is a failure.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import virtual_time

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


def missing(what: str, reason: str) -> None:
    """Skip the test, or fail it when `FACESHOT_REQUIRE` lists `what` ("media", "browser" or "node")."""
    if what in os.environ.get("FACESHOT_REQUIRE", "").replace(" ", "").split(","):
        pytest.fail(f"FACESHOT_REQUIRE={what}, but {reason}", pytrace=False)
    pytest.skip(reason)


def _shared(folder: str) -> Path:
    path = SHARED / folder
    if not path.is_dir():
        missing("media", f"../shared/{folder} is not there")
    return path


@pytest.fixture(scope="session", autouse=True)
def a_user_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the program keeps for its user is neither read nor written by tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("XDG_CONFIG_HOME", "APPDATA"):
            patch.setenv(name, str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture(scope="session")
def shared_media() -> Path:
    """Folder with `characters/*.jpg` and `driving/*.mp4`: real faces."""
    return _shared("media")


@pytest.fixture(scope="session")
def shared_golden() -> Path:
    """Folder with results of the published code."""
    return _shared("golden")


@pytest.fixture(scope="session")
def shared_models() -> Path:
    """Folder with `face_landmarker.task`."""
    return _shared("models")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for one another take longer than the sums of small networks, and workers share processors."""
    torch = sys.modules.get("torch")  # tests that need none do not wait for it
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_svd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with a small random SVD and its adapter. Read only: tests that change files copy it."""
    pytest.importorskip("torch", reason="torch is not installed: pip install '.[gpu]'")
    from faceshot.animators.svd.tiny import write_tiny

    folder = tmp_path_factory.mktemp("svd")
    assert all(path.is_file() for path in write_tiny(folder))
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium or Chrome for playwright's `executable_path`."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    missing("browser", "no chromium, chromium-browser or google-chrome on PATH")
    raise AssertionError  # unreachable: `missing` always raises


@pytest.fixture
def virtual() -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """`virtual(main())` runs a coroutine to its end on a loop whose time jumps (`tests.virtual_time`)."""
    return virtual_time.run
