"""Writing glTF: what is written reads back, evaluates to the same poses, and passes the Khronos validator."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import PIL.Image
import pygltflib
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from schemas import gltf
from schemas.asset import Asset
from schemas.errors import InputError
from schemas.motion import Motion
from schemas.rig import Rig, bone_tails
from stages.body import kinematics, skinning
from tests.schemas import samples
from tests.validator import assert_valid

ASSETS = Path(os.environ.get("AKD_TEST_ASSETS", ""))
CHARACTERS = ["KhronosFox", "Wolf", "KnightCharacter", "Trex", "greenman", "Spider", "Dragon"]


def random_rig(joints: int, rng: np.random.Generator) -> Rig:
    """A random tree with tilted compound axes and joint nodes."""
    parents = np.array([-1] + [int(rng.integers(0, j)) for j in range(1, joints)])
    positions = rng.normal(size=(joints, 3)) * 0.4
    turns = Rotation.random(3 * joints, random_state=7).as_quat().reshape(3, joints, 4)
    return Rig(
        name="tree",
        joint_names=[f"joint{j}" for j in range(joints)],
        parents=parents,
        positions=positions,
        tails=bone_tails(positions, parents),
        rotations=turns[0],
        axes=Rotation.from_quat(turns[1]).as_matrix(),
        limits=np.tile([[-3.0, 3.0]] * 3, (joints, 1, 1)),
        cuboid_centers=positions,
        cuboid_half_sizes=np.full((joints, 3), 0.05),
        cuboid_rotations=turns[2],
        roles=[""] * joints,
    )


def rig_of(asset: Asset) -> Rig:
    """The asset's own joints as a rig, with their rest orientations."""
    positions = asset.joint_matrices[:, :3, 3]
    count = len(positions)
    turns = Rotation.from_matrix(asset.joint_matrices[:, :3, :3]).as_quat()
    return Rig(
        name=asset.name,
        joint_names=asset.joint_names,
        parents=asset.joint_parents,
        positions=positions,
        tails=bone_tails(positions, asset.joint_parents),
        rotations=turns,
        axes=np.tile(np.eye(3), (count, 1, 1)),
        limits=np.tile([[-3.0, 3.0]] * 3, (count, 1, 1)),
        cuboid_centers=positions,
        cuboid_half_sizes=np.full((count, 3), 0.05),
        cuboid_rotations=turns,
        roles=[""] * count,
    )


def random_motion(rig: Rig, rng: np.random.Generator, frames: int = 5, amount: float = 1.0) -> Motion:
    angles = rng.normal(size=(frames, rig.joint_count, 3)) * amount
    angles[:, 0] = 0
    return Motion(
        name=rig.name,
        prompt='a "tree" dancing\nin the wind: tänzelnd',
        fps=12.5,
        joint_names=rig.joint_names,
        angles=angles,
        root_positions=rig.positions[0] + rng.normal(size=(frames, 3)),
        root_rotations=Rotation.random(frames, random_state=3).as_quat(),
    )


def textured_asset() -> Asset:
    """A coloured, textured sheet of several materials."""
    rng = np.random.default_rng(1)
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 12), np.linspace(0, 2, 12), indexing="ij"), -1).reshape(-1, 2)
    points = np.concatenate([grid, rng.normal(size=(len(grid), 1)) * 0.05], 1)
    corner = np.arange(132).reshape(11, 12)[:, :11].reshape(-1)
    faces = np.concatenate([np.stack([corner, corner + 12, corner + 1], 1), np.stack([corner + 1, corner + 12, corner + 13], 1)])
    data = io.BytesIO()
    PIL.Image.new("RGB", (4, 4), (200, 120, 10)).save(data, "PNG")
    blob = np.frombuffer(data.getvalue(), np.uint8)
    surface = {"baseColorTexture": {"index": 0}, "roughnessFactor": 0.5}
    return Asset(
        name="sheet",
        vertices=points,
        faces=faces,
        normals=np.tile([0, 0, 1.0], (144, 1)),
        colors=rng.uniform(size=(144, 4)),
        uvs=rng.uniform(size=(144, 2)),
        face_materials=np.sort(rng.integers(0, 2, len(faces))),
        weld=np.arange(144),
        materials={
            "list": [{"name": "a", "pbrMetallicRoughness": surface, "extensions": {"KHR_materials_unlit": {}}}, {"name": "b", "doubleSided": True}],
            "textures": [{"image": 0, "sampler": {"wrapS": 33071}}],
            "images": [{"mime": "image/png", "start": 0, "size": len(blob)}],
        },
        images=blob,
        transform=np.eye(4),
        source={"kind": "builtin"},
    )


