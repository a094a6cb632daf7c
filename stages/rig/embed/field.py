"""The inside of a mesh on a voxel grid: winding numbers and the distance to the surface.

A winding number (Barill et al. 2018) counts how often the surface goes around a point, also where it has holes, several
parts that overlap, or edges with three faces: nothing has to be watertight.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import ndimage

VOXELS = 80  # along the longest side
MOST_INSIDE = 85_000  # voxels of the body: bounds time and memory
_MARGIN = 2  # voxels of air around the mesh
_INSIDE = 0.5  # winding number
SYMMETRIC = 0.8  # completed to an exactly symmetric body above this
SAME_POSE = 0.9  # left and right are posed alike above this
_SAMPLES_PER_VOXEL = 3.0  # points a voxel's side apart, to find what is thinner than a voxel


@dataclasses.dataclass
class Field:
    """A voxel grid.

    Attributes:
        origin: Centre of voxel (0, 0, 0). [m, (3,)]
        step: Side of a voxel. [m]
        inside: Voxels of the body. [bool (X, Y, Z)]
        depth: Distance from a voxel's centre to the surface, 0 outside. [m, (X, Y, Z)]
        thin: Share of the body's voxels that no winding number has, only the surface: sheets and open shells.
        symmetry: Common to the body and its mirror image in the middle of x, of what either has; a body above
            `SYMMETRIC` is completed to an exactly symmetric one.
    """

    origin: np.ndarray
    step: float
    inside: np.ndarray
    depth: np.ndarray
    thin: float
    symmetry: float

    def centers(self) -> np.ndarray:
        """Centres of the inside voxels, in the order of `np.nonzero(inside)`. [m, (K, 3)]"""
        return self.origin + self.step * np.argwhere(self.inside)

    def sample(self, points: np.ndarray) -> np.ndarray:
        """Depth at any points, linear between voxels. [m, (N, 3) -> (N,)]"""
        places = (np.atleast_2d(points) - self.origin) / self.step
        return ndimage.map_coordinates(self.depth, places.T, order=1, mode="constant")


def build(points: np.ndarray, faces: np.ndarray, voxels: int = VOXELS) -> Field:
    """The field of a mesh; a stout body, which would fill its box with voxels, gets larger ones.

    Parameters: as `_build`.
    """
    found = _build(points, faces, voxels)
    count = int(found.inside.sum())
    return found if count <= MOST_INSIDE else _build(points, faces, max(16, int(voxels * (MOST_INSIDE / count) ** (1 / 3))))


def _build(points: np.ndarray, faces: np.ndarray, voxels: int) -> Field:
    """The field of a mesh at one resolution.

    Parameters:
        points: [m, (N, 3)]
        faces: Counter-clockwise seen from outside; if most are turned inward they are taken the other way. [(T, 3)]
        voxels: Along the longest side.
    """
    import igl

    points = np.ascontiguousarray(points, np.float64)
    faces = np.ascontiguousarray(faces, np.int64)
    low, high = points.min(0), points.max(0)
    step = float((high - low).max()) / voxels
    shape = np.ceil((high - low) / step).astype(int) + 2 * _MARGIN + 1
    origin = 0.5 * (low + high) - 0.5 * step * (shape - 1)
    grid = np.indices(shape).reshape(3, -1).T * step + origin
    winding = igl.fast_winding_number(points, faces, grid).reshape(shape)
    if winding.sum() < 0:
        winding = -winding
    solid = winding > _INSIDE
    sheet = _surface_voxels(points, faces, origin, step, shape) & ~ndimage.binary_dilation(solid, np.ones((3, 3, 3)))
    inside = solid | sheet
    flipped = inside[::-1]  # the grid is centred on the bounding box
    common = float((inside & flipped).sum() / max((inside | flipped).sum(), 1))
    if common > SYMMETRIC:
        inside = inside | flipped
    depth = ndimage.distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1, 1:-1] * step
    depth = np.where(inside, np.maximum(depth - 0.5 * step, 0.5 * step), 0.0)
    return Field(origin, step, inside, depth, float(sheet.sum() / max(inside.sum(), 1)), common)


def _surface_voxels(points: np.ndarray, faces: np.ndarray, origin: np.ndarray, step: float, shape: np.ndarray) -> np.ndarray:
    """Voxels that the surface passes. [bool (X, Y, Z)]"""
    corners = points[faces]
    edges = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2).max(1)
    counts = np.ceil(_SAMPLES_PER_VOXEL * edges / step).astype(int).clip(1, 4 * max(shape))
    marked = np.zeros(shape, bool)
    for count in np.unique(counts):
        # a regular pattern of barycentric places: no random numbers, no gaps
        i, j = np.meshgrid(np.arange(count + 1), np.arange(count + 1), indexing="ij")
        keep = i + j <= count
        u, v = i[keep] / count, j[keep] / count
        weights = np.stack([1 - u - v, u, v], 1)
        chosen = corners[counts == count]
        rows = max(1, 2_000_000 // len(weights))
        for start in range(0, len(chosen), rows):
            samples = np.einsum("sk,tkc->tsc", weights, chosen[start : start + rows]).reshape(-1, 3)
            cell = np.round((samples - origin) / step).astype(int).clip(0, shape - 1)
            marked[cell[:, 0], cell[:, 1], cell[:, 2]] = True
    return marked
