"""Kernels look like the mesh, lie on it, and follow the skeleton as its surface does (METHOD 8)."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import trimesh

from schemas.asset import Asset
from schemas.errors import InputError
from schemas.skin import Skin
from stages.splat import stage
from stages.splat.params import Params
from stages.splat.start import frames, sample
from tests.schemas import samples

QUICK = Params(kernels=400, views=12, size=64, iterations=100)


def ball() -> Asset:
    """A sphere of radius 0.5 m in bands of colour."""
    mesh = trimesh.creation.icosphere(subdivisions=3, radius=0.5)
    points = mesh.vertices.astype(np.float32) + np.float32([0, 0.5, 0])
    colors = np.ones((len(points), 4))
    colors[points[:, 1] > 0.5, 1:3] = 0.1
    return Asset(
        name="ball",
        vertices=points,
        faces=mesh.faces,
        normals=mesh.vertex_normals,
        colors=colors,
        face_materials=np.zeros(len(mesh.faces)),
        weld=np.arange(len(points)),
        materials={"list": [{}]},
        transform=np.eye(4),
    )


def skin_of(asset: Asset) -> Skin:
    """Two bones that blend linearly with height."""
    upper = (asset.vertices[:, 1] / asset.vertices[:, 1].max()).astype(np.float64)
    return Skin(name=asset.name, method="heat", weights=np.stack([1 - upper, upper], 1))


@pytest.fixture(scope="module")
def result():
    asset = ball()
    return asset, stage.run(asset, skin_of(asset), QUICK)


def test_result_is_valid_and_better_than_its_start(result):
    _, splat = result
    splat.validate()
    assert splat.report["psnr"] > splat.report["psnr_start"] + 1
    assert splat.report["psnr"] > 22


def test_kernels_stay_on_the_surface_small_and_flat(result):
    _, splat = result
    assert np.abs(np.linalg.norm(splat.means - [0, 0.5, 0], axis=1) - 0.5).max() < 0.04
    assert np.linalg.norm(splat.scales, axis=1).max() < 0.2
    assert np.median(splat.scales.min(1) / splat.scales.max(1)) < 0.5


def test_weights_are_those_of_the_surface_point(result):
    """The skin is linear in height, so is its interpolation: kernels carry the height of their own point."""
    asset, splat = result
    height = splat.means[:, 1] / asset.vertices[:, 1].max()
    np.testing.assert_allclose(splat.weights.sum(1), 1, atol=1e-6)
    assert np.abs(splat.weights[:, 1] - height).max() < 0.06


def test_start_is_even_and_close_to_the_wanted_number():
    asset = ball()
    for count in (300, 2000):
        start = sample(asset, count, np.random.default_rng(0))
        assert 0.9 * count < len(start.means) < 1.1 * count
        # in an even spread the smallest gap is a good part of the mean one; in a random one it is near zero
        distance = np.sort(np.linalg.norm(start.means[:200, None] - start.means[None], axis=-1), axis=1)[:, 1]
        assert distance.min() > 0.4 * distance.mean()
        lows = start.means[:, 1] < 0.5
        assert 0.44 < lows.mean() < 0.56


def test_frames_are_rotations_with_the_normal_last():
    normals = torch.nn.functional.normalize(torch.randn(50, 3, dtype=torch.float64), dim=1)
    turn = frames(normals.numpy())
    np.testing.assert_allclose(turn @ turn.transpose(1, 2), np.broadcast_to(np.eye(3), (50, 3, 3)), atol=1e-12)
    np.testing.assert_allclose(torch.linalg.det(turn), np.ones(50), atol=1e-12)
    np.testing.assert_allclose(turn[..., 2], normals, atol=1e-12)


def test_same_seed_same_arrays_other_seed_other_arrays(result):
    asset, splat = result
    again = stage.run(asset, skin_of(asset), QUICK)
    for name in ("means", "rotations", "scales", "opacities", "colors", "weights", "faces"):
        np.testing.assert_array_equal(getattr(splat, name), getattr(again, name))
    other = stage.run(asset, skin_of(asset), dataclasses.replace(QUICK, seed=1, iterations=0))
    assert other.means.shape != splat.means.shape or not np.array_equal(other.means, splat.means)


def test_wrong_skin_and_flat_mesh_are_refused():
    asset = ball()
    with pytest.raises(InputError, match="akd skin"):
        stage.run(asset, samples.skin(), QUICK)
    asset.vertices[:] = 0
    with pytest.raises(InputError, match="no area"):
        stage.run(asset, skin_of(ball()), QUICK)
