"""Motions from the clips of rigged files against the files' own nodes, evaluated here in float64 from their JSON."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from schemas.errors import InputError
from schemas.gltf import read_animations
from stages.asset import stage as asset_stage
from stages.asset.params import Params
from stages.body import animation, skinning
from stages.body.kinematics import Skeleton, euler_matrix, pose_of
from stages.rig import stage as rig_stage
from tests.schemas import gltf_files

# file, clip, what dropping translations and scales may cost at most (of the rig's length)
REAL = [
    ("Wolf", "AnimalArmature|Walk", 0.004),
    ("Wolf", "AnimalArmature|Gallop", 0.03),
    ("Horse", "AnimalArmature|Gallop", 0.04),
    ("KnightCharacter", "HumanArmature|Walking", 0.002),
    ("Trex", "Armature|TRex_Run", 0.05),
    ("KhronosFox", "Run", 1e-5),
]


class Nodes:
    """The node tree of a .glb and one animation of it."""

    def __init__(self, data: bytes, clip: str) -> None:
        self.json, self.body = gltf_files.split(data)
        entry = next(a for a in self.json["animations"] if a["name"] == clip)
        self.tracks = {}
        for channel in entry["channels"]:
            sampler = entry["samplers"][channel["sampler"]]
            assert sampler.get("interpolation", "LINEAR") == "LINEAR"
            self.tracks[channel["target"]["node"], channel["target"]["path"]] = (self.values(sampler["input"])[:, 0], self.values(sampler["output"]))
        self.start = min(times[0] for times, _ in self.tracks.values())
        self.parents = {child: index for index, node in enumerate(self.json["nodes"]) for child in node.get("children", [])}
        self.index = {node.get("name"): index for index, node in enumerate(self.json["nodes"])}

    def values(self, number: int) -> np.ndarray:
        entry = self.json["accessors"][number]
        view = self.json["bufferViews"][entry["bufferView"]]
        assert not entry.get("normalized")
        width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}[entry["type"]]
        dtype = np.dtype({5121: "u1", 5123: "<u2", 5126: "<f4"}[entry["componentType"]])
        stride = view.get("byteStride", width * dtype.itemsize)
        start = view.get("byteOffset", 0) + entry.get("byteOffset", 0)
        return np.ndarray((entry["count"], width), dtype, self.body, start, (stride, dtype.itemsize)).astype(np.float64)

    def local(self, node: int, time: float) -> np.ndarray:
        entry, parts = self.json["nodes"][node], {}
        for path, rest in (("translation", [0, 0, 0]), ("rotation", [0, 0, 0, 1]), ("scale", [1, 1, 1])):
            parts[path] = np.array(entry.get(path, rest), float)
            if (node, path) in self.tracks:
                times, values = self.tracks[node, path]
                at = np.clip(time, times[0], times[-1])
                if path == "rotation":
                    parts[path] = Slerp(times, Rotation.from_quat(values))(at).as_quat() if len(times) > 1 else values[0]
                else:
                    parts[path] = np.array([np.interp(at, times, column) for column in values.T])
        matrix = np.eye(4)
        matrix[:3, :3] = Rotation.from_quat(parts["rotation"]).as_matrix() * parts["scale"]
        matrix[:3, 3] = parts["translation"]
        return matrix

    def world(self, node: int, time: float) -> np.ndarray:
        local = self.local(node, time)
        return self.world(self.parents[node], time) @ local if node in self.parents else local


def polar(matrix: np.ndarray) -> np.ndarray:
    u, _, vt = np.linalg.svd(matrix)
    return u @ vt


def oracle(nodes: Nodes, rig, asset, frames: int, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """World turns from rest and positions of the joints, in akd's frame."""
    turn = polar(asset.transform[:3, :3])
    rest = {name: polar(matrix[:3, :3].astype(float)) for name, matrix in zip(asset.joint_names, asset.joint_matrices, strict=True)}
    turns, places = np.empty((frames, rig.joint_count, 3, 3)), np.empty((frames, rig.joint_count, 3))
    for frame in range(frames):
        for joint, name in enumerate(rig.joint_names):
            world = nodes.world(nodes.index[name], nodes.start + frame / fps)
            turns[frame, joint] = turn @ polar(world[:3, :3]) @ rest[name].T
            places[frame, joint] = asset.transform[:3, :3] @ world[:3, 3] + asset.transform[:3, 3]
    return turns, places


