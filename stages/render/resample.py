"""A motion at another frame rate (angles linearly, the root's turn by slerp), or on the spot."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.spatial.transform import Rotation, Slerp

from schemas.motion import Motion


def resample(motion: Motion, fps: float | None) -> Motion:
    """The same motion at `fps`, from its first to (at most) its last frame; unchanged if it has that rate already."""
    if fps is None or abs(fps - motion.fps) < 1e-9 or motion.frame_count < 2:
        return motion
    times = np.arange(int(np.floor(motion.duration * fps + 1e-9)) + 1) / fps
    known = np.arange(motion.frame_count) / motion.fps
    place = np.clip(times * motion.fps, 0, motion.frame_count - 1)
    before = np.minimum(place.astype(int), motion.frame_count - 2)
    share = place - before

    def mixed(values: np.ndarray) -> np.ndarray:
        weight = share.reshape((-1,) + (1,) * (values.ndim - 1))
        return (1 - weight) * values[before] + weight * values[before + 1]

    turn = Slerp(known, Rotation.from_quat(motion.root_rotations))(np.minimum(times, known[-1])).as_quat()
    return dataclasses.replace(motion, fps=fps, angles=mixed(motion.angles), root_positions=mixed(motion.root_positions), root_rotations=turn)


def in_place(motion: Motion) -> Motion:
    """The same motion on the spot, as game engines want it that move the character themselves.

    The straight way from the first to the last frame is taken out of the root's horizontal path; sway, bob and turns
    stay, and the loop closes.
    """
    positions = motion.root_positions.astype(np.float64)
    share = np.linspace(0, 1, motion.frame_count)[:, None]
    travel = (positions[-1] - positions[0]) * [1, 0, 1]
    return dataclasses.replace(motion, root_positions=positions - share * travel)
