"""The target of tracking, where it starts, and the loss of equation (13)."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch
from scipy.interpolate import CubicHermiteSpline
from scipy.spatial.transform import Rotation

from schemas.motion import Motion
from schemas.rig import Rig
from stages.body import kinematics

from .body import Body


@dataclasses.dataclass(frozen=True)
class Target:
    """The motion to follow, as poses of the body.

    Attributes:
        joint: Joint points in the world. [m, (F, J, 3)]
        turn: Bone frames in the world. [(F, J, 3, 3)]
        angle: Compound joint angles. [rad, (F, J, 3)]
        corners: Cuboid corners. [m, (F, J, 8, 3)]
        fps: [Hz]
        shift: How far the motion was moved up to reach the ground. [m]
    """

    joint: torch.Tensor
    turn: torch.Tensor
    angle: torch.Tensor
    corners: torch.Tensor
    fps: float
    shift: float

    @staticmethod
    def from_motion(rig: Rig, motion: Motion, body: Body, *, grounding: str = "clip") -> Target:
        """Pose the body by the motion; `grounding` "clip" moves all frames so that the median lowest corner is at y = 0."""
        skeleton = kinematics.Skeleton.from_rig(rig, dtype=torch.float64)
        pose = kinematics.pose_of(motion, skeleton)
        turn = pose.rotations @ torch.from_numpy(body.frames)
        corners = corner_points(pose.joints, turn, torch.from_numpy(body.corners))
        shift = -float(corners[..., 1].flatten(1).min(1).values.median()) if grounding == "clip" else 0.0
        lift = torch.tensor([0.0, shift, 0.0], dtype=torch.float64)
        angle = torch.from_numpy(np.array(motion.angles, np.float64))
        return Target((pose.joints + lift).float(), turn.float(), angle.float(), (corners + lift).float(), motion.fps, shift)


@dataclasses.dataclass(frozen=True)
class Start:
    """Where the simulation begins and the first guess of what is optimised.

    Attributes:
        position, rotation, angles: First pose: root joint [m, (3,)], root frame xyzw [(4,)], joint angles [rad, (J, 3)].
        control: [rad, (C, 1, J, 3)]
        velocity, spin, rate: [m/s, (1, 3)], [rad/s, (1, 3)], [rad/s, (1, J, 3)]
    """

    position: np.ndarray
    rotation: np.ndarray
    angles: np.ndarray
    control: torch.Tensor
    velocity: torch.Tensor
    spin: torch.Tensor
    rate: torch.Tensor

    @staticmethod
    def from_target(target: Target, *, knots: int, knot_time: float, lag: float) -> Start:
        """The target's first frame, set down until its lowest corner touches the ground, and its velocities.

        Controls start at the target's angles at the middle of each knot, ahead by what the joint damper costs:
        u = q + lag dq/dt with lag = k_d / k_e. [s]
        """
        times = np.arange(len(target.angle)) / target.fps
        angles, joints = target.angle.double().numpy(), target.joint[:, 0].double().numpy()
        course = CubicHermiteSpline(times, angles, np.gradient(angles, times, axis=0))
        when = np.minimum((np.arange(knots) + 0.5) * knot_time, times[-1])
        control = course(when) + lag * course(when, 1)
        turns = Rotation.from_matrix(target.turn[:2, 0].double().numpy())
        spin = (turns[1] * turns[0].inv()).as_rotvec() * target.fps
        position = joints[0] - [0.0, float(target.corners[0, ..., 1].min()), 0.0]
        velocity, rate = (joints[1] - joints[0]) * target.fps, (angles[1] - angles[0]) * target.fps

        def tensor(value: np.ndarray) -> torch.Tensor:
            return torch.as_tensor(value, dtype=torch.float32)

        return Start(position, turns[0].as_quat(), angles[0], tensor(control)[:, None], tensor(velocity)[None], tensor(spin)[None], tensor(rate)[None])


def corner_points(joint: torch.Tensor, turn: torch.Tensor, corners: torch.Tensor) -> torch.Tensor:
    """Cuboid corners in the world. [(..., J, 3), (..., J, 3, 3), (J, 8, 3) -> m, (..., J, 8, 3)]"""
    return joint[..., None, :] + corners @ turn.transpose(-1, -2)


def tracking_error(
    target: Target, joint: torch.Tensor, turn: torch.Tensor, angle: torch.Tensor, corners: torch.Tensor, scale: float, kind: str
) -> torch.Tensor:
    """The first term of equation (13), without its first frame, free of units.

    "corners" compares what is seen: the mean squared distance of cuboid corners over `scale`^2. "coordinates" is the
    equation as written: mean absolute difference of root position over `scale`, root turn and joint angles.

    Parameters:
        joint, turn, angle: Simulated poses at the frames, as in Target.
        corners: Of the cuboids in the bones' frames. [m, (J, 8, 3)]
        scale: Height of the body. [m]
    """
    if kind == "corners":
        away = corner_points(joint[1:], turn[1:], corners) - target.corners[1:]
        return away.square().sum(-1).mean() / scale**2
    move = (joint[1:, 0] - target.joint[1:, 0]).abs().sum() / scale
    relative = target.turn[1:, 0].transpose(-1, -2) @ turn[1:, 0]
    twist = 0.5 * (relative - relative.transpose(-1, -2)).abs().sum() / 2
    bend = (angle[1:, 1:] - target.angle[1:, 1:]).abs().sum()
    return (move + twist + bend) / ((len(joint) - 1) * (6 + 3 * (angle.shape[1] - 1)))


def roughness(control: torch.Tensor) -> torch.Tensor:
    """The second term of equation (13): mean absolute temporal Laplacian of the controls. [(C, E, J, 3)]"""
    if len(control) < 3:
        return control.sum() * 0
    return (control[2:] - 2 * control[1:-1] + control[:-2]).abs().mean()
