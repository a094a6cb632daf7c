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

from . import inverse
from .body import Body
from .feet import Contacts, corrections, feet_of, plant, schedule

_CLEARANCE = 0.05
"""A foot swings at least so high. [standing heights]"""
_PLANTED = 20.0
"""Weight of a standing foot, beside 1 of other bones, where the poses are looked for that hold it in place."""
_FLIGHT = 0.05
"""A motion whose first frame is higher than this begins in the air. [standing heights]"""

_NEAR = 0.05
"""Corners higher than this do not slip. [standing heights]"""
_SINK = 2e-3
"""Standing corners sink hardly so far under the weight; only what is deeper is held against a motion. [m]"""


@dataclasses.dataclass(frozen=True)
class Target:
    """The motion to follow, as poses of the body, set on the ground; standing feet stay put where that is asked for.

    Attributes:
        joint: Joint points in the world. [m, (F, J, 3)]
        turn: Bone frames in the world. [(F, J, 3, 3)]
        angle: Compound joint angles. [rad, (F, J, 3)]
        corners: Cuboid corners. [m, (F, J, 8, 3)]
        weights: Of each bone in the loss, mean 1. [(F, J)]
        given: Cuboid corners of the motion as it came. [m, (F, J, 8, 3)]
        shift: How the whole body was moved to reach the ground and to go where its feet carry it. [m, (F, 3)]
        contacts: When each foot stands.
        fps: [Hz]
    """

    joint: torch.Tensor
    turn: torch.Tensor
    angle: torch.Tensor
    corners: torch.Tensor
    weights: torch.Tensor
    given: torch.Tensor
    shift: np.ndarray
    contacts: Contacts
    fps: float

    @staticmethod
    def from_motion(rig: Rig, motion: Motion, body: Body, *, grounding: str = "feet", travel: str = "feet", stance: float = 0.0) -> Target:
        """Pose the body by the motion; see `corrections` for grounding and travel, `Params` for stance."""
        skeleton = kinematics.Skeleton.from_rig(rig, dtype=torch.float64)
        pose = kinematics.pose_of(motion, skeleton)
        turn = pose.rotations @ torch.from_numpy(body.frames)
        given = corner_points(pose.joints, turn, torch.from_numpy(body.corners)).numpy()
        root = pose.joints[:, 0].numpy()
        ahead = Rotation.from_quat(motion.root_rotations).apply([0.0, 0, 1]) * [1, 0, 1]
        ahead /= np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-6)
        contacts = schedule(feet_of(rig, body), given, root, ahead, motion.fps, body.height)
        shift = corrections(contacts, given, root, ahead, body.time * motion.fps, grounding, travel)
        joint, turn = pose.joints.numpy() + shift[:, None], turn.numpy()
        corners, angle = given + shift[:, None, None], np.array(motion.angles, np.float64)
        weights = np.ones(corners.shape[:2])
        if stance > 0:
            standing = contacts.bones(len(body.parents))
            planted = plant(contacts, corners, _CLEARANCE * body.height)
            posed = inverse.Poses(joint[:, 0], turn[:, 0], angle)
            joint, turn, angle = inverse.fit(body, posed, planted, 1 + (_PLANTED - 1) * standing)
            corners = joint[:, :, None] + body.corners @ turn.swapaxes(-1, -2)
            weights += (stance - 1) * standing
            weights /= weights.mean()
        tensors = (torch.from_numpy(x).float() for x in (joint, turn, angle, corners, weights, given))
        return Target(*tensors, shift, contacts, motion.fps)

    def between(self, first: int, last: int) -> Target:
        """The stretch from one frame to another, both included."""
        span = slice(first, last + 1)
        cut = {name: getattr(self, name)[span] for name in ("joint", "turn", "angle", "corners", "weights", "given", "shift")}
        contacts = Contacts(self.contacts.feet, self.contacts.down[span], self.contacts.point[span])
        return dataclasses.replace(self, **cut, contacts=contacts)


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
    def from_target(target: Target, body: Body, *, knots: int, knot_time: float, lag: float, haste: float = 1.0) -> Start:
        """The target's first frame, set down until its lowest corner touches the ground, and its velocities.

        A motion that begins in the air, no foot standing, is not set down. Controls start at the target's angles at the
        middle of each knot, ahead by what the joint damper costs: u = q + lag dq/dt with lag = k_d / k_e. [s]

        Parameters:
            haste: Share of the target's velocities that is taken over: a target that jumps would throw the body.
        """
        times = np.arange(len(target.angle)) / target.fps
        angles, joints = target.angle.double().numpy(), target.joint[:, 0].double().numpy()
        course = CubicHermiteSpline(times, angles, np.gradient(angles, times, axis=0))
        when = np.minimum((np.arange(knots) + 0.5) * knot_time, times[-1])
        control = course(when) + haste * lag * course(when, 1)
        turns = Rotation.from_matrix(target.turn[:2, 0].double().numpy())
        spin = (turns[1] * turns[0].inv()).as_rotvec() * target.fps
        low = float(corner_points(target.joint[0], target.turn[0], torch.from_numpy(body.corners).float())[..., 1].min())
        flying = target.contacts.feet and not target.contacts.down[0].any() and low > _FLIGHT * body.height
        position = joints[0] - [0.0, 0.0 if flying else low, 0.0]
        velocity, rate = (joints[1] - joints[0]) * target.fps, (angles[1] - angles[0]) * target.fps * body.free

        velocity, spin, rate = haste * velocity, haste * spin, haste * rate

        def tensor(value: np.ndarray) -> torch.Tensor:
            return torch.as_tensor(value, dtype=torch.float32)

        return Start(position, turns[0].as_quat(), angles[0], tensor(control)[:, None], tensor(velocity)[None], tensor(spin)[None], tensor(rate)[None])

    def going_on(self, begin: list[torch.Tensor], known: torch.Tensor | None) -> Start:
        """The start that goes on from a state (`Problem.state_at`), with the controls that are known already."""
        position, rotation, angles, velocity, spin, rate = begin[:6]
        control = self.control.clone()
        if known is not None:
            count = min(len(known), len(control))
            control[:count] = known[:count]
        return Start(position.numpy(), rotation.numpy(), angles.numpy(), control, velocity, spin, rate)


