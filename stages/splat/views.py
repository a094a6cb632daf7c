"""Pictures of the mesh that kernels are fitted to."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

from schemas.asset import Asset
from stages.progress import Progress
from stages.view.camera import Camera, orbit
from stages.view.mesh import render_mesh
from stages.view.texture import SurfaceShader

FOCAL, DISTANCE = 1.6, 2.1  # focal length in image widths; image width at the middle of the asset, in its radii
RAYS = 4  # per pixel edge: three leave errors of 39 dB on the tiger's outline, four 43
_AT_ONCE = 8  # views that share a search tree, and a report of progress


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


def photograph(asset: Asset, count: int, size: int, shaded: bool, rng: np.random.Generator, progress: Progress, supersample: int = RAYS) -> Views:
    """Views from random directions over the sphere; the lowest are left out, nobody looks from under the ground."""
    low, high = asset.vertices.min(0), asset.vertices.max(0)
    middle, radius = 0.5 * (low + high), 0.5 * float(np.linalg.norm(high - low))
    cameras = []
    for _ in range(count):
        azimuth, elevation = rng.uniform(-math.pi, math.pi), math.asin(rng.uniform(-0.45, 0.98))
        view = {"azimuth": azimuth, "elevation": elevation, "distance": DISTANCE * FOCAL * radius, "focal": FOCAL}
        cameras.append(orbit(torch.as_tensor(middle)[None], width=size, height=size, **view))
    views, intrinsics = torch.cat([c.view for c in cameras]), torch.cat([c.intrinsics for c in cameras])
    shade, images = SurfaceShader(asset, texture_limit=4 * size), []
    progress.begin("views of the mesh", count)
    for index in range(0, count, _AT_ONCE):
        some = slice(index, index + _AT_ONCE)
        camera = Camera(views[some], intrinsics[some], size, size)
        images.append(render_mesh(asset.vertices, asset.faces, shade, camera, supersample=supersample, shaded=shaded, weld=asset.weld))
        progress.update(min(index + _AT_ONCE, count))
    return Views(Camera(views, intrinsics, size, size), torch.cat(images))
