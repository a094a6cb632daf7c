"""Which axis of a mesh points up, where its format does not say: a body stands on legs and does not fall over."""

from __future__ import annotations

import dataclasses

import numpy as np

from .geometry import face_areas
from .orient import mirror_error

FORMATS = ("obj", "stl", "ply")  # glTF defines +Y
SAMPLES = 40_000
CELLS = 56  # along the longest side: legs closer than that are one
CONTACT = 0.04  # share of the height within which a surface touches the ground
FEET = 0.1  # share of the height within which a leg must begin
LEGS, STANDS, FALLS, TOPPLES = 0.07, 0.03, -0.07, -0.08  # of the largest extent
LEANS = (-20, -10, 10, 20)  # degrees
MIRRORED = 0.02  # of the largest extent: greatest mean distance between a body and its mirror image
LONGER = 1.8  # legs must be longer by this factor than those of the other axis
FLAT, FLATTER = 0.02, 6.0  # of the surface, and the factor by which a flat base must exceed that of the other axis


@dataclasses.dataclass(frozen=True)
class Stance:
    """How a body stands with one axis up; lengths in shares of its largest extent.

    legs: Height up to which a pair of limbs, one on each side of a mirror plane, rises from the ground before the two meet
        in the middle; 0 without such a pair, and where the body would fall over.
    margin: How far the centre of the surface lies inside the support polygon, seen from above; negative outside.
    base: Share of the surface that lies flat on the ground; 0 where no mirror plane contains the axis.
    """

    legs: float
    margin: float
    base: float


def find(vertices: np.ndarray, faces: np.ndarray) -> tuple[str, str]:
    """The axis that points up, "y" or "z", and what the user should hear of it, else "". [(V, 3), (T, 3)]

    +Y is kept unless +Z is clearly better: legs about twice as long, also when the body is leaned a little in case it was
    scanned so; or, in a body with a single mirror plane, a flat base where +Y has none. Nothing is said of a body without
    a mirror plane.
    """
    points = sample(vertices, faces)
    planes = mirror_planes(points)
    if not planes:
        return "y", ""
    y, z = (stance(points, up, planes, flat_base(vertices, faces, up)) for up in (1, 2))
    reason = ""
    if _longer(z, y) and not _flatter(y, z) and _longer(z, _leaned(points, planes, y)):
        reason = f"it has legs of {z.legs:.0%} of its extent that way, and with +Y up " + (f"of {y.legs:.0%}" if y.legs else "none")
    elif len(planes) == 1 and z.margin > STANDS and y.legs < LONGER * LEGS and _flatter(z, y):
        reason = "its base is flat that way"
    if reason:
        return "z", f"+Z is taken to point up: {reason}; say --up y if that is wrong"
    if len(planes) == 1 and z.margin > y.margin and y.margin < STANDS and z.legs >= y.legs and not _flatter(y, z):
        return "y", "+Y is taken to point up, though it hardly stands that way; say --up z if it lies"
    return "y", ""


def _longer(one: Stance, other: Stance) -> bool:
    return one.legs >= max(LEGS, LONGER * other.legs) and one.margin > other.margin + FALLS


def _leaned(points: np.ndarray, planes: list[int], y: Stance) -> Stance:
    """The best legs and margin that a body has with +Y up when it leans forwards or backwards."""
    for side in planes:
        for degrees in LEANS if side != 1 else ():
            turn = np.eye(3)
            c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
            turn[1, 1], turn[1, 2 - side], turn[2 - side, 1], turn[2 - side, 2 - side] = c, -s, s, c
            other = stance(points @ turn.T, 1, planes)
            y = dataclasses.replace(y, legs=max(y.legs, other.legs), margin=max(y.margin, other.margin))
    return y


def _flatter(one: Stance, other: Stance) -> bool:
    return one.base > max(FLAT, FLATTER * other.base)


def flat_base(vertices: np.ndarray, faces: np.ndarray, up: int) -> float:
    """Share of a surface that is level and within a hundredth of the extent above the ground. [(V, 3), (T, 3)]"""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    area = np.linalg.norm(normal, axis=1)
    height = (a + b + c)[:, up] / 3 - vertices[:, up].min()
    level = (np.abs(normal[:, up]) > 0.9 * area) & (height < 0.01 * np.ptp(vertices, axis=0).max())
    return float(area[level].sum() / area.sum())


def sample(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Points spread evenly over a surface, in a box of largest side 1 at the origin; the same at every call. [(SAMPLES, 3)]"""
    low = vertices.min(0)
    unit = (vertices - low) / np.ptp(vertices, axis=0).max()
    total = np.cumsum(face_areas(unit, faces))
    chosen = np.searchsorted(total, (np.arange(SAMPLES) + 0.5) / SAMPLES * total[-1])
    share = np.random.default_rng(0).random((SAMPLES, 2))
    outside = share.sum(1) > 1
    share[outside] = 1 - share[outside]
    a, b, c = (unit[faces[chosen, k]] for k in range(3))
    return a + share[:, :1] * (b - a) + share[:, 1:] * (c - a)


def mirror_planes(points: np.ndarray) -> list[int]:
    """Axes across which a body is mirrored, about as well as across its best one. [(P, 3)]"""
    low, high = points.min(0), points.max(0)
    few = (points - (low + high) / 2)[:: max(len(points) // 3000, 1)]
    errors = np.array([mirror_error(few, k) for k in range(3)])
    return [k for k in range(3) if errors[k] < min(1.7 * errors.min() + 1e-9, MIRRORED)]


def stance(points: np.ndarray, up: int, planes: list[int], base: float = 0.0) -> Stance:
    """How a body stands with the axis `up` up; `base` is the flat one of its mesh. [(P, 3)]"""
    size = np.ptp(points, axis=0)
    level = [k for k in range(3) if k != up]
    low = points[points[:, up] <= points[:, up].min() + CONTACT * size[up]][:, level]
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    around = np.stack([np.cos(angle), np.sin(angle)])
    margin = ((low @ around).max(0) - points.mean(0)[level] @ around).min() / size.max()
    sides = [k for k in planes if k != up]
    legs = _leg_length(points, up, sides) if sides and margin > TOPPLES else 0.0
    return Stance(legs, float(margin), base if sides else 0.0)


def _leg_length(points: np.ndarray, up: int, sides: list[int]) -> float:
    """The greatest height below which something stands on the ground left and right of a mirror plane, and apart."""
    from scipy import ndimage

    low, size = points.min(0), np.ptp(points, axis=0)
    cells = ((points - low) * (CELLS / size.max())).astype(np.int64)
    grid = np.zeros(cells.max(0) + 1, bool)
    grid[tuple(cells.T)] = True
    middle = size * CELLS / size.max() / 2
    height, near = grid.shape[up], max(1.0, FEET * grid.shape[up])
    best = 0
    for top in range(1, height + 1):
        labels, _ = ndimage.label(np.take(grid, range(top), up), np.ones((3, 3, 3)))
        boxes = [box for box in ndimage.find_objects(labels) if box[up].start <= near]
        if any(any(b[k].stop <= middle[k] for b in boxes) and any(b[k].start >= middle[k] for b in boxes) for k in sides):
            best = top
    return best / CELLS
