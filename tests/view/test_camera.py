"""Cameras and the ground against analytic cases (METHOD 4)."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.view.camera import Camera, look_at, orbit, smooth_path
from stages.view.ground import Ground, checkerboard, composite, hide_below

D = torch.float64


def project(camera: Camera, point: list[float], frame: int = 0) -> tuple[float, float, float]:
    p = camera.view[frame] @ torch.tensor([*point, 1.0], dtype=camera.view.dtype)
    u = camera.intrinsics[frame] @ p[:3]
    return float(u[0] / u[2]), float(u[1] / u[2]), float(u[2])


def side_view(frames: int = 1, **kw) -> Camera:
    settings_ = {"azimuth": math.pi / 2, "elevation": 0.3, "distance": 5.0, "focal": 1.4, "width": 256, "height": 192} | kw
    return orbit(torch.zeros(frames, 3, dtype=D) + torch.tensor([0, 0.5, 0], dtype=D), **settings_)


def test_the_centre_is_in_the_middle_and_up_is_up():
    camera = side_view()
    u, v, depth = project(camera, [0, 0.5, 0])
    assert (u, v, depth) == pytest.approx((128, 96, 5))
    assert project(camera, [0, 1.5, 0])[1] < v


def test_seen_from_its_left_the_character_faces_image_left():
    """It faces +Z, its left is +X: from +X, +Z lies to the left."""
    assert project(side_view(), [0, 0.5, 1])[0] < 128
    assert project(side_view(azimuth=-math.pi / 2), [0, 0.5, 1])[0] > 128
    assert project(side_view(azimuth=0.0), [1, 0.5, 0])[0] > 128


@settings(max_examples=30, deadline=None)
@given(st.floats(-3, 3), st.floats(-1.4, 1.4), st.floats(0.5, 20))
def test_view_matrix_is_rigid_and_rays_invert_projection(azimuth, elevation, distance):
    camera = side_view(azimuth=azimuth, elevation=elevation, distance=distance, width=8, height=6)
    rotation = camera.view[0, :3, :3]
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-9)
    assert float(torch.det(rotation)) == pytest.approx(1)
    assert float((camera.position[0] - torch.tensor([0, 0.5, 0], dtype=D)).norm()) == pytest.approx(distance)
    point = camera.position[0] + 3.7 * camera.rays()[0, 4, 5]
    assert project(camera, point.tolist()) == pytest.approx((5.5, 4.5, 3.7))


def test_looking_straight_down_is_defined():
    matrix = look_at(torch.tensor([[0.0, 5, 0]]), torch.zeros(1, 3))
    assert torch.isfinite(matrix).all() and float(torch.det(matrix[0, :3, :3])) == pytest.approx(1)


def test_following_keeps_a_moving_centre_in_place():
    centers = torch.zeros(4, 3, dtype=D)
    centers[:, 2] = torch.arange(4)
    camera = orbit(centers, azimuth=1.0, elevation=0.2, distance=4, focal=1.2, width=64, height=48)
    for frame in range(4):
        assert project(camera, [0, 0, float(frame)], frame)[:2] == pytest.approx((32, 24))


def test_smoothing_keeps_constant_speed_and_removes_shake():
    line = torch.linspace(0, 3, 20, dtype=D)[:, None].expand(-1, 3)
    np.testing.assert_allclose(smooth_path(line), line, atol=1e-12)
    shaken = line + 0.1 * torch.tensor([(-1.0) ** i for i in range(20)], dtype=D)[:, None]
    assert float((smooth_path(shaken) - line)[3:-3].abs().max()) < 0.02
    assert smooth_path(line[:2]) is not None and len(smooth_path(line[:1])) == 1


def test_checkerboard_colours_by_the_square_that_the_ray_meets():
    ground = Ground(cell=1.0, supersample=1, horizon=1e9)
    camera = Camera(look_at(torch.tensor([[0.0, 10, 0.0]]), torch.tensor([[0.0, 0, 0.01]])), torch.tensor([[[10.0, 0, 4], [0, 10.0, 4], [0, 0, 1]]]), 8, 8)
    image = checkerboard(camera, ground)[0]
    hits = camera.position[0] + camera.rays()[0] * (10 / -camera.rays()[0, ..., 1:2])
    squares = (torch.floor(hits[..., 0]) + torch.floor(hits[..., 2])) % 2
    expected = torch.where(squares[..., None] < 0.5, torch.tensor(ground.light), torch.tensor(ground.dark))
    assert len(squares.unique()) == 2
    np.testing.assert_allclose(image, expected, atol=5e-3)  # a pixel spans almost exactly a square


def test_rays_above_the_horizon_and_cameras_underground_see_sky():
    up = side_view(elevation=-0.05)
    image = checkerboard(up, Ground(supersample=1))
    np.testing.assert_allclose(image[0, 0], np.tile(Ground().sky, (256, 1)), atol=1e-6)
    under = side_view(elevation=-0.5)
    np.testing.assert_allclose(checkerboard(under, Ground()), np.broadcast_to(Ground().sky, (1, 192, 256, 3)), atol=1e-6)


def test_ground_does_not_move_with_the_camera():
    """The same world point has the same colour in every frame of a following camera."""
    centers = torch.zeros(2, 3, dtype=D)
    centers[1, 2] = 0.25
    camera = orbit(centers, azimuth=1.2, elevation=0.6, distance=4, focal=1.2, width=160, height=120)
    image = checkerboard(camera, Ground(supersample=1, horizon=1e9))
    for point in ([0.1, 0, 0.1], [0.6, 0, 0.1], [0.2, 0, 0.8]):
        pixels = [project(camera, point, frame) for frame in (0, 1)]
        a, b = (image[f, int(p[1]), int(p[0])] for f, p in enumerate(pixels))
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_composite_and_hidden_kernels():
    rgb, alpha, back = torch.full((1, 1, 1, 3), 0.2), torch.full((1, 1, 1, 1), 0.25), torch.ones(1, 1, 1, 3)
    np.testing.assert_allclose(composite(rgb, alpha, back), np.full((1, 1, 1, 3), 0.95))
    means = torch.tensor([[[0.0, -0.1, 0], [0, 0.1, 0]]])
    np.testing.assert_array_equal(hide_below(means, torch.tensor([0.5, 0.6])), np.array([[0, 0.6]], np.float32))
