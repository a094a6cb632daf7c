"""Which gait a motion shows, and how well its feet meet the ground; from joint motion alone, no images."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch

from schemas import roles
from schemas.errors import InputError
from schemas.motion import Motion
from schemas.rig import Rig
from stages.body import quaternion
from stages.body.kinematics import Pose, Skeleton, cuboid_corners, pose_of

TEMPLATES: dict[str, dict[str, float]] = {
    "walking": {"left_hind": 0.0, "left_fore": 0.75, "right_hind": 0.5, "right_fore": 0.25},
    "running": {"left_hind": 0.0, "left_fore": 0.5, "right_hind": 0.5, "right_fore": 0.0},
    "jumping": {"left_hind": 0.0, "left_fore": 0.4, "right_hind": 0.0, "right_fore": 0.4},
}
"""Phase leads of the feet in cycles: lateral-sequence walk, diagonal pairs, pairs together."""

STANDING_SWING = 0.2  # mean range of the legs' swing below which a body counts as standing [rad]
BRISK_PERIOD = 0.84  # two alternating legs: walking if a cycle takes longer, running if shorter [s]
PHASE_TOLERANCE = 0.12  # a pair of legs has the phase of a template if it is this close [cycles]
_PERIODS = (0.4, 1.4)  # searched [s]
_CONTACT = 0.05  # a foot within this height is on the ground [hip heights]
_PAIRS = {"fore": ("left_fore", "right_fore"), "hind": ("left_hind", "right_hind"), "left": ("left_hind", "left_fore")}


@dataclasses.dataclass(frozen=True)
class _Legs:
    names: list[str]
    hips: list[int]
    feet: list[list[int]]
    height: float


def analyse(rig: Rig, motion: Motion) -> dict[str, Any]:
    """Measure a motion. All values are JSON types.

    Returns:
        gait: "walking", "running", "jumping" or "standing"; scores: agreement of the leg phases with each template [0..1];
        period [s] and fit (share of the swing that one sine of that period explains, 0..1);
        legs: for each its swing (half range of the fitted sine), range [rad] and phase [cycles];
        phases: lead of right over left fore and hind leg and of the left fore over the left hind leg [cycles];
        distance [m] and distance_lengths (in rig lengths), speed [m/s], bob (range of the root's height) [m];
        slide: speed of feet on the ground over the speed of the root (m/s where the root stands still);
        contact: share of time that a foot is down; penetration: deepest cuboid corner [m]; floating: mean height of
        the lowest corner above the ground [m]; jerk: mean third derivative of joint positions [hip heights / s^3].

    Raises:
        InputError: The motion is not of this rig.
    """
    if list(motion.joint_names) != list(rig.joint_names):
        raise InputError(f"motion '{motion.name}' has other joints than rig '{rig.name}'.")
    skeleton = Skeleton.from_rig(rig, dtype=torch.float64)
    pose = pose_of(motion, skeleton)
    corners = cuboid_corners(skeleton, pose).numpy()
    root = motion.root_positions.astype(float)
    path = np.linalg.norm(np.diff(root[:, [0, 2]], axis=0), axis=1)
    distance = float(np.linalg.norm((root[-1] - root[0])[[0, 2]]))
    lowest = corners[..., 1].min((1, 2))
    legs = _legs(rig, skeleton)
    result: dict[str, Any] = {
        "gait": "standing", "scores": {}, "period": 0.0, "fit": 0.0, "legs": {}, "phases": {},
        "distance": distance, "distance_lengths": distance / max(rig.length, 1e-9), "speed": distance / max(motion.duration, 1e-9),
        "bob": float(np.ptp(root[:, 1])), "slide": 0.0, "contact": 0.0,
        "penetration": float(max(-lowest.min(), 0.0)), "floating": float(np.clip(lowest, 0, None).mean()), "jerk": _jerk(pose, motion.fps, legs),
    }  # fmt: skip
    if legs is None:
        result["gait"] = ""
        return _rounded(result)
    result |= _contacts(legs, corners, path, motion.fps)
    if motion.frame_count >= 6:
        result |= _phases(legs, _swing(legs, pose, corners, motion), motion.fps)
    return _rounded(result)


def phases_right(figures: dict[str, Any], gait: str) -> bool:
    """Whether every pair of legs that was measured has the phase of the gait's template."""
    if gait == "standing":
        return figures["gait"] == "standing"
    table = TEMPLATES[gait]
    wanted = {name: (table[b] - table[a]) % 1 for name, (a, b) in _PAIRS.items()}
    errors = [abs((lead - wanted[name] + 0.5) % 1 - 0.5) for name, lead in figures["phases"].items()]
    return bool(errors) and max(errors) < PHASE_TOLERANCE


def summary(figures: dict[str, Any]) -> str:
    """One or two lines for people."""
    phases = ", ".join(f"{name} {lead:.2f}" for name, lead in figures["phases"].items())
    swing = np.mean([leg["range"] for leg in figures["legs"].values()]) if figures["legs"] else 0.0
    gait = figures["gait"] or "no legs"
    cycle = f", period {figures['period']:.2f} s, phases {phases}" if gait not in ("standing", "no legs") else ""
    return (
        f"{gait}: legs swing {swing:.2f} rad{cycle}; {figures['distance']:.2f} m ({figures['distance_lengths']:.1f} lengths), "
        f"feet slide at {figures['slide']:.2f} of body speed, deepest {100 * figures['penetration']:.1f} cm, floating {100 * figures['floating']:.1f} cm"
    )


def _legs(rig: Rig, skeleton: Skeleton) -> _Legs | None:
    limbs: dict[str, list[int]] = {}
    for joint, role in enumerate(rig.roles):
        parts = roles.limb(role)
        if parts and roles.is_leg(role):
            limbs.setdefault(f"{parts[0]}_{parts[1]}", []).append(joint)
    if not limbs:
        return None
    hips, feet = [], []
    for joints in limbs.values():
        uppers = [j for j in joints if rig.roles[j].endswith("_upper")] or joints
        ends = [j for j in joints if rig.roles[j].endswith("_foot")] or joints[-1:]
        hips.append(uppers[0])
        feet.append(ends)
    heights = [float(rig.positions[hip, 1] - skeleton.corners[foot][..., 1].min()) for hip, foot in zip(hips, feet, strict=True)]
    return _Legs(list(limbs), hips, feet, max(min(heights), 1e-6))


def _swing(legs: _Legs, pose: Pose, corners: np.ndarray, motion: Motion) -> np.ndarray:
    """Angle of each leg from hip to foot ahead of the vertical, in the plane of the body's mean heading. [rad, (F, L)]"""
    turn = quaternion.to_matrix(torch.as_tensor(motion.root_rotations, dtype=torch.float64)).numpy()
    ahead = turn[:, :, 2].mean(0) * (1, 0, 1)
    ahead = ahead / max(float(np.linalg.norm(ahead)), 1e-9)
    joints = pose.joints.numpy()
    angles = []
    for hip, feet in zip(legs.hips, legs.feet, strict=True):
        reach = corners[:, feet].reshape(len(corners), -1, 3).mean(1) - joints[:, hip]
        angles.append(np.arctan2(reach @ ahead, -reach[:, 1]))
    return np.unwrap(np.stack(angles, 1), axis=0)


def _phases(legs: _Legs, swing: np.ndarray, fps: float) -> dict[str, Any]:
    """Fit one sine per leg with a common period, then compare the phases with the templates."""
    time = np.arange(len(swing)) / fps
    longest = min(_PERIODS[1], 1.25 * len(swing) / fps)
    best: tuple[float, float, np.ndarray] | None = None
    for period in np.arange(_PERIODS[0], longest, 1 / 32):
        wave = 2 * np.pi * time / period
        design = np.stack([np.cos(wave), np.sin(wave), np.ones_like(wave)], 1)
        fit = np.linalg.lstsq(design, swing, rcond=None)[0]
        residual = float(((swing - design @ fit) ** 2).sum())
        if best is None or residual < best[0]:
            best = residual, float(period), fit
    if best is None:
        return {}
    residual, period, fit = best
    size, lead = np.hypot(fit[0], fit[1]), np.arctan2(-fit[1], fit[0]) / (2 * np.pi)
    spread = np.ptp(swing, axis=0)
    total = float(((swing - swing.mean(0)) ** 2).sum())
    phase = dict(zip(legs.names, lead, strict=True))
    scores = _scores(legs.names, size, lead)
    return {
        "gait": _classify(legs.names, float(spread.mean()), period, scores),
        "scores": scores,
        "period": period,
        "fit": 1 - residual / total if total > 1e-12 else 0.0,
        "legs": {n: {"swing": float(size[k]), "range": float(spread[k]), "phase": float(lead[k] % 1)} for k, n in enumerate(legs.names)},
        "phases": {name: float((phase[b] - phase[a]) % 1) for name, (a, b) in _PAIRS.items() if a in phase and b in phase},
    }


def _scores(names: list[str], size: np.ndarray, lead: np.ndarray) -> dict[str, float]:
    known = [k for k, name in enumerate(names) if name in TEMPLATES["walking"]]
    share = size[known] / max(float(size[known].sum()), 1e-9)
    return {
        gait: float(abs((share * np.exp(2j * np.pi * (lead[known] - np.array([table[names[k]] for k in known])))).sum())) for gait, table in TEMPLATES.items()
    }


def _classify(names: list[str], spread: float, period: float, scores: dict[str, float]) -> str:
    if spread < STANDING_SWING:
        return "standing"
    four = any(name.endswith("fore") for name in names)
    if four:
        return max(scores, key=lambda gait: scores[gait])
    # two legs (or many): alternating legs walk or run by the time of a cycle
    if scores["jumping"] > scores["walking"]:
        return "jumping"
    return "running" if period < BRISK_PERIOD else "walking"


def _contacts(legs: _Legs, corners: np.ndarray, path: np.ndarray, fps: float) -> dict[str, float]:
    slides, down = [], []
    for feet in legs.feet:
        foot = corners[:, feet].reshape(len(corners), -1, 3)
        low = foot[..., 1].argmin(1)
        frames = np.arange(len(foot) - 1)
        here, later = foot[frames, low[:-1]], foot[frames + 1, low[:-1]]
        # the foot turns about its lowest corner: that corner must stay where it is
        on = (here[:, 1] < _CONTACT * legs.height) & (later[:, 1] < _CONTACT * legs.height)
        slides.append(np.linalg.norm((later - here)[:, [0, 2]], axis=1)[on])
        down.append(on.mean() if len(on) else 0.0)
    slide = np.concatenate(slides) * fps
    speed = float(path.mean() * fps) if len(path) else 0.0
    mean = float(slide.mean()) if len(slide) else 0.0
    return {"slide": mean / speed if speed > 0.05 * legs.height else mean, "contact": float(np.mean(down))}


def _jerk(pose: Pose, fps: float, legs: _Legs | None) -> float:
    joints = pose.joints.numpy()
    if len(joints) < 4:
        return 0.0
    return float(np.linalg.norm(np.diff(joints, 3, axis=0), axis=-1).mean() * fps**3 / (legs.height if legs else 1.0))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(entry) for key, entry in value.items()}
    return round(value, 4) if isinstance(value, float) else value
