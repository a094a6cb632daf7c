"""The pose a motion starts from: arms of a T-pose hang, arms of other poses and everything else stay as modelled."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from schemas.rig import Rig
from stages.body.kinematics import Skeleton, forward
from stages.distill.control import Control
from stages.distill.params import Params, resolve
from stages.distill.priors.embedded.bodies import random_body
from stages.distill.priors.ideal import IdealPrior
from stages.distill.stance import stance

from . import beast


def biped(spread: float) -> Rig:
    """An upright body with its arms straight, at an angle from hanging. [rad]"""
    rig = random_body(400012, "biped").rig
    positions, tails, centers = rig.positions.copy(), rig.tails.copy(), rig.cuboid_centers.copy()
    for side, sign in (("left", 1.0), ("right", -1.0)):
        chain = [rig.roles.index(f"{side}_arm_{part}") for part in ("upper", "lower", "foot")]
        along = np.array([sign * np.sin(spread), -np.cos(spread), 0.0])
        place = positions[chain[0]].astype(float)
        for joint in chain:
            length = float(np.linalg.norm(rig.tails[joint] - rig.positions[joint]))
            positions[joint], tails[joint] = place, place + length * along
            centers[joint] = 0.5 * (positions[joint] + tails[joint])
            place = tails[joint].astype(float)
    return dataclasses.replace(rig, positions=positions, tails=tails, cuboid_centers=centers)


def from_hanging(rig: Rig, angles: np.ndarray) -> list[float]:
    """Angle of each upper arm from straight down. [rad]"""
    skeleton = Skeleton.from_rig(rig, dtype=torch.float64)
    pose = forward(skeleton, torch.from_numpy(angles)[None].double(), skeleton.positions[:1], torch.eye(3, dtype=torch.float64)[None])
    result = []
    for side in ("left", "right"):
        upper, lower = (rig.roles.index(f"{side}_arm_{part}") for part in ("upper", "lower"))
        along = (pose.joints[0, lower] - pose.joints[0, upper]).numpy()
        result.append(float(np.arccos(-along[1] / np.linalg.norm(along))))
    return result


@pytest.mark.parametrize("spread", [0.9, 1.2, 0.5 * np.pi, 2.2])
def test_raised_arms_come_down(spread):
    rig = biped(spread)
    angles = stance(rig, "relaxed")
    assert min(from_hanging(rig, angles)) > 0.25 and max(from_hanging(rig, angles)) < spread - 0.4
    arms = [j for j, role in enumerate(rig.roles) if "_arm_" in role]
    assert not np.delete(angles, arms, 0).any()
    assert (angles >= rig.limits[..., 0]).all() and (angles <= rig.limits[..., 1]).all()


def test_a_t_pose_hangs_beside_the_body():
    rig = biped(0.5 * np.pi)
    assert np.allclose(from_hanging(rig, stance(rig, "relaxed")), 0.3, atol=0.02)


def test_what_hangs_already_stays():
    assert not stance(biped(0.2), "relaxed").any()
    assert not stance(biped(1.5), "rest").any()
    assert not stance(beast.rig(), "relaxed").any()


def test_hands_do_not_go_into_a_wide_body():
    rig = biped(0.5 * np.pi)
    free = stance(rig, "relaxed")
    sizes = rig.cuboid_half_sizes.copy()
    sizes[[rig.roles.index(role) for role in ("pelvis", "spine")], 0] *= 3.5
    wide = stance(dataclasses.replace(rig, cuboid_half_sizes=sizes), "relaxed")
    assert 0 < np.abs(wide).max() < 0.9 * np.abs(free).max()


def test_a_run_starts_from_it_and_shows_it():
    rig = biped(0.5 * np.pi)
    control = Control(rig, _settings())
    wanted = torch.as_tensor(stance(rig, "relaxed"))
    frames, carried = control.variables.frames(), control.carried()
    assert torch.allclose(frames.angles, wanted.expand_as(frames.angles), atol=1e-5)
    assert torch.equal(carried.angles, wanted.expand_as(carried.angles))
    assert float(control.hold(0, frames).detach()) < 1e-9
    assert "--pose rest" in " ".join(control.notes)
    still = Control(rig, dataclasses.replace(_settings(), pose="rest"))
    assert not still.variables.frames().angles.any() and not still.notes


def _settings() -> Params:
    spec = IdealPrior(beast.rig(), beast.splat(beads=1), cameras=1, phases=1).spec
    return dataclasses.replace(resolve(Params(prior="ideal", iterations=4, speed=0.5, device="cpu"), spec), hold="left_arm*=1", loop=False)
