"""Weights of very large meshes: computed on a simplified one and carried back."""

from __future__ import annotations

import numpy as np

MOST_VERTICES = 150_000
_FACES = 120_000  # of the simplified mesh
_CHUNK = 100_000


def simplified(points: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The surface with about `_FACES` triangles (quadric error). [m, (N, 3), (T, 3)]"""
    import fast_simplification

    fewer, triangles = fast_simplification.simplify(np.asarray(points, np.float32), np.asarray(faces, np.int32), target_count=_FACES, agg=7)
    return fewer.astype(np.float64), triangles.astype(np.int64)


def carried(points: np.ndarray, coarse: np.ndarray, triangles: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weights at `points`, from the nearest place of a coarse surface, linear within its triangles. [(N, J) in float32]"""
    import igl

    _, face, closest = igl.point_mesh_squared_distance(np.asarray(points, np.float64), coarse, triangles)
    result = np.empty((len(points), weights.shape[1]), np.float32)
    for start in range(0, len(points), _CHUNK):
        rows = slice(start, start + _CHUNK)
        corners = triangles[face[rows]]
        shares = igl.barycentric_coordinates(closest[rows], *(np.ascontiguousarray(coarse[corners[:, k]]) for k in range(3)))
        shares = np.clip(np.nan_to_num(shares, nan=1 / 3), 0, None)
        shares /= shares.sum(1, keepdims=True)
        blended = np.einsum("nk,nkj->nj", shares, weights[corners])
        result[rows] = blended / blended.sum(1, keepdims=True)
    return result
