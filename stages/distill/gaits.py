"""Procedural gaits for any rig with leg roles: what the built-in video prior learns from and metrics are tested on.

Feet follow planned paths in the sagittal plane: at rest on the ground while the body passes over them at constant
speed, then lifted and brought forward. Two-link inverse kinematics bends each leg the way it is bent at rest.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch

from schemas import roles
from schemas.errors import InputError
from schemas.rig import Rig
from stages.body import quaternion
from stages.body.kinematics import Skeleton, joint_angles

GAITS = ("walking", "running", "jumping", "standing")

OFFSETS: dict[str, dict[str, float]] = {
    "walking": {"left_hind": 0.0, "left_fore": 0.75, "right_hind": 0.5, "right_fore": 0.25},
    "running": {"left_hind": 0.0, "left_fore": 0.5, "right_hind": 0.5, "right_fore": 0.0},
    "jumping": {"left_hind": 0.0, "left_fore": 0.35, "right_hind": 0.0, "right_fore": 0.35},
    "standing": {},
}
"""Phase lead of each foot in cycles: walk = lateral sequence, run = diagonal pairs, jump = both of a pair together."""


@dataclasses.dataclass(frozen=True)
class Leg:
    """The joints of a leg and where it stands at rest, in the sagittal plane (y, z).

    Attributes:
        name: "left_fore", "right_hind", "left_leg3".
        joints: Upper, lower and foot joint; None where the rig has none.
        points: Rest hip, knee and ankle. [m, (3, 2)]
        contact: Rest point of the sole about which the foot rolls. [m, (2,)]
        bend: Sign of the knee's bend (turn from upper to lower about +X).
    """

    name: str
    joints: tuple[int, int | None, int | None]
    points: np.ndarray
    contact: np.ndarray
    bend: float

    @property
    def height(self) -> float:
        """Hip above the sole at rest. [m]"""
        return float(self.points[0, 0] - self.contact[0])


@dataclasses.dataclass(frozen=True)
class GaitClip:
    """A motion of a rig, as in schemas.motion.

    Attributes:
        angles: [rad, (F, J, 3)]
        root_positions: World. [m, (F, 3)]
        root_rotations: Relative to rest, xyzw. [(F, 4)]
        info: gait, period [frames], phase [cycles], duty, speed [m/s], legs, contacts (F, legs).
    """

    angles: np.ndarray
    root_positions: np.ndarray
    root_rotations: np.ndarray
    info: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class _Style:
    """One draw of a gait's free parameters. Lengths are in hip heights, angles in radians, times in frames."""

    period: float
    swing: float = 0.0
    duty: float = 0.6
    lift: float = 0.0
    roll: float = 0.0
    bob: float = 0.0
    rise: float = 0.0
    pitch: float = 0.0
    lean: float = 0.0
    sway: float = 0.0
    nod: float = 0.05
    tail_up: float = 0.0
    arm: float = 0.0
    elbow: float = 0.15


def legs_of(rig: Rig) -> list[Leg]:
    """Legs of a rig by its roles, in joint order; arms and wings are not legs."""
    limbs: dict[str, list[int]] = {}
    for joint, role in enumerate(rig.roles):
        parts = roles.limb(role)
        if parts and roles.is_leg(role):
            limbs.setdefault(f"{parts[0]}_{parts[1]}", []).append(joint)
    return [leg for name, joints in limbs.items() if (leg := _leg(rig, name, joints)) is not None]


