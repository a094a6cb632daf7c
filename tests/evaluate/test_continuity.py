"""Loops, smoothness, joint limits, swings and shape on motions whose figures are known by construction."""

import dataclasses

import numpy as np
import pytest

from stages.evaluate import shape, smoothness, trajectory
from stages.evaluate.gait import analyse
from stages.evaluate.limbs import limb_swings, limbs_of, swing_ratios, widest
from stages.evaluate.limits import limit_violations
from stages.evaluate.loop import loop_gap

from .chain import FPS, motion, rig, swinging


def test_a_perfect_loop_has_no_gap_whether_its_last_frame_repeats_the_first_or_not():
    for frames, repeats in ((32, False), (33, True)):
        gap = loop_gap(swinging(frames, 32))
        assert gap.repeats == repeats
        # what three frames cannot foresee of a sine, two of five joints moving
        assert gap.pose < 0.63 * 0.4 * (2 * np.pi / 32) ** 3
        assert gap.velocity < 0.01 * 0.4 * 2 * np.pi * FPS / 32
        assert gap.height == 0 and gap.root_velocity < 1e-6


def test_a_cut_loop_shows_its_jump():
    # a leg that turns steadily by 0.01 rad a frame for 41 frames, and starts again: one of five joints jumps
    angles = np.zeros((41, 5, 3))
    angles[:, 1, 0] = 0.01 * np.arange(41)
    steady = loop_gap(motion(angles))
    # read as a repetition the jump is 40 steps, else 41: the better reading counts
    assert steady.repeats and steady.pose == pytest.approx(0.40 / np.sqrt(5), rel=1e-4)
    assert steady.velocity == pytest.approx(0, abs=1e-4)
    # there and back: no jump in pose at the ends, but the velocity turns round
    angles[:, 1, 0] = 0.02 * np.abs(np.arange(41) - 20)
    back = loop_gap(motion(angles))
    assert back.pose == pytest.approx(0, abs=1e-6)  # either reading is symmetric
    assert back.velocity == pytest.approx(2 * 0.02 * FPS / np.sqrt(5), rel=1e-4)


def test_travel_and_turning_are_no_gap():
    frames = 32
    time = np.arange(frames) / FPS
    for rate in (0.0, 1.3):
        yaw = rate * time + 2.9  # passes through half a turn
        # around a circle at 2 m/s, or straight on
        root = np.stack([0 * time, 0 * time + 1, 2 * time], 1)
        if rate:
            root = np.stack([-2 / rate * np.cos(yaw), 0 * time + 1, 2 / rate * np.sin(yaw)], 1)
        gap = loop_gap(swinging(frames, frames, root=root, yaw=yaw))
        assert gap.pose < 0.002 and gap.velocity < 0.05
        assert gap.height < 1e-6 and gap.root_velocity < 0.002, rate


def test_a_root_that_rises_and_speeds_up_has_a_gap():
    time = np.arange(33) / FPS
    root = np.stack([0 * time, 1 + 0.3 * time, 0.5 * time**2], 1)
    gap = loop_gap(motion(np.zeros((33, 5, 3)), root=root))
    assert gap.pose == pytest.approx(0, abs=1e-5)
    # both readings fit the still pose equally: the height differs by 32 or 33 steps, the speed by as many
    assert gap.height == pytest.approx(0.3, rel=0.04)
    assert gap.root_velocity == pytest.approx(1.0, rel=0.04)
    assert loop_gap(motion(np.zeros((3, 5, 3)))) is None


def test_second_difference_is_equation_nine():
    rng = np.random.default_rng(0)
    angles = rng.normal(0, 0.2, (9, 5, 3))
    angles[:, 0] = 0
    root = rng.normal(0, 0.2, (9, 3))
    yaw = np.linspace(3.0, 3.4, 9) ** 2 / 3  # passes through half a turn
    made = motion(angles, root=root, yaw=yaw)
    theta = np.concatenate([made.angles[:, 1:].reshape(9, -1), np.stack([0 * yaw, yaw, 0 * yaw], 1), made.root_positions], 1)
    by_hand = np.mean([np.abs(theta[i - 1] - 2 * theta[i] + theta[i + 1]).mean() for i in range(1, 8)])
    assert smoothness.second_difference(made) == pytest.approx(by_hand, rel=1e-4)
    assert smoothness.second_difference(motion(angles[:2])) == 0


