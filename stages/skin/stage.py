"""The skin stage: which joints move which vertex (METHOD 3)."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from schemas.asset import Asset
from schemas.params import check
from schemas.rig import Rig
from schemas.skin import Skin
from stages.progress import SILENT, Progress

from .params import Params


def run(asset: Asset, rig: Rig, params: Params | None = None, weights: str | Path | None = None, progress: Progress = SILENT) -> Skin:
    """Compute the skin weights of every render vertex.

    Parameters:
        asset: The mesh.
        rig: Its skeleton.
        params: Method and strength.
        weights: A rigged .glb or .gltf, or a skin.h5, whose weights to take; implies the method "file".
        progress: Told of forced parts and of weights that moved.

    Raises:
        InputError: The weights do not fit this mesh and rig, or there are none.
    """
    from . import transfer

    params = params or Params()
    check(params)
    start = time.perf_counter()
    progress.begin("skin", 1)
    method = "file" if weights is not None else params.method
    if method == "file":
        found, notes = transfer.from_file(weights, asset, rig) if weights is not None else transfer.from_asset(asset, rig)
        found, bare = transfer.complete(found, asset.vertices.astype(np.float64))
        report = {"notes": notes + ([f"{bare} vertices without weights took those of their neighbours"] if bare else [])}
    else:
        found, report = _heat(asset, rig, params)
    report["bones_used"] = int((found.max(0) > 0).sum())
    report |= _agreement(found, asset, rig)
    report |= _collapse(found, asset, rig)
    report["seconds"] = round(time.perf_counter() - start, 4)
    for note in report["notes"]:
        progress.note(note)
    progress.update(1)
    # rows summed in float64, stored in float32: what rounding leaves goes unnoticed at 1e-5
    skin = Skin(name=asset.name, method=method, weights=found, report=report)
    skin.validate(asset.name)
    return skin.stamped(params=params)


def _heat(asset: Asset, rig: Rig, params: Params) -> tuple[np.ndarray, dict]:
    """Bone heat on the welded mesh, scattered to the render vertices."""
    from . import coarse
    from .heat import bone_heat

    points, faces = asset.welded()
    bones = deforming(asset, rig)
    large = len(points) > coarse.MOST_VERTICES
    body, triangles = coarse.simplified(points, faces) if large else (points, faces)
    heat = bone_heat(
        body,
        triangles,
        rig.positions[bones],
        rig.tails[bones],
        strength=params.heat,
        normal_weighting=params.normal_weighting,
        solver=params.solver,
    )
    found = coarse.carried(points, body, triangles, heat.weights) if large else heat.weights
    weights = np.zeros((len(points), rig.joint_count), found.dtype)
    weights[:, bones] = found
    notes = [f"computed on a mesh simplified from {len(points)} to {len(body)} vertices"] if large else []
    notes += [f"{heat.forced} of {heat.components} parts saw no bone and follow their nearest one"] if heat.forced else []
    return weights[asset.weld], {"components": heat.components, "forced_components": heat.forced, "notes": notes}


def deforming(asset: Asset, rig: Rig) -> np.ndarray:
    """Joints whose bones give heat: where the artist painted weights, those that have some; else all. [(K,)]"""
    everything = np.arange(rig.joint_count)
    if asset.joint_weights is None or asset.joint_names is None:
        return everything
    painted = {name for name, column in zip(asset.joint_names, asset.joint_weights.T, strict=True) if column.any()}
    chosen = np.array([joint for joint, name in enumerate(rig.joint_names) if name in painted], np.int64)
    return chosen if len(chosen) else everything


def _collapse(weights: np.ndarray, asset: Asset, rig: Rig) -> dict[str, float | str]:
    """How the mesh fares in the test poses (see `poses`)."""
    from .poses import measure

    points, faces = asset.welded()
    welded = np.zeros((len(points), weights.shape[1]), np.float32)
    welded[asset.weld] = weights
    found = measure(points, faces, rig, welded)
    return {"posed_volume_min": found.volume, "posed_inverted_max": found.inverted, "posed_worst": found.pose}


def _agreement(weights: np.ndarray, asset: Asset, rig: Rig) -> dict[str, float]:
    """Over welded vertices: how often the largest weight is on the artist's joint, and the mean L1 distance to his weights."""
    from . import transfer

    if asset.joint_weights is None or not any(name in rig.joint_names for name in asset.joint_names):
        return {}
    theirs, _ = transfer.by_name(asset.joint_weights, asset.joint_names, asset.joint_parents, rig, asset.name)
    _, first = np.unique(asset.weld, return_index=True)
    theirs, ours = theirs[first], weights[first]
    told = theirs.sum(1) > 1e-6
    if not told.any():
        return {}
    theirs, ours = theirs[told] / theirs[told].sum(1, keepdims=True), ours[told]
    return {
        "artist_dominant": round(float((theirs.argmax(1) == ours.argmax(1)).mean()), 4),
        "artist_l1": round(float(np.abs(theirs - ours).sum(1).mean()), 4),
    }
