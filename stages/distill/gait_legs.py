"""Legs of the motion generator: where they stand at rest, paths of the feet over the ground, inverse kinematics."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

from schemas import roles
from schemas.rig import Rig
from stages.body.kinematics import Skeleton

from .gait_styles import IN_PLACE, Style, offset
from .gait_turns import turn_x, turn_y, turn_z

_SHARPEST = math.radians(38)  # angle of a knee folded as far as it goes, between thigh and shank
_FOLDED = (0.6, 0.75)  # of a leg's full length and of that at rest, the smaller from hip to ankle: feet come no nearer
_CLEAR = 0.14  # of the hip height: feet lifted less than that are left alone
_NO_BONE = 0.03  # of the hip's height
_STRETCH = 0.985  # of a leg's full length that a standing leg may take


@dataclasses.dataclass(frozen=True)
class Leg:
    """The joints of a leg and where it stands at rest, in the sagittal plane (y, z).

    Attributes:
        name: "left_fore", "right_hind", "left_leg3".
        joints: Upper, lower and foot joint; None where the rig has none.
        points: Rest hip, knee and ankle. [m, (3, 2)]
        contact: Rest point of the sole about which the foot rolls. [m, (2,)]
        bend: Sign of the knee's bend (turn from upper to lower about +X).
        across: Rest X of hip and ankle. [m]
        chain: All joints of the leg, for what touches the ground.
    """

    name: str
    joints: tuple[int, int | None, int | None]
    points: np.ndarray
    contact: np.ndarray
    bend: float
    across: tuple[float, float] = (0.0, 0.0)
    chain: tuple[int, ...] = ()

    @property
    def height(self) -> float:
        """Hip above the sole at rest. [m]"""
        return float(self.points[0, 0] - self.contact[0])

    @property
    def lengths(self) -> tuple[float, float]:
        """Thigh and shank in the sagittal plane. [m]"""
        a, b = np.linalg.norm(np.diff(self.points, axis=0), axis=1)
        return float(a), max(float(b), 1e-9)

    @property
    def folded(self) -> float:
        """Least distance from hip to ankle. [m]"""
        return min(_FOLDED[0] * sum(self.lengths), _FOLDED[1] * self.reach)

    @property
    def reach(self) -> float:
        """From hip to ankle at rest. [m]"""
        return float(np.linalg.norm(self.points[2] - self.points[0]))

    @property
    def stand(self) -> np.ndarray:
        """The sole's contact point at rest, (x, z). [m]"""
        return np.array([self.across[1], self.contact[1]])


def legs_of(rig: Rig) -> list[Leg]:
    """Legs of a rig by its roles, in joint order; arms and wings are not legs."""
    limbs: dict[str, list[int]] = {}
    for joint, role in enumerate(rig.roles):
        parts = roles.limb(role)
        if parts and roles.is_leg(role):
            limbs.setdefault(f"{parts[0]}_{parts[1]}", []).append(joint)
    corners = Skeleton.from_rig(rig, dtype=torch.float64).corners.numpy()
    return [leg for name, joints in limbs.items() if (leg := _leg(rig, corners, name, joints)) is not None]


def _leg(rig: Rig, corners: np.ndarray, name: str, joints: list[int]) -> Leg | None:
    first: dict[str, int] = {}
    for joint in joints:
        first.setdefault(rig.roles[joint].rsplit("_", 1)[1], joint)
    upper = first.get("upper", first.get("shoulder"))
    if upper is None:
        return None
    lower, foot = first.get("lower"), first.get("foot")
    if lower is not None and foot is not None and np.linalg.norm(rig.positions[lower] - rig.positions[upper]) < _NO_BONE * rig.positions[upper, 1]:
        # two joints at one place: the leg's bones are the ones after them
        after = [j for j in joints if rig.parents[j] == foot]
        upper, lower, foot = lower, foot, after[0] if after else None
    last = foot if foot is not None else lower if lower is not None else upper
    tips = [j for j in joints if j == last or rig.roles[j].endswith("_foot")]
    sole = np.concatenate([corners[tips].reshape(-1, 3), rig.tails[tips].astype(float)])
    low = sole[:, 1].min()
    near = sole[sole[:, 1] < low + 0.3 * np.ptp(sole[:, 1]) + 1e-9]
    knee = rig.positions[lower] if lower is not None else 0.5 * (rig.positions[upper] + near.mean(0))
    ankle = rig.positions[foot] if foot is not None else rig.tails[last] if lower is not None else near.mean(0)
    solid = np.stack([rig.positions[upper], knee, ankle]).astype(float)
    points = solid[:, 1:]
    turn = _cross(points[1] - points[0], points[2] - points[1])
    straight = abs(turn) < 0.02 * np.linalg.norm(points[2] - points[0]) ** 2
    default = -1.0 if name.endswith("fore") else 1.0
    bend = default if straight else math.copysign(1.0, turn)
    across = (float(solid[0, 0]), float(solid[2, 0]))
    return Leg(name, (upper, lower, foot), points, np.array([low, near[:, 2].max()]), bend, across, tuple(joints))


