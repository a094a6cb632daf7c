"""The ground: a checkerboard by ray casting, a sky colour where rays miss, kernels hidden below (METHOD 4)."""

from __future__ import annotations

import dataclasses

import torch

from .camera import Camera


@dataclasses.dataclass(frozen=True)
class Ground:
    """Look of the ground plane y = 0.

    Attributes:
        cell: Edge of a square. [m]
        light, dark: Colours of the squares, sRGB. [0..1]
        sky: Colour of rays that miss. [0..1]
        horizon: Distance at which the squares have faded to their mean, against moire. [m]
        supersample: Rays per pixel edge.
    """

    cell: float = 0.5
    light: tuple[float, float, float] = (0.78, 0.78, 0.78)
    dark: tuple[float, float, float] = (0.66, 0.66, 0.66)
    sky: tuple[float, float, float] = (0.85, 0.92, 1.0)
    horizon: float = 60.0
    supersample: int = 2


def checkerboard(camera: Camera, ground: Ground) -> torch.Tensor:
    """The background layer. [(F, H, W, 3), 0..1]"""
    s = ground.supersample
    points, depth, hits = cast(camera, s)
    light, dark, sky = (points.new_tensor(c) for c in (ground.light, ground.dark, ground.sky))
    squares = torch.floor(points[..., 0] / ground.cell) + torch.floor(points[..., 2] / ground.cell)
    color = torch.where((torch.remainder(squares, 2) < 0.5)[..., None], light, dark)
    fade = (depth / ground.horizon).clamp(0, 1)[..., None]
    color = color + fade * (0.5 * (light + dark) - color)
    color = torch.where(hits[..., None], color, sky)
    f, h, w = camera.frames, camera.height, camera.width
    return color.reshape(f, h, s, w, s, 3).mean((2, 4))


def cast(camera: Camera, supersample: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Where the pixels' rays meet y = 0.

    Returns:
        Points [m, (F, H s, W s, 3)], depth along the optical axis [m, (F, H s, W s)] (0 where a ray misses) and
        whether the ray hits. [(F, H s, W s)]
    """
    rays, origin = camera.rays(supersample), camera.position[:, None, None]
    hits = (rays[..., 1] < -1e-6) & (origin[..., 1] > 0)
    depth = torch.where(hits, -origin[..., 1] / rays[..., 1].clamp(max=-1e-6), torch.zeros_like(rays[..., 1]))
    return origin + depth[..., None] * rays, depth, hits


def composite(rgb: torch.Tensor, alpha: torch.Tensor, background: torch.Tensor) -> torch.Tensor:
    """Premultiplied colour over a background. [(F, H, W, 3), (F, H, W, 1), (F, H, W, 3)]"""
    return rgb + (1 - alpha) * background


def hide_below(means: torch.Tensor, opacities: torch.Tensor) -> torch.Tensor:
    """Opacities with kernels whose centre lies below the ground set to 0. [(F, N, 3), (N,) -> (F, N)]"""
    return torch.where(means[..., 1] < 0, torch.zeros_like(means[..., 1]), opacities)
