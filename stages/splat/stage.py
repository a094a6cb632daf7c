"""Mesh to Gaussians: start on the surface, fit to views of the mesh, bind to the skeleton."""

from __future__ import annotations

import time

import numpy as np
import torch

from schemas.asset import Asset
from schemas.errors import InputError, MissingError
from schemas.skin import Skin
from schemas.splat import Splat
from stages.body import quaternion
from stages.progress import SILENT, Progress
from stages.repeatable import one_torch_thread
from stages.view import cuda
from stages.view.mesh import brightness, surface_colors

from . import optimise
from .params import Params
from .start import OPACITY, SPREAD, THICKNESS, Start, frames, sample


@one_torch_thread()
def run(asset: Asset, skin: Skin, params: Params, progress: Progress = SILENT) -> Splat:
    """Turn a skinned mesh into Gaussians.

    Raises:
        InputError: The skin is of another mesh, or the mesh has no area.
        MissingError: The device is not there.
    """
    if len(skin.weights) != len(asset.vertices):
        raise InputError(f"the skin of '{skin.name}' has {len(skin.weights)} rows, '{asset.name}' has {len(asset.vertices)} vertices;", "run `akd skin` again.")
    device, clock = choose_device(params.device), time.monotonic()
    rng = np.random.default_rng(params.seed)
    start = sample(asset, params.kernels, rng)
    kernels = _initial(asset, start, params.shaded).to(device)
    report: dict[str, float] = {"kernels": len(start.means), "views": params.views}
    if params.iterations:
        views = optimise.photograph(asset, params.views + optimise.HELD_OUT, params.size, params.shaded, rng, progress).to(device)
        everything = torch.arange(len(views.images))
        held, seen = views.pick(everything[: optimise.HELD_OUT]), views.pick(everything[optimise.HELD_OUT :])
        report["psnr_start"] = optimise.psnr(kernels, held)
        generator = torch.Generator().manual_seed(params.seed)
        spacing, anchors = torch.as_tensor(start.spacing).float().to(device), torch.as_tensor(start.means).float().to(device)
        kernels = optimise.fit(kernels, spacing, anchors, seen, params.iterations, generator, progress)
        report["psnr"] = optimise.psnr(kernels, held)
    report["seconds"] = round(time.monotonic() - clock, 2)
    kernels, weights = kernels.to("cpu"), bind(asset, skin, start)
    turns = torch.nn.functional.normalize(kernels.rotations, dim=1)
    return Splat(
        name=asset.name,
        means=kernels.means.numpy(),
        rotations=turns.numpy(),
        scales=kernels.scales.exp().numpy(),
        opacities=torch.sigmoid(kernels.opacities).numpy(),
        colors=kernels.colors.clamp(0, 1).numpy(),
        faces=start.faces,
        weights=weights,
        report=report,
    ).stamped(params=params, seed=params.seed)


def choose_device(name: str) -> str:
    """The device that "auto", "cpu" or "cuda" stands for here.

    Raises:
        MissingError: "cuda" on a machine without it.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise MissingError("--device cuda: no CUDA device is visible;", "use --device cpu, or check the NVIDIA driver (nvidia-smi).")
    return "cuda" if name == "cuda" or (name == "auto" and cuda.available()) else "cpu"


def bind(asset: Asset, skin: Skin, start: Start) -> np.ndarray:
    """Skinning weights of the kernels: those of their surface point, barycentric. [(N, J)]

    A kernel stays bound to the point it started from; the fit may move it by less than its spacing.
    """
    weights = np.einsum("nk,nkj->nj", start.barycentric, skin.weights[asset.faces[start.faces]].astype(np.float64))
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _initial(asset: Asset, start: Start, shaded: bool) -> optimise.Kernels:
    color = surface_colors(asset, start.faces, start.barycentric)
    if shaded:
        color = np.clip(color * brightness(start.normals), 0, 1)
    spread = start.spacing[:, None] * np.array([SPREAD, SPREAD, SPREAD * THICKNESS])
    count = len(start.means)
    return optimise.Kernels(
        means=torch.as_tensor(start.means).float(),
        rotations=quaternion.from_matrix(frames(start.normals)).float(),
        scales=torch.as_tensor(np.log(spread)).float(),
        opacities=torch.full((count,), float(np.log(OPACITY / (1 - OPACITY)))),
        colors=torch.as_tensor(color).float(),
    )
