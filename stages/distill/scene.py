"""What the video prior sees: following cameras on both sides, a quiet checkerboard, kernels in natural or part colours.

Distillation and the training of the built-in prior both render through this file, so that both see the same images.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

from schemas import roles
from schemas.errors import InputError
from schemas.rig import Rig
from stages.body.kinematics import Pose
from stages.view.camera import Camera, orbit, smooth_path
from stages.view.ground import Ground, checkerboard, composite, hide_below
from stages.view.posed import Carried, render_posed
from stages.view.rasterize import render as rasterize

LOOKS = ("natural", "roles")

_TRUNK_COLORS = {"neck": (0.93, 0.88, 0.55), "head": (0.95, 0.82, 0.10), "jaw": (0.95, 0.82, 0.10), "ear": (0.85, 0.70, 0.10), "tail": (0.60, 0.28, 0.68)}
_TORSO = (0.50, 0.50, 0.54)
_LIMB_COLORS = {
    ("left", "fore"): (0.95, 0.15, 0.10),
    ("right", "fore"): (0.10, 0.72, 0.18),
    ("left", "hind"): (0.15, 0.30, 1.00),
    ("right", "hind"): (1.00, 0.55, 0.05),
}
_SHADES = {"shoulder": 0.8, "upper": 1.0, "lower": 0.72, "foot": 0.45}


def role_color(role: str) -> tuple[float, float, float]:
    """sRGB colour of a role: torso grey, head yellow, tail violet, a hue for each limb, darker towards the foot. [0..1]"""
    parts = roles.limb(role)
    if parts is None:
        return _TRUNK_COLORS.get(role, _TORSO)
    side, limb, segment = parts
    if limb in ("arm", "wing"):
        limb = "fore"
    elif limb.startswith("leg"):
        limb = "fore" if int(limb[3:]) % 2 else "hind"
    shade = _SHADES[segment]
    return tuple(shade * c for c in _LIMB_COLORS[side, limb])


def role_colors(rig: Rig, weights: torch.Tensor) -> torch.Tensor:
    """Colour of each kernel by the roles of the joints it follows. [(N, J) -> 0..1, (N, 3)]"""
    table = torch.tensor([role_color(role) for role in rig.roles], dtype=weights.dtype, device=weights.device)
    return weights @ table


@dataclasses.dataclass(frozen=True)
class Framing:
    """Where a body stands at rest, from its kernels: what the camera scales by.

    Attributes:
        size: The larger of its length (Z) and 4/3 of its height. [m]
        middle: Half its height above the ground. [m]
    """

    size: float
    middle: float


@dataclasses.dataclass(frozen=True)
class Scene:
    """How clips are filmed.

    Attributes:
        look: "roles" or "natural".
        ground: Whether there is a checkerboard; else one plain colour (`sky`) lies behind everything.
        width, height: Image size. [px]
        azimuth: Half range around the side views at +-90 degrees. [rad]
        elevation: Range above the horizon. [rad]
        fill: Fraction of the image's width that the body's size takes, drawn from this range.
        distance: From the camera to the body, in body sizes.
        cell: Edge of a ground square, in body sizes.
        light, dark, sky: Greys of the ground's squares, colour of the sky. [0..1]
        follow: Frames over which the camera's path is smoothed.
    """

    look: str = "roles"
    ground: bool = True
    width: int = 64
    height: int = 48
    azimuth: float = 0.45
    elevation: tuple[float, float] = (0.2, 0.45)
    fill: tuple[float, float] = (0.68, 0.75)
    distance: float = 3.5
    cell: float = 0.45
    light: float = 0.80
    dark: float = 0.73
    sky: tuple[float, float, float] = (0.85, 0.92, 1.0)
    follow: int = 13

    def __post_init__(self) -> None:
        if self.look not in LOOKS:
            raise InputError(f"look '{self.look}' is unknown: there are {', '.join(LOOKS)}.")

    def framing(self, means: torch.Tensor) -> Framing:
        """Measure a body at rest by its kernels, the outermost 1% left out. [m, (N, 3)]"""
        low, high = (torch.quantile(means.double(), q, dim=0) for q in (0.01, 0.99))
        length, height = float(high[2] - low[2]), float(high[1] - min(float(low[1]), 0.0))
        size = max(length, 4 / 3 * height, 1e-6)
        return Framing(size, 0.5 * height)

    def camera(self, means: torch.Tensor, framing: Framing, rng: np.random.Generator, *, side: int = 0) -> Camera:
        """Draw a camera that follows the kernels.

        Parameters:
            means: Posed kernel centres; no gradient flows into the camera. [m, (F, N, 3)]
            side: +1 films the character's left side, -1 its right, 0 draws one.
        """
        side = side or (1 if rng.uniform() < 0.5 else -1)
        azimuth = side * 0.5 * math.pi + float(rng.uniform(-self.azimuth, self.azimuth))
        elevation, fill = float(rng.uniform(*self.elevation)), float(rng.uniform(*self.fill))
        return self.camera_at(means, framing, azimuth, elevation, fill)

    def camera_at(self, means: torch.Tensor, framing: Framing, azimuth: float, elevation: float, fill: float | None = None) -> Camera:
        """The following camera of a bearing: it tracks the middle of the bounding box over the ground, at constant height."""
        fill = fill if fill is not None else 0.5 * (self.fill[0] + self.fill[1])
        points = means.detach()
        middle = 0.5 * (points.amin(1) + points.amax(1))  # [F, 3]
        middle = smooth_path(middle, self.follow)
        middle = torch.stack([middle[:, 0], torch.full_like(middle[:, 1], framing.middle), middle[:, 2]], 1)
        return orbit(
            middle,
            azimuth=azimuth,
            elevation=elevation,
            distance=self.distance * framing.size,
            focal=fill * self.distance,
            width=self.width,
            height=self.height,
        )

    def facing(self, camera: Camera) -> str:
        """Which way a character that looks along +Z faces in the image: "left" or "right"."""
        return "right" if float(camera.view[0, 0, 2]) > 0 else "left"

    def background(self, camera: Camera, framing: Framing) -> torch.Tensor:
        """What lies behind the body: the checkerboard, or one plain colour. [(F, H, W, 3)]"""
        if not self.ground:
            return camera.view.new_tensor(self.sky).expand(camera.frames, camera.height, camera.width, 3)
        light, dark = (self.light,) * 3, (self.dark,) * 3
        return checkerboard(camera, Ground(cell=self.cell * framing.size, light=light, dark=dark, sky=self.sky, horizon=12 * framing.size))

    def render(
        self,
        means: torch.Tensor,
        covariances: torch.Tensor,
        opacities: torch.Tensor,
        colors: torch.Tensor,
        camera: Camera,
        framing: Framing,
        *,
        background: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """A clip, differentiable in means, covariances, opacities and colours.

        Parameters:
            means: [m, (F, N, 3)]
            covariances: [m^2, (F, N, 3, 3)]
            opacities: [0..1, (N,)]
            colors: [0..1, (N, 3)]
            background: From `background`, if at hand. [(F, H, W, 3)]

        Returns:
            [(F, H, W, 3), 0..1]
        """
        if background is None:
            background = self.background(camera, framing)
        rgb, alpha = rasterize(means, covariances, hide_below(means, opacities), colors, camera)
        return composite(rgb, alpha, background)

    def render_posed(self, kernels: Carried, pose: Pose, camera: Camera, framing: Framing) -> torch.Tensor:
        """A clip of kernels that bones carry, differentiable in the pose; as `render`, in half the time on the CPU. [(F, H, W, 3), 0..1]"""
        rgb, alpha = render_posed(kernels, pose.rotations, pose.translations, camera)
        return composite(rgb, alpha, self.background(camera, framing))