def _leg(rig: Rig, name: str, joints: list[int]) -> Leg | None:
    first: dict[str, int] = {}
    for joint in joints:
        first.setdefault(rig.roles[joint].rsplit("_", 1)[1], joint)
    upper = first.get("upper", first.get("shoulder"))
    if upper is None:
        return None
    lower, foot = first.get("lower"), first.get("foot")
    last = foot if foot is not None else lower if lower is not None else upper
    knee = rig.positions[lower] if lower is not None else rig.tails[upper]
    ankle = rig.positions[foot] if foot is not None else rig.tails[last]
    points = np.stack([rig.positions[upper], knee, ankle]).astype(float)[:, 1:]
    corners = Skeleton.from_rig(rig, dtype=torch.float64).corners.numpy()
    tips = [j for j in joints if j == last or rig.roles[j].endswith("_foot")]
    sole = np.concatenate([corners[tips].reshape(-1, 3)[:, 1:], rig.tails[tips].astype(float)[:, 1:]])
    low = sole[:, 0].min()
    near = sole[sole[:, 0] < low + 0.3 * np.ptp(sole[:, 0]) + 1e-9]
    turn = _cross(points[1] - points[0], points[2] - points[1])
    straight = abs(turn) < 0.02 * np.linalg.norm(points[2] - points[0]) ** 2
    default = -1.0 if name.endswith("fore") else 1.0
    return Leg(name, (upper, lower, foot), points, np.array([low, near[:, 1].max()]), default if straight else math.copysign(1.0, turn))


def sample(
    rig: Rig,
    gait: str,
    *,
    frames: int = 17,
    fps: float = 16.0,
    rng: np.random.Generator | None = None,
    phase: float | None = None,
    period: float | None = None,
    effort: float | None = None,
) -> GaitClip:
    """Draw a clip of a gait.

    Parameters:
        gait: One of GAITS.
        rng: Source of the free parameters (stride, lift, sway); None uses seed 0.
        phase: Of the cycle at frame 0. [cycles]
        period: Of the cycle. [frames at 16 fps]
        effort: Stride length within the gait's usual range. [0..1]

    Raises:
        InputError: Unknown gait, or the rig has no legs.
    """
    if gait not in GAITS:
        raise InputError(f"gait '{gait}' is unknown: there are {', '.join(GAITS)}.")
    legs = legs_of(rig)
    if not legs:
        raise InputError(f"rig '{rig.name}' has no legs (roles fore, hind, leg1..8), so it has no gait.")
    rng = rng or np.random.default_rng(0)
    biped = not any(leg.name.endswith("fore") or "_leg" in leg.name for leg in legs)
    drawn = float(rng.uniform())
    style = _style(gait, biped, rng)
    if period is not None:
        style = dataclasses.replace(style, period=period)
    if effort is not None and style.swing:
        low, high = {"walking": (0.34, 0.44), "running": (0.5, 0.68), "jumping": (0.5, 0.68)}[gait]
        style = dataclasses.replace(style, swing=low + effort * (high - low))
    phase = drawn if phase is None else phase
    return _Builder(rig, legs, gait, style, phase, frames, fps, biped).build()