def corner_points(joint: torch.Tensor, turn: torch.Tensor, corners: torch.Tensor) -> torch.Tensor:
    """Cuboid corners in the world. [(..., J, 3), (..., J, 3, 3), (J, 8, 3) -> m, (..., J, 8, 3)]"""
    return joint[..., None, :] + corners @ turn.transpose(-1, -2)


def tracking_error(
    target: Target, joint: torch.Tensor, turn: torch.Tensor, angle: torch.Tensor, corners: torch.Tensor, scale: float, kind: str
) -> torch.Tensor:
    """The first term of equation (13), without its first frame, free of units.

    "corners" compares what is seen: the mean squared distance of cuboid corners over `scale`^2, standing feet weighted. "coordinates" is the
    equation as written: mean absolute difference of root position over `scale`, root turn and joint angles.

    Parameters:
        joint, turn, angle: Simulated poses at the frames, as in Target.
        corners: Of the cuboids in the bones' frames. [m, (J, 8, 3)]
        scale: Height of the body. [m]
    """
    if kind == "corners":
        away = corner_points(joint[1:], turn[1:], corners) - target.corners[1:]
        return (away.square().sum(-1).mean(-1) * target.weights[1:]).mean() / scale**2
    move = (joint[1:, 0] - target.joint[1:, 0]).abs().sum() / scale
    relative = target.turn[1:, 0].transpose(-1, -2) @ turn[1:, 0]
    twist = 0.5 * (relative - relative.transpose(-1, -2)).abs().sum() / 2
    bend = (angle[1:, 1:] - target.angle[1:, 1:]).abs().sum()
    return (move + twist + bend) / ((len(joint) - 1) * (6 + 3 * (angle.shape[1] - 1)))


def slip(contacts: Contacts, joint: torch.Tensor, turn: torch.Tensor, corners: torch.Tensor, scale: float) -> torch.Tensor:
    """Mean squared horizontal steps from frame to frame of standing feet's corners near the ground, over `scale`^2.

    Steps into and out of a stance belong to it. A corner counts the less the higher it is, not at all from `_NEAR`, at the
    frame and half-way to the next: a foot may put its weight on another corner than the motion does, and has to leave the
    ground before it swings forward.
    """
    total, count = joint.sum() * 0, max(int(contacts.held.sum()), 1)
    standing, held = torch.from_numpy(contacts.down[1:] | contacts.down[:-1]), torch.from_numpy(contacts.held)
    for number, foot in enumerate(contacts.feet):
        own = corner_points(joint[:, foot.bones], turn[:, foot.bones], corners[foot.bones]).flatten(1, 2) / scale
        step, height = own[1:] - own[:-1], own[..., 1]
        near = _lowness(height[:-1]) * _lowness((height[1:] + height[:-1]) / 2)
        near = torch.where(held[:, number, None], near.detach(), near)  # a foot is not to be lifted because it slips in its stance
        total = total + ((step[..., [0, 2]].square().sum(-1) * near).sum(-1) * standing[:, number]).sum()
    return total / (4 * count)


def _lowness(height: torch.Tensor) -> torch.Tensor:
    """1 on the ground, 0 from `_NEAR` on. [standing heights]"""
    return (1 - height / _NEAR).clamp(0, 1)


def sinking(joint: torch.Tensor, turn: torch.Tensor, corners: torch.Tensor) -> torch.Tensor:
    """Squared depths of corners in the ground beyond `_SINK`, summed over corners, mean over simulation steps. [m^2]

    In metres, whatever the size of the body: what is seen of it is absolute, and hard ground is hard for all.
    """
    low = joint[..., None, 1] + (corners @ turn[..., 1, :, None])[..., 0]
    return (-low - _SINK).clamp_min(0.0).square().sum() / len(low)


def roughness(control: torch.Tensor) -> torch.Tensor:
    """The second term of equation (13): mean absolute temporal Laplacian of the controls. [(C, E, J, 3)]"""
    if len(control) < 3:
        return control.sum() * 0
    return (control[2:] - 2 * control[1:-1] + control[:-2]).abs().mean()
