"""Which way a model faces: from the names of its joints, else from the symmetry of its shape."""

from __future__ import annotations

import dataclasses
import re

import numpy as np

_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}
_HEAD = {"head", "jaw", "nose", "snout", "muzzle", "beak", "mouth", "face"}
_REAR = {"tail"}
_MIDDLE = {"hips", "hip", "pelvis"}
_TOES = {"toe", "toes", "ball"}
_CONTROLS = {"ik", "pole", "target", "control", "tracker", "orient", "socket"}
SNAP = np.radians(25)  # a model this close to an axis is taken to face it: heads are often turned


@dataclasses.dataclass(frozen=True)
class Facing:
    """A horizontal direction and where it is known from; direction None if nothing is known. [unit, (3,)]"""

    direction: np.ndarray | None
    reason: str


def axis(name: str) -> np.ndarray:
    """The unit vector of "x", "-y", ... [(3,)]"""
    vector = np.zeros(3)
    vector["xyz".index(name[-1])] = -1.0 if name.startswith("-") else 1.0
    return vector


def rotation(up: np.ndarray, facing: np.ndarray) -> np.ndarray:
    """The rotation that takes `up` to +Y and `facing` (made orthogonal to it) to +Z. [(3, 3)]"""
    facing = facing - up * (facing @ up)
    facing = facing / np.linalg.norm(facing)
    return np.stack([np.cross(up, facing), up, facing])


def words(name: str) -> list[str]:
    """A joint's name split at punctuation, digits and capitals, in lower case: "b_LeftUpperArm_09" -> b left upper arm."""
    return [w.lower() for w in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def facing_by_names(names: list[str], parents: np.ndarray, positions: np.ndarray, up: np.ndarray) -> Facing:
    """Where a skeleton faces, by the words in its joint names.

    Head against tail (or hips, where that is a horizontal line) comes first: names of sides are swapped more often
    than heads and tails. Then left against right, then toes against feet.
    """
    split = [words(name) for name in names]
    usable = np.array([not _CONTROLS & set(w) for w in split])
    size = max(float(np.ptp(positions[usable], axis=0).max()) if usable.any() else 0.0, 1e-9)

    def flat(vector: np.ndarray) -> np.ndarray:
        return vector - up * (vector @ up)

    def mean(vocabulary: set[str]) -> np.ndarray | None:
        chosen = [j for j, w in enumerate(split) if usable[j] and vocabulary & set(w)]
        return positions[chosen].mean(0) if chosen else None

    spine = None
    head, rear = mean(_HEAD), mean(_REAR)
    rear = mean(_MIDDLE) if rear is None else rear
    if head is not None and rear is not None:
        along = flat(head - rear)
        if np.linalg.norm(along) > 0.25 * max(abs((head - rear) @ up), 0.4 * size):
            spine = along / np.linalg.norm(along)
    lateral = _left(split, usable, positions)
    sides = None
    if lateral is not None and np.linalg.norm(flat(lateral)) > 0.02 * size:
        sides = np.cross(flat(lateral), up)
        sides /= np.linalg.norm(sides)
    if spine is not None:
        if sides is not None and spine @ sides > np.cos(SNAP + np.radians(20)):
            return Facing(sides, "joint names (left and right, head and tail)")  # the steadier line: a head may be turned
        swapped = " (left and right are named the wrong way round)" if sides is not None and spine @ sides < -0.7 else ""
        return Facing(spine, "joint names (head and tail)" + swapped)
    if sides is not None:
        return Facing(sides, "joint names (left and right)")
    steps = [flat(positions[j] - positions[parents[j]]) for j, w in enumerate(split) if _TOES & set(w) and parents[j] >= 0]
    if steps and np.linalg.norm(np.sum(steps, 0)) > 1e-3 * size:
        return Facing(np.sum(steps, 0) / np.linalg.norm(np.sum(steps, 0)), "joint names (toes)")
    return Facing(None, "the joint names tell nothing")


def _left(split: list[list[str]], usable: np.ndarray, positions: np.ndarray) -> np.ndarray | None:
    """Mean direction from right to left over joints whose names differ in the side only. [(3,)]"""
    found: dict[str, dict[tuple[str, ...], list[int]]] = {"left": {}, "right": {}}
    for joint, parts in enumerate(split):
        sides = [_SIDES[w] for w in parts if w in _SIDES]
        if usable[joint] and len(sides) == 1:
            found[sides[0]].setdefault(tuple(w for w in parts if w not in _SIDES), []).append(joint)
    steps = [positions[found["left"][key]].mean(0) - positions[found["right"][key]].mean(0) for key in found["left"] if key in found["right"]]
    return np.mean(steps, 0) if steps else None


def facing_by_shape(points: np.ndarray, *, conventional: bool) -> Facing:
    """Where a mesh faces, from its mirror plane (x or z) and its higher end; +Y is up. [(P, 3)]

    A head is mostly held above a rump. A model mirrored in z faces along x, towards its higher end. One mirrored in x
    faces +Z, as glTF has it (`conventional`); in other formats it faces -Z where that end is clearly the higher one.
    """
    points = points[:: max(len(points) // 3000, 1)]
    low, high = points.min(0), points.max(0)
    centred = points - (low + high) / 2
    across_x, across_z = mirror_error(centred, 0), mirror_error(centred, 2)
    if across_z < 0.6 * across_x:
        sign = -1.0 if _rise(points, 0) < -0.02 else 1.0
        return Facing(np.array([sign, 0.0, 0.0]), "the shape (mirrored in z, higher in front)")
    if not conventional and across_x < 0.6 * across_z and _rise(points, 2) < -0.15:
        return Facing(np.array([0.0, 0.0, -1.0]), "the shape (mirrored in x, higher in front)")
    return Facing(None, "the shape tells nothing else")


def _rise(points: np.ndarray, coordinate: int) -> float:
    """How much higher the upper end of a coordinate is than the lower one, in shares of the height."""
    along = points[:, coordinate]
    low, high = along.min(), along.max()
    reach = 0.2 * (high - low)
    front, back = points[along > high - reach, 1].max(), points[along < low + reach, 1].max()
    return float((front - back) / max(np.ptp(points[:, 1]), 1e-12))


def mirror_error(points: np.ndarray, coordinate: int) -> float:
    """Mean distance of mirrored points to the points, in shares of the extent."""
    from scipy.spatial import cKDTree

    mirrored = points.copy()
    mirrored[:, coordinate] *= -1
    distance, _ = cKDTree(points).query(mirrored)
    return float(distance.mean() / np.ptp(points, axis=0).max())


def snap(direction: np.ndarray) -> np.ndarray:
    """The axis within `SNAP` of a direction, else the direction itself. [(3,)]"""
    nearest = int(np.abs(direction).argmax())
    if abs(direction[nearest]) < np.cos(SNAP):
        return direction
    result = np.zeros(3)
    result[nearest] = np.sign(direction[nearest])
    return result