@pytest.mark.parametrize("fps", [32.0, 64.0])
def test_acceleration_does_not_depend_on_the_frame_rate(fps):
    made = swinging(int(2 * fps) + 1, fps, fps=fps)
    # 0.4 (2 pi)^2 |sin|, mean 2/pi of it, in two of the twelve joint axes
    assert smoothness.acceleration(made) == pytest.approx(0.4 * (2 * np.pi) ** 2 * 2 / np.pi * 2 / 12, rel=0.01)


def test_joint_speed_and_spectral_arc_length():
    angles = np.zeros((33, 5, 3))
    angles[:, 3, 2] = 0.1 * np.arange(33)
    assert smoothness.joint_speed(motion(angles)) == pytest.approx(np.full(32, 0.1 * FPS / np.sqrt(5)), rel=1e-4)
    # a bell-shaped speed of width s has the spectrum exp(-2 (pi s f)^2): its curve down to the threshold, by the integral
    s, fps = 0.12, 100.0
    time = np.arange(-200, 201) / fps
    speed = np.exp(-0.5 * (time / s) ** 2)
    end = np.sqrt(-np.log(smoothness.FAINT) / 2) / (np.pi * s)
    f = np.linspace(0, end, 20001)
    expected = -np.hypot(1 / (len(f) - 1), np.diff(np.exp(-2 * (np.pi * s * f) ** 2))).sum()
    assert smoothness.spectral_arc_length(speed, fps) == pytest.approx(expected, rel=0.02)
    assert smoothness.spectral_arc_length(3 * speed, fps) == pytest.approx(smoothness.spectral_arc_length(speed, fps))
    shaken = speed * (1 + 0.5 * np.sin(2 * np.pi * 6 * time))
    assert smoothness.spectral_arc_length(shaken, fps) < expected - 0.2
    assert smoothness.spectral_arc_length(0 * speed, fps) == 0


def test_joint_limits():
    angles = np.zeros((10, 5, 3))
    assert limit_violations(rig(), motion(angles)) == limit_violations(rig(), motion(angles * 0))
    angles[3:5, 2, 1] = 1.25  # two of ten frames, one of twelve axes
    found = limit_violations(rig(), motion(angles))
    assert found.share == pytest.approx(2 / 120) and found.excess == pytest.approx(0.25, abs=1e-6) and found.joint == "right"
    # the same turns by other angles: nothing is beyond
    angles[:] = 0
    angles[:, 1] = 0.3, 0.2, -0.1
    whole = angles.copy()
    whole[:, 1] = 0.3 + np.pi, np.pi - 0.2, -0.1 - np.pi
    whole[:, 4, 0] = 2 * np.pi
    assert limit_violations(rig(), motion(whole)).share == 0
    assert limit_violations(rig(), motion(whole)).joint == ""
    wide = rig(limits=np.tile(np.array([-2 * np.pi, 2 * np.pi], np.float32), (5, 3, 1)))
    assert limit_violations(wide, motion(np.random.default_rng(0).normal(0, 2, (10, 5, 3)) * (np.arange(5) > 0)[:, None])).share == 0


def test_limb_swings_and_their_ratios():
    assert limbs_of(rig()) == {"left_hind": [1], "right_hind": [2], "tail": [3, 4]}
    angles = np.zeros((9, 5, 3))
    angles[:, 1, 0] = np.linspace(-0.3, 0.5, 9)
    angles[:, 3, 1] = np.linspace(0, 0.6, 9)  # the first bone takes the second along
    yaw = np.linspace(0, 2, 9)  # the body's own turn is no swing
    swings = limb_swings(rig(), motion(angles, yaw=yaw))
    assert swings == pytest.approx({"left_hind": 0.8, "right_hind": 0.0, "tail": 0.6}, abs=1e-5)
    assert swing_ratios(swings, {"left_hind": 0.4, "right_hind": 0.8, "tail": 0.01, "head": 1.0}) == pytest.approx(
        {"left_hind": 2.0, "right_hind": 0.0}, abs=1e-4
    )
    assert widest(np.array([[1.0, 0, 0], [0, 2, 0], [-3, 0, 0]])) == pytest.approx(np.pi)


