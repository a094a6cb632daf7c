"""Spheres packed along the middle of a body, and the graph of those that touch (Pinocchio, sections 3.1 to 3.3)."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.sparse as sparse
from scipy import ndimage
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import cKDTree

from .field import Field

_SPACING = 0.75  # of the larger sphere's radius: how near a centre may come to another
_FINEST = 2.0  # voxels: no centres nearer than this
_MOST = 900  # spheres
_BRIDGE = 3.0  # a jump between parts that do not touch costs so many times its length


@dataclasses.dataclass
class Voxels:
    """The inside voxels as a graph.

    Attributes:
        centers: [m, (K, 3)]
        depth: [m, (K,)]
        links: Lengths of the steps between neighbours, of bridges between parts the multiple. Symmetric. [m, (K, K)]
        parts: How many parts the body had before bridges joined them.
    """

    centers: np.ndarray
    depth: np.ndarray
    links: sparse.csr_matrix
    parts: int

    def nearest(self, points: np.ndarray) -> np.ndarray:
        """The voxel nearest to each point. [(N, 3) -> (N,)]"""
        return cKDTree(self.centers).query(points)[1]


@dataclasses.dataclass
class Spheres:
    """The packed spheres.

    Attributes:
        centers: [m, (S, 3)]
        radii: [m, (S,)]
        volumes: Of the voxels nearest to each sphere. [voxels, (S,)]
        owner: The sphere of each voxel. [(K,)]
        lengths: Way from sphere to sphere inside the body. [m, (S, S)]
        links: Which spheres touch. [(E, 2)]
    """

    centers: np.ndarray
    radii: np.ndarray
    volumes: np.ndarray
    owner: np.ndarray
    lengths: np.ndarray
    links: np.ndarray


def voxel_graph(field: Field) -> Voxels:
    """Neighbours (26) of each inside voxel; parts that do not touch are bridged where they come closest."""
    inside = field.inside
    number = np.full(inside.shape, -1)
    number[inside] = np.arange(int(inside.sum()))
    count = int(inside.sum())
    rows, columns, lengths = [], [], []
    for offset in np.ndindex(3, 3, 3):
        shift = np.array(offset) - 1
        if tuple(shift) <= (0, 0, 0):
            continue
        here = tuple(slice(max(0, -s), n - max(0, s)) for s, n in zip(shift, inside.shape, strict=True))
        there = tuple(slice(max(0, s), n - max(0, -s)) for s, n in zip(shift, inside.shape, strict=True))
        a, b = number[here].ravel(), number[there].ravel()
        both = (a >= 0) & (b >= 0)
        rows.append(a[both])
        columns.append(b[both])
        lengths.append(np.full(int(both.sum()), np.linalg.norm(shift) * field.step))
    centers = field.centers()
    a, b, cost = (np.concatenate(list_) for list_ in (rows, columns, lengths))
    links = sparse.csr_matrix((cost, (a, b)), (count, count))
    parts, label = connected_components(links, directed=False)
    bridges = _bridges(centers, label, parts)
    for i, j, length in bridges:
        a, b, cost = np.append(a, i), np.append(b, j), np.append(cost, _BRIDGE * length)
    links = sparse.csr_matrix((np.tile(cost, 2), (np.concatenate([a, b]), np.concatenate([b, a]))), (count, count))
    return Voxels(centers, field.depth[inside], links, parts)


def _bridges(centers: np.ndarray, label: np.ndarray, parts: int) -> list[tuple[int, int, float]]:
    """The shortest jumps that join all parts to the largest one, nearest first."""
    found = []
    sizes = np.bincount(label, minlength=parts)
    joined = label == sizes.argmax()
    waiting = [part for part in np.argsort(-sizes, kind="stable") if part != sizes.argmax()]
    while waiting:
        tree, base = cKDTree(centers[joined]), np.flatnonzero(joined)
        jumps = []
        for part in waiting:
            members = np.flatnonzero(label == part)
            distance, other = tree.query(centers[members])
            best = int(distance.argmin())
            jumps.append((float(distance[best]), part, int(members[best]), int(base[other[best]])))
        length, part, here, there = min(jumps)
        # all parts that lie as near join in the same round: many crumbs cost few rounds
        for other_length, other, i, j in jumps:
            if other_length <= 1.5 * length:
                found.append((i, j, other_length))
                joined |= label == other
                waiting.remove(other)
    return found


def pack(field: Field, voxels: Voxels) -> Spheres:
    """Pack spheres along the medial surface, the largest first, and link those whose regions touch.

    A voxel is medial where no neighbour is deeper by nearly the step to it. A centre is taken if it lies outside
    `_SPACING` of the radii of all spheres so far.
    """
    chosen = _greedy(field, voxels, _medial(field))
    distance, _, source = dijkstra(voxels.links, directed=False, indices=chosen, min_only=True, return_predecessors=True)
    place = np.full(len(voxels.centers), -1)
    place[chosen] = np.arange(len(chosen))
    owner = place[source]
    centers, radii = voxels.centers[chosen], voxels.depth[chosen]
    links = voxels.links.tocoo()
    ends = np.stack([owner[links.row], owner[links.col]], 1)
    ends = np.unique(np.sort(ends[ends[:, 0] != ends[:, 1]], 1), axis=0)
    lengths = np.linalg.norm(centers[ends[:, 0]] - centers[ends[:, 1]], axis=1)
    graph = sparse.csr_matrix((lengths, (ends[:, 0], ends[:, 1])), (len(chosen), len(chosen)))
    return Spheres(centers, radii, np.bincount(owner, minlength=len(chosen)), owner, dijkstra(graph, directed=False), ends)


def _medial(field: Field) -> np.ndarray:
    """Which inside voxels lie in the middle: the slope of the depth is well below 1 there. [bool (K,)]"""
    slope = np.sqrt(sum(ndimage.sobel(field.depth, axis=axis) ** 2 for axis in range(3))) / (32 * field.step)
    return slope[field.inside] < 0.8


def _greedy(field: Field, voxels: Voxels, medial: np.ndarray) -> np.ndarray:
    """Voxels that become centres, by falling depth. [(S,)]"""
    candidates = np.flatnonzero(medial) if medial.any() else np.arange(len(medial))
    order = candidates[np.argsort(-voxels.depth[candidates], kind="stable")]
    tree = cKDTree(voxels.centers[order])
    free = np.ones(len(order), bool)
    chosen = []
    for index in range(len(order)):
        if not free[index]:
            continue
        chosen.append(order[index])
        if len(chosen) == _MOST:
            break
        reach = max(_SPACING * voxels.depth[order[index]], _FINEST * field.step)
        free[tree.query_ball_point(voxels.centers[order[index]], reach)] = False
    # every part needs one, or its voxels would belong to nobody
    return np.array(chosen)
