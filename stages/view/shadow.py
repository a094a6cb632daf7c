"""A soft shadow under the asset: ground colour x (1 - s_max exp(-k h)), METHOD 4 (the paper's appendix C).

h is the vertical distance from a ground point to the asset above it, taken from a map of the lowest point over every
cell of a grid on the ground. For pictures, not for distillation: nothing here carries a gradient.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from scipy import ndimage

from .camera import Camera
from .ground import cast


@dataclasses.dataclass(frozen=True)
class Shadow:
    """Look of the shadow.

    Attributes:
        strength: s_max, the darkening right under a contact. [0..1]
        falloff: k, how fast it fades with height, in units of 1 / asset height. [-]
        softness: Blur of the edge, as a share of the asset's height. [-]
        resolution: Cells along the longer side of the map.
    """

    strength: float = 0.55
    falloff: float = 3.0
    softness: float = 0.015
    resolution: int = 192


def shade(camera: Camera, points: np.ndarray, shadow: Shadow, height: float) -> torch.Tensor:
    """Factor on the ground's colour for every pixel.

    Parameters:
        camera: F cameras.
        points: Samples of the posed surface, dense enough to cover it. [m, (F, N, 3)]
        shadow: The look.
        height: Height of the asset at rest, the scale of falloff and softness. [m]

    Returns:
        1 - s_max exp(-k h), 1 where nothing is above or the ray misses the ground. [(F, H, W, 1)]
    """
    ground, _, hits = cast(camera)
    factors = np.ones(hits.shape, np.float32)
    for frame, samples in enumerate(points):
        darkness, origin, cell = _darkness(samples, shadow, height)
        place = (ground[frame].numpy()[..., [0, 2]] - origin) / cell - 0.5
        value = ndimage.map_coordinates(darkness, [place[..., 0], place[..., 1]], order=1, mode="constant", cval=0.0)
        factors[frame] = np.where(hits[frame].numpy(), 1 - value, 1)
    return torch.from_numpy(factors)[..., None]


def _darkness(samples: np.ndarray, shadow: Shadow, height: float) -> tuple[np.ndarray, np.ndarray, float]:
    """The map of s_max exp(-k h) over x and z, its corner and the size of a cell. [(Gx, Gz), m (2,), m]"""
    margin = 6 * shadow.softness * height + 1e-6
    low, high = samples[:, [0, 2]].min(0) - margin, samples[:, [0, 2]].max(0) + margin
    cell = float((high - low).max()) / shadow.resolution
    size = np.ceil((high - low) / cell).astype(int) + 1
    index = np.minimum(((samples[:, [0, 2]] - low) / cell).astype(int), size - 1)
    lowest = np.full(size, np.inf)
    np.minimum.at(lowest, (index[:, 0], index[:, 1]), np.maximum(samples[:, 1], 0))
    lowest = ndimage.minimum_filter(lowest, size=5, mode="constant", cval=np.inf)  # closes the gaps between samples
    darkness = shadow.strength * np.exp(-shadow.falloff * lowest / max(height, 1e-6))
    return ndimage.gaussian_filter(darkness, shadow.softness * height / cell), low, cell
