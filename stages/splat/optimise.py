"""Optimisation of the kernels against views of the mesh, over random backgrounds."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

from schemas.asset import Asset
from stages.body import quaternion, skinning
from stages.progress import Progress
from stages.view.camera import Camera, orbit
from stages.view.mesh import render_mesh
from stages.view.rasterize import render
from stages.view.texture import SurfaceShader

BATCH = 2  # views a step: four cost half as much again and fit no better
HELD_OUT = 8
FOCAL, DISTANCE = 1.6, 2.1  # focal length in image widths; image width at the middle of the asset, in its radii
# Adam steps: of the extent, radians, log scale, logit, colour; as in 3DGS, scaled to short runs
RATES = {"means": 4e-4, "rotations": 3e-3, "scales": 1e-2, "opacities": 3e-2, "colors": 1e-2}
LAST_RATE = 0.05  # of the first
SOFTNESS = 0.2  # errors below count by their square, above by their size: half a decibel better than sizes alone, most of it on outlines
# kernels bend with the surface only while they are small, flat and close to their triangle
LARGEST, SMALLEST, DRIFT = 2.0, 0.02, 1.0  # of the spacing


@dataclasses.dataclass
class Kernels:
    """The free parameters: unconstrained, float32.

    Attributes:
        means: [m, (N, 3)]
        rotations: Quaternions xyzw, any length. [(N, 4)]
        scales: Logarithms. [log m, (N, 3)]
        opacities: Logits. [(N,)]
        colors: sRGB. [(N, 3)]
    """

    means: torch.Tensor
    rotations: torch.Tensor
    scales: torch.Tensor
    opacities: torch.Tensor
    colors: torch.Tensor

    def to(self, device: str) -> Kernels:
        """The same on another device."""
        return Kernels(**{field.name: getattr(self, field.name).to(device) for field in dataclasses.fields(self)})

    def images(self, camera: Camera) -> torch.Tensor:
        """Premultiplied rgba. [(F, H, W, 4)]"""
        sigma = skinning.covariances(quaternion.to_matrix(self.rotations), self.scales.exp())
        frames = camera.frames
        rgb, alpha = render(self.means.expand(frames, -1, -1), sigma.expand(frames, -1, -1, -1), torch.sigmoid(self.opacities), self.colors.clamp(0, 1), camera)
        return torch.cat([rgb, alpha], -1)


@dataclasses.dataclass(frozen=True)
class Views:
    """Pictures of the mesh to fit to.

    Attributes:
        camera: One camera per view.
        images: Premultiplied rgba. [(F, H, W, 4)]
    """

    camera: Camera
    images: torch.Tensor

    def to(self, device: str) -> Views:
        """The same on another device."""
        camera = Camera(self.camera.view.to(device), self.camera.intrinsics.to(device), self.camera.width, self.camera.height)
        return Views(camera, self.images.to(device))

    def pick(self, index: torch.Tensor) -> Views:
        """Some of the views."""
        camera = Camera(self.camera.view[index], self.camera.intrinsics[index], self.camera.width, self.camera.height)
        return Views(camera, self.images[index])


def pixel_size(asset: Asset, size: int) -> float:
    """What a pixel of a view spans at the middle of the asset. [m]"""
    return DISTANCE * 0.5 * float(np.linalg.norm(np.ptp(asset.vertices, axis=0))) / size


def photograph(asset: Asset, count: int, size: int, shaded: bool, rng: np.random.Generator, progress: Progress, supersample: int = 3) -> Views:
    """Views from random directions over the sphere; the lowest are left out, nobody looks from under the ground."""
    low, high = asset.vertices.min(0), asset.vertices.max(0)
    middle, radius = 0.5 * (low + high), 0.5 * float(np.linalg.norm(high - low))
    shade, cameras, images = SurfaceShader(asset, texture_limit=4 * size), [], []
    progress.begin("views of the mesh", count)
    for index in range(count):
        azimuth, elevation = rng.uniform(-math.pi, math.pi), math.asin(rng.uniform(-0.45, 0.98))
        view = {"azimuth": azimuth, "elevation": elevation, "distance": DISTANCE * FOCAL * radius, "focal": FOCAL}
        camera = orbit(torch.as_tensor(middle)[None], width=size, height=size, **view)
        images.append(render_mesh(asset.vertices, asset.faces, shade, camera, supersample=supersample, shaded=shaded, weld=asset.weld))
        cameras.append(camera)
        progress.update(index + 1)
    joined = Camera(torch.cat([c.view for c in cameras]), torch.cat([c.intrinsics for c in cameras]), size, size)
    return Views(joined, torch.cat(images))


def fit(
    kernels: Kernels, spacing: torch.Tensor, anchors: torch.Tensor, views: Views, iterations: int, generator: torch.Generator, progress: Progress
) -> Kernels:
    """Fit by Adam with rates that decay.

    Parameters:
        kernels: The start.
        spacing: Bounds size and drift of each kernel. [m, (N,)]
        anchors: Where the kernels may not leave from. [m, (N, 3)]
    """
    names = [field.name for field in dataclasses.fields(Kernels)]
    free = Kernels(**{name: getattr(kernels, name).clone().requires_grad_() for name in names})
    extent = float((anchors.amax(0) - anchors.amin(0)).max())
    rates = {**RATES, "means": RATES["means"] * extent}
    adam = torch.optim.Adam([{"params": [getattr(free, name)], "lr": rates[name]} for name in names], eps=1e-15)
    decay = torch.optim.lr_scheduler.ExponentialLR(adam, LAST_RATE ** (1 / max(iterations, 1)))
    progress.begin("fit of the Gaussians", iterations)
    for step in range(iterations):
        batch = views.pick(torch.randperm(len(views.images), generator=generator)[:BATCH])
        background = torch.rand(3, generator=generator).to(batch.images.device)  # drawn on the CPU: the same everywhere
        drawn = free.images(batch.camera)
        # premultiplied rgb + (1 - alpha) background, drawn and true
        error = (drawn[..., :3] - batch.images[..., :3]) - (drawn[..., 3:] - batch.images[..., 3:]) * background
        loss = (error.square() + SOFTNESS**2).sqrt().mean()
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        decay.step()
        with torch.no_grad():
            _bound(free, spacing, anchors)
        if step % 10 == 9 or step + 1 == iterations:
            progress.update(step + 1, loss=float(loss.detach()))
    return Kernels(**{name: getattr(free, name).detach() for name in names})


def psnr(kernels: Kernels, views: Views, foreground: bool = False) -> float:
    """Peak signal-to-noise ratio over white, of all pixels or of those that the mesh touches. [dB]"""
    errors = []
    for index in range(0, len(views.images), 8):
        part = views.pick(torch.arange(index, min(index + 8, len(views.images))))
        with torch.no_grad():
            drawn = kernels.images(part.camera)
        over = [image[..., :3] + 1 - image[..., 3:] for image in (drawn, part.images)]
        error = ((over[0].clamp(0, 1) - over[1]) ** 2).mean(-1)
        errors.append(error[part.images[..., 3] > 0] if foreground else error.flatten())
    return float(-10 * torch.log10(torch.cat(errors).mean().clamp(min=1e-12)))


def _bound(free: Kernels, spacing: torch.Tensor, anchors: torch.Tensor) -> None:
    low, high = (SMALLEST * spacing).log()[:, None], (LARGEST * spacing).log()[:, None]
    free.scales.clamp_(min=low, max=high)
    drift = free.means - anchors
    length = drift.norm(dim=1, keepdim=True).clamp(min=1e-12)
    free.means.copy_(anchors + drift * (DRIFT * spacing[:, None] / length).clamp(max=1))
    free.colors.clamp_(0, 1)
    free.opacities.clamp_(-4, 6)
