"""Kernels look like the mesh, lie on it, and follow the skeleton as its surface does (METHOD 8)."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import trimesh

from schemas import ply
from schemas.asset import Asset
from schemas.errors import InputError
from schemas.params import check
from schemas.skin import Skin
from stages.splat import given, stage
from stages.splat.params import Params
from stages.splat.start import frames, sample
from stages.splat.views import pixel_size
from tests.schemas import samples

QUICK = Params(kernels="400", views=12, size=64, iterations=100)


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
    depth = 0.5 - np.linalg.norm(splat.means - [0, 0.5, 0], axis=1)
    pixel = pixel_size(ball(), QUICK.size)
    assert depth.max() < 2 * pixel and depth.min() > -0.5 * pixel  # a little below the surface: a kernel is drawn a pixel wide
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


def test_number_of_kernels_follows_area_and_resolution(result):
    asset, _ = result
    coarse, fine = (stage.count_of(asset, dataclasses.replace(QUICK, kernels="auto", size=size), pixel_size(asset, size)) for size in (64, 128))
    assert fine == pytest.approx(4 * coarse, rel=0.02)
    assert coarse == pytest.approx(np.pi / (1.55 * 2.1 * 0.866 / 64) ** 2, rel=0.03)  # a sphere of 1 m across in its cube
    for wrong in ("many", "3", "-5", "2000000"):
        with pytest.raises(InputError, match=f"--kernels {wrong}"):
            check(dataclasses.replace(QUICK, kernels=wrong))


def test_own_kernels_are_placed_bound_and_freed_of_the_background(result, tmp_path):
    asset, splat = result
    turn = np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
    file = dataclasses.replace(splat, means=(splat.means.astype(np.float64) - [0.1, 0, 0]) @ turn / 2, scales=splat.scales / 2)
    stray = dataclasses.replace(
        file,
        means=np.concatenate([file.means, [[9.0, 9, 9], [0, 0, 0.7]]]),
        **{name: np.concatenate([getattr(file, name), getattr(file, name)[:2]]) for name in ("rotations", "scales", "opacities", "colors", "weights", "faces")},
    )
    ply.write(tmp_path / "own.ply", stray)
    ply.write(tmp_path / "akd.ply", splat)
    placed = dataclasses.replace(asset, transform=np.block([[2 * turn, np.array([[0.1], [0], [0]])], [np.zeros((1, 3)), np.ones((1, 1))]]))
    bound = stage.run(placed, skin_of(asset), dataclasses.replace(QUICK, reach=0.1), splats=tmp_path / "own.ply")
    bound.validate()
    assert bound.report["kernels"] == len(splat.means) and bound.report["background"] == 2
    np.testing.assert_allclose(bound.means, splat.means, atol=1e-5)
    np.testing.assert_allclose(bound.scales, splat.scales, rtol=1e-4)
    np.testing.assert_allclose(bound.weights, splat.weights, atol=0.12)  # of the nearest point, not of the one it began at
    again = stage.run(placed, skin_of(asset), dataclasses.replace(QUICK, reach=0.1), splats=tmp_path / "akd.ply")  # as akd wrote it
    np.testing.assert_allclose(again.means, splat.means, atol=1e-6)
    np.testing.assert_allclose(again.colors, splat.colors, atol=1e-6)
    with pytest.raises(InputError, match="--reach"):
        stage.run(asset, skin_of(asset), dataclasses.replace(QUICK, reach=0.0), splats=tmp_path / "own.ply")


def test_nearest_point_of_the_surface_is_trimeshs():
    asset, points = ball(), np.random.default_rng(0).normal(size=(50, 3)) * 0.4 + [0, 0.5, 0]
    faces, barycentric, distance = given.nearest(asset, points)
    place = np.einsum("nk,nkc->nc", barycentric, asset.vertices[asset.faces[faces]])
    np.testing.assert_allclose(np.linalg.norm(place - points, axis=1), distance, atol=1e-6)
    # the sphere's facets lie up to 0.2% inside it
    outside = np.linalg.norm(points - [0, 0.5, 0], axis=1) - 0.5
    np.testing.assert_allclose(distance, np.abs(outside), atol=0.004)


def test_kernels_keep_out_of_holes_that_an_alpha_mask_cuts():
    asset = ball()
    asset.colors = asset.colors.copy()
    asset.colors[asset.vertices[:, 1] > 0.5, 3] = 0  # the upper half is cut out
    asset.materials = {"list": [{"alphaMode": "MASK", "alphaCutoff": 0.5}]}
    splat = stage.run(asset, skin_of(asset), dataclasses.replace(QUICK, iterations=0))
    whole = stage.run(ball(), skin_of(asset), dataclasses.replace(QUICK, iterations=0))
    assert splat.means[:, 1].max() < 0.56 < whole.means[:, 1].max()
    assert 0.4 * len(whole.means) < len(splat.means) < 0.6 * len(whole.means)