@pytest.mark.parametrize(("name", "clip", "bound"), REAL)
def test_real_clips_turn_as_their_nodes(real_assets: Path, name, clip, bound):
    path = real_assets / f"{name}.glb"
    if not path.exists():
        pytest.skip(f"{name}.glb is not among the test models")
    asset = asset_stage.run(path)
    rig = rig_stage.run(asset)
    motion = animation.motions(path, rig, asset, fps=16)[clip]
    motion.validate(name)
    pose = pose_of(motion, Skeleton.from_rig(rig, dtype=torch.float64))
    turns, places = oracle(Nodes(path.read_bytes(), clip), rig, asset, motion.frame_count, 16)
    np.testing.assert_allclose(pose.rotations.numpy(), turns, atol=1e-4)
    np.testing.assert_allclose(pose.joints[:, 0].numpy(), places[:, 0], atol=1e-4 * rig.length)
    # what is off is what constant offsets cannot do, and the report says how much
    skeleton = Skeleton.from_rig(rig, dtype=torch.float64)
    rigid = places[:, :1].repeat(rig.joint_count, 1)
    for joint, parent in enumerate(rig.parents[1:], 1):
        rigid[:, joint] = rigid[:, parent] + turns[:, parent] @ (skeleton.positions[joint] - skeleton.positions[parent]).numpy()
    np.testing.assert_allclose(pose.joints.numpy(), rigid, atol=1e-4 * rig.length)
    worst = np.linalg.norm(rigid - places, axis=-1).max() / rig.length
    assert motion.report["joint_error"] == pytest.approx(worst, abs=1e-4)
    assert worst < bound


