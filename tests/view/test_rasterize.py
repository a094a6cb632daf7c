"""What the rasterizer promises, checked by hand: blending, edges, bad input, the same bits for any number of threads."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from schemas.errors import InputError, MissingError
from stages.view.camera import Camera, orbit
from stages.view.ground import composite
from stages.view.rasterize import render
from tests.view.dense_oracle import random_scene

ROOT = Path(__file__).resolve().parents[2]


def front(width: int = 33, height: int = 33, frames: int = 1) -> Camera:
    """A camera 4 m in front of the origin; odd sizes have a pixel centre on the axis."""
    return orbit(torch.zeros(frames, 3), azimuth=0.0, elevation=0.0, distance=4.0, focal=1.25, width=width, height=height)


def blob(position: tuple[float, float, float], deviation: float) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor([position], dtype=torch.float32), (deviation**2 * torch.eye(3))[None]


def scene_of(*blobs: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.cat([m for m, _ in blobs])[None], torch.cat([c for _, c in blobs])[None]


def test_two_kernels_blend_front_to_back():
    means, covariances = scene_of(blob((0, 0, -0.5), 0.2), blob((0, 0, 0.5), 0.1))
    opacities, colors = torch.tensor([0.8, 0.6]), torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.5]])
    rgb, alpha = render(means, covariances, opacities, colors, front())
    # the second kernel is nearer to the camera at z = +4
    torch.testing.assert_close(rgb[0, 16, 16], torch.tensor([0.6, 0.4 * 0.8, 0.3]), atol=1e-6, rtol=0)
    assert alpha[0, 16, 16, 0] == pytest.approx(1 - 0.4 * 0.2, abs=1e-6)
    # three pixels to the right: exp(-d^2 / 2 (s^2 + 0.3)), s = focal deviation / depth
    near, far = (math.exp(-4.5 / ((33 * 1.25 * s / z) ** 2 + 0.3)) for s, z in ((0.1, 3.5), (0.2, 4.5)))
    expected = 0.6 * near * torch.tensor([1.0, 0, 0.5]) + (1 - 0.6 * near) * 0.8 * far * torch.tensor([0.0, 1, 0])
    torch.testing.assert_close(rgb[0, 16, 19], expected, atol=1e-5, rtol=0)


def test_colour_is_premultiplied_for_compositing():
    means, covariances = scene_of(blob((0, 0, 0), 0.3))
    rgb, alpha = render(means, covariances, torch.tensor([0.5]), torch.ones(1, 3), front())
    over_white = composite(rgb, alpha, torch.ones(1, 33, 33, 3))
    torch.testing.assert_close(over_white, torch.ones(1, 33, 33, 3), atol=1e-6, rtol=0)


def test_image_is_upright_and_not_mirrored():
    """Seen from the front, +Y is up and the character's left, +X, is on the right."""
    means, covariances = scene_of(blob((0.6, 0, 0), 0.05), blob((0, 0.6, 0), 0.05))
    rgb, _ = render(means, covariances, torch.ones(2), torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]), front())
    rows, columns = torch.meshgrid(torch.arange(33.0), torch.arange(33.0), indexing="ij")
    red, green = rgb[0, ..., 0], rgb[0, ..., 1]
    assert (red * columns).sum() / red.sum() > 20 and (green * rows).sum() / green.sum() < 12


@pytest.mark.parametrize("count", [0, 5])
def test_nothing_in_view_is_an_empty_image_with_zero_gradients(count):
    means = torch.tensor([0.0, 0.0, 9.0]).expand(2, count, 3).clone().requires_grad_()  # behind the camera at z = 4
    covariances = (0.01 * torch.eye(3)).expand(2, count, 3, 3).clone().requires_grad_()
    rgb, alpha = render(means, covariances, torch.ones(count), torch.ones(count, 3), front(40, 20, 2))
    assert rgb.shape == (2, 20, 40, 3) and alpha.shape == (2, 20, 40, 1)
    assert not rgb.any() and not alpha.any()
    (rgb.sum() + alpha.sum()).backward()
    assert not means.grad.any() and not covariances.grad.any()


def test_kernel_larger_than_the_image_covers_it():
    means, covariances = scene_of(blob((0, 0, 0), 50.0))
    means.requires_grad_()
    _, alpha = render(means, covariances, torch.tensor([0.7]), torch.ones(1, 3), front(70, 45))
    torch.testing.assert_close(alpha, torch.full_like(alpha, 0.7), atol=2e-3, rtol=0)
    alpha.sum().backward()
    assert means.grad.isfinite().all()


def test_opaque_stack_ends_at_the_least_transmittance():
    means, covariances = scene_of(*[blob((0, 0, -0.1 * i), 0.3) for i in range(100)])
    _, alpha = render(means, covariances, torch.full((100,), 0.95), torch.ones(100, 3), front())
    # 0.05^3 is left after three kernels; the fourth would go below 1e-4 and is not drawn
    assert alpha[0, 16, 16, 0] == pytest.approx(1 - 0.05**3, abs=2e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e30])
