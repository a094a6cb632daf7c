"""An artist's weights, carried over by joint name and vertex position."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from schemas.asset import Asset
from schemas.errors import InputError, MissingError
from schemas.rig import Rig
from schemas.skin import Skin

_SAME = 1e-3  # of the extent: farther than this from every vertex of the file, a vertex is not of the same mesh


def from_asset(asset: Asset, rig: Rig) -> tuple[np.ndarray, list[str]]:
    """The weights that the asset's own source carries, by the rig's joints. [(V, J)] and notes.

    Raises:
        InputError: The source had none.
    """
    if asset.joint_weights is None or asset.joint_names is None:
        raise InputError(f"{asset.source.get('file') or asset.name}: carries no skinning weights;", "use --method heat, or give a file with --weights.")
    return by_name(asset.joint_weights, asset.joint_names, asset.joint_parents, rig, asset.name)


def from_file(path: str | Path, asset: Asset, rig: Rig) -> tuple[np.ndarray, list[str]]:
    """Weights from a rigged .glb or .gltf (joints by name, vertices by place), or from a skin artifact (.h5). [(V, J)] and notes.

    Raises:
        MissingError: No such file. InputError: Of another kind, another mesh, or without the rig's joints.
        SchemaError: A damaged artifact.
    """
    path = Path(path)
    if not path.exists():
        raise MissingError(f"{path}: no such file;", "give a rigged .glb, or a skin.h5.")
    suffix = path.suffix.lower()
    if suffix == ".h5":
        weights = Skin.load(path).weights
        if weights.shape != (len(asset.vertices), rig.joint_count):
            wanted = f"{len(asset.vertices)} vertices and {rig.joint_count} joints"
            raise InputError(
                f"{path}: has weights of {weights.shape[0]} vertices and {weights.shape[1]} joints, not {wanted};", "give the skin of this asset and rig."
            )
        return weights.astype(np.float64), []
    if suffix not in (".glb", ".gltf"):
        raise InputError(f"{path}: '{suffix}' carries no weights;", "give a rigged .glb or .gltf, or a skin.h5.")
    from schemas.gltf import read

    scene = read(path)
    if scene.joint_weights is None:
        raise InputError(f"{path}: carries no skinning weights;", "give a rigged file.")
    rows = _match(np.asarray(scene.vertices, np.float64), asset, str(path))
    return by_name(scene.joint_weights[rows], scene.joint_names, scene.joint_parents, rig, str(path))


def by_name(weights: np.ndarray, names: list[str], parents: np.ndarray, rig: Rig, where: str) -> tuple[np.ndarray, list[str]]:
    """Columns of `names` arranged as the rig's joints. [(V, K) -> (V, J)]

    A weighted joint that the rig lacks gives its weights to the closest joint above it that the rig has, else to the
    root.
    """
    place = {name: column for column, name in enumerate(rig.joint_names)}
    if not any(name in place for name in names):
        raise InputError(
            f"{where}: none of its joints ({', '.join(names[:5])}, ...) is in the rig ({', '.join(rig.joint_names[:5])}, ...);", "joints match by name."
        )
    result = np.zeros((len(weights), rig.joint_count))
    moved = []
    for column, name in enumerate(names):
        if not weights[:, column].any():
            continue
        joint = column
        while joint >= 0 and names[joint] not in place:
            joint = int(parents[joint])
        if joint != column:
            moved.append(name)
        result[:, place[names[joint]] if joint >= 0 else 0] += weights[:, column]
    notes = [f"weights of {', '.join(moved)}, not in the rig, went to the joints above them"] if moved else []
    return result, notes


def complete(weights: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, int]:
    """Normalise the rows; vertices without weights take those of the nearest vertex that has some.

    Parameters:
        weights: [(V, J)]
        points: [m, (V, 3)]

    Returns:
        The weights, rows sum to 1, and the number of vertices that had none.
    """
    weights = np.where(np.isfinite(weights), np.maximum(weights, 0), 0)
    total = weights.sum(1)
    bare = total <= 1e-6
    if bare.all():
        raise InputError("the file's weights are all zero;", "use --method heat.")
    if bare.any():
        from scipy.spatial import cKDTree

        _, nearest = cKDTree(points[~bare]).query(points[bare])
        weights[bare] = weights[~bare][nearest]
    return weights / weights.sum(1, keepdims=True), int(bare.sum())


def _match(vertices: np.ndarray, asset: Asset, where: str) -> np.ndarray:
    """For each vertex of the asset the vertex of the file at the same place, in akd's frame or the source's. [(V,)]"""
    from scipy.spatial import cKDTree

    points = np.asarray(asset.vertices, np.float64)
    extent = float(np.ptp(points, axis=0).max())
    transform = asset.transform
    best = (np.inf, np.zeros(len(points), np.int64))
    for candidate in (vertices, vertices @ transform[:3, :3].T + transform[:3, 3]):
        if candidate.shape == points.shape and np.abs(candidate - points).max() < _SAME * extent:
            return np.arange(len(points))
        gaps, rows = cKDTree(candidate).query(points)
        best = min(best, (float(gaps.max()), rows), key=lambda pair: pair[0])
    if best[0] > _SAME * extent:
        raise InputError(f"{where}: is not the mesh of '{asset.name}', a vertex is {best[0]:.3g} m away from it;", "give weights of the same mesh.")
    return best[1]
