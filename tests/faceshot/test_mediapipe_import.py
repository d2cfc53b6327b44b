import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from faceshot.mediapipe_import import import_mediapipe, quiet

has_face_mesh = pytest.mark.skipif(
    not hasattr(import_mediapipe(), "solutions"), reason="this mediapipe has no face mesh"
)


def test_chatter_is_swallowed_and_all_else_passes(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet():
        os.write(2, b"W0000 00:00:1795226015.597205   13520 inference_feedback_manager.cc:114] Feedback manager ...\n")
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n")
        os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n")
        print("something else went wrong", file=sys.stderr, flush=True)
        os.write(2, b"unfinished")
    os.write(2, b" business\n")
    assert capfd.readouterr().err == "something else went wrong\nunfinished business\n"


def test_an_error_inside_leaves_stderr_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError), quiet():
        os.write(2, b"before\n")
        raise RuntimeError
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"


def test_without_room_for_a_temporary_file_all_is_shown(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", disk_full)
    with quiet():
        os.write(2, b"W0000 00:00:1.5 1 a.cc:1] chatter\n")
    assert "chatter" in capfd.readouterr().err


def test_a_process_without_stderr() -> None:
    done = in_a_fresh_process(
        """
        import os
        from faceshot.mediapipe_import import quiet
        os.close(2)
        with quiet():
            print("worked")
        """
    )
    assert (done.returncode, done.stdout) == (0, "worked\n")


def test_threads_take_turns(capfd: pytest.CaptureFixture[str]) -> None:
    """Eight threads that redirect at once leave stderr where it was, and nothing is lost."""

    def speak(name: int) -> None:
        for i in range(20):
            with quiet():
                os.write(2, b"W0000 00:00:1.5 1 a.cc:1] chatter\n")
                os.write(2, f"{name}:{i}\n".encode())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(speak, range(8)))
    os.write(2, b"end\n")
    said = capfd.readouterr().err.split()
    assert sorted(said[:-1]) == sorted(f"{n}:{i}" for n in range(8) for i in range(20)) and said[-1] == "end"


def in_a_fresh_process(code: str, models: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "FACESHOT_MODELS": str(models or "nowhere")}
    return subprocess.run([sys.executable, "-c", textwrap.dedent(code)], env=env, capture_output=True, text=True)


def test_plotting_and_sound_libraries_stay_out() -> None:
    done = in_a_fresh_process(
        """
        import sys
        from faceshot.mediapipe_import import import_mediapipe
        assert import_mediapipe() is sys.modules["mediapipe"] is import_mediapipe()
        assert not {"matplotlib", "matplotlib.pyplot", "sounddevice", "jax", "torch"} & set(sys.modules)
        import matplotlib
        assert matplotlib.__version__
        """
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_two_threads_may_be_the_first() -> None:
    """A picture is dropped while the live tracker starts: both get the whole module."""
    done = in_a_fresh_process(
        """
        from concurrent.futures import ThreadPoolExecutor
        from faceshot.mediapipe_import import import_mediapipe
        with ThreadPoolExecutor(4) as pool:
            found = [pool.submit(lambda: hasattr(import_mediapipe(), "tasks")) for _ in range(4)]
            assert all(f.result() for f in found)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_importing_the_modules_does_not_import_mediapipe() -> None:
    done = in_a_fresh_process(
        """
        import sys
        import faceshot.character, faceshot.tracker, faceshot.motion_clip, faceshot.weights
        assert not {"mediapipe", "torch", "matplotlib", "safetensors"} & set(sys.modules)
        """
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("kind", [pytest.param("facemesh", marks=has_face_mesh), "landmarker"])
def test_a_user_sees_no_log_lines(kind: str, shared_media: Path, shared_models: Path) -> None:
    """From a fresh process: creation, a frame without a face, one with a face, a second tracker, closing."""
    done = in_a_fresh_process(
        f"""
        import numpy as np
        from pathlib import Path
        from faceshot.pictures import read_picture
        from faceshot.tracker import detect_face, make_tracker
        from faceshot.types import CameraImage
        rgb = read_picture(Path({str(shared_media / "characters" / "s7.jpg")!r}))[..., :3]
        tracker = make_tracker({kind!r})
        assert not tracker.track(CameraImage(np.zeros((480, 640, 3), np.uint8)), 0).found
        for t in range(3):
            assert tracker.track(CameraImage(rgb), 33 + 33 * t).found
        assert detect_face(rgb).found
        tracker.close()
        """,
        shared_models,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
