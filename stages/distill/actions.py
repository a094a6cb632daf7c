"""What bodies do where they stand: eating, dancing, punching, waving. Poses of arms, and of a head that goes to the ground."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from schemas.rig import Rig

from .gait_body import Body, joints_of
from .gait_styles import Style
from .gait_turns import about, forward, frame, lowest, turn_x, turn_y, turn_z, unit

_OPEN, _CLOSE = math.radians(20), math.radians(140)  # how far an elbow opens and closes from rest
_DOWN, _BACK = np.array([0.0, -1.0, 0.0]), np.array([0.0, 0.0, -1.0])


@dataclasses.dataclass(frozen=True)
class Arm:
    """An arm at rest.

    Attributes:
        side: +1 left, -1 right.
        upper, lower: Joints; lower is None where the rig has none.
        along: Directions of upper arm and forearm. [(2, 3)]
        hinge: The elbow's axis. [(3,)]
        lengths: Of upper arm, forearm and hand. [m]
        shoulder: [m, (3,)]
    """

    side: float
    upper: int
    lower: int | None
    along: np.ndarray
    hinge: np.ndarray
    lengths: tuple[float, float, float]
    shoulder: np.ndarray


def arms_of(rig: Rig) -> list[Arm]:
    """Left and right arm, those that there are."""
    result = []
    for side, sign in (("left", 1.0), ("right", -1.0)):
        uppers, lowers, hands = (joints_of(rig, f"{side}_arm_{part}") for part in ("upper", "lower", "foot"))
        if not uppers:
            continue
        points = [rig.positions[uppers[0]], rig.positions[lowers[0]] if lowers else rig.tails[uppers[0]]]
        last = uppers[0]
        if lowers:
            points.append(rig.positions[hands[0]] if hands else rig.tails[lowers[0]])
            last = lowers[0]
        bones = np.diff(np.array(points, float), axis=0)
        upper, fore = bones[0], bones[-1]
        hand = float(np.linalg.norm(rig.tails[hands[0]] - rig.positions[hands[0]])) if hands else 0.0
        # X of an arm that hangs, carried along as the arm is raised: how an elbow bends whatever the rest pose
        hinge = about(unit(np.cross(_DOWN, upper)), np.array(math.acos(float(np.clip(unit(upper) @ _DOWN, -1, 1)))), np.array([1.0, 0.0, 0.0]))
        lengths = (float(np.linalg.norm(upper)), float(np.linalg.norm(fore)) if last != uppers[0] else 1e-6, hand)
        result.append(Arm(sign, uppers[0], lowers[0] if lowers else None, np.stack([unit(upper), unit(fore)]), hinge, lengths, points[0].astype(float)))
    return result


def place_arm(arm: Arm, upper: np.ndarray, hinge: np.ndarray, flex: np.ndarray, local: np.ndarray) -> None:
    """Point an arm's bones; the elbow bends no further than elbows do.

    Parameters:
        upper: Direction of the upper arm in the frame of what the arm hangs from. [(F, 3)]
        hinge: The elbow's axis: the forearm is the upper arm turned about it backward. [(F, 3)]
        flex: Bend of the elbow, 0 = straight. [rad, (F,)]
        local: Written in place. [(F, J, 3, 3)]
    """
    turn = frame(upper, hinge) @ frame(arm.along[0], arm.hinge).T
    local[:, arm.upper] = turn
    if arm.lower is not None:
        rest = math.acos(float(np.clip(arm.along[0] @ arm.along[1], -1, 1)))
        flex = np.clip(flex, max(rest - _OPEN, 0.02), rest + _CLOSE)
        hinge = unit(hinge - (hinge * upper).sum(-1, keepdims=True) * upper)
        local[:, arm.lower] = turn.transpose(0, 2, 1) @ frame(about(hinge, -flex, upper), hinge) @ frame(arm.along[1], arm.hinge).T


def reach(arm: Arm, toward: np.ndarray, elbow: np.ndarray, flex: np.ndarray, local: np.ndarray) -> None:
    """Point the wrist of a bent arm; directions are those of a left arm.

    Parameters:
        toward: Direction from the shoulder to the wrist. [(F, 3)]
        elbow: Where the elbow is off that line. [(F, 3)]
        flex: Bend of the elbow, 0 = straight. [rad, (F,)]
    """
    mirror = np.array([arm.side, 1.0, 1.0])
    toward, elbow = unit(toward * mirror), elbow * mirror
    hinge = unit(np.cross(toward, elbow))
    a, b, _ = arm.lengths
    inner = np.arctan2(b * np.sin(flex), a + b * np.cos(flex))
    place_arm(arm, about(hinge, inner, toward), hinge, flex, local)


def hang(arm: Arm, local: np.ndarray, flex: float = 0.25) -> None:
    """Let an arm hang at the side."""
    count = len(local)
    reach(arm, np.tile([0.12, -1.0, 0.05], (count, 1)), np.tile(_BACK, (count, 1)), np.full(count, flex), local)


def dance(rig: Rig, style: Style, cycle: np.ndarray, root: Body, local: np.ndarray) -> None:
    """Arms go up and down in turn while the hips sway; the body has been moved already."""
    wave = 2 * np.pi * cycle
    root.yaw = root.yaw - 0.4 * style.twist * np.sin(wave)
    for arm in arms_of(rig):
        up = 0.5 + 0.5 * arm.side * np.cos(wave)
        rise = np.radians(-50 + 110 * _ease(up))
        out = np.stack([0.75 * np.cos(rise), np.sin(rise), 0.66 * np.cos(rise)], -1)
        elbow = np.tile([0.45, -1.0, -0.6], (len(cycle), 1))
        reach(arm, out, elbow, 1.35 - 0.5 * up, local)


def punch(rig: Rig, style: Style, cycle: np.ndarray, height: float, root: Body, local: np.ndarray) -> None:
    """Straight punches in turn out of a guard, the left one at phase 0; the trunk turns with the fist."""
    out = {side: _strike(cycle + lead) for side, lead in ((1.0, 0.0), (-1.0, 0.5))}
    twist = style.twist * (out[-1.0] - out[1.0]) - 0.2
    root.yaw = root.yaw + 0.4 * twist
    root.ahead = root.ahead + 0.03 * height * (out[1.0] + out[-1.0])
    root.pitch = root.pitch + 0.05 + 0.05 * (out[1.0] + out[-1.0])
    spine, head = joints_of(rig, "spine", "chest"), joints_of(rig, "neck", "head")
    for joint in spine:
        local[:, joint] = turn_y(0.6 * twist / len(spine))
    for joint in head:
        local[:, joint] = turn_x(np.full_like(cycle, 0.12 / len(head))) @ turn_y(-twist / len(head))
    for arm in arms_of(rig):
        go = out[arm.side]
        # the chest is turned: the fist goes where the body faces
        ahead = (turn_y(-twist) @ np.array([0.0, 0.02, 1.0])) * (arm.side, 1, 1) + np.array([-0.1, 0.0, 0.0])
        guard, elbow = np.array([-0.18, 0.38, 1.0]), np.array([0.35, -1.0, -0.1])
        wide = np.array([0.8, -0.7, 0.0])
        reach(arm, _mix(unit(guard), unit(ahead), go), _mix(elbow, wide, go), 2.25 - 2.15 * go, local)


def wave(rig: Rig, style: Style, cycle: np.ndarray, local: np.ndarray) -> None:
    """The right arm is raised and its forearm swings; the other arm hangs."""
    swing = style.wave * np.cos(2 * np.pi * cycle)
    spine, head = joints_of(rig, "spine", "chest"), joints_of(rig, "neck", "head")
    for joint in spine:
        local[:, joint] = turn_z(np.full_like(cycle, 0.05 / len(spine)))
    for joint in head:
        local[:, joint] = turn_z((-0.1 + 0.03 * np.cos(2 * np.pi * cycle)) / len(head)) @ turn_x(np.full_like(cycle, -0.05 / len(head)))
    for arm in arms_of(rig):
        if arm.side > 0:
            hang(arm, local)
            continue
        upper = np.tile(unit(np.array([-0.8, 0.3, 0.5])), (len(cycle), 1))
        # the forearm swings in a plane halfway between the side and the front, to be seen from both
        fore = np.stack([-0.66 * np.sin(swing), np.cos(swing), 0.75 * np.sin(swing)], -1)
        fore = unit(fore)
        place_arm(arm, upper, unit(np.cross(fore, upper)), np.arccos(np.clip((fore * upper).sum(1), -1, 1)), local)


def eat(rig: Rig, style: Style, cycle: np.ndarray, root: Body, local: np.ndarray, legs: float, corners: np.ndarray) -> None:
    """Head and neck go down to the ground, or near it, and nod there; upright bodies bend less and take a hand to the mouth.

    Parameters:
        legs: Height of the shoulders above the ground. [m]
        corners: Of the bones' cuboids, relative to their joint. [m, (J, 8, 3)]
    """
    # stays longer near the ground than above it
    down = 1 - style.nod * (0.5 - 0.5 * np.cos(2 * np.pi * cycle)) ** 1.6
    arms = arms_of(rig)
    upright = _upright(rig)
    if upright and arms:
        _eat_by_hand(rig, arms, cycle, root, local)
    else:
        lowest = _solve(rig, upright, legs, local, corners)
        root.pitch = root.pitch + _bow(rig, lowest * down, upright, legs, local)
    for joint in joints_of(rig, "jaw"):
        local[:, joint] = turn_x(0.1 * (1 - np.cos(4 * np.pi * cycle)))


def _eat_by_hand(rig: Rig, arms: list[Arm], cycle: np.ndarray, root: Body, local: np.ndarray) -> None:
    bite = _ease(0.5 + 0.5 * np.cos(2 * np.pi * cycle))
    spine, neck, head = joints_of(rig, "spine", "chest"), joints_of(rig, "neck"), joints_of(rig, "head")
    root.pitch = root.pitch + 0.08
    for joints, angle in ((spine, 0.2 + 0.06 * bite), (neck + head, 0.3 + 0.15 * bite)):
        for joint in joints:
            local[:, joint] = turn_x(angle / len(joints))
    top = head[0] if head else neck[-1]
    size = float(np.linalg.norm(rig.tails[top] - rig.positions[top]))
    mouth = rig.positions[top] + 0.3 * (rig.tails[top] - rig.positions[top]) + np.array([0.0, -0.1 * size, 0.75 * size])
    for arm in arms:
        a, b, hand = arm.lengths
        way = (mouth - arm.shoulder) * (arm.side, 1, 1)
        distance = np.clip(np.linalg.norm(way) - 0.5 * hand, abs(a - b) + 1e-6, a + b)
        bent = math.acos(float(np.clip((distance**2 - a * a - b * b) / (2 * a * b), -1, 1)))
        go = bite if arm.side < 0 else np.zeros_like(bite)
        low = unit(np.array([-0.25, -0.7, 0.75]))
        elbow = _mix(np.array([0.5, -0.3, -1.0]), np.array([1.0, -0.9, 0.0]), go)
        reach(arm, _mix(low, unit(way), go), elbow, 1.35 + (bent - 1.35) * go, local)


def _upright(rig: Rig) -> bool:
    """Whether the trunk stands up, as that of humans."""
    spine = joints_of(rig, "chest", "spine")
    if not spine:
        return False
    along = rig.tails[spine[-1]] - rig.positions[0]
    return float(along[1]) > 0.75 * float(np.linalg.norm(along))


def _solve(rig: Rig, upright: bool, legs: float, local: np.ndarray, corners: np.ndarray) -> float:
    """How far to bow so that the head just clears the ground; all the way if it cannot reach it. [0..1]"""
    steps = np.linspace(0, 1, 33)
    trial = np.broadcast_to(local[:1], (len(steps), *local.shape[1:])).copy()
    pitch = _bow(rig, steps, upright, legs, trial)
    turns, joints = forward(rig, turn_x(pitch), np.tile(rig.positions[0].astype(float), (len(steps), 1)), trial)
    mouth = [j for j in range(rig.joint_count) if rig.roles[j] in ("head", "jaw", "other") and _descends(rig, j, joints_of(rig, "head"))]
    mouth = mouth or joints_of(rig, "head", "neck")
    heights = lowest(corners, turns, joints, mouth).min(1)
    ground = 0.02 * float(rig.positions[:, 1].max())
    low = np.flatnonzero(heights < ground)
    return float(steps[max(low[0] - 1, 0)]) if len(low) else float(steps[int(np.argmin(heights))])


def _bow(rig: Rig, amount: np.ndarray, upright: bool, legs: float, local: np.ndarray) -> np.ndarray:
    """Pitch of the root (F,) for a bow of 0..1 (F,); writes the local turns of spine, neck and head."""
    spine, neck, head = joints_of(rig, "spine", "chest"), joints_of(rig, "neck"), joints_of(rig, "head")
    fore = any("_fore_" in role for role in rig.roles)
    ahead = max(float(np.max(rig.positions[:, 2]) - rig.positions[0, 2]), 1e-6)
    most = min(0.28, 0.3 * legs / ahead) if fore else 0.5 if upright else 0.6
    root = most * amount
    bent = (0.6 if upright else 0.2) * amount
    for joint in spine:
        local[:, joint] = turn_x(bent / len(spine))
    curl = min(0.95 * len(neck), 2.6) * amount
    for joint in neck:
        local[:, joint] = turn_x(curl / len(neck))
    for joint in head:
        along = rig.tails[joint] - rig.positions[joint]
        rest = math.atan2(-float(along[1]), math.hypot(float(along[0]), float(along[2])))
        # the muzzle points down in the end, whatever the neck does
        local[:, joint] = turn_x(np.clip((math.radians(70) - rest) * amount - root - bent - curl, -0.95, 0.95))
    return root


def _descends(rig: Rig, joint: int, ancestors: list[int]) -> bool:
    while joint > 0:
        if joint in ancestors:
            return True
        joint = int(rig.parents[joint])
    return False


def _strike(cycle: np.ndarray) -> np.ndarray:
    """A punch's way out and back: fast, once a cycle around phase 0. [0..1]"""
    away = np.abs(cycle - np.round(cycle))
    return _ease(1 - np.clip((away - 0.03) / 0.19, 0, 1))


def _ease(share: np.ndarray) -> np.ndarray:
    return share * share * (3 - 2 * share)


def _mix(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    return a + share[:, None] * (b - a)