@dataclasses.dataclass(frozen=True)
class Course:
    """The arc on the ground along which the middle between the feet travels, from the origin along +Z.

    Attributes:
        curve: Turn to the left for each metre. [rad/m]
        middle: Of the standing feet at rest, (x, z). [m]
    """

    curve: float
    middle: np.ndarray

    def heading(self, way: np.ndarray) -> np.ndarray:
        """Turn to the left after a way. [m -> rad]"""
        return self.curve * way

    def place(self, way: np.ndarray, rest: np.ndarray) -> np.ndarray:
        """Where a rest point (x, z) that moves with the body is after a way. [m (F,), (2,) or (F, 2) -> (F, 2)]"""
        angle = self.heading(way)
        chord = way * np.sinc(0.5 * angle / np.pi)
        arm = rest - self.middle
        c, s = np.cos(angle), np.sin(angle)
        x = self.middle[0] + chord * np.sin(0.5 * angle) + c * arm[..., 0] + s * arm[..., 1]
        z = self.middle[1] + chord * np.cos(0.5 * angle) - s * arm[..., 0] + c * arm[..., 1]
        return np.stack([x, z], -1)


@dataclasses.dataclass
class Track:
    """How a foot moves in a clip.

    Attributes:
        ahead: Way of the foot ahead of the body. [m, (F,)]
        up: Contact point above its rest height. [m, (F,)]
        roll: Turn of the foot about the contact point. [rad, (F,)]
        down: Whether it is on the ground. [(F,)]
        aside: Shift of where it stands, (x, z). [m, (2,)]
    """

    ahead: np.ndarray
    up: np.ndarray
    roll: np.ndarray
    down: np.ndarray
    aside: np.ndarray


def track(leg: Leg, motion: str, style: Style, cycle: np.ndarray, stride: float, lift: float, rise: np.ndarray) -> Track:
    """Path of a foot: at rest on the ground while the body passes over it, then lifted and brought forward.

    Parameters:
        cycle: Time. [cycles, (F,)]
        stride: Way of the body while the foot is down. [m]
        lift: Height of the foot in mid-swing. [m]
        rise: Of the body in flight, which lifted feet share. [m, (F,)]
    """
    none = np.zeros_like(cycle)
    if motion in IN_PLACE:
        return Track(none, none.copy(), none.copy(), np.ones(len(cycle), bool), np.zeros(2))
    p = np.mod(cycle + offset(motion, leg.name), 1.0)
    duty = style.duty
    down = p < duty
    stance, swing = np.clip(p / duty, 0, 1), np.clip((p - duty) / (1 - duty), 0, 1)
    forward = -0.5 * np.cos(np.pi * swing)
    # goes on backward at first and comes back before it lands: speeds at both ends as on the ground
    forward = forward - style.follow * (1 - duty) / duty * (2 * swing**3 - 3 * swing**2 + swing)
    ahead = stride * np.where(down, 0.5 - stance, forward)
    ahead = ahead + style.knee * leg.height * np.where(down, 0, np.sin(np.pi * swing) ** 2)
    up = np.where(down, 0, lift * np.sin(np.pi * swing) + rise)
    off = 0.6 * style.roll
    # an ankle high above the ground (the hock of dogs and birds) would be carried up by a foot that trails
    trail = 1.5 * style.roll * float(np.clip(1.3 - 2 * (leg.points[2, 0] - leg.contact[0]) / leg.height, 0.2, 1))
    roll = np.where(down, off * np.clip((stance - 0.6) / 0.4, 0, 1) ** 2, off * (1 - swing) ** 2 + trail * np.sin(np.pi * swing) * (1 - swing))
    return Track(ahead, up, roll, down, np.zeros(2))


@dataclasses.dataclass(frozen=True)
class Goal:
    """Where a leg has to reach in every frame, in the world but for heights, which are those of the rest pose.

    Attributes:
        ankle: [m, (F, 3)]
        foot, plane: Heading of the foot and of the plane that the leg bends in. [rad, (F,)]
        roll: Of the foot. [rad, (F,)]
    """

    ankle: np.ndarray
    foot: np.ndarray
    plane: np.ndarray
    roll: np.ndarray


