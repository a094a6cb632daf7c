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
from stages.render.clips import merge
from stages.render.floor import bake_ground
from stages.render.travel import split
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


def parts(rig, motion, rooted: bool):
    """The way (None without a root bone) and the motion to be written with it."""
    return split(rig, motion) if rooted else (None, motion)


@pytest.mark.parametrize("rooted", [False, True])
def test_blender_poses_the_vertices_of_a_glb_as_we_do(tmp_path, rooted):
    """With a root bone and on its ground too, which no bone moves."""
    rig, motion, path = oblique_rig(), lively(), tmp_path / "a.glb"
    way, left = parts(rig, motion, rooted)
    gltf.write(path, samples.asset(), rig, samples.skin().weights, left, way=(way.positions, way.rotations) if way else None)
    if rooted:
        path.write_bytes(bake_ground(merge([path.read_bytes()], ["walk"]), [motion.root_positions], 0.5, (0.8,) * 3, (0.7,) * 3))
    found = blender(path, motion.fps, motion.frame_count)
    np.testing.assert_allclose(np.array(found["vertices"]), skinned(rig, motion), atol=1e-4 * SIZE)
    if rooted:
        np.testing.assert_allclose(found["joints"]["root"], way.positions, atol=1e-4 * SIZE)
        ground = np.array(found["still"]["ground"])
        assert (np.abs(ground[:, 1]) < 1e-6).all() and (np.abs(ground[:, [0, 2]] % 1.0) < 1e-5).all() and len(ground) == 4


@pytest.mark.parametrize("rooted", [False, True])
def test_blender_poses_the_vertices_of_a_usd_as_we_do(tmp_path, rooted):
    pytest.importorskip("pxr", reason="USD is not installed: pip install usd-core")
    from stages.render import usd

    rig, motion = oblique_rig(), lively()
    way, left = parts(rig, motion, rooted)
    path = usd.write(tmp_path / "a.usd", samples.asset(), rig, samples.skin().weights, left, way)
    np.testing.assert_allclose(np.array(blender(path, motion.fps, motion.frame_count)["vertices"]), skinned(rig, motion), atol=1e-4 * SIZE)


@pytest.mark.parametrize("rooted", [False, True])
def test_blender_places_the_joints_of_a_bvh_as_we_do(tmp_path, rooted):
    rig, motion = oblique_rig(), lively()
    way, left = parts(rig, motion, rooted)
    found = blender(bvh.write(tmp_path / "a.bvh", rig, left, way), motion.fps, motion.frame_count)["joints"]
    wanted = joints_of(rig, motion)
    for joint, name in enumerate(rig.joint_names):
        np.testing.assert_allclose(found[name], wanted[:, joint], atol=1e-4 * SIZE)
    if rooted:
        np.testing.assert_allclose(found["root"], way.positions, atol=1e-4 * SIZE)
