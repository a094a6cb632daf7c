"""Inverse kinematics: the poses of the body that come nearest to wanted corners, such as those of planted feet.

Feet are planted by moving corners, which no pose need fit. A simulation that begins in the pose of the motion as it came has to
slide its feet to where they are wanted first, and its first guess knows nothing of them.

The squared distances are those of point masses, so their Gauss-Newton matrix is a mass matrix: that of a body in which each
bone's weight is its mass. It is put together by composite bodies (Featherstone, Rigid Body Dynamics Algorithms, 2008, 6.2), without
the Jacobian of all corners.
"""

from __future__ import annotations

import dataclasses
from typing import TypeVar

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from .body import SIGNS, Body

_KEEP = 3e-3
"""Weight of a squared change of a joint angle [rad^2] beside squared distances of bones [standing heights^2]."""
_ROUNDS = 20
_TOGETHER = 64  # frames; their matrices take 47 MB with 100 bones
_ENOUGH = 1e-3
"""A second round in turn that takes less than this share of every frame's error away is the last."""


@dataclasses.dataclass(frozen=True)
class Poses:
    """Poses of a body, frame by frame.

    Attributes:
        root: Root joint. [m, (F, 3)]
        turn: Root frame in the world. [(F, 3, 3)]
        angles: Compound joint angles. [rad, (F, J, 3)]
    """

    root: np.ndarray
    turn: np.ndarray
    angles: np.ndarray

    def moved(self, step: np.ndarray, body: Body) -> Poses:
        """Root moved and turned, joints bent, within their limits. [m and rad, (F, 3 + 3 J): root move, root turn, joints]"""
        turned = Rotation.from_rotvec(step[:, 3:6]).as_matrix() @ self.turn
        bent = self.angles.copy()
        bent[:, 1:] += step[:, 6:].reshape(len(step), -1, 3)
        return Poses(self.root + step[:, :3], turned, np.where(body.free, np.clip(bent, body.limits[..., 0], body.limits[..., 1]), self.angles))


@dataclasses.dataclass(frozen=True)
class Placed:
    """The body in its poses.

    Attributes:
        joints, turns: Joint points [m, (F, J, 3)] and bone frames [(F, J, 3, 3)].
        axes: Axes of the joints in the world, as columns; of the root the world's. [(F, J, 3, 3)]
        boxes: Centres and half edges of the cuboids. [m, (F, J, 4, 3)]
    """

    joints: np.ndarray
    turns: np.ndarray
    axes: np.ndarray
    boxes: np.ndarray


