import io
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from faceshot.errors import PictureError
from faceshot.pictures import MAX_MEGAPIXELS, fit_within, flatten, read_picture


def scene(width: int = 96, height: int = 80) -> np.ndarray:
    """Red on the left, blue on the right, a white corner at the top left: shows turns, flips and swapped channels."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[:, : width // 2] = (200, 30, 20)
    rgb[:, width // 2 :] = (20, 40, 210)
    rgb[: height // 4, : width // 4] = 255
    return rgb


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def close(rgba: np.ndarray, rgb: np.ndarray, tolerance: float) -> bool:
    return rgba.shape[:2] == rgb.shape[:2] and float(np.abs(rgba[..., :3].astype(int) - rgb).mean()) <= tolerance


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("PPM", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("JPEG2000", {}, 0),
        ("GIF", {}, 0.5),
        ("JPEG", {"quality": 95}, 2),
        ("JPEG", {"quality": 95, "progressive": True}, 2),
    ],
)
def test_formats_give_the_same_picture(kind: str, options: dict[str, object], tolerance: float) -> None:
    rgba = read_picture(encoded(Image.fromarray(scene()), kind, **options), "scene")
    assert rgba.dtype == np.uint8 and rgba.flags.c_contiguous
    assert close(rgba, scene(), tolerance)
    assert (rgba[..., 3] == 255).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_undone(orientation: int) -> None:
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,  # stored so that showing it needs a turn of 270 degrees
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = Image.fromarray(scene())
    stored = image if orientation == 1 else image.transpose(undo[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert close(read_picture(encoded(stored, "PNG", exif=exif), "turned"), scene(), 0)
    assert close(read_picture(encoded(stored, "JPEG", exif=exif, quality=95), "turned"), scene(), 2)


def test_grey_pictures() -> None:
    grey = np.array(Image.fromarray(scene()).convert("L"))
    wanted = np.repeat(grey[..., None], 3, axis=2)
    assert close(read_picture(encoded(Image.fromarray(grey), "PNG"), "grey"), wanted, 0)
    assert close(read_picture(encoded(Image.fromarray(grey), "JPEG", quality=95), "grey"), wanted, 2)
    bitmap = read_picture(encoded(Image.fromarray(grey > 128), "PNG"), "bits")
    assert set(np.unique(bitmap[..., :3])) == {0, 255}


def test_grey_with_alpha() -> None:
    alpha = np.tile(np.linspace(0, 255, 96).astype(np.uint8), (80, 1))
    grey = np.full((80, 96), 77, np.uint8)
    image = Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)])
    rgba = read_picture(encoded(image, "PNG"), "cut-out")
    assert (rgba[..., 3] == alpha).all() and (rgba[..., :3] == 77).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey(kind: str) -> None:
    values = np.linspace(0, 65535, 96 * 80).reshape(80, 96).astype(np.uint16)
    rgba = read_picture(encoded(Image.fromarray(values), kind), "deep")
    assert (rgba[..., 0] == values >> 8).all() and (rgba[..., 0] == rgba[..., 2]).all()


def test_sixteen_bit_colour() -> None:
    deep = scene().astype(np.uint16) * 257
    ok, data = cv2.imencode(".png", deep[..., ::-1])
    assert ok
    assert close(read_picture(data.tobytes(), "deep"), scene(), 1)


def test_floating_point_tiff() -> None:
    values = np.linspace(0, 1, 96 * 80, dtype=np.float32).reshape(80, 96)
    rgba = read_picture(encoded(Image.fromarray(values), "TIFF"), "float")
    assert abs(int(rgba[-1, -1, 0]) - 255) <= 1 and rgba[0, 0, 0] == 0


def test_cmyk_as_adobe_writes_it() -> None:
    cmyk = Image.fromarray(scene()).convert("CMYK")
    assert close(read_picture(encoded(cmyk, "JPEG", quality=95), "print"), scene(), 4)
    assert close(read_picture(encoded(cmyk, "TIFF"), "print"), scene(), 1)


def test_palette_with_transparent_colours() -> None:
    image = Image.fromarray(scene()).quantize(8)
    white = image.getpixel((0, 0))
    rgba = read_picture(encoded(image, "PNG", transparency=white), "palette")
    assert rgba[0, 0, 3] == 0 and rgba[-1, -1, 3] == 255
    rgba = read_picture(encoded(image, "GIF", transparency=white), "palette")
    assert rgba[0, 0, 3] == 0 and rgba[-1, -1, 3] == 255


def test_transparent_colour_of_an_rgb_png() -> None:
    rgba = read_picture(encoded(Image.fromarray(scene()), "PNG", transparency=(255, 255, 255)), "keyed")
    assert rgba[0, 0, 3] == 0 and rgba[-1, -1, 3] == 255


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_animation_gives_its_first_frame(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    frames = [Image.fromarray(scene()), Image.fromarray(255 - scene())]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], duration=100, **options)
    with caplog.at_level("INFO"):
        assert close(read_picture(data, "dance"), scene(), 0.5)
    assert "animated" in caplog.text


def swapped_profile() -> bytes:
    """sRGB with the primaries of red and blue exchanged and another name: any conversion is plain to see."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = data.replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))
    red, blue = data.index(b"rXYZ"), data.index(b"bXYZ")
    table = bytearray(data)
    table[red : red + 4], table[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(table)


def test_colours_are_shown_as_the_profile_says() -> None:
    image = Image.fromarray(scene())
    rgba = read_picture(encoded(image, "PNG", icc_profile=swapped_profile()), "swapped")
    assert close(rgba, scene()[..., ::-1], 3)
    cut_out = image.convert("RGBA")
    cut_out.putalpha(99)
    rgba = read_picture(encoded(cut_out, "PNG", icc_profile=swapped_profile()), "swapped")
    assert close(rgba, scene()[..., ::-1], 3) and (rgba[..., 3] == 99).all()
    for harmless in (ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), b"no profile" * 20):
        assert close(read_picture(encoded(image, "PNG", icc_profile=harmless), "plain"), scene(), 0)