def evaluate(path: Path, frame: int) -> np.ndarray:
    """Skinned vertices of all primitives' shared attributes at a key frame, by glTF's own rules and another parser."""
    file = pygltflib.GLTF2().load(str(path))
    blob = file.binary_blob()

    def values(index: int) -> np.ndarray:
        entry = file.accessors[index]
        dtype, width = {5126: "<f4", 5121: "<u1", 5123: "<u2", 5125: "<u4"}[entry.componentType], {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}[entry.type]
        start = file.bufferViews[entry.bufferView].byteOffset + (entry.byteOffset or 0)
        return np.frombuffer(blob, dtype, entry.count * width, start).reshape(entry.count, width)

    properties = {n: {"translation": node.translation or [0, 0, 0], "rotation": node.rotation or [0, 0, 0, 1]} for n, node in enumerate(file.nodes)}
    for animation in file.animations:
        for channel in animation.channels:
            properties[channel.target.node][channel.target.path] = values(animation.samplers[channel.sampler].output)[frame]
    worlds: dict[int, np.ndarray] = {}

    def visit(node: int, above: np.ndarray) -> None:
        local = np.eye(4)
        local[:3, :3] = Rotation.from_quat(properties[node]["rotation"]).as_matrix()
        local[:3, 3] = properties[node]["translation"]
        worlds[node] = above @ local
        for child in file.nodes[node].children or []:
            visit(child, worlds[node])

    for root in file.scenes[file.scene].nodes:
        visit(root, np.eye(4))
    skin = file.skins[0]
    inverse = values(skin.inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1)
    maps = np.stack([worlds[joint] for joint in skin.joints]) @ inverse
    attributes = file.meshes[0].primitives[0].attributes
    points = np.c_[values(attributes.POSITION), np.ones(len(values(attributes.POSITION)))]
    joints, weights = values(attributes.JOINTS_0), values(attributes.WEIGHTS_0)
    return np.einsum("vk,vkij,vj->vi", weights, maps[joints], points)[:, :3]


def kept(weights: np.ndarray) -> np.ndarray:
    """The four largest weights of each row, normalised, dense."""
    joints, values = gltf.top_influences(weights)
    dense = np.zeros(weights.shape, np.float64)
    np.add.at(dense, (np.arange(len(dense))[:, None], joints), values)
    return dense


def body_skin(asset: Asset, rig: Rig, weights: np.ndarray, motion: Motion, frame: int) -> np.ndarray:
    """The same vertices by forward kinematics and linear blend skinning of stages.body."""
    skeleton = kinematics.Skeleton.from_rig(rig, dtype=torch.float64)
    pose = kinematics.pose_of(motion, skeleton)
    points = skinning.skin_points(torch.as_tensor(asset.vertices, dtype=torch.float64), torch.as_tensor(kept(weights)), pose)
    return points[frame].numpy()


