"""Kernels stay on the surface when the skeleton moves: mesh and splats in random poses look alike (METHOD 2)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stages.asset import stage as asset_stage
from stages.asset.params import Params as AssetParams
from stages.body import kinematics, quaternion, skinning
from stages.rig import stage as rig_stage
from stages.rig.params import Params as RigParams
from stages.skin import stage as skin_stage
from stages.skin.params import Params as SkinParams
from stages.splat import stage
from stages.splat.kernels import FILTER
from stages.splat.params import Params
from stages.view.camera import orbit
from stages.view.mesh import SurfaceShader, render_mesh
from stages.view.posed import carry, render_posed

POSES, SIZE = 20, 96


@pytest.fixture(scope="module")
def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    """Mesh and splats of the tiger, premultiplied rgba (POSES + 1, SIZE, SIZE, 4); the last frame is the rest pose."""
    asset = asset_stage.run("tiger", AssetParams())
    rig = rig_stage.run(asset, RigParams())
    skin = skin_stage.run(asset, rig, SkinParams())
    splat = stage.run(asset, skin, Params(kernels="2500", size=SIZE, views=24, iterations=120, shaded=False))
    skeleton, generator = kinematics.Skeleton.from_rig(rig), torch.Generator().manual_seed(0)
    angles = 0.3 * torch.randn(POSES + 1, len(skeleton.parents), 3, generator=generator)
    angles = torch.minimum(torch.maximum(angles, skeleton.limits[..., 0]), skeleton.limits[..., 1])
    angles[-1] = 0
    pose = kinematics.forward(skeleton, angles, skeleton.positions[0].expand(POSES + 1, 3), torch.eye(3).expand(POSES + 1, 3, 3))

    middle, radius = 0.5 * (asset.vertices.min(0) + asset.vertices.max(0)), 0.5 * float(np.linalg.norm(np.ptp(asset.vertices, axis=0)))
    camera = orbit(torch.as_tensor(middle).float().expand(POSES + 1, 3), azimuth=1.1, elevation=0.3, distance=4 * radius, focal=1.6, width=SIZE, height=SIZE)
    moved = skinning.skin_points(torch.from_numpy(asset.vertices), torch.from_numpy(skin.weights), pose)
    mesh = render_mesh(moved.numpy(), asset.faces, SurfaceShader(asset, texture_limit=4 * SIZE), camera, supersample=2)
    spread = skinning.covariances(quaternion.to_matrix(torch.from_numpy(splat.rotations)), torch.from_numpy(splat.scales))
    kernels = carry(torch.from_numpy(splat.means), spread, *(torch.from_numpy(a) for a in (splat.weights, splat.opacities, splat.colors)))
    return mesh, torch.cat(render_posed(kernels, pose.rotations, pose.translations, camera, floor=None, **FILTER), -1)


def psnr(mesh: torch.Tensor, splats: torch.Tensor) -> torch.Tensor:
    """Over white, of the pixels the mesh touches. [dB, (F,)]"""
    error = ((mesh[..., :3] - mesh[..., 3:]) - (splats[..., :3] - splats[..., 3:])).square().mean(-1)
    inside = mesh[..., 3] > 0
    return torch.stack([-10 * torch.log10(error[f][inside[f]].mean()) for f in range(len(mesh))])


def test_every_pose_looks_like_the_mesh(pictures):
    quality = psnr(*pictures)
    assert quality[-1] > 25  # at rest
    assert quality.min() > 20 and quality.mean() > quality[-1] - 2  # bending opens creases a little


def test_outlines_agree(pictures):
    mesh, splats = (image[..., 3] for image in pictures)
    overlap = torch.minimum(mesh, splats).sum((1, 2)) / torch.maximum(mesh, splats).sum((1, 2))
    assert overlap.min() > 0.92
    assert (pictures[0][:-1, ..., 3] - pictures[0][-1:, ..., 3]).abs().mean() > 0.01  # the poses do differ
