"""Kernels that bones carry, deformed and rendered in one pass: what every step of distillation does (METHOD 2 and 4)."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from .camera import DILATION, Camera
from .rasterize import averaged, check_filter, choose, render

SLIGHT = 1e-4  # weights below are dropped on the CPU and the rest made to sum to 1: two thirds of what bone heat leaves


@dataclasses.dataclass(frozen=True)
class Carried:
    """Gaussians at rest and the bones that move them; none of it receives a gradient.

    Attributes:
        means: [m, (N, 3)]
        covariances: [m^2, (N, 3, 3)]
        weights: Skinning weights. [(N, J)]
        opacities: [0..1, (N,)]
        colors: [0..1, (N, 3)]
        planes: The same as the CPU wants it: numbers at rest (9, N), how many bones move each (N,), which (N, K), their
            weights (N, K), opacities (1, N), colours (1, 3, N).
    """

    means: torch.Tensor
    covariances: torch.Tensor
    weights: torch.Tensor
    opacities: torch.Tensor
    colors: torch.Tensor
    planes: tuple[np.ndarray, ...]


def carry(means: torch.Tensor, covariances: torch.Tensor, weights: torch.Tensor, opacities: torch.Tensor, colors: torch.Tensor) -> Carried:
    """Prepare kernels for `render_posed`; parameters as the attributes of `Carried`.

    Raises:
        ValueError: Shapes that do not fit together (a bug of the caller).
    """
    count = len(means)
    wanted = {"covariances": (count, 3, 3), "opacities": (count,), "colors": (count, 3)}
    given = {"covariances": covariances, "opacities": opacities, "colors": colors}
    wrong = [name for name, shape in wanted.items() if tuple(given[name].shape) != shape]
    if wrong or len(weights) != count:
        raise ValueError(f"{wrong[0] if wrong else 'weights'}: the shape does not fit {count} kernels")
    means, covariances, weights, opacities, colors = (t.detach() for t in (means, covariances, weights, opacities, colors))
    return Carried(means, covariances, weights, opacities, colors, _planes(means, covariances, weights, opacities, colors))


def _planes(*tensors: torch.Tensor) -> tuple[np.ndarray, ...]:
    means, covariances, weights, opacities, colors = (t.cpu().float().numpy() for t in tensors)
    weights = np.where(weights < SLIGHT, 0, weights)
    weights = weights / np.maximum(weights.sum(1, keepdims=True), SLIGHT)
    used = (weights > 0).sum(1).astype(np.int32)
    joints = np.argsort(-weights, axis=1, kind="stable")[:, : max(int(used.max(initial=0)), 1)].astype(np.int32)
    spread = 0.5 * (covariances + covariances.transpose(0, 2, 1))
    rest = np.concatenate([means.T, spread[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]].T])
    arrays = [rest, used[None], joints.T, np.take_along_axis(weights, joints, 1).T, opacities[None], colors.T]
    missing = max(16 - len(means), 0)  # invisible kernels fill the first sixteen
    rest, used, joints, shares, opacities, colors = (np.pad(a, [(0, 0), (0, missing)]) for a in arrays)
    return tuple(np.ascontiguousarray(a) for a in (rest, used[0], joints.T, shares.T.astype(np.float32), opacities, colors[None]))


def render_posed(
    kernels: Carried,
    rotations: torch.Tensor,
    translations: torch.Tensor,
    camera: Camera,
    *,
    floor: float | None = 0.0,
    antialiased: bool = False,
    dilation: float = DILATION,
    supersample: int = 1,
    backend: str = "auto",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Move kernels by bones (equations 2 and 5) and blend them (equation 1); differentiable in the bones.

    On the CPU the posed kernels never leave the cache, which takes half the time of doing one after the other.

    Parameters:
        kernels: From `carry`.
        rotations: Turn of each bone relative to rest. [(F, J, 3, 3)]
        translations: A rest point x goes to R x + t. [m, (F, J, 3)]
        camera: One camera per frame; receives no gradient.
        floor: Kernels whose centre is below are hidden; None hides none. [m]
        antialiased, dilation, supersample, backend: See `rasterize.render`.

    Returns:
        Premultiplied colour (F, H, W, 3) and alpha (F, H, W, 1).

    Raises:
        InputError, MissingError: As `rasterize.render`. ValueError: Shapes that do not fit (a bug of the caller).
    """
    frames, bones = kernels.weights.shape[1], rotations.shape[1]
    if frames != bones or translations.shape != rotations.shape[:3] or camera.frames != len(rotations):
        raise ValueError(f"rotations {tuple(rotations.shape)}, translations {tuple(translations.shape)} do not fit {frames} bones, {camera.frames} cameras")
    options = {"antialiased": antialiased, "dilation": dilation}
    if choose(backend, camera, rotations) == "cuda":
        means, covariances = _posed(kernels, rotations, translations)
        opacities = kernels.opacities if floor is None else torch.where(means[..., 1] < floor, torch.zeros_like(means[..., 1]), kernels.opacities)
        return render(means, covariances, opacities, kernels.colors, camera, **options, supersample=supersample, backend="cuda")
    from .cpu import rasterize_posed

    check_filter(dilation, supersample)
    camera = camera if supersample == 1 else camera.finer(supersample)
    rgba = rasterize_posed(kernels.planes, rotations, translations, camera, -torch.inf if floor is None else floor, **options)
    rgba = averaged(rgba, supersample).to(rotations)
    return rgba[..., :3], rgba[..., 3:]


def _posed(kernels: Carried, rotations: torch.Tensor, translations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Means and covariances of every frame. [m (F, N, 3), m^2 (F, N, 3, 3)]"""
    linear = torch.einsum("nj,fjab->fnab", kernels.weights, rotations)
    means = (linear @ kernels.means[:, :, None])[..., 0] + kernels.weights @ translations
    return means, linear @ kernels.covariances @ linear.transpose(-1, -2)
