"""Kernels that bones carry: posing and rendering in one pass equals one after the other, in float64, with gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stages.body import quaternion, skinning
from stages.body.kinematics import Pose
from stages.view.ground import hide_below
from stages.view.posed import SLIGHT, carry, render_posed
from tests.view import dense_oracle
from tests.view.test_rasterize_oracle import camera


def scene(count: int, bones: int, frames: int, seed: int = 0) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor, torch.Tensor]:
    """Kernels at rest (means, covariances, opacities, colours), weights, rotations, translations; float64."""
    means, covariances, opacities, colors = dense_oracle.random_scene(1, count, 0.05, seed)
    generator = torch.Generator().manual_seed(seed)
    weights = torch.rand(count, bones, generator=generator, dtype=torch.float64) ** 4
    weights = torch.where(weights < 0.02, torch.zeros_like(weights), weights)
    weights[:, 0] += 0.05
    weights = weights / weights.sum(1, keepdim=True)
    turns = quaternion.to_matrix(torch.tensor([0.0, 0, 0, 1]) + 0.2 * torch.randn(frames, bones, 4, generator=generator, dtype=torch.float64))
    return [means[0], covariances[0], opacities, colors], weights, turns, 0.1 * torch.randn(frames, bones, 3, generator=generator, dtype=torch.float64)


def oracle(kernels, weights, turns, shifts, view, floor: bool) -> torch.Tensor:
    means, covariances = skinning.skin_gaussians(kernels[0], kernels[1], weights, Pose(turns, shifts, shifts))
    opacities = hide_below(means, kernels[2]) if floor else kernels[2].expand(len(turns), -1)
    images = []
    for frame in range(len(turns)):
        one = camera(1, view.width, view.height)
        images.append(dense_oracle.render(means[frame : frame + 1], covariances[frame : frame + 1], opacities[frame], kernels[3], one))
    return torch.cat(images)


@pytest.mark.parametrize("count", [5, 60, 150])
def test_image_and_gradients_of_the_bones(count):
    kernels, weights, turns, shifts = scene(count, 4, 3)
    view = camera(3, 44, 37)
    exact = [turns.clone().requires_grad_(), shifts.clone().requires_grad_()]
    wanted = oracle(kernels, weights, *exact, view, floor=True)
    ours = [turns.float().requires_grad_(), shifts.float().requires_grad_()]
    carried = carry(*[t.float() for t in (kernels[0], kernels[1], weights, kernels[2], kernels[3])])
    image = torch.cat(render_posed(carried, *ours, view), -1)
    error = (image.double() - wanted).detach().abs()
    assert wanted[..., 3].mean() > 0.01
    assert error.median() < 1e-6 and (error.amax(-1) > 1e-4).sum() <= 0.003 * error[..., 0].numel()
    direction = torch.rand(wanted.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (wanted * direction).sum().backward()
    (image * direction.float()).sum().backward()
    for a, b in zip(ours, exact, strict=True):
        assert (a.grad.double() - b.grad).norm() < 3e-3 * b.grad.norm()


def test_without_a_floor_nothing_is_hidden():
    kernels, weights, turns, shifts = scene(80, 3, 1)
    carried = carry(*[t.float() for t in (kernels[0], kernels[1], weights, kernels[2], kernels[3])])
    view = camera(1, 40, 40)
    whole, cut = (render_posed(carried, turns.float(), shifts.float(), view, floor=floor)[1] for floor in (None, 0.0))
    wanted = oracle(kernels, weights, turns, shifts, view, floor=False)[..., 3:]
    assert (whole.double() - wanted).abs().median() < 1e-6
    assert cut[:, 25:].sum() < 0.5 * whole[:, 25:].sum()  # the lower part is gone


def test_slight_weights_are_dropped_without_moving_anything_visibly():
    kernels, weights, turns, shifts = scene(200, 6, 1)
    weights[:, 0] = 1
    weights = torch.where(weights < 0.1, torch.full_like(weights, 0.9 * SLIGHT), weights)
    weights = (weights / weights.sum(1, keepdim=True)).float()
    carried = carry(*[t.float() for t in (kernels[0], kernels[1], weights, kernels[2], kernels[3])])
    used, shares = carried.planes[1], carried.planes[3]
    assert used.max() < 6 and (used == (weights > SLIGHT).sum(1).numpy()).all()
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-6)
    rgb, _ = render_posed(carried, turns.float(), shifts.float(), camera(1, 60, 60))
    wanted = oracle(kernels, weights.double(), turns, shifts, camera(1, 60, 60), floor=True)[..., :3]
    assert (rgb.double() - wanted).abs().mean() < 1e-3


def test_wrong_shapes_are_refused():
    kernels, weights, turns, shifts = scene(20, 4, 2)
    with pytest.raises(ValueError, match="opacities"):
        carry(kernels[0], kernels[1], weights, kernels[2][:3], kernels[3])
    carried = carry(kernels[0], kernels[1], weights, kernels[2], kernels[3])
    with pytest.raises(ValueError, match="4 bones"):
        render_posed(carried, turns[:, :2], shifts[:, :2], camera(2, 20, 20))
