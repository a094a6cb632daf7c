"""Blender poses our exports as we do. Needs a Python of its own with the package bpy: AKD_BLENDER_PYTHON=venv/bin/python."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from schemas import gltf
from schemas.gltf import top_influences
from stages.body import kinematics, skinning
from stages.render import bvh
from tests.render.test_exports import joints_of, lively, oblique_rig
from tests.schemas import samples

SIZE = 1.0  # of the tetrahedron [m]


def blender(path: Path, fps: float, frames: int) -> dict:
    program = os.environ.get("AKD_BLENDER_PYTHON", "")
    if not program:
        pytest.skip("AKD_BLENDER_PYTHON names no Python with Blender's package bpy")
    script = Path(__file__).with_name("blender.py")
    done = subprocess.run([program, str(script), str(path), str(round(fps)), str(frames)], capture_output=True, text=True, timeout=300)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    assert lines, done.stdout[-2000:] + done.stderr[-2000:]
    return json.loads(lines[0].removeprefix("RESULT"))


def skinned(rig, motion) -> np.ndarray:
    weights = samples.skin().weights
    four = np.zeros_like(weights)
    np.put_along_axis(four, *top_influences(weights), 1)
    pose = kinematics.pose_of(motion, kinematics.Skeleton.from_rig(rig))
    return skinning.skin_points(torch.from_numpy(samples.asset().vertices), torch.from_numpy(four), pose).numpy()


@pytest.mark.parametrize("form", ["glb", "usd"])
def test_blender_poses_the_vertices_as_we_do(tmp_path, form):
    rig, motion, path = oblique_rig(), lively(), tmp_path / f"a.{form}"
    if form == "glb":
        gltf.write(path, samples.asset(), rig, samples.skin().weights, motion)
    else:
        pytest.importorskip("pxr", reason="USD is not installed: pip install usd-core")
        from stages.render import usd

        usd.write(path, samples.asset(), rig, samples.skin().weights, motion)
    found = np.array(blender(path, motion.fps, motion.frame_count)["vertices"])
    np.testing.assert_allclose(found, skinned(rig, motion), atol=1e-4 * SIZE)


def test_blender_places_the_joints_of_a_bvh_as_we_do(tmp_path):
    rig, motion = oblique_rig(), lively()
    found = blender(bvh.write(tmp_path / "a.bvh", rig, motion), motion.fps, motion.frame_count)["joints"]
    wanted = joints_of(rig, motion)
    for joint, name in enumerate(rig.joint_names):
        np.testing.assert_allclose(found[name], wanted[:, joint], atol=1e-4 * SIZE)
