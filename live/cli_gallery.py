"""`faceshot gallery`: its sub-commands, options and help. Bodies are in `live.matching_commands`, imported when run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from live.cli_options import BACKBONE, CONFIG, SETTINGS, matching_options

__all__ = ["gallery_app"]

gallery_app = typer.Typer(help="Appearance galleries of the diffusion matcher.", no_args_is_help=True)


@gallery_app.command("build")
def gallery_build(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="DOMAIN/NAME.png + NAME.json or NAME.npy.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="The gallery file, .safetensors.")],
    backbone: Annotated[str | None, BACKBONE] = None,
    mirror: Annotated[bool, typer.Option("--mirror/--no-mirror", help="Add each picture's mirror image.")] = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT when it is there already.")] = False,
    config: Annotated[Path | None, CONFIG] = None,
    settings: Annotated[list[str] | None, SETTINGS] = None,
) -> None:
    """Make an appearance gallery of pictures with landmarks. A run that was stopped goes on where it was.

    \b
    Example:
      faceshot gallery build pictures -o mine.safetensors
      faceshot render me.faceshot dog.mp4 -o out.mp4 --tracker matching --gallery mine.safetensors
    """
    from live import commands, matching_commands

    chosen = commands.read_config(config, settings, matching_options(backbone))
    raise typer.Exit(matching_commands.gallery_build(chosen, folder, out, mirror, overwrite))


@gallery_app.command("import")
def gallery_import(
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="With target_domains/ in it; default: where pull puts it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="OUT", help="Default: a named gallery, --gallery published.")
    ] = None,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="What --gallery will call it without -o.")
    ] = "published",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there already.")] = False,
    config: Annotated[Path | None, CONFIG] = None,
    settings: Annotated[list[str] | None, SETTINGS] = None,
) -> None:
    """Import the published features of FaceShot (sd21-plain); nothing in the files is executed."""
    from live import commands, matching_commands

    chosen = commands.read_config(config, settings, {})
    raise typer.Exit(matching_commands.gallery_import(chosen, folder, out, name, overwrite))


@gallery_app.command("show")
def gallery_show(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A gallery file, or the name of an imported one.")],
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="PNG", help="Write its pictures with their landmarks.")
    ] = None,
) -> None:
    """Say what a gallery holds: backbone, features, domains."""
    from live import matching_commands

    raise typer.Exit(matching_commands.gallery_show(file, picture))


@gallery_app.command("list")
def gallery_list() -> None:
    """Which galleries were imported, and for which backbones the built-in one was computed."""
    from live import matching_commands

    raise typer.Exit(matching_commands.gallery_list())
