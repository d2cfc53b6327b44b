"""The commands around the matcher, as a user types them; small random models, small pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceshot import backbone_tiny, gallery_build
from faceshot.backbone import FeatureSettings
from faceshot.character import open_character
from faceshot.gallery import load_gallery
from faceshot.landmarks import MatchedLandmarks
from live import build
from live.cli import main


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name, domain in (("luna", "animal"), ("mika", "anime")):
        character = open_character(name)
        place = tmp_path / "pictures" / domain
        place.mkdir(parents=True)
        Image.fromarray(character.rgba).resize((128, 128)).save(place / f"{name}.png")
        (place / f"{name}.json").write_text(json.dumps({"landmarks": (character.points_xy / 8).tolist()}))
    return tmp_path / "pictures"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch")
    pytest.importorskip("diffusers")
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    backbone_tiny.make_tiny(folder, ("sd21-plain",), channels=(16, 32, 32, 32), vae_channels=(8, 8, 8, 8))
    return folder


@pytest.fixture
def small(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACESHOT_MODELS", str(models))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(gallery_build, "FeatureSettings", lambda: FeatureSettings(size=64, steps=10))


@pytest.mark.usefixtures("small")
def test_build_show_and_refuse(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "mine.safetensors"
    command = ["gallery", "build", str(pictures), "-o", str(out), "--backbone", "sd21-plain", "--no-mirror"]
    assert main(command) == 0
    assert "domains: animal, anime" in capsys.readouterr().out
    assert load_gallery(out).domains == ("animal", "anime")
    assert main(command) == 1
    assert "exists already" in capsys.readouterr().err
    assert main(["gallery", "show", str(out), "--picture", str(tmp_path / "sheet.png")]) == 0
    shown = capsys.readouterr().out
    assert "sd21-plain" in shown and "t = 301" in shown and "animal (14 points), anime (14 points)" in shown
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (384, 192)
    before = (pictures / "anime" / "mika.png").read_bytes()
    assert main(["gallery", "show", str(out), "--picture", str(pictures / "anime" / "mika.png")]) == 1
    assert "Name another file" in capsys.readouterr().err
    assert (pictures / "anime" / "mika.png").read_bytes() == before
    assert main(["gallery", "build", str(pictures), "-o", str(tmp_path / "g.pt")]) == 2
    assert "does not end in .safetensors" in capsys.readouterr().err
    assert main(["gallery", "show", str(tmp_path / "none.safetensors")]) == 1
    told = capsys.readouterr().err
    assert "There is no gallery" in told and "kept here: none" in told
    assert main(["gallery", "show", "built-in"]) == 1
    assert "computed for each backbone when it is first used" in capsys.readouterr().err


@pytest.mark.usefixtures("small")
def test_a_stopped_build_says_how_to_go_on(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(gallery_build, "diffusion_features", stop)
    out = tmp_path / "mine.safetensors"
    assert main(["gallery", "build", str(pictures), "-o", str(out), "--backbone", "sd21-plain"]) == 130
    assert "The same command goes on where it was" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.usefixtures("small")
def test_import_puts_a_named_gallery_into_the_cache(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.faceshot.test_gallery import published

    assert main(["gallery", "list"]) == 0
    assert "None yet" in capsys.readouterr().out
    published(tmp_path)
    assert main(["gallery", "import", str(tmp_path)]) == 0
    assert "--gallery published" in capsys.readouterr().out
    assert main(["gallery", "show", "published"]) == 0
    assert "none, only features" in capsys.readouterr().out
    (gallery_build.galleries_folder() / "spoilt.safetensors").write_bytes(b"?")
    assert main(["gallery", "list"]) == 0
    listed = capsys.readouterr().out
    assert "published  sd21-plain" in listed and "damaged or no gallery" in listed
    assert main(["gallery", "show", "publisht"]) == 1
    assert "kept here: published" in capsys.readouterr().err
    assert main(["gallery", "import", str(tmp_path)]) == 1
    assert "Replace it with --overwrite" in capsys.readouterr().err
    assert main(["gallery", "import", str(tmp_path), "--overwrite"]) == 0
    assert main(["gallery", "import", str(tmp_path), "--name", "../x"]) == 2
    assert "no plain name" in capsys.readouterr().err
    assert main(["gallery", "import", "--name", "other"]) == 1
    assert "is not the published gallery" in capsys.readouterr().err


def test_make_tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    made: list[Path] = []
    monkeypatch.setattr(backbone_tiny, "make_tiny", lambda folder: made.append(folder) or [folder / "x"])
    assert main(["models", "make-tiny", "matching", str(tmp_path / "new")]) == 0
    assert made == [tmp_path / "new"] and "FACESHOT_MODELS=" in capsys.readouterr().out
    assert main(["models", "make-tiny", "cubism", str(tmp_path / "new")]) == 2
    assert "no tiny models of kind 'cubism'" in capsys.readouterr().err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "model").write_bytes(b"")
    assert main(["models", "make-tiny", "matching", str(tmp_path / "full")]) == 1
    assert "is not empty" in capsys.readouterr().err


def test_a_driver_that_is_no_human(
    shared_media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`render --tracker matching`, the matcher itself played by one that knows."""
    import av
    import cv2

    from faceshot.pictures import flatten

    dog = open_character("bruno")
    rgb = cv2.resize(flatten(dog.rgba, (120, 160, 140)), (192, 192), interpolation=cv2.INTER_AREA)
    video = tmp_path / "dog.mp4"
    with av.open(str(video), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width = stream.height = 192
        for i in range(12):
            affine = cv2.getRotationMatrix2D((96, 96), 6 * np.sin(i / 3), 1.0)
            turned = cv2.warpAffine(rgb, affine, (192, 192), borderMode=cv2.BORDER_REPLICATE)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(turned, format="rgb24")))
        out.mux(stream.encode())
    asked: list[tuple[int, ...]] = []

    def matcher(rgb, progress):  # type: ignore[no-untyped-def]
        asked.append(rgb.shape)
        points = (dog.points_xy * (192 / 1024)).astype(np.float32)
        return MatchedLandmarks(points, dog.visible, np.full(70, 0.7, np.float32), "diffusion")

    monkeypatch.setattr(build, "build_matcher", lambda config, keep=False: matcher)
    command = ["render", "miso", str(video), "-o", str(tmp_path / "out.mp4"), "--tracker", "matching"]
    assert main([*command, "--set", "matching.stride=5"]) == 0
    assert "12 frames" in (said := capsys.readouterr().out) and "face found in 12 of 12" in said
    assert len(asked) == 3 and asked[0] == (192, 192, 3)


