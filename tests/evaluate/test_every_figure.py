"""Every figure of docs/metrics.md has a test on a motion for which it is known by formula; those that no other file has are here."""

from __future__ import annotations

import importlib
import inspect

import numpy as np
import pytest

from stages.evaluate import feet
from stages.evaluate.figures import FIGURES
from stages.evaluate.gait import analyse
from stages.evaluate.loop import loop_gap

from .chain import FPS, motion, rig, swinging
from .test_metrics import WALK, ideal

PERIOD, AMPLITUDE, FRAMES, SPEED = 32, 0.4, 65, 0.75  # frames, rad, frames, m/s: two whole strides of a second


def walk(**changes):
    """Legs that swing against each other as sines under a body that goes straight on at constant speed."""
    time = np.arange(FRAMES) / FPS
    return swinging(FRAMES, PERIOD, AMPLITUDE, **({"root": np.stack([0 * time, 0 * time + 1, SPEED * time], 1)} | changes))


@pytest.fixture(scope="module")
def figures():
    return analyse(rig(), walk())


def test_stride_and_swing_of_sines(figures):
    assert figures["period"] == pytest.approx(PERIOD / FPS, rel=0.01) and figures["frequency"] == pytest.approx(FPS / PERIOD, rel=0.01)
    assert figures["fit"] > 0.99
    for name, lead in (("left_hind", 0.75), ("right_hind", 0.25)):
        leg = figures["legs"][name]
        assert leg["swing"] == pytest.approx(AMPLITUDE, rel=0.02) and leg["range"] == pytest.approx(2 * AMPLITUDE, rel=1e-3)
        # a turn by +sin about +X swings the leg backward first: furthest forward after three quarters, so that the lead is a quarter, or the reverse
        assert min(abs(leg["phase"] - lead), abs(leg["phase"] - (1 - lead))) < 0.01
    assert abs(figures["legs"]["left_hind"]["phase"] - figures["legs"]["right_hind"]["phase"]) == pytest.approx(0.5, abs=0.01)
    assert figures["phases"] == {"hind": pytest.approx(0.5, abs=0.01)}
    assert figures["limbs"]["left_hind"] == pytest.approx(2 * AMPLITUDE, rel=1e-3)


def test_way_of_a_straight_walk_and_of_a_circle(figures):
    duration = (FRAMES - 1) / FPS
    assert figures["distance"] == pytest.approx(SPEED * duration, abs=1e-5) and figures["speed"] == pytest.approx(SPEED, abs=1e-5)
    assert figures["forward"] == pytest.approx(SPEED * duration, abs=1e-5) and figures["distance_lengths"] == pytest.approx(
        SPEED * duration / rig().length, abs=1e-4
    )
    assert figures["path"] == pytest.approx({"length": SPEED * duration, "straightness": 1, "sideways": 0, "turn": 0, "turn_rate": 0}, abs=1e-5)
    yaw = 0.6 * np.arange(FRAMES) / FPS
    around = np.stack([2 * (1 - np.cos(yaw)), 0 * yaw + 1, 2 * np.sin(yaw)], 1)  # a circle of 2 m radius to the left
    turning = analyse(rig(), walk(root=around, yaw=yaw))
    assert turning["path"]["turn"] == pytest.approx(0.6 * duration, abs=1e-4) and turning["path"]["turn_rate"] == pytest.approx(0.6, abs=1e-4)
    assert turning["path"]["length"] == pytest.approx(2 * 0.6 * duration, rel=1e-3) and turning["distance"] == pytest.approx(
        4 * np.sin(0.3 * duration), abs=1e-4
    )


def test_feet_of_a_leg_that_turns_about_its_hip(figures):
    """The sole's edges lie a metre below the hip and 5 cm before and behind it; the ground is a metre below the hip."""
    angle = AMPLITUDE * np.sin(2 * np.pi * np.arange(FRAMES) / PERIOD)
    half = float(rig().cuboid_half_sizes[1, 2])
    lowest = 1 - np.cos(angle) - half * np.abs(np.sin(angle))  # both legs lean by the same angle
    assert figures["penetration"] == pytest.approx(max(0, -lowest.min()), abs=1e-5)
    assert figures["floating"] == pytest.approx(np.maximum(lowest, 0).mean(), abs=1e-5)
    down = lowest < feet.TOLERANCE
    assert figures["contact"] == pytest.approx((down[1:] & down[:-1]).mean(), abs=1e-6)
    steps = []
    for side in (1, -1):
        a = side * angle
        # about +X a point (y, z) below the hip goes to (y cos - z sin, y sin + z cos); its lower edge is the one that leans down
        edge = np.where(np.sin(a) > 0, half, -half)
        ahead = lambda a, edge: -np.sin(a) + edge * np.cos(a)  # noqa: E731
        moved = ahead(a[1:], edge[:-1]) - ahead(a[:-1], edge[:-1]) + SPEED / FPS
        height = 1 - np.cos(a[1:]) - edge[:-1] * np.sin(a[1:])
        steps += np.abs(moved[down[:-1] & (height < feet.TOLERANCE)]).tolist()
    assert figures["slide"] == pytest.approx(np.mean(steps) * FPS / SPEED, rel=0.02)


