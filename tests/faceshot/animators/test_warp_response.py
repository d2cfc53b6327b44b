"""The correction of motion by what is known of how trackers read a character."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from faceshot.animators.warp import WarpAnimator
from faceshot.animators.warp.animator import _prepare
from faceshot.animators.warp.frame import face_frame
from faceshot.animators.warp.response import (
    BENDS,
    LIDS,
    N_FEATURES,
    N_READINGS,
    RESPONSE,
    Response,
    as_logit,
    control_moves,
    features,
    from_logit,
)
from faceshot.types import Drive, HeadMotion
from tests.faceshot.animators.drawn import character, jaw, smile

WHO = character()
FRAME = face_frame(WHO)
GAP, CORNER, BROW, LID, PITCH, YAW = 0, 4, 7, 12, 14, 15


def table(unsure: float = 0.2) -> np.ndarray:
    """A tracker that sees jaws by the lips' gap, smiles by the corners, brows by themselves, and turns as they are."""
    made = np.zeros((N_FEATURES + 3, N_READINGS), np.float32)
    rest = [*as_logit(np.array([0.02, 0.02, 0.2])), 5.0, -3.0, 0.0]
    made[0], made[-2] = rest, rest
    made[1 + GAP, 0], made[1 + CORNER, 1], made[1 + BROW, 2] = 1.5, -2.0, -2.0
    for axis in range(3):
        made[1 + PITCH + axis, 3 + axis] = np.degrees(0.1)
    made[-1] = unsure
    return made


def response(made: np.ndarray, bends: np.ndarray | None = None, lids: np.ndarray | None = None) -> Response:
    arrays = {RESPONSE: made, BENDS: bends, LIDS: lids}
    puppet = _prepare(replace(WHO, arrays={name: array for name, array in arrays.items() if array is not None}))
    assert puppet.response is not None
    return puppet.response


def drive(delta: np.ndarray | float = 0.0, readings: tuple[float, ...] = (0, 0, 0), **more: object) -> Drive:
    still = Drive.neutral(WHO)
    moved = (still.expression_xy + np.float32(delta)).astype(np.float32)
    return replace(still, expression_xy=moved, readings=np.array(readings, np.float32), **more)


def turned(pitch: float = 0.0, yaw: float = 0.0) -> HeadMotion:
    return HeadMotion(np.array([pitch, yaw, 0.0], np.float32))


def seen(made: np.ndarray, a_drive: Drive) -> np.ndarray:
    delta = _prepare(WHO).expression.displacements(a_drive.expression_xy)
    return made[0] + features(FRAME, delta, a_drive) @ made[1 : 1 + N_FEATURES]


def test_logits_come_back() -> None:
    readings = np.linspace(0, 1, 21)
    np.testing.assert_allclose(from_logit(as_logit(readings)), readings, atol=1e-9)


def test_the_resting_picture_is_not_touched() -> None:
    animator = WarpAnimator()
    animator.load(replace(WHO, arrays={RESPONSE: table()}))
    still = Drive.neutral(WHO)
    corrected = response(table()).corrected(still)
    np.testing.assert_allclose(corrected.expression_xy, still.expression_xy, atol=1e-3)
    np.testing.assert_allclose(corrected.head.rotation, 0, atol=1e-5)
    plain = WarpAnimator()
    plain.load(WHO)
    assert (animator.render([still])[0].rgba == plain.render([still])[0].rgba).all()


def test_what_arrives_too_weak_is_made_stronger() -> None:
    made = table()
    weak = drive(smile(1.0) + jaw(2.0), (0.3, 0.5, 0.6))
    before, after = seen(made, weak), seen(made, response(made).corrected(weak))
    wanted = as_logit(np.array([0.02 + 0.3 * 0.95, 0.02 + 0.5 * 0.95, 0.2 + 0.6 * 0.77]))
    for reading in range(3):
        assert before[reading] < after[reading] < wanted[reading] + 0.3
    assert wanted[1] - after[1] < 0.5 * (wanted[1] - before[1])


def test_what_is_read_at_random_comes_on_top_so_less_is_drawn() -> None:
    a_turn = drive(head=turned(pitch=0.1, yaw=0.2))
    sure, unsure = (response(table(u)).corrected(a_turn).head.rotation for u in (0.2, 1.5))
    assert 0.19 < sure[1] <= 0.2
    spread = np.array([1.25, 1.5, 1.5])  # degrees by which somebody calm nods, turns and tilts
    np.testing.assert_allclose(unsure, np.array([0.1, 0.2, 0.0]) / np.sqrt(1 + (1.5 / spread) ** 2), atol=0.004)


