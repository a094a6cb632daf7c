"""Regularisers, schedule, motion variables: against values worked out by hand and against finite differences."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch

from schemas.errors import InputError
from stages.body.kinematics import cuboid_corners
from stages.distill.objective import ground, slide, smoothness
from stages.distill.parameterisation import LOCKED, SLACK, MotionVariables, cosine_basis, lowest_corner, relative_rates, released, soft_limit
from stages.distill.params import Params, resolve
from stages.distill.priors.ideal import SPEC
from stages.distill.start import default_speed, gait_in
from tests.schemas import samples

from . import beast


def test_smoothness_is_the_mean_second_difference():
    motion = torch.tensor([[0.0, 0], [1, 0], [4, 0], [9, 3]])
    assert smoothness(motion).item() == pytest.approx((2 + 0 + 2 + 3) / 4)


def test_smoothness_is_zero_at_constant_speed_and_for_short_clips():
    ramp = torch.arange(8.0)[:, None] * torch.tensor([[1.0, -2, 0]]) + 5
    assert smoothness(ramp).item() == 0
    assert smoothness(torch.rand(2, 3)).item() == 0


def test_ground_is_the_mean_depth_over_all_corners():
    corners = torch.tensor([[[0.0, -0.5, 0], [0, 0.5, 0]], [[0, 0, 0], [0, -0.1, 0]]])
    assert ground(corners).item() == pytest.approx(0.15)


def test_ground_pushes_only_buried_corners_up():
    corners = torch.tensor([[0.0, -0.5, 0], [0, 0.5, 0]], requires_grad=True)
    ground(corners).backward()
    assert corners.grad.tolist() == [[0, -0.5, 0], [0, 0, 0]]


def test_cosine_basis_holds_a_constant_and_orthogonal_modes():
    basis = cosine_basis(17, 6).double()
    assert torch.equal(basis[:, 0], torch.ones(17, dtype=torch.float64))
    gram = basis.T @ basis
    assert (gram - torch.diag(gram.diagonal())).abs().max() < 1e-5
    assert torch.equal(cosine_basis(5, 0), torch.eye(5))
    assert cosine_basis(4, 9).shape == (4, 4)


def test_modes_are_released_from_coarse_to_fine():
    assert released(6, 0).tolist() == [1, 1, 0, 0, 0, 0]
    assert released(6, 1).tolist() == [1] * 6
    assert released(6, 0.5).tolist() == [1, 1, 1, 1, 0, 0]


def test_soft_limit_is_the_identity_at_rest_and_stays_within_limits():
    limits = torch.tensor([[[-1.0, 0.5], [-0.2, 2.0], [0.0, 0.0]]])
    free = torch.linspace(-50, 50, 1001)[:, None, None].expand(-1, 1, 3).clone().requires_grad_()
    bent = soft_limit(free, limits)
    assert (bent >= limits[..., 0] - 1e-6).all() and (bent <= limits[..., 1] + 1e-6).all()
    middle = torch.zeros(1, 1, 3, requires_grad=True)
    (gradient,) = torch.autograd.grad(soft_limit(middle, limits).sum(), middle)
    assert gradient.flatten().tolist() == [1, 1, 0]


def test_soft_limit_leaves_a_gradient_where_rest_lies_on_a_limit():
    knee = torch.tensor([[[0.0, 2.0], [-1.0, 0.0], [0.0, LOCKED / 2]]])
    assert soft_limit(torch.tensor([[[-9.0, 9.0, 9.0]]]), knee).flatten().tolist() == pytest.approx([-SLACK, SLACK, 0])


def test_start_is_the_rest_pose_carried_forward_on_the_ground():
    rig = beast.rig()
    variables = MotionVariables(rig, frames=9, fps=16, modes=4, speed=1.6)
    motion = variables.frames()
    assert motion.angles.abs().max() == 0
    assert torch.allclose(motion.root_positions[:, 2], torch.tensor(rig.positions[0, 2] + 0.1 * np.arange(9), dtype=torch.float32), atol=1e-6)
    corners = cuboid_corners(variables.skeleton, motion.pose(variables.skeleton))
    assert corners[..., 1].min().item() == pytest.approx(0, abs=1e-6)
    assert motion.root_positions[0, 1].item() == pytest.approx(rig.positions[0, 1] - lowest_corner(rig), abs=1e-6)
    assert smoothness(motion.stacked()).item() < 1e-6


@pytest.mark.parametrize("modes", [0, 3])
def test_every_free_variable_moves_the_body(modes):
    variables = MotionVariables(beast.rig(), frames=5, fps=16, modes=modes, speed=0)
    pose = variables.frames().pose(variables.skeleton)
    (cuboid_corners(variables.skeleton, pose) * torch.rand(5, 16, 8, 3, generator=torch.Generator().manual_seed(0))).sum().backward()
    assert (variables.joints.grad[:, 1:] != 0).all() and (variables.joints.grad[:, 0] == 0).all()
    assert (variables.turns.grad != 0).all() and (variables.shifts.grad != 0).all()


def test_root_angles_stay_zero_whatever_the_variables_say():
    variables = MotionVariables(beast.rig(), frames=5, fps=16, modes=0, speed=1)
    with torch.no_grad():
        variables.joints.normal_(generator=torch.Generator().manual_seed(1))
    assert variables.frames().angles[:, 0].abs().max() == 0


def test_default_speed_grows_with_the_gait():
    rig = beast.rig()
    speeds = [default_speed(rig, f"a tiger {verb}")[0] for verb in ("standing", "walking", "running")]
    assert speeds[0] == 0 < speeds[1] < speeds[2]
    assert speeds[1] == pytest.approx(1.2 * 0.70, rel=0.1)
    assert default_speed(rig, "a tiger on a sofa") == (0.0, default_speed(rig, "a lamp")[1])


@pytest.mark.parametrize(("prompt", "gait"), [("A tiger is walking.", "walking"), ("a horse that gallops, galloping", "running"), ("a lamp", "")])
def test_gait_in_prompt(prompt, gait):
    assert gait_in(prompt) == gait


def test_resolve_takes_the_priors_wishes_and_keeps_the_users():
    settings = resolve(Params(prior="ideal", iterations=7, t_max=0.9), SPEC)
    assert (settings.iterations, settings.t_max, settings.frames, settings.views) == (7, 0.9, 17, 2)
    assert settings.weighting == "one" and settings.speed is None
    assert resolve(Params(weighting="eps"), SPEC).weighting == "eps"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": 16}, "--frames 16: the prior ideal takes exactly 17 frames"),
        ({"width": 100}, "--width 100: the prior ideal takes exactly 64"),
        ({"t_min": 0.9, "t_max": 0.5}, "--t-min 0.9: above --t-max 0.5"),
        ({"t_max": 0.999}, "--t-max 0.999: the prior ideal is usable up to 0.98"),
        ({"views": 0}, "--views 0"),
        ({"guidance_scale": math.nan}, "--guidance-scale nan"),
    ],
)
def test_resolve_refuses(changes, message):
    with pytest.raises(InputError, match=re.escape(message)):
        resolve(Params(**changes), SPEC)


def test_relative_rates_slow_the_trunk_and_the_sideways_axes_only():
    rig = samples.rig()
    rig.roles = ["pelvis", "spine", "left_fore_upper", "tail"]
    rates = relative_rates(rig, trunk=0.25, lateral=0.5)
    np.testing.assert_allclose(rates, [[0.25, 0.125, 0.125], [0.25, 0.125, 0.125], [1, 0.5, 0.5], [0.25, 0.125, 0.125]])
    rig.roles = ["", "", "", ""]
    np.testing.assert_allclose(relative_rates(rig, trunk=0.25, lateral=1.0), np.ones((4, 3)))


def test_slide_counts_feet_on_the_ground_alone():
    height = 0.8
    foot = torch.tensor([[x, y, z] for x in (-0.05, 0.05) for y in (0.0, 0.1) for z in (-0.1, 0.1)])
    step = torch.tensor([0.0, 0.0, 0.04])
    still = foot.repeat(5, 1, 1, 1)
    moving = still + torch.arange(5)[:, None, None, None] * step
    lifted = moving + torch.tensor([0.0, 0.2, 0.0])
    assert slide(still, height) < 1e-5
    assert slide(moving, height) == pytest.approx(0.04 / height, rel=1e-4)
    assert slide(lifted, height) < 1e-8
    half = slide(torch.cat([moving, lifted], 1), height)
    assert half == pytest.approx(0.02 / height, rel=1e-4)
    leaf = moving.clone().requires_grad_()
    slide(leaf, height).backward()
    assert leaf.grad[..., 1].abs().max() == 0  # a foot is not lifted to be free
    assert leaf.grad[0, ..., 2].sum() < 0 < leaf.grad[-1, ..., 2].sum()
    assert slide(moving[:1], height) == slide(moving[:, :0], height) == 0
