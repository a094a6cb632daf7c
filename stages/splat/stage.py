"""Mesh to Gaussians: start on the surface, fit to views of the mesh, bind to the skeleton."""

from __future__ import annotations

import dataclasses
import os
import time

import numpy as np
import torch

from schemas.asset import Asset
from schemas.errors import InputError, MissingError
from schemas.params import check
from schemas.skin import Skin
from schemas.splat import Splat
from stages.body import quaternion
from stages.progress import SILENT, Progress
from stages.repeatable import one_torch_thread
from stages.view import cuda, warm
from stages.view.mesh import brightness
from stages.view.texture import SurfaceShader

from . import given, optimise
from .densify import FIRST, Densifier
from .kernels import FILTER, Kernels
from .params import Params
from .start import OPACITY, SPREAD, THICKNESS, Start, automatic_count, frames, sample, sunk
from .views import photograph, pixel_size

VIEWERS = {"classic_1x": {}, "classic_4x": {"supersample": 4}}
"""Image models of the report beside the fit's own: a 3DGS viewer at the size of the views, and four times as large."""


@one_torch_thread()
def run(asset: Asset, skin: Skin, params: Params, progress: Progress = SILENT, splats: str | os.PathLike[str] | None = None) -> Splat:
    """Turn a skinned mesh into Gaussians, or bind those of a 3DGS .ply to it.

    Parameters:
        splats: Kernels to take instead, in the frame of the asset's file or in akd's; no fit changes them.

    Raises:
        InputError: A parameter is out of bounds, the skin is of another mesh, the mesh has no area, or the given kernels lie elsewhere.
        MissingError: The device or the file is not there.
    """
    check(params)
    if len(skin.weights) != len(asset.vertices):
        raise InputError(f"the skin of '{skin.name}' has {len(skin.weights)} rows, '{asset.name}' has {len(asset.vertices)} vertices;", "run `akd skin` again.")
    if splats is not None:
        return _given(asset, skin, params, splats)
    device, clock = choose_device(params.device), time.monotonic()
    kernels, start, report = _fitted(asset, params, device, progress)
    report["seconds"] = round(time.monotonic() - clock, 2)
    kernels, weights = kernels.to("cpu"), bind(asset, skin, start.faces, start.barycentric)
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


def _fitted(asset: Asset, params: Params, device: str, progress: Progress) -> tuple[Kernels, Start, dict[str, float]]:
    """Kernels, the points of the surface that they belong to, and figures of held-out views."""
    if device == "cpu" and params.iterations and warm.pending():
        progress.note(warm.MESSAGE)
    rng, pixel = np.random.default_rng(params.seed), pixel_size(asset, params.size)
    wanted, shader = count_of(asset, params, pixel), SurfaceShader(asset)
    start = sample(asset, round(FIRST * wanted) if params.iterations else wanted, rng)
    start = _without_holes(start, shader)

    def begin(points: Start) -> Kernels:
        return initial(asset, points, params.shaded, pixel, shader).to(device)

    kernels = begin(start)
    report: dict[str, float] = {"kernels": len(start.means), "views": params.views, "dilation": FILTER["dilation"]}
    if not params.iterations:
        return kernels, start, report
    views = photograph(asset, params.views + optimise.HELD_OUT, params.size, params.shaded, rng, progress).to(device)
    everything = torch.arange(len(views.images))
    held, seen = views.pick(everything[: optimise.HELD_OUT]), views.pick(everything[optimise.HELD_OUT :])
    report["psnr_start"] = optimise.psnr(kernels, held)
    generator, densifier = torch.Generator().manual_seed(params.seed), Densifier(asset, start, wanted, begin, shader, rng)
    spacing, anchors = torch.as_tensor(start.spacing).float().to(device), torch.as_tensor(start.means).float().to(device)
    kernels = optimise.fit(kernels, spacing, anchors, seen, params.iterations, generator, progress, densifier)
    report |= {"kernels": len(kernels.means), "psnr": optimise.psnr(kernels, held), "psnr_foreground": optimise.psnr(kernels, held, foreground=True)}
    for name, options in VIEWERS.items():
        report[f"psnr_foreground_{name}"] = optimise.psnr(kernels, held, foreground=True, options=options)
    return kernels, densifier.start, report


def count_of(asset: Asset, params: Params, pixel: float) -> int:
    """The number of kernels that `params` asks for, where a pixel of the views spans so many metres."""
    return automatic_count(asset, pixel) if params.kernels == "auto" else int(params.kernels)


def _without_holes(start: Start, shader: SurfaceShader) -> Start:
    """The start without the points that alpha masks cut out; as it is if they cut out everything."""
    keep = shader.opaque(start.faces, start.barycentric) if shader.masked else np.ones(len(start.faces), bool)
    if keep.all() or not keep.any():
        return start
    return Start(*(getattr(start, field.name)[keep] for field in dataclasses.fields(Start)))


def choose_device(name: str) -> str:
    """The device that "auto", "cpu" or "cuda" stands for here.

    Raises:
        MissingError: "cuda" on a machine without it.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise MissingError("--device cuda: no CUDA device is visible;", "use --device cpu, or check the NVIDIA driver (nvidia-smi).")
    return "cuda" if name == "cuda" or (name == "auto" and cuda.available()) else "cpu"


def bind(asset: Asset, skin: Skin, faces: np.ndarray, barycentric: np.ndarray) -> np.ndarray:
    """Skinning weights of kernels: those of their surface point. [(N,), (N, 3) -> (N, J)]

    A kernel stays bound to the point it started from; the fit may move it by less than its spacing.
    """
    weights = np.einsum("nk,nkj->nj", barycentric, skin.weights[asset.faces[faces]].astype(np.float64))
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


def _given(asset: Asset, skin: Skin, params: Params, path: str | os.PathLike[str]) -> Splat:
    """The kernels of a file, without those of the background, bound to the nearest surface."""
    kernels, faces, barycentric, distances = given.load(path, asset)
    near = given.foreground(path, asset, distances, params.reach)
    report = {"kernels": int(near.sum()), "background": int((~near).sum()), "distance": round(float(np.median(distances[near])), 5)}
    weights = bind(asset, skin, faces[near], barycentric[near])
    arrays = {name: values[near] for name, values in kernels.items()}
    return Splat(name=asset.name, **arrays, faces=faces[near], weights=weights, report=report).stamped(params=params, seed=params.seed)


def initial(asset: Asset, start: Start, shaded: bool, pixel: float, shader: SurfaceShader) -> Kernels:
    """Kernels as the fit begins with them: flat on the surface and of its colour; a pixel of the views spans so many metres."""
    color = shader(start.faces, start.barycentric)
    if shaded:
        color = np.clip(color * brightness(start.normals), 0, 1)
    spread = start.spacing[:, None] * np.array([SPREAD, SPREAD, SPREAD * THICKNESS])
    count = len(start.means)
    return Kernels(
        means=torch.as_tensor(sunk(asset, start, pixel)).float(),
        rotations=quaternion.from_matrix(frames(start.normals)).float(),
        scales=torch.as_tensor(np.log(spread)).float(),
        opacities=torch.full((count,), float(np.log(OPACITY / (1 - OPACITY)))),
        colors=torch.as_tensor(color).float(),
    )
