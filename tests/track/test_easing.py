"""The easier world that optimisation begins in, and the penalties on slipping and sinking."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from stages.track.body import GRAVITY, Body
from stages.track.easing import RAMP, faded, hardness, settles
from stages.track.feet import Contacts, Foot
from stages.track.objective import sinking, slip
from stages.track.params import Params
from stages.track.simulator import Simulator
from stages.track.stage import run
from stages.track.world import World

from .beasts import quadruped, trot


def test_the_world_hardens_and_then_stays() -> None:
    shares = [hardness(i, 100) for i in range(101)]
    assert shares[0] == 0
    assert (np.diff(shares) >= 0).all()
    assert all(share == 1 for share in shares[round(100 * RAMP) :])
    assert [i for i in range(101) if settles(i, 100)] == [round(100 * RAMP)]
    assert hardness(0, 0) == 1
    assert not settles(0, 0)


def test_help_fades_where_the_body_holds_itself() -> None:
    params = Params(iterations=100, fade=0.2)

    def after(away: float, least: float, begin: float = 1.0) -> float:
        left = begin
        for iteration in range(101):
            left = faded(left, away, least, iteration, params)
        return left

    assert after(0.01, 0.01) == pytest.approx(0.2)
    assert after(0.02, 0.01) == 1.0  # so far off that fading costs accuracy
    assert after(0.2, 0.2, begin=0.3) == 1.0  # far off: help comes back
    assert faded(0.5, 0.01, 0.01, 100, params) == 0.5  # the real world stays as it is
    assert faded(1.0, 0.01, 0.01, 0, dataclasses.replace(params, fade=1.0)) == 1.0


def test_ease_softens_the_ground_of_tall_bodies_and_takes_help_away() -> None:
    small, tall = (Simulator(Body.from_rig(quadruped(scale)), steps=2, time_step=0.002, upright=1.7, gradients=False) for scale in (0.5, 4.0))
    for simulator, soft in ((small, 1.0), (tall, 0.4 / 2.2)):
        full = simulator.world
        simulator.ease(0.0, 0.25)
        assert simulator.physics.contact_stiffness == pytest.approx(soft * full.contact_stiffness, rel=1e-3)
        assert simulator.physics.upright_stiffness == pytest.approx(0.25 * full.upright_stiffness)
        assert simulator.physics.upright_damping == pytest.approx(0.25 * full.upright_damping)
        simulator.ease()
        assert simulator.physics.contact_stiffness == pytest.approx(full.contact_stiffness)
        assert simulator.physics.upright_stiffness == pytest.approx(full.upright_stiffness)


@pytest.mark.parametrize("scale", [1.0, 6.0, 30.0])
def test_a_corner_under_all_the_weight_sinks_little_in_a_body_of_any_size(scale: float) -> None:
    body = Body.from_rig(quadruped(scale))
    world = World.of(body, friction=0.8, upright=1.7)
    depth = np.linspace(0, 0.01, 100001)
    force = world.contact_stiffness * depth**2 / (depth + world.contact_ease)
    assert depth[np.searchsorted(force, body.mass * GRAVITY)] < 0.003


def test_the_report_says_what_help_remains() -> None:
    rig = quadruped()
    motion = trot(rig, frames=5)
    whole, less = (run(rig, motion, Params(iterations=20, upright=upright, fade=1.0)).report for upright in (1.7, 0.17))
    assert whole["help_left"] == less["help_left"] == 1.0
    assert 0 < less["help_mean"] < whole["help_mean"] < whole["help_max"]
    fading = run(rig, motion, Params(iterations=20, fade=0.3)).report
    assert 0.3 <= fading["help_left"] <= 1.0


def _standing(height: float, step: float) -> tuple[Contacts, torch.Tensor, torch.Tensor, torch.Tensor]:
    """One bone that stands for three frames, then swings: its eight corners `height` above ground move by `step` a frame."""
    down = np.array([[True], [True], [True], [False], [False]])
    contacts = Contacts([Foot([0], [0], np.ones(1))], down, np.zeros((5, 1), int))
    joint = torch.zeros(5, 1, 3)
    joint[:, 0, 1], joint[:, 0, 2] = height, step * torch.arange(5)
    return contacts, joint.requires_grad_(), torch.eye(3).expand(5, 1, 3, 3), torch.zeros(1, 8, 3)


def test_slip_counts_steps_of_low_corners_in_and_out_of_stances() -> None:
    contacts, joint, turn, corners = _standing(0.0, 0.1)
    loss = slip(contacts, joint, turn, corners, 2.0)
    # 3 of the 4 steps begin or end in the stance, with 8 corners each; the unit is 4 corners of 2 held steps
    assert float(loss.detach()) == pytest.approx(3 * 8 * 0.05**2 / (4 * 2))
    loss.backward()
    assert joint.grad[0, 0, 1] == joint.grad[1, 0, 1] == 0  # a foot is not lifted in its stance
    assert joint.grad[3, 0, 1] < 0  # but it is where it leaves
    assert slip(*_standing(0.2, 0.1), 2.0).item() == 0
    assert slip(*_standing(0.0, 0.0), 2.0).item() == 0


def test_sinking_is_the_depth_beyond_what_bears_the_weight() -> None:
    joint, turn, corners = torch.zeros(4, 1, 3), torch.eye(3).expand(4, 1, 3, 3), torch.zeros(1, 8, 3)
    joint[:, 0, 1] = torch.tensor([0.5, 0.0, -0.002, -0.006])
    assert float(sinking(joint, turn, corners)) == pytest.approx(8 * 0.004**2 / 4)
