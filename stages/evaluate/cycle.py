"""The cycle of a motion from the swing of its legs: period, phase and amplitude by a sine fit."""

from __future__ import annotations

import dataclasses

import numpy as np

PERIODS = (0.3, 3.2)
"""Periods that are searched. [s]"""

_DOWN = 0.2

PAIRS = {"fore": ("left_fore", "right_fore"), "hind": ("left_hind", "right_hind"), "left": ("left_hind", "left_fore")}
"""Pairs of legs whose phase lags are reported: the lead of the second over the first."""


@dataclasses.dataclass(frozen=True)
class Cycle:
    """One sine per leg, all of one period.

    Attributes:
        period: 0 where there is none to be found. [s]
        fit: Share of the swing's variance that the sines explain. [0..1]
        swing: Amplitude of each leg's sine, half its range. [rad, (L,)]
        lead: Phase lead at the first frame; the leg is furthest forward at 0. [cycles 0..1, (L,)]
    """

    period: float
    fit: float
    swing: np.ndarray
    lead: np.ndarray


def leg_angles(hips: np.ndarray, soles: list[np.ndarray], ahead: np.ndarray) -> np.ndarray:
    """Angle of each leg from its hip to the middle of its foot, forward of the vertical, in the plane of the heading.

    Parameters:
        hips: [m, (F, L, 3)]
        soles: Points of each foot. [m, L arrays (F, C, 3)]
        ahead: Horizontal unit vectors. [(F, 3)]

    Returns:
        [rad, between -1.38 and 1.38, (F, L)]
    """
    angles = []
    for leg, foot in enumerate(soles):
        reach = foot.mean(1) - hips[:, leg]
        # a foot folded up beside its hip must not send the angle round: at least this share of the reach counts as down
        down = np.maximum(-reach[:, 1], _DOWN * np.linalg.norm(reach, axis=1))
        angles.append(np.arctan2((reach * ahead).sum(1), np.maximum(down, 1e-9)))
    return np.stack(angles, 1) if angles else np.zeros((len(hips), 0))


def fit_cycle(swing: np.ndarray, fps: float) -> Cycle:
    """Least-squares sines of one common period, the period by search in steps of 1/64 s.

    Periods up to 1.25 times the clip are tried: a clip of a little less than a stride still tells its phases.

    Parameters:
        swing: Angle of each leg over time. [rad, (F, L)]
    """
    count, legs = swing.shape
    none = Cycle(0.0, 0.0, np.zeros(legs), np.zeros(legs))
    if count < 6 or not legs:
        return none
    time = np.arange(count) / fps
    best: tuple[float, float, np.ndarray] | None = None
    for period in np.arange(max(PERIODS[0], 3 / fps), min(PERIODS[1], 1.25 * count / fps), 1 / 64):
        wave = 2 * np.pi * time / period
        design = np.stack([np.cos(wave), np.sin(wave), np.ones_like(wave)], 1)
        weights = np.linalg.lstsq(design, swing, rcond=None)[0]
        residual = float(((swing - design @ weights) ** 2).sum())
        if best is None or residual < best[0]:
            best = residual, float(period), weights
    if best is None:
        return none
    residual, period, weights = best
    total = float(((swing - swing.mean(0)) ** 2).sum())
    lead = np.arctan2(-weights[1], weights[0]) / (2 * np.pi)
    return Cycle(period, 1 - residual / total if total > 1e-12 else 0.0, np.hypot(weights[0], weights[1]), lead % 1)


def lag(of: float, behind: float) -> float:
    """How far a leg of phase lead `of` comes after one of lead `behind`. [cycles, 0..1]"""
    return float((behind - of) % 1)


def gap(a: float, b: float) -> float:
    """Distance of two phases around the cycle. [cycles, 0..0.5]"""
    return float(abs((a - b + 0.5) % 1 - 0.5))


def pair_leads(names: list[str], leads: np.ndarray) -> dict[str, float]:
    """Lead of the second over the first leg for each of `PAIRS` that is there and has a phase. [cycles, 0..1]"""
    known = {name: float(lead) for name, lead in zip(names, leads, strict=True) if np.isfinite(lead)}
    return {pair: lag(known[a], known[b]) for pair, (a, b) in PAIRS.items() if a in known and b in known}
