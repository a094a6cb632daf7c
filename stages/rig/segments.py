"""Distances from points to bones."""

from __future__ import annotations

import numpy as np


def distance_to_bones(points: np.ndarray, heads: np.ndarray, tails: np.ndarray) -> np.ndarray:
    """Distance of each point to each segment. [m, (N, 3), (B, 3), (B, 3) -> (N, B)]"""
    gaps = np.empty((len(points), len(heads)))
    for bone in range(len(heads)):
        along, offset = tails[bone] - heads[bone], points - heads[bone]
        square = along @ along
        place = np.clip(offset @ along / square, 0, 1) if square > 0 else np.zeros(len(points))
        gaps[:, bone] = np.linalg.norm(offset - place[:, None] * along, axis=1)
    return gaps
