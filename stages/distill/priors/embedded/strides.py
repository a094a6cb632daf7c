"""How the feet of a clip step: contacts, the speed that lets standing feet stand, phases, and where a cycle begins."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from schemas import roles
from schemas.motion import Motion
from schemas.rig import Rig
from stages.body import skinning
from stages.body.kinematics import Pose, Skeleton, pose_of

from .bodies import Body

_SOLE = 0.12  # of the hip height: kernels of a foot this close to its lowest one are its sole
_LOW = 0.04  # of the hip height: a sole this close to where it usually lies is on the ground
_USUAL = 0.15  # quantile of a sole's height: where it usually lies (the lowest is where the toe digs in as it leaves)
_SEAM, _MISSING = 0.5, 0.12  # of the mean range of the joints, of the clip's length: more between last and first pose is no loop
_PARTS = (4, 3, 2)  # strides that a loop may hold
_SAME = 0.4  # of the range of the joints: a loop repeats itself after a part of it
_FASTEST_STRIDE = 0.25  # s


@dataclasses.dataclass(frozen=True)
class Strides:
    """Measures of a clip whose body heads along +Z.

    Attributes:
        legs: Names, as "left_hind", which is the first if there is one. [(L,)]
        height: Hip above the ground at rest. [m]
        contacts: Whether each sole is low and goes backward: the ground carries it. [(F, L)]
        velocity: Of each sole along +Z, as seen from a body that moves steadily. [m/s, (F, L)]
        carried: How fast the clip itself moves the root forward, 0 on the spot. [hip heights/s]
        period: Of one stride. [s]
        speed: Of the body at which the feet on the ground stand still. [hip heights/s]
        duty: Share of time that a foot is on the ground.
        leads: How much earlier than the first leg each leg comes down. [cycles]
        touchdown: When the first leg comes down. [s]
        landing: When it comes down after its longest flight. [s]
        ground: Lowest sole of the clip. [m]
        rise: How far the lowest sole of all legs rises above that. [m]
        lame: Least share that the swing of a foot has of that of its other side.
    """

    legs: list[str]
    height: float
    contacts: np.ndarray
    velocity: np.ndarray
    carried: float
    period: float
    speed: float
    duty: float
    leads: dict[str, float]
    touchdown: float
    landing: float
    ground: float
    rise: float
    lame: float

    def slide(self, speed: float) -> float:
        """Mean speed of the feet on the ground when the body moves at `speed`, over it; in hip heights/s where it is 0."""
        moving = np.abs(self.velocity / self.height + speed)[self.contacts]
        mean = float(moving.mean()) if len(moving) else 0.0
        return mean / speed if speed > 0 else mean


def close(rig: Rig, motion: Motion) -> tuple[Motion, bool]:
    """A clip made to end in the pose it began with, if it nearly does, and whether it does.

    Many clips leave out the last key of their loop. The way back to the first pose is added at the clip's own pace.
    """
    joints = pose_of(motion, Skeleton.from_rig(rig, dtype=torch.float64)).joints.numpy()
    travel = (joints[-1, :1] - joints[0, :1]) * (1, 0, 1)
    gap = float(np.linalg.norm(joints[-1] - joints[0] - travel, axis=-1).mean())
    pace = float(np.linalg.norm(np.diff(joints, axis=0), axis=-1).mean())
    count = round(gap / pace) if pace > 0 else 0
    if gap > _SEAM * float(np.ptp(joints, axis=0).mean()) or count > _MISSING * len(joints):
        return motion, False
    if not count:
        return motion, True
    share = (np.arange(1, count + 1) / count)[:, None]
    first, last = motion.angles[0].astype(np.float64), motion.angles[-1].astype(np.float64)
    first = first + 2 * np.pi * np.round((last - first) / (2 * np.pi))
    turns = motion.root_rotations.astype(np.float64)
    ends = turns[-1], turns[0] * (1 if turns[0] @ turns[-1] >= 0 else -1)
    bridge = (1 - share) * ends[0] + share * ends[1]
    # the ground covered goes on, the height returns
    start, stop = motion.root_positions[[0, -1]].astype(np.float64)
    goal = np.array([stop[0], start[1], stop[2]]) if np.linalg.norm(travel) > gap else start
    return dataclasses.replace(
        motion,
        angles=np.concatenate([motion.angles, (1 - share[..., None]) * last + share[..., None] * first]),
        root_positions=np.concatenate([motion.root_positions, (1 - share) * stop + share * goal]),
        root_rotations=np.concatenate([turns, bridge / np.linalg.norm(bridge, axis=1, keepdims=True)]),
    ), True


def measure(body: Body, motion: Motion) -> Strides | None:
    """Measure a clip; None where the rig has no legs.

    Contacts are judged by each sole's own usual height, as clips of artists float or sink a little.
    """
    feet = _feet(body)
    if not feet:
        return None
    names, rig = list(feet), body.rig
    skeleton = Skeleton.from_rig(rig, dtype=torch.float64)
    pose = pose_of(motion, skeleton)
    soles = [_posed(body, kernels, pose) for _, kernels in feet.values()]
    ground = float(body.means[np.concatenate([kernels for _, kernels in feet.values()]), 1].min())
    height = max(min(float(rig.positions[hip, 1]) for hip, _ in feet.values()) - ground, 1e-6)
    heights = np.stack([points[..., 1].min(1) for points in soles], 1)
    places = np.stack([points[..., 2].mean(1) for points in soles], 1)
    carried = float(motion.root_positions[-1, 2] - motion.root_positions[0, 2]) * motion.fps / (motion.frame_count - 1)
    places -= carried * np.arange(motion.frame_count)[:, None] / motion.fps
    velocity = np.gradient(places, axis=0) * motion.fps
    contacts = (heights < np.quantile(heights, _USUAL, axis=0) + _LOW * height) & (velocity < 0)
    period = _period(pose.joints.numpy(), motion.fps)
    starts = [_touchdown(contacts[:, leg], places[:, leg], motion.fps) for leg in range(len(names))]
    return Strides(
        legs=names,
        height=height,
        contacts=contacts,
        velocity=velocity,
        carried=carried / height,
        period=period,
        speed=-float(np.median(velocity[contacts])) / height if contacts.any() else 0.0,
        duty=float(contacts.mean()),
        leads={name: (starts[0] - start) / period % 1 for name, start in zip(names, starts, strict=True)},
        touchdown=starts[0],
        landing=_landing(heights[:, 0], height, motion.fps),
        ground=float(heights.min()),
        rise=float(np.ptp(heights.min(1))),
        lame=_lame(dict(zip(names, np.ptp(places, axis=0), strict=True))),
    )


def fast_gait(strides: Strides) -> str:
    """What a fast gait of four legs is: running (a trot, left and right half a cycle apart) or galloping (pairs nearly together)."""
    apart = []
    for pair in ("hind", "fore"):
        sides = [strides.leads.get(f"{side}_{pair}") for side in ("left", "right")]
        if None not in sides:
            lag = abs(sides[0] - sides[1]) % 1
            apart.append(min(lag, 1 - lag))
    return "running" if apart and float(np.mean(apart)) > 0.33 else "galloping"


def _feet(body: Body) -> dict[str, tuple[int, np.ndarray]]:
    """Hip joint and kernels of the sole of each leg, the left hind one first."""
    limbs: dict[str, list[int]] = {}
    for joint, role in enumerate(body.rig.roles):
        parts = roles.limb(role)
        if parts and roles.is_leg(role):
            limbs.setdefault(f"{parts[0]}_{parts[1]}", []).append(joint)
    result, owner, level = {}, body.weights.argmax(1), body.means[:, 1]
    for name in sorted(limbs, key=lambda name: (name != "left_hind", name)):
        joints = limbs[name]
        uppers = [j for j in joints if body.rig.roles[j].endswith("_upper")] or joints
        kernels = np.flatnonzero(np.isin(owner, joints))
        if len(kernels):
            low = level[kernels].min() + _SOLE * max(body.rig.positions[uppers[0], 1] - level[kernels].min(), 0)
            result[name] = uppers[0], kernels[level[kernels] <= low]
    return result


def _posed(body: Body, kernels: np.ndarray, pose: Pose) -> np.ndarray:
    """World positions of some kernels. [m, (F, N, 3)]"""
    means, weights = (torch.from_numpy(v[kernels].astype(np.float64)) for v in (body.means, body.weights))
    return skinning.skin_points(means, weights, pose).numpy()


def _period(joints: np.ndarray, fps: float) -> float:
    """Of one stride: the length of the clip, or a part of it after which the pose repeats. [s]"""
    count = len(joints) - 1
    local = joints - joints[:, :1] * (1, 0, 1)
    spread = np.ptp(local, axis=0).mean()
    for parts in _PARTS:
        shift = round(count / parts)
        if shift / fps >= _FASTEST_STRIDE and np.linalg.norm(local[shift:] - local[:-shift], axis=-1).mean() < _SAME * spread:
            return count / parts / fps
    return count / fps


def _touchdown(down: np.ndarray, places: np.ndarray, fps: float) -> float:
    """When a foot comes down: the start of its longest time on the ground, around the loop. [s]"""
    runs = _runs(down[:-1])
    start = max(runs, key=lambda run: run[1])[0] if runs else int(places.argmax())
    return start / fps


def _landing(heights: np.ndarray, height: float, fps: float) -> float:
    """End of a foot's longest time in the air. [s]"""
    air = heights[:-1] > np.quantile(heights, _USUAL) + _LOW * height
    runs = _runs(air)
    if not runs:
        return 0.0
    start, length = max(runs, key=lambda run: run[1])
    return (start + length) % len(air) / fps


def _lame(swings: dict[str, float]) -> float:
    """The least ratio of a foot's swing to that of its other side."""
    ratios = [1.0]
    for name, swing in swings.items():
        other = swings.get(name.replace("left", "right"), swing)
        ratios.append(min(swing, other) / max(swing, other, 1e-9))
    return float(min(ratios))


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """Start and length of the runs of True around a circle; none where all are alike."""
    starts = np.flatnonzero(mask & ~np.roll(mask, 1))
    return [(int(start), int(np.argmin(np.roll(mask, -start)))) for start in starts]
