"""A motion played several times on end, each time from where the last one ended."""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.spatial.transform import Rotation

from schemas.motion import Motion


def repeat(motion: Motion, times: int) -> Motion:
    """The same motion `times` on end.

    The next round begins one frame after the last, from there on its way: it is turned about the vertical and moved over
    the ground by what one round covers, and by one more step. Poses are as they were: a motion that is no cycle jumps.
    """
    count = motion.frame_count
    if times == 1 or count < 2:
        return motion
    turns = Rotation.from_quat(motion.root_rotations.astype(np.float64))
    places = motion.root_positions.astype(np.float64)
    step = _yaw(turns[-1]) * _yaw(turns[-2]).inv()
    round_turn = step * _yaw(turns[-1]) * _yaw(turns[0]).inv()
    start = places[-1] + (places[-1] - places[-2])  # where the next round's first frame belongs
    flat = np.array([1.0, 0.0, 1.0])
    positions, rotations = [places], [turns]
    turned, origin = Rotation.identity(), start
    for _ in range(times - 1):
        turned = round_turn * turned
        moved = turned.apply(places - places[0])
        positions.append(moved + origin * flat + places[0] * (1 - flat))
        rotations.append(turned * turns)
        origin = origin + turned.apply(start - places[0])
    return dataclasses.replace(
        motion,
        angles=np.tile(motion.angles, (times, 1, 1)),
        root_positions=np.concatenate(positions).astype(motion.root_positions.dtype),
        root_rotations=Rotation.concatenate(rotations).as_quat().astype(motion.root_rotations.dtype),
    )


def _yaw(turn: Rotation) -> Rotation:
    """The turn about the vertical alone."""
    forward = turn.apply([0.0, 0.0, 1.0])
    return Rotation.from_rotvec([0.0, float(np.arctan2(forward[0], forward[2])), 0.0])
