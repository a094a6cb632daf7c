"""The rig stage: the skeleton of an asset, with compound joints, cuboids and roles (METHOD 1)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from schemas.asset import Asset
from schemas.errors import InputError
from schemas.params import check
from schemas.rig import Rig
from schemas.roles import is_role
from stages.progress import SILENT, Progress

from .axes import frames, limits
from .cuboids import fit
from .params import Params
from .roles import assign
from .skeleton import Joints, clean, from_asset, guess_tails
from .skeleton_file import load


def run(asset: Asset, params: Params | None = None, skeleton: str | Path | None = None, progress: Progress = SILENT) -> Rig:
    """Make the rig of an asset.

    Parameters:
        asset: The mesh, with the skeleton of its source if it has one.
        params: What to keep and how to limit the joints.
        skeleton: A skeleton file (see `skeleton_file`) in place of the asset's own.
        progress: Told what was dropped, attached or guessed.

    Raises:
        InputError: The given skeleton is unusable, or the given template needs limbs that the mesh has not.
        MissingError: No such file.
    """
    params = params or Params()
    check(params)
    points, faces = asset.welded()
    points = points.astype(np.float64)
    joints, category, kind = _source(asset, skeleton, params, points, faces)
    if not params.keep_joints:
        joints = clean(joints, points, faces)
    joints.tails = guess_tails(joints, points)
    guessed, guessed_category = assign(joints.names, joints.parents, joints.positions, joints.tails, points)
    joints.roles = [given or _role_in(name) or role for given, name, role in zip(joints.roles, joints.names, guessed, strict=True)]
    turns = frames(joints.parents, joints.positions, joints.tails)
    centers, half_sizes, boxes = fit(joints.parents, joints.positions, joints.tails, turns, joints.roles, points, joints.weights)
    unknown = [name for name, role in zip(joints.names, joints.roles, strict=True) if not role]
    notes = [*joints.notes, *([f"no role for {', '.join(unknown)}"] if unknown else [])]
    for note in notes:
        progress.note(note)
    rig = Rig(
        name=asset.name,
        category=params.category or category or asset.category or guessed_category,
        joint_names=joints.names,
        parents=joints.parents,
        positions=joints.positions,
        tails=joints.tails,
        rotations=_quaternions(joints.rotations),
        axes=turns,
        limits=limits(joints.roles, params.limits, joints.tails - joints.positions),
        cuboid_centers=centers,
        cuboid_half_sizes=half_sizes,
        cuboid_rotations=_quaternions(boxes),
        roles=joints.roles,
        confidence=joints.confidence,
        source={"kind": kind, "file": Path(skeleton).name if skeleton else asset.source.get("file", ""), "notes": notes},
    )
    rig.validate(asset.name)
    return rig.stamped(params=params)


def _source(asset: Asset, skeleton: str | Path | None, params: Params, points: np.ndarray, faces: np.ndarray) -> tuple[Joints, str, str]:
    """The joints, the category their source names, and what kind of source it is."""
    if skeleton is not None:
        joints, category = load(skeleton, asset)
        return joints, category, "skeleton"
    if params.template != "file" and (not asset.has_skeleton or params.template != "auto"):
        return automatic(points, faces, "" if params.template == "auto" else params.template)
    if not asset.has_skeleton:
        raise InputError(
            f"{asset.source.get('file') or asset.name}: the mesh has no skeleton;",
            "leave out --template file, or give one with --skeleton FILE (.json, or a rigged .glb or .gltf).",
        )
    return from_asset(asset), "", "builtin" if asset.source.get("kind") == "builtin" else "file"


def automatic(points: np.ndarray, faces: np.ndarray, template: str) -> tuple[Joints, str, str]:
    """A template embedded in the mesh."""
    from .embed.automatic import embed

    found = embed(points, faces, template)
    place = {joint.name: index for index, joint in enumerate(found.joints)}
    joints = Joints(
        [joint.name for joint in found.joints],
        np.array([place.get(joint.parent, -1) for joint in found.joints], np.int32),
        np.stack([joint.position for joint in found.joints]),
        np.tile(np.eye(3), (len(place), 1, 1)),
        [joint.role for joint in found.joints],
        np.stack([joint.tail for joint in found.joints]),
        notes=found.notes,
        confidence=np.array([joint.confidence for joint in found.joints]),
    )
    return joints, found.category, "automatic"


def _role_in(name: str) -> str:
    """The role a joint is called by ("left_hind_upper", "tail_3"), "" if it is not called by one."""
    plain = re.sub(r"[._]?\d+$", "", name.lower())
    return plain if is_role(plain) else ""


def _quaternions(matrices: np.ndarray) -> np.ndarray:
    """Unit quaternions xyzw of rotation matrices, made orthonormal first. [(J, 3, 3) -> (J, 4)]"""
    from scipy.spatial.transform import Rotation

    u, _, vt = np.linalg.svd(matrices)
    turns = u @ vt
    turns[np.linalg.det(turns) < 0] *= -1
    return Rotation.from_matrix(turns).as_quat()
