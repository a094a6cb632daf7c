"""Bone cuboids fitted to the mesh: they meet the ground in the losses and are the bodies of the physics (METHOD 7, 10)."""

from __future__ import annotations

import numpy as np

from schemas.roles import is_leg

from .segments import distance_to_bones

_LOW, _HIGH = 4.0, 96.0  # percentiles of the bone's vertices that the box spans
_THINNEST = 0.004  # half size, of the mesh's extent
_OVERSHOOT = 0.15  # how far the box goes past the ends of a bone that has a neighbour there, of the bone's length
_LEAST = 6  # vertices to fit a box to; bones with fewer get one by the sizes of the others


def fit(
    parents: np.ndarray,
    positions: np.ndarray,
    tails: np.ndarray,
    axes: np.ndarray,
    roles: list[str],
    points: np.ndarray,
    weights: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One box per bone, in the frame of its joint; the last bones of legs get an upright box that stands on their sole.

    Parameters:
        parents: [(J,)]
        positions, tails: [m, (J, 3)]
        axes: Frames of the joints. [(J, 3, 3)]
        roles: [(J,)]
        points: Welded vertices, the ground is y = 0. [m, (W, 3)]
        weights: Skinning weights of the vertices, if known; else the nearest bone owns a vertex. [(W, J)]

    Returns:
        Centres [m, (J, 3)], half sizes [m, (J, 3)] and frames [(J, 3, 3)] of the boxes.
    """
    points = np.asarray(points, np.float64)
    extent = float(np.ptp(points, axis=0).max())
    owner = _owners(points, positions, tails, weights)
    frames = np.asarray(axes, np.float64).copy()
    soles = [joint for joint, role in enumerate(roles) if is_leg(role) and not any(is_leg(roles[k]) for k in np.flatnonzero(parents == joint))]
    for joint in soles:
        frames[joint] = _upright(tails[joint] - positions[joint])
    low, high = np.zeros_like(positions, np.float64), np.zeros_like(positions, np.float64)
    for joint in range(len(parents)):
        own = points[owner == joint]
        ends = np.stack([positions[joint], tails[joint]]) @ frames[joint]
        if len(own) < _LEAST:
            slim = 0.1 * np.linalg.norm(tails[joint] - positions[joint])
            low[joint], high[joint] = ends.min(0) - slim, ends.max(0) + slim
        elif joint in soles:
            low[joint], high[joint] = np.percentile(own @ frames[joint], [_LOW, _HIGH], axis=0)
            low[joint, 1] = (own @ frames[joint])[:, 1].min()
        else:
            low[joint], high[joint] = np.percentile(own @ frames[joint], [_LOW, _HIGH], axis=0)
            _keep_to_bone(low[joint], high[joint], ends, leaf=not (parents == joint).any())
    middle = 0.5 * (low + high)
    half = np.maximum(0.5 * (high - low), _THINNEST * extent)
    centers = np.einsum("jik,jk->ji", frames, middle)
    for joint in range(len(parents)):
        _lift(centers[joint], half[joint], frames[joint], float(points[:, 1].min()), 0.5 * _THINNEST * extent)
    return centers, half, frames


def _owners(points: np.ndarray, positions: np.ndarray, tails: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """The bone of each vertex. [(W,)]"""
    nearest = distance_to_bones(points, np.asarray(positions, np.float64), np.asarray(tails, np.float64)).argmin(1)
    if weights is None:
        return nearest
    return np.where(weights.sum(1) > 0, weights.argmax(1), nearest)


def _upright(way: np.ndarray) -> np.ndarray:
    """A frame with Y up, Z to where the foot points on the ground. [(3, 3)]"""
    forward = np.array([way[0], 0.0, way[2]])
    length = np.linalg.norm(forward)
    forward = forward / length if length > 1e-3 * max(np.linalg.norm(way), 1e-12) else np.array([0.0, 0.0, 1.0])
    if forward[2] < 0:
        forward = -forward
    up = np.array([0.0, 1.0, 0.0])
    return np.stack([np.cross(up, forward), up, forward], 1)


def _keep_to_bone(low: np.ndarray, high: np.ndarray, ends: np.ndarray, leaf: bool) -> None:
    """Trim a box along the bone where the next bone's begins, in place; past the last bone it may reach to its vertices."""
    head, tail = ends[0, 1], ends[1, 1]
    over = _OVERSHOOT * (tail - head)
    low[1] = np.clip(low[1], head - over, head + 0.3 * (tail - head))
    high[1] = max(high[1], head + 0.7 * (tail - head))
    if not leaf:
        high[1] = min(high[1], tail + over)


def _lift(center: np.ndarray, half: np.ndarray, frame: np.ndarray, ground: float, thinnest: float) -> None:
    """Trim the lower end of a box that dips below the ground, in place, along the axis that points down the most first."""
    for axis in np.argsort(-np.abs(frame[1]), kind="stable"):
        dip = ground - (center[1] - np.abs(frame[1]) @ half)
        slope = abs(frame[1, axis])
        if dip <= 1e-9 or slope < 0.05:
            return
        # cutting 2 t off an end lifts the lowest corner by 2 t slope
        cut = min(0.5 * dip / slope, 0.8 * half[axis], half[axis] - thinnest)
        if cut > 0:
            half[axis] -= cut
            center += frame[:, axis] * np.sign(frame[1, axis]) * cut
    dip = ground - (center[1] - np.abs(frame[1]) @ half)
    if dip > 0:
        center[1] += dip
