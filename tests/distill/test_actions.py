"""What bodies do where they stand: feet planted, heads that go down, hands where they belong."""

import numpy as np
import pytest
import torch

from stages.body import quaternion
from stages.body.kinematics import Skeleton, cuboid_corners, forward
from stages.distill import actions, gaits
from stages.distill.gait_styles import IN_PLACE
from stages.distill.priors.embedded.bodies import KINDS, random_body
from stages.rig.axes import frames, limits


def posed(rig, clip):
    skeleton = Skeleton.from_rig(rig, dtype=torch.float64)
    turns = quaternion.to_matrix(torch.from_numpy(clip.root_rotations).double())
    pose = forward(skeleton, torch.from_numpy(clip.angles).double(), torch.from_numpy(clip.root_positions).double(), turns)
    return pose.joints.numpy(), cuboid_corners(skeleton, pose).numpy()


def hands(rig, joints, side):
    """Wrist relative to the shoulder. [m, (F, 3)]"""
    upper, hand = (rig.roles.index(f"{side}_arm_{part}") for part in ("upper", "foot"))
    return joints[:, hand] - joints[:, upper]


def reach_of(rig):
    upper, lower, hand = (rig.positions[rig.roles.index(f"left_arm_{part}")] for part in ("upper", "lower", "foot"))
    return float(np.linalg.norm(lower - upper) + np.linalg.norm(hand - lower))


@pytest.mark.parametrize("kind", KINDS)
def test_feet_stay_where_they_are(kind):
    rig = random_body(8, kind).rig
    for motion in set(gaits.motions_of(rig)) & set(IN_PLACE):
        clip = gaits.sample(rig, motion, rng=np.random.default_rng(3), frames=33)
        joints, corners = posed(rig, clip)
        assert clip.info["contacts"].all() and clip.info["speed"] == 0
        assert np.linalg.norm(np.ptp(clip.root_positions, axis=0)[[0, 2]]) < 0.3 * clip.info["height"]
        assert corners[..., 1].min() > -0.01
        for leg in gaits.legs_of(rig):
            low = np.sort(corners[:, leg.joints[2], :, 1], axis=1)[:, :2]
            assert low.max() < 0.02, motion
            toes = corners[:, leg.joints[2]][:, np.argsort(rig_corners_z(rig, leg.joints[2]))[-2:]].mean(1)
            assert np.ptp(toes[:, [0, 2]], axis=0).max() < 0.06 * clip.info["height"], motion


def rig_corners_z(rig, joint):
    """How far ahead the lower corners of a foot are at rest; upper corners count as far behind."""
    corners = Skeleton.from_rig(rig).corners.numpy()[joint]
    return corners[:, 2] - 10 * (corners[:, 1] > corners[:, 1].min() + 1e-3)


@pytest.mark.parametrize("kind", ["quadruped", "bird", "dinosaur"])
def test_eating_brings_the_head_near_the_ground_and_nods(kind):
    for seed in range(5):
        rig = random_body(seed, kind).rig
        clip = gaits.sample(rig, "eating", frames=33, period=16, phase=0.0, rng=np.random.default_rng(seed))
        _, corners = posed(rig, clip)
        head = corners[:, rig.roles.index("head")][..., 1].min(1)
        rest = Skeleton.from_rig(rig).corners[rig.roles.index("head")][:, 1].min()
        assert -0.01 < head.min() < 0.45 * float(rest)
        assert head.argmin() % 16 in (0, 1, 15)
        assert np.ptp(head) > 0.05 * clip.info["height"]


def test_a_biped_bends_less_and_takes_a_hand_to_the_mouth():
    rig = random_body(3, "biped").rig
    clip = gaits.sample(rig, "eating", frames=17, period=16, phase=0.0)
    joints, _ = posed(rig, clip)
    head, hand = rig.roles.index("head"), rig.roles.index("right_arm_foot")
    assert joints[:, head, 1].min() > 0.9 * rig.positions[head, 1]
    gap = np.linalg.norm(joints[:, hand] - joints[:, head], axis=1)
    assert gap.argmin() in (0, 1, 15, 16)
    assert gap[0] < 0.6 * gap[8]


