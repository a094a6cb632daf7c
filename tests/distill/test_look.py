"""What the built-in prior is shown: hanging tails hidden, long feet in two colours, and nothing else changed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from stages.asset import stage as asset_stage
from stages.distill.filming import Body
from stages.distill.gait_legs import legs_of
from stages.distill.look import part_colors, shown
from stages.distill.priors.embedded.bodies import as_splat, random_body
from stages.distill.scene import Scene, role_color, role_colors
from stages.rig import stage as rig_stage

from . import beast


@pytest.fixture(scope="module")
def horse():
    return rig_stage.run(asset_stage.run("horse"))


def kernels(rig):
    """Five along every bone, each following its bone alone."""
    steps = np.linspace(0.1, 0.9, 5)[:, None]
    means = np.concatenate([(1 - steps) * rig.positions[j] + steps * rig.tails[j] for j in range(rig.joint_count)])
    return torch.tensor(means, dtype=torch.float32), torch.eye(rig.joint_count).repeat_interleave(5, 0)


def test_a_hanging_tail_is_not_drawn(horse):
    _, weights = kernels(horse)
    tail = torch.tensor([role == "tail" for role in horse.roles]).repeat_interleave(5)
    assert tail.any() and torch.equal(shown(horse, weights), ~tail)


def test_a_tail_held_away_is_drawn(horse):
    tails = [j for j, role in enumerate(horse.roles) if role == "tail"]
    tip = horse.tails.copy()
    tip[tails[-1]] += [0, 0.8, 0]
    raised = dataclasses.replace(horse, tails=tip)
    assert shown(raised, kernels(raised)[1]).all()
    for kind in ("quadruped", "bird", "dinosaur"):
        body = random_body(100001, kind)
        assert shown(body.rig, torch.as_tensor(as_splat(body).weights)).all(), kind
    assert shown(beast.rig(), kernels(beast.rig())[1]).all()


def test_a_long_foot_has_the_lower_legs_colour_down_to_the_fetlock(horse):
    means, weights = kernels(horse)
    colors, plain = part_colors(horse, means, weights), role_colors(horse, weights)
    for leg in legs_of(horse):
        foot = torch.tensor([role == f"{leg.name}_foot" for role in horse.roles]).repeat_interleave(5)
        high = foot & (means[:, 1] > leg.contact[0] + 0.2 * leg.height)
        low = foot & (means[:, 1] < leg.contact[0] + 0.1 * leg.height)
        assert high.any() and low.any()
        assert torch.allclose(colors[high], torch.tensor(role_color(f"{leg.name}_lower")).expand(int(high.sum()), 3), atol=1e-6)
        assert torch.equal(colors[low], plain[low])
    others = torch.tensor([not role.endswith("_foot") for role in horse.roles]).repeat_interleave(5)
    assert torch.equal(colors[others], plain[others])


def test_the_animals_it_learnt_from_look_as_they_did():
    for seed in range(100001, 100006):
        body = random_body(seed, "quadruped")
        splat = as_splat(body)
        means, weights = torch.as_tensor(splat.means), torch.as_tensor(splat.weights)
        assert torch.equal(part_colors(body.rig, means, weights), role_colors(body.rig, weights))


@pytest.mark.parametrize(("look", "hidden"), [("roles", True), ("natural", False)])
def test_only_the_look_in_part_colours_leaves_something_out(horse, look, hidden):
    means, weights = kernels(horse)
    count = len(means)
    splat = dataclasses.replace(
        beast.splat(beads=1), means=means.numpy(), weights=weights.numpy(), rotations=np.tile(np.float32([0, 0, 0, 1]), (count, 1)),
        scales=np.full((count, 3), 0.02, np.float32), opacities=np.ones(count, np.float32), colors=np.full((count, 3), 0.5, np.float32),
        faces=np.zeros(count, np.int32),
    )  # fmt: skip
    body = Body(horse, splat, Scene(look=look), "cpu")
    assert (len(body.means) < count) == hidden and len(body.weights) == len(body.means)
