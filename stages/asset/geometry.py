"""Welding by position and vertex normals."""

from __future__ import annotations

import numpy as np

WELD_TOLERANCE = 1e-6  # of the largest extent


def weld(vertices: np.ndarray, tolerance: float = WELD_TOLERANCE) -> np.ndarray:
    """Number of the geometric vertex of each render vertex: those closer than `tolerance` of the extent are one.

    Numbers run in order of first occurrence. [(V, 3) -> int32 (V,)]
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    reach = tolerance * max(float(np.ptp(vertices, axis=0).max()), 1e-30)
    cells = np.round((vertices - vertices.min(0)).astype(np.float64) / reach).astype(np.int64)
    # one point a cell first: neighbours stay few however many vertices coincide; 2^21 cells fit along each axis
    packed = (cells[:, 0] << 42) | (cells[:, 1] << 21) | cells[:, 2]
    _, first, inverse = np.unique(packed, return_index=True, return_inverse=True)
    pairs = cKDTree(vertices[first]).query_pairs(reach, output_type="ndarray")
    links = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(first), len(first)))
    labels = connected_components(links, directed=False)[1][inverse.reshape(-1)]
    _, start, back = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(start), np.int32)
    rank[np.argsort(start, kind="stable")] = np.arange(len(start), dtype=np.int32)
    return rank[back.reshape(-1)]


def face_areas(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Areas of triangles. [(T,)]"""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray, weld: np.ndarray) -> np.ndarray:
    """Smooth unit normals: the faces around each welded vertex, weighted by their angle there. [(V, 3)]"""
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    size = np.linalg.norm(cross, axis=1, keepdims=True)
    flat = np.divide(cross, size, out=np.zeros_like(cross), where=size > 0)
    total = np.zeros((int(weld.max()) + 1, 3))
    for k in range(3):
        u, v = corners[:, (k + 1) % 3] - corners[:, k], corners[:, (k + 2) % 3] - corners[:, k]
        angle = np.arctan2(np.linalg.norm(np.cross(u, v), axis=1), (u * v).sum(1))
        np.add.at(total, weld[faces[:, k]], flat * angle[:, None])
    length = np.linalg.norm(total, axis=1, keepdims=True)
    total = np.where(length > 1e-12, total / np.maximum(length, 1e-12), [0.0, 1.0, 0.0])
    return total[weld]
