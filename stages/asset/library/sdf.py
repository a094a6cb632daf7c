"""Sculpting with signed distances: tubes, ellipsoids and discs, smooth union, and a mirror-symmetric mesh of the result.

Distances are negative inside, in metres, and only as exact as sculpting needs: right at the surface, of the right order
near it. The smooth union is the quadratic polynomial minimum, whose blend has the finite width `blend`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator
from skimage.measure import marching_cubes

Field = Callable[[np.ndarray], np.ndarray]
"""Signed distance of points. [m, (N, 3) -> (N,)]"""

_FAR = 1e3


@dataclasses.dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid, turned by `rotation` (degrees about its own x, then y, then z: R = Rx Ry Rz)."""

    center: tuple[float, float, float]
    radii: tuple[float, float, float]
    rotation: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """A box that holds the shape. [m, (3,), (3,)]"""
        reach = np.sqrt((euler(self.rotation) ** 2) @ np.square(self.radii))
        return np.array(self.center) - reach, np.array(self.center) + reach

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance. [m, (N, 3) -> (N,)]"""
        local = (points - np.array(self.center)) @ euler(self.rotation)
        return _from_ellipsoid(local.T, self.radii)


@dataclasses.dataclass(frozen=True)
class Tube:
    """A smooth curve with an elliptic cross-section; with two stations of one radius each it is a round cone.

    Attributes:
        stations: (x, y, z, width, height) along the curve: half extents across, `width` along `side`.
        side: Direction of `width`, roughly perpendicular to the curve.
        steps: Straight pieces per span between stations.
    """

    stations: tuple[tuple[float, float, float, float, float], ...]
    side: tuple[float, float, float] = (1.0, 0.0, 0.0)
    steps: int = 5

    def curve(self, at: np.ndarray) -> np.ndarray:
        """Points of the centre line; `at` is 0 at the first station, 1 at the second, ... [(N,) -> m, (N, 3)]"""
        return self._sample(np.asarray(at, float))[:, :3]

    def _sample(self, at: np.ndarray) -> np.ndarray:
        table = np.array(self.stations, float)
        knots = np.arange(len(table), dtype=float)
        if len(table) == 2:
            return table[0] + at[:, None] * (table[1] - table[0])
        slopes = np.gradient(table[:, :3], axis=0)  # Catmull-Rom
        return np.concatenate([CubicHermiteSpline(knots, table[:, :3], slopes)(at), PchipInterpolator(knots, table[:, 3:])(at)], 1)

    def _dense(self) -> np.ndarray:
        spans = len(self.stations) - 1
        return self._sample(np.linspace(0, spans, 1 + spans * (1 if spans == 1 else self.steps)))

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """A box that holds the shape. [m, (3,), (3,)]"""
        dense = self._dense()
        reach = dense[:, 3:].max(1)[:, None]
        return (dense[:, :3] - reach).min(0), (dense[:, :3] + reach).max(0)

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance. [m, (N, 3) -> (N,)]"""
        pieces = _pieces(self)
        chunks = [_tube_distance(points[i : i + 2048], *pieces) for i in range(0, len(points), 2048)]
        return np.concatenate(chunks) if chunks else np.zeros(0)


