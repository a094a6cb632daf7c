"""Schema akd.motion: joint angles and root transforms over time (METHOD 1), the result of distill."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import numpy as np

from .artifact import Artifact, array, number, record, strings, text
from .errors import SchemaError


@dataclasses.dataclass(kw_only=True)
class Motion(Artifact):
    """Motion of a rig. Angles are deltas from the rest pose about the rig's compound axes.

    Attributes:
        name: Slug of the asset.
        prompt: The sentence it was made from.
        fps: Frames per second. [Hz]
        joint_names: Joints of the rig, in its order. [(J,)]
        angles: Compound joint angles; the root's row is zero. [rad, (F, J, 3)]
        root_positions: World position of the root joint. [m, (F, 3)]
        root_rotations: World rotation of the root relative to rest, xyzw. [(F, 4)]
        loss_names: Columns of `losses`.
        losses: One row per recorded iteration, the first column is the iteration. [(I, K), optional]
        report: Figures of the run (prior, iterations, seconds, warnings).
    """

    SCHEMA: ClassVar[str] = "akd.motion"
    VERSION: ClassVar[str] = "1.0"

    name: str = text()
    prompt: str = text()
    fps: float = number(low=1e-3, high=1000)
    joint_names: list[str] = strings("J")
    angles: np.ndarray = array("f4", "F", "J", 3, low=-100, high=100)
    root_positions: np.ndarray = array("f4", "F", 3)
    root_rotations: np.ndarray = array("f4", "F", 4, low=-1.0001, high=1.0001)
    loss_names: list[str] | None = strings("K", optional=True)
    losses: np.ndarray | None = array("f4", "I", "K", optional=True)
    report: dict = record()

    def check(self, where: str) -> None:
        if not len(self.angles):
            raise SchemaError(f"{where}: the motion has no frames.")
        if np.abs(np.linalg.norm(self.root_rotations, axis=1) - 1).max() > 1e-3:
            raise SchemaError(f"{where}: 'root_rotations' holds quaternions that are not of unit length.")
        if np.abs(self.angles[:, 0]).max() > 1e-6:
            raise SchemaError(f"{where}: 'angles' of the root must be zero, its turn is in 'root_rotations'.")

    @property
    def frame_count(self) -> int:
        """Number of frames F."""
        return len(self.angles)

    @property
    def duration(self) -> float:
        """From the first to the last frame. [s]"""
        return (len(self.angles) - 1) / self.fps
