"""Several faces keep their slots, whatever order they come in."""

import numpy as np
import pytest

from faceshot.same_faces import KEEP_S, SameFaces, Spot


def followed(most: int, frames, step_ms: int = 33) -> list[list[str | None]]:
    """Who is in each slot, frame by frame. A frame is name to (x, y, width), in the order in which they are found."""
    same = SameFaces(most)
    out = []
    for n, frame in enumerate(frames):
        names = list(frame)
        slots = same.assign([Spot(*frame[name]) for name in names], n * step_ms)
        out.append([None if i is None else names[i] for i in slots])
    return out


def test_nobody_and_then_somebody():
    assert followed(3, [{}, {"a": (100, 100, 80)}, {}]) == [[None] * 3, ["a", None, None], [None] * 3]


def test_the_order_in_which_they_are_found_is_nothing():
    left, right = (100, 100, 80), (400, 120, 90)
    frames = [{"b": right, "a": left}, {"a": left, "b": right}, {"b": right, "a": left}]
    assert followed(2, frames) == [["a", "b"]] * 3, "and at first they sit from left to right"


@pytest.mark.parametrize("step_ms", [33, 100])
def test_two_that_pass_each_other_are_not_swapped(step_ms: int):
    """One walks before the other, both in view: at ten frames a second the nearest face is the wrong one."""
    frames = []
    for t in np.arange(0, 1.5, step_ms / 1000):
        frames.append({"b": (500 - 400 * t, 140, 80), "a": (100 + 400 * t, 90, 80)})
    far = frames[len(frames) // 2 - 1 : len(frames) // 2 + 1]
    if step_ms == 100:
        still = SameFaces(2)
        still.assign([Spot(*far[0][name]) for name in "ab"], 0)
        assert still.assign([Spot(*far[1][name]) for name in "ab"], 100) == [1, 0], "this hypothesis can fail"
    assert followed(2, frames, step_ms)[1:] == [["a", "b"]] * (len(frames) - 1)


def test_who_is_hidden_behind_another_comes_out_as_himself():
    """While they overlap the tracker sees one face, or lays two onto it."""
    for on_one in (False, True):
        frames = []
        for t in np.arange(0, 1.5, 0.033):
            a, b = (100 + 300 * t, 100, 90), (450 - 200 * t, 105, 80)
            if abs(a[0] - b[0]) > 75:
                frames.append({"b": b, "a": a} if len(frames) % 2 else {"a": a, "b": b})
            else:
                frames.append({"a": a, "copy": (a[0] + 3, a[1], 88)} if on_one else {"a": a})
        seen = followed(2, frames)
        assert [None, "a"] not in seen and ["b", "a"] not in seen
        assert seen[0] == seen[-1] == ["a", "b"] and ["a", None] in seen


def test_a_stranger_displaces_nobody():
    a, b, stranger = (100, 100, 80), (300, 100, 80), (560, 60, 50)
    frames = [{"a": a, "b": b}] * 3 + [{"stranger": stranger, "a": a, "b": b}] * 3
    frames += [{"stranger": stranger, "b": b}] * 10 + [{"stranger": stranger, "b": b, "a": a}] * 3
    seen = followed(2, frames)
    assert seen[:6] == [["a", "b"]] * 6
    assert seen[6:16] == [[None, "b"]] * 10, "a lost face keeps its place for a while"
    assert seen[16:] == [["a", "b"]] * 3


def test_after_a_while_a_lost_face_s_place_is_free():
    a, b, new = (100, 100, 80), (300, 100, 80), (900, 100, 80)
    away = [{"b": b}] * round(KEEP_S / 0.1 + 2)
    seen = followed(2, [{"a": a, "b": b}, *away, {"b": b, "new": new}, {"a": a, "b": b, "new": new}], 100)
    assert seen[-2:] == [["new", "b"]] * 2, "and he who comes back too late finds it taken"
    seen = followed(2, [{"a": a, "b": b}, *away, {"b": b, "a": new}], 100)
    assert seen[-1] == ["a", "b"], "who comes back late, and elsewhere, gets the free place"


def test_who_walks_while_unseen_is_known_by_how_far_one_can_walk():
    frames = [{"a": (100, 100, 80)}, *[{}] * 20, {"a": (500, 100, 80)}]
    assert followed(2, frames, 100)[-1] == ["a", None], "two seconds for five faces"
    assert followed(2, [frames[0], {}, frames[-1]], 100)[-1] == [None, "a"], "but not at once"


def test_nobody_takes_over_a_place_by_walking_past_it():
    """Where somebody was lost a moment ago another face comes by, just there."""
    frames = [{"a": (100, 100, 80), "b": (400, 100, 80)}] * 2
    frames += [{"a": (100 + 20 * n, 100, 80)} for n in range(1, 26)]
    assert {row[0] for row in followed(2, frames)} == {"a"}
    assert [row[1] for row in followed(2, frames)][2:] == [None] * 25


def test_forgetting_everybody():
    same = SameFaces(2)
    same.assign([Spot(400, 0, 80)], 0)
    assert same.assign([Spot(100, 0, 80), Spot(400, 0, 80)], 33) == [1, 0]
    same.reset()
    assert same.assign([Spot(400, 0, 80), Spot(100, 0, 80)], 66) == [1, 0]
