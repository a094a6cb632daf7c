"""Kernels that the user brings: a 3DGS .ply or .spz (of photographs, say) bound to the surface of the reference mesh."""

from __future__ import annotations

import os

import numpy as np
import torch
from scipy.spatial import cKDTree

from schemas import ply, spz
from schemas.asset import Asset
from schemas.errors import InputError
from stages.body import quaternion
from stages.view import harmonics

from .start import scattered

_SAMPLES, _NEAREST = 40_000, 8  # points on the surface, and how many of their triangles are tried for a kernel


def load(path: str | os.PathLike[str], asset: Asset) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    """Read kernels of a .ply or .spz that lie in the frame of the asset's file, or in akd's own (as `akd splat` writes them): where they fit.

    Returns:
        As `schemas.ply.read`, harmonics and all, in akd's frame; then `nearest` of their centres.

    Raises:
        MissingError, InputError: As `schemas.ply.read`.
    """
    own = spz.read(path) if os.fspath(path).lower().endswith(".spz") else ply.read(path)
    placed = np.asarray(asset.transform, np.float64)
    scale = np.cbrt(np.linalg.det(placed[:3, :3]))
    rotation = torch.from_numpy(placed[:3, :3] / scale)
    turn = quaternion.from_matrix(rotation)
    moved = {
        **own,
        "means": own["means"] @ placed[:3, :3].T + placed[:3, 3],
        "rotations": quaternion.multiply(turn.expand(len(own["means"]), 4), torch.from_numpy(own["rotations"])).numpy(),
        "scales": own["scales"] * scale,
    }
    if "harmonics" in own:
        moved["harmonics"] = harmonics.rotated(torch.from_numpy(own["harmonics"]), rotation).numpy()
    found = [(kernels, *nearest(asset, kernels["means"])) for kernels in (moved, own)]
    return min(found, key=lambda one: float(np.median(one[3])))


def nearest(asset: Asset, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The nearest point of the surface.

    Parameters:
        points: [m, (N, 3)]

    Returns:
        Its triangle (N,), barycentric weights (N, 3) and distance [m, (N,)]. Of each point the triangles of the eight
        nearest of 40,000 samples are tried, so that the distance is at most a sample spacing too large.
    """
    from trimesh.triangles import closest_point, points_to_barycentric

    owners, _, samples, _ = scattered(asset, _SAMPLES, np.random.default_rng(0))
    corners = asset.vertices[asset.faces].astype(np.float64)
    found = cKDTree(samples).query(points, k=_NEAREST)[1]
    faces, best = np.zeros(len(points), np.int64), np.full(len(points), np.inf)
    place = np.zeros((len(points), 3))
    for column in found.T:
        own = owners[column]
        close = closest_point(corners[own], points)
        distance = np.linalg.norm(close - points, axis=1)
        better = distance < best
        faces[better], best[better], place[better] = own[better], distance[better], close[better]
    return faces, np.clip(np.nan_to_num(points_to_barycentric(corners[faces], place), nan=1 / 3), 0, 1), best


def foreground(path: str | os.PathLike[str], asset: Asset, distances: np.ndarray, reach: float) -> np.ndarray:
    """Which kernels belong to the asset: those within `reach` (a share of its size) of its surface. [(N,) bool]

    Raises:
        InputError: Fewer than ten do.
    """
    near = distances <= reach * float(np.ptp(asset.vertices, axis=0).max())
    if near.sum() < 10:
        raise InputError(f"{path}: {int(near.sum())} of {len(near)} kernels lie near the mesh;", "both must be in one frame; or raise --reach.")
    return near