@functools.lru_cache(maxsize=512)
def _pieces(tube: Tube) -> tuple[np.ndarray, ...]:
    """Start, step, and (value at the start, change) of the frame's two axes and of the radii, of each straight piece. [(S, ...)]"""
    dense = tube._dense()
    center, radii = dense[:, :3], dense[:, 3:]
    tangent = np.gradient(center, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    up = np.cross(tangent, np.array(tube.side, float))
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    across = np.cross(up, tangent)
    frames = np.stack([across, up], 1)
    return center[:-1], np.diff(center, axis=0), frames[:-1], np.diff(frames, axis=0), radii[:-1], np.diff(radii, axis=0)


def _tube_distance(points: np.ndarray, *pieces: np.ndarray) -> np.ndarray:
    """Distance to the nearest piece. Frames and radii are interpolated along it, so that neighbours meet without a ridge."""
    start, step, frame, frame_step, radius, radius_step = pieces
    offset = points.T[None] - start[:, :, None]  # [S, 3, N]
    t = np.clip(np.einsum("sk,skn->sn", step / np.square(step).sum(1, keepdims=True), offset), 0, 1)
    offset -= step[:, :, None] * t[:, None]
    axes = np.concatenate([frame, frame_step, (step / np.linalg.norm(step, axis=1, keepdims=True))[:, None]], 1)
    x, y, dx, dy, z = np.moveaxis(axes @ offset, 1, 0)  # [S, N] each
    rx = radius[:, :1] + radius_step[:, :1] * t
    ry = radius[:, 1:] + radius_step[:, 1:] * t
    return _from_ellipsoid((x + t * dx, y + t * dy, z), (rx, ry, np.minimum(rx, ry))).min(0)


@dataclasses.dataclass(frozen=True)
class Disc:
    """An elliptic plate with a round rim, for ears: `radii` along its own y and z, `thickness` (half) along x."""

    center: tuple[float, float, float]
    radii: tuple[float, float]
    thickness: float
    rotation: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """A box that holds the shape. [m, (3,), (3,)]"""
        return Ellipsoid(self.center, (2 * self.thickness, *self.radii), self.rotation).bounds()

    def distance(self, points: np.ndarray) -> np.ndarray:
        """Signed distance. [m, (N, 3) -> (N,)]"""
        local = (points - np.array(self.center)) @ euler(self.rotation)
        flat = _from_ellipsoid(local[:, 1:].T, [radius - self.thickness for radius in self.radii])
        return np.hypot(np.maximum(flat, 0), local[:, 0]) - self.thickness


Shape = Ellipsoid | Tube | Disc


def ball(center: Sequence[float], radius: float) -> Ellipsoid:
    """A sphere."""
    return Ellipsoid(tuple(center), (radius,) * 3)


def cone(start: Sequence[float], end: Sequence[float], r_start: float, r_end: float) -> Tube:
    """A round cone from `start` to `end`."""
    return Tube(((*start, r_start, r_start), (*end, r_end, r_end)), side=_perpendicular(np.subtract(end, start)))


def _perpendicular(direction: np.ndarray) -> tuple[float, float, float]:
    return (1.0, 0.0, 0.0) if abs(direction[0]) < 0.7 * np.linalg.norm(direction) else (0.0, 0.0, 1.0)


def euler(degrees: Sequence[float]) -> np.ndarray:
    """R = Rx Ry Rz. [deg, (3,) -> (3, 3)]"""
    turn = np.eye(3)
    for axis, angle in enumerate(np.radians(degrees)):
        i, j = (axis + 1) % 3, (axis + 2) % 3
        single = np.eye(3)
        single[i, i] = single[j, j] = np.cos(angle)
        single[j, i] = np.sin(angle)
        single[i, j] = -single[j, i]
        turn = turn @ single
    return turn


def _from_ellipsoid(local: Sequence[np.ndarray], radii: Sequence[np.ndarray | float]) -> np.ndarray:
    """Distance to an axis-aligned ellipsoid: exact for a sphere, first order near any surface. One array for each axis."""
    k0 = k1 = 0.0
    for x, r in zip(local, radii, strict=True):
        scaled = x / r
        k0 = k0 + scaled * scaled
        scaled = scaled / r
        k1 = k1 + scaled * scaled
    k0, k1 = np.sqrt(k0), np.sqrt(k1)
    inside = -functools.reduce(np.minimum, radii)
    return np.where(k0 > 1e-6, k0 * (k0 - 1) / np.maximum(k1, 1e-12), inside)


@dataclasses.dataclass(frozen=True)
class Part:
    """One lump of clay.

    Attributes:
        shape: Where it is.
        color: sRGB "#rrggbb"; "" takes the colour of whatever it joins.
        blend: Width over which it melts into what came before. [m]
        mirror: Whether it has a twin at -x.
        carve: Whether it is cut away instead of added.
    """

    shape: Shape
    color: str = ""
    blend: float = 0.0
    mirror: bool = False
    carve: bool = False

    def distance(self, points: np.ndarray, margin: float = _FAR) -> np.ndarray:
        """Signed distance to the part and its twin; beyond `margin` of its box only known to be large. [m, (N, 3) -> (N,)]"""
        lower, upper = self.shape.bounds()
        out = np.full(len(points), _FAR)
        for flip in (1.0, -1.0) if self.mirror else (1.0,):
            moved = points * (flip, 1.0, 1.0)
            near = ((moved > lower - margin) & (moved < upper + margin)).all(1)
            out[near] = np.minimum(out[near], self.shape.distance(moved[near]))
        return out


def smooth_min(a: np.ndarray, b: np.ndarray, blend: float) -> np.ndarray:
    """The smaller of two distances, rounded where they differ by less than `blend`."""
    if blend <= 0:
        return np.minimum(a, b)
    overlap = np.maximum(blend - np.abs(a - b), 0)
    return np.minimum(a, b) - overlap * overlap / (4 * blend)


def union(parts: Sequence[Part], *, ground: float = 0.0, margin: float = _FAR) -> Field:
    """The parts melted together in their order, standing on y = `ground` (what is below is cut off flat)."""

    def field(points: np.ndarray) -> np.ndarray:
        total = np.full(len(points), _FAR)
        for part in parts:
            sign = -1 if part.carve else 1
            total = sign * smooth_min(sign * total, part.distance(points, margin + part.blend), part.blend)
        return np.maximum(total, ground - points[:, 1])

    return field


def bounds(parts: Sequence[Part]) -> tuple[np.ndarray, np.ndarray]:
    """A box that holds all parts and their twins. [m, (3,), (3,)]"""
    boxes = [part.shape.bounds() for part in parts if not part.carve]
    lower, upper = np.min([b[0] for b in boxes], 0), np.max([b[1] for b in boxes], 0)
    upper[0] = max(upper[0], -lower[0])
    lower[0] = -upper[0]
    return lower, upper


@dataclasses.dataclass(frozen=True)
class Lens:
    """A ball in which the grid is finer: by `power` up to `core * radius / power` from its centre.

    What is gained there is lost further out, where the grid is coarser, up to the radius. A lens is for the half x >= 0 and holds for its twin; where it
    reaches the mid-plane, that plane is kept in place.
    """

    center: tuple[float, float, float]
    radius: float
    power: float
    core: float = 0.0

    def shrink(self, grid: np.ndarray) -> np.ndarray:
        """Grid space to the animal's space. [m, (N, 3) -> (N, 3)]"""
        offset = grid - np.array(self.center)
        r = np.clip((np.linalg.norm(offset, axis=1) / self.radius - self.core) / (1 - self.core), 0, 1)
        pull = (1 - 1 / self.power) * (1 - r * r * (3 - 2 * r))[:, None] * offset
        if 0 < self.center[0] < self.radius:
            pull[:, 0] *= np.clip(grid[:, 0] / (0.5 * self.center[0]), 0, 1)
        return grid - pull


def mesh(parts: Sequence[Part], cell: float, lenses: Sequence[Lens] = (), *, ground: float = 0.0, relax: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mesh the union of `parts` with triangles of about `cell`: watertight and exactly mirror-symmetric in x.

    Only the half x >= 0 is meshed, on a grid with a layer of samples on x = 0, and its twin is welded on. Vertices are
    then spread evenly along the surface and pulled back onto it.

    Returns:
        vertices [m, (V, 3)], faces [(T, 3)], twins: index of each vertex's mirror image [(V,)].
    """
    field = union(parts, ground=ground, margin=4 * cell)
    lower, upper = bounds(parts)
    lower[:2] = 0, ground
    first, last = lower, upper  # of the grid: a lens may push what is in its ball out to the rim of the ball
    for lens in lenses:
        first, last = np.minimum(first, np.array(lens.center) - lens.radius), np.maximum(last, np.array(lens.center) + lens.radius)
    first = np.array([0, *(first[1:] - 2 * cell)])
    axes = [np.arange(start, end + 2 * cell, cell) for start, end in zip(first, last, strict=True)]
    grid = _shrink(np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3), lenses)
    boxed = ((grid > lower - 3 * cell) & (grid < upper + 3 * cell)).all(1)
    values = np.full(len(grid), _FAR)
    values[boxed] = field(grid[boxed])
    values[values == 0] = 1e-9
    values = values.reshape([len(axis) for axis in axes])
    points, faces, _, _ = marching_cubes(values, 0.0, spacing=(cell,) * 3, gradient_direction="descent")
    seam = points[:, 0] == 0
    points = _shrink(points.astype(float) + first, lenses)
    points[seam, 0] = 0
    vertices, faces, twins = _join_halves(points, faces.astype(np.int64), seam)
    return _relax(vertices, faces, twins, field, cell, relax), faces, twins


def _shrink(grid: np.ndarray, lenses: Sequence[Lens]) -> np.ndarray:
    for lens in lenses:
        grid = lens.shrink(grid)
    return grid


def _join_halves(points: np.ndarray, faces: np.ndarray, seam: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    count, others = len(points), np.flatnonzero(~seam)
    twins = np.arange(count)
    twins[others] = count + np.arange(len(others))
    vertices = np.concatenate([points, points[others] * (-1, 1, 1)])
    faces = np.concatenate([faces, twins[faces][:, ::-1]])
    return vertices, faces, np.concatenate([twins, others])


def slope(field: Field, points: np.ndarray, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Value and gradient of a field, from four samples at the corners of a tetrahedron. [(N, 3) -> (N,), (N, 3)]"""
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], float)
    values = np.stack([field(points + step * corner) for corner in corners], 1)
    return values.mean(1), values @ corners / (4 * step)


