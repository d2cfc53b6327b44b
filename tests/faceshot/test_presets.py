"""Expressions on a key, blended over a performer's own."""

from __future__ import annotations

import numpy as np
import pytest

from faceshot.errors import FaceshotError
from faceshot.motion import DELTA, GAZE, LIDS, ROTATION, SHAPES, delta_of, rest
from faceshot.presets import PRESETS, PresetMixer
from faceshot.puppeteer import MotionSettings, Puppeteer
from faceshot.topology import ARKIT_INDEX
from tests.faceshot.performer import character, perform

DT = 1 / 30


def settled(mixer: PresetMixer, motion: np.ndarray) -> np.ndarray:
    for _ in range(20):
        out = mixer.step(motion, DT)
    return out


def test_without_an_expression_nothing_is_touched():
    motion = rest()
    assert PresetMixer().step(motion, DT) is motion


@pytest.mark.parametrize("name", PRESETS)
def test_every_expression_comes_in_smoothly_and_goes_again(name):
    mixer, motion = PresetMixer(), rest()
    mixer.choose(name)
    steps = [mixer.step(motion, DT) for _ in range(20)]
    full = steps[-1] - motion
    assert np.abs(full).max() > 0.05
    largest = max(np.abs(b - a).max() for a, b in zip([motion, *steps], steps, strict=False))
    assert largest < 0.5 * np.abs(full).max(), "no jump"
    mixer.choose(None)
    assert np.array_equal(settled(mixer, motion), motion)


def test_a_wink_shuts_one_eye_and_leaves_gaze_and_head_to_the_performer():
    mixer, motion = PresetMixer(), rest()
    motion[ROTATION], motion[GAZE] = 0.2, 0.1
    mixer.choose("wink")
    out = settled(mixer, motion)
    assert out[LIDS][1] == 0.0 and out[LIDS][0] > 0.9  # the subject's left is image-right
    assert np.array_equal(out[ROTATION], motion[ROTATION]) and np.array_equal(out[GAZE], motion[GAZE])
    assert out[SHAPES][ARKIT_INDEX["eyeBlinkLeft"]] == 1.0


def test_speech_still_shows_under_a_smile():
    mixer, speaking = PresetMixer(), rest()
    delta_of(speaking)[66, 1] = 0.1
    mixer.choose("smile")
    smile, both = settled(mixer, rest()), settled(mixer, speaking)
    assert 0.04 < (both - smile)[DELTA].max() < 0.1


def test_one_expression_replaces_another_without_both_at_full_strength():
    mixer, motion = PresetMixer(), rest()
    mixer.choose("angry")
    angry = settled(mixer, motion)
    mixer.choose("surprised")
    halfway = mixer.step(motion, 0.09)
    surprised = settled(mixer, motion)
    brow = DELTA.start + 3 * 21 + 1
    assert surprised[brow] < halfway[brow] < angry[brow]


def test_an_unknown_expression_is_refused_and_the_old_one_stays():
    mixer = PresetMixer()
    mixer.choose("sad")
    with pytest.raises(FaceshotError, match="no expression 'smiel'") as caught:
        mixer.choose("smiel")
    assert "smile" in caught.value.hint
    assert mixer.name == "sad"


def test_a_character_smiles_while_nobody_is_there():
    puppeteer = Puppeteer(character(), MotionSettings(idle=False))
    puppeteer.presets.choose("smile")
    lost = perform(confidence=0.0)
    for _ in range(20):
        drive = puppeteer.step(lost, DT)
    corner = drive.expression_xy[[48, 54]] - character().points_xy[[48, 54]]
    assert (corner[:, 1] < -4).all(), "corners up"
    assert corner[0, 0] < -4 and corner[1, 0] > 4, "and apart"
