"""The scene: part colours, cameras on both sides, framing that does not depend on scale."""

import numpy as np
import pytest
import torch

from schemas.errors import InputError
from stages.distill.priors.embedded.bodies import random_body
from stages.distill.scene import Scene, role_color, role_colors


def still(body, scale=1.0, frames=3):
    means = torch.from_numpy(body.means) * scale
    spread = torch.from_numpy(body.covariances) * scale**2
    return means, means.expand(frames, -1, -1).contiguous(), spread.expand(frames, -1, -1, -1).contiguous()


def test_role_colors_tell_the_limbs_apart():
    legs = [role_color(f"{side}_{limb}_upper") for side in ("left", "right") for limb in ("fore", "hind")]
    gaps = [np.abs(np.subtract(a, b)).max() for k, a in enumerate(legs) for b in legs[:k]]
    assert min(gaps) > 0.3
    assert role_color("left_arm_lower") == role_color("left_fore_lower") == role_color("left_wing_lower")
    rig = random_body(0).rig
    colors = role_colors(rig, torch.eye(rig.joint_count))
    assert colors.shape == (rig.joint_count, 3)
    assert colors.min() >= 0
    assert colors.max() <= 1
    with pytest.raises(InputError, match="natural, roles"):
        Scene(look="x-ray")


def test_both_sides_and_the_facing():
    body, scene, rng = random_body(2, "quadruped"), Scene(), np.random.default_rng(0)
    rest, means, _ = still(body)
    framing = scene.framing(rest)
    left = scene.camera(means, framing, rng, side=1)
    right = scene.camera(means, framing, rng, side=-1)
    assert left.position[0, 0] > 0 > right.position[0, 0]
    assert scene.facing(left) == "left"
    assert scene.facing(right) == "right"


def test_scale_does_not_change_the_image():
    body, scene = random_body(3, "quadruped"), Scene()
    images = []
    for scale in (1.0, 40.0):
        rest, means, spread = still(body, scale)
        framing = scene.framing(rest)
        camera = scene.camera_at(means, framing, 1.4, 0.3)
        images.append(scene.render(means, spread, torch.from_numpy(body.opacities), role_colors(body.rig, torch.from_numpy(body.weights)), camera, framing))
    assert (images[0] - images[1]).abs().mean() < 5e-3
    assert images[0].shape == (3, 48, 64, 3)


def test_differentiable_and_the_camera_follows():
    body, scene = random_body(4, "quadruped"), Scene()
    rest, means, spread = still(body)
    framing = scene.framing(rest)
    moved = means + torch.arange(3)[:, None, None] * torch.tensor([0.0, 0, 0.5])
    moved.requires_grad_()
    camera = scene.camera_at(moved, framing, 1.6, 0.3)
    assert (camera.position[1] - camera.position[0])[2] == pytest.approx(0.5, abs=1e-4)
    scene.render(
        moved, spread, torch.from_numpy(body.opacities), role_colors(body.rig, torch.from_numpy(body.weights)), camera, framing
    ).square().sum().backward()
    assert torch.isfinite(moved.grad).all()
    assert moved.grad.abs().max() > 0


def test_kernels_below_the_ground_are_hidden():
    body, scene = random_body(5, "quadruped"), Scene()
    rest, means, spread = still(body)
    framing = scene.framing(rest)
    camera = scene.camera_at(means, framing, 1.6, 0.3)
    colors = role_colors(body.rig, torch.from_numpy(body.weights))
    sunk = scene.render(means - torch.tensor([0.0, 100, 0]), spread, torch.from_numpy(body.opacities), colors, camera, framing)
    assert torch.allclose(sunk, scene.background(camera, framing))
