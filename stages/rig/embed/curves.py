"""Centre lines: the way through the middle of a limb or of the trunk."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.sparse as sparse
from scipy.ndimage import gaussian_filter1d
from scipy.sparse.csgraph import dijkstra

from .field import Field
from .medial import Voxels

_CENTRED = 3.0  # power of the depth in the cost of a way: high keeps to the middle
_SMOOTH = 2.0  # samples


@dataclasses.dataclass
class Curve:
    """A polyline with the depth of the body along it.

    Attributes:
        points: Evenly spaced. [m, (N, 3)]
        radii: Depth of the body there. [m, (N,)]
    """

    points: np.ndarray
    radii: np.ndarray

    @property
    def arc(self) -> np.ndarray:
        """Length from the start to each point. [m, (N,)]"""
        return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(self.points, axis=0), axis=1))])

    def at(self, share: float) -> np.ndarray:
        """The point at a share of the length. [m, (3,)]"""
        arc = self.arc
        return np.array([np.interp(share * arc[-1], arc, self.points[:, axis]) for axis in range(3)])

    def cut(self, start: float, end: float = 1.0, count: int = 0) -> Curve:
        """The part between two shares of the length."""
        arc = self.arc / max(self.arc[-1], 1e-12)
        places = np.linspace(start, end, count or max(2, round((end - start) * len(self.points))))
        return Curve(
            np.stack([np.interp(places, arc, self.points[:, axis]) for axis in range(3)], 1),
            np.interp(places, arc, self.radii),
        )

    def closest(self, point: np.ndarray) -> float:
        """Share of the length of the sample nearest to a point."""
        arc = self.arc
        return float(arc[np.linalg.norm(self.points - point, axis=1).argmin()] / max(arc[-1], 1e-12))


class Ways:
    """Ways through the middle of a body from one place to any other."""

    def __init__(self, field: Field, voxels: Voxels, start: np.ndarray) -> None:
        self.field, self.voxels = field, voxels
        links = voxels.links.tocoo()
        depth = 0.5 * (voxels.depth[links.row] + voxels.depth[links.col])
        cost = links.data * (field.step / np.maximum(depth, 0.25 * field.step)) ** _CENTRED
        graph = sparse.csr_matrix((cost, (links.row, links.col)), links.shape)
        self.source = int(voxels.nearest(start[None])[0])
        _, self.before = dijkstra(graph, directed=False, indices=self.source, return_predecessors=True)

    def to(self, end: np.ndarray) -> Curve:
        """The centre line from the start to the voxel nearest to `end`, smoothed and evenly sampled."""
        place = int(self.voxels.nearest(end[None])[0])
        path = [place]
        while path[-1] != self.source and self.before[path[-1]] >= 0:
            path.append(int(self.before[path[-1]]))
        return smooth(self.field, self.voxels.centers[path[::-1]])


def smooth(field: Field, points: np.ndarray, sigma: float = _SMOOTH) -> Curve:
    """Sample a polyline at steps of a voxel and smooth it; its ends stay."""
    points = resample(points, field.step)
    if len(points) > 3:
        softer = gaussian_filter1d(points, sigma, axis=0, mode="nearest")
        softer[0], softer[-1] = points[0], points[-1]
        points = softer
    return Curve(points, field.sample(points))


def resample(points: np.ndarray, step: float) -> np.ndarray:
    """Points about `step` apart along a polyline. [(N, 3) -> (M, 3)]"""
    lengths = np.linalg.norm(np.diff(points, axis=0), axis=1)
    arc = np.concatenate([[0.0], np.cumsum(lengths)])
    if arc[-1] <= 0:
        return np.repeat(points[:1], 2, axis=0)
    places = np.linspace(0, arc[-1], max(2, int(round(arc[-1] / step)) + 1))
    return np.stack([np.interp(places, arc, points[:, axis]) for axis in range(3)], 1)


def mirrored(curve: Curve, plane: float) -> Curve:
    """The curve on the other side of the plane x = `plane`."""
    return Curve(curve.points * [-1, 1, 1] + [2 * plane, 0, 0], curve.radii)


def mean(first: Curve, second: Curve) -> Curve:
    """The curve between two that run alike, sample by sample at equal shares of their lengths."""
    count = max(len(first.points), len(second.points))
    a, b = first.cut(0, 1, count), second.cut(0, 1, count)
    return Curve(0.5 * (a.points + b.points), 0.5 * (a.radii + b.radii))
