"""Schema akd.rig: the skeleton with compound joints, limits, cuboids and roles (METHOD 1)."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from .artifact import Artifact, array, record, strings, text
from .asset import check_parents
from .errors import SchemaError
from .roles import is_role


def _add_tails(raw: dict[str, Any]) -> None:
    """1.0 -> 1.1: bone tips, which 1.0 left to the reader: the mean of the children, else along the parent bone."""
    positions, parents = np.asarray(raw["positions"]), np.asarray(raw["parents"])
    raw["tails"] = bone_tails(positions, parents)


def _no_confidence(raw: dict[str, Any]) -> None:
    """1.1 -> 1.2: confidence of automatic joints, which 1.1 had none of."""
    raw.setdefault("confidence", None)


@dataclasses.dataclass(kw_only=True)
class Rig(Artifact):
    """A skeleton at rest in the asset's frame. Joint j owns bone j, from `positions[j]` to `tails[j]`.

    Motion is a delta from this rest pose: joint j turns by R = Q Rx(a1) Ry(a2) Rz(a3) Q^T relative to its parent,
    with Q = axes[j] whose columns are the three axes of the compound joint (METHOD 1).

    Attributes:
        name: Slug of the asset.
        category: "quadruped", "biped", ... or "".
        joint_names: Unique names. [(J,)]
        parents: Parent index, root first (-1), parents before children. [(J,)]
        positions: Rest joint positions. [m, (J, 3)]
        tails: Rest bone tips. [m, (J, 3)]
        rotations: Rest world orientation of the glTF joint node, xyzw. [(J, 4)]
        axes: Orthonormal, columns are the compound joint's axes at rest in world. [(J, 3, 3)]
        limits: Lowest and highest angle about each axis. [rad, (J, 3, 2)]
        cuboid_centers: Rest world centres of the bone cuboids. [m, (J, 3)]
        cuboid_half_sizes: Half extents along the cuboid's own axes. [m, (J, 3)]
        cuboid_rotations: Rest world orientation of the cuboids, xyzw. [(J, 4)]
        roles: Semantic roles, "" where unknown (see schemas.roles). [(J,)]
        confidence: How far to trust the place of each joint, 0 to 1, of an automatic skeleton. [(J,), optional]
        source: {"kind": "file|builtin|skeleton|automatic", "file": name, "notes": [...]}.
    """

    SCHEMA: ClassVar[str] = "akd.rig"
    VERSION: ClassVar[str] = "1.2"
    MIGRATIONS: ClassVar[dict] = {0: _add_tails, 1: _no_confidence}

    name: str = text()
    category: str = text("")
    joint_names: list[str] = strings("J")
    parents: np.ndarray = array("i4", "J", low=-1)
    positions: np.ndarray = array("f4", "J", 3)
    tails: np.ndarray = array("f4", "J", 3)
    rotations: np.ndarray = array("f4", "J", 4, low=-1.0001, high=1.0001)
    axes: np.ndarray = array("f4", "J", 3, 3, low=-1.0001, high=1.0001)
    limits: np.ndarray = array("f4", "J", 3, 2, low=-2 * np.pi, high=2 * np.pi)
    cuboid_centers: np.ndarray = array("f4", "J", 3)
    cuboid_half_sizes: np.ndarray = array("f4", "J", 3, low=0)
    cuboid_rotations: np.ndarray = array("f4", "J", 4, low=-1.0001, high=1.0001)
    roles: list[str] = strings("J")
    confidence: np.ndarray | None = array("f4", "J", low=0, high=1, optional=True)
    source: dict = record()

    def check(self, where: str) -> None:
        check_parents(where, "parents", self.parents)
        if len(set(self.joint_names)) != len(self.joint_names):
            raise SchemaError(f"{where}: two joints share a name.")
        for name in ("rotations", "cuboid_rotations"):
            if np.abs(np.linalg.norm(getattr(self, name), axis=1) - 1).max() > 1e-3:
                raise SchemaError(f"{where}: '{name}' holds quaternions that are not of unit length.")
        gram = np.einsum("jik,jil->jkl", self.axes, self.axes)
        if np.abs(gram - np.eye(3)).max() > 1e-3:
            raise SchemaError(f"{where}: 'axes' are not orthonormal.")
        if (self.limits[..., 0] > self.limits[..., 1]).any():
            raise SchemaError(f"{where}: 'limits' has a lower bound above the upper one.")
        bad = [role for role in self.roles if role and not is_role(role)]
        if bad:
            raise SchemaError(f"{where}: unknown role '{bad[0]}'.")

    @property
    def joint_count(self) -> int:
        """Number of joints J."""
        return len(self.parents)

    @property
    def length(self) -> float:
        """Largest extent of the joints and tips: a size to scale tolerances by. [m]"""
        return float(np.ptp(np.concatenate([self.positions, self.tails]), axis=0).max())


def bone_tails(positions: np.ndarray, parents: np.ndarray) -> np.ndarray:
    """Bone tips guessed from children (their mean), else half the parent bone further on. [m, (J, 3)]"""
    tails = np.array(positions, np.float32)
    for joint in range(len(parents)):
        children = np.flatnonzero(parents == joint)
        if len(children):
            tails[joint] = positions[children].mean(0)
        elif parents[joint] >= 0:
            tails[joint] = positions[joint] + 0.5 * (positions[joint] - positions[parents[joint]])
    return tails
