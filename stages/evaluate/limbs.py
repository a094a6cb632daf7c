"""How far each limb swings, by one measure for legs, arms, wings, head and tail, so that two clips can be compared."""

from __future__ import annotations

import numpy as np
import torch

from schemas import roles
from schemas.motion import Motion
from schemas.rig import Rig
from stages.body.kinematics import Skeleton, pose_of

_TRUNK = {"neck": "head", "head": "head", "tail": "tail"}


def limbs_of(rig: Rig) -> dict[str, list[int]]:
    """Joints of each limb by roles, in joint order: "left_hind", "right_arm", "head" (neck and head), "tail"."""
    found: dict[str, list[int]] = {}
    for joint, role in enumerate(rig.roles):
        parts = roles.limb(role)
        name = f"{parts[0]}_{parts[1]}" if parts else _TRUNK.get(role, "")
        if name and joint:
            found.setdefault(name, []).append(joint)
    return found


def limb_swings(rig: Rig, motion: Motion) -> dict[str, float]:
    """Largest angle between any two directions that a limb takes during the clip. [rad, 0..pi]

    The direction is that from the limb's first joint to the tip of its deepest bone, seen from the bone the limb hangs on.
    """
    skeleton = Skeleton.from_rig(rig, dtype=torch.float64)
    pose = pose_of(motion, skeleton)
    depth = [0] * rig.joint_count
    for joint, parent in enumerate(rig.parents[1:], 1):
        depth[joint] = depth[int(parent)] + 1
    swings = {}
    for name, joints in limbs_of(rig).items():
        first, last = joints[0], max(joints, key=lambda joint: depth[joint])
        tip = pose.rotations[:, last] @ torch.as_tensor(rig.tails[last], dtype=torch.float64) + pose.translations[:, last]
        ahead = ((tip - pose.joints[:, first])[:, None] @ pose.rotations[:, int(rig.parents[first])])[:, 0].numpy()
        swings[name] = widest(ahead)
    return swings


def widest(directions: np.ndarray) -> float:
    """Largest angle between any two vectors. [(F, 3) -> rad, 0..pi]"""
    unit = directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    largest = 0.0
    for first in range(len(unit) - 1):
        apart = np.linalg.norm(unit[first + 1 :] - unit[first], axis=1)
        largest = max(largest, float(2 * np.arcsin(np.clip(0.5 * apart.max(), 0, 1))))
    return largest


def swing_ratios(swings: dict[str, float], reference: dict[str, float], least: float = 0.02) -> dict[str, float]:
    """Swing over that of a reference, for every limb that both have and that the reference moves by at least `least` rad. [-, >= 0]

    1: as far as the reference; 0: the limb stands still.
    """
    return {name: swing / reference[name] for name, swing in swings.items() if reference.get(name, 0.0) >= least}
