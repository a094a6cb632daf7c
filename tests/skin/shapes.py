"""Small meshes with known shapes, and assets and rigs made of them."""

from __future__ import annotations

import numpy as np

from schemas.asset import Asset
from schemas.rig import Rig


def tube(length: float = 2.0, radius: float = 0.25, rings: int = 41, around: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """A closed tube along +y from 0 to `length`. [m, (V, 3), (T, 3)]"""
    angle = np.arange(around) * 2 * np.pi / around
    ring = np.stack([radius * np.cos(angle), np.zeros(around), radius * np.sin(angle)], 1)
    heights = np.linspace(0, length, rings)
    points = np.concatenate([ring + (0, y, 0) for y in heights] + [[(0, 0, 0), (0, length, 0)]])
    faces = []
    for row in range(rings - 1):
        for column in range(around):
            a, b = row * around + column, row * around + (column + 1) % around
            faces += [(a, a + around, b), (b, a + around, b + around)]
    low, high, top = rings * around, rings * around + 1, (rings - 1) * around
    for column in range(around):
        nxt = (column + 1) % around
        faces += [(low, column, nxt), (high, top + nxt, top + column)]
    return points, np.array(faces)


def box(center: tuple[float, float, float], size: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """A closed box. [m, (8, 3), (12, 3)]"""
    points = np.array([(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]) * size + center
    faces = [(0, 1, 3), (0, 3, 2), (4, 6, 7), (4, 7, 5), (0, 4, 5), (0, 5, 1), (2, 3, 7), (2, 7, 6), (0, 2, 6), (0, 6, 4), (1, 5, 7), (1, 7, 3)]
    return points, np.array(faces)


def joined(*parts: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Several meshes as one."""
    points, faces, base = [], [], 0
    for part_points, part_faces in parts:
        points.append(part_points)
        faces.append(part_faces + base)
        base += len(part_points)
    return np.concatenate(points), np.concatenate(faces)


def as_asset(points: np.ndarray, faces: np.ndarray, split: bool = False, **skeleton: object) -> Asset:
    """An asset of a mesh; `split` gives every face its own vertices, as seams do."""
    weld = np.arange(len(points))
    if split:
        weld = faces.ravel()
        points, faces = points[weld], np.arange(len(weld)).reshape(-1, 3)
    normals = np.tile([0.0, 1.0, 0.0], (len(points), 1))
    return Asset(
        name="shape",
        vertices=points,
        faces=faces,
        normals=normals,
        colors=np.ones((len(points), 4)),
        face_materials=np.zeros(len(faces)),
        weld=weld,
        materials={"list": [{}], "textures": [], "images": []},
        transform=np.eye(4),
        source={"file": "shape.glb", "kind": "glb", "notes": []},
        **skeleton,
    )


def as_rig(names: list[str], parents: list[int], positions: np.ndarray, tails: np.ndarray) -> Rig:
    """A rig with plain frames."""
    count = len(names)
    return Rig(
        name="shape",
        joint_names=names,
        parents=parents,
        positions=positions,
        tails=tails,
        rotations=np.tile([0.0, 0, 0, 1], (count, 1)),
        axes=np.tile(np.eye(3), (count, 1, 1)),
        limits=np.tile([-1.0, 1.0], (count, 3, 1)),
        cuboid_centers=positions,
        cuboid_half_sizes=np.full((count, 3), 0.1),
        cuboid_rotations=np.tile([0.0, 0, 0, 1], (count, 1)),
        roles=[""] * count,
    )
