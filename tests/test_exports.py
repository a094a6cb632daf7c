"""Every file that goes out, on artists' characters and built-in ones: the Khronos validator finds nothing to object to."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from schemas import gltf
from schemas.motion import Motion
from stages.asset import stage as asset_stage
from stages.asset.params import Params as AssetParams
from stages.body.kinematics import Skeleton, pose_of
from stages.body.skinning import skin_points
from stages.distill.gaits import sample
from stages.rig import stage as rig_stage
from stages.skin import stage as skin_stage
from tests.validator import assert_valid

FILES = ("KhronosFox", "Wolf", "KnightCharacter", "Trex")
BUILT_IN = ("tiger", "human", "ostrich")


def source(name: str) -> str:
    """A built-in name, or the path of a test model."""
    if name in BUILT_IN:
        return name
    path = Path(os.environ.get("AKD_TEST_ASSETS", "")) / f"{name}.glb"
    if not path.is_file():
        pytest.skip("AKD_TEST_ASSETS does not name the folder with the test models")
    return str(path)


@pytest.mark.parametrize("name", (*BUILT_IN, *FILES))
def test_everything_written_of_a_character_is_valid_and_moves(name, tmp_path):
    asset = asset_stage.run(source(name), AssetParams())
    rig = rig_stage.run(asset)
    skin = skin_stage.run(asset, rig)
    clip = sample(rig, "walking", frames=17, fps=16.0, rng=np.random.default_rng(0))
    motion = Motion(
        name=asset.name,
        prompt=f"a {name} walking",
        fps=16.0,
        joint_names=rig.joint_names,
        angles=clip.angles,
        root_positions=clip.root_positions,
        root_rotations=clip.root_rotations,
    )
    motion.validate()
    files = [
        gltf.write(tmp_path / "asset.glb", asset),
        gltf.write(tmp_path / "rig.glb", asset, rig),
        gltf.write(tmp_path / "skin.glb", asset, rig, skin.weights),
        gltf.write(tmp_path / "motion.glb", asset, rig, skin.weights, motion),
    ]
    for path in files:
        assert_valid(path)
    # the gait is a walk: it goes forward, the mesh stays in one piece and near the ground
    points = skin_points(*(np_to_torch(v) for v in (asset.vertices, skin.weights)), pose_of(motion, Skeleton.from_rig(rig))).numpy()
    assert points[-1, :, 2].mean() - points[0, :, 2].mean() > 0.2 * asset.height
    assert np.abs(points[:, :, 1].min(1)).max() < 0.2 * asset.height
    rest, edges = asset.vertices, asset.faces[:, :2]
    longest = np.linalg.norm(points[:, edges[:, 0]] - points[:, edges[:, 1]], axis=-1).max()
    assert longest < 0.35 * asset.height + 3 * np.linalg.norm(rest[edges[:, 0]] - rest[edges[:, 1]], axis=-1).max()


def np_to_torch(values: np.ndarray):
    import torch

    return torch.from_numpy(np.asarray(values, np.float32))
