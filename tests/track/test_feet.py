"""Feet: which bones, when they stand, where the target puts them, and what tracking makes of them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from schemas.motion import Motion
from schemas.rig import Rig
from stages.distill.params import Params as DistillParams
from stages.track import inverse
from stages.track.body import Body
from stages.track.feet import corrections, feet_of, plant, runs
from stages.track.objective import Start, Target
from stages.track.params import Params
from stages.track.report import foot_figures
from stages.track.stage import run

from .beasts import make_rig, quadruped, trot


def _target(rig: Rig, motion: Motion, **choices: object) -> tuple[Body, Target]:
    body = Body.from_rig(rig)
    return body, Target.from_motion(rig, motion, body, **choices)  # type: ignore[arg-type]


def _on_the_spot(rig: Rig, **choices: float) -> Motion:
    motion = trot(rig, **choices)  # type: ignore[arg-type]
    motion.root_positions[:, 2] = motion.root_positions[0, 2]
    return motion


def test_feet_are_found_by_role_or_by_what_touches_the_ground() -> None:
    rig = quadruped()
    feet = feet_of(rig, Body.from_rig(rig))
    assert [[rig.joint_names[bone] for bone in foot.bones] for foot in feet] == [
        [f"{side}_{limb}_foot"] for limb in ("fore", "hind") for side in ("left", "right")
    ]
    for foot in feet:
        assert (np.diff(foot.shares) > 0).all()
        assert foot.shares[-1] == 1
    table = [("top", -1, (0, 1, 0), (0, 0, 0), (0.5, 0.05, 0.5), "other")]
    table += [(f"post{x}{z}", 0, (x, 0.95, z), (0, -0.45, 0), (0.05, 0.45, 0.05), "other") for x in (-0.4, 0.4) for z in (-0.4, 0.4)]
    plain = make_rig("table", table)
    assert [foot.bones for foot in feet_of(plain, Body.from_rig(plain))] == [[1], [2], [3], [4]]


@pytest.mark.parametrize("made", [trot, _on_the_spot])
def test_diagonal_feet_of_a_trot_stand_in_turn(made) -> None:
    rig = quadruped()
    _, target = _target(rig, made(rig, frames=49, fps=24.0))
    left_fore, right_fore, left_hind, right_hind = target.contacts.down.T
    np.testing.assert_array_equal(left_fore, right_hind)
    np.testing.assert_array_equal(right_fore, left_hind)
    assert 0.35 < left_fore.mean() < 0.65
    assert (left_fore & right_fore).mean() < 0.2
    # 1.25 Hz: stances begin 0.8 s apart
    starts = [first for first, _ in runs(right_fore)]
    np.testing.assert_allclose(np.diff(starts), 0.8 * 24, atol=2)


def test_a_body_goes_where_its_feet_carry_it() -> None:
    rig = quadruped()
    going, standing = (_target(rig, make(rig, frames=49, fps=24.0), travel="spot")[1] for make in (trot, _on_the_spot))
    assert standing.shift[-1, 2] == pytest.approx(1.45, abs=0.25)  # what the legs of the trot cover in 2 s
    np.testing.assert_array_equal(going.shift[:, [0, 2]], 0)  # it moves by itself already
    assert (_target(rig, _on_the_spot(rig), travel="given")[1].shift[:, 2] == 0).all()
    assert _target(rig, trot(rig, frames=49, fps=24.0), travel="feet")[1].shift[-1, 2] == pytest.approx(standing.shift[-1, 2] - 1.8, abs=0.05)


def test_feet_that_slip_aside_do_not_carry_the_body_aside() -> None:
    rig = quadruped()
    motion = trot(rig, frames=49, fps=24.0)
    hips = [joint for joint, role in enumerate(rig.roles) if role.endswith("_upper")]
    motion.angles[:, hips, 2] = 0.25 * motion.angles[:, hips, 0]  # legs swing out as they swing forward, all to the same side
    shift = _target(rig, motion)[1].shift
    assert abs(shift[-1, 2]) > 0.3
    assert abs(shift[-1, 0]) < 1e-9  # it may sway on the way


@pytest.mark.parametrize(("travel", "path", "moves"), [("auto", "", True), ("auto", "0,1 0,9", False), ("feet", "0,1 0,9", True), ("given", "", False)])
def test_a_path_that_was_asked_for_is_kept(travel: str, path: str, moves: bool) -> None:
    rig = quadruped()
    motion = trot(rig, frames=17).stamped(params=DistillParams(path=path), seed=0, inputs={})
    report = run(rig, motion, Params(iterations=0, travel=travel)).report
    assert (report["travel_added"] > 0.1) == moves


def test_grounding_puts_standing_feet_at_zero() -> None:
    rig = quadruped()
    motion = trot(rig, frames=33, lift=0.3)
    for grounding, bound in (("feet", 0.006), ("clip", 0.03)):
        _, target = _target(rig, motion, grounding=grounding)
        low = target.corners[:, target.contacts.feet[0].bones].numpy()[..., 1].reshape(33, -1).min(1)
        assert np.abs(low[target.contacts.down[:, 0]]).mean() < bound
    body, target = _target(rig, motion, grounding="none", travel="given")
    ahead = np.tile([0.0, 0, 1], (33, 1))
    assert (corrections(target.contacts, target.given.numpy(), motion.root_positions, ahead, 4.0, "none", "given") == 0).all()
    assert target.shift.max() == 0


def test_planted_feet_do_not_move_while_they_stand() -> None:
    rig = quadruped()
    _, target = _target(rig, trot(rig, frames=33))
    corners = target.corners.double().numpy()
    planted = plant(target.contacts, corners)
    here, later = target.contacts.points(planted)
    assert np.abs((later - here)[target.contacts.held][:, [0, 2]]).max() < 1e-6
    here, later = target.contacts.points(corners)
    assert np.abs((later - here)[target.contacts.held][:, [0, 2]]).max() > 5e-3
    for number, foot in enumerate(target.contacts.feet):
        low = planted[:, foot.bones][..., 1].reshape(33, -1).min(1)
        np.testing.assert_allclose(low[target.contacts.down[:, number]], 0, atol=1e-6)
    trunk = [bone for bone, role in enumerate(rig.roles) if role in ("pelvis", "spine", "chest", "neck", "head")]
    np.testing.assert_array_equal(planted[:, trunk], corners[:, trunk])


def _start(rig: Rig, motion: Motion) -> tuple[Start, float]:
    """The start, and the height of its lowest corner. [m]"""
    body, target = _target(rig, motion, stance=4.0)
    start = Start.from_target(target, body, knots=4, knot_time=0.01, lag=0.1)
    posed = inverse.Poses(start.position[None], Rotation.from_quat(start.rotation[None]).as_matrix(), start.angles[None])
    placed = inverse.place(body, posed)
    return start, float((placed.joints[:, :, None] + body.corners @ placed.turns.swapaxes(-1, -2))[..., 1].min())


def test_feet_under_the_ground_in_the_first_frame_are_lifted() -> None:
    rig = quadruped()
    motion = trot(rig)
    motion.root_positions[0, 1] -= 0.2
    assert _start(rig, motion)[1] == pytest.approx(0, abs=1e-5)


def test_a_motion_that_begins_in_the_air_begins_in_the_air() -> None:
    rig = quadruped()
    motion = trot(rig, frames=9)
    motion.angles[:] = 0
    motion.root_positions[:, 1] = 0.55 + np.maximum(0.3 - 0.5 * 9.81 * (np.arange(9) / 16) ** 2, 0)
    start, low = _start(rig, motion)
    assert low > 0.2
    track = run(rig, motion, Params(iterations=50))
    assert not track.report["failed"], track.report["reason"]
    assert track.report["corner_rmse"] < 0.05


def test_tracked_feet_stay_put_and_the_report_says_so() -> None:
    rig = quadruped()
    motion = trot(rig, frames=21)
    track = run(rig, motion, Params(iterations=80))
    feet = track.report["feet"]
    assert feet["slide_after"] < 0.5 * feet["slide_before"]
    assert feet["floating_after"] < 0.005 < feet["floating_before"]
    assert feet["penetration_after"] < 0.005
    assert set(feet["stances"]) == {f"{side}_{limb}_foot" for side in ("left", "right") for limb in ("fore", "hind")}
    # the figures are those of the motion that was written
    again = Target.from_motion(rig, track, Body.from_rig(rig), grounding="none", travel="given")
    same = foot_figures(_target(rig, motion)[1].contacts, rig.joint_names, again.given.numpy(), again.given.numpy(), motion.fps)
    assert same["slide_after"] == pytest.approx(feet["slide_after"], abs=1e-3)
    assert same["floating_after"] == pytest.approx(feet["floating_after"], abs=1e-4)


def test_without_stance_weight_the_feet_of_the_motion_are_followed() -> None:
    rig = quadruped()
    _, target = _target(rig, trot(rig), stance=0.0)
    np.testing.assert_allclose(target.corners.numpy(), target.given.numpy() + target.shift[:, None, None], atol=1e-6)
    assert (target.weights == 1).all()
