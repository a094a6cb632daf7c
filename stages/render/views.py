"""Where the camera stands: it follows, stays, or goes round, as near as everything stays in the picture."""

from __future__ import annotations

import dataclasses
import math

import torch

from stages.view.camera import Camera, look_at, smooth_path

FOCAL = 1.6
"""Focal length in widths of the image: a lens of 58 mm on film of 36 mm."""

FILLED = 0.82
"""Share of the picture's width and height that the asset may take."""

_ROUNDS = 6  # of centring: each brings what is seen nearer to the middle


@dataclasses.dataclass(frozen=True)
class Shot:
    """How a motion is looked at.

    Attributes:
        azimuth: From the character's front towards its left. [rad]
        elevation: Above the horizon. [rad]
        follow: The camera goes along with the asset; else it stays and sees the whole way.
        turn: How far it goes round from the first to the last frame. [rad]
        focal: As `FOCAL`.
        filled: As `FILLED`.
    """

    azimuth: float
    elevation: float
    follow: bool = True
    turn: float = 0.0
    focal: float = FOCAL
    filled: float = FILLED


def place(points: torch.Tensor, shot: Shot, width: int, height: int) -> Camera:
    """One camera per frame, at one distance from what it looks at.

    Parameters:
        points: Samples of the deformed asset. [m, (F, N, 3)]
        width, height: Of the picture. [px]
    """
    low, high = points.min(1).values, points.max(1).values
    centers = smooth_path(0.5 * (low + high), window=13)
    if not shot.follow:
        centers = 0.5 * (low.min(0).values + high.max(0).values).expand_as(centers)
    centers = centers.clone()
    centers[:, 1] = 0.5 * (high - low)[:, 1].max()  # a camera that bobs with every step makes the viewer sick
    turns = shot.azimuth + shot.turn * torch.linspace(0, 1, len(points), dtype=points.dtype)
    flat = math.cos(shot.elevation)
    away = torch.stack([flat * turns.sin(), torch.full_like(turns, math.sin(shot.elevation)), flat * turns.cos()], 1)
    axes = look_at(away, torch.zeros_like(away))[:, :3, :3]
    local = (points - centers[:, None]) @ axes.transpose(1, 2)
    aside, distance = _fit(local.reshape(-1, 3), shot, width / height, sideways=not shot.turn)
    target = centers + aside @ axes
    k = points.new_zeros(len(points), 3, 3)
    k[:, 0, 0] = k[:, 1, 1] = shot.focal * width
    k[:, 0, 2], k[:, 1, 2], k[:, 2, 2] = width / 2, height / 2, 1
    return Camera(look_at(target + distance * away, target), k, width, height)


def _fit(local: torch.Tensor, shot: Shot, aspect: float, sideways: bool) -> tuple[torch.Tensor, float]:
    """How far aside to look, and from how far, so that all points fill the picture. [m, (N, 3) -> (3,), m]

    Parameters:
        local: Relative to what is looked at: right, down, forward.
        aspect: Width over height.
        sideways: The middle may be moved to the side; a camera that goes round keeps its axis.
    """
    aside, distance = local.new_zeros(3), 0.0
    stretch = local.new_tensor([1.0, aspect])
    for _ in range(_ROUNDS):
        seen = local - aside
        # |focal x / (z + distance)| <= filled / 2, and the same of y in heights
        distance = float((2 * shot.focal / shot.filled * (seen[:, :2].abs() * stretch).max(1).values - seen[:, 2]).max())
        at = seen[:, :2] / (seen[:, 2:] + distance).clamp(min=1e-6)
        middle = 0.5 * (at.min(0).values + at.max(0).values) * distance
        aside[1] += middle[1]
        if sideways:
            aside[0] += middle[0]
    seen = local - aside
    distance = float((2 * shot.focal / shot.filled * (seen[:, :2].abs() * stretch).max(1).values - seen[:, 2]).max())
    return aside, max(distance, 1e-3)


def crop(camera: Camera, points: torch.Tensor, margin: int = 4) -> tuple[Camera, int, int] | None:
    """The part of a one-frame camera's picture in which points lie, and its left and top edge; None where none is seen.

    Its pixels are those of the whole picture. A point behind the camera makes it the whole.

    Parameters:
        points: [m, (N, 3)]
        margin: [px]
    """
    view = points.to(camera.view) @ camera.view[0, :3, :3].T + camera.view[0, :3, 3]
    if bool((view[:, 2] <= 1e-6).any()):
        return camera, 0, 0
    k = camera.intrinsics[0]
    x, y = (k[axis, axis] * view[:, axis] / view[:, 2] + k[axis, 2] for axis in (0, 1))
    left, top = max(int(x.min()) - margin, 0), max(int(y.min()) - margin, 0)
    right, bottom = min(int(x.max()) + margin + 1, camera.width), min(int(y.max()) + margin + 1, camera.height)
    if left >= right or top >= bottom:
        return None
    intrinsics = camera.intrinsics.clone()
    intrinsics[:, 0, 2] -= left
    intrinsics[:, 1, 2] -= top
    return Camera(camera.view, intrinsics, right - left, bottom - top), left, top
