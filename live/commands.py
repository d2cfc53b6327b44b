"""The bodies of the sub-commands. Each returns the exit code and prints for people, or JSON when asked.

`live.cli` imports this module only when a command runs; heavy imports are inside the functions that need them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from live.config import Config
from live.terminal import GREEN, RED, YELLOW, colour, print_rows

__all__ = [
    "bench",
    "character_show",
    "devices",
    "doctor",
    "go_live",
    "models_list",
    "models_pull",
    "models_verify",
    "read_config",
    "render",
]

OK, FAILED = 0, 1


def print_json(value: object) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False))


def doctor(config: Config, as_json: bool) -> int:
    """Print the diagnosis line by line as it is made."""
    import sys
    from dataclasses import asdict

    from faceshot import weights
    from live.bench import selftest
    from live.doctor import diagnose, usable
    from live.machine import this_machine

    marks = {"ok": ("ok  ", GREEN), "warn": ("warn", YELLOW), "fail": ("FAIL", RED)}
    checks = []
    for check in diagnose(config, this_machine(config.models.folder), weights.cache_folder(), selftest):
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
            f"Ready: faceshot live{f'  ({warnings} wishes open above)' if warnings else ''}"
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

    character = open_character(spec)
    points = character.points_xy
    opaque = character.rgba[..., 3]
    facts = {
        "name": character.name,
        "kind": character.kind,
        "size_wh": list(character.size_wh),
        "transparent": f"{np.mean(opaque < 255):.0%}",
        "landmarks": int(character.visible.sum()),
        "missing": [int(i) for i in np.flatnonzero(~character.visible)],
        "face_width_px": round(float(np.linalg.norm(points[16] - points[0])), 1),
        "arrays": {name: list(array.shape) for name, array in character.arrays.items()},
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
        rows += [(f"array {name}", "×".join(map(str, shape))) for name, shape in facts["arrays"].items()]
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