def test_path_straightness_turning_and_side_steps():
    angle = np.linspace(0, np.pi / 2, 91)  # a quarter circle of 2 m to the character's left, which starts at +X
    root = np.stack([2 - 2 * np.cos(angle), 1 + 0 * angle, 2 * np.sin(angle)], 1)
    ahead = np.stack([np.sin(angle), 0 * angle, np.cos(angle)], 1)
    assert trajectory.path_length(root) == pytest.approx(np.pi, rel=1e-3)
    assert trajectory.straightness(root) == pytest.approx(np.sqrt(8) / np.pi, rel=1e-3)
    assert trajectory.turn(ahead) == pytest.approx(np.pi / 2)
    assert trajectory.sideways(root, ahead) == pytest.approx(0, abs=0.03)
    crab = np.stack([0.5 * angle, 0 * angle, angle], 1)
    straight = np.tile([0.0, 0, 1], (91, 1))
    assert trajectory.sideways(crab, straight) == pytest.approx(np.pi / 4)
    assert trajectory.sideways(crab, -straight) == pytest.approx(-np.pi / 4)
    assert trajectory.turn(straight) == 0 and trajectory.straightness(np.zeros((5, 3))) == 1


def test_edge_change_of_rigid_scaled_and_bent_bodies():
    rng = np.random.default_rng(1)
    points, faces = rng.normal(size=(30, 3)), rng.integers(0, 30, (50, 3))
    edges = shape.edges_of(faces)
    assert len({tuple(edge) for edge in edges}) == len(edges) and (edges[:, 0] < edges[:, 1]).all()
    turn = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])
    assert shape.edge_change(points, edges, [points @ turn.T + (1, 2, 3)] * 2) == pytest.approx((0, 0), abs=1e-6)
    assert shape.edge_change(points, edges, [points, 1.1 * points]) == pytest.approx((0.05, 0.1), abs=1e-6)
    # an edge without length cannot change
    assert shape.edge_change(np.zeros((2, 3)), np.array([[0, 1]]), [np.ones((2, 3))]) == (0.0, 0.0)
    # half way between a bone that rests and one that turns by a, blending shrinks what lies across the axis by cos(a / 2)
    weights, vertices = np.zeros((2, 5)), np.array([[0.2, 1, 0], [0.2, 0.5, 0]])
    weights[:, 0] = weights[:, 1] = 0.5
    angles = np.zeros((20, 5, 3))
    angles[:, 1, 0] = 1.0
    frames = list(shape.skinned_frames(rig(), motion(angles), vertices, weights))
    assert len(frames) == 20
    assert shape.edge_change(vertices, np.array([[0, 1]]), frames) == pytest.approx((1 - np.cos(0.5),) * 2, abs=1e-5)


def test_a_motion_too_short_for_a_loop_and_without_a_mesh_has_no_such_figures():
    figures = analyse(rig(), motion(np.zeros((3, 5, 3))))
    assert set(figures["loop"].values()) == {None} and set(figures["shape"].values()) == {None}
    mesh = np.array([[0.2, 1, 0], [0.2, 0.5, 0], [0.2, 0.5, 0.1]]), np.array([[0, 1, 2]]), np.tile([0, 1.0, 0, 0, 0], (3, 1))
    assert analyse(rig(), swinging(9, 8), mesh)["shape"] == pytest.approx({"mean": 0, "p95": 0}, abs=1e-6)
    assert dataclasses.asdict(loop_gap(swinging(9, 8)))["repeats"] is True
