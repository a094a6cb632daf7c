"""How smooth a motion is: second differences as in equation (9), angular acceleration, spectral arc length."""

from __future__ import annotations

import numpy as np
import torch

from schemas.motion import Motion
from stages.body import quaternion
from stages.body.kinematics import euler_matrix

CUTOFF = 10.0
"""Frequency above which the spectrum of the speed is not looked at. [Hz]"""

FAINT = 0.05
"""The spectrum ends where it last exceeds this share of its maximum."""


def second_difference(motion: Motion) -> float:
    """L_smooth of equation (9): mean |Theta_{i-1} - 2 Theta_i + Theta_{i+1}| over inner frames and variables. [rad and m per frame^2, >= 0]

    Theta are the joint angles, the root's rotation vector and its position. It depends on the frame rate; 0 for fewer than three frames.
    """
    angles = motion.angles[:, 1:].reshape(motion.frame_count, -1).astype(np.float64)
    theta = np.concatenate([angles, rotation_vectors(motion.root_rotations), motion.root_positions.astype(np.float64)], 1)
    return float(np.abs(np.diff(theta, 2, axis=0)).mean()) if len(theta) > 2 else 0.0


def acceleration(motion: Motion) -> float:
    """Mean size of the second derivative of joint angles, by second differences. [rad/s^2, >= 0]

    Unlike `second_difference` it compares clips of different frame rates.
    """
    angles = motion.angles[:, 1:].astype(np.float64)
    return float(np.abs(np.diff(angles, 2, axis=0)).mean() * motion.fps**2) if len(angles) > 2 and angles.size else 0.0


def joint_speed(motion: Motion) -> np.ndarray:
    """Root mean square over all joints, the root among them, of their angular speed relative to the parent. [rad/s, (F - 1,)]"""
    joints = quaternion.from_matrix(euler_matrix(torch.as_tensor(motion.angles[:, 1:], dtype=torch.float64))).numpy()
    turns = np.concatenate([np.asarray(motion.root_rotations, np.float64)[:, None], joints], 1)
    apart = np.linalg.norm(turns[1:] - turns[:-1], axis=-1), np.linalg.norm(turns[1:] + turns[:-1], axis=-1)
    return np.sqrt(((4 * np.arctan2(np.minimum(*apart), np.maximum(*apart))) ** 2).mean(1)) * motion.fps


def spectral_arc_length(speed: np.ndarray, fps: float) -> float:
    """SPARC of Balasubramanian et al., "On the analysis of movement smoothness", J. NeuroEng. Rehabil. 12 (2015): minus the
    length of the curve of the speed's spectrum over frequency, both scaled to 1. [-, < 0; nearer to 0 is smoother]

    It depends neither on the speed's size nor on its time scale. 0 where nothing moves.

    Parameters:
        speed: Of a movement over time. [any unit, (F,)]
        fps: Samples per second. [Hz]
    """
    if len(speed) < 2 or not np.abs(speed).max() > 1e-9:
        return 0.0
    size = 2 ** (int(np.ceil(np.log2(len(speed)))) + 4)
    spectrum, frequency = np.abs(np.fft.rfft(speed, size)), np.fft.rfftfreq(size, 1 / fps)
    spectrum = (spectrum / spectrum.max())[frequency <= CUTOFF]
    heard = np.flatnonzero(spectrum >= FAINT)
    spectrum = spectrum[heard[0] : heard[-1] + 1]
    if len(spectrum) < 2:
        return 0.0
    return -float(np.hypot(1 / (len(spectrum) - 1), np.diff(spectrum)).sum())


def rotation_vectors(quaternions: np.ndarray) -> np.ndarray:
    """Rotation vectors without jumps from frame to frame, up to one whole turn. [(F, 4) -> rad, (F, 3)]"""
    q = np.array(quaternions, np.float64)
    steps = np.where((q[1:] * q[:-1]).sum(1) < 0, -1.0, 1.0)
    q[1:] *= np.cumprod(steps)[:, None]
    q *= 1.0 if q[0, 3] >= 0 else -1.0
    size = np.linalg.norm(q[:, :3], axis=1)
    angle = 2 * np.arctan2(size, q[:, 3])
    return q[:, :3] * np.where(size < 1e-9, 2.0, angle / np.maximum(size, 1e-9))[:, None]
