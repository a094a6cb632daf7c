"""Forward kinematics of a rig with compound spherical joints (METHOD 1)."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from schemas.motion import Motion
from schemas.rig import Rig

from . import quaternion


@dataclasses.dataclass(frozen=True)
class Skeleton:
    """The tensors of a rig that kinematics needs.

    Attributes:
        parents: Parent of each joint, root first.
        positions: Rest joint positions. [m, (J, 3)]
        axes: Columns are the compound axes at rest, world frame. [(J, 3, 3)]
        limits: [rad, (J, 3, 2)]
        corners: Corners of the bone cuboids at rest, world frame. [m, (J, 8, 3)]
    """

    parents: tuple[int, ...]
    positions: torch.Tensor
    axes: torch.Tensor
    limits: torch.Tensor
    corners: torch.Tensor

    @staticmethod
    def from_rig(rig: Rig, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32) -> Skeleton:
        """Take what is needed from a rig artifact."""

        def tensor(value: np.ndarray) -> torch.Tensor:
            return torch.as_tensor(np.asarray(value), dtype=dtype, device=device)

        signs = torch.tensor([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=dtype, device=device)
        turn = quaternion.to_matrix(tensor(rig.cuboid_rotations))  # [J, 3, 3]
        local = signs * tensor(rig.cuboid_half_sizes)[:, None]  # [J, 8, 3]
        corners = tensor(rig.cuboid_centers)[:, None] + torch.einsum("jik,jck->jci", turn, local)
        return Skeleton(tuple(int(p) for p in rig.parents), tensor(rig.positions), tensor(rig.axes), tensor(rig.limits), corners)


@dataclasses.dataclass(frozen=True)
class Pose:
    """Rigid transforms of all bones: a rest point x moves to `rotations @ x + translations` (METHOD 5).

    Attributes:
        rotations: Turn of each bone relative to rest. [(F, J, 3, 3)]
        translations: [m, (F, J, 3)]
        joints: Posed joint positions. [m, (F, J, 3)]
    """

    rotations: torch.Tensor
    translations: torch.Tensor
    joints: torch.Tensor

    def first(self) -> Pose:
        """Frame 0 alone."""
        return Pose(self.rotations[:1], self.translations[:1], self.joints[:1])


def euler_matrix(angles: torch.Tensor) -> torch.Tensor:
    """R = Rx(a1) Ry(a2) Rz(a3), intrinsic XYZ. [rad, (..., 3) -> (..., 3, 3)]"""
    (cx, cy, cz), (sx, sy, sz) = angles.cos().unbind(-1), angles.sin().unbind(-1)
    rows = (
        cy * cz, -cy * sz, sy,
        cx * sz + sx * sy * cz, cx * cz - sx * sy * sz, -sx * cy,
        sx * sz - cx * sy * cz, sx * cz + cx * sy * sz, cx * cy,
    )  # fmt: skip
    return torch.stack(rows, -1).reshape(angles.shape + (3,))


def euler_angles(matrix: torch.Tensor) -> torch.Tensor:
    """Intrinsic XYZ angles of rotation matrices, the second in [-pi/2, pi/2]. [(..., 3, 3) -> rad, (..., 3)]"""
    second = torch.asin(matrix[..., 0, 2].clamp(-1, 1))
    first = torch.atan2(-matrix[..., 1, 2], matrix[..., 2, 2])
    third = torch.atan2(-matrix[..., 0, 1], matrix[..., 0, 0])
    return torch.stack([first, second, third], -1)


def joint_rotations(skeleton: Skeleton, angles: torch.Tensor) -> torch.Tensor:
    """Turn of each joint relative to its parent, in rest world axes: Q R(a) Q^T. [rad, (F, J, 3) -> (F, J, 3, 3)]"""
    q = skeleton.axes
    return q @ euler_matrix(angles) @ q.transpose(-1, -2)


def joint_angles(skeleton: Skeleton, rotations: torch.Tensor) -> torch.Tensor:
    """Inverse of `joint_rotations`. [(F, J, 3, 3) -> rad, (F, J, 3)]"""
    q = skeleton.axes
    return euler_angles(q.transpose(-1, -2) @ rotations @ q)


def forward(skeleton: Skeleton, angles: torch.Tensor, root_positions: torch.Tensor, root_rotations: torch.Tensor) -> Pose:
    """Forward kinematics.

    Parameters:
        angles: Compound joint angles, the root's row is ignored. [rad, (F, J, 3)]
        root_positions: World position of the root joint. [m, (F, 3)]
        root_rotations: World turn of the root relative to rest, matrices. [(F, 3, 3)]
    """
    local = joint_rotations(skeleton, angles)
    turns, joints = [root_rotations], [root_positions]
    for joint, parent in enumerate(skeleton.parents[1:], 1):
        offset = skeleton.positions[joint] - skeleton.positions[parent]
        turns.append(turns[parent] @ local[:, joint])
        joints.append(joints[parent] + turns[parent] @ offset)
    rotations, posed = torch.stack(turns, 1), torch.stack(joints, 1)
    return Pose(rotations, posed - torch.einsum("fjik,jk->fji", rotations, skeleton.positions), posed)


def pose_of(motion: Motion, skeleton: Skeleton) -> Pose:
    """The pose of every frame of a motion artifact."""
    like = skeleton.positions
    angles, root, turn = (torch.as_tensor(v, dtype=like.dtype, device=like.device) for v in (motion.angles, motion.root_positions, motion.root_rotations))
    return forward(skeleton, angles, root, quaternion.to_matrix(turn))


def cuboid_corners(skeleton: Skeleton, pose: Pose) -> torch.Tensor:
    """Posed corners of the bone cuboids (METHOD 10). [m, (F, J, 8, 3)]"""
    return torch.einsum("fjik,jck->fjci", pose.rotations, skeleton.corners) + pose.translations[:, :, None]
