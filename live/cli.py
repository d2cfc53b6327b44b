"""The `faceshot` command: its sub-commands, options and help. Bodies are in `live.commands`, imported when run.

Exit codes: 0 done (Ctrl-C is how a show ends), 1 failed (stderr says why), 2 wrong usage or settings, 130 interrupted.
Nothing heavy is imported here: `faceshot --help` answers at once.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from live.cli_gallery import gallery_app
from live.cli_options import AS_JSON, BACKBONE, CONFIG, DOMAIN, GALLERY, SETTINGS, TRACKER, matching_options

__all__ = ["app", "main"]

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

ABOUT = """One picture of any character becomes a live puppet.

\b
  faceshot live                          webcam if there is one, else the demo; opens the control page
  faceshot live me.png --source 0        your own picture, camera 0
  faceshot live miso --source talk.mp4   a video file instead of a camera
  faceshot live mika --sink vcam         also into Zoom, Meet, Discord
  faceshot live --lan                    a phone is the camera, others watch: prints a code to scan
  faceshot render miso talk.mp4 -o out.mp4
  faceshot doctor                        what is missing, and the command that cures it

Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 130 interrupted. Add --debug anywhere for logs and tracebacks.
"""

app = typer.Typer(
    name="faceshot",
    help=ABOUT,
    rich_markup_mode=None,  # the boxed help costs 0.2 s of imports
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
models_app = typer.Typer(help="Model files: what there is, fetch them, check them.", no_args_is_help=True)
character_app = typer.Typer(help="Character files.", no_args_is_help=True)

ANIMATOR = typer.Option("--animator", metavar="KIND", help="What draws the character: warp, liveportrait, svd.")


def _show_version(value: bool) -> None:
    if value:
        from importlib import metadata

        try:
            print(f"faceshot {metadata.version('faceshot-live')}")
        except metadata.PackageNotFoundError:
            print("faceshot, run from its folder without being installed")
        raise typer.Exit(OK)


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(short_help="Go live: a face moves a character, in the browser, OBS, Zoom or a file.")
def live(
    character: Annotated[
        str | None, typer.Argument(metavar="CHARACTER", help="Bundled name, picture or .faceshot file.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source", "-s", help="demo, phone, a camera index or name, or a path. Default: webcam, else demo."
        ),
    ] = None,
    sink: Annotated[
        list[str] | None,
        typer.Option(
            "--sink",
            metavar="SPEC",
            help="vcam, null, out.mp4 or out.webm. Repeat for more; the browser viewer is always on.",
        ),
    ] = None,
    animator: Annotated[str | None, ANIMATOR] = None,
    config: Annotated[Path | None, CONFIG] = None,
    settings: Annotated[list[str] | None, SETTINGS] = None,
    duration: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0.1, help="Stop by itself after that long.")
    ] = None,
    stats_json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the measurements there at the end, Ctrl-C included.")
    ] = None,
    open_browser: Annotated[
        bool | None, typer.Option("--open/--no-open", help="Open the control page (when there is a desktop).")
    ] = None,
    lan: Annotated[
        bool | None, typer.Option("--lan", help="Let phones and viewers on the local network in: HTTPS, by a code.")
    ] = None,
    cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Certificate (PEM) for --lan; default: one made here.")
    ] = None,
    key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its private key (PEM).")] = None,
) -> None:
    """Go live: a face moves a character.

    \b
    Examples:
      faceshot live
      faceshot live miso --source 0
      faceshot live me.png --source "HD Webcam" --sink vcam
      faceshot live mika --source talk.mp4 --sink take.webm --duration 20
      faceshot live --lan
      faceshot live --set server.port=9000 --set output.background=#00ff00

    In OBS add a Browser source with the printed /view address: the background is really transparent.
    End the show with Ctrl-C.
    """
    from live import commands

    options: dict[str, object] = {
        "character.spec": character,
        "source.spec": source,
        "output.sinks": tuple(sink) if sink else None,
        "animator.kind": animator,
        "server.open_browser": open_browser,
        "server.lan": lan,
        "server.cert": cert,
        "server.key": key,
    }
    chosen = commands.read_config(config, settings, options, commands.kept_range())
    raise typer.Exit(commands.go_live(chosen, duration_s=duration, stats_json=stats_json))


@app.command(short_help="Offline: a video of a face moves a character, into a video file.")
def render(
    character: Annotated[
        str, typer.Argument(metavar="CHARACTER", help="Bundled name, picture, .faceshot file; or a video.")
    ],
    drive: Annotated[str, typer.Argument(metavar="DRIVE", help="Video of a face, or a motion clip.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="OUT", help="out.mp4, or out.webm with transparency.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT when it is there already.")] = False,
    others: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="DRIVE", help="Driver of the next person in the picture. Repeat for more."),
    ] = None,
    animator: Annotated[str | None, ANIMATOR] = None,
    tracker: Annotated[str | None, TRACKER] = None,
    backbone: Annotated[str | None, BACKBONE] = None,
    gallery: Annotated[str | None, GALLERY] = None,
    domain: Annotated[str | None, DOMAIN] = None,
    config: Annotated[Path | None, CONFIG] = None,
    settings: Annotated[list[str] | None, SETTINGS] = None,
) -> None:
    """Render a video offline: every driver frame exactly once, the driver's frame rate and sound kept.

    \b
    Examples:
      faceshot render miso talk.mp4 -o miso.mp4
      faceshot render me.png talk.mp4 -o me.webm --set animator.max_side_px=1024
      faceshot render miso dog.mp4 -o dog.mp4 --tracker matching --domain animal
      faceshot render portrait.mp4 talk.mp4 -o out.mp4 --animator liveportrait
      faceshot render me.png talk.mp4 -o out.mp4 --animator svd
    """
    from live import commands

    options: dict[str, object] = {
        "character.spec": character,
        "source.spec": drive,
        "animator.kind": animator,
        **matching_options(backbone, gallery, domain, tracker),
    }
    chosen = commands.read_config(config, settings, options)
    raise typer.Exit(commands.render(chosen, drive, out, overwrite, others or ()))


@app.command(short_help="The retargeted landmarks of a driver, for other animators.")
def landmarks(
    character: Annotated[str, typer.Argument(metavar="CHARACTER", help="Bundled name, picture or .faceshot file.")],
    drive: Annotated[str, typer.Argument(metavar="DRIVE", help="Video of a face, or a motion clip.")],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="OUT", help="out.npz, out.json, out.npy (MOFA), out.mp4 or a folder (poses)."
        ),
    ],
    style: Annotated[
        str, typer.Option("--style", metavar="STYLE", help="Of drawn poses: mofa or aniportrait.")
    ] = "mofa",
    size: Annotated[
        int | None,
        typer.Option(
            "--size", metavar="PX", min=64, max=2048, help="Fit into a square; default 512 for npy and poses."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT when it is there already.")] = False,
    tracker: Annotated[str | None, TRACKER] = None,
    backbone: Annotated[str | None, BACKBONE] = None,
    gallery: Annotated[str | None, GALLERY] = None,
    domain: Annotated[str | None, DOMAIN] = None,
    config: Annotated[Path | None, CONFIG] = None,
    settings: Annotated[list[str] | None, SETTINGS] = None,
) -> None:
    """Write the character's landmarks, frame by frame, as the driver moves them: numbers, or pose pictures.

    \b
    Examples:
      faceshot landmarks miso talk.mp4 -o miso.npz
      faceshot landmarks miso talk.mp4 -o miso.npy             for MOFA-Video: (M, 68, 2) px of a 512² picture
      faceshot landmarks miso talk.mp4 -o poses --style mofa   a folder of drawn poses and the picture they fit
      faceshot landmarks ada talk.mp4 -o poses.mp4 --style aniportrait
    """
    from live import commands, matching_commands

    options: dict[str, object] = {
        "character.spec": character,
        "source.spec": drive,
        **matching_options(backbone, gallery, domain, tracker),
    }
    chosen = commands.read_config(config, settings, options)
    raise typer.Exit(matching_commands.landmarks(chosen, drive, out, style, size, overwrite))


@app.command(short_help="Check this machine and say what cures what is missing.")
def doctor(
    as_json: Annotated[bool, AS_JSON] = False,
    config: Annotated[Path | None, CONFIG] = None,
    settings: Annotated[list[str] | None, SETTINGS] = None,
) -> None:
    """Check this machine: packages, tracker, cameras, virtual camera, ports, and a short show without devices.

    Exit code 0 when a show can run (warnings included), 1 when not.
    """
    from live import commands

    raise typer.Exit(commands.doctor(commands.read_config(config, settings, {}), as_json=as_json))


@app.command(short_help="List cameras, virtual cameras, characters and motion clips.")
def devices(as_json: Annotated[bool, AS_JSON] = False) -> None:
    """List what --source and --sink can name here."""
    from live import commands

    raise typer.Exit(commands.devices(as_json=as_json))


@app.command(short_help="Measure this machine: fps, latency, memory of the whole path.")
def bench(
    source: Annotated[
        str | None,
        typer.Option(
            "--source", "-s", metavar="SPEC", help="A video of a face. Default: the demo, which needs no tracker."
        ),
    ] = None,
    character: Annotated[
        str | None, typer.Option("--character", metavar="CHARACTER", help="Bundled name, picture or .faceshot file.")
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the measurements there.")
    ] = None,
    seconds: Annotated[float, typer.Option(metavar="S", min=1, help="Length of each of the two runs.")] = 25.0,
    minutes: Annotated[
        float, typer.Option(metavar="MIN", min=0, help="Then run that long and watch memory grow.")
    ] = 0.0,
    animator: Annotated[str | None, ANIMATOR] = None,
    config: Annotated[Path | None, CONFIG] = None,
    settings: Annotated[list[str] | None, SETTINGS] = None,
) -> None:
    """Measure the whole path, camera frame -> tracked -> rendered pixels, as fast as possible and at 30 fps.

    \b
    Examples:
      faceshot bench --source talk.mp4
      faceshot bench --source talk.mp4 --minutes 10 --json bench.json
    """
    from live import commands

    options: dict[str, object] = {"source.spec": source, "character.spec": character, "animator.kind": animator}
    chosen = commands.read_config(config, settings, options)
    raise typer.Exit(commands.bench(chosen, seconds=seconds, minutes=minutes, json_file=json_file))


@models_app.command("list")
def models_list(as_json: Annotated[bool, AS_JSON] = False) -> None:
    """What model files the program knows, and which are here."""
    from live import commands

    raise typer.Exit(commands.models_list(as_json=as_json))


@models_app.command("pull")
def models_pull(
    kinds: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KIND...", help="Names from `models list`, e.g. matching; none: what the tracker needs."
        ),
    ] = None,
) -> None:
    """Fetch model files, with a progress bar, checked against their sha256."""
    from live import commands

    raise typer.Exit(commands.models_pull(kinds or []))


@models_app.command("verify")
def models_verify() -> None:
    """Compare the files that are here with their sha256."""
    from live import commands

    raise typer.Exit(commands.models_verify())


@models_app.command("make-tiny")
def models_make_tiny(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="matching, liveportrait, svd.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Gets the layout of a models folder.")],
) -> None:
    """Write small random models in the real layout, to try the whole path without a download; results mean nothing."""
    from live import commands

    raise typer.Exit(commands.models_make_tiny(kind, folder))


@character_app.command("show")
def character_show(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Bundled name, picture or .faceshot file.")],
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="PNG", help="Write the picture with its landmarks drawn in.")
    ] = None,
    as_json: Annotated[bool, AS_JSON] = False,
) -> None:
    """Say what is in a character: size, kind, landmarks, where they come from."""
    from live import commands

    raise typer.Exit(commands.character_show(file, picture=picture, as_json=as_json))


@character_app.command("new")
def character_new(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="Any picture of a face; it is only read.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Default: IMAGE with .faceshot at its end.")
    ] = None,
    landmarks: Annotated[
        Path | None,
        typer.Option(metavar="JSON", help="68, 70 or 98 (WFLW) points that you have already, in pixels of IMAGE."),
    ] = None,
    clicks: Annotated[
        str | None,
        typer.Option(
            metavar="CLICKS", help='4 to 9 places for the assisted fit: "left-eye=120,80 right-eye=190,82 ..."'
        ),
    ] = None,
    matcher: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this one: file, mediapipe, diffusion or fit.")
    ] = None,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="human, anime, animal, emoji or toy.")] = None,
    matte: Annotated[
        str, typer.Option(metavar="HOW", help="What cuts the background away: auto, alpha, grabcut or rembg.")
    ] = "auto",
    threshold: Annotated[
        float, typer.Option("--matte-threshold", min=0, max=1, help="0 cuts little away, 1 much.")
    ] = 0.5,
    keep_background: Annotated[bool, typer.Option("--keep-background", help="Cut nothing away.")] = False,
    backbone: Annotated[str | None, BACKBONE] = None,
    gallery: Annotated[str | None, GALLERY] = None,
    domain: Annotated[str | None, DOMAIN] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace FILE when it is there already.")] = False,
    as_json: Annotated[bool, AS_JSON] = False,
    config: Annotated[Path | None, CONFIG] = None,
    settings: Annotated[list[str] | None, SETTINGS] = None,
) -> None:
    """Make a character of any picture: landmarks by whatever is at hand, and the background cut away.

    \b
    Examples:
      faceshot character new me.jpg
      faceshot character new cat.png --kind animal --clicks "left-eye=120,80 right-eye=190,82 nose=155,120 chin=154,160"
      faceshot character new robot.png --landmarks points.json --keep-background
      faceshot character new dog.jpg --matcher diffusion --domain animal --set matching.device=cpu

    Says which matcher placed the landmarks and how sure it is of each part; `faceshot character edit` puts them right.
    """
    from live import character_commands as body
    from live import commands

    chosen = commands.read_config(config, settings, matching_options(backbone, gallery, domain))
    wish = body.wish(chosen, landmarks, clicks, matcher, kind, matte, threshold, keep_background)
    raise typer.Exit(body.character_new(image, out, wish, overwrite, as_json))


@character_app.command("edit")
def character_edit(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Bundled name, picture or .faceshot file.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port; 0 picks a free one.")] = 0,
    open_browser: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in a browser.")] = True,
) -> None:
    """Put landmarks right by hand, in the browser, with a live preview. Saving keeps the old version."""
    from live import character_commands as body

    raise typer.Exit(body.character_edit(file, port, open_browser))


app.add_typer(character_app, name="character")
app.add_typer(models_app, name="models")
app.add_typer(gallery_app, name="gallery")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the result is the exit code. Every failure ends in one or two lines on stderr."""
    from faceshot.errors import FaceshotError
    from live.errors import ConfigError

    args = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in args or bool(os.environ.get("FACESHOT_DEBUG"))
    args = [arg for arg in args if arg != "--debug"]
    _set_up_logging(debug)
    try:
        code: Any = app(args, prog_name="faceshot", standalone_mode=False)
        return code if isinstance(code, int) else OK
    except (KeyboardInterrupt, typer.Abort):
        return _failed(INTERRUPTED, "interrupted")
    except FaceshotError as error:
        if debug:
            raise
        return _failed(USAGE if isinstance(error, ConfigError) else FAILED, error.message, error.hint)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader (head, less) has seen enough
        return FAILED
    except Exception as error:
        if type(error).__name__ == "NoArgsIsHelpError":
            print(error.ctx.get_help(), file=sys.stderr)  # type: ignore[attr-defined]
            return USAGE
        usage = _usage_error(error)
        if usage is not None:
            return _failed(USAGE, *usage)
        if debug:
            raise
        again = f"faceshot --debug {shlex.join(args)}"
        what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return _failed(FAILED, f"unexpected: {what}", f"This is a defect. The whole story: {again}")


def _failed(code: int, message: str, hint: str = "") -> int:
    from live.terminal import print_error

    print_error(message, hint)
    return code


def _usage_error(error: Exception) -> tuple[str, str] | None:
    """Message and hint of a mistake on the command line; typer keeps the class of these errors to itself."""
    format_message = getattr(error, "format_message", None)
    if format_message is None:
        return None
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "faceshot"
    return str(format_message()), f"{command} --help"


def _set_up_logging(debug: bool) -> None:
    import logging

    level = logging.DEBUG if debug else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
