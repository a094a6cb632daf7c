"""Procedural motions for any rig with leg roles: what the built-in video prior learns from and metrics are tested on.

The body moves along a line or an arc. Feet follow planned paths over the ground: at rest while the body passes over them,
then lifted and brought forward. Two-link inverse kinematics bends each leg the way it is bent at rest. Free parameters are
drawn from the ranges of `gait_styles`.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import torch

from schemas.errors import InputError
from schemas.rig import Rig
from stages.body import quaternion
from stages.body.kinematics import Skeleton, joint_angles

from . import actions, gait_body, gait_styles
from .gait_legs import Course, Goal, Leg, Track, bend, goal, legs_of, overstretch, track, unfold
from .gait_styles import MOTIONS, OFFSETS, Style
from .gait_turns import forward, lowest, turn_x, turn_y

__all__ = ["GAITS", "MOTIONS", "OFFSETS", "GaitClip", "Leg", "legs_of", "motions_of", "sample"]

GAITS = gait_styles.CORE
"""The four that every legged rig has; MOTIONS has all."""

_GRAVITY = 9.81  # m/s^2
_SINK, _SINK_MOST = 0.22, 0.3  # of the hip height: a body that had to sink further to reach the ground takes shorter strides
_GRID = 32  # times in a cycle at which that is measured
_BELLY, _DEEP = 0.05, 0.01  # of the hip height: below the feet at rest; in the ground
_TURN_LEAST, _TURN_MOST = 0.72, 0.55  # rad/s; and of the speed over half the length between the feet
_SHORTER = (1.0, 0.85, 0.7, 0.55)


@dataclasses.dataclass(frozen=True)
class GaitClip:
    """A motion of a rig, as in schemas.motion.

    Attributes:
        angles: [rad, (F, J, 3)]
        root_positions: World. [m, (F, 3)]
        root_rotations: Relative to rest, xyzw. [(F, 4)]
        info: gait, period [frames], phase [cycles], duty, speed [m/s], height (of the hips) [m], froude (speed^2 over
            gravity and height), turn (to the left) [rad/s], legs, contacts (F, legs).
    """

    angles: np.ndarray
    root_positions: np.ndarray
    root_rotations: np.ndarray
    info: dict[str, Any]


def motions_of(rig: Rig) -> tuple[str, ...]:
    """Those of MOTIONS that the rig has the limbs for; none without legs."""
    return _motions(rig, legs_of(rig))


def _motions(rig: Rig, present: list[Leg]) -> tuple[str, ...]:
    legs = {leg.name for leg in present}
    if not legs:
        return ()
    result = list(gait_styles.CORE)
    if {"left_hind", "right_hind", "left_fore", "right_fore"} <= legs:
        result += gait_styles.FOUR_LEGS
    result += gait_styles.ALL_LEGS
    if gait_body.joints_of(rig, "head", "neck"):
        result += gait_styles.WITH_HEAD
    if legs == {"left_hind", "right_hind"} and len(actions.arms_of(rig)) == 2:
        result += gait_styles.WITH_ARMS
    return tuple(result)


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
    """Draw a clip of a motion.

    Parameters:
        gait: One of `motions_of(rig)`.
        rng: Source of the free parameters (stride, lift, sway); None uses seed 0.
        phase: Of the cycle at frame 0. [cycles]
        period: Of the cycle. [frames at 16 fps]
        effort: Stride length within the gait's usual range. [0..1]

    Raises:
        InputError: Unknown motion, the rig has no legs, or not the limbs for it.
    """
    if gait not in MOTIONS:
        raise InputError(f"gait '{gait}' is unknown: there are {', '.join(MOTIONS)}.")
    legs = legs_of(rig)
    if not legs:
        raise InputError(f"rig '{rig.name}' has no legs (roles fore, hind, leg1..8), so it has no gait.")
    able = _motions(rig, legs)
    if gait not in able:
        raise InputError(f"rig '{rig.name}' has not the limbs for '{gait}':", f"it can do {', '.join(able)}.")
    rng = rng or np.random.default_rng(0)
    biped = not any(leg.name.endswith("fore") or "_leg" in leg.name for leg in legs)
    drawn = float(rng.uniform())
    style = gait_styles.draw(gait, biped, rng)
    if period is not None:
        style = dataclasses.replace(style, period=period)
    if effort is not None:
        style = gait_styles.with_effort(style, gait, effort)
    builder = _Builder(rig, legs, gait, style, drawn if phase is None else phase, frames, fps, biped)
    return builder.build()


@dataclasses.dataclass
class _Plan:
    """A clip before the legs are bent: the trunk posed, the feet's goals, how far the body has to sink. Frame axis first."""

    local: np.ndarray
    turn: np.ndarray
    position: np.ndarray
    tracks: list[Track]
    goals: list[Goal]
    drop: float
    speed: float


