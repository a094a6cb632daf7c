"""Trunk of the motion generator: how the body rises, rocks and sways over the feet, what neck, tail and arms do meanwhile."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from schemas.rig import Rig

from .gait_styles import IN_PLACE, OFFSETS, Style, steps, suspension
from .gait_turns import turn_x, turn_y, turn_z

_TAIL_SWING = {
    "walking": 0.25,
    "running": 0.1,
    "jumping": 0.05,
    "standing": 0.3,
    "galloping": 0.05,
    "cantering": 0.06,
    "hopping": 0.05,
    "sneaking": 0.15,
    "dancing": 0.6,
}
_STEADY = 0.6  # share of the trunk's rocking that the neck takes back
_PEAK = {"cantering": -0.12, "galloping": -0.08}  # phase at which the nose is highest: the first hind foot takes the weight


@dataclasses.dataclass
class Body:
    """The root's motion in a clip, on top of its way over the ground.

    Attributes:
        pitch, tilt, yaw: Turn about X, Z and Y. [rad, (F,)]
        aside, ahead: Shift to the left and forward. [m, (F,)]
        bob: Height. [m, (F,)]
        rise: Height in flight, which lifted feet share. [m, (F,)]
    """

    pitch: np.ndarray
    tilt: np.ndarray
    yaw: np.ndarray
    aside: np.ndarray
    ahead: np.ndarray
    bob: np.ndarray
    rise: np.ndarray

    @property
    def turn(self) -> np.ndarray:
        """[(F, 3, 3)]"""
        return turn_y(self.yaw) @ turn_z(self.tilt) @ turn_x(self.pitch)


def joints_of(rig: Rig, *names: str) -> list[int]:
    """Joints with these roles; the root is not among them."""
    return [j for j, role in enumerate(rig.roles) if role in names and j > 0]


def arc_bend(style: Style) -> float:
    """Sideways bend of the trunk of an animal that turns. [rad]"""
    return 0.3 * style.turn


def body(motion: str, style: Style, cycle: np.ndarray, height: float, biped: bool) -> Body:
    """The root's motion.

    Parameters:
        cycle: Time. [cycles, (F,)]
        height: Of the hips. [m]
        biped: Whether it walks on its hind legs.
    """
    none, wave, often = np.zeros_like(cycle), 2 * np.pi * cycle, steps(motion)
    result = Body(
        pitch=np.full_like(cycle, style.lean), tilt=style.tilt * np.sin(wave), yaw=none, aside=style.hips * height * np.sin(wave), ahead=none,
        bob=-style.bob * height * np.cos(2 * np.pi * often * (cycle - 0.5 * style.duty)), rise=none,
    )  # fmt: skip
    if motion == "jumping":
        air = (1 if biped else 1 - OFFSETS["jumping"]["left_fore"]) - style.duty
        flight = np.mod(cycle - style.duty, 1.0) / max(air, 0.2)
        result.rise = style.rise * height * np.where(flight < 1, np.sin(np.pi * np.clip(flight, 0, 1)), 0)
        # the nose goes further up than down, where the fore legs have to fold
        result.pitch = result.pitch - style.pitch * (0.2 + 0.75 * np.sin(2 * np.pi * (cycle - style.duty + 0.25)))
    elif motion in ("running", "pacing"):
        result.rise = style.rise * height * 0.5 * (1 - np.cos(2 * np.pi * often * (cycle - 0.5 * style.duty)))
    elif motion in _PEAK:
        start, length = suspension(motion, style.duty)
        gathered = np.cos(2 * np.pi * (cycle - start - 0.5 * length))
        result.bob = style.bob * height * gathered
        result.pitch = -style.pitch * np.cos(2 * np.pi * (cycle - _PEAK[motion])) - 0.5 * style.flex * gathered
    elif motion == "hopping":
        p = np.mod(cycle, 1.0)
        flight = np.clip((p - style.duty) / (1 - style.duty), 0, 1)
        result.rise = style.rise * height * 4 * flight * (1 - flight)
        result.bob = -style.dip * height * np.sin(np.pi * np.clip(p / style.duty, 0, 1))
    elif motion == "dancing":
        result.bob = -style.dip * height * (0.5 - 0.5 * np.cos(2 * wave))
    elif biped and motion not in IN_PLACE:
        result.bob = -result.bob  # walking on two legs is highest over the standing leg
    if style.turn:
        result.yaw = np.full_like(cycle, 0.0 if biped else -0.5 * arc_bend(style))
        result.tilt = np.full_like(cycle, -0.08 * style.turn if biped else -0.04 * style.turn)
    result.bob = result.bob - style.crouch * height
    return result


def trunk(rig: Rig, motion: str, style: Style, cycle: np.ndarray, root: Body, biped: bool, local: np.ndarray) -> None:
    """Writes the local turns of spine, neck, head and tail. [(F, J, 3, 3)]"""
    wave, often = 2 * np.pi * cycle, steps(motion)
    spine, tail = joints_of(rig, "spine", "chest"), joints_of(rig, "tail")
    # the shoulders of bipeds turn against the hips, with the arms; the trunk of others bends from side to side
    yaw = style.sway * (2.0 * np.cos(wave) if biped else np.sin(wave)) + (0.4 if biped else 1.0) * arc_bend(style)
    pitch, tilt = _spine_pitch(motion, style, cycle), -1.2 * root.tilt if style.tilt else np.zeros_like(wave)
    if motion == "dancing":
        yaw = yaw + style.twist * np.sin(wave)
    for joint in spine:
        local[:, joint] = turn_y(yaw / len(spine)) @ turn_x(pitch / len(spine)) @ turn_z(tilt / len(spine))
    _neck(rig, motion, style, wave, root, pitch, local)
    swing = _TAIL_SWING.get(motion, 0.2)
    for k, joint in enumerate(tail):
        up = style.tail_up * (1 + 0.3 * np.sin(often * wave - 0.6 * k)) / len(tail)
        sideways = swing * np.sin(wave - 0.8 * k) / math.sqrt(len(tail)) / (2.0 if biped else 1.0) - 0.35 * style.turn / len(tail)
        local[:, joint] = turn_y(sideways) @ turn_x(up)


def _spine_pitch(motion: str, style: Style, cycle: np.ndarray) -> np.ndarray:
    """Rounding of the back: gathered in flight when galloping. [rad, (F,)]"""
    if motion in _PEAK:
        start, length = suspension(motion, style.duty)
        return style.flex * np.cos(2 * np.pi * (cycle - start - 0.5 * length))
    return -0.6 * style.pitch * np.sin(2 * np.pi * (cycle - style.duty + 0.25))


def _neck(rig: Rig, motion: str, style: Style, wave: np.ndarray, root: Body, spine: np.ndarray, local: np.ndarray) -> None:
    neck, head = joints_of(rig, "neck"), joints_of(rig, "head")
    share = 1 / max(len(neck) + len(head), 1)
    even = style.nod * np.sin(steps(motion) * wave + 1) - style.lean
    if motion in _PEAK:
        even = even - _STEADY * (root.pitch + spine)
    even = share * even * np.ones_like(wave)
    gaze = np.full_like(wave, 0.4 * style.turn * share)
    for joint in neck:
        local[:, joint] = turn_y(gaze) @ turn_x(even + style.neck / len(neck))
    for joint in head:
        local[:, joint] = turn_y(gaze) @ turn_x(even - (style.neck if neck else 0.0))


def swing_arms(rig: Rig, motion: str, style: Style, cycle: np.ndarray, local: np.ndarray) -> None:
    """Arms hang and swing against the leg of their side; wings stay folded."""
    together = motion in ("jumping", "hopping")
    for side in ("left", "right"):
        uppers, lowers = joints_of(rig, f"{side}_arm_upper"), joints_of(rig, f"{side}_arm_lower")
        if not uppers:
            continue
        upper = uppers[0]
        along = (rig.positions[lowers[0]] if lowers else rig.tails[upper]) - rig.positions[upper]
        lateral, down = abs(float(along[0])), -float(along[1])
        angle = math.atan2(lateral, down)  # from hanging
        sign = 1.0 if side == "left" else -1.0
        lower_by = max(angle - 0.3, 0.0) if angle > 0.6 else 0.0
        lead = 0.5 if side == "right" and not together else 0.0
        # the left leg is furthest forward at phase 0, at the start of its stance: the left arm is furthest back then
        swing = style.arm * np.cos(2 * np.pi * (cycle + lead + 0.5))
        if motion == "jumping":
            swing = np.abs(swing)
        hang = turn_z(np.full_like(cycle, -sign * lower_by))
        local[:, upper] = turn_x(-swing) @ hang
        for joint in lowers[:1]:
            # the elbow's axis is that of an arm that hangs, carried along to where the arm is at rest
            raised = turn_z(np.full_like(cycle, sign * angle))
            local[:, joint] = raised @ turn_x(-style.elbow * (1 + 0.2 * np.sin(2 * np.pi * cycle))) @ raised.transpose(0, 2, 1)
