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
        supersample: Rays per pixel edge; each is filtered already, so one will do.
    """

    cell: float = 0.5
    light: tuple[float, float, float] = (0.78, 0.78, 0.78)
    dark: tuple[float, float, float] = (0.66, 0.66, 0.66)
    sky: tuple[float, float, float] = (0.85, 0.92, 1.0)
    horizon: float = 60.0
    supersample: int = 1


_BRIGHT = 0.72  # mean luma: below, an asset is darker than the light squares or stands out by its colour


def contrasting(size: float, colors: torch.Tensor) -> Ground:
    """A ground for an asset: squares of a third of its size, light greys, dark ones for an asset that is brighter than they are.

    Parameters:
        size: Diagonal of the asset. [m]
        colors: Of its surface or kernels. [0..1, (N, 3)]
    """
    bright = float((colors.double().mean(0) * colors.new_tensor([0.299, 0.587, 0.114]).double()).sum()) > _BRIGHT
    light, dark = ((0.46,) * 3, (0.36,) * 3) if bright else ((0.82,) * 3, (0.70,) * 3)
    return Ground(cell=max(size / 3, 0.05), light=light, dark=dark, horizon=14 * size)


def checkerboard(camera: Camera, ground: Ground) -> torch.Tensor:
    """The background layer: squares averaged over what each ray's pixel covers, so that none flickers at the horizon.

    The mean of a square wave over an interval is the difference of a triangle wave at its ends; a pixel's footprint on
    the ground is taken as the rectangle along x and z that its edges span.

    Returns:
        [(F, H, W, 3), 0..1]
    """
    s = ground.supersample
    points, depth, hits = cast(camera, s)
    light, dark, sky = (points.new_tensor(c) for c in (ground.light, ground.dark, ground.sky))
    rays = camera.rays(s)
    slope = rays / rays[..., 1:2].clamp(max=-1e-6)
    # a step of one ray to the side or down moves the point by depth (step - slope step_y)
    right, down = (camera.view[:, None, None, k, :3] / (s * camera.intrinsics[:, None, None, k, k, None]) for k in (0, 1))
    footprint = depth[..., None] * sum((step - slope * step[..., 1:2]).abs() for step in (right, down))
    waves = [_mean_square_wave(points[..., axis] / ground.cell, footprint[..., axis] / ground.cell) for axis in (0, 2)]
    share = 0.5 + 0.5 * waves[0] * waves[1]
    color = dark + share[..., None] * (light - dark)
    fade = (depth / ground.horizon).clamp(0, 1)[..., None]
    color = color + fade * (0.5 * (light + dark) - color)
    color = torch.where(hits[..., None], color, sky)
    f, h, w = camera.frames, camera.height, camera.width
    return color.reshape(f, h, s, w, s, 3).mean((2, 4))


def _mean_square_wave(place: torch.Tensor, width: torch.Tensor) -> torch.Tensor:
    """Mean of the wave that is +1 on even and -1 on odd unit cells over an interval around a place. [cells -> -1..1]"""
    cell = torch.floor(place)
    sign = 1 - 2 * torch.remainder(cell, 2)
    edge = 0.5 - (place - cell - 0.5).abs()  # distance to the nearest edge of the cell
    one_edge = sign * (2 * edge / width.clamp(min=1e-12)).clamp(max=1)  # an interval no longer than a cell holds one at most

    def integral(x: torch.Tensor) -> torch.Tensor:
        return 1 - (torch.remainder(x, 2) - 1).abs()

    several = (integral(place + 0.5 * width) - integral(place - 0.5 * width)) / width.clamp(min=1)
    return torch.where(width <= 1, one_edge, several)


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
