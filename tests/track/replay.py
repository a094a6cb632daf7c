"""An exported model played in MuJoCo, and how far it strays from the track (docs/track.md)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import mujoco
import numpy as np


@dataclasses.dataclass(frozen=True)
class Replay:
    """What MuJoCo does with a track's controls, at the track's frames.

    Attributes:
        root: Distance of the root joint from the track's. [m, (F,)]
        joints: Distance of each joint. [m, (F, J)]
        names: Of the joints. [(J,)]
    """

    root: np.ndarray
    joints: np.ndarray
    names: list[str]

    @property
    def error(self) -> float:
        """Root mean square over frames and joints. [m]"""
        return float(np.sqrt((self.joints**2).mean()))

    @property
    def worst(self) -> tuple[float, str]:
        """The largest distance of a joint at any frame, and that joint. [m]"""
        joint = int(self.joints.max(0).argmax())
        return float(self.joints.max()), self.names[joint]


def replay(path: Path, model: mujoco.MjModel | None = None) -> Replay:
    """Play the controls beside the model `path` (.xml) from its key frame and compare with the tracked motion."""
    model = model or mujoco.MjModel.from_xml_path(str(path))
    data, track = mujoco.MjData(model), np.load(path.with_suffix(".npz"))
    wanted = np.stack([joint_points(model, data, qpos) for qpos in track["qpos"]])
    mujoco.mj_resetDataKeyframe(model, data, model.key("start").id)
    got = []
    steps = round(1 / float(track["fps"]) / model.opt.timestep)
    for frame in range(len(wanted)):
        mujoco.mj_kinematics(model, data)
        got.append(data.xpos[1:].copy())
        for _ in range(steps if frame + 1 < len(wanted) else 0):
            data.ctrl = track["ctrl"][min(int(data.time * float(track["ctrl_rate"]) + 1e-6), len(track["ctrl"]) - 1)]
            mujoco.mj_step(model, data)
    away = np.linalg.norm(np.stack(got) - wanted, axis=-1)
    return Replay(away[:, 0], away, [model.body(bone).name for bone in range(1, model.nbody)])


def joint_points(model: mujoco.MjModel, data: mujoco.MjData, qpos: np.ndarray) -> np.ndarray:
    """Joints of a pose in the model's world. [(7 + 3 (J - 1),) -> m, (J, 3)]"""
    data.qpos = qpos
    mujoco.mj_kinematics(model, data)
    return data.xpos[1:].copy()