def test_geometry_look_and_weights_read_back(tmp_path):
    rng = np.random.default_rng(0)
    asset, rig = textured_asset(), random_rig(9, rng)
    weights = rng.dirichlet(np.full(9, 0.3), len(asset.vertices)).astype(np.float32)
    scene = gltf.read(gltf.write(tmp_path / "a.glb", asset, rig, weights))
    assert np.array_equal(scene.vertices, asset.vertices)
    assert np.array_equal(scene.faces, asset.faces) and np.array_equal(scene.face_materials, asset.face_materials)
    assert np.allclose(scene.normals, asset.normals) and np.allclose(scene.uvs, asset.uvs) and np.allclose(scene.colors, asset.colors, atol=2e-5)
    assert scene.images.tobytes() == asset.images.tobytes()
    assert scene.materials == asset.materials
    assert np.allclose(scene.joint_weights, kept(weights), atol=1e-6)
    assert scene.joint_names == rig.joint_names and scene.joint_parents.tolist() == rig.parents.tolist()
    assert np.allclose(scene.joint_matrices[:, :3, 3], rig.positions, atol=1e-5)
    assert np.allclose(scene.joint_matrices[:, :3, :3], Rotation.from_quat(rig.rotations).as_matrix(), atol=1e-5)
    assert scene.extras == {} and scene.notes == []


@pytest.mark.parametrize("seed", range(3))
def test_skinned_poses_are_those_of_the_body(tmp_path, seed):
    rng = np.random.default_rng(seed)
    asset, rig = textured_asset(), random_rig(12, rng)
    weights = rng.dirichlet(np.full(12, 0.4), len(asset.vertices)).astype(np.float32)
    motion = random_motion(rig, rng)
    path = gltf.write(tmp_path / "a.glb", asset, rig, weights, motion)
    for frame in range(motion.frame_count):
        assert np.abs(evaluate(path, frame) - body_skin(asset, rig, weights, motion, frame)).max() < 1e-4


def test_motion_reads_back(tmp_path):
    rng = np.random.default_rng(5)
    asset, rig = samples.asset(), random_rig(6, rng)
    motion = random_motion(rig, rng)
    path = gltf.write(tmp_path / "a.glb", asset, rig, None, motion, name="dance")
    (animation,) = gltf.read_animations(path, fps=motion.fps)
    assert animation.name == "dance" and animation.frame_count == motion.frame_count
    pose = kinematics.pose_of(motion, kinematics.Skeleton.from_rig(rig, dtype=torch.float64))
    order = [animation.joint_names.index(name) for name in rig.joint_names]
    expected = pose.rotations.numpy() @ Rotation.from_quat(rig.rotations).as_matrix()
    assert np.abs(animation.matrices[:, order][..., :3, :3] - expected).max() < 1e-5
    assert np.abs(animation.matrices[:, order][..., :3, 3] - pose.joints.numpy()).max() < 1e-5


def test_rotations_do_not_flip_between_keys(tmp_path):
    rng = np.random.default_rng(2)
    rig = random_rig(5, rng)
    motion = random_motion(rig, rng, frames=40, amount=3)
    tracks = gltf.local_rotations(rig, motion)
    assert ((tracks[1:] * tracks[:-1]).sum(-1) >= 0).all()
    assert np.abs(np.linalg.norm(tracks, axis=-1) - 1).max() < 1e-6


def test_half_way_between_keys_is_the_short_way(tmp_path):
    rng = np.random.default_rng(4)
    asset, rig = samples.asset(), random_rig(4, rng)
    motion = random_motion(rig, rng, frames=2)
    path = gltf.write(tmp_path / "a.glb", asset, rig, None, motion)
    (animation,) = gltf.read_animations(path, fps=2 * motion.fps)
    first, middle, last = Rotation.from_matrix(animation.matrices[:, 0, :3, :3])
    expected = Slerp([0, 1], Rotation.concatenate([first, last]))(0.5)
    assert (middle * expected.inv()).magnitude() < 1e-5


def test_four_largest_weights_sum_to_one():
    rng = np.random.default_rng(0)
    weights = rng.dirichlet(np.full(30, 0.2), 500).astype(np.float32)
    weights[0] = 0
    weights[0, 7] = 1
    joints, values = gltf.top_influences(weights)
    assert joints.shape == values.shape == (500, 4) and values.dtype == np.float32
    assert np.abs(values.sum(1, dtype=np.float64) - 1).max() < 1e-7
    assert joints[0].tolist() == [7, 0, 0, 0] and values[0].tolist() == [1, 0, 0, 0]
    assert (joints[values == 0] == 0).all()


