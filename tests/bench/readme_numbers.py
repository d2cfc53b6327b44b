"""All measurements that the README states, in one command; the README is rewritten between its two markers.

    python -m tests.bench.readme_numbers --media ../shared/media --write

Runs `faceshot bench` (d10.mp4, with --minutes of endurance), `startup`, `fidelity` and `reenactment` beside this file
one after the other and keeps their JSON in --out; what is there already is not measured again unless --fresh. Run it on
a quiet machine: the load before the start is part of the result.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.fidelity import TARGET_GAIN

ROOT = Path(__file__).resolve().parents[2]
BEGIN, END = "<!-- numbers -->", "<!-- /numbers -->"


def measured(name: str, command: list[str], out: Path, fresh: bool) -> dict[str, Any]:
    """Run `command`, which writes `out`/`name`, unless it is there; the parsed JSON."""
    path = out / name
    if fresh or not path.exists():
        subprocess.run([sys.executable, *command, "--json", str(path)], check=True, cwd=ROOT)
    result: dict[str, Any] = json.loads(path.read_text())
    return result


def table(bench: dict[str, Any], startup: dict[str, Any], fidelity: dict[str, Any], reenactment: dict[str, Any]) -> str:
    """The section of the README, Markdown."""
    fast, live = bench["runs"]["fast"], bench["runs"]["realtime"]
    latency, stages = live["latency_ms"], live["stages"]
    long = bench["runs"].get("endurance")
    rss = max(run["rss_max_mb"] for run in bench["runs"].values())
    first = statistics.median(run["first_picture_s"] for run in startup["first_frame"])
    found = min(pair["found"] for pair in fidelity["pairs"])
    side = bench["config"]["animator"]["max_side_px"]
    rows = [
        (f"camera frame → tracked → {side}² RGBA, as fast as possible", f"{fast['fps_out']:.0f} fps", "60 fps"),
        ("frame available → rendered, 30 fps real time, p50 / p95 / p99",
         f"{latency['p50']:.1f} / {latency['p95']:.1f} / {latency['p99']:.1f} ms", "p95 25 ms"),
        ("of it tracking / retargeting / drawing, p50",
         " / ".join(f"{stages[name]['p50']:.1f}" for name in ("track", "retarget", "render")) + " ms", ""),
        ("memory", f"{rss:.0f} MB", "700 MB"),
        ("the help text (`--help`)", f"{statistics.median(startup['help_s']):.2f} s", "0.5 s"),
        ("return pressed → first picture at a viewer", f"{first:.1f} s", "4 s"),
        ("follows the driver: mean Pearson r of 20 pairs", f"{fidelity['mean_r']:.2f}", "0.90"),
        ("the lowest of these pairs", f"{min(pair['mean_r'] for pair in fidelity['pairs']):.2f}", "0.82"),
        ("a face is found in the result, least of 20 pairs", f"{found:.1%}", "99 %"),
    ]  # fmt: skip
    if long is not None:
        grown = (f"memory growth over {long['seconds'] / 60:.0f} minutes", f"{long['rss_growth_mb']:+.0f} MB", "none")
        rows.insert(4, grown)
    hardware, versions = bench["hardware"], bench["versions"]
    lines = [
        f"{hardware['cpu']}, {hardware['cores']} cores, no GPU, {hardware['os']}, Python {versions['python']}, "
        f"mediapipe {versions['mediapipe']}; load {hardware['load_before']} before, commit "
        f"{(bench['commit'] or 'unknown')[:10]}. `faceshot bench --source talk.mp4` measures your machine.",
        "",
        "| what | measured | wanted |",
        "|---|---|---|",
        *(f"| {name} | {value} | {target} |" for name, value, target in rows),
        "",
        f"Percentiles over the last 600 frames after {live['warmup_s']:.0f} s of warm-up.",
        "",
        *fidelity_table(fidelity),
        "",
        *reenactment_table(reenactment),
    ]
    return "\n".join(lines)


def fidelity_table(fidelity: dict[str, Any]) -> list[str]:
    """A row a driver, a column a character: mean r, then the lowest signal."""
    drivers = list(dict.fromkeys(pair["driver"] for pair in fidelity["pairs"]))
    characters = list(dict.fromkeys(pair["character"] for pair in fidelity["pairs"]))
    cells = {(pair["driver"], pair["character"]): pair for pair in fidelity["pairs"]}
    lines = [
        "The pairs are four human-like pictures and five drivers, whole clips; r is that of jaw, blink, smile, brows, "
        "yaw, pitch and roll as far as the driver moves them, seen by one tracker on driver and result "
        "([`fidelity.py`](tests/bench/fidelity.py)):",
        "",
        "| mean r, lowest signal | " + " | ".join(characters) + " |",
        "|---|" + "---|" * len(characters),
    ]
    for driver in drivers:
        row = [driver.split("_")[0]]
        for character in characters:
            pair = cells[driver, character]
            worst = min(pair["signals"], key=lambda name: float(pair["signals"][name]["r"]))
            row.append(f"**{pair['mean_r']:.2f}**, {worst} {pair['signals'][worst]['r']:.2f}")
        lines.append("| " + " | ".join(row) + " |")
    gains = []
    for name, (low, high) in TARGET_GAIN.items():
        found = [pair["signals"][name]["gain"] for pair in fidelity["pairs"] if name in pair["signals"]]
        gains.append(f"{name} {min(found):.2f} to {max(found):.2f} ({low} to {high})")
    return [*lines, "", "Range of the result over that of the driver, of all pairs (wanted): " + ", ".join(gains) + "."]


def reenactment_table(reenactment: dict[str, Any]) -> list[str]:
    """A row a clip: what a still first frame reaches, and what is reached here."""
    lines = [
        "The first frame of a clip as the character, the clip as its driver and as the truth; face and surroundings "
        "([`reenactment.py`](tests/bench/reenactment.py)):",
        "",
        "| clip | PSNR, first frame → drawn | SSIM, first frame → drawn |",
        "|---|---|---|",
    ]
    for name, clip in reenactment["clips"].items():
        psnr = f"{clip['still_psnr_db']:.1f} → {clip['psnr_db']:.1f} dB"
        lines.append(f"| {name.split('_')[0]} | {psnr} | {clip['still_ssim']:.3f} → {clip['ssim']:.3f} |")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure everything that the README states.")
    parser.add_argument("--media", type=Path, default=Path("../shared/media"))
    parser.add_argument("--out", type=Path, default=Path("out/numbers"), help="folder of the JSON files")
    parser.add_argument("--minutes", type=float, default=10.0, help="length of the endurance run; 0: none")
    parser.add_argument("--fresh", action="store_true", help="measure again what is there already")
    parser.add_argument("--write", action="store_true", help="write the table into the README, else print it")
    args = parser.parse_args(argv)
    out, media = args.out.absolute(), args.media.absolute()
    out.mkdir(parents=True, exist_ok=True)

    driver = str(media / "driving" / "d10.mp4")
    endurance = ["--minutes", str(args.minutes)]
    bench = measured("bench.json", ["-m", "live", "bench", "--source", driver, *endurance], out, args.fresh)
    startup = measured("startup.json", ["-m", "tests.bench.startup"], out, args.fresh)
    fidelity = measured("fidelity.json", ["-m", "tests.bench.fidelity", "--media", str(media)], out, args.fresh)
    command = ["-m", "tests.bench.reenactment", "--media", str(media)]
    reenactment = measured("reenactment.json", command, out, args.fresh)
    text = table(bench, startup, fidelity, reenactment)
    if not args.write:
        print(text)
        return 0
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
