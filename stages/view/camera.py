"""Cameras: pinhole, OpenCV axes (x right, y down, z forward), one per frame."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

DILATION = 0.3  # default of the rasterizers: added to the covariance on the screen, so that no kernel is thinner than a pixel [px^2]


@dataclasses.dataclass(frozen=True)
class Camera:
    """One pinhole camera per frame.

    Attributes:
        view: World to camera. [(F, 4, 4)]
        intrinsics: Pixels; pixel centres lie at +0.5. [(F, 3, 3)]
        width, height: Image size. [px]
    """

    view: torch.Tensor
    intrinsics: torch.Tensor
    width: int
    height: int

    @property
    def frames(self) -> int:
        """Number of frames F."""
        return self.view.shape[0]

    @property
    def position(self) -> torch.Tensor:
        """Camera centres in the world. [m, (F, 3)]"""
        rotation, shift = self.view[:, :3, :3], self.view[:, :3, 3:]
        return -(rotation.transpose(1, 2) @ shift)[..., 0]

    def first(self) -> Camera:
        """The camera of frame 0 alone."""
        return dataclasses.replace(self, view=self.view[:1], intrinsics=self.intrinsics[:1])

    def finer(self, factor: int) -> Camera:
        """The same views with so many times the pixels per edge."""
        intrinsics = self.intrinsics.clone()
        intrinsics[:, :2] *= factor
        return dataclasses.replace(self, intrinsics=intrinsics, width=factor * self.width, height=factor * self.height)

    def around(self, points: np.ndarray) -> tuple[slice, slice]:
        """Rows and columns that a convex body can touch in frame 0, by its points' projections; all where one is behind. [m, (N, 3)]"""
        view, k = self.view[0].detach().cpu().double().numpy(), self.intrinsics[0].detach().cpu().double().numpy()
        local = points.astype(np.float64) @ view[:3, :3].T + view[:3, 3]
        if not len(points) or not (local[:, 2] > 0).all():
            return slice(0, self.height), slice(0, self.width)
        x, y = (k[i, i] * local[:, i] / local[:, 2] + k[i, 2] for i in (0, 1))
        rows, columns = (
            slice(int(np.clip(np.floor(v.min()) - 1, 0, n)), int(np.clip(np.ceil(v.max()) + 1, 0, n))) for v, n in ((y, self.height), (x, self.width))
        )
        return rows, columns

    def rays(self, supersample: int = 1) -> torch.Tensor:
        """World directions through the pixels, forward component 1. [(F, H s, W s, 3)]"""
        h, w, like = self.height * supersample, self.width * supersample, self.view
        ys = (torch.arange(h, device=like.device, dtype=like.dtype) + 0.5) / supersample
        xs = (torch.arange(w, device=like.device, dtype=like.dtype) + 0.5) / supersample
        k = self.intrinsics
        x = (xs[None, :] - k[:, 0, 2, None]) / k[:, 0, 0, None]  # [F, W]
        y = (ys[None, :] - k[:, 1, 2, None]) / k[:, 1, 1, None]  # [F, H]
        x, y = x[:, None, :].expand(-1, h, -1), y[:, :, None].expand(-1, -1, w)
        return torch.stack([x, y, torch.ones_like(x)], -1) @ self.view[:, None, :3, :3]


def look_at(eye: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """World-to-camera matrices with +Y up in the image's upper half. [m, (F, 3), (F, 3) -> (F, 4, 4)]"""
    forward = torch.nn.functional.normalize(target - eye, dim=-1)
    up = torch.zeros_like(forward)
    up[:, 1] = 1
    # looking straight down or up: any horizontal right vector will do, take +X
    steep = forward[:, 1].abs() > 1 - 1e-6
    right = torch.linalg.cross(forward, up)
    right = torch.where(steep[:, None], torch.tensor([1.0, 0, 0], dtype=eye.dtype, device=eye.device), right)
    right = torch.nn.functional.normalize(right, dim=-1)
    down = torch.linalg.cross(forward, right)
    rotation = torch.stack([right, down, forward], 1)
    matrix = torch.eye(4, dtype=eye.dtype, device=eye.device).repeat(len(eye), 1, 1)
    matrix[:, :3, :3] = rotation
    matrix[:, :3, 3] = -(rotation @ eye[:, :, None])[..., 0]
    return matrix


def orbit(centers: torch.Tensor, *, azimuth: float, elevation: float, distance: float, focal: float, width: int, height: int) -> Camera:
    """A camera that keeps its bearing to a moving centre: equal to moving the scene the other way (METHOD 4).

    Parameters:
        centers: Where it looks. [m, (F, 3)]
        azimuth: From +Z (the character's front) towards +X (its left). [rad]
        elevation: Above the horizon. [rad]
        distance: From the centre. [m]
        focal: Focal length in units of the image width.
    """
    direction = centers.new_tensor([math.sin(azimuth) * math.cos(elevation), math.sin(elevation), math.cos(azimuth) * math.cos(elevation)])
    k = centers.new_zeros(len(centers), 3, 3)
    k[:, 0, 0] = k[:, 1, 1] = focal * width
    k[:, 0, 2], k[:, 1, 2], k[:, 2, 2] = width / 2, height / 2, 1
    return Camera(look_at(centers + distance * direction, centers), k, width, height)


def smooth_path(centers: torch.Tensor, window: int = 9) -> torch.Tensor:
    """Low-pass a path with a Gaussian of `window` frames so that the camera does not shake. [(F, 3) -> (F, 3)]

    The path is continued linearly beyond both ends, so that constant speed stays constant speed.
    """
    if len(centers) < 3 or window < 2:
        return centers
    radius = window // 2
    steps = torch.arange(-radius, radius + 1, device=centers.device, dtype=centers.dtype)
    kernel = torch.exp(-0.5 * (steps / (0.5 * max(radius, 1))) ** 2)
    kernel = kernel / kernel.sum()
    ahead = steps[steps > 0][:, None]
    start, end = centers[1] - centers[0], centers[-1] - centers[-2]
    padded = torch.cat([centers[:1] - ahead.flip(0) * start, centers, centers[-1:] + ahead * end])
    return torch.stack([(kernel[:, None] * padded[i : i + len(kernel)]).sum(0) for i in range(len(centers))])