def fit(body: Body, given: Poses, corners: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Poses near the given ones whose cuboid corners are, in weighted least squares, nearest to `corners`.

    Levenberg-Marquardt on root position, root rotation and free joint axes, frame by frame; angles stay within the limits.

    Parameters:
        corners: [m, (F, J, 8, 3)]
        weights: Of the bones. [(F, J)]

    Returns:
        Joint points [m, (F, J, 3)], bone frames [(F, J, 3, 3)] and joint angles [rad, (F, J, 3)].
    """
    spans = (slice(first, first + _TOGETHER) for first in range(0, len(weights), _TOGETHER))
    parts = [_fit(body, Poses(given.root[span], given.turn[span], given.angles[span]), _boxes(corners[span]), weights[span]) for span in spans]
    joints, turns, angles = (np.concatenate(part) for part in zip(*parts, strict=True))
    return joints, turns, angles


def _fit(body: Body, given: Poses, wanted: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`fit` of some frames together."""
    poses = given
    placed = place(body, poses)
    error, damping, still = _error(body, placed, poses, given, wanted, weights), np.full(len(weights), 1e-6), 0
    for _ in range(_ROUNDS):
        tried = poses.moved(_step(body, placed, poses, given, wanted, weights, damping), body)
        tried_placed = place(body, tried)
        tried_error = _error(body, tried_placed, tried, given, wanted, weights)
        better = tried_error < error
        still = still + 1 if (tried_error > (1 - _ENOUGH) * error).all() else 0
        damping = np.where(better, 0.2 * damping, 10 * damping).clip(1e-9, 1e3)
        poses, placed = _chosen(better, tried, poses), _chosen(better, tried_placed, placed)
        error = np.where(better, tried_error, error)
        if still == 2:  # once may be a step that went too far
            break
    return placed.joints, placed.turns, poses.angles


_Kind = TypeVar("_Kind", "Poses", "Placed")


def _chosen(choice: np.ndarray, one: _Kind, other: _Kind) -> _Kind:
    """Frame by frame one or the other. [bool, (F,)]"""
    pairs = ((getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one))
    return type(one)(*(np.where(choice.reshape(-1, *[1] * (a.ndim - 1)), a, b) for a, b in pairs))


def _boxes(corners: np.ndarray) -> np.ndarray:
    """Centre and half edges of cuboids; squared distances of corners are eight times theirs plus what no pose changes. [(..., 8, 3) -> (..., 4, 3)]"""
    return np.einsum("km,...kc->...mc", np.column_stack([np.ones(8), SIGNS]), corners) / 8


def place(body: Body, poses: Poses) -> Placed:
    """Forward kinematics."""
    frames, count = poses.angles.shape[:2]
    joints, turns, axes = np.empty((frames, count, 3)), np.empty((frames, count, 3, 3)), np.empty((frames, count, 3, 3))
    bends = Rotation.from_euler("XYZ", poses.angles.reshape(-1, 3)).as_matrix().reshape(frames, count, 3, 3)
    local = _joint_axes(poses.angles)
    joints[:, 0], turns[:, 0], axes[:, 0] = poses.root, poses.turn, np.eye(3)
    for bone in range(1, count):
        parent = body.parents[bone]
        joints[:, bone] = joints[:, parent] + turns[:, parent] @ body.offsets[bone]
        frame = turns[:, parent] @ body.axes[bone]
        turns[:, bone], axes[:, bone] = frame @ bends[:, bone], frame @ local[:, bone]
    boxes = _boxes(body.corners) @ turns.swapaxes(-1, -2)
    boxes[:, :, 0] += joints
    return Placed(joints, turns, axes, boxes)


def _joint_axes(angles: np.ndarray) -> np.ndarray:
    """The three axes of compound joints before their own turn: columns e0, Rx e1, Rx Ry e2. [rad, (..., 3) -> (..., 3, 3)]"""
    (sx, sy, _), (cx, cy, _) = np.moveaxis(np.sin(angles), -1, 0), np.moveaxis(np.cos(angles), -1, 0)
    zero, one = np.zeros_like(sx), np.ones_like(sx)
    return np.stack([np.stack(row, -1) for row in ((one, zero, sy), (zero, cx, -sx * cy), (zero, sx, cx * cy))], -2)


def _error(body: Body, placed: Placed, poses: Poses, given: Poses, wanted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What is minimised, of each frame. [m^2, (F,)]"""
    far = ((placed.boxes - wanted) ** 2).sum((2, 3)) * weights
    return far.sum(1) + _keep(body) * ((poses.angles - given.angles) ** 2).sum((1, 2))


def _keep(body: Body) -> float:
    return _KEEP * body.height**2


def _step(body: Body, placed: Placed, poses: Poses, given: Poses, wanted: np.ndarray, weights: np.ndarray, damping: np.ndarray) -> np.ndarray:
    """The damped Gauss-Newton step. [m and rad, (F, 3 + 3 J)]"""
    matrix, pull = normal_equations(body, placed, wanted, weights)
    ends = np.arange(6, matrix.shape[-1])
    matrix[:, ends, ends] += _keep(body)
    pull[:, 6:] += _keep(body) * (given.angles - poses.angles)[:, 1:].reshape(len(pull), -1)
    every = np.arange(matrix.shape[-1])
    matrix[:, every, every] += (damping * np.trace(matrix, axis1=1, axis2=2))[:, None]
    # by torch: the stage holds it to one thread, numpy's solver rounds differently on every number of them
    return torch.linalg.solve(torch.from_numpy(matrix), torch.from_numpy(pull)).numpy()


def normal_equations(body: Body, placed: Placed, wanted: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """J^T W J and J^T W (wanted - placed) of centres and half edges, locked axes left out; coordinates as in `Poses.moved`.

    Parameters:
        wanted, weights: Boxes [m, (F, J, 4, 3)] and weights of the bones [(F, J)].

    Returns:
        [(F, 3 + 3 J, 3 + 3 J)] and [(F, 3 + 3 J)]
    """
    frames, count = weights.shape
    center, away = placed.boxes[:, :, 0] - placed.joints[:, :1], (wanted - placed.boxes) * weights[..., None, None]
    arms = placed.boxes.copy()
    arms[:, :, 0] = center
    mass, first = weights.copy(), center * weights[..., None]
    second = np.einsum("fjki,fjkl->fjil", arms, arms * weights[..., None, None])
    inertia = np.trace(second, axis1=2, axis2=3)[..., None, None] * np.eye(3) - second
    force, moment = away[:, :, 0].copy(), np.cross(arms, away).sum(2)
    for bone in range(count - 1, 0, -1):  # of each bone with all that hangs on it
        for sums in (mass, first, inertia, force, moment):
            sums[:, body.parents[bone]] += sums[:, bone]
    # twists of the coordinates about the root joint, three a bone after three of the root's move: [(F, 3 + 3 J, 3)]
    spins = (placed.axes * np.where(np.arange(count)[:, None] > 0, body.free, True)[:, None, :]).swapaxes(-1, -2)
    moves = np.cross((placed.joints - placed.joints[:, :1])[:, :, None], spins)
    bones = np.repeat(np.arange(count), 3)
    spins, moves = spins.reshape(frames, -1, 3), moves.reshape(frames, -1, 3)
    lead = np.zeros((frames, 3, 3))
    spins, moves, bones = np.concatenate([lead, spins], 1), np.concatenate([lead + np.eye(3), moves], 1), np.r_[0, 0, 0, bones]
    turning = np.einsum("fdij,fdj->fdi", inertia[:, bones], spins) + np.cross(first[:, bones], moves)
    pushing = mass[:, bones, None] * moves + np.cross(spins, first[:, bones])
    below = _below(body.parents)[bones][:, bones]  # of a pair of coordinates the lower one's composite body counts
    half = (spins @ turning.swapaxes(-1, -2) + moves @ pushing.swapaxes(-1, -2)) * below
    matrix = np.where(below, half, half.swapaxes(-1, -2))
    return matrix, (spins * moment[:, bones] + moves * force[:, bones]).sum(-1)


def _below(parents: np.ndarray) -> np.ndarray:
    """Whether a bone (column) is, or hangs on, another (row). [bool, (J, J)]"""
    below = np.eye(len(parents), dtype=bool)
    for bone in range(1, len(parents)):
        below[:, bone] |= below[:, parents[bone]]
    return below