def test_bob_and_jerk_of_a_body_that_rises_and_sinks():
    time = np.arange(FRAMES) / FPS
    root = np.stack([0 * time, 1 + 0.05 * np.sin(2 * np.pi * time), SPEED * time], 1)
    found = analyse(rig(), motion(np.zeros((FRAMES, 5, 3)), root=root))
    assert found["bob"] == pytest.approx(0.1, abs=1e-4)
    assert found["jerk"] == pytest.approx(0.05 * (2 * np.pi) ** 3 * 2 / np.pi, rel=0.03)  # the hip is one metre high


def test_slide_of_feet_that_bear_the_body():
    planted, belt = ideal(WALK, speed=1.2, frames=65), ideal(WALK, speed=1.2, frames=65, travel=False)
    assert feet.stance_slide(planted, 1.2) < 0.05
    # on the spot the standing feet run backward at the speed of the walk
    # (a little less: a contact is seen to begin and end while the foot changes its direction)
    assert feet.stance_slide(belt, 1.2) == pytest.approx(1.0, rel=0.06) and feet.stance_slide(belt, 0.0) == pytest.approx(1.2, rel=0.06)


def test_seams_inside_a_clip_that_turns_steadily_are_not_seen():
    angles = np.zeros((41, 5, 3))
    angles[:, 1, 0] = 0.01 * np.arange(41)
    gap = loop_gap(motion(angles))
    # a parabola foresees a steady turn without error, wherever the clip is cut; where it starts again there is a jump
    assert gap.pose_inside == pytest.approx(0, abs=1e-6) and gap.velocity_inside == pytest.approx(0, abs=1e-4) and gap.pose > 0.1


COVERED = {
    "test_metrics": {
        "test_labels_of_textbook_phases": ("gait", "label", "labels.*", "scores.*"), "test_confidence_falls_with_doubt": ("confidence",),
        "test_contact_times_duty_factor_and_frequency": ("duty", "legs.*.duty", "footfall_frequency"),
        "test_phases_by_sine_and_by_footfalls_agree_with_the_plan": ("footfall_phases.*",), "test_treadmill_speed": ("treadmill",),
    },
    "test_every_figure": {
        "test_stride_and_swing_of_sines": ("period", "frequency", "fit", "legs.*.swing", "legs.*.range", "legs.*.phase", "phases.*"),
        "test_way_of_a_straight_walk_and_of_a_circle": (
            "distance", "distance_lengths", "forward", "speed", "path.length", "path.straightness", "path.sideways", "path.turn", "path.turn_rate"),
        "test_feet_of_a_leg_that_turns_about_its_hip": ("penetration", "floating", "contact", "slide"),
        "test_bob_and_jerk_of_a_body_that_rises_and_sinks": ("bob", "jerk"), "test_slide_of_feet_that_bear_the_body": ("slide_stance",),
        "test_seams_inside_a_clip_that_turns_steadily_are_not_seen": ("loop.pose_inside", "loop.velocity_inside"),
    },
    "test_continuity": {
        "test_limb_swings_and_their_ratios": ("limbs.*", "against.limbs.*"), "test_second_difference_is_equation_nine": ("smoothness.second_difference",),
        "test_acceleration_does_not_depend_on_the_frame_rate": ("smoothness.acceleration",),
        "test_joint_speed_and_spectral_arc_length": ("smoothness.spectral_arc_length",),
        "test_a_cut_loop_shows_its_jump": ("loop.pose", "loop.velocity"),
        "test_a_perfect_loop_has_no_gap_whether_its_last_frame_repeats_the_first_or_not": ("loop.repeats",),
        "test_a_root_that_rises_and_speeds_up_has_a_gap": ("loop.height", "loop.root_velocity"),
        "test_joint_limits": ("limits.share", "limits.excess", "limits.joint"), "test_edge_change_of_rigid_scaled_and_bent_bodies": ("shape.mean", "shape.p95"),
    },
    "test_command": {"test_table_for_people_and_comparison_with_an_artists_clip": ("against.motion", "against.period")},
    "test_videophy": {"test_the_score_is_the_share_of_yes": ("videophy.sa", "videophy.pc", "videophy.*")},
}  # fmt: skip
"""Which test knows a figure by formula (those of --against: by comparing a clip with itself)."""


def test_no_figure_is_without_a_test():
    named = [figure for tests in COVERED.values() for figures in tests.values() for figure in figures]
    assert sorted(named) == sorted(FIGURES)
    for module, tests in COVERED.items():
        found = dict(inspect.getmembers(importlib.import_module(f".{module}", __package__), inspect.isfunction))
        assert [name for name, figures in tests.items() if figures and name not in found] == []
