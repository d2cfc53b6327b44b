"""Any picture a user may have, as straight-alpha RGBA; and the two things done to one: fitting and flattening.

Size limits are checked on the header, before a pixel is decoded. The file is only read, never written.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from faceshot.errors import PictureError
from faceshot.types import UInt8

__all__ = ["MAX_MEGAPIXELS", "MIN_SIDE_PX", "fit_within", "flatten", "read_picture"]

log = logging.getLogger(__name__)

MIN_SIDE_PX = 64
MAX_MEGAPIXELS = 64
MAX_FILE_MB = 100
# A closed list: some of Pillow's other readers start programs (EPS). JPEG covers the MPO of phones and stereo cameras.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
_CONVERT = "Save it as PNG or JPEG with any picture program and use that file."


def read_picture(source: Path | bytes, name: str = "") -> UInt8:
    """Decode a picture: upright by its EXIF orientation, in sRGB, 8 bits, first frame of an animation.

    Args:
        source: path or content of a file.
        name: what messages call it; the file's name when empty.

    Returns:
        (H, W, 4) uint8, straight alpha, sides of at least `MIN_SIDE_PX`, at most `MAX_MEGAPIXELS`.

    Raises:
        PictureError: not readable as a picture, too large, too small, or wholly transparent.
    """
    name = name or (source.name if isinstance(source, Path) else "The picture")
    data = _read_bytes(source, name)
    if kind := _unsupported_kind(data):
        raise PictureError(f"{name} is {kind}, which cannot be read.", _CONVERT)
    try:
        with warnings.catch_warnings():
            # Our own, lower limit follows; Pillow's warning would only add noise before it.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = _open(data)
    except Image.DecompressionBombError as bomb:
        pixels = re.search(r"\d{6,}", str(bomb))  # Pillow stops before it gives the sides away
        raise _too_large(name, f"{int(pixels[0]) // 1_000_000} megapixels" if pixels else "a bomb") from bomb
    except Exception as bad:  # on hostile input Pillow's plug-ins raise nearly anything
        raise PictureError(f"{name} is not a picture that can be read ({len(data)} bytes).", _CONVERT) from bad
    with image:
        _check_size(image.size, name)
        if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
            log.info("%s is animated; its first frame is used.", name)
        try:
            rgba = _to_rgba(image)
        except Exception as bad:
            raise PictureError(f"{name} is cut off or damaged ({type(bad).__name__}: {bad}).", _CONVERT) from bad
    if not rgba[..., 3].any():
        raise PictureError(f"{name} is wholly transparent.", "Use a picture with something on it.")
    return rgba


def _open(data: bytes) -> Image.Image:
    """Pillow registers its readers late and `formats` may only name registered ones: the common few, then all."""
    Image.preinit()
    try:
        return Image.open(io.BytesIO(data), formats=[name for name in _FORMATS if name in Image.OPEN])
    except UnidentifiedImageError:
        Image.init()
        return Image.open(io.BytesIO(data), formats=[name for name in _FORMATS if name in Image.OPEN])


def _read_bytes(source: Path | bytes, name: str) -> bytes:
    if isinstance(source, bytes):
        size, data = len(source), source
    else:
        try:
            size = source.stat().st_size
            data = source.read_bytes() if size <= MAX_FILE_MB << 20 else b""
        except OSError as bad:
            raise PictureError(f"{source} cannot be read: {bad.strerror or bad}.") from bad
    if size > MAX_FILE_MB << 20:
        raise PictureError(f"{name} has {size >> 20} MB, at most {MAX_FILE_MB} MB are allowed.", "Scale it down.")
    if not data:
        raise PictureError(f"{name} is empty (0 bytes).")
    return data


def _unsupported_kind(data: bytes) -> str:
    """What a well-known kind of file that is no picture for us is called; empty for everything else."""
    head = data[:512].lstrip()
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        return "a HEIC picture"
    if data[4:8] == b"ftyp" and data[8:12] not in (b"avif", b"avis"):
        return "a video"
    if head.startswith(b"%PDF"):
        return "a PDF"
    if head.startswith(b"<svg") or (head.startswith((b"<?xml", b"<!DOCTYPE svg")) and b"<svg" in data[:4096]):
        return "an SVG drawing"
    if head.startswith(b"8BPS"):
        return "a Photoshop file"
    return ""


def _check_size(size_wh: tuple[int, int], name: str) -> None:
    width, height = size_wh
    if width * height > MAX_MEGAPIXELS * 1_000_000:
        raise _too_large(name, f"{width}×{height}")
    if min(width, height) < MIN_SIDE_PX:
        raise PictureError(
            f"{name} is too small: {width}×{height}, each side needs {MIN_SIDE_PX} pixels.", "Use a larger picture."
        )


def _too_large(name: str, size: str) -> PictureError:
    return PictureError(
        f"{name} is too large: {size}, at most {MAX_MEGAPIXELS} megapixels are allowed.",
        "Scale it down; 1024 pixels on its longest side are plenty.",
    )


def _to_rgba(image: Image.Image) -> UInt8:
    image.load()
    profile = image.info.get("icc_profile")
    ImageOps.exif_transpose(image, in_place=True)  # a copy of a large photograph is a quarter of a gigabyte
    if image.mode.startswith(("I", "F")):
        image = Image.fromarray(_to_8_bits(np.asarray(image)))
    elif profile and image.mode in ("RGB", "RGBA", "CMYK"):
        image = _to_srgb(image, profile)
    # Pillow knows about Adobe's inverted CMYK and about the transparent colour of palette, grey and RGB pictures.
    rgba = image.convert("RGBA")
    image.close()
    return np.ascontiguousarray(rgba, np.uint8)


def _to_8_bits(values: np.ndarray) -> UInt8:
    """Grey values of 16 bits, 32 bits or floating point to 8 bits."""
    if values.dtype.kind == "f":
        top = 1.0 if values.max() <= 1.0 else 255.0
        return (np.nan_to_num(values) * (255.0 / top)).clip(0, 255).astype(np.uint8)
    if values.max() > 255:
        return (values.clip(0, 65535) >> 8).astype(np.uint8)
    return values.clip(0, 255).astype(np.uint8)


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Colours of a wide-gamut or print picture as a screen shows them; as stored when the profile is no good."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return image
        mode = "RGBA" if image.mode == "RGBA" else "RGB"
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=mode)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image
    return converted or image


def fit_within(rgba: UInt8, max_side: int) -> UInt8:
    """Scale down so that the longest side is at most `max_side` pixels; a smaller picture is returned as it is.

    Averages areas in premultiplied alpha, so the colour of transparent pixels does not bleed into the edge.
    """
    height, width = rgba.shape[:2]
    scale = max_side / max(height, width)
    if scale >= 1.0:
        return rgba
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    alpha = rgba[..., 3]
    if alpha.min() == 255:
        return np.asarray(cv2.resize(rgba, size_wh, interpolation=cv2.INTER_AREA), np.uint8)
    # 16 bits hold colour × alpha exactly at a quarter of what floats would take.
    premultiplied = np.multiply(rgba, alpha[..., None], dtype=np.uint16)
    premultiplied[..., 3] = alpha.astype(np.uint16) * 255
    small = cv2.resize(premultiplied, size_wh, interpolation=cv2.INTER_AREA).astype(np.float32)
    coverage = small[..., 3:] / 255.0
    colour = np.divide(small[..., :3], coverage, out=np.zeros_like(small[..., :3]), where=coverage > 0)
    return np.concatenate([colour, coverage], axis=2).round().clip(0, 255).astype(np.uint8)


def flatten(rgba: UInt8, background: tuple[int, int, int] | UInt8) -> UInt8:
    """Put a picture on a background.

    Args:
        rgba: (H, W, 4) uint8, straight alpha.
        background: an RGB colour, or a picture (any size, 3 or 4 channels; scaled and cropped to cover).

    Returns:
        (H, W, 3) uint8.
    """
    height, width = rgba.shape[:2]
    # OpenCV takes channels apart ten times as fast as a copy of a strided view does.
    colour, alpha = cv2.cvtColor(rgba, cv2.COLOR_RGBA2RGB), cv2.extractChannel(rgba, 3)
    if cv2.minMaxLoc(alpha)[0] == 255:
        return np.asarray(colour, np.uint8)
    if isinstance(background, tuple):
        behind = np.full((height, width, 3), background, np.uint8)
    else:
        behind = _cover(background[..., :3], (width, height))
    over = alpha.astype(np.float32) * np.float32(1 / 255)
    return np.asarray(cv2.blendLinear(colour, behind, over, 1.0 - over), np.uint8)


def _cover(picture: UInt8, size_wh: tuple[int, int]) -> UInt8:
    height, width = picture.shape[:2]
    if (width, height) == size_wh:
        return np.ascontiguousarray(picture)
    scale = max(size_wh[0] / width, size_wh[1] / height)
    enlarged = max(size_wh[0], round(width * scale)), max(size_wh[1], round(height * scale))
    resized = cv2.resize(picture, enlarged, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (enlarged[0] - size_wh[0]) // 2, (enlarged[1] - size_wh[1]) // 2
    return np.ascontiguousarray(resized[top : top + size_wh[1], left : left + size_wh[0]])
