"""From a rig to a physical body: rigid cuboids with mass, inertia, gains and contact corners (METHOD 7)."""

from __future__ import annotations

import dataclasses

import numpy as np

from schemas.errors import InputError
from schemas.rig import Rig

GRAVITY = 9.81  # m/s^2
_LOCKED = 1e-3  # an axis with less room than this does not turn [rad]
SIGNS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float64)


@dataclasses.dataclass(frozen=True)
class Body:
    """Rigid bones in an articulated tree.

    The frame of bone j has its origin at joint j and, at rest, the joint's compound axes as axes: `frames[j]`. All
    vectors below are in that frame unless said otherwise.

    Attributes:
        parents: Parent of each bone, root first. [(J,)]
        frames: Frame at rest in the world (rig.axes), columns are axes. [(J, 3, 3)]
        offsets: Joint from the parent's joint, in the parent's frame; the root's is zero. [m, (J, 3)]
        axes: Frame at rest in the parent's frame; the root's is its frame in the world. [(J, 3, 3)]
        masses: [kg, (J,)]
        centers: Centre of mass. [m, (J, 3)]
        inertias: About the centre of mass. [kg m^2, (J, 3, 3)]
        corners: Corners of the cuboid. [m, (J, 8, 3)]
        armatures: Inertia added to every joint axis; an axis whose limits leave no room is locked by a huge one. [kg m^2, (J, 3)]
        limits: [rad, (J, 3, 2)]
        height: Standing height h that gains scale with: root above the lowest corner at rest. [m]
    """

    parents: np.ndarray
    frames: np.ndarray
    offsets: np.ndarray
    axes: np.ndarray
    masses: np.ndarray
    centers: np.ndarray
    inertias: np.ndarray
    corners: np.ndarray
    armatures: np.ndarray
    limits: np.ndarray
    height: float

    @property
    def mass(self) -> float:
        """Total mass M. [kg]"""
        return float(self.masses.sum())

    @property
    def torque(self) -> float:
        """M g h, the unit of torques. [N m]"""
        return self.mass * GRAVITY * self.height

    @property
    def time(self) -> float:
        """sqrt(h / g), the unit of times. [s]"""
        return float(np.sqrt(self.height / GRAVITY))

    @staticmethod
    def from_rig(rig: Rig, *, density: float = 500.0) -> Body:
        """Make the body of a rig.

        A bone's mass is density x the part of its cuboid that is its own: where k cuboids overlap each counts 1/k, so
        that the total is the mass of their union. Its inertia is that of its cuboid with this mass. Bones smaller than a
        ten-thousandth of the body get that mass, and every joint an armature, which keeps tiny bones well conditioned.

        Parameters:
            density: [kg/m^3]

        Raises:
            InputError: The rig has no volume or no size.
        """
        parents = np.asarray(rig.parents, np.int32)
        frames = np.linalg.qr(np.asarray(rig.axes, np.float64))
        frames = frames[0] * np.sign(np.diagonal(frames[1], axis1=1, axis2=2))[:, None, :]  # float64-orthonormal
        positions, centers = np.asarray(rig.positions, np.float64), np.asarray(rig.cuboid_centers, np.float64)
        boxes = _quaternion_matrix(np.asarray(rig.cuboid_rotations, np.float64))
        height, floor = _height(rig, boxes)
        halves = np.maximum(np.asarray(rig.cuboid_half_sizes, np.float64), floor)
        masses = density * own_volumes(centers, boxes, halves)
        if not masses.sum() > 0:
            raise InputError(f"{rig.name}: its bone cuboids have no volume;", "run akd rig again.")
        masses = np.maximum(masses, 1e-4 * masses.sum())
        squares = halves**2
        moments = masses[:, None] / 3 * (squares.sum(1, keepdims=True) - squares)
        local = np.einsum("jki,jkl->jil", frames, boxes)  # cuboid axes in the bone's frame
        inertias = np.einsum("jik,jk,jlk->jil", local, moments, local)
        above = np.maximum(parents, 0)
        offsets = np.einsum("jki,jk->ji", frames[above], positions - positions[above])
        axes = np.einsum("jki,jkl->jil", frames[above], frames)
        axes[0] = frames[0]
        middle = np.einsum("jki,jk->ji", frames, centers - positions)
        corners = middle[:, None] + np.einsum("jik,jck->jci", local, SIGNS * halves[:, None])
        limits = np.asarray(rig.limits, np.float64)
        armatures = _armatures(limits, masses.sum() * height**2)
        return Body(parents, frames, offsets, axes, masses, middle, inertias, corners, armatures, limits, height)

    def with_limits_for(self, angles: np.ndarray) -> Body:
        """The body with limits that `angles` exceed moved out to them. [rad, (F, J, 3)]"""
        angles = np.asarray(angles, np.float64)
        low, high = np.minimum(self.limits[..., 0], angles.min(0)), np.maximum(self.limits[..., 1], angles.max(0))
        limits = np.stack([low, high], -1)
        return dataclasses.replace(self, limits=limits, armatures=_armatures(limits, self.mass * self.height**2))

    @property
    def rest(self) -> np.ndarray:
        """Joint points at rest, the root's at the origin. [m, (J, 3)]"""
        joints = np.zeros((len(self.parents), 3))
        for bone, parent in enumerate(self.parents):
            if parent >= 0:
                joints[bone] = joints[parent] + self.frames[parent] @ self.offsets[bone]
        return joints

    @property
    def free(self) -> np.ndarray:
        """Joint axes that are not locked. [bool, (J, 3)]"""
        return self.limits[..., 1] - self.limits[..., 0] >= _LOCKED

    def efforts(self, effort: float) -> np.ndarray:
        """Largest torque of each joint about an axis, `effort` x M g h or more where it carries a heavy part; inf for 0. [N m, (J,)]"""
        return effort * self.gains(1.0, 0.0)[0] if effort > 0 else np.full(len(self.parents), np.inf)

    def gains(self, gain: float, damping: float) -> tuple[np.ndarray, np.ndarray]:
        """Joint springs k_e [N m/rad, (J,)] and dampers k_d [N m s/rad, (J,)] of equation (12).

        A joint must bear a share of the body's weight, so its spring is `gain` x M g h; one that carries a heavy part
        of the body is stiffened until that part would swing at 1.5 / sqrt(h/g) or faster. k_d / k_e = `damping` sqrt(h/g).
        """
        swing = subtree_inertias(self) * (1.5 / self.time) ** 2
        stiffness = np.maximum(gain * self.torque, gain * swing)
        return stiffness, stiffness * damping * self.time


