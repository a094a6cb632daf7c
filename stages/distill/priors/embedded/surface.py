"""A body made of kernels from an artist's mesh, for training on the clips of rigged files (see clips.py)."""

from __future__ import annotations

import numpy as np

from schemas.asset import Asset
from schemas.errors import InputError
from schemas.rig import Rig
from stages.view.texture import surface_colors

from .bodies import KINDS, Body

KERNELS = 600
_SAMPLES = 24  # surface points for each kernel
_ROUNDS = 6  # of Lloyd's algorithm
_OVERLAP = 1.6  # of the standard deviation of a kernel's own patch, so that neighbours close the surface
_OPACITY = 0.93


def body_of(asset: Asset, rig: Rig, *, count: int = KERNELS, seed: int = 0) -> Body:
    """Kernels on the surface of an asset, each the Gaussian of one patch, with the artist's skin weights.

    Points are drawn by area, denser where the body is thin (an even spread gives legs too few kernels, each as wide
    as the leg), and gathered to `count` patches by Lloyd's algorithm.

    Parameters:
        asset: With the skeleton and the weights of its file.
        rig: Made from it.
        count: Number of kernels at most.
        seed: Of the points.

    Raises:
        InputError: The asset has no weights, or the rig is of no kind that the prior has words for.
    """
    if asset.joint_weights is None or asset.joint_names is None:
        raise InputError(f"{asset.name}: has no skin weights;", "take a file with a skinned mesh.")
    if rig.category not in KINDS:
        raise InputError(f"{asset.name}: its category is '{rig.category}';", f"the built-in prior knows {', '.join(KINDS)}.")
    rng = np.random.default_rng([seed, 0x5F5F])
    skin = rig_weights(asset, rig)
    points, rows, faces, shares = _points(asset, rig, skin, count * _SAMPLES, rng)
    owner = _patches(points, count, rng)
    means, covariances, weights, colors = [], [], [], []
    hues = surface_colors(asset, faces, shares)
    floor = (2e-3 * rig.length) ** 2 * np.eye(3)
    for patch in np.unique(owner):
        own = owner == patch
        center = points[own].mean(0)
        spread = points[own] - center
        means.append(center)
        covariances.append(_OVERLAP**2 * (spread.T @ spread) / own.sum() + floor)
        weights.append(rows[own].mean(0))
        colors.append(hues[own].mean(0))
    table = np.array(weights) / np.sum(weights, axis=1, keepdims=True)
    arrays = means, covariances, np.full(len(means), _OPACITY), table, np.clip(colors, 0, 1)
    return Body(rig.category, rig, *(np.asarray(v, np.float32) for v in arrays))


def rig_weights(asset: Asset, rig: Rig) -> np.ndarray:
    """The artist's weights over the joints of the rig; those of a dropped joint go to the nearest kept one above. [(V, J)]"""
    column = {name: index for index, name in enumerate(rig.joint_names)}
    result = np.zeros((len(asset.vertices), rig.joint_count))
    for joint in range(len(asset.joint_names)):
        above = joint
        while above >= 0 and asset.joint_names[above] not in column:
            above = int(asset.joint_parents[above])
        result[:, column[asset.joint_names[above]] if above >= 0 else 0] += asset.joint_weights[:, joint]
    return result


def _points(asset: Asset, rig: Rig, skin: np.ndarray, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Points on the surface [m, (P, 3)], their weights (P, J), faces (P,) and barycentric coordinates (P, 3)."""
    corners = asset.vertices.astype(np.float64)[asset.faces]
    areas = 0.5 * np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    thick = _thickness(corners.mean(1), skin[asset.faces].mean(1).argmax(1), rig)
    odds = areas / np.maximum(thick, 0.2 * np.median(thick))
    # evenly spaced quantiles: less clumped than independent draws
    faces = np.searchsorted(np.cumsum(odds) / odds.sum(), (np.arange(count) + rng.uniform()) / count)
    faces = np.minimum(faces, len(areas) - 1)
    a, b = rng.uniform(size=(2, count))
    shares = np.stack([1 - np.sqrt(a), np.sqrt(a) * (1 - b), np.sqrt(a) * b], 1)
    points = np.einsum("pk,pkj->pj", shares, corners[faces])
    return points, np.einsum("pk,pkj->pj", shares, skin[asset.faces[faces]]), faces, shares


def _thickness(points: np.ndarray, joints: np.ndarray, rig: Rig) -> np.ndarray:
    """Distance of points to the bones that they follow. [m, (P, 3), (P,) -> (P,)]"""
    start, along = rig.positions.astype(float)[joints], (rig.tails - rig.positions).astype(float)[joints]
    share = ((points - start) * along).sum(1) / np.maximum((along**2).sum(1), 1e-12)
    return np.linalg.norm(points - start - np.clip(share, 0, 1)[:, None] * along, axis=1)


def _patches(points: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """The patch of each point. [(P, 3) -> (P,)]"""
    from scipy.spatial import cKDTree

    centers = points[rng.choice(len(points), min(count, len(points)), replace=False)]
    for _ in range(_ROUNDS):
        owner = cKDTree(centers).query(points)[1]
        sizes = np.bincount(owner, minlength=len(centers))
        sums = np.stack([np.bincount(owner, points[:, axis], len(centers)) for axis in range(3)], 1)
        centers = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], centers)
    return cKDTree(centers).query(points)[1]