def test_punches_alternate_and_are_straight():
    for seed in range(5):
        rig = random_body(seed, "biped").rig
        clip = gaits.sample(rig, "punching", frames=17, period=16, phase=0.0, rng=np.random.default_rng(seed))
        joints, _ = posed(rig, clip)
        left, right = hands(rig, joints, "left"), hands(rig, joints, "right")
        full = reach_of(rig)
        assert left[0, 2] > 0.9 * full and right[8, 2] > 0.9 * full
        # the other fist guards: near the shoulder, above it
        for guard in (right[0], left[8]):
            assert np.linalg.norm(guard) < 0.7 * full and guard[1] > 0
        assert abs(left[0, 1]) < 0.25 * full


def test_waving_raises_one_forearm_that_swings():
    for seed in range(5):
        rig = random_body(seed, "biped").rig
        clip = gaits.sample(rig, "waving", frames=17, period=8, phase=0.0, rng=np.random.default_rng(seed))
        joints, _ = posed(rig, clip)
        elbow, wrist = (joints[:, rig.roles.index(f"right_arm_{part}")] for part in ("lower", "foot"))
        forearm = (wrist - elbow) / np.linalg.norm(wrist - elbow, axis=1, keepdims=True)
        assert forearm[:, 1].min() > 0.7
        swing = np.degrees(np.arccos(np.clip(forearm[0] @ forearm[4], -1, 1)))
        assert 45 < swing < 90
        assert np.abs(forearm[0] - forearm[8]).max() < 0.01
        assert hands(rig, joints, "left")[:, 1].max() < -0.7 * reach_of(rig)


def test_dancing_arms_go_up_in_turn_and_knees_bend():
    for seed in range(5):
        rig = random_body(seed, "biped").rig
        clip = gaits.sample(rig, "dancing", frames=33, period=16, phase=0.0, rng=np.random.default_rng(seed))
        joints, _ = posed(rig, clip)
        left, right = hands(rig, joints, "left")[:, 1], hands(rig, joints, "right")[:, 1]
        assert np.corrcoef(left, right)[0, 1] < -0.8
        assert left.max() > 0.3 * reach_of(rig) > 0 > left.min()
        height = clip.root_positions[:, 1]
        assert 0.04 < np.ptp(height) / clip.info["height"] < 0.12
        assert np.abs(height[:8] - height[8:16]).max() < 1e-4  # twice in a cycle
        assert np.ptp(clip.root_positions[:, 0]) > 0.08 * clip.info["height"]


@pytest.mark.parametrize("kind", ["biped", "dinosaur"])
@pytest.mark.parametrize("motion", ["dancing", "punching", "waving", "eating"])
def test_arms_keep_to_their_limits(kind, motion):
    for seed in range(8):
        rig = random_body(seed, kind).rig
        rig.axes = frames(rig.parents, rig.positions, rig.tails)
        bounds = limits(rig.roles)
        clip = gaits.sample(rig, motion, rng=np.random.default_rng(seed))
        arms = [j for j, role in enumerate(rig.roles) if "_arm_" in role]
        beyond = np.maximum(bounds[arms, :, 0] - clip.angles[:, arms], clip.angles[:, arms] - bounds[arms, :, 1])
        assert np.degrees(beyond.max()) < 12, (seed, np.degrees(beyond.max((0, 2))))


def test_an_arm_points_where_it_is_told():
    rig = random_body(1, "biped").rig
    local = np.broadcast_to(np.eye(3), (1, rig.joint_count, 3, 3)).copy()
    for arm in actions.arms_of(rig):
        ahead = np.array([[0.2, 0.1, 1.0]])
        actions.reach(arm, ahead, np.array([[0.0, -1.0, 0.0]]), np.array([1.2]), local)
        a, b, _ = arm.lengths
        turn = local[0, arm.upper]
        wrist = turn @ arm.along[0] * a + turn @ local[0, arm.lower] @ arm.along[1] * b
        assert wrist / np.linalg.norm(wrist) == pytest.approx(ahead[0] * (arm.side, 1, 1) / np.linalg.norm(ahead), abs=1e-6)
        assert np.linalg.norm(wrist) == pytest.approx(np.sqrt(a * a + b * b + 2 * a * b * np.cos(1.2)))
        assert (turn @ arm.along[0])[1] < 0  # the elbow is below the line
