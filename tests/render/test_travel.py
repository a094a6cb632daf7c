"""Root motion and the baked ground: nothing is lost, engines find what they expect, and others read it."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial.transform import Rotation

from schemas import gltf
from schemas.gltf_accessor import read_accessor
from schemas.gltf_document import open_document
from stages.body import kinematics, skinning
from stages.render import bvh
from stages.render.clips import merge
from stages.render.floor import bake_ground
from stages.render.travel import STRIDE, smooth, split
from stages.view.camera import orbit
from stages.view.ground import Ground, cast, checkerboard
from tests.render.test_exports import joints_of, lively, oblique_rig
from tests.schemas import samples
from tests.validator import assert_valid

FPS = 16.0


def walk(frames: int = 65, radius: float = 0.0):
    """A body that walks straight on (or on a circle to its left), swaying, bobbing and wagging twice a second."""
    time = np.arange(frames) / FPS
    swing = np.sin(4 * np.pi * time)
    heading = 0.4 * time / radius if radius else np.zeros(frames)
    path = np.stack([radius * (1 - np.cos(heading)), 0 * time, radius * np.sin(heading)], 1) if radius else np.outer(0.4 * time, [0, 0, 1])
    facing = Rotation.from_rotvec((heading + 0.2 * swing)[:, None] * [0.0, 1.0, 0.0])
    sway = Rotation.from_rotvec(heading[:, None] * [0.0, 1.0, 0.0]).apply(np.outer(0.1 * swing, [1, 0, 0]))
    positions = path + sway + np.outer(0.5 + 0.05 * swing, [0, 1, 0])
    turns = facing * Rotation.from_rotvec(np.outer(0.1 * swing, [1, 0, 0]))
    motion = samples.motion(frames=frames)
    return dataclasses.replace(motion, fps=FPS, root_positions=positions, root_rotations=turns.as_quat()), path, heading


def test_a_line_stays_and_a_sine_of_one_stride_is_halved():
    time = np.arange(400) / 50
    line = np.stack([2 * time - 1, 0 * time + 3], 1)
    np.testing.assert_allclose(smooth(line, 50.0), line, atol=1e-7)
    inside = slice(150, 250)
    for period, gain in ((STRIDE, 0.5), (STRIDE / 2, 1 / 17), (2 * STRIDE, 16 / 17)):
        wave = np.cos(2 * np.pi * (time - 4) / period)
        np.testing.assert_allclose(smooth(wave, 50.0)[inside], gain * wave[inside], atol=0.02)
    assert [len(smooth(np.zeros((count, 3)), FPS)) for count in (1, 2, 3, 4)] == [1, 2, 3, 4]


@pytest.mark.parametrize("radius", [0.0, 1.5])
def test_the_way_is_the_walk_without_its_sway(radius):
    rig, (motion, path, heading) = oblique_rig(), walk(radius=radius)
    way, left = split(rig, motion)
    found = 2 * np.arctan2(way.rotations[:, 1], way.rotations[:, 3])
    inside = slice(16, -16)
    np.testing.assert_allclose(np.unwrap(found)[inside], heading[inside], atol=0.02)
    origin = path - Rotation.from_quat(way.rotations).apply(rig.positions[0] * [1, 0, 1])
    np.testing.assert_allclose(way.positions[inside], origin[inside], atol=0.03)
    assert (way.positions[:, 1] == 0).all() and (way.rotations[:, [0, 2]] == 0).all()
    # the body stays where it is at rest, and all of its bob is left to it
    assert np.abs(left.root_positions[inside][:, [0, 2]] - rig.positions[0, [0, 2]]).max() < 0.14
    np.testing.assert_allclose(left.root_positions[:, 1], motion.root_positions[:, 1], atol=1e-6)


def test_way_and_rest_together_are_the_motion():
    motion = lively(9)
    way, left = split(oblique_rig(), motion)
    frame = Rotation.from_quat(way.rotations)
    np.testing.assert_allclose(frame.apply(left.root_positions) + way.positions, motion.root_positions, atol=1e-6)
    assert (frame * Rotation.from_quat(left.root_rotations) * Rotation.from_quat(motion.root_rotations).inv()).magnitude().max() < 1e-6


def test_glb_has_a_root_bone_and_the_same_joints(tmp_path):
    rig, motion = oblique_rig(), walk(9)[0]
    way, left = split(rig, motion)
    path = gltf.write(tmp_path / "a.glb", samples.asset(), rig, samples.skin().weights, left, way=(way.positions, way.rotations))
    (clip,) = gltf.read_animations(path, fps=FPS)
    assert_valid(path)
    order = [clip.joint_names.index(name) for name in rig.joint_names]
    np.testing.assert_allclose(clip.matrices[:, order][..., :3, 3], joints_of(rig, motion), atol=1e-5)
    root = clip.matrices[:, clip.joint_names.index("root")]
    np.testing.assert_allclose(root[:, :3, 3], way.positions, atol=1e-6)
    np.testing.assert_allclose(root[:, 1, :3], np.tile([0, 1, 0], (9, 1)), atol=1e-6)
    assert gltf.root_name(dataclasses.replace(rig, joint_names=["root", "a", "b", "c"])) == "root_motion"


def test_three_js_poses_a_glb_with_a_root_bone_as_we_do(tmp_path):
    packages = Path(__file__).parents[2] / "stages/render/page/web"
    if not (packages / "node_modules" / "three").is_dir() or not shutil.which("node"):
        pytest.skip("needs node and the viewer's packages: npm ci in stages/render/page/web")
    rig, motion = oblique_rig(), walk(9)[0]
    way, left = split(rig, motion)
    path = gltf.write(tmp_path / "a.glb", samples.asset(), rig, samples.skin().weights, left, way=(way.positions, way.rotations))
    command = ["node", str(Path(__file__).with_name("three.mjs")), str(path), *(str(frame / FPS) for frame in range(9))]
    found = json.loads(subprocess.run(command, cwd=packages, check=True, capture_output=True, timeout=60).stdout)
    four = np.zeros_like(samples.skin().weights)
    np.put_along_axis(four, *gltf.top_influences(samples.skin().weights), 1)
    pose = kinematics.pose_of(motion, kinematics.Skeleton.from_rig(rig))
    wanted = skinning.skin_points(torch.from_numpy(samples.asset().vertices), torch.from_numpy(four), pose).numpy()
    np.testing.assert_allclose(found["vertices"], wanted, atol=1e-4)
    np.testing.assert_allclose(found["root"], way.positions, atol=1e-4)


def test_bvh_with_a_root_joint_is_read_back(tmp_path):
    bvhio = pytest.importorskip("bvhio", reason="the BVH reader is not installed: pip install bvhio")
    rig, motion = oblique_rig(), walk(9)[0]
    way, left = split(rig, motion)
    root = bvhio.readAsHierarchy(str(bvh.write(tmp_path / "a.bvh", rig, left, way)))
    wanted = joints_of(rig, motion)
    for frame in range(motion.frame_count):
        root.loadPose(frame)
        found = {joint.Name: np.array(joint.PositionWorld) for joint, _, _ in root.layout()}
        np.testing.assert_allclose(found["root"], way.positions[frame], atol=1e-4)
        for joint, name in enumerate(rig.joint_names):
            np.testing.assert_allclose(found[name], wanted[frame, joint], atol=1e-4)


def test_the_baked_ground_is_the_films(tmp_path):
    """Its colours at the points that the film's camera sees are the film's, wherever no edge of a square is near."""
    ground = Ground(cell=0.4, light=(0.80, 0.80, 0.79), dark=(0.70, 0.70, 0.70), horizon=1e6)
    plain = gltf.write(tmp_path / "a.glb", samples.asset(), samples.rig(), samples.skin().weights, samples.motion()).read_bytes()
    path = tmp_path / "b.glb"
    path.write_bytes(bake_ground(merge([plain], ["walk"]), [np.array([[0.3, 1.0, -0.2]]), np.array([[0.3, 1.0, 1.0]])], ground.cell, ground.light, ground.dark))
    assert_valid(path)
    document = open_document(path)
    nodes = document.objects("nodes")
    assert nodes[-1]["name"] == "ground" and document.objects("scenes")[0]["nodes"][-1] == len(nodes) - 1 and "skin" not in nodes[-1]
    primitive = document.objects("meshes")[nodes[-1]["mesh"]]["primitives"][0]
    points, uvs = (read_accessor(document, primitive["attributes"][name], name, kind) for name, kind in (("POSITION", ("VEC3",)), ("TEXCOORD_0", ("VEC2",))))
    assert (points[:, 1] == 0).all() and (points.min(0)[[0, 2]] <= [-2.1, -2.6]).all() and (points.max(0)[[0, 2]] >= [2.7, 3.4]).all()
    view = document.objects("bufferViews")[document.objects("images")[-1]["bufferView"]]
    data, start, length, _ = document.view(document.objects("images")[-1]["bufferView"], "image")
    assert length == view["byteLength"]
    texture = np.asarray(Image.open(io.BytesIO(bytes(data[start : start + length])))) / 255
    camera = orbit(torch.tensor([[0.3, 0.0, 0.1]]), azimuth=0.3, elevation=1.2, distance=1.5, focal=1.6, width=48, height=32)
    seen, place = checkerboard(camera, ground)[0].numpy(), cast(camera)[0][0].numpy()[..., [0, 2]]
    clear = np.abs(place / ground.cell - np.round(place / ground.cell)).min(-1) > 0.1
    shift, scale = uvs[0] - points[0, [0, 2]] / (2 * ground.cell), 1 / (2 * ground.cell)
    texel = np.floor((place * scale + shift) % 1 * len(texture)).astype(int)
    np.testing.assert_allclose(texture[texel[..., 1], texel[..., 0]][clear], seen[clear], atol=1 / 255)
    assert clear.mean() > 0.3 and np.ptp(seen[clear]) > 0.05
