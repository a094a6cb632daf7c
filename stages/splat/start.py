"""The start: flat Gaussians spread evenly over the surface.

Against the paper's start at mesh vertices this begins 6 dB higher and stays ahead (docs/splat.md).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from scipy.spatial import cKDTree

from schemas.asset import Asset
from schemas.errors import InputError
from stages.view.mesh import depth_inside

OVERSAMPLE = 5
RADIUS = 0.71  # of sqrt(area per kernel): thinning to this distance leaves the wanted number within a few percent
SPREAD, THICKNESS, OPACITY = 0.5, 0.1, 0.97
GAP = 1.55  # pixels of a view between neighbours: fewer lose detail, more do not help, as a kernel is drawn no finer
INWARD = 0.2  # pixels of a view that kernels start below the surface: drawn a third of a pixel wide, they then end where it ends
DEEPEST = 0.35  # of the way to the other side: thin parts keep two sides


@dataclasses.dataclass(frozen=True)
class Start:
    """Kernels on the surface.

    Attributes:
        faces: Triangle of each kernel. [(N,)]
        barycentric: Place in the triangle. [(N, 3)]
        means: [m, (N, 3)]
        normals: Unit face normals. [(N, 3)]
        spacing: Mean distance to the four nearest kernels. [m, (N,)]
    """

    faces: np.ndarray
    barycentric: np.ndarray
    means: np.ndarray
    normals: np.ndarray
    spacing: np.ndarray


def automatic_count(asset: Asset, pixel: float) -> int:
    """Number of kernels that lie `GAP` pixels apart on the surface.

    Parameters:
        pixel: What a pixel of the views spans at the asset. [m]
    """
    corners = asset.vertices[asset.faces].astype(np.float64)
    area = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1).sum()
    return int(np.clip(round(area / (GAP * pixel) ** 2), 200, 500_000))


def sunk(asset: Asset, start: Start, pixel: float) -> np.ndarray:
    """Where the kernels begin: below their surface points. [m, (N, 3)]

    The rasterizer draws no kernel finer than a pixel, so one on the surface stands out over the outline.
    """
    depth = depth_inside(asset.vertices, asset.faces, start.means, start.normals)
    return start.means - start.normals * np.minimum(INWARD * pixel, DEEPEST * depth)[:, None]


def scattered(asset: Asset, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Independent samples by area.

    Returns:
        Their triangles (count,), barycentric weights (count, 3), points [m, (count, 3)], and the area of the mesh [m^2].

    Raises:
        InputError: The mesh has no area.
    """
    corners = asset.vertices[asset.faces].astype(np.float64)  # [T, 3, 3]
    doubled = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    area = 0.5 * float(doubled.sum())
    if not area > 0:
        raise InputError(f"{asset.name}: the mesh has no area, its {len(asset.faces)} triangles are degenerate.")
    faces = rng.choice(len(doubled), size=count, p=doubled / doubled.sum())
    barycentric = _uniform_barycentric(rng, len(faces))
    return faces, barycentric, np.einsum("mk,mkc->mc", barycentric, corners[faces]), area


def sample(asset: Asset, count: int, rng: np.random.Generator) -> Start:
    """Even (Poisson-like) samples: five times too many by area, thinned greedily in random order.

    Raises:
        InputError: The mesh has no area.
    """
    faces, barycentric, points, area = scattered(asset, OVERSAMPLE * count, rng)
    keep = _thin(points, RADIUS * math.sqrt(area / count))
    faces, barycentric, points = faces[keep], barycentric[keep], points[keep]
    neighbours = min(5, len(points))
    distance = cKDTree(points).query(points, k=neighbours)[0].reshape(len(points), neighbours)
    spacing = distance[:, 1:].mean(1) if neighbours > 1 else np.full(len(points), math.sqrt(area))
    corners = asset.vertices[asset.faces[faces]].astype(np.float64)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = cross / np.maximum(np.linalg.norm(cross, axis=1, keepdims=True), 1e-30)
    return Start(faces, barycentric, points, normals, np.maximum(spacing, 1e-9))


def frames(normals: np.ndarray) -> torch.Tensor:
    """Rotation matrices whose third column is the normal. [(N, 3) -> (N, 3, 3)]"""
    n = torch.as_tensor(normals)
    helper = torch.zeros_like(n)
    helper[torch.arange(len(n)), n.abs().argmin(1)] = 1  # the axis least along the normal
    first = torch.nn.functional.normalize(torch.linalg.cross(helper, n), dim=1)
    return torch.stack([first, torch.linalg.cross(n, first), n], -1)


def _uniform_barycentric(rng: np.random.Generator, count: int) -> np.ndarray:
    root, share = np.sqrt(rng.uniform(size=count)), rng.uniform(size=count)
    return np.stack([1 - root, root * (1 - share), root * share], 1)


def _thin(points: np.ndarray, radius: float) -> np.ndarray:
    """Indices of a subset in which no two points are closer than `radius`: first come, first kept."""
    pairs = cKDTree(points).query_pairs(radius, output_type="ndarray")
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    alive = np.ones(len(points), bool)
    for first, second in pairs[order].tolist():  # first < second: the earlier sample wins
        if alive[first]:
            alive[second] = False
    return np.flatnonzero(alive)
