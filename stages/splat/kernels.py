"""The free parameters of a fit, and the images they make."""

from __future__ import annotations

import dataclasses

import torch

from stages.body import quaternion, skinning
from stages.view.camera import Camera
from stages.view.rasterize import render

FILTER = {"antialiased": True, "dilation": 0.1}
"""The image model of the fit, Mip-Splatting's: what it fits looks the same at any larger size, with or without antialiasing."""


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

    def images(self, camera: Camera, options: dict | None = None) -> torch.Tensor:
        """Premultiplied rgba; `options` of the image model in place of `FILTER`. [(F, H, W, 4)]"""
        sigma = skinning.covariances(quaternion.to_matrix(self.rotations), self.scales.exp())
        opacities, colors, frames = torch.sigmoid(self.opacities), self.colors.clamp(0, 1), camera.frames
        shape = self.means.expand(frames, -1, -1), sigma.expand(frames, -1, -1, -1)
        return torch.cat(render(*shape, opacities, colors, camera, **(FILTER if options is None else options)), -1)
