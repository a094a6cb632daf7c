"""Metrics of feet on the ground: contact times, duty factor, stride frequency, footfall phases, slide, treadmill speed.

Two notions of contact are kept apart. `on_ground` asks for the true ground, y = 0: slide and contact share need it.
`stances` asks for what a foot does in a stride, low and not swinging forward: timing needs it, also of motions whose
feet hover, sink or slip, and of clips that were made to run on the spot.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from .trajectory import Trajectory

TOLERANCE = 0.05
"""A foot within this height is down. [hip heights]"""

_HOVER = 0.25  # a foot that never comes lower than this is not walked on [hip heights]
_RATE = 128.0  # of the resampled foot signals: 16 frames a second are too few for a duty factor [Hz]
_BRIEF = 0.05  # shorter contacts and gaps are noise [s]
_CREEP = 0.25  # a foot may drift forward this slowly and still stand [hip heights / s]


@dataclasses.dataclass(frozen=True)
class Stances:
    """When each foot bears the body.

    Attributes:
        times: Even samples from the first to the last frame. [s, (N,)]
        down: [bool, (N, L)]
    """

    times: np.ndarray
    down: np.ndarray


def sole_heights(soles: list[np.ndarray]) -> np.ndarray:
    """Lowest corner of each foot above the ground. [m, L x (F, C, 3) -> (F, L)]"""
    return np.stack([foot[..., 1].min(1) for foot in soles], 1)


def lift(soles: list[np.ndarray], height: float) -> float:
    """How high all feet are at once, at most, each above its own lowest point. [hip heights, >= 0]"""
    heights = sole_heights(soles)
    return float((heights - heights.min(0)).min(1).max() / height)


def pair_lift(soles: list[np.ndarray], names: list[str], height: float) -> float:
    """The `lift` of the two feet of a pair, in the pair where it is least; of all feet where no legs are paired. [hip heights, >= 0]"""
    right = {name.replace("right_", "left_"): foot for name, foot in zip(names, soles, strict=True) if name.startswith("right_")}
    pairs = [[foot, right[name]] for name, foot in zip(names, soles, strict=True) if name in right]
    return min((lift(pair, height) for pair in pairs), default=lift(soles, height))


def on_ground(soles: list[np.ndarray], height: float, tolerance: float = TOLERANCE) -> np.ndarray:
    """Whether each foot is within `tolerance` hip heights of the ground y = 0, or below it. [bool, (F, L)]"""
    return sole_heights(soles) < tolerance * height


def contact_share(soles: list[np.ndarray], height: float) -> float:
    """Mean share of the steps between frames at whose both ends a foot is on the ground. [0..1]"""
    on = on_ground(soles, height)
    return float((on[1:] & on[:-1]).mean()) if len(on) > 1 else 0.0


def slide_speeds(soles: list[np.ndarray], height: float, fps: float) -> np.ndarray:
    """Horizontal speeds of feet on the ground, one per foot and step between frames in contact. [m/s, (K,)]

    A foot turns about its lowest corner, so that corner must stay where it is.
    """
    speeds = []
    for foot in soles:
        low = foot[..., 1].argmin(1)
        frames = np.arange(len(foot) - 1)
        here, later = foot[frames, low[:-1]], foot[frames + 1, low[:-1]]
        on = (here[:, 1] < TOLERANCE * height) & (later[:, 1] < TOLERANCE * height)
        speeds.append(np.linalg.norm((later - here)[:, [0, 2]], axis=1)[on] * fps)
    return np.concatenate(speeds) if speeds else np.zeros(0)


def foot_slide(soles: list[np.ndarray], height: float, fps: float, speed: float) -> float:
    """Mean speed of feet on the ground over the body's speed; where the body stands still, in m/s. [>= 0]

    0 is a planted foot, 1 a foot dragged along with the body. Also 0 where no foot is ever on the ground: see `contact_share`.
    """
    speeds = slide_speeds(soles, height, fps)
    mean = float(speeds.mean()) if len(speeds) else 0.0
    return mean / speed if speed > 0.05 * height else mean


def stance_slide(trajectory: Trajectory, speed: float) -> float:
    """`foot_slide` of feet that bear the body instead of all that are near the ground: swinging feet that skim it do not count. [>= 0]"""
    steps, _ = _stance_steps(trajectory)
    mean = float(np.linalg.norm(steps[:, [0, 2]], axis=1).mean() * trajectory.fps) if len(steps) else 0.0
    return mean / speed if speed > 0.05 * trajectory.height else mean


def treadmill_speed(trajectory: Trajectory) -> float:
    """Speed of the belt under a body that runs on the spot. [m/s, >= 0]

    Artists' clips mostly keep the body in place and let standing feet run backward. The speed is the median backward
    speed of the lowest corner of feet in stance: 0 for planted feet under a body that covers ground.
    """
    steps, ahead = _stance_steps(trajectory)
    belt = float(np.median(-(steps * ahead).sum(1)) * trajectory.fps) if len(steps) else 0.0
    return belt if belt > 0.1 * trajectory.height else 0.0


def _stance_steps(trajectory: Trajectory) -> tuple[np.ndarray, np.ndarray]:
    """Steps from frame to frame of the lowest corners of feet in stance [m, (K, 3)], and the headings there [(K, 3)]."""
    if trajectory.frame_count < 4 or not trajectory.soles:
        return np.zeros((0, 3)), np.zeros((0, 3))
    found, frames = stances(trajectory), np.arange(trajectory.frame_count - 1)
    middle = np.searchsorted(found.times, (frames + 0.5) / trajectory.fps)
    steps, ahead = [], []
    for leg, foot in enumerate(trajectory.soles):
        low, on = foot[:-1, :, 1].argmin(1), found.down[middle, leg]
        steps.append((foot[frames + 1, low] - foot[frames, low])[on])
        ahead.append(trajectory.ahead[:-1][on])
    return np.concatenate(steps), np.concatenate(ahead)


def stances(trajectory: Trajectory) -> Stances:
    """When each foot bears the body: it is low, and it does not swing forward relative to its hip.

    Low means within `TOLERANCE`, or a tenth of the foot's own range, of the ground, or of the level where the foot
    mostly is while it does not swing. The signals are interpolated by cubic splines, so that events fall between frames.
    """
    height, fps = trajectory.height, trajectory.fps
    if trajectory.frame_count < 4 or not trajectory.soles:
        on = on_ground(trajectory.soles, height) if trajectory.soles else np.zeros((trajectory.frame_count, 0), bool)
        return Stances(np.arange(trajectory.frame_count) / fps, on)
    times, low = _resampled(sole_heights(trajectory.soles) / height, fps, 0)
    along = [((foot.mean(1) - hip) * trajectory.ahead).sum(1) for foot, hip in zip(trajectory.soles, trajectory.hips.swapaxes(0, 1), strict=True)]
    forward = _resampled(np.stack(along, 1) / height, fps, 1)[1]
    back = forward < np.maximum(_CREEP, 0.2 * np.abs(forward).mean(0))
    # where a foot that does not swing mostly is: one that dips when it pushes off would set its lowest point
    floor = np.array([max(np.quantile(foot[on], 0.3), 0.0) if on.any() else 0.0 for foot, on in zip(low.T, back.T, strict=True)])
    near = low < floor + np.maximum(TOLERANCE, 0.1 * (low.max(0) - floor))
    return Stances(times, _without_brief(near & (floor < _HOVER) & back, times[1] - times[0]))


def _resampled(values: np.ndarray, fps: float, derivative: int) -> tuple[np.ndarray, np.ndarray]:
    """Times at `_RATE` and the cubic spline through `values` there, or its derivative by time. [(F, L) -> s (N,), (N, L)]"""
    from scipy.interpolate import CubicSpline

    frames = np.arange(len(values)) / fps
    times = np.linspace(0, frames[-1], max(round(frames[-1] * _RATE), 1) + 1)
    return times, CubicSpline(frames, values)(times, derivative)


def _without_brief(down: np.ndarray, step: float) -> np.ndarray:
    """Majority over a window: single flickers go. [bool, (N, L)]"""
    half = max(round(0.5 * _BRIEF / step), 1)
    padded = np.pad(down.astype(float), ((half, half), (0, 0)), mode="edge")
    total = np.cumsum(np.vstack([np.zeros(down.shape[1]), padded]), axis=0)
    return total[2 * half + 1 :] - total[: -2 * half - 1] > half + 0.5


def contact_times(found: Stances) -> list[list[tuple[float, float]]]:
    """Touchdown and lift-off of every contact of each foot; the clip's ends cut contacts off. [s, L lists]"""
    step = float(found.times[1] - found.times[0]) if len(found.times) > 1 else 0.0
    result = []
    for down in found.down.T:
        edges = np.flatnonzero(np.diff(np.concatenate([[False], down, [False]]).astype(int)))
        result.append([(float(found.times[a]), float(found.times[b - 1]) + step) for a, b in edges.reshape(-1, 2)])
    return result


