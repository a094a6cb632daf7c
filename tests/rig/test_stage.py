"""The rig stage on built-in, given and real skeletons."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from schemas.errors import InputError, MissingError
from schemas.roles import is_leg, limb
from stages.asset.stage import run as make_asset
from stages.rig.params import Params
from stages.rig.stage import run
from tests.skin.shapes import as_asset, tube

GOOD = {
    "joints": [
        {"name": "high", "parent": "low", "position": [0, 1, 0], "tail": [0, 2, 0], "role": "head"},
        {"name": "low", "parent": None, "position": [0, 0, 0]},
    ]
}


@pytest.fixture(scope="module")
def tiger() -> object:
    return make_asset("tiger")


def corners(rig: object) -> np.ndarray:
    """Of the cuboids. [m, (J, 8, 3)]"""
    from stages.body.kinematics import Skeleton

    return Skeleton.from_rig(rig).corners.numpy()


def written(tmp_path: Path, data: object) -> Path:
    path = tmp_path / "skeleton.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def test_builtin_keeps_what_its_template_knows(tiger: object) -> None:
    rig = run(tiger)
    assert rig.category == "quadruped" and rig.source["kind"] == "builtin"
    assert rig.roles == tiger.joint_roles
    np.testing.assert_allclose(rig.tails, tiger.joint_tails, atol=1e-6)
    assert rig.content_digest() == run(tiger).content_digest()
    feet = [joint for joint, role in enumerate(rig.roles) if is_leg(role) and role.endswith("foot")]
    lowest = corners(rig)[..., 1].min(1)
    np.testing.assert_allclose(lowest[feet], 0, atol=0.005)
    assert lowest.min() > -0.005 and len(feet) == 4
    assert rig.cuboid_half_sizes.min() > 1e-3
    # what is left and right stands at +x and -x
    for role, tail in zip(rig.roles, rig.tails, strict=True):
        if limb(role):
            assert (tail[0] > 0) == role.startswith("left")


def test_mesh_without_a_skeleton_says_what_can_be_given() -> None:
    with pytest.raises(InputError, match=r"no skeleton; leave out --template file, or give one with --skeleton FILE \(.json"):
        run(as_asset(*tube()), Params(template="file"))


def test_json_skeleton(tmp_path: Path) -> None:
    rig = run(as_asset(*tube()), skeleton=written(tmp_path, GOOD))
    assert rig.joint_names == ["low", "high"] and rig.parents.tolist() == [-1, 0] and rig.roles[1] == "head"
    np.testing.assert_allclose(rig.tails, [[0, 1, 0], [0, 2, 0]])
    assert rig.source == {"kind": "skeleton", "file": "skeleton.json", "notes": rig.source["notes"]}


def test_json_skeleton_in_another_frame(tmp_path: Path) -> None:
    data = {"up": "z", "facing": "-y", "unit": 0.01, "category": "snake", "joints": [{"name": "a", "parent": None, "position": [10, -20, 100]}]}
    rig = run(as_asset(*tube()), skeleton=written(tmp_path, data))
    np.testing.assert_allclose(rig.positions, [[0.1, 1.0, 0.2]], atol=1e-6)
    assert rig.category == "snake"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{", "not JSON"),
        ([], "must be an object"),
        ({"joints": []}, "list of 1 to 1000"),
        ({"joint": []}, "has 'joint'"),
        ({"joints": [{"name": "a", "parent": None, "position": [0, 0]}]}, "three numbers"),
        ({"joints": [{"name": "a", "parent": None, "position": [0, 0, float("nan")]}]}, "three numbers"),
        ({"joints": [{"name": "a", "parent": None, "position": [0, True, 0]}]}, "three numbers"),
        ({"joints": [{"name": "a", "parent": "b", "position": [0, 0, 0]}]}, "parent 'b'"),
        ({"joints": [{"name": "", "parent": None, "position": [0, 0, 0]}]}, "no 'name'"),
        ({"joints": [{"name": "a", "parent": None, "position": [0, 0, 0]}] * 2}, "two joints"),
        ({"joints": [{"name": "a", "position": [0, 0, 0]}, {"name": "b", "position": [0, 0, 0]}]}, "exactly one must be the root"),
        ({"joints": [{"name": "a", "parent": "a", "position": [0, 0, 0]}]}, "exactly one must be the root"),
        ({"joints": [{"name": "r", "position": [0, 0, 0]}, {"name": "a", "parent": "b"}, {"name": "b", "parent": "a"}]}, "circle"),
        ({"joints": [{"name": "a", "position": [0, 0, 0], "role": "wheel"}]}, "unknown role"),
        ({"joints": [{"name": "a", "position": [0, 0, 0]}], "up": "w"}, "'up'"),
        ({"joints": [{"name": "a", "position": [0, 0, 0]}], "up": "z"}, "one line"),
        ({"joints": [{"name": "a", "position": [0, 0, 0]}], "unit": 0}, "'unit'"),
        ({"joints": [{"name": "a", "position": [900, 0, 0]}]}, "do not lie in the mesh"),
    ],
)
def test_bad_skeleton_files(tmp_path: Path, data: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        run(as_asset(*tube()), skeleton=written(tmp_path, data))
    assert "skeleton.json" in str(error.value)


def test_skeleton_file_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="no such file"):
        run(as_asset(*tube()), skeleton=tmp_path / "none.glb")
    (tmp_path / "a.fbx").write_text("x")
    with pytest.raises(InputError, match="no skeleton file"):
        run(as_asset(*tube()), skeleton=tmp_path / "a.fbx")


def test_rig_written_as_glb_comes_back(tmp_path: Path, tiger: object) -> None:
    from schemas.gltf import write

    rig = run(tiger)
    back = run(tiger, skeleton=write(tmp_path / "rig.glb", tiger, rig))
    order = [back.joint_names.index(name) for name in rig.joint_names]
    np.testing.assert_allclose(back.positions[order], rig.positions, atol=1e-5)
    assert [back.roles[i] for i in order] == rig.roles  # the built-in joints are called by their roles
    with pytest.raises(InputError, match="has no skeleton; give a rigged"):
        run(tiger, skeleton=write(tmp_path / "plain.glb", tiger))


def test_bad_choices(tiger: object) -> None:
    with pytest.raises(InputError, match="--limits loose: not one of anatomy, free"):
        run(tiger, Params(limits="loose"))


# name -> category, joints kept, legs that stand on the ground, notes that must be there
REAL = {
    "Wolf": ("quadruped", 46, 4, "attached"),
    "KhronosFox": ("quadruped", 22, 4, "b_Root_00"),
    "KnightCharacter": ("biped", 28, 2, "PoleTarget"),
    "Trex": ("dinosaur", 27, 2, "root on the ground"),
    "Dog": ("quadruped", 20, 4, "IKFrontRight"),
    "Spider": ("spider", 36, 8, "FrontFoot2.R to FrontLeg3.R"),
    "mannequiny": ("biped", 45, 2, ""),
}


@pytest.mark.parametrize("name", REAL)
def test_real_models(real_assets: Path, name: str) -> None:
    path = real_assets / f"{name}.glb"
    if not path.exists():
        pytest.skip(f"{path.name} is not in the folder")
    category, count, legs, note = REAL[name]
    asset = make_asset(path)
    rig = run(asset)
    assert (rig.category, rig.joint_count) == (category, count)
    assert any(note in entry for entry in rig.source["notes"]) or not note
    assert set(rig.joint_names) <= set(asset.joint_names)
    groups = {limb(role)[:2] for role in rig.roles if is_leg(role)}
    assert len(groups) == legs
    box, height = corners(rig), asset.height
    assert box[..., 1].min() > -0.01 * height
    for side, kind in groups:
        joints = [j for j, role in enumerate(rig.roles) if role.startswith(f"{side}_{kind}_")]
        assert box[joints][..., 1].min() < 0.02 * height, (side, kind)
        assert all((rig.tails[j, 0] > 0) == (side == "left") for j in joints)
    assert (np.abs(rig.tails - rig.positions).max(1) > 0).all()
    inside = np.zeros(len(asset.vertices), bool)
    from scipy.spatial.transform import Rotation

    for center, half, turn in zip(rig.cuboid_centers, rig.cuboid_half_sizes, rig.cuboid_rotations, strict=True):
        inside |= (np.abs((asset.vertices - center) @ Rotation.from_quat(turn).as_matrix()) <= half * 1.001).all(1)
    assert inside.mean() > 0.5
    kept = run(asset, Params(keep_joints=True))
    assert kept.joint_names == asset.joint_names and kept.parents.tolist() == asset.joint_parents.tolist()
