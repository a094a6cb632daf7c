"""Rotations of the motion generator: (F, 3, 3) matrices from angles, as numpy arrays."""

from __future__ import annotations

import numpy as np

from schemas.rig import Rig


def turn_x(angle: np.ndarray) -> np.ndarray:
    """Turn about +X: lowers what points forward. [rad (F,) -> (F, 3, 3)]"""
    return _turn(angle, 1, 2)


def turn_y(angle: np.ndarray) -> np.ndarray:
    """Turn about +Y: to the left. [rad (F,) -> (F, 3, 3)]"""
    return _turn(angle, 2, 0)


def turn_z(angle: np.ndarray) -> np.ndarray:
    """Turn about +Z: raises the left side. [rad (F,) -> (F, 3, 3)]"""
    return _turn(angle, 0, 1)


def _turn(angle: np.ndarray, i: int, k: int) -> np.ndarray:
    angle = np.asarray(angle, float)
    turn = np.broadcast_to(np.eye(3), (*angle.shape, 3, 3)).copy()
    turn[..., i, i] = turn[..., k, k] = np.cos(angle)
    turn[..., k, i] = np.sin(angle)
    turn[..., i, k] = -turn[..., k, i]
    return turn


def about(axis: np.ndarray, angle: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Turn vectors about unit axes (Rodrigues). [(..., 3), rad (...), (..., 3) -> (..., 3)]"""
    c, s = np.cos(angle)[..., None], np.sin(angle)[..., None]
    return c * vector + s * np.cross(axis, vector) + (1 - c) * (axis * vector).sum(-1, keepdims=True) * axis


def unit(vector: np.ndarray) -> np.ndarray:
    """Vectors of length 1. [(..., 3)]"""
    return vector / np.maximum(np.linalg.norm(vector, axis=-1, keepdims=True), 1e-9)


def frame(along: np.ndarray, hinge: np.ndarray) -> np.ndarray:
    """Right-handed frames with columns hinge, along and their product; the hinge is made square to along. [(..., 3) twice -> (..., 3, 3)]"""
    along = unit(along)
    hinge = unit(hinge - (hinge * along).sum(-1, keepdims=True) * along)
    return np.stack([hinge, along, np.cross(hinge, along)], -1)


def forward(rig: Rig, root: np.ndarray, position: np.ndarray, local: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """World turns (F, J, 3, 3) and joint positions (F, J, 3) [m].

    Parameters:
        root: Turn of the root. [(F, 3, 3)]
        position: Of the root joint. [m, (F, 3)]
        local: Turn of each joint relative to its parent, in world axes of the rest pose. [(F, J, 3, 3)]
    """
    rest = rig.positions.astype(float)
    turns, joints = np.empty_like(local), np.empty(local.shape[:3])
    turns[:, 0], joints[:, 0] = root, position
    for joint, parent in enumerate(rig.parents[1:], 1):
        turns[:, joint] = turns[:, parent] @ local[:, joint]
        joints[:, joint] = joints[:, parent] + turns[:, parent] @ (rest[joint] - rest[parent])
    return turns, joints


def lowest(corners: np.ndarray, turns: np.ndarray, joints: np.ndarray, which: list[int]) -> np.ndarray:
    """Height of the lowest corner of each of some bones' cuboids.

    Parameters:
        corners: Relative to their joint at rest. [m, (J, 8, 3)]
        turns, joints: As `forward` gives them. [(F, J, 3, 3), m (F, J, 3)]

    Returns:
        [m, (F, len(which))]
    """
    return np.einsum("jci,fji->fjc", corners[which], turns[:, which, 1]).min(2) + joints[:, which, 1]
