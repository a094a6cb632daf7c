"""Another motion to begin with: its joints as they are, its way taken out."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import torch
from scipy.spatial.transform import Rotation, Slerp

from schemas.errors import InputError
from schemas.motion import Motion
from schemas.rig import Rig

from .course import Trail, along, trail_of


@dataclasses.dataclass(frozen=True)
class Init:
    """Another motion, seen from a frame that goes straight ahead at its mean speed, ready to be varied.

    Attributes:
        angles: [rad, (F, J, 3)]
        vectors: Rotation vector of the root. [rad, (F, 3)]
        shifts: Of the root from the straight line; the height is above the ground. [m, (F, 3)]
        trail: Where it goes.
        speed: [m/s]
        loops: Whether its first frame follows its last.
        note: What became of it, "" if nothing did.
    """

    angles: np.ndarray
    vectors: np.ndarray
    shifts: np.ndarray
    trail: Trail
    speed: float
    loops: bool
    note: str = ""

    @property
    def frames(self) -> int:
        """Number of frames F."""
        return len(self.angles)

    def over(self, first: int, count: int, period: float | None) -> Init:
        """Frames `first` to `first + count - 1`, beyond its ends by its cycle.

        Parameters:
            period: Of its cycle, None if it has none. [frames]

        Raises:
            InputError: It is too short and has no cycle.
        """
        wanted = np.arange(first, first + count, dtype=float)
        if self.loops:
            place = wanted % self.frames
        elif wanted[0] >= 0 and wanted[-1] <= self.frames - 1:
            place = wanted
        elif period is None or period > self.frames - 1:
            short = f"--init: the motion has {self.frames} frames at this frame rate and no cycle to go on with, {count} are needed;"
            raise InputError(short, "lower --frames.")
        else:
            last = self.frames - 1
            place = wanted - np.ceil(np.maximum(wanted - last, 0) / period) * period + np.ceil(np.maximum(-wanted, 0) / period) * period
        before = np.floor(place).astype(int)
        share, after = place - before, np.minimum(before + 1, self.frames - 1)

        def mixed(values: np.ndarray) -> np.ndarray:
            weight = share.reshape(-1, *[1] * (values.ndim - 1))
            return (1 - weight) * values[before] + weight * values[after]

        return dataclasses.replace(self, angles=mixed(self.angles), vectors=mixed(self.vectors), shifts=mixed(self.shifts))


def init_of(motion: Motion, rig: Rig, fps: float) -> Init:
    """A motion of this rig as a start, at another frame rate if need be.

    Raises:
        InputError: It was made for other joints.
    """
    if list(motion.joint_names) != list(rig.joint_names):
        odd = sorted(set(motion.joint_names) ^ set(rig.joint_names))
        what = f"joint '{odd[0]}' is in only one of them" if odd else "their order differs"
        raise InputError(f"--init: the motion '{motion.prompt}' does not fit the rig '{rig.name}': {what};", "give a motion of this rig.")
    loops = bool(motion.report.get("loop"))
    note = f"init: {motion.frame_count} frames at {motion.fps:g} Hz taken at {fps:g} Hz" if abs(motion.fps - fps) > 1e-9 else ""
    motion = _at(motion, fps, loops)
    trail, speed = trail_of(motion)
    course = along(trail, speed, fps, np.arange(motion.frame_count))
    line = np.zeros((motion.frame_count, 3))
    line[:, 2] = speed / fps * np.arange(motion.frame_count)
    places, turns = (torch.as_tensor(value, dtype=torch.float64) for value in (motion.root_positions, motion.root_rotations))
    exact = dataclasses.replace(course, points=course.points.double(), headings=course.headings.double())
    shifts, local = exact.lift(places, turns, torch.from_numpy(line))
    vectors = _near(Rotation.from_quat(local.numpy()).as_rotvec())
    return Init(np.asarray(motion.angles, np.float64), vectors, shifts.numpy() - line, trail, speed, loops, note)


def _at(motion: Motion, fps: float, loops: bool) -> Motion:
    """The motion at another frame rate: angles linearly, the root's turn by slerp; a loop keeps a whole number of frames."""
    if abs(motion.fps - fps) < 1e-9 or motion.frame_count < 2:
        return motion
    known = np.arange(motion.frame_count) / motion.fps
    count = max(2, round(motion.frame_count / motion.fps * fps)) if loops else math.floor(motion.duration * fps + 1e-9) + 1
    times = np.arange(count) / fps
    inside = np.minimum(times, known[-1])

    def mixed(values: np.ndarray) -> np.ndarray:
        flat = np.asarray(values, np.float64).reshape(len(values), -1)
        return np.stack([np.interp(inside, known, column) for column in flat.T], 1).reshape(count, *values.shape[1:])

    turns = Slerp(known, Rotation.from_quat(motion.root_rotations))(inside).as_quat()
    return dataclasses.replace(motion, fps=fps, angles=mixed(motion.angles), root_positions=mixed(motion.root_positions), root_rotations=turns)


def _near(vectors: np.ndarray) -> np.ndarray:
    """Rotation vectors that do not jump by a whole turn from frame to frame. [rad, (F, 3)]"""
    result = np.array(vectors, np.float64)
    for frame in range(1, len(result)):
        size = np.linalg.norm(result[frame])
        if size > 1e-9:
            turns = round(float((result[frame - 1] - result[frame]) @ result[frame]) / size / (2 * math.pi))
            result[frame] *= 1 + 2 * math.pi * turns / size
    return result