def test_without_weights_the_nearest_bone_carries(tmp_path):
    asset, rig = samples.asset(), samples.rig()
    scene = gltf.read(gltf.write(tmp_path / "rig.glb", asset, rig))
    assert set(np.unique(scene.joint_weights)) == {0, 1}
    assert np.array_equal(gltf.nearest_bone(rig.positions[1:2], rig).sum(1), [1])


def test_same_content_same_bytes_and_no_date(tmp_path):
    rng = np.random.default_rng(0)
    asset, rig = textured_asset(), random_rig(5, rng)
    motion = random_motion(rig, rng)
    first, second = (gltf.write(tmp_path / name, asset, rig, None, motion).read_bytes() for name in ("a.glb", "b.glb"))
    assert first == second


def test_prompt_and_rate_travel_along(tmp_path):
    rig = random_rig(3, np.random.default_rng(0))
    motion = random_motion(rig, np.random.default_rng(0))
    file = pygltflib.GLTF2().load(str(gltf.write(tmp_path / "a.glb", samples.asset(), rig, None, motion)))
    assert file.asset.extras["akd"]["prompt"] == motion.prompt and file.asset.extras["akd"]["fps"] == 12.5
    assert "\n" not in file.animations[0].name


def test_parts_that_do_not_fit_are_refused(tmp_path):
    asset, rig = samples.asset(), samples.rig()
    with pytest.raises(InputError, match="without a rig"):
        gltf.write(tmp_path / "a.glb", asset, None, np.ones((5, 1)))
    with pytest.raises(InputError, match="shape"):
        gltf.write(tmp_path / "a.glb", asset, rig, np.ones((3, 4)))
    with pytest.raises(InputError, match="another rig"):
        gltf.write(tmp_path / "a.glb", asset, rig, None, random_motion(random_rig(3, np.random.default_rng(0)), np.random.default_rng(0)))
    assert not list(tmp_path.iterdir())


def test_validator_on_built_files(tmp_path):
    rng = np.random.default_rng(0)
    for asset, rig in ((textured_asset(), random_rig(9, rng)), (samples.asset(), samples.rig()), (samples.asset(), random_rig(300, rng))):
        weights = rng.dirichlet(np.full(rig.joint_count, 0.3), len(asset.vertices)).astype(np.float32)
        files = {"asset": (), "rig": (rig,), "skin": (rig, weights), "motion": (rig, weights, random_motion(rig, rng))}
        for report in assert_valid(*[gltf.write(tmp_path / f"{name}.glb", asset, *parts) for name, parts in files.items()]):
            assert not [m for m in report["issues"]["messages"] if m["code"].startswith("UNUSED") and "TEXCOORD" not in m["pointer"]]


@pytest.mark.parametrize("name", CHARACTERS)
def test_validator_on_characters(tmp_path, name):
    source = ASSETS / f"{name}.glb"
    if not os.environ.get("AKD_TEST_ASSETS") or not source.exists():
        pytest.skip("AKD_TEST_ASSETS names no folder with the characters")
    from stages.asset import stage

    asset = stage.run(source)
    rig = rig_of(asset)
    motion = random_motion(rig, np.random.default_rng(0), frames=3, amount=0.3)
    files = {"asset": (), "rig": (rig,), "skin": (rig, asset.joint_weights), "motion": (rig, asset.joint_weights, motion)}
    paths = [gltf.write(tmp_path / f"{part}.glb", asset, *parts) for part, parts in files.items()]
    assert_valid(*paths)
    scale = np.ptp(asset.vertices, axis=0).max()
    assert np.abs(evaluate(paths[-1], 1) - body_skin(asset, rig, asset.joint_weights, motion, 1)).max() < 1e-4 * max(scale, 1)
