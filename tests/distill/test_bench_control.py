"""The measures of the bench of control, on motions whose figures are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from schemas.motion import Motion
from tests.bench import control

from . import beast


def on_circle(frames: int = 33, aside: float = 0.0, turned: float = 0.0) -> tuple[object, Motion]:
    """A root on the quarter circle of length 2 m, `aside` [m] outside of it and `turned` [rad] against its tangent."""
    rig, radius = beast.rig(), 4 / math.pi
    angles = np.linspace(0, 0.5 * math.pi, frames)
    places = np.zeros((frames, 3))
    places[:, 0] = radius - (radius + aside) * np.cos(angles)
    places[:, 2] = (radius + aside) * np.sin(angles)
    half, zero = 0.5 * (angles + turned), np.zeros(frames)
    turns = np.stack([zero, np.sin(half), zero, np.cos(half)], 1)
    moves = np.zeros((frames, rig.joint_count, 3))
    return rig, Motion(
        name="beast", prompt="", fps=16.0, joint_names=list(rig.joint_names), angles=moves, root_positions=places + rig.positions[0] * [1, 0, 1],
        root_rotations=turns, report={},
    )  # fmt: skip


def test_the_curve_starts_at_the_root_and_has_the_length_asked_for():
    points = control.quarter_turn(beast.rig(), 2.0)
    assert points[0] == pytest.approx(beast.rig().positions[0, [0, 2]])
    assert points[-1] - points[0] == pytest.approx([4 / math.pi, 4 / math.pi])
    assert np.linalg.norm(np.diff(points, axis=0), axis=1).sum() == pytest.approx(2.0, rel=0.01)


@pytest.mark.parametrize(("aside", "turned"), [(0.0, 0.0), (0.1, 0.0), (-0.05, 0.2)])
def test_distance_and_heading_are_those_from_the_circle(aside, turned):
    assert control.off_circle(*on_circle(aside=aside, turned=turned), 2.0) == pytest.approx((abs(aside), turned), abs=1e-5)


def test_a_seam_is_seen_and_a_sine_has_none():
    _, motion = on_circle(65)
    motion.angles[:] = np.sin(2 * np.pi * np.arange(65) / 16)[:, None, None]
    assert control.seam_jump(motion, [20, 36]) == pytest.approx(1.0, abs=0.01)
    motion.angles[36:] += 0.5
    assert control.seam_jump(motion, [20, 36]) > 3


def test_parts_and_repetitions_are_frames_of_the_motion():
    _, motion = on_circle(12)
    assert np.array_equal(control.repeated(motion).root_positions[12:], motion.root_positions[:5])
    assert np.array_equal(control.cut(motion, 3, 4).root_rotations, motion.root_rotations[3:7])
