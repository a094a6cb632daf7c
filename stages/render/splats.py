"""The posed Gaussians of each frame as a sequence of standard 3DGS .ply files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from schemas import ply
from schemas.motion import Motion
from schemas.rig import Rig
from schemas.splat import Splat
from stages.body import kinematics, quaternion, skinning
from stages.progress import SILENT, Progress
from stages.view import harmonics

from .pictures import forget


def write_ply_sequence(folder: Path, rig: Rig, splat: Splat, motion: Motion, progress: Progress = SILENT) -> Path:
    """Write frame_0000.ply, ... into a folder; frames of an earlier, longer motion go."""
    pose = kinematics.pose_of(motion, kinematics.Skeleton.from_rig(rig))
    progress.begin("splats", motion.frame_count)
    for frame in range(motion.frame_count):
        one = kinematics.Pose(*(part[frame : frame + 1] for part in (pose.rotations, pose.translations, pose.joints)))
        ply.write(folder / f"frame_{frame:04d}.ply", posed(splat, one))
        progress.update(frame + 1)
    forget(folder, "ply", motion.frame_count)
    return folder


def posed(splat: Splat, pose: kinematics.Pose) -> Splat:
    """The splat in the pose of one frame.

    The blended map G of a Gaussian need not be a turn. G R diag(s) = U diag(s') V^T (singular values) gives the axes U
    and extents s' of the ellipsoid that equation (2) makes of it: G R diag(s^2) R^T G^T = U diag(s'^2) U^T. Colours that
    depend on the view turn with the rotation nearest to G.
    """
    linear, shift = skinning.blend(torch.from_numpy(splat.weights), pose)
    turn = quaternion.to_matrix(torch.from_numpy(splat.rotations))
    axes, extents, _ = torch.linalg.svd(linear[0].double() @ turn.double() * torch.from_numpy(splat.scales).double()[:, None])
    axes = axes * torch.stack([torch.ones(len(axes)), torch.ones(len(axes)), torch.det(axes).sign()], 1)[:, None]  # a mirrored axis is the same ellipsoid
    means = (linear[0] @ torch.from_numpy(splat.means)[:, :, None])[..., 0] + shift[0]
    turns = Rotation.from_matrix(axes.numpy()).as_quat()
    seen = None if splat.harmonics is None else harmonics.rotated(torch.from_numpy(splat.harmonics), harmonics.nearest_rotation(linear[0].double())).numpy()
    place = {"means": means.numpy(), "rotations": turns.astype(np.float32), "scales": extents.numpy().astype(np.float32)}
    return dataclasses.replace(splat, **place, harmonics=seen)