def _armatures(limits: np.ndarray, scale: float) -> np.ndarray:
    """Inertia of the joint axes for a body whose mass times squared height is `scale`. [(J, 3, 2) -> kg m^2, (J, 3)]"""
    return scale * np.where(limits[..., 1] - limits[..., 0] < _LOCKED, 1e3, 1e-5)


def own_volumes(centers: np.ndarray, boxes: np.ndarray, halves: np.ndarray, grid: int = 8) -> np.ndarray:
    """Volume of each cuboid with shared space divided evenly, from grid^3 samples in each. [m^3, (J,)]"""
    ticks = (np.arange(grid) + 0.5) / grid * 2 - 1
    cell = np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), -1).reshape(-1, 3)
    shares = np.empty(len(centers))
    for bone in range(len(centers)):
        points = centers[bone] + (cell * halves[bone]) @ boxes[bone].T  # [S, 3]
        local = np.einsum("jki,jsk->jsi", boxes, points - centers[:, None])
        inside = (np.abs(local) <= halves[:, None]).all(-1)
        inside[bone] = True
        shares[bone] = (1 / inside.sum(0)).mean()
    return 8 * halves.prod(1) * shares


def subtree_inertias(body: Body) -> np.ndarray:
    """Mean moment of inertia of all that hangs on each joint, about the joint, at rest. [kg m^2, (J,)]"""
    joints = body.rest
    centers = joints + np.einsum("jik,jk->ji", body.frames, body.centers)
    result = np.zeros(len(body.parents))
    for bone in range(len(body.parents)):
        moment, joint = np.trace(body.inertias[bone]) / 3, bone
        while joint >= 0:
            result[joint] += moment + body.masses[bone] * 2 / 3 * ((centers[bone] - joints[joint]) ** 2).sum()
            joint = body.parents[joint]
    return result


def _height(rig: Rig, boxes: np.ndarray) -> tuple[float, float]:
    """Standing height h and the smallest half size a cuboid may have. [m]"""
    halves = np.asarray(rig.cuboid_half_sizes, np.float64)
    corners = rig.cuboid_centers[:, None] + np.einsum("jik,jck->jci", boxes, SIGNS * halves[:, None])
    size = float(np.ptp(corners.reshape(-1, 3), axis=0).max())
    if not size > 0:
        raise InputError(f"{rig.name}: the rig has no size;", "run akd rig again.")
    # what lies on the ground (a snake) still lifts parts of its length
    height = max(float(rig.positions[0, 1] - corners[..., 1].min()), 0.2 * size)
    return height, 1e-3 * size


def _quaternion_matrix(q: np.ndarray) -> np.ndarray:
    """Rotation matrices of quaternions xyzw. [(J, 4) -> (J, 3, 3)]"""
    from scipy.spatial.transform import Rotation

    return Rotation.from_quat(q).as_matrix()
