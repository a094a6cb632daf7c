"""A motion as a BVH file (Biovision hierarchy), which every animation program reads: skeleton and motion, no mesh.

The rest pose is the file's zero pose: joint frames are parallel to the world's axes at rest, so that the channels hold
the turn from rest itself. Metres, degrees. The order of the channels keeps motions away from their pole, where the
second angle is 90 degrees: the root's is Y, X, Z (R = Ry Rx Rz on column vectors), so that it may face anywhere; that of
the others Z, Y, X, whose second angle is the twist of an upright limb.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from schemas.atomic import write_text
from schemas.gltf import root_name
from schemas.motion import Motion
from schemas.rig import Rig

from .travel import Travel

ROOT_ORDER, ORDER = "YXZ", "ZYX"


def write(path: str | os.PathLike[str], rig: Rig, motion: Motion, way: Travel | None = None) -> Path:
    """Write a motion of a rig atomically.

    The root's OFFSET is zero, its position channels are where it is in the world: programs that add the two and
    programs that do not agree. A leaf's End Site is its bone's tip.

    Parameters:
        way: Moves a joint above the root joint; the motion is relative to it.
    """
    lines = _joint(rig, _names(rig.joint_names), 0, 0)
    rows = [motion.root_positions, turns(rig, motion)[:, _depth_first(rig)].reshape(motion.frame_count, -1)]
    if way is not None:
        top, *names = _names([root_name(rig), *rig.joint_names])
        lines = [f"ROOT {top}", "{", f"  OFFSET {_vector(np.zeros(3))}", f"  CHANNELS {_channels(ROOT_ORDER, moves=True)}", *_joint(rig, names, 0, 1), "}"]
        rows = [way.positions, np.degrees(_steady(Rotation.from_quat(way.rotations).as_euler(ROOT_ORDER))), *rows]
    numbers = [_vector(row, 6) for row in np.concatenate(rows, 1)]
    head = ["MOTION", f"Frames: {motion.frame_count}", f"Frame Time: {1 / motion.fps:.9g}"]
    write_text(path, "\n".join(["HIERARCHY", *lines, *head, *numbers]) + "\n")
    return Path(path)


def turns(rig: Rig, motion: Motion) -> np.ndarray:
    """Angles of each joint in the order of its channels, relative to its parent, without jumps between frames. [deg, (F, J, 3)]"""
    result = np.empty((motion.frame_count, rig.joint_count, 3))
    for joint, parent in enumerate(rig.parents):
        if parent < 0:
            turn = Rotation.from_quat(motion.root_rotations)
        else:
            axes = Rotation.from_matrix(rig.axes[joint])
            turn = axes * Rotation.from_euler("XYZ", motion.angles[:, joint].astype(np.float64)) * axes.inv()
        result[:, joint] = _steady(turn.as_euler(ROOT_ORDER if parent < 0 else ORDER))
    return np.degrees(result)


def _steady(angles: np.ndarray) -> np.ndarray:
    """Of the ways to write each turn, (a, b, c) and (a + pi, pi - b, c + pi) and whole turns more, the one nearest to the frame before. [rad, (F, 3)]"""
    result = angles.copy()
    for frame in range(1, len(angles)):
        a, b, c = angles[frame]
        ways = np.array([[a, b, c], [a + np.pi, np.pi - b, c + np.pi]])
        ways += 2 * np.pi * np.round((result[frame - 1] - ways) / (2 * np.pi))
        result[frame] = ways[np.abs(ways - result[frame - 1]).sum(1).argmin()]
    return result


def _depth_first(rig: Rig) -> list[int]:
    """The joints in the order in which a BVH file names them."""
    order, waiting = [], [0]
    while waiting:
        joint = waiting.pop()
        order.append(joint)
        waiting += np.flatnonzero(rig.parents == joint)[::-1].tolist()
    return order


def _joint(rig: Rig, names: list[str], joint: int, depth: int) -> list[str]:
    indent, parent = "  " * depth, int(rig.parents[joint])
    offset = rig.positions[joint] - rig.positions[parent] if parent >= 0 else np.zeros(3)
    lines = [f"{indent}{'JOINT' if depth else 'ROOT'} {names[joint]}", f"{indent}{{", f"{indent}  OFFSET {_vector(offset)}"]
    lines.append(f"{indent}  CHANNELS {_channels(ROOT_ORDER if parent < 0 else ORDER, moves=parent < 0)}")
    children = np.flatnonzero(rig.parents == joint).tolist()
    for child in children:
        lines += _joint(rig, names, child, depth + 1)
    if not children:
        lines += [f"{indent}  End Site", f"{indent}  {{", f"{indent}    OFFSET {_vector(rig.tails[joint] - rig.positions[joint])}", f"{indent}  }}"]
    return [*lines, f"{indent}}}"]


def _channels(order: str, *, moves: bool) -> str:
    turn = " ".join(f"{axis}rotation" for axis in order)
    return f"6 Xposition Yposition Zposition {turn}" if moves else f"3 {turn}"


def _vector(values: np.ndarray, digits: int = 7) -> str:
    return " ".join(f"{value:.{digits}f}" for value in np.round(values.astype(np.float64), digits) + 0.0)  # no minus before a zero


def _names(names: list[str]) -> list[str]:
    """Names without white space and braces, which end a name in a BVH file; still unique."""
    found: list[str] = []
    for name in names:
        plain = re.sub(r"[\s{}:]+", "_", name) or "joint"
        found.append(plain if plain not in found else next(f"{plain}_{n}" for n in range(2, len(names) + 2) if f"{plain}_{n}" not in found))
    return found