class _Builder:
    """Builds one clip: trunk first, then the legs under it."""

    def __init__(self, rig: Rig, legs: list[Leg], motion: str, style: Style, phase: float, frames: int, fps: float, biped: bool) -> None:
        self.rig, self.legs, self.motion, self.frames, self.biped = rig, legs, motion, frames, biped
        self.seconds = np.arange(frames) / fps
        self.cycle = phase + self.seconds * 16.0 / style.period
        self.phase = phase
        self.height = min(leg.height for leg in legs)
        self.skeleton = Skeleton.from_rig(rig, dtype=torch.float64)
        self.corners = self.skeleton.corners.numpy() - rig.positions.astype(float)[:, None]
        self.ground = min(float(leg.contact[0]) for leg in legs)
        bottom = float(self.skeleton.corners[..., 1].min())
        if bottom < self.ground - _BELLY * self.height:
            self.ground = bottom  # it lies, or flies with hanging legs

        self.style = self._possible(style)

    def _possible(self, style: Style) -> Style:
        """Crouches no lower than the legs fold, turns no tighter than the feet can reach sideways."""
        low = (style.crouch + style.dip) * self.height
        room = max(min(leg.reach - leg.folded - 0.3 * self._lift(style, leg) for leg in self.legs), 0.0)
        share = min(1.0, room / low) if low > 0 else 1.0
        stands = np.array([leg.stand[1] for leg in self.legs])
        half, pace = 0.5 * float(np.ptp(stands)), gait_styles.heights_per_second(self.motion) * self.height
        turn = min(abs(style.turn), max(_TURN_LEAST, _TURN_MOST * pace / half)) if half > 0 else abs(style.turn)
        return dataclasses.replace(style, crouch=share * style.crouch, dip=share * style.dip, turn=math.copysign(turn, style.turn) if turn else 0.0)

    def build(self) -> GaitClip:
        style, drop = self._stride()
        plan = self._plan(style, self.cycle, self.seconds)
        # heights so far are those of the rest pose, whose lowest sole is brought to y = 0
        plan.position[:, 1] -= drop
        self._legs(plan)
        self._keep_off_the_ground(plan)
        self._lift_out(plan)
        plan.position[:, 1] -= self.ground
        angles = joint_angles(self.skeleton, torch.from_numpy(plan.local)).numpy()
        angles[:, 0] = 0
        info = {
            "gait": self.motion, "period": style.period, "phase": self.phase, "duty": style.duty, "speed": plan.speed, "height": self.height,
            "froude": plan.speed**2 / (_GRAVITY * self.height), "turn": style.turn,
            "legs": [leg.name for leg in self.legs], "contacts": np.stack([track.down for track in plan.tracks], 1),
        }  # fmt: skip
        quaternions = quaternion.from_matrix(torch.from_numpy(plan.turn)).numpy()
        return GaitClip(angles.astype(np.float32), plan.position.astype(np.float32), quaternions.astype(np.float32), info)

    def _stride(self) -> tuple[Style, float]:
        """The style with strides that the legs can make, and how far the body sinks for them over a whole cycle. [m]"""
        cycle = np.arange(_GRID) / _GRID
        limit = (_SINK_MOST if self.motion in GAITS else _SINK) * self.height
        for scale in _SHORTER:
            style = dataclasses.replace(self.style, swing=scale * self.style.swing, pitch=scale * self.style.pitch)
            drop = self._plan(style, cycle, cycle * style.period / 16.0).drop
            if drop <= limit:
                break
        return style, min(drop, _SINK_MOST * self.height)

    def _plan(self, style: Style, cycle: np.ndarray, seconds: np.ndarray) -> _Plan:
        rig, motion, height = self.rig, self.motion, self.height
        stride = 2 * height * math.sin(style.swing)
        speed = 0.0 if motion in gait_styles.IN_PLACE else stride / (style.duty * style.period) * 16.0  # m/s
        course = Course(style.turn / speed if speed else 0.0, np.mean([leg.stand for leg in self.legs], 0))
        way = speed * seconds
        local = np.broadcast_to(np.eye(3), (len(cycle), rig.joint_count, 3, 3)).copy()
        root = gait_body.body(motion, style, cycle, height, self.biped)
        gait_body.trunk(rig, motion, style, cycle, root, self.biped, local)
        self._act(style, cycle, root, local)
        turn = turn_y(course.heading(way)) @ root.turn
        rest = rig.positions[0].astype(float)
        shift = rest[[0, 2]] + np.stack([root.aside, root.ahead], -1)
        ground = course.place(way, shift)
        position = np.stack([ground[:, 0], rest[1] + root.bob + root.rise, ground[:, 1]], -1)
        tracks = [track(leg, motion, style, cycle, stride, self._lift(style, leg), root.rise) for leg in self.legs]
        yaws = self._stand(style, tracks, cycle)
        goals = [goal(leg, path, course, way, course.heading(way) + yaw) for leg, path, yaw in zip(self.legs, tracks, yaws, strict=True)]
        _, joints = forward(rig, turn, position, local)
        needs = [overstretch(leg, target, joints[:, leg.joints[0]], path.down) for leg, target, path in zip(self.legs, goals, tracks, strict=True)]
        drop = max(0.01 * height if speed else 0.0, *needs)
        return _Plan(local, turn, position, tracks, goals, drop, speed)

    def _lift(self, style: Style, leg: Leg) -> float:
        """Height of a foot in mid-swing; hind legs of four-legged animals are long and lift their feet less. [m]"""
        less = 0.65 if leg.name.endswith("hind") and not self.biped and self.motion != "walking" else 1.0
        return less * style.lift * leg.height

    def _act(self, style: Style, cycle: np.ndarray, root: gait_body.Body, local: np.ndarray) -> None:
        rig = self.rig
        if self.motion == "eating":
            actions.eat(rig, style, cycle, root, local, max(leg.height for leg in self.legs), self.corners)
        elif self.motion == "dancing":
            actions.dance(rig, style, cycle, root, local)
        elif self.motion == "punching":
            actions.punch(rig, style, cycle, self.height, root, local)
        elif self.motion == "waving":
            actions.wave(rig, style, cycle, local)
        else:
            gait_body.swing_arms(rig, self.motion, style, cycle, local)

    def _stand(self, style: Style, tracks: list[Track], cycle: np.ndarray) -> list[float]:
        """Moves the places where feet stand under a bent trunk and in a fighting stance; heading of each leg. [rad]"""
        yaws = [0.0] * len(self.legs)
        if style.turn and not self.biped:
            bow = gait_body.arc_bend(style)
            spine = gait_body.joints_of(self.rig, "spine", "chest")
            local = np.broadcast_to(np.eye(3), (1, self.rig.joint_count, 3, 3)).copy()
            local[:, spine] = turn_y(np.array([bow / max(len(spine), 1)]))
            turns, joints = forward(self.rig, turn_y(np.array([-0.5 * bow])), self.rig.positions[:1].astype(float), local)
            for k, leg in enumerate(self.legs):
                parent = int(self.rig.parents[leg.joints[0]])
                arm = np.array([leg.across[1], leg.contact[0], leg.contact[1]]) - self.rig.positions[parent]
                tracks[k].aside = (joints[0, parent] + turns[0, parent] @ arm)[[0, 2]] - leg.stand
                yaws[k] = math.atan2(turns[0, parent, 0, 2], turns[0, parent, 2, 2])
        for leg, path in zip(self.legs, tracks, strict=True):
            side = 1.0 if leg.name.startswith("left") else -1.0
            path.aside = path.aside + np.array([0.0, side * style.step * self.height])
            if style.heel:
                path.roll = style.heel * np.clip(-side * np.sin(2 * np.pi * cycle), 0, 1) ** 1.5
        return yaws

    def _legs(self, plan: _Plan) -> None:
        """Bends the legs; feet that would be in the ground are raised."""
        for again in range(3):
            turns, joints = forward(self.rig, plan.turn, plan.position, plan.local)
            for leg, target, path in zip(self.legs, plan.goals, plan.tracks, strict=True):
                upper = leg.joints[0]
                if not again:
                    unfold(leg, target, joints[:, upper], path.up)
                bend(leg, target, joints[:, upper], turns[:, self.rig.parents[upper]], plan.local)
            if again == 2:
                break
            turns, joints = forward(self.rig, plan.turn, plan.position, plan.local)
            sunk = [np.clip(self.ground - lowest(self.corners, turns, joints, list(leg.chain)).min(1), 0, None) for leg in self.legs]
            if max(float(s.max()) for s in sunk) < 1e-4:
                break
            for depth, target in zip(sunk, plan.goals, strict=True):
                target.ankle[:, 1] += depth

    def _keep_off_the_ground(self, plan: _Plan) -> None:
        """Raises tails, trunks and heads that would be in the ground, by the same angle in every frame."""
        for roles in (("tail",), ("other",), ("neck", "head", "jaw", "ear", "other")):
            for _ in range(6):
                turns, joints = forward(self.rig, plan.turn, plan.position, plan.local)
                chain = [j for j in gait_body.joints_of(self.rig, *roles) if roles != ("other",) or self._hangs(j)]
                if not chain:
                    break
                heights = lowest(self.corners, turns, joints, chain) - self.ground
                frame, worst = np.unravel_index(int(np.argmin(heights)), heights.shape)
                if heights[frame, worst] >= 0:
                    break
                self._raise(plan, chain, joints[frame], chain[worst], -float(heights[frame, worst]))

    def _lift_out(self, plan: _Plan) -> None:
        """Raises the whole body where something is still in the ground: legs without knees, bellies near the ground."""
        turns, joints = forward(self.rig, plan.turn, plan.position, plan.local)
        depth = np.clip(self.ground - lowest(self.corners, turns, joints, list(range(self.rig.joint_count))).min(1), 0, None)
        if depth.max() > _DEEP * self.height:
            plan.position[:, 1] += depth

    def _raise(self, plan: _Plan, chain: list[int], joints: np.ndarray, low: int, depth: float) -> None:
        firsts = [j for j in chain if self.rig.parents[j] not in chain]
        tip = joints[low] + 0.5 * (self.rig.tails[low] - self.rig.positions[low])
        for first in firsts:
            arm = max(float(np.linalg.norm((tip - joints[first])[[0, 2]])), 0.3 * float(np.linalg.norm(tip - joints[first])), 1e-3)
            back = self.rig.tails[first][2] < self.rig.positions[first][2] and self.rig.roles[first] == "tail"
            angle = min(1.2 * depth / arm + 0.01, 0.4)
            plan.local[:, first] = plan.local[:, first] @ turn_x(np.array([angle if back else -angle]))

    def _hangs(self, joint: int) -> bool:
        return any(self.rig.roles[int(p)] in ("head", "jaw", "other") for p in [self.rig.parents[joint]])