def duty_factors(found: Stances, period: float) -> np.ndarray:
    """Share of a stride that each foot bears the body, over as many whole periods as there are. [0..1, (L,)]

    Alexander, Principles of Animal Locomotion (2003): walking feet have more than 0.5, running feet less.
    """
    last = float(found.times[-1])
    whole = np.floor(last / period + 0.1) * period if period > 0 else 0.0
    inside = found.times <= (whole if whole > 0 else last) + 1e-9
    return found.down[inside].mean(0)


def touchdowns(found: Stances) -> list[np.ndarray]:
    """Times at which each foot comes down, without feet that are down from the start. [s, L arrays]"""
    return [np.array([start for start, _ in contacts if start > 0]) for contacts in contact_times(found)]


def stride_frequency(found: Stances) -> float:
    """Strides per second from successive touchdowns of the same foot, the median; 0 where no foot comes down twice. [Hz]"""
    gaps = [after - before for times in touchdowns(found) for before, after in itertools.pairwise(times)]
    return float(1 / np.median(gaps)) if gaps else 0.0


def footfall_leads(found: Stances, period: float) -> np.ndarray:
    """Phase lead of each foot by its footfalls, NaN where it never comes down. [cycles 0..1, (L,)]

    The circular mean over touchdowns at time t of -t / period: a foot that comes down earlier leads.
    """
    leads = []
    for times in touchdowns(found):
        mean = np.exp(-2j * np.pi * times / period).sum() if period > 0 else 0.0
        leads.append(np.angle(mean) / (2 * np.pi) % 1 if abs(mean) > 1e-9 else np.nan)
    return np.array(leads)
