"""Where the limbs of a body end: the places farthest from its middle that stand out (geodesic extremities)."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.sparse.csgraph import dijkstra

from .medial import Spheres, Voxels

_STANDS_OUT = 0.045  # of the extent: the least way from a tip to where its limb meets another, beyond the radius there
_STANDS_OUT_BELOW = 0.02  # the same for what stands on the ground: legs may be stubs
_LOW = 0.1  # of the height: how low that is
_SAME = 0.05  # of the extent: tips closer than this are one
_MOST = 40


@dataclasses.dataclass
class Tips:
    """Ends of limbs, the most prominent first.

    Attributes:
        core: Sphere in the middle of the body.
        points: Places of the tips. [m, (T, 3)]
        spheres: The sphere each tip lies in. [(T,)]
        reach: Way from the core to each tip. [m, (T,)]
        prominence: Way from a tip to the place where its limb meets a longer one. [m, (T,)]
    """

    core: int
    points: np.ndarray
    spheres: np.ndarray
    reach: np.ndarray
    prominence: np.ndarray


def find(voxels: Voxels, spheres: Spheres, extent: float, plane: float | None = None) -> Tips:
    """Find the tips by persistence: flood the body from its ends to its core and note where ends meet.

    Parameters:
        extent: Of the body. [m]
        plane: x of the plane of symmetry of an exactly symmetric body: every tip has its mirror image there. [m]

    The core is the sphere with the shortest mean way to the whole volume, so that a big head is an end, not the core.
    """
    core = int((spheres.lengths @ spheres.volumes).argmin())
    way = dijkstra(voxels.links, directed=False, indices=int(voxels.nearest(spheres.centers[core][None])[0]))
    count = len(spheres.radii)
    # the farthest voxel of each sphere speaks for it
    order = np.lexsort((way, spheres.owner))
    last = np.flatnonzero(np.diff(np.append(spheres.owner[order], count)))
    farthest = np.full(count, -1)
    farthest[spheres.owner[order[last]]] = order[last]
    height = np.where(farthest >= 0, way[farthest], 0.0)
    ends, prominence = _persistence(height, spheres)
    ground = voxels.centers[:, 1].min()
    standing = voxels.centers[farthest[ends], 1] < ground + _LOW * np.ptp(voxels.centers[:, 1])
    keep = prominence > np.where(standing, _STANDS_OUT_BELOW, _STANDS_OUT) * extent
    ends, prominence = ends[keep][:_MOST], prominence[keep][:_MOST]
    points = voxels.centers[farthest[ends]]
    if plane is not None:
        points, ends, prominence = _mirrored(points, ends, prominence, voxels, spheres, plane, _SAME * extent)
    return Tips(core, points, ends, height[ends], prominence)


def _mirrored(
    points: np.ndarray, ends: np.ndarray, prominence: np.ndarray, voxels: Voxels, spheres: Spheres, plane: float, same: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The tips with the mirror images that the flooding missed: of two equal limbs one may fall below the threshold."""
    images = points * [-1, 1, 1] + [2 * plane, 0, 0]
    gaps = np.linalg.norm(images[:, None] - points[None], axis=2).min(1)
    lost = np.flatnonzero((gaps > same) & (np.abs(points[:, 0] - plane) > same))
    if not len(lost):
        return points, ends, prominence
    places = voxels.nearest(images[lost])
    points = np.concatenate([points, voxels.centers[places]])
    return points, np.concatenate([ends, spheres.owner[places]]), np.concatenate([prominence, prominence[lost]])


def _persistence(height: np.ndarray, spheres: Spheres) -> tuple[np.ndarray, np.ndarray]:
    """Local maxima of `height` on the sphere graph and how far each rises above its merge, less the radius there."""
    neighbours: list[list[int]] = [[] for _ in height]
    for a, b in spheres.links:
        neighbours[a].append(int(b))
        neighbours[b].append(int(a))
    group = np.full(len(height), -1)  # union-find over what is flooded
    peak: dict[int, int] = {}

    def root(node: int) -> int:
        while group[node] != node:
            group[node] = group[group[node]]
            node = group[node]
        return node

    found: list[tuple[float, int]] = []
    for node in np.argsort(-height, kind="stable"):
        group[node], peak[node] = node, node
        roots = sorted({root(other) for other in neighbours[node] if group[other] >= 0}, key=lambda r: (-height[peak[r]], r))
        for index, other in enumerate(roots):
            if index:
                found.append((height[peak[other]] - height[node] - spheres.radii[node], peak[other]))
            group[other] = node
        if roots:
            peak[node] = peak[roots[0]]
    last = peak[root(int(height.argmax()))]  # of two equally high ends the one that the merges kept
    found.append((float(height[last]), last))
    found.sort(key=lambda pair: (-pair[0], pair[1]))
    return np.array([end for _, end in found]), np.array([rise for rise, _ in found])
