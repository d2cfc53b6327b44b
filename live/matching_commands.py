"""Bodies of the sub-commands around landmarks and their matcher: `landmarks` and `gallery`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

from live.config import Config
from live.errors import ConfigError, LiveError
from live.progress import stage_bars
from live.terminal import print_rows

__all__ = ["gallery_build", "gallery_import", "gallery_list", "gallery_show", "landmarks"]

OK: Final = 0


def landmarks(config: Config, drive: str, out: Path, style: str, size: int | None, overwrite: bool) -> int:
    """Export the retargeted sequence."""
    from live.build import build_tracker, open_character
    from live.landmarks_export import export_landmarks
    from live.show import motion_settings

    character = open_character(config.character.spec, config)
    motion = motion_settings(config.motion, bool(config.motion.mirror))  # files are not mirrored by themselves
    with stage_bars() as progress:
        frames = export_landmarks(
            character, drive, out, lambda: build_tracker(config, progress), motion, style, size, overwrite, progress
        )
    print(f"{out}: {frames} frames of {character.name}")
    return OK


def gallery_build(config: Config, folder: Path, out: Path, mirror: bool, overwrite: bool) -> int:
    """Make a gallery of a folder of pictures."""
    from faceshot.backbone import load_backbone
    from faceshot.gallery_build import build_gallery, read_samples
    from live.files import check_writable

    if out.suffix != ".safetensors":
        raise ConfigError(f"{out} does not end in .safetensors.", "Galleries are safetensors files.")
    if out.exists() and not overwrite:
        raise LiveError(f"{out} exists already.", "Replace it with --overwrite, or choose another name.")
    check_writable(out)
    chosen = config.matching
    try:
        samples = read_samples(folder, config.models.folder)
        backbone = load_backbone(chosen.backbone, config.models.folder, chosen.device, chosen.dtype, keep=True)
        with stage_bars() as progress:
            gallery = build_gallery(samples, backbone, out, mirror=mirror, progress=progress)
    except KeyboardInterrupt:
        print("Stopped. The same command goes on where it was.", file=sys.stderr)
        raise
    domains = ", ".join(gallery.domains)
    print(f"{out}: {len(samples)} pictures{' and their mirror images' if mirror else ''}, domains: {domains}")
    print(f"Use it with --tracker matching --backbone {gallery.backbone} --gallery {out}")
    return OK


def gallery_import(config: Config, folder: Path | None, out: Path | None, name: str, overwrite: bool) -> int:
    """Import the published features."""
    from faceshot import weights
    from faceshot.gallery import import_published, save_gallery
    from faceshot.gallery_build import galleries_folder
    from faceshot.matching_files import GALLERY

    if folder is None:
        places = [place / GALLERY.folder for place in weights.search_folders(config.models.folder)]
        folder = next((place for place in places if place.is_dir()), places[0])
    if out is not None and out.suffix != ".safetensors":
        raise ConfigError(f"{out} does not end in .safetensors.", "Galleries are safetensors files.")
    if not name or Path(name).name != name:
        raise ConfigError(f"--name {name!r} is no plain name.", "Say where the file goes with -o instead.")
    path = out or galleries_folder() / f"{name}.safetensors"
    if path.exists() and not overwrite:
        raise LiveError(f"{path} exists already.", "Replace it with --overwrite, or choose another name.")
    gallery = import_published(folder, name)
    save_gallery(gallery, path)
    print(f"{path}: domains {', '.join(gallery.domains)}")
    print(f"Use it with --tracker matching --backbone {gallery.backbone} --gallery {out or name}")
    return OK


def gallery_list() -> int:
    """Say which galleries have a name here."""
    from faceshot.errors import GalleryError
    from faceshot.gallery import load_gallery
    from faceshot.gallery_build import galleries_folder, kept_galleries

    rows: list[tuple[str, ...]] = [("NAME", "BACKBONE", "DOMAINS")]
    for path in kept_galleries():
        try:
            gallery = load_gallery(path)
            rows.append((path.stem, gallery.backbone, ", ".join(gallery.domains)))
        except GalleryError as error:
            rows.append((path.stem, "", error.message))
    if len(rows) > 1:
        print_rows(rows)
    else:
        print(
            "None yet: the built-in gallery is computed when it is first used; faceshot gallery import brings another."
        )
    print(f"In {galleries_folder()}")
    return OK


def gallery_show(spec: str, picture: Path | None) -> int:
    """Say what a gallery holds."""
    from faceshot.gallery import load_gallery
    from faceshot.gallery_build import describe, find_gallery
    from live.files import check_new

    if picture is not None:
        check_new(picture)
    gallery = load_gallery(find_gallery(spec))
    print_rows(list(describe(gallery)))
    if picture is not None:
        _draw(gallery, picture)
    return OK


def _draw(gallery: Any, path: Path) -> None:
    """All pictures of a gallery side by side, landmarks in them."""
    import numpy as np
    from PIL import Image, ImageDraw

    references = gallery.references
    if references is None:
        raise LiveError(f"The gallery {gallery.name} has no pictures, only features.", "Leave --picture out.")
    tile = 192
    columns = min(8, len(references.squares))
    rows = -(-len(references.squares) // columns)
    sheet = Image.new("RGB", (columns * tile, rows * tile))
    for i, square in enumerate(references.squares):
        image = Image.fromarray(square).resize((tile, tile), Image.Resampling.LANCZOS)
        draw = ImageDraw.Draw(image)
        scale = tile / square.shape[0]
        for x, y in references.points_xy[i][references.visible[i]] * np.float32(scale):
            draw.ellipse((x - 1, y - 1, x + 1, y + 1), fill=(0, 255, 120))
        draw.text((4, 2), gallery.domains[int(references.domain[i])], fill=(255, 255, 0), stroke_width=1, stroke_fill=0)
        sheet.paste(image, ((i % columns) * tile, (i // columns) * tile))
    try:
        sheet.save(path)
    except (OSError, ValueError) as error:
        raise LiveError(f"Cannot write {path}: {error}", "Name a .png file in a folder that exists.") from error