def goal(leg: Leg, path: Track, course: Course, way: np.ndarray, plane: np.ndarray) -> Goal:
    """Where the ankle has to be.

    Parameters:
        way: Of the body. [m, (F,)]
        plane: Heading of the body over the leg. [rad, (F,)]
    """
    along = way + path.ahead
    foot = course.heading(along)
    ground = course.place(along, leg.stand + path.aside)
    reach = leg.points[2] - leg.contact
    c, s = np.cos(path.roll), np.sin(path.roll)
    up, ahead = c * reach[0] - s * reach[1], s * reach[0] + c * reach[1]
    ankle = np.stack([ground[:, 0] + np.sin(foot) * ahead, leg.contact[0] + path.up + up, ground[:, 1] + np.cos(foot) * ahead], -1)
    return Goal(ankle, foot, 0.5 * (plane + foot), path.roll)


def overstretch(leg: Leg, target: Goal, hip: np.ndarray, down: np.ndarray) -> float:
    """How far the hip (F, 3) has to sink so that the leg reaches the ground while it stands; negative: room is left. [m]"""
    gap = _into(target.plane, hip - target.ankle)
    across = leg.across[0] - leg.across[1]
    reach = _STRETCH * sum(leg.lengths)
    free = np.sqrt(np.maximum(reach**2 - gap[:, 2] ** 2 - gap[:, 0] ** 2 + across**2, 0.25 * reach**2))
    return float(np.max(np.where(down, gap[:, 1] - free, -np.inf), initial=-np.inf))


def unfold(leg: Leg, target: Goal, hip: np.ndarray, up: np.ndarray) -> None:
    """Lowers a lifted foot that comes too near to its hip, but keeps it clear of the ground.

    Parameters:
        hip: [m, (F, 3)]
        up: How high the foot is lifted. [m, (F,)]
    """
    gap = hip - target.ankle
    level = (gap[:, [0, 2]] ** 2).sum(1) - (leg.across[0] - leg.across[1]) ** 2
    least = np.sqrt(np.maximum(leg.folded**2 - level, 0))
    target.ankle[:, 1] -= np.clip(least - gap[:, 1], 0, 0.7 * np.maximum(up - _CLEAR * leg.height, 0))


def bend(leg: Leg, target: Goal, hip: np.ndarray, parent: np.ndarray, local: np.ndarray) -> None:
    """Two-link inverse kinematics in a plane tilted about the hip; writes the local turns of the leg's joints.

    Parameters:
        hip: [m, (F, 3)]
        parent: Turn of the joint that the leg hangs from. [(F, 3, 3)]
        local: Written in place. [(F, J, 3, 3)]
    """
    upper, lower, foot = leg.joints
    reach = _into(target.plane, target.ankle - hip)
    across = leg.across[1] - leg.across[0]
    # the sideways part of the leg's own shape stays; tilting the plane brings the ankle to where it has to be
    below = -np.sqrt(np.maximum(reach[:, 0] ** 2 + reach[:, 1] ** 2 - across**2, 1e-9))
    tilt = np.arctan2(reach[:, 1], reach[:, 0]) - np.arctan2(below, across)
    flat = np.stack([below, reach[:, 2]], 1)
    thigh, shank = leg.points[1] - leg.points[0], leg.points[2] - leg.points[1]
    a, b = leg.lengths
    shortest = math.sqrt(a * a + b * b - 2 * a * b * math.cos(_SHARPEST))
    d = np.clip(np.linalg.norm(flat, axis=1), shortest, 0.9995 * (a + b))
    inner = np.arccos(np.clip((a * a + d * d - b * b) / (2 * a * d), -1, 1))
    knee = np.arccos(np.clip((a * a + b * b - d * d) / (2 * a * b), -1, 1))
    if lower is not None:
        first = _angle(flat) - leg.bend * inner - _angle(thigh)
        second = _angle(thigh) + first + leg.bend * (np.pi - knee) - _angle(shank)
    else:
        first = second = _angle(flat) - _angle(leg.points[2] - leg.points[0])
    plane = turn_y(target.plane) @ turn_z(tilt)
    local[:, upper] = parent.transpose(0, 2, 1) @ plane @ turn_x(first)
    if lower is not None:
        local[:, lower] = turn_x(second - first)
    if foot is not None:
        local[:, foot] = (plane @ turn_x(second)).transpose(0, 2, 1) @ turn_y(target.foot) @ turn_x(target.roll)


def _into(heading: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Vectors in a frame of that heading. [rad (F,), (F, 3)]"""
    return (turn_y(-heading) @ vector[..., None])[..., 0]


def _cross(a: np.ndarray, b: np.ndarray) -> float:
    return float(a[0] * b[1] - a[1] * b[0])


def _angle(v: np.ndarray) -> np.ndarray:
    """Angle about +X of (y, z) vectors: a turn about +X adds to it. [(..., 2) -> rad]"""
    return np.arctan2(v[..., 1], v[..., 0])