def test_matching_is_not_for_a_live_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["live", "miso", "--no-open", "--set", "tracker.kind=matching"]) == 2
    assert "it is for files, not for a live show" in capsys.readouterr().err


def test_models_by_one_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from live import fetch

    fetched: list[str] = []
    monkeypatch.setenv("FACESHOT_MODELS", str(tmp_path))
    monkeypatch.setattr(fetch, "fetch", lambda entry, folder, progress: fetched.append(entry.file) or folder)
    assert main(["models", "pull", "matching"]) == 0
    assert "stable-diffusion-v1-5/unet/diffusion_pytorch_model.fp16.safetensors" in fetched
    assert "IP-Adapter/models/ip-adapter_sd15.safetensors" in fetched and len(fetched) == 15
    fetched.clear()
    assert main(["models", "pull"]) == 0
    assert fetched == ["face_landmarker.task"]  # gigabytes only for who asks
    assert main(["models", "pull", "matchin"]) == 2
    assert "Did you mean matching?" in capsys.readouterr().err


@pytest.mark.usefixtures("small")
def test_a_new_character_by_the_diffusion_matcher(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from faceshot.character import read_character

    gallery = tmp_path / "mine.safetensors"
    common = ["--backbone", "sd21-plain", "--no-mirror"]
    assert main(["gallery", "build", str(pictures), "-o", str(gallery), *common]) == 0
    out = tmp_path / "new.faceshot"
    new = ["character", "new", str(pictures / "animal" / "luna.png"), "-o", str(out), "--matcher", "diffusion"]
    options = ["--backbone", "sd21-plain", "--gallery", str(gallery), "--keep-background"]
    assert main([*new, *options, "--domain", "anime"]) == 0
    assert "diffusion" in capsys.readouterr().out
    made = read_character(out)
    told = json.dumps(dict(made.provenance))
    assert '"anime"' in told and '"animal"' not in told and "sd21-plain" in told and '"t": 301' in told
    assert main([*new, *options, "--domain", "cubist", "--overwrite"]) == 1
    told = capsys.readouterr().err
    assert "has no domain 'cubist'" in told and "It has: animal, anime" in told  # the matcher's own hint
    asked = [*new, *options, "--overwrite", "--set", "matching.device=cuda:7"]
    assert main(asked) == 1
    assert "device 'cuda:7'" in capsys.readouterr().err
    assert main([*new, *options, "--overwrite", "--set", "matching.device=cpu", "--set", "matching.k=1"]) == 0
    assert '"animal"' in json.dumps(dict(read_character(out).provenance))
    made = read_character(out)
    capsys.readouterr()
    assert main([*new, "--backbone", "sd15-ip", "--gallery", str(gallery), "--overwrite"]) == 1
    assert "faceshot models pull matching" in capsys.readouterr().err  # those weights are not here
    assert read_character(out).provenance == made.provenance
