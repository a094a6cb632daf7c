"""Distances from surface vertices to bones, as bone heat measures them (METHOD 3)."""

from __future__ import annotations

import numpy as np

TOUCHING = 1e-4  # distances are floored at this part of the mesh's extent: a vertex on a bone is firmly its own, the system stays finite


def closest_points(points: np.ndarray, heads: np.ndarray, tails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The closest point of each bone to each vertex.

    Parameters:
        points: [(N, 3)]
        heads, tails: Ends of the bones; equal ends make a point. [(B, 3)]

    Returns:
        Place along the bone, 0 at the head and 1 at the tail [(N, B)], and the distance [(N, B)].
    """
    along = tails - heads
    square = (along * along).sum(1)
    dots = points @ along.T - (heads * along).sum(1)  # (x - head) . (tail - head)
    place = np.clip(dots / np.where(square > 0, square, 1), 0, 1)
    # |x - head - place along|^2 as products of matrices; what rounding leaves is far below `TOUCHING` in a mesh of diameter 1
    square_distance = (points * points).sum(1)[:, None] - 2 * (points @ heads.T) + (heads * heads).sum(1)
    square_distance += place * (place * square - 2 * dots)
    return place, np.sqrt(np.maximum(square_distance, 0, out=square_distance), out=square_distance)


def normal_weighted(points: np.ndarray, normals: np.ndarray, heads: np.ndarray, tails: np.ndarray, place: np.ndarray, distance: np.ndarray) -> np.ndarray:
    """d / (0.5 (cos + 1.001)), cos between the way out of the bone and the vertex normal. [(N, B)]

    A bone straight beneath the surface keeps its distance; one that the surface faces is pushed far away. Without it
    a finger takes the heat of its neighbour, which is closer than its own bone but outside.
    """
    cosine = (points * normals).sum(1)[:, None] - normals @ heads.T - place * (normals @ (tails - heads).T)
    cosine /= np.maximum(distance, 1e-12)
    np.clip(cosine, -1, 1, out=cosine)
    cosine += 1.001
    cosine *= 0.5
    return np.divide(distance, cosine, out=cosine)


def vertex_normals(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Unit vertex normals by area, zero where a vertex has no face of any area. [(N, 3)]"""
    corners = points[faces]
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sums = np.stack([np.bincount(faces.ravel(), np.repeat(area[:, axis], 3), len(points)) for axis in range(3)], 1)
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    return sums / np.where(length > 0, length, 1)
