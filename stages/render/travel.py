"""The way a motion covers, apart from what the body does on it: root motion as game engines take it.

Engines move a character by the motion of one bone, the topmost of the skeleton, on the ground: Unreal takes the root bone,
Unity's generic rigs the root node that is chosen, Godot the track named as root_motion_track. What sways or bobs there
makes the whole character sway and its collider bob; so that bone gets the smooth way and heading alone, and the body
keeps the rest relative to it.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy.linalg import solveh_banded
from scipy.spatial.transform import Rotation

from schemas.motion import Motion
from schemas.rig import Rig

STRIDE = 2.0
"""What comes again after this time is halved in the way, what is quicker nearly vanishes: strides are quicker. [s]"""


@dataclasses.dataclass(frozen=True)
class Travel:
    """A frame on the ground that goes and turns with the body.

    Attributes:
        positions: [m, y = 0, (F, 3)]
        rotations: About +Y only, xyzw, no sign flips between frames. [(F, 4)]
    """

    positions: np.ndarray
    rotations: np.ndarray


def split(rig: Rig, motion: Motion) -> tuple[Travel, Motion]:
    """The way, and the motion relative to it: of the same rig, on the spot, facing ahead.

    With M the frame of the way, the root joint's frame is M times its frame in the returned motion: nothing is lost.
    M stands where the asset's origin would be if the root joint were above the way as it is at rest.
    """
    turns, places = Rotation.from_quat(motion.root_rotations), motion.root_positions.astype(np.float64)
    heading = smooth(np.unwrap(_heading(turns)), motion.fps)
    way = Rotation.from_rotvec(heading[:, None] * [0.0, 1.0, 0.0])
    flat = np.array([1.0, 0.0, 1.0])
    origins = smooth(places * flat, motion.fps) - way.apply(rig.positions[0] * flat)
    half = 0.5 * heading
    rotations = np.stack([np.zeros_like(half), np.sin(half), np.zeros_like(half), np.cos(half)], 1)
    left = dataclasses.replace(motion, root_positions=way.inv().apply(places - origins), root_rotations=(way.inv() * turns).as_quat())
    return Travel(origins, rotations), left


def smooth(values: np.ndarray, fps: float) -> np.ndarray:
    """Whittaker's smoother: least sum of squared deviations and second differences, the latter weighed so that a sine of the period STRIDE is halved.

    A straight line comes back as it is; what is shorter than a stride becomes nearly one, without lag and whatever its ends.

    Parameters:
        values: [(F, ...)]
    """
    count = len(values)
    if count < 3:
        return values.astype(np.float64)
    weight = (2 * np.sin(np.pi / (STRIDE * fps))) ** -4.0
    bands = np.zeros((3, count))  # of 1 + weight D^T D, D the second differences, from the second above the diagonal down to it
    bands[0, 2:] = 1
    bands[1, 1:-1] -= 2
    bands[1, 2:] -= 2
    bands[2] += np.convolve(np.ones(count - 2), [1, 4, 1])
    bands *= weight
    bands[2] += 1
    return solveh_banded(bands, values.reshape(count, -1).astype(np.float64)).reshape(values.shape)


def _heading(turns: Rotation) -> np.ndarray:
    """The turn about +Y of each rotation (its twist). [rad, (F,)]"""
    quaternions = turns.as_quat()
    return 2 * np.arctan2(quaternions[:, 1], quaternions[:, 3])
