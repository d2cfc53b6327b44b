"""How good the assisted fit is against how steady the hand is: `python -m tests.bench.assisted MEDIA`.

Mean error over the visible points of each labelled picture in `tests/data/landmarks`, in percent of its eye distance,
averaged over the pictures; each is fitted without its own example. MEDIA is the folder that has `characters/s0.jpg` ...
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from faceshot.assisted import RECOMMENDED, fit
from tests.faceshot.faces import LABELLED, clicks_as_asked, clicks_on, eye_distance, labelled, near_eyes

NINE = (*RECOMMENDED, "mouth-left", "mouth-right")
WAYS = {
    "7, on the labels": (RECOMMENDED, clicks_on),
    "7, as the page asks": (RECOMMENDED, clicks_as_asked),
    "9, as the page asks": (NINE, clicks_as_asked),
}
NOISE = (0.0, 0.02, 0.04)  # standard deviation in x and in y, eye distances
TRIES = 2


def mean_error(way: str, noise: float, media: Path) -> float:
    names, clicks_of = WAYS[way]
    errors = []
    for name in LABELLED:
        picture = labelled(name, media)
        deviation = noise * eye_distance(picture.points)
        high = np.array(picture.rgb.shape[1::-1])
        for seed in range(TRIES if noise else 1):
            rng = np.random.default_rng(seed)
            clicks = {
                click: tuple(np.clip(np.array(xy) + rng.normal(0, deviation, 2), 0, high))
                for click, xy in clicks_of(picture.points, names).items()
            }
            found = fit(picture.rgb, clicks, picture.kind, without=(name,))
            errors.append(near_eyes(found.points_xy, picture.points)[picture.visible].mean())
    return float(np.mean(errors))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("media", type=Path)
    media = parser.parse_args().media
    table = {way: {f"{noise:.0%}": round(100 * mean_error(way, noise, media), 2) for noise in NOISE} for way in WAYS}
    print(json.dumps({"pictures": len(LABELLED), "tries": TRIES, "percent_of_eye_distance": table}, indent=2))


if __name__ == "__main__":
    main()
