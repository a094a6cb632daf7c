"""Small valid artifacts, built in code, for the tests of every room."""

from __future__ import annotations

import numpy as np

from schemas.asset import Asset
from schemas.motion import Motion
from schemas.rig import Rig, bone_tails
from schemas.skin import Skin
from schemas.splat import Splat
from schemas.track import Track


def asset() -> Asset:
    """A coloured tetrahedron whose apex is split in two render vertices."""
    points = np.array([[-0.5, 0, -0.5], [0.5, 0, -0.5], [0, 0, 0.6], [0, 1, 0], [0, 1, 0]], np.float32)
    faces = np.array([[0, 1, 2], [0, 3, 1], [1, 4, 2], [2, 3, 0]], np.int32)
    normals = points - points.mean(0)
    return Asset(
        name="tetra",
        vertices=points,
        faces=faces,
        normals=normals / np.linalg.norm(normals, axis=1, keepdims=True),
        colors=np.ones((5, 4)) * [0.8, 0.4, 0.1, 1],
        face_materials=np.zeros(4),
        weld=np.array([0, 1, 2, 3, 3]),
        materials={"list": [{"name": "plain"}], "textures": [], "images": []},
        transform=np.eye(4),
        source={"kind": "builtin", "file": "tetra", "notes": []},
    )


def rig(joints: int = 4) -> Rig:
    """A chain going up with one branch."""
    parents = np.array([-1, 0, 1, 1, *range(3, joints - 1)][:joints])
    positions = np.array([[0.1 * (j == 3), 0.3 * j, 0.05 * j] for j in range(joints)])
    identity = np.tile([0.0, 0, 0, 1], (joints, 1))
    return Rig(
        name="tetra",
        category="quadruped",
        joint_names=[f"joint{j}" for j in range(joints)],
        parents=parents,
        positions=positions,
        tails=bone_tails(positions, parents),
        rotations=identity,
        axes=np.tile(np.eye(3), (joints, 1, 1)),
        limits=np.tile([[-1.5, 1.5]] * 3, (joints, 1, 1)),
        cuboid_centers=positions,
        cuboid_half_sizes=np.full((joints, 3), 0.05),
        cuboid_rotations=identity,
        roles=(["pelvis", "spine", "left_fore_upper"] + [""] * joints)[:joints],
        source={"kind": "builtin"},
    )


def skin(vertices: int = 5, joints: int = 4) -> Skin:
    """Random weights."""
    return Skin(name="tetra", method="heat", weights=weights(vertices, joints), report={"components": 1})


def splat(kernels: int = 50, joints: int = 4) -> Splat:
    """Random kernels."""
    rng = np.random.default_rng(0)
    turn = rng.normal(size=(kernels, 4))
    return Splat(
        name="tetra",
        means=rng.normal(size=(kernels, 3)),
        rotations=turn / np.linalg.norm(turn, axis=1, keepdims=True),
        scales=rng.uniform(0.01, 0.1, (kernels, 3)),
        opacities=rng.uniform(size=kernels),
        colors=rng.uniform(size=(kernels, 3)),
        faces=rng.integers(0, 4, kernels),
        weights=weights(kernels, joints),
        report={"psnr": 30.0},
    )


def motion_fields(frames: int = 6, joints: int = 4) -> dict:
    """Fields of a gentle random motion."""
    angles = np.random.default_rng(1).normal(size=(frames, joints, 3)) * 0.3
    angles[:, 0] = 0
    return {
        "name": "tetra",
        "prompt": "a tetra walking",
        "fps": 16.0,
        "joint_names": [f"joint{j}" for j in range(joints)],
        "angles": angles,
        "root_positions": np.linspace([0, 0, 0], [0, 0, 1], frames),
        "root_rotations": np.tile([0.0, 0, 0, 1], (frames, 1)),
    }


def motion(frames: int = 6, joints: int = 4) -> Motion:
    """A gentle random motion with a loss log."""
    return Motion(**motion_fields(frames, joints), loss_names=["iteration", "score"], losses=[[0, 1.0], [1, 0.5]], report={"prior": "ideal"})


def track(frames: int = 6, joints: int = 4) -> Track:
    """A tracked motion."""
    return Track(
        **motion_fields(frames, joints),
        controls=np.zeros((12, joints, 3)),
        control_rate=32.0,
        time_step=1 / 480,
        initial_velocity=np.zeros(6),
        initial_joint_velocity=np.zeros((joints, 3)),
        masses=np.ones(joints),
    )


def weights(rows: int, joints: int) -> np.ndarray:
    """Random weights whose rows sum to 1."""
    raw = np.random.default_rng(2).uniform(size=(rows, joints))
    return raw / raw.sum(1, keepdims=True)


ALL = {"asset": asset, "rig": rig, "skin": skin, "splat": splat, "motion": motion, "track": track}
