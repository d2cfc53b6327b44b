"""Eyes, mouth, matte and skin of the warp animator."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from faceshot.animators.warp import WarpAnimator, WarpSettings
from faceshot.animators.warp.eye_styles import style_of
from faceshot.animators.warp.eyes import Eye, make_eye, make_eyes
from faceshot.animators.warp.frame import face_frame, safe_points
from faceshot.animators.warp.kernels import slide_lids
from faceshot.animators.warp.matte import bleed, cut_out
from faceshot.animators.warp.mouth import _arch_over
from faceshot.types import Character, CharacterKind
from tests.faceshot.animators.drawn import SIDE, character, drive, jaw

KINDS: tuple[CharacterKind, ...] = ("human", "anime", "animal", "emoji", "toy")


def eye_of(kind: CharacterKind) -> Eye:
    who = character(kind)
    eye = make_eye(who.rgba, face_frame(who), safe_points(who), who.visible, 0, kind)
    assert eye is not None
    return eye


def blue(rgba: np.ndarray) -> np.ndarray:
    """Mask of eyeball colour."""
    pixels = rgba.astype(int)
    return (pixels[..., 2] > pixels[..., 0] + 60) & (pixels[..., 3] > 128)


def render(who: Character, *drives: object) -> list[np.ndarray]:
    animator = WarpAnimator()
    animator.load(who)
    return [frame.rgba for frame in animator.render(drives)]  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("opening", [0.0, 0.1, 0.35, 0.7, 1.0, 1.3, 1.6])
def test_lid_map_is_monotone_in_every_column(kind: CharacterKind, opening: float) -> None:
    lids = eye_of(kind).lids
    places = np.linspace(-1.6 * lids.width, 1.6 * lids.width, 1200)
    inner = np.abs(lids.columns) < 0.6 * lids.width
    for un, ln, u, low in lids.table(opening)[inner][::2].astype(float):
        slid = [slide_lids(t, un, ln, u, low, lids.strip, lids.above, lids.below) for t in places]
        source = places + [
            of_lower if ln - t < t - un else of_upper for t, (of_upper, of_lower) in zip(places, slid, strict=True)
        ]
        above, beneath = places < un, places > ln
        assert np.diff(source[above]).min() > 0
        assert np.diff(source[beneath]).min() > 0


@pytest.mark.parametrize("kind", ["human", "anime"])
def test_shut_lids_show_no_eyeball(kind: CharacterKind) -> None:
    who = character(kind)
    still, shut = render(who, drive(who), drive(who, lids=(0.0, 0.0)))
    assert blue(still).sum() > 800
    assert blue(shut).sum() == 0


def test_lids_close_gradually_and_winks_are_apart() -> None:
    who = character()
    openings = (1.0, 0.8, 0.6, 0.4, 0.2, 0.0)
    seen = [blue(image).sum() for image in render(who, *(drive(who, lids=(o, o)) for o in openings))]
    assert all(a > b for a, b in itertools.pairwise(seen)), seen
    (left_shut,) = render(who, drive(who, lids=(0.0, 1.0)))
    assert blue(left_shut)[:, : SIDE // 2].sum() == 0
    assert blue(left_shut)[:, SIDE // 2 :].sum() > 400


def test_wide_eyes_show_more() -> None:
    who = character()
    rest, wide = render(who, drive(who), drive(who, lids=(1.5, 1.5)))
    assert blue(wide).sum() > 1.1 * blue(rest).sum()


def test_gaze_moves_the_pupil_inside_the_lids() -> None:
    who = character()
    rgba = who.rgba.copy()
    for x, y in who.points_xy[68:70].astype(int):
        rgba[y - 4 : y + 5, x - 4 : x + 5, :3] = 10
    who = Character(who.name, rgba, who.points_xy, who.visible, who.kind)

    def pupil(image: np.ndarray) -> float:
        part = image[136:149, 107:130, :3].astype(int).sum(-1) < 200
        return float(np.nonzero(part)[1].mean())

    rest, left, right = render(who, drive(who), drive(who, gaze=(-0.1, 0.0)), drive(who, gaze=(0.1, 0.0)))
    assert pupil(left) < pupil(rest) - 1 < pupil(rest) + 1 < pupil(right)
    around = np.ones((SIDE, SIDE), bool)
    around[120:166, 92:144] = around[120:166, 176:228] = False
    assert (left[around] == rest[around]).all()


def with_irises(kind: CharacterKind = "human") -> Character:
    """The drawn face with white eyes and round brown irises, cut by the upper lid, with a highlight each."""
    import cv2

    who = character(kind)
    rgba = who.rgba.copy()
    rgba[..., :3][blue(rgba)] = 240
    for x, y in who.points_xy[68:70].astype(int):
        lids = (rgba[..., :3] == 240).all(-1)
        disc = np.zeros(rgba.shape[:2], np.uint8)
        cv2.circle(disc, (int(x), int(y)), 8, 1, -1)
        rgba[..., :3][(disc > 0) & lids] = (110, 60, 20)
        rgba[y - 3 : y - 1, x - 3 : x - 1, :3] = 255
    return Character(who.name, rgba, who.points_xy, who.visible, who.kind)


def brown(image: np.ndarray) -> np.ndarray:
    pixels = image[..., :3].astype(int)
    return (np.abs(pixels - (110, 60, 20)).max(-1) < 50) & (image[..., 3] > 128)


def test_an_iris_is_found_and_moves_as_a_disc_over_the_white() -> None:
    who = with_irises()
    rest, left, right = render(who, drive(who), drive(who, gaze=(-0.14, 0.0)), drive(who, gaze=(0.14, 0.0)))
    eye = (slice(130, 156), slice(95, 142))
    width = make_eye(who.rgba, face_frame(who), safe_points(who), who.visible, 0, "human").lids.width  # type: ignore[union-attr]
    x_rest, x_left, x_right = (float(np.nonzero(brown(image[eye]))[1].mean()) for image in (rest, left, right))
    assert x_left - x_rest == pytest.approx(-0.14 * width, abs=1.2)
    assert x_right - x_rest == pytest.approx(0.14 * width, abs=1.2)
    # As large as before, and where it was there is white, not a second iris.
    for image in (left, right):
        assert brown(image[eye]).sum() == pytest.approx(brown(rest[eye]).sum(), rel=0.15)
    was = brown(rest[eye]) & ~brown(left[eye])
    assert left[eye][was][:, :3].min(axis=1).mean() > 170


def test_an_eye_without_white_has_no_iris() -> None:
    for kind in ("human", "toy"):
        assert eye_of(kind)._shape.iris[2] == 0  # type: ignore[arg-type]


def test_a_dot_eye_is_squeezed_to_a_line() -> None:
    who = character("emoji")
    rgba = who.rgba.copy()
    for first in (36, 42):
        x, y = who.points_xy[first : first + 6].mean(0).astype(int)
        rgba[y - 12 : y + 13, x - 19 : x + 20, :3] = (225, 185, 155)
        import cv2

        cv2.ellipse(rgba, (int(x), int(y)), (18, 11), 0, 0, 360, (30, 20, 20, 255), -1)
    dots = Character(who.name, rgba, who.points_xy, who.visible, "emoji")
    still, shut = render(dots, drive(dots), drive(dots, lids=(0.0, 0.0)))
    dark = [(image[120:165, 95:141, :3].astype(int).sum(-1) < 250).sum() for image in (still, shut)]
    assert 0.03 * dark[0] < dark[1] < 0.5 * dark[0]


def test_two_eyes_close_in_the_same_way_in_uneven_light() -> None:
    import cv2

    who = character("toy")
    rgba = who.rgba.copy()
    for first, dark in ((36, 20), (42, 150)):  # a shadowed eye alone would count as a dot
        x, y = who.points_xy[first : first + 6].mean(0).astype(int)
        cv2.ellipse(rgba, (int(x), int(y)), (20, 12), 0, 0, 360, (225, 185, 155, 255), -1)
        cv2.ellipse(rgba, (int(x), int(y)), (19, 11), 0, 0, 360, (dark, dark, dark, 255), -1)
    frame, points = face_frame(who), safe_points(who)
    alone = [make_eye(rgba, frame, points, who.visible, side, "toy") for side in (0, 1)]
    assert [eye is not None and eye.lids.style.squash for eye in alone] == [True, False]
    both = make_eyes(rgba, frame, points, who.visible, "toy")
    assert [eye is not None and eye.lids.style.squash for eye in both] == [False, False]


def mouth_opening(image: np.ndarray) -> int:
    """Dark pixels about the mouth: the drawn face has none."""
    return int((image[205:260, 130:190, :3].astype(int).sum(-1) < 180).sum())


def test_the_mouth_opens_monotonically_onto_an_inside() -> None:
    who = character()
    seen = [mouth_opening(image) for image in render(who, *(drive(who, delta=jaw(g)) for g in (0, 6, 12, 20, 30)))]
    assert seen[0] == 0
    assert all(b > a for a, b in itertools.pairwise(seen)), seen
    assert seen[-1] > 300


def test_closed_lips_show_no_inside_while_they_move() -> None:
    who = character()
    delta = np.zeros((70, 2), np.float32)
    delta[48:68] = (6, -5)
    animator = WarpAnimator()
    animator.load(who)
    (moved,) = animator.render([drive(who, delta=delta)])
    assert mouth_opening(moved.rgba) == 0


def test_only_humans_and_anime_have_teeth() -> None:
    def white(kind: CharacterKind) -> int:
        who = character(kind)
        (image,) = render(who, drive(who, delta=jaw(18)))
        mouth = image[205:245, 135:186, :3].astype(int)
        return int(((mouth.min(-1) > 150) & (np.ptp(mouth, axis=-1) < 45)).sum())

    assert white("human") > 20
    assert white("anime") > 20
    assert white("animal") == white("emoji") == white("toy") == 0


def test_an_open_mouth_of_the_picture_can_close() -> None:
    who = character()
    rgba, points = who.rgba.copy(), who.points_xy.copy()
    import cv2

    cv2.ellipse(rgba, (160, 214), (24, 9), 0, 0, 360, (20, 0, 0, 255), -1)
    points[61:64, 1], points[65:68, 1] = 206, 222
    points[49:54, 1] -= 6
    points[55:60, 1] += 6
    wide = Character(who.name, rgba, points, who.visible, "human")
    shut = np.zeros((70, 2), np.float32)
    shut[[61, 62, 63, 50, 51, 52], 1], shut[[65, 66, 67, 56, 57, 58], 1] = 7.5, -7.5
    rest, closed = render(wide, drive(wide), drive(wide, delta=shut))
    assert mouth_opening(closed) < 0.35 * mouth_opening(rest)


def test_bleeding_keeps_the_picture_and_fills_what_is_clear() -> None:
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[10:30, 10:30] = (200, 40, 20, 255)
    rgba[9, 10:30] = (200, 40, 20, 90)
    filled = bleed(rgba)
    assert (filled[..., 3] == rgba[..., 3]).all()
    assert (filled[rgba[..., 3] > 0] == rgba[rgba[..., 3] > 0]).all()
    assert np.abs(filled[8, 20, :3].astype(int) - (200, 40, 20)).max() < 12


def test_a_figure_before_a_plain_wall_is_cut_out_exactly() -> None:
    who = character(alpha=False)
    cut = cut_out(who.rgba, safe_points(who), face_frame(who))
    assert cut is not None
    assert cut.figure[150, 160, 3] == 255 and cut.figure[20, 20, 3] == 0
    clear = 255 - cut.figure[..., 3:].astype(float)
    whole = cut.figure[..., :3] + np.round(cut.plate[..., :3] * clear / 255)
    assert np.abs(whole - who.rgba[..., :3]).max() <= 1
    # The plate shows wall where the head was.
    assert np.abs(cut.plate[150, 160, :3].astype(int) - (120, 150, 120)).max() < 12


def test_the_background_rests_when_the_figure_is_cut_out() -> None:
    who = character(alpha=False)
    rgba = who.rgba.copy()
    rgba[40:44, 4:20, :3] = (130, 160, 130)
    who = Character(who.name, rgba, who.points_xy, who.visible, who.kind)
    (out,) = render(who, drive(who, turn_deg=(0, 15, 8), shift=(0.1, 0.05)))
    assert (out[..., 3] == 255).all()
    assert np.abs(out[:60, :40].astype(int) - rgba[:60, :40]).max() <= 1


def test_a_figure_before_a_wild_background_is_not_cut() -> None:
    who = character(alpha=False)
    rgba = who.rgba.copy()
    noise = np.random.default_rng(0).integers(0, 255, (SIDE // 8, SIDE // 8, 3)).astype(np.uint8)
    wall = (rgba[..., :3] == (120, 150, 120)).all(-1)
    rgba[..., :3][wall] = noise.repeat(8, 0).repeat(8, 1)[wall]
    assert cut_out(rgba, safe_points(who), face_frame(who)) is None


def opened(who: Character, kind: str, by: float = 30, **settings: Any) -> np.ndarray:
    """(h, w, 3) what is about the mouth of a drawn face that opens it wide."""
    who = replace(who, kind=kind)  # type: ignore[arg-type]
    animator = WarpAnimator(WarpSettings(**settings))
    animator.load(who)
    return animator.render([drive(who, delta=jaw(by))])[0].rgba[205:262, 130:190, :3].astype(int)


def test_the_inside_can_be_plain_or_not_there_at_all() -> None:
    who = character()
    full, plain, none = (opened(who, "human", mouth=how) for how in ("auto", "plain", "none"))
    reddish = [int(((view[..., 0] > 80) & (view[..., 0] > 1.6 * view[..., 1])).sum()) for view in (full, plain)]
    dark = [int((view.sum(-1) < 180).sum()) for view in (full, plain, none)]
    assert reddish[0] > 1.2 * reddish[1], "a tongue, and none"
    assert dark[1] > dark[0] and dark[2] == 0


def pale_rows(kind: str, lip: float, chin: float) -> np.ndarray:
    """Rows of teeth colour in the middle of a mouth whose lower lip and chin have dropped by so many pixels."""
    who, delta = replace(character(), kind=kind), jaw(lip)  # type: ignore[arg-type]
    delta[5:12, 1] *= chin / lip
    animator = WarpAnimator()
    animator.load(who)
    column = animator.render([drive(who, delta=delta)])[0].rgba[205:262, 160, :3].astype(int)
    return np.flatnonzero((column.min(-1) > 90) & (np.ptp(column, axis=-1) < 70))


def test_the_teeth_of_people_meet_while_the_jaw_is_shut_and_part_with_it() -> None:
    grin, wide = pale_rows("human", 20, 0), pale_rows("human", 40, 28)
    assert len(grin) > 9 and np.diff(grin).max() < 5, "two rows that meet"
    assert len(wide) > 4 and np.diff(wide).max() > 8, "an upper and a lower row, apart"
    assert len(pale_rows("human", 20, 20)) < 0.6 * len(grin), "a jaw that drops takes the lower ones along"
    assert not len(pale_rows("animal", 40, 28))


def test_a_mouth_on_a_screen_glows_in_its_own_colour() -> None:
    who = character()
    rgba = who.rgba.copy()
    skin = rgba[..., 3] > 0
    rgba[skin, :3] = (20, 36, 52)
    lips = who.points_xy[48:60].astype(np.int32)
    import cv2

    cv2.fillPoly(rgba, [lips], (60, 220, 240, 255))
    inside = opened(replace(who, rgba=rgba), "toy")
    tongue = inside[(inside[..., 2] > 60) & (inside[..., 2] < 160)]
    assert len(tongue) and (tongue[:, 2] > tongue[:, 0]).mean() > 0.9


def test_a_jaw_under_a_notched_lip_is_even() -> None:
    """The lower edge of a W opens as an arc: no tip of fur stands up in its middle."""
    s = np.linspace(-1, 1, 101)
    line = 0.3 * np.abs(np.sin(2 * np.pi * s))
    arc = _arch_over(s, line)
    assert (arc >= line - 1e-9).all()
    assert (np.diff(np.diff(arc)) <= 1e-9).all(), "it bends one way only"
    assert arc[50] > 0.25 and np.allclose(arc[[0, -1]], line[[0, -1]])


def test_animals_get_lids_however_dark_their_eyes() -> None:
    inside = np.full(50, 20, np.float32)
    assert style_of("toy", 10, 20, inside, 180).squash
    assert not style_of("animal", 10, 20, inside, 180).squash
    assert style_of("animal", 10, 20, np.full(50, 200, np.float32), 40).glows
