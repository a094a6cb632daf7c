"""A small rig and motions given by formulas."""

from __future__ import annotations

from typing import Any

import numpy as np

from schemas.motion import Motion
from schemas.rig import Rig

FPS = 32.0


def rig(**changes: Any) -> Rig:
    """A pelvis at 1 m with two legs of one bone and a tail of two; compound axes along the world's."""
    positions = np.array([[0, 1, 0], [0.2, 1, 0], [-0.2, 1, 0], [0, 1, -0.2], [0, 1, -0.6]], np.float32)
    tails = np.array([[0, 1, 0.2], [0.2, 0, 0], [-0.2, 0, 0], [0, 1, -0.6], [0, 1, -1.0]], np.float32)
    count = len(positions)
    half = np.maximum(np.abs(tails - positions) / 2, 0.05).astype(np.float32)
    fields: dict[str, Any] = {
        "name": "chain", "category": "biped", "joint_names": ["pelvis", "left", "right", "tail1", "tail2"],
        "parents": np.array([-1, 0, 0, 0, 3], np.int32), "positions": positions, "tails": tails,
        "rotations": np.tile(np.array([0, 0, 0, 1], np.float32), (count, 1)), "axes": np.tile(np.eye(3, dtype=np.float32), (count, 1, 1)),
        "limits": np.tile(np.array([-1, 1], np.float32), (count, 3, 1)), "cuboid_centers": (positions + tails) / 2, "cuboid_half_sizes": half,
        "cuboid_rotations": np.tile(np.array([0, 0, 0, 1], np.float32), (count, 1)),
        "roles": ["pelvis", "left_hind_upper", "right_hind_upper", "tail", "tail"], "source": {"kind": "file"},
    }  # fmt: skip
    return Rig(**(fields | changes))


def motion(angles: np.ndarray, *, root: np.ndarray | None = None, yaw: np.ndarray | None = None, fps: float = FPS) -> Motion:
    """A motion of `rig`. [rad (F, 5, 3); m (F, 3), default at rest; rad (F,), turns of the root about +Y]"""
    frames = len(angles)
    yaw = np.zeros(frames) if yaw is None else yaw
    turns = np.stack([0 * yaw, np.sin(yaw / 2), 0 * yaw, np.cos(yaw / 2)], 1)
    return Motion(
        name="chain", prompt="", fps=fps, joint_names=rig().joint_names, angles=np.asarray(angles, np.float32),
        root_positions=np.asarray(np.tile([0.0, 1, 0], (frames, 1)) if root is None else root, np.float32), root_rotations=turns.astype(np.float32), report={},
    )  # fmt: skip


def swinging(frames: int, period: float, amplitude: float = 0.4, **more: Any) -> Motion:
    """Legs that swing against each other about X. [frames, frames, rad]"""
    angles = np.zeros((frames, 5, 3))
    angles[:, 1, 0] = amplitude * np.sin(2 * np.pi * np.arange(frames) / period)
    angles[:, 2, 0] = -angles[:, 1, 0]
    return motion(angles, **more)