def _style(gait: str, biped: bool, rng: np.random.Generator) -> _Style:
    def u(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    if gait == "walking":
        return _Style(
            u(15.5, 17), u(0.365, 0.415), u(0.597, 0.633), u(0.115, 0.145), u(0.35, 0.45), 0.012,
            sway=u(0.042, 0.068), nod=u(0.042, 0.068), arm=u(0.35, 0.45),
        )  # fmt: skip
    if gait == "running":
        return _Style(
            u(10.5, 11.5), u(0.545, 0.635), u(0.415, 0.445), u(0.265, 0.315), u(0.57, 0.73), u(0.03, 0.04), rise=u(0.027, 0.043),
            lean=u(0.075, 0.125) if biped else 0.0, sway=u(0.027, 0.043), nod=u(0.055, 0.085), tail_up=u(0.25, 0.35),
            arm=u(0.67, 0.83), elbow=u(1.0, 1.2),
        )  # fmt: skip
    if gait == "jumping":
        return _Style(
            u(12.5, 14.5), u(0.545, 0.635), u(0.363, 0.388), u(0.205, 0.255), u(0.47, 0.63), u(0.037, 0.053), rise=u(0.25, 0.31),
            pitch=0.0 if biped else u(0.145, 0.195), nod=u(0.067, 0.103), tail_up=u(0.35, 0.45), arm=u(0.57, 0.73), elbow=u(0.37, 0.53),
        )  # fmt: skip
    return _Style(u(16, 20), bob=u(0.0055, 0.0085), sway=u(0.005, 0.015), nod=u(0.042, 0.068))


class _Builder:
    """Builds one clip: trunk first, then the legs under it."""

    def __init__(self, rig: Rig, legs: list[Leg], gait: str, style: _Style, phase: float, frames: int, fps: float, biped: bool) -> None:
        self.rig, self.legs, self.gait, self.style, self.frames, self.fps, self.biped = rig, legs, gait, style, frames, fps, biped
        self.time = np.arange(frames) * 16.0 / fps  # in frames at 16 fps, the unit of the period
        self.cycle = phase + self.time / style.period
        self.phase = phase
        self.height = min(leg.height for leg in legs)
        self.stride = 2 * self.height * math.sin(style.swing)
        self.speed = 0.0 if gait == "standing" else self.stride / (style.duty * style.period) * 16.0  # m/s
        self.skeleton = Skeleton.from_rig(rig, dtype=torch.float64)
        self.local = np.broadcast_to(np.eye(3), (frames, rig.joint_count, 3, 3)).copy()

    def build(self) -> GaitClip:
        turn, bob, rise = self._body()
        self._trunk()
        self._arms()
        turns, joints = self._forward(turn)
        targets = [self._foot_path(leg, rise) for leg in self.legs]
        drop = self._drop(joints, targets, bob + rise)
        ground = min(float(leg.contact[0]) for leg in self.legs)
        # heights so far are those of the rest pose, whose lowest sole is brought to y = 0
        height = bob + rise - drop
        for leg, (path, roll, _) in zip(self.legs, targets, strict=True):
            self._bend(leg, turns, joints, height, path, roll)
        root = np.tile(self.rig.positions[0].astype(float), (self.frames, 1))
        root[:, 1] += height - ground
        root[:, 2] += self.speed * np.arange(self.frames) / self.fps
        angles = joint_angles(self.skeleton, torch.from_numpy(self.local)).numpy()
        angles[:, 0] = 0
        info = {
            "gait": self.gait, "period": self.style.period, "phase": self.phase, "duty": self.style.duty, "speed": self.speed,
            "legs": [leg.name for leg in self.legs], "contacts": np.stack([target[2] for target in targets], 1),
        }  # fmt: skip
        quaternions = quaternion.from_matrix(torch.from_numpy(turn)).numpy()
        return GaitClip(angles.astype(np.float32), root.astype(np.float32), quaternions.astype(np.float32), info)

    def _body(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Turn of the root (F, 3, 3), its bobbing and its rise in flight (F,) [m]."""
        style, cycle = self.style, self.cycle
        steps = 1 if self.gait in ("jumping", "standing") else 2
        bob = -style.bob * self.height * np.cos(2 * np.pi * steps * (cycle - 0.5 * style.duty))
        rise = np.zeros(self.frames)
        pitch = np.full(self.frames, style.lean)
        if self.gait == "jumping":
            air = 1 - style.duty if self.biped else 1 - 2 * style.duty + 0.05
            flight = np.mod(cycle - style.duty, 1.0) / max(air, 0.2)
            rise = style.rise * self.height * np.where(flight < 1, np.sin(np.pi * np.clip(flight, 0, 1)), 0)
            pitch = pitch - style.pitch * np.sin(2 * np.pi * (cycle - style.duty + 0.15))
        elif self.gait == "running":
            rise = style.rise * self.height * 0.5 * (1 - np.cos(2 * np.pi * steps * (cycle - 0.5 * style.duty)))
        return _turn_x(pitch), bob, rise

    def _joints(self, *names: str) -> list[int]:
        return [j for j, role in enumerate(self.rig.roles) if role in names and j > 0]

    def _trunk(self) -> None:
        style, wave = self.style, 2 * np.pi * self.cycle
        spine, neck, tail = self._joints("spine", "chest"), self._joints("neck", "head"), self._joints("tail")
        for joint in spine:
            yaw = style.sway * (2.0 if self.biped else 1.0) * np.sin(wave) / len(spine)
            pitch = -0.6 * style.pitch * np.sin(wave - 2 * np.pi * (style.duty - 0.15)) / len(spine)
            self.local[:, joint] = _turn_y(yaw) @ _turn_x(pitch)
        steps = 1 if self.gait in ("jumping", "standing") else 2
        for joint in neck:
            self.local[:, joint] = _turn_x((style.nod * np.sin(steps * wave + 1) - style.lean) / len(neck))
        swing = {"walking": 0.25, "running": 0.1, "jumping": 0.05, "standing": 0.3}[self.gait]
        for k, joint in enumerate(tail):
            up = style.tail_up * (1 + 0.3 * np.sin(steps * wave - 0.6 * k)) / len(tail)
            yaw = swing * np.sin(wave - 0.8 * k) / math.sqrt(len(tail)) / (2.0 if self.biped else 1.0)
            self.local[:, joint] = _turn_y(yaw) @ _turn_x(up)

    def _arms(self) -> None:
        """Arms hang and swing against the leg of their side; wings stay folded."""
        for side in ("left", "right"):
            uppers, lowers = self._joints(f"{side}_arm_upper"), self._joints(f"{side}_arm_lower")
            if not uppers:
                continue
            upper = uppers[0]
            along = (self.rig.positions[lowers[0]] if lowers else self.rig.tails[upper]) - self.rig.positions[upper]
            lateral, down = abs(float(along[0])), -float(along[1])
            angle = math.atan2(lateral, down)  # from hanging
            sign = 1.0 if side == "left" else -1.0
            lower_by = max(angle - 0.3, 0.0) if angle > 0.6 else 0.0
            lead = 0.5 if side == "left" and self.gait != "jumping" else 0.0
            # the leg is furthest forward at the start of its stance: the arm half a cycle later
            swing = self.style.arm * np.cos(2 * np.pi * (self.cycle + lead + 0.5))
            swing = swing if self.gait != "jumping" else np.abs(swing)
            self.local[:, upper] = _turn_x(-swing) @ _turn_z(np.full(self.frames, -sign * lower_by))
            for joint in lowers[:1]:
                # the elbow's axis is the world's X once the arm hangs, so undo the lowering around it
                hang = _turn_z(np.full(self.frames, -sign * lower_by))
                self.local[:, joint] = hang.transpose(0, 2, 1) @ _turn_x(-self.style.elbow * (1 + 0.2 * np.sin(2 * np.pi * self.cycle))) @ hang

    def _forward(self, root: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World turns and joint positions with the root joint at its rest position. [(F, J, 3, 3), (F, J, 3)]"""
        positions = self.rig.positions.astype(float)
        turns, joints = np.empty_like(self.local), np.empty(self.local.shape[:3])
        turns[:, 0], joints[:, 0] = root, positions[0]
        for joint, parent in enumerate(self.rig.parents[1:], 1):
            turns[:, joint] = turns[:, parent] @ self.local[:, joint]
            joints[:, joint] = joints[:, parent] + turns[:, parent] @ (positions[joint] - positions[parent])
        return turns, joints

    def _foot_path(self, leg: Leg, rise: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Contact point relative to its rest place (F, 2) [m], roll of the foot (F,) [rad], whether on the ground (F,)."""
        style, path, roll = self.style, np.zeros((self.frames, 2)), np.zeros(self.frames)
        if self.gait == "standing":
            return path, roll, np.ones(self.frames, bool)
        p = np.mod(self.cycle + _offset(self.gait, leg.name), 1.0)
        down = p < style.duty
        stance, swing = np.clip(p / style.duty, 0, 1), np.clip((p - style.duty) / (1 - style.duty), 0, 1)
        path[:, 1] = 0.5 * self.stride * np.where(down, 1 - 2 * stance, -np.cos(np.pi * swing))
        path[:, 0] = np.where(down, 0, style.lift * leg.height * np.sin(np.pi * swing) + rise)
        off = 0.6 * style.roll
        roll = np.where(down, off * np.clip((stance - 0.6) / 0.4, 0, 1) ** 2, off * (1 - swing) ** 2 + 1.5 * style.roll * np.sin(np.pi * swing) * (1 - swing))
        return path, roll, down

    def _ankle(self, leg: Leg, path: np.ndarray, roll: np.ndarray) -> np.ndarray:
        """Where the ankle has to be, in the frame of the moving body. [m, (F, 2)]"""
        return leg.contact + path + _rotate(leg.points[2] - leg.contact, roll)

    def _drop(self, joints: np.ndarray, targets: list, height: np.ndarray) -> float:
        """How far the body has to sink so that no standing leg is overstretched. [m]"""
        drop = 0.01 * self.height * (0 if self.gait == "standing" else 1)
        for leg, (path, roll, down) in zip(self.legs, targets, strict=True):
            reach = 0.985 * (np.linalg.norm(leg.points[1] - leg.points[0]) + np.linalg.norm(leg.points[2] - leg.points[1]))
            gap = joints[:, leg.joints[0], 1:] - self._ankle(leg, path, roll)
            free = np.sqrt(np.maximum(reach**2 - gap[:, 1] ** 2, 0.25 * reach**2))
            drop = max(drop, float(np.max(np.where(down, gap[:, 0] + height - free, -np.inf), initial=0.0)))
        return min(drop, 0.3 * self.height)

    def _bend(self, leg: Leg, turns: np.ndarray, joints: np.ndarray, height: np.ndarray, path: np.ndarray, roll: np.ndarray) -> None:
        """Two-link inverse kinematics in the sagittal plane; writes the local turns of the leg's joints."""
        upper, lower, foot = leg.joints
        hip = joints[:, upper, 1:] + np.stack([height, 0 * height], 1)
        reach = self._ankle(leg, path, roll) - hip
        thigh, shank = leg.points[1] - leg.points[0], leg.points[2] - leg.points[1]
        a, b = np.linalg.norm(thigh), max(float(np.linalg.norm(shank)), 1e-9)
        d = np.clip(np.linalg.norm(reach, axis=1), abs(a - b) + 1e-6, 0.9995 * (a + b))
        inner = np.arccos(np.clip((a * a + d * d - b * b) / (2 * a * d), -1, 1))
        knee = np.arccos(np.clip((a * a + b * b - d * d) / (2 * a * b), -1, 1))
        first = _angle(reach) - leg.bend * inner - _angle(thigh) if lower is not None else _angle(reach) - _angle(leg.points[2] - leg.points[0])
        second = _angle(thigh) + first + leg.bend * (np.pi - knee) - _angle(shank) if lower is not None else first
        parent = turns[:, self.rig.parents[upper]]
        self.local[:, upper] = parent.transpose(0, 2, 1) @ _turn_x(first)
        if lower is not None:
            self.local[:, lower] = _turn_x(second - first)
        if foot is not None:
            self.local[:, foot] = _turn_x(roll - second)


def _offset(gait: str, leg: str) -> float:
    """Phase lead of a leg; the legs of insects and spiders alternate (tripod, or tetrapod)."""
    table = OFFSETS[gait]
    if leg in table:
        return table[leg]
    side, _, limb = leg.partition("_")
    if gait == "jumping":
        return 0.0
    return 0.5 * ((int(limb[3:]) + (side == "left")) % 2)


def _cross(a: np.ndarray, b: np.ndarray) -> float:
    return float(a[0] * b[1] - a[1] * b[0])


def _angle(v: np.ndarray) -> np.ndarray:
    """Angle about +X of (y, z) vectors: a turn about +X adds to it. [(..., 2) -> rad]"""
    return np.arctan2(v[..., 1], v[..., 0])


def _rotate(v: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Turn one (y, z) vector about +X. [(2,), rad (F,) -> (F, 2)]"""
    c, s = np.cos(angle), np.sin(angle)
    return np.stack([c * v[0] - s * v[1], s * v[0] + c * v[1]], -1)


def _turn(angle: np.ndarray, i: int, k: int) -> np.ndarray:
    turn = np.broadcast_to(np.eye(3), (len(angle), 3, 3)).copy()
    turn[:, i, i] = turn[:, k, k] = np.cos(angle)
    turn[:, k, i] = np.sin(angle)
    turn[:, i, k] = -turn[:, k, i]
    return turn


def _turn_x(angle: np.ndarray) -> np.ndarray:
    return _turn(angle, 1, 2)


def _turn_y(angle: np.ndarray) -> np.ndarray:
    return _turn(angle, 2, 0)


def _turn_z(angle: np.ndarray) -> np.ndarray:
    return _turn(angle, 0, 1)
