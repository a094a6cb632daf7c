"""The fast rasterizer against a dense float64 composite written independently, and that one against gsplat's projection.

Images differ where alpha lies within rounding of 1/255 and is dropped by one side: the median and the number of such
pixels are bounded, not the maximum.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from schemas.errors import InputError
from stages.view.camera import Camera, orbit
from stages.view.posed import carry, render_posed
from stages.view.rasterize import render
from tests.view import dense_oracle

FLIP = 1e-4  # more than rounding: a kernel of alpha 1/255 was dropped by one side


def camera(frames: int, width: int, height: int, distance: float = 2.2) -> Camera:
    return orbit(torch.zeros(frames, 3, dtype=torch.float64), azimuth=0.6, elevation=0.3, distance=distance, focal=1.2, width=width, height=height)


# many small kernels; few large ones; close to the camera, so that many lie outside the field of view or behind
CASES = [(400, 0.02, 2.2, 0), (60, 0.2, 2.2, 1), (150, 0.05, 0.5, 2)]


@pytest.mark.parametrize(("antialiased", "dilation"), [(False, 0.3), (True, 0.3), (True, 0.1)])
@pytest.mark.parametrize(("count", "size", "distance", "seed"), CASES)
def test_image_and_gradients(count, size, distance, seed, antialiased, dilation):
    frames, view = 2, camera(2, 52, 41, distance)
    exact = [t.requires_grad_() for t in dense_oracle.random_scene(frames, count, size, seed)]
    ours = [t.detach().float().requires_grad_() for t in exact]
    wanted = dense_oracle.render(*exact, view, antialiased, dilation)
    image = torch.cat(render(*ours, view, antialiased=antialiased, dilation=dilation), -1)
    error = (image.double() - wanted).detach().abs().numpy()
    assert wanted[..., 3].mean() > 0.2  # there is something to see
    assert np.median(error) < 1e-6
    assert (error.max(-1) > FLIP).sum() <= 0.003 * error[..., 0].size
    assert error.max() < 0.03

    direction = torch.rand(wanted.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64) - 0.3
    (wanted * direction).sum().backward()
    (image * direction.float()).sum().backward()
    for name, a, b in zip(("means", "covariances", "opacities", "colors"), ours, exact, strict=True):
        wrong = (a.grad.double() - b.grad).norm() / b.grad.norm()
        assert wrong < 2e-3, f"{name}: relative error {float(wrong):.2e}"
        # a flip moves a few kernels; the rest agree to rounding
        each = (a.grad.double() - b.grad).abs() / b.grad.abs().max()
        assert each.median() < 1e-6, name


def test_supersampled_is_the_mean_of_a_finer_image():
    """Four times the pixels and a box over each square; a bone that does not move anything draws the same."""
    view, scene = camera(2, 26, 21), [t.float() for t in dense_oracle.random_scene(2, 150, 0.05, 3)]
    fine = dataclasses.replace(view, intrinsics=view.intrinsics * torch.tensor([[2.0], [2.0], [1.0]], dtype=torch.float64), width=52, height=42)
    wanted = torch.cat(render(*scene, fine), -1)
    wanted = 0.25 * (wanted[:, ::2, ::2] + wanted[:, 1::2, ::2] + wanted[:, ::2, 1::2] + wanted[:, 1::2, 1::2])
    image = torch.cat(render(*scene, view, supersample=2), -1)
    torch.testing.assert_close(image, wanted, atol=1e-6, rtol=0)
    assert (image - torch.cat(render(*scene, view), -1)).abs().max() > 0.01  # kernels are drawn finer
    still = carry(scene[0][0], scene[1][0], torch.ones(150, 1), scene[2], scene[3])
    posed = torch.cat(render_posed(still, torch.eye(3).expand(2, 1, 3, 3), torch.zeros(2, 1, 3), view, floor=None, supersample=2), -1)
    torch.testing.assert_close(posed[0], image[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("option", [{"dilation": 0.0}, {"dilation": float("nan")}, {"supersample": 0}])
def test_filters_that_do_not_exist_are_refused(option):
    scene = [t.float() for t in dense_oracle.random_scene(1, 20, 0.05, 3)]
    with pytest.raises(InputError, match=next(iter(option))):
        render(*scene, camera(1, 8, 8), **option)


def test_oracle_gradient_is_the_finite_difference():
    """Steps of 1e-7: at larger ones some pair of kernel and pixel crosses 1/255."""
    view, scene = camera(1, 24, 20), dense_oracle.random_scene(1, 30, 0.08, 4)
    generator = torch.Generator().manual_seed(0)
    weight = torch.rand(1, 20, 24, 4, generator=generator, dtype=torch.float64)
    leaves = [t.clone().requires_grad_() for t in scene]
    (dense_oracle.render(*leaves, view) * weight).sum().backward()
    for index, leaf in enumerate(leaves):
        direction = torch.randn(leaf.shape, generator=generator, dtype=torch.float64)
        direction = direction + direction.transpose(-1, -2) if index == 1 else direction
        values = []
        for sign in (1, -1):
            moved = list(scene)
            moved[index] = scene[index] + sign * 1e-7 * direction
            values.append(float((dense_oracle.render(*moved, view) * weight).sum()))
        assert (values[0] - values[1]) / 2e-7 == pytest.approx(float((leaf.grad * direction).sum()), rel=1e-4)


def test_oracle_projects_as_gsplat_does():
    reference = pytest.importorskip("gsplat.cuda._torch_impl", reason="gsplat is not installed")
    view = camera(1, 52, 41)
    means, covariances, _, _ = dense_oracle.random_scene(1, 200, 0.05, 6)
    centers, flat, depths = dense_oracle.project(means[0], covariances[0], view)
    radii, their_centers, their_depths, their_conics, _ = reference._fully_fused_projection(
        means[0], covariances[0], view.view, view.intrinsics, view.width, view.height, eps2d=0.3, near_plane=0.01, far_plane=1e10
    )
    seen = (radii[0] > 0).all(-1)
    assert seen.sum() > 100
    conic = torch.linalg.inv(flat)
    ours = torch.stack([conic[:, 0, 0], conic[:, 0, 1], conic[:, 1, 1]], -1)
    torch.testing.assert_close(centers[seen], their_centers[0][seen], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(depths[seen], their_depths[0][seen], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ours[seen], their_conics[0][seen], rtol=1e-7, atol=1e-9)


def test_oracle_compensates_as_gsplat_does():
    reference = pytest.importorskip("gsplat.cuda._torch_impl", reason="gsplat is not installed")
    view = camera(1, 52, 41)
    means, covariances, _, _ = dense_oracle.random_scene(1, 200, 0.05, 6)
    _, flat, _ = dense_oracle.project(means[0], covariances[0], view)
    radii, *_, theirs = reference._fully_fused_projection(
        means[0], covariances[0], view.view, view.intrinsics, view.width, view.height, eps2d=0.3, near_plane=0.01, far_plane=1e10, calc_compensations=True
    )
    seen = (radii[0] > 0).all(-1)
    torch.testing.assert_close(dense_oracle.compensation(flat)[seen], theirs[0][seen], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("antialiased", [False, True])
def test_gradient_of_the_camera_is_the_oracles_and_the_finite_difference(antialiased):
    view, scene = camera(2, 40, 32), dense_oracle.random_scene(2, 20, 0.12, 8)
    weight = torch.rand(2, 32, 40, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def loss(matrices: torch.Tensor) -> torch.Tensor:
        return (dense_oracle.render(*scene, dataclasses.replace(view, view=matrices), antialiased) * weight).sum()

    exact = view.view.clone().requires_grad_()
    loss(exact).backward()
    ours = view.view.float().requires_grad_()
    image = torch.cat(render(*[t.float() for t in scene], dataclasses.replace(view, view=ours), antialiased=antialiased), -1)
    (image * weight.float()).sum().backward()
    assert (ours.grad.double() - exact.grad)[:, :3].norm() < 3e-3 * exact.grad[:, :3].norm()
    direction = torch.randn(2, 4, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    direction[:, 3] = 0
    step = 1e-9 * direction
    difference = float(loss(view.view + step) - loss(view.view - step)) / 2e-9
    assert difference == pytest.approx(float((exact.grad * direction).sum()), rel=1e-3)
