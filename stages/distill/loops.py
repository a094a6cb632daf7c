"""The cycle of a motion: its period, a basis of that period, and what jumps where the cycle starts again."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch

from schemas.rig import Rig
from stages.body.kinematics import Pose

from .gaits import legs_of

LEAST = 5  # frames of the shortest cycle
_SEARCHED = 2  # harmonics in the search of the period
_RIDGE = 0.01  # on the harmonics' squared order; without it, twice the period fits as well
_STEP = 0.125  # of the search [frames]
_LONGER = 1.0  # cycles longer than the clip are not seen whole, so they are not looked for
_TIE = 0.03  # of the variance: periods that explain nearly as much as the best are preferred if shorter
_EXPLAINED, _SWING = 0.6, 0.03  # of the variance; rad rms: a motion below is no cycle


@dataclasses.dataclass(frozen=True)
class Cycle:
    """What was found.

    Attributes:
        period: [frames]
        explained: Share of the curves' variance that two harmonics of it explain. [0..1]
        peak: Frame, 0 <= peak < period, at which the first curve's fundamental is largest. [frames]
        found: Whether that is a cycle; else `period` is the length of the clip.
    """

    period: float
    explained: float
    peak: float
    found: bool


def leg_curves(rig: Rig, pose: Pose) -> np.ndarray:
    """Angle of each leg from hip to foot, forward of the vertical, of a body that walks along +Z; hind legs first. [rad, (F, L)]

    These are the cleanest sines of a gait; knees bend twice in a cycle.
    """
    legs = sorted(legs_of(rig), key=lambda leg: (not leg.name.endswith("hind"), leg.name))
    tails = torch.as_tensor(rig.tails, dtype=pose.joints.dtype, device=pose.joints.device)
    curves = []
    for leg in legs:
        last = [joint for joint in leg.joints if joint is not None][-1]
        foot = pose.rotations[:, last] @ tails[last] + pose.translations[:, last]
        reach = (foot - pose.joints[:, leg.joints[0]]).detach().double().cpu().numpy()
        down = np.maximum(-reach[:, 1], 0.2 * np.linalg.norm(reach, axis=1))  # a folded leg does not send the angle round
        curves.append(np.arctan2(reach[:, 2], np.maximum(down, 1e-9)))
    return np.stack(curves, 1) if curves else np.zeros((len(pose.joints), 0))


def find_cycle(curves: np.ndarray) -> Cycle:
    """The period whose first harmonics fit best, by search. [(F, C), such as from `leg_curves`]"""
    frames = len(curves)
    centred = curves - curves.mean(0) if curves.size else curves
    total = float((centred**2).sum())
    none = Cycle(float(frames), 0.0, 0.0, False)
    if frames < LEAST + 1 or not curves.size or math.sqrt(total / centred.size) < _SWING:
        return none
    periods = np.arange(LEAST, _LONGER * frames + 1e-9, _STEP)
    misses = np.array([float(((curves - periodic_basis(np.arange(frames), p, _SEARCHED) @ fit(curves, p, _SEARCHED, _RIDGE)) ** 2).sum()) for p in periods])
    low = (misses <= misses.min() + _TIE * total) & _dips(misses)
    best = int(np.flatnonzero(low)[0]) if low.any() else int(misses.argmin())
    period, explained = float(periods[best]), 1 - float(misses[best]) / total
    if explained < _EXPLAINED:
        return dataclasses.replace(none, explained=explained)
    cosine, sine = fit(curves, period, _SEARCHED, _RIDGE)[1:3, 0]
    return Cycle(period, explained, float(math.atan2(sine, cosine) / (2 * math.pi) * period % period), True)


def _dips(values: np.ndarray) -> np.ndarray:
    """Where no neighbour is smaller. [(n,)]"""
    padded = np.concatenate([[np.inf], values, [np.inf]])
    return (values <= padded[:-2]) & (values <= padded[2:])


def harmonics(modes: int, window: int, period: float) -> int:
    """Harmonics of a cycle that reach as high as cosine modes over a window do; as high as frames allow for modes = 0."""
    most = max(1, (math.ceil(period) - 1) // 2)
    return most if modes == 0 else min(most, max(1, round(0.5 * (min(modes, window) - 1) * period / window)))


def periodic_basis(times: np.ndarray, period: float, count: int) -> np.ndarray:
    """Columns 1, cos and sin of 2 pi k t / P for k = 1..count. [frames (T,) -> (T, 2 count + 1)]"""
    waves = 2 * np.pi * np.outer(times, np.arange(1, count + 1)) / period
    return np.concatenate([np.ones((len(waves), 1)), np.stack([np.cos(waves), np.sin(waves)], 2).reshape(len(waves), -1)], 1)


def fit(curves: np.ndarray, period: float, count: int, ridge: float = 1e-3, *, middle: float = 0.0) -> np.ndarray:
    """Least-squares coefficients of `periodic_basis` at frames 0, 1, 2...

    Parameters:
        curves: [(F, ...)]
        middle: Frame that the basis counts from.
        ridge: Weight of each harmonic's squared order times its squared coefficient, against the mean square of the rest.

    Returns:
        [(2 count + 1, ...)]
    """
    frames = len(curves)
    design = periodic_basis(np.arange(frames) - middle, period, count)
    cost = np.repeat(np.arange(count + 1), 2)[1:].astype(float) ** 2
    flat = np.asarray(curves, np.float64).reshape(frames, -1)
    normal = design.T @ design + ridge * frames * np.diag(cost)
    return np.linalg.solve(normal, design.T @ flat).reshape(-1, *curves.shape[1:])


@dataclasses.dataclass(frozen=True)
class Seam:
    """What jumps where the last frame is followed by the first, travel taken out.

    Both ends are continued half a frame, where they meet, by the cubic through their four frames. What that cannot
    foresee it takes for a jump, within the clip as well: so the same is measured there.

    Attributes:
        angle: Largest jump of a joint angle or of the root's turn. [rad]
        rate: Largest jump of their velocities. [rad/s]
        shift: Jump of the root's position. [m]
        speed: Jump of its velocity. [m/s]
        inside: The largest `angle` where frames follow each other within the clip, NaN if it is too short. [rad]
    """

    angle: float
    rate: float
    shift: float
    speed: float
    inside: float

    def report(self) -> dict[str, float | None]:
        """Rounded, with units in the names."""
        inside = round(self.inside, 4) if math.isfinite(self.inside) else None
        return {"rad": round(self.angle, 4), "rad_inside": inside, "rad_s": round(self.rate, 3), "m": round(self.shift, 4), "m_s": round(self.speed, 3)}


def seam(angles: np.ndarray, vectors: np.ndarray, shifts: np.ndarray, fps: float) -> Seam:
    """Measure the seam of a clip.

    Parameters:
        angles: [rad, (F, J, 3)]
        vectors: Rotation vectors of the root. [rad, (F, 3)]
        shifts: Root positions without their mean travel. [m, (F, 3)]

    Raises:
        ValueError: Fewer than four frames.
    """
    frames = len(angles)
    if frames < 4:
        raise ValueError("a seam takes four frames")
    turns = np.concatenate([angles.reshape(frames, -1), vectors], 1).astype(np.float64)
    (turn, turn_rate), (shift, shift_rate) = (_jump(values) for values in (turns, np.asarray(shifts, np.float64)))
    inside = [float(np.abs(_jump(np.roll(turns, -k, 0))[0]).max()) for k in range(4, frames - 3)]  # frames k - 1 and k meet
    return Seam(
        float(np.abs(turn).max()), float(np.abs(turn_rate).max()) * fps, float(np.linalg.norm(shift)), float(np.linalg.norm(shift_rate)) * fps,
        max(inside, default=math.nan),
    )  # fmt: skip


def _jump(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Difference of value and slope per frame, of the start from the end. [(F, D) -> (D,) twice]"""
    ahead = np.vander([-3.0, -2, -1, 0], 4, increasing=True)
    end, start = np.linalg.solve(ahead, values[-4:]), np.linalg.solve(ahead, values[3::-1])  # the start runs backwards
    half = 0.5 ** np.arange(4)
    slope = np.array([0.0, 1, 1, 0.75])
    return half @ (start - end), -slope @ start - slope @ end