def test_vertices_of_a_real_clip(real_assets: Path):
    """The fox has no translations below its root: its skin moves as the file's."""
    path = real_assets / "KhronosFox.glb"
    if not path.exists():
        pytest.skip("KhronosFox.glb is not among the test models")
    asset = asset_stage.run(path, Params(facing="x", length=2.0))
    rig = rig_stage.run(asset)
    motion = animation.motions(path, rig, asset)["Walk"]
    nodes = Nodes(path.read_bytes(), "Walk")
    primitive, skin = nodes.json["meshes"][0]["primitives"][0]["attributes"], nodes.json["skins"][0]
    points, slots, shares = (nodes.values(primitive[key]) for key in ("POSITION", "JOINTS_0", "WEIGHTS_0"))
    inverse = nodes.values(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
    homogeneous = np.concatenate([points, np.ones((len(points), 1))], 1)
    columns = [asset.joint_names.index(name) for name in rig.joint_names]
    weights = torch.from_numpy(asset.joint_weights[:, columns].astype(float))
    ours = skinning.skin_points(torch.from_numpy(asset.vertices.astype(float)), weights, pose_of(motion, Skeleton.from_rig(rig, dtype=torch.float64)))
    for frame in (0, 3, 7):
        maps = np.stack([nodes.world(node, nodes.start + frame / 16) for node in skin["joints"]]) @ inverse
        placed = np.einsum("vs,vsij,vj->vi", shares, maps[slots.astype(int)], homogeneous)[:, :3]
        theirs = placed @ asset.transform[:3, :3].T + asset.transform[:3, 3]
        np.testing.assert_allclose(ours[frame].numpy(), theirs, atol=1e-4 * asset.height)


def animated_file(folder: Path, *, stretch: bool = False) -> Path:
    """Three joints under an armature that is turned, scaled and moved; the root walks, the others bend."""
    binds, up = [], np.eye(4)
    up[:3, :3] = 0.5 * Rotation.from_euler("x", -90, degrees=True).as_matrix()
    up[:3, 3] = 0.1, 0.2, -0.3
    nodes, world = [], up
    turns = [Rotation.from_euler("xyz", angles) for angles in ([0.3, -0.2, 0.1], [0.5, 0.4, -0.3], [-0.2, 0.1, 0.6])]
    for index, (offset, turn) in enumerate(zip(([0, 0, 1.0], [0, 0.8, 0], [0, 0.7, 0]), turns, strict=True)):
        local = np.eye(4)
        local[:3, :3], local[:3, 3] = turn.as_matrix(), offset
        world = world @ local
        binds.append(world)
        nodes.append({"name": f"bone{index}", "translation": offset, "rotation": turn.as_quat().tolist(), "children": [index + 2] if index < 2 else []})
    armature = {"name": "Armature", "children": [1], "translation": [0.1, 0.2, -0.3], "scale": [0.5] * 3, "rotation": [-(0.5**0.5), 0, 0, 0.5**0.5]}
    weights = np.eye(4)[[0, 1, 2, 2]]
    maker = gltf_files.skinned([*nodes, armature], [1, 2, 3], binds, weights, np.tile([0, 1, 2, 0], (4, 1)))
    times = maker.accessor(np.array([0.25, 0.5, 1.0])[:, None])
    rng = np.random.default_rng(5)
    tracks = [(1, "translation", rng.normal(size=(3, 3)))]
    tracks += [(node, "rotation", Rotation.from_rotvec(rng.normal(scale=1.0, size=(3, 3))).as_quat()) for node in (1, 2, 3)]
    tracks += [(2, "translation", np.array([[0, 0.8, 0], [0, 1.2, 0], [0, 0.8, 0]]))] if stretch else []
    samplers = [{"input": times, "output": maker.accessor(values)} for _, _, values in tracks]
    channels = [{"sampler": index, "target": {"node": node, "path": path}} for index, (node, path, _) in enumerate(tracks)]
    clip = {"name": "wander", "samplers": samplers, "channels": channels}
    maker.json["animations"] = [clip, clip]
    path = folder / "made.glb"
    path.write_bytes(maker.bytes())
    return path


def load(path: Path):
    asset = asset_stage.run(path, Params(facing="x", length=3.0))
    return asset, rig_stage.run(asset)


@pytest.mark.parametrize("fps", [16.0, 40.0])
def test_a_made_clip_equals_its_nodes(tmp_path, fps):
    path = animated_file(tmp_path)
    asset, rig = load(path)
    result = animation.motions(path, rig, asset, fps)
    assert list(result) == ["wander", "wander 2"]
    motion = result["wander"]
    assert motion.fps == fps and motion.frame_count == round(0.75 * fps) + 1
    pose = pose_of(motion, Skeleton.from_rig(rig, dtype=torch.float64))
    turns, places = oracle(Nodes(path.read_bytes(), "wander"), rig, asset, motion.frame_count, fps)
    np.testing.assert_allclose(pose.rotations.numpy(), turns, atol=1e-5)
    np.testing.assert_allclose(pose.joints.numpy(), places, atol=1e-5 * rig.length)
    assert motion.report["joint_error"] < 1e-5


def test_a_stretched_bone_is_reported(tmp_path):
    path = animated_file(tmp_path, stretch=True)
    asset, rig = load(path)
    motion = animation.motions(path, rig, asset)["wander"]
    scale = 0.5 * np.cbrt(np.linalg.det(asset.transform[:3, :3]))
    assert motion.report["joint_error"] == pytest.approx(0.4 * scale / rig.length, rel=0.02)
    assert motion.report["joint_error_at"] in ("bone1", "bone2")


def test_a_rig_of_another_file_is_refused(tmp_path):
    path = animated_file(tmp_path)
    asset, rig = load(path)
    other = dataclasses.replace(rig, joint_names=["a", "b", "c"])
    with pytest.raises(InputError, match="has no joint 'a'"):
        animation.motions(path, other, asset)


def test_a_file_without_clips_gives_none(tmp_path):
    path = animated_file(tmp_path)
    asset, rig = load(path)
    maker = gltf_files.quad()
    (tmp_path / "still.glb").write_bytes(maker.bytes())
    assert animation.motions(tmp_path / "still.glb", rig, asset) == {}
    assert len(read_animations(path)) == 2


def test_continuous_angles_are_the_same_rotations():
    rng = np.random.default_rng(1)
    path = torch.from_numpy(np.cumsum(rng.normal(scale=0.12, size=(200, 4, 3)), 0))  # wanders through many turns
    jumping = torch.remainder(path + np.pi, 2 * np.pi) - np.pi
    smooth = animation.continuous(jumping.numpy())
    np.testing.assert_allclose(euler_matrix(torch.from_numpy(smooth)).numpy(), euler_matrix(path).numpy(), atol=1e-9)
    assert np.abs(np.diff(smooth, axis=0)).max() < 1.0
