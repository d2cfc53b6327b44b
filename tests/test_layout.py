"""The house rules that a tool can check: who imports whom, who may make a picture, whence time comes, file sizes."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("faceshot", "live", "protocols")
LONGEST_FILE = 500
LONGEST_STORY = 200

TOO_LONG_BECAUSE: dict[str, str] = {
    "faceshot/animators/warp/kernels.py": "compiled code is kept until its own file changes, so it may not be spread",
}

TESTED_ELSEWHERE = {
    "faceshot/errors.py": "classes without behaviour",
    "faceshot/types.py": "shape checks run in every test that makes one; see test_contracts.py",
    "live/errors.py": "classes without behaviour",
    "live/stages.py": "protocols only; tests/live/test_contracts.py runs them over all implementations",
    "live/__main__.py": "one line",
    "live/commands.py": "tests/live/test_cli.py runs the commands",
    "live/cli_gallery.py": "tests/live/test_matching_commands.py types its commands",
    "live/cli_options.py": "tests/live/test_matching_commands.py types them; test_cli.py prints their help",
    "live/config_animators.py": "tests/live/test_config.py reads all tables",
    "live/devices.py": "tests/live/test_cli.py runs `faceshot devices`",
    "live/machine.py": "tests/live/test_doctor.py hands `diagnose` a made-up one; test_cli.py runs the real",
    "live/performance.py": "tests/live/test_render.py and test_landmarks_export.py track with it",
    "live/sound.py": "tests/live/test_render.py compares the sound packet by packet",
    "live/video_writer.py": "tests/live/test_render.py and sinks/test_recorder.py read back what it wrote",
    "live/server/app.py": "tests/live/server/test_api.py drives it",
    "live/server/feed.py": "tests/live/server/test_serve.py listens on /ws/control",
    "live/server/guard.py": "tests/live/server/test_api.py sends what it must refuse",
    "live/server/thumbnails.py": "tests/live/server/test_api.py fetches portraits",
    "live/webrtc/peers.py": "tests/live/server/test_remote.py drives and watches over real sockets",
    "live/webrtc/sound.py": "tests/live/server/test_remote.py hears it at a viewer",
    "protocols/errors.py": "classes without behaviour",
}
TESTED_TOGETHER = {
    "faceshot/animators/warp/": "tests/faceshot/animators/test_warp.py",
    "faceshot/animators/liveportrait/": "tests/faceshot/animators/test_liveportrait.py",
    "faceshot/animators/svd/": "tests/faceshot/animators/test_svd.py",
    "faceshot/assets/": "tests/faceshot/test_assets.py",
}


def modules(*packages: str) -> Iterator[Path]:
    for package in packages or PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def nodes(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


def test_packages_keep_their_distance():
    lint = Path(sys.executable).with_name("lint-imports")
    if not lint.exists():
        pytest.skip("import-linter is not installed: pip install '.[test]'")
    done = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


def test_only_animators_make_pictures_that_go_on_air():
    """No code path outside `faceshot/animators` can put a camera image into a `Rendered`; `Rendered.blank` is free."""
    makers = []
    for path in modules():
        if name_of(path).startswith("faceshot/animators/"):
            continue
        for node in nodes(path):
            if isinstance(node, ast.Call):
                func = node.func
                called = func.id if isinstance(func, ast.Name) else func.attr if isinstance(func, ast.Attribute) else ""
                swaps = called == "replace" and any(keyword.arg == "rgba" for keyword in node.keywords)
                if called == "Rendered" or (swaps and name_of(path).startswith("live/")):
                    makers.append(f"{name_of(path)}:{node.lineno}")
            if isinstance(node, ast.ImportFrom):
                makers += [
                    f"{name_of(path)}:{node.lineno} imports it under another name"
                    for alias in node.names
                    if alias.name == "Rendered" and alias.asname
                ]
    assert not makers


def test_what_is_private_stays_in_its_module():
    users = [
        f"{name_of(path)}:{node.lineno} {alias.name}"
        for path in modules()
        for node in nodes(path)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES
        for alias in node.names
        if alias.name.startswith("_")
    ]
    assert not users


def test_time_comes_from_the_clock():
    users = [
        f"{name_of(path)}:{node.lineno}"
        for path in modules()
        if name_of(path) != "live/clock.py"
        for node in nodes(path)
        if (isinstance(node, ast.Import) and any(alias.name == "time" for alias in node.names))
        or (isinstance(node, ast.ImportFrom) and node.module == "time")
    ]
    assert not users


def test_tests_do_not_sleep_in_real_time():
    sleepers = [
        f"{name_of(path)}:{node.lineno}"
        for path in modules("tests")
        if "bench" not in path.parts
        for node in nodes(path)
        if isinstance(node, ast.Attribute)
        and node.attr == "sleep"
        and isinstance(node.value, ast.Name)
        and node.value.id == "time"
    ]
    assert not sleepers


def test_every_module_has_its_test_file():
    missing = []
    for path in modules():
        name = name_of(path)
        if path.name == "__init__.py" or name in TESTED_ELSEWHERE:
            continue
        together = next((test for folder, test in TESTED_TOGETHER.items() if name.startswith(folder)), None)
        test = ROOT / together if together else ROOT / "tests" / Path(name).with_name(f"test_{path.name}")
        if not test.is_file():
            missing.append(f"{name}: no {name_of(test)}")
    assert not missing


def test_exceptions_are_still_needed():
    for name in TESTED_ELSEWHERE:
        assert (ROOT / name).is_file(), f"{name} is gone"
        assert not (ROOT / "tests" / Path(name).with_name(f"test_{Path(name).name}")).is_file(), f"{name} has its test"
    for name in TOO_LONG_BECAUSE:
        assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) > LONGEST_FILE, f"{name} is short now"


def test_files_can_be_read_in_one_sitting():
    long = {
        name_of(path): lines
        for path in [*modules(), *modules("tests")]
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_FILE
        and name_of(path) not in TOO_LONG_BECAUSE
    }
    assert not long


def test_the_story_fits_two_screens():
    assert len((ROOT / "live/pipeline.py").read_text(encoding="utf-8").splitlines()) <= LONGEST_STORY


def test_every_module_says_what_it_is():
    silent = [
        name_of(path)
        for path in modules()
        if path.stat().st_size and ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) is None
    ]
    assert not silent


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("faceshot", ("numpy", "cv2", "mediapipe", "torch", "scipy")),
        ("live.cli", ("cv2", "mediapipe", "torch", "scipy", "starlette", "av", "aiortc", "segno", "cryptography")),
        ("live.build", ("mediapipe", "torch", "starlette", "aiortc")),
        ("live.server.serve", ("mediapipe", "torch", "aiortc", "segno", "trustme")),
    ],
)
def test_imports_stay_light(module, heavy):
    code = f"import sys, {module}; print(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
