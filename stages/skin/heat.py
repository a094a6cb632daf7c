"""Bone heat: the diffusion of bone membership over the surface (METHOD 3, equation 14)."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.csgraph import connected_components

from .distance import TOUCHING, closest_points, normal_weighted, vertex_normals
from .visibility import Body, nearest_visible


@dataclasses.dataclass(frozen=True)
class Heat:
    """Bone heat weights.

    Attributes:
        weights: Rows sum to 1. [(N, B)]
        components: Connected parts of the mesh.
        forced: Parts that saw no bone and follow their nearest one.
    """

    weights: np.ndarray
    components: int
    forced: int


def bone_heat(
    points: np.ndarray, faces: np.ndarray, heads: np.ndarray, tails: np.ndarray, *, strength: float = 4.0, normal_weighting: bool = True, solver: str = "auto"
) -> Heat:
    """Weights of the bones on a welded mesh: solve (L + D H) w = D H p for every bone, clip, normalise.

    p marks the closest visible bone of a vertex (equally near ones share), H = c / d^2. A connected part that sees no
    bone at all takes its nearest bone (the paper's extension), so that the system is never singular.

    Parameters:
        points: Welded vertices. [(N, 3)]
        faces: [(T, 3)]
        heads, tails: Ends of the bones. [(B, 3)]
        strength: c.
        normal_weighting: Measure d by `distance.normal_weighted`.
        solver: "auto", "cholespy" or "scipy".
    """
    points, heads, tails = normalized(points, heads, tails)
    place, reach = closest_points(points, heads, tails)
    distance = normal_weighted(points, vertex_normals(points, faces), heads, tails, place, reach) if normal_weighting else reach
    shares, nearest = nearest_visible(Body(points, faces), points, heads, tails, place, np.maximum(distance, TOUCHING))

    count, part = connected_components(_adjacency(len(points), faces), directed=False)
    lit = np.bincount(part, np.isfinite(nearest), count) > 0
    weights = np.zeros(shares.shape)
    rows = np.flatnonzero(lit[part])
    if len(rows):
        index = np.full(len(points), -1)
        index[rows] = np.arange(len(rows))
        kept = index[faces[lit[part[faces[:, 0]]]]]
        weights[rows] = diffuse(points[rows], kept, shares[rows], strength / nearest[rows] ** 2, solver=solver)
    for dark in np.flatnonzero(~lit):
        members = np.flatnonzero(part == dark)
        weights[members, np.argmin(reach[members].min(0))] = 1
    return Heat(weights, count, int((~lit).sum()))


def diffuse(points: np.ndarray, faces: np.ndarray, shares: np.ndarray, rate: np.ndarray, *, solver: str = "auto") -> np.ndarray:
    """Solve (L + D H) w = D H p, clip to [0, 1] and normalise the rows. [(N, B)]

    Parameters:
        points, faces: Every connected part has a vertex with a positive rate. [(N, 3), (T, 3)]
        shares: p. [(N, B)]
        rate: Diagonal of H. [(N,)]
        solver: As in `bone_heat`.
    """
    used = np.flatnonzero(shares.any(0))
    weights = np.zeros(shares.shape)
    if len(used) == 1 or not len(faces):
        weights[:, used] = shares[:, used] if not len(faces) else 1
        return weights
    laplacian, mass = surface_laplacian(points, faces)
    source = mass * rate
    solution = solve(laplacian + sparse.diags(source), source[:, None] * shares[:, used], solver)
    solution = np.clip(solution, 0, 1)
    weights[:, used] = solution / solution.sum(1, keepdims=True)
    return weights


def surface_laplacian(points: np.ndarray, faces: np.ndarray) -> tuple[sparse.csc_matrix, np.ndarray]:
    """Positive semidefinite cotangent Laplacian and lumped mass of a triangle mesh, however bad. [(N, N), (N,)]

    The intrinsic Delaunay tufted cover (Sharp and Crane 2020) has no negative off-diagonal entries, so weights keep
    to [0, 1] with non-manifold edges, zero-area and duplicate faces.
    """
    import robust_laplacian

    laplacian, mass = robust_laplacian.mesh_laplacian(np.ascontiguousarray(points, np.float64), np.ascontiguousarray(faces, np.int64))
    diagonal = mass.diagonal()
    # a vertex whose faces all have zero area has no mass: give it a little, or its row would be empty
    return sparse.csc_matrix(laplacian), np.maximum(diagonal, 1e-9 * max(diagonal.mean(), 1e-30))


def solve(matrix: sparse.spmatrix, right: np.ndarray, solver: str = "auto") -> np.ndarray:
    """Solve a symmetric positive definite sparse system for all right-hand sides. [(N, N), (N, B) -> (N, B)]"""
    if solver in ("auto", "cholespy"):
        try:
            return _solve_cholespy(matrix, right)
        except ImportError:
            if solver == "cholespy":
                raise
        except ValueError:  # it refuses a factor that rounding made indefinite; LU with pivots goes on
            pass
    from scipy.sparse.linalg import splu

    return splu(sparse.csc_matrix(matrix), permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(np.ascontiguousarray(right))


def _solve_cholespy(matrix: sparse.spmatrix, right: np.ndarray) -> np.ndarray:
    from cholespy import CholeskySolverD, MatrixType

    matrix = sparse.csc_matrix(matrix)
    solver = CholeskySolverD(matrix.shape[0], matrix.indptr.astype(np.int32), matrix.indices.astype(np.int32), matrix.data, MatrixType.CSC)
    right = np.ascontiguousarray(right, np.float64)
    solution = np.zeros_like(right)
    solver.solve(right, solution)
    if not np.isfinite(solution).all():
        raise ValueError("not positive definite")
    return solution


def normalized(points: np.ndarray, heads: np.ndarray, tails: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mesh and bones moved and scaled together so that the mesh has diameter 1 about its mean vertex, in float64."""
    points, heads, tails = (np.asarray(array, np.float64) for array in (points, heads, tails))
    middle = points.mean(0)
    scale = max(2 * float(np.linalg.norm(points - middle, axis=1).max()), 1e-30)
    return tuple((array - middle) / scale for array in (points, heads, tails))  # type: ignore[return-value]


def _adjacency(count: int, faces: np.ndarray) -> sparse.coo_matrix:
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    return sparse.coo_matrix((np.ones(len(edges), np.int32), (edges[:, 0], edges[:, 1])), (count, count))
