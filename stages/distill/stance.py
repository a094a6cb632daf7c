"""The pose a motion starts from: the rest pose, but with arms that hang where the model was built with them held out.

Characters are modelled in a T-pose for the sake of rigging; nobody moves like that, and a video model that is shown such a
body as the first frame keeps its arms up.
"""

from __future__ import annotations

import numpy as np
import torch

from schemas.rig import Rig
from stages.body.kinematics import Skeleton, forward, joint_angles

from .gait_body import swing_arms
from .gait_styles import Style

POSES = ("relaxed", "rest")
_SHARES = (1.0, 0.85, 0.7, 0.55, 0.4, 0.25)  # of the way down, until the arms are clear of the body


def stance(rig: Rig, pose: str) -> np.ndarray:
    """Joint angles of the pose a motion starts from.

    Parameters:
        pose: "relaxed": arms more than 0.6 rad from hanging are lowered to 0.3 rad, or as far as they stay outside the
            body's cuboids, elbows a little bent; all else as modelled. "rest": as modelled.

    Returns:
        [rad, (J, 3)], within the limits; zero where nothing is to be lowered.
    """
    hanging = np.broadcast_to(np.eye(3), (1, rig.joint_count, 3, 3)).copy()
    if pose == "relaxed":
        swing_arms(rig, "standing", Style(period=1.0), np.zeros(1), hanging)
    uppers = [j for j, role in enumerate(rig.roles) if role.endswith("_arm_upper") and np.abs(hanging[0, j] - np.eye(3)).max() > 1e-6]
    if not uppers:
        return np.zeros((rig.joint_count, 3), np.float32)
    skeleton = Skeleton.from_rig(rig, dtype=torch.float64)
    angles = joint_angles(skeleton, torch.from_numpy(hanging))
    below = {j for j in range(rig.joint_count) if any(a in uppers for a in _ancestors(rig, j))}
    angles[:, [j for j in range(rig.joint_count) if j not in below]] = 0
    angles[angles.abs() < 1e-6] = 0
    angles = angles.clamp(skeleton.limits[..., 0], skeleton.limits[..., 1])
    for share in _SHARES:
        if _clear(rig, skeleton, share * angles, below):
            break
    return (share * angles)[0].numpy().astype(np.float32)


def _ancestors(rig: Rig, joint: int) -> list[int]:
    """The joint and those above it."""
    chain = [joint]
    while rig.parents[chain[-1]] >= 0:
        chain.append(int(rig.parents[chain[-1]]))
    return chain


def _clear(rig: Rig, skeleton: Skeleton, angles: torch.Tensor, arms: set[int]) -> bool:
    """Whether arms from the elbow down keep outside the cuboids of everything else but shoulders."""
    lower = [j for j in arms if not rig.roles[j].endswith("_arm_upper")] or sorted(arms)
    others = [j for j in range(rig.joint_count) if j not in arms and not rig.roles[j].endswith("_arm_shoulder")]
    pose = forward(skeleton, angles, skeleton.positions[:1], torch.eye(3, dtype=torch.float64)[None])
    turns, moves = pose.rotations[0].numpy(), pose.translations[0].numpy()
    steps = np.linspace(0, 1, 5)[:, None]
    for j in lower:
        points = (1 - steps) * rig.positions[j] + steps * rig.tails[j]
        points = points @ turns[j].T + moves[j]
        thick = float(np.sort(rig.cuboid_half_sizes[j])[0])
        for k in others:
            box = skeleton.corners[k].numpy() @ turns[k].T + moves[k]
            center, edges = box.mean(0), box[[4, 2, 1]] - box[0]  # corners count in binary: x, y, z
            sizes = np.linalg.norm(edges, axis=1)
            inside = np.abs((points - center) @ (edges / np.maximum(sizes, 1e-12)[:, None]).T) < 0.5 * sizes + thick
            if inside.all(1).any():
                return False
    return True
