"""Whether a body keeps its shape while it moves: change of the edge lengths of its skinned mesh."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from schemas.motion import Motion
from schemas.rig import Rig
from stages.body.kinematics import Pose, Skeleton, pose_of
from stages.body.skinning import skin_points

_CHUNK = 8  # frames skinned at a time: a large mesh over a long clip would fill the memory


def edges_of(faces: np.ndarray) -> np.ndarray:
    """Every edge of triangles once. [(T, 3) -> (E, 2)]"""
    pairs = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    return np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)


def edge_change(rest: np.ndarray, edges: np.ndarray, frames: Iterable[np.ndarray]) -> tuple[float, float]:
    """Mean and 95th percentile of |l / l0 - 1| over all edges and frames. [-, >= 0]

    A rigid motion gives 0, a body scaled by s |s - 1|. Skinning that blends turns shrinks and stretches edges at the joints.

    Parameters:
        rest: Vertices at rest. [m, (V, 3)]
        edges: Pairs of vertices; those of no length at rest are left out. [(E, 2)]
        frames: Vertices of one frame after the other. [m, F times (V, 3)]
    """
    start = _lengths(rest, edges)
    edges = edges[start > 1e-6 * max(float(start.max(initial=0.0)), 1e-12)]
    start = _lengths(rest, edges)
    changes = [np.abs(_lengths(vertices, edges) / start - 1).astype(np.float32) for vertices in frames]
    every = np.concatenate(changes) if changes else np.zeros(0, np.float32)
    return (float(every.mean(dtype=np.float64)), float(np.quantile(every, 0.95))) if every.size else (0.0, 0.0)


def skinned_frames(rig: Rig, motion: Motion, vertices: np.ndarray, weights: np.ndarray) -> Iterable[np.ndarray]:
    """The mesh in every frame by linear blend skinning, equation (5).

    Parameters:
        vertices: At rest. [m, (V, 3)]
        weights: Rows sum to 1. [(V, J)]

    Returns:
        Frames one after the other. [m, F times (V, 3)]
    """
    pose = pose_of(motion, Skeleton.from_rig(rig, dtype=torch.float64))
    points, shares = torch.as_tensor(vertices, dtype=torch.float64), torch.as_tensor(weights, dtype=torch.float64)
    for begin in range(0, motion.frame_count, _CHUNK):
        part = slice(begin, begin + _CHUNK)
        yield from skin_points(points, shares, Pose(pose.rotations[part], pose.translations[part], pose.joints[part])).numpy()


def _lengths(vertices: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """[m, (V, 3) and (E, 2) -> m, (E,)]"""
    return np.linalg.norm(np.asarray(vertices, np.float64)[edges[:, 1]] - np.asarray(vertices, np.float64)[edges[:, 0]], axis=1)