def test_looks_that_contradict_each_other_leave_the_resting_picture_alone() -> None:
    made = table()
    bends = np.zeros((2, N_FEATURES + N_READINGS), np.float32)
    bends[1, YAW] = 0.1
    bends[:, N_FEATURES + 4] = 3000.0, -3000.0
    made[0, 4] -= (
        Response.of(  # what the model has at rest is what is read there
            replace(WHO, arrays={RESPONSE: made, BENDS: bends}), FRAME, _prepare(WHO).expression
        )._seen(np.zeros(N_FEATURES))[4]
        - made[-2, 4]
    )
    np.testing.assert_allclose(response(made, bends).corrected(drive()).head.rotation, 0, atol=1e-4)


def test_what_the_tracker_hardly_sees_is_not_forced() -> None:
    weak = drive(smile(1.0), (0, 0.6, 0))
    sure, unsure = (response(table(u)).corrected(weak).expression_xy[48] for u in (0.2, 5.0))
    start = weak.expression_xy[48]
    assert np.linalg.norm(unsure - start) < 0.4 * np.linalg.norm(sure - start)


def test_shut_lips_stay_shut_and_parted_ones_parted() -> None:
    def gap(a_drive: Drive) -> float:
        delta = _prepare(WHO).expression.displacements(a_drive.expression_xy)
        return float(features(FRAME, delta, a_drive)[GAP])

    corrects = response(table())
    shut = drive(smile(4.0), (0.9, 0.2, 0))
    assert gap(corrects.corrected(shut)) == pytest.approx(gap(shut), abs=1e-4)
    open_ = drive(jaw(12.0), (-1.0, 0, 0))
    assert gap(corrects.corrected(open_)) > 0.5 * gap(open_)


def test_turns_are_brought_to_size_within_bounds() -> None:
    half, none = table(), table()
    half[1 + YAW, 4] /= 2
    none[1 + YAW, 4] = 0.0
    a_turn = drive(head=turned(yaw=0.2))
    yaw = response(half).corrected(a_turn).head.rotation[1]
    assert 0.3 < yaw <= 0.2 + 0.05 + 0.5 * 0.2 + 1e-6
    assert abs(response(none).corrected(a_turn).head.rotation[1]) >= 0.05  # never turned off


def test_an_expression_that_looks_like_a_nod_is_nodded_back() -> None:
    made = table()
    made[1 + GAP, 3] = 2.0  # degrees of pitch
    talking = drive(jaw(6.0), (0.3, 0, 0))
    corrected = response(made).corrected(talking)
    assert -0.06 < corrected.head.rotation[0] < -0.005
    not_nodded = replace(corrected, head=talking.head)
    assert abs(seen(made, corrected)[3] - made[-2, 3]) < abs(seen(made, not_nodded)[3] - made[-2, 3]) * 0.5


def test_bends_are_corrected_where_the_linear_model_knows_nothing() -> None:
    made = table()
    talking = drive(jaw(6.0), (0.3, 0, 0))
    at = features(FRAME, _prepare(WHO).expression.displacements(talking.expression_xy), talking)
    bends = np.zeros((2, N_FEATURES + N_READINGS), np.float32)
    bends[0, :N_FEATURES], bends[0, N_FEATURES + 3] = at, 3.0  # there a nod of three degrees is read
    bends[1, :N_FEATURES], bends[1, N_FEATURES + 3] = 50.0, 3.0  # far away from all that is done here
    corrected = response(made, bends=bends).corrected(talking)
    assert -0.06 < corrected.head.rotation[0] < -0.02
    assert response(made, bends=bends[1:]).corrected(talking).head.rotation[0] == pytest.approx(
        response(made).corrected(talking).head.rotation[0], abs=1e-6
    )


def test_lids_follow_their_curve_and_wide_eyes_stay_wide() -> None:
    lids = np.array([0.0, 0.3, 0.5, 0.7, 0.9, 1.0, np.nan], np.float32)
    corrects = response(table(), lids=lids)
    for asked, drawn in ((0.0, 0.0), (0.15, 0.3), (0.5, 0.7), (1.0, 1.0), (1.4, 1.4)):
        out = corrects.corrected(drive(lids=np.array([asked, 1.0], np.float32))).lids
        np.testing.assert_allclose(out, [drawn, 1.0], atol=1e-6)


