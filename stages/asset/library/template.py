"""How a built-in animal is described, and the modelling of one: clay parts, paints and the skeleton inside."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from . import sdf

Point = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class Joint:
    """A joint and its bone, from `position` to `tail` [m]. Names and roles that start with "left_" have twins at -x."""

    name: str
    parent: str
    position: Point
    tail: Point
    role: str


@dataclasses.dataclass(frozen=True)
class Surface:
    """What a paint sees: points folded to x >= 0, so that both sides are painted alike.

    Attributes:
        points: [m, (V, 3)]
        normals: Outward unit normals, folded likewise. [(V, 3)]
    """

    points: np.ndarray
    normals: np.ndarray

    def near(self, shape: sdf.Shape, soft: float) -> np.ndarray:
        """1 in and on `shape`, falling to 0 at `soft` metres from it. [(V,)]"""
        return ramp(shape.distance(self.points), soft, 0.1 * soft)

    def noise(self, scale: float, seed: int) -> np.ndarray:
        """Smooth irregularity in about [-1, 1] with features of `scale` metres. [(V,)]"""
        rng = np.random.default_rng(seed)
        waves = rng.normal(size=(6, 3)) / scale
        return np.sin(self.points @ waves.T * 2.5 + rng.uniform(0, 2 * np.pi, 6)).mean(1) * 1.7


@dataclasses.dataclass(frozen=True)
class Paint:
    """A coat of sRGB `color` where `mask` of the surface is 1."""

    color: str
    mask: Callable[[Surface], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Animal:
    """A recipe.

    Attributes:
        parts: Clay, in the order of joining.
        joints: Skeleton, root first; only the left of each pair.
        paints: Coats over the colours of the parts, in order.
        cell: Length of the mesh's edges where no lens is. [m]
        lenses: Where the mesh is finer.
        color_blend: Distance over which the colours of neighbouring parts mix. [m]
        ground: Height of the ground in the recipe's coordinates. [m]
    """

    name: str
    category: str
    parts: Sequence[sdf.Part]
    joints: Sequence[Joint]
    paints: Sequence[Paint]
    cell: float
    lenses: Sequence[sdf.Lens] = ()
    color_blend: float = 0.01
    ground: float = 0.0


@dataclasses.dataclass(frozen=True)
class Sculpture:
    """A built-in character: mesh, vertex colours and template skeleton; +Y up, facing +Z, left is +X, feet on y = 0.

    Attributes:
        category: "quadruped", "biped", "bird" or "dinosaur".
        vertices: [m, float32 (V, 3)]
        faces: Counter-clockwise from outside; one watertight component. [int32 (T, 3)]
        colors: Linear RGBA. [0..1, float32 (V, 4)]
        parents: Root first (-1), parents before children. [int32 (J,)]
        positions: Rest joint positions. [m, float32 (J, 3)]
        tails: Rest bone tips. [m, float32 (J, 3)]
        roles: See schemas.roles. [(J,)]
    """

    name: str
    category: str
    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray
    joint_names: tuple[str, ...]
    parents: np.ndarray
    positions: np.ndarray
    tails: np.ndarray
    roles: tuple[str, ...]


def ramp(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """Smooth step from 0 at `low` to 1 at `high` (either order)."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def bands(phase: np.ndarray, width: np.ndarray | float, soft: float = 0.09) -> np.ndarray:
    """Stripes around the whole numbers of `phase`: 1 on `width` of each period, edges `soft` of a period to either side."""
    return ramp(np.abs(phase - np.round(phase)), 0.5 * width + soft, 0.5 * width - soft)


def spot(color: str, shape: sdf.Shape, soft: float) -> Paint:
    """A spot of colour on what lies in `shape`, with an edge of `soft` metres."""
    return Paint(color, lambda surface: surface.near(shape, soft))


def model(animal: Animal, *, cell: float | None = None) -> Sculpture:
    """Sculpt an animal; `cell` [m] overrides the length of its edges."""
    vertices, faces, twins = sdf.mesh(animal.parts, cell or animal.cell, animal.lenses, ground=animal.ground)
    colors = _paint(animal, vertices, faces)
    left = np.where(vertices[:, 0] >= 0, np.arange(len(twins)), twins)
    names, parents, positions, tails, roles = _skeleton(animal.joints)
    ground = np.array([0, vertices[:, 1].min(), 0])
    return Sculpture(
        animal.name,
        animal.category,
        (vertices - ground).astype(np.float32),
        faces.astype(np.int32),
        colors[left],
        names,
        parents,
        (positions - ground).astype(np.float32),
        (tails - ground).astype(np.float32),
        roles,
    )


def srgb(color: str) -> np.ndarray:
    """ "#rrggbb" as sRGB values. [0..1, (3,)]"""
    return np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255


def _paint(animal: Animal, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Linear RGBA of each vertex: the nearest parts' colours, then the coats. [float32 (V, 4)]"""
    fold = np.where(vertices[:, :1] < 0, -1.0, 1.0) * (1, 0, 0) + (0, 1, 1)
    surface = Surface(vertices * fold, _normals(vertices, faces) * fold)
    colored = [part for part in animal.parts if part.color and not part.carve]
    distances = np.stack([part.distance(surface.points, 8 * animal.cell) for part in colored])
    weights = np.exp(-np.clip((distances - distances.min(0)) / animal.color_blend, 0, 50))
    colors = (weights / weights.sum(0)).T @ np.stack([srgb(part.color) for part in colored])
    for paint in animal.paints:
        mask = np.clip(paint.mask(surface), 0, 1)[:, None]
        colors = colors + mask * (srgb(paint.color) - colors)
    colors = np.clip(colors, 0, 1)
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    return np.concatenate([linear, np.ones((len(linear), 1))], 1).astype(np.float32)


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Area-weighted vertex normals. [(V, 3)]"""
    corners = vertices[faces]
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sums = np.stack([np.bincount(faces.ravel(), np.repeat(area[:, axis], 3), len(vertices)) for axis in range(3)], 1)
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)


def _skeleton(joints: Sequence[Joint]) -> tuple[tuple[str, ...], np.ndarray, np.ndarray, np.ndarray, tuple[str, ...]]:
    """The joints with their twins: each left limb is followed by its right one."""
    names, parents, positions, tails, roles = [], [], [], [], []

    def add(joint: Joint, flip: float) -> None:
        def side(text: str) -> str:
            return text.replace("left_", "right_", 1) if flip < 0 and text.startswith("left_") else text

        parent = side(joint.parent)
        names.append(side(joint.name))
        parents.append(names.index(parent) if parent else -1)
        positions.append(np.multiply(joint.position, (flip, 1, 1)))
        tails.append(np.multiply(joint.tail, (flip, 1, 1)))
        roles.append(side(joint.role))

    for limb in _limbs(joints):
        for flip in (1.0, -1.0) if limb[0].name.startswith("left_") else (1.0,):
            for joint in limb:
                add(joint, flip)
    return tuple(names), np.array(parents, np.int32), np.array(positions), np.array(tails), tuple(roles)


def _limbs(joints: Sequence[Joint]) -> list[list[Joint]]:
    """Consecutive joints grouped into limbs: a left joint whose parent is not a left one starts a new limb."""
    limbs: list[list[Joint]] = []
    for joint in joints:
        if limbs and joint.name.startswith("left_") and joint.parent.startswith("left_"):
            limbs[-1].append(joint)
        else:
            limbs.append([joint])
    return limbs
