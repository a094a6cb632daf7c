"""The gap of a loop: what jumps when the last frame is followed by the first."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from schemas.motion import Motion
from stages.body import quaternion
from stages.body.kinematics import euler_matrix

_LEAST = 4  # frames: three for each end, which may share two


@dataclasses.dataclass(frozen=True)
class Gap:
    """What jumps where a clip starts again. Travel is taken out: only height and tilt of the root are compared, and its speeds.

    Attributes:
        pose: Root mean square over joints of the angle between their turns relative to the parent, the root by its tilt. [rad]
        velocity: The same of their angular velocities, the root's in its own frame. [rad/s]
        height: Difference of the root's heights. [m]
        root_velocity: Size of the difference of the root's velocities, each seen along its own heading. [m/s]
        pose_inside: Median of `pose` where the clip is cut between or at its own frames in the same way: what no eye sees. [rad]
        velocity_inside: Median of `velocity` there. [rad/s]
        repeats: Whether the last frame is taken as the first one again; else the first follows one frame after the last.
    """

    pose: float
    velocity: float
    height: float
    root_velocity: float
    pose_inside: float
    velocity_inside: float
    repeats: bool


def loop_gap(motion: Motion) -> Gap | None:
    """Continue both ends of a clip to where they meet, and compare them there; None for fewer than four frames.

    Both ends are continued by the parabola through their three frames. They meet half a frame after the last and half a
    frame before the first one; or, where that fits better, in the last frame as a repetition of the first, as artists
    often close their clips. A sine of amplitude A and period T frames that loops perfectly still shows a pose gap of
    about 0.63 A (2 pi / T)^3 at the most, which is what three frames cannot foresee: `pose_inside` tells how much that is.
    """
    if motion.frame_count < _LEAST:
        return None
    joints = _continuous(quaternion.from_matrix(euler_matrix(torch.as_tensor(motion.angles[:, 1:], dtype=torch.float64))).numpy())
    root = _continuous(np.asarray(motion.root_rotations, np.float64)[:, None])
    turns, places = np.concatenate([root, joints], 1), np.asarray(motion.root_positions, np.float64)
    fps = float(motion.fps)
    shift = min((0.5, 0.0), key=lambda shift: _jumps((turns, places), (turns, places), fps, shift)[0])
    cuts = [(slice(0, frame), slice(frame - (shift == 0.0), None)) for frame in range(3, motion.frame_count - 2)]
    inside = [_jumps((turns[left], places[left]), (turns[right], places[right]), fps, shift)[:2] for left, right in cuts]
    typical = np.median(inside, axis=0).tolist() if inside else (0.0, 0.0)
    return Gap(*_jumps((turns, places), (turns, places), fps, shift), *typical, shift == 0.0)


def _jumps(before: tuple[np.ndarray, np.ndarray], after: tuple[np.ndarray, np.ndarray], fps: float, shift: float) -> tuple[float, float, float, float]:
    """From the end of one clip to the start of another, each continued by `shift` frames: pose, velocity, height and root
    velocity as in `Gap`. A clip is turns and places of the root. [(F, J, 4) and m, (F, 3)]"""
    pose_a, spin_a, height_a, speed_a = _end(*before, fps, shift)
    pose_b, spin_b, height_b, speed_b = _end(after[0][::-1], after[1][::-1], -fps, shift)
    apart = np.linalg.norm(pose_a - pose_b, axis=-1), np.linalg.norm(pose_a + pose_b, axis=-1)
    angles = 4 * np.arctan2(np.minimum(*apart), np.maximum(*apart))  # q and -q are one turn
    pose, velocity = (float(np.sqrt((values**2).mean())) for values in (angles, np.linalg.norm(spin_a - spin_b, axis=-1)))
    return pose, velocity, abs(height_a - height_b), float(np.linalg.norm(speed_a - speed_b))


def _end(turns: np.ndarray, places: np.ndarray, fps: float, shift: float) -> tuple[np.ndarray, np.ndarray, float, np.ndarray]:
    """Pose with the root's yaw taken out (J, 4), angular velocities (J, 3), root height and velocity along its heading (3,)."""
    q, q_rate = (_parabola(turns, shift, slope) for slope in (False, True))
    q_rate, size = q_rate * fps, np.linalg.norm(q, axis=-1, keepdims=True)
    q, q_rate = (torch.as_tensor(value / size) for value in (q, q_rate))
    spin = 2 * quaternion.multiply(quaternion.conjugate(q), q_rate)[..., :3].numpy()
    yaw = torch.nn.functional.normalize(q[:1] * torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=q.dtype), dim=-1)
    pose = torch.cat([quaternion.multiply(quaternion.conjugate(yaw), q[:1]), q[1:]]).numpy()
    speed = torch.as_tensor(_parabola(places, shift, True) * fps)
    return pose, spin, float(_parabola(places, shift, False)[1]), quaternion.rotate(quaternion.conjugate(yaw[0]), speed).numpy()


def _parabola(values: np.ndarray, shift: float, slope: bool) -> np.ndarray:
    """Value, or slope per frame, `shift` frames after the last of the parabola through the last three frames. [(F, ...) -> (...)]"""
    s = shift
    weights = (s + 1.5, -2 * s - 2, s + 0.5) if slope else (0.5 * (s + 1) * (s + 2), -s * (s + 2), 0.5 * s * (s + 1))
    return weights[0] * values[-1] + weights[1] * values[-2] + weights[2] * values[-3]


def _continuous(quaternions: np.ndarray) -> np.ndarray:
    """Signs so that neighbouring frames are close. [(F, J, 4)]"""
    steps = np.where((quaternions[1:] * quaternions[:-1]).sum(-1, keepdims=True) < 0, -1.0, 1.0)
    return np.concatenate([quaternions[:1], quaternions[1:] * np.cumprod(steps, axis=0)])