@pytest.mark.parametrize("which", range(4))
def test_a_kernel_that_is_not_finite_is_skipped(which, bad):
    inputs = [t[:1] if t.ndim > 2 else t for t in random_scene(1, 40, 0.03, 3, torch.float32)]
    keep = [t[:, 1:] if t.ndim > 2 else t[1:] for t in inputs]
    expected = render(*keep, front())
    inputs[which].select(0 if which > 1 else 1, 0).fill_(bad)
    inputs = [t.requires_grad_() for t in inputs]
    rgb, alpha = render(*inputs, front())
    if which in (0, 1) or not math.isfinite(bad):  # a finite but absurd opacity or colour is drawn
        torch.testing.assert_close((rgb, alpha), expected, atol=1e-6, rtol=0)
        (rgb.sum() + alpha.sum()).backward()
        assert all(t.grad.isfinite().all() for t in inputs)


def test_per_frame_opacities_and_colours():
    means, covariances, opacities, colors = random_scene(3, 50, 0.03, 0, torch.float32)
    camera = front(40, 30, 3)
    shared = render(means, covariances, opacities, colors, camera)
    each = render(means, covariances, opacities.expand(3, -1), colors.expand(3, -1, -1), camera)
    torch.testing.assert_close(shared, each, atol=0, rtol=0)
    hidden = opacities.repeat(3, 1)
    hidden[1] = 0
    _, alpha = render(means, covariances, hidden, colors, camera)
    assert not alpha[1].any() and torch.equal(alpha[2], each[1][2])


def test_bits_do_not_depend_on_the_number_of_threads():
    """Run in two processes: the number of threads is fixed when numba loads."""
    code = """
import hashlib, torch
from tests.view.test_rasterize import front
from tests.view.dense_oracle import random_scene
from stages.view.rasterize import render
inputs = [t.requires_grad_() for t in random_scene(2, 500, 0.04, 1, torch.float32)]
rgb, alpha = render(*inputs, front(100, 70, 2))
(rgb.square().sum() + alpha.sin().sum()).backward()
print(hashlib.sha256(b"".join(t.detach().numpy().tobytes() for t in [rgb, alpha] + [i.grad for i in inputs])).hexdigest())
"""
    runs = []
    for threads in ("1", "3"):
        environment = {**__import__("os").environ, "NUMBA_NUM_THREADS": threads, "OMP_NUM_THREADS": "1"}
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment)
        assert result.returncode == 0, result.stderr
        runs.append(result.stdout)
    assert runs[0] == runs[1] and len(runs[0]) == 65


@pytest.mark.parametrize("size", [(0, 10), (10, 0)])
def test_image_without_pixels_is_refused(size):
    means, covariances = scene_of(blob((0, 0, 0), 0.1))
    camera = front()
    with pytest.raises(InputError, match=f"{size[0]} x {size[1]}"):
        render(means, covariances, torch.ones(1), torch.ones(1, 3), Camera(camera.view, camera.intrinsics, *size))


def test_wrong_shapes_and_unknown_backends_are_refused():
    means, covariances = scene_of(blob((0, 0, 0), 0.1))
    with pytest.raises(ValueError, match="covariances"):
        render(means, covariances[0], torch.ones(1), torch.ones(1, 3), front())
    with pytest.raises(ValueError, match=r"camera.view.*\(1, 4, 4\)"):
        render(means, covariances, torch.ones(1), torch.ones(1, 3), front(frames=2))
    with pytest.raises(InputError, match="vulkan"):
        render(means, covariances, torch.ones(1), torch.ones(1, 3), front(), backend="vulkan")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_backend_without_a_gpu_says_the_way_out():
    means, covariances = scene_of(blob((0, 0, 0), 0.1))
    with pytest.raises(MissingError, match="--device cpu"):
        render(means, covariances, torch.ones(1), torch.ones(1, 3), front(), backend="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device: gsplat has no CPU backend")
@pytest.mark.parametrize("options", [{}, {"antialiased": True}, {"antialiased": True, "dilation": 0.1}, {"supersample": 2}])
def test_backends_agree_on_the_image_and_every_gradient(options):
    inputs = random_scene(2, 300, 0.04, 5, torch.float32)
    results = []
    for backend in ("cpu", "cuda"):
        camera = front(80, 60, 2)
        leaves = [t.clone().requires_grad_() for t in [*inputs, camera.view]]
        rgb, alpha = render(*leaves[:4], Camera(leaves[4], camera.intrinsics, 80, 60), **options, backend=backend)
        (rgb.square().sum() + alpha.square().sum()).backward()
        results.append([rgb.detach(), alpha.detach(), *(t.grad for t in leaves)])
    for ours, theirs in zip(*results, strict=True):
        assert (ours - theirs).norm() < 1e-3 * theirs.norm()
        assert np.median((ours - theirs).abs().numpy()) < 1e-4