def test_eyes_tell_of_brows_that_are_hardly_seen_but_a_blink_stays_a_blink() -> None:
    made = table()
    made[1 + BROW, 2], made[1 + LID, 2] = 0.0, 1.0
    corrects = response(made)
    for brows, lids in ((0.6, (1.0, 1.3)), (-0.8, (0.7, 1.0))):
        out = corrects.corrected(drive(readings=(0, 0, brows))).lids
        assert (out >= lids[0] - 1e-6).all() and (out <= lids[1] + 1e-6).all() and abs(out[0] - 1) > 0.05
    blink = drive(readings=(0, 0, 0.6), lids=np.zeros(2, np.float32))
    np.testing.assert_allclose(corrects.corrected(blink).lids, 0.0, atol=1e-6)
    calm = drive(readings=(0, 0, 0.6), gains=(1.0, 0.0, 1.0, 1.0))
    np.testing.assert_allclose(corrects.corrected(calm).lids, 1.0, atol=1e-6)
    assert (response(table()).corrected(drive(readings=(0, 0, 0.6))).lids == 1.0).all()  # brows are seen themselves


def test_lids_meet_where_a_character_is_known_to_read_as_shut() -> None:
    def meets(share: float) -> float:
        lids = np.array([0, 0.15, 0.3, 0.5, 0.75, 1.0, share], np.float32)
        eye = _prepare(replace(WHO, arrays={LIDS: lids})).eyes[0]
        assert eye is not None
        upper, lower = eye.lids.curves(0.0)
        np.testing.assert_allclose(upper, lower, atol=1e-4)
        return float(upper.max())

    assert meets(0.73) < meets(0.87) < meets(1.0)
    assert meets(np.nan) == meets(7.0)  # nothing is known


@pytest.mark.parametrize(
    "damaged",
    [
        {BENDS: np.full((3, N_FEATURES + N_READINGS), np.nan, np.float32), LIDS: np.ones(3, np.float32)},
        {BENDS: np.zeros((3, 4), np.float32), LIDS: np.linspace(1, 0, 7, dtype=np.float32)},
        {LIDS: np.full(7, np.nan, np.float32)},
        {LIDS: np.linspace(0, 1, 6, dtype=np.float32)},  # of an older version
    ],
)
def test_without_usable_bends_and_lids_the_linear_model_remains(damaged: dict[str, np.ndarray]) -> None:
    half = drive(jaw(3.0), (0.4, 0.2, 0), lids=np.full(2, 0.5, np.float32))
    puppet = _prepare(replace(WHO, arrays={RESPONSE: table(), **damaged}))
    assert puppet.response is not None
    out, plain = puppet.response.corrected(half), response(table()).corrected(half)
    assert (out.expression_xy == plain.expression_xy).all() and (out.lids == half.lids).all()


def test_groups_turned_off_stay_off() -> None:
    off = drive(0.0, (0.8, 0.8, 0.8), gains=(0.0, 1.0, 0.0, 0.0))
    corrected = response(table()).corrected(off)
    np.testing.assert_allclose(corrected.expression_xy, off.expression_xy, atol=1e-4)


def test_nonsense_in_a_drive_gives_a_picture() -> None:
    animator = WarpAnimator()
    animator.load(replace(WHO, arrays={RESPONSE: table()}))
    broken = drive(np.nan, (np.nan, 7.0, -9.0), head=HeadMotion(np.full(3, np.nan, np.float32)))
    assert animator.render([broken])[0].rgba.shape == WHO.rgba.shape
    assert np.isfinite(response(table()).corrected(broken).head.rotation).all()


@pytest.mark.parametrize("bad", [np.zeros((4, 4), np.float32), np.full_like(table(), np.nan)])
def test_a_damaged_table_is_as_good_as_none(bad: np.ndarray) -> None:
    assert _prepare(replace(WHO, arrays={RESPONSE: bad})).response is None


def test_a_hostile_table_moves_nothing_far() -> None:
    wild = np.random.default_rng(3).normal(0, 1e6, (N_FEATURES + 3, N_READINGS)).astype(np.float32)
    corrects = response(wild)
    for readings in ((1, 1, 1), (-1, -1, -1)):
        corrected = corrects.corrected(drive(jaw(8.0), readings, head=turned(0.1, 0.1)))
        assert (
            np.linalg.norm(corrected.expression_xy - drive(jaw(8.0)).expression_xy, axis=1).max() < 0.15 * FRAME.width
        )
        assert np.abs(corrected.head.rotation - [0.1, 0.1, 0.0]).max() <= 0.15


def test_controls_move_their_own_part() -> None:
    lips, chin, corners, brows = control_moves(FRAME, WHO.points_xy)
    assert np.flatnonzero(np.abs(brows).sum(1)).tolist() == [17, 18, 19, 20, 21, 22, 23, 24, 25, 26]
    assert np.flatnonzero(np.abs(lips[:48]).sum(1)).tolist() == [6, 7, 8, 9, 10]  # a mouth opens with its jaw
    assert not np.abs(corners[:48]).any()
    assert np.abs(chin[8]).max() > 0 and not np.abs(chin[17:]).any()