def test_a_path_and_its_name(tmp_path: Path) -> None:
    path = tmp_path / "kätzchen 2.png"
    path.write_bytes(encoded(Image.fromarray(scene()), "PNG"))
    before = path.read_bytes()
    assert close(read_picture(path), scene(), 0)
    assert path.read_bytes() == before
    path.write_bytes(b"rubbish")
    with pytest.raises(PictureError, match=r"kätzchen 2\.png is not a picture"):
        read_picture(path)


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises much more than is there."""
    data = bytearray(encoded(Image.new("RGB", (64, 64)), "PNG"))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize("size_wh", [(8001, 8001), (10_000, 10_000), (40_000, 40_000), (2**31 - 1, 2**31 - 1)])
def test_bombs_are_refused_by_their_header(size_wh: tuple[int, int]) -> None:
    with pytest.raises(PictureError, match=f"too large.*{MAX_MEGAPIXELS} megapixels"):
        read_picture(bomb(*size_wh), "bomb.png")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"hello", "not a picture"),
        (b"\x89PNG\r\n\x1a\n", "not a picture"),
        (b"%PDF-1.7\n...", "a PDF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG"),
        (b"<?xml version='1.0'?>\n<!-- x --><svg/>", "an SVG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "a HEIC"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "a video"),
        (b"8BPS\0\x01", "a Photoshop"),
        (encoded(Image.new("RGB", (400, 63)), "PNG"), "too small: 400×63"),
        (encoded(Image.new("RGB", (1, 1)), "PNG"), "too small: 1×1"),
        (encoded(Image.new("RGBA", (80, 80)), "PNG"), "wholly transparent"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n", "not a picture"),
    ],
)
def test_what_cannot_be_used_is_named(data: bytes, says: str) -> None:
    with pytest.raises(PictureError) as caught:
        read_picture(data, "thing.png")
    assert "thing.png" in caught.value.message and says in caught.value.message
    assert "\n" not in caught.value.message and "\n" not in caught.value.hint


def test_a_missing_file_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.png", tmp_path):
        with pytest.raises(PictureError, match="cannot be read"):
            read_picture(path)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"])
def test_cut_off_anywhere_is_an_error_and_never_a_crash(kind: str) -> None:
    rng = np.random.default_rng(3)
    noisy = Image.fromarray(rng.integers(0, 256, (70, 70, 3), np.uint8))
    data = encoded(noisy, kind)
    for length in {*range(0, min(len(data), 300), 7), *range(300, len(data) - 64, max(1, len(data) // 40))}:
        with pytest.raises(PictureError):
            read_picture(data[:length], "cut")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
def test_flipped_bytes_give_a_picture_or_an_error(kind: str) -> None:
    data = encoded(Image.fromarray(scene(64, 64)), kind)
    rng = np.random.default_rng(5)
    for _ in range(60):
        damaged = bytearray(data)
        for at in rng.integers(0, len(data), 3):
            damaged[at] = rng.integers(0, 256)
        try:
            assert read_picture(bytes(damaged), "flipped").shape[2] == 4
        except PictureError as error:
            assert "flipped" in error.message


def test_real_pictures(shared_media: Path) -> None:
    for path in sorted((shared_media / "characters").glob("*.jpg")):  # some of them are PNG inside
        rgba = read_picture(path)
        with Image.open(path) as image:
            assert rgba.shape == (image.height, image.width, 4)


def test_fitting_keeps_small_pictures_and_proportions() -> None:
    rgba = np.dstack([scene(), np.full((80, 96), 255, np.uint8)])
    assert fit_within(rgba, 96) is rgba
    assert fit_within(rgba, 48).shape == (40, 48, 4)
    assert close(fit_within(rgba, 48), scene(48, 40), 0)
    assert fit_within(np.zeros((64, 5000, 4), np.uint8), 20).shape == (1, 20, 4)


def test_fitting_leaves_no_fringe_of_hidden_colours() -> None:
    rgba = np.zeros((100, 100, 4), np.uint8)
    rgba[..., :3] = (0, 255, 0)  # a hidden green screen under alpha 0
    rgba[30:71, 30:71] = (200, 100, 50, 255)
    small = fit_within(rgba, 33)
    seen = small[..., 3] > 0
    assert (np.abs(small[seen][:, :3].astype(int) - (200, 100, 50)) <= 3).all()
    assert abs(small[..., 3].sum() / 255 * (100 / 33) ** 2 - 41 * 41) < 15


def test_flattening_over_a_colour_and_a_picture() -> None:
    rgba = np.zeros((40, 60, 4), np.uint8)
    rgba[..., :3] = (200, 100, 0)
    rgba[:, 20:40, 3] = 128
    rgba[:, 40:, 3] = 255
    over = flatten(rgba, (0, 0, 255))
    assert over.dtype == np.uint8 and over.shape == (40, 60, 3)
    assert (over[:, :20] == (0, 0, 255)).all() and (over[:, 40:] == (200, 100, 0)).all()
    assert (np.abs(over[:, 20:40].astype(int) - (100, 50, 127)) <= 1).all()
    for behind in (np.full((80, 80, 3), 9, np.uint8), np.full((20, 90, 4), 9, np.uint8)):
        assert (flatten(rgba, behind)[:, :20] == 9).all()
    opaque = np.dstack([scene(), np.full((80, 96), 255, np.uint8)])
    assert (flatten(opaque, (1, 2, 3)) == scene()).all()


def test_a_background_picture_covers_and_is_cropped_in_the_middle() -> None:
    wide = np.zeros((50, 200, 3), np.uint8)
    wide[:, 100:] = 250
    over = flatten(np.zeros((100, 100, 4), np.uint8), wide)
    assert over[:, :45].max() < 20 and over[:, 55:].min() > 230
