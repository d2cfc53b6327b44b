"""The bodies of the sub-commands. Each returns the exit code and prints for people, or JSON when asked.

`live.cli` imports this module only when a command runs; heavy imports are inside the functions that need them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from live.config import Config, load_config, with_changes
from live.progress import progress_bars, stage_bars
from live.terminal import GREEN, RED, YELLOW, colour, print_rows

__all__ = [
    "bench",
    "character_show",
    "devices",
    "doctor",
    "go_live",
    "kept_range",
    "models_list",
    "models_make_tiny",
    "models_pull",
    "models_verify",
    "read_config",
    "render",
]

OK, FAILED = 0, 1


def read_config(
    file: Path | None,
    sets: Sequence[str] | None,
    options: Mapping[str, object],
    kept: Mapping[str, object] | None = None,
) -> Config:
    """The configuration from what was kept, a file, the environment, `--set` and options, the later winning."""
    import os

    return load_config(file, sets or (), options, os.environ, kept)


def kept_range() -> Mapping[str, object]:
    """What the card *Range* was set to in the last show; a damaged file is told and not used."""
    from live.errors import LiveError
    from live.kept_range import KeptRange

    try:
        return KeptRange().read()
    except LiveError as error:
        print(colour(f"{error.message} {error.hint}", YELLOW, sys.stderr), file=sys.stderr)
        return {}


def go_live(config: Config, duration_s: float | None, stats_json: Path | None) -> int:
    """A show in the terminal; Ctrl-C is its normal end."""
    import asyncio

    from live.kept_range import KeptRange
    from live.onair import on_air

    asyncio.run(on_air(config, duration_s, stats_json, KeptRange().keep))
    return OK


def bench(config: Config, seconds: float, minutes: float, json_file: Path | None) -> int:
    """Measure, print the table, write the JSON."""
    from live.bench import measure, report
    from live.files import check_writable, write_json

    if json_file is not None:
        check_writable(json_file)
    if config.source.spec == "auto":
        config = with_changes(config, {"source.spec": "demo"})
        print("No --source was given: the demo is measured, which needs no tracker.", file=sys.stderr)
    with progress_bars() as bar:
        tasks: dict[str, Any] = {}

        def progress(run: str, part: float) -> None:
            if run not in tasks:
                tasks[run] = bar.add_task(run, total=1.0)
            bar.update(tasks[run], completed=part)

        result = measure(config, seconds, minutes, progress)
    print(report(result))
    if json_file is not None:
        write_json(json_file, result)
    return OK


def render(config: Config, drive: str, out: Path, overwrite: bool, others: Sequence[str] = ()) -> int:
    """Offline: every frame of the driver exactly once, with a progress bar for both passes.

    Args:
        others: drivers of the other people in the picture, from left to right.
    """
    from live.build import build_animator, build_tracker, check_animator, check_drivers, open_character
    from live.errors import ConfigError, SinkError
    from live.portrait_video import VIDEO_SUFFIXES
    from live.render import render as render_file
    from live.show import motion_settings

    if out.exists() and not overwrite:
        raise SinkError(f"{out} exists already.", "Replace it with --overwrite, or choose another name.")

    check_animator(config)
    if Path(config.character.spec).suffix.lower() in VIDEO_SUFFIXES:
        if others:
            raise ConfigError("In a video one person is moved, by one driver.", "Leave --with out, or give a picture.")
        return _render_portrait_video(config, drive, out, overwrite)
    if config.animator.kind == "svd":
        return _render_film(config, drive, out, overwrite, others)
    check_drivers(config, drive, *others)
    character = open_character(config.character.spec, config)
    animator = build_animator(config.animator.kind, config)
    try:
        with stage_bars() as progress:
            report = render_file(
                character,
                drive,
                out,
                lambda: build_tracker(config, progress),
                animator,
                motion_settings(config.motion, bool(config.motion.mirror)),  # files are not mirrored by themselves
                config.output.background,
                overwrite,
                progress,
                config.output.mirror,
                others,
            )
    finally:
        animator.close()
    found = f"face found in {report.with_face} of {report.frames}"
    print(f"{out}: {report.frames} frames, {report.duration_s:.1f} s; {found}")
    return OK


def _render_film(config: Config, drive: str, out: Path, overwrite: bool, others: Sequence[str]) -> int:
    """An animator that draws the clip as a whole, and goes on after a stop."""
    from live.build import build_film_animator, build_tracker, open_character
    from live.errors import ConfigError
    from live.film import render_film
    from live.show import motion_settings

    if others:
        raise ConfigError("The animator svd moves one person.", "Give one driver, or use --animator liveportrait.")
    character = open_character(config.character.spec, config)
    painter = build_film_animator(config)
    try:
        with stage_bars() as progress:
            report = render_film(
                character,
                drive,
                out,
                lambda: build_tracker(config, progress),
                painter,
                motion_settings(config.motion, bool(config.motion.mirror)),
                config.output.background,
                overwrite,
                progress,
                config.output.mirror,
                say=lambda text: print(text, file=sys.stderr),
            )
    finally:
        painter.close()
    print(f"{out}: {report.frames} frames, {report.duration_s:.1f} s; face found in {report.with_face}")
    return OK


def _render_portrait_video(config: Config, drive: str, out: Path, overwrite: bool) -> int:
    """The character is a video: its person moves as the driver does."""
    from live.build import build_tracker, build_video_editor
    from live.errors import ConfigError
    from live.portrait_video import render_portrait_video, unused_settings

    portrait = config.character.spec
    if config.animator.kind != "liveportrait":
        raise ConfigError(
            f"The character {portrait} is a video, which {config.animator.kind} cannot animate.",
            "Add --animator liveportrait, or give a picture.",
        )
    if unused := unused_settings(config):
        note = f"Not used, because a portrait video keeps its own: {', '.join(unused)}."
        print(colour(note, YELLOW, sys.stderr), file=sys.stderr)
    with stage_bars() as progress:
        report = render_portrait_video(
            portrait,
            drive,
            out,
            lambda: build_tracker(config),
            lambda: build_video_editor(config),
            overwrite,
            progress,
            config.output.mirror,
        )
    found = f"face found in {report.with_face} frames of {portrait}"
    print(f"{out}: {report.frames} frames, {report.duration_s:.1f} s; {found}")
    return OK


def models_list(as_json: bool) -> int:
    """The manifest, and what of it is here."""
    from dataclasses import asdict

    from faceshot import weights
    from faceshot.animators.svd.files import LISTINGS
    from faceshot.matching_files import GALLERY

    places = {entry.file: weights.find(entry.file) for entry in weights.MANIFEST}
    if as_json:
        print_json([{**asdict(e), "path": str(places[e.file]) if places[e.file] else None} for e in weights.MANIFEST])
        return OK
    rows: list[tuple[str, ...]] = [("KIND", "FILE", "MB", "LICENCE", "WHERE", "FOR")]
    for entry in weights.MANIFEST:
        where = str(places[entry.file] or "not here")
        rows.append((entry.kind, entry.file, f"{entry.size / 1e6:.1f}", entry.licence, where, entry.needed_by))
    print_rows(rows)
    print()
    for word, kinds in weights.GROUPS.items():
        print(f"{word}: {', '.join(kinds)}")
    for one in (GALLERY, *LISTINGS):
        print(f"{one.kind}: {one.repo}, whose hub is asked for sizes when it is pulled; {one.needed_by}")
    print(f"Searched: {', '.join(str(place) for place in weights.search_folders())}")
    return OK


def models_pull(kinds: Iterable[str]) -> int:
    """Fetch what is missing or damaged, with a progress bar a file."""
    from faceshot import weights
    from live.fetch import fetch

    folder = weights.search_folders()[0]
    for entry in _entries(kinds):
        path = weights.find(entry.file)
        if path is not None and weights.verify(entry, path) == "ok":
            print(f"{entry.file}: already here, {path}")
            continue
        with progress_bars() as bar:
            task = bar.add_task(entry.file, total=entry.size)

            def progress(done: int, bar: Any = bar, task: Any = task) -> None:
                bar.update(task, completed=done)

            try:
                path = fetch(entry, folder, progress)
            except KeyboardInterrupt:
                print("Stopped. The same command goes on where it was, if the server lets it.", file=sys.stderr)
                raise
        print(f"{entry.file}: {path}")
    return OK


TINY = {
    "matching": "faceshot.backbone_tiny:make_tiny",
    "liveportrait": "faceshot.animators.liveportrait.tiny:write_tiny",
    "svd": "faceshot.animators.svd.tiny:write_tiny",
}
"""Makers of tiny random models: a folder to the folders or files written."""


def models_make_tiny(kind: str, folder: Path) -> int:
    """Tiny models in the layout of the real ones."""
    import importlib

    from live.errors import ConfigError, LiveError, MissingExtra

    if kind not in TINY:
        raise ConfigError(f"There are no tiny models of kind {kind!r}.", f"Known: {', '.join(TINY)}")
    if folder.is_dir() and any(folder.iterdir()):
        raise LiveError(f"{folder} is not empty: real models might be in it.", "Name a new folder.")
    module, _, name = TINY[kind].partition(":")
    try:
        write = getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as missing:
        raise MissingExtra(
            f"{missing.name} is needed and not installed.", "Type: pip install 'faceshot-live[gpu]'"
        ) from None
    try:
        written = write(folder)
    except (OSError, RuntimeError) as error:
        raise LiveError(
            f"The models cannot be written to {folder}: {error}", "Name a folder you may write to."
        ) from None
    for path in written:
        print(path)
    print(f"Random weights, to try things out: export FACESHOT_MODELS={folder.absolute()}")
    return OK


def models_verify() -> int:
    """Compare every file that is here with the manifest; 1 when one differs."""
    from faceshot import weights

    wrong = 0
    rows: list[tuple[str, ...]] = []
    for entry in weights.MANIFEST:
        path = weights.find(entry.file)
        state = weights.verify(entry, path) if path else "missing"
        if path and state != "ok":
            wrong += 1
            rows.append((entry.file, state, f"{path}  → delete it, then: {weights.pull_command(entry)}"))
        else:
            rows.append((entry.file, state, str(path or weights.pull_command(entry))))
    print_rows(rows)
    return FAILED if wrong else OK


def _entries(kinds: Iterable[str]) -> list[Any]:
    import difflib

    from faceshot import weights
    from faceshot.animators.svd.files import LISTINGS
    from faceshot.matching_files import GALLERY
    from live.errors import ConfigError
    from live.fetch import list_hub

    listings = (GALLERY, *LISTINGS)
    asked = list(kinds) or list(weights.DEFAULT_KINDS)
    wanted = [one for kind in asked for one in weights.GROUPS.get(kind, (kind,))]
    known = sorted({*(entry.kind for entry in weights.MANIFEST), *weights.GROUPS, *(one.kind for one in listings)})
    for kind in wanted:
        if kind not in known:
            near = difflib.get_close_matches(kind, known, 1)
            guess = f" Did you mean {near[0]}?" if near else ""
            raise ConfigError(f"There is no model kind {kind!r}.{guess}", f"Known: {', '.join(known)}")
    listed = [entry for one in listings if one.kind in wanted for entry in list_hub(one)]
    return [*(entry for entry in weights.MANIFEST if entry.kind in wanted), *listed]


def print_json(value: object) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False))


def doctor(config: Config, as_json: bool) -> int:
    """Print the diagnosis line by line as it is made."""
    from dataclasses import asdict
    from functools import partial

    from faceshot import weights
    from live.bench import selftest
    from live.doctor import diagnose, usable
    from live.machine import this_machine

    marks = {"ok": ("ok  ", GREEN), "warn": ("warn", YELLOW), "fail": ("FAIL", RED)}
    cache = weights.search_folders(config.models.folder)[0]
    checks = []
    for check in diagnose(config, this_machine(config.models.folder), cache, partial(selftest, config)):
        checks.append(check)
        if not as_json:
            word, code = marks[check.status]
            print(f"{colour(word, code, sys.stdout)}  {check.name:<15}{check.detail}", flush=True)
            if check.cure:
                print(f"{'':<21}→ {check.cure}", flush=True)
    good = usable(checks)
    if as_json:
        print_json({"usable": good, "checks": [asdict(check) for check in checks]})
    else:
        warnings = sum(check.status == "warn" for check in checks)
        print()
        print(
            f"Ready: faceshot live{f'  (warnings: {warnings})' if warnings else ''}"
            if good
            else "Not usable yet: cure what is marked FAIL."
        )
    return OK if good else FAILED


def devices(as_json: bool) -> int:
    """List what can be named on the command line."""
    from live.devices import inventory

    found = inventory()
    if as_json:
        print_json(found)
        return OK
    rows: list[tuple[str, ...]] = []
    for camera in found["cameras"]:
        where = camera["path"] + ("" if camera["readable"] else "  no permission: sudo usermod -aG video $USER")
        rows.append((f"--source {camera['index']}", camera["name"], where))
    if not found["cameras"]:
        rows.append(("--source demo", "no camera found; the demo and video files always work"))
    for camera in found["virtual_cameras"]:
        rows.append(("--sink vcam", f"{camera['name']} (virtual camera)", camera["path"]))
    if not found["virtual_cameras"]:
        rows.append(("--sink vcam", "no virtual camera seen; `faceshot doctor` says how to get one"))
    rows += [(name, "character") for name in found["characters"]]
    rows += [(f"--source {name}", "motion clip") for name in found["clips"]]
    print_rows(rows)
    return OK


def character_show(spec: str, picture: Path | None, as_json: bool) -> int:
    """Say what a character is made of; optionally draw its landmarks."""
    import numpy as np

    from faceshot.character import open_character
    from live.files import check_new

    if picture is not None:
        check_new(picture)
    character = open_character(spec, calibrate=False)
    points = character.points_xy
    opaque = character.rgba[..., 3]
    shapes = {name: list(array.shape) for name, array in character.arrays.items()}
    facts = {
        "name": character.name,
        "kind": character.kind,
        "size_wh": list(character.size_wh),
        "transparent": f"{np.mean(opaque < 255):.0%}",
        "landmarks": int(character.visible.sum()),
        "missing": [int(i) for i in np.flatnonzero(~character.visible)],
        "face_width_px": round(float(np.linalg.norm(points[16] - points[0])), 1),
        "arrays": shapes,
        "provenance": dict(character.provenance),
    }
    if as_json:
        print_json({**facts, "points_xy": points.round(2).tolist()})
    else:
        missing = facts["missing"]
        rows = [
            ("name", character.name),
            ("kind", character.kind),
            ("size", f"{character.size_wh[0]}×{character.size_wh[1]} px, {facts['transparent']} not opaque"),
            ("landmarks", f"{facts['landmarks']} of {len(points)}" + (f", without {missing}" if missing else "")),
            ("face", f"{facts['face_width_px']} px wide"),
        ]
        rows += [(f"array {name}", "×".join(map(str, shape))) for name, shape in shapes.items()]
        rows += [(str(key), str(value)) for key, value in character.provenance.items()]
        print_rows(rows)
    if picture is not None:
        _draw_landmarks(character.rgba, points, character.visible, picture)
    return OK


def _draw_landmarks(rgba: Any, points_xy: Any, visible: Any, path: Path) -> None:
    from PIL import Image, ImageDraw

    from live.errors import LiveError

    image = Image.fromarray(rgba)
    draw = ImageDraw.Draw(image)
    radius = max(1.5, max(image.size) / 300)
    for (x, y), seen in zip(points_xy, visible, strict=True):
        box = (x - radius, y - radius, x + radius, y + radius)
        draw.ellipse(box, fill=(0, 255, 120, 255) if seen else (255, 60, 60, 255))
    try:
        image.save(path)
    except (OSError, ValueError) as error:
        raise LiveError(f"Cannot write {path}: {error}", "Name a .png file in a folder that exists.") from error
