"""The clips of a rigged glTF file as motions of the rig that was made from it.

A file animates nodes by local translations, rotations and scales; a motion turns joints of constant offset. So the
world turn of every joint is kept, whatever the nodes above it do, while translations and scales below the root
are dropped. What that costs is measured for each clip (`Fidelity`).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch

from schemas.asset import Asset
from schemas.errors import InputError
from schemas.gltf import Animation, read_animations
from schemas.motion import Motion
from schemas.rig import Rig

from . import quaternion
from .kinematics import Skeleton, joint_angles, pose_of


@dataclasses.dataclass(frozen=True)
class Fidelity:
    """How far the joints of a motion are from where the file puts them, as fractions of the rig's length.

    Attributes:
        worst: Over all frames and joints.
        mean: Over all frames and joints.
        joint: Name of the joint that is off most.
    """

    worst: float
    mean: float
    joint: str


def motions(path: str | Path, rig: Rig, asset: Asset, fps: float = 16.0) -> dict[str, Motion]:
    """The animations of a rigged file.

    Parameters:
        path: The .glb or .gltf that `asset` and `rig` were made from.
        rig: Its skeleton; joints that the rig stage dropped or hung elsewhere are accounted for.
        asset: Its mesh: how the file was turned, scaled and placed.
        fps: Samples per second; keys are interpolated as the file says. [Hz]

    Returns:
        Motions by the clips' names in the file ("NAME 2" for a second clip of that name); the root moves as in the
        file, so that clips made to run on the spot stay there. `report` holds "file", "clip", "seconds" and the
        fields of `Fidelity` as "joint_error", "joint_error_mean" and "joint_error_at".

    Raises:
        MissingError, InputError: As `schemas.gltf.read`; or the rig was made from another file.
    """
    result: dict[str, Motion] = {}
    for clip in read_animations(path, fps=fps):
        name, copy = clip.name, 2
        while name in result:
            name, copy = f"{clip.name} {copy}", copy + 1
        result[name] = _motion(Path(path), clip, name, rig, asset)
    return result


def targets(clip: Animation, rig: Rig, asset: Asset, path: str | Path = "") -> tuple[np.ndarray, np.ndarray]:
    """Where the file itself puts the joints of a rig.

    Parameters:
        clip: From `schemas.gltf.read_animations`.
        path: Of the file, for errors.

    Returns:
        World turns from rest (F, J, 3, 3) and positions [m, (F, J, 3)] in akd's frame, float64.

    Raises:
        InputError: The rig has a joint that the clip has not.
    """
    columns = {name: index for index, name in enumerate(clip.joint_names)}
    rest_columns = {name: index for index, name in enumerate(asset.joint_names or [])}
    missing = [name for name in rig.joint_names if name not in columns or name not in rest_columns]
    if missing:
        raise InputError(f"{path}: has no joint '{missing[0]}', which the rig '{rig.name}' has;", "give the file that the asset and the rig were made from.")
    matrices = clip.matrices[:, [columns[name] for name in rig.joint_names]]
    rest = np.asarray(asset.joint_matrices, np.float64)[[rest_columns[name] for name in rig.joint_names], :3, :3]
    placed = asset.transform[:3, :3]
    turn = placed / np.cbrt(np.linalg.det(placed))
    turns = turn @ matrices[..., :3, :3] @ rest.transpose(0, 2, 1)
    return turns, matrices[..., :3, 3] @ placed.T + asset.transform[:3, 3]


def fidelity(motion: Motion, rig: Rig, positions: np.ndarray) -> Fidelity:
    """Compare a motion with the joint positions of `targets`. [m, (F, J, 3)]"""
    posed = pose_of(motion, Skeleton.from_rig(rig, dtype=torch.float64)).joints.numpy()
    gaps = np.linalg.norm(posed - positions, axis=-1) / max(rig.length, 1e-12)
    return Fidelity(float(gaps.max()), float(gaps.mean()), rig.joint_names[int(gaps.max(0).argmax())])


def _motion(path: Path, clip: Animation, name: str, rig: Rig, asset: Asset) -> Motion:
    turns, positions = targets(clip, rig, asset, path)
    parents = np.maximum(rig.parents, 0)
    local = turns[:, parents].swapaxes(-1, -2) @ turns
    angles = continuous(joint_angles(Skeleton.from_rig(rig, dtype=torch.float64), torch.from_numpy(local)).numpy())
    angles[:, 0] = 0
    motion = Motion(
        name=rig.name,
        prompt=name,
        fps=clip.fps,
        joint_names=list(rig.joint_names),
        angles=angles,
        root_positions=positions[:, 0],
        root_rotations=_without_flips(quaternion.from_matrix(torch.from_numpy(turns[:, 0].copy())).numpy()),
        report={},
    )
    error = fidelity(motion, rig, positions)
    motion.report = {
        "file": path.name, "clip": clip.name, "seconds": round((clip.frame_count - 1) / clip.fps, 4),
        "joint_error": error.worst, "joint_error_mean": error.mean, "joint_error_at": error.joint,
    }  # fmt: skip
    return motion


def continuous(angles: np.ndarray) -> np.ndarray:
    """The same rotations by intrinsic XYZ angles that do not jump from frame to frame. [rad, (F, ..., 3) -> (F, ..., 3)]

    Angles (a, b, c) and (a + pi, pi - b, c + pi) are one rotation, and so is any turn more: each frame takes what is
    nearest to the frame before.
    """
    result = np.array(angles, np.float64)
    for frame in range(1, len(result)):
        before, now = result[frame - 1], result[frame]
        other = np.stack([now[..., 0] + np.pi, np.pi - now[..., 1], now[..., 2] + np.pi], -1)
        choices = [value - 2 * np.pi * np.round((value - before) / (2 * np.pi)) for value in (now, other)]
        gaps = [np.abs(choice - before).sum(-1, keepdims=True) for choice in choices]
        result[frame] = np.where(gaps[0] <= gaps[1], *choices)
    return result


def _without_flips(quaternions: np.ndarray) -> np.ndarray:
    """Signs so that neighbours are close. [(F, 4)]"""
    steps = np.sign((quaternions[1:] * quaternions[:-1]).sum(1))
    quaternions[1:] *= np.cumprod(np.where(steps < 0, -1.0, 1.0))[:, None]
    return quaternions
