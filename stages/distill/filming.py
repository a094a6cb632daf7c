"""The Gaussians as tensors, and how they are filmed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from schemas.rig import Rig
from schemas.splat import Splat
from stages.body import quaternion
from stages.body.kinematics import Pose
from stages.body.skinning import covariances, skin_points
from stages.view.camera import Camera
from stages.view.posed import carry

from .look import part_colors, shown
from .scene import Scene


def drawn_kernels(rig: Rig, splat: Splat, scene: Scene, device: torch.device | str) -> tuple[torch.Tensor, ...]:
    """What a scene draws of a body: means, covariances, weights, opacities and colours. [(N, 3), (N, 3, 3), (N, J), (N,), (N, 3)]"""

    def tensor(value: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(value, dtype=torch.float32, device=device)

    means, weights, opacities, colors = (tensor(value) for value in (splat.means, splat.weights, splat.opacities, splat.colors))
    spread = covariances(quaternion.to_matrix(tensor(splat.rotations)), tensor(splat.scales))
    if scene.look != "roles":
        return means, spread, weights, opacities, colors
    drawn = shown(rig, weights)
    return means[drawn], spread[drawn], weights[drawn], opacities[drawn], part_colors(rig, means[drawn], weights[drawn])


class Body:
    """The Gaussians as tensors, and how they are filmed."""

    def __init__(self, rig: Rig, splat: Splat, scene: Scene, device: str) -> None:
        self.scene = scene
        self.means, spread, self.weights, opacities, colors = drawn_kernels(rig, splat, scene, device)
        self.kernels = carry(self.means, spread, self.weights, opacities, colors)
        self.framing = scene.framing(self.means)

    def move(self, pose: Pose) -> torch.Tensor:
        """Centres of the kernels, equation (5). [m, (F, N, 3)]"""
        return skin_points(self.means, self.weights, pose)

    def camera(self, path: torch.Tensor, rng: np.random.Generator, side: int, fixed: Any) -> Camera:
        """A camera drawn on `side` (or from the prior's own) that follows `path`."""
        if fixed:
            return self.scene.camera_at(path, self.framing, *fixed[int(rng.integers(len(fixed)))])
        return self.scene.camera(path, self.framing, rng, side=side)

    def film(self, pose: Pose, camera: Camera) -> torch.Tensor:
        """A clip. [(F, H, W, 3), 0..1]"""
        return self.scene.render_posed(self.kernels, pose, camera, self.framing)