def _relax(vertices: np.ndarray, faces: np.ndarray, twins: np.ndarray, field: Field, cell: float, rounds: int) -> np.ndarray:
    edges = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1), axis=0)
    degree = np.bincount(edges.ravel(), minlength=len(vertices))[:, None]
    half = twins >= np.arange(len(vertices))  # the half x >= 0 and the seam; the rest follows by symmetry
    for i in range(rounds + 1):
        sums = np.zeros_like(vertices)
        for axis in range(3):
            for a, b in ((0, 1), (1, 0)):
                sums[:, axis] += np.bincount(edges[:, a], vertices[edges[:, b], axis], len(vertices))
        move = (0.6 if i < rounds else 0.0) * (sums / degree - vertices)[half]
        value, steepest = slope(field, vertices[half], 0.05 * cell)
        length = np.maximum(np.linalg.norm(steepest, axis=1, keepdims=True), 0.2)
        normal = steepest / length
        move -= (move * normal).sum(1, keepdims=True) * normal
        move -= np.clip(value[:, None] / length, -0.4 * cell, 0.4 * cell) * normal
        vertices = _reflect(vertices[half] + move, half, twins)
    return vertices


def _reflect(points: np.ndarray, half: np.ndarray, twins: np.ndarray) -> np.ndarray:
    vertices = np.zeros((len(twins), 3))
    vertices[half] = points
    vertices[twins == np.arange(len(twins)), 0] = 0
    vertices[twins[half]] = vertices[half] * np.where((twins[half] == np.flatnonzero(half))[:, None], 1, (-1, 1, 1))
    return vertices
