"""Bring an asset into akd's frame: a built-in character by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from schemas.asset import Asset
from schemas.errors import InputError
from stages.asset import library
from stages.progress import SILENT, Progress

from .params import Params


def run(source: str | Path, params: Params, progress: Progress = SILENT) -> Asset:
    """Read or sculpt an asset.

    Raises:
        InputError: Neither a file akd reads nor a built-in character.
    """
    slug = library.find(str(source))
    if slug is None:
        raise InputError(f"{source}: not a built-in character ({', '.join(library.NAMES)}).")
    made = library.sculpt(slug)
    count, joints = len(made.vertices), len(made.parents)
    corners = made.vertices[made.faces].astype(np.float64)
    weighted = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros((count, 3))
    for k in range(3):
        np.add.at(normals, made.faces[:, k], weighted)
    matrices = np.tile(np.eye(4), (joints, 1, 1))
    matrices[:, :3, 3] = made.positions
    return Asset(
        name=params.name or slug,
        category=made.category,
        vertices=made.vertices,
        faces=made.faces,
        normals=normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20),
        colors=made.colors,
        face_materials=np.zeros(len(made.faces)),
        weld=np.arange(count),
        materials={"list": [{"name": slug, "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.9}}], "textures": [], "images": []},
        transform=np.eye(4),
        source={"file": slug, "kind": "builtin", "notes": []},
        joint_names=made.joint_names,
        joint_parents=made.parents,
        joint_matrices=matrices,
        joint_roles=made.roles,
        joint_tails=made.tails,
    ).stamped(params=params)
