"""Bones that pass into each other: distances, what counts, and that the penalty parts them."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.motion import Motion
from schemas.rig import Rig
from stages.body.kinematics import Skeleton, pose_of
from stages.track.body import Body
from stages.track.collision import Capsules, colliding, deepest, distances
from stages.track.params import Params
from stages.track.stage import run

from .beasts import quadruped, trot

GRID = torch.linspace(0, 1, 201, dtype=torch.float64)


def crossing(rig: Rig, angle: float = 0.22) -> Motion:
    """A trot whose fore feet are turned to the middle until they pass into each other. [rad]"""
    motion = trot(rig)
    angles = motion.angles.copy()
    for side, sign in (("left", -1.0), ("right", 1.0)):
        angles[:, rig.roles.index(f"{side}_fore_upper"), 2] += sign * angle
    return dataclasses.replace(motion, angles=angles)


def poses(rig: Rig, motion: Motion) -> tuple[torch.Tensor, torch.Tensor]:
    """Joint points and bone frames of a motion."""
    pose = pose_of(motion, Skeleton.from_rig(rig, dtype=torch.float64))
    return pose.joints.float(), (pose.rotations @ torch.from_numpy(Body.from_rig(rig).frames)).float()


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**31), kind=st.sampled_from(["any", "parallel", "point"]))
def test_distance_of_segments_is_the_least_over_their_points(seed: int, kind: str) -> None:
    one, other = torch.from_numpy(np.random.default_rng(seed).normal(size=(2, 2, 3)))
    if kind == "parallel":
        other = other[:1] + 0.7 * (one - one[:1])
    elif kind == "point":
        other = other[:1].expand(2, 3)
    first, second = (line[0] + GRID[:, None] * (line[1] - line[0]) for line in (one, other))
    least = torch.cdist(first[None], second[None]).min()
    found = distances(one, other)
    assert float(found) <= float(least) + 1e-9 and float(found) >= float(least) - 0.02


def test_gradients_of_the_distance_are_those_of_differences() -> None:
    lines = torch.from_numpy(np.random.default_rng(3).normal(size=(2, 8, 2, 3))).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: distances(x[0], x[1]), (lines,), eps=1e-6, atol=1e-5)


def test_the_rest_pose_and_a_plain_trot_do_not_collide() -> None:
    rig = quadruped()
    capsules = Capsules.of(Body.from_rig(rig))
    names = list(rig.joint_names)
    assert deepest(capsules, *poses(rig, trot(rig)), names) == {"depth": 0.0, "bones": ""}
    still = dataclasses.replace(trot(rig), angles=np.zeros_like(trot(rig).angles))
    assert float(capsules.depths(*poses(rig, still)).max()) < 1e-6


def test_feet_that_cross_are_named_with_their_depth() -> None:
    rig = quadruped()
    found = deepest(Capsules.of(Body.from_rig(rig)), *poses(rig, crossing(rig)), list(rig.joint_names))
    assert found["depth"] > 0.01
    assert all("fore" in bone for bone in found["bones"].split(" and "))


def test_bones_next_to_each_other_are_left_out() -> None:
    rig = quadruped()
    pairs = {tuple(pair) for pair in Capsules.of(Body.from_rig(rig)).pairs.tolist()}
    names = list(rig.joint_names)
    for one, other in itertools.combinations(range(rig.joint_count), 2):
        if rig.parents[other] == one or rig.parents[other] == rig.parents[one]:
            assert (one, other) not in pairs, (names[one], names[other])
    assert (names.index("left_fore_foot"), names.index("right_fore_foot")) in pairs


def test_depth_does_not_depend_on_the_scale_of_the_body() -> None:
    def cost(scale: float) -> float:
        rig = quadruped(scale)
        body = Body.from_rig(rig)
        motion = crossing(rig)
        motion = dataclasses.replace(motion, root_positions=motion.root_positions * 0 + rig.positions[0])
        return float(colliding(Capsules.of(body), *poses(rig, motion), body.height))

    assert cost(3.0) == pytest.approx(cost(1.0), rel=1e-3)


def test_the_penalty_parts_the_feet() -> None:
    rig = quadruped()
    motion = crossing(rig)
    settings_ = Params(iterations=40, substeps=12, sink=0)
    without, held = (run(rig, motion, dataclasses.replace(settings_, self_collision=weight)).report["self_collision"] for weight in (0.0, 30.0))
    assert without["before"]["depth"] == held["before"]["depth"] > 0.01
    assert held["after"]["depth"] < 0.5 * without["after"]["depth"]
