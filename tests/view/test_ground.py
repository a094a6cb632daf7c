"""The ground: squares where they belong, no flicker at the horizon, colours apart from the asset's; the shadow by METHOD 4."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from stages.view.camera import Camera, orbit
from stages.view.ground import Ground, cast, checkerboard, composite, contrasting
from stages.view.shadow import Shadow, shade

PLAIN = Ground(cell=0.5, light=(1, 1, 1), dark=(0, 0, 0), sky=(0, 0, 1), horizon=1e9, supersample=1)


def camera(elevation: float, height: int = 60, width: int = 80, azimuth: float = 0.4) -> Camera:
    return orbit(torch.zeros(1, 3, dtype=torch.float64), azimuth=azimuth, elevation=elevation, distance=3.0, focal=1.2, width=width, height=height)


def exact(view: Camera, rays: int = 24) -> torch.Tensor:
    """The same by so many rays a pixel edge, unfiltered: share of light squares and of the ground. [(1, H, W), (1, H, W)]"""
    points, _, hits = cast(view, rays)
    even = torch.remainder(torch.floor(points[..., 0] / PLAIN.cell) + torch.floor(points[..., 2] / PLAIN.cell), 2) < 0.5

    def mean(x: torch.Tensor) -> torch.Tensor:
        return x.double().reshape(1, view.height, rays, view.width, rays).mean((2, 4))

    return mean(even & hits), mean(hits)


def test_squares_lie_where_rays_meet_them():
    view = camera(1.2)
    light, ground = exact(view)
    drawn = checkerboard(view, PLAIN)[..., 0]
    assert ground.min() == 1
    assert (drawn - light).abs().mean() < 0.02 and (drawn - light).abs().max() < 0.35


def test_the_horizon_does_not_alias():
    """Against 576 rays a pixel; one ray a pixel, unfiltered, is several times as wrong in the far rows."""
    view = camera(0.06)
    light, ground = exact(view)
    far = (ground[0].amin(1) == 1) & (torch.arange(view.height) < 32)  # rows of ground only, near the horizon
    assert far.sum() >= 2
    points, _, _ = cast(view)
    naive = (torch.remainder(torch.floor(points[..., 0] / 0.5) + torch.floor(points[..., 2] / 0.5), 2) < 0.5).double()
    errors = [float((image[0][far] - light[0][far]).square().mean().sqrt()) for image in (checkerboard(view, PLAIN)[..., 0], naive)]
    assert errors[0] < 0.15 and errors[0] < 0.45 * errors[1]


def test_sky_above_the_horizon_and_from_below_the_ground():
    view = camera(0.06)
    drawn = checkerboard(view, PLAIN)
    assert drawn[0, 0, :, 2].eq(1).all() and drawn[0, 0, :, 0].eq(0).all()
    under = checkerboard(camera(-0.3), PLAIN)
    assert under[..., 2].eq(1).all() and under[..., 0].eq(0).all()


@pytest.mark.parametrize(("color", "darker"), [((0.95, 0.9, 0.9), True), ((0.1, 0.05, 0.1), False), ((0.9, 0.5, 0.1), False)])
def test_colours_stand_apart_from_the_asset(color, darker):
    asset = torch.tensor(color).expand(10, 3)
    ground = contrasting(1.5, asset)
    middle = 0.5 * (ground.light[0] + ground.dark[0])
    luminance = float((asset[0] * torch.tensor([0.299, 0.587, 0.114])).sum())
    assert (middle < luminance) == darker and abs(middle - luminance) > 0.15
    assert ground.cell == pytest.approx(0.5)


def test_layers_pass_the_right_gradient():
    """C = rgb + (1 - alpha) B: the gradient of alpha is minus the background's."""
    view = camera(0.5, 6, 8)
    background = checkerboard(view, PLAIN)
    rgb, alpha = torch.rand(1, 6, 8, 3, dtype=torch.float64, requires_grad=True), torch.rand(1, 6, 8, 1, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(1, 6, 8, 3, dtype=torch.float64)
    (composite(rgb, alpha, background) * weight).sum().backward()
    torch.testing.assert_close(rgb.grad, weight)
    torch.testing.assert_close(alpha.grad, -(background * weight).sum(-1, keepdim=True))


def test_shadow_falls_off_with_height_as_the_paper_says():
    """1 - s_max exp(-k h) under a plate at height h (appendix C), where the blurred edge is far."""
    view = dataclasses.replace(camera(1.3), width=80, height=60)
    x, z = np.meshgrid(np.linspace(-1, 1, 200), np.linspace(-1, 1, 200))
    look, tall = Shadow(strength=0.6, falloff=2.0), 1.5
    for height in (0.0, 0.4, 1.2):
        plate = np.stack([x.ravel(), np.full(x.size, height), z.ravel()], 1)[None]
        factor = shade(view, plate, look, tall)
        assert factor[0, 30, 40, 0].item() == pytest.approx(1 - 0.6 * math.exp(-2.0 * height / tall), abs=0.01)
