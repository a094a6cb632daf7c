"""Joints with fewer than three degrees of freedom, limits and bounded effort."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from stages.track.body import Body
from stages.track.params import Params
from stages.track.simulator import Simulator

from .beasts import quadruped, random_tree
from .oracle import mjcf


def _zeros(simulator: Simulator) -> tuple[torch.Tensor, ...]:
    worlds, bones = simulator.worlds, len(simulator.body.parents)
    return torch.zeros(simulator.knots, worlds, bones, 3), torch.zeros(worlds, 3), torch.zeros(worlds, 3), torch.zeros(worlds, bones, 3)


@pytest.mark.parametrize("seed", range(4))
def test_joints_with_locked_axes_are_hinges(seed: int) -> None:
    """Accelerations as in MuJoCo with the locked hinges left out."""
    mujoco = pytest.importorskip("mujoco")
    count = 6
    rig, rng = random_tree(seed, count), np.random.default_rng(seed)
    locked = rng.random((count, 3)) < 0.5
    rig.limits[locked] = 0
    body = Body.from_rig(rig)
    rates = np.where(locked, 0, rng.uniform(-2, 2, (count, 3)))
    simulator = Simulator(body, steps=1, time_step=1.0, gain=0.0)
    simulator.start([0, 20, 0], [0, 0, 0, 1], np.zeros((count, 3)))
    control, velocity, spin, _ = _zeros(simulator)
    simulator.forward(control, velocity, spin, torch.tensor(rates, dtype=torch.float32)[None])
    spec = mujoco.MjSpec.from_string(mjcf(body))
    for bone, axis in zip(*np.nonzero(locked[1:]), strict=True):
        spec.delete(spec.joint(f"{bone + 1}-{axis}"))
    model = spec.compile()
    data = mujoco.MjData(model)
    free = [(bone, axis) for bone in range(1, count) for axis in range(3) if not locked[bone, axis]]
    addresses = [model.joint(f"{bone}-{axis}").dofadr[0] for bone, axis in free]
    data.qvel[addresses] = [rates[pair] for pair in free]
    mujoco.mj_forward(model, data)
    ours = (simulator.rate[1, 0] - simulator.rate[0, 0]).numpy()
    scale = np.abs(data.qacc[addresses]).max()
    assert np.abs([ours[pair] - acceleration for pair, acceleration in zip(free, data.qacc[addresses], strict=True)]).max() < 5e-3 * scale
    assert np.abs(ours[1:][locked[1:]]).max(initial=0) < 1e-2 * scale


def test_limits_hold_against_the_spring() -> None:
    rig = quadruped()
    rig.limits[:] = [-0.2, 0.2]
    simulator = Simulator(Body.from_rig(rig), steps=400, time_step=0.002, gravity=0.0, hold=400)
    simulator.start([0, 5, 0], [0, 0, 0, 1], np.zeros((17, 3)))
    control, *rest = _zeros(simulator)
    simulator.forward(control + 1.0, *rest)
    angles = simulator.angle[-1, 0, 1:].numpy()
    # the wall is as stiff as four springs: u - q = 4 (q - limit)
    assert angles.mean() == pytest.approx((1.0 + 4 * 0.2) / 5, abs=0.02)


def test_torques_stay_within_the_effort() -> None:
    rig = quadruped()
    body, effort = Body.from_rig(rig), 0.1
    speeds = []
    for bound in (0.0, effort):
        simulator = Simulator(body, steps=60, time_step=0.002, gravity=0.0, effort=bound, hold=60)
        simulator.start([0, 5, 0], [0, 0, 0, 1], np.zeros((17, 3)))
        control, *rest = _zeros(simulator)
        simulator.forward(control + 1.0, *rest)
        torques = np.abs(simulator.torques()[:, 0])
        speeds.append(float(simulator.rate.abs().max()))
        if bound:
            assert (torques.max((0, 2)) <= body.efforts(effort) * (1 + 1e-6)).all()
            assert torques.max() == pytest.approx(effort * body.efforts(1.0)[1:].max(), rel=0.2)
    assert speeds[1] < 0.8 * speeds[0]


def test_a_hinged_body_can_be_tracked_and_stays_hinged() -> None:
    from stages.track.stage import run

    from .beasts import trot

    rig = quadruped()
    motion = trot(rig, frames=9)
    rig = dataclasses.replace(rig, limits=rig.limits.copy())
    rig.limits[:, 2] = 0  # the trot does not turn about z
    track = run(rig, motion, Params(iterations=40))
    assert not track.report["failed"], track.report["reason"]
    assert np.abs(track.angles[..., 2]).max() < 2e-3


def test_no_joint_turns_faster_than_the_bound() -> None:
    simulator = Simulator(Body.from_rig(quadruped()), steps=60, time_step=0.002, gravity=0.0, gain=400.0, damping=0.0)
    simulator.start([0, 5, 0], [0, 0, 0, 1], np.zeros((17, 3)))
    simulator.physics.fastest = 20.0
    control, velocity, spin, rate = _zeros(simulator)
    simulator.forward(control + 1.5, velocity, spin + 50.0, rate)
    assert float(simulator.rate.abs().max()) == 20.0
    assert float(simulator.spin[1:].abs().max()) == 20.0
