"""Joint trajectories of a motion, and the metrics that need no cycle: path, turning, bob, jerk, penetration, floating."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from schemas import roles
from schemas.errors import InputError
from schemas.motion import Motion
from schemas.rig import Rig
from stages.body import quaternion
from stages.body.kinematics import Skeleton, cuboid_corners, pose_of


@dataclasses.dataclass(frozen=True)
class Trajectory:
    """What the metrics look at. World frame, +Y up, ground at y = 0.

    Attributes:
        fps: Frames per second. [Hz]
        joints: Joint positions. [m, (F, J, 3)]
        root: Position of the root joint. [m, (F, 3)]
        ahead: Horizontal unit vector that the body faces. [(F, 3)]
        lowest: Height of the body's lowest cuboid corner. [m, (F,)]
        names: Legs by side and limb: "left_fore", "right_hind", "left_leg3". [(L,)]
        hips: Uppermost joint of each leg. [m, (F, L, 3)]
        soles: Cuboid corners of each leg's feet. [m, L arrays (F, C, 3)]
        height: Hip above the sole at rest, of the shortest leg: the length that others are scaled by. 1 without legs. [m]
    """

    fps: float
    joints: np.ndarray
    root: np.ndarray
    ahead: np.ndarray
    lowest: np.ndarray
    names: list[str]
    hips: np.ndarray
    soles: list[np.ndarray]
    height: float

    @property
    def frame_count(self) -> int:
        """Number of frames F."""
        return len(self.root)


def trajectory_of(rig: Rig, motion: Motion) -> Trajectory:
    """Forward kinematics of a motion; legs are found by the rig's roles.

    Raises:
        InputError: The motion is not of this rig.
    """
    if list(motion.joint_names) != list(rig.joint_names):
        raise InputError(f"motion '{motion.name}' has other joints than rig '{rig.name}'.")
    skeleton = Skeleton.from_rig(rig, dtype=torch.float64)
    pose = pose_of(motion, skeleton)
    joints, corners = pose.joints.numpy(), cuboid_corners(skeleton, pose).numpy()
    turns = quaternion.to_matrix(torch.as_tensor(motion.root_rotations, dtype=torch.float64)).numpy()
    names, hips, feet = legs_of(rig)
    return Trajectory(
        fps=float(motion.fps),
        joints=joints,
        root=joints[:, 0],
        ahead=heading(turns),
        lowest=corners[..., 1].min((1, 2)),
        names=names,
        hips=joints[:, hips],
        soles=[corners[:, foot].reshape(len(corners), -1, 3) for foot in feet],
        height=hip_height(rig),
    )


def legs_of(rig: Rig) -> tuple[list[str], list[int], list[list[int]]]:
    """Legs by role, in joint order: name, hip joint and foot joints of each. Arms and wings are not legs."""
    limbs: dict[str, list[int]] = {}
    for joint, role in enumerate(rig.roles):
        parts = roles.limb(role)
        if parts and roles.is_leg(role):
            limbs.setdefault(f"{parts[0]}_{parts[1]}", []).append(joint)
    hips, feet = [], []
    for joints in limbs.values():
        hips.append(next((j for j in joints if rig.roles[j].endswith("_upper")), joints[0]))
        feet.append([j for j in joints if rig.roles[j].endswith("_foot")] or joints[-1:])
    return list(limbs), hips, feet


def hip_height(rig: Rig) -> float:
    """Hip above the sole at rest, of the shortest leg; 1 without legs. [m]"""
    rest = Skeleton.from_rig(rig, dtype=torch.float64).corners.numpy()[..., 1]
    _, hips, feet = legs_of(rig)
    heights = [float(rig.positions[hip, 1] - rest[foot].min()) for hip, foot in zip(hips, feet, strict=True)]
    return max(min(heights), 1e-6) if heights else 1.0


def heading(turns: np.ndarray) -> np.ndarray:
    """Where the body faces, as a horizontal unit vector.

    The yaw of the root is replaced by its straight line over time: the sway of a stride goes, a steady turn stays.

    Parameters:
        turns: World turn of the root from rest; at rest it faces +Z. [(F, 3, 3)]

    Returns:
        [(F, 3)]
    """
    forward = turns[:, :, 2]
    yaw = np.unwrap(np.arctan2(forward[:, 0], forward[:, 2]))
    frames = np.arange(len(yaw))
    weights = np.hypot(forward[:, 0], forward[:, 2]) + 1e-6  # a body that looks up or down has no clear yaw
    line = np.polyval(np.polyfit(frames, yaw, 1, w=weights), frames) if len(yaw) > 2 else yaw
    return np.stack([np.sin(line), np.zeros_like(line), np.cos(line)], 1)


def distance(root: np.ndarray) -> float:
    """Horizontal distance between the first and the last position. [m, (F, 3) -> m, >= 0]"""
    return float(np.linalg.norm((root[-1] - root[0])[[0, 2]]))


def forward_distance(root: np.ndarray, ahead: np.ndarray) -> float:
    """Path along the way the body faces, steps back count negative. [m, (F, 3) and (F, 3) -> m]"""
    return float((np.diff(root, axis=0) * ahead[:-1]).sum())


def path_speed(root: np.ndarray, fps: float) -> float:
    """Mean horizontal speed along the path. [m, (F, 3) -> m/s, >= 0]"""
    return float(np.linalg.norm(np.diff(root[:, [0, 2]], axis=0), axis=1).mean() * fps) if len(root) > 1 else 0.0


def path_length(root: np.ndarray) -> float:
    """Length of the root's horizontal path. [m, (F, 3) -> m, >= 0]"""
    return float(np.linalg.norm(np.diff(root[:, [0, 2]], axis=0), axis=1).sum())


def straightness(root: np.ndarray) -> float:
    """Distance between the ends of the horizontal path over its length; 1 where there is no path. [(F, 3) -> 0..1]"""
    length = path_length(root)
    return distance(root) / length if length > 1e-9 else 1.0


def sideways(root: np.ndarray, ahead: np.ndarray) -> float:
    """Path across the way the body faces, to the character's left. [m, (F, 3) and (F, 3) -> m]"""
    left = np.stack([ahead[:, 2], 0 * ahead[:, 1], -ahead[:, 0]], 1)
    return float((np.diff(root, axis=0) * left[:-1]).sum())


def turn(ahead: np.ndarray) -> float:
    """Change of the heading from the first to the last frame, to the character's left. [(F, 3) -> rad]"""
    yaw = np.unwrap(np.arctan2(ahead[:, 0], ahead[:, 2]))
    return float(yaw[-1] - yaw[0])


def bob(root: np.ndarray) -> float:
    """Range of the root's height. [m, (F, 3) -> m, >= 0]"""
    return float(np.ptp(root[:, 1]))


def penetration(lowest: np.ndarray) -> float:
    """How deep the body goes below the ground, at worst. [m, (F,) -> m, >= 0]"""
    return float(max(-lowest.min(), 0.0))


def floating(lowest: np.ndarray) -> float:
    """Mean height of the body's lowest point where it is above the ground; flight counts. [m, (F,) -> m, >= 0]"""
    return float(np.clip(lowest, 0, None).mean())


def jerk(joints: np.ndarray, fps: float, height: float) -> float:
    """Mean size of the third derivative of joint positions, by third differences. [m, (F, J, 3) -> hip heights / s^3, >= 0]

    Smoothness of human reaching is minimal jerk: Flash and Hogan, J. Neurosci. 5 (1985).
    """
    return float(np.linalg.norm(np.diff(joints, 3, axis=0), axis=-1).mean() * fps**3 / height) if len(joints) > 3 else 0.0
