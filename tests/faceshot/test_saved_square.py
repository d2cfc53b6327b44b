"""A square that is saved with a character survives scaling, and a damaged one is none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from faceshot.character import resize
from faceshot.errors import PictureError
from faceshot.saved_square import saved_square, with_saved_square
from tests.fakes import a_character


def test_it_is_scaled_with_the_picture() -> None:
    character = with_saved_square(a_character(size_wh=(200, 100)), (20, -10, 80))
    assert saved_square(character) == pytest.approx([20, -10, 80])
    assert saved_square(resize(character, 100)) == pytest.approx([10, -5, 40])
    assert saved_square(with_saved_square(character, None)) is None


@pytest.mark.parametrize("square", [[1, 2], "abc", [0, 0, 8], [300, 0, 50], [0, 0, float("nan")], [0, 0, True], {}])
def test_what_is_no_square_is_refused(square: object) -> None:
    with pytest.raises(PictureError) as caught:
        with_saved_square(a_character(size_wh=(200, 100)), square)
    assert "raw it" in caught.value.hint


@pytest.mark.parametrize("share", [None, 3, "x", [0.1], [0.1, "a", 0.2], [0.1, 0.1, -0.5], [0, 0, float("inf")]])
def test_a_damaged_one_in_a_file_is_none(share: object) -> None:
    assert saved_square(replace(a_character(size_wh=(200, 100)), provenance={"square": share})) is None
