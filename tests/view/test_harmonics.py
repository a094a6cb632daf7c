"""Spherical harmonics: gsplat's basis, orthonormal, turned with the surface; gradients against finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from stages.body import quaternion
from stages.view import harmonics


def directions(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(count, 3, generator=generator, dtype=torch.float64), dim=1)


def test_basis_is_orthonormal_on_the_sphere():
    """Exact quadrature for polynomials of degree 6: Gauss-Legendre in z, equal steps around."""
    roots, weights = (torch.from_numpy(a) for a in np.polynomial.legendre.leggauss(8))
    around = torch.arange(16, dtype=torch.float64) * 2 * math.pi / 16
    flat = (1 - roots**2).sqrt()[:, None]
    points = torch.stack([flat * around.cos(), flat * around.sin(), roots[:, None].expand(-1, 16)], -1)
    values = harmonics.basis(points, 3)
    gram = torch.einsum("zpi,zpj,z->ij", values, values, weights) * 2 * math.pi / 16
    torch.testing.assert_close(gram, torch.eye(16, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize("degree", range(4))
def test_basis_is_gsplats(degree):
    reference = pytest.importorskip("gsplat.cuda._torch_impl", reason="gsplat is not installed")
    d = directions(50)
    theirs = reference._eval_sh_bases_fast((degree + 1) ** 2, d)
    torch.testing.assert_close(harmonics.basis(d, degree), theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize("degree", range(4))
def test_turning_the_surface_and_the_camera_together_changes_nothing(degree):
    generator = torch.Generator().manual_seed(3)
    coefficients = 0.2 * torch.randn(10, (degree + 1) ** 2, 3, generator=generator, dtype=torch.float64)
    means, eye = torch.randn(1, 10, 3, generator=generator, dtype=torch.float64), torch.tensor([[0.0, 1.0, 4.0]], dtype=torch.float64)
    turn = quaternion.to_matrix(torch.randn(4, generator=generator, dtype=torch.float64))
    stretch = torch.diag(torch.tensor([1.2, 0.9, 1.1], dtype=torch.float64))  # a pure stretch turns nothing
    still = harmonics.colors(coefficients, means, eye)
    moved = harmonics.colors(coefficients, means @ turn.T, eye @ turn.T, (turn @ stretch).expand(1, 10, 3, 3))
    torch.testing.assert_close(moved, still, atol=1e-12, rtol=0)
    if degree:
        assert (harmonics.colors(coefficients, means @ turn.T, eye @ turn.T) - still).abs().max() > 0.05


def test_nearest_rotation_is_that_of_the_singular_value_decomposition():
    generator = torch.Generator().manual_seed(1)
    matrices = torch.eye(3, dtype=torch.float64) + 0.3 * torch.randn(100, 3, 3, generator=generator, dtype=torch.float64)
    matrices = matrices[torch.linalg.det(matrices) > 0.1]
    left, _, right = torch.linalg.svd(matrices)
    torch.testing.assert_close(harmonics.nearest_rotation(matrices), left @ right, atol=1e-10, rtol=0)


def test_gradients_are_the_finite_differences():
    generator = torch.Generator().manual_seed(2)
    coefficients = 0.1 * torch.randn(4, 16, 3, generator=generator, dtype=torch.float64)
    means, eye = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64), 3 * directions(2)
    linear = torch.eye(3, dtype=torch.float64) + 0.2 * torch.randn(2, 4, 3, 3, generator=generator, dtype=torch.float64)
    inputs = tuple(t.requires_grad_() for t in (coefficients, means, eye, linear))
    assert torch.autograd.gradcheck(harmonics.colors, inputs, eps=1e-6, atol=1e-6)


def test_only_whole_degrees():
    with pytest.raises(ValueError, match="1, 4, 9 or 16"):
        harmonics.colors(torch.zeros(2, 5, 3), torch.zeros(1, 2, 3), torch.ones(1, 3))
