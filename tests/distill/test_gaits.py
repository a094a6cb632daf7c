"""Procedural gaits on every kind of body: feet on the ground, legs in the right order."""

import numpy as np
import pytest
import torch

from schemas.errors import InputError
from stages.body import quaternion
from stages.body.kinematics import Skeleton, cuboid_corners, forward
from stages.distill import gaits
from stages.distill.priors.embedded.bodies import KINDS, random_body


def posed(rig, clip):
    skeleton = Skeleton.from_rig(rig, dtype=torch.float64)
    turns = quaternion.to_matrix(torch.from_numpy(clip.root_rotations).double())
    pose = forward(skeleton, torch.from_numpy(clip.angles).double(), torch.from_numpy(clip.root_positions).double(), turns)
    return pose, cuboid_corners(skeleton, pose).numpy()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("gait", gaits.GAITS)
def test_feet_meet_the_ground(kind, gait):
    for seed in range(4):
        rig = random_body(seed, kind).rig
        clip = gaits.sample(rig, gait, rng=np.random.default_rng(seed))
        _, corners = posed(rig, clip)
        feet = [j for j, role in enumerate(rig.roles) if role.endswith("hind_foot") or role.endswith("fore_foot")]
        heights = corners[:, feet][..., 1].min((1, 2))
        assert heights.min() > -0.01
        assert clip.info["contacts"].shape == (17, len(clip.info["legs"]))
        down = clip.info["contacts"].any(1)
        assert (heights[down] < 0.02).mean() > 0.8, (seed, heights)


@pytest.mark.parametrize("kind", KINDS)
def test_walking_legs_alternate_and_travel_forward(kind):
    rig = random_body(21, kind).rig
    clip = gaits.sample(rig, "walking", frames=33, period=16, phase=0.1)
    contacts = dict(zip(clip.info["legs"], clip.info["contacts"].T, strict=True))
    for pair in ("hind", "fore"):
        if f"left_{pair}" in contacts:
            left, right = contacts[f"left_{pair}"], contacts[f"right_{pair}"]
            assert np.array_equal(left[:16], right[8:24])
    assert clip.root_positions[-1, 2] - clip.root_positions[0, 2] == pytest.approx(2 * clip.info["speed"], rel=1e-4)
    assert np.abs(clip.root_positions[:, 0] - clip.root_positions[0, 0]).max() < 1e-6


def test_planted_toes_stay_where_they_are():
    rig = random_body(5, "quadruped").rig
    clip = gaits.sample(rig, "walking", rng=np.random.default_rng(4))
    _, corners = posed(rig, clip)
    foot = rig.roles.index("left_hind_foot")
    down = clip.info["contacts"][:, clip.info["legs"].index("left_hind")]
    front = corners[:, foot][:, np.argsort(corners[0, foot, :, 2])[-4:]].mean(1)
    still = down[:-1] & down[1:]
    moved = np.abs(np.diff(front[:, 2]))[still]
    assert moved.max() < 0.35 * clip.info["speed"] / 16


def test_same_seed_same_clip_and_other_rates():
    rig = random_body(1, "biped").rig
    a, b = (gaits.sample(rig, "running", rng=np.random.default_rng(9)) for _ in range(2))
    assert np.array_equal(a.angles, b.angles)
    slow, fast = (gaits.sample(rig, "running", rng=np.random.default_rng(9), fps=fps, frames=frames) for fps, frames in ((16, 9), (32, 17)))
    trunk = [j for j, role in enumerate(rig.roles) if "_" not in role]
    # legs differ a little: how far the body sinks is measured at the frames
    assert np.abs(slow.angles - fast.angles[::2])[:, trunk].max() < 1e-5
    assert np.abs(slow.root_positions - fast.root_positions[::2])[:, 2].max() < 1e-5


def test_knees_bend_as_at_rest():
    for seed in range(6):
        rig = random_body(seed, "quadruped").rig
        signs = {leg.name: leg.bend for leg in gaits.legs_of(rig)}
        # about +X: the shank of a hind leg turns back from the thigh, the forearm turns forward
        assert signs["left_hind"] == signs["right_hind"] == 1.0
        assert signs["left_fore"] == signs["right_fore"] == -1.0


def test_errors_name_the_way_out():
    rig = random_body(0, "quadruped").rig
    with pytest.raises(InputError, match="walking, running, jumping, standing"):
        gaits.sample(rig, "swimming")
    rig.roles = ["other"] * rig.joint_count
    with pytest.raises(InputError, match="no legs"):
        gaits.sample(rig, "walking")
